"""Whatever is killed, and whenever: no row is lost, and the next run ends what the killed one began.

A run, the coordinator or a worker is killed at random moments while a table is distributed, tenants move, or a worker leaves. The
environment's CITUS_PULUMI_ROWS says how many rows the table has; `pytest -s` shows what the kills have met.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from tenacity import retry, retry_if_exception_message, stop_after_delay

from components.database.moves import get_residency, get_tenant_shard
from components.errors import StackError
from components.names import TableName
from tests.provider.seen import assert_no_leftovers, checksum, eventually, keys, kind, set_aside
from tests.servers import HOST

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess
    from multiprocessing.synchronize import Event

    from tests.provider.resources import Cluster, Resource

pytestmark = pytest.mark.needs("citus")

ROWS: Final = int(os.environ.get("CITUS_PULUMI_ROWS", "50000"))
PATIENCE: Final = 60 + ROWS / 10_000
"""Seconds for one run to end."""
VICTIMS: Final = ("run", "run", "coordinator", "worker")
"""What is killed, in turn."""
KILLS: Final = 20
MOVING_KILLS: Final = 12
LEAVING_KILLS: Final = 8

SCHEMA: Final = f"""
    create table product (id int primary key, name text not null);
    create table original (id bigint primary key, country int not null, product int not null, price numeric(12, 2) not null);
    insert into product select i, 'product ' || i from generate_series(1, 100) i;
    insert into original
    select i, 1 + i % 30, 1 + i % 100, round((1000 * abs(sin(i)))::numeric, 2) from generate_series(1, {ROWS}) i
