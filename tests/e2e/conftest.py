"""Stacks for whole tests: each with names, ports and state of its own, and nothing left of it afterwards."""

from __future__ import annotations

import random
import shutil
import socket
import tempfile
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import psutil
import pytest

from components.nodes.docker.backup_image import CONTEXT, get_recipe, tag
from tests.e2e.nodes import DOCKER, HOSTS, DockerNodes, HostsNodes, LocalNodes
from tests.e2e.stack import Stack
from tests.genuine import EVERYTHING, IMAGE, NEWER_IMAGE, ON_HOSTS, PARTS, POOLER_IMAGE, missing_parts
from tests.hosts import Hosts
from tests.retail import RETAIL_TABLES
from tests.servers import find_installation, find_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.nodes import Nodes


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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a module's tests on the first of its RUNTIMES that this machine has; `make everything`, on all of them."""
    if "runtime" in metafunc.fixturenames:
        runtimes = metafunc.module.RUNTIMES
        if ON_HOSTS:
            of_one_engine = getattr(metafunc.module, "ONE_ENGINE", "")
            runtimes = [HOSTS for runtime in runtimes if runtime in (DOCKER, HOSTS) and not of_one_engine]
        if not EVERYTHING:
            parts = metafunc.config.stash[PARTS]
            had = [runtime for runtime in runtimes if not missing_parts(parts, runtime.marks)]
            runtimes = (had or runtimes)[:1]
        metafunc.parametrize("runtime", runtimes, indirect=True, scope="module")


@pytest.fixture(scope="module")
def runtime(request: pytest.FixtureRequest) -> str:
    """What runs the nodes: containers, processes with Citus, or processes with the stand-in for it."""
    return str(request.param)


@pytest.fixture(scope="session")
def hosts() -> Iterator[Hosts]:
    """Three machines, each with an engine of its own that has the images."""
    images = (IMAGE, *((POOLER_IMAGE, NEWER_IMAGE, _build_nodes_image()) if ON_HOSTS else ()))
    with Hosts(("north", "south", "east"), images) as made:
        yield made


def _build_nodes_image() -> str:
    """Build the nodes' image with what backups need, as a person does for hosts that reach no packages; return its name."""
    with closing(docker.from_env()) as engine:
        base = engine.images.get(IMAGE).id
        arguments = {"BASE": IMAGE, "BASE_ID": base, "RECIPE": get_recipe(IMAGE)}
        engine.images.build(path=str(CONTEXT), tag=tag(IMAGE), buildargs=arguments, network_mode="host", rm=True)
    return tag(IMAGE)


@pytest.fixture(scope="module")
def new_stack(
    request: pytest.FixtureRequest, runtime: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Stack]]:
    """Make stacks by name; all that is left of them is removed at the end of the module."""
    made: list[Stack] = []

    def make(name: str, **settings: Any) -> Stack:
        full, port = f"test-{name}", free_port()
        nodes: Nodes
        if runtime == "docker":
            nodes = DockerNodes(full)
        elif runtime == "hosts":
            nodes = HostsNodes(full, port, request.getfixturevalue("hosts"))
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
        _end_processes(stack.folder)
        stack.nodes.clear()
        stack.nodes.close()


@pytest.fixture(scope="module")
def repository(runtime: str) -> Iterator[Path]:
    """A folder for the backups of a runtime, where any account may write."""
    folder = Path(tempfile.mkdtemp(prefix=f"citus-pulumi-backups-{runtime}-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _end_processes(folder: Path) -> None:
    """End what an engine that was killed has left running in the folder: its plugins wait for it for ever."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(folder) or str(folder) in " ".join(process.cmdline()):
                process.kill()


@pytest.fixture
def settings(stack: Stack) -> Iterator[None]:
    """Put the stack's settings back after the test."""
    before = stack.config.read_text()
    yield
    stack.config.write_text(before)
