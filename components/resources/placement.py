"""ShardPlacement: which worker holds which tenants, as a dynamic resource. Lifecycle only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

import pulumi
from pulumi.dynamic import DiffResult

from components.resources.sql import ServerArgs, SqlProvider, SqlResource
from components.resources.wire import read_table, wire_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.database.connections import Connection
    from components.names import TableName

__all__ = ["ShardPlacement", "ShardPlacementArgs", "TenantsArgs"]


class TenantsArgs(TypedDict):
    """The tenants of one colocation group."""

    table: TableName
    pin: dict[str, str]
    """The node (`name:port`) of each value of the distribution column."""
    spread: list[str]
    """Values that have a node each, as far as there are enough."""


class ShardPlacementArgs(TypedDict):
    """Inputs of ShardPlacement."""

    server: ServerArgs
    workers: Sequence[str]
    """Workers (`name:port`) that hold shards. Any other that is registered is drained and unregistered."""
    leaving: pulumi.Input[Sequence[str]]
    """Those others, as the program saw them: for a change of them to show at preview."""
    tenants: Sequence[TenantsArgs]
    groups: Sequence[pulumi.Input[int]]
    """Colocation group of each of the tenants' tables: one that is rewritten has its tenants to be placed again."""
    ready_timeout: int


class ShardPlacementProvider(SqlProvider):
    """Which worker holds which shards: tenants on theirs, and none on a worker that leaves. Deleting it moves nothing."""

    compared = ("server", "workers", "tenants", "groups", "misplaced")
    outputs = ("residency",)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Compare; workers that are to leave are work, whatever the state knew of them."""
        compared = super().diff(_id, _olds, _news)
        return DiffResult(changes=bool(compared.changes or _news.get("leaving")), replaces=compared.replaces)

    def identify(self, props: dict[str, Any]) -> str:
        """Return the only id there is."""
        return "placement"

    def ensure(self, props: dict[str, Any], olds: dict[str, Any]) -> dict[str, Any]:
        """Bring the tenants to their workers, and all else away from workers that leave."""
        from components.database import drain, placement  # noqa: PLC0415
        from components.database.connections import Server  # noqa: PLC0415
        from components.database.stall import ended_when_stalled  # noqa: PLC0415

        residency: dict[str, dict[str, str]] = {}
        doing, server, timeout = "placing shards", Server.of(props["server"]), int(props["ready_timeout"])
        with self.connection(props, "looking for workers that leave") as connection:
            idle = drain.get_idle_workers(connection, props["workers"])
            leaving = drain.get_leaving(connection, props["workers"])
        if not (idle or leaving or props["tenants"]):
            return {"residency": residency}
        with (
            self.session(props, doing, on_all_nodes=True) as connection,
            ended_when_stalled(connection, server, self.password, doing=doing, timeout=timeout),
        ):
            drain.ensure_shards_allowed(connection, props["workers"])
            for tenants in props["tenants"]:
                table = read_table(tenants)
                shards = placement.ensure_tenants(
                    connection, table, tenants["pin"], tenants["spread"], props["workers"]
                )
                residency[str(table)] = {value: shard.node for value, shard in shards.items()}
            drain.ensure_left(connection, props["workers"])
        return {"residency": residency}

    def find(self, connection: Connection, id_: str, props: dict[str, Any]) -> dict[str, Any]:
        """Return where the tenants lie, and what is not as the last update left it: tenants, and workers without shards."""
        from components.database import drain, moves  # noqa: PLC0415

        residency: dict[str, dict[str, str]] = {}
        misplaced = [f"{worker} takes no shards" for worker in drain.get_idle_workers(connection, props["workers"])]
        for tenants in props["tenants"]:
            table = read_table(tenants)
            known = props["residency"][str(table)]
            shards = {value: moves.get_tenant_shard(connection, table, value) for value in known}
            residency[str(table)] = {value: shard.node for value, shard in shards.items()}
            misplaced += [
                f"{table} {value}"
                for value, shard in shards.items()
                if shard.node != known[value] or not shard.isolated
            ]
        return {"residency": residency, "misplaced": misplaced}


class ShardPlacement(SqlResource, module="citus", name="ShardPlacement"):
    """Where shards lie: each tenant that the settings name on its worker."""

    residency: pulumi.Output[dict[str, dict[str, str]]]
    """The node of each named value, by table."""

    def __init__(self, name: str, args: ShardPlacementArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        props = {
            **args,
            "workers": list(args["workers"]),
            "tenants": [{**tenants, "table": wire_name(tenants["table"])} for tenants in args["tenants"]],
            "misplaced": [],
            "residency": None,
        }
        super().__init__(ShardPlacementProvider(), name, props, opts)
