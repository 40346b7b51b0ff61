"""Constraints of sharded tables: their names as PostgreSQL gives them, and foreign keys with the distribution columns in them."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from components.keys import ForeignKey
from components.schema.parse_tree import constraint_kind, nodes, set_strings, strings
from components.tables import Kind

if TYPE_CHECKING:
    from components.names import TableName
    from components.schema.rewriting import Known

__all__ = ["TABLE_CONSTRAINTS", "ConstraintNames", "foreign_key", "pair_distribution_columns", "waits"]


TABLE_CONSTRAINTS: Final = {
    "CONSTR_CHECK": "check",
    "CONSTR_UNIQUE": "key",
    "CONSTR_PRIMARY": "pkey",
    "CONSTR_FOREIGN": "fkey",
}
"""Constraints of a column that can be constraints of the table too, with the suffix of the name that PostgreSQL gives each."""


class ConstraintNames:
    """Names for the unnamed constraints of a table, as PostgreSQL gives them: Citus would name a CHECK differently."""

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
    """Return the columns from which PostgreSQL makes a constraint's name, and its suffix."""
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
    return "_".join(strings(columns)), TABLE_CONSTRAINTS[kind]


def _referenced(constraint: Any, parent: TableName, known: Known) -> tuple[str, ...]:
    """Return the columns that a foreign key references: of a rewritten primary key, without the column that was added."""
    if constraint.pk_attrs:
        return strings(constraint.pk_attrs)
    key = tuple(known.primary_key(parent) or ())
    if len(key) == len(constraint.fk_attrs) + 1:
        key = tuple(column for column in key if column != known.distribution_column(parent))
    return key


def waits(constraint: Any, table: TableName, known: Known) -> bool:
    """Tell whether a foreign key has to wait until this same update shards the table at one of its ends."""
    if constraint_kind(constraint) != "CONSTR_FOREIGN":
        return False
    parent = known.name(constraint.pktable)
    if known.is_pending(parent) and known.columns(parent) is not None:
        return known.kind(table) in (Kind.DISTRIBUTED, Kind.REFERENCE, Kind.SINGLE_SHARD)
    by = known.distribution_column(parent)
    return known.is_pending(table) and by is not None and by not in _referenced(constraint, parent, known)


def foreign_key(constraint: Any, table: TableName, known: Known) -> ForeignKey:
    """Return the foreign key that a constraint, with its name, adds to a table."""
    parent = known.name(constraint.pktable)
    return ForeignKey(
        constraint.conname,
        table,
        strings(constraint.fk_attrs),
        parent,
        _referenced(constraint, parent, known),
        on_update=constraint.fk_upd_action,
        on_delete=constraint.fk_del_action,
        set_columns=strings(constraint.fk_del_set_cols),
        match=constraint.fk_matchtype,
        deferrable=constraint.deferrable,
        deferred=constraint.initdeferred,
        validated=not constraint.skip_validation,
    )


def pair_distribution_columns(constraint: Any, table: TableName, known: Known) -> None:
    """Put the distribution columns in front of a foreign key between two distributed tables, as when they were sharded."""
    parent = known.name(constraint.pktable)
    one, other = known.distribution_column(table), known.distribution_column(parent)
    if one is None or other is None:
        return
    columns, referenced = strings(constraint.fk_attrs), _referenced(constraint, parent, known)
    if one not in columns and other not in referenced:
        set_strings(constraint.fk_attrs, (one, *columns))
        set_strings(constraint.pk_attrs, (other, *referenced))
