"""CoordinatorNode, WorkerNode and ClusterHealth: the nodes of pg_dist_node as dynamic resources. Lifecycle only.

What each step does to the database is in catalog.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

import pulumi
from pulumi.dynamic import ReadResult

from components.errors import IdentityError
from components.logs import Log
from components.resources.sql import READ_TIMEOUT, ServerArgs, SqlProvider, SqlResource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.database.connections import Connection

__all__ = ["ClusterHealth", "CoordinatorNode", "CoordinatorNodeArgs", "WorkerNode", "WorkerNodeArgs"]


class CoordinatorNodeArgs(TypedDict):
    """Inputs of CoordinatorNode."""

    server: ServerArgs
    node_name: pulumi.Input[str]
    """Name by which the other nodes reach it; never localhost."""
    node_port: pulumi.Input[int]
    generation: pulumi.Input[str]
    """Changes when the server behind the name is another one: it is then proved again."""
    stack: str
    """Full name of the stack."""
    cluster_id: pulumi.Input[str]
    """Id of the cluster; a database of another one is left alone."""
    ready_timeout: pulumi.Input[int]
    """Seconds that each wait may take."""


class CoordinatorNodeProvider(SqlProvider):
    """Extension, ownership and address of the coordinator. Deleting it does nothing: its server goes with it."""

    compared = ("server", "node_name", "node_port", "generation", "cluster_id")
    outputs = ("citus_version", "postgres_version", "server_id")

    def identify(self, props: dict[str, Any]) -> str:
        """Return `name:port`."""
        return _address(props)

    def ensure(self, props: dict[str, Any], olds: dict[str, Any]) -> dict[str, Any]:
        """Wait for the server, make it the coordinator, and prove that it is the one that it was."""
        from components.database import nodes  # noqa: PLC0415

        name, port = props["node_name"], int(props["node_port"])
        with self.session(props, f"registering coordinator {name}:{port}") as connection:
            before = "" if "cluster_id" in olds else str(olds.get("stack", ""))
            nodes.claim(connection, props["cluster_id"], props["stack"], before=before)
            versions = nodes.ensure_coordinator(connection, name, port)
        _refuse_another_server(_address(props), olds, versions["server_id"])
        return dict(versions)

    def find(self, connection: Connection, id_: str, props: dict[str, Any]) -> dict[str, Any] | None:
        """Return the versions, or None where no coordinator is registered under that address."""
        from components.database import nodes  # noqa: PLC0415

        if nodes.get_coordinator(connection) != id_:
            return None
        versions = nodes.get_versions(connection)
        _refuse_another_server(id_, props, versions["server_id"])
        return dict(versions)


class CoordinatorNode(SqlResource, module="citus", name="CoordinatorNode"):
    """The coordinator, registered under the name that the workers know it by. Its id is `name:port`."""

    citus_version: pulumi.Output[str]
    postgres_version: pulumi.Output[str]
    server_id: pulumi.Output[str]

    def __init__(self, name: str, args: CoordinatorNodeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        outputs = dict.fromkeys(CoordinatorNodeProvider.outputs)
        super().__init__(CoordinatorNodeProvider(), name, {**args, **outputs}, opts)


class WorkerNodeArgs(TypedDict):
    """Inputs of WorkerNode."""

    server: ServerArgs
    node_name: pulumi.Input[str]
    """Name by which the nodes reach the worker."""
    node_port: pulumi.Input[int]
    generation: pulumi.Input[str]
    """Changes when the server behind the name is another one: it is then proved again."""
    log: pulumi.Input[str]
    """Where the worker's log is, as logs.py takes it."""
    ready_timeout: pulumi.Input[int]
    """Seconds that each wait may take."""


class WorkerNodeProvider(SqlProvider):
    """A worker in pg_dist_node: registered, active, and proved to be the one that was registered."""

    compared = ("server", "node_name", "node_port", "generation", "active")
    replacing = ("node_name", "node_port")
    outputs = ("node_id", "group_id", "server_id")

    def identify(self, props: dict[str, Any]) -> str:
        """Return `name:port`."""
        return _address(props)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Unregister the worker, unless it holds a shard."""
        from components.database import nodes  # noqa: PLC0415

        with self.session(self.as_set(_props), f"removing worker {_id}") as connection:
            nodes.remove_node(connection, _props["node_name"], int(_props["node_port"]))

    def ensure(self, props: dict[str, Any], olds: dict[str, Any]) -> dict[str, Any]:
        """Wait for the worker, register or activate it, and prove it: its container may be another, its volume must not.

        It comes to know the roles that the other nodes know.
        """
        from components.database import nodes, roles  # noqa: PLC0415

        name, port, timeout = props["node_name"], int(props["node_port"]), int(props["ready_timeout"])
        doing = f"registering worker {name}:{port}"
        with self.connection(props, doing) as connection:
            # Unlocked, for the others wait too.
            identity = nodes.wait_until_node_ready(connection, name, port, timeout, log=Log.parse(props["log"]))
        with self.session(props, doing, node=(name, port)) as connection:
            registered = nodes.ensure_worker(connection, name, port, identity, server_id=olds.get("server_id"))
            _tell(roles.spread(connection, timeout, only=(name, port)))
            return registered

    def find(self, connection: Connection, id_: str, props: dict[str, Any]) -> dict[str, Any] | None:
        """Return the worker's row, or None where it is not registered; inactive, it may still hold shards."""
        from components.database import nodes  # noqa: PLC0415

        node = nodes.get_node(connection, props["node_name"], int(props["node_port"]))
        if node is None:
            return None
        return {"node_id": node.node_id, "group_id": node.group_id, "active": node.is_active}


