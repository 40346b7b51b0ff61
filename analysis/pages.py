"""The report: one HTML page that needs no network, a Markdown twin for pull requests, and the data with its schema."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from analysis import plots
from analysis.results import ONE_NODE, TURN, Results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.results import Load, Race, Scenario, Study, Writes

__all__ = ["caution", "gain", "headline", "read_results", "write_report"]

SEED_BYTES, SEED_ROWS, SEED_TIME, SEED_WORKER_TIME = 212, 4, 989.8, 2.0
"""What the first account of this cluster gave: bytes and rows of the co-located join, milliseconds of the repartition join
and, of the co-located one, of a worker."""
ALIKE: Final = 1.1
"""Ratio of two times below which nobody should tell them apart."""
_TEMPLATES: Final = Path(__file__).parent / "templates"


def write_report(results: Results, folder: Path) -> None:
    """Write index.html, report.md, data.json and data.schema.json into a folder, made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for template, name in (("report.html.j2", "index.html"), ("report.md.j2", "report.md")):
        (folder / name).write_text(_environment().get_template(template).render(_told(results)), "utf-8")
    (folder / "data.json").write_text(results.model_dump_json(indent=1) + "\n", "utf-8")
    (folder / "data.schema.json").write_text(json.dumps(Results.model_json_schema(), indent=1) + "\n", "utf-8")


def read_results(file: Path) -> Results:
    """Read what `write_report` wrote as data.json."""
    return Results.model_validate_json(file.read_text("utf-8"))


def headline(results: Results) -> str:
    """Return the answer in a sentence: what the join without the country costs, where the fixed cost shows most."""
    smallest = (results.over_shards() or [results.own])[0]
    a, b = smallest.scenario("colocated"), smallest.scenario("repartition")
    if a is None or b is None:
        return "The two joins were not compared."
    where = f"{smallest.sales:,} sales in {smallest.shard_count} shards"
    return (
        f"The same question over {where} takes {duration(a.median)} when every join is on the country too, and "
        f"{duration(b.median)} when one is not: {times(b.median / a.median)} as long, for the same "
        "answer."
    )


def gain(results: Results) -> str:
    """Return what a company would gain by sharding, as it was measured: one country's work, the whole question, writes."""
    country, workers = results.country, results.machine.workers
    ours, theirs = statistics.median(country.cluster_times), statistics.median(country.one_node_times)
    first = (
        f"One country's work leaves the others alone: {country.pais}'s own report looks at {size(country.cluster_bytes)} of "
        f"pages in {country.shards} of {country.of_shards} shards, where one node looks at {size(country.one_node_bytes)} "
        f"({duration(ours)} against {duration(theirs)})."
    )
    said = [first]
    a, one = results.own.scenario("colocated"), results.own.scenario("one_node")
    if a and one:
        said.append(
            f"The whole question takes {duration(a.median)} on the cluster and {duration(one.median)} on one node that holds "
            f"everything ({_compared(a.median, one.median)})."
        )
    shares = results.shares
    measured = [it for it in shares.writes if it.entry.startswith("worker") and it.rates] if shares else []
    best = max(measured, key=lambda it: it.rate, default=None)
    alone = best and shares and _find(shares.writes, best.against, best.clients)
    if best and shares and alone and alone.rates:
        ratio = best.rate / alone.rate
        said.append(
            f"Writes {'grow' if ratio > 1 else 'did not grow'} with the workers: where each node had {shares.cpus:g} processors "
            f"to itself, as on a machine of its own, {workers} workers wrote {best.rate:,.0f} sales a second ({best.title}), "
            f"and one node {alone.rate:,.0f}: {times(ratio)} as many."
        )
    else:
        why = results.shares_left_out or "no writes were"
        said.append(f"What {workers} workers would write on machines of their own was not measured ({why}).")
    return " ".join(said)


def caution(results: Results) -> str:
    """Return when not to shard, as it was measured."""
    first = (
        f"Not while one node keeps up. All {results.machine.workers + 1} nodes of this cluster share one machine of "
        f"{results.machine.cores} cores, so what they gain by working side by side does not show here."
    )
    said = [first]
    count = results.typical_clients
    at = [it for it in results.writes if it.clients == count and it.rates]
    alone = [it for it in at if it.entry == ONE_NODE]
    if alone:
        most = max(alone, key=lambda it: it.rate)
        said.append(
            f"Here {count} clients write "
            + " and ".join(f"{it.rate:,.0f} sales a second to {it.title}" for it in alone)
            + (f": {most.asked} is the first thing to try, and needs no cluster." if len(alone) > 1 else ".")
        )
        ratios = [
            (it, it.rate / base.rate) for it in at if it.way != it.against if (base := _find(at, it.against, count))
        ]
        said.append(
            "Against one node asked in the same way, the cluster writes "
            + ", ".join(f"{ratio:.2f} ({it.title})" for it, ratio in ratios)
            + "."
        )
    a, b = results.own.scenario("colocated"), results.own.scenario("repartition")
    if a and b:
        said.append(
            f"Nor where questions have to join without the distribution column: that took {times(b.median / a.median)} as long."
        )
    return " ".join(said)


