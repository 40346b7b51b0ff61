"""ALTER TABLE, taken apart into subcommands that Citus takes."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

import postgast

from components.names import TableName
from components.schema.parse_tree import (
    SERIALS,
    action_of,
    constraint_kind,
    constraints_of,
    nodes,
    object_type,
    set_strings,
    strings,
)
from components.schema.rewriting.constraints import (
    TABLE_CONSTRAINTS,
    ConstraintNames,
    foreign_key,
    pair_distribution_columns,
    waits,
)
from components.schema.rewriting.text import Sql, compose, deparsed, expression, key_matches, quote_literal
from components.tables import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from components.schema.rewriting import Known, Step

__all__ = ["alter_table", "as_table_constraint"]


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


_ATTRIBUTES: Final = {"CONSTR_ATTR_DEFERRABLE": "deferrable", "CONSTR_ATTR_DEFERRED": "initdeferred"}


_INTEGERS: Final = {"int2": "smallint", "int4": "integer", "int8": "bigint"}


def alter_table(statement: Any, known: Known) -> list[Step] | None:
    """Return one statement for each subcommand, in PostgreSQL's order; None where Citus takes them together."""
    if object_type(statement.objtype) != "OBJECT_TABLE":
        return None
    commands = [node.alter_table_cmd for node in statement.cmds]
    alter = _AlterTable(statement, known)
    if not any(alter.is_to_split(command, alone=len(commands) == 1) for command in commands):
        return None
    ordered = sorted(commands, key=lambda it: _PASSES.get(action_of(it), _LAST_PASS))
    return [step for command in ordered for step in alter.steps(command)]


class _AlterTable:
    """One ALTER TABLE, split into its subcommands."""

    def __init__(self, statement: Any, known: Known) -> None:
        self._statement = statement
        self._known = known
        self._table = known.name(statement.relation)
        self._sharded = known.kind(self._table) != Kind.LOCAL
        self._names = ConstraintNames(self._table, known)

    def is_to_split(self, command: Any, *, alone: bool) -> bool:
        """Tell whether Citus refuses the subcommand as it is, or would give its constraint another name than PostgreSQL."""
        definition = getattr(command, "def")
        action = action_of(command)
        if action == "AddConstraint":
            constraint = definition.constraint
            return (
                self._sharded
                or waits(constraint, self._table, self._known)
                or (not alone and self._reaches_sharded(constraint))
            )
        if action == "AddColumn":
            column = definition.column_def
            found = [it for it, _ in constraints_of(column.constraints) if constraint_kind(it) in TABLE_CONSTRAINTS]
            if self._sharded:
                return bool(found) or _integer(column) is not None or _takes_number(column)
            return any(waits(it, self._table, self._known) or self._reaches_sharded(it) for it in found)
        return action == "ColumnDefault" and self._sharded and not alone and _calls_nextval(definition)

    def _reaches_sharded(self, constraint: Any) -> bool:
        is_foreign = constraint_kind(constraint) == "CONSTR_FOREIGN"
        return is_foreign and self._known.kind(self._known.name(constraint.pktable)) != Kind.LOCAL

    def steps(self, command: Any) -> Iterator[Step]:
        """Yield the statements that a subcommand becomes."""
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
        return deparsed("alter_table_stmt", single)

    def _constraint(self, constraint: Any) -> Step:
        """Return a constraint with its name, and with the distribution column in it where a key needs that."""
        kind = constraint_kind(constraint)
        new = self._names.named(constraint)
        if kind == "CONSTR_FOREIGN":
            if waits(constraint, self._table, self._known):
                return foreign_key(new, self._table, self._known)
            if self._sharded:
                pair_distribution_columns(new, self._table, self._known)
        by = self._known.distribution_column(self._table)
        if kind == "CONSTR_PRIMARY" and by and new.keys and by not in strings(new.keys):
            set_strings(new.keys, (by, *strings(new.keys)))
        command = (
            postgast.parse("alter table t add check (true)").stmts[0].stmt.alter_table_stmt.cmds[0].alter_table_cmd
        )
        getattr(command, "def").constraint.CopyFrom(new)
        return self._single(command)

    def _add_column(self, command: Any) -> Iterator[Step]:
        """Yield the column alone, then the values that a sequence gives its rows, then its constraints."""
        column = getattr(command, "def").column_def
        constraints = list(constraints_of(column.constraints))
        moved = [
            as_table_constraint(it, attributes, column)
            for it, attributes in constraints
            if constraint_kind(it) in TABLE_CONSTRAINTS
        ]
        plain = deepcopy(command)
        kept = [it for it, _ in constraints if constraint_kind(it) not in TABLE_CONSTRAINTS]
        _set_constraints(plain, kept)
        if not (self._sharded and (_integer(column) or _takes_number(column))):
            yield self._single(plain)
        elif self._known.primary_key(self._table):
            yield from self._numbered(plain, kept)
        else:  # Citus refuses this if the table has rows, which no key identifies
            yield self._single(command)
            return
        for constraint in moved:
            yield self._constraint(constraint)

    def _numbered(self, command: Any, constraints: list[Any]) -> Iterator[Step]:
        """Yield a column with a value of a sequence in each row: Citus adds such a default to empty tables only."""
        definition = getattr(command, "def").column_def
        column, integer = str(definition.colname), _integer(definition)
        where: dict[str, TableName | str] = {"table": self._table, "column": column}
        kinds = [constraint_kind(it) for it in constraints]
        if integer:
            sequence = TableName(self._table.schema, self._names.free(column, "seq"))
            next_value = compose("nextval({name})", name=quote_literal(compose("{sequence}", sequence=sequence)))
            yield compose("create sequence {sequence} as {type}", sequence=sequence, type=Sql(_INTEGERS[integer]))
            set_strings(definition.type_name.names, ("pg_catalog", integer))
        else:
            next_value = expression(constraints[kinds.index("CONSTR_DEFAULT")].raw_expr)
        _set_constraints(
            command, [it for it in constraints if constraint_kind(it) not in ("CONSTR_DEFAULT", "CONSTR_NOTNULL")]
        )
        yield self._single(command)
        if integer:  # before the default: after it, Citus has the sequence on every node, and lets nobody alter it
            yield compose("alter sequence {sequence} owned by {table}.{column}", sequence=sequence, **where)
        yield compose("lock table {table} in share row exclusive mode", table=self._table)
        key = self._known.primary_key(self._table) or ()
        keys = Sql(", ".join(compose("{own} as {new}", own=it, new=f"_k{n}") for n, it in enumerate(key)))
        yield compose(
            "with _new as materialized (select {keys}, {value} as _v from {table}) "
            "update {table} as _own set {column} = _new._v from _new where {pairs}",
            keys=keys,
            value=next_value,
            pairs=key_matches("_own", key),
            **where,
        )
        yield compose("alter table {table} alter column {column} set default {value}", value=next_value, **where)
        if integer or "CONSTR_NOTNULL" in kinds:
            yield compose("alter table {table} alter column {column} set not null", **where)


def as_table_constraint(constraint: Any, attributes: Iterable[str], column: Any) -> Any:
    """Return a column's constraint as a constraint of the table."""
    new = deepcopy(constraint)
    for attribute in attributes:
        if attribute in _ATTRIBUTES:
            setattr(new, _ATTRIBUTES[attribute], True)
    new.deferrable = new.deferrable or new.initdeferred
    if not new.HasField("raw_expr"):
        set_strings(new.fk_attrs if constraint_kind(new) == "CONSTR_FOREIGN" else new.keys, (column.colname,))
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
