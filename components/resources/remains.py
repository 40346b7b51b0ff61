"""What a host or a Docker Engine has already under a stack's names, and whose it is. Pure."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Remnant", "Remnants"]


@dataclass(frozen=True)
class Remnant:
    """One thing: a container, a volume, a network, or the folder of a local node."""

    what: str
    """How a person calls it, such as `volume citus_coordinator_data`."""
    owner: str | None
    """Id of the cluster that it is part of; None where this project did not make it."""
    declared: bool
    """Whether the settings declare something of this name."""
    by_name: bool = False
    """Made before clusters had ids: its owner is the full name of a stack."""


@dataclass(frozen=True)
class Remnants:
    """All of them, as seen before anything is touched."""

    found: tuple[Remnant, ...] = ()

    def foreign(self) -> list[str]:
        """Return what has a declared name and was not made by this project."""
        return [remnant.what for remnant in self.found if remnant.declared and remnant.owner is None]

    def of_cluster(self, cluster_id: str) -> list[str]:
        """Return what is part of a cluster, declared or not."""
        return [remnant.what for remnant in self.found if remnant.owner == cluster_id]

    def undeclared(self, cluster_id: str) -> list[str]:
        """Return what is part of a cluster, and has a name that the settings do not declare."""
        return [remnant.what for remnant in self.found if remnant.owner == cluster_id and not remnant.declared]

    def of_others(self, stack: str, adopted: str) -> dict[str, list[str]]:
        """Return what has a declared name and is part of another cluster, by the cluster's id.

        Args:
            stack: full name of the stack; what was made before clusters had ids may be its own, and is left out.
            adopted: id of the cluster that the stack is to take over.
        """
        others: dict[str, list[str]] = {}
        for remnant in self.found:
            owner = remnant.owner
            if remnant.declared and owner not in (None, adopted) and not (remnant.by_name and owner == stack):
                others.setdefault(owner, []).append(remnant.what)
        return others
