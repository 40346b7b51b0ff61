"""What the analysis has measured, as typed data: the report is made of it, and `analysis/report/data.json` is it.

The JSON's schema is that of `Results` (`Results.model_json_schema()`), with these descriptions. Durations are in milliseconds
unless a name says otherwise, sizes in bytes, money in hundredths.
"""

from __future__ import annotations

import statistics
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "ONE_NODE",
    "PSQL",
    "TURN",
    "TYPICAL",
    "Answer",
    "Asked",
    "Country",
    "CountryReport",
    "CpuShares",
    "Load",
    "Machine",
    "NodeShare",
    "OverHosts",
    "Part",
    "PlanNode",
    "Race",
    "Results",
    "Run",
    "Scenario",
    "Study",
    "Writes",
    "WrittenOverHosts",
]


TURN: Final = 250.0
"""Milliseconds that a way is asked in its turn: a quick one many times, so that what the one before left behind is gone."""
TYPICAL: Final = 16
"""Clients at once that stand for a company's."""
ONE_NODE: Final = "one node"
"""Entry of the writes that a cluster's are compared with."""
PSQL: Final = "psql \\copy, 1 stream"
"""The way to load that all others are compared with."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Machine(_Model):
    """Where it was measured, and with what."""

    cores: int
    memory: int = Field(description="bytes")
    platform: str
    python: str
    citus: str
    postgres: str
    runtime: str = Field(description="docker or local: what runs the nodes")
    workers: int
    load: float = Field(description="load average of the minute before it began: processes that ran or waited to run")


class Country(_Model):
    """A country of the data."""

    id_pais: int
    pais: str
    sales: int
    lines: int
    node: str = Field(description="name:port of the worker that holds it")
    pinned: bool = Field(description="it has a shard of its own, by citus:tenants")


class Race(_Model):
    """One way to load the same rows."""

    name: str
    streams: int
    rows: int
    seconds: list[float]

    @property
    def rate(self) -> float:
        """Return the median of rows a second."""
        return self.rows / statistics.median(self.seconds)

    @property
    def spread(self) -> tuple[float, float]:
        """Return the fewest and the most rows a second."""
        return self.rows / max(self.seconds), self.rows / min(self.seconds)


class Load(_Model):
    """The rows that were loaded, and how fast."""

    sales: int
    lines: int
    streams: int
    seconds: float | None = Field(description="of this run; none where an earlier one had loaded all")
    loaded: int = Field(description="rows of both tables that this run loaded")
    race: list[Race]

    @property
    def best(self) -> Race | None:
        """Return the fastest way."""
        return max(self.race, key=lambda it: it.rate, default=None)

    def against_psql(self, way: Race) -> float | None:
        """Return how many times as fast as psql a way is; None where this machine has no psql."""
        psql = next((it for it in self.race if it.name == PSQL), None)
        return way.rate / psql.rate if psql else None


class PlanNode(_Model):
    """One step of a query plan, as a person reads it."""

    title: str
    facts: list[str] = []
    children: list[PlanNode] = []


class NodeShare(_Model):
    """What one worker did in a query whose tasks are shown."""

    node: str
    tasks: int
    bytes: int
    rows: int
    slowest: float = Field(description="execution time of its slowest task")


class Run(_Model):
    """One turn of a way: the query as often as fits TURN, then EXPLAIN ANALYZE of it."""

    time: float = Field(description="of the plain query, until the last row is here: the median of the turn")
    explained: float = Field(description="execution time that EXPLAIN ANALYZE says")
    bytes: int = Field(description="tuple data that the coordinator received from the workers")
    rows: int = Field(description="rows that the coordinator received from the workers")


class Scenario(_Model):
    """One way to ask the question, as it was executed several times."""

    key: str = Field(description="colocated, repartition, single_hash, reference or one_node")
    title: str
    sql: str
    settings: dict[str, str]
    runs: list[Run]
    tasks: int
    map_tasks: int = Field(
        description="tasks that split rows by the join column and write them down for others to fetch"
    )
    merge_tasks: int = Field(description="tasks that fetch and put together what map tasks wrote")
    connections: int = Field(description="the most connections that the coordinator had to the workers")
    nodes: list[NodeShare] = Field(description="empty where Citus shows no tasks, as of a repartition join")
    plan: PlanNode

    @property
    def median(self) -> float:
        """Return the median of the plain query's time."""
        return statistics.median(run.time for run in self.runs)

    @property
    def spread(self) -> tuple[float, float]:
        """Return the shortest and the longest time."""
        return min(run.time for run in self.runs), max(run.time for run in self.runs)


class Study(_Model):
    """Several ways to ask the question of the same rows, executed in turn."""

    sales: int
    lines: int
    shard_count: int
    of: str = Field(
        description="stack: the stack's own tables; copy: tables made for the measurement, dropped after it"
    )
    scenarios: list[Scenario]

    def scenario(self, key: str) -> Scenario | None:
        """Return the scenario of that key, where it was executed."""
        return next((it for it in self.scenarios if it.key == key), None)


