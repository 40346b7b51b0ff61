"""Coordinator, workers and health on genuine Citus: registered once, proved every time, never mistaken for another."""

from __future__ import annotations

import builtins
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from components import waiting
from components.database.session import LOCK
from components.errors import AccessError, DriftError, IdentityError, NotReadyError, StackError
from components.nodes.data import NodeDataProvider
from components.reports import collected
from components.resources import sql
from tests.provider.resources import CLUSTER_ID, READY_TIMEOUT, STACK, Resource, as_on_the_wire
from tests.servers import HOST, PASSWORD, USER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.provider.resources import Cluster
    from tests.servers import PostgresServer

pytestmark = pytest.mark.needs("citus")

NODES = "select nodeid, groupid, nodename, nodeport, isactive, metadatasynced from pg_dist_node order by nodeid"


def worker_rows(cluster: Cluster) -> list[tuple[Any, ...]]:
    """Return host, port, active and synced of the registered workers."""
    return cluster.rows(
        "select nodename, nodeport, isactive, metadatasynced from pg_dist_node where groupid > 0 order by nodeid"
    )


@pytest.fixture
def other_password(servers: Cluster) -> Iterator[PostgresServer]:
    """The first worker, whose password is another than that of the other nodes."""
    worker = servers.workers[0]
    with worker.connect() as connection:
        connection.execute(f"alter role {USER} password 'an0ther'")
    yield worker
    with worker.connect(password="an0ther") as connection:
        connection.execute(f"alter role {USER} password '{PASSWORD.replace(chr(39), chr(39) * 2)}'")


# --- coordinator -----------------------------------------------------------------------------------------------------


def test_coordinator_is_registered_under_its_name(servers: Cluster) -> None:
    """The coordinator is group 0 under the address by which the workers reach it, and tells who it is."""
    coordinator = servers.coordinator_node()

    coordinator.up()

    assert servers.rows("select groupid, nodename, nodeport from pg_dist_node") == [(0, HOST, servers.coordinator.port)]
    assert coordinator.id == f"{HOST}:{servers.coordinator.port}"
    assert coordinator.state["citus_version"] == servers.value(
        "select extversion from pg_extension where extname = 'citus'"
    )
    assert coordinator.state["server_id"] == servers.value("select metadata ->> 'server_id' from pg_dist_node_metadata")


def test_coordinator_changes_nothing_when_registered(servers: Cluster) -> None:
    """A second run, with its state or without, finds the coordinator as it is."""
    coordinator = servers.coordinator_node()
    coordinator.up()
    before = servers.rows(NODES)

    assert coordinator.refresh()
    assert coordinator.up() == "same"
    assert servers.coordinator_node().up() == "create"
    assert servers.rows(NODES) == before


def test_coordinator_gets_a_missing_extension(servers: Cluster) -> None:
    """A database without the extension gets it."""
    servers.run("drop extension citus")

    servers.coordinator_node().up()

    assert servers.value("select count(*) from pg_dist_node") == 1


def test_coordinator_unregistered_by_hand_comes_back(servers: Cluster) -> None:
    """A refresh sees that group 0 has gone, and the next update registers it."""
    coordinator = servers.coordinator_node()
    coordinator.up()
    servers.run(f"select citus_remove_node('{HOST}', {servers.coordinator.port})")

    assert not coordinator.refresh()
    assert coordinator.up() == "create"
    assert servers.value("select count(*) from pg_dist_node") == 1


def test_a_coordinator_is_taken_over_while_a_worker_starts(cluster: Cluster) -> None:
    """Workers whose containers were made again at the same time do not answer yet: each one's own step waits for it."""
    starting = cluster.workers[0]
    starting.kill()

    assert cluster.coordinator_node().up() == "create"

    starting.start()
    assert cluster.worker_node(starting).up() == "create"


def test_a_worker_that_did_not_answer_at_an_upgrade_is_updated_by_its_own_step(servers: Cluster) -> None:
    """Its extension is older than its server's library, as where it started after the coordinator had been upgraded."""
    late = servers.workers[0]
    servers.run("set citus.enable_version_checks to off; drop extension citus", on=late)
    servers.run("set citus.enable_version_checks to off; create extension citus version '12.0-1'", on=late)
    servers.coordinator_node().up()

    assert servers.worker_node(late).up() == "create"
    assert servers.value(
        "select installed_version = default_version from pg_available_extensions where name = 'citus'", on=late
    )


