"""A look at the Docker Engine before anything is touched, and the clearing away of a stack's own leftovers.

With endpoint.py, image.py and logs.py the only user of the Docker SDK; declares no resource.
"""

from __future__ import annotations

import ipaddress
import socket
from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import pulumi

from components.access import Server
from components.database.connections import find_accepted
from components.database.live import LiveCluster, get_extension_version, look_at
from components.errors import DockerError, IdentityError
from components.logs import Log
from components.nodes.docker.endpoint import Endpoint, connect, get_endpoint
from components.nodes.docker.image import FoundNodes, Verdict, find_image, look_into
from components.nodes.docker.pooler import get_container_names, get_pooler_ports
from components.nodes.docker.ready import STOP_SECONDS, wait_for_server
from components.nodes.docker.shape import POSTGRES_PORT, Shape, get_shape, get_shared_buffers
from components.nodes.docker.volumes import CLUSTER, MANAGED_BY, owner_of, volume_name
from components.nodes.look import Look
from components.nodes.node import node_names
from components.nodes.passfile import find_passwords
from components.nodes.server_settings import choose_shared_buffers
from components.nodes.versions import get_newest_postgres
from components.resources.remains import Remnant, Remnants
from components.schema.needs import KnownServer, parse_release
from components.settings import reached_at
from components.stack_config import get_engine_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.access import Access
    from components.nodes.runtime import Nodes
    from components.settings import Settings

__all__ = ["STOP_SECONDS", "Engine"]


