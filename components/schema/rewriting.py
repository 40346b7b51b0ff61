"""Statements on sharded tables in a form that Citus takes, with the result that PostgreSQL would give. Pure; runs no SQL.

Citus wants each subcommand of ALTER TABLE that adds a constraint alone, with the constraint's name; it adds no serial column
to a table with rows; it lets no UPDATE or DELETE call a function whose result is not the same on every shard. Each of these
can be said in another way. What cannot is in later.py.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final, Literal, LiteralString, Protocol

import postgast
from psycopg import sql

from components.keys import ForeignKey
from components.names import TableName
from components.schema.parse_tree import SERIALS, constraints_of, nodes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Known", "LiveKind", "action_of", "computed_first", "constraint_kind", "default_name", "rewritten"]


Step = str | ForeignKey
"""A statement; or a foreign key that waits in the ledger until the table at its other end is sharded."""


LiveKind = Literal["distributed", "reference", "managed", "local"]
"""What Citus has made of a table; `managed` is a local table in its metadata, as a foreign key to a reference table makes it."""


_PASSES: Final = {
    "DropColumn": 0,
    "DropConstraint": 0,
    "AlterColumnType": 1,
    "AddColumn": 4,
    "SetNotNull": 6,
    "ColumnDefault": 6,
    "DropNotNull": 6,
    "AddConstraint": 9,
}
"""The order in which PostgreSQL carries out the subcommands of one ALTER TABLE (AlterTablePass in tablecmds.c)."""


_LAST_PASS: Final = 10


_OF_ONE_SHARD: Final = frozenset({"ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"})
"""System columns, whose values mean something within one shard alone."""


_BESIDE: Final = {"CONSTR_CHECK": "check", "CONSTR_UNIQUE": "key", "CONSTR_PRIMARY": "pkey", "CONSTR_FOREIGN": "fkey"}
"""Constraints of a column that can stand as constraints of the table, with the end of the name that PostgreSQL gives each."""


_ATTRIBUTES: Final = {"CONSTR_ATTR_DEFERRABLE": "deferrable", "CONSTR_ATTR_DEFERRED": "initdeferred"}


_INTEGERS: Final = {"int2": "smallint", "int4": "integer", "int8": "bigint"}


class Known(Protocol):
    """What a statement is about: the tables as they are when it comes to run."""

    def name(self, relation: Any) -> TableName:
        """Return the table that a RangeVar means."""

    def kind(self, table: TableName) -> LiveKind:
        """Return what Citus has made of it; `local` where it is not known."""

    def columns(self, table: TableName) -> Sequence[str] | None:
        """Return its columns; None where they are not known."""

    def primary_key(self, table: TableName) -> Sequence[str] | None:
        """Return the columns of its primary key; None where it has none."""

    def constraint(self, table: TableName, name: str) -> tuple[str, str, str | None]:
        """Return a constraint's kind as in pg_constraint, its definition and its comment; an empty kind where there is none."""

    def distribution_column(self, table: TableName) -> str | None:
        """Return its distribution column; None where it is not distributed."""

    def is_pending(self, table: TableName) -> bool:
        """Tell whether it is local, and sharded later in the same update."""

    def free_name(self, table: TableName, columns: str, suffix: str) -> str:
        """Return the name that PostgreSQL would give a constraint or a sequence of the table."""


def action_of(command: Any) -> str:
    """Return what an AlterTableCmd does, such as AddColumn."""
    return str(postgast.pg_query_pb2.AlterTableType.Name(command.subtype)).removeprefix("AT_")


def constraint_kind(constraint: Any) -> str:
    """Return a constraint's kind, such as CONSTR_CHECK."""
    return str(postgast.pg_query_pb2.ConstrType.Name(constraint.contype))


def rewritten(kind: str, statement: Any, known: Known) -> list[Step] | None:
    """Return the steps that do the same, one after the other; None where the statement can stay as it is."""
    if kind == "alter_table_stmt":
        return _alter_table(statement, known)
    if kind == "create_stmt":
        return _create_table(statement, known)
    if kind == "rename_stmt":
        return _rename_constraint(statement, known)
    if kind == "insert_stmt":
        return _insert(statement, known)
    return _drop_indexes(statement) if kind == "drop_stmt" else None


