"""Definitions of columns, keys and foreign keys, as CREATE TABLE and ALTER TABLE both take them."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from components.names import TableName, default_name, truncate_identifier
from components.schema.parse_tree import (
    SERIALS,
    collation_of,
    constraint_kind,
    constraints_of,
    label_of,
    messages,
    modifiers_of,
    nodes,
    scale_of,
    strings,
    timing_of,
)
from components.schema.relations import EXPRESSION, Column, Expression, ForeignKey, Key
from components.schema.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.schema.relations import Position, Table
    from components.schema.scope import Scope

__all__ = [
    "LIKE_INDEXES",
    "as_inherited",
    "as_like",
    "column_of",
    "default_of",
    "free_name",
    "index_labels",
    "key_of",
    "merged",
    "sequence_of",
    "with_column",
    "with_constraint",
    "with_expressions",
    "without_duplicate_unique",
]


_LIKE_DEFAULTS: Final = 1 << 3
"""CREATE_TABLE_LIKE_DEFAULTS, an option of LIKE in PostgreSQL's parsenodes.h, as are the next."""


_LIKE_GENERATED: Final = 1 << 4


_LIKE_IDENTITY: Final = 1 << 5


LIKE_INDEXES: Final = 1 << 6


def with_column(scope: Scope, table: Table, definition: Any) -> Table:
    """Return the table with a column that a ColumnDef defines, and with the column's constraints."""
    column = column_of(scope, definition, table.name)
    if not column.type and column.name in (table.columns or {}):  # options of a column, in PARTITION OF and OF
        known = (table.columns or {})[column.name]
        column = replace(
            known,
            not_null=known.not_null or column.not_null,
            sequence=column.sequence or known.sequence,
            default=known.default if column.default is None else column.default,
        )
    if table.columns is not None:
        table = replace(table, columns={**table.columns, column.name: column})
    for constraint, attributes in constraints_of(definition.constraints):
        table = with_constraint(scope, table, constraint, (column.name,), attributes)
    return table


def with_expressions(scope: Scope, table: Table, tree: Any) -> Table:
    """Return the table with what an expression in the tree uses of the operators, casts and row types that the files create."""
    known, found = scope.relations, []
    if known.operators:
        names = dict.fromkeys(it.name[-1].string.sval for it in messages(tree, "A_Expr") if it.name)
        found += [Expression(scope.at, f"the operator {name}") for name in names if name in known.operators]
    if known.operator_classes:
        classes = dict.fromkeys(it.opclass[-1].string.sval for it in messages(tree, "IndexElem") if it.opclass)
        found += [Expression(scope.at, f"the operator class {it}") for it in classes if it in known.operator_classes]
    for call in messages(tree, "FuncCall") if known.row_functions else ():
        function = call.funcname[-1].string.sval
        found += [
            Expression(scope.at, f"the function {function}, which takes or returns rows of {row},", str(row))
            for row in known.row_functions.get(function, ())
        ]
    for cast in messages(tree, "TypeCast"):
        name = scope.type_name(cast.type_name)
        if scope.type_table(cast.type_name) in known.tables:
            found.append(Expression(scope.at, f"the row type {name}", name))
        elif name in known.casts and not (cast.arg.HasField("row_expr") or cast.arg.a_const.HasField("sval")):
            found.append(Expression(scope.at, f"the cast to {name}"))
    return replace(table, expressions=(*table.expressions, *found)) if found else table


