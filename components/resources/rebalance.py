"""Rebalance: shards evened out over the workers, as a dynamic resource. Lifecycle only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pulumi.dynamic import DiffResult

from components.access import Access
from components.database import jobs, rebalance
from components.database.rebalance import Forecast, RebalancePolicy, Staying
from components.resources.placement import TenantsInputs
from components.resources.sql import SqlProvider, SqlResource
from components.resources.wire import Given, known, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pulumi

    from components.database.connections import Connection
    from components.resources.wire import Props

__all__ = ["Rebalance", "RebalanceInputs"]


@dataclass(frozen=True, kw_only=True)
class RebalanceInputs(Access):
    """Inputs of Rebalance."""

    policy: RebalancePolicy
    worker_groups: tuple[Given[int], ...]
    """The groups of the declared workers."""
    tenants: tuple[TenantsInputs, ...] = ()
    """Those whose shards stay where they are."""
    schemas: tuple[str, ...] = ()
    """Distributed schemas that stay where they are."""
    files: tuple[str, ...] = ()
    """Names of the files of the schema: one more may bring rows."""
    groups: dict[str, Given[int]] = field(default_factory=dict)
    """The colocation group of each sharded table. With one more, or another group, loads are others."""
    all_schemas: tuple[str, ...] = ()
    """Every distributed schema."""
    forecast: Given[Forecast]
    """What it would do, as the program's look at the running cluster had it."""


class RebalanceProvider(SqlProvider[RebalanceInputs]):
    """Shards evened out over the workers."""

    inputs = RebalanceInputs
    asks_nodes = True
    compared = (
        "server",
        "policy",
        "worker_groups",
        "tenants",
        "schemas",
        "files",
        "groups",
        "all_schemas",
        "unbalanced",
    )

    def refuse(self, before: Props, inputs: RebalanceInputs) -> Iterator[str]:
        """Refuse, before anything is touched, what the running cluster has no way to do."""
        seen = known(inputs.forecast)
        if seen is not None and seen.obstacle:
            yield seen.obstacle

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """Compare; shards that are to move are work, unless the state has been told of that very look: then they have moved."""
        compared = super().diff(_id, _olds, _news)
        seen = known(self.read_inputs(_news).forecast)
        is_new = bool(seen and seen.moves and _olds.get("forecast") != _news.get("forecast"))
        return DiffResult(changes=compared.changes or is_new, replaces=compared.replaces)

    def identify(self, inputs: RebalanceInputs, outputs: Props) -> str:
        """Return the only id there is."""
        return "rebalance"

    def ensure(self, inputs: RebalanceInputs, before: Props) -> Props:
        """Have Citus move shards until its plan is empty; costs one look where there is nothing to move."""
        doing, server, timeout = "rebalancing shards", inputs.server, inputs.ready_timeout
        policy, staying = inputs.policy, _staying(inputs)
        with self.connection(inputs, "looking for shards to move") as connection:
            if not jobs.can_rebalance(connection):
                print("rebalance: nothing to do, for the stand-in for Citus moves no rows")  # noqa: T201
                return {}
            fixed = rebalance.get_fixed(connection, staying)
            if not (jobs.get_job(connection) or rebalance.get_moves(connection, policy, fixed)):
                return {}
        with self.session(inputs, doing, on_all_nodes=True) as connection:
            rebalance.ensure_balanced(
                connection, policy, staying, server=server, password=self.password, timeout=timeout
            )
        return {}

    def find(self, connection: Connection, inputs: RebalanceInputs, state: Props) -> Props:
        """Return what a rebalance would move now."""
        if not jobs.can_rebalance(connection):
            return {"unbalanced": []}
        seen = rebalance.forecast(connection, inputs.policy, rebalance.get_fixed(connection, _staying(inputs)))
        return {"unbalanced": [f"{seen}"] if seen.moves else []}


def _staying(inputs: RebalanceInputs) -> Staying:
    return Staying(tenants={it.table: (*it.pin, *it.spread) for it in inputs.tenants}, schemas=inputs.schemas)


class Rebalance(SqlResource, module="citus", name="Rebalance"):
    """Shards evened out over the workers, by Citus's own planner and background job."""

    def __init__(self, name: str, inputs: RebalanceInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(RebalanceProvider(), name, {**write(inputs), "unbalanced": []}, opts)
