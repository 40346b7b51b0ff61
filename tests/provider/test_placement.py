"""Tenants on workers of their own, and workers that leave, on genuine Citus."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

import pytest

from components.database import moves, placement, stall, statements
from components.errors import DriftError, StackError
from components.names import TableName
from tests.e2e.stack import ROOT
from tests.provider.resources import READY_TIMEOUT
from tests.provider.seen import assert_no_leftovers, eventually
from tests.provider.till import Till, selling
from tests.servers import HOST

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from tests.provider.resources import Cluster, Resource
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
        for table, value, node, rows in moves.get_residency(connection, SALES, values):
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
    monkeypatch.setattr(moves, "SMALL", 0)
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
    with pytest.raises(StackError, match="cannot leave: it holds shards of sales"):
        placed.up(workers=[])
    assert sales.rows("select distinct shouldhaveshards from pg_dist_node where groupid > 0") == [(True,)]
    assert_whole(sales)


KEYS = {
    "primary key": ("", "primary key (tenant, id)", ""),
    "replica identity full": ("", "check (id >= 0)", "alter table till replica identity full"),
    "no key": ("", "check (id >= 0)", ""),
    "unlogged": ("unlogged", "primary key (tenant, id)", ""),
    "columns dropped": (
        "",
        "primary key (tenant, id)",
        "alter table till drop column pad, add column extra int default 7",
    ),
}
"""Kinds of table: its persistence, a constraint, and what is done to it once it is distributed."""


def make_till(cluster: Cluster, kind: str = "primary key", *, rows: int = 2000) -> None:
    """Give the cluster a table of four tenants that lie in one shard."""
    persistence, constraint, then = KEYS[kind]
    cluster.run(f"""
        create {persistence} table till (
            tenant text not null, pad text default 'x', id int not null, count bigint not null, {constraint}
        );
        insert into till (tenant, id, count) select (1 + i % 4)::text, i, 0 from generate_series(1, {rows}) i;
    """)
    cluster.distributed("till", "tenant", shard_count=1).up()
    cluster.run(then or "select 1")


def till_of(cluster: Cluster) -> AbstractContextManager[Till]:
    """Write to that table until the block ends."""
    return selling(lambda: cluster.coordinator.connect(cluster.database), "till", ("1", "2", "3", "4"))


def replication_of_moves(cluster: Cluster) -> list[tuple[Any, ...]]:
    """Return the slots, subscriptions, publications and roles of moves that any node still has."""
    query = """
        select slot_name from pg_replication_slots where slot_name like 'citus_shard_%' and database = current_database()
        union all
        select subname from pg_subscription s join pg_database d on d.oid = subdbid
        where subname like 'citus_shard_%' and datname = current_database()
        union all select pubname from pg_publication where pubname like 'citus_shard_%'
        union all select rolname from pg_roles where rolname like 'citus_shard_%'
    """
    return [(server.name, *row) for server in cluster.servers for row in cluster.rows(query, on=server)]


def assert_nothing_left(cluster: Cluster) -> None:
    """Assert that no node keeps anything of a move that has ended."""
    assert not replication_of_moves(cluster)
    assert_no_leftovers(cluster)
    assert cluster.value("select count(*) from pg_dist_cleanup") == 0


@pytest.mark.parametrize("kind", KEYS)
def test_no_row_is_lost_while_tenants_move_under_inserts_updates_and_deletes(
    cluster: Cluster, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Online or with writes waiting, as the table allows; it ends, every row is as written, and no node keeps a thing."""
    monkeypatch.setattr(moves, "SMALL", 64_000)  # the table is bigger, what lies between its tenants is not
    make_till(cluster, kind)
    first, second = map(address, cluster.workers)
    placed = cluster.placement({"table": "till", "pin": {"1": first, "2": second}})
    with till_of(cluster) as till:
        placed.up()
    with cluster.connected() as connection:
        till.assert_whole(connection)
    assert ("writes to it wait until it is copied" in capsys.readouterr().out) == (kind in ("no key", "unlogged"))
    assert {(value, node) for _, value, node, _ in residency_of(cluster, "till", "1", "2")} == {
        ("1", first),
        ("2", second),
    }
    assert_nothing_left(cluster)