def column_of(scope: Scope, definition: Any, table: TableName | None = None) -> Column:
    """Return the column of a ColumnDef; that of a table, so that a serial one has its sequence."""
    constraints = {constraint_kind(node.constraint): node.constraint for node in definition.constraints}
    names = definition.type_name.names
    serial = len(names) == 1 and names[0].string.sval in SERIALS
    sequence: TableName | None = None
    default: tuple[str, ...] | None = None
    if serial and table is not None:
        sequence, default = TableName(table.schema, default_name(table.name, definition.colname, "seq")), ("nextval",)
    elif "CONSTR_DEFAULT" in constraints:
        expression = constraints["CONSTR_DEFAULT"].raw_expr
        sequence, default = sequence_of(scope, expression), default_of(expression)
        if sequence is not None:
            scope.relations.expect(sequence, scope.at)
    identity = "CONSTR_IDENTITY" in constraints
    return Column(
        definition.colname,
        scope.type_name(definition.type_name),
        identity=identity,
        generated="CONSTR_GENERATED" in constraints,
        not_null=identity or serial or "CONSTR_NOTNULL" in constraints,
        collation=collation_of(definition.coll_clause),
        scale=scale_of(definition.type_name),
        modifiers=modifiers_of(definition.type_name),
        sequence=sequence,
        default=default,
    )


def default_of(expression: Any) -> tuple[str, ...] | None:
    """Return the functions that a default calls; None where it is NULL."""
    if expression.WhichOneof("node") is None or expression.a_const.isnull:
        return None
    called = [strings(call.funcname)[-1] for call in nodes(expression, "func_call")]
    return (*called, *("now" for _ in nodes(expression, "sqlvalue_function")))


def sequence_of(scope: Scope, default: Any) -> TableName | None:
    """Return the sequence of `nextval('…')`, wherever it stands in a default."""
    for call in nodes(default, "func_call"):
        if call.funcname[-1].string.sval == "nextval":
            for constant in nodes(call, "a_const"):
                try:
                    name = TableName.parse(constant.sval.sval)
                except ValueError:
                    return None
                return name if "." in constant.sval.sval else scope.own_name(name.name)
    return None


def with_constraint(
    scope: Scope, table: Table, constraint: Any, own_columns: tuple[str, ...], attributes: tuple[str, ...] = ()
) -> Table:
    """Return the table with a constraint; one that names no columns, as a column's own, is on `own_columns`."""
    kind = constraint_kind(constraint)
    if kind == "CONSTR_CHECK":
        name = constraint.conname or default_name(table.name.name, "_".join(own_columns), "check")
        table = replace(table, checks=table.checks | {name})
    if kind in ("CONSTR_CHECK", "CONSTR_DEFAULT", "CONSTR_GENERATED"):
        return with_expressions(scope, table, constraint.raw_expr)
    at = scope.position(constraint.location)
    named = strings(constraint.keys) or own_columns
    timing = timing_of(constraint, attributes)
    if kind in ("CONSTR_PRIMARY", "CONSTR_UNIQUE"):
        included, source = strings(constraint.including), Source.of(constraint, scope.search_path)
        index = None
        if constraint.indexname:
            index = next((key for key in table.keys if key.name == constraint.indexname), None)
            named, included = (index.columns, index.included) if index else (named, included)
            source = index.source if index and index.source else source
            table = replace(table, keys=tuple(other for other in table.keys if other is not index))
        name = constraint.conname or constraint.indexname
        key = key_of(table, "primary key" if kind == "CONSTR_PRIMARY" else "unique", named, at, name, included)
        key = replace(key, referable=not timing, timing=timing, source=source)
        if index is not None:
            key = replace(key, clustered=index.clustered, replica_identity=index.replica_identity)
        return replace(table, keys=(*table.keys, key))
    if kind == "CONSTR_EXCLUSION":
        parts = [node.list.items for node in constraint.exclusions]
        columns = tuple(index.index_elem.name or EXPRESSION for index, _ in parts)
        operators = [operator.list.items[-1].string.sval for _, operator in parts]
        compared = zip(columns, operators, strict=True)
        unequal = tuple(column for column, operator in compared if operator != "=" and column != EXPRESSION)
        labels = index_labels(index.index_elem for index, _ in parts)
        key = key_of(table, "exclude", columns, at, constraint.conname, labels=labels)
        source = Source.of(constraint, scope.search_path)
        key = replace(key, unequal=unequal, referable=False, timing=timing, source=source)
        return replace(table, keys=(*table.keys, key))
    if kind == "CONSTR_FOREIGN":
        columns = strings(constraint.fk_attrs) or own_columns
        fk = ForeignKey(
            columns,
            scope.name(constraint.pktable),
            strings(constraint.pk_attrs),
            constraint.fk_upd_action,
            constraint.fk_del_action,
            at,
            constraint.conname or free_name(table, columns, "fkey"),
            set_columns=strings(constraint.fk_del_set_cols),
            match=constraint.fk_matchtype,
            timing=timing,
            validated=not constraint.skip_validation,
        )
        return replace(table, foreign_keys=(*table.foreign_keys, fk))
    return table


