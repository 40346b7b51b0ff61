"""CoordinatorNode, WorkerNode and ClusterHealth: the nodes of pg_dist_node as dynamic resources. Lifecycle only.

What each step does to the database is in components/database/nodes.py and health.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi.dynamic import ReadResult

from components.access import Access
from components.database import health, login_rules, nodes, rejoin, roles, session
from components.errors import IdentityError
from components.logs import Log
from components.resources.provider import tell
from components.resources.sql import READ_TIMEOUT, SqlProvider, SqlResource
from components.resources.wire import Given, known, write

if TYPE_CHECKING:
    from components.database.connections import Connection
    from components.resources.wire import Props

__all__ = [
    "ClusterHealth",
    "ClusterHealthInputs",
    "CoordinatorNode",
    "CoordinatorNodeInputs",
    "WorkerNode",
    "WorkerNodeInputs",
    "worker_id",
]


@dataclass(frozen=True, kw_only=True)
class NodeInputs(Access):
    """Inputs that coordinator and workers have."""

    node_name: str
    """Name by which the other nodes reach it; of a coordinator, never localhost."""
    node_port: int
    generation: Given[str]
    """Changes when the server behind the name is another one: it is then proved again."""

    @property
    def address(self) -> str:
        """Return `name:port`."""
        return f"{self.node_name}:{self.node_port}"


@dataclass(frozen=True, kw_only=True)
class CoordinatorNodeInputs(NodeInputs):
    """Inputs of CoordinatorNode."""

    stack: str
    """Full name of the stack."""
    cluster_id: Given[str]
    """Id of the cluster; a database of another one is left alone."""


class CoordinatorNodeProvider(SqlProvider[CoordinatorNodeInputs]):
    """Extension, ownership and address of the coordinator. Deleting it does nothing: its server goes with it."""

    inputs = CoordinatorNodeInputs
    compared = ("server", "node_name", "node_port", "generation", "cluster_id")
    outputs = ("citus_version", "postgres_version", "server_id")

    def identify(self, inputs: CoordinatorNodeInputs, outputs: Props) -> str:
        """Return `name:port`."""
        return inputs.address

    def ensure(self, inputs: CoordinatorNodeInputs, before: Props) -> Props:
        """Wait for the server, make it the coordinator, and prove that it is the one that it was."""
        with self.session(inputs, f"registering coordinator {inputs.address}") as connection:
            tell(nodes.ensure_upgraded(connection))
            former = "" if "cluster_id" in before else str(before.get("stack", ""))
            nodes.claim(connection, known(inputs.cluster_id), inputs.stack, before=former)
            versions = nodes.ensure_coordinator(connection, inputs.node_name, inputs.node_port)
        _refuse_another_server(inputs.address, before, versions["server_id"])
        return dict(versions)

    def find(self, connection: Connection, inputs: CoordinatorNodeInputs, state: Props) -> Props | None:
        """Return the versions, or None where no coordinator is registered under that address."""
        if nodes.get_coordinator(connection) != inputs.address:
            return None
        versions = nodes.get_versions(connection)
        _refuse_another_server(inputs.address, state, versions["server_id"])
        return dict(versions)


class CoordinatorNode(SqlResource, module="citus", name="CoordinatorNode"):
    """The coordinator, registered under the name that the workers know it by. Its id is `name:port`."""

    citus_version: pulumi.Output[str]
    postgres_version: pulumi.Output[str]
    server_id: pulumi.Output[str]

    def __init__(self, name: str, inputs: CoordinatorNodeInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        outputs = dict.fromkeys(CoordinatorNodeProvider.outputs)
        super().__init__(CoordinatorNodeProvider(), name, {**write(inputs), **outputs}, opts)


@dataclass(frozen=True, kw_only=True)
class WorkerNodeInputs(NodeInputs):
    """Inputs of WorkerNode."""

    log: Log
    """The worker's log."""


def worker_id(group: int) -> str:
    """Return the id of the resource that stands for the worker of a group."""
    return f"group {group}"


