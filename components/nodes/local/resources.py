"""Coordinator and workers as PostgreSQL processes on this host, for a machine without a Docker Engine.

A dynamic resource a node; what a server is and does is server.py's. Where the host has no Citus, and the settings allow
it, a stand-in takes its place that keeps Citus's catalog and moves no rows.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import pulumi
from pulumi.dynamic import CheckFailure, CheckResult, ReadResult, Resource

from components.errors import HostError
from components.logs import Log
from components.nodes.data import NodeData
from components.nodes.local.folders import DataFolder, get_owner, reachable_installation
from components.nodes.local.installation import Installation
from components.nodes.local.server import HOST, LocalServer
from components.nodes.locales import DEFAULT_LOCALE
from components.nodes.node import Node, node_names
from components.resources.provider import DeclarativeProvider

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.nodes.local.host import LocalHost
    from components.resources.sql import ServerArgs
    from components.settings import Settings

__all__ = ["LocalNode", "LocalNodes"]


# --- a node as a resource ------------------------------------------------------------------------------------------------


class LocalNodeArgs(TypedDict):
    """Inputs of LocalNode."""

    node: str
    stack: str
    """Full name of the stack."""
    cluster_id: pulumi.Input[str]
    """The cluster whose node it is; no other touches its folder."""
    folder: str
    port: int
    user: str
    database: str
    bindir: str
    """Folder of PostgreSQL's programs."""
    locale: str
    """Of the data, where that is still to be made."""
    password_mark: pulumi.Input[str]
    """Changes with the password: it is then tried. A secret."""
    ready_timeout: int
    """Seconds that each wait may take."""


class LocalNodeProvider(DeclarativeProvider):
    """A server of this host: running, with its data folder. Deleting it stops it; the folder is NodeData's to remove."""

    compared = ("cluster_id", "port", "database", "bindir", "running", "password_mark")
    outputs = ("generation",)

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse what would leave the data behind or the node unknown to the others: another folder, port or user."""
        settings = {"folder": "dataDir", "port": "port or workerPorts", "user": "user"}
        failures = [
            CheckFailure(
                "",
                f"{news['node']}: citus:{setting} gives {_plain(news[name])!r}, but its data was made with "
                f"{_plain(_olds[name])!r}, and stays there: set that back, or start another stack",
            )
            for name, setting in settings.items()
            if name in _olds and _olds[name] != news[name]
        ]
        return CheckResult(news, failures)

    def identify(self, props: dict[str, Any]) -> str:
        """Return the node's folder."""
        return str(props["folder"])

    def ensure(self, props: dict[str, Any], olds: dict[str, Any]) -> dict[str, Any]:
        """Make the node, or take over what an earlier run of this stack left; start its server with its data."""
        server = _server(props)
        if not olds and get_owner(server.folder) is not None:
            print(f"{server.folder} is part of this cluster, but not in the state: adopted with its data")  # noqa: T201
        if olds and olds.get("bindir") != props["bindir"]:
            server.stop()
        before = "" if "cluster_id" in olds else str(olds.get("stack", ""))
        timeout = int(props["ready_timeout"])
        return {"generation": server.ensure(self.password, props["database"], timeout, before=before)}

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Tell whether the folder is there and its server runs."""
        server = _server(props)
        if get_owner(server.folder) is None:
            return ReadResult("", {})
        return self.seen(id_, {**props, "running": server.is_running()})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Stop the server for good."""
        server = _server(_props)
        server.release()
        if "cluster_id" not in _props:  # of a state that has no NodeData for it
            DataFolder(server.folder, frozenset({server.cluster})).remove()


def _server(props: dict[str, Any]) -> LocalServer:
    installation = Installation.at(Path(props["bindir"]))
    if installation is None:
        msg = f"{props['node']}: the programs of its server are gone from {props['bindir']}: put them back"
        raise HostError(msg)
    folder = Path(props["folder"])
    return LocalServer(
        name=props["node"],
        stack=props["stack"],
        cluster=props.get("cluster_id") or props["stack"],
        folder=folder,
        port=int(props["port"]),
        user=props["user"],
        installation=reachable_installation(installation, folder.parent),
        locale=props.get("locale") or DEFAULT_LOCALE,
    )


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) else value


class LocalNode(Resource, module="citus", name="LocalNode"):
    """A running PostgreSQL server of this host. Its id is its folder."""

    generation: pulumi.Output[str]

    def __init__(self, name: str, args: LocalNodeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        once = pulumi.ResourceOptions(delete_before_replace=True)  # or the new one would be stopped as the old one
        props = {**args, "running": True, "generation": None}
        super().__init__(LocalNodeProvider(), name, props, pulumi.ResourceOptions.merge(opts, once))


class LocalNodes(pulumi.ComponentResource):
    """Each node as a server of this host."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        host: LocalHost,
        cluster_id: pulumi.Output[str],
        server: ServerArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("citus:local:Nodes", name, None, opts)
        installation = host.installation(settings)
        folder = host.data_dir(settings)
        mark = hashlib.sha256(settings.password.get_secret_value().encode()).hexdigest()
        nodes = list(zip(node_names(settings), settings.local_ports, strict=True))
        # All data goes after all servers: then it is the whole cluster that goes.
        self._data = [
            NodeData(
                f"{node}-keeper",
                {
                    "server": server,
                    "node_name": HOST,
                    "node_port": port,
                    "is_coordinator": node == nodes[0][0],
                    "place": f"folder:{folder / node}",
                    "owner": cluster_id,
                    "cluster_id": cluster_id,
                    "ready_timeout": settings.ready_timeout,
                },
                pulumi.ResourceOptions(parent=self),
            )
            for node, port in nodes
        ]
        self.coordinator, *self.workers = [
            self._node(
                {
                    "node": node,
                    "stack": host.stack,
                    "cluster_id": cluster_id,
                    "folder": str(folder / node),
                    "port": port,
                    "user": settings.user,
                    "database": settings.database,
                    "bindir": str(installation.bindir),
                    "locale": host.locale(settings)[0],
                    "password_mark": pulumi.Output.secret(mark),
                    "ready_timeout": settings.ready_timeout,
                }
            )
            for node, port in nodes
        ]
        self.register_outputs({"folder": str(folder)})

    def guard(self, after: Sequence[pulumi.Resource]) -> None:
        """Declare nothing: no stranger is in the way of a process."""

    def _node(self, args: LocalNodeArgs) -> Node:
        opts = pulumi.ResourceOptions(parent=self, depends_on=self._data)
        server = LocalNode(f"{args['node']}-server", args, opts)
        return Node(
            name=args["node"],
            resource=server,
            generation=server.generation,
            node_name=HOST,
            node_port=args["port"],
            log=Log("file", f"{args['folder']}/log"),
        )