def merged(table: Table, source: Table | None, *, keys: bool) -> Table:
    """Return the table with the columns of another in front, and with its keys where they come too (LIKE, PARTITION OF)."""
    if source is None or table.columns is None or source.columns is None:
        return replace(table, columns=None)
    table = replace(table, columns={**source.columns, **table.columns})
    if not keys:
        return table
    own, known = table.keys, table
    for key in source.keys:
        copied = replace(
            key_of(known, key.kind, key.columns, key.at, "", key.included, labels=key.labels),
            unequal=key.unequal,
            referable=key.referable,
            timing=key.timing,
            source=key.source,
        )
        known = replace(known, keys=(*known.keys, copied))
    return replace(table, keys=(*known.keys[len(own) :], *own))


def as_inherited(source: Table) -> Table:
    """Return the table as its children inherit it: NOT NULL is inherited, identity is not (PostgreSQL 14 to 16)."""
    key = source.primary_key.columns if source.primary_key else ()
    columns = source.columns and {
        name: replace(column, identity=False, not_null=column.not_null or name in key)
        for name, column in source.columns.items()
    }
    return replace(source, columns=columns)


def without_duplicate_unique(table: Table) -> Table:
    """Return the table without UNIQUE constraints that only repeat the primary key: PostgreSQL makes one index of both."""
    key = table.primary_key
    same = [it for it in table.keys if key is not None and it is not key and it.kind == "unique"]
    duplicates = [
        it
        for it in same
        if key and (it.columns, it.included, it.referable) == (key.columns, key.included, key.referable)
    ]
    return replace(table, keys=tuple(it for it in table.keys if it not in duplicates))


def as_like(source: Table, options: int) -> Table:
    """Return the table as LIKE copies it: without what the options, CREATE_TABLE_LIKE_…, leave out."""

    def like(column: Column) -> Column:
        return replace(
            column,
            generated=column.generated and bool(options & _LIKE_GENERATED),
            identity=column.identity and bool(options & _LIKE_IDENTITY),
            sequence=column.sequence if options & _LIKE_DEFAULTS else None,
            default=column.default if options & _LIKE_DEFAULTS else None,
        )

    return replace(source, columns=source.columns and {name: like(column) for name, column in source.columns.items()})


def key_of(
    table: Table,
    kind: str,
    columns: tuple[str, ...],
    at: Position,
    name: str,
    included: tuple[str, ...] = (),
    *,
    labels: tuple[str, ...] = (),
) -> Key:
    """Return a key with its name, or with the one that PostgreSQL gives it."""
    suffix = {"primary key": "pkey", "unique": "key", "exclude": "excl", "unique index": "idx"}[kind]
    named = () if kind == "primary key" else labels or (*columns, *included)
    return Key(kind, columns, at, name or free_name(table, named, suffix), included, labels=labels)


def index_labels(elements: Iterable[Any]) -> tuple[str, ...]:
    """Return what PostgreSQL calls the columns of an index: a name that is there already gets a number."""
    labels: list[str] = []
    for element in elements:
        label = element.name or label_of(element.expr)
        made = (truncate_identifier(f"{label}{number or ''}") for number in count())
        labels.append(next(name for name in made if name not in labels))
    return tuple(labels)


def free_name(table: Table, columns: Iterable[str], suffix: str) -> str:
    """Return the name that PostgreSQL gives to a key or a foreign key: with a number if the table has the name already."""
    taken = {key.name for key in table.keys} | {fk.name for fk in table.foreign_keys}
    made = (default_name(table.name.name, "_".join(columns), f"{suffix}{number or ''}") for number in count())
    return next(name for name in made if name not in taken)