class WorkerNodeProvider(SqlProvider[WorkerNodeInputs]):
    """A worker in pg_dist_node: registered, active, and proved to be the one that was registered.

    It is the same worker as long as its group is the same, whatever its address.
    """

    inputs = WorkerNodeInputs
    compared = ("server", "node_name", "node_port", "generation", "active")
    outputs = ("node_id", "group_id", "server_id")

    def identify(self, inputs: WorkerNodeInputs, outputs: Props) -> str:
        """Return the worker's group."""
        return worker_id(outputs["group_id"])

    def delete(self, _id: str, _props: Props) -> None:
        """Unregister the worker, unless it holds a shard."""
        inputs = self.read_inputs(_props)
        with self.session(self.as_set(_props), f"removing worker {inputs.address}") as connection:
            node = nodes.get_node_of_group(connection, int(_props["group_id"]))
            # One that came back on another host has another resource.
            if node is not None and (node.node_name, node.node_port) == (inputs.node_name, inputs.node_port):
                nodes.remove_node(connection, node.node_name, node.node_port)

    def ensure(self, inputs: WorkerNodeInputs, before: Props) -> Props:
        """Wait for the worker, register or activate it, and prove it: its container may be another, its volume must not.

        It comes to know the roles that the other nodes know.
        """
        name, port, timeout = inputs.node_name, inputs.node_port, inputs.ready_timeout
        doing = f"registering worker {inputs.address}"
        with self.connection(inputs, doing) as connection:
            # Unlocked, for the others wait too.
            identity = nodes.wait_until_node_ready(connection, name, port, timeout, log=inputs.log)
        known = (
            nodes.KnownWorker(int(before["group_id"]), str(before["server_id"])) if before.get("server_id") else None
        )
        with self.session(inputs, doing, node=(name, port)) as connection:
            registered = nodes.ensure_worker(connection, name, port, identity, known=known, timeout=timeout)
            tell(roles.spread(connection, timeout, only=(name, port)))
            return registered

    def find(self, connection: Connection, inputs: WorkerNodeInputs, state: Props) -> Props | None:
        """Return the worker's row, or None where it is not registered; inactive, it may still hold shards."""
        node = nodes.get_node_of_group(connection, int(state["group_id"]))
        if node is None:
            return None
        return {
            "node_name": node.node_name,
            "node_port": node.node_port,
            "node_id": node.node_id,
            "group_id": node.group_id,
            "active": node.is_active,
        }


class WorkerNode(SqlResource, module="citus", name="WorkerNode"):
    """A worker, registered and active. Its id is its group."""

    node_id: pulumi.Output[int]
    group_id: pulumi.Output[int]
    server_id: pulumi.Output[str]

    def __init__(self, name: str, inputs: WorkerNodeInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        once = pulumi.ResourceOptions(
            delete_before_replace=True
        )  # or the old one's delete would unregister the new one
        props = {**write(inputs), "active": True, **dict.fromkeys(WorkerNodeProvider.outputs)}
        super().__init__(WorkerNodeProvider(), name, props, pulumi.ResourceOptions.merge(opts, once))


@dataclass(frozen=True, kw_only=True)
class ClusterHealthInputs(Access):
    """Inputs of ClusterHealth."""

    generations: tuple[Given[str], ...]
    """One for each node: the cluster is checked again whenever one changes."""
    peers: tuple[str, ...] | None = None
    """Where nodes come from, as pg_hba.conf takes it; None where they show no certificates."""


class ClusterHealthProvider(SqlProvider[ClusterHealthInputs]):
    """The proof that every node reaches every other, asked again when a node changes or a refresh saw one missing."""

    inputs = ClusterHealthInputs
    compared = ("server", "generations", "peers", "healthy")
    outputs = ("pairs",)

    def identify(self, inputs: ClusterHealthInputs, outputs: Props) -> str:
        """Return the only id there is."""
        return "cluster"

    def ensure(self, inputs: ClusterHealthInputs, before: Props) -> Props:
        """Wait until all pairs are healthy, let every node know the roles' passwords, and say which roles are refused."""
        doing, timeout = "checking that every node reaches every other", inputs.ready_timeout
        with session.exclusive(inputs.server, self.password, doing=doing, timeout=timeout) as (connection, within):
            if inputs.peers:
                peers = login_rules.Peers(inputs.peers, verified=True)
                tell(login_rules.let_in(connection, nodes.get_addresses(connection).values(), peers))
            pairs = health.wait_until_healthy(connection, within)
            tell(rejoin.take_back(connection, timeout))
            tell(roles.spread(connection, timeout))
            tell([*roles.get_refused(connection), *map(roles.describe_unknown, roles.get_unknown(connection))])
            return {"pairs": pairs}

    def find(self, connection: Connection, inputs: ClusterHealthInputs, state: Props) -> Props:
        """Return whether all pairs are healthy now, for every role that the nodes know; say which roles an update cannot help."""
        broken = health.get_unreachable_pairs(connection, READ_TIMEOUT)
        if broken:
            print(f"unreachable now: {', '.join(broken)}")  # noqa: T201
            return {"healthy": False}
        drift = roles.find_drift(connection)
        tell([*drift, *roles.get_refused(connection), *map(roles.describe_unknown, roles.get_unknown(connection))])
        return {"healthy": not drift}

    def unreachable(self, id_: str, props: Props) -> ReadResult:
        """Record a cluster whose coordinator does not answer as not healthy."""
        return ReadResult(id_, {**props, "healthy": False})


class ClusterHealth(SqlResource, module="citus", name="ClusterHealth"):
    """Stands for a cluster of which every node reaches every other; what needs the cluster depends on it."""

    pairs: pulumi.Output[int]

    def __init__(self, name: str, inputs: ClusterHealthInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(ClusterHealthProvider(), name, {**write(inputs), "healthy": True, "pairs": None}, opts)


def _refuse_another_server(address: str, before: Props, server_id: str) -> None:
    known = before.get("server_id")
    if known and known != server_id:
        msg = (
            f"{address} is not the server that this stack set up: its identity is {server_id}, was {known}. Its volume was "
            "replaced or emptied: put the old volume back. Where its data is gone for good, destroy the stack and "
            "build it again"
        )
        raise IdentityError(msg)
