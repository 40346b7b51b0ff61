"""Shards evened out over the workers by Citus's own job, on genuine Citus."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from components.database import jobs, rebalance
from components.database.parameters import ensure_parameters
from components.database.rebalance import Forecast, RebalancePolicy
from components.errors import NotReadyError, StackError
from components.names import TableName
from components.parameters import OF_REBALANCE
from tests.provider.resources import RefusedError
from tests.provider.seen import assert_no_leftovers, eventually
from tests.provider.till import selling
from tests.servers import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.provider.resources import Cluster
    from tests.servers import PostgresServer

pytestmark = pytest.mark.needs("citus")

ROWS = 2000
SALES = TableName("public", "sales")
POLICY = RebalancePolicy()
SLOW = "repeat('x', 1000)"


def address(worker: PostgresServer) -> str:
    """Return the worker as the catalog names it."""
    return f"{HOST}:{worker.port}"


def allow(cluster: Cluster, worker: PostgresServer, *, allowed: bool) -> None:
    """Let Citus put shards on a worker, or not: so that one is empty, as if it had just joined."""
    cluster.run(f"select citus_set_node_property('{HOST}', {worker.port}, 'shouldhaveshards', {allowed})")


def sell(cluster: Cluster, *, shards: int = 8, key: str = "primary key (country, id)", pad: str = "''") -> None:
    """Make two colocated tables of sales on the first worker alone; the second is empty."""
    cluster.run(f"""
        create table sales (country int not null, id int not null, pad text, {key});
        create table lines (country int not null, sale int not null, n int not null, primary key (country, sale));
        insert into sales select i % 50, i, {pad} from generate_series(1, {ROWS}) i;
        insert into lines select i % 50, i, 1 from generate_series(1, {ROWS}) i;
    """)
    allow(cluster, cluster.workers[1], allowed=False)
    cluster.distributed("sales", "country", shard_count=shards).up()
    cluster.distributed("lines", "country", colocate_with="sales").up()
    allow(cluster, cluster.workers[1], allowed=True)


@pytest.fixture
def sales(cluster: Cluster) -> Cluster:
    """Eight shards of two colocated tables on the first worker, a second worker without shards."""
    sell(cluster)
    return cluster


def held(cluster: Cluster, table: str = "sales") -> list[int]:
    """Return how many shards of a table each worker holds, in the order of the workers."""
    found = dict(
        cluster.rows(
            "select nodeport, count(*) from pg_dist_shard join pg_dist_placement using (shardid)"
            " join pg_dist_node using (groupid) where logicalrelid = %s::regclass group by 1",
            table,
        )
    )
    return [found.get(worker.port, 0) for worker in cluster.workers]


def planned(cluster: Cluster) -> set[tuple[int, str, str]]:
    """Return what Citus itself plans, with its own default strategy: shard, source and target."""
    return set(
        cluster.rows(
            "select shardid, sourcename || ':' || sourceport, targetname || ':' || targetport"
            " from get_rebalance_table_shards_plan()"
        )
    )


def moved(moves: list[rebalance.Move]) -> set[tuple[int, str, str]]:
    """Return what is planned here in the same form."""
    return {(shard, move.source, move.target) for move in moves for shard in move.shards}


def placements(cluster: Cluster) -> list[tuple[Any, ...]]:
    """Return where every shard is."""
    return cluster.rows("select shardid, groupid from pg_dist_placement order by 1")


def assert_whole(cluster: Cluster, rows: int = ROWS) -> None:
    """No row was lost or doubled, and nothing of a move or of our planning is left."""
    assert cluster.rows("select count(*), count(distinct id) from sales") == [(rows, rows)]
    assert cluster.value("select count(*) from pg_dist_cleanup where policy_type <> 2") == 0
    names = [name for (name,) in cluster.rows("select name from pg_dist_rebalance_strategy order by 1")]
    assert names == ["by_disk_size", "by_shard_count"]
    assert cluster.value("select count(*) from pg_proc where proname like 'citus_pulumi%'") == 0


def test_a_worker_that_has_joined_gets_exactly_what_citus_plans(
    sales: Cluster, capfd: pytest.CaptureFixture[str]
) -> None:
    """The moves are those of Citus's own plan; then refresh and a second update find nothing to do."""
    balanced = sales.rebalance()
    before, plan = dict(placements(sales)), planned(sales)
    assert plan
    with sales.connected() as connection:
        assert moved(rebalance.get_moves(connection, POLICY, [])) == plan

    assert balanced.up() == "create"

    assert {shard for shard, group in placements(sales) if before[shard] != group} == {shard for shard, *_ in plan}
    assert held(sales) == [4, 4]
    assert_whole(sales)
    assert "rebalance: 8 shards of" in capfd.readouterr().out
    assert balanced.refresh()
    assert balanced.up() == "same"


