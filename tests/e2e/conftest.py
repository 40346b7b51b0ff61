"""Stacks for whole tests: each with names, ports and state of its own, and nothing left of it afterwards."""

from __future__ import annotations

import random
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.e2e.nodes import DOCKER, LOCAL, STAND_IN, DockerNodes, LocalNodes
from tests.e2e.stack import ROOT, Stack
from tests.servers import find_installation, find_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.nodes import Nodes

RETAIL_TABLES = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]["citus:tables"]


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on now, nor on the nine that follow."""
    while True:
        port = random.randint(15000, 30000)
        with ExitStack() as probes:
            try:
                for number in range(port, port + 10):
                    probes.enter_context(socket.socket()).bind(("127.0.0.1", number))
            except OSError:
                continue
            return port


@pytest.fixture(scope="module", params=[DOCKER, LOCAL, STAND_IN])
def runtime(request: pytest.FixtureRequest) -> str:
    """What runs the nodes: containers, processes with Citus, or processes with the stand-in for it."""
    return str(request.param)


@pytest.fixture(scope="module")
def new_stack(runtime: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Stack]]:
    """Make stacks by name; all that is left of them is removed at the end of the module."""
    made: list[Stack] = []

    def make(name: str, **settings: Any) -> Stack:
        full, port = f"test-{name}", free_port()
        nodes: Nodes
        if runtime == "docker":
            nodes = DockerNodes(full)
        else:
            installation = find_installation(citus=True) if runtime == "local" else find_wheel()
            assert installation
            nodes = LocalNodes(full, port, installation.bindir, stand_in=runtime == "stand-in")
        stack = Stack(full, Path(tmp_path_factory.mktemp(name)), port, nodes, {"tables": RETAIL_TABLES, **settings})
        nodes.clear()
        made.append(stack)
        return stack

    yield make
    for stack in made:
        # The plugins of an engine that was killed go on, waiting for it.
        subprocess.run(["pkill", "-f", str(stack.folder)], check=False)
        stack.nodes.clear()
        stack.nodes.close()


@pytest.fixture
def settings(stack: Stack) -> Iterator[None]:
    """Put the stack's settings back after the test."""
    before = stack.config.read_text()
    yield
    stack.config.write_text(before)
