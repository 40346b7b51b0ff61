"""Which nodes answer: waiting for them, and naming those that do not."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import psycopg

from components.database import statements
from components.database.connections import is_lost, is_permanent
from components.database.node_settings import refuse_settings
from components.database.nodes import ask_node
from components.database.statements import get_value, statement, time_limited
from components.errors import AccessError, NotReadyError, StackError
from components.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.database.connections import Connection

__all__ = [
    "get_hindrances",
    "naming_unreachable_nodes",
    "wait_until_healthy",
    "wait_until_nodes_answer",
]


RUNS: Final = "do the nodes run? `pulumi refresh` tells"


_NODE_WAS_LOST: Final = re.compile(
    r"^(08|58030)|failure on connection marked as essential|EOF detected|closed the connection"
)
"""SQLSTATE and message by which Citus says that a connection to another node broke."""


ANSWER_HOLDS: Final = 10
"""Seconds for which an answer of all nodes is good: the steps of one update follow each other closely."""


_answered: dict[str, float] = {}
"""When all nodes of a cluster last answered, by its connection string without the password."""


def get_silent_nodes(connection: Connection, timeout: float) -> list[str]:
    """Return `coordinator → node (cause)` for each active node that does not answer the coordinator by SQL."""
    seconds = min(timeout, statements.PROBE_SECONDS)
    try:
        with time_limited(connection, seconds):
            if get_value(connection, "ask_all_nodes"):
                return []
    except NotReadyError:
        pass  # One by one, to learn which it is.
    silent = []
    for coordinator, name, port in connection.execute(statement("get_nodes")).fetchall():
        try:
            with time_limited(connection, seconds):
                ask_node(connection, name, port, "select 1")
        except (AccessError, NotReadyError) as error:
            silent.append(f"{coordinator} → {name}:{port} ({error})")
    return silent


def _get_blockers(connection: Connection, process: int) -> list[str]:
    """Return the sessions that keep a process of the coordinator, or what works for it on a node, waiting for a lock."""
    found = connection.execute(statement("get_blockers"), {"process": process}).fetchall()
    return [f"{where}: {session}" for where, sessions in found for session in (sessions or "").splitlines()]


def get_hindrances(
    connection: Connection, process: int, also: tuple[str, int] | None = None
) -> tuple[list[str], list[str]]:
    """Return the nodes that do not answer, `also` among them, and the sessions that keep a process waiting for a lock."""
    if not get_value(connection, "has_citus"):
        return [], []
    silent = get_silent_nodes(connection, statements.PROBE_SECONDS)
    if also:
        try:
            with time_limited(connection, statements.PROBE_SECONDS):
                ask_node(connection, *also, "select 1")
        except (AccessError, NotReadyError) as error:
            silent.append(f"{also[0]}:{also[1]} ({error})")
    if silent:
        return silent, []
    try:
        with time_limited(connection, statements.PROBE_SECONDS):
            return [], _get_blockers(connection, process)
    except NotReadyError:  # they answer, if slowly
        return [], []


def get_unreachable_pairs(connection: Connection, timeout: float) -> list[str]:
    """Return `a → b` for each pair of nodes of which the first cannot reach the second, with the cause where it is known.

    The coordinator asks each node first. Citus's own check of all pairs waits for ever on a connection that it kept to
    a node that is paused, and cannot be cancelled there.

    Raises:
        NotReadyError: the check of all pairs took longer than `timeout` seconds.
    """
    silent = get_silent_nodes(connection, timeout)
    if silent:
        return silent
    with time_limited(connection, timeout):
        return [row[0] for row in connection.execute(statement("get_unreachable_pairs"))]


def _refuse_unreachable(broken: list[str]) -> None:
    if broken:
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""  # noqa: PLR2004
        msg = f"unreachable: {', '.join(broken[:3])}{more}"
        raise NotReadyError(msg)


def wait_until_nodes_answer(connection: Connection, timeout: float) -> None:
    """Wait until every node answers the coordinator: what changes all of them waits for ever on one that is paused.

    Raises:
        StackError: Citus works on a node with settings that would break off or falsify what it does there.
    """
    cluster = connection.info.dsn
    if time.monotonic() - _answered.get(cluster, -ANSWER_HOLDS) < ANSWER_HOLDS:
        return
    wait_until(
        lambda: _refuse_unreachable(get_silent_nodes(connection, timeout)),
        what="every node answers the coordinator",
        timeout=timeout,
        hint=lambda: RUNS,
    )
    refuse_settings(connection)
    _answered[cluster] = time.monotonic()


@contextmanager
def naming_unreachable_nodes(connection: Connection, doing: str) -> Iterator[None]:
    """Say of which node a statement failed, where nodes do not answer any more: what Citus says does not always tell.

    Raises:
        NotReadyError: from any psycopg.Error inside, where at least one node is silent, or was.
        StackError: a node has no room on its disk.
    """
    try:
        yield
    except psycopg.Error as error:
        silent = [] if is_lost(error) else get_silent_nodes(connection, statements.PROBE_SECONDS)
        said = " ".join((error.diag.message_primary or str(error)).split())
        if "No space left on device" in said:  # Citus does not say whose
            nodes = ", ".join(f"{name}:{port}" for _, name, port in connection.execute(statement("get_nodes")))
            msg = f"{doing}: {said}: the disk of one of {nodes} is full; all was undone: make room there, then run up again"
            raise StackError(msg) from error
        if "due to lock timeout" in said:  # which our own session does not have
            msg = (
                f"{doing}: {said}: somebody kept a table locked on a node for longer than the lock_timeout that Citus's own "
                "sessions take there from the role, the database or the server; all was undone: run up again"
            )
            raise NotReadyError(msg) from error
        if silent:
            back = f"unreachable: {', '.join(silent)}; what was under way was undone: run up again once it is back"
        elif _NODE_WAS_LOST.search(f"{error.sqlstate} {said}") and not is_permanent(said):
            back = "every node answers again; what was under way was undone: run up again"
        else:
            raise
        msg = f"{doing}: {said}; {back}; {RUNS}"
        raise NotReadyError(msg) from error


def wait_until_healthy(connection: Connection, timeout: float) -> int:
    """Wait until every node reaches every node, and return how many pairs were tried."""

    def attempt() -> int:
        _refuse_unreachable(get_unreachable_pairs(connection, timeout))
        return int(get_value(connection, "count_nodes")) ** 2

    pairs = wait_until(attempt, what="every node reaches every other", timeout=timeout, hint=lambda: RUNS)
    connection.execute(statement("recover_transactions"))
    _answered[connection.info.dsn] = time.monotonic()
    return pairs
