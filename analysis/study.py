"""Runs the analysis: the ways to ask the question in turn, several times; one country's report; writes; the race of loads.

What each of them is, is in scenarios.py, load.py, race.py and writes.py. Returns typed results; writes no report.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import resource
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from analysis.data import Dataset
from analysis.errors import AnalysisError
from analysis.explain import Explained
from analysis.load import analyze, fill
from analysis.place import Place, statement
from analysis.race import race
from analysis.results import (
    TURN,
    Answer,
    Country,
    CountryReport,
    Load,
    Machine,
    Part,
    Race,
    Results,
    Run,
    Scenario,
    Study,
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
from analysis.tables import sharded_tables
from analysis.world import COUNTRIES
from analysis.writes import measure_writes
from components.database.connections import Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from analysis.load import Loaded

__all__ = ["FIRST_ANSWER", "WHOLE_STUDY", "Extent", "Plan", "measure"]

SMALL: Final = 1_000
"""Sales for the curve over shard counts: so few that what is measured is the way, not the rows."""


@dataclass(frozen=True)
class Extent:
    """How much is measured, by default."""

    ways: tuple[Way, ...]
    """To ask the question of the stack's own tables."""
    shard_counts: Sequence[int]
    scales: Sequence[int]
    clients: Sequence[int]
    """That write at once."""
    seconds: int
    """Of each measurement of writes."""
    rounds: int
    """Of the writes."""
    fewest: int
    """Turns of a way that takes long."""
    patience: float
    """Seconds after which a way has no more turns than the fewest. Where one execution takes longer, none is to warm up."""


FIRST_ANSWER: Final = Extent((COLOCATED, REPARTITION, ONE_NODE), (), (), (16,), 2, 2, fewest=1, patience=5.0)
WHOLE_STUDY: Final = Extent(
    (COLOCATED, REPARTITION, SINGLE_HASH, REFERENCE, ONE_NODE),
    (4, 8, 16, 32),
    (10_000, 100_000, 1_000_000),
    (1, 4, 16, 64, 256, 512),
    3,
    3,
    fewest=2,
    patience=60.0,
)


@dataclass(frozen=True)
class Plan:
    """What is to be measured."""

    dataset: Dataset
    streams: int
    runs: int
    extent: Extent

    @property
    def whole(self) -> bool:
        """Tell whether the other curves are measured too: the race of loads, and equal shares of the processors."""
        return self.extent.ways == WHOLE_STUDY.ways


@dataclass
class _Measured:
    """What one way has shown so far."""

    way: Way
    place: Place
    connection: Connection
    connections: int
    runs: list[Run]
    explained: Explained | None = None
    """Of the last turn."""
    spent: float = 0.0

    def goes_on(self, extent: Extent) -> bool:
        return self.spent < extent.patience or len(self.runs) < extent.fewest

    def once(self, answer: list[Answer]) -> None:
        """Take a turn: ask as often as fits it, at least once; the answer must be the same."""
        started = time.perf_counter()
        times: list[float] = []
        while not times or (time.perf_counter() - started) * 1_000 < TURN:
            took, answered = self.way.ask(self.connection)
            refuse_other(self.way, answered, answer)
            times.append(took)
        self.add(times)

    def add(self, times: Sequence[float]) -> None:
        """Add a turn of plain executions that took so long, and explain it by another one."""
        started = time.perf_counter()
        self.explained = seen = self.way.explain(self.connection)
        self.runs.append(Run(time=statistics.median(times), explained=seen.time, bytes=seen.bytes, rows=seen.rows))
        self.spent += time.perf_counter() - started + sum(times) / 1_000

    def scenario(self) -> Scenario:
        seen = self.explained or self.way.explain(self.connection)
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


