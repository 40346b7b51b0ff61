"""What it costs to give countries workers of their own, and what it brings: rows and bytes by worker before and after.

On throw-away servers of this machine with their data in memory where there is room: one coordinator, four workers, sales of
four countries. The cost stands beside that of distributing the same rows, and a client writes all the while: what counts
for it is how long it has to wait at the worst.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import psycopg

from benchmarks.machine import describe, show, timed
from components.database import moves
from tests.provider.resources import Cluster
from tests.servers import find_installation, running_servers

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARES: Final = {"1": 40, "2": 30, "3": 20, "4": 10}
"""Percent of the sales that each country has."""
WAYS: Final = {
    "online": 0,
    "writes waiting": sys.maxsize,
}
"""Ways to move a shard, and below how many bytes shards are moved with writes waiting (placement.SMALL)."""

TABLES: Final = """
    create table venta (
        id_venta bigint, id_pais int not null, id_sucursal int not null, canal text not null, precio numeric(12, 2) not null,
        vendida_en timestamptz not null, primary key (id_venta)
    )
"""
ROWS: Final = """
    insert into venta
    select i, case when i % 100 < 40 then 1 when i % 100 < 70 then 2 when i % 100 < 90 then 3 else 4 end, i % 500,
           (array['tienda', 'web', 'app', 'telefono'])[1 + i % 4], i % 100000 / 100.0,
           '2025-01-01'::timestamptz + i * interval '1 s'
    from generate_series(1, {rows}) i
"""
ON_WORKERS: Final = """
    select p.nodename || ':' || p.nodeport, sum(p.result::bigint)::bigint, sum(s.shard_size)::bigint
    from run_command_on_placements('venta', 'select count(*) from %s') p
    join citus_shards s on s.shardid = p.shardid and s.nodename = p.nodename and s.nodeport = p.nodeport
    group by 1
"""


@dataclass
class Writer:
    """A client that writes a sale of each country in turn, one transaction each, until it is told to stop."""

    cluster: Cluster
    longest: float = 0.0
    """Seconds of the longest wait from one commit to the next, a failed attempt and its repetition in it."""
    written: int = 0
    failed: list[str] = field(default_factory=list)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write while the body runs."""
        done = threading.Event()
        thread = threading.Thread(target=self._write, args=(done,))
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _write(self, done: threading.Event) -> None:
        with self.cluster.connected() as connection:
            last = time.perf_counter()
            while not done.is_set():
                row = (-1 - self.written, 1 + self.written % 4)
                try:
                    connection.execute("insert into venta values (%s, %s, 1, 'web', 1, now())", row)
                except psycopg.Error as error:
                    self.failed.append(str(error))
                    continue
                now = time.perf_counter()
                self.longest, last = max(self.longest, now - last), now
                self.written += 1


def show_workers(title: str, cluster: Cluster) -> None:
    """Print the rows and bytes of each worker, and how much of the whole the fullest one carries."""
    held = {node: (int(rows), int(size)) for node, rows, size in cluster.rows(ON_WORKERS)}
    total = sum(rows for rows, _ in held.values())
    print(f"\n{title}")
    for number, worker in enumerate(cluster.workers, 1):
        rows, size = held.get(f"127.0.0.1:{worker.port}", (0, 0))
        print(f"  worker {number}  {rows:>12,} rows  {100 * rows / total:5.1f} %  {size / 1e6:10,.1f} MB")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000, help="sales in the table")
    parser.add_argument("--shards", type=int, default=32, help="shards of the table")
    parser.add_argument("--runs", type=int, default=3, help="how often each way is tried")
    options = parser.parse_args()
    installation = find_installation(citus=True)
    if installation is None:
        sys.exit("no PostgreSQL with Citus on this machine: name its programs in CITUS_PULUMI_PG_BIN")
    names = ("coordinator", *(f"worker_{number}" for number in range(1, 5)))
    seconds: dict[str, list[float]] = {"distribute the table": [], **{f"a worker each, {way}": [] for way in WAYS}}
    stalls: dict[str, list[Writer]] = {way: [] for way in WAYS}
    with running_servers(installation, *names) as (coordinator, *workers):
        cluster = Cluster("placement", coordinator, tuple(workers))
        cluster.make()
        cluster.form()
        for _ in range(options.runs):
            for way, small in WAYS.items():
                measure(cluster, way, small, options, seconds, stalls[way])
        print(describe(citus=installation.citus or "", postgresql=installation.version))
        print(f"{options.rows:,} sales in {options.shards} shards, {options.runs} runs of each, in turn; medians")
        show("what it takes", seconds, "distribute the table")
        print("\na client that writes meanwhile, one row a transaction")
        for way, writers in stalls.items():
            waits = sorted(writer.longest for writer in writers)
            failed = sum(len(writer.failed) for writer in writers)
            told = f"{waits[len(waits) // 2]:5.2f} s (to {waits[-1]:.2f})"
            print(f"  {way:20} longest wait {told}; {sum(w.written for w in writers):,} written, {failed} failed")


def measure(
    cluster: Cluster, way: str, small: int, options: Any, seconds: dict[str, list[float]], writers: list[Writer]
) -> None:
    """Make the table anew, distribute it, and give each country its worker."""
    cluster.run("drop table if exists venta")
    cluster.run(TABLES)
    cluster.run(ROWS.format(rows=options.rows))
    table = cluster.distributed("venta", "id_pais", shard_count=options.shards, ready_timeout=3600)
    seconds["distribute the table"].append(timed(table.up))
    first = len(seconds["distribute the table"]) == 1
    if first:
        show_workers("before: where the hashes put them", cluster)
    moves.SMALL = small  # type: ignore[misc]
    placed = cluster.placement({"table": "venta", "spread": list(SHARES)})
    writer = Writer(cluster)
    with writer.writing():
        seconds[f"a worker each, {way}"].append(timed(placed.up))
    writers.append(writer)
    if cluster.value("select count(*) from venta") != options.rows + writer.written:
        sys.exit(
            f"rows were lost or doubled: {options.rows:,} and {writer.written} written, but the table has another number"
        )
    if first:
        show_workers("after: a worker each", cluster)


if __name__ == "__main__":
    main()
