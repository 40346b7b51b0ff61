"""A node as a process of this host: made, found again, refused, and gone without a trace."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections import namedtuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
import pytest

from components.errors import HostError, IdentityError
from components.nodes.data import NodeDataProvider
from components.nodes.local.folders import Owner, get_owner
from components.nodes.local.host import LocalHost
from components.nodes.local.resources import LocalNodeProvider
from components.settings import Settings
from tests.provider.resources import RefusedError, Resource
from tests.servers import HOST, find_installation, find_wheel, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from components.nodes.local.installation import Installation

pytestmark = pytest.mark.needs("wheel")

STACK = "organization/citus/test-local"
CLUSTER_ID = "11111111-2222-4333-8444-555555555555"
PASSWORD = r"""p: a\ss '"0%20 $HOME @/ñ"""


@pytest.fixture
def base() -> Iterator[Path]:
    """A folder that other accounts may enter; whatever runs in it ends with the test."""
    folder = Path(tempfile.mkdtemp(prefix="citus-pulumi-test-"))
    folder.chmod(0o755)
    yield folder
    servers = [
        process
        for process in psutil.process_iter(["cmdline"])
        if f"{folder}/" in " ".join(process.info["cmdline"] or [])
    ]
    for server in servers:
        server.send_signal(signal.SIGQUIT)
    psutil.wait_procs(servers, 30)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def wheel() -> Installation:
    """The PostgreSQL from PyPI, which has no Citus."""
    installation = find_wheel()
    assert installation
    return installation


@pytest.fixture
def new_node(base: Path, wheel: Installation) -> Callable[..., Resource]:
    """Declare nodes of the stack, each with a folder of its own."""

    def make(name: str = "worker_1", *, password: str = PASSWORD, **changed: Any) -> Resource:
        args = {
            "node": name,
            "stack": STACK,
            "cluster_id": CLUSTER_ID,
            "folder": str(base / "test-local" / name),
            "port": free_port(),
            "user": "postgres",
            "database": 'co"ord ñ',
            "bindir": str(wheel.bindir),
            "password_mark": password,
            "ready_timeout": 30,
            "running": True,
        }
        return Resource(LocalNodeProvider(), {**args, **changed}, password)

    return make


def ask(node: Resource, query: str) -> Any:
    """Run statements on a node and return the only value of the last."""
    with psycopg.connect(
        host=HOST, port=node.inputs["port"], user="postgres", password=PASSWORD, dbname=node.inputs["database"]
    ) as connection:
        for statement in query.split("; "):
            cursor = connection.execute(statement.encode())
        row = cursor.fetchone()
        return row[0] if row else None


def main_process(node: Resource) -> psutil.Process:
    """Return the node's main process."""
    return psutil.Process(int((Path(node.inputs["folder"]) / "data" / "postmaster.pid").read_text().split()[0]))


def kill(node: Resource) -> None:
    """Kill the node as a power cut would."""
    server = main_process(node)
    processes = [server, *server.children()]
    server.kill()
    psutil.wait_procs(processes, 30)


def test_a_node_runs_dies_and_comes_back_with_its_data(new_node: Callable[..., Resource]) -> None:
    """Refresh sees that the process died, and the next update starts it again."""
    node = new_node()
    assert node.up() == "create"
    ask(node, "create table kept (n int); insert into kept values (7) returning n")
    assert node.up() == "same"
    kill(node)
    assert node.refresh()
    assert node.up() == "update"
    assert ask(node, "select n from kept") == 7


@pytest.mark.parametrize(("locale", "order"), [("C.UTF-8", "B a z ñ"), ("C", "B a z ñ")])
def test_text_sorts_as_its_locale_says(new_node: Callable[..., Resource], locale: str, order: str) -> None:
    """The default knows the cases of all letters, as in a container; the data keeps its locale whatever is set later."""
    node = new_node(locale=locale)
    node.up()
    words = "select string_agg(w, ' ' order by w) from (values ('a'), ('B'), ('ñ'), ('z')) v (w)"
    assert ask(node, words) == order
    assert ask(node, "select upper('ñandú')") == ("ÑANDÚ" if locale == "C.UTF-8" else "ñANDú")


def test_a_node_runs_under_an_account_without_rights_and_for_this_host_alone(new_node: Callable[..., Resource]) -> None:
    """Never as root; it listens on 127.0.0.1, and its folder is closed to others."""
    node = new_node()
    node.up()
    process = main_process(node)
    assert process.uids().real != 0
    listening = {tuple(c.laddr) for c in process.net_connections() if c.status == psutil.CONN_LISTEN}
    assert listening == {(HOST, node.inputs["port"])}
    assert Path(node.inputs["folder"]).stat().st_mode & 0o077 == 0


def test_the_password_is_in_no_command_line_no_environment_and_no_state(new_node: Callable[..., Resource]) -> None:
    """It stands in the file that libpq reads, which belongs to the server's account."""
    node = new_node()
    node.up()
    process = main_process(node)
    assert PASSWORD not in f"{process.cmdline()} {process.environ()}"
    outputs = {name: value for name, value in node.state.items() if name != "password_mark"}
    assert PASSWORD not in str(outputs)
    passfile = Path(node.inputs["folder"]) / "passfile"
    assert passfile.stat().st_mode & 0o777 == 0o600
    assert passfile.stat().st_uid == process.uids().real


