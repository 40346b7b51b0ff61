"""Reads statements, parsed by PostgreSQL's own grammar, into relations. Runs no SQL and knows nothing of sharding."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import postgast

from components.names import TableName
from components.schema.parse_tree import (
    NOT_SHOWN,
    SERIALS,
    bounds_of,
    collation_of,
    constraints_of,
    has_subquery,
    nodes,
    ranges_of,
    referenced,
    scale_of,
    why_not_in_transaction,
)
from components.schema.relations import (
    Column,
    ForeignKey,
    Key,
    OtherRelation,
    Policy,
    Position,
    Relations,
    Sequence,
    SqlFile,
    Table,
    Trigger,
    UserType,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.errors import Problem

__all__ = ["FileReader"]


_LIKE_DEFAULTS: Final = 1 << 3
"""CREATE_TABLE_LIKE_DEFAULTS, an option of LIKE in PostgreSQL's parsenodes.h, as are the next."""


_LIKE_GENERATED: Final = 1 << 4


_LIKE_IDENTITY: Final = 1 << 5


_LIKE_INDEXES: Final = 1 << 6


_OTHERS: Final = {
    "OBJECT_VIEW": "view",
    "OBJECT_MATVIEW": "materialized view",
    "OBJECT_FOREIGN_TABLE": "foreign table",
}


_EXPRESSION: Final = "<expression>"


