"""The password of a node in its container: the file that each start reads, and the passfile that was made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.nodes.docker.container_files import RUN, SECRET, ContainerFiles, opened
from components.nodes.docker.endpoint import Located
from components.nodes.docker.ready import STOP_SECONDS, wait_for_server
from components.nodes.passfile import as_lines

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

__all__ = ["ContainerPassfile"]

_SWITCH: Final = f"""set -e
cp -p {SECRET}/password {SECRET}/former.new && mv {SECRET}/former.new {SECRET}/former
mv {RUN}/passfile.new {RUN}/passfile
mv {RUN}/password.new {RUN}/password
mv {SECRET}/password.new {SECRET}/password"""


@dataclass(frozen=True)
class ContainerPassfile:
    """The files of one container; the engine reads and writes them, so that no password is in a command."""

    container: Located

    @classmethod
    def at(cls, where: str) -> ContainerPassfile:
        """Return those of a container, as Located reads it."""
        return cls(Located.parse(where))

    def read(self) -> tuple[str, str]:
        """Return the password, and the one before it while a change is under way."""
        with self._open() as files:
            return files.read(f"{SECRET}/password")[0], files.read(f"{SECRET}/former")[0]

    def prepare(self, user: str, password: str, others: Mapping[str, str]) -> None:
        """Write another one beside it."""
        with self._open() as files:
            _, owner = files.read(f"{RUN}/password")
            files.write(SECRET, {"password.new": password}, None)
            files.write(RUN, {"passfile.new": as_lines(user, password, others), "password.new": password}, owner)

    def switch(self) -> None:
        """Take what was prepared."""
        with self._open() as files:
            files.run(_SWITCH)

    def settle(self) -> None:
        """Forget the one before."""
        with self._open() as files:
            files.run(f"rm -f {SECRET}/former")

    def restart(self, timeout: float) -> None:
        """Restart the container, and wait until its server takes connections."""
        with self._open() as files:
            files.container.restart(timeout=STOP_SECONDS)
        wait_for_server(self.container, timeout)

    def _open(self) -> AbstractContextManager[ContainerFiles]:
        return opened(self.container, "its password")