def _deparsed(kind: str, statement: Any) -> str:
    tree = postgast.parse("select 1")
    tree.stmts[0].Clear()
    getattr(tree.stmts[0].stmt, kind).CopyFrom(statement)
    return str(postgast.deparse(tree))


def _text(template: LiteralString, **parts: sql.Composable | TableName | str) -> str:
    """Return a statement with names put in: a str is a name, a TableName one with its schema."""
    as_names = {
        key: sql.Identifier(part.schema, part.name)
        if isinstance(part, TableName)
        else sql.Identifier(part)
        if isinstance(part, str)
        else part
        for key, part in parts.items()
    }
    return sql.SQL(template).format(**as_names).as_string(None)


# --- ALTER TABLE -------------------------------------------------------------------------------------------------------


def _alter_table(statement: Any, known: Known) -> list[Step] | None:
    if postgast.pg_query_pb2.ObjectType.Name(statement.objtype) != "OBJECT_TABLE":
        return None
    commands = [node.alter_table_cmd for node in statement.cmds]
    alter = _AlterTable(statement, known)
    if not any(alter.is_to_split(command, alone=len(commands) == 1) for command in commands):
        return None
    ordered = sorted(commands, key=lambda it: _PASSES.get(action_of(it), _LAST_PASS))
    return [step for command in ordered for step in alter.steps(command)]


