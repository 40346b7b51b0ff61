"""Functions whose calls run on the worker of the tenant that they name, on genuine Citus."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import psycopg
import pytest

from components.errors import DriftError
from tests.servers import HOST

if TYPE_CHECKING:
    from tests.provider.resources import Cluster

pytestmark = pytest.mark.needs("citus")

SELL = """
create {} function sell(country int, id int, lines int) returns int language plpgsql as $$
begin
    insert into sales values (country, id);
    insert into lines select country, id, n from generate_series(1, lines) n;
    return current_setting('port');
end $$"""
"""It returns the port of the server on which it ran."""
SIGNATURE = "sell(int, int, int)"
TENANTS = range(1, 9)


@pytest.fixture
def shop(cluster: Cluster) -> Cluster:
    """Sales and their lines, distributed by the country; a function that writes both."""
    cluster.run("create table sales (country int, id int, primary key (country, id))")
    cluster.run("create table lines (country int, sale int, n int, primary key (country, sale, n))")
    cluster.script("010.sql", SELL.format("")).up()
    cluster.distributed("sales", "country").up()
    cluster.distributed("lines", "country", colocate_with="sales").up()
    return cluster


def workers(cluster: Cluster) -> dict[int, int]:
    """Return the port of the worker that has each tenant's rows."""
    of_shard = "select nodeport from pg_dist_placement join pg_dist_node using (groupid) where shardid = "
    return {
        tenant: cluster.value(f"{of_shard} get_shard_id_for_distribution_column('sales', {tenant})")
        for tenant in TENANTS
    }


def sell(cluster: Cluster, number: int) -> dict[int, int]:
    """Sell something to each tenant; return the port of the server on which that ran."""
    return {tenant: cluster.value("select sell(%s, %s, 3)", tenant, number) for tenant in TENANTS}


def everywhere_here(cluster: Cluster) -> dict[int, int]:
    """Return the coordinator's port for each tenant."""
    return dict.fromkeys(TENANTS, cluster.coordinator.port)


def test_a_call_runs_on_the_worker_of_its_tenant(shop: Cluster) -> None:
    """With all that it writes; before, it ran on the coordinator. A second update finds nothing to do."""
    assert sell(shop, 1) == everywhere_here(shop)
    made = shop.function(SIGNATURE, "country", "sales")

    assert made.up() == "create"

    assert made.id == SIGNATURE
    assert sell(shop, 2) == workers(shop)
    assert len(set(workers(shop).values())) == 2
    assert (shop.value("select count(*) from sales"), shop.value("select count(*) from lines")) == (16, 48)
    plan = "\n".join(line for (line,) in shop.rows("explain select sell(1, 9, 1)"))
    assert f"Task Count: 1\n  Tasks Shown: All\n  ->  Task\n        Node: host={HOST} port={workers(shop)[1]}" in plan
    assert made.refresh()
    assert made.preview() == "same"
    shop.function(SIGNATURE, "$1", "lines").up()
    assert sell(shop, 3) == workers(shop)


def test_a_call_within_a_transaction_runs_there_where_that_is_forced(shop: Cluster) -> None:
    """A call that would reach other shards is refused then; without force it runs where it is made."""
    made = shop.function(SIGNATURE, "country", "sales")
    made.up()

    def port() -> int:
        with shop.connected() as connection, connection.transaction(force_rollback=True):
            row = connection.execute("select sell(1, 1, 1)").fetchone()
        return int(row[0]) if row else 0

    assert port() == shop.coordinator.port
    assert made.up(force_delegation=True) == "update"
    assert port() == workers(shop)[1]
    made.up(force_delegation=False)
    assert port() == shop.coordinator.port


