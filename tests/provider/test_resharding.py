"""Tables whose sharding is declared in another way than it is, on genuine Citus: in place, rewritten, or refused."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from components.database import safeguards
from components.errors import DriftError, ReshardingError, StackError
from components.names import TableName
from components.resources.tables import LocalTableProvider
from components.resources.wire import write
from components.tables import Distributed, Local, Pending, Reference, Sharding
from tests.provider.resources import RefusedError, Resource
from tests.provider.seen import GATE, eventually, keys, kind, leftovers, metadata, set_aside
from tests.servers import HOST

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.provider.resources import Cluster
    from tests.servers import PostgresServer

pytestmark = pytest.mark.needs("citus")


def name(table: str) -> dict[str, str]:
    """Return a table's name as a property."""
    parsed = TableName.parse(table)
    return {"schema": parsed.schema, "name": parsed.name}


def to_come(**tables: str) -> list[dict[str, Any]]:
    """Return how other tables are declared: by a column, or as `reference` or `local`."""
    kinds: dict[str, Sharding] = {"reference": Reference(), "local": Local()}
    return [write(Pending(TableName.parse(table), kinds.get(how, Distributed(how)))) for table, how in tables.items()]


def local(cluster: Cluster, table: str, pending: list[dict[str, Any]] | None = None) -> Resource:
    """Declare a table that is to be local again."""
    inputs = {"table": name(table), "pending": pending or []}
    return Resource(LocalTableProvider(), {**write(cluster.access()), **inputs})


def group(cluster: Cluster, table: str) -> tuple[int, int, int]:
    """Return a table's colocation group, into how many shards that was split, and how many shards the table has."""
    ((found),) = cluster.rows(
        "select colocationid, shardcount, (select count(*) from pg_dist_shard s where s.logicalrelid = t.logicalrelid)"
        " from pg_dist_partition t join pg_dist_colocation using (colocationid) where logicalrelid = %s::regclass",
        table,
    )
    return found


def shards(cluster: Cluster, table: str) -> list[tuple[Any, ...]]:
    """Return the ids of a table's shards, which change when it is rewritten."""
    return cluster.rows("select shardid from pg_dist_shard where logicalrelid = %s::regclass order by 1", table)


def content(cluster: Cluster, table: str) -> list[tuple[Any, ...]]:
    """Return all rows of a table."""
    return cluster.rows(f"select * from {table} order by 1, 2")


def make(cluster: Cluster, *tables: str, rows: int = 60) -> None:
    """Make tables with a key, two columns to distribute by, and rows."""
    for table in tables:
        cluster.run(
            f"create table {table} (id serial primary key, a int not null, b int not null);"
            f"insert into {table} (a, b) select i % 7, i % 5 from generate_series(1, {rows}) i"
        )


FAMILY = """
    create table r (id int primary key);
    create table p (id serial primary key, a int not null, b int not null, r int references r, boss int references p);
    create table c (id serial primary key, a int not null, b int not null, p int references p on delete cascade);
    insert into r select generate_series(1, 5);
    insert into p (a, b, r, boss) select i % 7, i % 7 + 100, 1 + i % 5, i from generate_series(1, 50) i;
    insert into c (a, b, p) select i % 7, i % 7 + 100, i from generate_series(1, 50) i
"""
"""A reference table, a parent that references it and itself, and its child."""


@pytest.fixture
def family(cluster: Cluster) -> tuple[Resource, Resource, Resource]:
    """The tables of FAMILY, sharded: r, p and c, the latter two by their column a."""
    cluster.run(FAMILY)
    r = cluster.reference("r", pending=["p"])
    p = cluster.distributed("p", "a", pending=["r", "c"])
    c = cluster.distributed("c", "a", colocate_with="p", pending=["p"])
    for table in (r, p, c):
        table.up()
    p.inputs["followers"] = [name("c")]
    assert set_aside(cluster) == []
    return r, p, c


# --- colocation ------------------------------------------------------------------------------------------------------


