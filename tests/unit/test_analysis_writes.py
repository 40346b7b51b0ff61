"""Ways to write: how clients are dealt out to servers, and what is left out where a server takes no more."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from analysis.__main__ import extent_of, numbers
from analysis.errors import NotMeasuredError
from analysis.place import Place
from analysis.study import FIRST_ANSWER, WHOLE_STUDY
from analysis.writes import WAYS, Door, compare, deal
from components.access import Server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.clients import Job


def door(name: str, *countries: int) -> Door:
    """Return a server by which the sales of some countries are written."""
    return Door(Place(Server(name, name, 5432, "d", "u"), "secret"), countries)


ENTRIES = {
    "one node": [door("one", 1, 2, 3, 4)],
    "coordinator": [door("coordinator", 1, 2, 3, 4)],
    "worker": [door("w1", 1, 3), door("w2", 2), door("w3", 4)],
}


@pytest.mark.parametrize(
    ("clients", "weights", "dealt"),
    [
        (16, [1, 1, 1, 1], [4, 4, 4, 4]),
        (16, [2, 1, 1], [8, 4, 4]),
        (1, [1, 1, 1, 1], [1, 0, 0, 0]),
        (2, [3, 1], [1, 1]),
        (5, [4], [5]),
    ],
)
def test_clients_are_dealt_out_by_countries(clients: int, weights: list[int], dealt: list[int]) -> None:
    """Each server has as many as its countries are of all; none is left over, and few go to different servers."""
    assert deal(clients, weights) == dealt


def test_all_ways_are_measured_in_turn_with_the_same_clients() -> None:
    """Round by round, each with as many clients in all; a worker is written to with its own countries only."""
    asked: list[Sequence[Job]] = []

    def bench(jobs: Sequence[Job], seconds: int) -> float:
        assert seconds == 3
        asked.append(jobs)
        return float(len(asked))

    found = compare(bench, ENTRIES, [8], seconds=3, rounds=2, tell=lambda _: None)

    ways = [way.key for way in WAYS if way.entry in ENTRIES]
    assert [it.way for it in found] == ways
    assert len(ways) == 6
    assert all(len(it.rates) == 2 for it in found)
    assert found[0].rates == [1.0, 1.0 + len(ways)]
    assert {sum(job.clients for job in jobs) for jobs in asked} == {8}
    straight = [jobs for jobs in asked if len(jobs) > 1]
    assert len(straight) == 4
    assert all(
        Counter({job.place.server.name: job.clients for job in jobs}) == {"w1": 4, "w2": 2, "w3": 2}
        for jobs in straight
    )
    scripts = {job.place.server.name: job.script for job in straight[0]}
    assert "\\set pais case when :turno = 1 then 1 else 3 end\n" in scripts["w1"]
    assert "\\set pais 4\n" in scripts["w3"]


def test_a_point_that_cannot_be_measured_is_left_out_and_the_others_are() -> None:
    """It is asked once, has no figure and its reason; whatever else goes wrong ends the run."""
    refused = 0

    def bench(jobs: Sequence[Job], seconds: int) -> float:
        nonlocal refused
        if jobs[0].place.server.name == "one" and jobs[0].clients > 100:
            refused += 1
            msg = "no more connections"
            raise NotMeasuredError(msg)
        return 7.0

    found = compare(bench, ENTRIES, [4, 256], seconds=1, rounds=3, tell=lambda _: None)

    assert [(it.way, it.clients, it.left_out) for it in found if not it.rates] == [
        ("one node, statement by statement", 256, "no more connections"),
        ("one node, one call a sale", 256, "no more connections"),
    ]
    assert refused == 2
    assert all(it.rates == [7.0] * 3 for it in found if not it.left_out)


def test_each_way_is_against_one_that_asks_one_node_the_same() -> None:
    """A way to compare with is there, writes to one node, by a pooler where it does, and runs the same script."""
    assert {way.against for way in WAYS} <= set(WAYS)
    assert {way.against.entry for way in WAYS} == {"one node", "one node by pooler"}
    assert all(way.against.script == way.script for way in WAYS)


def test_what_is_given_counts_before_the_extent() -> None:
    """The first answer leaves out curves and cures; an empty list is a list; the whole study asks up to 512 clients."""
    assert extent_of(whole=False, clients=None) == FIRST_ANSWER
    assert (FIRST_ANSWER.shard_counts, FIRST_ANSWER.scales) == ((), ())
    assert extent_of(whole=True, seconds=None) == WHOLE_STUDY
    assert WHOLE_STUDY.clients == (1, 4, 16, 64, 256, 512)
    assert extent_of(whole=True, clients=numbers(""), shard_counts=numbers("4, 8")).clients == []
    assert extent_of(whole=False, shard_counts=numbers("4, 8")).shard_counts == [4, 8]
