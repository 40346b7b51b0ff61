"""What a node's pgBackRest reads, in its container: the files that each start reads, and those that are in use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.nodes.docker.container_files import opened
from components.nodes.docker.endpoint import Located

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ContainerConfiguration"]


@dataclass(frozen=True)
class ContainerConfiguration:
    """The files of one container."""

    container: Located

    @classmethod
    def at(cls, where: str) -> ContainerConfiguration:
        """Return those of a container, as Located reads it."""
        return cls(Located.parse(where))

    def ensure(self, texts: Mapping[str, str]) -> bool:
        """Let pgBackRest read these from now on; return whether it did not yet."""
        with opened(self.container, "what its pgBackRest reads") as files:
            return files.replace(texts)
