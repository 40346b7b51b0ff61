"""`python -m analysis`: loads the data into a stack that is up, asks the question in every way, and writes the report."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from psycopg.conninfo import conninfo_to_dict
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from analysis.data import LARGEST, SMALLEST, Dataset, expected_rows
from analysis.errors import AnalysisError
from analysis.load import Loaded, load
from analysis.pages import write_report
from analysis.place import Place
from analysis.study import FIRST_ANSWER, WHOLE_STUDY, Extent, Plan, measure
from analysis.tables import check_tables, drop_leftovers, drop_one_node, one_node
from analysis.writes import COORDINATOR
from cli.cluster import coordinator_of, is_stand_in
from cli.select_stack import select_stack
from cli.stacks import find_pulumi, read_outputs
from components.environment import print_anything
from components.errors import StackError
from components.nodes.docker.shape import POSTGRES_PORT
from components.nodes.node import pooler_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.access import Server

REPORT: Final = Path("analysis/report")
SEED: Final = 20_240_101
console = Console(highlight=False)


def find_cluster(outputs: Mapping[str, Any]) -> tuple[Place, dict[str, Any]]:
    """Return where the stack's tables are, and what a report says of the cluster.

    Raises:
        AnalysisError: nothing is up, or the cluster is a stand-in.
    """
    if "dsn" not in outputs:
        msg = "no cluster is up: make up, with the same STACK"
        raise AnalysisError(msg)
    versions = outputs["versions"]
    if is_stand_in(outputs):
        msg = (
            f"this cluster is a stand-in for Citus ({versions['citus']}): it moves no rows, so nothing that is measured on it "
            "means anything. Use a stack on Docker, or a PostgreSQL of this host that has Citus"
        )
        raise AnalysisError(msg)
    server, password = coordinator_of(outputs)
    runtime = "local" if server.log and server.log.kind == "file" else "docker"
    about = {
        "citus": versions["citus"],
        "postgres": versions["postgres"].split()[0],
        "runtime": runtime,
        "workers": len(outputs["workers"]),
        "poolers": find_poolers(outputs, server),
    }
    return Place(server, password), about


def find_poolers(outputs: Mapping[str, Any], coordinator: Server) -> dict[str, str]:
    """Return the pooler of each node that has one, as `host:port`: the coordinator's as `coordinator`, a worker's by its address.

    They are as clients in the network of the coordinator's container reach them.
    """
    entries: dict[str, str] = dict(outputs.get("entries", {}))
    if "dsnPooled" in outputs:
        target = conninfo_to_dict(outputs["dsnPooled"])
        entries = {COORDINATOR: f"{target['host']}:{target['port']}", **entries}
    if "hosts" in outputs:
        return entries
    named = {node: node.rpartition(":")[0] for node in entries} | {
        COORDINATOR: coordinator.log.where if coordinator.log else ""
    }
    return {node: f"{pooler_name(named[node])}:{POSTGRES_PORT}" for node in entries}


def loaded(place: Place, title: str, dataset: Dataset, *, streams: int, reload: bool) -> Loaded:
    """Load what is missing, with progress shown."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=dataset.scale, rate="")
        rows = 0

        def report(sales: int, written: int) -> None:
            nonlocal rows
            rows += written
            elapsed = progress.tasks[0].elapsed or 0
            rate = f"sales; {rows / elapsed:,.0f} rows/s" if elapsed > 1 else "sales"
            progress.update(task, advance=sales, rate=rate)

        return load(place, dataset, streams=streams, reload=reload, report=report)


def numbers(text: str | None) -> list[int] | None:
    """Read numbers between commas; none is an empty text, and None what was not given."""
    return None if text is None else [int(part) for part in text.split(",") if part.strip()]


def extent_of(*, whole: bool, **given: Any) -> Extent:
    """Return what is measured: the first answer or the whole study, but what was given as that is."""
    return replace(WHOLE_STUDY if whole else FIRST_ANSWER, **{name: it for name, it in given.items() if it is not None})


def main(  # noqa: PLR0913, PLR0917 - a command's options
    stack: Annotated[str, typer.Option(help="a stack that is up")] = "",
    scale: Annotated[int, typer.Option(min=SMALLEST, max=LARGEST, help="sales")] = 100_000,
    seed: Annotated[int, typer.Option(help="another one gives other rows")] = SEED,
    streams: Annotated[int, typer.Option(min=1, max=64, help="blocks that are loaded side by side")] = 4,
    runs: Annotated[int, typer.Option(min=1, max=100, help="turns of each way to ask, after one that warms up")] = 5,
    shards: Annotated[str | None, typer.Option(help="shard counts of the curve")] = None,
    scales: Annotated[str | None, typer.Option(help="sales of the other curve")] = None,
    clients: Annotated[str | None, typer.Option(help="that write at once")] = None,
    seconds: Annotated[int | None, typer.Option(min=1, help="of each measurement of writes")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="of the writes")] = None,
    output: Annotated[Path, typer.Option(help="folder of the report")] = REPORT,
    *,
    whole: Annotated[
        bool, typer.Option(help="the whole study: cures, curves, the race of loads, equal shares")
    ] = False,
    reload: Annotated[bool, typer.Option(help="throw away first what an earlier run has loaded")] = False,
    keep: Annotated[bool, typer.Option(help="keep the database that holds everything on one node")] = False,
) -> None:
    """Load data into a stack that is up, ask the question in every way, and write the report."""
    find_pulumi()
    started, load_average = time.perf_counter(), os.getloadavg()[0]
    try:
        outputs = read_outputs(stack or select_stack())
        place, about = find_cluster(outputs)
        with place.connected("looking at the tables") as connection:
            about |= {"shard_count": check_tables(connection), "load": load_average}
        drop_leftovers(place)
        dataset = Dataset(scale, seed)
        console.print(
            f"{scale:,} sales, about {expected_rows(scale):,} rows, into the stack's tables and onto one node"
        )
        there = loaded(place, "the cluster", dataset, streams=streams, reload=reload)
        alone = one_node(place)
        loaded(alone, "one node", dataset, streams=streams, reload=reload)
        drop_leftovers(alone)
        about["prepared"] = time.perf_counter() - started
        given = {"shard_counts": numbers(shards), "scales": numbers(scales), "clients": numbers(clients)}
        extent = extent_of(whole=whole, seconds=seconds, rounds=rounds, **given)
        plan = Plan(dataset, streams, runs, extent)
        with console.status("measuring") as status:
            results = measure(place, alone, plan, there, about, status.update, console.print)
        write_report(results, output)
        if not keep:
            drop_one_node(place)
    except StackError as error:
        console.print(f"[red]error:[/] {error}", soft_wrap=True)
        sys.exit(1)
    if not whole:
        console.print("this is the first answer; the whole study, which takes much longer: make analysis WHOLE=1")
    console.print(f"report: {output / 'index.html'}, {output / 'report.md'} and {output / 'data.json'}")


if __name__ == "__main__":
    print_anything()
    typer.run(main)
