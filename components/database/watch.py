"""Aborts work that waits for a node that does not answer, or for a lock that nobody releases. Citus would wait for ever."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import psycopg

from components.access import Server
from components.database import health, statements
from components.database.client import connected
from components.database.connections import Connection
from components.database.health import SilentNode
from components.errors import NotReadyError, StackError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


__all__ = ["abandoned", "abort_when_unreachable"]


abandoned: Final[set[tuple[str, int]]] = set()
"""Cluster and backend of steps of this run whose client has gone, and which the coordinator has yet to end."""


@contextmanager
def abort_when_unreachable(
    connection: Connection,
    server: Server,
    password: str,
    *,
    doing: str,
    timeout: float,
    also: tuple[str, int] | None = None,
) -> Iterator[None]:
    """Abort what is done inside once it has waited `timeout` seconds for a node that does not answer, or for others' locks.

    Looks from a connection of its own, every few seconds: what ends sooner costs nothing. Work that progresses has no deadline.
    `also` is a node that is not registered yet. Where a node does not answer, the coordinator's backend goes on waiting. When
    the node answers again or has been stopped, it ends: rolled back, but for what was a single statement. It holds the cluster's
    lock until then, so that no other run works on half a state. Work that waits for a lock is cancelled, and rolled back at once.

    Raises:
        NotReadyError: a node did not answer for too long, or a session held a lock for too long; names it.
    """
    watch = _Watch(connection, server, password, doing, timeout, also)
    thread = threading.Thread(target=watch.run, daemon=True)
    thread.start()
    try:
        yield
    except (psycopg.Error, StackError) as error:
        if not watch.why:
            raise
        raise NotReadyError(f"{doing}: {watch.why}", nodes=watch.nodes) from error
    finally:
        watch.done.set()
        thread.join()


@dataclass
class _Watch:
    connection: Connection
    server: Server
    password: str
    doing: str
    timeout: float
    also: tuple[str, int] | None
    done: threading.Event = field(default_factory=threading.Event)
    why: str = ""
    """Why it aborted the work; empty where it did not."""
    nodes: tuple[str, ...] = ()
    """Those that did not answer then."""

    def run(self) -> None:
        backend = self.connection.info.backend_pid
        answered = free = time.monotonic()
        while not self.done.wait(statements.PROBE_SECONDS):
            silent, blockers = self._look(backend)
            now = time.monotonic()
            answered = answered if silent else now
            free = free if blockers else now
            if self.done.is_set():
                return
            if now - answered > self.timeout:
                self._cut_off(backend, silent)
                return
            if now - free > self.timeout:
                self._cancel(backend, blockers)
                free = now
            elif blockers:
                waited = f"{now - free:.0f} of {self.timeout:.0f} s"
                print(f"{self.doing}: waiting for a lock ({waited}), held by {', '.join(blockers)}")  # noqa: T201

    def _look(self, backend: int) -> tuple[list[SilentNode], list[str]]:
        try:
            with self._connected("looking for nodes that do not answer", statements.PROBE_SECONDS) as own:
                return health.get_hindrances(own, backend, self.also)
        except NotReadyError as error:
            return [SilentNode(str(self.server), error.message)], []
        except StackError as error:
            return [SilentNode(str(self.server), str(error))], []

    def _connected(self, doing: str, timeout: float) -> AbstractContextManager[Connection]:
        return connected(self.server, self.password, doing=doing, timeout=timeout)

    def _cut_off(self, backend: int, silent: list[SilentNode]) -> None:
        self.nodes = tuple(it.node for it in silent)
        self.why = (
            f"timed out: no answer for {self.timeout:.0f} s from {', '.join(map(str, silent))}. Once they respond or restart, "
            f"backend {backend} on the coordinator commits or rolls back its transaction as a whole. Fix those nodes, then run "
            "the command again"
        )
        abandoned.add((self.connection.info.dsn, backend))
        with socket.socket(fileno=os.dup(self.connection.fileno())) as ours:
            ours.shutdown(socket.SHUT_RDWR)

    def _cancel(self, backend: int, blockers: list[str]) -> None:
        self.why = (
            f"timed out after {self.timeout:.0f} s of waiting for a lock, held by {', '.join(blockers)}. The transaction was "
            "rolled back: let that session end, or end it there with select pg_terminate_backend(…), then run the command again"
        )
        with suppress(StackError), self._connected("cancelling what waits for a lock", self.timeout) as other:
            other.execute("select pg_cancel_backend(%s::integer)", [backend])  # Citus has another one, for a bigint
