"""Functions whose calls run on the worker of a tenant. Takes a connection; knows nothing of Pulumi."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.rows import class_row

from components.database.metadata import get_table
from components.database.statements import regclass, sequentially, statement
from components.errors import DriftError
from components.tables import Local

if TYPE_CHECKING:
    from components.database.connections import Connection
    from components.tables import FunctionDeclaration

__all__ = ["FunctionState", "ensure_distributed", "ensure_released", "get_function"]


@dataclass(frozen=True)
class FunctionState:
    """How Citus knows a function."""

    oid: int
    argument_index: int | None
    """Of the argument that has the tenant, from 0; None where it has none."""
    colocation_group: int | None
    """None, or 0, where its calls run where they are made."""
    force_delegation: bool
    declared_index: int | None
    """Of the argument that was asked for."""


def get_function(connection: Connection, function: str, argument: str | None) -> FunctionState | None:
    """Return what the function is now; None where there is none of that signature."""
    with connection.cursor(row_factory=class_row(FunctionState)) as cursor:
        return cursor.execute(statement("get_function"), {"function": function, "argument": argument}).fetchone()


def ensure_distributed(connection: Connection, declared: FunctionDeclaration) -> FunctionState:
    """Let calls of a function run on the worker of the tenant that they name; nothing happens where it is so already.

    Raises:
        DriftError: there is no such function, or its table is not sharded.
    """
    live = _get_existing(connection, declared)
    table = get_table(connection, declared.colocate_with)
    if table is None or isinstance(table.sharding, Local):
        msg = (
            f"function {declared.function}: the table {declared.colocate_with} is not sharded, so no worker has its rows: was it "
            "undistributed by hand? Refresh, then run up again"
        )
        raise DriftError(msg)
    found = (live.argument_index, live.colocation_group, live.force_delegation)
    if found == (live.declared_index, table.colocation_group, declared.force_delegation):
        return live
    how = {
        "function": declared.function,
        "argument": declared.argument,
        "colocate_with": regclass(declared.colocate_with),
        "force_delegation": declared.force_delegation or None,
    }
    with sequentially(connection):
        connection.execute(statement("distribute_function"), how)
    return _get_existing(connection, declared)


def ensure_released(connection: Connection, function: str) -> None:
    """Let calls of a function run where they are made; nothing happens where it is so, or where there is no such function."""
    live = get_function(connection, function, None)
    if live is not None and live.colocation_group:
        with sequentially(connection):
            connection.execute(statement("release_function"), {"function": function})


def _get_existing(connection: Connection, declared: FunctionDeclaration) -> FunctionState:
    live = get_function(connection, declared.function, declared.argument)
    if live is None:
        msg = (
            f"function {declared.function} does not exist: was it dropped, or created with other arguments, by hand? Create it "
            "again, or take it out of citus:functions"
        )
        raise DriftError(msg)
    return live
