"""Tenants on workers of their own, and workers that leave, on genuine Citus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from components import placement
from components.errors import DriftError, StackError
from components.names import TableName
from tests.servers import HOST

if TYPE_CHECKING:
    from tests.provider.resources import Cluster
    from tests.servers import PostgresServer

pytestmark = pytest.mark.needs("citus")

ROWS = 4000
SALES = TableName("public", "sales")


@pytest.fixture
def sales(cluster: Cluster) -> Cluster:
    """Two colocated tables of sales in eight countries, one of them without a key; 500 sales a country."""
    cluster.run(f"""
        create table sales (country int not null, id int not null, primary key (country, id));
        create table lines (country int not null, sale int not null, n int not null);
        create index on lines (country);
        insert into sales select 1 + i % 8, i from generate_series(1, {ROWS}) i;
        insert into lines select 1 + i % 8, i, 1 from generate_series(1, {ROWS}) i;
    """)
    cluster.distributed("sales", "country").up()
    cluster.distributed("lines", "country", colocate_with="sales").up()
    return cluster


def address(worker: PostgresServer) -> str:
    """Return the worker as the catalog names it."""
    return f"{HOST}:{worker.port}"


def residency(cluster: Cluster, *values: str) -> dict[tuple[str, str], dict[str, int]]:
    """Return the rows of each table and value by node, as the shards have them."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    with cluster.connected() as connection:
        for table, value, node, rows in placement.get_residency(connection, SALES, values):
            found.setdefault((table, value), {})[node] = rows
    return found


def assert_whole(cluster: Cluster) -> None:
    """No row was lost or doubled, and nothing waits to be cleaned up."""
    assert cluster.rows("select count(*), count(distinct id) from sales") == [(ROWS, ROWS)]
    assert cluster.value("select sum(n) from lines") == ROWS
    assert cluster.value("select count(*) from pg_dist_cleanup") == 0