def test_tables_whose_shards_lie_alike_are_colocated_in_place(
    cluster: Cluster, capfd: pytest.CaptureFixture[str]
) -> None:
    """A table joins another group, and leaves it again, without a row being moved; the preview tells."""
    make(cluster, "t", "u")
    cluster.distributed("t", "a").up()
    u = cluster.distributed("u", "a")
    u.up()
    before = shards(cluster, "u"), content(cluster, "u")

    assert u.up(colocate_with=name("t")) == "update"
    assert "u: joins the colocation group of t in place" in capfd.readouterr().out
    assert group(cluster, "u") == group(cluster, "t")
    assert u.refresh()
    assert u.up() == "same"

    assert u.up(colocate_with=None) == "update"
    assert "u: leaves that of t in place" in capfd.readouterr().out
    assert group(cluster, "u")[0] != group(cluster, "t")[0]
    assert u.refresh()
    assert u.up() == "same"
    assert (shards(cluster, "u"), content(cluster, "u")) == before


def test_a_table_takes_those_that_are_colocated_with_it_along(
    cluster: Cluster, family: tuple[Resource, Resource, Resource]
) -> None:
    """With all their keys, and in place; their own turn finds its work done."""
    _, p, c = family
    make(cluster, "t")
    cluster.distributed("t", "a").up()
    before = shards(cluster, "p"), shards(cluster, "c"), keys(cluster, "p"), keys(cluster, "c")

    assert p.up(colocate_with=name("t")) == "update"

    assert group(cluster, "p") == group(cluster, "c") == group(cluster, "t")
    assert c.up(target_group=1) == "update"
    assert (shards(cluster, "p"), shards(cluster, "c"), keys(cluster, "p"), keys(cluster, "c")) == before
    assert set_aside(cluster) == []


def test_a_partitioned_table_joins_with_its_partitions(cluster: Cluster) -> None:
    """Citus itself would move the partitioned table alone."""
    make(cluster, "t")
    cluster.run(
        "create table m (id int, a int, at date) partition by range (at);"
        "create table m1 partition of m for values from ('2024-01-01') to ('2025-01-01');"
        "create table m2 partition of m for values from ('2025-01-01') to ('2026-01-01');"
        "insert into m select i, i, date '2024-12-01' + i from generate_series(1, 60) i"
    )
    cluster.distributed("t", "a").up()
    m = cluster.distributed("m", "a")
    m.up()

    m.up(colocate_with=name("t"))
    assert {group(cluster, table) for table in ("m", "m1", "m2")} == {group(cluster, "t")}

    m.up(colocate_with=None)
    assert group(cluster, "m") == group(cluster, "m1") == group(cluster, "m2") != group(cluster, "t")

    m.up(shard_count=8, rewrite=True)
    assert {group(cluster, table)[1:] for table in ("m", "m1", "m2")} == {(8, 8)}
    assert cluster.value("select count(*) from m") == 60


def test_tables_whose_shards_lie_apart_are_colocated_by_rewriting(cluster: Cluster) -> None:
    """A shard that was moved keeps a table from joining in place: it is refused, and rewritten where that is allowed."""
    make(cluster, "t", "u")
    cluster.distributed("t", "a").up()
    u = cluster.distributed("u", "a")
    u.up()
    before = content(cluster, "u")
    shard, port = cluster.rows(
        "select shardid, nodeport from pg_dist_shard natural join pg_dist_shard_placement"
        " where logicalrelid = 't'::regclass limit 1"
    )[0]
    other = next(worker.port for worker in cluster.workers if worker.port != port)
    cluster.rows(
        "select citus_move_shard_placement(%s, %s, %s, %s, %s, 'block_writes')", shard, HOST, port, HOST, other
    )

    with pytest.raises(ReshardingError, match=r"table u is not colocated with t as declared.*citus:tables\.u\.rewrite"):
        u.up(colocate_with=name("t"))
    assert u.up(colocate_with=name("t"), rewrite=True) == "update"

    assert group(cluster, "u") == group(cluster, "t")
    assert content(cluster, "u") == before


