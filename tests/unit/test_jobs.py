"""What a rebalance and its background job are in words."""

from __future__ import annotations

from typing import Any

import pytest

from components.database.jobs import OURS, Job
from components.database.rebalance import Forecast


def task(status: str, shard: int | None = 1, *, retries: int = 0, message: str | None = None) -> dict[str, Any]:
    """A task as get_job.sql has it."""
    return {"status": status, "shard": shard, "message": message, "retries": retries, "pid": None}


@pytest.mark.parametrize(
    ("forecast", "said"),
    [
        (Forecast(1, 1, 512), "1 shard of 512 B in 1 move"),
        (Forecast(8, 24, 3 * 1024**3), "24 shards of 3.0 GB in 8 moves"),
    ],
)
def test_a_forecast_says_shards_bytes_and_moves(forecast: Forecast, said: str) -> None:
    """In the same words at preview, in a review and in the update."""
    assert str(forecast) == said


def test_a_job_tells_the_move_that_failed_most_often() -> None:
    """One line: the shard, how often, and the error without its context."""
    said = "ERROR:  connection to the remote node failed\nCONTEXT:  while moving\n"
    tasks = (
        task("done", 1, retries=5),
        task("runnable", 2, retries=1, message="x"),
        task("runnable", 3, retries=4, message=said),
    )
    job = Job(7, "running", OURS, tasks)
    assert job.failure == "shard 3, 4 times: connection to the remote node failed"
    assert job.done == {1}
    assert job.ours
    assert not job.ended
    assert not Job(8, "finished", "Rebalance all colocation groups", (task("done"),)).ours
    assert Job(8, "finished", "", (task("done", None),)).failure == ""
