"""Access to a database: a connection inside which every error of the database becomes one of components/errors.py.

This is the one place that translates what PostgreSQL, Citus and libpq say. It knows the connection, so that it can tell whether
that was lost, or one between two nodes, whatever the words: those of libpq differ with and without TLS.
"""

from __future__ import annotations

import re
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Final, TypeVar

import psycopg
from psycopg import pq

from components.database import statements
from components.database.connections import is_fatal, is_node_lost, is_permanent, leased
from components.database.health import RUNS, get_silent_nodes
from components.database.statements import get_value, time_limited
from components.errors import DiskFullError, NotReadyError, StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from components.access import Server
    from components.database.connections import Connection

__all__ = ["connected"]

T = TypeVar("T")


_ON_NODE: Final = re.compile(r"while executing command on (\S+:\d+)")
"""The context that Citus adds to the error of a node."""
_OF_THE_STATEMENT: Final = frozenset({"0A", "22", "23", "42", "P0"})
"""Classes of SQLSTATE that no node which does not answer can be the cause of."""


@contextmanager
def connected(
    server: Server, password: str, *, doing: str, timeout: float, limit: float | None = None, on_nodes: bool = False
) -> Iterator[Connection]:
    """Yield a connection in autocommit mode, waiting at most `timeout` seconds for the server to accept it.

    It may be one that an earlier step left idle; a step that fails closes its own. No statement may take longer than
    `limit` seconds. Work `on_nodes` is what lets Citus use its connections to the nodes.

    Raises:
        AccessError: the server answers and refuses the login; waiting would not help.
        NotReadyError: no connection within the deadline, or no answer within the limit; or the server or a node went away
            meanwhile: names it.
        DiskFullError: a node has no room on its disk.
        StackError: any other error of the database, as one line: `doing`, the message, its detail and hint, SQLSTATE.
    """
    with leased(server, password, timeout=timeout, on_nodes=on_nodes) as connection:
        try:
            with time_limited(connection, limit) if limit else nullcontext():
                yield connection
        except psycopg.Error as error:
            raise _translate(error, doing, server, connection) from error


def _translate(error: psycopg.Error, doing: str, server: Server, connection: Connection) -> StackError:
    said, node = _on_one_line(error), _ON_NODE.search(error.diag.context or "")
    silent = [] if (error.sqlstate or "")[:2] in _OF_THE_STATEMENT else _ask(error, connection, get_silent_nodes)
    if is_fatal(error) or connection.closed:
        return NotReadyError(
            f"{doing}: the connection to {server} was lost ({said}). The transaction that was running is committed or rolled "
            f"back as a whole. Run the command again once {server.name} accepts connections",
            hint=server.hint(),
        )
    if error.sqlstate == psycopg.errors.DiskFull.sqlstate or "No space left on device" in said:
        where = node[1] if node else f"one of {', '.join(_ask(error, connection, _get_addresses)) or server}"
        return DiskFullError(
            f"{doing}: {said}: the disk of {where} is full. The transaction was rolled back: free space there, then run the "
            "command again"
        )
    if silent:
        return NotReadyError(
            f"{doing}: {said}; unreachable: {', '.join(map(str, silent))}. The transaction was rolled back: run the command "
            "again once they answer",
            nodes=tuple(it.node for it in silent),
            hint=RUNS,
        )
    if "due to lock timeout" in said:  # our own session has none
        where = f"on {node[1]}" if node else "on a node"
        return NotReadyError(
            f"{doing}: {said}: another session held a lock {where} for longer than the lock_timeout that Citus's own sessions "
            "take there from the role, the database or the server. The transaction was rolled back: run the command again"
        )
    if is_node_lost(error) and not is_permanent(said):
        return NotReadyError(
            f"{doing}: {said}. A node restarted or closed a connection meanwhile; every node answers now. The transaction was "
            "rolled back: run the command again"
        )
    return StackError(f"{doing}: {said}")


def _on_one_line(error: psycopg.Error) -> str:
    """Return what the database said, its detail and hint, on which node, and the SQLSTATE."""
    diagnosis = error.diag
    parts = [diagnosis.message_primary or str(error)]
    if diagnosis.message_detail:
        parts.append(f"detail: {diagnosis.message_detail}")
    if diagnosis.message_hint:
        parts.append(f"hint: {diagnosis.message_hint}")
    node = _ON_NODE.search(diagnosis.context or "")
    if node and node[1] not in parts[0]:
        parts.append(f"on {node[1]}")
    code = f" [SQLSTATE {error.sqlstate}]" if error.sqlstate else ""
    return f"{' '.join('; '.join(parts).split())}{code}"


def _ask(error: psycopg.Error, connection: Connection, question: Callable[[Connection], list[T]]) -> list[T]:
    """Ask the coordinator something about its nodes; nothing where it cannot be asked, or is none."""
    if is_fatal(error) or connection.closed or connection.info.transaction_status != pq.TransactionStatus.IDLE:
        return []
    try:
        return question(connection) if get_value(connection, "has_citus") else []
    except (StackError, psycopg.Error):  # the error that is being translated says more
        return []


def _get_addresses(connection: Connection) -> list[str]:
    nodes = connection.execute(statements.statement("get_nodes")).fetchall()
    return [f"{name}:{port}" for _, name, port in nodes]
