"""Which Docker Engine a stack lives on: the one of the command `docker`. No engine is asked."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from components.environment import spare_loopback
from components.errors import DockerError
from components.nodes.docker.endpoint import Endpoint, connect, get_endpoint
from components.nodes.docker.engine import Engine
from components.resources.identity import ClusterIdentityProvider
from components.resources.remains import Remnant
from components.resources.wire import write
from components.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

SOCKET = "unix:///var/run/docker.sock"


@pytest.fixture
def docker_config(tmp_path: Path) -> Path:
    """A folder of Docker's settings with the context `far`, which has certificates, and `near`, which is active."""
    for name, host in (("far", "tcp://192.0.2.7:2376"), ("near", "unix:///run/near.sock")):
        meta = tmp_path / "contexts" / "meta" / key(name)
        meta.mkdir(parents=True)
        described = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}}
        (meta / "meta.json").write_text(json.dumps(described))
    (tmp_path / "contexts" / "tls" / key("far") / "docker").mkdir(parents=True)
    (tmp_path / "config.json").write_text('{"currentContext": "near"}')
    return tmp_path


def key(name: str) -> str:
    """Return the folder's name of a context."""
    return hashlib.sha256(name.encode()).hexdigest()


@pytest.mark.parametrize(
    ("environment", "host", "source"),
    [
        ({"DOCKER_HOST": "tcp://a:1", "DOCKER_CONTEXT": "far"}, "tcp://a:1", "DOCKER_HOST"),
        ({"DOCKER_HOST": "", "DOCKER_CONTEXT": "far"}, "tcp://192.0.2.7:2376", "the Docker context 'far'"),
        ({"DOCKER_CONTEXT": "default"}, SOCKET, "its usual address"),
        ({}, "unix:///run/near.sock", "the Docker context 'near'"),
    ],
)
def test_the_engine_is_the_one_that_docker_would_use(
    docker_config: Path, environment: dict[str, str], host: str, source: str
) -> None:
    """DOCKER_HOST comes before DOCKER_CONTEXT, that before the active context, and that before the usual socket."""
    found = get_endpoint({"DOCKER_CONFIG": str(docker_config), **environment})
    assert (found.host, found.source) == (host, source)


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"currentContext": ""}'])
def test_without_a_context_it_is_the_usual_socket(tmp_path: Path, text: str | None) -> None:
    """Settings that are not there, or that `docker` could not read either, choose nothing."""
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    assert get_endpoint({"DOCKER_CONFIG": str(tmp_path)}).host == SOCKET


def test_certificates_come_from_where_the_engine_does(docker_config: Path) -> None:
    """A context has its own; beside DOCKER_HOST they are those that the environment names."""
    config = {"DOCKER_CONFIG": str(docker_config), "DOCKER_CERT_PATH": "/certificates"}
    assert get_endpoint({**config, "DOCKER_CONTEXT": "far"}).certificates.endswith(f"{key('far')}/docker")
    assert get_endpoint(config).certificates == ""
    assert get_endpoint({**config, "DOCKER_HOST": "tcp://a:1"}).certificates == "/certificates"


@pytest.mark.parametrize("broken", [None, "{", "{}", '{"Endpoints": {}}'])
def test_a_context_that_does_not_exist_is_refused(docker_config: Path, broken: str | None) -> None:
    """What chose it is named, and so is the way to one that there is."""
    if broken is not None:
        (docker_config / "contexts" / "meta" / key("near") / "meta.json").write_text(broken)
    chosen = {} if broken is not None else {"DOCKER_CONTEXT": "gone"}
    with pytest.raises(
        DockerError, match=r"the Docker context '.*', chosen by .*, does not exist .* `docker context ls`"
    ):
        get_endpoint({"DOCKER_CONFIG": str(docker_config), **chosen})


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        (SOCKET, None),
        ("tcp://127.0.0.1:2375", None),
        ("tcp://localhost:2375", None),
        ("tcp://[::1]:2375", None),
        ("tcp://192.0.2.7:2375", ["192.0.2.7"]),
        ("192.0.2.7:2375", ["192.0.2.7"]),
        ("ssh://me@192.0.2.7:22", ["192.0.2.7"]),
        ("ssh://an-alias.invalid", []),
    ],
)
def test_an_engine_on_another_machine_is_told_from_one_here(host: str, addresses: list[str] | None) -> None:
    """Whatever address of this machine it is reached by, it is here; a name without an address is elsewhere."""
    assert Endpoint(host, "a test").get_remote_addresses() == addresses


