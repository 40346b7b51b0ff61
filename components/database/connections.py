"""Connections to PostgreSQL: connect, wait until the server is ready, tell temporary failures from permanent ones.

Each begins with the same settings, whatever its role, its database or the environment of this process say. Knows nothing of
Pulumi.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import pq

from components.errors import AccessError, NotReadyError
from components.paths import SQL
from components.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from components.access import Server

__all__ = [
    "GIVEN",
    "SETTINGS",
    "Connection",
    "close_idle",
    "find_accepted",
    "is_fatal",
    "is_lost",
    "is_node_lost",
    "is_permanent",
    "leased",
    "lets_in",
]


Connection = psycopg.Connection[Any]


PATIENCE: Final = 5
"""Seconds that a single login may take."""


_PERMANENT: Final = re.compile(
    r"password authentication failed|authentication failed|no password supplied|no pg_hba\.conf entry"
    r'|database ".*" does not exist|role ".*" does not exist|is not permitted to log in'
    r"|could not translate host name|Name or service not known|nodename nor servname"
    r"|server does not support SSL|permission denied for database"
    r"|certificate verify failed|server certificate for .* does not match",
    re.DOTALL,
)


SETTINGS: Final = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "synchronous_commit": "on",
    "role": "none",
    "search_path": "public",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "check_function_bodies": "on",
    "row_security": "on",
    "default_table_access_method": "heap",
    "client_min_messages": "notice",
}
"""What a session begins with, and what `reset` and `discard all` come back to. Every server from 14 on knows these; the rest is
in sql/citus/set_known_settings.sql. The time zone stays the server's."""


_KNOWN_SETTINGS: Final = SQL / "citus" / "set_known_settings.sql"


_FURTHER_VARIABLES: Final = ("PGSERVICEFILE", "PGSYSCONFDIR", "PGTZ", "PGDATESTYLE", "PGGEQO")


def _forget_environment() -> dict[str, str]:
    """Take what libpq reads out of this process's environment: no PGHOST, PGOPTIONS, PGSERVICE… reaches our sessions.

    Returns:
        What it said, by libpq's keywords: for a database that a person names as in psql.
    """
    named = {option.envvar.decode(): option.keyword.decode() for option in pq.Conninfo.get_defaults() if option.envvar}
    given = {keyword: value for name, keyword in named.items() if (value := os.environ.pop(name, None)) is not None}
    for name in _FURTHER_VARIABLES:
        os.environ.pop(name, None)
    return given


GIVEN: Final = _forget_environment()  # once, before any thread connects


def is_permanent(message: str) -> bool:
    """Tell whether a failure to connect is permanent: wrong password, no such database or role, unknown host.

    All of them share SQLSTATE 08006 with temporary ones (a server that starts), so the message decides.
    """
    return _PERMANENT.search(message) is not None


def _open(server: Server, password: str, timeout: float) -> Connection:
    """Return a connection in autocommit mode, with our settings.

    Raises:
        psycopg.OperationalError: no connection within `timeout` seconds, of which libpq takes whole ones, and 2 at least.
    """
    settings = (f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in SETTINGS.items())
    connection: Connection = psycopg.connect(
        host=server.host,
        port=server.port,
        dbname=server.database,
        user=server.user,
        password=password,
        application_name="citus-pulumi",
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
        autocommit=True,
        prepare_threshold=None,  # statements run once, and a reused session forgets what it prepared
        connect_timeout=max(2, min(10, int(timeout))),
        client_encoding="UTF8",
        gssencmode="disable",
        target_session_attrs="any",
        options=" ".join(settings),
        **_verifying(server.authority),
    )
    _set_known_settings(connection)
    return connection


def _verifying(authority: str | None) -> dict[str, Any]:
    return {"sslmode": "verify-full", "sslrootcert": _file_of(authority)} if authority else {}


_files: Final = TemporaryDirectory(prefix="citus-pulumi-", ignore_cleanup_errors=True)
"""Goes with this process: libpq reads certificates from files alone."""


@cache
def _file_of(text: str) -> str:
    with NamedTemporaryFile("w", dir=_files.name, suffix=".crt", delete=False) as file:
        file.write(text)
    return file.name


def _set_known_settings(connection: Connection) -> None:
    connection.execute(_KNOWN_SETTINGS.read_bytes())


