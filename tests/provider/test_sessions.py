"""One run's steps take turns without a deadline; what holds them up is named; whatever a role sets, they work."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.provider.resources import Cluster

pytestmark = [pytest.mark.needs("citus")]

SLOW = """
    create function slow(int) returns bool language plpgsql immutable as
    $$ begin perform pg_sleep(0.004); return true; end $$;
"""
"""Called by a check of each row: that table takes two seconds to distribute."""


def make_slow(cluster: Cluster, *tables: str) -> None:
    """Make tables that take longer to distribute than the deadline of the tests."""
    cluster.run(SLOW)
    for table in tables:
        cluster.run(f"create table {table} (id int primary key); insert into {table} select generate_series(1, 500)")
        cluster.run(f"alter table {table} add check (slow(id)) not valid")


def test_steps_of_one_run_wait_for_each_other_without_a_deadline(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tables that each take longer than readyTimeout are all distributed in one run, and the waiting ones say for what."""
    make_slow(cluster, "a", "b", "c")
    started = time.monotonic()

    with ThreadPoolExecutor() as pool:
        tables = [cluster.distributed(table, "id", shard_count=2, ready_timeout=1) for table in "abc"]
        steps = list(pool.map(lambda table: table.up(), tables))

    assert steps == ["create"] * 3
    assert time.monotonic() - started > 2
