"""Nodes on three machines: who is let in, what is on the wire, a worker that moves, and machines that come and go.

And the ways to a host's engine: ssh with options, TLS with certificates, a context; what is said where one leads nowhere.
"""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import subprocess
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from pulumi.dynamic import Config, ConfigureRequest

from components.certificates import issue, make_authority
from components.errors import IdentityError
from components.nodes.data import NodeDataProvider
from tests.e2e.nodes import HOSTS, HostsNodes
from tests.genuine import IMAGE, ON_HOSTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.stack import Stack
    from tests.hosts import Host, Hosts

RUNTIMES = [HOSTS]
SALE = """
create table sale (country int not null, id bigint not null, note text, primary key (country, id));
create table line (country int not null, id bigint not null, sale bigint, note text, primary key (country, id));
"""
COUNTRIES = 8
ROWS = 400
MARKER = "m4rked-p4ssw0rd"
WRITTEN = "a-note-that-nobody-may-read"


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack], tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """Four workers on two of three hosts, with rows of eight countries; three countries are at home on a host."""
    folder = tmp_path_factory.mktemp("schema")
    (folder / "010.sql").write_text(SALE)
    stack = new_stack(
        "hosts",
        tables={"sale": {"distributeBy": "country"}, "line": {"distributeBy": "country", "colocateWith": "sale"}},
        tenants={"sale": {"pin": {"1": "north", "2": "south"}}},
        schemaDir=str(folder),
        workers=4,
        readyTimeout=120,
    )
    hosts = nodes(stack).settings["hosts"]
    stack.set(hosts={name: hosts[name] for name in ("north", "south")})
    up = stack.up()
    assert up.code == 0, up.output
    stack.query(f"insert into sale select c, i, '{WRITTEN}' from generate_series(1, 8) c, generate_series(1, 50) i")
    return stack


def nodes(stack: Stack) -> HostsNodes:
    """Return the stack's nodes."""
    assert isinstance(stack.nodes, HostsNodes)
    return stack.nodes


def rows(stack: Stack) -> list[Any]:
    """Return what is in the table, for a comparison."""
    return stack.query("select count(*) || ' ' || sum(country * 1000 + id) from sale")


def places(stack: Stack) -> dict[str, set[str]]:
    """Return the hosts on which each node has a volume."""
    found: dict[str, set[str]] = {}
    for host, engine in nodes(stack).engines.items():
        for volume in engine.volumes.list():
            if volume.name.startswith(f"{stack.name}_"):
                found.setdefault(volume.name.removeprefix(f"{stack.name}_").removesuffix("_data"), set()).add(host)
    return found


def connect(stack: Stack, node: str, **more: Any) -> None:
    """Log in to a node from this machine, which is none of the hosts."""
    host, _, port = nodes(stack).address(node).partition(":")
    where = {"host": host, "port": int(port), "user": "postgres", "dbname": "coorddb", "password": stack.password}
    psycopg.connect(**{**where, **more}).close()


def test_nodes_are_dealt_out_evenly_and_stay(stack: Stack) -> None:
    """Nothing changes by itself, and the outputs tell where each node is."""
    assert places(stack) == {
        "coordinator": {"north"},
        "worker_1": {"south"},
        "worker_2": {"north"},
        "worker_3": {"south"},
        "worker_4": {"north"},
    }
    assert stack.preview("--expect-no-changes").code == 0
    assert "unchanged" in stack.refresh().output
    assert stack.preview("--expect-no-changes").code == 0
    outputs = stack.outputs()
    assert sorted(outputs["hosts"].values()) == ["north", "north", "north", "south", "south"]
    placed = outputs["residency"]["sale"]
    assert {value: outputs["hosts"][node] for value, node in placed.items()} == {"1": "north", "2": "south"}


def test_residency_is_proved_by_host(stack: Stack) -> None:
    """`make residency` counts rows, and names the host of each."""
    shown = stack.run_cli("residency")
    assert shown.code == 0, shown.output
    told = [line.split() for line in shown.output.splitlines()]
    assert [line[-1] for line in told if line[:2] == ["1", "sale"]] == ["north"], shown.output
    assert [line[-1] for line in told if line[:2] == ["2", "sale"]] == ["south"], shown.output


