"""Hosts in the settings: who is where, how nodes are reached, and what is refused before any engine is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.access import Server
from components.errors import SettingsError
from components.nodes.docker.endpoint import Endpoint, Located, endpoint_of
from components.nodes.docker.engine import Engine
from components.nodes.docker.host_engine import HostEngineInputs, HostEngineProvider
from components.nodes.docker.image import Verdict
from components.settings import HostSettings, Settings

NORTH = {"engine": "ssh://deploy@10.0.0.2", "address": "10.0.0.2"}
SOUTH = {"engine": "tcp://10.0.0.3:2376", "address": "10.0.0.3", "certificates": "/etc/docker/south"}
EAST = {"engine": "to-east", "address": "east.example.com"}
THREE = {"north": NORTH, "south": SOUTH, "east": EAST}
SPREAD = {"hosts": THREE, "hostOf": {"coordinator": "north"}}


def parse(**values: Any) -> Settings:
    """Return settings as Pulumi would hand them over."""
    given = {name: json.dumps(it) if isinstance(it, dict) else str(it) for name, it in values.items()}
    return Settings.parse({"password": "x", **given}, stack="test")


def test_without_hosts_all_is_as_before() -> None:
    """Nodes are reached by the names of their containers, on one network, and only the coordinator is published."""
    settings = parse(workers=2)
    engine = Engine("organization/citus/test", settings)
    assert settings.deal_out({}) == {}
    assert [settings.spans, settings.verifies, settings.is_open] == [False] * 3
    assert engine.reached("citus_worker_1") == ("citus_worker_1", 5432)
    assert engine.published("citus_coordinator") == [("127.0.0.1", 5437)]
    assert engine.published("citus_worker_1") == []
    assert str(engine.log_of("citus_worker_1")) == "docker:citus_worker_1"
    assert settings.address == "127.0.0.1"


def test_one_host_is_one_network() -> None:
    """Its coordinator is reached from elsewhere, its workers are not; and so nodes and clients verify each other."""
    settings = parse(hosts={"north": NORTH}, workers=1)
    engine = Engine("organization/citus/test", settings)
    assert settings.verifies
    assert engine.reached("citus_worker_1") == ("citus_worker_1", 5432)
    assert engine.published("citus_coordinator") == [("10.0.0.2", 5437)]
    assert engine.published("citus_worker_1") == []
    assert settings.peers == ("samenet",)


def test_nodes_of_several_hosts_are_reached_by_address_and_port() -> None:
    """Those of one host by their neighbours, too: Citus knows one address of a node."""
    settings = parse(hosts=THREE, hostOf={"coordinator": "south", "worker_2": "east"}, workers=2)
    engine = Engine("organization/citus/test", settings)
    assert engine.reached("citus_coordinator") == ("10.0.0.3", 5437)
    assert engine.reached("citus_worker_2") == ("east.example.com", 5506)
    assert engine.published("citus_worker_2") == [("0.0.0.0", 5506)]
    assert engine.host_of("citus_worker_2_pooler").name == "east"
    assert settings.address == "10.0.0.3"


@pytest.mark.parametrize(
    ("host_of", "found", "workers", "dealt"),
    [
        ({}, {}, 4, "n e s e n"),  # a mapping comes in the order of its names
        ({"worker_1": "north"}, {}, 3, "n n e s"),
        ({}, {"worker_1": "south", "worker_2": "south"}, 3, "n s s e"),
        ({"worker_1": "east"}, {"worker_1": "south"}, 2, "n e s"),
        ({}, {"worker_1": "gone"}, 1, "n e"),
    ],
    ids=["in turn", "declared", "stays", "moves", "its host left"],
)
def test_nodes_are_dealt_out_evenly_and_stay(
    host_of: dict[str, str], found: dict[str, str], workers: int, dealt: str
) -> None:
    """What the settings say comes first, then where a node is, then the host with the fewest."""
    hosts = {name: THREE[name] for name in sorted(THREE)}
    settings = parse(hosts=hosts, hostOf={"coordinator": "north", **host_of}, workers=workers)
    assert " ".join(host[0] for host in settings.deal_out(found).values()) == dealt


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"hosts": {"a": {"address": "10.0.0.1"}}}, "citus:hosts.a.engine"),
        ({"hosts": {"a": {**NORTH, "port": 1}}}, "citus:hosts.a.port is unknown: a host takes engine, address"),
        ({"hosts": {"a b": NORTH}}, "citus:hosts.a b"),
        ({"hosts": {"a": {**NORTH, "engine": "http://x"}}}, "engine = 'http://x': expected ssh://"),
        ({"hosts": {"a": {**NORTH, "engine": "tcp://10.0.0.1:2375"}}}, "whoever reaches an engine without TLS is root"),
        ({"hosts": {"a": {**NORTH, "certificates": "/c"}}}, "certificates = '/c': they are for an engine at tcp://"),
        ({"hosts": {"a": {**SOUTH, "sshOptions": ["A=b"]}}}, "sshOptions are for an engine at ssh://"),
        ({"hostOf": {"coordinator": "a"}}, "hostOf names hosts of nodes, and citus:hosts has none"),
        ({"hosts": THREE}, "hostOf.coordinator: say which host has the coordinator: north, south, east"),
        ({"hosts": {"a": NORTH}, "hostOf": {"worker_5": "a"}}, "hostOf.worker_5: there is no such node"),
        (
            {"hosts": {"a": NORTH}, "hostOf": {"worker_1": "b"}},
            "hostOf.worker_1 = 'b': there is no such host: name one of a",
        ),
        ({"hosts": {"a": NORTH}, "bindAddress": "0.0.0.0"}, "each host publishes on its own address"),
        ({"hosts": {"a": NORTH}, "runtime": "local"}, "hosts: they are for nodes in containers"),
        (
            {"hosts": {"a": NORTH, "b": {**EAST, "address": "localhost"}}, "hostOf": {"coordinator": "a"}},
            "hosts.b.address = 'localhost': other hosts would find themselves there",
        ),
        (
            {**SPREAD, "nodePorts": "5505-5506"},
            "nodePorts = '5505-5506': 2 ports are too few for 4 workers",
        ),
        (
            {**SPREAD, "port": 5506},
            "port = 5506: nodePorts gives this port",
        ),
        (
            {
                "hosts": THREE,
                "hostOf": {"coordinator": "north"},
                "pooler": "true",
                "entry": "anyNode",
                "workerPorts": "5507-5600",
            },
            "workerPorts gives this port to a worker",
        ),
        (
            {"tenants": {"venta": {"pin": {"1": "south"}}}},
            "tenants.venta.pin.1 = 'south': expected the number of a worker",
        ),
        (
            {"hosts": {"a": NORTH}, "tenants": {"venta": {"pin": {"1": "b"}}}},
            "tenants.venta.pin.1 = 'b': expected the number of a worker, or one of the hosts a",
        ),
        ({"tls": "off"}, "citus:tls = 'off'"),
        ({"tls": "require", "bindAddress": "0.0.0.0"}, "tls = 'require': other machines reach the nodes"),
        ({"tls": "require", "hosts": {"a": NORTH}}, "tls = 'require': other machines reach the nodes"),
        ({"tls": "verify-full", "runtime": "local"}, "tls = 'verify-full': local nodes are reached on 127.0.0.1 only"),
        ({"tls": "verify-full", "parameters": {"ssl": "off"}}, "parameters.ssl: the stack's certificates decide that"),
        ({"certificateDays": "0"}, "citus:certificateDays = '0'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(values: dict[str, Any], reason: str) -> None:
    """With the setting, its value, and what to do."""
    with pytest.raises(SettingsError) as error:
        parse(**values)
    assert reason in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    "endpoint",
    [
        Endpoint("ssh://me@10.0.0.2:2222", "citus:hosts.a", "", ("IdentityFile=/k y/z", "A=b&c#d")),
        Endpoint("tcp://10.0.0.3:2376", "citus:hosts.b", "/etc/docker/b?c"),
        Endpoint("unix:///run/x.sock", "citus:hosts.c"),
        None,
    ],
)
def test_where_a_container_is_comes_back_as_it_was(endpoint: Endpoint | None) -> None:
    """As a property of a resource; without hosts it is the name alone, as in states of before."""
    located = Located("citus_worker_1", endpoint)
    assert Located.parse(str(located)) == located
    assert endpoint or str(located) == "citus_worker_1"


def test_ssh_takes_a_persons_options_before_our_own() -> None:
    """Of two, ssh takes the first; nobody is asked anything, and a machine that is cut off is not waited for."""
    endpoint = endpoint_of("a", HostSettings.model_validate({**NORTH, "sshOptions": ["ConnectTimeout=60"]}))
    options = endpoint.options
    assert options.index("ConnectTimeout=60") < options.index("ConnectTimeout=10")
    assert "BatchMode=yes" in options


@pytest.mark.parametrize(
    ("endpoint", "command"),
    [
        (None, "docker"),
        (Endpoint("ssh://me@10.0.0.2", "citus:hosts.a"), "docker -H ssh://me@10.0.0.2"),
        (
            Endpoint("tcp://10.0.0.3:2376", "citus:hosts.b", "/c"),
            "docker -H tcp://10.0.0.3:2376 --tlsverify --tlscacert /c/ca.pem --tlscert /c/cert.pem --tlskey /c/key.pem",
        ),
    ],
)
def test_a_person_is_told_the_command_of_that_engine(endpoint: Endpoint | None, command: str) -> None:
    """It can be pasted."""
    assert Located("n", endpoint).command == command


def test_a_server_shows_no_certificate_in_its_name() -> None:
    """What a person reads is short."""
    assert str(Server("c", "10.0.0.2", 5437, "d", "u", authority="-----BEGIN")) == "c (10.0.0.2:5437)"


@pytest.mark.parametrize(
    ("engine", "found", "nodes", "refused"),
    [
        ("ONE", False, ("w1",), False),
        ("TWO", False, ("w1",), True),
        ("TWO", True, ("w1",), False),
        ("TWO", False, ("w2",), False),
    ],
    ids=["the same", "another, empty", "another id, its nodes are there", "its nodes left"],
)
def test_an_engine_in_the_place_of_another_is_refused_where_it_has_none_of_the_nodes(
    engine: str, nodes: tuple[str, ...], *, found: bool, refused: bool
) -> None:
    """They would be made again, empty."""
    before = {"host": "south", "engine": "ONE", "nodes": ["w1"]}
    inputs = HostEngineInputs(host="south", engine=engine, nodes=nodes, found=found)
    lines = list(HostEngineProvider().refuse(before, inputs))
    assert bool(lines) is refused
    assert not refused or lines[0].startswith("citus:hosts.south: this is another engine than the one that has w1")


def test_a_clock_that_is_wrong_is_named() -> None:
    """Against the coordinator's host, by seconds and direction."""
    engine = Engine("organization/citus/test", parse(**SPREAD))
    for host, behind in zip(engine.hosts.values(), (0.0, 95.0, -0.4), strict=True):
        vars(host)["behind"] = behind
    assert list(engine._refuse_clocks()) == [
        "citus:hosts.south: its clock is 95 s behind that of north: let both keep the time (NTP)"
    ]


def test_a_disk_without_room_for_new_nodes_is_named() -> None:
    """By host, with the nodes that are to be made there; one that has its volume already needs none."""
    settings = parse(**SPREAD)
    engine = Engine("organization/citus/test", settings)
    there: dict[str, Any] = {"citus_worker_1_data": {}}
    for host in engine.hosts.values():
        vars(host)["volumes"] = there if host.name == "south" else {}
    assert settings.deal_out({})["worker_1"] == "south"
    for free_mb, count in ((500, 0), (150, 3), (None, 0)):
        engine._verdicts = {name: Verdict("C", free_mb=free_mb) for name in engine.hosts}
        assert len(list(engine._refuse_full_disks())) == count
    engine._verdicts = {"south": Verdict("C", free_mb=150)}
    (line,) = engine._refuse_full_disks()
    assert line.startswith("host south: 150 MB are free, and new nodes (citus_worker_4) need 200 MB each to begin with")
