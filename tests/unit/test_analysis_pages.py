"""The report: its figures are those of the data, it needs no network, and what was not measured is said so."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from analysis.pages import duration, headline, read_results, size, write_report
from analysis.results import (
    PSQL,
    Answer,
    Country,
    CountryReport,
    Load,
    Machine,
    NodeShare,
    PlanNode,
    Race,
    Results,
    Run,
    Scenario,
    Study,
    Writes,
)

if TYPE_CHECKING:
    from pathlib import Path

WAYS = {"colocated": 2.0, "repartition": 1_000.0, "single_hash": 70.0, "reference": 2.5}


def scenario(key: str, time: float, count: int = 212) -> Scenario:
    """Return a way that took so long, in three runs."""
    runs = [Run(time=time * factor, explained=time, bytes=count, rows=4) for factor in (0.9, 1, 1.2)]
    return Scenario(
        key=key,
        title=f"way {key}",
        sql="select 1 < 2",
        settings={},
        runs=runs,
        tasks=4,
        map_tasks=0,
        merge_tasks=0,
        connections=4,
        nodes=[NodeShare(node="w:1", tasks=4, bytes=count, rows=4, slowest=1.9)] if key == "colocated" else [],
        plan=PlanNode(title="Sort", facts=["4 rows"], children=[PlanNode(title="Citus Adaptive")]),
    )


def study(of: str, sales: int, shards: int, *, slower: float = 1) -> Study:
    """Return a study of all ways."""
    ways = WAYS if of == "copy" else {**WAYS, "one_node": 3.0}
    made = [scenario(key, time * (1 if key == "colocated" else slower)) for key, time in ways.items()]
    return Study(sales=sales, lines=sales * 2, shard_count=shards, of=of, scenarios=made)


def results(**changes: Any) -> Results:
    """Return what a run might have measured."""
    given: dict[str, Any] = {
        "started_at": "2026-01-01T00:00:00+00:00",
        "scale": 5_000,
        "seed": 1,
        "runs": 3,
        "most_memory": 300 * 2**20,
        "machine": Machine(
            cores=2,
            memory=2**34,
            platform="Linux",
            python="3.12",
            citus="12.1-1",
            postgres="15",
            runtime="docker",
            workers=4,
        ),
        "countries": [Country(id_pais=1, pais="<b>México", sales=5_000, lines=9_000, node="w:1", pinned=True)],
        "load": Load(
            sales=5_000,
            lines=9_000,
            streams=4,
            seconds=2.0,
            loaded=14_000,
            race=[
                Race(name="this loader, 2 streams", streams=2, rows=10, seconds=[0.5, 1, 2]),
                Race(name=PSQL, streams=1, rows=10, seconds=[2]),
            ],
        ),
        "answer": [Answer(pais="México", canal_venta="web", profit=1)],
        "studies": [
            study("stack", 5_000, 32),
            *(study("copy", 1_000, count) for count in (4, 8)),
            study("copy", 5_000, 4),
        ],
        "country": CountryReport(
            pais="Chile",
            shards=1,
            of_shards=40,
            cluster_bytes=2**20,
            one_node_bytes=2**25,
            cluster_times=[1.0],
            one_node_times=[9.0],
        ),
        "writes": [
            Writes(clients=1, one_node=[100.0], cluster=[50.0]),
            Writes(clients=4, one_node=[300.0], cluster=[200.0]),
        ],
    }
    return Results(**{**given, **changes})


def written(tmp_path: Path, made: Results) -> tuple[str, str]:
    """Return the page and its twin."""
    write_report(made, tmp_path)
    return (tmp_path / "index.html").read_text("utf-8"), (tmp_path / "report.md").read_text("utf-8")


def test_the_answer_comes_first_and_is_that_of_the_data(tmp_path: Path) -> None:
    """The sentence compares the two joins where rows are fewest and shards are fewest; page and twin say the same."""
    said = headline(results())
    assert "1,000 sales in 4 shards takes 2.0 ms" in said
    assert "1.00 s when one is not: 500 times as long" in said
    page, twin = written(tmp_path, results())
    assert said in page
    assert said in twin


def test_the_page_needs_no_network(tmp_path: Path) -> None:
    """Nothing is fetched: no link, no script, no address in a src or href but fragments."""
    page, _ = written(tmp_path, results())
    assert not re.search(r"<(link|script|img|iframe)\b", page)
    assert all(target.startswith("#") for target in re.findall(r'(?:href|src)="([^"]+)"', page))
    assert "url(http" not in page


def test_what_the_data_says_is_escaped(tmp_path: Path) -> None:
    """A name with a tag in it is shown, not obeyed."""
    page, _ = written(tmp_path, results())
    assert "&lt;b&gt;México" in page
    assert "<b>México" not in page
    assert "select 1 &lt; 2" in page


def test_both_ways_of_a_comparison_are_told(tmp_path: Path) -> None:
    """Where the cluster is slower than one node, the report says so."""
    own = study("stack", 5_000, 32)
    slow = [scenario("colocated", 30.0), *(it for it in own.scenarios if it.key != "colocated")]
    page, _ = written(tmp_path, results(studies=[own.model_copy(update={"scenarios": slow})]))
    assert "10.0 times as slow" in page
    page, _ = written(tmp_path, results())
    assert "1.5 times as fast" in page


def test_bytes_that_differ_between_runs_are_told(tmp_path: Path) -> None:
    """The promise that they are the same is checked, not made."""
    page, _ = written(tmp_path, results())
    assert "the same in every run" in page
    own = study("stack", 5_000, 32)
    unlike = own.scenarios[0].model_copy(
        update={"runs": [*own.scenarios[0].runs, Run(time=1, explained=1, bytes=9, rows=4)]}
    )
    page, _ = written(tmp_path, results(studies=[own.model_copy(update={"scenarios": [unlike, *own.scenarios[1:]]})]))
    assert "NOT the same in every run" in page


def test_ways_to_load_are_compared_with_psql(tmp_path: Path) -> None:
    """Each way has its rate and how that compares, and the fastest is named; without psql there is nothing to compare."""
    page, twin = written(tmp_path, results())
    assert "| this loader, 2 streams | 10 | 5 to 20 | 2.00 x |" in twin
    assert all("The fastest is this loader, 2 streams, at 2.00 times the rate of psql." in it for it in (page, twin))
    alone = results().load.model_copy(update={"race": results().load.race[:1]})
    _, twin = written(tmp_path, results(load=alone))
    assert "| this loader, 2 streams | 10 | 5 to 20 |  |" in twin
    assert "The fastest" not in twin


def test_what_was_not_measured_is_said_so(tmp_path: Path) -> None:
    """Without curves, writes and a load of its own, there is a report."""
    load = results().load.model_copy(update={"seconds": None, "race": []})
    page, twin = written(tmp_path, results(studies=[study("stack", 5_000, 32)], writes=[], load=load))
    assert page.count("not measured") >= 2
    assert "Writes were not measured" in page
    assert twin.count("not measured") == 3
    assert "loaded by an earlier run" in page


def test_the_data_reads_back_and_fits_its_schema(tmp_path: Path) -> None:
    """The JSON is the results, and every field of the schema is described or named in it."""
    written(tmp_path, results())
    assert read_results(tmp_path / "data.json") == results()
    schema = json.loads((tmp_path / "data.schema.json").read_text())
    assert set(schema["required"]) <= set(json.loads((tmp_path / "data.json").read_text()))


def test_the_same_data_makes_the_same_page(tmp_path: Path) -> None:
    """No date of today, nothing by chance: a report that is committed changes only with its data."""
    first = written(tmp_path / "a", results())
    assert first == written(tmp_path / "b", results())


@pytest.mark.parametrize(("value", "text"), [(1.94, "1.9 ms"), (340.2, "340 ms"), (2_100, "2.10 s")])
def test_times_are_written_for_people(value: float, text: str) -> None:
    """Two or three digits that matter, and the unit."""
    assert duration(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(212, "212 bytes"), (12_800, "12.5 kB"), (2**25, "32.0 MB"), (2**33, "8.0 GB")]
)
def test_sizes_are_written_for_people(value: int, text: str) -> None:
    """Units of 1024."""
    assert size(value) == text