class Answer(_Model):
    """A row of the question's answer."""

    pais: str
    canal_venta: str
    profit: int = Field(description="hundredths of the country's currency")


class CountryReport(_Model):
    """One country's report, on one node that holds the world and on the cluster."""

    pais: str
    shards: int = Field(description="shards of venta that the cluster looked into")
    of_shards: int
    cluster_bytes: int = Field(description="table and index pages that the cluster read, from memory or disk")
    one_node_bytes: int
    cluster_times: list[float]
    one_node_times: list[float]


class Writes(_Model):
    """Sales written a second in one way, each with two lines in one transaction, by so many clients at once."""

    way: str = Field(description="key of the way")
    title: str
    entry: str = Field(
        description="which servers are written to: one node, coordinator or worker, each itself or by its pooler"
    )
    against: str = Field(description="key of the way that asks one node the same")
    clients: int
    rates: list[float] = Field(description="of each round; empty where it could not be measured")
    left_out: str = Field(default="", description="why it could not be measured")

    @property
    def asked(self) -> str:
        """Return what the servers are asked, as the title says it."""
        return self.title.rpartition(", ")[2]

    @property
    def rate(self) -> float:
        """Return the median of the rates; it has some."""
        return statistics.median(self.rates)


class CpuShares(_Model):
    """Writes while each node had no more than its own share of the processors, as machines of their own would give."""

    cpus: float = Field(description="processors of each node, the coordinator included; the clients had no limit")
    containers: list[str] = Field(description="that were limited")
    writes: list[Writes]


class Asked(_Model):
    """The question over a network: one way to ask, at one distance between two hosts."""

    round_trip: float = Field(description="milliseconds from one host to another and back")
    way: str
    times: list[float] = Field(description="milliseconds; connections are there before")
    on_the_wire: int = Field(description="bytes that the hosts sent for one execution, the median")
    received: int = Field(description="bytes of rows that the coordinator received, as Citus says")

    @property
    def median(self) -> float:
        """Return the median of the times."""
        return statistics.median(self.times)


class WrittenOverHosts(_Model):
    """Writes over a network, at one distance between two hosts."""

    round_trip: float
    writes: list[Writes]


class OverHosts(_Model):
    """Nodes on several hosts, which are engines in network namespaces of one machine: so it is the network that is measured."""

    hosts: int
    sales: int
    started_at: str = Field(description="UTC, ISO 8601")
    asked: list[Asked]
    written: list[WrittenOverHosts]

    def find(self, way: str) -> list[Asked]:
        """Return how long a way took, by the distance."""
        return sorted((it for it in self.asked if it.way == way), key=lambda it: it.round_trip)


class Part(_Model):
    """A part of the analysis, and how long it took."""

    name: str
    seconds: float


class Results(_Model):
    """Everything that one run of the analysis has measured."""

    version: int = Field(default=2, description="of this schema")
    started_at: str = Field(description="UTC, ISO 8601")
    scale: int = Field(description="sales")
    seed: int
    runs: int = Field(description="turns of each scenario, after an execution that warms up")
    whole: bool = Field(description="the whole study; else the first answer, which leaves out what takes long")
    parts: list[Part] = Field(description="in their order")
    most_memory: int = Field(description="bytes that the analysis itself had in memory at the most")
    machine: Machine
    countries: list[Country]
    load: Load
    answer: list[Answer]
    studies: list[Study] = Field(description="the stack's own tables first, then over shard counts, then over scales")
    country: CountryReport
    writes: list[Writes] = Field(description="by clients, then by ways")
    shares: CpuShares | None = Field(description="none where it was not measured")
    shares_left_out: str = Field(default="", description="why the writes with equal shares were not measured")
    over_hosts: OverHosts | None = Field(default=None, description="of benchmarks.hosts, where that was run")

    @property
    def typical_clients(self) -> int:
        """Return at which number of clients ways to write are told apart in words: 16, else the most that all ways took."""
        counts = {it.clients for it in self.writes}
        all_ways = [count for count in counts if all(it.rates for it in self.writes if it.clients == count)]
        return TYPICAL if TYPICAL in all_ways else max(all_ways, default=0)

    @property
    def own(self) -> Study:
        """Return the study of the stack's own tables."""
        return next(study for study in self.studies if study.of == "stack")

    def over_shards(self) -> list[Study]:
        """Return the studies of the same few sales in 4, 8, 16 and 32 shards."""
        copies = [study for study in self.studies if study.of == "copy"]
        smallest = min((study.sales for study in copies), default=0)
        return sorted((it for it in copies if it.sales == smallest), key=lambda it: it.shard_count)

    def over_scales(self) -> list[Study]:
        """Return the studies of more and more sales in as few shards as were tried."""
        copies = [study for study in self.studies if study.of == "copy"]
        fewest = min((study.shard_count for study in copies), default=0)
        return sorted((it for it in copies if it.shard_count == fewest), key=lambda it: it.sales)
