"""Coordinator and workers as PostgreSQL processes on this host, for a machine without a Docker Engine.

A dynamic resource a node; what a server is and does is server.py's. Where the host has no Citus, and the settings allow
it, a stand-in takes its place that keeps Citus's catalog and moves no rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pulumi
from pulumi.dynamic import ReadResult, Resource

from components.backups.configuration import TOOLBOX, ServerPlace, render_files
from components.backups.restoring import Fresh
from components.backups.settings import as_duration
from components.errors import HostError
from components.logs import Log
from components.nodes.data import NodeData, NodeDataInputs
from components.nodes.local.folders import DataFolder, get_owner, reachable_installation
from components.nodes.local.installation import Installation
from components.nodes.local.server import HOST, LocalServer
from components.nodes.locales import DEFAULT_LOCALE
from components.nodes.node import Node, node_names
from components.nodes.restore import RestorePlan, RestorePlanInputs
from components.nodes.returning import RETURN_SECONDS
from components.parameters import SERVER_SETTINGS
from components.resources.provider import DeclarativeProvider
from components.resources.wire import Given, known, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from components.access import Access
    from components.backups.settings import ScheduleSettings
    from components.nodes.local.host import LocalHost
    from components.resources.pooling import PoolerLogin
    from components.resources.wire import Props
    from components.settings import PoolerSettings, Settings

__all__ = ["LocalNode", "LocalNodes"]


# --- a node as a resource ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class LocalNodeInputs:
    """Inputs of LocalNode."""

    node: str
    stack: str
    """Full name of the stack."""
    cluster_id: Given[str]
    """The cluster whose node it is; no other touches its folder."""
    folder: str
    port: int
    is_coordinator: bool = True
    """Only a worker may get another port: it is known by its group."""
    user: str
    database: str
    bindir: str
    """Folder of PostgreSQL's programs."""
    locale: str = DEFAULT_LOCALE
    """Of the data, where that is still to be made."""
    citus: str | None = None
    """Version of Citus that these programs bring; another one makes a restart."""
    settings: dict[str, str] | None = None
    """What it is started with beside SERVER_SETTINGS, or in the place of one of them."""
    files: dict[str, Given[str]] | None = None
    """What its pgBackRest reads, by the names of the files."""
    restore: dict[str, Given[str]] | None = None
    """What it is made of a backup by, by the names of the files; None where it is made empty."""
    within: int | None = None
    """Seconds that this may take."""
    ready_timeout: int
    """Seconds that each wait may take."""


class LocalNodeProvider(DeclarativeProvider[LocalNodeInputs]):
    """A server of this host: running, with its data folder. Deleting it stops it; the folder is NodeData's to remove."""

    inputs = LocalNodeInputs
    compared = ("cluster_id", "port", "database", "bindir", "citus", "settings", "running")
    outputs = ("generation",)

    def refuse(self, before: Props, inputs: LocalNodeInputs) -> Iterator[str]:
        """Refuse what would leave the data behind or the coordinator unknown to the others: another folder, port or user."""
        settings = {"folder": "dataDir", "user": "user", **({"port": "port"} if inputs.is_coordinator else {})}
        was = self.read_inputs(before) if before else inputs
        for name, setting in settings.items():
            if getattr(was, name) != getattr(inputs, name):
                yield (
                    f"{inputs.node}: citus:{setting} gives {getattr(inputs, name)!r}, but its data was made with "
                    f"{getattr(was, name)!r}, and stays there: set that back, or start another stack"
                )

    def identify(self, inputs: LocalNodeInputs, outputs: Props) -> str:
        """Return the node's folder."""
        return inputs.folder

    def ensure(self, inputs: LocalNodeInputs, before: Props) -> Props:
        """Make the node, or take over what an earlier run of this stack left; start its server with its data."""
        server = _server(inputs)
        if not before and get_owner(server.folder) is not None:
            print(f"{server.folder} is part of this cluster, but not in the state: adopted with its data")  # noqa: T201
        was = self.read_inputs(before) if before else inputs
        is_other = (was.bindir, was.port, was.settings) != (inputs.bindir, inputs.port, inputs.settings)
        former = "" if "cluster_id" in before else str(before.get("stack", ""))
        try:
            generation = server.ensure(
                self.password, inputs.database, inputs.ready_timeout, before=former, restart=is_other
            )
        except HostError as error:
            if was.settings == inputs.settings or server.is_running():
                raise
            replace(server, settings=_settings(was)).ensure(self.password, inputs.database, inputs.ready_timeout)
            msg = f"{error}. It runs with its former parameters again: correct citus:parameters"
            raise HostError(msg) from error
        return {"generation": generation}

    def read(self, id_: str, props: Props) -> ReadResult:
        """Tell whether the folder is there and its server runs."""
        server = _server(self.read_inputs(props))
        if get_owner(server.folder) is None:
            return ReadResult("", {})
        return self.read_result(id_, {**props, "running": server.is_running()})

    def delete(self, _id: str, _props: Props) -> None:
        """Stop the server for good."""
        server = _server(self.read_inputs(_props))
        server.release()
        if "cluster_id" not in _props:  # of a state that has no NodeData for it
            DataFolder(server.folder, frozenset({server.cluster})).remove()


