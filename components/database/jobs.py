"""Background jobs of Citus's rebalancer: waited for as long as they make progress, told, and given up where they make none.

A job belongs to the coordinator, not to a session: it goes on when this program is killed, and after a restart of the server.
Citus itself repeats a move that failed for half an hour.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from components.database.statements import PROBE_SECONDS, get_value, statement
from components.errors import NotReadyError, StackError
from components.sizes import in_words
from components.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.database.connections import Connection
    from components.database.stall import Process

__all__ = ["Job", "Moves", "can_rebalance", "get_job", "mark", "settle", "wait_for"]


OURS: Final = "Rebalance all colocation groups, started by citus-pulumi"
"""How a job is described that this program started; Citus describes its own by the words before the comma."""
POLL_SECONDS: Final = 0.5
REPORT_SECONDS: Final = 5.0
"""Seconds between two lines of progress."""
CANCEL_SECONDS: Final = 30
"""How long a job that was cancelled may take to end."""
RETRIES: Final = 3
"""How often a move may fail before the time since the last finished move counts against it, whatever it copies."""


@dataclass(frozen=True)
class Job:
    """A job as it is now."""

    job_id: int
    state: str
    description: str
    tasks: tuple[Mapping[str, Any], ...]
    """`status`, `shard` (None for one that copies reference tables), `message`, `retries` and `pid` of each."""

    @property
    def ended(self) -> bool:
        """Tell whether it is finished, cancelled or failed."""
        return self.state in ("finished", "cancelled", "failed")

    @property
    def ours(self) -> bool:
        """Tell whether this program started it."""
        return self.description == OURS

    @property
    def done(self) -> frozenset[int | None]:
        """Return the shards whose moves are done."""
        return frozenset(task["shard"] for task in self.tasks if task["status"] == "done")

    @property
    def failure(self) -> str:
        """Return what the last move that failed said, and how often it was tried; empty where none has failed."""
        failed = [it for it in self.tasks if it["retries"] and it["status"] not in ("done", "cancelled")]
        if not failed:
            return ""
        task = max(failed, key=lambda it: it["retries"])
        lines = [line.strip() for line in (task["message"] or "").splitlines() if line.strip()]
        said = next((line for line in lines if line.startswith("ERROR")), lines[0] if lines else "no message")
        return f"shard {task['shard']}, {task['retries']} times: {said.removeprefix('ERROR:').strip()}"


@dataclass(frozen=True)
class Moves:
    """What a job is to move; nothing where that is not known."""

    sizes: Mapping[int, int] = field(default_factory=dict)
    """For each shard, the bytes of the whole move that it is part of."""
    size: int = 0
    """Bytes of all."""


def can_rebalance(connection: Connection) -> bool:
    """Tell whether Citus moves shards here; a stand-in does not."""
    return bool(get_value(connection, "has_rebalancer"))


def get_job(connection: Connection, job_id: int | None = None) -> Job | None:
    """Return a job; without an id, the rebalance that has not ended, whoever started it."""
    row = connection.execute(statement("get_job"), {"job": job_id}).fetchone()
    return Job(row[0], row[1], row[2], tuple(row[3])) if row else None


def mark(connection: Connection, job_id: int) -> None:
    """Write down that this program started a job."""
    connection.execute(statement("mark_job"), {"job": job_id, "description": OURS})


def settle(connection: Connection, watch: Callable[[int], Process], *, timeout: float, keep: bool) -> None:
    """End or await a rebalance that runs: one that an update of ours left is waited for where it is to be kept, else cancelled.

    One that somebody else started is always waited for.

    Raises:
        StackError: it makes no progress; names it.
    """
    job = get_job(connection) if can_rebalance(connection) else None
    if job is None:
        return
    if job.ours and not keep:
        print(f"rebalance: job {job.job_id} of an interrupted update is given up; what it has moved stays")  # noqa: T201
        cancel(connection, job.job_id)
        return
    whose = "an interrupted update" if job.ours else "another session"
    print(f"rebalance: waiting for job {job.job_id}, which {whose} started")  # noqa: T201
    wait_for(connection, job.job_id, Moves(), watch, timeout=timeout)


def wait_for(
    connection: Connection, job_id: int, moves: Moves, watch: Callable[[int], Process], *, timeout: float
) -> None:
    """Wait until a job has ended; print how far it is when that changes, but not more often than every few seconds.

    It has no deadline while it makes progress: a move is done, bytes are copied, changes replicated. `watch` returns what shows
    the progress of a process of the coordinator.

    Raises:
        StackError: it failed, was cancelled, or made no progress for `timeout` seconds. Then a job of ours is cancelled, and
            one of somebody else left as it is; each of its moves is complete or rolled back.
    """
    progress = _Progress(moves, watch)
    while True:
        job = get_job(connection, job_id)
        if job is None or job.ended:
            break
        stalled = progress.look(connection, job, timeout)
        if stalled is not None:
            _give_up(connection, job, stalled, timeout)
        time.sleep(POLL_SECONDS)
    if job is None or job.state == "finished":
        return
    why = f" ({job.failure})" if job.failure else ""
    msg = (
        f"rebalance: job {job_id} {'was cancelled by somebody' if job.state == 'cancelled' else 'failed'}{why}. Each move is "
        "complete or rolled back: run the command again to go on"
    )
    raise StackError(msg)


def cancel(connection: Connection, job_id: int) -> None:
    """Cancel a job, and wait until it has ended: the move that ran is rolled back.

    Raises:
        NotReadyError: it has not ended in time.
    """
    connection.execute(statement("cancel_job"), {"job": job_id})

    def attempt() -> None:
        job = get_job(connection, job_id)
        running = [task for task in job.tasks if task["status"] in ("running", "cancelling")] if job else []
        if job and (running or not job.ended):
            msg = f"it is {job.state}"
            raise NotReadyError(msg)

    wait_until(attempt, what=f"the background job {job_id} has ended", timeout=CANCEL_SECONDS)


def _give_up(connection: Connection, job: Job, waits: str, timeout: float) -> None:
    failure = f". A move failed: {job.failure}" if job.failure else ""
    what = f"no progress for {timeout:.0f} s{waits}{failure}"
    if not job.ours:
        msg = (
            f"rebalance: another session started job {job.job_id}, which makes {what}. Remove the cause, or end it with select "
            f"citus_job_cancel({job.job_id}); then run the command again"
        )
        raise NotReadyError(msg)
    cancel(connection, job.job_id)
    msg = (
        f"rebalance: given up, {what}. Job {job.job_id} is cancelled, and each of its moves complete or rolled back: remove the "
        "cause, then run the command again"
    )
    raise StackError(msg)


class _Progress:
    """How far a job is, and since when it has not moved."""

    def __init__(self, moves: Moves, watch: Callable[[int], Process]) -> None:
        self._moves, self._watch = moves, watch
        self._began = self._moved = self._finished = self._reported = time.monotonic()
        self._highest: dict[str, float] = {}
        self._printed = ""

    def look(self, connection: Connection, job: Job, timeout: float) -> str | None:
        """Take note, and print; return what it waits for where it has made no progress for `timeout` seconds."""
        now = time.monotonic()
        running = connection.execute(statement("get_move_progress")).fetchall()
        if self._rises({"done": len(job.done)}):
            self._moved = self._finished = now
        if self._rises({f"copied by {pid}": copied for pid, _, _, _, copied, _ in running}):
            self._moved = now
        waits = ""
        if now - self._moved > PROBE_SECONDS:
            waits = self._ask_nodes(job, now)
        self._report(job, running, now)
        retries = max((task["retries"] for task in job.tasks if task["status"] != "done"), default=0)
        since = self._finished if retries >= RETRIES else self._moved
        return (waits or _not_started(job)) if now - since > timeout else None

    def _ask_nodes(self, job: Job, now: float) -> str:
        waits = ""
        for task in job.tasks:
            if task["status"] == "running" and task["pid"]:
                try:
                    progressing, what = self._watch(task["pid"]).look(self._highest)
                except StackError:  # a node does not answer: what watches the session ends it
                    continue
                waits += what
                if progressing:
                    self._moved = now
        return waits

    def _rises(self, counters: dict[str, float]) -> bool:
        higher = {name: value for name, value in counters.items() if value > self._highest.get(name, 0)}
        self._highest |= higher
        return bool(higher)

    def _report(self, job: Job, running: list[Any], now: float) -> None:
        line = f"rebalance: {self._far(job, running, now)}"
        if job.failure:
            line += f"; Citus tries again: {job.failure}"
        if now - self._reported < REPORT_SECONDS or line == self._printed:
            return
        print(line)  # noqa: T201 - Pulumi shows it
        self._printed, self._reported = line, now

    def _far(self, job: Job, running: list[Any], now: float) -> str:
        done, total = len(job.done - {None}), sum(task["shard"] is not None for task in job.tasks)
        parts = [f"{done} of {total} moves done"]
        copied = sum(self._moves.sizes.get(shard or 0, 0) for shard in job.done)
        if self._moves.size:
            copied += sum(min(row[4], row[5]) for row in running)
            parts[0] += f", {in_words(copied)} of {in_words(self._moves.size)}"
        share = copied / self._moves.size if self._moves.size else done / total if total else 0
        if 0 < share < 1:
            parts.append(f"about {(now - self._began) * (1 - share) / share:.0f} s left")
        parts += [
            f"{source} to {target}: {(status or 'starting').lower()}" for _, status, source, target, *_ in running
        ]
        return "; ".join(parts)


def _not_started(job: Job) -> str:
    counts = Counter(task["status"] for task in job.tasks)
    return "" if counts["running"] or counts["done"] or job.failure else ": it has not started"