def test_coordinator_without_extension_is_drift(servers: Cluster) -> None:
    """A refresh of a database that lost Citus says that the coordinator has gone, without a traceback."""
    coordinator = servers.coordinator_node()
    coordinator.up()
    servers.run("drop extension citus cascade")

    assert not coordinator.refresh()


def test_another_cluster_is_refused(servers: Cluster) -> None:
    """A database belongs to the cluster that came first; the error names both, and how to take it over."""
    servers.coordinator_node().up()

    with pytest.raises(
        IdentityError, match=rf"part of the cluster {CLUSTER_ID}, .* cluster other\).*set adopt {CLUSTER_ID}"
    ):
        servers.coordinator_node(cluster_id="other").up()


def test_a_cluster_from_before_there_were_ids_gets_its_id(servers: Cluster) -> None:
    """The state tells by which name the stack claimed it; no other state can."""
    servers.coordinator_node().up()
    servers.run(f"update citus_pulumi.stack set name = '{STACK}'")
    old = servers.coordinator_node()
    old.id = f"{HOST}:{servers.coordinator.port}"
    old.state = as_on_the_wire({name: value for name, value in old.inputs.items() if name != "cluster_id"})

    with pytest.raises(IdentityError, match=f"part of the cluster {STACK}"):
        servers.coordinator_node().up()

    assert old.up() == "update"
    assert servers.value("select name from citus_pulumi.stack") == CLUSTER_ID


@pytest.mark.parametrize("noticed_by", ["update", "refresh"])
def test_emptied_coordinator_is_refused(servers: Cluster, noticed_by: str) -> None:
    """A coordinator on a new volume is not the one whose metadata the workers follow."""
    coordinator = servers.coordinator_node()
    coordinator.up()
    servers.recreate(servers.coordinator)
    servers.coordinator_node().up()

    with pytest.raises(IdentityError, match=r"not the server that this stack set up.*put the old volume back"):
        _ = coordinator.refresh() if noticed_by == "refresh" else coordinator.up(generation="2")


def test_dead_coordinator_is_named_at_the_deadline(servers: Cluster) -> None:
    """A coordinator that does not come ends in an error with its name, the seconds and the cause."""
    servers.coordinator.kill()

    with pytest.raises(NotReadyError, match=rf"1 s .* coordinator \({HOST}:{servers.coordinator.port}\) .*refused"):
        servers.coordinator_node(ready_timeout=1).up()