class FileReader:
    """Applies the statements of one file; keeps the file's search_path. What it cannot stand goes to `problems`."""

    def __init__(self, relations: Relations, file: SqlFile, problems: list[Problem]) -> None:
        self.relations = relations
        self.file = file
        self.problems = problems
        self.search_path = "public"

    def read(self, kind: str, statement: Any, offset: int) -> None:
        """Apply one statement; those that make no relation are passed over."""
        why = why_not_in_transaction(kind, statement)
        if why is not None:
            message = f"this {why}, but each file runs as one transaction: remove it"
            self.problems.append(self.file.position(offset).problem(message))
            return
        reader = getattr(self, f"_{kind}", None)
        if reader is not None:
            reader(statement, self.file.position(offset))

    # --- names and types -------------------------------------------------------------------------------------------

    def _name(self, relation: Any) -> TableName:
        return TableName(relation.schemaname or self.search_path, relation.relname)

    def _listed(self, nodes: Iterable[Any]) -> TableName:
        """Return a name that stands as a list: a, s.a or database.s.a."""
        *schema, name = (node.string.sval for node in nodes)
        return TableName(schema[-1] if schema else self.search_path, name)

    def _table(self, relation: Any) -> Table | None:
        return self.relations.tables.get(self._name(relation))

    def _type(self, node: Any) -> str:
        """Return the type as the grammar normalises it, without pg_catalog: `integer` is `int4`, serial too.

        One that the files create has its schema before it, unless that is public. An array has one pair of brackets,
        however many it is declared with, as in PostgreSQL.
        """
        if not node.names:
            return ""
        name = self._listed(node.names)
        is_builtin = len(node.names) > 1 and name.schema == "pg_catalog"
        known = not is_builtin and (name in self.relations.types or name in self.relations.tables)
        plain = str(name) if known and name.schema != "public" else name.name
        return SERIALS.get(plain, plain) + "[]" * bool(node.array_bounds)

    def _variable_set_stmt(self, statement: Any, at: Position) -> None:
        if statement.name == "search_path":
            names = [arg.a_const.sval.sval for arg in statement.args]
            self.search_path = next((name for name in names if name != "$user"), "public")

    def _create_schema_stmt(self, statement: Any, at: Position) -> None:
        outer, self.search_path = self.search_path, statement.schemaname
        for element in statement.schema_elts:
            kind = element.WhichOneof("node")
            reader = getattr(self, f"_{kind}", None)
            if reader is not None:
                reader(getattr(element, kind), at)
        self.search_path = outer

    def _create_enum_stmt(self, statement: Any, at: Position) -> None:
        self.relations.types[self._listed(statement.type_name)] = UserType("enum")

    def _create_range_stmt(self, statement: Any, at: Position) -> None:
        name = self._listed(statement.type_name)
        before, word, after = name.name.partition("range")
        multirange = f"{before}multirange{after}" if word else f"{name.name}_multirange"
        self.relations.types[name] = self.relations.types[TableName(name.schema, multirange)] = UserType("range")

    def _create_domain_stmt(self, statement: Any, at: Position) -> None:
        base = self._type(statement.type_name)
        collation = collation_of(statement.coll_clause)
        self.relations.types[self._listed(statement.domainname)] = UserType("domain", (base,), collation)

    def _composite_type_stmt(self, statement: Any, at: Position) -> None:
        columns = [self._column(node.column_def) for node in statement.coldeflist]
        self.relations.types[self._name(statement.typevar)] = UserType(
            "composite", tuple(column.type for column in columns), columns={column.name: column for column in columns}
        )

    def _define_stmt(self, statement: Any, at: Position) -> None:
        if postgast.pg_query_pb2.ObjectType.Name(statement.kind) == "OBJECT_COLLATION":
            options = {node.def_elem.defname: str(node.def_elem.arg) for node in statement.definition}
            self.relations.collations[self._listed(statement.defnames)] = "false" not in options.get(
                "deterministic", ""
            )

    def _create_seq_stmt(self, statement: Any, at: Position) -> None:
        self.relations.sequences[self._name(statement.sequence)] = Sequence(at, tuple(bounds_of(statement.options)))

    # --- tables ----------------------------------------------------------------------------------------------------

    def _create_stmt(self, statement: Any, at: Position) -> None:
        name = self._name(statement.relation)
        if name in self.relations.tables and statement.if_not_exists:
            return
        parents = tuple(self._name(node.range_var) for node in statement.inh_relations)
        partition = statement.HasField("partbound")
        table = Table(
            name,
            at,
            persistence=statement.relation.relpersistence,
            parents=parents,
            partition=partition,
            partitioned=statement.HasField("partspec"),
            partition_columns=tuple(node.partition_elem.name for node in statement.partspec.part_params),
        )
        if statement.HasField("of_typename"):
            row = self.relations.types.get(self._listed(statement.of_typename.names))
            table = replace(table, columns=dict(row.columns) if row and row.columns else None)
        for parent in parents:
            source = self.relations.tables.get(parent)
            table = _merged(table, source, keys=partition)
        for element in statement.table_elts:
            kind = element.WhichOneof("node")
            if kind == "column_def":
                table = self._with_column(table, element.column_def)
            elif kind == "constraint":
                table = self._with_constraint(table, element.constraint, ())
            elif kind == "table_like_clause":
                clause = element.table_like_clause
                source = self._table(clause.relation)
                table = _merged(
                    table, source and _like(source, clause.options), keys=bool(clause.options & _LIKE_INDEXES)
                )
        self.relations.put(_without_twins(table))

    def _create_table_as_stmt(self, statement: Any, at: Position) -> None:
        if postgast.pg_query_pb2.ObjectType.Name(statement.objtype) == "OBJECT_MATVIEW":
            view = OtherRelation("materialized view", at, self._keys_needed(statement.query))
            self.relations.others[self._name(statement.into.rel)] = view
        elif not (statement.if_not_exists and self._table(statement.into.rel)):
            self._create_from_query(statement.into.rel, at)

    def _select_stmt(self, statement: Any, at: Position) -> None:
        if statement.HasField("into_clause"):
            self._create_from_query(statement.into_clause.rel, at)

    def _create_from_query(self, relation: Any, at: Position) -> None:
        name = self._name(relation)
        self.relations.put(Table(name, at, columns=None, persistence=relation.relpersistence))

    def _view_stmt(self, statement: Any, at: Position) -> None:
        self.relations.others[self._name(statement.view)] = OtherRelation(
            "view", at, self._keys_needed(statement.query)
        )

    def _keys_needed(self, query: Any) -> frozenset[TableName]:
        """Return the tables by whose primary key the query groups while it shows other columns of them."""
        needed = set()
        for select in nodes(query, "select_stmt"):
            grouped = {referenced(node.column_ref) for node in select.group_clause if node.HasField("column_ref")}
            if not grouped:
                continue
            clauses = (*select.target_list, select.having_clause)
            columns = [it for clause in clauses for it in nodes(clause, "column_ref", but=NOT_SHOWN)]
            shown = {referenced(column) for column in columns}
            ranges = list(ranges_of(select.from_clause))
            for range_ in ranges:
                table = self._table(range_)
                if table is not None and table.columns is not None and table.primary_key is not None:
                    names = {range_.alias.aliasname or range_.relname} | ({""} if len(ranges) == 1 else set())
                    own = {column for of, column in grouped if of in names}
                    others = {column for of, column in shown if of in names and column in {*table.columns, "*"}}
                    if own.issuperset(table.primary_key.columns) and others - own:
                        needed.add(table.name)
        return frozenset(needed)

    def _create_foreign_table_stmt(self, statement: Any, at: Position) -> None:
        self.relations.others[self._name(statement.base_stmt.relation)] = OtherRelation("foreign table", at)

    def _index_stmt(self, statement: Any, at: Position) -> None:
        table = self._table(statement.relation)
        if table is not None and statement.unique:
            columns = tuple(param.index_elem.name or _EXPRESSION for param in statement.index_params)
            key = replace(
                _key(table, "unique index", columns, at, statement.idxname),
                included=tuple(param.index_elem.name for param in statement.index_including_params),
                referable=not statement.HasField("where_clause") and _EXPRESSION not in columns,
            )
            self.relations.put(replace(table, keys=(*table.keys, key)))

    def _create_trig_stmt(self, statement: Any, at: Position) -> None:
        table = self._table(statement.relation)
        if table is not None:
            kept = tuple(trigger for trigger in table.triggers if trigger.name != statement.trigname)
            self.relations.put(replace(table, triggers=(*kept, Trigger(statement.trigname, at))))

    def _create_policy_stmt(self, statement: Any, at: Position) -> None:
        table = self._table(statement.table)
        if table is not None:
            policy = Policy(statement.policy_name, at, has_subquery(statement))
            self.relations.put(replace(table, policies=(*table.policies, policy)))

    def _alter_policy_stmt(self, statement: Any, at: Position) -> None:
        table = self._table(statement.table)
        if table is not None and (statement.HasField("qual") or statement.HasField("with_check")):
            kept = tuple(policy for policy in table.policies if policy.name != statement.policy_name)
            policy = Policy(statement.policy_name, at, has_subquery(statement))
            self.relations.put(replace(table, policies=(*kept, policy)))

    # --- what drops and renames ------------------------------------------------------------------------------------

    def _drop_stmt(self, statement: Any, at: Position) -> None:
        kind = postgast.pg_query_pb2.ObjectType.Name(statement.remove_type)
        cascade = postgast.pg_query_pb2.DropBehavior.Name(statement.behavior) == "DROP_CASCADE"
        for node in statement.objects:
            if kind == "OBJECT_SCHEMA":
                for table in list(self.relations.tables):
                    if table.schema == node.string.sval:
                        self.relations.drop(table, cascade=True)
            elif kind in ("OBJECT_TRIGGER", "OBJECT_POLICY"):
                *of, name = node.list.items
                self._drop_of(self._listed(of), name.string.sval)
            elif kind in ("OBJECT_TYPE", "OBJECT_DOMAIN"):
                self.relations.types.pop(self._listed(node.type_name.names), None)
            elif node.WhichOneof("node") == "list" and all(item.HasField("string") for item in node.list.items):
                self._drop(kind, self._listed(node.list.items), cascade=cascade)

    def _drop(self, kind: str, name: TableName, *, cascade: bool) -> None:
        if kind == "OBJECT_TABLE":
            self.relations.drop(name, cascade=cascade)
        elif kind == "OBJECT_INDEX":
            self.relations.rename_index(name, None)
        elif kind == "OBJECT_SEQUENCE":
            self.relations.sequences.pop(name, None)
        elif kind in _OTHERS:
            self.relations.others.pop(name, None)

    def _drop_of(self, name: TableName, dropped: str) -> None:
        """Remove the triggers and policies of that name: a trigger and a policy that share one are rare enough."""
        table = self.relations.tables.get(name)
        if table is not None:
            triggers = tuple(trigger for trigger in table.triggers if trigger.name != dropped)
            policies = tuple(policy for policy in table.policies if policy.name != dropped)
            self.relations.put(replace(table, triggers=triggers, policies=policies))

    def _rename_stmt(self, statement: Any, at: Position) -> None:
        kind = postgast.pg_query_pb2.ObjectType.Name(statement.rename_type)
        name = self._name(statement.relation)
        if kind == "OBJECT_INDEX":
            self.relations.rename_index(name, statement.newname)
        if kind in _OTHERS and name in self.relations.others:
            self.relations.others[TableName(name.schema, statement.newname)] = self.relations.others.pop(name)
        table = self.relations.tables.get(name)
        if table is None:
            return
        new = {statement.subname: statement.newname}
        if kind == "OBJECT_TABLE":
            self.relations.move(table, TableName(name.schema, statement.newname))
        elif kind == "OBJECT_COLUMN":
            for member in self.relations.family(name):
                self.relations.rename_column(self.relations.tables[member.name], statement.subname, statement.newname)
        elif kind == "OBJECT_TABCONSTRAINT":
            keys = tuple(replace(key, name=new.get(key.name, key.name)) for key in table.keys)
            fks = tuple(replace(fk, name=new.get(fk.name, fk.name)) for fk in table.foreign_keys)
            self.relations.put(replace(table, keys=keys, foreign_keys=fks))

    def _alter_object_schema_stmt(self, statement: Any, at: Position) -> None:
        table = self._table(statement.relation)
        if table is not None:
            self.relations.move(table, TableName(statement.newschema, table.name.name))

    # --- what alters a table ---------------------------------------------------------------------------------------

    def _alter_table_stmt(self, statement: Any, at: Position) -> None:
        name = self._name(statement.relation)
        for node in statement.cmds:
            if name not in self.relations.tables:
                return
            command = node.alter_table_cmd
            action = postgast.pg_query_pb2.AlterTableType.Name(command.subtype).removeprefix("AT_")
            reaches_children = action in _COLUMN_ACTIONS
            for member in self.relations.family(name) if reaches_children else [self.relations.tables[name]]:
                self._alter(self.relations.tables[member.name], action, command)
                if member.name != name and action == "AddColumn":  # its foreign key is the parent's alone
                    self.relations.put(replace(self.relations.tables[member.name], foreign_keys=member.foreign_keys))

    def _alter(self, table: Table, action: str, command: Any) -> None:
        definition = getattr(command, "def")
        cascade = postgast.pg_query_pb2.DropBehavior.Name(command.behavior) == "DROP_CASCADE"
        if action == "AddColumn":
            known = table.columns is not None and definition.column_def.colname in table.columns
            if not (command.missing_ok and known):
                self.relations.put(self._with_column(table, definition.column_def))
        elif action == "DropColumn":
            self.relations.drop_column(table, command.name)
        elif action == "AddConstraint":
            self.relations.put(self._with_constraint(table, definition.constraint, ()))
        elif action == "DropConstraint":
            places = {key.at for key in table.keys if key.name == command.name}
            self.relations.drop_key(table, command.name, cascade=cascade)
            for child in self.relations.children(table.name):
                derived = {key.name for key in child.keys if key.at in places}
                for key in derived:
                    self.relations.drop_key(self.relations.tables[child.name], key, cascade=cascade)
        elif action in ("AttachPartition", "DetachPartition", "AddInherit", "DropInherit"):
            self._alter_family(table, action, definition)
        elif table.columns is not None and command.name in table.columns:
            column = self._altered(table, table.columns[command.name], action, definition)
            self.relations.put(replace(table, columns={**table.columns, column.name: column}))

    def _altered(self, table: Table, column: Column, action: str, definition: Any) -> Column:
        if action == "AlterColumnType":
            new = self._column(definition.column_def)
            return replace(column, type=new.type, collation=new.collation, scale=new.scale)
        if action == "ColumnDefault":
            return replace(column, sequence=self._sequence(definition))
        if action in ("AddIdentity", "DropIdentity"):
            return replace(
                column, identity=action == "AddIdentity", not_null=column.not_null or action == "AddIdentity"
            )
        if action in ("SetNotNull", "DropNotNull"):
            return replace(column, not_null=action == "SetNotNull")
        if action == "DropExpression":
            return replace(column, generated=False)
        return column

    def _alter_family(self, table: Table, action: str, definition: Any) -> None:
        if action.endswith("Inherit"):
            other = self._name(definition.range_var)
            parents = tuple(parent for parent in table.parents if parent != other)
            self.relations.put(replace(table, parents=(*parents, other) if action == "AddInherit" else parents))
            return
        child = self._table(definition.partition_cmd.name)
        if child is not None:
            attached = action == "AttachPartition"
            self.relations.put(replace(child, parents=(table.name,) if attached else (), partition=attached))

    def _with_column(self, table: Table, definition: Any) -> Table:
        column = self._column(definition, table.name)
        if table.columns is not None:
            table = replace(table, columns={**table.columns, column.name: column})
        for constraint, attributes in constraints_of(definition.constraints):
            table = self._with_constraint(table, constraint, (column.name,), attributes)
        return table

    def _column(self, definition: Any, table: TableName | None = None) -> Column:
        constraints = {
            postgast.pg_query_pb2.ConstrType.Name(node.constraint.contype): node.constraint
            for node in definition.constraints
        }
        names = definition.type_name.names
        serial = len(names) == 1 and names[0].string.sval in SERIALS
        sequence = None
        if serial and table is not None:
            sequence = TableName(table.schema, f"{table.name}_{definition.colname}_seq")
        elif "CONSTR_DEFAULT" in constraints:
            sequence = self._sequence(constraints["CONSTR_DEFAULT"].raw_expr)
        identity = "CONSTR_IDENTITY" in constraints
        return Column(
            definition.colname,
            self._type(definition.type_name),
            identity=identity,
            generated="CONSTR_GENERATED" in constraints,
            not_null=identity or serial or "CONSTR_NOTNULL" in constraints,
            collation=collation_of(definition.coll_clause),
            scale=scale_of(definition.type_name),
            sequence=sequence,
        )

    def _sequence(self, default: Any) -> TableName | None:
        """Return the sequence of `nextval('…')`, wherever it stands in a default."""
        for call in nodes(default, "func_call"):
            if call.funcname[-1].string.sval == "nextval":
                for constant in nodes(call, "a_const"):
                    try:
                        name = TableName.parse(constant.sval.sval)
                    except ValueError:
                        return None
                    return name if "." in constant.sval.sval else TableName(self.search_path, name.name)
        return None

    def _with_constraint(
        self, table: Table, constraint: Any, own_columns: tuple[str, ...], attributes: tuple[str, ...] = ()
    ) -> Table:
        kind = postgast.pg_query_pb2.ConstrType.Name(constraint.contype)
        at = self.file.position(constraint.location)
        named = tuple(key.string.sval for key in constraint.keys) or own_columns
        deferrable = bool(constraint.deferrable) or "CONSTR_ATTR_DEFERRABLE" in attributes
        if kind in ("CONSTR_PRIMARY", "CONSTR_UNIQUE"):
            included = tuple(key.string.sval for key in constraint.including)
            if constraint.indexname:
                index = next((key for key in table.keys if key.name == constraint.indexname), None)
                named, included = (index.columns, index.included) if index else (named, included)
                table = replace(table, keys=tuple(other for other in table.keys if other is not index))
            name = constraint.conname or constraint.indexname
            key = _key(table, "primary key" if kind == "CONSTR_PRIMARY" else "unique", named, at, name)
            key = replace(key, included=included, referable=not deferrable)
            return replace(table, keys=(*table.keys, key))
        if kind == "CONSTR_EXCLUSION":
            parts = [node.list.items for node in constraint.exclusions]
            columns = tuple(index.index_elem.name or _EXPRESSION for index, _ in parts)
            operators = [operator.list.items[-1].string.sval for _, operator in parts]
            unequal = tuple(column for column, operator in zip(columns, operators, strict=True) if operator != "=")
            key = _key(table, "exclude", columns, at, constraint.conname)
            return replace(table, keys=(*table.keys, replace(key, unequal=unequal, referable=False)))
        if kind == "CONSTR_FOREIGN":
            columns = tuple(key.string.sval for key in constraint.fk_attrs) or own_columns
            fk = ForeignKey(
                columns,
                self._name(constraint.pktable),
                tuple(key.string.sval for key in constraint.pk_attrs),
                constraint.fk_upd_action,
                constraint.fk_del_action,
                at,
                constraint.conname or _default_name(table, columns, "fkey"),
                set_columns=tuple(key.string.sval for key in constraint.fk_del_set_cols),
                full=constraint.fk_matchtype == "f",
            )
            return replace(table, foreign_keys=(*table.foreign_keys, fk))
        return table


