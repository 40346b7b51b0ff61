"""Ends a move or a split of shards that makes no progress, whatever the cause, and drops what it leaves on the nodes.

Citus itself gives up after two hours (citus.logical_replication_timeout, which no session can set), holding locks and WAL until
then. watch.py is for nodes that do not answer; this is for nodes that do.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import psycopg

from components.database.connections import connected
from components.database.moves import clean_up
from components.database.statements import PROBE_SECONDS, statement
from components.errors import NotReadyError, StackError
from components.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.access import Server
    from components.database.connections import Connection

__all__ = ["ended_when_stalled"]


END_SECONDS: Final = 20
"""How long a process that was told to end may take. It may miss the first signals while it waits for replication."""


@contextmanager
def ended_when_stalled(
    connection: Connection, server: Server, password: str, *, doing: str, timeout: float
) -> Iterator[None]:
    """End what is done inside once it has made no progress for `timeout` seconds, and clean up after it.

    Progress is data copied, changes replicated, a statement at work on any node, or the next statement. Looks from a
    connection of its own every few seconds: what ends sooner costs nothing. Where the session breaks inside for another
    reason, its process and what it left are cleared away, too.

    Raises:
        StackError: it made no progress; says what it waited for, and whether anything is left.
    """
    done = threading.Event()
    stalled: list[str] = []
    # Where this program is killed, nobody looks any more: then the server itself ends what nobody waits for.
    connection.execute("select set_config('client_connection_check_interval', '10s', false)")
    process = _Process(connection, server, password)

    def watch() -> None:
        highest: dict[str, float] = {}
        moved = time.monotonic()
        while not done.wait(PROBE_SECONDS):
            try:
                progressing, waits = process.look(highest)
            except (StackError, psycopg.Error):
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
        msg = f"{doing}: ended after {timeout:.0f} s without progress{stalled[0]}; no row was moved by halves. {left}"
        raise StackError(msg) from error
    finally:
        done.set()
        watcher.join()


class _Process:
    """The coordinator's process that serves a session, seen from other sessions."""

    def __init__(self, connection: Connection, server: Server, password: str) -> None:
        self._server, self._password = server, password
        self._pid = connection.info.backend_pid
        row = connection.execute(statement("get_backend_start")).fetchone()
        self._started = row[0] if row else None

    def look(self, highest: dict[str, float]) -> tuple[bool, str]:
        """Return whether it has come on since the last look, and what it waits for; `highest` keeps its counters.

        Raises:
            psycopg.Error: a node did not answer within a few seconds.
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
        except (StackError, psycopg.Error):
            return False
        with suppress(StackError, psycopg.Error):  # a node that does not answer cannot be asked
            self._ask("end_remote_processes", gpid=self._gpid())
        return True

    def clear(self) -> str:
        """End it and drop what it left on the nodes; return what came of that, for a person."""
        if not self.end():
            return f"Its process {self._pid} has not ended yet; the next up clears away what it leaves"
        try:
            with connected(self._server, self._password, timeout=PROBE_SECONDS) as own:
                own.execute("select set_config('statement_timeout', %s, false)", [f"{END_SECONDS}s"])
                clean_up(own)
        except (StackError, psycopg.Error) as error:
            return f"The next up clears away what it left ({' '.join(str(error).split())})"
        return "Nothing of it is left on any node; run up again once the cause is gone"

    def _gpid(self) -> int:
        return int(self._ask("get_gpid", process=self._pid)[0][0])

    def _ask(self, query: str, **arguments: Any) -> list[Any]:
        with connected(self._server, self._password, timeout=PROBE_SECONDS) as own:
            own.execute("select set_config('statement_timeout', %s, false)", [f"{PROBE_SECONDS}s"])
            return own.execute(statement(query), arguments).fetchall()