def test_a_preview_tells_what_moves_before_the_worker_is_registered(sales: Cluster) -> None:
    """The planner counts a worker that nobody has registered as if it were there, and nothing of that stays."""
    first, second = sales.workers
    sales.unregister(second)
    nodes = sales.rows("select * from pg_dist_node")
    with sales.connected() as connection:
        moves = rebalance.get_moves(connection, POLICY, [], joining=[address(second)])
        forecast = rebalance.forecast(connection, POLICY, [], joining=[address(second)])
    assert sales.rows("select * from pg_dist_node") == nodes
    sales.worker_node(second).up()
    assert moved(moves) == planned(sales)
    assert {move.source for move in moves} == {address(first)}
    assert (forecast.moves, forecast.shards) == (4, 8)
    sizes = dict(sales.rows("select shard_id, max(size) from citus_shard_sizes() group by 1"))
    assert forecast.size == sum(sizes[shard] for move in moves for shard in move.shards)


def test_a_worker_that_leaves_and_one_that_joins_are_told_together(sales: Cluster) -> None:
    """What the leaving worker holds moves before, so it is no part of what a rebalance moves."""
    first, second = sales.workers
    with sales.connected() as connection:
        forecast = rebalance.forecast(connection, POLICY, [], leaving=[address(first)])
        assert forecast == Forecast()
        assert rebalance.forecast(connection, POLICY, [], leaving=[address(second)]) == Forecast()


def test_tenants_with_a_shard_of_their_own_stay(sales: Cluster) -> None:
    """Though Citus by itself would move them; and neither resource undoes what the other did."""
    first, second = map(address, sales.workers)
    group = {"table": "sales", "pin": {str(country): first for country in range(6)}}
    placed, balanced = sales.placement(group), sales.rebalance(group)
    placed.up()
    pinned = set(map(str, placed.state["residency"]["sales"].values()))
    with sales.connected() as connection:
        fixed = rebalance.get_fixed(connection, rebalance.Staying(tenants={SALES: list(group["pin"])}))
        assert len(fixed) == 12
        assert {shard for shard, *_ in planned(sales)} & set(fixed)
    where = [it for it in placements(sales) if it[0] in fixed]
    balanced.up()
    assert [it for it in placements(sales) if it[0] in fixed] == where
    assert pinned == {first}
    assert held(sales)[1] > 0
    for resource in (placed, balanced):
        resource.refresh()
        assert resource.up() == "same"
    assert second in {f"{HOST}:{port}" for (port,) in sales.rows("select nodeport from citus_shards")}


@pytest.mark.parametrize("strategy", ["by_disk_size", "by_shard_count"])
def test_a_new_cluster_with_tenants_needs_no_rebalance(cluster: Cluster, strategy: str) -> None:
    """Whatever tenants were cut out of which shards: their parts count for no more than the shard did."""
    cluster.run("create table sales (country int not null, id int not null, primary key (country, id))")
    cluster.distributed("sales", "country", shard_count=4).up()
    first = address(cluster.workers[0])
    group = {"table": "sales", "pin": {str(country): first for country in range(20)}}
    cluster.placement(group).up()
    balanced = cluster.rebalance(group, strategy=strategy)
    before = placements(cluster)
    balanced.up()
    assert placements(cluster) == before
    assert cluster.value("select count(*) from pg_dist_background_job") == 0
    balanced.refresh()
    assert balanced.up() == "same"


def test_drift_within_the_threshold_is_left_and_beyond_it_is_mended(sales: Cluster) -> None:
    """By shard count, three of eight shards too many are a difference of 0.75 of the average."""
    balanced = sales.rebalance(strategy="by_shard_count", threshold=0.8)
    sales.rebalance().up()
    balanced.up()
    first, second = sales.workers
    for _ in range(3):
        sales.run(
            f"select citus_move_shard_placement(min(shardid), '{HOST}', {first.port}, '{HOST}', {second.port}, 'block_writes')"
            f" from citus_shards where nodeport = {first.port} and table_name = 'sales'::regclass"
        )
    assert held(sales) == [1, 7]
    balanced.refresh()
    assert balanced.state["unbalanced"] == []
    assert balanced.up() == "same"
    assert (
        balanced.preview(policy={"strategy": "by_shard_count", "threshold": 0.5, "transfer_mode": "auto"}) == "update"
    )
    balanced.up(policy={"strategy": "by_shard_count", "threshold": 0.7, "transfer_mode": "auto"})
    assert held(sales) == [2, 6]  # within the threshold again, and no move more
    assert_whole(sales)