def _server(inputs: LocalNodeInputs) -> LocalServer:
    installation = Installation.at(Path(inputs.bindir))
    if installation is None:
        msg = f"{inputs.node}: the programs of its server are gone from {inputs.bindir}: put them back"
        raise HostError(msg)
    folder = Path(inputs.folder)
    return LocalServer(
        name=inputs.node,
        stack=inputs.stack,
        cluster=known(inputs.cluster_id) or inputs.stack,
        folder=folder,
        port=inputs.port,
        user=inputs.user,
        installation=reachable_installation(installation, folder.parent),
        locale=inputs.locale,
        settings=_settings(inputs),
        files={name: known(text) for name, text in (inputs.files or {}).items()},
        restore={name: known(text) for name, text in (inputs.restore or {}).items()},
        restore_within=inputs.within,
    )


def _settings(inputs: LocalNodeInputs) -> dict[str, str]:
    return {**SERVER_SETTINGS, **(inputs.settings or {})}


class LocalNode(Resource, module="citus", name="LocalNode"):
    """A running PostgreSQL server of this host. Its id is its folder."""

    generation: pulumi.Output[str]

    def __init__(self, name: str, inputs: LocalNodeInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        once = pulumi.ResourceOptions(delete_before_replace=True)  # or the new one would be stopped as the old one
        props = {**write(inputs), "running": True, "generation": None}
        secret = pulumi.ResourceOptions(
            additional_secret_outputs=[it for it in ("files", "restore") if getattr(inputs, it)]
        )
        opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions.merge(once, secret))
        super().__init__(LocalNodeProvider(), name, props, opts)


