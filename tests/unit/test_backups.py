"""What a repository holds, what pgBackRest is given, when nodes are made of a backup, and how old one may be. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from components.backups.catalogue import Catalogue, read_catalogue
from components.backups.configuration import ServerPlace, render
from components.backups.restoring import END_OF_ARCHIVE, Fresh, RestoredNode, Target, render_restore
from components.backups.settings import BackupSettings, RestoreSettings
from components.dangers import find_dangers, judge
from components.database.backups import BackupRuns, explain
from components.database.live import LiveCluster, LiveWorker
from components.errors import BackupError, SettingsError
from components.names import TableName
from components.nodes.docker.schedule import render_schedule
from components.nodes.restore import RestorePlanInputs, RestorePlanProvider
from components.nodes.restoring import decide
from components.nodes.returning import Returning, find_returning
from components.plan.plan import ShardingPlan
from components.schema.files import Schema
from components.schema.needs import KnownServer
from components.settings import Settings, refuse_plain_passwords
from components.tables import Distributed, Reference

if TYPE_CHECKING:
    from pathlib import Path

KEY = "a-k3y-of-the-repository"
SECRET = "s3cr3t-of-the-store"
T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)


def parse(**given: Any) -> Settings:
    """Return settings as Pulumi hands them over."""
    told = {name: it if isinstance(it, str) else json.dumps(it) for name, it in given.items()}
    return Settings.parse({"password": "x", **told}, stack="test")


def problem(**given: Any) -> str:
    """Return what is wrong with settings."""
    with pytest.raises(SettingsError) as refused:
        parse(**given)
    return str(refused.value)


# --- the settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backup", "told"),
    [
        (
            {"repository": "/b"},
            "citus:backup.key: is not set: set it with `pulumi config set --path --secret backup.key`",
        ),
        ({"repository": "/b", "key": "short"}, "citus:backup.key: is too short to keep a secret"),
        ({"repository": "b/c", "key": KEY}, "citus:backup.repository = 'b/c': expected an absolute folder"),
        ({"repository": "s3://B", "key": KEY}, "citus:backup.repository = 's3://B': expected s3://<bucket>/<prefix>"),
        ({"repository": "/b", "key": KEY, "keyId": "a", "secretKey": SECRET}, "keyId is of an object store"),
        ({"repository": "s3://buck/et", "key": KEY, "keyId": "a"}, "keyId and secretKey belong together"),
        (
            {"repository": "/b", "key": KEY, "retention": "soon"},
            "citus:backup.retention = 'soon': expected a number of full",
        ),
        ({"repository": "/b", "key": KEY, "maxAge": "soon"}, "citus:backup.maxAge = 'soon': 'soon' is no duration"),
        ({"repository": "/b", "key": KEY, "schedule": {"full": "daily"}}, "expected five fields as cron takes them"),
        ({"repository": "/b", "key": KEY, "keep": 2}, "citus:backup.keep is unknown: backup takes repository, key"),
    ],
)
def test_a_wrong_setting_is_told_with_its_value_and_no_secret(backup: dict[str, Any], told: str) -> None:
    """One line, with what to do."""
    said = problem(backup=backup)
    assert told in said, said
    assert KEY not in said
    assert SECRET not in said


def test_local_nodes_and_several_hosts_have_no_volume_in_common() -> None:
    """They take a folder, or a store."""
    volume = {"repository": "backups", "key": KEY}
    assert "local nodes have no volumes" in problem(runtime="local", backup=volume)
    hosts = {name: {"engine": "unix:///x", "address": f"10.0.0.{n}"} for n, name in enumerate(("a", "b"), 1)}
    assert "a volume is on one host" in problem(hosts=hosts, hostOf={"coordinator": "a"}, backup=volume)
    scheduled = {"repository": "/b", "key": KEY, "schedule": {"full": "0 2 * * 0"}}
    assert "it runs in a container" in problem(runtime="local", backup=scheduled)


def test_two_clusters_do_not_archive_under_the_same_names() -> None:
    """A cluster that is made of a backup needs a repository of its own, or other names; in place, it goes on with it."""
    there = {"repository": "/b", "key": KEY}
    assert "the archives of two clusters would become one" in problem(
        backup=there, restoreFrom={**there, "at": "latest"}
    )
    parse(backup=there, restoreFrom={**there, "at": "latest", "prefix": "other"})
    parse(backup=there, restoreFrom={**there, "at": "latest", "inPlace": True})


def test_a_key_in_plain_text_is_refused() -> None:
    """Pulumi says nothing of a part of a setting."""
    with pytest.raises(
        SettingsError, match=r"citus:backup\.key stands in the settings as plain text.*--secret 'backup.key'"
    ):
        refuse_plain_passwords({"citus:backup": {"repository": "/b", "key": KEY}})
    refuse_plain_passwords({"citus:backup": {"repository": "/b", "key": {"secure": "v1:…"}}})


# --- what pgBackRest is given ----------------------------------------------------------------------------------------

PLACE = ServerPlace("citus_worker_1", "/data", 5432, "admin", "shop", "/run/x")


def test_a_folder_and_a_store_are_configured() -> None:
    """Always encrypted; nothing expires by itself on one node."""
    text = render(BackupSettings(repository="/b", key=KEY, retention="30d"), "/mnt", PLACE)
    for line in ("repo1-path=/mnt", "repo1-cipher-type=aes-256-cbc", f"repo1-cipher-pass={KEY}", "expire-auto=n"):
        assert f"{line}\n" in text
    assert "repo1-retention-full=30\nrepo1-retention-full-type=time\n" in text
    assert "[citus_worker_1]\npg1-path=/data\npg1-port=5432\npg1-user=admin\npg1-database=shop\n" in text
    store = BackupSettings(
        repository="s3://buck/et/", key=KEY, endpoint="s3.here:9000", keyId="id", secretKey=SECRET, region="here"
    )
    text = render(store, "", PLACE, "/ca.crt")
    for line in (
        "repo1-type=s3",
        "repo1-path=/et",
        "repo1-s3-bucket=buck",
        "repo1-s3-endpoint=s3.here",
        "repo1-storage-port=9000",
    ):
        assert f"{line}\n" in text
    assert f"repo1-s3-key=id\nrepo1-s3-key-secret={SECRET}\n" in text
    assert "repo1-storage-ca-file=/ca.crt\n" in text
    assert "repo1-s3-key-type=auto\n" in render(BackupSettings(repository="s3://buck", key=KEY), "", PLACE)


def test_a_node_that_is_made_of_a_backup_is_given_all_it_needs() -> None:
    """The stanza is that of the node that was backed up, the addresses are those of the new cluster."""
    nodes = {
        "new_coordinator": RestoredNode(0, "old_coordinator", "L0", 1, "h", 1),
        "new_worker_1": RestoredNode(7, "old_worker_1", "L1", 3, "h", 2),
    }
    place = ServerPlace("new_worker_1", "/data", 2, "admin", "shop", "/run/x")
    settings = RestoreSettings(repository="/b", key=KEY, at="latest")
    files = render_restore(settings, "/mnt", place, Target("p", "id", "pw", nodes), Fresh("hba", "conf"))
    assert files["restore.env"] == "STANZA=old_worker_1\nLABEL=L1\nPOINT=p\nTIMELINE=3\n"
    assert "[old_worker_1]" in files["restore.conf"]
    assert json.loads(files["restore-nodes.json"])[1] == {"groupid": 7, "name": "h", "port": 2}


def test_a_schedule_calls_what_any_client_can() -> None:
    """No password is in the table of cron."""
    settings = parse(
        password="p%w",
        backup={"repository": "/b", "key": KEY, "schedule": {"full": "0 2 * * 0", "restorePoint": "*/5 * * * *"}},
    )
    assert settings.backup
    assert settings.backup.schedule
    files = render_schedule(settings, settings.backup.schedule, "citus_coordinator")
    assert "0 2 * * 0 root psql -X -q -d service=cluster -c \"call citus_pulumi.backup('full')\"" in files["crontab"]
    assert "*/5 * * * * root" in files["crontab"]
    assert "p%w" not in files["crontab"] + files["service.conf"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "ERROR: [028]: backup and archive info files exist but do not match the database",
            "of another cluster under this",
        ),
        ("ERROR: [029]: FormatError: key/value found outside of section", "citus:backup.key is another"),
        (
            "ERROR: [082]: WAL segment 0001 was not archived before the 60000ms timeout",
            "the log of the node's server has",
        ),
        ("ERROR: [041]: unable to open file: No space left on device", "make room there"),
        ("ERROR: [039]: HTTP request failed with 403 (Forbidden)", "the store refuses citus:backup.keyId"),
        ("ERROR: [039]: HTTP request failed with 404 (Not Found)", "the bucket does not exist"),
        ("20260101T014404.403Z: unable to connect to 'store:40404': Connection refused", "the store does not answer"),
    ],
)
def test_what_pgbackrest_says_comes_with_what_to_do(said: str, told: str) -> None:
    """On one line."""
    shown = explain(f"2026-03-01 12:00:00.123 P00  {said}\n   HINT: more")
    assert told in shown
    assert "\n" not in shown
    assert "P00" not in shown


# --- what a repository holds -----------------------------------------------------------------------------------------


def made(name: str, label: str, at: datetime, **annotation: str) -> dict[str, Any]:
    """Return a backup as pgBackRest describes it."""
    seconds = int(at.timestamp())
    return {
        "annotation": {"name": name, **annotation},
        "label": label,
        "type": "full" if label.endswith("F") else "incr",
        "database": {"id": 1},
        "info": {"size": 1000, "repository": {"delta": 100}},
        "timestamp": {"start": seconds, "stop": seconds + 5},
    }


def info(**stanzas: list[dict[str, Any]]) -> str:
    """Return what `pgbackrest info` tells."""
    db = [{"id": 1, "version": "15"}]
    return json.dumps(
        [{"name": name, "backup": it, "db": db, "repo": [{"status": {"code": 0}}]} for name, it in stanzas.items()]
    )


def complete(name: str, label: str, at: datetime, group: int, **more: str) -> dict[str, Any]:
    """Return a node's part of a backup that is complete."""
    marks = {"point": f"citus-pulumi-{name}", "moment": (at + timedelta(seconds=9)).isoformat(), "timeline": "1"}
    return made(name, label, at, group=str(group), **marks, **more)