def test_workers_let_in_the_hosts_of_the_cluster_alone(stack: Stack, tmp_path: Path) -> None:
    """Neither the right password nor a certificate of the authority is enough from elsewhere; without TLS, nobody is let in."""
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry .* no encryption"):
        connect(stack, "worker_1", sslmode="disable")
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry .* SSL encryption"):
        connect(stack, "worker_1", sslmode="require")
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry .* no encryption"):
        connect(stack, "coordinator", sslmode="disable")
    south = nodes(stack).hosts["south"]
    _, _, port = nodes(stack).address("worker_2").partition(":")
    target = f"host={nodes(stack).hosts['north'].address} port={port} user=postgres dbname=coorddb sslmode=require"
    stranger = [*f"docker -H {south.url} run --rm --network bridge --entrypoint psql".split()]
    said = subprocess.run(
        [*stranger, "-e", f"PGPASSWORD={stack.password}", IMAGE, target, "-c", "select 1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "connection requires a valid client certificate" in said.stderr, said.stderr


def test_clients_and_nodes_verify_the_coordinator(stack: Stack, tmp_path: Path) -> None:
    """By the stack's authority, and by the name: another authority, or another name, is no proof."""
    authority = tmp_path / "ca.crt"
    authority.write_text(stack.outputs()["caCertificate"])
    connect(stack, "coordinator", sslmode="verify-full", sslrootcert=str(authority))
    other = tmp_path / "other.crt"
    other.write_text(make_authority("somebody")[0])
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        connect(stack, "coordinator", sslmode="verify-full", sslrootcert=str(other))
    address = nodes(stack).hosts["north"].address
    with pytest.raises(psycopg.OperationalError, match="does not match"):
        connect(
            stack, "coordinator", sslmode="verify-full", sslrootcert=str(authority), host="stranger", hostaddr=address
        )
    assert stack.query("select bool_and(result) from citus_check_cluster_node_health()") == [True]
    told = stack.query("select result from run_command_on_workers('show citus.node_conninfo')")
    assert len(set(told)) == 1
    assert told[0].startswith("sslmode=verify-full sslrootcert=/run/citus-pulumi/ca.crt ")


@contextmanager
def in_the_place_of(stack: Stack, node: str) -> Iterator[None]:
    """Let a stranger answer at a node's address, with a certificate for it of an authority of its own."""
    container = nodes(stack).container(node)
    engine = container.client
    bound = container.attrs["HostConfig"]["PortBindings"]["5432/tcp"][0]
    keypair = "".join(issue(*make_authority("stranger"), node, [bound["HostIp"]], 2))
    script = f"""install -m 600 -o postgres /dev/stdin /tmp/s.pem <<'PEM'
{keypair}PEM
export POSTGRES_HOST_AUTH_METHOD=trust POSTGRES_DB=coorddb
exec docker-entrypoint.sh postgres -c ssl=on -c ssl_cert_file=/tmp/s.pem -c ssl_key_file=/tmp/s.pem
"""
    container.stop()
    stranger = engine.containers.run(
        IMAGE,
        ["-c", script],
        entrypoint="bash",
        ports={"5432/tcp": (bound["HostIp"], int(bound["HostPort"]))},
        detach=True,
        tmpfs={"/var/lib/postgresql/data": ""},
    )
    try:
        stack.wait_until(
            lambda: b"ready to accept" in stranger.logs().partition(b"init process complete")[2], "it answers"
        )
        yield
    finally:
        stranger.remove(force=True, v=True)
        container.start()
        stack.wait_until(
            lambda: stack.query("select bool_and(result) from citus_check_cluster_node_health()") == [True],
            "it is back",
        )


def test_a_stranger_at_the_address_of_a_worker_is_refused(stack: Stack) -> None:
    """It trusts everybody and speaks TLS, and gets no query: its certificate is not of the stack's authority."""
    before = rows(stack)
    with in_the_place_of(stack, "worker_1"), pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        rows(stack)
    assert rows(stack) == before


@contextmanager
def recorded(host: Host) -> Iterator[list[bytes]]:
    """Record every packet of a host's cable."""
    packets: list[bytes] = []
    with closing(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))) as wire:
        wire.bind((host.link, 0))
        wire.settimeout(0.2)
        ended = threading.Event()

        def record() -> None:
            while not ended.is_set():
                try:
                    packets.append(wire.recv(1 << 17))
                except TimeoutError:
                    continue

        thread = threading.Thread(target=record)
        thread.start()
        try:
            yield packets
        finally:
            ended.set()
            thread.join()