def test_columns_of_different_types_cannot_be_colocated(cluster: Cluster) -> None:
    """Citus says so in its own words, and nothing is changed."""
    make(cluster, "t")
    cluster.run("create table u (a bigint)")
    cluster.distributed("t", "a").up()
    u = cluster.distributed("u", "a")
    u.up()
    before = group(cluster, "u")

    with pytest.raises(StackError, match=r"distributing table u: cannot colocate tables t and u"):
        u.up(colocate_with=name("t"))

    assert group(cluster, "u") == before


def test_a_foreign_key_never_spans_two_groups(cluster: Cluster, family: tuple[Resource, Resource, Resource]) -> None:
    """A child that leaves its parent is refused by Citus where the parent stays; the key holds as before."""
    _, _, c = family
    before = keys(cluster, "c"), group(cluster, "c")
    c.inputs["pending"] = []

    with pytest.raises(StackError, match="foreign key"):
        c.up(colocate_with=None)

    assert (keys(cluster, "c"), group(cluster, "c")) == before
    assert set_aside(cluster) == []


# --- rewriting -------------------------------------------------------------------------------------------------------


def test_another_shard_count_rewrites_the_group(
    cluster: Cluster, family: tuple[Resource, Resource, Resource], capfd: pytest.CaptureFixture[str]
) -> None:
    """Only when asked; rows, keys and serials are as before, and the permission left in place does nothing."""
    _, p, c = family
    before = content(cluster, "p"), content(cluster, "c"), keys(cluster, "p"), keys(cluster, "c")
    with pytest.raises(
        RefusedError, match=r"has 4 shards, but 8 are declared\. .*set citus:tables\.p\.rewrite to true"
    ):
        p.preview(shard_count=8)
    capfd.readouterr()

    assert p.up(shard_count=8, rewrite=True) == "update"

    assert "warning: p: 2 tables are rewritten, and locked meanwhile: p, c" in capfd.readouterr().out
    assert group(cluster, "p") == group(cluster, "c")
    assert group(cluster, "p")[1:] == (8, 8)
    assert (content(cluster, "p"), content(cluster, "c"), keys(cluster, "p"), keys(cluster, "c")) == before
    assert cluster.value("insert into p (a, b) values (1, 1) returning id") == 51
    assert set_aside(cluster) == []
    assert p.state["shards"] == 8
    assert c.up(shard_count=8, target_group=p.state["colocation_group"]) == "update"
    for table in (p, c):
        assert table.refresh()
        assert table.up() == "same"


def test_a_group_of_its_own_is_none_that_is_there_already(cluster: Cluster) -> None:
    """A table that is rewritten does not fall in with another one that has as many shards."""
    make(cluster, "t", "u")
    cluster.distributed("t", "a", shard_count=8).up()
    u = cluster.distributed("u", "a")
    u.up()

    u.up(shard_count=8, rewrite=True)

    assert group(cluster, "u")[1:] == (8, 8)
    assert group(cluster, "u")[0] != group(cluster, "t")[0]


def test_a_table_that_nobody_declared_stays_with_its_group(cluster: Cluster) -> None:
    """What a person colocated by hand is rewritten with the rest."""
    make(cluster, "t", "u")
    t = cluster.distributed("t", "a")
    t.up()
    cluster.run("alter table u drop constraint u_pkey; select create_distributed_table('u', 'a', colocate_with => 't')")

    t.up(shard_count=2, rewrite=True)

    assert group(cluster, "u") == group(cluster, "t")
    assert group(cluster, "t")[1:] == (2, 2)


