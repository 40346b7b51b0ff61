"""Labels and volumes of a cluster on a Docker Engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from components.errors import DockerError, NotReadyError
from components.nodes.docker.endpoint import Located
from components.nodes.docker.ready import STOP_SECONDS
from components.waiting import wait_until

__all__ = ["CLUSTER", "MANAGED_BY", "DataVolume", "owner_of", "volume_name"]


CLUSTER: Final = "citus-pulumi.cluster"
"""Label of everything that a stack makes; its value is the cluster's id, which outlives a rename of the stack."""


MANAGED_BY: Final = "citus-pulumi.stack"
"""Label for people to filter by; its value is the stack's full name at that time. Before there were ids, it was the owner."""


def volume_name(container_name: str) -> str:
    """Return the name of the volume that holds a container's data folder."""
    return f"{container_name}_data"


def owner_of(labels: dict[str, Any] | None) -> str | None:
    """Return the owner that labels name; None where there is none, or where it is not known yet."""
    found = labels or {}
    owner = found.get(CLUSTER, found.get(MANAGED_BY))
    return owner if isinstance(owner, str) else None


@dataclass(frozen=True)
class DataVolume:
    """A volume that holds a node's data folder."""

    volume: Located
    owners: frozenset[str]
    """By which the things of its cluster are labelled."""
    coordinator: Located | None
    """The coordinator's container, where that is on another engine."""
    elsewhere: tuple[Located, ...]
    """What the cluster has on other engines."""

    @classmethod
    def at(cls, where: str, owners: frozenset[str], coordinator: str, elsewhere: tuple[str, ...]) -> DataVolume:
        """Return a volume, as Located reads it; `coordinator` is empty where its container is on the same engine."""
        apart = Located.parse(coordinator) if coordinator else None
        return cls(Located.parse(where), owners, apart, tuple(map(Located.parse, elsewhere)))

    def __str__(self) -> str:
        return f"volume {self.volume.name}"

    def exists(self) -> bool:
        """Tell whether there is a volume of that name which is part of the cluster."""
        name = self.volume.name
        found = self.volume.connect().api.volumes({"name": name})["Volumes"] or ()
        return any(it["Name"] == name and owner_of(it.get("Labels")) in self.owners for it in found)

    def cluster_lives(self) -> bool:
        """Tell whether any container of the cluster is still there, running or not.

        A destroy removes the coordinator's before all data, and a worker's before the data of its engine. Those on other engines
        may still be going, and are waited for. An engine that does not answer shows nothing, but for the coordinator's.
        """
        if self._containers(self.volume):
            return True
        if self.coordinator and self.coordinator.name in self._containers(self.coordinator):
            return True
        silent: set[Located] = set()

        def find_gone() -> None:
            for engine in self.elsewhere:
                if engine in silent:
                    continue
                try:
                    left = self._containers(engine)
                except DockerError:
                    silent.add(engine)
                    continue
                if left:
                    msg = f"{', '.join(left)} are there"
                    raise NotReadyError(msg)

        try:
            wait_until(find_gone, what=f"containers on other hosts are gone, before {self}", timeout=STOP_SECONDS)
        except NotReadyError:
            return True
        return False

    def _containers(self, engine: Located) -> list[str]:
        """Return the names of the cluster's containers on an engine."""
        return [
            name.removeprefix("/")
            for container in engine.connect().api.containers(all=True)
            if owner_of(container["Labels"]) in self.owners
            for name in container["Names"] or ()
        ]

    def remove(self) -> None:
        """Remove the volume with all data."""
        self.volume.connect().volumes.get(self.volume.name).remove()
