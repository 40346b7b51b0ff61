"""What a person reads when the database fails under a step: the cause, the node, what was undone. With TLS and without."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from components.access import Server
from components.database import statements
from components.database.client import connected
from components.database.session import working
from components.errors import AccessError, NotReadyError, StackError
from components.logs import Log
from tests.provider.seen import GATE, eventually
from tests.servers import HOST, PASSWORD, USER

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.database.connections import Connection
    from tests.provider.resources import Cluster

pytestmark = [pytest.mark.needs("citus"), pytest.mark.usefixtures("transport")]

BACKENDS = "from pg_stat_activity where datname = current_database() and application_name like %s"


def coordinator(cluster: Cluster) -> Server:
    """Return how the code under test is told of the coordinator."""
    return Server("coordinator", HOST, cluster.coordinator.port, cluster.database, USER, Log("file", "/no/such/log"))


def is_encrypted(transport: str) -> bool:
    """Tell what the fixture promises."""
    return transport == "encrypted"


def test_connections_are_as_the_tests_take_them(cluster: Cluster, transport: str) -> None:
    """Of this process to the coordinator, and of the coordinator to a worker."""
    cluster.run("create table t (id int); select create_distributed_table('t', 'id')")
    with connected(coordinator(cluster), PASSWORD, doing="looking", timeout=5) as connection:
        assert connection.pgconn.ssl_in_use == is_encrypted(transport)
        connection.execute("begin; select count(*) from t")
        inner = f"select bool_and(ssl) from pg_stat_ssl where pid in (select pid {BACKENDS})"
        assert cluster.value(inner, "citus_internal%", on=cluster.workers[0]) == is_encrypted(transport)
        connection.execute("rollback")


def failed(cluster: Cluster, work: Callable[[Connection], object], *, timeout: float = 5) -> NotReadyError:
    """Return the error by which work on all nodes ends."""
    try:
        with working(coordinator(cluster), PASSWORD, doing="working", timeout=timeout, on_all_nodes=True) as connection:
            work(connection)
    except NotReadyError as error:
        return error
    pytest.fail("it went through")


@pytest.mark.parametrize("fault", ["killed", "shut down", "session ended"])
def test_a_lost_coordinator_is_told_as_that(cluster: Cluster, fault: str) -> None:
    """Its own connection was lost, whatever libpq says of it: nothing is said of other nodes, nor that all was undone."""

    def work(connection: Connection) -> None:
        if fault == "session ended":
            cluster.run(f"select pg_terminate_backend({connection.info.backend_pid}, 5000)")
        else:
            {"killed": cluster.coordinator.kill, "shut down": cluster.coordinator.stop}[fault]()
        connection.execute("select 1")

    error = failed(cluster, work)

    lost = rf"working: the connection to coordinator \({HOST}:{cluster.coordinator.port}\) was lost \(.*rolled back as a whole\."
    assert re.match(lost, str(error))
    assert "every node" not in str(error)
    assert "/no/such/log" not in error.message


def test_a_coordinator_that_does_not_answer_is_named(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frozen under a statement, it is given up at the deadline; that it may still commit, as it does, is told."""
    monkeypatch.setattr(statements, "PROBE_SECONDS", 1)
    cluster.run("create table t (id int)")
    started = time.monotonic()

    def work(connection: Connection) -> None:
        cluster.coordinator.pause()
        connection.execute("insert into t values (1)")

    error = failed(cluster, work, timeout=2)

    assert time.monotonic() - started < 15
    where = rf"coordinator \({HOST}:{cluster.coordinator.port}\)"
    assert re.match(
        rf"working: timed out: no answer for 2 s from {where} .*commits or rolls back its transaction", str(error)
    )
    cluster.coordinator.resume()
    eventually(lambda: cluster.value("select count(*) from t") == 1)


