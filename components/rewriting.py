"""Statements on sharded tables in a form that Citus takes, with the result that PostgreSQL would give. Pure; runs no SQL.

Citus wants each subcommand of ALTER TABLE that adds a constraint alone, with the constraint's name; it adds no serial column
to a table with rows; it lets no UPDATE or DELETE call a function whose result is not the same on every shard. Each of these
can be said in another way. What cannot is in later.py.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final, Literal, LiteralString, Protocol, cast

import postgast
from psycopg import sql

from components.catalog import identifier
from components.names import TableName
from components.reader import SERIALS, constraints_of, nodes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Known", "LiveKind", "action_of", "computed_first", "constraint_kind", "default_name", "rewritten"]

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

    def free_name(self, table: TableName, columns: str, suffix: str) -> str:
        """Return the name that PostgreSQL would give a constraint or a sequence of the table."""


def action_of(command: Any) -> str:
    """Return what an AlterTableCmd does, such as AddColumn."""
    return str(postgast.pg_query_pb2.AlterTableType.Name(command.subtype)).removeprefix("AT_")


def constraint_kind(constraint: Any) -> str:
    """Return a constraint's kind, such as CONSTR_CHECK."""
    return str(postgast.pg_query_pb2.ConstrType.Name(constraint.contype))


def rewritten(kind: str, statement: Any, known: Known) -> list[str] | None:
    """Return the statements that do the same, one after the other; None where it can stay as it is."""
    if kind == "alter_table_stmt":
        return _alter_table(statement, known)
    if kind == "rename_stmt":
        return _rename_constraint(statement, known)
    if kind == "drop_stmt":
        return _drop_indexes(statement)
    if kind == "insert_stmt":
        return _insert(statement, known)
    return None


def _deparsed(kind: str, statement: Any) -> str:
    tree = postgast.parse("select 1")
    tree.stmts[0].Clear()
    getattr(tree.stmts[0].stmt, kind).CopyFrom(statement)
    return str(postgast.deparse(tree))


def _text(template: LiteralString, **parts: sql.Composable | TableName | str) -> str:
    """Return a statement with names put in: a str is a name, a TableName one with its schema."""
    as_names = {
        key: identifier(part)
        if isinstance(part, TableName)
        else sql.Identifier(part)
        if isinstance(part, str)
        else part
        for key, part in parts.items()
    }
    return sql.SQL(template).format(**as_names).as_string(None)


# --- ALTER TABLE -------------------------------------------------------------------------------------------------------


def _alter_table(statement: Any, known: Known) -> list[str] | None:
    if postgast.pg_query_pb2.ObjectType.Name(statement.objtype) != "OBJECT_TABLE":
        return None
    table = known.name(statement.relation)
    commands = [node.alter_table_cmd for node in statement.cmds]
    if not any(_is_to_split(command, table, known, alone=len(commands) == 1) for command in commands):
        return None
    steps: list[str] = []
    taken: set[str] = set()
    for command in sorted(commands, key=lambda it: _PASSES.get(action_of(it), _LAST_PASS)):
        steps += [step.text(statement) for step in _steps(command, table, known, taken)]
    return steps


class _Step:
    """One statement of the new form: a subcommand of the ALTER TABLE, or something else, as text."""

    def __init__(self, command: Any = None, text: str = "") -> None:
        self._command = command
        self._text = text

    def text(self, statement: Any) -> str:
        if self._command is None:
            return self._text
        single = deepcopy(statement)
        del single.cmds[:]
        single.cmds.add().alter_table_cmd.CopyFrom(self._command)
        return _deparsed("alter_table_stmt", single)


def _is_to_split(command: Any, table: TableName, known: Known, *, alone: bool) -> bool:
    """Tell whether Citus refuses the subcommand as it is, or would give its constraint another name than PostgreSQL."""
    definition = getattr(command, "def")
    action = action_of(command)
    sharded = known.kind(table) != "local"
    if action == "AddConstraint":
        constraint = definition.constraint
        if not sharded and not _reaches_sharded(constraint, known):
            return False
        return not alone or (sharded and not constraint.conname and not constraint.indexname)
    if action == "AddColumn":
        column = definition.column_def
        beside = [it for it, _ in constraints_of(column.constraints) if constraint_kind(it) in _BESIDE]
        if not sharded:
            reaches = any(_reaches_sharded(it, known) for it in beside)
            return reaches and (not alone or len(beside) > 1)
        return bool(beside) or _integer(column) is not None or _takes_number(column)
    return action == "ColumnDefault" and sharded and not alone and _calls_nextval(definition)


