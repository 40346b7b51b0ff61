"""The statements of sql/citus/, and how names and deadlines go into them."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, LiteralString

import psycopg
from psycopg import sql

from components.errors import NotReadyError
from components.paths import SQL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.database.connections import Connection
    from components.names import TableName

__all__ = ["get_value", "identifier", "regclass", "sequentially", "time_limited"]


_SQL: Final = SQL / "citus"


PROBE_SECONDS: Final = 5
"""How long a node may take to answer one question before it is asked again."""


@functools.cache
def statement(name: str) -> LiteralString:
    """Return the statement of sql/citus/<name>.sql."""
    text: LiteralString = (_SQL / f"{name}.sql").read_text(encoding="utf-8")
    return text


def get_value(connection: Connection, query: str, /, **arguments: Any) -> Any:
    """Return the only value of the statement of that name; None where it returns no row."""
    row = connection.execute(statement(query), arguments).fetchone()
    return row[0] if row else None


@contextmanager
def time_limited(connection: Connection, seconds: float) -> Iterator[None]:
    """Let no statement take longer: a node that is paused takes connections, then says nothing for ever.

    Raises:
        NotReadyError: one did.
    """
    connection.execute("select set_config('statement_timeout', %s, false)", [f"{seconds * 1000:.0f}ms"])
    try:
        yield
    except psycopg.errors.QueryCanceled:
        msg = f"no answer within {seconds:g} s"
        raise NotReadyError(msg) from None
    finally:
        if not (connection.closed or connection.broken):
            connection.execute("select set_config('statement_timeout', '0', false)")


@contextmanager
def sequentially(connection: Connection) -> Iterator[None]:
    """A transaction that works on one shard after the other, as keys across tables need."""
    with connection.transaction():
        connection.execute("set local citus.multi_shard_modify_mode = 'sequential'")
        connection.execute("set local client_min_messages = warning")
        yield


def identifier(table: TableName) -> sql.Identifier:
    """Return the table's name for use in a statement, always with its schema."""
    return sql.Identifier(table.schema, table.name)


def regclass(table: TableName) -> str:
    """Return the table's name as a value that casts to regclass."""
    return identifier(table).as_string(None)