@pytest.mark.parametrize("fault", ["session ended", "shut down", "restarted"])
def test_a_worker_that_goes_away_is_told_as_that(cluster: Cluster, fault: str) -> None:
    """Under a transaction, which is undone: nothing is said of the coordinator, and the worker is named while it is away."""
    worker = cluster.workers[0]
    cluster.run("create table t (id int primary key); select create_distributed_table('t', 'id')")

    def work(connection: Connection) -> None:
        with connection.transaction():
            connection.execute("insert into t select generate_series(1, 100)")
            if fault == "session ended":
                ended = f"select count(pg_terminate_backend(pid, 5000)) {BACKENDS}"
                assert cluster.value(ended, "citus_internal%", on=worker)
            else:
                {"shut down": worker.stop, "restarted": worker.kill}[fault]()
            if fault == "restarted":
                worker.start()
            connection.execute("insert into t select generate_series(101, 200)")

    error = failed(cluster, work)

    away = fault == "shut down"
    assert error.nodes == ((f"{HOST}:{worker.port}",) if away else ())
    assert ("every node answers now" in str(error)) == (not away)
    assert re.match(r"working: .*The transaction was rolled back", str(error))
    assert "the connection to coordinator" not in str(error)
    worker.start()
    eventually(lambda: cluster.value("select count(*) from t") == 0)


def test_a_lock_timeout_of_a_node_names_the_node(cluster: Cluster) -> None:
    """Our session has none; what Citus's session on a node takes from the database there is told with the node."""
    worker = cluster.workers[0]
    cluster.run("create table t (id int primary key); select create_distributed_table('t', 'id', shard_count => 2)")
    shard = cluster.value("select shardid from pg_dist_shard_placement where nodeport = %s limit 1", worker.port)
    with worker.connect() as elsewhere:
        elsewhere.execute(f"alter database {cluster.database} set lock_timeout = '300ms'".encode())
    with cluster.connected(worker) as other, other.transaction():
        other.execute("set citus.enable_manual_changes_to_shards = on")
        other.execute(f"select count(*) from t_{shard}".encode())

        error = failed(cluster, lambda connection: connection.execute("alter table t add a int"))

    assert f"a lock on {HOST}:{worker.port} for longer than the lock_timeout" in str(error)


def test_a_password_that_the_coordinator_refuses_is_no_lost_connection(cluster: Cluster) -> None:
    """It fails at once, shows no password, and tells the way on."""
    with (
        pytest.raises(AccessError, match=r"refuses the password of postgres: .*pulumi config set") as caught,
        connected(coordinator(cluster), "wr0ng", doing="working", timeout=60),
    ):
        pass

    assert "wr0ng" not in str(caught.value)


def test_an_error_of_the_statement_is_not_blamed_on_a_node(cluster: Cluster) -> None:
    """Although a worker does not answer just then: the remedy would be wrong."""
    cluster.workers[0].pause()

    with (
        pytest.raises(StackError, match=r"^working: division by zero \[SQLSTATE 22012\]$") as caught,
        connected(coordinator(cluster), PASSWORD, doing="working", timeout=5) as connection,
    ):
        connection.execute("select 1 / 0")

    assert not isinstance(caught.value, NotReadyError)


def test_a_worker_that_is_killed_under_a_file_is_named(cluster: Cluster) -> None:
    """No statement of the file is to blame; nothing of it was applied, and the next run applies it."""
    worker = cluster.workers[0]
    cluster.run("create table t (id int primary key); select create_distributed_table('t', 'id')")
    script = cluster.script(
        "010.sql", f"insert into t values (0); select pg_advisory_xact_lock({GATE}); alter table t add a int"
    )
    with cluster.connected() as gatekeeper, ThreadPoolExecutor() as pool:
        gatekeeper.execute("select pg_advisory_lock(%s)", [GATE])
        applied = pool.submit(script.up)
        eventually(lambda: cluster.value("select count(*) from pg_locks where objid = %s and not granted", GATE))
        worker.kill()
        gatekeeper.execute("select pg_advisory_unlock(%s)", [GATE])
        with pytest.raises(NotReadyError, match=r"^applying 010\.sql: .*The transaction was rolled back") as caught:
            applied.result()

    assert caught.value.nodes == (f"{HOST}:{worker.port}",)
    worker.start()
    assert script.up() == "create"
    assert cluster.rows("select id, a from t") == [(0, None)]
