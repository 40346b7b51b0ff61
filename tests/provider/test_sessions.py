"""One run's steps take turns without a deadline; what holds them up is named; whatever a role sets, they work."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from components.database import statements, turns
from components.errors import NotReadyError, StackError
from tests.provider.conftest import _close_idle_connections
from tests.provider.seen import eventually, keys, kind
from tests.servers import HOST

if TYPE_CHECKING:
    from tests.provider.resources import Cluster

pytestmark = [pytest.mark.needs("citus")]

SLOW = """
    create function slow(int) returns bool language plpgsql immutable as
    $$ begin perform pg_sleep(0.004); return true; end $$;
"""
"""Called by a check of each row: that table takes two seconds to distribute."""


def make_slow(cluster: Cluster, *tables: str) -> None:
    """Make tables that take longer to distribute than the deadline of the tests."""
    cluster.run(SLOW)
    for table in tables:
        cluster.run(f"create table {table} (id int primary key); insert into {table} select generate_series(1, 500)")
        cluster.run(f"alter table {table} add check (slow(id)) not valid")


def test_steps_of_one_run_wait_for_each_other_without_a_deadline(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tables that each take longer than readyTimeout are all distributed in one run, and the waiting ones say for what."""
    make_slow(cluster, "a", "b", "c")
    started = time.monotonic()

    with ThreadPoolExecutor() as pool:
        tables = [cluster.distributed(table, "id", shard_count=2, ready_timeout=1) for table in "abc"]
        steps = list(pool.map(lambda table: table.up(), tables))

    assert steps == ["create"] * 3
    assert time.monotonic() - started > 2