"""
SALE: Final = (
    "drop table if exists sale",
    "create table sale (like original including all)",
    "insert into sale select * from original",
    "alter table sale add constraint sale_product_fkey foreign key (product) references product",
)
SALE_NAME: Final = TableName("public", "sale")
KEYS: Final = {
    "sale_pkey": "PRIMARY KEY (country, id)",
    "sale_product_fkey": "FOREIGN KEY (product) REFERENCES product(id)",
}
SPLIT_MEANWHILE: Final = r"could not find valid entry for shard \d+"
"""What Citus says to a query that it planned over a shard which a split then replaced."""

# Forks of a server that has imported the program already begin at once.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.provider.resources", "components.database.distribute"])


def _carry_out(resource: Resource, begun: Event) -> None:
    again = replace(resource)  # a provider travels by its name alone: here it gets its password
    begun.set()
    try:
        again.up()
    except StackError as error:
        sys.exit(str(error))


def start(resource: Resource) -> ForkServerProcess:
    """Bring a resource up in a process of its own, and return once that has begun."""
    begun = _processes.Event()
    process = _processes.Process(target=_carry_out, args=(resource, begun))
    process.start()
    assert begun.wait(30)
    return process


def kill(cluster: Cluster, victim: str, run: ForkServerProcess) -> None:
    """Kill the victim without a word, wait until the run has ended, and start the server again."""
    if victim == "run":
        run.kill()
    server = {"coordinator": cluster.coordinator, "worker": cluster.workers[0]}.get(victim)
    if server:
        server.kill()
        server.start()
    run.join(PATIENCE)
    assert run.exitcode is not None, f"the run did not end within {PATIENCE} s of the death of the {victim}"


@retry(retry=retry_if_exception_message(match=SPLIT_MEANWHILE), stop=stop_after_delay(PATIENCE), reraise=True)
def checksum_beside_a_split(cluster: Cluster, table: str) -> tuple[int, int | None]:
    """Return the checksum, asked again where Citus refuses it, as an application would.

    The server goes on with what a killed run had asked for, so a shard may be split just while this query is planned.
    """
    return checksum(cluster, table)


def make_sale(cluster: Cluster) -> None:
    """Give the cluster the table as it was before it was sharded."""
    for statement in SALE:
        cluster.run(statement)


def undisturbed(resource: Resource) -> float:
    """Return how many seconds a run takes that nobody disturbs."""
    run, began = start(resource), time.perf_counter()
    run.join(PATIENCE)
    assert run.exitcode == 0
    return time.perf_counter() - began


def test_no_row_is_lost_while_a_table_is_distributed(cluster: Cluster) -> None:
    """After each kill every row is there, local or distributed, and the next run ends with all of them distributed."""
    cluster.run(SCHEMA)
    cluster.reference("product").up()
    whole = checksum(cluster, "original")
    sale = cluster.distributed("sale", "country", ready_timeout=60)
    make_sale(cluster)
    seconds = undisturbed(sale)
    chance = random.Random(5)
    met: Counter[str] = Counter()
    for number in range(KILLS):
        make_sale(cluster)
        run = start(sale)
        time.sleep(chance.uniform(0, seconds))
        kill(cluster, VICTIMS[number % len(VICTIMS)], run)

        met[kind(cluster, "sale")[0]] += 1
        assert checksum(cluster, "sale") == whole

        undisturbed(sale)
        assert kind(cluster, "sale") == ("distributed", "country")
        assert keys(cluster, "sale") == KEYS
        assert checksum(cluster, "sale") == whole
        assert set_aside(cluster) == []
    assert_no_leftovers(cluster)
    print(f"\n{ROWS} rows, distributed in {seconds:.2f} s; {KILLS} kills left the table {dict(met)}")  # noqa: T201
    assert met["local"]


def test_no_row_is_lost_while_tenants_move(cluster: Cluster) -> None:
    """After each kill every row is there, wherever it lies, and the next run ends with the tenants on their workers."""
    cluster.run(SCHEMA)
    cluster.reference("product").up()
    make_sale(cluster)
    cluster.distributed("sale", "country").up()
    whole = checksum(cluster, "sale")
    nodes = [f"{HOST}:{worker.port}" for worker in cluster.workers]
    chance = random.Random(6)
    seconds, met = 0.0, Counter[str]()
    for number in range(MOVING_KILLS + 1):
        # One tenant has its shard already and changes its worker, another has still to get one.
        pins = {"1": nodes[number % 2], str(2 + number): nodes[(number + 1) % 2]}
        placed = cluster.placement({"table": "sale", "pin": pins})
        if number == 0:
            seconds = undisturbed(placed)
            continue
        run = start(placed)
        time.sleep(chance.uniform(0, seconds))
        kill(cluster, VICTIMS[number % len(VICTIMS)], run)

        with cluster.connected() as connection:
            lie = [get_tenant_shard(connection, SALE_NAME, value).node == node for value, node in pins.items()]
        met[f"{sum(lie)} of {len(lie)} tenants placed"] += 1
        assert checksum_beside_a_split(cluster, "sale") == whole

        undisturbed(placed)
        with cluster.connected() as connection:
            lying = get_residency(connection, SALE_NAME, list(pins))
        assert {(value, node) for _, value, node, _ in lying} == set(pins.items())
        assert checksum(cluster, "sale") == whole
        assert cluster.value("select count(*) from pg_dist_cleanup") == 0
    assert_no_leftovers(cluster)
    print(f"\n{ROWS} rows, two tenants placed in {seconds:.2f} s; {MOVING_KILLS} kills left {dict(met)}")  # noqa: T201


def test_no_row_is_lost_while_a_worker_leaves(cluster: Cluster) -> None:
    """After each kill every row is there, and the next run ends it: with the worker gone, or with a worker that takes shards."""
    cluster.run(SCHEMA)
    cluster.reference("product").up()
    staying, leaving = cluster.workers
    whole = checksum(cluster, "original")
    leave = cluster.placement(workers=[staying])
    chance = random.Random(7)
    seconds, met = 0.0, Counter[str]()
    for number in range(LEAVING_KILLS + 1):
        cluster.worker_node(leaving).up()
        make_sale(cluster)
        undisturbed(cluster.distributed("sale", "country", shard_count=16))
        if number == 0:
            seconds = undisturbed(leave)
            continue
        run = start(leave)
        time.sleep(chance.uniform(0, seconds))
        kill(cluster, VICTIMS[number % len(VICTIMS)], run)

        left = "select count(*) from citus_shards where table_name = 'sale'::regclass and nodeport = %s"
        met[f"{cluster.value(left, leaving.port)} shards on it"] += 1
        assert checksum(cluster, "sale") == whole

        if number % 2:
            cluster.worker_node(leaving).up()
        settled = cluster.placement() if number % 2 else leave
        undisturbed(settled)
        registered = cluster.rows(
            "select nodeport, shouldhaveshards from pg_dist_node where groupid > 0 order by nodeport"
        )
        remaining = cluster.workers if number % 2 else [staying]
        assert registered == sorted((worker.port, True) for worker in remaining)
        assert checksum(cluster, "sale") == whole
        eventually(lambda: cluster.value("select count(*) from pg_dist_cleanup") == 0)  # Citus's daemon drops the rest
    assert_no_leftovers(cluster)
    print(f"\n{ROWS} rows, a worker emptied in {seconds:.2f} s; {LEAVING_KILLS} kills left {dict(met)}")  # noqa: T201
