"""What is there before anything is touched."""

from __future__ import annotations

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

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return a line where a cluster is there, and cannot be asked."""
        if self.live or not any(remnant.declared and remnant.owner for remnant in self.remnants.found):
            return ()
        msg = (
            "the coordinator does not answer, or has not been set up: SQL files are judged as for a new stack, and workers that "
            "leave are not named"
        )
        return (msg,)
