"""What a node's container is made with, and whether one that is there was made with it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from components.nodes.server_settings import as_arguments, find_shared_buffers, get_start_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from components.settings import Settings

__all__ = ["BACKUPS", "POSTGRES_PORT", "RESTORED", "Shape", "get_shape", "get_shared_buffers", "verifies"]

POSTGRES_PORT: Final = 5432
"""PostgreSQL's own, on which nodes and poolers listen in their containers."""
SHARED_MEMORY_MB: Final = 256
"""Where no memory is declared: Docker's own 64 are too few for PostgreSQL's parallel queries."""
BACKUPS: Final = "/var/lib/citus-pulumi/backups"
RESTORED: Final = "/var/lib/citus-pulumi/restored"
"""Where a repository is in a container: the one that the node is backed up to, and the one that it is made of."""
_MB: Final = 1 << 20


@dataclass(frozen=True)
class Shape:
    """What a container is made with. Docker changes none of it in place but the memory, and that with shared_buffers."""

    command: tuple[str, ...]
    memory_mb: int | None
    """None for no limit."""
    cpus: str | None
    shared_memory_mb: int
    repositories: tuple[tuple[str, str], ...] = ()
    """Folders, or volumes of Docker's, with backups, each with where it is mounted."""

    def differences(self, container: Mapping[str, Any], image: str | None) -> Iterator[str]:
        """Yield, in words, what the container that is there was made with otherwise; nothing where it stays.

        Args:
            container: as `docker inspect` describes it.
            image: id of the image that it is to have; None where that is not known yet.
        """
        if container["Image"] != image:
            yield "another image"
        was, now = _as_settings(container["Config"]["Cmd"] or ()), _as_settings(self.command)
        changed = sorted(name for name in {*was, *now} if was.get(name) != now.get(name))
        yield from (
            f"{name} {was.get(name, 'as PostgreSQL has it')} -> {now.get(name, 'as PostgreSQL has it')}"
            for name in changed
        )
        host = container["HostConfig"]
        if host["ShmSize"] != self.shared_memory_mb * _MB:
            yield f"shared memory {host['ShmSize'] // _MB} MB -> {self.shared_memory_mb} MB"
        mounts = {it["Destination"]: it.get("Name") or it["Source"] for it in container.get("Mounts") or ()}
        there = {where: what for where, what in mounts.items() if where in (BACKUPS, RESTORED)}
        if there != {where: what for what, where in self.repositories}:
            yield "another repository of backups"
        if host["NanoCpus"] != round(float(self.cpus or 0) * 1e9):
            yield f"cpus {host['NanoCpus'] / 1e9:g} -> {self.cpus or 'without a limit'}"


def get_shape(settings: Settings, shared_buffers: str, *, of_coordinator: bool) -> Shape:
    """Return what a node's container is to be made with; `shared_buffers` where the settings say nothing."""
    memory = settings.memory_bytes // _MB
    return Shape(
        command=(
            "postgres",
            *as_arguments(get_start_settings(settings, shared_buffers, of_coordinator=of_coordinator)),
        ),
        memory_mb=memory or None,
        cpus=settings.cpus or None,
        shared_memory_mb=memory // 4 or SHARED_MEMORY_MB,
        repositories=tuple(
            (it.repository.rstrip("/"), where)
            for it, where in ((settings.backup, BACKUPS), (settings.restore_from, RESTORED))
            if it and not it.is_store
        ),
    )


def get_shared_buffers(container: Mapping[str, Any]) -> str:
    """Return what a container that is there has where the settings say nothing; empty for PostgreSQL's own default."""
    return find_shared_buffers(_as_settings(container["Config"]["Cmd"] or ()))


def verifies(container: Mapping[str, Any]) -> bool:
    """Tell whether a container that is there has certificates by which nodes verify each other."""
    return "ssl_ca_file" in _as_settings(container["Config"]["Cmd"] or ())


def _as_settings(command: tuple[str, ...] | list[str]) -> dict[str, str]:
    return dict(part.partition("=")[::2] for part in command if re.match(r"[\w.]+=", part))