def test_a_function_that_a_later_file_defines_again_stays_distributed(shop: Cluster) -> None:
    """By `create or replace`; one that is dropped and created is distributed again by the same update."""
    made = shop.function(SIGNATURE, "country", "sales")
    made.up()
    shop.script("020.sql", SELL.format("or replace").replace("(1, lines)", "(1, lines + 1)")).up()
    assert sell(shop, 1) == workers(shop)
    assert shop.value("select count(*) from lines") == 32

    shop.script("030.sql", f"drop function sell; {SELL.format('')}").up()
    assert sell(shop, 2) == everywhere_here(shop)
    assert made.up(definition="2") == "update"
    assert sell(shop, 3) == workers(shop)


def test_a_node_that_joins_has_the_function(shop: Cluster) -> None:
    """A tenant that moves to it takes its calls along."""
    first, second = shop.workers
    shop.function(SIGNATURE, "country", "sales").up()
    shop.placement(workers=[first]).up()
    assert set(sell(shop, 1).values()) == {first.port}
    shop.recreate(second)
    shop.worker_node(second).up()
    shop.placement({"table": "sales", "pin": {"1": f"{HOST}:{second.port}"}}).up()
    found = sell(shop, 2)
    assert found == workers(shop)
    assert found[1] == second.port


def test_what_is_changed_by_hand_is_drift(shop: Cluster) -> None:
    """Another argument, no delegation, a table in a new group: refresh finds it, and up brings it back."""
    made = shop.function(SIGNATURE, "country", "sales")
    made.up()
    by_hand = (
        "select create_distributed_function('sell(int, int, int)', 'id', colocate_with => 'sales')",
        "select create_distributed_function('sell(int, int, int)')",
    )
    for number, change in enumerate(by_hand):
        shop.run(change)
        assert made.refresh()
        assert made.preview() == "update"
        made.up()
        assert sell(shop, number) == workers(shop)
    shop.run("select alter_distributed_table('sales', shard_count := 8, cascade_to_colocated := true)")
    group = shop.function(SIGNATURE, "country", "sales").inputs["target_group"]
    assert made.preview(target_group=group) == "update"
    made.up(target_group=group)
    assert sell(shop, 5) == workers(shop)
    assert made.refresh()
    assert made.preview() == "same"


def test_what_is_not_there_is_named(shop: Cluster) -> None:
    """A function, or a sharded table, that is gone; refresh drops the function from the state."""
    made = shop.function(SIGNATURE, "country", "sales")
    made.up()
    shop.run("drop function sell")
    assert not made.refresh()
    with pytest.raises(DriftError, match=re.escape(f"function {SIGNATURE} does not exist")):
        made.up()
    shop.run(SELL.format(""))
    shop.run("select undistribute_table('lines'), undistribute_table('sales')")
    with pytest.raises(DriftError, match="the table sales is not sharded"):
        made.up()


def test_a_function_that_is_taken_out_runs_where_it_is_called(shop: Cluster) -> None:
    """It stays on every node; that it is gone by then is no error."""
    made = shop.function(SIGNATURE, "country", "sales")
    made.up()
    made.delete()
    assert sell(shop, 1) == everywhere_here(shop)
    again = shop.function(SIGNATURE, "country", "sales")
    again.up()
    shop.run("drop function sell")
    again.delete()


def test_a_function_of_a_schema_runs_on_the_worker_of_the_schema(cluster: Cluster) -> None:
    """Without an argument; it goes along when the schema moves."""
    first, second = cluster.workers
    cluster.run("create schema a; create table a.t (id int primary key)")
    cluster.run(
        "create function a.add(n int) returns int language plpgsql as "
        "$$ begin insert into a.t values (n); return current_setting('port'); end $$"
    )
    schema = cluster.schema("a", tables=["t"], worker=second)
    schema.up()
    made = cluster.function("a.add(int)", None, "a.t")
    made.up()
    assert cluster.value("select a.add(1)") == second.port
    schema.up(**cluster.schema("a", tables=["t"], worker=first).inputs)
    assert cluster.value("select a.add(2)") == first.port
    assert made.refresh()
    assert made.preview() == "same"
    with pytest.raises(psycopg.errors.UniqueViolation):
        cluster.value("select a.add(2)")
