"""pgBackRest of the nodes' image, in a container that is there for the moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from components.backups.configuration import CONFIG_FILE, TOOLBOX
from components.errors import BackupError
from components.nodes.docker.container_files import ContainerFiles
from components.nodes.docker.endpoint import Located
from components.nodes.docker.shape import RESTORED

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ImageToolbox"]

_SECONDS: Final = 120
_FOLDER: Final = "/run"


@dataclass(frozen=True)
class ImageToolbox:
    """The image of an engine."""

    image: Located

    @classmethod
    def at(cls, where: str) -> ImageToolbox:
        """Return that of an image, as Located reads it."""
        return cls(Located.parse(where))

    def read_info(self, files: Mapping[str, str], repository: str) -> str:
        """Return what `pgbackrest info` tells, as JSON.

        Raises:
            BackupError: it fails; with what it said.
        """
        import docker as sdk  # noqa: PLC0415 - slow to import
        from docker.types import Mount  # noqa: PLC0415

        client = self.image.connect()
        try:
            container = client.containers.create(
                self.image.name,
                [f"pgbackrest --config={_FOLDER}/{CONFIG_FILE} info --output=json"],
                entrypoint=["sh", "-c"],
                user="root",
                mounts=[Mount(RESTORED, repository, _kind(repository), read_only=True)] if repository else [],
                network_mode="host",
            )
            try:
                texts = {name: text.replace(TOOLBOX, _FOLDER) for name, text in files.items()}
                ContainerFiles(container).write(_FOLDER, texts, None)
                container.start()
                code = container.wait(timeout=_SECONDS)["StatusCode"]
                said = [
                    container.logs(stdout=not error, stderr=error).decode(errors="replace") for error in (False, True)
                ]
            finally:
                container.remove(v=True, force=True)
        except sdk.errors.DockerException as error:
            msg = f"pgBackRest cannot be run in the nodes' image: {getattr(error, 'explanation', error)}"
            raise BackupError(msg) from error
        finally:
            client.close()
        if code:
            raise BackupError("".join(said))
        return str(said[0])


def _kind(repository: str) -> Literal["bind", "volume"]:
    return "bind" if repository.startswith("/") else "volume"
