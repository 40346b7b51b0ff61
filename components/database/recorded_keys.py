"""Drift of primary and foreign keys: those that the last update recorded, compared with the live catalog.

A key counts where the plan declares it and an update recorded it. So a key that a person added, or that a file dropped in a way
that no parser sees, is never touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from components.database import constraints
from components.database.metadata import get_table
from components.database.statements import sequentially, statement
from components.errors import DriftError
from components.keys import ForeignKey, PrimaryKey

if TYPE_CHECKING:
    from components.database.connections import Connection
    from components.keys import DeclaredKeys
    from components.names import TableName
    from components.tables import ShardedDeclaration

__all__ = ["RecordedKeys", "find_key_drift", "restore_recorded_keys"]


@dataclass(frozen=True)
class RecordedKeys:
    """The declared keys as they are, or were, in the database."""

    primary: PrimaryKey | None = None
    foreign: tuple[ForeignKey, ...] = ()

    def within(self, declared: DeclaredKeys) -> RecordedKeys:
        """Return those of the keys that are declared."""
        primary = self.primary if self.primary and self.primary.columns == declared.primary else None
        wanted = {(key.table, key.name, key.references, key.form) for key in declared.foreign}
        return RecordedKeys(primary, tuple(key for key in self.foreign if (key.child, key.name, *_form(key)) in wanted))


def _get_recorded(connection: Connection, table: TableName, declared: DeclaredKeys) -> RecordedKeys:
    children = {key.table for key in declared.foreign}
    live = (key for child in sorted(children) for key in constraints.get_foreign_keys(connection, child))
    return RecordedKeys(constraints.get_primary_key(connection, table), tuple(dict.fromkeys(live))).within(declared)


def _form(key: ForeignKey) -> tuple[TableName, tuple[str, str, str]]:
    """Return what a file declares of a foreign key beside its columns, which follow from how its tables are distributed."""
    return key.parent, (key.on_update, key.on_delete, key.match)


def _find_drifted(
    connection: Connection, table: TableName, declared: DeclaredKeys, recorded: RecordedKeys
) -> tuple[list[PrimaryKey | ForeignKey], list[str]]:
    """Return the keys that are gone, and a line for each that is not as it was left."""
    gone: list[PrimaryKey | ForeignKey] = []
    changed: list[str] = []
    recorded = recorded.within(declared)
    live = constraints.get_primary_key(connection, table)
    if recorded.primary and live is None:
        gone.append(recorded.primary)
    elif recorded.primary and live and live.columns != recorded.primary.columns:
        changed.append(
            f"primary key {live.name} of {table} is ({', '.join(live.columns)}), was ({', '.join(recorded.primary.columns)})"
        )
    for key in recorded.foreign:
        if get_table(connection, key.child) is None or get_table(connection, key.parent) is None:
            continue
        alike = [other for other in constraints.get_foreign_keys(connection, key.child) if other.child == key.child]
        named = next((other for other in alike if other.name == key.name), None)
        if named is None and not any(
            _form(other) == _form(key) and other.columns == key.columns and other.referenced == key.referenced
            for other in alike
        ):
            gone.append(key)
        elif named is not None and _form(named) != _form(key):
            changed.append(
                f"foreign key {key.name} of {key.child} is {_shown(named, connection)}, was {_shown(key, connection)}"
            )
    return gone, changed


def _shown(key: ForeignKey, connection: Connection) -> str:
    return f"({constraints.define(key).as_string(connection)})"


def find_key_drift(connection: Connection, declaration: ShardedDeclaration, recorded: RecordedKeys) -> list[str]:
    """Return a line for each declared key that is not as an update left it, or waits in the ledger."""
    table, declared = declaration.table, declaration.declared_keys
    gone, changed = _find_drifted(connection, table, declared, recorded)
    waiting = [
        ForeignKey.of(definition)
        for (definition,) in connection.execute(
            statement("get_set_aside"), {"schema": table.schema, "name": table.name}
        ).fetchall()
    ]
    lines = [_named(table, key) for key in gone]
    lines += [
        f"foreign key {key.name} of {key.child}, set aside"
        for key in waiting
        if (key.child, key.name) in {(other.table, other.name) for other in declared.foreign}
    ]
    return [*lines, *changed]


def _named(table: TableName, key: PrimaryKey | ForeignKey) -> str:
    if isinstance(key, ForeignKey):
        return f"foreign key {key.name} of {key.child}"
    return f"primary key {key.name} of {table} ({', '.join(key.columns)})"


def restore_recorded_keys(
    connection: Connection, declaration: ShardedDeclaration, recorded: RecordedKeys
) -> RecordedKeys:
    """Put back keys that were dropped by hand since the last update; all of them, or none.

    Returns:
        The declared keys as they are now.

    Raises:
        DriftError: a key was changed by hand, or the rows do not allow it any more; nothing was changed.
    """
    table, declared = declaration.table, declaration.declared_keys
    gone, changed = _find_drifted(connection, table, declared, recorded)
    if changed:
        msg = (
            f"table {table}: changed by hand since the last update: {'; '.join(changed)}. Put it back as it was, or write the "
            "change as a new file of the schema folder and apply it there: alter table … drop constraint, add constraint"
        )
        raise DriftError(msg)
    if gone:
        with sequentially(connection):
            for key in gone:
                _restore(connection, table, key)
    return _get_recorded(connection, table, declared)


def _restore(connection: Connection, table: TableName, key: PrimaryKey | ForeignKey) -> None:
    try:
        if isinstance(key, PrimaryKey):
            constraints.add_primary_key(connection, table, key)
        else:
            constraints.add_foreign_key(connection, key)
    except psycopg.IntegrityError as error:
        why = f"{error.diag.message_primary}; {error.diag.message_detail or ''}".rstrip(".; ")
        msg = (
            f"table {table}: {_named(table, key)} was dropped by hand, and cannot be put back: {why}. Correct the rows, then run "
            "up again; or drop the key in a new file of the schema folder"
        )
        raise DriftError(msg) from error