class WorkerNode(SqlResource, module="citus", name="WorkerNode"):
    """A worker, registered and active. Its id is `name:port`."""

    node_id: pulumi.Output[int]
    group_id: pulumi.Output[int]
    server_id: pulumi.Output[str]

    def __init__(self, name: str, args: WorkerNodeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        outputs = dict.fromkeys(WorkerNodeProvider.outputs)
        once = pulumi.ResourceOptions(
            delete_before_replace=True
        )  # or the old one's delete would unregister the new one
        props = {**args, "active": True, **outputs}
        super().__init__(WorkerNodeProvider(), name, props, pulumi.ResourceOptions.merge(opts, once))


class ClusterHealthProvider(SqlProvider):
    """The proof that every node reaches every other, asked again when a node changes or a refresh saw one missing."""

    compared = ("server", "generations", "healthy")
    outputs = ("pairs",)

    def identify(self, props: dict[str, Any]) -> str:
        """Return the only id there is."""
        return "cluster"

    def ensure(self, props: dict[str, Any], olds: dict[str, Any]) -> dict[str, Any]:
        """Wait until all pairs are healthy, let every node know the roles' passwords, and say which roles are refused."""
        from components.database import health, roles, session  # noqa: PLC0415

        doing, timeout = "checking that every node reaches every other", int(props["ready_timeout"])
        with (
            self.connection(props, doing) as connection,
            session.exclusive(connection, doing=doing, timeout=timeout) as within,
        ):
            pairs = health.wait_until_healthy(connection, within)
            _tell(roles.spread(connection, timeout))
            _tell([*roles.get_refused(connection), *map(roles.describe_unknown, roles.get_unknown(connection))])
            return {"pairs": pairs}

    def find(self, connection: Connection, id_: str, props: dict[str, Any]) -> dict[str, Any]:
        """Return whether all pairs are healthy now, for every role that the nodes know; say which roles an update cannot help."""
        from components.database import health, roles  # noqa: PLC0415

        broken = health.get_unreachable_pairs(connection, READ_TIMEOUT)
        if broken:
            print(f"unreachable now: {', '.join(broken)}")  # noqa: T201
            return {"healthy": False}
        drift = roles.find_drift(connection)
        _tell([*drift, *roles.get_refused(connection), *map(roles.describe_unknown, roles.get_unknown(connection))])
        return {"healthy": not drift}

    def unreachable(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Record a cluster whose coordinator does not answer as not healthy."""
        return ReadResult(id_, {**props, "healthy": False})


class ClusterHealth(SqlResource, module="citus", name="ClusterHealth"):
    """Stands for a cluster of which every node reaches every other; what needs the cluster depends on it."""

    pairs: pulumi.Output[int]

    def __init__(
        self,
        name: str,
        *,
        server: ServerArgs,
        generations: Sequence[pulumi.Input[str]],
        ready_timeout: int,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Check the cluster again whenever one of `generations`, one for each node, changes."""
        props = {
            "server": server,
            "generations": list(generations),
            "ready_timeout": ready_timeout,
            "healthy": True,
            "pairs": None,
        }
        super().__init__(ClusterHealthProvider(), name, props, opts)


def _tell(lines: Sequence[str]) -> None:
    for line in lines:
        print(line)  # noqa: T201 - Pulumi shows it


def _address(props: dict[str, Any]) -> str:
    return f"{props['node_name']}:{int(props['node_port'])}"


def _refuse_another_server(id_: str, olds: dict[str, Any], server_id: str) -> None:
    known = olds.get("server_id")
    if known and known != server_id:
        msg = (
            f"{id_} is not the server that this stack set up: its identity is {server_id}, was {known}. Its volume was "
            "replaced or emptied: put the old volume back. Where its data is gone for good, destroy the stack and build "
            "it anew"
        )
        raise IdentityError(msg)