def test_refresh_without_coordinator_leaves_nodes_as_they_were(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be asked is not taken for gone; it is reported, without what the coordinator's log says."""
    worker = cluster.worker_node(cluster.workers[0])
    worker.up()
    before = worker.state
    monkeypatch.setattr(sql, "READ_TIMEOUT", 1)
    cluster.coordinator.kill()

    with collected() as reports:
        assert worker.refresh()

    assert worker.state == before
    assert "not refreshed" in capsys.readouterr().out
    (not_refreshed,) = reports
    assert not_refreshed.resource == worker.id
    assert "refused" in not_refreshed.cause
    assert str(cluster.coordinator.log) not in not_refreshed.cause


def test_coordinator_killed_while_a_worker_is_registered_converges(servers: Cluster) -> None:
    """The update fails and names what it was doing; the next one, after the coordinator's recovery, registers."""
    servers.coordinator_node().up()
    worker = servers.worker_node(servers.workers[0])
    with servers.connected() as holder:
        holder.execute("select pg_advisory_lock(%s)", [LOCK])
        killer = threading.Thread(target=_when_waiting_for_the_lock, args=(servers, servers.coordinator.kill))
        killer.start()
        with pytest.raises(StackError, match=f"registering worker {HOST}:{servers.workers[0].port}"):
            worker.up()
        killer.join()
    servers.coordinator.start()

    assert worker.up() == "create"
    assert worker_rows(servers) == [(HOST, servers.workers[0].port, True, True)]


# --- workers ---------------------------------------------------------------------------------------------------------


def test_worker_is_registered_and_active(servers: Cluster) -> None:
    """A worker ends up in pg_dist_node, active, with the metadata, and knows its own group."""
    servers.coordinator_node().up()
    worker = servers.worker_node(servers.workers[0])

    assert worker.up() == "create"

    assert worker_rows(servers) == [(HOST, servers.workers[0].port, True, True)]
    assert worker.id == f"group {worker.state['group_id']:g}"
    assert worker.state["group_id"] == servers.value("select groupid from pg_dist_local_group", on=servers.workers[0])


def test_worker_changes_nothing_when_registered(cluster: Cluster) -> None:
    """A second run, with its state or without, finds the worker as it is."""
    worker = cluster.worker_node(cluster.workers[0])
    before = cluster.rows(NODES)

    assert worker.up() == "create"
    assert worker.refresh()
    assert worker.up() == "same"
    assert worker.up(generation="2") == "update"
    assert cluster.rows(NODES) == before


def test_worker_gets_a_missing_extension(servers: Cluster) -> None:
    """A worker whose database lacks the extension gets it."""
    servers.coordinator_node().up()
    servers.run("drop extension citus", on=servers.workers[0])

    servers.worker_node(servers.workers[0]).up()

    assert worker_rows(servers) == [(HOST, servers.workers[0].port, True, True)]


def test_worker_without_tls_is_told_apart(servers: Cluster) -> None:
    """A server on which Citus was never created takes no TLS; the error says what is missing instead of waiting."""
    servers.coordinator_node().up()
    worker = servers.workers[0]
    servers.run("alter system set ssl = off", on=worker)
    servers.run("select pg_reload_conf()", on=worker)
    try:
        with pytest.raises(AccessError, match=rf"{HOST}:{worker.port} .*the extension citus, .* create it in this one"):
            servers.worker_node(worker).up()
    finally:
        servers.run("alter system set ssl = on", on=worker)
        servers.run("select pg_reload_conf()", on=worker)


def test_inactive_worker_is_drift_and_activated(cluster: Cluster) -> None:
    """A disabled worker is registered, but does no work: citus_add_node alone would leave it so."""
    first, second = cluster.workers
    worker = cluster.worker_node(second)
    worker.up()
    cluster.run(f"select citus_disable_node('{HOST}', {second.port}, true)")
    assert [active for _host, _port, active, _synced in worker_rows(cluster)] == [True, False]

    assert worker.refresh()
    assert worker.up() == "update"
    assert worker_rows(cluster) == [(HOST, first.port, True, True), (HOST, second.port, True, True)]
    assert worker.refresh()
    assert worker.up() == "same"


def test_inactive_worker_is_activated_when_the_state_is_lost(cluster: Cluster) -> None:
    """A disabled worker that the state knows nothing of is activated too."""
    worker = cluster.workers[1]
    cluster.run(f"select citus_disable_node('{HOST}', {worker.port}, true)")

    assert cluster.worker_node(worker).up() == "create"
    assert [active for _host, _port, active, _synced in worker_rows(cluster)] == [True, True]


def test_worker_unregistered_by_hand_comes_back(cluster: Cluster) -> None:
    """A refresh sees that the worker has gone, and the next update adds it again."""
    worker = cluster.worker_node(cluster.workers[1])
    worker.up()
    cluster.unregister(cluster.workers[1])

    assert not worker.refresh()
    assert worker.up() == "create"
    assert len(worker_rows(cluster)) == 2


@pytest.mark.usefixtures("transport")
def test_dead_worker_is_named_and_leaves_no_row(servers: Cluster) -> None:
    """A worker that does not answer is not registered; once it answers, it is."""
    servers.coordinator_node().up()
    dead = servers.workers[0]
    worker = servers.worker_node(dead, ready_timeout=1)
    dead.kill()

    with pytest.raises(
        NotReadyError,
        match=rf"worker {HOST}:{dead.port} answers .*last error: .*refused.*see: tail {dead.log}; it ends with: .*LOG",
    ):
        worker.up()

    assert worker_rows(servers) == []
    dead.start()
    assert worker.up() == "create"


def test_other_workers_join_while_one_is_awaited(servers: Cluster) -> None:
    """Waiting for a dead worker holds no lock: the others register meanwhile."""
    servers.coordinator_node().up()
    dead, alive = servers.workers
    dead.kill()
    late = servers.worker_node(dead)
    waiting = threading.Thread(target=late.up)
    waiting.start()

    servers.worker_node(alive, ready_timeout=5).up()
    assert worker_rows(servers) == [(HOST, alive.port, True, True)]

    dead.start()
    waiting.join()
    assert len(worker_rows(servers)) == 2


@pytest.mark.usefixtures("transport")
def test_wrong_password_on_a_worker_fails_at_once(servers: Cluster, other_password: PostgresServer) -> None:
    """A worker with another password is not waited for; the error names it and shows no password."""
    servers.coordinator_node().up()
    started = time.monotonic()

    with pytest.raises(AccessError, match=rf"{HOST}:{other_password.port} .*another password") as caught:
        servers.worker_node(other_password).up()

    assert time.monotonic() - started < 5
    assert PASSWORD not in str(caught.value)
    assert worker_rows(servers) == []


@pytest.mark.usefixtures("transport")
def test_missing_database_on_a_worker_is_named(servers: Cluster) -> None:
    """A worker without the database is not waited for; the error says which is missing where."""
    servers.coordinator_node().up()
    worker = servers.workers[0]
    worker.drop_database(servers.database)
    started = time.monotonic()

    with pytest.raises(AccessError, match=rf'{HOST}:{worker.port} .*database "{servers.database}" does not exist'):
        servers.worker_node(worker).up()

    assert time.monotonic() - started < 5
    assert worker_rows(servers) == []


@pytest.mark.parametrize("state", ["known", "lost"])
def test_emptied_worker_is_refused_and_the_way_back_works(cluster: Cluster, state: str) -> None:
    """An empty worker under the old name is told by its identity, or by its group where the state is lost."""
    emptied = cluster.workers[0]
    worker = cluster.worker_node(emptied)
    if state == "known":
        worker.up()
    cluster.recreate(emptied)
    remedy = f"select citus_remove_node('{HOST}', {emptied.port})"

    with pytest.raises(IdentityError, match="not the node that was registered") as caught:
        worker.up(generation="2")

    assert remedy in str(caught.value)
    cluster.run(remedy)
    worker.up(generation="2")
    assert len(worker_rows(cluster)) == 2
    assert cluster.health().up() == "create"


@pytest.mark.usefixtures("transport")
def test_emptied_worker_that_should_hold_shards_is_refused(cluster: Cluster) -> None:
    """Where the lost volume held shards, the error says how many, and offers nothing that would forget them."""
    cluster.run("create table t (k int primary key)")
    cluster.distributed("t", "k", shard_count=4).up()
    cluster.recreate(cluster.workers[0])

    with pytest.raises(IdentityError, match=r"expects 2 shards there\. Put its old volume back") as caught:
        cluster.worker_node(cluster.workers[0]).up()

    assert "citus_remove_node" not in str(caught.value)


def test_member_of_another_cluster_is_refused(servers: Cluster) -> None:
    """A worker that another coordinator leads is not taken over, and that coordinator is named."""
    servers.coordinator_node().up()
    worker, other = servers.workers
    servers.run(f"select citus_set_coordinator_host('{HOST}', {other.port})", on=other)
    servers.run(f"select citus_add_node('{HOST}', {worker.port})", on=other)

    with pytest.raises(IdentityError, match=f"member of another cluster, whose coordinator is {HOST}:{other.port}"):
        servers.worker_node(worker).up()

    assert worker_rows(servers) == []


def test_worker_with_shards_of_a_lost_coordinator_is_refused(cluster: Cluster) -> None:
    """A worker full of shards that the new coordinator knows nothing of is not taken for an empty one."""
    cluster.run("create table t (k int primary key)")
    cluster.distributed("t", "k", shard_count=4).up()
    cluster.recreate(cluster.coordinator)
    cluster.coordinator_node().up()

    with pytest.raises(IdentityError, match="not registered, but holds 2 shards"):
        cluster.worker_node(cluster.workers[0]).up()


def test_worker_with_shards_is_not_removed(cluster: Cluster) -> None:
    """Deleting a worker that holds shards is refused, with their number and the statement that moves them."""
    cluster.run("create table t (k int primary key); insert into t select generate_series(1, 100)")
    cluster.distributed("t", "k", shard_count=4).up()
    leaving = cluster.workers[1]
    worker = cluster.worker_node(leaving)
    worker.up()

    with pytest.raises(DriftError, match="still holds 2 shards") as caught:
        worker.delete()

    assert len(worker_rows(cluster)) == 2
    remedy = f"select citus_drain_node('{HOST}', {leaving.port})"
    assert remedy in str(caught.value)
    cluster.run(remedy.replace(")", ", 'block_writes')"))  # quicker
    worker.delete()
    assert worker_rows(cluster) == [(HOST, cluster.workers[0].port, True, True)]
    assert cluster.value("select count(*) from t") == 100


def test_empty_worker_is_removed(cluster: Cluster) -> None:
    """A worker with nothing but copies of reference tables leaves without further ado."""
    cluster.run("create table r (k int primary key)")
    cluster.reference("r").up()
    worker = cluster.worker_node(cluster.workers[1])
    worker.up()

    worker.delete()

    assert worker_rows(cluster) == [(HOST, cluster.workers[0].port, True, True)]


def test_removing_changes_nothing_when_gone(cluster: Cluster) -> None:
    """Deleting a worker that was unregistered by hand is no error."""
    worker = cluster.worker_node(cluster.workers[1])
    worker.up()
    cluster.unregister(cluster.workers[1])

    worker.delete()

    assert len(worker_rows(cluster)) == 1


def test_a_worker_is_removed_while_citus_recovers_its_transactions(cluster: Cluster) -> None:
    """Both delete the records of its two-phase commits; the removal waits until the other has ended."""
    worker = cluster.worker_node(cluster.workers[1])
    worker.up()
    cluster.run("create table kind (code int primary key); select create_reference_table('kind')")
    waiting_for_a_lock = (
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    )

    with cluster.connected() as daemon, ThreadPoolExecutor() as pool:
        with daemon.transaction():
            daemon.execute("select recover_prepared_transactions()")
            removal = pool.submit(worker.delete)
            deadline = time.monotonic() + READY_TIMEOUT
            while not removal.done() and not cluster.value(waiting_for_a_lock) and time.monotonic() < deadline:
                pass
            assert not removal.done()
        removal.result()

    assert len(worker_rows(cluster)) == 1


def held(cluster: Cluster) -> list[tuple[Any, ...]]:
    """Return how many shards each group has."""
    return cluster.rows("select groupid, count(*) from pg_dist_placement group by 1 order by 1")


def test_a_worker_that_gets_another_address_keeps_its_shards(cluster: Cluster) -> None:
    """It is the same group: updated, and neither drained nor registered a second time."""
    worker, placement = cluster.worker_node(cluster.workers[1]), cluster.placement()
    worker.up()
    cluster.run("create table t (id int primary key); insert into t select generate_series(1, 100)")
    cluster.distributed("t", "id").up()
    placement.up()
    before, group = held(cluster), worker.state["group_id"]

    assert worker.up(node_name="localhost") == "update"

    assert worker.state["group_id"] == group
    where = [("localhost", cluster.workers[1].port, True, True)]
    assert worker_rows(cluster)[1:] == where
    assert cluster.rows("select nodename from pg_dist_node order by nodeid", on=cluster.workers[0])[2] == ("localhost",)
    workers = [placement.inputs["workers"][0], f"localhost:{cluster.workers[1].port}"]
    assert placement.up(workers=workers) == "update"
    assert (held(cluster), cluster.value("select count(*) from t")) == (before, 100)


def test_a_worker_whose_address_was_changed_by_hand_is_never_drained(cluster: Cluster) -> None:
    """Whatever address the metadata has: its group is declared. A refresh reports it, and the next update sets it back."""
    worker, placement = cluster.worker_node(cluster.workers[1]), cluster.placement()
    worker.up()
    cluster.run("create table t (id int primary key); insert into t select generate_series(1, 100)")
    cluster.distributed("t", "id").up()
    placement.up()
    before = held(cluster)
    cluster.run(f"select citus_update_node({int(worker.state['node_id'])}, 'localhost', {cluster.workers[1].port})")

    assert placement.up(tenants=[{"table": {"schema": "public", "name": "t"}, "pin": {}, "spread": []}]) == "update"
    assert held(cluster) == before
    assert worker.refresh()
    assert worker.state["node_name"] == "localhost"
    assert worker.up() == "update"
    assert (worker_rows(cluster)[1][0], held(cluster)) == (HOST, before)


def test_another_server_at_a_new_address_is_no_address_of_the_worker(cluster: Cluster) -> None:
    """An empty server does not take the place of one that holds shards."""
    worker = cluster.worker_node(cluster.workers[1])
    worker.up()
    cluster.run(f"select citus_update_node({int(worker.state['node_id'])}, 'localhost', {cluster.workers[1].port})")
    cluster.recreate(cluster.workers[1])

    with pytest.raises(
        IdentityError, match=rf"worker {HOST}:{cluster.workers[1].port} is not the one that is registered as localhost"
    ):
        worker.up(generation="2")

    assert worker_rows(cluster)[1][0] == "localhost"


def test_the_address_of_another_worker_is_refused(cluster: Cluster) -> None:
    """As where the ports of all workers move on by one: nothing is changed, and the error does not speak of lost data."""
    first, second = map(cluster.worker_node, cluster.workers)
    first.up()
    second.up()
    cluster.run(f"select citus_update_node({int(second.state['node_id'])}, 'localhost', {cluster.workers[0].port})")

    with pytest.raises(IdentityError, match=r"cannot get the address localhost:.* the worker of group"):
        first.up(node_name="localhost")

    assert worker_rows(cluster)[0][:2] == (HOST, cluster.workers[0].port)


def test_removed_worker_can_join_again(cluster: Cluster) -> None:
    """What a worker keeps of the cluster that it left does not bar its return."""
    worker = cluster.worker_node(cluster.workers[1])
    worker.up()
    worker.delete()

    assert worker.up() == "create"
    assert len(worker_rows(cluster)) == 2


@pytest.mark.usefixtures("transport")
def test_paused_worker_is_never_taken_for_alive(servers: Cluster) -> None:
    """A worker that takes connections and answers nothing is given up within the timeout, unregistered."""
    servers.coordinator_node().up()
    paused = servers.workers[0]
    paused.pause()
    started = time.monotonic()

    with pytest.raises(NotReadyError, match=rf"worker {HOST}:{paused.port} answers"):
        servers.worker_node(paused, ready_timeout=3).up()

    assert time.monotonic() - started < 15
    assert worker_rows(servers) == []


def test_paused_registered_worker_is_not_proved(cluster: Cluster) -> None:
    """That a worker is registered and active proves nothing: it must answer."""
    paused = cluster.workers[0]
    paused.pause()
    started = time.monotonic()

    with pytest.raises(NotReadyError, match=rf"worker {HOST}:{paused.port} answers"):
        cluster.worker_node(paused, ready_timeout=3).up()

    assert time.monotonic() - started < 15


@pytest.mark.usefixtures("transport")
def test_lock_of_another_run_is_waited_for_and_its_holder_named(servers: Cluster) -> None:
    """Two runs never work at the same time: the second waits, and says for whom it waited."""
    with servers.connected() as other:
        other.execute("select set_config('application_name', 'citus-pulumi: applying 010.sql', false)")
        other.execute("select pg_advisory_lock(%s)", [LOCK])
        started = time.monotonic()

        with pytest.raises(
            NotReadyError,
            match=rf"another run holds this cluster's lock \(process {other.info.backend_pid} of {USER} from {HOST}, "
            r"citus-pulumi: applying 010.sql, idle for \d+ s\); let it end, then run the command again",
        ):
            servers.coordinator_node(ready_timeout=1).up()

        assert time.monotonic() - started < 4
    assert servers.coordinator_node(ready_timeout=5).up() == "create"


# --- health ----------------------------------------------------------------------------------------------------------


def test_healthy_cluster_is_proved(cluster: Cluster) -> None:
    """Every node reaches every node, itself included; asked again, nothing is to do."""
    health = cluster.health()

    assert health.up() == "create"
    assert health.state["pairs"] == 9
    assert health.refresh()
    assert health.up() == "same"


def test_health_waits_for_the_broken_pair(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that cannot reach each other yet are waited for, although the coordinator reaches both."""
    one, other = cluster.workers
    one.log_in_with({other.port: "wrong"})
    told: list[str] = []

    def mend(*line: object, **_options: Any) -> None:
        told.append(str(line[0]))
        one.log_in_with()

    monkeypatch.setattr(waiting, "REPORT_EVERY", 0.0)
    monkeypatch.setattr(builtins, "print", mend)

    cluster.health().up()

    assert f"{HOST}:{one.port} → {HOST}:{other.port}" in told[0]


def test_health_names_the_broken_pair_at_the_deadline(cluster: Cluster) -> None:
    """Where two nodes never reach each other, the error says which one cannot reach which."""
    one, other = cluster.workers
    one.log_in_with({other.port: "wrong"})
    try:
        with pytest.raises(
            NotReadyError, match=rf"timed out after 1 s .*unreachable: {HOST}:{one.port} → {HOST}:{other.port}\)"
        ):
            cluster.health(ready_timeout=1).up()
    finally:
        one.log_in_with()


def test_dead_worker_is_unhealthy_after_a_refresh(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """A refresh sees a worker that is registered but dead, so that the next update waits for it."""
    health = cluster.health()
    health.up()
    cluster.workers[1].kill()

    assert health.refresh()
    assert f"→ {HOST}:{cluster.workers[1].port}" in capsys.readouterr().out
    assert health.preview() == "update"

    cluster.workers[1].start()
    assert health.up() == "update"
    assert health.up() == "same"


def test_records_of_commits_before_a_restart_are_gone_once_the_cluster_is_healthy(cluster: Cluster) -> None:
    """In a container, processes get the same numbers again, and a commit would meet the record of another one."""
    cluster.run("insert into pg_dist_transaction select groupid, 'citus_0_41_1_0' from pg_dist_node where groupid > 0")

    cluster.health().up()

    assert cluster.value("select count(*) from pg_dist_transaction where gid = 'citus_0_41_1_0'") == 0


def test_paused_worker_is_unhealthy_within_the_timeout(cluster: Cluster) -> None:
    """The proof of health is bounded, whatever a node does not answer."""
    cluster.workers[0].pause()
    started = time.monotonic()

    with pytest.raises(NotReadyError, match="every node reaches every other"):
        cluster.health(ready_timeout=3).up()

    assert time.monotonic() - started < 15


def test_dead_coordinator_is_unhealthy_after_a_refresh(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody can be asked, the cluster is not healthy, and the next update asks again."""
    health = cluster.health()
    health.up()
    monkeypatch.setattr(sql, "READ_TIMEOUT", 1)
    cluster.coordinator.kill()

    assert health.refresh()
    assert health.preview() == "update"


def _when_waiting_for_the_lock(cluster: Cluster, act: Any) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if cluster.value("select count(*) from pg_locks where locktype = 'advisory' and not granted"):
            act()
            return


def test_data_of_a_worker_goes_only_once_the_cluster_has_let_it_go(cluster: Cluster, tmp_path: Path) -> None:
    """While the worker is registered it stays, and where the coordinator knows no worker at all; else it is removed."""
    leaving = cluster.workers[1]
    for node in ("coordinator", "leaving"):
        (tmp_path / node).mkdir()
        signed = {"stack": STACK, "node": node, "cluster": CLUSTER_ID}
        (tmp_path / node / "citus-pulumi.json").write_text(json.dumps(signed))
    data = Resource(
        NodeDataProvider(),
        {
            "server": cluster.coordinator_node().inputs["server"],
            "node_name": HOST,
            "node_port": leaving.port,
            "is_coordinator": False,
            "place": f"folder:{tmp_path / 'leaving'}",
            "owner": CLUSTER_ID,
            "cluster_id": CLUSTER_ID,
            "ready_timeout": 30,
        },
    )
    data.up()
    with pytest.raises(IdentityError, match=rf"worker {HOST}:{leaving.port} is registered and holds 0 shards"):
        data.delete()
    for worker in cluster.workers:
        cluster.unregister(worker)
    with pytest.raises(IdentityError, match="the coordinator knows no worker at all"):
        data.delete()
    assert (tmp_path / "leaving").is_dir()
    cluster.worker_node(cluster.workers[0]).up()
    data.delete()
    assert not (tmp_path / "leaving").exists()
