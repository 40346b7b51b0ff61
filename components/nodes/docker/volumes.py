"""Labels and volumes of a cluster on a Docker Engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from components.nodes.docker.endpoint import connect, get_endpoint

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

    name: str
    owners: frozenset[str]
    """By which the things of its cluster are labelled."""

    @classmethod
    def at(cls, name: str, owners: frozenset[str]) -> DataVolume:
        """Return the volume of that name."""
        return cls(name, owners)

    def __str__(self) -> str:
        return f"volume {self.name}"

    def exists(self) -> bool:
        """Tell whether there is a volume of that name which is part of the cluster."""
        found = connect(get_endpoint()).api.volumes({"name": self.name})["Volumes"] or ()
        return any(volume["Name"] == self.name and owner_of(volume.get("Labels")) in self.owners for volume in found)

    def cluster_lives(self) -> bool:
        """Tell whether any container of the cluster is still there, running or not."""
        return any(
            owner_of(container["Labels"]) in self.owners
            for container in connect(get_endpoint()).api.containers(all=True)
        )

    def remove(self) -> None:
        """Remove the volume with all data."""
        connect(get_endpoint()).volumes.get(self.name).remove()
