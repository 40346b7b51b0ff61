"""Labels and volumes of a cluster on a Docker Engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from components.nodes.docker.endpoint import Located

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

    @classmethod
    def at(cls, where: str, owners: frozenset[str], coordinator: str) -> DataVolume:
        """Return a volume, as Located reads it; `coordinator` is empty where its container is on the same engine."""
        return cls(Located.parse(where), owners, Located.parse(coordinator) if coordinator else None)

    def __str__(self) -> str:
        return f"volume {self.volume.name}"

    def exists(self) -> bool:
        """Tell whether there is a volume of that name which is part of the cluster."""
        name = self.volume.name
        found = self.volume.connect().api.volumes({"name": name})["Volumes"] or ()
        return any(it["Name"] == name and owner_of(it.get("Labels")) in self.owners for it in found)

    def cluster_lives(self) -> bool:
        """Tell whether any container of the cluster is still there, running or not."""
        engines = [self.volume, *([self.coordinator] if self.coordinator else [])]
        return any(
            owner_of(container["Labels"]) in self.owners
            for engine in engines
            for container in engine.connect().api.containers(all=True)
        )

    def remove(self) -> None:
        """Remove the volume with all data."""
        self.volume.connect().volumes.get(self.volume.name).remove()
