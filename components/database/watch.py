"""Ends a wait for a node that has stopped answering, or for a lock that nobody frees. Citus itself would wait for ever."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg

from components.access import Server
from components.database import health, session, statements
from components.database.connections import Connection, connected
from components.errors import NotReadyError, StackError

if TYPE_CHECKING:
    from collections.abc import Iterator


__all__ = ["ended_when_unreachable"]


@contextmanager
def ended_when_unreachable(
    connection: Connection,
    server: Server,
    password: str,
    *,
    doing: str,
    timeout: float,
    also: tuple[str, int] | None = None,
) -> Iterator[None]:
    """Give up what is done inside once it has waited `timeout` seconds for a node that is silent, or for others' locks.

    Looks from a connection of its own, every few seconds: what ends sooner costs nothing. Work that goes on has no deadline.
    `also` is a node that is not registered yet. After a silence, the coordinator's process goes on waiting, and undoes its
    work when the node answers again or has been stopped; it holds the cluster's lock until then, so that no other run works
    on half a state. What waits for a lock is cancelled, and undone at once.

    Raises:
        NotReadyError: a node was silent for too long, or a session kept a lock for too long; names it.
    """
    watch = _Watch(connection, server, password, doing, timeout, also)
    thread = threading.Thread(target=watch.run, daemon=True)
    thread.start()
    try:
        yield
    except (psycopg.Error, StackError) as error:
        if not watch.why:
            raise
        raise NotReadyError(f"{doing}: {watch.why}") from error
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
    """Why it ended the work; empty where it did not."""

    def run(self) -> None:
        process = self.connection.info.backend_pid
        answered = free = time.monotonic()
        while not self.done.wait(statements.PROBE_SECONDS):
            silent, blockers = self._look(process)
            now = time.monotonic()
            answered = answered if silent else now
            free = free if blockers else now
            if self.done.is_set():
                return
            if now - answered > self.timeout:
                self._cut_off(process, silent)
                return
            if now - free > self.timeout:
                self._cancel(process, blockers)
                free = now
            elif blockers:
                waited = f"{now - free:.0f} of {self.timeout:.0f} s"
                print(f"{self.doing}: waiting for a lock ({waited}), held by {', '.join(blockers)}")  # noqa: T201

    def _look(self, process: int) -> tuple[list[str], list[str]]:
        try:
            with connected(self.server, self.password, timeout=statements.PROBE_SECONDS) as own:
                return health.get_hindrances(own, process, self.also)
        except (StackError, psycopg.Error) as error:
            return [str(error)], []

    def _cut_off(self, process: int, silent: list[str]) -> None:
        self.why = (
            f"gave up, for nodes have not answered for {self.timeout:.0f} s: {', '.join(silent)}; the coordinator's process "
            f"{process} undoes its work as soon as they answer or are restarted: see to them, then run up again"
        )
        session.given_up.add((self.connection.info.dsn, process))
        with socket.socket(fileno=os.dup(self.connection.fileno())) as ours:
            ours.shutdown(socket.SHUT_RDWR)

    def _cancel(self, process: int, blockers: list[str]) -> None:
        self.why = (
            f"gave up after {self.timeout:.0f} s of waiting for a lock, held by {', '.join(blockers)}; all was undone: let that "
            "end, or end it there with select pg_terminate_backend(…), then run up again"
        )
        own = connected(self.server, self.password, timeout=self.timeout)
        with suppress(NotReadyError, psycopg.OperationalError), own as other:
            other.execute("select pg_cancel_backend(%s::integer)", [process])  # Citus has another one, for a bigint
