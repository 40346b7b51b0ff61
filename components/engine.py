"""A look at the Docker Engine before anything is touched, and the clearing away of a stack's own leftovers.

With logs.py the only user of the Docker SDK; never talks to a database, declares no resource.
"""

from __future__ import annotations

import ipaddress
import socket
from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import pulumi

from components.endpoint import Endpoint, connect, get_endpoint
from components.errors import DockerError
from components.image import Nodes, Verdict, look_into
from components.live import get_extension_version
from components.nodes import node_names
from components.settings import get_engine_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from components.settings import Settings

__all__ = ["MANAGED_BY", "POSTGRES_PORT", "STOP_SECONDS", "Engine", "volume_name"]

POSTGRES_PORT: Final = 5432
STOP_SECONDS: Final = 60
"""How long a node may take to shut down by itself before Docker kills it."""
MANAGED_BY: Final = "citus-pulumi.stack"
"""Label of everything that a stack makes; its value is the stack's full name."""


def volume_name(container_name: str) -> str:
    """Return the name of the volume that holds a container's data folder."""
    return f"{container_name}_data"


class Engine:
    """The Docker Engine as it is before the update: what is there, and whether it stands in the way.

    What bears this stack's label may be replaced; what does not is never touched.
    """

    def __init__(self, stack: str) -> None:
        self.stack = stack
        self.verdict: Verdict | None = None
        """What containers are to be made with, once `check` has looked."""

    @cached_property
    def client(self) -> Any:
        """Return a client of the engine that the environment names.

        Raises:
            DockerError: no engine answers.
        """
        endpoint = self.endpoint
        try:
            return connect(endpoint)
        except DockerError as silence:
            msg = f"{silence}: start it, or let DOCKER_HOST name one; `docker info` tells whether it is reached"
            raise DockerError(msg) from None

    @cached_property
    def endpoint(self) -> Endpoint:
        """Return where the engine is reached.

        Raises:
            DockerError: the environment names a context that does not exist.
        """
        return get_endpoint()

    @staticmethod
    def why_not(image: str) -> str:
        """Return why containers of that image cannot run: no engine answers, or it cannot have the image. Else nothing."""
        try:
            refusal = _refusal(connect(get_endpoint()), image)
        except DockerError as silence:
            return str(silence)
        return f"the Docker Engine does not have the image {image} and cannot pull it ({refusal})" if refusal else ""

    def check(self, settings: Settings) -> None:
        """Look for all that would make the update fail half-way.

        Raises:
            DockerError: with one line for each obstacle: what it is, and what removes it.
        """
        if others := get_engine_settings():
            msg = (
                f"{', '.join(others)} is set for this stack, which lives on the engine that `docker` uses: remove it with "
                "`pulumi config rm`, and let DOCKER_HOST, DOCKER_CONTEXT or `docker context use` name the engine"
            )
            raise DockerError(msg)
        listed = self.client.api.containers(all=True)
        containers = {name.removeprefix("/"): container for container in listed for name in container["Names"] or ()}
        volumes = {volume["Name"]: volume for volume in self.client.api.volumes()["Volumes"] or ()}
        names = node_names(settings)
        problems = [
            f"{kind} {name} exists and is not this stack's ({self.stack}): it is left alone. Choose another "
            "citus:namePrefix, or remove it yourself"
            for kind, wanted, found in (
                ("container", names, containers),
                ("volume", map(volume_name, names), volumes),
            )
            for name in wanted
            if name in found and not self._is_ours(found[name].get("Labels"))
        ]
        problems += self._moved(settings, volumes)
        published = [
            (port.get("IP"), port.get("PublicPort"))
            for container in containers.values()
            if self._is_ours(container["Labels"])
            for port in container["Ports"] or ()
        ]
        if (settings.bind_address, settings.port) not in published or self.endpoint.name:
            problems += self._port(settings)
        refused = self._image(settings.image)
        problems += refused
        if not problems:
            problems += self._look_into_image(settings, containers, volumes)
        if problems:
            raise DockerError("\n".join(problems))

    def _look_into_image(
        self, settings: Settings, containers: Mapping[str, Any], volumes: Mapping[str, Any]
    ) -> tuple[str, ...]:
        """Compare the image with the data that it is to be put on, and keep what containers are to be made with."""
        names = [name for name in node_names(settings) if volume_name(name) in volumes]
        held = {volume_name(name): containers[name]["Id"] if name in containers else None for name in names}
        images = frozenset(containers[name]["ImageID"] for name in names if name in containers)
        self.verdict = look_into(
            self.client, settings.image, settings.locale, Nodes(held, images), lambda: _ask(settings)
        )
        return self.verdict.problems

    def _is_ours(self, labels: dict[str, str] | None) -> bool:
        return (labels or {}).get(MANAGED_BY) == self.stack

    def _moved(self, settings: Settings, volumes: dict[str, Any]) -> list[str]:
        """Refuse another prefix while there is data under the old one: renaming a volume would delete it."""
        expected = volume_name(node_names(settings)[0])
        suffix = expected.removeprefix(settings.name_prefix)
        return [
            f"citus:namePrefix = {settings.name_prefix!r}: this stack's data lies in {name} and its like, which another "
            f"prefix would delete: set {name.removesuffix(suffix)!r} back, or start another stack"
            for name, volume in volumes.items()
            if name != expected and name.endswith(suffix) and self._is_ours(volume.get("Labels"))
        ]

    def _port(self, settings: Settings) -> list[str]:
        addresses = self.endpoint.get_remote_addresses()
        if addresses is not None:
            return self._remote_port(settings, addresses)
        family = socket.AF_INET6 if ":" in settings.bind_address else socket.AF_INET
        with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.bind_address, settings.port))
            except PermissionError:
                return []  # A low port, which the engine may bind and we may not.
            except OSError as error:
                msg = (
                    f"citus:port = {settings.port}: cannot be published on {settings.bind_address} ({error.strerror}): "
                    "choose a free one with `pulumi config set port …`, or stop what uses it"
                )
                return [msg]
        return []

    def _remote_port(self, settings: Settings, addresses: list[str]) -> list[str]:
        """Refuse to publish on another machine's loopback, or on all its addresses, where this program would not find it."""
        bound = ipaddress.ip_address(settings.bind_address)
        if not (bound.is_loopback or bound.is_unspecified):
            return []
        known = (
            f"{' or '.join(addresses)}, by `pulumi config set bindAddress {addresses[0]}`"
            if addresses
            else "its IP address"
        )
        msg = (
            f"citus:bindAddress = {settings.bind_address!r}: the Docker Engine ({self.endpoint.host}) is on another machine, "
            f"whose coordinator would not be reached from here: set the address of that machine: {known}"
        )
        return [msg]

    def _image(self, image: str) -> list[str]:
        refusal = _refusal(self.client, image)
        if not refusal:
            return []
        msg = (
            f"citus:image = {image!r}: the engine does not have it and cannot pull it ({refusal}): correct the name, log in "
            "to its registry, or load the image"
        )
        return [msg]

    def make_room(self, kind: str, name: str) -> Callable[[pulumi.ResourceHookArgs], None]:
        """Return what to do right before a resource is created: clear away this stack's own leftovers of that name.

        Something of that name exists only where Pulumi does not know of it: its state was lost, or a run was killed.
        A container goes and comes back on its volume; a volume stays as it is, with all data.
        """
        clear = getattr(self, f"_clear_{kind}")

        def hook(_args: pulumi.ResourceHookArgs) -> None:
            import docker as sdk  # noqa: PLC0415

            try:
                clear(name)
            except sdk.errors.NotFound:
                return

        return hook

    def _clear_container(self, name: str) -> None:
        container = self.client.containers.get(name)
        self._refuse_foreign("container", name, container.labels, "citus:namePrefix")
        pulumi.log.info(f"container {name} is this stack's, but not in its state: replaced, on the same volume")
        container.stop(timeout=STOP_SECONDS)
        container.remove(v=False, force=True)

    def _clear_network(self, name: str) -> None:
        for found in self.client.networks.list(names=[name]):
            if found.name != name:
                continue
            self._refuse_foreign("network", name, found.attrs.get("Labels"), "citus:network")
            found.reload()
            for container in found.containers:
                self._clear_container(container.name)
            found.remove()

    def _clear_volume(self, name: str) -> None:
        found = self.client.volumes.get(name)
        self._refuse_foreign("volume", name, found.attrs.get("Labels"), "citus:namePrefix")
        pulumi.log.info(f"volume {name} is this stack's, but not in its state: adopted with its data")

    def _refuse_foreign(self, kind: str, name: str, labels: dict[str, str] | None, setting: str) -> None:
        if not self._is_ours(labels):
            msg = (
                f"{kind} {name} exists and is not this stack's ({self.stack}): it is left alone. Choose another {setting}, "
                "or remove it yourself"
            )
            raise DockerError(msg)


def _ask(settings: Settings) -> str:
    """Return the version of the extension citus in the running cluster; nothing where it does not answer."""
    from components.postgres import Server  # noqa: PLC0415 - only where the image is another one

    coordinator = node_names(settings)[0]
    where = (coordinator, settings.host, settings.port, settings.database, settings.user)
    return get_extension_version(Server(*where, log=f"docker:{coordinator}"), settings.password.get_secret_value())


def _refusal(client: Any, image: str) -> str:
    """Return why the engine can neither use nor pull the image; nothing where it can."""
    import docker as sdk  # noqa: PLC0415

    try:
        client.images.get(image)
    except sdk.errors.ImageNotFound:
        try:
            client.images.get_registry_data(image)
        except sdk.errors.APIError as error:
            return str(error.explanation)
    return ""
