"""Sessions that change a cluster: one at a time, in this process and in all others, and none waits for ever."""

from __future__ import annotations

import time
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import psycopg

from components.database import statements, watch
from components.database.client import connected
from components.database.health import get_silent_nodes, wait_until_nodes_answer
from components.database.statements import get_value, statement
from components.database.turns import patience, turn
from components.errors import NotReadyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.access import Server
    from components.database.connections import Connection

__all__ = ["exclusive", "working"]


LOCK: Final = zlib.crc32(b"citus-pulumi")
"""Key of the advisory lock that prevents two runs in one database at the same time."""


@contextmanager
def working(
    server: Server,
    password: str,
    *,
    doing: str,
    timeout: float,
    on_all_nodes: bool = False,
    also: tuple[str, int] | None = None,
) -> Iterator[Connection]:
    """Yield a connection that holds the cluster's lock; for work `on_all_nodes`, once each of them answers.

    `also` is a node that the work is about and that may not be registered. Each wait ends after `timeout` seconds; work has no
    deadline as long as it progresses.

    Raises:
        StackError: whatever the database refuses, as client.connected says it; NotReadyError for a wait that ended in vain.
    """
    with exclusive(server, password, doing=doing, timeout=timeout) as (connection, within):
        if on_all_nodes:
            wait_until_nodes_answer(connection, within)
        with watch.abort_when_unreachable(connection, server, password, doing=doing, timeout=timeout, also=also):
            yield connection


@contextmanager
def exclusive(server: Server, password: str, *, doing: str, timeout: float) -> Iterator[tuple[Connection, float]]:
    """Yield a connection that holds the cluster's lock: what one run does, another never does at the same time.

    The steps of one run wait for each other without a deadline; for the server and for another run, `timeout` seconds.

    Yields:
        The connection, and the seconds that a further wait may take: few where another step of this run has just waited in vain.

    Raises:
        StackError: as client.connected.
        NotReadyError: another run kept the lock for `timeout` seconds; names it, and the nodes that do not answer.
    """
    with turn(f"{server.host}:{server.port}/{server.database}", doing=doing) as in_vain:
        within = min(timeout, statements.PROBE_SECONDS) if in_vain else timeout
        with connected(server, password, doing=doing, timeout=within, on_nodes=True) as connection:
            connection.execute("select set_config('application_name', %s, false)", [f"citus-pulumi: {doing}"[:63]])
            _take_lock(connection, doing, within)
            yield connection, within
            connection.execute("select pg_advisory_unlock(%s)", [LOCK])  # after an error, the connection is closed


def _take_lock(connection: Connection, doing: str, timeout: float) -> None:
    started = time.monotonic()
    for seconds in patience():
        left = started + timeout - time.monotonic()
        if left <= 0:
            break
        # In the server's queue, not by asking again and again: between two steps of the other run it is our turn.
        connection.execute("select set_config('lock_timeout', %s, false)", [f"{min(seconds, left) * 1000:.0f}ms"])
        try:
            connection.execute("select pg_advisory_lock(%s)", [LOCK])
        except psycopg.errors.LockNotAvailable:
            if left > seconds:
                waited = f"{time.monotonic() - started:.0f} of {timeout:.0f} s"
                print(f"{doing}: waiting ({waited}), for {_get_lock_holder(connection)}")  # noqa: T201
        else:
            connection.execute("select set_config('lock_timeout', '0', false)")
            return
    silent = get_silent_nodes(connection) if get_value(connection, "has_citus") else []
    way = (
        f"no answer from {', '.join(map(str, silent))}, and what waits for these nodes ends once they respond or restart. Fix "
        "them, then run the command again"
        if silent
        else "let it end, then run the command again"
    )
    msg = f"{doing}: timed out after {timeout:.0f} s: {_get_lock_holder(connection)}; {way}"
    raise NotReadyError(msg, nodes=tuple(it.node for it in silent))


def _get_lock_holder(connection: Connection) -> str:
    row = connection.execute(statement("get_lock_holder"), {"key": LOCK}).fetchone()
    backend, session = row or (0, "a session that has just ended")
    who = (
        "a step of this run that was abandoned" if (connection.info.dsn, backend) in watch.abandoned else "another run"
    )
    return f"{who} holds this cluster's lock ({session})"
