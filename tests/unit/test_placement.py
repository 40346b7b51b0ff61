"""Which worker each of the tenants gets that are to be spread."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.database.placement import limit_nodes, split_points, spread

NODES = ["a:1", "b:1", "c:1"]


def test_each_gets_a_worker_of_its_own_where_there_are_enough() -> None:
    """The biggest chooses first; what is placed already stays."""
    assert spread({"x": 1, "y": 9}, NODES, {}, {}) == {"x": "b:1", "y": "a:1"}
    assert spread({"x": 1, "y": 9}, NODES, {"x": "a:1"}, {}) == {"x": "a:1", "y": "b:1"}


def test_small_ones_share_where_there_are_more_than_workers() -> None:
    """The fourth goes to the worker with the least to carry."""
    placed = spread({"big": 90, "middle": 50, "small": 10, "tiny": 1}, NODES, {}, {})
    assert placed == {"big": "a:1", "middle": "b:1", "small": "c:1", "tiny": "c:1"}


def test_workers_with_pinned_tenants_come_last() -> None:
    """A worker that a person gave to another tenant is taken when all others have one."""
    assert spread({"x": 1, "y": 1}, NODES, {}, {"a:1": 1}) == {"x": "b:1", "y": "c:1"}


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.integers(0, 10**9), max_size=20), st.data())
def test_numbers_are_as_even_as_can_be_and_a_second_run_moves_nothing(
    sizes: dict[str, int], data: st.DataObject
) -> None:
    """Whatever lies where; what is right once is right for good."""
    placed = {value: data.draw(st.sampled_from(NODES)) for value in sizes if data.draw(st.booleans())}
    result = spread(sizes, NODES, placed, {})
    numbers = Counter(result.values())
    assert result.keys() == sizes.keys()
    assert max(numbers.values(), default=0) - min((numbers[node] for node in NODES), default=0) <= 1
    assert spread(sizes, NODES, result, {}) == result


@pytest.mark.parametrize(
    ("apart", "points", "nodes"),
    [
        ({5: "a:1"}, [4, 5], ["c:1", "a:1", "c:1"]),
        ({0: "a:1"}, [0], ["a:1", "c:1"]),
        ({9: "a:1"}, [8], ["c:1", "a:1"]),
        ({0: "a:1", 9: "b:1"}, [0, 8], ["a:1", "c:1", "b:1"]),
        ({5: "a:1", 6: "b:1"}, [4, 5, 6], ["c:1", "a:1", "b:1", "c:1"]),
    ],
    ids=["in the middle", "first", "last", "both ends", "neighbours"],
)
def test_a_shard_is_cut_around_each_value(apart: dict[int, str], points: list[int], nodes: list[str]) -> None:
    """Each part is named by its last hash, and the last part by none."""
    assert split_points(0, 9, apart, "c:1") == (points, nodes)


@given(st.integers(-50, 0), st.integers(1, 50), st.data())
def test_every_hash_has_the_node_that_it_is_to_have(lowest: int, highest: int, data: st.DataObject) -> None:
    """Whichever hashes are cut out, and however close to each other."""
    apart = data.draw(st.dictionaries(st.integers(lowest, highest), st.sampled_from(NODES), min_size=1))
    points, nodes = split_points(lowest, highest, apart, "c:1")
    starts = [lowest, *(point + 1 for point in points)]
    parts = list(zip(starts, [*points, highest], nodes, strict=True))
    assert all(start <= end for start, end, _ in parts)
    for hash_, node in apart.items():
        assert (hash_, hash_, node) in parts
    assert {node for start, end, node in parts if start not in apart} <= {"c:1"}


@given(
    st.dictionaries(st.integers(), st.sampled_from(["a:1", "b:1", "c:1", "d:1"]), min_size=1),
    st.sampled_from(["b:1", "c:1", "d:1"]),
    st.integers(1, 4),
)
def test_no_part_stays_and_no_more_nodes_are_taken_than_there_is_room_for(
    apart: dict[int, str], away: str, limit: int
) -> None:
    """A part keeps its node where it can; else it goes where the rest goes."""
    first = limit_nodes(apart, "a:1", away, limit)
    assert "a:1" not in first.values()
    assert len({*first.values(), away}) <= limit
    assert all(first[hash_] in (node, away) for hash_, node in apart.items())
    if limit == 4:
        assert all(first[hash_] == node for hash_, node in apart.items() if node != "a:1")