class LocalNodes(pulumi.ComponentResource):
    """Each node as a server of this host."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        host: LocalHost,
        cluster_id: pulumi.Output[str],
        access: Access,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("citus:local:Nodes", name, None, opts)
        installation = host.installation(settings)
        folder = host.data_dir(settings)
        nodes = list(zip(node_names(settings), settings.local_ports, strict=True))
        # All data goes after all servers: then it is the whole cluster that goes.
        self._data = [
            NodeData(
                f"{node}-keeper",
                NodeDataInputs(
                    server=access.server,
                    ready_timeout=access.ready_timeout,
                    node_name=HOST,
                    node_port=port,
                    is_coordinator=node == nodes[0][0],
                    place=f"folder:{folder / node}",
                    owner=cluster_id,
                    cluster_id=cluster_id,
                ),
                pulumi.ResourceOptions(parent=self),
            )
            for node, port in nodes
        ]
        self._last_restarted: list[pulumi.Resource] = []
        self._host = host
        self.plan: RestorePlan | None = None
        if source := settings.restore_from:
            inputs = RestorePlanInputs.of(
                settings,
                source,
                "local:",
                source.repository,
                server=host.expect(settings),
                needed=host.restores,
            )
            self.plan = RestorePlan(f"{name}-restore-plan", inputs, pulumi.ResourceOptions(parent=self))
        *self.workers, self.coordinator = [
            self._node(
                LocalNodeInputs(
                    node=node,
                    stack=host.stack,
                    cluster_id=cluster_id,
                    folder=str(folder / node),
                    port=port,
                    is_coordinator=node == nodes[0][0],
                    user=settings.user,
                    database=settings.database,
                    bindir=str(installation.bindir),
                    locale=host.locale(settings)[0],
                    citus=installation.citus,
                    settings=host.started_beside(settings, node) or None,
                    files=_repository_files(settings, node, port, folder / node),
                    **self._restored(settings, node, dict(nodes), cluster_id),
                    ready_timeout=settings.ready_timeout,
                )
            )
            for node, port in [*nodes[1:], nodes[0]]
        ]
        self.register_outputs({"folder": str(folder)})

    def _restored(
        self, settings: Settings, node: str, ports: Mapping[str, int], cluster_id: pulumi.Output[str]
    ) -> dict[str, Any]:
        """Return what a node needs that is made of a backup; nothing where it is not."""
        source, returning = settings.restore_from, self._host.returning
        is_whole = self.plan and self._host.restores and source
        if not is_whole and node not in returning.names:
            return {}
        server = ServerPlace(node, "/", ports[node], settings.user, settings.database, TOOLBOX)
        rules = (
            "local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\nhost all all ::1/128 scram-sha-256\n"
        )
        reached = {name: (HOST, port) for name, port in ports.items()}
        fresh = Fresh(rules, "# Written when the node was made of a backup.\n")
        if settings.backup and not (self.plan and is_whole and source):
            alone = returning.render(
                settings, server, settings.backup.repository, reached[node_names(settings)[0]], fresh
            )
            return {"restore": alone, "within": RETURN_SECONDS}
        assert self.plan and source  # noqa: S101, PT018 - as is_whole says
        files = self.plan.render(settings, server, source.repository, reached, cluster_id, fresh)
        return {"restore": files, "within": round(as_duration(source.within).total_seconds())}

    def pool(
        self, _pooler: PoolerSettings, _login: PoolerLogin, _after: Sequence[pulumi.Resource]
    ) -> list[pulumi.Resource]:
        """Refuse a pooler, as the settings have done."""
        raise NotImplementedError

    def schedule(self, _schedule: ScheduleSettings, _after: Sequence[pulumi.Resource]) -> list[pulumi.Resource]:
        """Refuse a schedule, as the settings have done."""
        raise NotImplementedError

    def guard(self, after: Sequence[pulumi.Resource]) -> None:
        """Declare nothing: no stranger is in the way of a process."""

    def _node(self, inputs: LocalNodeInputs) -> Node:
        opts = pulumi.ResourceOptions(parent=self, depends_on=[*self._data, *self._last_restarted])
        server = LocalNode(f"{inputs.node}-server", inputs, opts)
        if inputs.node in self._host.restarted:
            self._last_restarted = [server]
        return Node(
            name=inputs.node,
            key=inputs.node,
            resource=server,
            generation=server.generation,
            node_name=HOST,
            node_port=inputs.port,
            log=Log("file", f"{inputs.folder}/log"),
            passfile=f"folder:{inputs.folder}",
            repository_files=cast("dict[str, pulumi.Output[str]]", inputs.files or {}),
        )


def _repository_files(settings: Settings, node: str, port: int, folder: Path) -> dict[str, Given[str]] | None:
    if not settings.backup:
        return None
    server = ServerPlace(node, str(folder / "data"), port, settings.user, settings.database, str(folder))
    files = render_files(settings.backup, settings.backup.repository, server)
    return {name: pulumi.Output.secret(text) for name, text in files.items()}
