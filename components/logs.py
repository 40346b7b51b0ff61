"""Where a node's log is seen, and how it ends: for errors that name a node. A log is `docker:<container>` or `file:<path>`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Final

__all__ = ["see"]

LAST_LINES: Final = 5


def see(log: str) -> str:
    """Return the command that shows the log, and the log's last lines where they can be had."""
    kind, _, where = log.partition(":")
    command = f"docker logs {where}" if kind == "docker" else f"tail {where}"
    lines = [line.strip() for line in (_of_container(where) if kind == "docker" else _of_file(where)) if line.strip()]
    ending = "; it ends with: " + " | ".join(lines[-LAST_LINES:]) if lines else ""
    return f"see: {command}{ending}"


def _of_file(path: str) -> list[str]:
    try:
        return Path(path).read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _of_container(name: str) -> list[str]:
    import docker  # noqa: PLC0415 - slow to import, and needed only where something went wrong

    from components.errors import DockerError  # noqa: PLC0415
    from components.nodes.docker.endpoint import connect, get_endpoint  # noqa: PLC0415

    try:
        with closing(connect(get_endpoint(), timeout=5)) as engine:
            text: bytes = engine.containers.get(name).logs(tail=LAST_LINES)
    except (docker.errors.DockerException, DockerError, OSError):
        return []
    return text.decode("utf-8", errors="replace").splitlines()