def held() -> Catalogue:
    """Return what two backups, one of them not complete, and a further point come to."""
    hour = timedelta(hours=1)
    further = {"citus-pulumi-C": f"{(T0 + 2 * hour).isoformat()}/2"}
    return read_catalogue(
        info(
            shop_worker_1=[complete("A", "1F", T0, 4, **further), made("B", "2F", T0 + hour)],
            shop_coordinator=[complete("A", "1F", T0, 0, **further)],
            shop_worker_1_x=[made("Z", "9F", T0)],
            other_coordinator=[made("Z", "9F", T0)],
        ),
        "shop",
    )


def test_a_backup_is_what_all_nodes_have_of_one_name() -> None:
    """The coordinator's mark tells whether it is complete; other clusters of the repository are not looked at."""
    catalogue = held()
    assert [(it.name, it.is_complete, list(it.parts)) for it in catalogue.backups] == [
        ("A", True, ["shop_coordinator", "shop_worker_1"]),
        ("B", False, ["shop_worker_1"]),
    ]
    first = catalogue.backups[0]
    assert (first.size, first.stored, first.seconds, first.major) == (2000, 200, 5, "15")
    assert {node: part.group for node, part in first.parts.items()} == {"shop_coordinator": 0, "shop_worker_1": 4}
    assert [(it.name, it.backup.name) for it in catalogue.points] == [("citus-pulumi-A", "A"), ("citus-pulumi-C", "A")]
    assert first.parts["shop_worker_1"].timelines == {"citus-pulumi-A": 1, "citus-pulumi-C": 2}


