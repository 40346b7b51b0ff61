"""Files in a container, read and written by its engine: what is secret is in no command."""

from __future__ import annotations

import io
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from components.errors import DockerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from components.nodes.docker.endpoint import Located

__all__ = ["RUN", "SECRET", "ContainerFiles", "opened"]

SECRET: Final = "/etc/citus-pulumi"  # noqa: S105 - a folder
"""What each start of the container reads."""
RUN: Final = "/run/citus-pulumi"
"""The server's own, made by start_node.sh of what is in the other."""


@dataclass(frozen=True)
class ContainerFiles:
    """Those of a container that was found."""

    container: Any
    """As the SDK has it."""

    def read(self, path: str) -> tuple[str, tuple[int, int] | None]:
        """Return a file's text, and the user and group that own it; nothing where there is none."""
        import docker as sdk  # noqa: PLC0415 - slow to import

        try:
            chunks, _ = self.container.get_archive(path)
        except sdk.errors.NotFound:
            return "", None
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            (member,) = archive.getmembers()
            file = archive.extractfile(member)
            return (file.read().decode("utf-8") if file else "", (member.uid, member.gid))

    def write(self, folder: str, texts: Mapping[str, str], owner: tuple[int, int] | None) -> None:
        """Write files that nobody but their owner may read; root's where none is given."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name, text in texts.items():
                content = text.encode()
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o600
                member.uid, member.gid = owner or (0, 0)
                archive.addfile(member, io.BytesIO(content))
        self.container.put_archive(folder, buffer.getvalue())

    def replace(self, texts: Mapping[str, str]) -> bool:
        """Let the server have files with these texts, now and at each start; return whether it had not.

        A kill leaves whole ones.
        """
        _, owner = self.read(f"{RUN}/password")
        differing = {
            folder: {name: text for name, text in texts.items() if self.read(f"{folder}/{name}")[0] != text}
            for folder in (SECRET, RUN)
        }
        for folder, changed in differing.items():
            self.write(
                folder, {f"{name}.new": text for name, text in changed.items()}, owner if folder == RUN else None
            )
            for name in changed:
                self.run(f"mv {folder}/{name}.new {folder}/{name}")
        return any(differing.values())

    def run(self, command: str) -> None:
        """Run a command of the shell.

        Raises:
            DockerError: it fails; with what it said.
        """
        code, said = self.container.exec_run(["sh", "-c", command])
        if code:
            raise DockerError(said.decode("utf-8", errors="replace").strip())


@contextmanager
def opened(at: Located, what: str) -> Iterator[ContainerFiles]:
    """Yield the files of a container.

    Raises:
        DockerError: the container, or one of the files, cannot be read or changed; `what` completes the message.
    """
    import docker as sdk  # noqa: PLC0415 - slow to import

    client = at.connect()
    try:
        yield ContainerFiles(client.containers.get(at.name))
    except (sdk.errors.DockerException, DockerError) as error:
        msg = f"{at.name}: {what} cannot be read or changed: {error}"
        raise DockerError(msg) from error
    finally:
        client.close()