def _reaches_sharded(constraint: Any, known: Known) -> bool:
    return constraint_kind(constraint) == "CONSTR_FOREIGN" and known.kind(known.name(constraint.pktable)) != "local"


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


def _steps(command: Any, table: TableName, known: Known, taken: set[str]) -> Iterator[_Step]:
    definition = getattr(command, "def")
    action = action_of(command)
    if action == "AddConstraint":
        yield _Step(_named(command, table, known, (), taken))
    elif action == "AddColumn":
        if not (command.missing_ok and definition.column_def.colname in (known.columns(table) or ())):
            yield from _add_column(command, table, known, taken)
    else:
        yield _Step(command)


def _add_column(command: Any, table: TableName, known: Known, taken: set[str]) -> Iterator[_Step]:
    """Yield the column alone, then its numbers where a sequence gives them, then its constraints."""
    plain = deepcopy(command)
    column = getattr(plain, "def").column_def
    constraints = list(constraints_of(column.constraints))
    moved = [(it, attributes) for it, attributes in constraints if constraint_kind(it) in _BESIDE]
    kept = [it for it, _ in constraints if constraint_kind(it) not in _BESIDE]
    integer, numbered = _integer(column), _takes_number(column)
    sharded = known.kind(table) != "local"
    fill = sharded and (integer is not None or numbered)
    if fill and not known.primary_key(table):
        yield _Step(command)  # for Citus to refuse where the table has rows, which nothing tells apart
        return
    default = next((it.raw_expr for it in kept if constraint_kind(it) == "CONSTR_DEFAULT"), None)
    required = integer is not None or any(constraint_kind(it) == "CONSTR_NOTNULL" for it in kept)
    if fill:
        kept = [it for it in kept if constraint_kind(it) not in ("CONSTR_DEFAULT", "CONSTR_NOTNULL")]
    if fill and integer:
        del column.type_name.names[:]
        for part in ("pg_catalog", integer):
            column.type_name.names.add().string.sval = part
    del column.constraints[:]
    for constraint in kept:
        column.constraints.add().constraint.CopyFrom(constraint)
    if not fill:
        yield _Step(plain)
    else:
        yield from _filled(plain, table, known, integer, default, required=required, taken=taken)
    for constraint, attributes in moved:
        add = deepcopy(command)
        add.Clear()
        add.subtype = postgast.pg_query_pb2.AlterTableType.Value("AT_AddConstraint")
        add.behavior = postgast.pg_query_pb2.DropBehavior.Value("DROP_RESTRICT")
        new = getattr(add, "def").constraint
        new.CopyFrom(constraint)
        for attribute in attributes:
            if attribute in _ATTRIBUTES:
                setattr(new, _ATTRIBUTES[attribute], True)
        new.deferrable = new.deferrable or new.initdeferred
        if not new.HasField("raw_expr"):
            field = new.fk_attrs if constraint_kind(new) == "CONSTR_FOREIGN" else new.keys
            field.add().string.sval = column.colname
        yield _Step(_named(add, table, known, (column.colname,), taken))


def _filled(
    command: Any, table: TableName, known: Known, integer: str | None, default: Any, *, required: bool, taken: set[str]
) -> Iterator[_Step]:
    """Yield a column whose rows each get a number of a sequence: Citus adds such a default to an empty table alone."""
    column = str(getattr(command, "def").column_def.colname)
    where: dict[str, TableName | str] = {"table": table, "column": column}
    next_value: sql.Composable = sql.SQL("")
    if integer:
        sequence = TableName(table.schema, _free(table, known, column, "seq", taken))
        next_value = sql.SQL("nextval({})").format(sql.Literal(identifier(sequence).as_string(None)))
        yield _Step(
            text=_text("create sequence {sequence} as {type}", sequence=sequence, type=sql.SQL(_INTEGERS[integer]))
        )
    else:
        next_value = _expression(default)
    yield _Step(command)
    if integer:  # before the default: after it, Citus has the sequence on every node, and lets nobody alter it
        yield _Step(text=_text("alter sequence {sequence} owned by {table}.{column}", sequence=sequence, **where))
    yield _Step(text=_text("lock table {table} in share row exclusive mode", table=table))
    key = known.primary_key(table) or ()
    keys = sql.SQL(", ").join(
        sql.SQL("{} as {}").format(sql.Identifier(it), sql.Identifier(f"_k{number}")) for number, it in enumerate(key)
    )
    numbers = "with _new as materialized (select {keys}, {value} as _v from {table}) "
    update = "update {table} as _own set {column} = _new._v from _new where {pairs}"
    yield _Step(text=_text(numbers + update, keys=keys, value=next_value, pairs=_pairs("_own", key), **where))
    yield _Step(text=_text("alter table {table} alter column {column} set default {value}", value=next_value, **where))
    if required:
        yield _Step(text=_text("alter table {table} alter column {column} set not null", **where))