class _AlterTable:
    """One ALTER TABLE, to be taken apart."""

    def __init__(self, statement: Any, known: Known) -> None:
        self._statement = statement
        self._known = known
        self._table = known.name(statement.relation)
        self._sharded = known.kind(self._table) != "local"
        self._names = _Names(self._table, known)

    def is_to_split(self, command: Any, *, alone: bool) -> bool:
        """Tell whether Citus refuses the subcommand as it is, or would give its constraint another name than PostgreSQL."""
        definition = getattr(command, "def")
        action = action_of(command)
        if action == "AddConstraint":
            constraint = definition.constraint
            waits = _waits(constraint, self._table, self._known)
            return waits or (self._sharded if alone else self._sharded or self._reaches_sharded(constraint))
        if action == "AddColumn":
            column = definition.column_def
            beside = [it for it, _ in constraints_of(column.constraints) if constraint_kind(it) in _BESIDE]
            if self._sharded:
                return bool(beside) or _integer(column) is not None or _takes_number(column)
            waits = any(_waits(it, self._table, self._known) for it in beside)
            reaches = any(self._reaches_sharded(it) for it in beside)
            return waits or reaches
        return action == "ColumnDefault" and self._sharded and not alone and _calls_nextval(definition)

    def _reaches_sharded(self, constraint: Any) -> bool:
        is_foreign = constraint_kind(constraint) == "CONSTR_FOREIGN"
        return is_foreign and self._known.kind(self._known.name(constraint.pktable)) != "local"

    def steps(self, command: Any) -> Iterator[Step]:
        """Yield what a subcommand comes to."""
        action = action_of(command)
        if action == "AddConstraint":
            yield self._constraint(getattr(command, "def").constraint)
        elif action == "AddColumn":
            known = self._known.columns(self._table) or ()
            if not (command.missing_ok and getattr(command, "def").column_def.colname in known):
                yield from self._add_column(command)
        else:
            yield self._single(command)

    def _single(self, command: Any) -> str:
        single = deepcopy(self._statement)
        del single.cmds[:]
        single.cmds.add().alter_table_cmd.CopyFrom(command)
        return _deparsed("alter_table_stmt", single)

    def _constraint(self, constraint: Any) -> Step:
        """Return a constraint with its name, and with the distribution column in it where a key needs that."""
        kind = constraint_kind(constraint)
        new = self._names.named(constraint)
        if kind == "CONSTR_FOREIGN":
            if _waits(constraint, self._table, self._known):
                return _foreign_key(new, self._table, self._known)
            if self._sharded:
                _pair_distribution_columns(new, self._table, self._known)
        by = self._known.distribution_column(self._table)
        if kind == "CONSTR_PRIMARY" and by and new.keys and by not in _strings(new.keys):
            _set(new.keys, (by, *_strings(new.keys)))
        command = (
            postgast.parse("alter table t add check (true)").stmts[0].stmt.alter_table_stmt.cmds[0].alter_table_cmd
        )
        getattr(command, "def").constraint.CopyFrom(new)
        return self._single(command)

    def _add_column(self, command: Any) -> Iterator[Step]:
        """Yield the column alone, then its numbers where a sequence gives them, then its constraints."""
        column = getattr(command, "def").column_def
        constraints = list(constraints_of(column.constraints))
        moved = [_of_table(it, attributes, column) for it, attributes in constraints if constraint_kind(it) in _BESIDE]
        plain = deepcopy(command)
        kept = [it for it, _ in constraints if constraint_kind(it) not in _BESIDE]
        _set_constraints(plain, kept)
        if not (self._sharded and (_integer(column) or _takes_number(column))):
            yield self._single(plain)
        elif self._known.primary_key(self._table):
            yield from self._numbered(plain, kept)
        else:  # for Citus to refuse where the table has rows, which nothing tells apart
            yield self._single(command)
            return
        for constraint in moved:
            yield self._constraint(constraint)

    def _numbered(self, command: Any, constraints: list[Any]) -> Iterator[Step]:
        """Yield a column whose rows each get a number of a sequence: Citus adds such a default to an empty table alone."""
        definition = getattr(command, "def").column_def
        column, integer = str(definition.colname), _integer(definition)
        where: dict[str, TableName | str] = {"table": self._table, "column": column}
        kinds = [constraint_kind(it) for it in constraints]
        if integer:
            sequence = TableName(self._table.schema, self._names.free(column, "seq"))
            next_value: sql.Composable = sql.SQL("nextval({})").format(
                sql.Literal(sql.Identifier(sequence.schema, sequence.name).as_string(None))
            )
            yield _text("create sequence {sequence} as {type}", sequence=sequence, type=sql.SQL(_INTEGERS[integer]))
            _set(definition.type_name.names, ("pg_catalog", integer))
        else:
            next_value = _expression(constraints[kinds.index("CONSTR_DEFAULT")].raw_expr)
        _set_constraints(
            command, [it for it in constraints if constraint_kind(it) not in ("CONSTR_DEFAULT", "CONSTR_NOTNULL")]
        )
        yield self._single(command)
        if integer:  # before the default: after it, Citus has the sequence on every node, and lets nobody alter it
            yield _text("alter sequence {sequence} owned by {table}.{column}", sequence=sequence, **where)
        yield _text("lock table {table} in share row exclusive mode", table=self._table)
        key = self._known.primary_key(self._table) or ()
        keys = sql.SQL(", ").join(
            sql.SQL("{} as {}").format(sql.Identifier(it), sql.Identifier(f"_k{number}"))
            for number, it in enumerate(key)
        )
        yield _text(
            "with _new as materialized (select {keys}, {value} as _v from {table}) "
            "update {table} as _own set {column} = _new._v from _new where {pairs}",
            keys=keys,
            value=next_value,
            pairs=_pairs("_own", key),
            **where,
        )
        yield _text("alter table {table} alter column {column} set default {value}", value=next_value, **where)
        if integer or "CONSTR_NOTNULL" in kinds:
            yield _text("alter table {table} alter column {column} set not null", **where)


def _of_table(constraint: Any, attributes: Iterable[str], column: Any) -> Any:
    """Return a column's constraint as one of the table."""
    new = deepcopy(constraint)
    for attribute in attributes:
        if attribute in _ATTRIBUTES:
            setattr(new, _ATTRIBUTES[attribute], True)
    new.deferrable = new.deferrable or new.initdeferred
    if not new.HasField("raw_expr"):
        _set(new.fk_attrs if constraint_kind(new) == "CONSTR_FOREIGN" else new.keys, (column.colname,))
    return new


def _set_constraints(command: Any, constraints: Iterable[Any]) -> None:
    """Give the column of an ADD COLUMN these constraints, and no other."""
    column = getattr(command, "def").column_def
    copies = [deepcopy(it) for it in constraints]
    del column.constraints[:]
    for constraint in copies:
        column.constraints.add().constraint.CopyFrom(constraint)


def _integer(column: Any) -> str | None:
    """Return the integer type behind a serial pseudo-type; None where the column's is another."""
    names = column.type_name.names
    return SERIALS.get(names[0].string.sval) if len(names) == 1 else None


