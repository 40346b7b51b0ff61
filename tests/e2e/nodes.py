"""The nodes of a stack seen from outside, by what runs them: what a person, a fault or a stranger can do to them."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import docker
import psutil
import pytest

from components.nodes.docker.volumes import MANAGED_BY

if TYPE_CHECKING:
    from tests.hosts import Hosts

ROOT: Final = Path(__file__).parents[2]
DEADLINE: Final = 60
"""Seconds for a server to end."""


def _runtime(name: str, *parts: str) -> Any:
    return pytest.param(name, marks=pytest.mark.needs("pulumi", *parts))


DOCKER: Final = _runtime("docker", "docker", "image", "language", "plugin")
HOSTS: Final = _runtime("hosts", "docker", "image", "language", "plugin", "namespaces")
LOCAL: Final = _runtime("local", "citus")
LOCAL_BACKUPS: Final = _runtime("local", "citus", "pgbackrest")
STAND_IN: Final = _runtime("stand-in", "wheel")


class Nodes(Protocol):
    """What the tests do to nodes. A node is called `coordinator` or `worker_<n>`."""

    settings: dict[str, Any]
    """Settings of a stack on this runtime."""
    host: str
    """Where clients reach the coordinator."""

    def command(self, verb: str, stack: str, *more: str) -> list[str]:
        """Return the command by which a person runs up, preview, refresh or down."""

    def shown(self, node: str) -> str:
        """Return how an update prints the node's server."""

    def address(self, node: str) -> str:
        """Return the `name:port` under which the node is registered."""

    def description(self, node: str) -> str:
        """Return all that the system shows of the node: its container's description, or its command lines."""

    def passfile(self, node: str) -> str:
        """Return where the node has its password, as `open_passfile` takes it."""

    def restart(self, node: str) -> None:
        """Stop and start the node, as a person would."""

    def kill(self, node: str) -> None:
        """Kill the node; its data stays."""

    def remove(self, node: str) -> None:
        """Take the node's server away by hand; its data stays."""

    def empty(self, node: str) -> None:
        """Take the node's server and its data away."""

    def runs(self, node: str) -> bool:
        """Tell whether the node runs."""

    def leftovers(self) -> list[str]:
        """Return the name of everything that is the stack's."""

    def clear(self) -> None:
        """Remove everything that is the stack's, whatever state it is in."""

    def close(self) -> None:
        """Let go of what the tests themselves hold."""


class DockerNodes:
    """Containers on a Docker Engine, the stack driven by Pulumi's CLI."""

    host = "127.0.0.1"

    def __init__(self, stack: str) -> None:
        self._stack = stack
        self.settings: dict[str, Any] = {"network": f"{stack}net"}

    def command(self, verb: str, stack: str, *more: str) -> list[str]:
        """Run Pulumi's CLI, which runs the program by its language host."""
        verbs = {
            "up": ["up", "--yes", "--skip-preview"],
            "refresh": ["refresh", "--yes", "--skip-preview"],
            "down": ["destroy", "--yes", "--skip-preview"],
        }
        return ["pulumi", *verbs.get(verb, [verb]), "--stack", stack, "--non-interactive", *more]

    def shown(self, node: str) -> str:
        """Return the container's kind and name."""
        return f"Container {self._stack}_{node}"

    def address(self, node: str) -> str:
        """Return the network alias and PostgreSQL's own port."""
        return f"{self._stack}_{node}:5432"

    def description(self, node: str) -> str:
        """Return what `docker inspect` shows."""
        return json.dumps(self.container(node).attrs, ensure_ascii=False)

    def passfile(self, node: str) -> str:
        """Return the container."""
        return f"docker:{self._stack}_{node}"

    def restart(self, node: str) -> None:
        """Restart the container."""
        self.container(node).restart()

    def kill(self, node: str) -> None:
        """Kill the container."""
        self.container(node).kill()

    def remove(self, node: str) -> None:
        """Remove the container."""
        self.container(node).remove(force=True)

    def empty(self, node: str) -> None:
        """Remove the container and its volume."""
        container = self.container(node)
        container.remove(force=True, v=True)
        container.client.volumes.get(f"{self._stack}_{node}_data").remove()

    def runs(self, node: str) -> bool:
        """Tell whether the container runs."""
        return bool(self.container(node).status == "running")

    @cached_property
    def engine(self) -> docker.DockerClient:
        """Return a client of the Docker Engine."""
        return docker.from_env()

    def container(self, node: str) -> Any:
        """Return the container of a node."""
        return self.engine.containers.get(f"{self._stack}_{node}")

    def leftovers(self) -> list[str]:
        """Return the name of all that bears the stack's label."""
        return sorted(str(item.name) for kind in self._labelled() for item in kind)

    def clear(self) -> None:
        """Remove all that bears the stack's label."""
        containers, volumes, networks = self._labelled()
        for container in containers:
            container.remove(force=True, v=True)
        for item in [*volumes, *networks]:
            item.remove()

    def close(self) -> None:
        """Close the connection to the engine."""
        self.engine.close()

    def _labelled(self) -> tuple[list[Any], list[Any], list[Any]]:
        return self._labelled_on(self.engine)

    def _labelled_on(self, engine: docker.DockerClient) -> tuple[list[Any], list[Any], list[Any]]:
        label = f"{MANAGED_BY}=organization/citus/{self._stack}"
        return (
            engine.containers.list(all=True, filters={"label": label}),
            engine.volumes.list(filters={"label": label}),
            engine.networks.list(filters={"label": label}),
        )


