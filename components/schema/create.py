"""CREATE of tables with their indexes, triggers and policies; of views, types, collations and sequences."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from components.names import TableName
from components.schema.definitions import (
    LIKE_INDEXES,
    as_inherited,
    as_like,
    column_of,
    index_labels,
    key_of,
    merged,
    with_column,
    with_constraint,
    with_expressions,
    without_duplicate_unique,
)
from components.schema.grouping import grouped_tables
from components.schema.parse_tree import (
    BUILT_IN_OPERATORS,
    bounds_of,
    collation_of,
    has_subquery,
    is_dummy_view,
    messages,
    nodes,
    object_type,
    parameter_mode,
    strings,
)
from components.schema.relations import EXPRESSION, OtherRelation, Policy, Routine, Sequence, Table, Trigger, UserType
from components.schema.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.schema.scope import Handler, Scope

__all__ = ["HANDLERS", "select_into"]


def _create_table(scope: Scope, statement: Any) -> None:
    name = scope.new_name(statement.relation)
    if name in scope.relations.tables and statement.if_not_exists:
        return
    scope.relations.refuse_again(name, scope.at)
    parents = tuple(scope.name(node.range_var) for node in statement.inh_relations)
    partition = statement.HasField("partbound")
    table = Table(
        name,
        scope.at,
        persistence=statement.relation.relpersistence,
        parents=parents,
        partition=partition,
        partitioned=statement.HasField("partspec"),
        partition_columns=tuple(node.partition_elem.name for node in statement.partspec.part_params),
    )
    if statement.HasField("of_typename"):
        row = scope.relations.types.get(scope.listed_name(statement.of_typename.names))
        table = replace(table, columns=dict(row.columns) if row and row.columns else None)
    for parent in parents:
        source = scope.relations.tables.get(parent)
        table = merged(table, source and as_inherited(source), keys=partition)
    for element in statement.table_elts:
        kind = element.WhichOneof("node")
        if kind == "column_def":
            table = with_column(scope, table, element.column_def)
        elif kind == "constraint":
            table = with_constraint(scope, table, element.constraint, ())
        elif kind == "table_like_clause":
            clause = element.table_like_clause
            source = scope.table(clause.relation)
            table = merged(table, source and as_like(source, clause.options), keys=bool(clause.options & LIKE_INDEXES))
    scope.relations.put(without_duplicate_unique(table))


def _create_table_as(scope: Scope, statement: Any) -> None:
    if object_type(statement.objtype) == "OBJECT_MATVIEW":
        view = _view(scope, "materialized view", statement, statement.into.col_names)
        scope.relations.others[scope.new_name(statement.into.rel)] = view
    elif not (statement.if_not_exists and scope.table(statement.into.rel)):
        _create_from_query(scope, statement.into.rel)


def select_into(scope: Scope, statement: Any) -> None:
    """Apply `select … into`, which creates a table."""
    if statement.HasField("into_clause"):
        _create_from_query(scope, statement.into_clause.rel)


def _create_from_query(scope: Scope, relation: Any) -> None:
    name = scope.new_name(relation)
    scope.relations.put(Table(name, scope.at, columns=None, persistence=relation.relpersistence))


def _create_view(scope: Scope, statement: Any) -> None:
    name, view = scope.new_name(statement.view), _view(scope, "view", statement, statement.aliases)
    before = scope.relations.others.get(name)
    if before is not None and statement.replace and view.keys and not before.is_dummy:
        scope.relations.replaced_views[name] = scope.at
    view = replace(view, comment=before.comment if before else None, is_dummy=is_dummy_view(statement))
    scope.relations.others[name] = view


def _view(scope: Scope, kind: str, statement: Any, columns: Iterable[Any]) -> OtherRelation:
    uses = frozenset(scope.name(it) for it in messages(statement.query, "RangeVar"))
    return OtherRelation(
        kind,
        scope.at,
        _keys_needed(scope, statement.query),
        uses=uses,
        circles=_circles(scope, statement.query, uses) if scope.relations.row_functions else frozenset(),
        source=Source.of(statement, scope.search_path),
        query=statement.query,
        columns=strings(columns),
        search_path=scope.search_path,
    )


def _circles(scope: Scope, query: Any, uses: frozenset[TableName]) -> frozenset[TableName]:
    """Return the tables of `uses` whose rows a function in the query takes or returns, and those whose rows one in FROM does."""
    rows = scope.relations.row_functions
    called = [rows.get(it.funcname[-1].string.sval, frozenset()) for it in messages(query, "FuncCall")]
    sources = [
        rows.get(it.funcname[-1].string.sval, frozenset())
        for function in messages(query, "RangeFunction")
        for it in messages(function, "FuncCall")
    ]
    return uses.intersection(frozenset().union(*called)).union(*sources)


def _keys_needed(scope: Scope, query: Any) -> frozenset[TableName]:
    """Return the tables that the query groups by primary key while it shows other columns of them."""
    selects = nodes(query, "select_stmt")
    found = (it for select in selects for it in grouped_tables(select, scope.relations, scope.search_path))
    return frozenset(it.table.name for it in found if it.ungrouped)


def _create_foreign_table(scope: Scope, statement: Any) -> None:
    scope.relations.others[scope.new_name(statement.base_stmt.relation)] = OtherRelation("foreign table", scope.at)


def _create_index(scope: Scope, statement: Any) -> None:
    table = scope.table(statement.relation)
    other = scope.relations.others.get(scope.name(statement.relation))
    if table is None and other is not None:
        indexes = (*other.indexes, Source.of(statement, scope.search_path))
        scope.relations.others[scope.name(statement.relation)] = replace(other, indexes=indexes)
    if table is not None:
        scope.relations.put(table := with_expressions(scope, table, statement))
    if table is not None and statement.unique:
        columns = tuple(param.index_elem.name or EXPRESSION for param in statement.index_params)
        included = tuple(param.index_elem.name for param in statement.index_including_params)
        labels = index_labels(it.index_elem for it in (*statement.index_params, *statement.index_including_params))
        key = key_of(table, "unique index", columns, scope.at, statement.idxname, included, labels=labels)
        key = replace(
            key,
            referable=not statement.HasField("where_clause") and EXPRESSION not in columns,
            source=Source.of(statement, scope.search_path),
        )
        scope.relations.put(replace(table, keys=(*table.keys, key)))


def _create_trigger(scope: Scope, statement: Any) -> None:
    table = scope.table(statement.relation)
    if table is not None:
        kept = tuple(trigger for trigger in table.triggers if trigger.name != statement.trigname)
        scope.relations.put(replace(table, triggers=(*kept, Trigger(statement.trigname, scope.at))))


def _create_policy(scope: Scope, statement: Any) -> None:
    table = scope.table(statement.table)
    if table is not None:
        policy = Policy(statement.policy_name, scope.at, has_subquery(statement), statement)
        scope.relations.put(replace(table, policies=(*table.policies, policy)))


def _create_enum(scope: Scope, statement: Any) -> None:
    scope.relations.types[scope.new_listed_name(statement.type_name)] = UserType("enum")


def _create_range(scope: Scope, statement: Any) -> None:
    name = scope.new_listed_name(statement.type_name)
    before, word, after = name.name.partition("range")
    multirange = f"{before}multirange{after}" if word else f"{name.name}_multirange"
    scope.relations.types[name] = scope.relations.types[TableName(name.schema, multirange)] = UserType("range")


def _create_domain(scope: Scope, statement: Any) -> None:
    base = scope.type_name(statement.type_name)
    collation = collation_of(statement.coll_clause)
    scope.relations.types[scope.new_listed_name(statement.domainname)] = UserType("domain", (base,), collation)


def _create_composite(scope: Scope, statement: Any) -> None:
    columns = [column_of(scope, node.column_def) for node in statement.coldeflist]
    scope.relations.types[scope.new_name(statement.typevar)] = UserType(
        "composite", tuple(column.type for column in columns), columns={column.name: column for column in columns}
    )


def _create_cast(scope: Scope, statement: Any) -> None:
    if statement.HasField("func"):
        scope.relations.casts.add(scope.type_name(statement.targettype))


def _create_operator_class(scope: Scope, statement: Any) -> None:
    scope.relations.operator_classes.add(statement.opclassname[-1].string.sval)


def _define(scope: Scope, statement: Any) -> None:
    kind = object_type(statement.kind)
    if kind == "OBJECT_AGGREGATE":
        name = scope.new_listed_name(statement.defnames)
        scope.relations.aggregates.add(name.name)
        aggregate = Routine(name, scope.at, "internal", "i", is_aggregate=True)
        scope.relations.routines.setdefault(name, {})[()] = aggregate
    if kind == "OBJECT_OPERATOR":
        name = statement.defnames[-1].string.sval
        scope.relations.operators |= {name} - BUILT_IN_OPERATORS
    if kind == "OBJECT_COLLATION":
        options = {node.def_elem.defname: str(node.def_elem.arg) for node in statement.definition}
        scope.relations.collations[scope.new_listed_name(statement.defnames)] = "false" not in options.get(
            "deterministic", ""
        )


def _create_sequence(scope: Scope, statement: Any) -> None:
    scope.relations.sequences[scope.new_name(statement.sequence)] = Sequence(
        scope.at, tuple(bounds_of(statement.options))
    )


def _create_function(scope: Scope, statement: Any) -> None:
    options = {node.def_elem.defname: node.def_elem.arg for node in statement.options}
    ins = [node.function_parameter for node in statement.parameters]
    types = tuple(
        scope.type_name(it.arg_type) for it in ins if parameter_mode(it) in ("DEFAULT", "IN", "INOUT", "VARIADIC")
    )
    name = scope.new_listed_name(statement.funcname)
    scope.relations.functions.add(name.name)
    types_named = (scope.type_table(it) for it in messages(statement, "TypeName"))
    if rows := frozenset(it for it in types_named if it is not None and it in scope.relations.tables):
        scope.relations.row_functions[name.name] = rows | scope.relations.row_functions.get(name.name, frozenset())
    routine = Routine(
        name,
        scope.at,
        options["language"].string.sval.lower() if "language" in options else "sql",
        options["volatility"].string.sval[:1] if "volatility" in options else "v",
        tuple(it.name for it in ins),
        returns_set=statement.return_type.setof or any(parameter_mode(it) == "TABLE" for it in ins),
        tree=statement,
        text=scope.statement.text,
        search_path=scope.search_path,
    )
    scope.relations.routines.setdefault(name, {})[types] = routine


HANDLERS: Final[dict[str, Handler]] = {
    "create_stmt": _create_table,
    "create_table_as_stmt": _create_table_as,
    "view_stmt": _create_view,
    "create_foreign_table_stmt": _create_foreign_table,
    "index_stmt": _create_index,
    "create_trig_stmt": _create_trigger,
    "create_policy_stmt": _create_policy,
    "create_enum_stmt": _create_enum,
    "create_range_stmt": _create_range,
    "create_domain_stmt": _create_domain,
    "composite_type_stmt": _create_composite,
    "define_stmt": _define,
    "create_seq_stmt": _create_sequence,
    "create_function_stmt": _create_function,
    "create_cast_stmt": _create_cast,
    "create_op_class_stmt": _create_operator_class,
}