def test_another_distribution_column_rewrites_table_and_keys(
    cluster: Cluster, family: tuple[Resource, Resource, Resource], capfd: pytest.CaptureFixture[str]
) -> None:
    """Each in its turn: the foreign keys between them wait, the primary keys hold the new column, serials count on."""
    _, p, c = family
    before = content(cluster, "p"), content(cluster, "c")
    with pytest.raises(RefusedError, match=r"table c is distributed by a, but is declared as distributed by b\. "):
        c.preview(distribution_column="b")
    capfd.readouterr()

    assert p.up(distribution_column="b", rewrite=True, pending=to_come(c="b", r="reference")) == "update"
    assert "warning: p: 1 table is rewritten, and locked meanwhile: p\n" in capfd.readouterr().out
    assert set_aside(cluster) == ["c_p_fkey"]
    assert c.up(distribution_column="b", rewrite=True, pending=to_come(p="b")) == "update"

    assert kind(cluster, "p") == kind(cluster, "c") == ("distributed", "b")
    assert group(cluster, "p") == group(cluster, "c")
    assert (content(cluster, "p"), content(cluster, "c")) == before
    assert keys(cluster, "p") == {
        "p_pkey": "PRIMARY KEY (b, a, id)",
        "p_r_fkey": "FOREIGN KEY (r) REFERENCES r(id)",
        "p_boss_fkey": "FOREIGN KEY (b, a, boss) REFERENCES p(b, a, id)",
    }
    assert keys(cluster, "c")["c_p_fkey"] == "FOREIGN KEY (b, a, p) REFERENCES p(b, a, id) ON DELETE CASCADE"
    assert set_aside(cluster) == []
    assert cluster.value("insert into c (a, b) values (1, 1) returning id") == 51
    for table in (p, c):
        assert table.refresh()
        assert table.up() == "same"


def test_a_declared_key_may_leave_the_old_column_out(cluster: Cluster) -> None:
    """The setting primaryKey decides; where the rows do not keep it, the table stays as it was."""
    make(cluster, "t")
    t = cluster.distributed("t", "a")
    t.up()

    with pytest.raises(DriftError, match=r"values of the new primary key \(b\) occur more than once"):
        t.up(distribution_column="b", rewrite=True, primary_key=["b"])
    assert keys(cluster, "t") == {"t_pkey": "PRIMARY KEY (a, id)"}
    t.up(distribution_column="b", rewrite=True, primary_key=["b", "id"])

    assert keys(cluster, "t") == {"t_pkey": "PRIMARY KEY (b, id)"}
    assert cluster.value("select count(*) from t") == 60


def test_a_column_of_another_type_takes_a_group_of_its_own(cluster: Cluster) -> None:
    """Those that were colocated with the table stay in the old group until their turn."""
    cluster.run("create table t (a int, k text not null); create table u (a int, k text not null)")
    cluster.run("insert into t select i, i from generate_series(1, 50) i; insert into u select * from t")
    t, u = cluster.distributed("t", "a"), cluster.distributed("u", "a", colocate_with="t")
    t.up(followers=[name("u")])
    u.up()

    t.up(distribution_column="k", rewrite=True)
    assert group(cluster, "t")[0] != group(cluster, "u")[0]
    u.up(distribution_column="k", rewrite=True)

    assert group(cluster, "t") == group(cluster, "u")
    assert content(cluster, "t") == content(cluster, "u")
    assert cluster.value("select count(*) from t") == 50


def test_rows_without_the_new_column_are_counted(cluster: Cluster) -> None:
    """And so is a column that there is not; nothing is changed."""
    cluster.run("create table t (a int, b int); insert into t values (1, null), (2, 2)")
    t = cluster.distributed("t", "a")
    t.up()

    with pytest.raises(
        DriftError, match=r"table t: 1 rows have NULL in the distribution column b.*nothing was changed"
    ):
        t.up(distribution_column="b", rewrite=True)
    with pytest.raises(DriftError, match="there is no column c to distribute it by"):
        t.up(distribution_column="c", rewrite=True)

    assert kind(cluster, "t") == ("distributed", "a")


