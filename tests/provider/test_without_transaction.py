"""Files that run outside a transaction: each statement once, and no INVALID index after a run that was interrupted or refused."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import psycopg
import pytest

from components.database.scripts import ensure_script
from components.database.without_transaction import Progress, Remnant
from components.errors import DriftError, StackError
from components.names import TableName
from components.schema.statements import SqlFile
from tests.provider.seen import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.provider.resources import Cluster
    from tests.servers import PostgresServer

pytestmark = [pytest.mark.needs("citus"), pytest.mark.timeout(60)]
MARK = "-- citus: no transaction\n"
TABLES = """
    create table kind (id int primary key);
    select create_reference_table('kind');
    create table m (t int, id int, s text, kind int references kind, primary key (t, id));
    create table l (t int, id int, s text, primary key (t, id));
    create table r (t int, id int, s text, primary key (t, id));
    select create_reference_table('r');
    create table d (t int, id int, s text, primary key (t, id));
    insert into d select i % 5, i, 'x' from generate_series(1, 100) i;
    set citus.shard_count = 4;
    select create_distributed_table('d', 't');
"""
INDEX = f"{MARK}create index concurrently d_s on d (s);\nalter table d add column note text default 'new';"


@pytest.fixture
def sharded(cluster: Cluster) -> Cluster:
    """A distributed, a reference, a managed and a local table."""
    cluster.run(TABLES)
    cluster.run("create index d_old on d (s)")
    return cluster


def apply(cluster: Cluster, text: str, name: str = "1.sql") -> list[str]:
    """Run a file as an update does, and return what it told."""
    with cluster.connected() as connection:
        return ensure_script(connection, SqlFile(name, text))


def indexes(cluster: Cluster, name: str) -> set[tuple[str, bool]]:
    """Return the node of each index whose name begins so, and whether it is valid."""
    query = "select indisvalid and indisready from pg_index join pg_class c on c.oid = indexrelid where starts_with(relname, %s)"
    found = set()
    for server in cluster.servers:
        with cluster.connected(server) as connection:
            connection.execute("set citus.override_table_visibility = off")
            found |= {(server.name, bool(row[0])) for row in connection.execute(query, [name]).fetchall()}
    return found


@pytest.fixture
def blocked(sharded: Cluster) -> Iterator[tuple[Cluster, PostgresServer, psycopg.Connection]]:
    """A transaction on a shard of the second worker, behind which building an index there waits."""
    worker = sharded.workers[1]
    placements = "pg_dist_shard join pg_dist_shard_placement using (shardid)"
    shard = sharded.value(
        f"select shard_name('d', shardid)::text from {placements} where logicalrelid = 'd'::regclass and nodeport = %s limit 1",
        worker.port,
    )
    with sharded.connected(worker) as connection, connection.transaction(force_rollback=True):
        connection.execute(f"insert into {shard} (t, id) select t, 1000 from {shard} limit 1".encode())
        yield sharded, worker, connection


def interrupt(blocked: tuple[Cluster, PostgresServer, psycopg.Connection], text: str, waiting: str, at: str) -> None:
    """End the session of a run, on the coordinator or the worker, while a statement of its waits on the worker."""
    cluster, worker, transaction = blocked
    failed: list[Exception] = []

    def run() -> None:
        try:
            apply(cluster, text)
        except (psycopg.Error, StackError) as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    waits = f"select count(*) from pg_stat_activity where query ~* '^ *{waiting}' and wait_event_type = 'Lock'"
    eventually(lambda: cluster.value(waits, on=worker))
    server, pattern = (worker, waiting) if at == "worker" else (cluster.coordinator, " concurrently ")
    ended = (
        f"select pg_terminate_backend(pid) from pg_stat_activity where query ~* '{pattern}' and pid <> pg_backend_pid()"
    )
    cluster.run(ended, on=server)
    thread.join(30)
    assert failed
    transaction.execute("rollback")
    eventually(
        lambda: not cluster.value(waits.replace(" and wait_event_type = 'Lock'", " and state = 'active'"), on=worker)
    )


def test_every_statement_runs_once(sharded: Cluster) -> None:
    """On a distributed, a reference, a managed and a local table; another run of the file changes nothing."""
    text = f"{MARK}set search_path = public;\ncreate type mood as enum ('a');\nalter type mood add value 'b';\n"
    for table in "drml":
        text += (
            f"create index concurrently {table}_s on {table} (s);\nreindex index concurrently {table}_s;\n"
            f"reindex table concurrently {table};\nvacuum (analyze) {table};\n"
            f"create unique index concurrently {table}_u on {table} (t, id, s);\ndrop index concurrently {table}_u;\n"
            f"alter table {table} add column mood mood default 'b';\n"
        )

    assert apply(sharded, text) == []
    assert apply(sharded, text) == []

    assert sharded.rows("select file_name from citus_pulumi.script") == [("1.sql",)]
    assert sharded.rows("select * from citus_pulumi.statement") == []
    assert sharded.rows("select distinct mood::text from d") == [("b",)]
    for table in "drml":
        assert {valid for _, valid in indexes(sharded, f"{table}_s")} == {True}
        assert indexes(sharded, f"{table}_u") == set()


def test_a_statement_that_is_refused_leaves_what_ran_before_and_no_index(sharded: Cluster) -> None:
    """It may be corrected then, what ran may not; the next run goes on with it, with the session's settings as they were."""
    begin = f"{MARK}set search_path = other, public;\ncreate schema other;\ncreate table inside (id int);\n"
    refused = f"{begin}create unique index concurrently d_s on d (t, s);\ncreate table last (id int);"

    with pytest.raises(
        StackError, match=r"1\.sql:5:1: could not create unique index .*; the 3 statements before it stay applied"
    ):
        apply(sharded, refused)
    assert indexes(sharded, "d_s") == set()
    with pytest.raises(DriftError, match=r"1\.sql:4:1: this statement has run .* put it back as it was"):
        apply(sharded, refused.replace("inside", "within"))

    told = apply(sharded, refused.replace("unique ", ""))

    assert told == ["1.sql: goes on after 3 statements"]
    assert sharded.rows("select relname from pg_class where relnamespace = 'other'::regnamespace order by 1") == [
        ("inside",),
        ("last",),
    ]
    assert {valid for _, valid in indexes(sharded, "d_s")} == {True}


