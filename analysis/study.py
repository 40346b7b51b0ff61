"""Runs the analysis: the ways to ask the question in turn, several times; one country's report; writes; the race of loads.

What each of them is, is in scenarios.py, load.py, race.py and clients.py. Returns typed results; writes no report.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import resource
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from analysis.clients import bench_writes
from analysis.data import Dataset
from analysis.errors import AnalysisError
from analysis.explain import Explained
from analysis.load import analyze, copy_static, fill
from analysis.place import Place, statement
from analysis.race import race
from analysis.results import (
    TURN,
    Answer,
    Country,
    CountryReport,
    Load,
    Machine,
    Results,
    Run,
    Scenario,
    Study,
    Writes,
)
from analysis.scenarios import (
    COLOCATED,
    ONE_NODE,
    REFERENCE,
    REPARTITION,
    SINGLE_HASH,
    Way,
    branches_again,
    most_connections,
)
from analysis.tables import plain_tables, sharded_tables
from analysis.world import COUNTRIES
from components.database.connections import Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from analysis.load import Loaded

__all__ = ["CLIENTS", "SCALES", "SHARD_COUNTS", "Plan", "measure"]

SHARD_COUNTS: Final = (4, 8, 16, 32)
SMALL: Final = 1_000
"""Sales for the curve over shard counts: so few that what is measured is the way, not the rows."""
SCALES: Final = (10_000, 100_000, 1_000_000)
CLIENTS: Final = (1, 4, 16, 64)
PATIENCE: Final = 60.0
"""Seconds after which a way has no more turns, if it had two."""
FEWEST: Final = 2


@dataclass(frozen=True)
class Plan:
    """What is to be measured."""

    dataset: Dataset
    streams: int
    runs: int
    shard_counts: Sequence[int] = SHARD_COUNTS
    scales: Sequence[int] = SCALES
    clients: Sequence[int] = CLIENTS
    seconds: int = 3
    """Of each measurement of writes."""


@dataclass
class _Measured:
    """What one way has shown so far."""

    way: Way
    place: Place
    connection: Connection
    runs: list[Run]
    explained: Explained
    connections: int
    spent: float = 0.0

    @property
    def goes_on(self) -> bool:
        return self.spent < PATIENCE or len(self.runs) < FEWEST

    def once(self, answer: list[Answer]) -> None:
        """Take a turn: ask as often as fits it, at least once; the answer must be the same."""
        started = time.perf_counter()
        times: list[float] = []
        while not times or (time.perf_counter() - started) * 1_000 < TURN:
            took, answered = self.way.ask(self.connection)
            refuse_other(self.way, answered, answer)
            times.append(took)
        self.explained = self.way.explain(self.connection)
        seen = self.explained
        self.runs.append(Run(time=statistics.median(times), explained=seen.time, bytes=seen.bytes, rows=seen.rows))
        self.spent += time.perf_counter() - started

    def scenario(self) -> Scenario:
        seen = self.explained
        return Scenario(
            key=self.way.key,
            title=self.way.title,
            sql=self.way.sql,
            settings=dict(self.way.settings),
            runs=self.runs,
            tasks=seen.task_count,
            map_tasks=seen.map_tasks,
            merge_tasks=seen.merge_tasks,
            connections=self.connections,
            nodes=seen.by_node(),
            plan=seen.plan,
        )


def refuse_other(way: Way, answered: Sequence[Answer], expected: Sequence[Answer]) -> None:
    """Raise AnalysisError where two ways to ask gave different answers: then nothing that was measured means anything."""
    differing = [pair for pair in zip(answered, expected, strict=False) if pair[0] != pair[1]]
    if differing or len(answered) != len(expected):
        first = f", for example {differing[0][0]} instead of {differing[0][1]}" if differing else ""
        msg = f"{way.title}: gave {len(answered)} rows that are not the {len(expected)} expected{first}"
        raise AnalysisError(msg)


def study(ways: Mapping[Way, Place], answer: list[Answer], runs: int, tell: Callable[[str], None]) -> list[Scenario]:
    """Ask in each way in turn, `runs` turns after a time that warms up, and return what was seen.

    A way that is slow has fewer turns, but at least two.

    Raises:
        AnalysisError: one of them gave another answer.
    """
    with ExitStack() as stack:
        measured = []
        for way, place in ways.items():
            connection = stack.enter_context(place.connected(way.title))
            way.prepare(connection)
            tell(f"{way.title}: warming up")
            with most_connections(place) if way is not ONE_NODE else nullcontext([0]) as most:
                refuse_other(way, way.ask(connection)[1], answer)
            measured.append(_Measured(way, place, connection, [], way.explain(connection), most[0]))
        for number in range(runs):
            for one in measured:
                if one.goes_on:
                    tell(f"{one.way.title}: {number + 1} of {runs}")
                    one.once(answer)
        return [one.scenario() for one in measured]


def measure(
    place: Place, one_node: Place, plan: Plan, loaded: Loaded, about: dict[str, Any], tell: Callable[[str], None]
) -> Results:
    """Measure everything, on tables that are loaded.

    Args:
        place: the stack's own tables.
        one_node: the same rows on one node.
        plan: what is to be measured.
        loaded: what was loaded into the stack's tables.
        about: versions of the cluster, its runtime and number of workers, and the tables' shard count.
        tell: told what is going on.
    """
    started = dt.datetime.now(dt.UTC)
    shards: int = about.pop("shard_count")
    answer = [
        Answer(pais=pais, canal_venta=channel, profit=profit)
        for (pais, channel), profit in sorted(loaded.profit.items())
    ]
    with place.connected("asking how names are sorted") as connection:
        analyze(connection)
        order = [(a.pais, a.canal_venta) for a in COLOCATED.ask(connection)[1]]
    answer = sorted(
        answer, key=lambda it: order.index((it.pais, it.canal_venta)) if (it.pais, it.canal_venta) in order else -1
    )
    with one_node.connected("preparing one node") as connection:
        analyze(connection)
    studies = [_own(place, one_node, plan, loaded, shards, answer, tell)]
    studies += _curves(place, plan, tell)
    sales, lines = (sum(getattr(totals, kind) for totals in loaded.totals.values()) for kind in ("sales", "lines"))
    tell("loading the same rows in several ways")
    runners = race(place, plan.dataset, shard_count=shards)
    return Results(
        started_at=started.isoformat(timespec="seconds"),
        scale=plan.dataset.scale,
        seed=plan.dataset.seed,
        runs=plan.runs,
        most_memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        machine=_machine(about),
        countries=_countries(place, loaded),
        load=Load(
            sales=sales,
            lines=lines,
            streams=plan.streams,
            seconds=loaded.seconds if loaded.rows else None,
            loaded=loaded.rows,
            race=runners,
        ),
        answer=answer,
        studies=studies,
        country=_one_country(place, one_node, plan.runs, shards),
        writes=_writes(place, one_node, plan, shards, tell),
    )


def _own(
    place: Place,
    one_node: Place,
    plan: Plan,
    loaded: Loaded,
    shards: int,
    answer: list[Answer],
    tell: Callable[[str], None],
) -> Study:
    tell("the stack's own tables")
    with (
        branches_again(place, "reference", shards) as reference,
        branches_again(place, "single_hash", shards) as single,
    ):
        ways = {COLOCATED: place, REPARTITION: place, SINGLE_HASH: single, REFERENCE: reference, ONE_NODE: one_node}
        scenarios = study(ways, answer, plan.runs, tell)
    lines = sum(totals.lines for totals in loaded.totals.values())
    return Study(sales=plan.dataset.scale, lines=lines, shard_count=shards, of="stack", scenarios=scenarios)


def _curves(place: Place, plan: Plan, tell: Callable[[str], None]) -> list[Study]:
    """Measure over shard counts with few sales, and over scales with few shards."""
    fewest = min(plan.shard_counts, default=0)
    wanted = [(count, SMALL) for count in plan.shard_counts]
    wanted += [(fewest, scale) for scale in plan.scales if SMALL < scale <= plan.dataset.scale and fewest]
    studies = []
    for count, sales in wanted:
        tell(f"{sales:,} sales in {count} shards")
        dataset = Dataset(sales, plan.dataset.seed)
        with sharded_tables(place, f"{sales}_in_{count}", count) as own:
            lines = fill(own, dataset)
            with (
                branches_again(own, "reference", count) as reference,
                branches_again(own, "single_hash", count) as single,
                own.connected(COLOCATED.title) as connection,
            ):
                answer = COLOCATED.ask(connection)[1]
                ways = {COLOCATED: own, REPARTITION: own, SINGLE_HASH: single, REFERENCE: reference}
                scenarios = study(ways, answer, plan.runs, tell)
        studies.append(Study(sales=sales, lines=lines, shard_count=count, of="copy", scenarios=scenarios))
    return studies


def _one_country(place: Place, one_node: Place, runs: int, shards: int) -> CountryReport:
    """Ask for the smallest country alone, where all the others are in the way the most."""
    country = min(COUNTRIES, key=lambda it: it.share)
    way = Way("country", "one country's report", "country")
    arguments = {"pais": country.id_pais}
    times: dict[str, list[float]] = {"cluster": [], "one node": []}
    seen: dict[str, Explained] = {}
    with place.connected(way.title) as cluster, one_node.connected(way.title) as one:
        for connection in (cluster, one):
            way.prepare(connection)
            way.ask(connection, arguments)
        for _ in range(runs):
            for name, connection in (("cluster", cluster), ("one node", one)):
                times[name].append(way.ask(connection, arguments)[0])
                seen[name] = way.explain(connection, arguments)
    return CountryReport(
        pais=country.pais,
        shards=seen["cluster"].task_count,
        of_shards=_shards_now(place) or shards,
        cluster_bytes=seen["cluster"].bytes_read,
        one_node_bytes=seen["one node"].bytes_read,
        cluster_times=times["cluster"],
        one_node_times=times["one node"],
    )


def _writes(place: Place, one_node: Place, plan: Plan, shards: int, tell: Callable[[str], None]) -> list[Writes]:
    if not plan.clients:
        return []
    script = statement("write_sale")
    figures: dict[int, dict[str, list[float]]] = {clients: {"one": [], "cluster": []} for clients in plan.clients}
    with sharded_tables(place, "writes", shards) as cluster, plain_tables(one_node, "writes") as one:
        for own in (cluster, one):
            with own.connected("preparing writes") as connection, connection.transaction():
                copy_static(connection)
        for number in range(3):
            for clients, rates in figures.items():
                tell(f"writes by {clients} clients: {number + 1} of 3")
                rates["one"].append(bench_writes(one, script, clients=clients, seconds=plan.seconds))
                rates["cluster"].append(bench_writes(cluster, script, clients=clients, seconds=plan.seconds))
    return [Writes(clients=clients, one_node=it["one"], cluster=it["cluster"]) for clients, it in figures.items()]


def _shards_now(place: Place) -> int:
    with place.connected("counting shards") as connection:
        row = connection.execute("select count(*) from pg_dist_shard where logicalrelid = 'venta'::regclass").fetchone()
    return int(row[0]) if row else 0


def _countries(place: Place, loaded: Loaded) -> list[Country]:
    with place.connected("asking where countries are") as connection:
        where = {"countries": [country.id_pais for country in COUNTRIES]}
        lying = {pais: (node, pinned) for pais, node, pinned in connection.execute(statement("get_countries"), where)}
    return [
        Country(
            id_pais=country.id_pais,
            pais=country.pais,
            sales=loaded.totals[country.id_pais].sales,
            lines=loaded.totals[country.id_pais].lines,
            node=lying[country.id_pais][0],
            pinned=lying[country.id_pais][1],
        )
        for country in COUNTRIES
    ]


def _machine(about: dict[str, Any]) -> Machine:
    return Machine(
        cores=os.cpu_count() or 0,
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        platform=platform.platform(),
        python=platform.python_version(),
        **about,
    )