def test_step_tells_what_it_waits_for(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While a step waits for another of its run, it says which, and for how long that has been at work."""
    monkeypatch.setattr(turns, "FIRST_REPORT", 0.2)
    make_slow(cluster, "a")
    cluster.run("create table b (id int primary key)")

    with ThreadPoolExecutor() as pool:
        first = pool.submit(cluster.distributed("a", "id", ready_timeout=1).up)
        eventually(
            lambda: cluster.value("select count(*) from pg_stat_activity where query like '%%create_distributed%%'")
        )
        cluster.distributed("b", "id", ready_timeout=1).up()
        first.result()

    assert (
        "distributing table b: waiting for another step of this run: distributing table a (" in capsys.readouterr().out
    )


def test_step_after_one_that_gave_up_does_not_wait_as_long(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a worker away, the steps that queued behind the first that gave up do not each wait the whole deadline again."""
    monkeypatch.setattr(statements, "PROBE_SECONDS", 1)
    cluster.run("create table a (id int); create table b (id int); create table c (id int)")
    cluster.workers[0].pause()
    started = time.monotonic()

    with ThreadPoolExecutor() as pool:
        steps = [pool.submit(cluster.distributed(table, "id", ready_timeout=6).up) for table in "abc"]
        errors = [step.exception() for step in steps]

    assert all(isinstance(error, NotReadyError) for error in errors)
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("place", ["coordinator", "worker"])
def test_lock_that_stays_is_given_up_and_its_session_named(
    cluster: Cluster, place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A transaction that keeps a table locked longer than readyTimeout is named, where it is; nothing was done."""
    monkeypatch.setattr(statements, "PROBE_SECONDS", 1)
    cluster.run("create table t (id int primary key); insert into t select generate_series(1, 100)")
    cluster.distributed("t", "id").up()
    script = cluster.script("010.sql", "alter table t add c int")
    script.inputs["ready_timeout"] = 2
    worker = cluster.workers[0]
    shard = cluster.value("select shardid from pg_dist_shard_placement where nodeport = %s limit 1", worker.port)
    server, table = (cluster.coordinator, "t") if place == "coordinator" else (worker, f"t_{shard}")
    with cluster.connected(server) as other, other.transaction():
        other.execute("set application_name = 'till 7'")
        other.execute("set citus.enable_manual_changes_to_shards = on")
        other.execute(f"select count(*) from {table}".encode())
        started = time.monotonic()

        with pytest.raises(
            NotReadyError, match=rf"process {other.info.backend_pid} of postgres, till 7, idle in trans"
        ):
            script.up()

        assert time.monotonic() - started < 15
        assert "till 7" in capsys.readouterr().out
    assert script.up() == "create"


# --- what the role, the database, the server or the environment set -----------------------------------------------------

HOSTILE = {
    "statement_timeout": "1s",
    "lock_timeout": "1s",
    "idle_in_transaction_session_timeout": "1s",
    "idle_session_timeout": "1s",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "search_path": "elsewhere",
    "session_replication_role": "replica",
    "client_min_messages": "error",
    "default_table_access_method": "columnar",
    "quote_all_identifiers": "on",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "citus.enable_ddl_propagation": "off",
    "citus.shard_replication_factor": "2",
    "citus.multi_shard_modify_mode": "sequential",
    "citus.use_citus_managed_tables": "on",
    "citus.enable_schema_based_sharding": "on",
    "plpgsql.variable_conflict": "use_column",
}
"""What an administrator may have set for all sessions; Citus passes a role's on to the workers, and none of a database's."""


@pytest.mark.parametrize("whose", ["database {}", "role postgres in database {}"])
def test_whole_chain_works_whatever_role_or_database_set(cluster: Cluster, whose: str) -> None:
    """Nodes, a file, reference and distributed tables, tenants, a drain: none of it takes anything from them."""
    owner = whose.format(cluster.database)
    cluster.run("create schema elsewhere")
    with cluster.connected() as administrator:  # in this database, so that Citus passes on what is the role's
        for name, value in HOSTILE.items():
            administrator.execute(f"alter {owner} set {name} = '{value}'".encode())
    cluster.coordinator_node().up()
    for worker in cluster.workers:
        cluster.worker_node(worker).up()
    text = """
        create table country (id int primary key);
        create table sale (id int primary key, country_id int not null references country, day date, price float8, note text);
        insert into country select generate_series(1, 4);
        insert into sale select i, i % 4 + 1, '2026-03-04', 1.0 / 3, e'a\\\\b' from generate_series(1, 100) i;
        create schema apart;
        do $$ declare id int := 7; begin perform pg_sleep(1.2); end $$;
    """
    cluster.script("010.sql", text).up()
    cluster.reference("country", pending=["sale"]).up()
    sale = cluster.distributed("sale", "country_id", pending=["country"])
    sale.up()
    placement = cluster.placement({"table": "sale", "spread": ["1", "2"]})
    placement.up()
    cluster.script("020.sql", "alter table sale add comment text; create index on sale (day)").up()
    placement.up(workers=[f"{HOST}:{cluster.workers[0].port}"])
    cluster.health().up()

    with cluster.coordinator.connect() as elsewhere:
        for name in HOSTILE:
            elsewhere.execute(f"alter {owner} reset {name}".encode())
    assert kind(cluster, "public.sale") == ("distributed", "country_id")
    assert keys(cluster, "public.sale")["sale_pkey"] == "PRIMARY KEY (country_id, id)"
    same = "select count(*) from sale where day = '2026-03-04' and price = 1.0::float8 / 3 and note = e'a\\\\b'"
    assert cluster.value(same) == 100
    assert cluster.value("select count(*) from pg_dist_schema") == 0
    shards = "select count(*) from citus_shards where table_name = 'sale'::regclass and nodeport = %s"
    assert cluster.value(shards, cluster.workers[1].port) == 0
    assert sale.refresh()
    assert sale.up() == "same"


def test_work_on_the_nodes_is_not_ended_by_a_timeout_of_the_role(cluster: Cluster) -> None:
    """Citus passes a role's settings on to every node; its own sessions there take no timeout from it."""
    make_slow(cluster, "t")
    try:
        cluster.run("alter role postgres set statement_timeout = '1s'")
        assert cluster.distributed("t", "id", shard_count=1).up() == "create"
    finally:
        cluster.run("set statement_timeout = 0; alter role postgres reset statement_timeout")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("default_transaction_read_only", "on"),
        ("datestyle", "SQL, DMY"),
        ("intervalstyle", "sql_standard"),
        ("standard_conforming_strings", "off"),
    ],
)
def test_settings_that_citus_takes_on_the_nodes_are_refused(cluster: Cluster, name: str, value: str) -> None:
    """What no session of ours can set for those of Citus is refused before a table is touched, with what takes it back."""
    cluster.run("create table t (id int primary key, a int)")
    worker = cluster.workers[0]
    with worker.connect() as elsewhere:
        elsewhere.execute(f"alter database {cluster.database} set {name} = '{value}'".encode())
        table = cluster.distributed("t", "a")

        with pytest.raises(StackError, match=rf"(?i):{worker.port}: {name} = .* \(alter database .* reset ") as refused:
            table.up()

        assert kind(cluster, "t") == ("local", None)
        remedy = str(refused.value).partition("(")[2].partition(")")[0]
        elsewhere.execute("set default_transaction_read_only = off")
        elsewhere.execute(remedy.encode())
    _close_idle_connections()
    assert table.up() == "create"
