"""Backups of a cluster, and clusters that are made of them: on folders, beside writes, and with what goes wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import psutil
import psycopg
import pytest

from tests.e2e.nodes import DOCKER, LOCAL_BACKUPS
from tests.e2e.page import IF_EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.stack import Stack

RUNTIMES = [LOCAL_BACKUPS, DOCKER]
SALE = """
create table country (id int primary key, name text);
create table sale (country int not null, id bigint not null, note text, primary key (country, id));
create table line (country int not null, id bigint not null, sale bigint, primary key (country, id));
"""
TABLES = {
    "country": {"reference": True},
    "sale": {"distributeBy": "country"},
    "line": {"distributeBy": "country", "colocateWith": "sale"},
}
KEY = "a-k3y-of-the-repository"


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tables."""
    folder = tmp_path_factory.mktemp("schema")
    (folder / "010.sql").write_text(SALE)
    return folder


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack], schema: Path, repository: Path) -> Stack:
    """A cluster with rows that is backed up."""
    stack = new_stack("backed", schemaDir=str(schema), tables=TABLES, backup={"repository": str(repository)})
    declare_key(stack, "backup")
    done = stack.up()
    assert done.code == 0, done.output
    sell(stack, 1, 400)
    return stack


def declare_key(stack: Stack, setting: str) -> None:
    """Set the key of a repository, as a person does."""
    stack.check("config", "set", "--path", "--secret", f"{setting}.key", "--stack", stack.name, "--", KEY)


def sell(stack: Stack, first: int, last: int) -> None:
    """Write sales with a line each, of eight countries."""
    stack.query(f"insert into sale select i % 8, i, 'sold' from generate_series({first}, {last}) i")
    stack.query(f"insert into line select i % 8, i, i from generate_series({first}, {last}) i")


def rows(stack: Stack) -> Any:
    """Return what is in the tables, for a comparison."""
    return stack.query(
        "select (select count(*) || ' ' || coalesce(sum(hashtext(sale::text)), 0) from sale) || ' ' || "
        "(select count(*) || ' ' || coalesce(sum(hashtext(line::text)), 0) from line)"
    )


def listed(stack: Stack) -> Any:
    """Return what `make backups JSON=1` prints."""
    shown = stack.run_cli("backups", "--json")
    assert shown.code == 0, shown.output
    return json.loads(shown.output)


def test_a_cluster_that_is_backed_up_changes_nothing_by_itself(stack: Stack) -> None:
    """Another run has nothing to do, and the key is nowhere in the open."""
    again = stack.preview("--expect-no-changes")
    assert again.code == 0, again.output
    refreshed = stack.refresh()
    assert refreshed.code == 0, refreshed.output
    assert stack.preview("--expect-no-changes").code == 0
    assert KEY not in stack.state() + stack.config.read_text() + stack.nodes.description("coordinator")


def test_a_backup_is_complete_once_every_node_can_go_back_to_its_point(stack: Stack) -> None:
    """A full one, one that adds to it, and a further point; listed with all nodes."""
    for kind in ("full", "incremental", "restore-point"):
        done = stack.run_cli("backup", "--kind", kind)
        assert done.code == 0, done.output
    found = listed(stack)
    assert [(it["kind"], it["complete"], len(it["nodes"])) for it in found["backups"]] == [
        ("full", True, 3),
        ("incr", True, 3),
    ]
    assert len(found["points"]) == 3
    for _ in range(3):  # within a second or two
        stack.query("call citus_pulumi.make_restore_point()")
    assert len({it["name"] for it in listed(stack)["points"]}) == 6
    shown = stack.run_cli("backups")
    assert "incremental" in shown.output


@pytest.fixture(scope="module")
def restored(new_stack: Callable[..., Stack], stack: Stack, schema: Path, repository: Path) -> Stack:
    """A new cluster that is made of a point of the other, which has gone on since and is still up."""
    stack.before = rows(stack)  # type: ignore[attr-defined]
    done = stack.run_cli("backup", "--kind", "restore-point")
    assert done.code == 0, done.output
    sell(stack, 1001, 1400)
    new = new_stack(
        "restored",
        schemaDir=str(schema),
        tables=TABLES,
        restoreFrom={"repository": str(repository), "prefix": stack.name, "at": "latest"},
    )
    declare_key(new, "restoreFrom")
    return new


