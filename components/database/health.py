"""Which nodes answer: asks them, waits for them, and names those that do not."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.database import statements
from components.database.node_settings import refuse_settings
from components.database.nodes import ask_node
from components.database.statements import get_value, statement, time_limited
from components.errors import AccessError, NotReadyError
from components.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.database.connections import Connection

__all__ = [
    "RUNS",
    "SilentNode",
    "get_hindrances",
    "get_silent_nodes",
    "get_unreachable_pairs",
    "wait_until_healthy",
    "wait_until_nodes_answer",
]


RUNS: Final = "check that every node is running: `pulumi refresh`"


ANSWER_HOLDS: Final = 10
"""Seconds for which an answer of all nodes is good: the steps of one update follow each other closely."""


_answered: dict[str, float] = {}
"""When all nodes of a cluster last answered, by its connection string without the password."""


@dataclass(frozen=True)
class SilentNode:
    """A node that does not answer the coordinator by SQL."""

    node: str
    """`name:port`."""
    cause: str
    coordinator: str = ""
    """`name:port` of the coordinator; empty where the node is not registered."""

    def __str__(self) -> str:
        return f"{self.coordinator} → {self.node} ({self.cause})" if self.coordinator else f"{self.node} ({self.cause})"


def get_silent_nodes(connection: Connection, timeout: float = statements.PROBE_SECONDS) -> list[SilentNode]:
    """Return the active nodes that do not answer the coordinator by SQL."""
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
            silent.append(SilentNode(f"{name}:{port}", str(error), coordinator))
    return silent


def _get_blockers(connection: Connection, process: int) -> list[str]:
    """Return the sessions that keep a process of the coordinator, or what works for it on a node, waiting for a lock."""
    found = connection.execute(statement("get_blockers"), {"process": process}).fetchall()
    return [f"{where}: {session}" for where, sessions in found for session in (sessions or "").splitlines()]


def get_hindrances(
    connection: Connection, process: int, also: tuple[str, int] | None = None
) -> tuple[list[SilentNode], list[str]]:
    """Return the nodes that do not answer, `also` among them, and the sessions that keep a process waiting for a lock."""
    if not get_value(connection, "has_citus"):
        return [], []
    silent = get_silent_nodes(connection)
    if also:
        try:
            with time_limited(connection, statements.PROBE_SECONDS):
                ask_node(connection, *also, "select 1")
        except (AccessError, NotReadyError) as error:
            silent.append(SilentNode(f"{also[0]}:{also[1]}", str(error)))
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
        return [str(node) for node in silent]
    with time_limited(connection, timeout):
        return [row[0] for row in connection.execute(statement("get_unreachable_pairs"))]


def _refuse_unreachable(broken: Sequence[SilentNode | str]) -> None:
    if broken:
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""  # noqa: PLR2004
        msg = f"unreachable: {', '.join(map(str, broken[:3]))}{more}"
        raise NotReadyError(msg, nodes=tuple(it.node for it in broken if isinstance(it, SilentNode)))


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


def wait_until_healthy(connection: Connection, timeout: float) -> int:
    """Wait until every node reaches every node, and return how many pairs were tried."""

    def attempt() -> int:
        _refuse_unreachable(get_unreachable_pairs(connection, timeout))
        return int(get_value(connection, "count_nodes")) ** 2

    pairs = wait_until(attempt, what="every node reaches every other", timeout=timeout, hint=lambda: RUNS)
    connection.execute(statement("recover_transactions"))
    _answered[connection.info.dsn] = time.monotonic()
    return pairs
