"""The log of a container."""

from __future__ import annotations

from contextlib import closing

from components.errors import DockerError
from components.nodes.docker.endpoint import Located

__all__ = ["read"]


def read(where: str, lines: int) -> tuple[str, str]:
    """Return the command that shows a container's log, and its last lines; none where the engine does not give them."""
    import docker  # noqa: PLC0415 - slow to import

    container = Located.parse(where)
    try:
        with closing(container.connect(timeout=5)) as engine:
            text: bytes = engine.containers.get(container.name).logs(tail=lines)
    except (docker.errors.DockerException, DockerError, OSError):
        text = b""
    return f"{container.command} logs {container.name}", text.decode("utf-8", errors="replace")
