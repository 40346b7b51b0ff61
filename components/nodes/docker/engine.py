"""A look at the Docker Engines before anything is touched, and the clearing away of a stack's own leftovers.

A stack without hosts has one engine. Declares no resource.
"""

from __future__ import annotations

import ipaddress
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self

import pulumi

from components.access import Server
from components.database.connections import find_accepted
from components.database.live import LiveCluster, get_extension_version, look_at
from components.errors import DockerError, IdentityError
from components.logs import Log
from components.nodes.docker.backup_image import get_base, is_as_built, needs_backups
from components.nodes.docker.endpoint import connect, get_endpoint
from components.nodes.docker.host import UNNAMED, DockerHost, refuse_image
from components.nodes.docker.image import FoundNodes, Verdict, find_image, look_into
from components.nodes.docker.pooler import get_container_names, get_pooler_ports
from components.nodes.docker.ready import STOP_SECONDS, wait_for_server
from components.nodes.docker.shape import POSTGRES_PORT, Shape, get_shape, get_shared_buffers, verifies
from components.nodes.docker.volumes import CLUSTER, MANAGED_BY, owner_of, volume_name
from components.nodes.keypairs import find_authority
from components.nodes.locales import DEFAULT_LOCALE
from components.nodes.look import Look
from components.nodes.node import is_schedule, node_names, pooler_name
from components.nodes.passfile import find_passwords
from components.nodes.restoring import decide
from components.nodes.returning import Returning, find_returning
from components.nodes.server_settings import choose_shared_buffers
from components.nodes.versions import get_newest_postgres
from components.resources.remains import Remnant, Remnants
from components.schema.needs import KnownServer, parse_release
from components.settings import COORDINATOR, reached_at
from components.stack_config import get_engine_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from components.access import Access
    from components.nodes.runtime import Nodes
    from components.resources.certificates import CertificateAuthority
    from components.settings import Settings

__all__ = ["STOP_SECONDS", "Engine"]

_SEVERAL: Final = 2
_NODE_MB: Final = 200
"""What a node without rows takes on the disk, with its first write-ahead log."""
_CLOCK_SECONDS: Final = 30
"""By how much the clocks of two hosts may differ."""


