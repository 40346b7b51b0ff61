"""ShardPlacement: which worker holds which tenants, as a dynamic resource. Lifecycle only."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pulumi
from pulumi.dynamic import DiffResult

from components.access import Access
from components.database import drain, jobs, moves, placement
from components.database.stall import Process, ended_when_stalled
from components.names import TableName
from components.resources.sql import SqlProvider, SqlResource
from components.resources.wire import Given, known, write

if TYPE_CHECKING:
    from components.database.connections import Connection
    from components.resources.wire import Props

__all__ = ["ShardPlacement", "ShardPlacementInputs", "TenantsInputs"]


@dataclass(frozen=True, kw_only=True)
class TenantsInputs:
    """The tenants of one colocation group."""

    table: TableName
    pin: dict[str, str] = field(default_factory=dict)
    """The worker of each value of the distribution column, by its address as declared."""
    spread: tuple[str, ...] = ()
    """Values that have a node each, as far as there are enough."""


@dataclass(frozen=True, kw_only=True)
class ShardPlacementInputs(Access):
    """Inputs of ShardPlacement."""

    workers: tuple[str, ...]
    """Addresses (`name:port`) of the declared workers."""
    worker_groups: tuple[Given[int], ...]
    """Their groups, in the same order: these hold shards, whatever their addresses. Others are drained and unregistered."""
    leaving: Given[tuple[str, ...]] = ()
    """Those others, as the program saw them: for a change of them to show at preview."""
    tenants: tuple[TenantsInputs, ...] = ()
    groups: tuple[Given[int], ...] = ()
    """Colocation group of each of the tenants' tables: one that is rewritten has its tenants to be placed again."""


class ShardPlacementProvider(SqlProvider[ShardPlacementInputs]):
    """Which worker holds which shards: tenants on theirs, and none on a worker that leaves. Deleting it moves nothing."""

    inputs = ShardPlacementInputs
    compared = ("server", "workers", "worker_groups", "tenants", "groups", "misplaced")
    outputs = ("residency",)

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """Compare; workers that are to leave are work, whatever the state knew of them."""
        compared = super().diff(_id, _olds, _news)
        return DiffResult(changes=bool(compared.changes or _news.get("leaving")), replaces=compared.replaces)

    def identify(self, inputs: ShardPlacementInputs, outputs: Props) -> str:
        """Return the only id there is."""
        return "placement"

    def ensure(self, inputs: ShardPlacementInputs, before: Props) -> Props:
        """Bring the tenants to their workers, and all else away from workers that leave."""
        residency: dict[str, dict[str, str]] = {}
        doing, server, timeout = "placing shards", inputs.server, inputs.ready_timeout
        with self.connection(inputs, "looking for workers that leave") as connection:
            addresses = _addresses(connection, inputs)
            workers = list(addresses.values())
            idle = drain.get_idle_workers(connection, workers)
            leaving = drain.get_leaving(connection, workers)
        if not (idle or leaving or inputs.tenants):
            return {"residency": residency}
        with (
            self.session(inputs, doing, on_all_nodes=True) as connection,
            ended_when_stalled(connection, server, self.password, doing=doing, timeout=timeout),
        ):
            # Its moves were planned for other workers, or for tenants elsewhere.
            jobs.settle(connection, partial(Process, server, self.password), timeout=timeout, keep=False)
            drain.ensure_shards_allowed(connection, workers)
            for tenants in inputs.tenants:
                pin = {value: addresses[declared] for value, declared in tenants.pin.items()}
                shards = placement.ensure_tenants(connection, tenants.table, pin, tenants.spread, workers)
                residency[str(tenants.table)] = {value: shard.node for value, shard in shards.items()}
            drain.ensure_left(connection, workers)
        return {"residency": residency}

    def find(self, connection: Connection, inputs: ShardPlacementInputs, state: Props) -> Props:
        """Return where the tenants are, and what is not as the last update left it: tenants, and workers without shards."""
        residency: dict[str, dict[str, str]] = {}
        workers = list(_addresses(connection, inputs).values())
        misplaced = [f"{worker} takes no shards" for worker in drain.get_idle_workers(connection, workers)]
        for tenants in inputs.tenants:
            placed = state["residency"][str(tenants.table)]
            shards = {value: moves.get_tenant_shard(connection, tenants.table, value) for value in placed}
            residency[str(tenants.table)] = {value: shard.node for value, shard in shards.items()}
            misplaced += [
                f"{tenants.table} {value}"
                for value, shard in shards.items()
                if shard.node != placed[value] or not shard.isolated
            ]
        return {"residency": residency, "misplaced": misplaced}


def _addresses(connection: Connection, inputs: ShardPlacementInputs) -> dict[str, str]:
    """Return the address under which each declared worker is registered now."""
    registered = drain.get_worker_addresses(connection)
    groups = dict(zip(inputs.workers, map(known, inputs.worker_groups or ()), strict=False))
    return {worker: registered.get(groups.get(worker, 0), worker) for worker in inputs.workers}


class ShardPlacement(SqlResource, module="citus", name="ShardPlacement"):
    """Where shards are placed: each tenant that the settings name on its worker."""

    residency: pulumi.Output[dict[str, dict[str, str]]]
    """The node of each named value, by table."""

    def __init__(self, name: str, inputs: ShardPlacementInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        props = {**write(inputs), "misplaced": [], "residency": None}
        super().__init__(ShardPlacementProvider(), name, props, opts)