@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0", "::1", "::"])
@pytest.mark.parametrize(
    ("host", "remedy"),
    [
        ("ssh://me@192.0.2.7", "192.0.2.7, by `pulumi config set bindAddress 192.0.2.7`"),
        ("ssh://an-alias.invalid", "its IP address"),
    ],
)
def test_the_loopback_of_another_machine_is_refused(
    monkeypatch: pytest.MonkeyPatch, bound: str, host: str, remedy: str
) -> None:
    """The coordinator would not be reached there: the setting is named, and the address to set."""
    monkeypatch.setenv("DOCKER_HOST", host)
    settings = Settings.parse({"password": "x", "bindAddress": bound}, stack="test")
    (problem,) = Engine("organization/citus/test", settings)._refuse_remote_loopback(settings)
    assert problem.startswith(f"citus:bindAddress = {bound!r}: the Docker Engine ({host}) is on another machine")
    assert problem.endswith(remedy)


def test_an_address_of_another_machine_is_not_tried_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ports are not this machine's to look at."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.7:2375")
    settings = Settings.parse({"password": "x", "bindAddress": "192.0.2.7"}, stack="test")
    engine = Engine("organization/citus/test", settings)
    assert engine._refuse_remote_loopback(settings) == []
    assert engine.coordinator._refusal_to_bind(settings.port) == ""


@pytest.mark.parametrize(
    ("before", "there", "refused"),
    [
        ({"engine": "A"}, [], False),
        ({}, [], False),
        ({"engine": "B"}, [], True),
        ({"engine": "B"}, [Remnant("volume x_data", None, declared=True)], True),
        ({"engine": "B"}, [Remnant("volume x_data", "an-id", declared=True)], False),
    ],
)
def test_a_stack_stays_with_its_engine(before: dict[str, str], there: list[Remnant], *, refused: bool) -> None:
    """Another engine is refused before anything is touched, unless it has the nodes: then it is the same with a new id."""
    fixed = {"runtime": "docker", "name_prefix": "x", "user": "u", "database": "d", "adopt": ""}
    news = {**fixed, "engine": "A", "found": write(tuple(there)), "obstacles": []}
    failures = ClusterIdentityProvider().check({**fixed, **before}, news).failures or []
    assert [failure.reason.partition(":")[0] for failure in failures] == (
        ["`docker` talks to another engine than the one that this cluster's nodes are on"] if refused else []
    )


def test_an_engine_that_does_not_answer_is_named_with_what_chose_it() -> None:
    """The address, the context and the system's own reason, in one line."""
    with pytest.raises(DockerError) as caught:
        connect(Endpoint("unix:///no/such.sock", "the Docker context 'near'"))
    assert str(caught.value) == (
        "no Docker Engine answers at unix:///no/such.sock (the Docker context 'near') (No such file or directory)"
    )


@pytest.mark.parametrize(
    ("given", "spared"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "127.0.0.1,localhost,::1"),
        (
            {"http_proxy": "http://proxy:3128", "NO_PROXY": "example.org, 127.0.0.1"},
            "example.org,127.0.0.1,localhost,::1",
        ),
        ({"ALL_PROXY": "socks5://proxy", "no_proxy": "*"}, "*"),
    ],
)
def test_no_proxy_stands_between_parts_of_this_machine(given: dict[str, str], spared: str | None) -> None:
    """What is spared already stays so; without a proxy nothing is set."""
    environment = dict(given)
    spare_loopback(environment)
    assert environment.get("no_proxy") == environment.get("NO_PROXY") == spared