def _find(writes: Sequence[Writes], way: str, clients: int) -> Writes | None:
    return next((it for it in writes if (it.way, it.clients) == (way, clients)), None)


def _cell(writes: Sequence[Writes], way: str, clients: int) -> str:
    """Return how many sales a second a way wrote, and how many times one node's that is."""
    it = _find(writes, way, clients)
    if it is None or not it.rates:
        return "left out"
    base = _find(writes, it.against, clients)
    against = f" ({it.rate / base.rate:.2f})" if base and base.rates and base is not it else ""
    return f"{it.rate:,.0f}{against}"


def _ways(writes: Sequence[Writes]) -> dict[str, str]:
    return {it.way: it.title for it in writes}


def _counts(writes: Sequence[Writes]) -> list[int]:
    return sorted({it.clients for it in writes})


def _left_out(writes: Sequence[Writes]) -> list[str]:
    """Return in words what could not be measured, and why."""
    return [f"{it.clients} clients, {it.title}: {it.left_out}" for it in writes if it.left_out]


def _compared(ours: float, theirs: float) -> str:
    if max(ours, theirs) < ALIKE * min(ours, theirs):
        return "about the same"
    return f"{theirs / ours:.1f} times as fast" if ours < theirs else f"{ours / theirs:.1f} times as slow"


# --- words and figures -----------------------------------------------------------------------------------------------


def duration(milliseconds: float) -> str:
    """Return a time for people: 1.9 ms, 340 ms, 2.1 s."""
    if milliseconds >= 1_000:  # noqa: PLR2004
        return f"{milliseconds / 1_000:,.2f} s"
    return f"{milliseconds:.1f} ms" if milliseconds < 100 else f"{milliseconds:.0f} ms"  # noqa: PLR2004


def size(count: float) -> str:
    """Return a size for people, in units of 1024."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1024:  # noqa: PLR2004
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} GB"


def times(ratio: float) -> str:
    """Return a ratio in words."""
    return f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.1f} times"  # noqa: PLR2004


def median(numbers: Sequence[float]) -> float:
    """Return the middle of some figures."""
    return statistics.median(numbers)


def _ratio(study: Study, scenario: Scenario) -> str:
    base = study.scenario("colocated")
    return "" if base is None or scenario.key == "colocated" else f"{scenario.median / base.median:,.1f} x"


def _against_psql(load: Load, way: Race) -> str:
    ratio = load.against_psql(way)
    return "" if ratio is None else f"{ratio:.2f} x"


def _same_bytes(results: Results) -> bool:
    """Tell whether the co-located join moved the same bytes and rows in every run of each study."""
    found = [study.scenario("colocated") for study in results.studies]
    return all(len({(run.bytes, run.rows) for run in it.runs}) == 1 for it in found if it)


def _best(results: Results) -> str:
    """Return which way to load was the fastest, and in what they differ; empty where there is nothing to compare."""
    best = results.load.best
    ratio = best and results.load.against_psql(best)
    if not best or not ratio:
        return ""
    return (
        f"The fastest is {best.name}, at {ratio:.2f} times the rate of psql. psql copies rows that are ready in a file straight "
        "into the tables. This loader makes them up meanwhile; on one stream it copies larger loads into staging tables without "
        "foreign keys, from which all workers check and insert them at once."
    )


def _told(results: Results) -> dict[str, Any]:
    return {
        "results": results,
        "own": results.own,
        "headline": headline(results),
        "gain": gain(results),
        "caution": caution(results),
        "colocated": results.own.scenario("colocated"),
        "repartition": results.own.scenario("repartition"),
        "same_bytes": _same_bytes(results),
        "best": _best(results),
        "turn": duration(TURN),
        "account": {"bytes": SEED_BYTES, "rows": SEED_ROWS, "time": SEED_TIME, "worker_time": SEED_WORKER_TIME},
        "plots": {
            "shards": Markup(plots.over_shards(results)),  # noqa: S704 - drawn here
            "scales": Markup(plots.over_scales(results)),  # noqa: S704
            "writes": Markup(plots.writes(results)),  # noqa: S704
            "hosts": Markup(plots.over_hosts(results)),  # noqa: S704
        },
    }


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(duration=duration, size=size, times=times, median=median)
    environment.globals.update(ratio=_ratio, against=_against_psql)
    environment.globals.update(cell=_cell, ways=_ways, counts=_counts, left_out=_left_out)
    return environment