def _calls_nextval(expression: Any) -> bool:
    return any(call.funcname[-1].string.sval == "nextval" for call in nodes(expression, "func_call"))


def _takes_number(column: Any) -> bool:
    return any(
        constraint_kind(it) == "CONSTR_DEFAULT" and _calls_nextval(it) for it, _ in constraints_of(column.constraints)
    )


def _expression(node: Any) -> sql.Composable:
    tree = postgast.parse("select 1")
    tree.stmts[0].stmt.select_stmt.target_list[0].res_target.val.CopyFrom(node)
    return sql.SQL(postgast.deparse(tree).removeprefix("SELECT "))


def _pairs(row: str, key: Sequence[str]) -> sql.Composable:
    """Return the condition by which a row meets the one that was computed before, of which `_k0` and so on are the key."""
    return sql.SQL(" and ").join(
        sql.SQL("{}.{} = _new.{}").format(*map(sql.Identifier, (row, column, f"_k{number}")))
        for number, column in enumerate(key)
    )


class _Names:
    """Names for the constraints of a table that have none, as PostgreSQL gives them: Citus calls a CHECK otherwise."""

    def __init__(self, table: TableName, known: Known) -> None:
        self._table = table
        self._known = known
        self._taken: set[str] = set()

    def free(self, columns: str, suffix: str) -> str:
        """Return a name that neither the database nor an earlier part of the same statement has."""
        number = 0
        while (name := self._known.free_name(self._table, columns, f"{suffix}{number or ''}")) in self._taken:
            number += 1
        self._taken.add(name)
        return name

    def named(self, constraint: Any) -> Any:
        """Return the constraint with its name in it."""
        new = deepcopy(constraint)
        if not new.conname and not new.indexname:
            new.conname = self.free(*_naming(new))
        return new


def _naming(constraint: Any) -> tuple[str, str]:
    """Return of which columns PostgreSQL makes a constraint's name, and how it ends."""
    kind = constraint_kind(constraint)
    if kind == "CONSTR_CHECK":
        used = {node.fields[-1].string.sval for node in nodes(constraint.raw_expr, "column_ref")}
        used |= (
            {constraint.raw_expr.column_ref.fields[-1].string.sval}
            if constraint.raw_expr.HasField("column_ref")
            else set()
        )
        return (used.pop() if len(used) == 1 else ""), "check"
    if kind == "CONSTR_EXCLUSION":
        return "_".join(node.list.items[0].index_elem.name or "expr" for node in constraint.exclusions), "excl"
    if kind == "CONSTR_PRIMARY":
        return "", "pkey"
    columns = constraint.fk_attrs if kind == "CONSTR_FOREIGN" else (*constraint.keys, *constraint.including)
    return "_".join(_strings(columns)), _BESIDE[kind]


# --- foreign keys ----------------------------------------------------------------------------------------------------------


def _strings(listed: Iterable[Any]) -> tuple[str, ...]:
    return tuple(node.string.sval for node in listed)


def _set(listed: Any, names: Iterable[str]) -> None:
    del listed[:]
    for name in names:
        listed.add().string.sval = name


def _referenced(constraint: Any, parent: TableName, known: Known) -> tuple[str, ...]:
    """Return the columns that a foreign key references; those of a key that was rewritten are meant without what was added."""
    if constraint.pk_attrs:
        return _strings(constraint.pk_attrs)
    key = tuple(known.primary_key(parent) or ())
    if len(key) == len(constraint.fk_attrs) + 1:
        key = tuple(column for column in key if column != known.distribution_column(parent))
    return key


def _waits(constraint: Any, table: TableName, known: Known) -> bool:
    """Tell whether a foreign key can stand only once the table at one of its ends is sharded, which this update does."""
    if constraint_kind(constraint) != "CONSTR_FOREIGN":
        return False
    parent = known.name(constraint.pktable)
    if known.is_pending(parent) and known.columns(parent) is not None:
        return known.kind(table) in ("distributed", "reference")
    by = known.distribution_column(parent)
    return known.is_pending(table) and by is not None and by not in _referenced(constraint, parent, known)