class Engine:
    """The Docker Engine as it is before the update: what is there, and whether it stands in the way.

    What bears this stack's label may be replaced; what does not is never touched.
    """

    def __init__(self, stack: str, adopt: str = "") -> None:
        self.stack = stack
        self.verdict: Verdict | None = None
        """What containers are to be made with, once `look` has looked."""
        self.shapes: dict[str, Shape] = {}
        """What each container is to be made with, once `look` has looked."""
        self.remade: dict[str, str] = {}
        """Containers that are there and have to be made again, with the reason: not all at the same time."""
        self._adopt = adopt
        self._declared: list[str] = []
        """Names of the containers that the settings declare, once `look` has looked."""
        self._cut_off: list[str] = []

    @classmethod
    def open(cls, stack: str, settings: Settings) -> Self:
        """Return the engine on which a stack lives."""
        return cls(stack, settings.adopt)

    def expect(self, settings: Settings) -> KnownServer:
        """Return the newest PostgreSQL that the image can have, and its Citus, by its name."""
        newest, citus = get_newest_postgres(settings.image), parse_release(settings.image.rpartition(":")[2])
        release = citus if newest else None  # the tag of another image is not the version of Citus
        return KnownServer(f"the image {settings.image}", newest, roles=frozenset({settings.user}), citus=release)

    def log(self, settings: Settings, node: str) -> Log:
        """Return where a node's log is."""
        return Log("docker", node)

    def declare(
        self,
        name: str,
        settings: Settings,
        cluster_id: pulumi.Output[str],
        access: Access,
        opts: pulumi.ResourceOptions,
    ) -> Nodes:
        """Declare the nodes as containers."""
        from components.nodes.docker.resources import DockerNodes  # noqa: PLC0415 - pulumi_docker is slow to import

        return DockerNodes(name, settings, self, cluster_id, access, opts)

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

    @cached_property
    def id(self) -> str:
        """Return the engine's own id, by whatever address it is reached."""
        return str(self._info["ID"])

    @cached_property
    def _info(self) -> dict[str, Any]:
        return dict(self.client.info())

    @staticmethod
    def why_not(image: str) -> str:
        """Return why containers of that image cannot run: no engine answers, or it cannot have the image. Else nothing."""
        try:
            refusal = _refusal(connect(get_endpoint()), image)
        except DockerError as silence:
            return str(silence)
        return f"the Docker Engine does not have the image {image} and cannot pull it ({refusal})" if refusal else ""

    def check(self, settings: Settings) -> None:
        """Look for what makes any update fail, whatever the state says.

        Raises:
            DockerError: with one line for each obstacle: what it is, and what removes it.
        """
        if others := get_engine_settings():
            msg = (
                f"{', '.join(others)} is set for this stack, which lives on the engine that `docker` uses: remove it with "
                "`pulumi config rm`, and let DOCKER_HOST, DOCKER_CONTEXT or `docker context use` name the engine"
            )
            raise DockerError(msg)
        problems = self._image("image", settings.image)
        if settings.pooler:
            problems += self._image("pooler.image", settings.pooler.image)
        if problems:
            raise DockerError("\n".join(problems))

    def look(self, settings: Settings) -> Look:
        """Return what is there already: the engine's things, and the cluster where its coordinator runs."""
        names, self._declared = node_names(settings), get_container_names(settings)
        networks = {network["Name"]: network for network in self.client.api.networks()}
        live = self._live(settings, names[0])
        self.verdict = self._look_into_image(settings)
        self._look_into_containers(settings, names)
        ports = self._port(settings, "port", settings.port, names[0])
        for number, (name, port) in enumerate(get_pooler_ports(settings).items()):
            ports += self._port(settings, "workerPorts" if number else "pooler.port", port, name)
        obstacles = (*self._moved(settings), *ports, *self.verdict.problems)
        return Look(
            Remnants(
                (
                    *_remnants("container", self._containers, self._declared),
                    *_remnants("volume", self._volumes, [volume_name(name) for name in names]),
                    *_remnants("network", networks, [settings.network]),
                )
            ),
            live,
            obstacles,
            live.server if live else self.verdict.server,
            self.id,
            self.remade,
        )

    def _look_into_containers(self, settings: Settings, names: list[str]) -> None:
        """Find out what each container is to be made with, and which of those that are there have to be made again."""
        there = {
            name: self.client.api.inspect_container(self._containers[name]["Id"])
            for name in names
            if name in self._containers and owner_of(self._containers[name]["Labels"])
        }
        if settings.memory_bytes:
            shared_buffers = choose_shared_buffers(settings.memory_bytes)
        elif there and not next(iter(there.values()))["HostConfig"]["Memory"]:
            shared_buffers = get_shared_buffers(next(iter(there.values())))
        else:
            shared_buffers = choose_shared_buffers(self._info["MemTotal"] // len(names))
        images = {container["Image"]: self._image_after(settings, container["Image"]) for container in there.values()}
        for name in names:
            shape = get_shape(settings, shared_buffers, of_coordinator=name == names[0])
            self.shapes[name] = shape
            if name in there:
                differences = list(shape.differences(there[name], images[there[name]["Image"]]))
                self.remade.update({name: "; ".join(differences)} if differences else {})

    def _image_after(self, settings: Settings, now: str) -> str | None:
        """Return the id of the image that containers of an image have after the update; None where it is to be pulled.

        Pulumi compares the name of an image. One without a name was that name's until it was pulled again: it stays.
        """
        wanted = find_image(self.client, settings.image)
        was = find_image(self.client, now)
        if was is not None and not was.tags:
            return now
        return str(wanted.id) if wanted is not None else None

    def keeps(self, name: str) -> bool:
        """Tell whether a node's container is there, and stays."""
        return name in self.shapes and name in self._containers and name not in self.remade

    def _live(self, settings: Settings, coordinator: str) -> LiveCluster | None:
        server = self._server(settings, coordinator)
        return look_at(server, *find_passwords(settings, f"docker:{coordinator}")) if server else None

    def _server(self, settings: Settings, coordinator: str) -> Server | None:
        """Return where the coordinator is reached now; None where it does not run."""
        container = self._containers.get(coordinator)
        if container is None or container["State"] != "running" or not owner_of(container["Labels"]):
            return None
        for port in container["Ports"] or ():
            if port["PrivatePort"] == POSTGRES_PORT and port.get("PublicPort"):
                host = reached_at(port["IP"])
                return Server(coordinator, host, port["PublicPort"], settings.database, settings.user)
        return None

    def _look_into_image(self, settings: Settings) -> Verdict:
        """Compare the image with the data that it is to be put on, and return what containers are to be made with."""
        coordinator = node_names(settings)[0]
        names = [name for name in node_names(settings) if volume_name(name) in self._volumes]
        there = {name: self._containers[name] for name in names if name in self._containers}
        nodes = FoundNodes(
            {volume_name(name): there[name]["Id"] if name in there else None for name in names},
            frozenset(container["ImageID"] for container in there.values()),
        )
        return look_into(
            self.client, settings.image, settings.locale, nodes, lambda: self._ask_extension(settings, coordinator)
        )

    def _ask_extension(self, settings: Settings, coordinator: str) -> str:
        server = self._server(settings, coordinator)
        return get_extension_version(server, *find_passwords(settings, f"docker:{coordinator}")) if server else ""

    @cached_property
    def _containers(self) -> dict[str, dict[str, Any]]:
        listed = self.client.api.containers(all=True)
        return {name.removeprefix("/"): container for container in listed for name in container["Names"] or ()}

    @cached_property
    def _volumes(self) -> dict[str, dict[str, Any]]:
        return {volume["Name"]: volume for volume in self.client.api.volumes()["Volumes"] or ()}

    def _moved(self, settings: Settings) -> list[str]:
        """Refuse another prefix while a cluster that was made before there were ids has data under the old one."""
        expected = volume_name(node_names(settings)[0])
        suffix = expected.removeprefix(settings.name_prefix)
        return [
            f"citus:namePrefix = {settings.name_prefix!r}: changing it would leave this stack's volumes behind ({name}, …). Set "
            f"{name.removesuffix(suffix)!r} back, or start another stack"
            for name, volume in self._volumes.items()
            if name != expected and name.endswith(suffix) and volume.get("Labels") == {MANAGED_BY: self.stack}
        ]

    def _port(self, settings: Settings, setting: str, port: int, container: str) -> list[str]:
        addresses = self.endpoint.get_remote_addresses()
        if addresses is not None:
            return self._remote_port(settings, addresses) if setting == "port" else []
        ours = self._containers.get(container, {}).get("Ports") or ()
        if (settings.bind_address, port) in [(it.get("IP"), it.get("PublicPort")) for it in ours]:
            return []
        family = socket.AF_INET6 if ":" in settings.bind_address else socket.AF_INET
        with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.bind_address, port))
            except PermissionError:
                return []  # A low port, which the engine may bind and we may not.
            except OSError as error:
                path = "--path " if "." in setting else ""
                msg = (
                    f"citus:{setting} = {port}: cannot be published on {settings.bind_address} ({error.strerror}): "
                    f"choose a free one with `pulumi config set {path}{setting} …`, or stop what uses it"
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

    def _image(self, setting: str, image: str) -> list[str]:
        refusal = _refusal(self.client, image)
        if not refusal:
            return []
        msg = (
            f"citus:{setting} = {image!r}: the engine does not have it and cannot pull it ({refusal}): correct the name, log in "
            "to its registry, or load the image"
        )
        return [msg]

    def make_room(self, kind: str, name: str) -> Callable[[pulumi.ResourceHookArgs], None]:
        """Return what to do right before a resource is created: clear away this cluster's own leftovers of that name.

        Something of that name exists only where Pulumi does not know of it: its state was lost, or a run was killed.
        A container goes and comes back on its volume; a volume stays as it is, with all data. A preview only looks.
        """
        clear = {
            "container": self._clear_container,
            "network": self._clear_network,
            "volume": self._clear_volume,
        }[kind]

        def hook(args: pulumi.ResourceHookArgs) -> None:
            import docker as sdk  # noqa: PLC0415

            declared = {label["label"]: label["value"] for label in (args.new_inputs or {}).get("labels") or ()}
            try:
                clear(
                    name, owner_of(declared) or self._adopt
                )  # a preview does not know the id of a cluster that is new to it
            except sdk.errors.NotFound:
                return

        return hook

    def _clear_container(self, name: str, owner: str) -> None:
        container = self.client.containers.get(name)
        self._refuse_others("container", name, container.labels, owner)
        if pulumi.runtime.is_dry_run():
            return
        pulumi.log.info(f"container {name} is part of this cluster, but not in the state: replaced, on the same volume")
        container.stop(timeout=STOP_SECONDS)
        container.remove(v=False, force=True)

    def _clear_network(self, name: str, owner: str) -> None:
        for found in self.client.networks.list(names=[name]):
            if found.name != name:
                continue
            self._refuse_others("network", name, found.attrs.get("Labels"), owner)
            found.reload()
            for container in found.containers:
                self._refuse_others("container", container.name, container.labels, owner)
            if pulumi.runtime.is_dry_run():
                continue
            for container in found.containers:
                if container.name in self._declared:  # made again in any case, and slow to stop once it is cut off
                    self._clear_container(container.name, owner)
                else:
                    self._cut_off.append(container.name)
                    found.disconnect(container, force=True)
            found.remove()

    def reconnect(self, network: str) -> Callable[[pulumi.ResourceHookArgs], None]:
        """Return what to do once the network is there again: connect the containers that lost it, for they hold data."""

        def hook(_args: pulumi.ResourceHookArgs) -> None:
            import docker as sdk  # noqa: PLC0415

            for name in self._cut_off:
                try:
                    self.client.networks.get(network).connect(name, aliases=[name])
                except sdk.errors.NotFound:  # replaced meanwhile
                    continue

        return hook

    def await_server(self, name: str, timeout: float) -> Callable[[pulumi.ResourceHookArgs], None]:
        """Return what to do once a node's container was made again: wait, and let the others wait, until its server is there."""
        return lambda _args: wait_for_server(name, timeout)

    def await_pooler(self, settings: Settings, name: str, port: int) -> Callable[[pulumi.ResourceHookArgs], None]:
        """Return what to do once a pooler was made: wait until it lets the stack's user in."""

        def hook(_args: pulumi.ResourceHookArgs) -> None:
            host, log = reached_at(settings.bind_address), Log("docker", name)
            server = Server(name, host, port, settings.database, settings.user, log)
            if find_accepted(server, [settings.password.get_secret_value()], settings.ready_timeout) is None:
                msg = f"{server} does not let {settings.user} in, as its node does{server.hint()}"
                raise DockerError(msg)

        return hook

    def _clear_volume(self, name: str, owner: str) -> None:
        found = self.client.volumes.get(name)
        self._refuse_others("volume", name, found.attrs.get("Labels"), owner)
        pulumi.log.info(f"volume {name} is part of this cluster, but not in the state: adopted with its data")

    def _refuse_others(self, kind: str, name: str, labels: dict[str, str] | None, owner: str) -> None:
        found = owner_of(labels)
        if found is None:
            setting = "citus:network" if kind == "network" else "citus:namePrefix"
            msg = (
                f"{kind} {name} exists and is not this stack's ({self.stack}): it is left alone. Choose another {setting}, "
                "or remove it yourself"
            )
            raise DockerError(msg)
        if not owner and found == self.stack:
            return  # made before clusters had ids: a preview cannot tell whether the state knows it, the update can
        if found != owner:
            msg = (
                f"{kind} {name} is part of the cluster {found}, and not of this stack's ({self.stack}): it is left alone. "
                f"Choose another citus:namePrefix; or, if the state of that cluster was lost, take it over with all its "
                f"data: pulumi config set adopt {found}"
            )
            raise IdentityError(msg)


def _remnants(kind: str, found: dict[str, dict[str, Any]], declared: list[str]) -> list[Remnant]:
    return [
        Remnant(
            f"{kind} {name}",
            owner_of(thing.get("Labels")),
            name in declared,
            CLUSTER not in (thing.get("Labels") or {}),
        )
        for name, thing in sorted(found.items())
        if name in declared or owner_of(thing.get("Labels"))
    ]


def _refusal(client: Any, image: str) -> str:
    """Return why the engine can neither use nor pull the image; nothing where it can."""
    import docker as sdk  # noqa: PLC0415

    if find_image(client, image) is None:
        try:
            client.images.get_registry_data(image)
        except sdk.errors.APIError as error:
            return str(error.explanation)
    return ""
