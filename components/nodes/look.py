"""What is there before anything is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.database.live import LiveCluster
from components.resources.remains import Remnants
from components.schema.needs import KnownServer

__all__ = ["Look"]


@dataclass(frozen=True)
class Look:
    """What is there before anything is touched."""

    remnants: Remnants = field(default_factory=Remnants)
    live: LiveCluster | None = None
    """None where no coordinator answers."""
    obstacles: tuple[str, ...] = ()
    """A line for each of what else is in the way; told where the cluster itself may be brought up."""
    server: KnownServer = field(default_factory=KnownServer)
    """What is known of the servers: of those that run, else of what they are to be made of."""
    engine: str = ""
    """Id of the Docker Engine; empty where nodes are processes of this host."""
    hosts: Mapping[str, str] | None = None
    """The host of each node, as the settings name nodes and hosts; None where they name no hosts."""
    restarts: Mapping[str, str] = field(default_factory=dict)
    """Nodes that are there and have to be started again, with the reason: workers one after the other, then the coordinator."""

    returning: str = ""
    """What becomes of the workers that the settings want back; empty where they want none."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return a line for workers that are wanted back, and one where a cluster is there and cannot be asked."""
        returning = (self.returning,) if self.returning else ()
        if self.live or not any(remnant.declared and remnant.owner for remnant in self.remnants.found):
            return returning
        msg = (
            "the coordinator does not answer, or has not been set up: SQL files are judged as for a new stack, and workers that "
            "leave are not named"
        )
        return (*returning, msg)

    def describe_restarts(self) -> str:
        """Return which nodes are started again, and why; empty where none is."""
        if not self.restarts:
            return ""
        reasons: dict[str, list[str]] = {}
        for node, why in self.restarts.items():
            reasons.setdefault(why, []).append(node)
        told = "; ".join(f"{', '.join(nodes)} ({why})" for why, nodes in reasons.items())
        return f"started again, workers one after the other, then the coordinator: {told}"
