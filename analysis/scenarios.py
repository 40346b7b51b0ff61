"""The ways to ask the question, and the tables that some of them need. Runs them; what is made of the times is study.py's."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from psycopg import sql

from analysis.explain import Explained
from analysis.place import LEDGER, statement
from analysis.results import Answer
from analysis.tables import own_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from analysis.place import Place
    from components.database.connections import Connection

__all__ = [
    "COLOCATED",
    "ONE_NODE",
    "REFERENCE",
    "REPARTITION",
    "SINGLE_HASH",
    "Way",
    "branches_again",
    "most_connections",
]

EXPLAIN: Final = "explain (analyze, verbose, buffers, format json) "
POLL_SECONDS: Final = 0.002


@dataclass(frozen=True)
class Way:
    """One way to ask the question."""

    key: str
    title: str
    query: str
    """Name of a statement of sql/analysis/."""
    settings: tuple[tuple[str, str], ...] = ()
    """Of the session."""

    @property
    def sql(self) -> str:
        """Return the statement."""
        return statement(self.query)

    def ask(self, connection: Connection, arguments: Mapping[str, object] | None = None) -> tuple[float, list[Answer]]:
        """Return how long the plain query took, in milliseconds, and its answer."""
        started = time.perf_counter()
        rows = connection.execute(statement(self.query), arguments).fetchall()
        took = (time.perf_counter() - started) * 1_000
        return took, [
            Answer(pais=pais, canal_venta=channel, profit=int(profit * 100)) for pais, channel, profit in rows
        ]

    def explain(self, connection: Connection, arguments: Mapping[str, object] | None = None) -> Explained:
        """Execute the query again, and return what the server says of it."""
        row = connection.execute(EXPLAIN + statement(self.query), arguments).fetchone()
        return Explained.of(row[0] if row else [])

    def prepare(self, connection: Connection) -> None:
        """Make the session's settings those of this way."""
        for name, value in (("citus.explain_all_tasks", "on"), *self.settings):
            connection.execute("select set_config(%s, %s, false)", [name, value])


_REPARTITION: Final = (("citus.enable_repartition_joins", "on"),)
COLOCATED: Final = Way("colocated", "A: co-located join", "colocated")
REPARTITION: Final = Way("repartition", "B: repartition join", "repartition", _REPARTITION)
SINGLE_HASH: Final = Way(
    "single_hash",
    "B, cured: single-hash repartition",
    "repartition",
    (*_REPARTITION, ("citus.enable_single_hash_repartition_joins", "on")),
)
REFERENCE: Final = Way("reference", "B, cured: sucursal as reference table", "repartition")
ONE_NODE: Final = Way("one_node", "the old way: one node", "colocated")


@contextmanager
def branches_again(place: Place, kind: str, shard_count: int) -> Iterator[Place]:
    """Yield the same tables, but with sucursal as a reference table, or distributed by id_sucursal.

    It is a copy in a schema of its own, dropped afterwards.

    Args:
        place: the tables.
        kind: `reference` or `single_hash`.
        shard_count: into how many shards it is split where it is distributed.
    """
    with own_schema(place, f"{place.schema.removeprefix(LEDGER).strip('_')}_{kind}".strip("_")) as own:
        with own.connected("copying sucursal") as connection:
            source = sql.Identifier(place.schema, "sucursal")
            connection.execute(sql.SQL("create table sucursal (like {} including defaults)").format(source))
            connection.execute(statement(f"shard_branches_{kind}"), {"shard_count": shard_count})
            connection.execute(sql.SQL("insert into sucursal select * from {}").format(source))
            connection.execute("analyze sucursal")
        yield own.within(own.schema, place.schema)


@contextmanager
def most_connections(place: Place) -> Iterator[list[int]]:
    """Watch how many connections the coordinator has to the workers; the list's only number is the most that was seen."""
    most, stop = [0], threading.Event()

    def watch() -> None:
        with place.connected("counting connections") as connection:
            while not stop.is_set():
                row = connection.execute(statement("count_connections")).fetchone()
                most[0] = max(most[0], int(row[0]) if row else 0)
                stop.wait(POLL_SECONDS)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield most
    finally:
        stop.set()
        watcher.join()