def _foreign_key(constraint: Any, table: TableName, known: Known) -> ForeignKey:
    parent = known.name(constraint.pktable)
    return ForeignKey(
        constraint.conname,
        table,
        _strings(constraint.fk_attrs),
        parent,
        _referenced(constraint, parent, known),
        on_update=constraint.fk_upd_action,
        on_delete=constraint.fk_del_action,
        set_columns=_strings(constraint.fk_del_set_cols),
        match=constraint.fk_matchtype,
        deferrable=constraint.deferrable,
        deferred=constraint.initdeferred,
        validated=not constraint.skip_validation,
    )


def _pair_distribution_columns(constraint: Any, table: TableName, known: Known) -> None:
    """Put the distribution columns in front of a foreign key between two distributed tables, as when they were sharded."""
    parent = known.name(constraint.pktable)
    one, other = known.distribution_column(table), known.distribution_column(parent)
    if one is None or other is None:
        return
    columns, referenced = _strings(constraint.fk_attrs), _referenced(constraint, parent, known)
    if one not in columns and other not in referenced:
        _set(constraint.fk_attrs, (one, *columns))
        _set(constraint.pk_attrs, (other, *referenced))


def _create_table(statement: Any, known: Known) -> list[Step] | None:
    """Return the table, and the foreign keys of it that wait until it is sharded."""
    table = known.name(statement.relation)
    if statement.if_not_exists and known.columns(table) is not None:
        return None
    names = _Names(table, known)
    changed = deepcopy(statement)
    del changed.table_elts[:]
    waiting: list[Step] = []
    for element in statement.table_elts:
        if element.HasField("constraint") and _waits(element.constraint, table, known):
            waiting.append(_foreign_key(names.named(element.constraint), table, known))
            continue
        kept = changed.table_elts.add()
        kept.CopyFrom(element)
        if element.HasField("column_def"):
            del kept.column_def.constraints[:]
            for constraint, attributes in constraints_of(element.column_def.constraints):
                as_of_table = _of_table(constraint, attributes, element.column_def)
                if _waits(as_of_table, table, known):
                    waiting.append(_foreign_key(names.named(as_of_table), table, known))
                    continue
                kept.column_def.constraints.add().constraint.CopyFrom(constraint)
                for attribute in attributes:
                    value = postgast.pg_query_pb2.ConstrType.Value(attribute)
                    kept.column_def.constraints.add().constraint.contype = value
    return [_deparsed("create_stmt", changed), *waiting] if waiting else None


# --- RENAME CONSTRAINT, DROP INDEX, INSERT ------------------------------------------------------------------------------


def _rename_constraint(statement: Any, known: Known) -> list[Step] | None:
    if postgast.pg_query_pb2.ObjectType.Name(statement.rename_type) != "OBJECT_TABCONSTRAINT":
        return None
    table = known.name(statement.relation)
    if known.kind(table) == "local":
        return None
    old, new = statement.subname, statement.newname
    kind, definition, comment = known.constraint(table, old)
    where: dict[str, TableName | str] = {"table": table, "old": old, "new": new}
    if kind in ("p", "u", "x"):  # the index and the constraint have one name
        return [_text("alter index {index} rename to {new}", index=TableName(table.schema, old), new=new)]
    if kind not in ("c", "f"):
        return None
    as_it_is = sql.SQL(definition)
    steps: list[Step] = [
        _text("alter table {table} drop constraint {old}", **where),
        _text("alter table {table} add constraint {new} {definition}", definition=as_it_is, **where),
    ]
    if comment is not None:
        steps.append(
            _text("comment on constraint {new} on {table} is {comment}", comment=sql.Literal(comment), **where)
        )
    return steps


def _drop_indexes(statement: Any) -> list[Step] | None:
    kind = postgast.pg_query_pb2.ObjectType.Name(statement.remove_type)
    if kind != "OBJECT_INDEX" or len(statement.objects) == 1:
        return None
    steps: list[Step] = []
    for node in statement.objects:
        single = deepcopy(statement)
        del single.objects[:]
        single.objects.add().CopyFrom(node)
        steps.append(_deparsed("drop_stmt", single))
    return steps


