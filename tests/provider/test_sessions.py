"""One run's steps take turns without a deadline; what holds them up is named; whatever a role sets, they work."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from components import catalog, turns
from components.errors import NotReadyError
from tests.provider.seen import eventually

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


def test_step_tells_what_it_waits_for(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While a step waits for another of its run, it says which, and for how long that has been at work."""
    monkeypatch.setattr(turns, "FIRST_REPORT", 0.2)
    make_slow(cluster, "a")
    cluster.run("create table b (id int primary key)")

    with ThreadPoolExecutor() as pool:
        first = pool.submit(cluster.distributed("a", "id", ready_timeout=1).up)
        eventually(
            lambda: cluster.value("select count(*) from pg_stat_activity where query like '%%create_distributed%%'")
        )
        cluster.distributed("b", "id", ready_timeout=1).up()
        first.result()

    assert (
        "distributing table b: waiting for another step of this run: distributing table a (" in capsys.readouterr().out
    )


def test_step_after_one_that_gave_up_does_not_wait_as_long(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a worker away, the steps that queued behind the first that gave up do not each wait the whole deadline again."""
    monkeypatch.setattr(catalog, "PROBE_SECONDS", 1)
    cluster.run("create table a (id int); create table b (id int); create table c (id int)")
    cluster.workers[0].pause()
    started = time.monotonic()

    with ThreadPoolExecutor() as pool:
        steps = [pool.submit(cluster.distributed(table, "id", ready_timeout=6).up) for table in "abc"]
        errors = [step.exception() for step in steps]

    assert all(isinstance(error, NotReadyError) for error in errors)
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("place", ["coordinator", "worker"])
def test_lock_that_stays_is_given_up_and_its_session_named(
    cluster: Cluster, place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A transaction that keeps a table locked longer than readyTimeout is named, where it is; nothing was done."""
    monkeypatch.setattr(catalog, "PROBE_SECONDS", 1)
    cluster.run("create table t (id int primary key); insert into t select generate_series(1, 100)")
    cluster.distributed("t", "id").up()
    script = cluster.script("010.sql", "alter table t add c int")
    script.inputs["ready_timeout"] = 2
    worker = cluster.workers[0]
    shard = cluster.value("select shardid from pg_dist_shard_placement where nodeport = %s limit 1", worker.port)
    server, table = (cluster.coordinator, "t") if place == "coordinator" else (worker, f"t_{shard}")
    with cluster.connected(server) as other, other.transaction():
        other.execute("set application_name = 'till 7'")
        other.execute("set citus.enable_manual_changes_to_shards = on")
        other.execute(f"select count(*) from {table}".encode())
        started = time.monotonic()

        with pytest.raises(
            NotReadyError, match=rf"process {other.info.backend_pid} of postgres, till 7, idle in trans"
        ):
            script.up()

        assert time.monotonic() - started < 15
        assert "till 7" in capsys.readouterr().out
    assert script.up() == "create"
