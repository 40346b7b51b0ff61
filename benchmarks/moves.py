"""Tenants moved back and forth while rows are inserted, updated and deleted: no row lost, and how long writes wait.

On throw-away servers of this machine: one coordinator, three workers, four tenants that begin in one shard. Each round makes the
table anew, splits it online so that tenants have shards of their own, then moves two of them once more. Ends with an
error where a row is lost, doubled or stale, or anything of a move is left.
"""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks.machine import describe
from components.database import moves
from components.names import TableName
from tests.provider.resources import Cluster
from tests.provider.till import selling
from tests.servers import HOST, find_installation, running_servers

KINDS = {
    "primary key": ("primary key (tenant, id)", ""),
    "replica identity full": ("check (id >= 0)", "alter table till replica identity full"),
    "replica identity of an index": (
        "check (id >= 0)",
        "create unique index till_key on till (tenant, id); alter table till replica identity using index till_key",
    ),
    "no key, so with writes waiting": ("check (id >= 0)", ""),
}
TENANTS = ("1", "2", "3", "4")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000, help="rows of the table at the beginning of a round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each kind of table")
    options = parser.parse_args()
    installation = find_installation(citus=True)
    if installation is None:
        sys.exit("no PostgreSQL with Citus on this machine: name its programs in CITUS_PULUMI_PG_BIN")
    with running_servers(installation, "coordinator", "worker_1", "worker_2", "worker_3") as (coordinator, *workers):
        cluster = Cluster("moves", coordinator, tuple(workers))
        cluster.make()
        cluster.form()
        print(describe(citus=installation.citus or "", postgresql=installation.version))
        for kind in KINDS:
            waits = sorted(move(cluster, kind, options.rows) for _ in range(options.rounds))
            told = ", ".join(f"{wait:.2f}" for wait in waits)
            print(f"{kind}: longest wait of a write in each of {len(waits)} rounds, seconds: {told}", flush=True)


def move(cluster: Cluster, kind: str, rows: int) -> float:
    """Carry out one round, and return the longest wait of a write in seconds."""
    constraint, then = KINDS[kind]
    cluster.run("drop table if exists till")
    cluster.run(
        f"create table till (tenant text not null, id int not null, count bigint not null, pad text, {constraint})"
    )
    cluster.distributed("till", "tenant", shard_count=1).up()
    for statement in filter(None, then.split("; ")):
        cluster.run(statement)
    cluster.run(f"""
        insert into till select (1 + i % 4)::text, i, 0, repeat('x', 100) from generate_series(1, {rows}) i;
    """)
    nodes = [f"{HOST}:{worker.port}" for worker in cluster.workers]
    first = dict(zip(TENANTS, [*nodes, nodes[0]], strict=True))
    second = {**first, "1": nodes[1], "2": nodes[0]}
    begun = time.perf_counter()
    with selling(lambda: cluster.coordinator.connect(cluster.database), "till", TENANTS) as till:
        placed = cluster.placement({"table": "till", "pin": first})
        placed.up()
        placed.up(tenants=cluster.placement({"table": "till", "pin": second}).inputs["tenants"])
    took = time.perf_counter() - begun
    with cluster.connected() as connection:
        till.assert_whole(connection)
        left = connection.execute("select count(*) from pg_dist_cleanup where policy_type <> 2").fetchone()
        lie = {value: moves.get_tenant_shard(connection, TableName("public", "till"), value).node for value in TENANTS}
    if lie != second or left != (0,):
        sys.exit(f"tenants lie on {lie}, declared are {second}; {left} are left to be cleaned up")
    print(f"  {kind}: {took:.1f} s, {till.done}, {till.refused} statements repeated, longest wait {till.longest:.2f} s")
    return till.longest


if __name__ == "__main__":
    main()