def test_identity_columns_are_named(cluster: Cluster) -> None:
    """Citus rewrites no such table, nor a group with one: the error names table, column and the way by hand."""
    make(cluster, "t")
    cluster.run("create table i (id bigint generated always as identity, a int)")
    t, i = cluster.distributed("t", "a"), cluster.distributed("i", "a", colocate_with="t")
    t.up(followers=[name("i")])
    i.up()
    before = group(cluster, "t"), group(cluster, "i")
    identity = (
        r"table i: Citus rewrites no table with an identity column, and this one has id; .* by hand: create a table"
    )

    with pytest.raises(DriftError, match=identity):
        t.up(shard_count=8, rewrite=True)
    with pytest.raises(DriftError, match=identity):
        local(cluster, "i").up()
    with pytest.raises(DriftError, match=identity):
        cluster.reference("i").up(rewrite=True)

    assert (group(cluster, "t"), group(cluster, "i")) == before


def take_over(old: Resource, new: Resource) -> None:
    """Give a resource the state of the same table of another kind, as the engine does."""
    new.id, new.state, new.applied = old.id, old.state, old.applied


# --- another kind ----------------------------------------------------------------------------------------------------


def test_a_distributed_table_becomes_a_reference_table_and_back(cluster: Cluster) -> None:
    """With its rows and keys, in one transaction each way."""
    cluster.run(FAMILY)
    cluster.run("drop table c")
    p = cluster.distributed("p", "a", pending=["r"])
    p.up()
    before = content(cluster, "p")
    reference = cluster.reference("p", pending=["r"])
    with pytest.raises(ReshardingError, match=r"is distributed by a, but is declared as a reference table.*p\.rewrite"):
        reference.up()

    assert reference.up(rewrite=True) == "create"
    assert (kind(cluster, "p"), content(cluster, "p")) == (("reference", None), before)
    assert cluster.value("select pg_relation_size('p')") == 0
    assert reference.refresh()
    assert reference.up() == "same"

    distributed = cluster.distributed("p", "b", pending=["r"])
    with pytest.raises(ReshardingError, match="is a reference table, but is declared as distributed by b"):
        distributed.up()
    take_over(reference, distributed)
    with pytest.raises(RefusedError, match=r"is a reference table, but is declared as distributed.*p\.rewrite"):
        distributed.preview()
    assert distributed.up(rewrite=True, pending=to_come(r="reference")) == "update"
    assert (kind(cluster, "p"), content(cluster, "p")) == (("distributed", "b"), before)
    assert cluster.value("insert into p (a, b) values (1, 1) returning id") == 51


def test_tables_become_local_again(cluster: Cluster, family: tuple[Resource, Resource, Resource]) -> None:
    """Their rows and keys come back to the coordinator; foreign keys between them wait for the last."""
    r, p, _ = family
    before = content(cluster, "p"), content(cluster, "c"), keys(cluster, "p"), keys(cluster, "c")
    declared = to_come(p="local", c="local", r="reference")
    tables = [local(cluster, "p", declared), local(cluster, "c", declared)]

    assert tables[0].up() == "create"
    assert set_aside(cluster) == ["c_p_fkey"]
    assert tables[1].up() == "create"

    assert kind(cluster, "p") == kind(cluster, "c") == ("local", None)
    assert (content(cluster, "p"), content(cluster, "c"), keys(cluster, "p"), keys(cluster, "c")) == before
    assert set_aside(cluster) == []
    assert cluster.value("insert into c (a, b) values (1, 1) returning id") == 51
    assert leftovers(cluster) == []
    for table in tables:
        assert table.refresh()
        assert table.up() == "same"
        table.delete()
    assert local(cluster, "r", declared).up() == "create"
    assert kind(cluster, "r") == ("local", None)
    assert not r.refresh()
    assert not p.refresh()


def test_a_local_table_changes_nothing_when_it_is_local(cluster: Cluster) -> None:
    """A second run, with its state or without, touches no row and no key."""
    make(cluster, "t")
    before = content(cluster, "t"), keys(cluster, "t"), metadata(cluster)
    table = local(cluster, "t")
    assert table.up() == "create"
    assert table.up() == "same"
    assert local(cluster, "t").up() == "create"
    assert (content(cluster, "t"), keys(cluster, "t"), metadata(cluster)) == before