def test_nothing_secret_is_on_the_wire_or_to_be_seen(stack: Stack) -> None:
    """Another password is set, rows are written and read, and a query moves rows between the hosts: nobody can read along."""
    before = rows(stack)
    stack.check("config", "set", "--secret", "password", "--stack", stack.name, "--", MARKER)
    with recorded(nodes(stack).hosts["south"]) as packets:
        up = stack.up()
        assert up.code == 0, up.output
        stack.password = MARKER
        stack.query(f"insert into line select country, id, id, '{WRITTEN}' from sale")
        moved = "select count(*) from sale join line on sale.id = line.sale where line.note like '%nobody%'"
        stack.query(f"set citus.enable_repartition_joins = on; {moved}")
    wire = b"".join(packets)
    assert len(wire) > 100_000
    for secret in (MARKER, WRITTEN):
        assert secret.encode() not in wire
    assert MARKER not in up.output + stack.state()
    assert "BEGIN PRIVATE KEY" not in stack.state()
    for node in ("coordinator", "worker_1", "worker_2", "worker_3"):
        shown = stack.nodes.description(node) + nodes(stack).container(node).logs().decode(errors="replace")
        shown += str(nodes(stack).container(node).top(ps_args="auxe"))
        assert MARKER not in shown
        assert "BEGIN PRIVATE KEY" not in shown
    assert rows(stack) == before


def test_certificates_are_renewed_without_a_restart(stack: Stack, tmp_path: Path) -> None:
    """Each node shows another one at its next connection; sessions that are open go on."""
    authority = tmp_path / "ca.crt"
    authority.write_text(stack.outputs()["caCertificate"])
    started = stack.query("select result from run_command_on_all_nodes('select pg_postmaster_start_time()')")
    ends = shown_end(stack)
    stack.set(certificateDays=90)
    up = stack.up()
    assert up.code == 0, up.output
    assert "worker_1 has another certificate: it is read again, nothing is restarted" in up.output
    stack.wait_until(lambda: shown_end(stack) != ends, "the coordinator shows it")
    connect(stack, "coordinator", sslmode="verify-full", sslrootcert=str(authority))
    assert stack.query("select result from run_command_on_all_nodes('select pg_postmaster_start_time()')") == started
    assert stack.query("select bool_and(result) from citus_check_cluster_node_health()") == [True]
    assert stack.preview("--expect-no-changes").code == 0


