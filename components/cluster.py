"""CitusCluster: puts nodes, membership and sharding together. The only place that says what comes before what."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pulumi

from components.nodes.look import Look
from components.nodes.node import node_names
from components.resources.identity import ClusterIdentity
from components.resources.membership import ClusterHealth, CoordinatorNode, WorkerNode
from components.resources.placement import ShardPlacement
from components.resources.scripts import SchemaScript
from components.resources.tables import DistributedTable, LocalTable, ReferenceTable
from components.schema import passwords
from components.settings import reached_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.database.live import LiveCluster
    from components.names import TableName
    from components.nodes.runtime import Runtime
    from components.plan.plan import PlannedTable, ShardingPlan
    from components.plan.tenants import Tenancy
    from components.resources.remains import Remnants
    from components.resources.sql import ServerArgs
    from components.settings import Settings

__all__ = ["CitusCluster"]


class CitusCluster(pulumi.ComponentResource):
    """A coordinator, its workers, and a schema sharded over them.

    Order: containers, then the coordinator, then the workers, then the proof that all reach each other, then the schema
    files one after the other, then the tables that become local, then the sharded ones, each after those it needs.
    """

    dsn: pulumi.Output[str]
    """Connection URI of the coordinator, with the password: a secret."""
    psql: pulumi.Output[str]
    """Command that connects; psql asks for the password."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        plan: ShardingPlan,
        tenancies: Sequence[Tenancy],
        runtime: Runtime,
        look: Look | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("citus:index:Cluster", name, None, opts)
        self._settings = settings
        look = look or Look()
        self.identity = ClusterIdentity(
            "identity",  # the same name whatever the prefix: another prefix is to be refused, not another cluster
            {
                "runtime": settings.runtime,
                "name_prefix": settings.name_prefix,
                "user": settings.user,
                "database": settings.database,
                "adopt": settings.adopt,
                "stack": runtime.stack,
                "engine": look.engine,
                "found": look.remnants.as_props(),
                "obstacles": list(look.obstacles),
            },
            pulumi.ResourceOptions(parent=self),
        )
        self.identity.cluster_id.apply(lambda cluster_id: _name_undeclared(look.remnants, cluster_id))
        self.identity.cluster_id.apply(lambda cluster_id: _name_unknown_roles(look.live, cluster_id))
        address = reached_at(settings.bind_address)
        self._server: ServerArgs = {
            "name": node_names(settings)[0],
            "host": address,
            "port": settings.port,
            "database": settings.database,
            "user": settings.user,
            "log": str(runtime.log(settings, node_names(settings)[0])),
        }
        nodes = runtime.declare(
            name, settings, self.identity.cluster_id, self._server, pulumi.ResourceOptions(parent=self)
        )
        coordinator = nodes.coordinator
        # What lives in the cluster's database goes with the coordinator's server: a destroy asks the database nothing.
        self._child = pulumi.ResourceOptions(parent=self, deleted_with=coordinator.resource)

        self.coordinator = CoordinatorNode(
            coordinator.name,
            {
                "server": self._server,
                "node_name": coordinator.node_name,
                "node_port": coordinator.node_port,
                "generation": coordinator.generation,
                "stack": runtime.stack,
                "cluster_id": self.identity.cluster_id,
                "ready_timeout": settings.ready_timeout,
            },
            self._after([coordinator.resource]),
        )
        self.workers: list[WorkerNode] = []
        for node in nodes.workers:
            # One after the other, so that every run gives them the same groups, and the same shards.
            before = self.workers[-1] if self.workers else self.coordinator
            worker = WorkerNode(
                node.name,
                {
                    "server": self._server,
                    "node_name": node.node_name,
                    "node_port": node.node_port,
                    "generation": node.generation,
                    "log": str(node.log),
                    "ready_timeout": settings.ready_timeout,
                },
                self._after([before, node.resource]),
            )
            self.workers.append(worker)
        health = ClusterHealth(
            f"{name}-health",
            server=self._server,
            generations=[node.generation for node in (coordinator, *nodes.workers)],
            ready_timeout=settings.ready_timeout,
            opts=self._after(self.workers),
        )
        workers = [node.address for node in nodes.workers]
        last = self._local_tables(plan, self._scripts(plan, health))
        self.tables = self._tables(plan, last, health, [coordinator.address, *workers])
        self.placement = ShardPlacement(
            f"{name}-placement",
            {
                "server": self._server,
                "workers": workers,
                "leaving": self.identity.cluster_id.apply(lambda it: _leaving(look.live, it, workers)),
                "tenants": [
                    {
                        "table": tenancy.table,
                        "pin": {value: workers[number - 1] for value, number in tenancy.pin.items()},
                        "spread": list(tenancy.spread),
                    }
                    for tenancy in tenancies
                ],
                "groups": [self.tables[str(tenancy.table)].colocation_group for tenancy in tenancies],
                "ready_timeout": settings.ready_timeout,
            },
            self._after([last, *self.workers, *self.tables.values()]),
        )
        nodes.guard([self.placement, last])

        user, database = quote(settings.user, safe=""), quote(settings.database, safe="")
        password = quote(settings.password.get_secret_value(), safe="")
        at = f"[{address}]" if ":" in address else address
        self.dsn = pulumi.Output.secret(f"postgresql://{user}:{password}@{at}:{settings.port}/{database}")
        self.psql = pulumi.Output.from_input(f"psql 'postgresql://{user}@{at}:{settings.port}/{database}'")
        self.outputs = {
            "dsn": self.dsn,
            "psql": self.psql,
            "coordinator": self.coordinator.id,
            "workers": [worker.id for worker in self.workers],
            "versions": {"citus": self.coordinator.citus_version, "postgres": self.coordinator.postgres_version},
            "tables": {
                **{str(table): {"kind": "local"} for table in plan.undistributed},
                **{str(table.name): self._describe(table) for table in plan.tables},
            },
            "residency": self.placement.residency,
        }
        self.register_outputs(self.outputs)

    def _after(self, resources: Sequence[pulumi.Resource]) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(depends_on=list(resources)))

    def _scripts(self, plan: ShardingPlan, health: ClusterHealth) -> pulumi.Resource:
        last: pulumi.Resource = health
        for file in plan.files:
            last = SchemaScript(
                file.name,
                server=self._server,
                file_name=file.name,
                # Only where it must be one, for a preview to show all others.
                text=pulumi.Output.secret(file.text) if passwords.hold(file.text) else file.text,
                gives_passwords=bool(passwords.find_changes(file.text)),
                to_shard=[table.name for table in plan.tables],
                ready_timeout=self._settings.ready_timeout,
                opts=self._after([last]),
            )
        return last

    def _local_tables(self, plan: ShardingPlan, last: pulumi.Resource) -> pulumi.Resource:
        everything = plan.declared()
        for table in plan.undistributed:
            last = LocalTable(
                str(table),
                {
                    "server": self._server,
                    "table": table,
                    "still_to_come": {name: how for name, how in everything.items() if name != table},
                    "ready_timeout": self._settings.ready_timeout,
                },
                self._after([last]),
            )
        return last

    def _tables(
        self, plan: ShardingPlan, schema: pulumi.Resource, health: ClusterHealth, addresses: list[str]
    ) -> dict[str, DistributedTable | ReferenceTable]:
        made: dict[str, DistributedTable | ReferenceTable] = {}
        followers = _followers(plan)
        related = {table.name: set(table.related) for table in plan.tables}
        for table in plan.tables:
            moving = [table.name, *followers[table.name]]
            tied = set().union(*(related[name] for name in moving)) - {table.name}
            still_to_come = plan.declared(tied)
            opts = self._after([schema, health, *(made[str(name)] for name in table.after)])
            if table.distribution_column is None:
                made[str(table.name)] = ReferenceTable(
                    str(table.name),
                    {
                        "server": self._server,
                        "table": table.name,
                        "nodes": addresses,
                        "rewrite": table.rewrite,
                        "still_to_come": still_to_come,
                        "declared_keys": table.keys,
                        "ready_timeout": self._settings.ready_timeout,
                    },
                    opts,
                )
            else:
                made[str(table.name)] = DistributedTable(
                    str(table.name),
                    {
                        "server": self._server,
                        "table": table.name,
                        "distribution_column": table.distribution_column,
                        "colocate_with": table.colocate_with,
                        "shard_count": self._settings.shard_count,
                        "primary_key": table.primary_key,
                        "rewrite": table.rewrite,
                        "followers": followers[table.name],
                        "target_group": made[str(table.colocate_with)].colocation_group
                        if table.colocate_with
                        else None,
                        "still_to_come": still_to_come,
                        "declared_keys": table.keys,
                        "former_columns": table.former_columns,
                        "ready_timeout": self._settings.ready_timeout,
                    },
                    opts,
                )
        return made

    def _describe(self, table: PlannedTable) -> dict[str, pulumi.Input[str | int]]:
        made = self.tables[str(table.name)]
        if isinstance(made, ReferenceTable):
            return {"kind": "reference", "placements": made.placements, "colocationGroup": made.colocation_group}
        return {
            "kind": "distributed",
            "distributionColumn": table.distribution_column or "",
            "colocationGroup": made.colocation_group,
            "shardCount": made.shards,
        }


