"""ServerParameters: parameters of PostgreSQL and Citus that take effect without a restart, as a dynamic resource."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

from components.access import Access
from components.database import nodes, parameters
from components.resources.provider import tell
from components.resources.sql import SqlProvider, SqlResource
from components.resources.wire import Given, known, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.database.connections import Connection
    from components.resources.wire import Props

__all__ = ["NodeParameters", "ServerParameters", "ServerParametersInputs"]


@dataclass(frozen=True, kw_only=True)
class NodeParameters:
    """The parameters of one node."""

    node: str
    group: Given[int]
    """0 of the coordinator."""
    parameters: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class ServerParametersInputs(Access):
    """Inputs of ServerParameters."""

    nodes: tuple[NodeParameters, ...]


class ServerParametersProvider(SqlProvider[ServerParametersInputs]):
    """What `alter system` sets on each node. Deleting it takes back what it set, and nothing that a person did."""

    inputs = ServerParametersInputs
    asks_nodes = True
    compared = ("server", "nodes", "drifted")

    def announce(self, before: Props, inputs: ServerParametersInputs) -> Iterator[str]:
        """Say what changes, and that nothing restarts."""
        was = {it.node: it.parameters for it in self.read_inputs(before).nodes} if before else {}
        told: dict[str, list[str]] = {}
        for node in inputs.nodes:
            before = was.get(node.node, {})
            for name in sorted({*before, *node.parameters}):
                if before.get(name) != node.parameters.get(name):
                    change = f"{name} = {node.parameters[name]}" if name in node.parameters else f"{name} as before"
                    told.setdefault(change, []).append(node.node)
        for change, on in told.items():
            where = "every node" if len(on) == len(inputs.nodes) else ", ".join(on)
            yield f"{change} on {where}: it is read again, nothing is restarted"

    def identify(self, inputs: ServerParametersInputs, outputs: Props) -> str:
        """Return the only id there is."""
        return "parameters"

    def ensure(self, inputs: ServerParametersInputs, before: Props) -> Props:
        """Set what differs, one node after the other."""
        self._set(inputs, before)
        return {}

    def delete(self, _id: str, _props: Props) -> None:
        """Take back what was set."""
        inputs = self.read_inputs(_props)
        nothing = tuple(NodeParameters(node=it.node, group=it.group, parameters={}) for it in inputs.nodes)
        self._set(ServerParametersInputs(**vars(self.as_set(_props)), nodes=nothing), _props)

    def find(self, connection: Connection, inputs: ServerParametersInputs, state: Props) -> Props:
        """Return which nodes do not have what the last update set."""
        drifted = [
            f"{of.node}: {name}"
            for of, node in _registered(connection, inputs)
            for name in parameters.get_drift(connection, node, of.parameters)
        ]
        return {"drifted": drifted}

    def _set(self, inputs: ServerParametersInputs, before: Props) -> None:
        was = {it.node: it.parameters for it in self.read_inputs(before).nodes} if before else {}
        with self.session(inputs, "setting parameters", on_all_nodes=True) as connection:
            for of, node in _registered(connection, inputs):
                former = was.get(of.node, {})
                ran = parameters.ensure_parameters(connection, node, of.parameters, former, inputs.ready_timeout)
                tell(f"{of.node}: {it}" for it in ran)


def _registered(
    connection: Connection, inputs: ServerParametersInputs
) -> Iterator[tuple[NodeParameters, tuple[str, int]]]:
    """Yield each node with the address under which it is registered now."""
    addresses = nodes.get_addresses(connection)
    for of in inputs.nodes:
        if address := addresses.get(int(known(of.group))):
            yield of, address


class ServerParameters(SqlResource, module="citus", name="ServerParameters"):
    """Parameters that every node takes while it runs. Declared where the settings have any."""

    def __init__(self, name: str, inputs: ServerParametersInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(ServerParametersProvider(), name, {**write(inputs), "drifted": []}, opts)