def _insert(statement: Any, known: Known) -> list[Step] | None:
    """Return INSERT … SELECT for one row of VALUES that has a subquery, which Citus takes from a SELECT alone."""
    if known.kind(known.name(statement.relation)) == "local" or not statement.HasField("select_stmt"):
        return None
    select = statement.select_stmt.select_stmt
    if len(select.values_lists) != 1 or not any(True for _ in nodes(select.values_lists[0], "sub_link")):
        return None
    values = select.values_lists[0].list.items
    if any(value.HasField("set_to_default") for value in values):
        return None
    changed = deepcopy(statement)
    row = changed.select_stmt.select_stmt
    del row.values_lists[:]
    for value in values:
        row.target_list.add().res_target.val.CopyFrom(value)
    return [_deparsed("insert_stmt", changed)]


# --- UPDATE and DELETE ---------------------------------------------------------------------------------------------------


def computed_first(kind: str, statement: Any, known: Known) -> list[str] | None:
    """Return an UPDATE or a DELETE whose new values, and whose rows, are found once, before any shard is changed.

    For one that Citus refuses because a function in it may give another result on each shard, or at each call, or because it
    joins tables that do not lie together. The table is locked against other writers, since rows are then matched by their
    primary key. None where it has none, where a column of it is set, where a system column tells rows apart, or where the
    statement is of a form that is not known.
    """
    if (
        kind not in ("update_stmt", "delete_stmt")
        or statement.HasField("with_clause")
        or statement.HasField("returning_clause")
    ):
        return None
    table = known.name(statement.relation)
    key = known.primary_key(table)
    if not key:
        return None
    changed = deepcopy(statement)
    targets = changed.target_list if kind == "update_stmt" else []
    if any(node.res_target.name in key or node.res_target.val.HasField("multi_assign_ref") for node in targets):
        return None
    if any(node.res_target.val.HasField("set_to_default") for node in targets):
        return None
    if any(column.fields[-1].string.sval in _OF_ONE_SHARD for column in nodes(statement, "column_ref")):
        return None
    before = postgast.parse("with _new as materialized (select 1) select 1").stmts[0].stmt.select_stmt
    query = before.with_clause.ctes[0].common_table_expr.ctequery.select_stmt
    del query.target_list[:]
    row = statement.relation.alias.aliasname or statement.relation.relname
    for number, column in enumerate(key):
        _column(query.target_list.add().res_target, row, column, f"_k{number}")
    for number, node in enumerate(targets):
        if not node.res_target.val.HasField("a_const"):
            target = query.target_list.add().res_target
            target.name = f"_v{number}"
            target.val.CopyFrom(node.res_target.val)
            node.res_target.val.Clear()
            _fields(node.res_target.val, "_new", f"_v{number}")
    others = statement.from_clause if kind == "update_stmt" else statement.using_clause
    query.from_clause.add().range_var.CopyFrom(statement.relation)
    query.from_clause.extend(others)
    if statement.HasField("where_clause"):
        query.where_clause.CopyFrom(statement.where_clause)
    changed.with_clause.CopyFrom(before.with_clause)
    from_ = changed.from_clause if kind == "update_stmt" else changed.using_clause
    del from_[:]
    from_.extend(postgast.parse("select 1 from _new").stmts[0].stmt.select_stmt.from_clause)
    condition = _text("select where {pairs}", pairs=_pairs(row, key))
    matched = postgast.parse(condition).stmts[0].stmt.select_stmt.where_clause
    changed.where_clause.CopyFrom(matched)
    return [_text("lock table {table} in share row exclusive mode", table=table), _deparsed(kind, changed)]


def _column(target: Any, row: str, column: str, name: str) -> None:
    target.name = name
    _fields(target.val, row, column)


def _fields(value: Any, *names: str) -> None:
    for name in names:
        value.column_ref.fields.add().string.sval = name


# --- names ---------------------------------------------------------------------------------------------------------------


def default_name(table: str, columns: str, suffix: str, limit: int = 63) -> str:
    """Return the name that makeObjectName of PostgreSQL makes: the longer of the first two is cut, until all fit."""
    one, two = table.encode(), columns.encode()
    room = limit - len(suffix.encode()) - 1 - (1 if two else 0)
    while len(one) + len(two) > room:
        if len(one) > len(two):
            one = one[:-1]
        else:
            two = two[:-1]
    parts: Iterable[str] = (one.decode(errors="ignore"), two.decode(errors="ignore"), suffix)
    return "_".join(part for part in parts if part)