def _connect(server: Server, password: str, patience: float) -> Connection:
    try:
        return _open(server, password, patience)
    except psycopg.OperationalError as error:
        message = " ".join(str(error).split())
        if "password authentication failed" in message:
            msg = (
                f"{server} refuses the password of {server.user}: its volume was initialised with another one. Set that "
                "one back with `pulumi config set --secret password`, or change it first in every node's database with "
                f"`alter role {server.user} password …`"
            )
            raise AccessError(msg) from None
        if is_permanent(message):
            msg = f"{server}: {message}"
            raise AccessError(msg) from None
        raise NotReadyError(message) from None


def lets_in(server: Server, password: str) -> bool:
    """Tell whether the server accepts a user's password, by logging in.

    Raises:
        NotReadyError: it does not answer, or lets nobody in just now.
    """
    try:
        _connect(server, password, PATIENCE).close()
    except AccessError:
        return False
    return True


def find_accepted(server: Server, passwords: Iterable[str], timeout: float) -> str | None:
    """Return the first password by which the server lets its user in; None where it refuses each.

    Raises:
        NotReadyError: it does not answer within `timeout` seconds.
    """
    for password in dict.fromkeys(passwords):
        attempt = partial(lets_in, server, password)
        if wait_until(attempt, what=f"{server} answers", timeout=timeout, hint=server.hint):
            return password
    return None


FRESH_SECONDS: Final = 1.0
"""How long connections to the nodes that Citus keeps in a session are trusted after the step that used them: a node may have
restarted since, which Citus notices only when it uses one and fails. Steps that follow each other closely share them; if each
opened its own, an update of many tables would take about twice as long."""


@dataclass(frozen=True)
class _Idle:
    connection: Connection
    used: float
    """When Citus last used its connections to the nodes, at the latest."""


_idle: dict[tuple[Server, str], list[_Idle]] = {}
"""Connections that wait for their next use. A list's append and pop are atomic, so threads share it without a lock."""


def close_idle() -> None:
    """Close the idle connections."""
    for idle in _idle.values():
        while idle:
            idle.pop().connection.close()


@contextmanager
def leased(server: Server, password: str, *, timeout: float, on_nodes: bool = False) -> Iterator[Connection]:
    """Yield a connection in autocommit mode, waiting at most `timeout` seconds for the server to accept it.

    It may be an idle one of an earlier lease, for work `on_nodes` only where that was just now; one that ends with an error is
    closed. Errors of the database pass as they are: client.py translates them.

    Raises:
        AccessError: the server answers and refuses the login; waiting would not help.
        NotReadyError: no connection within the deadline.
    """
    idle = _idle.setdefault((server, password), [])
    found = _usable(idle, within=FRESH_SECONDS if on_nodes else float("inf"))
    if found is None:
        connection = wait_until(
            lambda: _connect(server, password, timeout),
            what=f"{server} takes connections",
            timeout=timeout,
            hint=server.hint,
        )
        found = _Idle(connection, time.monotonic())
    try:
        yield found.connection
    except BaseException:
        found.connection.close()
        raise
    idle.append(replace(found, used=time.monotonic()) if on_nodes else found)


def _usable(idle: list[_Idle], within: float) -> _Idle | None:
    while idle:
        found = idle.pop()
        try:
            if time.monotonic() - found.used <= within:
                found.connection.execute("discard all")
                _set_known_settings(found.connection)
                return found
        except psycopg.Error:
            pass
        found.connection.close()
    return None


def is_fatal(error: psycopg.Error) -> bool:
    """Tell whether the server ended the session with this error: shut down, crashed, or ended by an administrator."""
    return error.diag.severity_nonlocalized in ("FATAL", "PANIC")


_NODE_LOST: Final = re.compile(
    r"^(0800[036]|57P0[123]|58030)|failure on connection marked as essential|EOF detected|closed the connection"
)
"""SQLSTATE and message by which Citus says that a connection to another node broke."""


def is_node_lost(error: psycopg.Error) -> bool:
    """Tell whether Citus says that its connection to another node broke."""
    return _NODE_LOST.search(f"{error.sqlstate} {error.diag.message_primary or ''}") is not None


def is_lost(error: psycopg.Error) -> bool:
    """Tell whether a server went away in the middle, this one or another node: no statement is to blame."""
    return (
        is_fatal(error) or is_node_lost(error) or (isinstance(error, psycopg.OperationalError) and not error.sqlstate)
    )
