"""How many sales a second are written, in each way to write them: through which server, and in how many statements.

The ways are measured in turn, on tables made for it, by pgbench. Which servers a way writes to is its entry. Another way is
another line of SCRIPTS, and another kind of entry one of ENTRIES.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from psycopg import sql

from analysis.clients import Job, pgbench
from analysis.errors import NotMeasuredError
from analysis.load import copy_static
from analysis.place import Place, statement
from analysis.results import ONE_NODE, TYPICAL, CpuShares, Writes
from analysis.shares import equal_shares, get_obstacle
from analysis.tables import plain_tables, sharded_tables
from analysis.world import COUNTRIES
from components.database.functions import ensure_distributed
from components.names import TableName
from components.tables import FunctionDeclaration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from analysis.clients import Bench
    from components.database.connections import Connection

__all__ = ["COORDINATOR", "WAYS", "Door", "Measured", "WayToWrite", "compare", "deal", "measure_writes"]

COORDINATOR: Final = "coordinator"
ENTRIES: Final = {
    ONE_NODE: "one node",
    COORDINATOR: "coordinator",
    "worker": "straight to the country's worker",
    f"{ONE_NODE} by pooler": "one node by the pooler",
    "coordinator by pooler": "coordinator by its pooler",
    "worker by pooler": "straight to the country's worker by its pooler",
}
"""Titles of the entries: which servers clients write to. Those by pooler are for stacks that have one."""
SCRIPTS: Final = {"write_sale": "statement by statement", "write_sale_in_one_call": "one call a sale"}
"""Titles of pgbench's scripts in sql/analysis/."""


@dataclass(frozen=True)
class WayToWrite:
    """One way to write a sale: a script of SCRIPTS, by an entry of ENTRIES."""

    entry: str
    script: str

    @property
    def key(self) -> str:
        """Return its name in data."""
        return f"{self.entry}, {SCRIPTS[self.script]}"

    @property
    def title(self) -> str:
        """Return its name for people."""
        return f"{ENTRIES[self.entry]}, {SCRIPTS[self.script]}"

    @property
    def against(self) -> WayToWrite:
        """Return the way that asks one node the same."""
        return WayToWrite(f"{ONE_NODE} by pooler" if self.entry.endswith("by pooler") else ONE_NODE, self.script)


WAYS: Final = tuple(WayToWrite(entry, script) for script in SCRIPTS for entry in ENTRIES)
"""In the order in which they are measured and told."""


@dataclass(frozen=True)
class Door:
    """A server that clients write to, and the countries whose sales they write there."""

    place: Place
    countries: tuple[int, ...]


@dataclass(frozen=True)
class Measured:
    """What the writes came to."""

    writes: list[Writes]
    shares: CpuShares | None
    shares_left_out: str


def measure_writes(  # noqa: PLR0913 - what is measured, where, and how
    place: Place,
    one_node: Place,
    *,
    shard_count: int,
    poolers: Mapping[str, str],
    clients: Sequence[int],
    seconds: int,
    rounds: int,
    equal: bool,
    tell: Callable[[str], None],
    say: Callable[[str], None],
) -> Measured:
    """Measure each way, and with equal shares of the processors again.

    Args:
        place: the stack's own tables, which are left alone; new ones are made, with the countries on the same workers.
        one_node: the database on one node.
        shard_count: of the new tables.
        poolers: where clients reach those that there are: the coordinator's as COORDINATOR, a worker's by the worker's address.
        clients: numbers of clients that write at once; none, and nothing is measured.
        seconds: of each measurement.
        rounds: how often each is measured.
        equal: whether to measure again with equal shares of the processors.
        tell: told what is going on.
        say: told what is changed on the nodes for a while.
    """
    if not clients:
        return Measured([], None, "")
    with _entries(place, one_node, shard_count, poolers) as entries, pgbench(place) as bench:
        writes = compare(bench, entries, clients, seconds=seconds, rounds=rounds, tell=tell)
        if not equal:
            return Measured(writes, None, "the whole study measures it")
        nodes = [door.place.server.host for door in entries["worker"]]
        obstacle = get_obstacle(place, nodes)
        if obstacle:
            return Measured(writes, None, obstacle)
        equal_clients = TYPICAL if TYPICAL in clients else max(clients)
        with equal_shares(place, nodes, say) as (containers, cpus):
            shared = compare(bench, entries, [equal_clients], seconds=seconds, rounds=rounds, tell=tell)
    return Measured(writes, CpuShares(cpus=cpus, containers=containers, writes=shared), "")


