"""One Docker Engine that nodes of a stack are on, as it is before the update."""

from __future__ import annotations

import re
import socket
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

from components.errors import DockerError
from components.nodes.docker.endpoint import Endpoint, Located, connect, endpoint_of, get_endpoint
from components.nodes.docker.image import describe_missing, find_image
from components.settings import HostSettings, reached_at

__all__ = ["DockerHost"]

UNNAMED: Final = ""
"""The host of a stack whose settings have no hosts: the engine that `docker` uses."""


@dataclass(frozen=True)
class DockerHost:
    """An engine, and how others reach what it publishes. It is asked once for each thing that is on it."""

    name: str
    """As the settings have it; empty for the engine that `docker` uses."""
    declared: HostSettings | None
    """None for the engine that `docker` uses."""
    bind_address: str
    """On which it publishes ports."""

    @cached_property
    def endpoint(self) -> Endpoint:
        """Return where the engine is reached.

        Raises:
            DockerError: a context does not exist.
        """
        return endpoint_of(self.name, self.declared) if self.declared else get_endpoint()

    @property
    def address(self) -> str:
        """Return where clients, and nodes on other hosts, reach what is published."""
        return self.declared.address if self.declared else reached_at(self.bind_address)

    @property
    def on(self) -> str:
        """Return ` on <host>`, for messages; nothing where no setting names hosts."""
        return f" on {self.name}" if self.name else ""

    def locate(self, name: str) -> Located:
        """Return a container or a volume of this engine."""
        return Located(name, self.endpoint if self.declared else None)

    @cached_property
    def client(self) -> Any:
        """Return a client of the engine.

        Raises:
            DockerError: it does not answer.
        """
        try:
            return connect(self.endpoint)
        except DockerError as silence:
            remedy = "let DOCKER_HOST name one" if not self.declared else f"correct citus:hosts.{self.name}"
            msg = f"{silence}: start it, or {remedy}; `{self.endpoint.command} info` tells whether it is reached"
            raise DockerError(msg) from None

    @cached_property
    def info(self) -> dict[str, Any]:
        """Return what the engine says of itself."""
        return dict(self.client.info())

    @cached_property
    def behind(self) -> float:
        """Return by how many seconds its clock is behind this machine's."""
        said = datetime.fromisoformat(re.sub(r"\.\d+", "", str(self.client.info()["SystemTime"])))
        return (datetime.now(UTC) - said).total_seconds()

    @cached_property
    def id(self) -> str:
        """Return the engine's own id, by whatever address it is reached."""
        return str(self.info["ID"])

    @cached_property
    def containers(self) -> dict[str, dict[str, Any]]:
        """Return all containers by their names."""
        listed = self.client.api.containers(all=True)
        return {name.removeprefix("/"): container for container in listed for name in container["Names"] or ()}

    @cached_property
    def volumes(self) -> dict[str, dict[str, Any]]:
        """Return all volumes by their names."""
        return {volume["Name"]: volume for volume in self.client.api.volumes()["Volumes"] or ()}

    @cached_property
    def networks(self) -> dict[str, dict[str, Any]]:
        """Return all networks by their names."""
        return {network["Name"]: network for network in self.client.api.networks()}

    def refuse_image(self, setting: str, image: str) -> list[str]:
        """Return a line where the engine can neither use nor pull an image."""
        refusal = refuse_image(self.client, image)
        if not refusal:
            return []
        who = f"the engine of host {self.name}" if self.name else "the engine"
        return [describe_missing(setting, image, refusal, who)]

    def refuse_port(self, setting: str, port: int, container: str) -> list[str]:
        """Return a line where a port cannot be published for a container."""
        ours = self.containers.get(container, {}).get("Ports") or ()
        if (self.bind_address, port) in [(it.get("IP"), it.get("PublicPort")) for it in ours]:
            return []
        why = self._refusal_to_bind(port) or self._user_of(port, container)
        if not why:
            return []
        path = "--path " if "." in setting else ""
        msg = (
            f"citus:{setting} = {port}: cannot be published on {self.bind_address}{self.on} ({why}): "
            f"choose a free one with `pulumi config set {path}{setting} …`, or stop what uses it"
        )
        return [msg]

    def _user_of(self, port: int, container: str) -> str:
        """Return which other container publishes a port on an address that ours takes, too."""
        everywhere = ("0.0.0.0", "::")  # noqa: S104
        for name, other in self.containers.items():
            for used in other.get("Ports") or ():
                address = used.get("IP")
                meets = address == self.bind_address or address in everywhere or self.bind_address in everywhere
                if name != container and used.get("PublicPort") == port and meets and other["State"] == "running":
                    return f"the container {name} does"
        return ""

    def _refusal_to_bind(self, port: int) -> str:
        """Return why this machine cannot bind a port; nothing where the engine is on another one."""
        if self.declared or self.endpoint.get_remote_addresses() is not None:
            return ""
        family = socket.AF_INET6 if ":" in self.bind_address else socket.AF_INET
        with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.bind_address, port))
            except PermissionError:
                return ""  # A low port, which the engine may bind and we may not.
            except OSError as error:
                return error.strerror or str(error)
        return ""


def refuse_image(client: Any, image: str) -> str:
    """Return why an engine can neither use nor pull an image; nothing where it can."""
    import docker as sdk  # noqa: PLC0415 - slow to import, and unit tests do without

    if find_image(client, image) is None:
        try:
            client.images.get_registry_data(image)
        except sdk.errors.APIError as error:
            return str(error.explanation)
    return ""
