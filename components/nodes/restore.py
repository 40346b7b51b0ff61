"""RestorePlan and RestoredCluster: what a new cluster is made of, and the proof that it has come there; as dynamic resources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

import pulumi
from pulumi.dynamic import Resource

from components import registry
from components.access import Access
from components.backups.catalogue import read_catalogue
from components.backups.configuration import AUTHORITY_FILE, TOOLBOX, ServerPlace, render_files
from components.backups.restoring import RESTORE_FILES, Fresh, RestoredNode, Target, render_restore
from components.database import backups
from components.errors import BackupError, StackError
from components.nodes.versions import get_extension_problem
from components.resources.provider import DeclarativeProvider, tell
from components.resources.sql import SqlProvider, SqlResource
from components.resources.wire import Given, known, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from components.backups.catalogue import Catalogue
    from components.backups.settings import RestoreSettings
    from components.database.connections import Connection
    from components.resources.wire import Props
    from components.schema.needs import KnownServer
    from components.settings import Settings

__all__ = ["RestorePlan", "RestorePlanInputs", "RestoredCluster", "RestoredClusterInputs"]


class Toolbox(Protocol):
    """Where pgBackRest is run before there are nodes."""

    @classmethod
    def at(cls, where: str) -> Self:
        """Return the one of that image, or of this host."""

    def read_info(self, files: Mapping[str, str], repository: str) -> str:
        """Return what `pgbackrest info` tells, as JSON.

        Args:
            files: what it reads, by the names of the files.
            repository: folder or volume; empty for an object store.

        Raises:
            BackupError: it fails; with what it said.
        """


@dataclass(frozen=True, kw_only=True)
class RestorePlanInputs:
    """Inputs of RestorePlan."""

    repository: str
    at: str
    prefix: str
    """Of the nodes that were backed up."""
    name_prefix: str
    """Of those that are made."""
    workers: int
    toolbox: Given[str]
    files: dict[str, Given[str]]
    mounted: str
    """Folder or volume; empty for an object store."""
    major: int | None = None
    """Major version of PostgreSQL that the nodes are to run; None where it is not known."""
    citus: str = ""
    """Release of Citus that they are to run, such as 12.1; empty where it is not known."""
    needed: bool = True
    """Whether nodes are made of it now: a state that was lost, and a cluster that is there, ask for nothing."""

    @classmethod
    def of(
        cls,
        settings: Settings,
        source: RestoreSettings,
        toolbox: pulumi.Input[str],
        path: str,
        *,
        server: KnownServer,
        needed: bool,
    ) -> RestorePlanInputs:
        """Return them for the settings; `path` is where the toolbox has the repository, `server` what the nodes are to run."""
        place = ServerPlace("any", "/", 1, settings.user, settings.database, TOOLBOX)
        return cls(
            repository=source.repository,
            at=source.at,
            prefix=source.prefix or settings.name_prefix,
            name_prefix=settings.name_prefix,
            workers=settings.workers,
            toolbox=cast("str", toolbox),
            files={
                name: cast("str", pulumi.Output.secret(it)) for name, it in render_files(source, path, place).items()
            },
            mounted="" if source.is_store else source.repository.rstrip("/"),
            major=server.postgres,
            citus=".".join(map(str, server.citus or ())),
            needed=needed,
        )


class RestorePlanProvider(DeclarativeProvider[RestorePlanInputs]):
    """Finds the point, and the backup of each node that leads there. It is found once: a cluster is made of one point."""

    inputs = RestorePlanInputs
    outputs = ("point", "moment", "labels", "groups", "timelines")

    def refuse(self, before: Props, inputs: RestorePlanInputs) -> Iterator[str]:
        """Refuse another point for a cluster that is there, and one that does not exist."""
        if before:
            if before["at"] != inputs.at:
                yield (
                    f"citus:restoreFrom.at = {inputs.at!r}: this cluster was made of {before['at']!r}, and has rows of its own "
                    "since: set that back, or restore into another stack"
                )
        elif known(inputs.toolbox) and inputs.needed:
            try:
                _resolve(inputs)
            except StackError as error:
                yield str(error)

    def identify(self, inputs: RestorePlanInputs, outputs: Props) -> str:
        """Return the point; that of a cluster whose state was lost is not known."""
        return str(outputs["point"]) or "a point"

    def ensure(self, inputs: RestorePlanInputs, before: Props) -> Props:
        """Return the point with the backup of each node."""
        if before:
            return {name: before[name] for name in self.outputs}
        unknown = {"point": "", "moment": "", "labels": {}, "groups": {}, "timelines": {}}
        return _resolve(inputs) if inputs.needed else unknown

    def delete(self, _id: str, _props: Props) -> None:
        """Do nothing: the cluster stays what it is."""


def _resolve(inputs: RestorePlanInputs) -> Props:
    toolbox: Toolbox = registry.open_at(registry.TOOLBOXES, known(inputs.toolbox))
    setting = f"citus:restoreFrom.repository = {inputs.repository!r}"
    try:
        told = toolbox.read_info({name: known(text) for name, text in inputs.files.items()}, inputs.mounted)
        catalogue = read_catalogue(told, inputs.prefix)
        _refuse_none(catalogue, inputs)
        point = catalogue.find(inputs.at)
    except BackupError as error:
        msg = f"{setting}: {backups.explain(str(error), 'restoreFrom')}"
        raise BackupError(msg) from error
    if inputs.major and point.backup.major not in ("", str(inputs.major)):
        msg = (
            f"{setting}: the backup {point.backup.name} was made by PostgreSQL {point.backup.major}, and the nodes are to run "
            f"{inputs.major}: pgBackRest restores into the same major version alone. Use an image, or programs, of that"
        )
        raise BackupError(msg)
    if why := get_extension_problem([inputs.citus], point.citus, "use an image, or programs, of Citus {}"):
        msg = f"{setting}: {point.name} cannot be restored by what the nodes are to run: {why}"
        raise BackupError(msg)
    # Of a further point, those nodes that were there then.
    parts = {node: part for node, part in point.backup.parts.items() if point.name in part.timelines}
    workers = len(parts) - 1
    if workers != inputs.workers:
        msg = (
            f"{setting}: the backup {point.backup.name} is of {workers} workers, and citus:workers = {inputs.workers}: set "
            f"{workers}, and another number once it is up"
        )
        raise BackupError(msg)
    new = {node: inputs.name_prefix + node.removeprefix(inputs.prefix) for node in parts}
    return {
        "point": point.name,
        "moment": point.moment.isoformat(),
        "labels": {new[node]: part.label for node, part in parts.items()},
        "groups": {new[node]: part.group for node, part in parts.items()},
        "timelines": {new[node]: part.timelines[point.name] for node, part in parts.items()},
    }


def _refuse_none(catalogue: Catalogue, inputs: RestorePlanInputs) -> None:
    if catalogue.backups:
        return
    found = ", ".join(catalogue.prefixes)
    others = f"; it has backups of clusters with the prefix {found}: set citus:restoreFrom.prefix" if found else ""
    msg = f"it has no backup of a cluster with the prefix {inputs.prefix}{others}"
    raise BackupError(msg)


class RestorePlan(Resource, module="citus", name="RestorePlan"):
    """What the cluster is made of. Its id is the point."""

    point: pulumi.Output[str]
    moment: pulumi.Output[str]
    labels: pulumi.Output[dict[str, str]]
    groups: pulumi.Output[dict[str, int]]
    timelines: pulumi.Output[dict[str, int]]

    def __init__(self, name: str, inputs: RestorePlanInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["files"])
        props = {**write(inputs), **dict.fromkeys(RestorePlanProvider.outputs)}
        super().__init__(RestorePlanProvider(), name, props, pulumi.ResourceOptions.merge(opts, secret))
        self._prefixes = inputs.name_prefix, inputs.prefix

    def render(
        self,
        settings: Settings,
        server: ServerPlace,
        path: str,
        reached: Mapping[str, tuple[str, int]],
        cluster_id: pulumi.Output[str],
        fresh: Fresh,
    ) -> dict[str, pulumi.Output[str]]:
        """Return the files of a node, by their names; see render_restore.

        Args:
            settings: of the stack.
            server: of the node; its stanza is the node's name.
            path: where it has the repository.
            reached: how the others reach each node, by its name.
            cluster_id: of the new cluster.
            fresh: the configuration that it has then.
        """
        source = settings.restore_from
        assert source  # noqa: S101 - or there would be no plan
        own, former = self._prefixes

        def make(found: Sequence[Any]) -> dict[str, str]:
            point, labels, groups, timelines, made_id = found
            nodes = {
                node: RestoredNode(
                    int(groups[node]), former + node.removeprefix(own), labels[node], int(timelines[node]), *at
                )
                for node, at in reached.items()
            }
            target = Target(point, made_id, settings.password.get_secret_value(), nodes)
            return render_restore(source, path, server, target, fresh)

        found = pulumi.Output.all(self.point, self.labels, self.groups, self.timelines, cluster_id)
        files: pulumi.Output[dict[str, str]] = pulumi.Output.secret(found.apply(make))
        names = [*RESTORE_FILES, *([f"restore-{AUTHORITY_FILE}"] if source.authority else [])]

        def pick(name: str) -> pulumi.Output[str]:
            return files.apply(lambda texts: texts[name])

        return {name: pick(name) for name in names}


@dataclass(frozen=True, kw_only=True)
class RestoredClusterInputs(Access):
    """Inputs of RestoredCluster."""

    point: Given[str]
    moment: Given[str]


class RestoredClusterProvider(SqlProvider[RestoredClusterInputs]):
    """The proof that all nodes have come to the point, with the transactions between them ended. Deleting it does nothing."""

    inputs = RestoredClusterInputs
    compared = ("server",)

    def identify(self, inputs: RestoredClusterInputs, outputs: Props) -> str:
        """Return the point, as above."""
        return known(inputs.point) or "a point"

    def ensure(self, inputs: RestoredClusterInputs, before: Props) -> Props:
        """End what was between the two phases of a commit, and look for every shard."""
        with self.session(inputs, "proving the restored cluster", on_all_nodes=True) as connection:
            if known(inputs.point) and not before:
                tell(backups.prove_restored(connection))
                what = f"all that was committed through the coordinator until {known(inputs.moment)}"
                print(f"restored to {known(inputs.point)}: {what}")  # noqa: T201
        return {}

    def find(self, connection: Connection, inputs: RestoredClusterInputs, state: Props) -> Props:
        """Return nothing new: what it has come to stays."""
        return {}

    def delete(self, _id: str, _props: Props) -> None:
        """Do nothing."""


class RestoredCluster(SqlResource, module="citus", name="RestoredCluster"):
    """Stands for a cluster that was made of a backup."""

    def __init__(self, name: str, inputs: RestoredClusterInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(RestoredClusterProvider(), name, write(inputs), opts)
