"""Aborts a move or a split of shards that makes no progress, whatever the cause, and cleans up after it on the nodes.

Citus itself gives up after two hours (citus.logical_replication_timeout, which no session can set), holding locks and WAL until
then. watch.py is for nodes that do not answer; this is for nodes that do.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import psycopg

from components.database.client import connected
from components.database.moves import clean_up
from components.database.statements import PROBE_SECONDS, statement
from components.errors import NotReadyError, StackError
from components.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from components.access import Server
    from components.database.connections import Connection

__all__ = ["Process", "ended_when_stalled"]


END_SECONDS: Final = 20
"""How long a backend that was told to end may take. It may miss the first signals while it waits for replication."""


@contextmanager
def ended_when_stalled(
    connection: Connection, server: Server, password: str, *, doing: str, timeout: float
) -> Iterator[None]:
    """Abort what is done inside once it has made no progress for `timeout` seconds, and clean up after it.

    Progress is data copied, changes replicated, a statement running on any node, or the next statement. Looks from a
    connection of its own every few seconds: what ends sooner costs nothing. Where the session is lost for another reason,
    its backend is ended and cleaned up after, too.

    Raises:
        StackError: it made no progress; says what it waited for, and whether anything is left.
    """
    done = threading.Event()
    stalled: list[str] = []
    # Where this program is killed, nobody looks any more: the server itself then ends the session.
    connection.execute("select set_config('client_connection_check_interval', '10s', false)")
    row = connection.execute(statement("get_backend_start")).fetchone()
    process = Process(server, password, connection.info.backend_pid, row[0] if row else None)

    def watch() -> None:
        highest: dict[str, float] = {}
        moved = time.monotonic()
        while not done.wait(PROBE_SECONDS):
            try:
                progressing, waits = process.look(highest)
            except StackError:
                continue  # a node does not answer: watch.py ends that
            if progressing:
                moved = time.monotonic()
            elif time.monotonic() - moved > timeout and not done.is_set():
                stalled.append(waits)
                process.end()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    except psycopg.Error as error:
        done.set()
        watcher.join()
        if not (connection.closed or connection.broken):
            raise
        left = process.clear()
        if not stalled:
            raise
        msg = f"{doing}: aborted after {timeout:.0f} s without progress{stalled[0]}. Each move is complete or rolled back. {left}"
        raise StackError(msg) from error
    finally:
        done.set()
        watcher.join()


class Process:
    """A process of the coordinator that moves or splits shards, seen from other sessions."""

    def __init__(self, server: Server, password: str, pid: int, started: Any = None) -> None:
        """Take where it is; `started` tells it from a later one with the same number, and is needed to end it."""
        self._server, self._password = server, password
        self._pid, self._started = pid, started

    def look(self, highest: dict[str, float]) -> tuple[bool, str]:
        """Return whether it has made progress since the last look, and what it waits for; `highest` keeps its counters.

        Raises:
            StackError: a node did not answer within a few seconds.
        """
        counters: dict[str, float] = {}
        replicated: dict[str, list[float]] = {"replicated": [], "received": []}
        progressing, waits = False, []
        for node, seen in self._ask("get_progress", gpid=self._gpid(), process=self._pid):
            counters |= {f"{node} {name}": value for name, value in (seen["counters"] or {}).items()}
            for name, positions in replicated.items():
                positions.extend(seen[name] or ())
            progressing |= seen["at_work"]
            waits += [f"{what} on {node}" for what in seen["waits"] or ()]
        # The last one counts: one that stalls holds up all, and the others go on with what is written meanwhile.
        counters |= {name: min(positions) for name, positions in replicated.items() if positions}
        for name, value in counters.items():
            if value > highest.get(name, -1):
                progressing, highest[name] = True, value
        return progressing, f", waiting for {'; '.join(waits)}" if waits else ""

    def end(self) -> bool:
        """End it, and what it has the nodes do; return whether it has ended."""

        def attempt() -> None:
            if self._ask("end_process", process=self._pid, started=self._started) != [(0,)]:
                msg = f"process {self._pid} is still there"
                raise NotReadyError(msg)

        try:
            wait_until(attempt, what=f"process {self._pid} of {self._server} has ended", timeout=END_SECONDS)
        except StackError:
            return False
        with suppress(StackError):  # a node that does not answer cannot be asked
            self._ask("end_remote_processes", gpid=self._gpid())
        return True

    def clear(self) -> str:
        """End it and clean up after it on the nodes; return the result, for a person."""
        if not self.end():
            return f"Its backend {self._pid} has not ended yet; the next run cleans up after it"
        try:
            with self._connected("cleaning up", END_SECONDS) as own:
                clean_up(own)
        except StackError as error:
            return f"The next run cleans up after it ({' '.join(str(error).split())})"
        return "Nothing of it remains on any node: remove the cause, then run the command again"

    def _gpid(self) -> int:
        return int(self._ask("get_gpid", process=self._pid)[0][0])

    def _ask(self, query: str, **arguments: Any) -> list[Any]:
        with self._connected("looking at its progress", PROBE_SECONDS) as own:
            return own.execute(statement(query), arguments).fetchall()

    def _connected(self, doing: str, limit: float) -> AbstractContextManager[Connection]:
        return connected(self._server, self._password, doing=doing, timeout=PROBE_SECONDS, limit=limit)