def test_a_table_sharded_by_hand_is_local_no_more(cluster: Cluster) -> None:
    """A refresh sees it, and the next update brings the rows back; a table that is gone is named."""
    make(cluster, "t")
    table = local(cluster, "t")
    table.up()
    cluster.run("alter table t drop constraint t_pkey; select create_distributed_table('t', 'a')")

    assert not table.refresh()
    assert table.up() == "create"
    assert (kind(cluster, "t"), cluster.value("select count(*) from t")) == (("local", None), 60)
    with pytest.raises(DriftError, match="table nowhere does not exist"):
        local(cluster, "nowhere").up()


def test_a_local_table_that_a_distributed_one_references_is_refused(
    cluster: Cluster, family: tuple[Resource, Resource, Resource]
) -> None:
    """No foreign key is lost: Citus refuses the key, and all is as before."""
    before = keys(cluster, "c"), group(cluster, "p")

    with pytest.raises(StackError, match="undistributing table p: "):
        local(cluster, "p", to_come(c="a", r="reference")).up()

    assert (keys(cluster, "c"), group(cluster, "p")) == before
    assert set_aside(cluster) == []


# --- tenants with shards of their own --------------------------------------------------------------------------------


def test_tenants_are_placed_again_after_a_rewrite(cluster: Cluster) -> None:
    """A group that is split anew has no tenant apart; its new number makes the placement see to that in the same update."""
    make(cluster, "t")
    t = cluster.distributed("t", "a")
    t.up()
    pin = {"3": f"{HOST}:{cluster.workers[1].port}"}
    placement = cluster.placement({"table": "t", "pin": pin})
    placement.up(groups=[t.state["colocation_group"]])
    assert group(cluster, "t")[1:] == (4, 6)
    assert t.refresh()
    assert t.up() == "same"

    t.up(shard_count=8, rewrite=True)
    assert group(cluster, "t")[1:] == (8, 8)
    assert placement.up(groups=[t.state["colocation_group"]]) == "update"

    assert group(cluster, "t")[1:] == (8, 10)
    assert placement.state["residency"] == {"t": pin}
    assert cluster.value("select count(*) from t") == 60


def test_a_table_joins_and_leaves_a_group_with_tenants_apart(cluster: Cluster) -> None:
    """Its shards are then others than its own would be, so that it is rewritten either way."""
    make(cluster, "t", "u")
    cluster.distributed("t", "a").up()
    u = cluster.distributed("u", "a")
    u.up()
    before = content(cluster, "u")
    cluster.placement({"table": "t", "spread": ["1"]}).up()

    with pytest.raises(ReshardingError, match="table u is not colocated with t"):
        u.up(colocate_with=name("t"))
    u.up(colocate_with=name("t"), rewrite=True)
    assert group(cluster, "u") == group(cluster, "t")
    assert group(cluster, "u")[1:] == (4, 6)

    with pytest.raises(ReshardingError, match="table u is colocated with t, but is not declared so"):
        u.up(colocate_with=None, rewrite=False)
    u.up(colocate_with=None, rewrite=True)
    assert group(cluster, "u")[1:] == (4, 4)
    assert content(cluster, "u") == before
    assert u.refresh()
    assert u.up() == "same"


# --- a fault while a table is rewritten ------------------------------------------------------------------------------


@pytest.fixture
def gated(cluster: Cluster) -> Resource:
    """A distributed table t of 2000 rows; a worker on which the gate is locked stops in the middle of taking them anew."""
    cluster.run(
        "create function gate() returns boolean language plpgsql as"
        f" $$ begin perform pg_advisory_xact_lock_shared({GATE}); return true; end $$;"
        "create table r (id int primary key); insert into r values (0);"
        "create table t (id int primary key, a int, b int, r int references r, check (gate()));"
        "insert into t select i, i % 50, i % 40, 0 from generate_series(1, 2000) i"
    )
    cluster.reference("r", pending=["t"]).up()
    t = cluster.distributed("t", "a", pending=["r"])
    t.up()
    return t