def test_another_password_waits_until_all_nodes_change_it(new_node: Callable[..., Resource]) -> None:
    """The server keeps the password that it has, and so does the file that it shows other nodes: UserPassword changes both."""
    node = new_node()
    node.up()
    passfile = Path(node.inputs["folder"]) / "passfile"
    before = passfile.read_text()
    kill(node)
    other = new_node(password="another", port=node.inputs["port"])
    other.id, other.state, other.applied = node.id, {**node.state, "running": False}, node.applied

    assert other.up() == "update"

    assert passfile.read_text() == before
    assert ask(node, "select 1") == 1


def test_a_node_is_found_again_when_the_state_is_lost(
    new_node: Callable[..., Resource], capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder of this stack is taken over with its data, whether its server runs or not."""
    first = new_node()
    first.up()
    ask(first, "create table kept (n int); insert into kept values (7) returning n")
    kill(first)
    again = new_node(port=first.inputs["port"])

    assert again.up() == "create"

    assert ask(again, "select n from kept") == 7
    assert "adopted with its data" in capsys.readouterr().out
    assert again.state["generation"] == first.state["generation"]


def test_a_folder_that_a_kill_left_half_made_is_thrown_away(new_node: Callable[..., Resource], base: Path) -> None:
    """What initdb had begun is never taken for a data folder."""
    half = base / "test-local" / ".worker_1.abcd" / "data"
    half.mkdir(parents=True)
    node = new_node()
    node.up()
    assert ask(node, "select 1") == 1
    assert [path.name for path in half.parents[1].iterdir() if path.name.startswith(".")] == []


def test_another_clusters_folder_is_left_alone(new_node: Callable[..., Resource]) -> None:
    """Neither used nor stopped by a cluster that did not make it."""
    node = new_node()
    node.up()
    stranger = new_node(cluster_id="other", port=node.inputs["port"])
    with pytest.raises(HostError, match=f"belongs to node worker_1 of the cluster {CLUSTER_ID}"):
        stranger.up()
    stranger.id, stranger.state = node.id, {**node.state, "cluster_id": "other"}
    with pytest.raises(HostError, match="it is left alone"):
        stranger.delete()
    assert ask(node, "select 1") == 1


def test_a_folder_from_before_there_were_ids_gets_its_clusters(new_node: Callable[..., Resource]) -> None:
    """The state tells by which name the stack signed it; without that state it is refused."""
    node = new_node()
    node.up()
    signed = Path(node.inputs["folder"]) / "citus-pulumi.json"
    signed.write_text(json.dumps({"stack": STACK, "node": "worker_1"}))
    with pytest.raises(HostError, match=f"of the cluster {STACK}"):
        new_node(port=node.inputs["port"]).up()
    node.state = {name: value for name, value in node.state.items() if name != "cluster_id"}
    assert node.up() == "update"
    assert get_owner(Path(node.inputs["folder"])) == Owner(STACK, "worker_1", CLUSTER_ID)


def data_of(node: Resource) -> Resource:
    """Declare the data of a node; of its coordinator, nothing answers."""
    name = node.inputs["node"]
    server = {
        "name": "coordinator",
        "host": HOST,
        "port": free_port(),
        "database": "d",
        "user": "u",
        "log": "file:/none",
    }
    data = {
        "server": server,
        "node_name": HOST,
        "node_port": node.inputs["port"],
        "is_coordinator": name == "coordinator",
        "place": f"folder:{node.inputs['folder']}",
        "owner": CLUSTER_ID,
        "cluster_id": CLUSTER_ID,
        "ready_timeout": 30,
    }
    return Resource(NodeDataProvider(), data)


def test_data_stays_while_its_cluster_lives(new_node: Callable[..., Resource]) -> None:
    """The coordinator's in any case, and a worker's where nobody can tell what it holds."""
    nodes = [new_node("coordinator"), new_node("worker_1")]
    data = [data_of(node) for node in nodes]
    for resource in (*nodes, *data):
        resource.up()
    with pytest.raises(IdentityError, match="coordinator is kept, with its data: it is the coordinator's"):
        data[0].delete()
    nodes[1].delete()
    with pytest.raises(IdentityError, match="worker_1 is kept, with its data: the coordinator cannot be asked"):
        data[1].delete()
    assert nodes[1].up() == "create"
    assert ask(nodes[1], "select 1") == 1


@pytest.mark.parametrize(
    ("changed", "setting"), [({"port": 1}, "port"), ({"folder": "/x"}, "dataDir"), ({"user": "x"}, "user")]
)
def test_what_data_was_made_with_stays(
    new_node: Callable[..., Resource], changed: dict[str, Any], setting: str
) -> None:
    """Another folder would leave the data behind, another port would lose the node: refused before anything happens."""
    node = new_node()
    node.up()
    with pytest.raises(RefusedError, match=rf"citus:{setting}.* set that back"):
        node.preview(**changed)


def test_nothing_is_left_of_deleted_nodes(new_node: Callable[..., Resource], base: Path) -> None:
    """First the processes end, then the folders go; what is deleted twice is no error."""
    nodes = [new_node("coordinator"), new_node("worker_1")]
    data = [data_of(node) for node in nodes]
    for resource in (*nodes, *data):
        resource.up()
    processes = [main_process(node) for node in nodes]
    states = [dict(node.state) for node in nodes]
    for node in nodes:
        node.delete()
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)
    assert [Path(node.inputs["folder"]).is_dir() for node in nodes] == [True, True]
    for resource in data:
        resource.delete()
    assert not base.exists()
    LocalNodeProvider().delete("", states[0])
    base.mkdir()


def test_a_node_that_cannot_start_shows_the_end_of_its_log(new_node: Callable[..., Resource]) -> None:
    """What the server says of the reason stands in the error."""
    node = new_node()
    node.up()
    kill(node)
    (Path(node.inputs["folder"]) / "data" / "PG_VERSION").write_text("9\n")
    node.refresh()
    with pytest.raises(HostError, match=r"worker_1: pg_ctl failed: .* it ends with: .*incompatible"):
        node.up()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a disk that is full")
def test_a_full_disk_is_said(new_node: Callable[..., Resource], base: Path) -> None:
    """The error says so, and nothing half-made stays."""
    disk = base / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], check=True)
    try:
        disk.chmod(0o755)
        with pytest.raises(HostError, match="No space left on device"):
            new_node(folder=str(disk / "test-local" / "worker_1")).up()
        assert list((disk / "test-local").iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


# --- before anything is touched --------------------------------------------------------------------------------------


def settings(base: Path, **changed: str) -> Settings:
    """Return the settings of a local stack."""
    port = free_port()
    values = {"runtime": "local", "dataDir": str(base), "password": PASSWORD, "standIn": "true", "port": str(port)}
    values |= {"workers": "1", "workerPorts": f"{port + 1}-{port + 1}", **changed}
    return Settings.parse(values, stack="test-local")


def test_too_little_room_is_refused_before_anything_is_made(
    base: Path, wheel: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is needed and what is free, before a folder is half-filled."""
    usage = namedtuple("usage", "total used free")  # noqa: PYI024 - as shutil's own
    monkeypatch.setattr("shutil.disk_usage", lambda _path: usage(0, 0, 50 * 2**20))
    with pytest.raises(HostError, match="200 MB are needed for the nodes' data, 50 MB are free: make room"):
        LocalHost(STACK, base).check(settings(base, postgresBin=str(wheel.bindir)))


def test_data_of_another_major_version_is_refused(
    new_node: Callable[..., Resource], base: Path, wheel: Installation
) -> None:
    """The version that made the data is named."""
    new_node("citus_coordinator").up()
    old = wheel.bindir.parents[1] / "pginstall" / "bin"
    with pytest.raises(HostError, match="made by PostgreSQL 18, and this host has only PostgreSQL 16"):
        LocalHost(STACK, base).check(settings(base, postgresBin=str(old)))


def test_a_locale_that_this_host_lacks_is_refused(base: Path, wheel: Installation) -> None:
    """The setting, and the locales that there are; the one that data has stays, though another is set."""
    host = LocalHost(STACK, base)
    here = {"postgresBin": str(wheel.bindir)}
    obstacles = host.look(settings(base, locale="xx_XX.UTF-8", **here)).obstacles
    assert "citus:locale = 'xx_XX.UTF-8': this host does not have it; it has " in obstacles[0]


def test_another_locale_than_the_datas_is_refused(
    new_node: Callable[..., Resource], base: Path, wheel: Installation
) -> None:
    """Nodes that are made later get the locale of those that there are."""
    new_node("citus_coordinator", locale="C").up()
    host = LocalHost(STACK, base)
    given = settings(base, postgresBin=str(wheel.bindir))
    assert host.locale(given) == ("C", "")
    assert host.look(given).obstacles == ()
    (obstacle,) = host.look(settings(base, postgresBin=str(wheel.bindir), locale="C.UTF-8")).obstacles
    assert "citus:locale = 'C.UTF-8': this stack's data was made with 'C'" in obstacle


@pytest.mark.needs("citus")
def test_a_postgresql_with_citus_is_taken_before_one_without(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all that this host has; the stand-in is for where there is none."""
    monkeypatch.delenv("CITUS_PULUMI_PG_BIN", raising=False)  # which is for tests alone
    found = find_installation(citus=True)
    assert LocalHost(STACK, base).installation(settings(base)) == found


def test_the_stand_in_is_loudly_announced(base: Path, wheel: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run says that no rows are moved."""
    said: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", said.append)
    LocalHost(STACK, base).check(settings(base, postgresBin=str(wheel.bindir)))
    assert "STAND-IN" in said[0]
    assert "moves no rows" in said[0]
