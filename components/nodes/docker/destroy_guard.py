"""DestroyGuard: what a destroy of containers does first: look for what stands in its way. A dynamic resource.

It depends on all other resources of its cluster, so it is deleted before them. Docker would refuse only the network, the last
of all, when the data is gone already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

import pulumi
from pulumi.dynamic import CheckFailure, CheckResult, Resource

from components.errors import DockerError
from components.resources.provider import DeclarativeProvider

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DestroyGuard", "DestroyGuardArgs"]


class DestroyGuardArgs(TypedDict):
    """Inputs of DestroyGuard."""

    network: str
    containers: Sequence[str]
    """Names of the nodes' containers."""
    owner: pulumi.Input[str]
    """Owner on the label of the network."""
    cluster_id: pulumi.Input[str]
    engine: str
    """Id of the Docker Engine that the nodes are on."""
    address: str
    """Where it is reached: what the containers' provider uses in a destroy."""


class DestroyGuardProvider(DeclarativeProvider):
    """Looks at the network before it goes, and names what else is on it."""

    compared = ("network", "containers", "owner", "cluster_id", "engine", "address")

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse, at preview, another network while containers of others are on this one."""
        strangers = _attached(_olds) if _olds and _olds["network"] != news["network"] else []
        problems = [_on_the_network(_olds["network"], strangers)] if strangers else []
        return CheckResult(news, [CheckFailure("", problem) for problem in problems])

    def identify(self, props: dict[str, Any]) -> str:
        """Return the only id there is."""
        return "guard"

    def ensure(self, props: dict[str, Any], olds: dict[str, Any]) -> dict[str, Any]:
        """Do nothing."""
        return {}

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Let the destroy go on, unless something is in its way.

        Raises:
            DockerError: containers of others are on the network, or nodes of this cluster that no setting declares; or the
                environment names another engine than the nodes' own.
        """
        from components.nodes.docker.engine import find_undeclared, get_engine_id  # noqa: PLC0415

        address = _props.get("address", "")
        try:
            ids = {get_engine_id(), get_engine_id(address)}
        except DockerError as silence:
            msg = f"nothing was deleted: {silence}. An update notes the address that `docker` uses now: run up first"
            raise DockerError(msg) from None
        if address and ids != {_props["engine"]}:
            msg = (
                "nothing was deleted: `docker` talks to another engine than the one that this cluster's nodes are on. Let "
                "DOCKER_HOST, DOCKER_CONTEXT or `docker context use` name that one"
            )
            raise DockerError(msg)
        lines = []
        strangers = _attached(_props)
        if strangers:
            lines.append(_on_the_network(_props["network"], strangers))
        undeclared = find_undeclared(_owners(_props), _props["containers"])
        if undeclared:
            lines.append(
                f"{', '.join(undeclared)}: part of this cluster, but neither in the settings nor in the state, so a destroy "
                f"would leave it behind. Remove it first, with its data: docker rm -f -v {' '.join(undeclared)}; "
                f"docker volume rm {' '.join(f'{name}_data' for name in undeclared)}"
            )
        if lines:
            raise DockerError("\n".join(["nothing was deleted:", *lines]))


def _owners(props: dict[str, Any]) -> frozenset[str]:
    return frozenset({props["owner"], props["cluster_id"]})


def _attached(props: dict[str, Any]) -> list[str]:
    from components.nodes.docker.engine import find_strangers  # noqa: PLC0415

    return find_strangers(props["network"], _owners(props))


def _on_the_network(network: str, strangers: list[str]) -> str:
    commands = "; ".join(f"docker network disconnect {network} {name}" for name in strangers)
    return (
        f"network {network}: containers that are not part of this cluster are connected to it: {', '.join(strangers)}. Stop "
        f"them or disconnect them first: {commands}"
    )


class DestroyGuard(Resource, module="citus", name="DestroyGuard"):
    """Deleted first, and only where nothing is in the way."""

    def __init__(self, name: str, args: DestroyGuardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        once = pulumi.ResourceOptions(delete_before_replace=True)
        super().__init__(DestroyGuardProvider(), name, {**args}, pulumi.ResourceOptions.merge(opts, once))
