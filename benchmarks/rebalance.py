"""What a rebalance takes and moves, as ratios to Citus's own, and workers from 4 to 8 against a plain script; in one run.

The first on throw-away servers of this machine: a coordinator and four workers, two of them empty, and shards that move online. A
bare `citus_rebalance_start` and this program's resource take turns; between them the shards are moved back. The second in Docker,
with shards below 16 MB: `up` moves such with writes waiting, the script as Citus does by default, online.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import docker
import psycopg

from benchmarks.machine import describe, show, timed
from benchmarks.speed import PLAIN_PORT, PREFIX, STACK_PORT, remove_plain, run_script, succeed
from tests.e2e.nodes import DockerNodes
from tests.e2e.stack import Stack
from tests.provider.resources import Cluster
from tests.retail import RETAIL_TABLES
from tests.servers import HOST, find_installation, running_servers

if TYPE_CHECKING:
    from collections.abc import Iterator

PAD = "repeat(md5(i::text), 20)"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=240_000, help="rows of the table, 700 bytes each, in eight shards")
    parser.add_argument("--runs", type=int, default=3, help="runs of each way to rebalance")
    parser.add_argument(
        "--scale-outs", type=int, default=1, help="runs from 4 to 8 workers; 0 where there is no Docker"
    )
    options = parser.parse_args()
    rebalance(options.rows, options.runs)
    if options.scale_outs:
        scale_out(options.rows, options.scale_outs)


# --- the rebalance alone -----------------------------------------------------------------------------------------------


def rebalance(rows: int, runs: int) -> None:
    """Compare a bare rebalance with the resource's."""
    installation = find_installation(citus=True)
    if installation is None:
        sys.exit("no PostgreSQL with Citus on this machine: name its programs in CITUS_PULUMI_PG_BIN")
    with running_servers(installation, "coordinator", *(f"worker_{number}" for number in range(1, 5))) as servers:
        cluster = Cluster("rebalance", servers[0], servers[1:])
        cluster.make()
        cluster.form()
        cluster.run("create table sale (country int not null, id bigint not null, pad text, primary key (country, id))")
        _allow(cluster, allowed=False)
        cluster.distributed("sale", "country", shard_count=8).up()
        cluster.run(f"insert into sale select i % 200, i, {PAD} from generate_series(1, {rows}) i")
        seconds: dict[str, list[float]] = {"citus_rebalance_start": [], "this program": []}
        moves: dict[str, list[int]] = {name: [] for name in seconds}
        for _ in range(runs):
            for name, act in {"citus_rebalance_start": _bare, "this program": _ours}.items():
                _allow(cluster, allowed=True)
                planned = {shard for (shard,) in cluster.rows("select shardid from get_rebalance_table_shards_plan()")}
                before = _placements(cluster)
                seconds[name].append(timed(lambda act=act: act(cluster)))  # type: ignore[misc]
                changed = _placements(cluster) - before
                if {shard for shard, _ in changed} != planned:
                    sys.exit(f"{name} moved {sorted(changed)}, planned were {sorted(planned)}")
                moves[name].append(len(changed))
                _move_back(cluster)
        print(describe(citus=installation.citus or "", postgresql=installation.version))
    show(
        f"a rebalance of {moves['this program'][0]} shards, online, {runs} runs in turn",
        seconds,
        "citus_rebalance_start",
    )
    print(
        f"  moves, to those of Citus's own plan {sum(moves['this program']) / sum(moves['citus_rebalance_start']):20.2f} x"
    )


def _placements(cluster: Cluster) -> set[tuple[int, int]]:
    return set(cluster.rows("select shardid, groupid from pg_dist_placement"))


def _bare(cluster: Cluster) -> None:
    cluster.run("select citus_rebalance_start()")
    cluster.run("select citus_rebalance_wait()")


def _ours(cluster: Cluster) -> None:
    cluster.rebalance().up()


def _allow(cluster: Cluster, *, allowed: bool) -> None:
    for worker in cluster.workers[2:]:
        cluster.run(f"select citus_set_node_property('{HOST}', {worker.port}, 'shouldhaveshards', {allowed})")


def _move_back(cluster: Cluster) -> None:
    _allow(cluster, allowed=False)
    cluster.run("select rebalance_table_shards(shard_transfer_mode => 'block_writes')")
    cluster.run("call citus_cleanup_orphaned_resources()")


# --- from 4 to 8 workers -----------------------------------------------------------------------------------------------


def scale_out(rows: int, runs: int) -> None:
    """Compare four workers more by `up` with those of a plain script."""
    seconds: dict[str, list[float]] = {"plain script": [], "pulumi up": []}
    for _ in range(runs):
        try:
            run_script("benchmarks/plain.sh")
            _fill(PLAIN_PORT, "0000", rows)
            seconds["plain script"].append(timed(lambda: run_script("benchmarks/scale_out.sh")))
            _assert_even(PLAIN_PORT, "0000", rows)
        finally:
            remove_plain()
        with tempfile.TemporaryDirectory() as folder:
            settings = {"tables": RETAIL_TABLES, "workers": 4, "shardCount": 32}
            stack = Stack(PREFIX, Path(folder) / "stack", STACK_PORT, DockerNodes(PREFIX), settings)
            succeed(stack.up())
            _fill(STACK_PORT, stack.password, rows)
            stack.set(workers=8)
            seconds["pulumi up"].append(timed(lambda stack=stack: succeed(stack.up())))  # type: ignore[misc]
            _assert_even(STACK_PORT, stack.password, rows)
            succeed(stack.destroy())
    print(describe(docker=docker.from_env().version()["Version"]))
    show(f"workers from 4 to 8, {runs} runs in turn", seconds, "plain script")


@contextmanager
def _connected(port: int, password: str) -> Iterator[psycopg.Connection[tuple[int]]]:
    with psycopg.connect(
        host="127.0.0.1", user="postgres", dbname="coorddb", port=port, password=password, autocommit=True
    ) as connection:
        yield connection


def _fill(port: int, password: str, rows: int) -> None:
    with _connected(port, password) as connection:
        connection.execute(
            f"insert into sucursal select i, 1 + i % 200, 'p', {PAD}, 'c' from generate_series(1, {rows}) i".encode()
        )


def _assert_even(port: int, password: str, rows: int) -> None:
    with _connected(port, password) as connection:
        shards = connection.execute(
            "select count(*) from citus_shards where table_name = 'sucursal'::regclass group by nodename"
        ).fetchall()
        found = connection.execute("select count(*) from sucursal").fetchone()
    if shards != [(4,)] * 8 or found != (rows,):
        sys.exit(f"the workers hold {shards} shards, and the table {found} rows")


if __name__ == "__main__":
    main()