@pytest.mark.parametrize("at", ["coordinator", "worker"])
def test_an_index_that_was_being_built_is_built_again(
    blocked: tuple[Cluster, PostgresServer, psycopg.Connection], at: str
) -> None:
    """A run that was killed leaves it INVALID on some nodes: the next run drops it, says so, and ends what the file asks for."""
    cluster = blocked[0]
    interrupt(blocked, INDEX, "CREATE +INDEX CONCURRENTLY", at)

    told = apply(cluster, INDEX)

    if at == "coordinator":  # what a worker refuses, the run itself has cleaned up after
        assert told[0].startswith(
            "1.sql:2:1: dropped what an interrupted run left: the index d_s, INVALID or missing on"
        )
    assert {valid for _, valid in indexes(cluster, "d_s")} == {True}
    assert len(indexes(cluster, "d_s")) == 3
    assert cluster.rows("select distinct note from d") == [("new",)]


def test_indexes_that_were_being_rebuilt_are_rebuilt(
    blocked: tuple[Cluster, PostgresServer, psycopg.Connection],
) -> None:
    """REINDEX CONCURRENTLY leaves INVALID indexes with names of its own: they are dropped on every shard."""
    cluster = blocked[0]
    text = f"{MARK}reindex table concurrently d;"
    interrupt(blocked, text, "REINDEX", "coordinator")

    apply(cluster, text)

    assert indexes(cluster, "d_pkey") == {(server.name, True) for server in cluster.servers}


def test_an_index_that_was_being_dropped_is_dropped(
    blocked: tuple[Cluster, PostgresServer, psycopg.Connection],
) -> None:
    """DROP INDEX CONCURRENTLY that was interrupted goes on with what is left."""
    cluster = blocked[0]
    text = f"{MARK}drop index concurrently d_old;"
    interrupt(blocked, text, "DROP INDEX CONCURRENTLY", "coordinator")

    apply(cluster, text)

    assert indexes(cluster, "d_old") == set()


def test_an_index_that_is_valid_is_not_built_again(sharded: Cluster) -> None:
    """A run that was killed after an index was built, and before that was written down, has built it."""
    with sharded.connected() as connection:
        (part, *_) = SqlFile("1.sql", INDEX).read()
        Progress(connection, "1.sql").begin(1, part, Remnant("index", TableName("public", "d_s")))
    sharded.run("create index d_s on d (s)")
    before = sharded.value("select 'd_s'::regclass::oid")

    assert apply(sharded, INDEX) == []

    assert sharded.value("select 'd_s'::regclass::oid") == before
    assert sharded.rows("select distinct note from d") == [("new",)]


def test_an_index_whose_statement_was_edited_meanwhile_is_built_as_it_is_now(sharded: Cluster) -> None:
    """The one of the run that was killed is valid, but it is another index under that name."""
    with sharded.connected() as connection:
        (part, *_) = SqlFile("1.sql", INDEX).read()
        Progress(connection, "1.sql").begin(1, part, Remnant("index", TableName("public", "d_s")))
    sharded.run("create index d_s on d (s)")

    (told,) = apply(sharded, INDEX.replace("d (s)", "d (id)"))

    assert "the index d_s, of a statement that has been edited since" in told
    assert sharded.value("select indexdef from pg_indexes where indexname = 'd_s'").endswith("(id)")


def test_an_invalid_index_of_somebody_else_is_told(sharded: Cluster) -> None:
    """IF NOT EXISTS would take it for the index that is wanted; nothing is dropped that this file did not create."""
    with pytest.raises(psycopg.errors.UniqueViolation):
        sharded.run("create unique index concurrently d_s on d (t, s)")

    with pytest.raises(
        StackError, match=r"1\.sql:2:1: the index d_s is there, but INVALID or missing on \d shards of d"
    ):
        apply(sharded, INDEX.replace("d_s", "if not exists d_s"))
    with pytest.raises(StackError, match='relation "d_s" already exists'):
        apply(sharded, INDEX)

    assert ("coordinator", False) in indexes(sharded, "d_s") or (sharded.coordinator.name, False) in indexes(
        sharded, "d_s"
    )


def test_a_new_value_of_an_enum_is_used_in_a_file_without_a_transaction(sharded: Cluster) -> None:
    """PostgreSQL refuses it in the transaction that adds the value: the error says what to do."""
    sharded.run("create type mood as enum ('a')")
    text = "alter type mood add value 'b';\nalter table d add column mood mood default 'b';"
    with pytest.raises(
        StackError, match=r"1\.sql:2:1: unsafe use of new value .* let this one begin with -- citus: no transaction"
    ):
        apply(sharded, text)

    apply(sharded, f"{MARK}{text}")

    assert sharded.rows("select distinct mood::text from d") == [("b",)]