def test_drift_shows_in_a_refresh_and_in_the_program_s_look(sales: Cluster) -> None:
    """Either makes the next update one; with how many shards and bytes."""
    balanced = sales.rebalance()
    balanced.up()
    first, second = sales.workers
    sales.run(
        f"select citus_move_shard_placement(shardid, '{HOST}', {first.port}, '{HOST}', {second.port}, 'block_writes')"
        f" from citus_shards where nodeport = {first.port} and table_name = 'sales'::regclass"
    )
    assert held(sales) == [0, 8]
    assert balanced.up() == "same"
    seen = {"moves": 4, "shards": 8, "size": 1, "looked_at": "now"}
    assert balanced.preview(forecast=seen) == "update"
    balanced.refresh()
    assert balanced.state["unbalanced"][0].startswith("8 shards of ")
    assert balanced.up() == "update"
    assert held(sales) == [4, 4]
    balanced.refresh()
    assert balanced.up() == "same"
    assert balanced.up(forecast=seen) == "update"
    assert balanced.up() == "same"  # as Pulumi asks once more at a refresh
    assert balanced.preview(forecast={**seen, "looked_at": "later"}) == "update"
    assert_whole(sales)


def test_loads_that_an_update_itself_changes_are_evened_out_by_it(sales: Cluster) -> None:
    """A table or schema more, or a file that may bring rows: the forecast was made before, so the planner is asked again."""
    balanced = sales.rebalance()
    balanced.up()
    allow(sales, sales.workers[1], allowed=False)
    sales.run("create table notes (id int primary key)")
    notes = sales.distributed("notes", "id", shard_count=4)
    notes.up()
    allow(sales, sales.workers[1], allowed=True)
    assert held(sales, "notes") == [4, 0]

    assert balanced.preview(files=["020_notes.sql"]) == "update"
    assert balanced.preview(all_schemas=["notes"]) == "update"
    assert balanced.up(groups={"notes": notes.state["colocation_group"]}) == "update"

    assert held(sales, "notes") == [2, 2]
    assert planned(sales) == set()
    assert balanced.up() == "same"
    assert_whole(sales)


def test_a_strategy_that_the_cluster_does_not_have_is_refused_at_preview(sales: Cluster) -> None:
    """With the strategies that it has."""
    with sales.connected() as connection:
        forecast = rebalance.forecast(connection, RebalancePolicy(strategy="by_weather"), [])
    with pytest.raises(
        RefusedError, match=r"citus:rebalance.strategy = 'by_weather': .* only by_disk_size, by_shard_count"
    ):
        sales.rebalance(strategy="by_weather", forecast=forecast).preview()


# --- online, and with writes waiting -----------------------------------------------------------------------------------


@pytest.fixture
def big(cluster: Cluster) -> Cluster:
    """A till of two shards, 20 MB each, on the first worker; a second worker without shards."""
    cluster.run("""
        create table till (tenant int not null, id int not null, count bigint not null, pad text, primary key (tenant, id));
        insert into till select i % 50, i, 0, repeat(md5(i::text), 30) from generate_series(1, 40000) i;
    """)
    allow(cluster, cluster.workers[1], allowed=False)
    cluster.distributed("till", "tenant", shard_count=2).up()
    allow(cluster, cluster.workers[1], allowed=True)
    return cluster