@pytest.mark.parametrize(("at", "name"), [("latest", "C"), ("A", "A"), ("citus-pulumi-A", "A"), ("C", "C")])
def test_a_point_is_found_by_what_a_person_says(at: str, name: str) -> None:
    """By its own name, or by that of the backup that it ends."""
    assert held().find(at).name == f"citus-pulumi-{name}"


@pytest.mark.parametrize(
    ("at", "told"),
    [
        ("B", "the backup B is not complete"),
        ("Q", "'Q' is no backup and no restore point. There are 2 points to go back to, from citus-pulumi-A to"),
        ((T0 + timedelta(hours=1)).isoformat(), r"citus-pulumi-A \(59 min 51 s before\).*citus-pulumi-C \(1 h after\)"),
        ((T0 - timedelta(hours=1)).isoformat(), r"halves of a transaction. citus-pulumi-A \(1 h 9 s after\)"),
    ],
)
def test_what_is_no_point_is_answered_with_those_that_there_are(at: str, told: str) -> None:
    """A time with the ones around it, and what each has."""
    with pytest.raises(BackupError, match=told):
        held().find(at)


def test_a_repository_that_cannot_be_read_is_no_empty_one() -> None:
    """As where its key is another."""
    told = json.dumps(
        [{"name": "shop_coordinator", "repo": [{"status": {"code": 99, "message": "[FormatError] no\n\x01\x02"}}]}]
    )
    with pytest.raises(BackupError, match=r"it cannot be read: \[FormatError\] no$"):
        read_catalogue(told, "shop")
    told = json.dumps([{"name": "[invalid]", "repo": [{"status": {"code": 99, "message": "[HostConnectError] no"}}]}])
    with pytest.raises(BackupError, match=r"HostConnectError"):
        read_catalogue(told, "shop")


