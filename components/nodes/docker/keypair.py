"""The certificate of a node in its container: the files that each start reads, and those of the server that runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from components.nodes.docker.container_files import SECRET, opened
from components.nodes.docker.endpoint import Located

__all__ = ["AUTHORITY", "KEYPAIR", "ContainerKeypair"]

AUTHORITY: Final = "ca.crt"
KEYPAIR: Final = "server.pem"
"""The certificate and its key, in one file: it is replaced in one step, so that a server never starts with half of them."""


@dataclass(frozen=True)
class ContainerKeypair:
    """The certificate with its key, and the authority's certificate, in one container."""

    container: Located

    @classmethod
    def at(cls, where: str) -> ContainerKeypair:
        """Return that of a container, as Located reads it."""
        return cls(Located.parse(where))

    def read_authority(self) -> str:
        """Return the authority's certificate; empty where there is none."""
        with opened(self.container, "its certificate") as files:
            return files.read(f"{SECRET}/{AUTHORITY}")[0]

    def ensure(self, authority: str, keypair: str) -> bool:
        """Let the server use them from its next connection on; return whether it did not yet. A kill leaves a whole pair."""
        with opened(self.container, "its certificate") as files:
            if is_other := files.replace({AUTHORITY: authority, KEYPAIR: keypair}):
                files.container.kill(signal="SIGHUP")  # the server is the container's first process
        return is_other