def test_shards_move_online_while_a_till_writes(big: Cluster, capfd: pytest.CaptureFixture[str]) -> None:
    """Inserts, updates and deletes go on; no row is lost, doubled or stale."""
    with selling(lambda: big.coordinator.connect(big.database), "till", range(50)) as till:
        big.rebalance().up()
    with big.connected() as connection:
        till.assert_whole(connection)
    assert held(big, "till") == [1, 1]
    assert ", online: job 1" in capfd.readouterr().out
    assert_no_leftovers(big)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("create table log (tenant int, pad text)", "log has no replica identity"),
        ("create unlogged table log (tenant int primary key, pad text)", "log is unlogged"),
        ("create table log (tenant int, pad text) using columnar", "log is columnar"),
    ],
    ids=["no key", "unlogged", "columnar"],
)
def test_what_cannot_move_online_is_said_before(
    big: Cluster, kind: str, why: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its group moves with writes waiting, in a job of its own; what can move online still does."""
    allow(big, big.workers[1], allowed=False)
    big.run(kind)
    # Random text, for columnar tables are compressed; of a key, for there a value stands once.
    big.run(
        "insert into log select i, (select string_agg(md5(i::text || n), '') from generate_series(1, 64) n)"
        " from generate_series(1, 40000) i"
    )
    big.distributed("log", "tenant", shard_count=2).up()
    allow(big, big.workers[1], allowed=True)
    with big.connected() as connection:
        forecast = rebalance.forecast(connection, POLICY, [])
    assert (forecast.moves, forecast.shards, forecast.waits) == (2, 2, (why,))

    big.rebalance().up()

    assert (held(big, "log"), held(big, "till")) == ([1, 1], [1, 1])
    assert big.value("select count(*) from log") == 40000
    said = capfd.readouterr().out
    assert ", online: job 1" in said
    assert f"writes to a shard wait while it is copied ({why}): job 2" in said


def test_writes_wait_everywhere_where_that_is_declared(big: Cluster) -> None:
    """As Citus's own transfer mode of that name."""
    with big.connected() as connection:
        forecast = rebalance.forecast(connection, RebalancePolicy(transfer_mode="block_writes"), [])
    assert forecast.waits == ("citus:rebalance.transferMode is block_writes",)
    big.rebalance(transfer_mode="block_writes").up()
    assert "block_writes" in big.value("select command from pg_dist_background_task")


# --- what goes wrong ---------------------------------------------------------------------------------------------------


@pytest.fixture
def gated(sales: Cluster) -> Iterator[threading.Event]:
    """Keep the shards of sales from moving until the event is set: a transaction has written to one of them, forgotten."""
    released = threading.Event()
    held_lock = threading.Event()

    def hold() -> None:
        with sales.connected() as connection, connection.transaction():
            connection.execute("update sales set pad = pad")
            held_lock.set()
            released.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held_lock.wait(20)
    yield released
    released.set()
    thread.join()


def start_job(cluster: Cluster, *, ours: bool) -> int:
    """Start a rebalance as an update does that is killed then, or as a person does."""
    with cluster.connected() as connection:
        row = connection.execute("select citus_rebalance_start(shard_transfer_mode := 'block_writes')").fetchone()
        assert row
        job = int(row[0])
        if ours:
            jobs.mark(connection, job)
    return job


def job_state(cluster: Cluster, job: int) -> str:
    """Return what Citus says of a job."""
    return str(cluster.value("select state from pg_dist_background_job where job_id = %s", job))


@pytest.mark.parametrize("ours", [True, False])
def test_a_rebalance_that_runs_already_is_waited_for(
    sales: Cluster, capfd: pytest.CaptureFixture[str], *, ours: bool
) -> None:
    """One that an interrupted update left behind, or one that a person started; nothing moves twice."""
    job = start_job(sales, ours=ours)
    sales.rebalance().up()
    assert job_state(sales, job) == "finished"
    assert held(sales) == [4, 4]
    assert sales.value("select count(*) from pg_dist_background_job") == 1
    whose = "an interrupted update" if ours else "another session"
    assert f"rebalance: waiting for job {job}, which {whose} started" in capfd.readouterr().out
    assert_whole(sales)


def test_moves_that_make_no_progress_are_given_up_and_the_next_update_goes_on(
    sales: Cluster, gated: threading.Event
) -> None:
    """The error says what they wait for; the job is cancelled, and nothing of it is left."""
    balanced = sales.rebalance(ready_timeout=12)
    with pytest.raises(
        StackError, match=r"rebalance: given up, no progress for 12 s, waiting for process \d+ .* is cancelled"
    ):
        balanced.up()
    assert job_state(sales, 1) == "cancelled"
    gated.set()
    assert_whole(sales)
    assert balanced.up() == "create"
    assert held(sales) == [4, 4]
    assert_whole(sales)
    assert_no_leftovers(sales)


def test_a_stalled_rebalance_of_somebody_else_is_named_and_left_to_them(sales: Cluster, gated: threading.Event) -> None:
    """With the statement that ends it."""
    job = start_job(sales, ours=False)
    with pytest.raises(
        NotReadyError, match=rf"another session started job {job}, .* with select citus_job_cancel\({job}\)"
    ):
        sales.rebalance(ready_timeout=12).up()
    assert job_state(sales, job) == "running"
    gated.set()
    eventually(lambda: job_state(sales, job) == "finished", within=60)


def test_fewer_workers_end_the_rebalance_that_an_interrupted_update_left(
    sales: Cluster, gated: threading.Event, capfd: pytest.CaptureFixture[str]
) -> None:
    """It would fill the worker that leaves; what it has moved is drained."""
    first, second = sales.workers
    job = start_job(sales, ours=True)
    eventually(lambda: job_state(sales, job) == "running")
    placed = sales.placement(workers=[first])
    threading.Timer(3, gated.set).start()
    placed.up()
    assert job_state(sales, job) == "cancelled"
    assert f"rebalance: job {job} of an interrupted update is given up" in capfd.readouterr().out
    assert sales.rows("select nodeport from pg_dist_node where groupid > 0") == [(first.port,)]
    assert second.answers
    assert_whole(sales)


def test_a_worker_that_is_killed_and_comes_back_ends_nothing(big: Cluster, capfd: pytest.CaptureFixture[str]) -> None:
    """Citus repeats the move; no row is lost."""
    worker = big.workers[1]

    def kill() -> None:
        eventually(
            lambda: big.value("select count(*) from pg_dist_background_task where status = 'running'"), within=30
        )
        worker.kill()
        worker.start()

    killer = threading.Thread(target=kill)
    killer.start()
    balanced = big.rebalance()
    try:
        balanced.up()
    except StackError:
        killer.join()
        balanced.up()
    killer.join()
    assert held(big, "till") == [1, 1]
    assert big.value("select count(*) from till") == 40000
    assert big.value("select count(*) from pg_dist_cleanup where policy_type <> 2") == 0
    balanced.refresh()
    assert balanced.up() == "same"


def test_a_coordinator_that_restarts_meanwhile_goes_on_with_the_job(big: Cluster) -> None:
    """The update fails and says so; the next one waits for what Citus goes on with, and converges."""

    def restart() -> None:
        eventually(
            lambda: big.value("select count(*) from pg_dist_background_task where status = 'running'"), within=30
        )
        big.coordinator.kill()
        big.coordinator.start()

    restarter = threading.Thread(target=restart)
    restarter.start()
    balanced = big.rebalance()
    with pytest.raises(StackError, match=r"connection to coordinator .* was lost"):
        balanced.up()
    restarter.join()
    balanced.up()
    assert held(big, "till") == [1, 1]
    assert big.value("select count(*) from till") == 40000
    assert balanced.up() == "same"


def set_parameters(sales: Cluster, wanted: dict[str, str]) -> None:
    """Set what the setting `parallel` comes to on the coordinator, as ServerParameters does, and nothing else of it."""
    with sales.connected() as connection:
        ensure_parameters(connection, (HOST, sales.coordinator.port), wanted, OF_REBALANCE, 30)


@pytest.mark.parametrize("parallel", [1, 2])
def test_never_more_moves_at_a_time_than_declared(sales: Cluster, parallel: int) -> None:
    """Two colocation groups could move at the same time: they do where two are declared, and do not where one is."""
    allow(sales, sales.workers[1], allowed=False)
    sales.run("create table other (id int primary key); insert into other select generate_series(1, 1000)")
    sales.distributed("other", "id", shard_count=8).up()
    allow(sales, sales.workers[1], allowed=True)
    numbers: list[int] = []
    ended = threading.Event()

    def look() -> None:
        with sales.connected() as connection:
            while not ended.wait(0.05):
                running = "select count(*) from pg_dist_background_task where status = 'running'"
                numbers.extend(number for (number,) in connection.execute(running.encode()).fetchall())

    looking = threading.Thread(target=look)
    looking.start()
    set_parameters(sales, dict.fromkeys(OF_REBALANCE, str(parallel)))
    balanced = sales.rebalance(parallel=parallel)
    try:
        balanced.up()
    finally:
        ended.set()
        looking.join()
        set_parameters(sales, {})
    assert max(numbers) == parallel
    assert (held(sales), held(sales, "other")) == ([4, 4], [4, 4])


def test_without_room_for_background_workers_nothing_starts_and_the_parameter_is_named(
    sales: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Citus would schedule the job and never begin."""
    monkeypatch.setattr(rebalance, "ROOM_SECONDS", 0.5)
    coordinator = sales.coordinator
    usual = dict(coordinator._settings)
    coordinator._settings = {**usual, "max_worker_processes": "3"}
    coordinator.stop()
    try:
        coordinator.start()
        sales.run("select count(*) from sales")  # starts the database's maintenance daemon
        with sales.connected() as connection:
            forecast = rebalance.forecast(connection, POLICY, [])
        assert "max_worker_processes = 3 leaves" in forecast.obstacle
        with pytest.raises(RefusedError, match="raise max_worker_processes"):
            sales.rebalance(forecast=forecast).preview()
        with pytest.raises(StackError, match="raise max_worker_processes"):
            sales.rebalance().up()
        assert sales.value("select count(*) from pg_dist_background_job") == 0
    finally:
        coordinator._settings = usual
        coordinator.stop()
        coordinator.start()
    sales.rebalance().up()
    assert held(sales) == [4, 4]
