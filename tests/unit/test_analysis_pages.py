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
    CpuShares,
    Load,
    Machine,
    NodeShare,
    Part,
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


def writes(clients: int, one_node: float | None, coordinator: float | None, worker: float | None) -> list[Writes]:
    """Return what so many clients wrote in each way, in three rounds; nothing where the server took no more of them."""
    rates = {"one node": one_node, "coordinator": coordinator, "worker": worker}
    return [
        Writes(
            way=f"{entry}{asked}",
            title=f"{entry}, {'one call' if asked else 'statements'}",
            entry=entry,
            against=f"one node{asked}",
            clients=clients,
            rates=[rate * (2 if asked else 1) * factor for factor in (0.9, 1, 1.2)] if rate else [],
            left_out="" if rate else "no more connections",
        )
        for asked in ("", " call")
        for entry, rate in rates.items()
    ]


def results(**changes: Any) -> Results:
    """Return what a run might have measured."""
    given: dict[str, Any] = {
        "started_at": "2026-01-01T00:00:00+00:00",
        "scale": 5_000,
        "seed": 1,
        "runs": 3,
        "whole": True,
        "parts": [Part(name="writing", seconds=70.0)],
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
            load=0.3,
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
        "writes": [*writes(1, 100.0, 50.0, 80.0), *writes(16, 300.0, 150.0, 240.0), *writes(256, None, None, 60.0)],
        "shares": CpuShares(cpus=0.25, containers=["c", "w_1"], writes=writes(16, 100.0, 50.0, 320.0)),
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


def test_the_first_lines_say_what_is_gained_and_when_not_to_shard(tmp_path: Path) -> None:
    """Before any table, in sentences with the figures: with equal shares, and on shared processors where 16 clients write."""
    twin = written(tmp_path, results())[1].partition("\n## ")[0]
    assert "Chile's own report looks at 1.0 MB of pages in 1 of 40 shards, where one node looks at 32.0 MB" in twin
    assert "each node had 0.25 processors to itself" in twin
    assert "wrote 640 sales a second (worker, one call), and one node 200: 3.2 times as many" in twin
    assert "All 5 nodes of this cluster share one machine of 2 cores" in twin
    assert (
        "16 clients write 300 sales a second to one node, statements and 600 sales a second to one node, one call"
        in twin
    )
    assert "one call is the first thing to try, and needs no cluster" in twin
    assert "0.50 (coordinator, statements), 0.80 (worker, statements), 0.50 (coordinator, one call)" in twin


def test_a_gain_that_was_not_measured_is_not_told(tmp_path: Path) -> None:
    """Without equal shares there is no figure of machines of their own, but the reason why."""
    twin = written(tmp_path, results(shares=None, shares_left_out="the nodes are no containers"))[1]
    assert "would write on machines of their own was not measured (the nodes are no containers)" in twin
    assert "processors to itself" not in twin


def test_writes_that_did_not_grow_are_told_as_such(tmp_path: Path) -> None:
    """With the same figures."""
    slow = CpuShares(cpus=0.25, containers=["c", "w_1"], writes=writes(16, 100.0, 50.0, 90.0))
    twin = written(tmp_path, results(shares=slow))[1]
    assert "Writes did not grow with the workers: where each node had" in twin
    assert "0.9 times as many" in twin


def test_each_way_to_write_is_against_one_node_asked_the_same(tmp_path: Path) -> None:
    """A row a way, a column a number of clients; what no server took is left out, with the reason."""
    page, twin = written(tmp_path, results())
    assert "| coordinator, statements | 50 (0.50) | 150 (0.50) | left out |" in twin
    assert "| worker, one call | 160 (0.80) | 480 (0.80) | 120 |" in twin
    assert "- left out: 256 clients, one node, statements: no more connections" in twin
    assert "256 clients, one node, statements: no more connections" in page


def test_the_first_answer_names_the_whole_study(tmp_path: Path) -> None:
    """Both say how to get the rest, and the whole study does not; each says how long its parts took, and under which load."""
    first = written(tmp_path / "first", results(whole=False))
    whole = written(tmp_path / "whole", results())
    assert all("make analysis WHOLE=1" in it for it in first)
    assert "the whole study is" not in " ".join(whole)
    assert "make analysis SCALE=5000 SEED=1 WHOLE=1" in whole[0]
    assert "load average before it began 0.3; writing 70.00 s" in whole[1]


def test_what_was_not_measured_is_said_so(tmp_path: Path) -> None:
    """Without curves, writes and a load of its own, there is a report."""
    load = results().load.model_copy(update={"seconds": None, "race": []})
    page, twin = written(tmp_path, results(studies=[study("stack", 5_000, 32)], writes=[], shares=None, load=load))
    assert page.count("not measured") >= 2
    assert "Writes were not measured" in page
    assert twin.count("not measured") == 5
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
