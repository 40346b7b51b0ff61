"""Retries until something is ready, with a deadline and lines of progress. The only user of tenacity."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

import tenacity

from components.errors import NotReadyError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["wait_until"]

T = TypeVar("T")

REPORT_EVERY: Final = 5.0
"""Seconds between two lines of progress."""


def wait_until(attempt: Callable[[], T], *, what: str, timeout: float, hint: Callable[[], str] = str) -> T:
    """Call `attempt` until it stops raising NotReadyError, at most `timeout` seconds, and return what it returns.

    Prints what it waits for every few seconds. `what` completes "waiting until …"; what `hint` returns ends the error.

    Raises:
        NotReadyError: the deadline passed; names what, how long and the last cause.
    """
    started = reported = time.monotonic()

    def report(state: tenacity.RetryCallState) -> None:
        nonlocal reported
        now = time.monotonic()
        if now - reported >= REPORT_EVERY and state.outcome is not None:
            reported = now
            print(f"waiting until {what} ({now - started:.0f} of {timeout:.0f} s; last: {state.outcome.exception()})")  # noqa: T201

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(NotReadyError),
        stop=tenacity.stop_after_delay(timeout),
        wait=tenacity.wait_exponential(multiplier=0.02, max=0.2),
        before_sleep=report,
    )
    try:
        return retrying(attempt)
    except tenacity.RetryError as error:
        cause = error.last_attempt.exception()
        nodes = cause.nodes if isinstance(cause, NotReadyError) else ()
        msg = f"timed out after {timeout:.0f} s of waiting until {what} (last error: {cause})"
        raise NotReadyError(msg, nodes=nodes, hint=hint()) from cause
