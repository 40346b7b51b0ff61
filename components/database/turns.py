"""Steps of one run that must not run at the same time take turns, in this process. They wait without a deadline.

The running step has deadlines of its own (watch.py), so each wait ends. Knows nothing of PostgreSQL or Pulumi.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from components.errors import NotReadyError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["patience", "turn"]


FIRST_REPORT: Final = 5.0
"""Seconds until a waiting step prints what it waits for."""


RAREST_REPORT: Final = 60.0
"""Seconds between two such lines where the wait is long."""


@dataclass
class _Queue:
    lock: threading.Lock = field(default_factory=threading.Lock)
    doing: str = ""
    """What the running step is doing."""
    since: float = 0.0
    failed: float = float("-inf")
    """When a step last timed out."""


_queues: dict[str, _Queue] = {}
"""By cluster. A dict's setdefault is atomic, so threads share it without a lock."""


def patience() -> Iterator[float]:
    """Yield the seconds to wait before each next line of progress: a few, then more and more."""
    seconds = FIRST_REPORT
    while True:
        yield seconds
        seconds = min(2 * seconds, RAREST_REPORT)


@contextmanager
def turn(cluster: str, *, doing: str) -> Iterator[bool]:
    """Run alone among the steps of this process; wait, however long it takes, until the running step has ended.

    Yields:
        Whether another step timed out while this one waited for its turn: it need not wait as long again.
    """
    queue = _queues.setdefault(cluster, _Queue())
    came = time.monotonic()
    for seconds in patience():
        if queue.lock.acquire(timeout=seconds):
            break
        print(f"{doing}: waiting for another step of this run: {queue.doing} ({time.monotonic() - queue.since:.0f} s)")  # noqa: T201
    queue.doing, queue.since = doing, time.monotonic()
    try:
        yield queue.failed > came
    except NotReadyError:
        queue.failed = time.monotonic()
        raise
    finally:
        queue.lock.release()
