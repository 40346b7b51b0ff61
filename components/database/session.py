"""The cluster's lock: one session at a time changes a cluster, in this process and in all others."""

from __future__ import annotations

import time
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import psycopg

from components.database import statements
from components.database.health import get_silent_nodes
from components.database.statements import get_value, statement
from components.database.turns import patience, turn
from components.errors import NotReadyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.database.connections import Connection

__all__ = ["exclusive"]


LOCK: Final = zlib.crc32(b"citus-pulumi")
"""Key of the advisory lock that keeps two runs apart in one database."""


@contextmanager
def exclusive(connection: Connection, *, doing: str, timeout: float) -> Iterator[float]:
    """Hold the cluster's lock: what one run does, another never does at the same time. Freed with the connection.

    The steps of one run wait for each other without a deadline; for another run, `timeout` seconds.

    Yields:
        The seconds that a further wait may take: few where another step of this run has just waited in vain.

    Raises:
        NotReadyError: another run kept the lock for `timeout` seconds; names it, and the nodes that do not answer.
    """
    with turn(connection.info.dsn, doing=doing) as in_vain:
        within = min(timeout, statements.PROBE_SECONDS) if in_vain else timeout
        connection.execute("select set_config('application_name', %s, false)", [f"citus-pulumi: {doing}"[:63]])
        _take_lock(connection, doing, within)
        yield within
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
    silent = get_silent_nodes(connection, statements.PROBE_SECONDS) if get_value(connection, "has_citus") else []
    way = (
        f"these nodes do not answer: {', '.join(silent)}, and what waits for them ends once they answer or are restarted: see "
        "to them, then run up again"
        if silent
        else "let it end, then run up again"
    )
    msg = f"{doing}: gave up after {timeout:.0f} s: {_get_lock_holder(connection)}; {way}"
    raise NotReadyError(msg)


given_up: Final[set[tuple[str, int]]] = set()
"""Cluster and process of steps of this run whose client has gone, and which the coordinator has yet to undo."""


def _get_lock_holder(connection: Connection) -> str:
    row = connection.execute(statement("get_lock_holder"), {"key": LOCK}).fetchone()
    process, session = row or (0, "a session that has just ended")
    who = "a step of this run that was given up" if (connection.info.dsn, process) in given_up else "another run"
    return f"{who} holds this cluster's lock ({session})"
