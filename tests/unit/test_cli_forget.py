"""What `forget` takes out of a state: all that was on a host, and nothing else. Pure but for a state that is made up."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from pulumi.automation import ConfigValue, Deployment

from cli import forget
from components.errors import DockerError

if TYPE_CHECKING:
    from components.nodes.docker.endpoint import Endpoint

PREFIX = "urn:pulumi:dev::citus::"


def urn(kind: str, name: str) -> str:
    """Return a URN."""
    return f"{PREFIX}citus:docker:Nodes${kind}::{name}"


def resource(kind: str, name: str, engine: str = "", **more: Any) -> dict[str, Any]:
    """Return a resource of the state; one that an engine has names its provider."""
    provider = {"provider": f"{urn('pulumi:providers:docker', engine)}::id"} if engine else {}
    return {"urn": urn(kind, name), "type": kind, **provider, **more}


CONTAINER, DYNAMIC = "docker:index/container:Container", "pulumi-python:dynamic/citus:NodeData"
GONE = [
    resource("pulumi:providers:docker", "citus-engine-south", inputs={"host": "unix:///gone.sock"}),
    resource(DYNAMIC, "citus-host-south"),
    resource(CONTAINER, "citus_worker_1-south", "citus-engine-south"),
    resource("docker:index/volume:Volume", "citus_worker_1-south-data", "citus-engine-south"),
    resource(DYNAMIC, "citus_worker_1-south-keeper"),
    resource("pulumi-python:dynamic/citus:WorkerNode", "citus_worker_1-south"),
]
KEPT = [
    resource("pulumi:providers:docker", "citus-engine", inputs={"host": "unix:///here.sock"}),
    resource(CONTAINER, "citus_coordinator", "citus-engine"),
    resource(CONTAINER, "citus_worker_10-southwest", "citus-engine-southwest"),
    resource(
        DYNAMIC,
        "citus-health",
        dependencies=[GONE[5]["urn"], urn(CONTAINER, "citus_coordinator")],
        propertyDependencies={"generations": [GONE[2]["urn"], urn(CONTAINER, "citus_coordinator")], "host": None},
        deletedWith=GONE[2]["urn"],
    ),
]


class State(SimpleNamespace):
    """A stack with a state."""

    imported: Deployment | None = None

    def get_all_config(self) -> dict[str, ConfigValue]:
        """Return the settings."""
        return {"citus:hosts": ConfigValue(json.dumps({"north": {}}))}

    def export_stack(self) -> Deployment:
        """Return the state."""
        pending = [{"type": "creating", "resource": GONE[2]}]
        return Deployment(3, {"resources": [*KEPT[:1], *GONE, *KEPT[1:]], "pending_operations": pending})

    def import_stack(self, state: Deployment) -> None:
        """Note the new state."""
        self.imported = state


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> State:
    """A stack that had a worker on a host whose engine does not answer."""

    def connect(_at: Endpoint) -> None:
        msg = "no answer"
        raise DockerError(msg)

    made = State()
    monkeypatch.setattr(forget, "open_stack", lambda _: made)
    monkeypatch.setattr(forget, "connect", connect)
    return made


def test_all_that_was_on_the_host_goes_and_nothing_depends_on_it(state: State) -> None:
    """What others have in common with it by name stays."""
    assert forget.forget_host("dev", "south") == ["citus_worker_1"]
    assert state.imported
    left = dict(state.imported.deployment or {})
    assert left["pending_operations"] == []
    assert left["resources"][:3] == KEPT[:3]
    health = left["resources"][3]
    assert health["dependencies"] == [urn(CONTAINER, "citus_coordinator")]
    assert health["propertyDependencies"] == {"generations": [urn(CONTAINER, "citus_coordinator")], "host": []}
    assert "deletedWith" not in health
    assert len(left["resources"]) == 4


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("north", "citus:hosts.north: the settings have this host"),
        ("west", "nothing of the stack dev was on a host west"),
    ],
)
def test_a_host_that_is_declared_or_unknown_is_not_forgotten(state: State, host: str, told: str) -> None:
    """The state stays as it is."""
    with pytest.raises(DockerError, match=told):
        forget.forget_host("dev", host)
    assert state.imported is None


def test_a_host_that_answers_is_not_forgotten(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there can be removed."""
    monkeypatch.setattr(forget, "connect", lambda _: SimpleNamespace(close=lambda: None))
    with pytest.raises(DockerError, match=r"the engine of host south answers at unix:///gone\.sock: put it back"):
        forget.forget_host("dev", "south")
    assert state.imported is None