class Engine:
    """The Docker Engines as they are before the update: what is there, and whether it stands in the way.

    What bears this stack's label may be replaced; what does not is never touched.
    """

    def __init__(self, stack: str, settings: Settings) -> None:
        self.stack = stack
        self.hosts: dict[str, DockerHost] = {
            name: DockerHost(name, declared, declared.bind_address) for name, declared in settings.hosts.items()
        } or {UNNAMED: DockerHost(UNNAMED, None, settings.bind_address)}
        """By name; the only one has no name where the settings have no hosts."""
        self.shapes: dict[str, Shape] = {}
        """What each container is to be made with, once `look` has looked."""
        self.remade: dict[str, str] = {}
        """Containers that are there and have to be made again, with the reason: not all at the same time."""
        self.restores = False
        """Whether nodes are made of a backup, once `look` has looked."""
        self.returning = Returning()
        """Workers that are made of their own backup, once `look` has looked."""
        self._settings = settings
        self._names = node_names(settings)
        self._dealt = settings.deal_out({})
        self._verdicts: dict[str, Verdict] = {}
        self._inspected: dict[str, Mapping[str, Any]] = {}
        """This stack's containers of nodes, as their engines describe them, once `look` has looked."""
        self._cut_off: dict[str, list[str]] = {}
        """Containers that lost their network, by the host."""

    def host_of(self, name: str) -> DockerHost:
        """Return the host of a node, its pooler, or the schedule: where it is, once `look` has looked, or where it is to be."""
        node = self._names[0] if is_schedule(name) else name.removesuffix(pooler_name(""))
        return self.hosts[self._dealt.get(self._settings.nodes[self._names.index(node)], UNNAMED)]

    @property
    def coordinator(self) -> DockerHost:
        """Return the host of the coordinator."""
        return self.host_of(self._names[0])

    def verdict_of(self, name: str) -> Verdict:
        """Return what a node's container is to be made with."""
        return self._verdicts.get(self.host_of(name).name) or Verdict(self._settings.locale or DEFAULT_LOCALE)

    @classmethod
    def open(cls, stack: str, settings: Settings) -> Self:
        """Return the engine on which a stack lives."""
        return cls(stack, settings)

    def expect(self, settings: Settings) -> KnownServer:
        """Return the newest PostgreSQL that the image can have, and its Citus, by its name."""
        newest, citus = get_newest_postgres(settings.image), parse_release(settings.image.rpartition(":")[2])
        release = citus if newest else None  # the tag of another image is not the version of Citus
        return KnownServer(f"the image {settings.image}", newest, roles=frozenset({settings.user}), citus=release)

    def log(self, settings: Settings, node: str) -> Log:
        """Return where a node's log is."""
        return self.log_of(node)

    def log_of(self, name: str) -> Log:
        """Return where the log of a node, or of its pooler, is."""
        return Log("docker", str(self.host_of(name).locate(name)))

    def declare(
        self,
        name: str,
        settings: Settings,
        cluster_id: pulumi.Output[str],
        access: Access,
        authority: CertificateAuthority | None,
        opts: pulumi.ResourceOptions,
    ) -> Nodes:
        """Declare the nodes as containers."""
        from components.nodes.docker.resources import DockerNodes  # noqa: PLC0415 - pulumi_docker is slow to import

        return DockerNodes(name, settings, self, cluster_id, access, authority, opts)

    @staticmethod
    def why_not(image: str) -> str:
        """Return why containers of that image cannot run: no engine answers, or it cannot have the image. Else nothing."""
        try:
            refusal = refuse_image(connect(get_endpoint()), image)
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
        problems = [
            line
            for setting, image, names in self._images(settings)
            for host in self._hosts_of(names)
            for line in host.refuse_image(setting, image)
        ]
        if problems:
            raise DockerError("\n".join(problems))

    def _images(self, settings: Settings) -> list[tuple[str, str, list[str]]]:
        """Return each image with its setting, and with the containers that are made of it."""
        of_pooler = settings.pooler
        images = [("image", settings.image, self._names)]
        return [*images, *([("pooler.image", of_pooler.image, list(get_pooler_ports(settings)))] if of_pooler else [])]

    def _hosts_of(self, names: Iterable[str]) -> list[DockerHost]:
        return list(dict.fromkeys(map(self.host_of, names)))

    def look(self, settings: Settings) -> Look:
        """Return what is there already: the engines' things, and the cluster where its coordinator runs."""
        self._ask_all()
        unclear = list(self._find_nodes(settings))
        names = self._names
        live = self._live(settings)
        for host in self._hosts_of(names):
            self._verdicts[host.name] = self._look_into_image(settings, host)
            self._look_into_containers(settings, host)
        ports = self._refuse_ports(settings)
        there = [name for name in names if volume_name(name) in self.host_of(name).volumes]
        missing = [name for name in names if name not in there]
        self.restores, in_the_way = decide(settings, live, there, missing)
        if not self.restores:
            self.returning = find_returning(
                settings, live, {name: self.reached(name) for name in names}, tuple(missing)
            )
        verdicts = [
            f"host {name}: {problem}" if name else problem
            for name, verdict in self._verdicts.items()
            for problem in verdict.problems
        ]
        obstacles = (
            *unclear,
            *in_the_way,
            *self.returning.obstacles,
            *self._refuse_full_disks(),
            *self._refuse_less(settings),
            *self._refuse_clocks(),
            *self._moved(settings),
            *ports,
            *verdicts,
        )
        return Look(
            Remnants(tuple(remnant for host in self.hosts.values() for remnant in self._remnants(settings, host))),
            live,
            obstacles,
            live.server if live else self._verdicts[self.coordinator.name].server,
            self.coordinator.id,
            hosts=self._dealt if settings.hosts else None,
            restarts=self.remade,
            returning=self.returning.told,
        )

    def _ask_all(self) -> None:
        """Ask every engine at the same time.

        Raises:
            DockerError: with one line for each that does not answer, and for two hosts that are one engine.
        """

        def ask(host: DockerHost) -> str:
            try:
                _ = host.info, host.containers, host.volumes, host.networks
            except DockerError as silence:
                return str(silence)
            return ""

        with ThreadPoolExecutor(len(self.hosts)) as pool:
            silent = list(filter(None, pool.map(ask, self.hosts.values())))
        if silent:
            raise DockerError("\n".join(silent))
        known: dict[str, str] = {}
        for name, host in self.hosts.items():
            # Machines that were cloned have engines with the same id; this network is made when an engine starts.
            bridge = host.networks.get("bridge", {}).get("Id", name)
            if (other := known.setdefault(bridge, name)) != name:
                msg = (
                    f"citus:hosts.{other} and citus:hosts.{name} are the same engine: remove one, or correct its engine"
                )
                raise DockerError(msg)

    def _find_nodes(self, settings: Settings) -> Iterator[str]:
        """Find out on which hosts the nodes are; yield a line for each that cannot be told."""
        if not settings.hosts:
            return
        volume = volume_name(self._names[0])
        owners = {
            owner_of(host.volumes[volume].get("Labels")) for host in self.hosts.values() if volume in host.volumes
        }
        found: dict[str, str] = {}
        for node, name in zip(settings.nodes, self._names, strict=True):
            volume = volume_name(name)
            places = [
                host
                for host in self.hosts.values()
                if volume in host.volumes and owner_of(host.volumes[volume].get("Labels")) in owners - {None}
            ]
            running = [host for host in places if host.containers.get(name, {}).get("State") == "running"]
            places = running or places
            if node == COORDINATOR and places and settings.deal_out({})[node] not in [host.name for host in places]:
                yield (
                    f"citus:hostOf.{node} = {settings.host_of.get(node)!r}: its data is on {places[0].name}, and does not move: "
                    f"set {places[0].name!r} back"
                )
            elif len(places) > 1 and node not in settings.host_of:
                on = " and ".join(host.name for host in places)
                yield (
                    f"{node} has data on {on}: say which one it is on, by `pulumi config set --path hostOf.{node} …`"
                )
            elif places:
                found[node] = places[0].name
        self._dealt = settings.deal_out(found)

    def _refuse_less(self, settings: Settings) -> list[str]:
        """Refuse that nodes which verify each other no longer do: each would be refused by those that still do."""
        found = self._inspected.get(self._names[0])
        if settings.verifies or found is None or not verifies(found):
            return []
        msg = (
            f"citus:tls = {settings.tls!r}: the nodes of this cluster verify each other, and that is not taken back: "
            "`pulumi config set tls verify-full`"
        )
        return [msg]

    def _refuse_full_disks(self) -> Iterator[str]:
        """Yield a line for each host whose disk has no room for the nodes that are to be made there, where that was looked at."""
        for name, verdict in self._verdicts.items():
            host = self.hosts[name]
            new = [it for it in self._names if self.host_of(it) == host and volume_name(it) not in host.volumes]
            if verdict.free_mb is not None and verdict.free_mb < _NODE_MB * len(new):
                where = f"host {name}" if name else "the engine's disk"
                yield (
                    f"{where}: {verdict.free_mb} MB are free, and new nodes ({', '.join(new)}) need {_NODE_MB} MB each to begin "
                    "with: make room there, or put them elsewhere"
                )

    def _refuse_clocks(self) -> Iterator[str]:
        """Yield a line for each host whose clock is not that of the coordinator's host: certificates and locks have times."""
        if len(self.hosts) < _SEVERAL:
            return
        behind = {host.name: host.behind for host in self._hosts_of(self._names)}
        for name, seconds in behind.items():
            apart = seconds - behind[self.coordinator.name]
            if abs(apart) > _CLOCK_SECONDS:
                yield (
                    f"citus:hosts.{name}: its clock is {abs(apart):.0f} s {'behind' if apart > 0 else 'ahead of'} that of "
                    f"{self.coordinator.name}: let both keep the time (NTP)"
                )

    def _refuse_ports(self, settings: Settings) -> list[str]:
        ports = self._refuse_remote_loopback(settings) or [
            *self.coordinator.refuse_port("port", settings.port, self._names[0])
        ]
        if settings.spans:
            for name, port in list(zip(self._names, settings.ports_of_nodes, strict=False))[1:]:
                ports += self.host_of(name).refuse_port("nodePorts", port, name)
        for number, (name, port) in enumerate(get_pooler_ports(settings).items()):
            ports += self.host_of(name).refuse_port("workerPorts" if number else "pooler.port", port, name)
        return ports

    def _remnants(self, settings: Settings, host: DockerHost) -> Iterator[Remnant]:
        declared = [name for name in get_container_names(settings) if self.host_of(name) == host]
        volumes = [volume_name(name) for name in self._names if self.host_of(name) == host]
        networks = [settings.network] if declared else []
        yield from _remnants("container", host.containers, declared, host.on)
        yield from _remnants("volume", host.volumes, volumes, host.on)
        yield from _remnants("network", host.networks, networks, host.on)

    def _look_into_containers(self, settings: Settings, host: DockerHost) -> None:
        """Find out what each container of a host is to be made with, and which of those that are there have to be made again."""
        names = [name for name in self._names if self.host_of(name) == host]
        there = {
            name: host.client.api.inspect_container(host.containers[name]["Id"])
            for name in names
            if name in host.containers and owner_of(host.containers[name]["Labels"])
        }
        self._inspected |= there
        if settings.memory_bytes:
            shared_buffers = choose_shared_buffers(settings.memory_bytes)
        elif there and not next(iter(there.values()))["HostConfig"]["Memory"]:
            shared_buffers = get_shared_buffers(next(iter(there.values())))
        else:
            shared_buffers = choose_shared_buffers(host.info["MemTotal"] // len(names))
        images = {container["Image"]: _image_after(host, settings, container["Image"]) for container in there.values()}
        for name in names:
            shape = get_shape(settings, shared_buffers, of_coordinator=name == self._names[0])
            self.shapes[name] = shape
            if name in there:
                differences = list(shape.differences(there[name], images[there[name]["Image"]]))
                differences += self._differing_ports(name, there[name])
                self.remade.update({name: "; ".join(differences)} if differences else {})

    def _differing_ports(self, name: str, container: Mapping[str, Any]) -> Iterator[str]:
        """Yield how a container that is there is published otherwise."""
        bound = (container["HostConfig"]["PortBindings"] or {}).get(f"{POSTGRES_PORT}/tcp") or ()
        was = [(port["HostIp"], int(port["HostPort"])) for port in bound]
        now = self.published(name)
        if was != now:
            yield " -> ".join(
                ", ".join(f"{ip}:{port}" for ip, port in ports) or "not published" for ports in (was, now)
            )

    def published(self, name: str) -> list[tuple[str, int]]:
        """Return the address and port on which a node is published: the coordinator, and all where they are on several hosts."""
        host, number = self.host_of(name), self._names.index(name)
        published = [(host.bind_address, self._settings.ports_of_nodes[number])]
        return published if self._settings.spans or not number else []

    def reached(self, name: str) -> tuple[str, int]:
        """Return how other nodes reach a node."""
        if not self._settings.spans:
            return name, POSTGRES_PORT
        return self.host_of(name).address, self._settings.ports_of_nodes[self._names.index(name)]

    def keeps(self, name: str) -> bool:
        """Tell whether a node's container is there, and stays."""
        return name in self.shapes and name in self.host_of(name).containers and name not in self.remade

    def _live(self, settings: Settings) -> LiveCluster | None:
        server = self._server(settings)
        return look_at(server, *self._passwords(settings)) if server else None

    def _passwords(self, settings: Settings) -> Sequence[str]:
        return find_passwords(settings, f"docker:{self.coordinator.locate(self._names[0])}")

    def _server(self, settings: Settings) -> Server | None:
        """Return where the coordinator is reached now; None where it does not run."""
        host, coordinator = self.coordinator, self._names[0]
        container = host.containers.get(coordinator)
        if container is None or container["State"] != "running" or not owner_of(container["Labels"]):
            return None
        for port in container["Ports"] or ():
            if port["PrivatePort"] == POSTGRES_PORT and port.get("PublicPort"):
                address = host.address if host.declared else reached_at(port["IP"])
                server = Server(coordinator, address, port["PublicPort"], settings.database, settings.user)
                return replace(server, authority=self._find_authority() if settings.verifies else None)
        return None

    def _find_authority(self) -> str:
        """Return the certificate of the authority that the coordinator's container has; its engine is trusted."""
        return find_authority(f"docker:{self.coordinator.locate(self._names[0])}")

    def _look_into_image(self, settings: Settings, host: DockerHost) -> Verdict:
        """Compare the image with the data that it is to be put on, and return what a host's containers are to be made with."""
        names = [name for name in self._names if self.host_of(name) == host and volume_name(name) in host.volumes]
        there = {name: host.containers[name] for name in names if name in host.containers}
        nodes = FoundNodes(
            {volume_name(name): there[name]["Id"] if name in there else None for name in names},
            frozenset(get_base(host.client, container["ImageID"]) for container in there.values()),
        )
        # The coordinator's host is the first: all data has its locale.
        locale = next((verdict.locale for verdict in self._verdicts.values()), settings.locale)
        return look_into(host.client, settings.image, locale, nodes, lambda: self._ask_extension(settings))

    def _ask_extension(self, settings: Settings) -> str:
        server = self._server(settings)
        return get_extension_version(server, *self._passwords(settings)) if server else ""

    def _moved(self, settings: Settings) -> list[str]:
        """Refuse another prefix while a cluster that was made before there were ids has data under the old one."""
        expected = volume_name(node_names(settings)[0])
        suffix = expected.removeprefix(settings.name_prefix)
        return [
            f"citus:namePrefix = {settings.name_prefix!r}: changing it would leave this stack's volumes behind ({name}, …). Set "
            f"{name.removesuffix(suffix)!r} back, or start another stack"
            for name, volume in self.coordinator.volumes.items()
            if name != expected and name.endswith(suffix) and volume.get("Labels") == {MANAGED_BY: self.stack}
        ]

    def _refuse_remote_loopback(self, settings: Settings) -> list[str]:
        """Refuse to publish on another machine's loopback, or on all its addresses, where this program would not find it."""
        addresses = None if settings.hosts else self.coordinator.endpoint.get_remote_addresses()
        bound = ipaddress.ip_address(settings.bind_address)
        if addresses is None or not (bound.is_loopback or bound.is_unspecified):
            return []
        known = (
            f"{' or '.join(addresses)}, by `pulumi config set bindAddress {addresses[0]}`"
            if addresses
            else "its IP address"
        )
        msg = (
            f"citus:bindAddress = {settings.bind_address!r}: the Docker Engine ({self.coordinator.endpoint.host}) is on another "
            f"machine, whose coordinator would not be reached from here: set the address of that machine: {known}"
        )
        return [msg]

    def make_room(self, host: DockerHost, kind: str, name: str) -> Callable[[pulumi.ResourceHookArgs], None]:
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
                # A preview does not know the id of a cluster that is new to it.
                clear(host, name, owner_of(declared) or self._settings.adopt)
            except sdk.errors.NotFound:
                return

        return hook

    def _clear_container(self, host: DockerHost, name: str, owner: str) -> None:
        container = host.client.containers.get(name)
        self._refuse_others("container", name, container.labels, owner)
        if pulumi.runtime.is_dry_run():
            return
        pulumi.log.info(f"container {name} is part of this cluster, but not in the state: replaced, on the same volume")
        container.stop(timeout=STOP_SECONDS)
        container.remove(v=False, force=True)

    def _clear_network(self, host: DockerHost, name: str, owner: str) -> None:
        declared = get_container_names(self._settings)
        for found in host.client.networks.list(names=[name]):
            if found.name != name:
                continue
            self._refuse_others("network", name, found.attrs.get("Labels"), owner)
            found.reload()
            for container in found.containers:
                self._refuse_others("container", container.name, container.labels, owner)
            if pulumi.runtime.is_dry_run():
                continue
            for container in found.containers:
                if container.name in declared:  # made again in any case, and slow to stop once it is cut off
                    self._clear_container(host, container.name, owner)
                else:
                    self._cut_off.setdefault(host.name, []).append(container.name)
                    found.disconnect(container, force=True)
            found.remove()

    def reconnect(self, host: DockerHost, network: str) -> Callable[[pulumi.ResourceHookArgs], None]:
        """Return what to do once the network is there again: connect the containers that lost it, for they hold data."""

        def hook(_args: pulumi.ResourceHookArgs) -> None:
            import docker as sdk  # noqa: PLC0415

            for name in self._cut_off.get(host.name, ()):
                try:
                    host.client.networks.get(network).connect(name, aliases=[name])
                except sdk.errors.NotFound:  # replaced meanwhile
                    continue

        return hook

    def await_server(self, name: str, timeout: float) -> Callable[[pulumi.ResourceHookArgs], None]:
        """Return what to do once a node's container was made again: wait, and let the others wait, until its server is there."""
        return lambda _args: wait_for_server(self.host_of(name).locate(name), timeout)

    def await_pooler(self, settings: Settings, name: str, port: int) -> Callable[[pulumi.ResourceHookArgs], None]:
        """Return what to do once a pooler was made: wait until it lets the stack's user in."""

        def hook(_args: pulumi.ResourceHookArgs) -> None:
            host = self.host_of(name)
            server = Server(name, host.address, port, settings.database, settings.user, self.log_of(name))
            server = replace(server, authority=self._find_authority() if settings.verifies else None)
            if find_accepted(server, [settings.password.get_secret_value()], settings.ready_timeout) is None:
                msg = f"{server} does not let {settings.user} in, as its node does{server.hint()}"
                raise DockerError(msg)

        return hook

    def _clear_volume(self, host: DockerHost, name: str, owner: str) -> None:
        found = host.client.volumes.get(name)
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


def _image_after(host: DockerHost, settings: Settings, now: str) -> str | None:
    """Return the id of the image that containers of an image have after the update; None where it is to be pulled.

    Pulumi compares the name of an image. One without a name was that name's until it was pulled again: it stays.
    """
    if needs_backups(settings):
        return now if is_as_built(host.client, now, settings.image) else None
    wanted = find_image(host.client, settings.image)
    was = find_image(host.client, now)
    if was is not None and not was.tags:
        return now
    return str(wanted.id) if wanted is not None else None


def _remnants(kind: str, found: dict[str, dict[str, Any]], declared: list[str], where: str) -> list[Remnant]:
    return [
        Remnant(
            f"{kind} {name}{where}",
            owner_of(thing.get("Labels")),
            name in declared,
            CLUSTER not in (thing.get("Labels") or {}),
        )
        for name, thing in sorted(found.items())
        if name in declared or owner_of(thing.get("Labels"))
    ]
