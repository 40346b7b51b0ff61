"""Schemas that are distributed as a whole, on genuine Citus."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import psycopg
import pytest

from components.database import schemas
from components.database.statements import statement
from components.errors import DriftError, StackError
from components.names import TableName
from components.resources.tables import LocalTableInputs, LocalTableProvider
from components.resources.wire import write
from components.tables import Pending, ReferenceDeclaration, SingleShard
from tests.provider.resources import Resource
from tests.provider.seen import assert_no_leftovers
from tests.servers import HOST

if TYPE_CHECKING:
    from tests.provider.resources import Cluster
    from tests.servers import PostgresServer

pytestmark = pytest.mark.needs("citus")

ROWS = 2000
TABLES = ("item", "note", "sale")


@pytest.fixture
def tenant(cluster: Cluster) -> Cluster:
    """A schema with keys between its tables, to a reference table, partitions, and an index; another one beside it."""
    cluster.run(f"""
        create table kind (id int primary key);
        insert into kind select generate_series(1, 9);
        create schema a;
        create table a.sale (id int primary key, kind int not null references kind, at date not null default '2026-01-01');
        create table a.item (sale int not null references a.sale on delete cascade, n int not null, primary key (sale, n));
        create table a.note (sale int not null, at date not null, n int check (n > 0)) partition by range (at);
        create table a.note_1 partition of a.note for values from ('2026-01-01') to ('2027-01-01');
        create index on a.note (n);
        insert into a.sale (id, kind) select i, 1 + i % 9 from generate_series(1, {ROWS}) i;
        insert into a.item select i, 1 from generate_series(1, {ROWS}) i;
        insert into a.note select i, '2026-02-02', 1 from generate_series(1, {ROWS}) i;
        create schema b;
        create table b.sale (id int primary key);
    """)
    return cluster


def address(worker: PostgresServer) -> str:
    """Return the worker as the catalog names it."""
    return f"{HOST}:{worker.port}"


def rows(cluster: Cluster, *names: str) -> dict[str, tuple[str, int]]:
    """Return the node and the rows of each table of schemas, as the shards have them."""
    with cluster.connected() as connection:
        return {f"{schema}.{name}": (node, n) for schema, name, node, n in schemas.count_rows(connection, list(names))}


def assert_whole(cluster: Cluster, node: str) -> None:
    """Every row of the schema is on the worker, with the foreign keys, and the coordinator keeps none of its own."""
    assert rows(cluster, "a") == {f"a.{table}": (node, ROWS) for table in TABLES}
    keys = "select conrelid::regclass::text, confrelid::regclass::text, convalidated from pg_constraint"
    of_schema = "where contype = 'f' and conparentid = 0 and conrelid in ('a.sale'::regclass, 'a.item'::regclass)"
    found = cluster.rows(f"{keys} {of_schema} order by 1")
    assert found == [("a.item", "a.sale", True), ("a.sale", "kind", True)]
    assert cluster.value("select count(*) from citus_pulumi.foreign_key") == 0
    assert cluster.value("select pg_relation_size('a.sale') + pg_relation_size('a.note_1')") == 0
    assert cluster.value("select count(*) from pg_dist_cleanup") == 0


def test_a_schema_is_distributed_with_its_rows_keys_and_partitions(tenant: Cluster) -> None:
    """Its keys to a reference table wait until it is distributed; a second update finds nothing to do."""
    waiting = tuple(Pending(TableName("a", name), SingleShard()) for name in (*TABLES, "note_1"))
    tenant.table(ReferenceDeclaration(table=TableName.parse("kind"), pending=waiting)).up()
    assert tenant.value("select count(*) from citus_pulumi.foreign_key") == 1

    made = tenant.schema("a", tables=TABLES)

    assert made.up() == "create"
    assert made.id == "a"
    assert_whole(tenant, made.state["node"])
    assert tenant.rows(
        "select table_name::text, citus_table_type from citus_tables where table_name = 'a.sale'::regclass"
    ) == [("a.sale", "schema")]
    assert made.refresh()
    assert made.preview() == "same"
    tenant.schema("a", tables=TABLES).up()
    assert_whole(tenant, made.state["node"])
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        tenant.run("insert into a.sale values (0, 99)")


def test_a_schema_is_on_its_worker_and_moves_to_another(tenant: Cluster) -> None:
    """By its declaration, and back where somebody moved it by hand; one without a worker stays where it is."""
    first, second = tenant.workers
    tenant.reference("kind").up()
    pinned, free = tenant.schema("a", tables=TABLES, worker=second), tenant.schema("b", tables=("sale",))
    pinned.up()
    free.up()
    assert_whole(tenant, address(second))

    changed = tenant.schema("a", tables=TABLES, worker=first).inputs
    assert pinned.preview(**changed) == "update"
    pinned.up(**changed)
    assert_whole(tenant, address(first))
    assert pinned.state["node"] == address(first)

    tenant.run(f"select citus_schema_move('a', '{HOST}', {second.port}, 'block_writes')")
    other = first if free.state["node"] == address(second) else second
    tenant.run(f"select citus_schema_move('b', '{HOST}', {other.port}, 'block_writes')")
    assert pinned.refresh()
    assert free.refresh()
    assert (pinned.preview(), free.preview()) == ("update", "same")
    pinned.up()
    assert_whole(tenant, address(first))
    assert rows(tenant, "b") == {"b.sale": (address(other), 0)}
    assert_no_leftovers(tenant)


def test_a_table_of_a_later_file_is_part_of_its_schema(tenant: Cluster) -> None:
    """On the schema's worker at once; the first table of one that was empty is brought to the worker that is declared."""
    first, second = tenant.workers
    tenant.reference("kind").up()
    tenant.run("create schema c; create schema d")
    made = {name: tenant.schema(name, worker=worker) for name, worker in (("c", first), ("d", second))}
    made["c"].up()
    made["d"].up()
    assert [it.state["node"] for it in made.values()] == ["", ""]
    assert all(it.refresh() and it.preview() == "same" for it in made.values())

    for name, schema in made.items():
        later = (
            f"create table {name}.t (id int primary key, kind int references kind); insert into {name}.t values (1, 1)"
        )
        tenant.script(f"020_{name}.sql", later).up()
        table = [{"schema": name, "name": "t"}]
        assert schema.preview(tables=table) == "update"
        schema.up(tables=table)

    assert rows(tenant, "c", "d") == {"c.t": (address(first), 1), "d.t": (address(second), 1)}
    tenant.script("030.sql", "create table c.u (t int references c.t, at date) partition by range (at)").up()
    assert rows(tenant, "c")["c.u"] == (address(first), 0)