def test_a_cluster_is_made_of_a_backup_beside_the_one_that_was_backed_up(stack: Stack, restored: Stack) -> None:
    """All that was committed before the point is there, nothing that came after it, and the two know nothing of each other."""
    previewed = restored.preview()
    assert previewed.code == 0, previewed.output
    up = restored.up()
    assert up.code == 0, up.output
    assert "restored to citus-pulumi-" in up.output
    assert rows(restored) == stack.before  # type: ignore[attr-defined]
    assert rows(stack) != rows(restored)
    assert restored.query("select bool_and(result) from citus_check_cluster_node_health()") == [True]
    assert restored.query(
        "select count(*) from pg_dist_node where nodename || ':' || nodeport = any(array["
        + ",".join(f"'{restored.nodes.address(node)}'" for node in ("coordinator", "worker_1", "worker_2"))
        + "])"
    ) == [3]
    again = restored.preview("--expect-no-changes")
    assert again.code == 0, again.output
    sell(restored, 2001, 2400)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"at": "nothing"}, "'nothing' is no backup and no restore point. There are "),
        (
            {"at": "2020-01-01T00:00:00Z"},
            "restored to a time alone can hold halves of a transaction. citus-pulumi-",
        ),
        (
            {"prefix": "another"},
            "no backup of a cluster with the prefix another; it has backups of clusters with the prefix ",
        ),
        ({"repository": "/no/such/folder"}, "no"),
    ],
    ids=["name", "time", "prefix", "folder"],
)
def test_what_cannot_be_restored_is_told_before_anything_is_made(
    stack: Stack,
    restored: Stack,
    new_stack: Callable[..., Stack],
    schema: Path,
    repository: Path,
    changed: dict[str, str],
    told: str,
) -> None:
    """At preview, in one line that names the setting, and what there is instead."""
    wanted = {"repository": str(repository), "prefix": stack.name, "at": "latest", **changed}
    new = new_stack("refused", schemaDir=str(schema), tables=TABLES, restoreFrom=wanted)
    declare_key(new, "restoreFrom")
    for done in (new.preview(), new.up()):
        assert done.code != 0
        assert "citus:restoreFrom.repository = " in done.errors
        assert told in done.errors, done.errors
        assert "Traceback" not in done.output


def test_another_key_or_another_number_of_workers_is_refused(
    stack: Stack, restored: Stack, new_stack: Callable[..., Stack], schema: Path, repository: Path
) -> None:
    """Neither the key nor a part of what it opens is shown."""
    wanted = {"repository": str(repository), "prefix": stack.name, "at": "latest"}
    new = new_stack("refused", schemaDir=str(schema), tables=TABLES, restoreFrom=wanted, workers=3)
    declare_key(new, "restoreFrom")
    preview = new.preview()
    assert new.leftovers() == []
    for done in (preview, new.up()):
        assert "is of 2 workers, and citus:workers = 3: set 2" in done.errors, done.errors
    new.set(workers=2)
    new.check("config", "set", "--path", "--secret", "restoreFrom.key", "--stack", new.name, "--", "an0ther-key-of-it")
    for done in (new.preview(), new.up()):
        assert done.code != 0
        assert "cannot be read" in done.errors
        assert "citus:restoreFrom.key is another than it was encrypted with: set that back" in done.errors, done.errors
        assert "an0ther-key" not in done.output


def test_a_cluster_that_is_there_is_not_made_of_another_point(stack: Stack, restored: Stack) -> None:
    """Nor is one that was made empty; both keep their rows."""
    before = rows(restored)
    restored.set(restoreFrom={**restored.settings["restoreFrom"], "at": "another", "key": None})
    restored.config.write_text(restored.config.read_text().replace("    key: null\n", ""))
    declare_key(restored, "restoreFrom")
    refused = restored.preview()
    assert "this cluster was made of 'latest', and has rows of its own since" in refused.errors, refused.output
    assert rows(restored) == before


def test_a_lost_state_takes_the_cluster_over_and_makes_it_of_nothing(stack: Stack, restored: Stack) -> None:
    """The setting is still there, and the rows are those of now."""
    restored.set(restoreFrom={**restored.settings["restoreFrom"], "at": "latest"})
    declare_key(restored, "restoreFrom")
    sell(restored, 3001, 3100)
    before = rows(restored)
    (cluster_id,) = restored.query("select name from citus_pulumi.stack")
    restored.set_state_aside()
    restored.set(adopt=cluster_id)
    up = restored.up()
    assert up.code == 0, up.output
    assert rows(restored) == before
    restored.set(adopt=None)
    assert restored.preview("--expect-no-changes").code == 0


