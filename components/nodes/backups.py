"""ClusterBackups: each node archives its write-ahead log, and the cluster can back itself up; as a dynamic resource."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, Self

import pulumi

from components import registry
from components.access import Access
from components.backups.settings import as_duration
from components.database import backups, nodes
from components.errors import BackupError, StackError
from components.resources.provider import tell
from components.resources.sql import READ_TIMEOUT, SqlProvider, SqlResource
from components.resources.wire import Given, known, write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.database.connections import Connection
    from components.resources.wire import Props

__all__ = ["BackupGuard", "BackupsOfNode", "ClusterBackups", "ClusterBackupsInputs"]


class Configuration(Protocol):
    """Where a node has what its pgBackRest reads."""

    @classmethod
    def at(cls, where: str) -> Self:
        """Return that of the node of that name or folder."""

    def ensure(self, texts: Mapping[str, str]) -> bool:
        """Let pgBackRest read files with these texts from now on; return whether it did not yet."""


@dataclass(frozen=True, kw_only=True)
class BackupsOfNode:
    """A node, and what its pgBackRest reads."""

    node: str
    group: Given[int]
    place: Given[str]
    generation: Given[str]
    """Changes when its server is another one."""
    files: dict[str, Given[str]]
    """The texts, by the names of the files."""


@dataclass(frozen=True, kw_only=True)
class ClusterBackupsInputs(Access):
    """Inputs of ClusterBackups."""

    repository: str
    nodes: tuple[BackupsOfNode, ...]


class ClusterBackupsProvider(SqlProvider[ClusterBackupsInputs]):
    """Nodes that archive, and know how to back themselves up. Deleting it does nothing: the repository stays."""

    inputs = ClusterBackupsInputs
    asks_nodes = True
    compared = ("server", "repository", "nodes", "archiving")

    def identify(self, inputs: ClusterBackupsInputs, outputs: Props) -> str:
        """Return the repository."""
        return inputs.repository

    def ensure(self, inputs: ClusterBackupsInputs, before: Props) -> Props:
        """Give each node its configuration, and prove that what it writes gets into the repository."""
        for node in inputs.nodes:
            configuration: Configuration = registry.open_at(registry.CONFIGURATIONS, known(node.place))
            texts = {name: known(text) for name, text in node.files.items()}
            if configuration.ensure(texts) and before:
                print(f"{node.node} knows its repository by other settings now")  # noqa: T201
        with self.session(inputs, "preparing backups", on_all_nodes=True) as connection:
            addresses = nodes.get_addresses(connection)
            backups.ensure_functions(connection, addresses)
            for node in inputs.nodes:
                address = addresses[int(known(node.group))]
                try:
                    backups.ensure_stanza(connection, *address)
                except BackupError as error:
                    msg = f"citus:backup.repository = {inputs.repository!r}: {node.node}: {error}"
                    raise BackupError(msg) from error
            missing = backups.find_missing_stanzas(connection, [node.node for node in inputs.nodes])
        if missing:
            msg = (
                f"citus:backup.repository = {inputs.repository!r}: the coordinator does not find {', '.join(missing)} in it: "
                "nodes of several hosts have to share the folder; or use s3://<bucket>/<prefix>"
            )
            raise BackupError(msg)
        return {}

    def delete(self, _id: str, _props: Props) -> None:
        """Do nothing: backups outlive their cluster."""

    def find(self, connection: Connection, inputs: ClusterBackupsInputs, state: Props) -> Props:
        """Return whether all nodes archive; say what each does not."""
        problems = list(backups.find_archiving_problems(connection))
        tell(problems)
        return {"archiving": not problems}


class BackupGuardProvider(SqlProvider[Access]):
    """Looks, before a cluster goes, how old its newest backup is, as long as the settings ask for it."""

    inputs = Access

    def identify(self, inputs: Access, outputs: Props) -> str:
        """Return the only id there is."""
        return "backup-guard"

    def ensure(self, inputs: Access, before: Props) -> Props:
        """Do nothing."""
        return {}

    def find(self, connection: Connection, inputs: Access, state: Props) -> Props:
        """Return nothing new."""
        return {}

    def delete(self, _id: str, _props: Props) -> None:
        """Let the destroy go on, unless there is no backup that is new enough.

        Raises:
            BackupError: there is none, or nobody can tell.
        """
        required = self._config.get("citus:requireBackup")
        if not required:
            return
        kept = f"nothing was deleted: citus:requireBackup = {required!r}"
        access = replace(self.as_set(_props), ready_timeout=READ_TIMEOUT)
        try:
            with self.connection(access, "looking for a backup") as connection:
                runs = backups.find_runs(connection) or backups.BackupRuns()
        except StackError as error:
            msg = f"{kept}, and the coordinator cannot be asked for its backups ({error}): remove the setting to go on"
            raise BackupError(msg) from error
        if runs.ended is None or datetime.now(UTC) - runs.ended > as_duration(str(required)):
            msg = f"{kept}, and {runs.describe()}: `make backup` first, or remove the setting"
            raise BackupError(msg)


class BackupGuard(SqlResource, module="citus", name="BackupGuard"):
    """Deleted before all else. Declared where the settings ask for a backup before what is dangerous."""

    def __init__(self, name: str, inputs: Access, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(BackupGuardProvider(), name, write(inputs), opts)


class ClusterBackups(SqlResource, module="citus", name="ClusterBackups"):
    """The cluster's backups. Declared where the settings have a repository."""

    def __init__(self, name: str, inputs: ClusterBackupsInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["nodes"])
        props = {**write(inputs), "archiving": True}
        super().__init__(ClusterBackupsProvider(), name, props, pulumi.ResourceOptions.merge(opts, secret))