def shown_end(stack: Stack) -> str:
    """Return until when the certificate is valid that the coordinator shows now."""
    address = nodes(stack).address("coordinator")
    shown = subprocess.run(
        ["openssl", "s_client", "-starttls", "postgres", "-connect", address],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    command = ["openssl", "x509", "-noout", "-enddate"]
    return subprocess.run(command, input=shown.stdout, capture_output=True, text=True, check=True).stdout


MOVES = {
    "container": "Container {new} creating",
    "shards": "ShardPlacement test-hosts-placement updating",
    "joining": "WorkerNode {new} creating",
    "joined": "WorkerNode {new} created",
    "leaving": "WorkerNode {old} deleting",
    "removing": "Container {old} deleting",
    "data": "NodeData {old}-keeper deleting",
    "all": "NodeData {old}-keeper deleted",
}
"""Where a move is killed; `make hosts` tries all, back and forth."""


@pytest.mark.parametrize("where", MOVES if ON_HOSTS else ["shards"])
def test_a_worker_moves_to_another_host_and_loses_nothing(stack: Stack, where: str) -> None:
    """Killed on the way, it is where it was or on both hosts; the next update ends it, and the old volume goes."""
    before = rows(stack)
    (was,) = places(stack)["worker_2"]
    to = "south" if was == "north" else "north"
    keys = {"north": "test-hosts_worker_2", "south": "test-hosts_worker_2-south"}
    stack.set(hostOf={"coordinator": "north", "worker_2": to})
    sign = MOVES[where].format(old=keys[was], new=keys[to])
    assert sign in stack.kill_up_at(sign, signal.SIGKILL)
    assert rows(stack) == before
    stack.recover()
    up = stack.up()
    assert up.code == 0, up.output
    assert rows(stack) == before
    assert places(stack)["worker_2"] == {to}
    assert stack.preview("--expect-no-changes").code == 0
    stack.set(hostOf={"coordinator": "north"})
    assert stack.preview("--expect-no-changes").code == 0, "it stays where it is"


def test_the_coordinator_does_not_move(stack: Stack) -> None:
    """Its data is where it is: one error, before anything is touched."""
    stack.set(hostOf={"coordinator": "south"})
    preview = stack.preview()
    stack.set(hostOf={"coordinator": "north"})
    assert preview.code != 0
    assert "citus:hostOf.coordinator = 'south': its data is on north, and does not move" in preview.errors


def test_a_new_host_takes_new_workers(stack: Stack) -> None:
    """The others stay where they are, and no row is lost."""
    before = rows(stack)
    stack.set(hosts=nodes(stack).settings["hosts"], workers=5)
    up = stack.up()
    assert up.code == 0, up.output
    assert places(stack)["worker_5"] == {"east"}
    assert len(places(stack)) == 6
    assert rows(stack) == before
    assert stack.preview("--expect-no-changes").code == 0


def test_data_stays_while_any_host_has_a_container(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the data's own host and the coordinator's are away, and only another's shows that the cluster lives."""
    monkeypatch.setattr("components.nodes.docker.volumes.STOP_SECONDS", 1)
    before = rows(stack)
    resources = json.loads(stack.state())["checkpoint"]["latest"]["resources"]
    kept = {it["urn"].rpartition("::")[2]: it["outputs"] for it in resources if it["urn"].endswith("-keeper")}
    away = [node for node, on in places(stack).items() if on & {"north", "east"}]
    for node in away:
        nodes(stack).remove(node)
    provider = NodeDataProvider()
    provider.configure(ConfigureRequest(Config({"citus:password": stack.password}, "citus")))
    for name, outputs in kept.items():
        if any(name.startswith(f"{stack.name}_{node}") for node in away):
            with pytest.raises(IdentityError, match=r"_data is kept, with its data"):
                provider.delete("", outputs)
    refreshed = stack.refresh()
    assert refreshed.code == 0, refreshed.output
    up = stack.up()
    assert up.code == 0, up.output
    assert rows(stack) == before


def test_a_host_that_is_cut_off_is_named_before_anything_is_touched(stack: Stack) -> None:
    """And when it is back, all is as it was."""
    before, state = rows(stack), stack.state()
    east = nodes(stack).hosts["east"]
    east.cut_off()
    try:
        stack.set(workers=6)
        up = stack.up()
    finally:
        east.connect()
        stack.set(workers=5)
    assert up.code != 0
    assert f"no Docker Engine answers at {east.url} (citus:hosts.east)" in up.errors
    assert "Traceback" not in up.output
    assert "worker_6" not in state + stack.state()
    assert rows(stack) == before
    assert stack.preview("--expect-no-changes").code == 0


def test_a_host_that_is_cut_off_meanwhile_ends_the_update_and_the_next_goes_on(stack: Stack) -> None:
    """The update ends with an error in bounded time, whatever it waits for, and no row is lost."""
    before = rows(stack)
    east = nodes(stack).hosts["east"]
    stack.set(workers=6, readyTimeout=20, hostOf={"coordinator": "north", "worker_6": "east"})
    printed: list[str] = []
    with stack.start_up() as process:
        assert process.stdout
        for line in process.stdout:
            printed.append(line)
            if "WorkerNode test-hosts_worker_6-east creating" in line and not east.is_cut_off:
                east.cut_off()
    east.connect()
    assert process.returncode != 0, "".join(printed)
    stack.set(readyTimeout=120)
    up = stack.up()
    assert up.code == 0, up.output
    assert rows(stack) == before
    stack.set(workers=5, hostOf={"coordinator": "north"})
    up = stack.up()
    assert up.code == 0, up.output
    assert rows(stack) == before


def test_a_lost_state_adopts_the_nodes_of_every_host(stack: Stack) -> None:
    """On every engine the stack's own are found and kept with their data."""
    before = rows(stack)
    cluster = stack.outputs()["coordinator"]
    (identity,) = stack.urns("ClusterIdentity")
    stack.set_state_aside()
    preview = stack.preview()
    assert preview.code != 0
    told = preview.errors.partition("pulumi config set adopt ")[2].split()[0]
    stack.set(adopt=told)
    up = stack.up()
    assert up.code == 0, up.output
    assert identity
    assert stack.outputs()["coordinator"] == cluster
    assert rows(stack) == before
    stack.set(adopt=None)
    assert stack.preview("--expect-no-changes").code == 0


def test_a_destroy_ends_without_a_host_and_another_ends_it(stack: Stack) -> None:
    """What is on the host that does not answer is told and stays; all else goes, and the rest once it is back."""
    east = nodes(stack).hosts["east"]
    east.cut_off()
    try:
        gone = stack.run_cli("down")
    finally:
        east.connect()
    assert gone.code != 0
    assert f"host east: {stack.name}_worker_5" in gone.output, gone.output
    assert {place for found in places(stack).values() for place in found} == {"east"}
    gone = stack.run_cli("down")
    assert gone.code == 0, gone.output
    assert stack.leftovers() == []


def test_from_one_machine_to_three(new_stack: Callable[..., Stack], tmp_path: Path) -> None:
    """The nodes of one host come to have neighbours on others: no volume moves, and they are known by other addresses."""
    (tmp_path / "010.sql").write_text(SALE)
    stack = new_stack(
        "grow", tables={"sale": {"distributeBy": "country"}}, schemaDir=str(tmp_path), workers=2, readyTimeout=120
    )
    hosts = nodes(stack).settings["hosts"]
    stack.set(hosts={"north": hosts["north"]}, hostOf=None)
    up = stack.up()
    assert up.code == 0, up.output
    assert stack.query("select nodename from pg_dist_node where groupid = 1") == [f"{stack.name}_worker_1"]
    stack.query("insert into sale select c, i from generate_series(1, 8) c, generate_series(1, 50) i")
    before = rows(stack)
    stack.set(hosts=hosts, hostOf={"coordinator": "north"}, workers=4)
    up = stack.up()
    assert up.code == 0, up.output
    assert rows(stack) == before
    assert stack.query("select nodename from pg_dist_node where groupid = 1") == [nodes(stack).host]
    assert places(stack) == {
        "coordinator": {"north"},
        "worker_1": {"north"},
        "worker_2": {"north"},
        "worker_3": {"east"},
        "worker_4": {"south"},
    }
    assert stack.preview("--expect-no-changes").code == 0
    gone = stack.destroy()
    assert gone.code == 0, gone.output
    assert stack.leftovers() == []


# --- ways to the engines ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def by_ssh(hosts: Hosts) -> Iterator[dict[str, Any]]:
    """The host north, reached through a real server of ssh."""
    with hosts["north"].over_ssh() as setting:
        yield setting


@pytest.fixture(scope="module")
def ways(new_stack: Callable[..., Stack], tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A stack that is not up. Each test sets its hosts."""
    folder = tmp_path_factory.mktemp("schema")
    (folder / "010.sql").write_text("create table bird (id int primary key, name text);")
    return new_stack(
        "ways", workers=2, readyTimeout=120, schemaDir=str(folder), tables={"bird": {"distributeBy": "id"}}
    )


@pytest.mark.needs("sshd")
def test_ssh_tls_and_a_context_lead_to_the_engines(
    ways: Stack, by_ssh: dict[str, Any], hosts: Hosts, tmp_path: Path
) -> None:
    """From nothing to nothing, with logs of the nodes and the commands that show them on the way."""
    meta = tmp_path / "contexts" / "meta" / hashlib.sha256(b"to-east").hexdigest()
    meta.mkdir(parents=True)
    endpoint = {"Name": "to-east", "Metadata": {}, "Endpoints": {"docker": {"Host": hosts["east"].url}}}
    (meta / "meta.json").write_text(json.dumps(endpoint))
    of_context = {"engine": "to-east", "address": hosts["east"].address}
    ways.set(
        hostOf={"coordinator": "north"}, hosts={"north": by_ssh, "south": hosts["south"].over_tls, "east": of_context}
    )
    known = {"DOCKER_CONFIG": str(tmp_path)}
    up = ways.up(**known)
    assert up.code == 0, up.output
    assert [nodes(ways).host_of(node) for node in ("coordinator", "worker_1", "worker_2")] == ["north", "east", "south"]
    assert ways.preview("--expect-no-changes", **known).code == 0
    ways.nodes.kill("worker_2")
    refreshed = ways.run("refresh", **known)
    assert refreshed.code == 0, refreshed.output
    up = ways.up(**known)
    assert up.code == 0, up.output
    assert ways.query("select bool_and(result) from citus_check_cluster_node_health()") == [True]
    gone = ways.run("down", **known)
    assert gone.code == 0, gone.output
    assert ways.leftovers() == []


@pytest.mark.needs("sshd")
def test_a_key_that_is_not_known_is_said_as_ssh_says_it(ways: Stack, by_ssh: dict[str, Any]) -> None:
    """In one line that names the setting."""
    options = [option for option in by_ssh["sshOptions"] if "UserKnownHostsFile" not in option]
    ways.set(hosts={"north": {**by_ssh, "sshOptions": [*options, "UserKnownHostsFile=/dev/null"]}}, hostOf=None)
    error = ways.preview().errors
    assert f"no Docker Engine answers at {by_ssh['engine']} (citus:hosts.north)" in error
    assert "Host key verification failed" in error
    assert "Traceback" not in error


def test_an_engine_without_the_right_certificates_is_refused(ways: Stack, hosts: Hosts) -> None:
    """Those of another engine prove nothing to it."""
    south = hosts["south"].over_tls
    ways.set(hosts={"south": {**south, "certificates": hosts["east"].over_tls["certificates"]}}, hostOf=None)
    error = ways.preview().errors
    assert f"no Docker Engine answers at {south['engine']} (citus:hosts.south)" in error
    assert "certificate verify failed" in error
    ways.set(hosts={"south": {**south, "certificates": "/no/such"}})
    assert "/no/such" in ways.preview().errors


def test_nobody_at_the_address_of_an_engine_is_said_soon(ways: Stack, hosts: Hosts) -> None:
    """All that do not answer are named in one run."""
    north, south = hosts["north"], hosts["south"]
    north.cut_off()
    try:
        ways.set(
            hostOf={"coordinator": "north"},
            hosts={"north": north.over_tls, "south": {**south.setting, "engine": "unix:///no/such.sock"}},
        )
        error = ways.preview().errors
    finally:
        north.connect()
    assert "(citus:hosts.north)" in error
    assert "(citus:hosts.south)" in error


def test_two_names_of_one_engine_are_refused(ways: Stack, hosts: Hosts) -> None:
    """By whatever address it is reached."""
    north = hosts["north"]
    ways.set(hostOf={"coordinator": "north"}, hosts={"north": north.setting, "south": north.over_tls})
    assert "citus:hosts.north and citus:hosts.south are the same engine" in ways.preview().errors


def test_a_port_that_is_taken_on_a_host_is_named(ways: Stack, hosts: Hosts) -> None:
    """By the container that has it."""
    three = nodes(ways).settings["hosts"]
    ways.set(hostOf={"coordinator": "north"}, hosts=three)
    east = nodes(ways).engines["east"]
    port = ways.port + 1
    address = hosts["east"].address
    taker = east.containers.run(
        "citusdata/citus:12.1",
        ["60"],
        entrypoint="sleep",
        ports={"5432/tcp": (address, port)},
        detach=True,
        name="taker",
    )
    try:
        error = ways.preview().errors
    finally:
        taker.remove(force=True, v=True)
    assert f"citus:nodePorts = {port}: cannot be published on {address} on east (the container taker does)" in error