# --- when nodes are made of a backup ---------------------------------------------------------------------------------

SOURCE = {"repository": "/b", "key": KEY, "at": "latest"}


def live(*, restored: bool | None = None, workers: int = 2, **tables: Any) -> LiveCluster:
    """Return a cluster as a preview sees it."""
    there = tuple(LiveWorker(n, "h", n, should_have_shards=True, shards=1) for n in range(1, workers + 1))
    named = {TableName("public", name): it for name, it in tables.items()}
    return LiveCluster("id", "h:1", {}, named, there, restored=restored)


@pytest.mark.parametrize(
    ("seen", "there", "missing", "restores", "refused"),
    [
        (None, [], ["c", "w"], True, ""),
        (live(restored=True), ["c", "w"], [], False, ""),
        (live(restored=True), ["c"], ["w"], False, ""),
        (live(restored=False), ["c", "w"], [], True, ""),
        (live(restored=False), ["c"], ["w"], True, ""),
        (live(restored=None), ["c", "w"], [], False, "has a cluster, which was not made of that backup"),
        (None, ["c"], ["w"], False, "w would be made of the backup, beside c with data of their own"),
        (None, ["c", "w"], [], True, ""),
    ],
)
def test_a_cluster_is_made_of_a_backup_once(
    seen: LiveCluster | None, there: list[str], missing: list[str], *, restores: bool, refused: str
) -> None:
    """A node that loses its data later does not come back as it was, beside others that went on."""
    found, lines = decide(parse(restoreFrom=SOURCE), seen, there, missing)
    assert found is restores
    assert refused in " ".join(lines)
    assert bool(lines) is bool(refused)
    assert decide(parse(), seen, there, missing) == (False, ())


def test_a_backup_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is made: pgBackRest would refuse it on each node."""

    class Told:
        def read_info(self, *_: object) -> str:
            mark = {"citus": "12.1-1", "citus-pulumi-C": f"{T0.isoformat()}/1/13.2-1"}
            return info(
                shop_worker_1=[complete("A", "1F", T0, 4, **mark)],
                shop_coordinator=[complete("A", "1F", T0, 0, **mark)],
            )

    monkeypatch.setattr("components.registry.open_at", lambda *_: Told())

    def refusals(major: int, citus: tuple[int, int], at: str) -> list[str]:
        settings = parse(restoreFrom={**SOURCE, "at": at}, namePrefix="shop", workers="1")
        assert settings.restore_from
        server = KnownServer(postgres=major, citus=citus)
        inputs = RestorePlanInputs.of(settings, settings.restore_from, "local:", "/b", server=server, needed=True)
        return list(RestorePlanProvider().refuse({}, inputs))

    assert refusals(15, (12, 1), "A") == []
    assert refusals(15, (13, 2), "C") == []
    (told,) = refusals(16, (12, 1), "A")
    assert "the backup A was made by PostgreSQL 15, and the nodes are to run 16" in told
    (told,) = refusals(15, (12, 1), "C")
    assert "it has Citus 12.1, and the database has the extension citus 13.2-1" in told
    assert "use an image, or programs, of Citus 13.2" in told


BACKED_UP = {"backup": {"repository": "/b", "key": KEY}, "namePrefix": "shop", "workers": "2"}
REACHED = {"shop_coordinator": ("h", 9), "shop_worker_1": ("h", 1), "shop_worker_2": ("h", 2)}
LOST = ("shop_worker_2",)


def returning(monkeypatch: pytest.MonkeyPatch, seen: LiveCluster | None, **given: Any) -> Returning:
    """Find out which workers come back, with a repository that has a backup of both."""
    parts = {f"shop_worker_{n}": [complete("A", f"{n}F", T0, n)] for n in (1, 2)}
    catalogue = read_catalogue(info(shop_coordinator=[complete("A", "0F", T0, 0)], **parts), "shop")
    monkeypatch.setattr("components.nodes.returning._read_catalogue", lambda *_: catalogue)
    monkeypatch.setattr(
        "components.nodes.returning._find_silent", lambda _, addresses: [(it, "no") for it in addresses]
    )
    return find_returning(parse(**{**BACKED_UP, **given}), seen, REACHED, LOST)


def test_a_lost_worker_comes_back_where_a_person_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its part of the newest backup, with the addresses of the others; a setting that means nothing now does nothing."""
    found = returning(monkeypatch, live(), restoreWorkers="worker_2")
    assert (found.names, found.obstacles) == (LOST, ())
    assert found.nodes == {
        "shop_worker_2": RestoredNode(2, "shop_worker_2", "2F", END_OF_ARCHIVE, "h", 2),
        "h:1": RestoredNode(1, "", "", 0, "h", 1),
    }