def study(ways: Mapping[Way, Place], answer: list[Answer], plan: Plan, tell: Callable[[str], None]) -> list[Scenario]:
    """Ask in each way in turn, the plan's turns after a time that warms up, and return what was seen.

    A way that is slow has fewer turns, as the plan's extent says; one that is very slow is not warmed up.

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
                took, answered = way.ask(connection)
            refuse_other(way, answered, answer)
            measured.append(_Measured(way, place, connection, most[0], []))
            if took > plan.extent.patience * 1_000:
                tell(f"{way.title}: takes long, so this was a turn")
                measured[-1].add([took])
        for number in range(plan.runs):
            for one in measured:
                if one.goes_on(plan.extent):
                    tell(f"{one.way.title}: {number + 1} of {plan.runs}")
                    one.once(answer)
        return [one.scenario() for one in measured]


def measure(
    place: Place,
    one_node: Place,
    plan: Plan,
    loaded: Loaded,
    about: dict[str, Any],
    tell: Callable[[str], None],
    say: Callable[[str], None],
) -> Results:
    """Measure what the plan says, on tables that are loaded.

    Args:
        place: the stack's own tables.
        one_node: the same rows on one node.
        plan: what is to be measured.
        loaded: what was loaded into the stack's tables.
        about: versions of the cluster, its runtime and number of workers, the machine's load, the tables' shard count, where
            nodes have poolers, and how many seconds it took to come here.
        tell: told what is going on.
        say: told what a person has to know afterwards, too.
    """
    started = dt.datetime.now(dt.UTC)
    shards: int = about.pop("shard_count")
    poolers: dict[str, str] = about.pop("poolers")
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
    parts = [Part(name="loading, and what is before it", seconds=about.pop("prepared"))]
    with _timed("asking the stack's own tables", parts):
        studies = [_own(place, one_node, plan, loaded, shards, answer, tell)]
    if plan.extent.shard_counts:
        with _timed("asking over shard counts and scales", parts):
            studies += _curves(place, plan, tell)
    sales, lines = (sum(getattr(totals, kind) for totals in loaded.totals.values()) for kind in ("sales", "lines"))
    runners: list[Race] = []
    if plan.whole:
        tell("loading the same rows in several ways")
        with _timed("loading in several ways", parts):
            runners = race(place, plan.dataset, shard_count=shards)
    with _timed("one country's report", parts):
        country = _one_country(place, one_node, plan.runs, shards)
    with _timed("writing", parts):
        extent = plan.extent
        written = measure_writes(
            place,
            one_node,
            shard_count=shards,
            poolers=poolers if plan.whole else {},
            clients=extent.clients,
            seconds=extent.seconds,
            rounds=extent.rounds,
            equal=plan.whole,
            tell=tell,
            say=say,
        )
    return Results(
        started_at=started.isoformat(timespec="seconds"),
        scale=plan.dataset.scale,
        seed=plan.dataset.seed,
        runs=plan.runs,
        whole=plan.whole,
        parts=parts,
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
        country=country,
        writes=written.writes,
        shares=written.shares,
        shares_left_out=written.shares_left_out,
    )


@contextmanager
def _timed(name: str, parts: list[Part]) -> Iterator[None]:
    started = time.perf_counter()
    yield
    parts.append(Part(name=name, seconds=time.perf_counter() - started))


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
    with ExitStack() as stack:
        places = {COLOCATED: place, REPARTITION: place, ONE_NODE: one_node}
        for way in (REFERENCE, SINGLE_HASH):
            if way in plan.extent.ways:
                places[way] = stack.enter_context(branches_again(place, way.key, shards))
        scenarios = study({way: places[way] for way in plan.extent.ways}, answer, plan, tell)
    lines = sum(totals.lines for totals in loaded.totals.values())
    return Study(sales=plan.dataset.scale, lines=lines, shard_count=shards, of="stack", scenarios=scenarios)


def _curves(place: Place, plan: Plan, tell: Callable[[str], None]) -> list[Study]:
    """Measure over shard counts with few sales, and over scales with few shards."""
    fewest = min(plan.extent.shard_counts, default=0)
    wanted = [(count, SMALL) for count in plan.extent.shard_counts]
    wanted += [(fewest, scale) for scale in plan.extent.scales if SMALL < scale <= plan.dataset.scale and fewest]
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
                scenarios = study(ways, answer, plan, tell)
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


def _shards_now(place: Place) -> int:
    with place.connected("counting shards") as connection:
        row = connection.execute("select count(*) from pg_dist_shard where logicalrelid = 'venta'::regclass").fetchone()
    return int(row[0]) if row else 0


def _countries(place: Place, loaded: Loaded) -> list[Country]:
    with place.connected("asking where countries are") as connection:
        where = {"countries": [country.id_pais for country in COUNTRIES]}
        lying = {
            pais: (node, pinned) for pais, node, pinned, _ in connection.execute(statement("get_countries"), where)
        }
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
