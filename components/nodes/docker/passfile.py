"""The password of a node in its container: the file that each start reads, and the passfile that was made of it."""

from __future__ import annotations

import io
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from components.errors import DockerError
from components.nodes.docker.endpoint import Located
from components.nodes.docker.ready import STOP_SECONDS, wait_for_server
from components.nodes.passfile import as_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["ContainerPassfile"]

_SECRET: Final = "/etc/citus-pulumi"  # noqa: S105 - a folder
_RUN: Final = "/run/citus-pulumi"
"""The server's own, made by start_node.sh."""
_SWITCH: Final = f"""set -e
cp -p {_SECRET}/password {_SECRET}/former.new && mv {_SECRET}/former.new {_SECRET}/former
mv {_RUN}/passfile.new {_RUN}/passfile
mv {_RUN}/password.new {_RUN}/password
mv {_SECRET}/password.new {_SECRET}/password"""


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
        with self._open() as container:
            return _read(container, f"{_SECRET}/password")[0], _read(container, f"{_SECRET}/former")[0]

    def prepare(self, user: str, password: str, others: Mapping[str, str]) -> None:
        """Write another one beside it."""
        with self._open() as container:
            _, owner = _read(container, f"{_RUN}/password")
            _write(container, _SECRET, {"password.new": password}, None)
            _write(container, _RUN, {"passfile.new": as_lines(user, password, others), "password.new": password}, owner)

    def switch(self) -> None:
        """Take what was prepared."""
        with self._open() as container:
            code, said = container.exec_run(["sh", "-c", _SWITCH])
            if code:
                msg = f"{self.container.name}: its password cannot be changed: {said.decode('utf-8', errors='replace').strip()}"
                raise DockerError(msg)

    def settle(self) -> None:
        """Forget the one before."""
        with self._open() as container:
            container.exec_run(["rm", "-f", f"{_SECRET}/former"])

    def restart(self, timeout: float) -> None:
        """Restart the container, and wait until its server takes connections."""
        with self._open() as container:
            container.restart(timeout=STOP_SECONDS)
        wait_for_server(self.container, timeout)

    @contextmanager
    def _open(self) -> Iterator[Any]:
        import docker as sdk  # noqa: PLC0415 - slow to import

        client = self.container.connect()
        try:
            yield client.containers.get(self.container.name)
        except sdk.errors.DockerException as error:
            msg = f"{self.container.name}: its password cannot be read or changed: {error}"
            raise DockerError(msg) from error
        finally:
            client.close()


def _read(container: Any, path: str) -> tuple[str, tuple[int, int] | None]:
    """Return a file's text, and the user and group that own it; nothing where there is none."""
    import docker as sdk  # noqa: PLC0415

    try:
        chunks, _ = container.get_archive(path)
    except sdk.errors.NotFound:
        return "", None
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        (member,) = archive.getmembers()
        file = archive.extractfile(member)
        return (file.read().decode("utf-8") if file else "", (member.uid, member.gid))


def _write(container: Any, folder: str, texts: Mapping[str, str], owner: tuple[int, int] | None) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in texts.items():
            content = text.encode()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o600
            member.uid, member.gid = owner or (0, 0)
            archive.addfile(member, io.BytesIO(content))
    container.put_archive(folder, buffer.getvalue())