def test_a_schema_comes_back_with_its_rows_grants_and_comments(tenant: Cluster) -> None:
    """It is local then, and its tables can be distributed by a column; where it is local already, nothing happens."""
    tenant.reference("kind").up()
    made = tenant.schema("a", tables=TABLES)
    made.up()
    tenant.run(
        "grant select on a.sale to public; comment on table a.sale is 'sold'; comment on column a.sale.kind is 'of it'"
    )

    back = tenant.schema("a", undistribute=True).inputs
    assert made.up(**back) == "update"

    assert tenant.value("select count(*) from pg_dist_schema") == 0
    assert tenant.rows("select count(*), count(distinct id) from a.sale") == [(ROWS, ROWS)]
    said = "select relacl::text ~ '=r/', obj_description(oid), col_description(oid, 2) from pg_class"
    assert tenant.rows(f"{said} where oid = 'a.sale'::regclass") == [(True, "sold", "of it")]
    assert made.refresh()
    assert made.preview() == "same"
    tenant.schema("a", undistribute=True).up()
    tenant.distributed("a.item", "sale", pending=["a.sale"]).up()
    assert tenant.value("select partmethod from pg_dist_partition where logicalrelid = 'a.item'::regclass") == "h"


def test_a_schema_with_an_identity_column_is_not_brought_back(tenant: Cluster) -> None:
    """Citus rewrites no such table: the error says so, and the schema stays distributed."""
    tenant.run("alter table b.sale add column n bigint generated always as identity")
    made = tenant.schema("b", tables=("sale",))
    made.up()
    with pytest.raises(DriftError, match=re.escape("table b.sale: Citus rewrites no table with an identity column")):
        made.up(undistribute=True)
    assert tenant.value("select count(*) from pg_dist_schema") == 1


def test_what_is_undistributed_or_dropped_by_hand_is_drift(tenant: Cluster) -> None:
    """The next update distributes a schema again; one that is gone is named. Deleting the resource leaves the rows."""
    tenant.reference("kind").up()
    made = tenant.schema("a", tables=TABLES)
    made.up()
    tenant.run("select citus_schema_undistribute('a')")
    assert not made.refresh()
    assert made.up() == "create"
    assert_whole(tenant, made.state["node"])
    made.delete()
    assert_whole(tenant, rows(tenant, "a")["a.sale"][0])
    with pytest.raises(DriftError, match="schema gone does not exist"):
        tenant.schema("gone").up()


def test_a_table_that_is_sharded_by_itself_is_in_the_way(tenant: Cluster) -> None:
    """Nothing is changed, and the error says how to bring the table back."""
    tenant.distributed("b.sale", "id").up()
    with pytest.raises(DriftError, match=re.escape("its table b.sale is distributed by id")):
        tenant.schema("b", tables=("sale",)).up()
    assert tenant.value("select count(*) from pg_dist_schema") == 0


def test_a_table_of_a_distributed_schema_is_not_local(tenant: Cluster) -> None:
    """A refresh of a table that is declared as local sees it, and nothing shards the table by itself."""
    table = TableName("b", "sale")
    local = Resource(LocalTableProvider(), write(LocalTableInputs(table=table, **vars(tenant.access()))))
    local.up()
    assert local.refresh()
    tenant.schema("b", tables=("sale",)).up()
    assert not local.refresh()
    for declared in (tenant.distributed("b.sale", "id"), tenant.reference("b.sale"), local):
        with pytest.raises(
            StackError, match=re.escape("Undistribute the schema first: citus:schemas.b: {undistribute: true}")
        ):
            declared.up()
    seen = tenant.value(statement("look_at_cluster"))["tables"]
    assert [it["kind"] for it in seen if (it["schema"], it["name"]) == ("b", "sale")] == ["single shard"]


def test_a_schema_leaves_with_its_worker(tenant: Cluster) -> None:
    """A worker that leaves takes no schema with it, and is not unregistered while it has one."""
    first, second = tenant.workers
    tenant.reference("kind").up()
    tenant.schema("a", tables=TABLES, worker=second).up()
    with pytest.raises(DriftError, match="shards"):
        tenant.unregister(second)
    tenant.placement(workers=[first]).up()
    assert_whole(tenant, address(first))
    assert tenant.value("select count(*) from pg_dist_node where groupid > 0") == 1
