"""Primary and foreign keys, and how they read once the distribution column leads. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from components.errors import DriftError
from components.names import TableName

__all__ = [
    "DeclaredKeys",
    "ForeignKey",
    "PlannedForeignKey",
    "PrimaryKey",
    "rewritten_foreign_key",
    "rewritten_primary_key",
]


@dataclass(frozen=True)
class PrimaryKey:
    """A primary key as pg_constraint has it."""

    name: str
    columns: tuple[str, ...]
    included: tuple[str, ...] = ()
    deferrable: bool = False
    deferred: bool = False
    comment: str | None = None
    index_comment: str | None = None
    options: tuple[str, ...] = ()
    """Storage parameters of its index, such as fillfactor=70."""
    tablespace: str | None = None
    """That of its index, where it is not the database's."""
    clustered: tuple[TableName, ...] = ()
    """The table and its partitions, as far as they are CLUSTERed ON the index of this key that each has."""
    replica_identity: tuple[TableName, ...] = ()
    """The same for REPLICA IDENTITY USING INDEX."""

    @classmethod
    def of(cls, row: dict[str, Any]) -> PrimaryKey:
        """Read it from a row of the catalogue."""
        tuples = {key: tuple(row[key] or ()) for key in ("columns", "included", "options")}
        tables = {key: tuple(TableName(*name) for name in row[key] or ()) for key in ("clustered", "replica_identity")}
        return cls(**{**row, **tuples, **tables})


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key as pg_constraint has it; actions and match are its one-letter codes."""

    name: str
    child: TableName
    columns: tuple[str, ...]
    parent: TableName
    referenced: tuple[str, ...]
    on_update: str = "a"
    on_delete: str = "a"
    set_columns: tuple[str, ...] = ()
    """Columns of ON DELETE SET NULL (…), where only some are set."""
    match: str = "s"
    deferrable: bool = False
    deferred: bool = False
    validated: bool = True
    comment: str | None = None

    @classmethod
    def of(cls, row: dict[str, Any]) -> ForeignKey:
        """Read it from a row of the catalogue, or from the ledger's JSON."""
        tuples = {key: tuple(row[key] or ()) for key in ("columns", "referenced", "set_columns")}
        ends = {
            key: TableName(**row[key]) if isinstance(row[key], dict) else TableName(*row[key])
            for key in ("child", "parent")
        }
        return cls(**{**row, **tuples, **ends})


def rewritten_primary_key(key: PrimaryKey, column: str, wanted: tuple[str, ...] | None) -> PrimaryKey:
    """Return the key with the distribution column in it: as wanted, or in front unless it is there already."""
    if wanted is not None:
        return replace(key, columns=wanted, included=tuple(c for c in key.included if c not in wanted))
    if column in key.columns:
        return key
    return replace(key, columns=(column, *key.columns), included=tuple(c for c in key.included if c != column))


def rewritten_foreign_key(key: ForeignKey, child_column: str, parent_column: str) -> ForeignKey:
    """Return the key between two colocated tables with the pair of their distribution columns in it.

    Raises:
        DriftError: one of the two columns is paired with another already.
    """
    pairs = list(zip(key.columns, key.referenced, strict=True))
    if (child_column, parent_column) in pairs:
        return key
    if child_column in key.columns or parent_column in key.referenced:
        msg = (
            f"{key.child}: foreign key {key.name} to {key.parent} pairs a distribution column with another column, but "
            f"must pair {child_column} with {parent_column}: correct the foreign key"
        )
        raise DriftError(msg)
    return replace(key, columns=(child_column, *key.columns), referenced=(parent_column, *key.referenced))


@dataclass(frozen=True)
class PlannedForeignKey:
    """A foreign key that is set aside while the tables at its ends are being sharded."""

    table: TableName
    name: str
    references: TableName
    form: tuple[str, str, str] = ("a", "a", "s")
    """What it does on update and on delete, and how it matches: letters as in pg_constraint."""


@dataclass(frozen=True)
class DeclaredKeys:
    """The keys that are there once a table is sharded."""

    primary: tuple[str, ...] | None = None
    """Columns of the table's primary key."""
    foreign: tuple[PlannedForeignKey, ...] = ()
    """Foreign keys that are restored then: its own, and those that waited for it."""
