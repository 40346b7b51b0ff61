"""Which worker each of the tenants gets that are to be spread."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from components.placement import spread

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
