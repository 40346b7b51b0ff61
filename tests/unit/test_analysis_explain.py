"""What EXPLAIN says of queries on Citus 12.1: plans as the server gave them, read into typed data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.explain import Explained, parse_size

PLANS = Path(__file__).parent / "plans"


def explained(name: str) -> Explained:
    """Read a plan that was recorded."""
    return Explained.of(json.loads((PLANS / f"{name}.json").read_text()))


def test_a_colocated_join_shows_its_tasks() -> None:
    """Bytes and rows of each worker, and of all; the slowest task's plan is in the tree."""
    seen = explained("colocated")
    assert (seen.bytes, seen.rows, seen.task_count) == (418, 16, 40)
    assert (seen.map_tasks, seen.merge_tasks) == (0, 0)
    assert [(task.bytes, task.rows) for task in seen.tasks] == [(104, 4), (96, 4), (0, 0)]
    assert sum(share.tasks for share in seen.by_node()) == len(seen.tasks) == 3
    assert all(share.node.startswith("127.0.0.1:") for share in seen.by_node())
    assert seen.blocks > sum(task.blocks for task in seen.tasks) > 0
    adaptive = seen.plan.children[0].children[0]
    assert adaptive.title == "Citus Adaptive"
    assert adaptive.facts[1] == "40 tasks; 418 bytes received from the workers"
    assert adaptive.children[0].title.startswith("the slowest of 3 tasks, on 127.0.0.1:")


def test_a_repartition_join_shows_its_jobs() -> None:
    """No tasks are shown; the jobs that split and fetch rows are counted, however deep they stand."""
    seen = explained("repartition")
    assert (seen.bytes, seen.rows, seen.task_count) == (6362, 248, 20)
    assert (seen.map_tasks, seen.merge_tasks) == (80, 40)
    assert seen.tasks == ()
    assert seen.by_node() == []


def test_a_plain_query_needs_no_worker() -> None:
    """A plan of one node has no bytes to receive."""
    plan = {"Node Type": "Seq Scan", "Relation Name": "venta", "Actual Rows": 5, "Actual Total Time": 1.5}
    seen = Explained.of([{"Plan": {**plan, "Shared Hit Blocks": 2, "Shared Read Blocks": 1}, "Execution Time": 2.0}])
    assert (seen.bytes, seen.rows, seen.task_count, seen.blocks, seen.bytes_read) == (0, 0, 0, 3, 3 * 8192)
    assert seen.plan.title == "Seq Scan on venta"


@pytest.mark.parametrize(
    ("text", "size"), [("0 bytes", 0), ("212 bytes", 212), ("12 kB", 12_288), ("3 MB", 3 * 1024**2)]
)
def test_sizes_are_read_in_postgresqls_words(text: str, size: int) -> None:
    """Exact in bytes, whole units above."""
    assert parse_size(text) == size


def test_what_is_no_size_is_refused() -> None:
    """A word of another version of Citus is not taken for a number."""
    with pytest.raises(ValueError, match="'12 elephants' is no size: expected a number and one of bytes"):
        parse_size("12 elephants")
