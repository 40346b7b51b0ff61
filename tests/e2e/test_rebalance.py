"""Workers that join and leave in a stack: shards follow, tenants stay, and the preview says what moves."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.nodes import DOCKER, LOCAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.stack import Stack

RUNTIMES = [LOCAL, DOCKER]
SCHEMA = """
create table sale (country int not null, id bigint not null, primary key (country, id));
create table click (tenant int not null, at timestamptz not null default now(), url text);
"""
ROWS = 2000


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack], tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """Two workers with two tables, one of them without a key; a country has a worker of its own. Shards stay at first."""
    folder = tmp_path_factory.mktemp("schema")
    (folder / "010.sql").write_text(SCHEMA)
    stack = new_stack(
        "rebalance",
        tables={"sale": {"distributeBy": "country"}, "click": {"distributeBy": "tenant"}},
        tenants={"sale": {"pin": {"1": 1, "2": 1}}},
        schemaDir=str(folder),
        workers=2,
        shardCount=8,
        rebalance=False,
        readyTimeout=120,
    )
    up = stack.up()
    assert up.code == 0, up.output
    stack.query(f"insert into sale select i % 20, i from generate_series(1, {ROWS}) i")
    stack.query(f"insert into click select i % 20, now(), 'u' from generate_series(1, {ROWS}) i")
    return stack


def held(stack: Stack, table: str) -> list[int]:
    """Return how many shards of a table each worker holds that holds any."""
    return stack.query(
        f"select count(*) from citus_shards where table_name = '{table}'::regclass group by nodename, nodeport order by 1"
    )


def tenants(stack: Stack) -> set[str]:
    """Return the workers of the countries that have one of their own."""
    return set(
        stack.query(
            "select nodename || ':' || nodeport from citus_shards where shardid in"
            " (get_shard_id_for_distribution_column('sale', 1), get_shard_id_for_distribution_column('sale', 2))"
        )
    )


def assert_whole(stack: Stack) -> None:
    """No row is lost, the tenants are where they are declared, and nothing is left to do."""
    assert stack.query("select count(*) from sale union all select count(*) from click") == [ROWS, ROWS]
    assert tenants(stack) == {stack.nodes.address("worker_1")}
    preview = stack.preview("--expect-no-changes")
    assert preview.code == 0, preview.output


def test_shards_stay_where_that_is_declared(stack: Stack) -> None:
    """A third worker joins, and holds none."""
    stack.set(workers=3)
    up = stack.up()
    assert up.code == 0, up.output
    assert len(held(stack, "click")) == 2
    assert_whole(stack)


def test_a_stack_from_before_is_told_what_moves_and_gets_it(stack: Stack) -> None:
    """Nothing is replaced; the preview has the shards and bytes, and a second update has nothing to do."""
    stack.set(rebalance=None)
    preview = stack.preview()
    assert preview.code == 0, preview.output
    assert "+ 1 to create" in preview.output
    assert "replace" not in preview.output
    (told,) = {line.strip() for line in preview.output.splitlines() if line.strip().startswith("rebalance: ")}
    up = stack.up()
    assert up.code == 0, up.output
    moves = told.removeprefix("rebalance: ")
    assert f"rebalance: {moves} done in " in up.output, up.output
    assert held(stack, "click") == [2, 3, 3]
    assert_whole(stack)
    refresh = stack.refresh()
    assert refresh.code == 0
    assert "rebalance updated" not in refresh.output, refresh.output


def test_workers_that_join_and_one_that_a_killed_run_left(stack: Stack) -> None:
    """Killed while shards move: the job goes on, and the next update waits for it or finds it done."""
    stack.set(workers=4)
    printed = stack.kill_up_at(": job ", signal.SIGKILL)
    assert "writes to a shard wait while it is copied: job " in printed
    stack.recover()
    up = stack.up()
    assert up.code == 0, up.output
    assert held(stack, "click") == [2, 2, 2, 2]
    assert_whole(stack)


def test_loads_that_drift_apart_are_reported_and_mended(stack: Stack) -> None:
    """Shards that somebody moved by hand are drift."""
    name, _, port = stack.nodes.address("worker_4").rpartition(":")
    stack.query(
        f"select citus_move_shard_placement(shardid, nodename, nodeport, '{name}', {port}, 'block_writes') from citus_shards"
        f" where table_name = 'click'::regclass and (nodename, nodeport) <> ('{name}', {port}) order by shardid limit 4"
    )
    refresh = stack.refresh()
    assert "rebalance updated" in refresh.output, refresh.output
    assert stack.preview("--expect-no-changes").code != 0
    up = stack.up()
    assert up.code == 0, up.output
    assert held(stack, "click") == [2, 2, 2, 2]
    assert_whole(stack)


def test_workers_leave_and_the_rest_is_even(stack: Stack) -> None:
    """Drained first; then what is uneven is evened out in the same update."""
    stack.set(workers=2)
    up = stack.up()
    assert up.code == 0, up.output
    assert held(stack, "click") == [4, 4]
    assert_whole(stack)


def test_a_strategy_that_is_not_there_is_refused_at_preview(stack: Stack) -> None:
    """One line, and nothing is touched."""
    before = stack.config.read_text()
    stack.set(rebalance={"strategy": "by_weather"})
    preview = stack.preview()
    stack.config.write_text(before)
    assert preview.code != 0
    assert "citus:rebalance.strategy = 'by_weather': the cluster has no such rebalance strategy" in preview.output
    assert_whole(stack)