def while_changing(
    cluster: Cluster, change: Callable[[], object], act: Callable[[], object], *, on: PostgresServer | None = None
) -> str:
    """Change the gated table, act while a node, the first worker, takes its rows, and return what was raised."""
    raised: list[str] = []

    def run() -> None:
        try:
            change()
        except StackError as error:
            raised.append(str(error))

    changing = threading.Thread(target=run)
    waiting = "select count(*) from pg_locks where locktype = 'advisory' and objid = %s and not granted"
    with cluster.connected(on or cluster.workers[0]) as gatekeeper:
        gatekeeper.execute("select pg_advisory_lock(%s)", [GATE])
        changing.start()
        eventually(lambda: not changing.is_alive() or gatekeeper.execute(waiting, [GATE]).fetchone() != (0,))
        act()
        gatekeeper.execute("select pg_advisory_unlock(%s)", [GATE])
    changing.join()
    return raised[0] if raised else ""


END = (
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name ~ 'citus-pulumi: (un)?distributing'"
)


def state(cluster: Cluster) -> list[Any]:
    """Return all that a change of t changes."""
    return [kind(cluster, "t"), group(cluster, "t"), shards(cluster, "t"), keys(cluster, "t"), content(cluster, "t")]


@pytest.mark.parametrize("change", [{"shard_count": 8}, {"distribution_column": "b"}], ids=["shards", "column"])
def test_session_ended_while_a_table_is_rewritten(cluster: Cluster, gated: Resource, change: dict[str, Any]) -> None:
    """The old table is whole, with its keys and rows; the next update finishes, and nothing is left over."""
    before = state(cluster)

    error = while_changing(cluster, lambda: gated.up(rewrite=True, **change), lambda: cluster.run(END))

    assert "terminating connection due to administrator command" in error
    assert state(cluster) == before
    cluster.run("select recover_prepared_transactions()")
    assert leftovers(cluster) == []
    assert gated.up(rewrite=True, **change) == "update"
    assert content(cluster, "t") == before[-1]
    assert keys(cluster, "t")["t_r_fkey"] == "FOREIGN KEY (r) REFERENCES r(id)"
    assert leftovers(cluster) == []


def test_session_ended_while_a_table_becomes_a_reference_table(cluster: Cluster, gated: Resource) -> None:
    """Between the two steps the table is never local for anybody else."""
    before = state(cluster)
    reference = cluster.reference("t", pending=["r"])
    reference.inputs["rewrite"] = True

    error = while_changing(cluster, reference.up, lambda: cluster.run(END.replace("(un)?distributing", "replicating")))

    assert "terminating connection due to administrator command" in error
    assert state(cluster) == before
    assert reference.up() == "create"
    assert (kind(cluster, "t"), content(cluster, "t")) == (("reference", None), before[-1])


def test_session_ended_while_a_table_becomes_local(cluster: Cluster, gated: Resource) -> None:
    """The shards have every row, and the next update brings them back."""
    before = state(cluster)
    table = local(cluster, "t")

    error = while_changing(cluster, table.up, lambda: cluster.run(END), on=cluster.coordinator)

    assert "terminating connection due to administrator command" in error
    assert state(cluster) == before
    assert table.up() == "create"
    assert (kind(cluster, "t"), content(cluster, "t")) == (("local", None), before[-1])
    assert leftovers(cluster) == []


def test_state_lost_after_a_rewrite(cluster: Cluster, gated: Resource) -> None:
    """An update of which the state was never saved finds its work done, and touches no shard."""
    change = {"shard_count": 8, "rewrite": True}
    old = dict(gated.state), dict(gated.applied)
    gated.up(**change)
    before = state(cluster)
    gated.state, gated.applied = old

    assert gated.up(**change) == "update"

    assert state(cluster) == before


def test_writes_wait_while_a_table_is_rewritten(cluster: Cluster, gated: Resource) -> None:
    """A row that comes in meanwhile lies on the new shards."""
    writer = threading.Thread(target=lambda: cluster.run("insert into t values (0, 0, 0, 0)"))

    def write() -> None:
        writer.start()
        eventually(lambda: cluster.value("select count(*) from pg_locks where locktype = 'relation' and not granted"))

    assert not while_changing(cluster, lambda: gated.up(shard_count=8, rewrite=True), write)

    writer.join()
    assert group(cluster, "t")[1:] == (8, 8)
    assert cluster.value("select count(*) from t") == 2001


