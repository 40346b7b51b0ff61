"""Connections to PostgreSQL: connect, wait until ready, tell what can pass from what cannot.

Each begins with the same settings, whatever its role, its database or the environment of this process say. Knows nothing of
Pulumi.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import pq

from components.errors import AccessError, NotReadyError, StackError
from components.paths import SQL
from components.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.access import Server

__all__ = [
    "SETTINGS",
    "Connection",
    "connected",
    "is_lost",
    "is_permanent",
    "lets_in",
    "open_session",
    "translated_errors",
]


Connection = psycopg.Connection[Any]


PATIENCE: Final = 5
"""Seconds that a single login may take."""


_PERMANENT: Final = re.compile(
    r"password authentication failed|authentication failed|no password supplied|no pg_hba\.conf entry"
    r'|database ".*" does not exist|role ".*" does not exist|is not permitted to log in'
    r"|could not translate host name|Name or service not known|nodename nor servname"
    r"|server does not support SSL|permission denied for database",
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


def _forget_environment() -> None:
    """Take what libpq reads out of this process's environment: no PGHOST, PGOPTIONS, PGSERVICE… reaches our sessions."""
    named = [option.envvar.decode() for option in pq.Conninfo.get_defaults() if option.envvar]
    for name in (*named, *_FURTHER_VARIABLES):
        os.environ.pop(name, None)


_forget_environment()  # once, before any thread connects


def is_permanent(message: str) -> bool:
    """Tell whether waiting cannot mend a failure to connect: wrong password, no such database or role, unknown host.

    All of them share SQLSTATE 08006 with what does pass (a server that starts), so the message decides.
    """
    return _PERMANENT.search(message) is not None


def open_session(*, timeout: float, **target: Any) -> Connection:
    """Return a connection in autocommit mode to a target given as libpq's parameters, with our settings.

    Raises:
        psycopg.OperationalError: no connection within `timeout` seconds, of which libpq takes whole ones, and 2 at least.
    """
    settings = (f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in SETTINGS.items())
    connection: Connection = psycopg.connect(
        **{
            "application_name": "citus-pulumi",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            **target,
        },
        autocommit=True,
        prepare_threshold=None,  # statements run once, and a reused session forgets what it prepared
        connect_timeout=max(2, min(10, int(timeout))),
        client_encoding="UTF8",
        gssencmode="disable",
        target_session_attrs="any",
        options=" ".join(settings),
    )
    _set_known_settings(connection)
    return connection


def _set_known_settings(connection: Connection) -> None:
    connection.execute(_KNOWN_SETTINGS.read_bytes())


def _connect(server: Server, password: str, patience: float) -> Connection:
    try:
        return open_session(
            timeout=patience,
            host=server.host,
            port=server.port,
            dbname=server.database,
            user=server.user,
            password=password,
        )
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
    """Tell whether the server takes a user's password, by logging in.

    Raises:
        NotReadyError: it does not answer, or lets nobody in just now.
    """
    try:
        _connect(server, password, PATIENCE).close()
    except AccessError:
        return False
    return True


_idle: dict[tuple[Server, str], list[Connection]] = {}
"""Connections that wait for their next use. An update is dozens of short sessions, and for each new one Citus would
open its own connections to the workers again. A list's append and pop are atomic, so threads share it without a lock."""


@contextmanager
def connected(server: Server, password: str, *, timeout: float) -> Iterator[Connection]:
    """Yield a connection in autocommit mode, waiting at most `timeout` seconds for the server to take it.

    It may be one that an earlier session left behind; a session that fails leaves none.

    Raises:
        AccessError: the server answers, and will not let us in however long we wait.
        NotReadyError: no connection within the deadline.
    """
    idle = _idle.setdefault((server, password), [])
    connection = _usable(idle) or wait_until(
        lambda: _connect(server, password, timeout),
        what=f"{server} takes connections",
        timeout=timeout,
        hint=server.hint,
    )
    try:
        yield connection
    except BaseException:
        connection.close()
        raise
    idle.append(connection)


def _usable(idle: list[Connection]) -> Connection | None:
    while idle:
        connection = idle.pop()
        try:
            connection.execute("discard all")
            _set_known_settings(connection)
        except psycopg.Error:
            connection.close()
        else:
            return connection
    return None


def is_lost(error: psycopg.Error) -> bool:
    """Tell whether the server went away in the middle: killed, shut down, or cut off."""
    return isinstance(error, psycopg.OperationalError) and error.sqlstate in (None, "57P01", "57P02", "57P03")


@contextmanager
def translated_errors(doing: str, server: Server) -> Iterator[None]:
    """Turn an error of the database into one line for a person: what was done, what the server says, its SQLSTATE.

    Raises:
        NotReadyError: the server went away.
        StackError: from any other psycopg.Error inside.
    """
    try:
        yield
    except psycopg.Error as error:
        diagnosis = error.diag
        parts = [diagnosis.message_primary or str(error)]
        if diagnosis.message_detail:
            parts.append(f"detail: {diagnosis.message_detail}")
        if diagnosis.message_hint:
            parts.append(f"hint: {diagnosis.message_hint}")
        code = f" [SQLSTATE {error.sqlstate}]" if error.sqlstate else ""
        said = f"{' '.join('; '.join(parts).split())}{code}"
        if is_lost(error):
            msg = (
                f"{doing}: {server} went away in the middle ({said}); what was under way is done as a whole or not at all: "
                f"run up again once it is back; {server.hint()}"
            )
            raise NotReadyError(msg) from error
        msg = f"{doing}: {said}"
        raise StackError(msg) from error