_COLUMN_ACTIONS: Final = frozenset({"AddColumn", "DropColumn", "AlterColumnType", "SetNotNull", "DropExpression"})
"""What ALTER TABLE does to the partitions and heirs of a table too."""


def _merged(table: Table, source: Table | None, *, keys: bool) -> Table:
    if source is None or table.columns is None or source.columns is None:
        return replace(table, columns=None)
    table = replace(table, columns={**source.columns, **table.columns})
    copied = (
        tuple(
            replace(
                _key(table, key.kind, key.columns, key.at, ""),
                included=key.included,
                unequal=key.unequal,
                referable=key.referable,
            )
            for key in source.keys
        )
        if keys
        else ()
    )
    return replace(table, keys=(*copied, *table.keys))


def _without_twins(table: Table) -> Table:
    """Return the table without UNIQUE constraints that only repeat the primary key: PostgreSQL makes one index of both."""
    key = table.primary_key
    same = [it for it in table.keys if key is not None and it is not key and it.kind == "unique"]
    twins = [
        it
        for it in same
        if key and (it.columns, it.included, it.referable) == (key.columns, key.included, key.referable)
    ]
    return replace(table, keys=tuple(it for it in table.keys if it not in twins))


def _like(source: Table, options: int) -> Table:
    """Return the table as LIKE sees it, without what is to be excluded."""

    def like(column: Column) -> Column:
        return replace(
            column,
            generated=column.generated and bool(options & _LIKE_GENERATED),
            identity=column.identity and bool(options & _LIKE_IDENTITY),
            sequence=column.sequence if options & _LIKE_DEFAULTS else None,
        )

    return replace(source, columns=source.columns and {name: like(column) for name, column in source.columns.items()})


def _key(table: Table, kind: str, columns: tuple[str, ...], at: Position, name: str) -> Key:
    """Return a key with its name, or with the one that PostgreSQL gives it."""
    suffix = {"primary key": "pkey", "unique": "key", "exclude": "excl", "unique index": "idx"}[kind]
    return Key(kind, columns, at, name or _default_name(table, () if kind == "primary key" else columns, suffix))


def _default_name(table: Table, columns: tuple[str, ...], suffix: str) -> str:
    return "_".join((table.name.name, *columns, suffix))