def test_a_worker_that_a_killed_run_has_half_made_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a volume, and is wanted: its container is made with what the restore reads, as that of one without a volume."""
    found = returning(monkeypatch, live(), restoreWorkers="worker_1, worker_2")
    assert found.names == ("shop_worker_1", "shop_worker_2")
    assert (found.nodes["shop_worker_1"].label, found.obstacles) == ("1F", ())


@pytest.mark.parametrize(
    ("seen", "given", "told"),
    [
        (
            live(),
            {},
            "worker_2: its data (shop_worker_2) is gone, and the cluster expects 1 shards there. Put it back; or, ",
        ),
        (live(), {}, "make restore WORKERS=worker_2"),
        (live(), {"backup": False}, "this cluster declares no backup, so that is lost"),
        (
            None,
            {"restoreWorkers": "worker_2"},
            "worker_2 comes back into a cluster that runs, and the coordinator does not",
        ),
        (live(workers=1), {"restoreWorkers": "worker_2"}, "worker_2 was the worker of group 2, and none is registered"),
        (
            live(workers=3),
            {},
            "worker h:3 is registered with 1 shards, does not answer, and no host of the settings has it",
        ),
    ],
)
def test_what_stands_in_the_way_of_a_lost_worker_is_told(
    monkeypatch: pytest.MonkeyPatch, seen: LiveCluster | None, given: dict[str, Any], told: str
) -> None:
    """Before an empty one is made in its place."""
    assert told in "\n".join(returning(monkeypatch, seen, **given).obstacles)


def test_a_worker_that_no_backup_has_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest complete backup that it is in counts."""
    monkeypatch.setattr("components.nodes.returning._read_catalogue", lambda *_: held())
    found = find_returning(parse(**BACKED_UP, restoreWorkers="worker_2"), live(), REACHED, LOST)
    (told,) = found.obstacles
    assert told.startswith("citus:restoreWorkers = 'worker_2': no complete backup has shop_worker_2 in it")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"restoreWorkers": "worker_9"}, "worker_9 is none of the workers, which are worker_1 to worker_2"),
        ({"restoreWorkers": "worker_1", "backup": False}, "this cluster declares no backup to make them of"),
    ],
)
def test_workers_that_cannot_come_back_are_refused(given: dict[str, Any], told: str) -> None:
    """Those that are none, and all of a cluster that is not backed up."""
    assert told in problem(**{**BACKED_UP, **given})


# --- how old a backup may be -----------------------------------------------------------------------------------------


def test_what_may_lose_rows_is_told_with_the_age_of_the_newest_backup(tmp_path: Path) -> None:
    """And refused where that is older than the settings allow."""
    (tmp_path / "1.sql").write_text("create table a (id int primary key); create table b (id int primary key);")
    settings = parse(
        workers="1",
        backup={"repository": "/b", "key": KEY},
        requireBackup="1h",
        tables={"a": {"distributeBy": "id", "rewrite": True}, "b": {"undistribute": True}},
    )
    plan = ShardingPlan.make(Schema.read(tmp_path), settings)
    seen = live(a=Reference(), b=Distributed("id"))
    dangers = list(find_dangers(settings, plan, seen, {"w": "another image"}))
    assert dangers == ["1 worker is drained", "the nodes get other programs", "a is rewritten", "b becomes local"]
    assert list(find_dangers(settings, plan, None, {})) == []
    with pytest.raises(BackupError, match=r"citus:requireBackup = '1h': .*nothing is backed up: `make backup` first"):
        judge(settings, seen, dangers, T0)
    recent = LiveCluster(**{**vars(seen), "backups": BackupRuns("A", T0 - timedelta(minutes=50))})
    assert judge(settings, recent, dangers, T0).endswith(": the newest complete backup is A, 50 min old")
    assert judge(settings, recent, [], T0) == ""
    with pytest.raises(BackupError, match=r"the newest complete backup is A, 3 h 50 min old"):
        judge(settings, recent, dangers, T0 + timedelta(hours=3))
    assert judge(parse(workers="1"), seen, dangers, T0) == ""