class HostsNodes(DockerNodes):
    """Containers on three Docker Engines; `engine` is the coordinator's."""

    def __init__(self, stack: str, port: int, hosts: Hosts) -> None:
        super().__init__(stack)
        self.hosts = hosts
        self._port = port
        first = hosts.names[0]
        self.host = hosts[first].address
        self.settings |= {
            "hosts": {name: host.setting for name, host in hosts.made.items()},
            "hostOf": {"coordinator": first},
            "nodePorts": f"{port + 1}-{port + 64}",
        }
        self.engines: dict[str, docker.DockerClient] = {name: host.client() for name, host in hosts.made.items()}

    def address(self, node: str) -> str:
        """Return the host's address and the published port."""
        number = 0 if node == "coordinator" else int(node.removeprefix("worker_"))
        return f"{self.hosts[self.host_of(node)].address}:{self._port + number}"

    def host_of(self, node: str) -> str:
        """Return the name of the host that has a node."""
        (name,) = [name for name, engine in self.engines.items() if self._find(engine, node)]
        return name

    def _find(self, engine: docker.DockerClient, node: str) -> list[Any]:
        found = engine.containers.list(all=True, filters={"name": f"^/{self._stack}_{node}$"})
        return list(found)

    def passfile(self, node: str) -> str:
        """Return the container and its engine."""
        return f"{super().passfile(node)}@{self.hosts[self.host_of(node)].url}#a test"

    @cached_property
    def engine(self) -> docker.DockerClient:
        """Return a client of the coordinator's engine."""
        return self.engines[self.hosts.names[0]]

    def container(self, node: str) -> Any:
        """Return the container of a node."""
        return self.engines[self.host_of(node)].containers.get(f"{self._stack}_{node}")

    def close(self) -> None:
        """Close the connections to the engines."""
        for engine in self.engines.values():
            engine.close()

    def _labelled(self) -> tuple[list[Any], list[Any], list[Any]]:
        found: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
        for engine in self.engines.values():
            for kind, items in zip(found, self._labelled_on(engine), strict=True):
                kind.extend(items)
        return found


class LocalNodes:
    """Server processes of this host, the stack driven by the Automation API, as `make` does."""

    host = "127.0.0.1"

    def __init__(self, stack: str, port: int, bindir: Path, *, stand_in: bool) -> None:
        self._stack = stack
        self._port = port
        # Not in pytest's own folders, which other accounts may not enter.
        self._base = Path(tempfile.mkdtemp(prefix="citus-pulumi-test-"))
        self._base.chmod(0o755)
        self._folder = self._base / stack
        self.settings: dict[str, Any] = {
            "runtime": "local",
            "workerPorts": f"{port + 1}-{port + 9}",
            "dataDir": str(self._base),
            "postgresBin": str(bindir),
            "standIn": stand_in,
        }

    def command(self, verb: str, stack: str, *more: str) -> list[str]:
        """Run the project's own command."""
        return [f"{ROOT}/.venv/bin/python", "-m", "cli", verb, "--stack", stack, *more]

    def shown(self, node: str) -> str:
        """Return the server's kind and name."""
        return f"LocalNode {self._stack}_{node}-server"

    def address(self, node: str) -> str:
        """Return the loopback address with the node's port."""
        number = 0 if node == "coordinator" else int(node.removeprefix("worker_"))
        return f"127.0.0.1:{self._port + number}"

    def description(self, node: str) -> str:
        """Return command line and environment of the server."""
        process = psutil.Process(self._pid(node))
        return f"{process.cmdline()} {process.environ()}"

    def passfile(self, node: str) -> str:
        """Return the node's folder."""
        return f"folder:{self._folder}/{self._stack}_{node}"

    def restart(self, node: str) -> None:
        """Kill the server: nothing but the next `up` starts it again."""
        self.kill(node)

    def kill(self, node: str) -> None:
        """Kill the server's main process; the others end when they see it gone."""
        main = psutil.Process(self._pid(node))
        processes = [main, *main.children()]
        main.kill()
        _, alive = psutil.wait_procs(processes, DEADLINE)
        assert not alive, f"{node} does not end"

    def remove(self, node: str) -> None:
        """Kill the server: what else could be taken away is its data."""
        self.kill(node)

    def empty(self, node: str) -> None:
        """Kill the server and delete its folder."""
        self.kill(node)
        shutil.rmtree(Path(self._data(node)).parent)

    def runs(self, node: str) -> bool:
        """Tell whether the server's main process is there."""
        return any(self._data(node) in command for command in self._commands().values())

    def leftovers(self) -> list[str]:
        """Return the folders that are left, and the servers that run in them."""
        folders = [str(path) for path in self._base.iterdir()] if self._base.exists() else []
        return sorted(folders) + [f"process {process.pid}" for process in self._commands()]

    def clear(self) -> None:
        """Kill every server of the stack and delete its folder."""
        servers = list(self._commands())
        for server in servers:
            with suppress(psutil.NoSuchProcess):
                server.send_signal(signal.SIGQUIT)
        psutil.wait_procs(servers, DEADLINE)
        shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        """Remove the folder that held the stack's."""
        shutil.rmtree(self._base, ignore_errors=True)

    def _data(self, node: str) -> str:
        return str(self._folder / f"{self._stack}_{node}" / "data")

    def _pid(self, node: str) -> int:
        return int((Path(self._data(node)) / "postmaster.pid").read_text().splitlines()[0])

    def _commands(self) -> dict[psutil.Process, list[str]]:
        """Return the command line of each running server of the stack."""
        found = {process: process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])}
        return {
            process: command
            for process, command in found.items()
            if any(part.startswith(f"{self._folder}/") for part in command) and "-D" in command
        }