def test_every_row_of_a_tenant_lies_on_its_worker_and_none_elsewhere(sales: Cluster) -> None:
    """In every table of the group; the preview of a second update is empty."""
    first, second = map(address, sales.workers)
    placed = sales.placement({"table": "sales", "pin": {"1": second, "2": first, "3": second}})

    assert placed.up() == "create"

    expected = {("1", second), ("2", first), ("3", second)}
    assert residency(sales, "1", "2", "3") == {
        (table, value): {node: ROWS // 8} for table in ("lines", "sales") for value, node in expected
    }
    assert placed.state["residency"] == {"sales": dict(expected)}
    assert_whole(sales)
    assert placed.refresh()
    assert placed.up() == "same"


def test_a_second_table_of_the_group_names_the_same_tenants(sales: Cluster) -> None:
    """What lies right is not moved again, whichever table names it."""
    first, _ = map(address, sales.workers)
    sales.placement({"table": "sales", "pin": {"1": first}}).up()
    shards = sales.rows("select shardid from pg_dist_shard order by 1")
    sales.placement({"table": "lines", "pin": {"1": first}}).up()
    assert sales.rows("select shardid from pg_dist_shard order by 1") == shards


def test_tenants_are_spread_by_their_sizes(sales: Cluster) -> None:
    """Of four tenants on two workers each worker gets two, the biggest with the smallest."""
    sales.run("delete from sales where country = 2; delete from lines where country = 2")
    sales.run(f"insert into sales select 1, i from generate_series({ROWS} + 1, {ROWS} + 2000) i")
    placed = sales.placement({"table": "sales", "spread": ["1", "2", "3", "4"]})
    placed.up()
    nodes = placed.state["residency"]["sales"]
    assert nodes["1"] == nodes["2"] != nodes["3"]
    assert nodes["3"] == nodes["4"]
    assert placed.up() == "same"


def test_a_tenant_moved_by_hand_is_seen_and_brought_back(sales: Cluster) -> None:
    """Refresh reports it, and the next update moves it."""
    first, second = sales.workers
    placed = sales.placement({"table": "sales", "pin": {"1": address(first)}})
    placed.up()
    sales.run(
        "select citus_move_shard_placement(get_shard_id_for_distribution_column('sales', 1),"
        f" '{HOST}', {first.port}, '{HOST}', {second.port}, 'block_writes')"
    )
    placed.refresh()
    assert placed.up() == "update"
    assert residency(sales, "1")["sales", "1"] == {address(first): ROWS // 8}
    assert_whole(sales)


def test_another_worker_in_the_settings_moves_the_tenant(sales: Cluster) -> None:
    """The shard is isolated already, and only moves."""
    first, second = map(address, sales.workers)
    placed = sales.placement({"table": "sales", "pin": {"1": first}})
    placed.up()
    tenants = sales.placement({"table": "sales", "pin": {"1": second}}).inputs["tenants"]
    assert placed.up(tenants=tenants) == "update"
    assert residency(sales, "1")["sales", "1"] == {second: ROWS // 8}
    assert_whole(sales)


def test_an_isolation_that_was_interrupted_is_finished(sales: Cluster) -> None:
    """A tenant that has its shard, but not yet its worker, is only moved; what was left over is cleaned up."""
    first, second = map(address, sales.workers)
    sales.run("select isolate_tenant_to_new_shard('sales', 1, 'CASCADE', 'block_writes')")
    where = sales.placement({"table": "sales", "pin": {"1": first}})
    where.up()
    where.up(tenants=sales.placement({"table": "sales", "pin": {"1": second}}).inputs["tenants"])
    assert residency(sales, "1")["sales", "1"] == {second: ROWS // 8}
    assert_whole(sales)


@pytest.mark.parametrize("mode", ["online", "blocking"])
def test_big_and_small_shards_move_whole(sales: Cluster, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Online where every table has a key, else with writes waiting; either way nothing is lost."""
    monkeypatch.setattr(placement, "SMALL", 0)
    if mode == "online":
        sales.run("alter table lines add primary key (country, sale, n)")
    first, second = map(address, sales.workers)
    placed = sales.placement({"table": "sales", "pin": {"1": first, "2": second}})
    placed.up()
    assert residency(sales, "1", "2")["lines", "2"] == {second: ROWS // 8}
    assert_whole(sales)


def test_a_value_of_another_type_is_refused(sales: Cluster) -> None:
    """With the setting and the value."""
    with pytest.raises(StackError, match=r"citus:tenants\.sales: 'mx' is no value of its distribution column"):
        sales.placement({"table": "sales", "pin": {"mx": address(sales.workers[0])}}).up()


def test_twins_of_one_hash_cannot_lie_apart(sales: Cluster) -> None:
    """Two spellings of one value are one tenant."""
    first, second = map(address, sales.workers)
    with pytest.raises(DriftError, match="1 and 01 have the same hash"):
        sales.placement({"table": "sales", "pin": {"1": first, "01": second}}).up()
    assert_whole(sales)


def test_a_worker_that_leaves_is_emptied_before_it_is_removed(sales: Cluster) -> None:
    """All its shards go to those that stay; then it can be unregistered, and nothing of it is left in the catalog."""
    staying, leaving = sales.workers
    placed = sales.placement()
    placed.up()
    worker = sales.worker_node(leaving)
    worker.up()

    placed.up(workers=[address(staying)])
    worker.delete()

    assert sales.rows("select nodeport from pg_dist_node where groupid > 0") == [(staying.port,)]
    assert_whole(sales)


def test_the_last_worker_cannot_be_emptied_and_takes_shards_as_before(sales: Cluster) -> None:
    """Where the shards have nowhere to go, the error says so and nothing has changed."""
    placed = sales.placement()
    placed.up()
    with pytest.raises(StackError, match="placing shards: "):
        placed.up(workers=[])
    assert sales.rows("select distinct shouldhaveshards from pg_dist_node where groupid > 0") == [(True,)]
    assert_whole(sales)


def test_writes_go_on_while_a_tenant_moves_online(sales: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows written during the move are there afterwards, on the new worker."""
    import threading  # noqa: PLC0415

    monkeypatch.setattr(placement, "SMALL", 0)
    sales.run("alter table lines add primary key (country, sale, n)")
    written: list[int] = []
    done = threading.Event()

    def write() -> None:
        with sales.connected() as connection:
            number = ROWS
            while not done.is_set():
                number += 1
                try:
                    connection.execute("insert into sales values (1, %s)", [number])
                except psycopg.Error:
                    continue  # the moment of the switch
                written.append(number)

    writer = threading.Thread(target=write)
    writer.start()
    first, second = map(address, sales.workers)
    placed = sales.placement({"table": "sales", "pin": {"1": first}})
    placed.up()
    placed.up(tenants=sales.placement({"table": "sales", "pin": {"1": second}}).inputs["tenants"])
    done.set()
    writer.join()
    assert written
    assert sales.value("select count(*) from sales where country = 1") == ROWS // 8 + len(written)
    assert residency(sales, "1")["sales", "1"] == {second: ROWS // 8 + len(written)}