def test_lost_rows_are_never_committed(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the count differs, everything is rolled back and the numbers are told."""
    make(cluster, "t")
    t = cluster.distributed("t", "a")
    t.up()
    before = state(cluster)
    numbers = iter([60, 59])
    monkeypatch.setattr(safeguards, "count_rows", lambda *_: next(numbers))

    with pytest.raises(
        StackError,
        match="table t: its row count changed from 60 to 59 while it was sharded; everything was rolled back",
    ):
        t.up(shard_count=8, rewrite=True)

    assert state(cluster) == before


# --- what else belongs to a table ------------------------------------------------------------------------------------


def test_comments_grants_and_views_come_through(cluster: Cluster) -> None:
    """Citus leaves comments behind, and of views the grants: both are as before, whether rewritten or local again."""
    make(cluster, "t")
    role = f"reader_{cluster.database}"
    t = cluster.distributed("t", "a")
    t.up()
    for statement in (
        f"create role {role}",
        f"grant select on t to {role}",
        "comment on table t is 'it''s'",
        "comment on column t.a is '100 %s'",
        "create index t_b on t (b)",
        "comment on index t_b is 'an index'",
        "comment on constraint t_pkey on t is 'a key'",
        'create view "V" as select * from t',
        'create view w as select a from "V"',
        'grant select on "V" to public',
        f"grant select on w to {role} with grant option",
        "comment on view w is 'a view'",
        "create materialized view m as select a, count(*) as n from t group by a",
        "create unique index m_a on m (a)",
        "comment on materialized view m is 'another'",
        f"grant all on m to {role}",
    ):
        cluster.run(statement)
    texts = ["it's", "100 %s", "an index", "a key", "a view", "another"]
    comments = f"""
        select (pg_identify_object(classoid, objoid, objsubid)).identity, description from pg_description
        where description in ({", ".join("'" + text.replace("'", "''") + "'" for text in texts)}) order by 1, 2
    """
    questions = (
        comments,
        "select relname, relacl::text from pg_class where relname in ('t', 'V', 'w', 'm') order by 1",
        "select indexname from pg_indexes where schemaname = 'public' order by 1",
        'select count(*) from "V", m',
    )
    before = [cluster.rows(question) for question in questions]
    assert len(before[0]) == 6

    t.up(shard_count=8, rewrite=True)
    assert [cluster.rows(question) for question in questions] == before
    t.up(distribution_column="b", rewrite=True)
    assert [cluster.rows(question) for question in questions] == before
    local(cluster, "t").up()
    assert [cluster.rows(question) for question in questions] == before
    for statement in (f"drop owned by {role}", f"drop role {role}"):
        cluster.run(statement)


def test_foreign_keys_of_partitions_come_through(cluster: Cluster) -> None:
    """Those that a person declared for a partition alone, too."""
    cluster.run(
        "create table p (id int, a int, primary key (a, id)); insert into p select i, i from generate_series(1, 9) i;"
        "create table m (id int, a int, at int, primary key (a, id, at)) partition by range (at);"
        "create table m1 partition of m for values from (0) to (5);"
        "create table m2 partition of m for values from (5) to (10);"
        "insert into m select i, i, i from generate_series(1, 9) i"
    )
    p, m = cluster.distributed("p", "a"), cluster.distributed("m", "a", colocate_with="p")
    p.up(followers=[name("m")])
    m.up()
    cluster.run("alter table m1 add constraint m1_p foreign key (a, id) references p (a, id)")
    before = keys(cluster, "m1")
    assert before["m1_p"] == "FOREIGN KEY (a, id) REFERENCES p(a, id)"

    p.up(shard_count=8, rewrite=True)

    assert keys(cluster, "m1") == before
    assert group(cluster, "m1") == group(cluster, "p")
    assert set_aside(cluster) == []