def _expression(node: Any) -> sql.Composable:
    tree = postgast.parse("select 1")
    tree.stmts[0].stmt.select_stmt.target_list[0].res_target.val.CopyFrom(node)
    return sql.SQL(cast("LiteralString", postgast.deparse(tree).removeprefix("SELECT ")))


def _pairs(row: str, key: Sequence[str]) -> sql.Composable:
    """Return the condition by which a row meets the one that was computed before, of which `_k0` and so on are the key."""
    return sql.SQL(" and ").join(
        sql.SQL("{}.{} = _new.{}").format(*map(sql.Identifier, (row, column, f"_k{number}")))
        for number, column in enumerate(key)
    )


def _named(command: Any, table: TableName, known: Known, own: tuple[str, ...], taken: set[str]) -> Any:
    """Return the subcommand with the name in it that PostgreSQL would give the constraint: Citus gives a CHECK another."""
    constraint = getattr(command, "def").constraint
    if constraint.conname or constraint.indexname:
        return command
    kind = constraint_kind(constraint)
    columns = own
    if kind == "CONSTR_CHECK":
        used = {node.fields[-1].string.sval for node in nodes(constraint.raw_expr, "column_ref")}
        columns, suffix = (tuple(used) if len(used) == 1 else ()), "check"
    elif kind == "CONSTR_EXCLUSION":
        columns = tuple(node.list.items[0].index_elem.name or "expr" for node in constraint.exclusions)
        suffix = "excl"
    else:
        listed = constraint.fk_attrs if kind == "CONSTR_FOREIGN" else (*constraint.keys, *constraint.including)
        suffix = _BESIDE[kind]
        columns = () if kind == "CONSTR_PRIMARY" else tuple(node.string.sval for node in listed)
    named = deepcopy(command)
    getattr(named, "def").constraint.conname = _free(table, known, "_".join(columns), suffix, taken)
    return named


def _free(table: TableName, known: Known, columns: str, suffix: str, taken: set[str]) -> str:
    """Return a name that neither the database nor an earlier part of the same statement has."""
    number = 0
    while True:
        name = known.free_name(table, columns, f"{suffix}{number or ''}")
        if name not in taken:
            taken.add(name)
            return name
        number += 1


# --- RENAME CONSTRAINT, DROP INDEX, INSERT ------------------------------------------------------------------------------


def _rename_constraint(statement: Any, known: Known) -> list[str] | None:
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
    as_it_is = sql.SQL(cast("LiteralString", definition))
    steps = [
        _text("alter table {table} drop constraint {old}", **where),
        _text("alter table {table} add constraint {new} {definition}", definition=as_it_is, **where),
    ]
    if comment is not None:
        steps.append(
            _text("comment on constraint {new} on {table} is {comment}", comment=sql.Literal(comment), **where)
        )
    return steps


def _drop_indexes(statement: Any) -> list[str] | None:
    kind = postgast.pg_query_pb2.ObjectType.Name(statement.remove_type)
    if kind != "OBJECT_INDEX" or len(statement.objects) == 1:
        return None
    steps = []
    for node in statement.objects:
        single = deepcopy(statement)
        del single.objects[:]
        single.objects.add().CopyFrom(node)
        steps.append(_deparsed("drop_stmt", single))
    return steps


def _insert(statement: Any, known: Known) -> list[str] | None:
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

    For one that Citus refuses because a function in it may give another result on each shard, or each time. The table is
    locked against other writers, since rows are then matched by their primary key. None where it has none, where a column
    of it is set, or where the statement is of a form that is not known.
    """
    if (
        kind not in ("update_stmt", "delete_stmt")
        or statement.HasField("with_clause")
        or statement.HasField("returning_clause")
    ):
        return None
    table = known.name(statement.relation)
    key = known.primary_key(table)
    if not key or known.kind(table) == "local":
        return None
    changed = deepcopy(statement)
    targets = changed.target_list if kind == "update_stmt" else []
    if any(node.res_target.name in key or node.res_target.val.HasField("multi_assign_ref") for node in targets):
        return None
    if any(node.res_target.val.HasField("set_to_default") for node in targets):
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