def test_a_worker_that_is_lost_later_does_not_come_back_as_it_was(stack: Stack, restored: Stack) -> None:
    """The setting that the cluster was made by is still there, and means nothing for a node that loses its data."""
    restored.nodes.empty("worker_1")
    restored.refresh()
    up = restored.up()
    assert up.code != 0
    assert "has come to citus-pulumi-" not in up.output
    assert "worker_1" in up.errors


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ("select citus_pulumi.end_backup()", "pgBackRest ended with 63"),
        ("kill -s KILL -- -$process", "the backup was killed"),
        ("kill -s KILL $(cat /proc/$process/task/$process/children)", "pgBackRest ended with 137"),
    ],
    ids=["ended", "killed", "pgbackrest"],
)
def test_a_backup_that_is_cut_off_is_told_and_nothing_else_ends(stack: Stack, end: str, told: str) -> None:
    """Neither the server, which in a container is the parent of all that is left, nor the next backup is held up."""

    def on_workers(command: str) -> list[Any]:
        return stack.query(f"select result from run_command_on_workers($w${command}$w$)")

    def run(command: str) -> list[Any]:
        process = "process=$(cat backup.pid 2>/dev/null)"
        return on_workers(f"""select citus_pulumi.run('cd "$(dirname "$PGBACKREST_CONFIG")"; {process}; {command}')""")

    checkpointer = "select backend_start::text from pg_stat_activity where backend_type = $$checkpointer$$"
    before = on_workers(checkpointer)
    on_workers("select citus_pulumi.begin_backup('full', 'cut', '{}')")
    stack.wait_until(
        lambda: all(it.startswith("ended 0") for it in run("grep -q . /proc/$process/task/$process/children")),
        "it runs",
    )
    on_workers(end) if end.startswith("select") else run(end)
    ended = on_workers("select citus_pulumi.wait_for_backup()")
    assert all(told in it for it in ended), ended
    assert on_workers(checkpointer) == before
    done = stack.run_cli("backup", "--kind", "full")
    assert done.code == 0, done.output


def test_a_backup_that_fails_on_one_node_is_complete_on_none(stack: Stack) -> None:
    """It is named, and what the others made goes with the next one; a refresh sees who does not archive, and `up` mends it."""
    assert stack.run_cli("backup", "--kind", "full").code == 0
    worker = stack.nodes.address("worker_1")
    spoil = "select citus_pulumi.run('echo compress-level=99 >> \"$PGBACKREST_CONFIG\"')"
    spoiled = stack.query(f"select success from run_command_on_workers($c${spoil}$c$)")
    assert spoiled == [True, True]
    done = stack.run_cli("backup", "--kind", "full")
    assert done.code != 0
    assert "is not complete" in done.output
    assert worker in done.output
    stack.query("select result from run_command_on_all_nodes('select pg_switch_wal()')")
    stack.wait_until(lambda: "is not archived since" in stack.refresh().output, "a refresh sees it")
    assert "ClusterBackups" in stack.preview().output
    up = stack.up()
    assert up.code == 0, up.output
    done = stack.run_cli("backup", "--kind", "full")
    assert done.code == 0, done.output
    found = listed(stack)["backups"]
    assert all(it["complete"] for it in found), found
    assert [it["kind"] for it in found].count("full") == 2  # as the retention says


def test_backups_that_are_too_old_are_drift_and_stand_in_the_way_of_what_is_dangerous(stack: Stack) -> None:
    """A change that may lose rows says how old the newest is; with `requireBackup` it is refused, and so is the destroy."""
    shown = stack.run_cli("show")
    assert "the newest complete backup is" in shown.output, shown.output
    fresh = stack.run_cli("drift")
    assert fresh.code == 0, fresh.output
    stack.set(workers=1)
    assert "1 worker is drained: the newest complete backup is" in stack.preview().output
    stack.set(requireBackup="1m")
    stack.query("update citus_pulumi.backup_run set ended_at = ended_at - interval '10 days'")
    refused = stack.up()
    assert refused.code != 0
    assert "citus:requireBackup = '1m': 1 worker is drained, and the newest complete backup is" in refused.errors
    stack.set(workers=2)
    up = stack.up()
    assert up.code == 0, up.output
    gone = stack.destroy()
    assert gone.code != 0
    assert "nothing was deleted: citus:requireBackup = '1m'" in gone.output, gone.output
    assert stack.query("select count(*) > 0 from sale") == [True]
    stale = stack.run_cli("drift")
    assert stale.code == 2, stale.output
    assert "(citus:backup.maxAge is 8d)" in stale.output
    stack.set(requireBackup=None)
    assert stack.up().code == 0


