"""The running cluster as a preview sees it: the applied files, the sharded tables, the registered workers.

Reads the coordinator's metadata once, for a few seconds at most; changes nothing. Knows nothing of Pulumi.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from components.access import Server
from components.database import login_roles, roles
from components.database.backups import BackupRuns, find_runs
from components.database.client import connected
from components.database.login_roles import LiveRole
from components.database.metadata import as_sharding
from components.database.statements import statement
from components.errors import StackError
from components.names import TableName
from components.parameters import Parameter
from components.schema.needs import KnownServer, parse_release
from components.tables import Sharding

if TYPE_CHECKING:
    from components.database.connections import Connection

__all__ = ["LiveCluster", "LiveWorker", "get_extension_version", "look_at"]


PATIENCE: Final = 3
"""Seconds that a preview waits for the coordinator."""


@dataclass(frozen=True)
class LiveWorker:
    """A worker of pg_dist_node."""

    group_id: int
    node_name: str
    node_port: int
    should_have_shards: bool
    shards: int
    """Placements of distributed tables that it holds."""

    @property
    def address(self) -> str:
        """Return `name:port`."""
        return f"{self.node_name}:{self.node_port}"


@dataclass(frozen=True)
class LiveCluster:
    """What the coordinator's metadata said."""

    cluster_id: str
    """The cluster's id, from the ledger."""
    coordinator: str | None
    """`name:port` under which it is registered."""
    scripts: Mapping[str, str]
    """The sha256 of each schema file that was applied, by the file's name."""
    tables: Mapping[TableName, Sharding]
    """Every table of the database except those of the system."""
    workers: tuple[LiveWorker, ...]
    server: KnownServer = field(default_factory=KnownServer)
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    """Those that the coordinator has."""
    reached: Server | None = None
    """Where the coordinator answered."""
    password: str = field(default="", repr=False)
    """The one that it took: another than that of the settings, where that is still to be changed."""
    unknown_roles: tuple[str, ...] = ()
    """Each role that may use sharded tables, but whose password the nodes do not know."""
    roles: tuple[LiveRole, ...] = ()
    backups: BackupRuns | None = None
    """What the cluster notes of its backups; None where it makes none."""
    restored: bool | None = None
    """Whether what was restored is proved; None where the cluster was not made of a backup."""


def look_at(server: Server, *passwords: str) -> LiveCluster | None:
    """Return what the coordinator's metadata says, to the first password that it takes.

    Returns:
        None where it does not answer, refuses the login, or no run has set it up yet.
    """
    return next(filter(None, (_look_at(server, password) for password in passwords)), None)


def _look_at(server: Server, password: str) -> LiveCluster | None:
    try:
        doing = "looking at the cluster"
        with connected(server, password, doing=doing, timeout=PATIENCE, limit=PATIENCE) as connection:
            connection.execute("set citus.enable_version_checks = off")  # an upgrade may have been interrupted
            known = connection.execute(statement("has_ledger")).fetchone()
            if not known or not known[0]:
                return None
            row = connection.execute(statement("look_at_cluster")).fetchone()
            told = connection.execute(statement("describe_server")).fetchone()
            restored, runs = _is_restored(connection), find_runs(connection)
            live_roles = login_roles.look_at(connection)
            parameters = {
                name: Parameter(context, kind, unit, least, most, tuple(values))
                for name, context, kind, unit, least, most, values in connection.execute(statement("get_parameters"))
            }
            unknown = tuple(roles.get_unknown(connection))
    except StackError:
        return None
    if not row or not told:
        return None
    known = KnownServer("the running cluster", told[0], frozenset(told[1]), frozenset(told[2]), parse_release(told[3]))
    return replace(
        _read(row[0]),
        unknown_roles=unknown,
        roles=live_roles,
        server=known,
        reached=server,
        password=password,
        parameters=parameters,
        restored=restored,
        backups=runs,
    )


def _is_restored(connection: Connection) -> bool | None:
    row = connection.execute("select pg_catalog.to_regclass('citus_pulumi.restored') is not null").fetchone()
    if not row or not row[0]:
        return None
    noted = connection.execute(statement("get_restored")).fetchone()
    return bool(noted[0]) if noted else None


def get_extension_version(server: Server, *passwords: str) -> str:
    """Return the version of the extension citus in the running cluster's database; nothing where it does not answer.

    Asks PostgreSQL's own catalog alone: Citus's functions refuse to serve another version than their library's.
    """
    return next(filter(None, (_get_extension_version(server, password) for password in passwords)), "")


def _get_extension_version(server: Server, password: str) -> str:
    try:
        with connected(server, password, doing="asking for the version of Citus", timeout=PATIENCE) as connection:
            row = connection.execute(statement("get_extension_version")).fetchone()
    except StackError:
        return ""
    return str(row[0]) if row else ""


def _read(seen: dict[str, Any]) -> LiveCluster:
    return LiveCluster(
        cluster_id=seen["cluster_id"] or "",
        coordinator=seen["coordinator"],
        scripts=seen["scripts"],
        tables={
            TableName(table["schema"], table["name"]): as_sharding(table["kind"], table["distribution_column"])
            for table in seen["tables"]
        },
        workers=tuple(LiveWorker(**worker) for worker in seen["workers"]),
    )
