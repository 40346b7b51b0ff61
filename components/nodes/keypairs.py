"""ServerKeypairs: the certificates of the nodes in use, as a dynamic resource; changed without a restart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

import pulumi
from pulumi.dynamic import Resource

from components import registry
from components.resources.provider import DeclarativeProvider
from components.resources.wire import Given, known, write

if TYPE_CHECKING:
    from components.resources.wire import Props

__all__ = ["KeypairOfNode", "ServerKeypairs", "ServerKeypairsInputs", "find_authority"]


class Keypair(Protocol):
    """Where a node has its certificate, its key and the authority's certificate."""

    @classmethod
    def at(cls, where: str) -> Self:
        """Return that of the node of that name."""

    def read_authority(self) -> str:
        """Return the authority's certificate; empty where there is none."""

    def ensure(self, authority: str, keypair: str) -> bool:
        """Let the server use them from its next connection on; return whether it did not yet."""


def _open(place: str) -> Keypair:
    keypair: Keypair = registry.open_at(registry.KEYPAIRS, place)
    return keypair


def find_authority(place: str) -> str:
    """Return the certificate of the authority that a node at a place knows; empty where it knows none."""
    return _open(place).read_authority()


@dataclass(frozen=True, kw_only=True)
class KeypairOfNode:
    """A node, and what it proves itself by."""

    node: str
    place: Given[str]
    generation: Given[str]
    """Changes when its server is another one."""
    keypair: Given[str]


@dataclass(frozen=True, kw_only=True)
class ServerKeypairsInputs:
    """Inputs of ServerKeypairs."""

    authority: Given[str]
    nodes: tuple[KeypairOfNode, ...]


class ServerKeypairsProvider(DeclarativeProvider[ServerKeypairsInputs]):
    """What the nodes prove themselves by is what the state has. Deleting it does nothing."""

    inputs = ServerKeypairsInputs
    compared = ("authority", "nodes")

    def identify(self, inputs: ServerKeypairsInputs, outputs: Props) -> str:
        """Return the only id there is."""
        return "keypairs"

    def ensure(self, inputs: ServerKeypairsInputs, before: Props) -> Props:
        """Write what differs, one node after the other."""
        for node in inputs.nodes:
            if _open(known(node.place)).ensure(known(inputs.authority), known(node.keypair)):
                print(f"{node.node} has another certificate: it is read again, nothing is restarted")  # noqa: T201
        return {}

    def delete(self, _id: str, _props: Props) -> None:
        """Do nothing: the files go with their containers."""


class ServerKeypairs(Resource, module="citus", name="ServerKeypairs"):
    """The certificates of all nodes, in use. Declared where nodes verify each other."""

    def __init__(self, name: str, inputs: ServerKeypairsInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["nodes"])
        super().__init__(ServerKeypairsProvider(), name, write(inputs), pulumi.ResourceOptions.merge(opts, secret))