def _name_undeclared(remnants: Remnants, cluster_id: str) -> None:
    for what in remnants.undeclared(cluster_id):
        pulumi.log.warn(
            f"{what} is part of this cluster, but no setting declares it and nothing here touches it. A worker that is still "
            "registered is drained by the next update; then remove what is left yourself, with its data"
        )


def _name_unknown_roles(live: LiveCluster | None, cluster_id: str) -> None:
    if live is not None and live.cluster_id == cluster_id:
        for line in live.unknown_roles:
            pulumi.log.warn(line)


def _leaving(live: LiveCluster | None, cluster_id: str, workers: Sequence[str]) -> list[str]:
    """Return the workers that are registered and not declared any more; a preview names them."""
    if live is None or live.cluster_id != cluster_id:
        return []
    leaving = [worker for worker in live.workers if worker.address not in workers]
    for worker in leaving:
        pulumi.log.warn(
            f"worker {worker.address} is registered, and no setting declares it: its {worker.shards} shards move to the other "
            "workers, then it is unregistered"
        )
    return [worker.address for worker in leaving]


def _followers(plan: ShardingPlan) -> dict[TableName, list[TableName]]:
    """Return the tables that are colocated with each one, directly or by others."""
    targets = {table.name: table.colocate_with for table in plan.tables}
    followers: dict[TableName, list[TableName]] = {name: [] for name in targets}
    for name, direct in targets.items():
        target = direct
        while target is not None:
            followers[target].append(name)
            target = targets[target]
    return followers