def compare(
    bench: Bench,
    entries: Mapping[str, Sequence[Door]],
    clients: Sequence[int],
    *,
    seconds: int,
    rounds: int,
    tell: Callable[[str], None],
) -> list[Writes]:
    """Measure each way that has an entry with each number of clients, in turn.

    What cannot be measured is left out, with the reason.
    """
    ways = [way for way in WAYS if way.entry in entries]
    rates: dict[tuple[int, str], list[float]] = {(count, way.key): [] for count in clients for way in ways}
    left_out: dict[tuple[int, str], str] = {}
    for number in range(rounds):
        for count in clients:
            for way in ways:
                point = (count, way.key)
                if point in left_out:
                    continue
                tell(f"writes by {count} clients, {way.title}: {number + 1} of {rounds}")
                try:
                    rates[point].append(bench(_jobs(way, entries[way.entry], count), seconds))
                except NotMeasuredError as error:
                    rates[point].clear()
                    left_out[point] = str(error)
    return [
        Writes(
            way=way.key,
            title=way.title,
            entry=way.entry,
            against=way.against.key,
            clients=count,
            rates=rates[count, way.key],
            left_out=left_out.get((count, way.key), ""),
        )
        for count in clients
        for way in ways
    ]


def _jobs(way: WayToWrite, doors: Sequence[Door], clients: int) -> list[Job]:
    dealt = zip(doors, deal(clients, [len(door.countries) for door in doors]), strict=True)
    return [
        Job(door.place, _choose(door.countries) + _script(way, door.place), count) for door, count in dealt if count
    ]


def _script(way: WayToWrite, place: Place) -> str:
    """Return pgbench's script with the tables' schema: a session that others share has no search path of its own."""
    return sql.SQL(statement(way.script)).format(schema=sql.Identifier(place.schema)).as_string(None)


def deal(clients: int, weights: Sequence[int]) -> list[int]:
    """Deal clients out in turn to doors that have so many countries each; the first have more where they do not come out even."""
    turns = [door for turn in range(max(weights)) for door, weight in enumerate(weights) if turn < weight]
    return [sum(turns[number % len(turns)] == door for number in range(clients)) for door in range(len(weights))]


def _choose(countries: Sequence[int]) -> str:
    """Return lines of pgbench that set :pais to one of some countries, each as likely."""
    *others, last = countries
    cases = "".join(f"when :turno = {number} then {pais} " for number, pais in enumerate(others, 1))
    chosen = f"case {cases}else {last} end" if others else str(last)
    return f"\\set turno random(1, {len(countries)})\n\\set pais {chosen}\n"


# --- the tables ------------------------------------------------------------------------------------------------------


@contextmanager
def _entries(
    place: Place, one_node: Place, shard_count: int, poolers: Mapping[str, str]
) -> Iterator[dict[str, list[Door]]]:
    """Yield the servers to write to by entries, with tables and the function `vender`; those are dropped afterwards."""
    with sharded_tables(place, "writes", shard_count) as cluster, plain_tables(one_node, "writes") as one:
        for own in (cluster, one):
            with own.connected("preparing writes") as connection:
                with connection.transaction():
                    copy_static(connection)
                connection.execute(sql.SQL(statement("create_sell")).format(schema=sql.Identifier(own.schema)))
        with place.connected("asking where countries are") as connection:
            wanted = {pais: node for pais, (node, _) in _locate(connection).items()}
        with cluster.connected("preparing writes to workers") as connection:
            _settle(connection, wanted)
            table = TableName(cluster.schema, "venta")
            signature = f"{cluster.schema}.vender(integer, integer, integer)"
            ensure_distributed(
                connection, FunctionDeclaration(function=signature, argument="pais", colocate_with=table)
            )
            there = _locate(connection)
        every = tuple(country.id_pais for country in COUNTRIES)
        entries = {
            ONE_NODE: [Door(one, every)],
            COORDINATOR: [Door(cluster, every)],
            "worker": [
                Door(_at(cluster, node), tuple(pais for pais in every if there[pais][0] == node))
                for node in sorted({node for node, _ in there.values()})
            ],
        }
        pooled = {entry: [_pooler_of(door.place, entry, poolers) for door in doors] for entry, doors in entries.items()}
        yield entries | {
            f"{entry} by pooler": [
                Door(_at(door.place, at), door.countries) for door, at in zip(entries[entry], found, strict=True)
            ]
            for entry, found in pooled.items()
            if all(found)
        }


def _pooler_of(place: Place, entry: str, poolers: Mapping[str, str]) -> str:
    return poolers.get(f"{place.server.host}:{place.server.port}" if entry == "worker" else COORDINATOR, "")


def _locate(connection: Connection) -> dict[int, tuple[str, int]]:
    """Return the worker of each country, as `name:port`, and its shard."""
    where = {"countries": [country.id_pais for country in COUNTRIES]}
    return {pais: (node, shard) for pais, node, _, shard in connection.execute(statement("get_countries"), where)}


def _settle(connection: Connection, wanted: Mapping[int, str]) -> None:
    """Move each country to its worker; of countries that share a shard, the first one's counts."""
    moved = set()
    for pais, (node, shard) in _locate(connection).items():
        if node != wanted[pais] and shard not in moved:
            move = {"shard": shard, "source": node, "target": wanted[pais]}
            connection.execute(statement("move_country"), move)
        moved.add(shard)


def _at(place: Place, address: str) -> Place:
    """Return the same tables, as seen from another server: a worker, or a pooler, at `host:port`."""
    host, _, port = address.rpartition(":")
    return replace(place, server=replace(place.server, name=address, host=host, port=int(port), log=None))
