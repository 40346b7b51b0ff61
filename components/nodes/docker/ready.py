"""Waiting for the server in a container."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

from components.errors import DockerError, NotReadyError
from components.logs import Log
from components.waiting import wait_until

if TYPE_CHECKING:
    from components.nodes.docker.endpoint import Located

__all__ = ["STOP_SECONDS", "wait_for_server"]

_RESTARTS: Final = 3
"""After so many, a container has something that does not pass."""
STOP_SECONDS: Final = 60
"""How long a node may take to shut down by itself before Docker kills it."""


def wait_for_server(at: Located, timeout: float) -> None:
    """Wait until the server of a container takes connections.

    Raises:
        NotReadyError: it does not within `timeout` seconds; says how its log ends.
        DockerError: it has ended again and again.
    """
    import docker as sdk  # noqa: PLC0415 - slow to import

    def attempt() -> None:
        try:
            container = client.containers.get(at.name)
            code, said = container.exec_run(["pg_isready", "-h", "127.0.0.1"])
        except sdk.errors.DockerException as error:  # it restarts just now
            raise NotReadyError(str(error)) from error
        if code:
            if container.attrs["RestartCount"] >= _RESTARTS:
                ended = f"{at.name} does not come up, and ended {container.attrs['RestartCount']} times"
                msg = f"{ended}{Log('docker', str(at)).hint()}"
                raise DockerError(msg)
            raise NotReadyError(said.decode("utf-8", errors="replace").strip() or f"it is {container.status}")

    with closing(at.connect()) as client:
        wait_until(attempt, what=f"{at.name} takes connections", timeout=timeout, hint=Log("docker", str(at)).hint)