def residency_of(cluster: Cluster, table: str, *values: str) -> list[tuple[str, str, str, int]]:
    """Return where the rows of each value are, as the shards have them."""
    with cluster.connected() as connection:
        return moves.get_residency(connection, TableName("public", table), values)


def test_what_lies_between_tenants_comes_back_to_its_worker(sales: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Online, all parts of a shard leave its worker; only the tenant is elsewhere in the end."""
    monkeypatch.setattr(moves, "SMALL", 0)
    sales.run("alter table lines add primary key (country, sale, n)")
    held = """
        select n.nodeport, count(*)
        from pg_dist_shard join pg_dist_placement using (shardid) join pg_dist_node n using (groupid)
        where logicalrelid = 'sales'::regclass and shardminvalue <> shardmaxvalue
        group by 1
    """
    before = dict(sales.rows(held))
    shard = placement_of(sales, "1")
    other = next(node for node in map(address, sales.workers) if node != shard.node)
    sales.placement({"table": "sales", "pin": {"1": other}}).up()
    assert sum(dict(sales.rows(held)).values()) == sum(before.values()) + 1
    assert dict(sales.rows(held))[int(other.rpartition(":")[2])] == before[int(other.rpartition(":")[2])]
    assert_whole(sales)


def placement_of(cluster: Cluster, value: str) -> moves.TenantShard:
    """Return where a country lies."""
    with cluster.connected() as connection:
        return moves.get_tenant_shard(connection, SALES, value)


def stalling(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Resource:
    """Declare a tenant that is to move online, with little patience."""
    monkeypatch.setattr(moves, "SMALL", 0)
    monkeypatch.setattr(stall, "PROBE_SECONDS", 1)
    with cluster.connected() as connection:
        shard = moves.get_tenant_shard(connection, TableName("public", "till"), "1")
    other = next(node for node in map(address, cluster.workers) if node != shard.node)
    placed = cluster.placement({"table": "till", "pin": {"1": other}})
    placed.inputs["ready_timeout"] = 4
    return placed


def test_a_move_that_waits_for_a_transaction_ends_and_names_it(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forgotten transaction holds the shard: the update gives up, leaves nothing, and the next one goes through."""
    make_till(cluster)
    placed = stalling(cluster, monkeypatch)
    with cluster.connected() as forgotten:
        forgotten.execute("begin; update till set count = 0 where tenant = '1' and id = 4")
        with pytest.raises(
            StackError,
            match=r"placing shards: (aborted after 4 s without progress, waiting for|timed out after 4 s of waiting for a lock, "
            r"held by \S+) process \d+ .*idle in transaction",
        ):
            placed.up()
        assert_nothing_left(cluster)
        forgotten.execute("rollback")
    placed.inputs["ready_timeout"] = READY_TIMEOUT
    assert placed.up() == "create"
    assert cluster.value("select count(*) from till") == 2000
    assert_nothing_left(cluster)


def test_a_split_that_replication_repeats_for_ever_is_ended(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that stays where it is never gets the updates (ADR 16). Citus would try for two hours."""
    make_till(cluster)
    placed = stalling(cluster, monkeypatch)
    monkeypatch.setattr(
        placement,
        "_get_emptiest",
        lambda connection, nodes: next(n for n in map(address, cluster.workers) if n not in nodes),
    )
    with till_of(cluster) as till:
        with pytest.raises(StackError, match=r"without progress.*Nothing of it remains on any node"):
            placed.up()
        assert_nothing_left(cluster)
        monkeypatch.undo()
        placed.inputs["ready_timeout"] = READY_TIMEOUT
        assert placed.up() == "create"
    with cluster.connected() as connection:
        till.assert_whole(connection)
    assert_nothing_left(cluster)


def test_a_worker_that_freezes_while_it_is_copied_to_ends_the_move(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The update names the worker; once it is back, the next update goes through and no node keeps a thing."""
    make_till(cluster, rows=100_000)
    placed = stalling(cluster, monkeypatch)
    monkeypatch.setattr(statements, "PROBE_SECONDS", 1)
    target = next(worker for worker in cluster.workers if address(worker) in str(placed.inputs["tenants"]))
    ended: list[StackError] = []

    def bring_up() -> None:
        try:
            placed.up()
        except StackError as error:
            ended.append(error)

    run = threading.Thread(target=bring_up)
    run.start()
    eventually(lambda: replication_of_moves(cluster))
    target.pause()
    run.join(90)
    assert not run.is_alive()
    target.resume()
    assert "timed out: no answer" in str(ended[0])
    placed.inputs["ready_timeout"] = READY_TIMEOUT
    assert placed.up() == "create"
    assert cluster.value("select count(*) from till") == 100_000
    assert_nothing_left(cluster)


def test_what_citus_has_forgotten_of_a_move_is_dropped(sales: Cluster) -> None:
    """As where a node was frozen until Citus had looked there: a slot that stayed would keep WAL for ever."""
    first, second = sales.workers
    for statement in (
        "create publication citus_shard_move_publication_2_10_999",
        "select pg_create_logical_replication_slot('citus_shard_move_slot_2_10_999', 'pgoutput')",
        "create role citus_shard_move_subscription_role_10_999",
        "create subscription citus_shard_move_subscription_10_999 connection 'dbname=x' publication p with (connect = false)",
    ):
        with sales.connected(first) as connection:
            connection.execute("set citus.enable_ddl_propagation = off")
            connection.execute(statement.encode())
    sales.placement({"table": "sales", "pin": {"1": address(second)}}).up()
    assert_nothing_left(sales)


def test_a_worker_without_a_free_replication_slot_is_named_before_anything_moves(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the setting that has to be raised there."""
    make_till(cluster)
    placed = stalling(cluster, monkeypatch)
    source = next(worker for worker in cluster.workers if address(worker) not in str(placed.inputs["tenants"]))
    take = "select pg_create_physical_replication_slot('taken_' || i) from generate_series(1, %s) i"
    cluster.rows(take, int(cluster.value("show max_replication_slots", on=source)), on=source)
    try:
        with pytest.raises(
            StackError,
            match=rf"cannot be copied online: max_replication_slots of {address(source)} leaves room for 0 more",
        ):
            placed.up()
    finally:
        cluster.rows(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name like 'taken_%'",
            on=source,
        )
    placed.inputs["ready_timeout"] = READY_TIMEOUT
    assert placed.up() == "create"


def test_a_worker_with_shards_of_every_kind_can_leave(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables with and without a key, unlogged and partitioned ones: each colocation group moves as its tables allow it."""
    monkeypatch.setattr(moves, "SMALL", 0)
    staying, leaving = cluster.workers
    cluster.run("""
        create table keyed (k int primary key, n bigint generated always as (k * 2) stored);
        create table "Key less" (k int not null);
        create unlogged table passing (k int primary key);
        create table parted (k int not null, day int not null, primary key (k, day)) partition by range (day);
        create table parted_1 partition of parted for values from (0) to (50);
        create table parted_2 partition of parted for values from (50) to (1000);
        insert into keyed select generate_series(1, 500);
        insert into "Key less" select generate_series(1, 500);
        insert into passing select generate_series(1, 500);
        insert into parted select i, i from generate_series(1, 500) i;
    """)
    tables = ("keyed", '"Key less"', "passing", "parted")
    for table in tables:
        cluster.distributed(table, "k", shard_count=2).up()
    placed = cluster.placement()
    placed.up()
    worker = cluster.worker_node(leaving)
    worker.up()
    placed.up(workers=[address(staying)])
    assert [cluster.value(f"select count(*) from {table}") for table in tables] == [500] * 4
    assert_nothing_left(cluster)
    worker.delete()
    assert cluster.rows("select nodeport from pg_dist_node where groupid > 0") == [(staying.port,)]


def test_a_worker_that_an_interrupted_drain_left_without_shards_takes_them_again(sales: Cluster) -> None:
    """Refresh reports it where the settings declare the worker, and the next update lets Citus use it."""
    placed = sales.placement()
    placed.up()
    worker = sales.workers[1]
    sales.run(f"select citus_set_node_property('{HOST}', {worker.port}, 'shouldhaveshards', false)")
    placed.refresh()
    assert placed.state["misplaced"] == [f"{address(worker)} takes no shards"]
    assert placed.up() == "update"
    assert sales.rows("select distinct shouldhaveshards from pg_dist_node where groupid > 0") == [(True,)]
    placed.refresh()
    assert placed.up() == "same"


DOCUMENTED = [
    line
    for page in ("README.md", "docs/teams.md")
    for line in re.findall(r"select citus_rebalance_start\([^`]*\)", (ROOT / page).read_text("utf-8"))
]


@pytest.mark.parametrize("command", sorted(set(DOCUMENTED)))
def test_the_documented_rebalance_fills_a_new_worker(cluster: Cluster, command: str) -> None:
    """Word for word as README and the teams' page have it; with tables without a key where it says that it takes them."""
    _, second = cluster.workers
    key = "not null" if "block_writes" in command else "primary key"
    cluster.run(f"create table click (tenant int {key}, url text); create table setting (key text)")
    cluster.run("insert into click select i, 'u' from generate_series(1, 500) i")
    cluster.reference("setting").up()
    cluster.run(f"select citus_set_node_property('{HOST}', {second.port}, 'shouldhaveshards', false)")
    cluster.distributed("click", "tenant", shard_count=4).up()
    cluster.run(f"select citus_set_node_property('{HOST}', {second.port}, 'shouldhaveshards', true)")
    cluster.run(command)
    cluster.run("select citus_rebalance_wait()")
    assert (
        cluster.value(
            "select count(distinct nodename || nodeport) from citus_shards where table_name = 'click'::regclass"
        )
        == 2
    )
    assert cluster.value("select count(*) from click") == 500


@pytest.mark.parametrize("dropped", ["before it was distributed", "afterwards"])
def test_a_column_dropped_before_the_distribution_column_puts_no_row_into_a_wrong_shard(
    cluster: Cluster, dropped: str
) -> None:
    """Citus counts it when it splits, where the workers know it: then it is refused. Rewritten, the table is split right."""
    cluster.run("""
        create table sold (z int, id int not null, country int not null, primary key (country, id));
        insert into sold select 0, i, i % 4 from generate_series(1, 1000) i;
    """)
    placed = cluster.placement({"table": "sold", "pin": {"1": address(cluster.workers[0])}})
    if dropped == "afterwards":
        table = cluster.distributed("sold", "country", shard_count=2)
        table.up()
        cluster.run("alter table sold drop column z")
        with pytest.raises(
            StackError, match=r"citus:tenants\.sold: a column of public\.sold was dropped that stood before"
        ):
            placed.up()
        table.up(shard_count=1, rewrite=True)
    else:
        cluster.run("alter table sold drop column z")
        cluster.distributed("sold", "country", shard_count=1).up()
    placed.up()
    assert [cluster.value("select count(*) from sold where country = %s", country) for country in range(4)] == [250] * 4


def test_a_table_with_a_generated_column_before_the_distribution_column_is_not_split(cluster: Cluster) -> None:
    """There is no way to have Citus split it right; nothing was moved."""
    cluster.run(
        "create table sold (n int generated always as (id * 2) stored, id int, country int, primary key (country, id))"
    )
    cluster.distributed("sold", "country", shard_count=1).up()
    shards = cluster.rows("select * from pg_dist_shard")
    with pytest.raises(
        StackError, match=r"citus:tenants\.sold: public\.sold has a generated column before its distribution column"
    ):
        cluster.placement({"table": "sold", "pin": {"1": address(cluster.workers[0])}}).up()
    assert cluster.rows("select * from pg_dist_shard") == shards
