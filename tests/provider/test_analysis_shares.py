"""Equal shares of the processors: on a genuine engine, limited for a while and lifted again whatever ends it."""

from __future__ import annotations

import os
import signal
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import docker
import pytest

from analysis.place import Place
from analysis.shares import equal_shares, get_obstacle
from components.access import Server
from components.logs import Log
from tests.genuine import IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("docker", "image")


@pytest.fixture(scope="module")
def containers() -> Iterator[list[Any]]:
    """Three containers that do nothing, for a coordinator and two workers."""
    engine = docker.from_env()
    made = [
        engine.containers.run(IMAGE, entrypoint=["sleep", "300"], name=f"test-shares-{os.getpid()}-{node}", detach=True)
        for node in ("c", "w1", "w2")
    ]
    yield made
    for container in made:
        container.remove(force=True, v=True)
    engine.close()


def coordinator(containers: list[Any], log: str = "docker") -> Place:
    """Return the first of them as a place."""
    return Place(Server("c", "127.0.0.1", 1, "d", "u", Log(log, containers[0].name)), "secret")


def quotas(containers: list[Any]) -> list[int]:
    """Return how many microseconds of 100,000 each container may use."""
    for container in containers:
        container.reload()
    return [container.attrs["HostConfig"]["CpuQuota"] for container in containers]


@pytest.mark.parametrize("ending", ["nothing", "an error", "SIGTERM"])
def test_limits_are_lifted_whatever_ends_it(containers: list[Any], ending: str) -> None:
    """While it goes on, each has its share of half of the processors, and the way back is told; afterwards none has a limit."""
    workers = [container.name for container in containers[1:]]
    said: list[str] = []
    assert get_obstacle(coordinator(containers), workers) == ""
    expected = {"nothing": None, "an error": ValueError, "SIGTERM": KeyboardInterrupt}[ending]
    ended = pytest.raises(expected) if expected else nullcontext()
    with ended, equal_shares(coordinator(containers), workers, said.append) as (names, share):
        assert names == [container.name for container in containers]
        assert quotas(containers) == [round(share * 100_000)] * 3
        assert f"docker update --cpu-quota -1 {' '.join(names)}" in said[0]
        if ending == "SIGTERM":
            os.kill(os.getpid(), signal.SIGTERM)
        if ending == "an error":
            raise ValueError
    assert set(quotas(containers)) <= {0, -1}
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_nodes_that_cannot_be_limited_are_told(containers: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes, another machine's engine, a container of nobody, and one with a limit of its own."""
    workers = [container.name for container in containers[1:]]
    assert get_obstacle(coordinator(containers, "file"), workers) == "the nodes are no containers"
    assert "does not run nobody" in get_obstacle(coordinator(containers), ["nobody"])
    containers[2].update(cpu_period=100_000, cpu_quota=50_000)
    assert get_obstacle(coordinator(containers), workers).startswith(f"{workers[1]} have a limit of their own already")
    containers[2].update(cpu_quota=-1)
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2376")
    assert get_obstacle(coordinator(containers), workers) == "the Docker Engine is on another machine"