def test_a_worker_whose_data_is_lost_comes_back_alone(stack: Stack) -> None:
    """With all that was archived of it, into a cluster that has gone on; its reference tables are those of now."""
    stack.query("insert into country select i, 'country ' || i from generate_series(0, 7) i")
    assert stack.run_cli("backup", "--kind", "full").code == 0
    sell(stack, 4001, 4100)
    assert stack.run_cli("backup", "--kind", "restore-point").code == 0
    stack.query("delete from country where id = 7")
    stack.query("update country set name = 'renamed'")
    moved = move_a_shard(stack, "worker_1", "worker_2")
    stack.nodes.empty("worker_1")
    lost = stack.preview()
    assert lost.code != 0
    assert "worker_1: its data" in lost.errors, lost.output
    assert "make restore WORKERS=worker_1" in lost.errors
    sold = [country for country in range(8) if not refuses(stack, country)]
    assert 0 < len(sold) < 8  # those of the other worker
    done = stack.run_cli("restore", "--workers", "worker_1")
    assert done.code == 0, done.output
    assert "is back, with what was committed on it until" in done.output, done.output
    assert "2 shards that were moved away or dropped after that moment" in done.output, done.output
    assert moved in done.output
    assert stack.query("select count(*) from sale where id between 4001 and 4100") == [100]
    assert stack.query("select count(*) from sale where id = 9001") == [len(sold)]
    told = "select string_agg(it::text, $$ $$ order by id) from %s it"
    copies = stack.query(f"select result from run_command_on_placements('country', '{told}')")
    assert len(copies) == 3
    assert len(set(copies)) == 1, copies
    assert stack.query("select bool_and(result) from citus_check_cluster_node_health()") == [True]
    assert stack.query("select count(*) from country") == [7]
    assert "restoreWorkers" not in stack.config.read_text()
    stack.set(restoreWorkers="worker_1")
    assert "citus:restoreWorkers: nothing of it is lost: remove it" in stack.preview().output
    stack.set(restoreWorkers=None)
    again = stack.preview("--expect-no-changes")
    assert again.code == 0, again.output
    sell(stack, 9101, 9200)
    assert stack.run_cli("backup").code == 0


@IF_EVERYTHING
def test_a_lone_restore_that_is_killed_goes_on(stack: Stack) -> None:
    """At two places, and with what it had made so far taken away but for the data."""
    assert stack.run_cli("backup").code == 0
    before = rows(stack)
    stack.nodes.empty("worker_1")
    stack.set(restoreWorkers="worker_1")
    assert stack.refresh().code == 0
    for sign in (f"{stack.nodes.shown('worker_1')} creating", f"{stack.name}-health updating"):
        assert sign in stack.kill_up_at(sign, signal.SIGKILL)
        with suppress(docker.errors.NotFound, psutil.Error, OSError):
            stack.nodes.remove("worker_1")
        stack.recover()
    up = stack.up()
    assert up.code == 0, up.output
    assert "is back, with what was committed on it until" in up.output, up.output
    stack.set(restoreWorkers=None)
    assert rows(stack) == before
    again = stack.preview("--expect-no-changes")
    assert again.code == 0, again.output


def move_a_shard(stack: Stack, source: str, target: str) -> str:
    """Move a shard of sales with its lines to another worker, and clean up; return its name."""
    places = [
        f"'{name}', {port}" for name, _, port in (stack.nodes.address(it).partition(":") for it in (source, target))
    ]
    found = f"select min(shardid) from citus_shards where table_name = 'sale'::regclass and (nodename, nodeport) = ({places[0]})"
    (shard,) = stack.query(found)
    stack.query(f"select citus_move_shard_placement({shard}, {places[0]}, {places[1]}, 'block_writes')")
    stack.query("call citus_cleanup_orphaned_resources()")
    return f"sale_{shard}"


def refuses(stack: Stack, country: int) -> bool:
    """Write a sale of a country; tell whether its worker is away."""
    try:
        stack.query(f"insert into sale values ({country}, 9001, 'meanwhile')")
    except psycopg.Error:
        return True
    return False


def test_a_worker_that_was_sharded_otherwise_since_does_not_come_back_alone(stack: Stack) -> None:
    """What the archive has of it is not what the cluster expects: it is left as it is, and the way is said."""
    assert stack.run_cli("backup").code == 0
    stack.query("alter table line add column later int")
    stack.nodes.empty("worker_2")
    done = stack.run_cli("restore", "--workers", "worker_2")
    assert done.code != 0
    assert "it cannot come back alone: restore the whole cluster" in done.output, done.output
    stack.query("alter table line drop column if exists later")
    up = stack.up()
    assert up.code == 0, up.output
    assert "is back, with what was committed on it until" in up.output
    stack.set(restoreWorkers=None)


