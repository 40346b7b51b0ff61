"""DestroyGuard: what a destroy of containers does first: look for what stands in its way. A dynamic resource.

It depends on all other resources of its cluster, so it is deleted before them. Docker would refuse only the network, the last
of all, when the data is gone already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.dynamic import Resource

from components.errors import DockerError
from components.nodes.docker.endpoint import Endpoint, Located, connect, get_endpoint
from components.nodes.docker.volumes import owner_of
from components.resources.provider import DeclarativeProvider
from components.resources.wire import Given, known, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.resources.wire import Props

__all__ = ["DestroyGuard", "DestroyGuardInputs", "GuardedHost"]


@dataclass(frozen=True, kw_only=True)
class GuardedHost:
    """A host, and what of the cluster is on it."""

    name: str
    network: str
    """As Located reads it: with where the engine is reached."""
    containers: tuple[str, ...]
    engine: str
    """The engine's id."""


@dataclass(frozen=True, kw_only=True)
class DestroyGuardInputs:
    """Inputs of DestroyGuard."""

    network: str
    containers: tuple[str, ...]
    """Names of the nodes' containers."""
    owner: Given[str]
    """Owner on the label of the network."""
    cluster_id: Given[str]
    engine: str
    """Id of the Docker Engine that the nodes are on."""
    address: str
    """Where it is reached: what the containers' provider uses in a destroy."""
    hosts: tuple[GuardedHost, ...] | None = None
    """Those of the settings; None where the nodes are on the engine that `docker` uses."""


class DestroyGuardProvider(DeclarativeProvider[DestroyGuardInputs]):
    """Looks at the network before it goes, and names what else is on it."""

    inputs = DestroyGuardInputs
    compared = ("network", "containers", "owner", "cluster_id", "engine", "address", "hosts")

    def refuse(self, before: Props, inputs: DestroyGuardInputs) -> Iterator[str]:
        """Refuse another network while containers of others are on this one."""
        was = self.read_inputs(before) if before else inputs
        if was.network == inputs.network:
            return
        for host in was.hosts or (GuardedHost(name="", network=was.network, containers=(), engine=""),):
            network = Located.parse(host.network)
            if strangers := _find_strangers(network.connect(), network.name, was):
                yield _on_the_network(network, strangers)

    def identify(self, inputs: DestroyGuardInputs, outputs: Props) -> str:
        """Return the only id there is."""
        return "guard"

    def ensure(self, inputs: DestroyGuardInputs, before: Props) -> Props:
        """Do nothing."""
        return {}

    def delete(self, _id: str, _props: Props) -> None:
        """Let the destroy go on, unless something is in its way.

        Raises:
            DockerError: containers of others are on the network, or nodes of this cluster that no setting declares; or the
                environment names another engine than the nodes' own.
        """
        inputs = self.read_inputs(_props)
        hosts = inputs.hosts or (_only_host(inputs),)
        lines: list[str] = []
        silent: list[GuardedHost] = []
        for host in hosts:
            try:
                lines += _find_obstacles(inputs, host)
            except DockerError as silence:
                if not inputs.hosts:  # it answered a moment ago: nothing is known of what stands in the way
                    raise
                silent.append(host)
                print(f"host {host.name}: {silence}")  # noqa: T201 - Pulumi shows it
        if lines:
            raise DockerError("\n".join(["nothing was deleted:", *lines]))
        for host in silent:
            left = ", ".join(host.containers)
            print(  # noqa: T201
                f"host {host.name}: {left}, their volumes and the network stay there until a further destroy reaches it. "
                "`pulumi destroy --continue-on-error`, as `make down` does, removes all that is elsewhere"
            )


def _only_host(inputs: DestroyGuardInputs) -> GuardedHost:
    """Return the engine that `docker` uses, as a host without a name.

    Raises:
        DockerError: the environment names another one than the nodes' own.
    """
    address = inputs.address
    try:
        ids = {_get_engine_id(), _get_engine_id(address)}
    except DockerError as silence:
        msg = f"nothing was deleted: {silence}. An update notes the address that `docker` uses now: run up first"
        raise DockerError(msg) from None
    if address and ids != {inputs.engine}:
        msg = (
            "nothing was deleted: `docker` talks to another engine than the one that this cluster's nodes are on. Let "
            "DOCKER_HOST, DOCKER_CONTEXT or `docker context use` name that one"
        )
        raise DockerError(msg)
    return GuardedHost(name="", network=inputs.network, containers=inputs.containers, engine=inputs.engine)


def _find_obstacles(inputs: DestroyGuardInputs, host: GuardedHost) -> Iterator[str]:
    """Yield what is in the way on a host.

    Raises:
        DockerError: its engine does not answer.
    """
    network = Located.parse(host.network)
    client, docker = network.connect(), network.command
    if host.name and client.info()["ID"] != host.engine:
        yield f"host {host.name}: {docker} talks to another engine than the one of this cluster's nodes: correct citus:hosts"
        return
    if strangers := _find_strangers(client, network.name, inputs):
        yield _on_the_network(network, strangers)
    if undeclared := _find_undeclared(client, host, inputs):
        on = f" on {host.name}" if host.name else ""
        yield (
            f"{', '.join(undeclared)}{on}: part of this cluster, but neither in the "
            f"settings nor in the state, so a destroy would leave it behind. Remove it first, with its data: "
            f"{docker} rm -f -v {' '.join(undeclared)}; "
            f"{docker} volume rm {' '.join(f'{name}_data' for name in undeclared)}"
        )


def _get_engine_id(address: str = "") -> str:
    """Return the id of the engine at an address that an update noted, or of the one that the environment names."""
    endpoint = get_endpoint()
    if address not in ("", endpoint.host):
        endpoint = Endpoint(address, "noted by the last update")
    return str(connect(endpoint).info()["ID"])


def _find_strangers(client: Any, network: str, inputs: DestroyGuardInputs) -> list[str]:
    """Return the names of running containers on the network that are not part of the cluster."""
    import docker as sdk  # noqa: PLC0415

    try:
        attached = client.networks.get(network).attrs.get("Containers") or {}
    except sdk.errors.NotFound:
        return []
    labels = {container["Id"]: container["Labels"] for container in client.api.containers(all=True)}
    owners = _owners(inputs)
    return sorted(end["Name"] for id_, end in attached.items() if owner_of(labels.get(id_)) not in owners)


def _find_undeclared(client: Any, host: GuardedHost, inputs: DestroyGuardInputs) -> list[str]:
    """Return the names of containers that are part of the cluster and not among those that are declared."""
    owners = _owners(inputs)
    found = {
        container["Names"][0].removeprefix("/")
        for container in client.api.containers(all=True)
        if owner_of(container["Labels"]) in owners
    }
    return sorted(found - set(host.containers))


def _owners(inputs: DestroyGuardInputs) -> frozenset[str]:
    return frozenset({known(inputs.owner), known(inputs.cluster_id)})


def _on_the_network(network: Located, strangers: list[str]) -> str:
    commands = "; ".join(f"{network.command} network disconnect {network.name} {name}" for name in strangers)
    return (
        f"network {network.name}: containers that are not part of this cluster are connected to it: {', '.join(strangers)}. "
        f"Stop them or disconnect them first: {commands}"
    )


class DestroyGuard(Resource, module="citus", name="DestroyGuard"):
    """Deleted first, and only where nothing is in the way."""

    def __init__(self, name: str, inputs: DestroyGuardInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        once = pulumi.ResourceOptions(delete_before_replace=True)
        super().__init__(DestroyGuardProvider(), name, write(inputs), pulumi.ResourceOptions.merge(opts, once))