def test_a_cluster_goes_back_in_place_when_that_is_said_twice(stack: Stack, schema: Path) -> None:
    """To a point, and along the new timeline to a later one."""
    stack.run_cli("backup", "--kind", "full")
    before = rows(stack)
    assert stack.run_cli("backup", "--kind", "restore-point").code == 0
    point = listed(stack)["points"][-1]["name"]
    sell(stack, 5001, 5100)
    refused = stack.run_cli("restore", "--to", point, "--in-place", stack.name)
    assert refused.code != 0
    assert "say its name twice" in refused.output
    assert rows(stack) != before
    done = stack.run_cli("restore", "--to", point, "--in-place", stack.name, "--confirm", stack.name)
    assert done.code == 0, done.output
    assert rows(stack) == before
    sell(stack, 6001, 6100)
    later = rows(stack)
    assert stack.run_cli("backup", "--kind", "restore-point").code == 0
    point = listed(stack)["points"][-1]["name"]
    sell(stack, 7001, 7100)
    done = stack.run_cli("restore", "--to", point, "--in-place", stack.name, "--confirm", stack.name)
    assert done.code == 0, done.output
    assert rows(stack) == later
    assert stack.run_cli("backup").code == 0
    assert stack.preview("--expect-no-changes").code == 0


def test_a_schedule_makes_backups_by_itself(stack: Stack, runtime: str) -> None:
    """In a container of its own, which has no password in its description; local nodes have none, and the preview says so."""
    declared = stack.settings["backup"]
    stack.set(backup={**declared, "schedule": {"restorePoint": "* * * * *"}})
    declare_key(stack, "backup")
    if runtime == "local":
        assert "it runs in a container: remove it, and let cron run `make backup`" in stack.preview().errors
        stack.set(backup=declared)
        declare_key(stack, "backup")
        return
    before = len(listed(stack)["points"])
    up = stack.up()
    assert up.code == 0, up.output
    assert stack.preview("--expect-no-changes").code == 0
    assert stack.password not in stack.nodes.description("backups")
    stack.wait_until(lambda: len(listed(stack)["points"]) > before, "a point is made", 150)
    assert stack.run_cli("drift").code == 0
    stack.set(backup=declared)
    declare_key(stack, "backup")
    up = stack.up()
    assert up.code == 0, up.output
    assert not any(name.endswith("_backups") for name in stack.leftovers())


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of its own."""
    if os.geteuid():
        pytest.skip("only root can make a disk that is full")
    disk = Path(tempfile.mkdtemp(prefix="citus-pulumi-small-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m,mode=0777", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)  # where the test has failed, servers still write there
    shutil.rmtree(disk, ignore_errors=True)


def test_a_disk_that_is_full_is_told_and_made_up_for(
    new_stack: Callable[..., Stack], schema: Path, small_disk: Path
) -> None:
    """The backup is complete on no node, the log waits, and both are seen; with room, the next one removes what it left."""
    stack = new_stack("small", schemaDir=str(schema), tables=TABLES, workers=1, backup={"repository": str(small_disk)})
    declare_key(stack, "backup")
    up = stack.up()
    assert up.code == 0, up.output
    sell(stack, 1, 400)
    filled = small_disk / "filled"
    filled.write_bytes(bytes(shutil.disk_usage(small_disk).free - 4 * 1024**2))
    done = stack.run_cli("backup", "--kind", "full")
    assert done.code != 0
    assert "No space left on device" in done.output
    assert done.output.rstrip().endswith("make room there"), done.output
    with filled.open("ab") as rest:
        rest.write(bytes(shutil.disk_usage(small_disk).free))
    stack.query("select result from run_command_on_all_nodes('select pg_switch_wal()')")
    stack.wait_until(lambda: "is not archived since" in stack.run_cli("drift").output, "archiving fails", 200)
    sell(stack, 401, 800)  # nobody who sells is held up
    filled.unlink()
    done = stack.run_cli("backup", "--kind", "full")
    assert done.code == 0, done.output
    assert [it["complete"] for it in listed(stack)["backups"]] == [True]
    stack.wait_until(lambda: stack.run_cli("drift").code == 0, "all of it is archived")
    gone = stack.destroy()
    assert gone.code == 0, gone.output
    assert any(small_disk.iterdir())
