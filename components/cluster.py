"""CitusCluster: puts nodes, membership and sharding together. The only place that says what comes before what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pulumi

from components.access import Access, Server
from components.database.login_roles import describe_changes
from components.database.roles import describe_unknown
from components.nodes.look import Look
from components.nodes.node import node_names
from components.resources.identity import ClusterIdentity, ClusterIdentityInputs
from components.resources.membership import (
    ClusterHealth,
    ClusterHealthInputs,
    CoordinatorNode,
    CoordinatorNodeInputs,
    WorkerNode,
    WorkerNodeInputs,
    worker_id,
)
from components.resources.placement import ShardPlacement, ShardPlacementInputs, TenantsInputs
from components.resources.roles import Role, RoleInputs, RolePrivileges, RolePrivilegesInputs
from components.resources.scripts import SchemaScript, SchemaScriptInputs
from components.resources.tables import DistributedTable, LocalTable, ReferenceTable
from components.settings import reached_at
from components.tables import DistributedDeclaration, ReferenceDeclaration

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from components.database.live import LiveCluster
    from components.names import RoleName
    from components.nodes.runtime import Runtime
    from components.plan.plan import PlannedTable, ShardingPlan
    from components.plan.tenants import Tenancy
    from components.resources.remains import Remnants
    from components.settings import Settings

__all__ = ["CitusCluster"]


class CitusCluster(pulumi.ComponentResource):
    """A coordinator, its workers, and a schema sharded over them.

    Order: containers, then the coordinator, then the workers, then the proof that all reach each other, then the schema
    files one after the other, then the tables that become local, then the sharded ones, each after those it needs. Roles come
    before the files, which may name them, and what they may do after the tables.
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
            ClusterIdentityInputs(
                runtime=settings.runtime,
                name_prefix=settings.name_prefix,
                user=settings.user,
                database=settings.database,
                adopt=settings.adopt,
                stack=runtime.stack,
                engine=look.engine,
                found=look.remnants.found,
                obstacles=look.obstacles,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.identity.cluster_id.apply(lambda cluster_id: _name_undeclared(look.remnants, cluster_id))
        declared = [role.name for role in settings.roles]
        self.identity.cluster_id.apply(lambda cluster_id: _name_roles(look.live, cluster_id, declared))
        address, coordinator_name = reached_at(settings.bind_address), node_names(settings)[0]
        server = Server(
            name=coordinator_name,
            host=address,
            port=settings.port,
            database=settings.database,
            user=settings.user,
            log=runtime.log(settings, coordinator_name),
        )
        self._access = Access(
            server=server, ready_timeout=settings.ready_timeout, unsafe_triggers=settings.unsafe_triggers or None
        )
        nodes = runtime.declare(
            name, settings, self.identity.cluster_id, self._access, pulumi.ResourceOptions(parent=self)
        )
        coordinator = nodes.coordinator
        # What lives in the cluster's database goes with the coordinator's server: a destroy asks the database nothing.
        self._child = pulumi.ResourceOptions(parent=self, deleted_with=coordinator.resource)

        self.coordinator = CoordinatorNode(
            coordinator.name,
            CoordinatorNodeInputs(
                **vars(self._access),
                node_name=coordinator.node_name,
                node_port=coordinator.node_port,
                generation=coordinator.generation,
                stack=runtime.stack,
                cluster_id=self.identity.cluster_id,
            ),
            self._after([coordinator.resource]),
        )
        self.workers: list[WorkerNode] = []
        for node in nodes.workers:
            # One after the other, so that every run gives them the same groups, and the same shards.
            before = self.workers[-1] if self.workers else self.coordinator
            inputs = WorkerNodeInputs(
                **vars(self._access),
                node_name=node.node_name,
                node_port=node.node_port,
                generation=node.generation,
                log=node.log,
            )
            self.workers.append(WorkerNode(node.name, inputs, self._after([before, node.resource])))
        generations = tuple(node.generation for node in (coordinator, *nodes.workers))
        health = ClusterHealth(
            f"{name}-health",
            ClusterHealthInputs(**vars(self._access), generations=generations),
            self._after(self.workers),
        )
        workers = [node.address for node in nodes.workers]
        self.roles = self._roles(health, generations)
        last = self._local_tables(plan, self._scripts(plan, [*self.roles.values(), health]))
        self.tables = self._tables(plan, last, health, [coordinator.address, *workers])
        self.placement = ShardPlacement(
            f"{name}-placement",
            ShardPlacementInputs(
                **vars(self._access),
                workers=tuple(workers),
                worker_groups=tuple(worker.group_id for worker in self.workers),
                leaving=self.identity.cluster_id.apply(lambda it: _find_leaving(look.live, it, workers, self.workers)),
                tenants=tuple(
                    TenantsInputs(
                        table=tenancy.table,
                        pin={value: workers[number - 1] for value, number in tenancy.pin.items()},
                        spread=tuple(tenancy.spread),
                    )
                    for tenancy in tenancies
                ),
                groups=tuple(self.tables[str(tenancy.table)].colocation_group for tenancy in tenancies),
            ),
            self._after([last, *self.workers, *self.tables.values()]),
        )
        privileges = self._privileges(plan, last)
        nodes.guard([self.placement, last, *privileges])

        user, database = quote(settings.user, safe=""), quote(settings.database, safe="")
        password = quote(settings.password.get_secret_value(), safe="")
        at = f"[{address}]" if ":" in address else address
        self.dsn = pulumi.Output.secret(f"postgresql://{user}:{password}@{at}:{settings.port}/{database}")
        self.psql = pulumi.Output.from_input(f"psql 'postgresql://{user}@{at}:{settings.port}/{database}'")
        self.outputs = {
            "dsn": self.dsn,
            "psql": self.psql,
            "coordinator": self.coordinator.id,
            "workers": workers,
            "versions": {"citus": self.coordinator.citus_version, "postgres": self.coordinator.postgres_version},
            "tables": {
                **{str(it.table): {"kind": "local"} for it in plan.undistributed},
                **{str(table.name): self._describe(table) for table in plan.tables},
            },
            "residency": self.placement.residency,
            **self._describe_roles(at),
        }
        self.register_outputs(self.outputs)

    def _after(self, resources: Sequence[pulumi.Resource]) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(depends_on=list(resources)))

    def _roles(self, health: ClusterHealth, generations: Sequence[pulumi.Input[str]]) -> dict[RoleName, Role]:
        made: dict[RoleName, Role] = {}
        for role, declared in self._settings.roles.items():
            password, limit = declared.password.get_secret_value(), declared.connections
            inputs = RoleInputs.of(self._access, role.name, password, limit, generations)
            made[role] = Role(str(role), inputs, self._after([health]))
        return made

    def _privileges(self, plan: ShardingPlan, last: pulumi.Resource) -> list[RolePrivileges]:
        groups: dict[str, pulumi.Input[int]] = {name: table.colocation_group for name, table in self.tables.items()}
        made = []
        for role, declared in self._settings.roles.items():
            inputs = RolePrivilegesInputs(
                **vars(self._access),
                role=role.name,
                read=tuple(schema.name for schema in declared.read),
                write=tuple(schema.name for schema in declared.write),
                files=tuple(file.name for file in plan.files),
                tables=groups,
            )
            needed = [self.roles[role], last, *self.tables.values()]
            made.append(RolePrivileges(str(role), inputs, self._after(needed)))
        return made

    def _describe_roles(self, host: str) -> dict[str, pulumi.Input[Any]]:
        if not self.roles:
            return {}
        settings, told, dsn = self._settings, {}, {}
        for role, declared in settings.roles.items():
            told[str(role)] = {"read": [*map(str, declared.read)], "write": [*map(str, declared.write)]}
            user, password = quote(role.name, safe=""), quote(declared.password.get_secret_value(), safe="")
            database = quote(settings.database, safe="")
            dsn[str(role)] = f"postgresql://{user}:{password}@{host}:{settings.port}/{database}"
        return {"roles": told, "dsnByRole": pulumi.Output.secret(dsn)}

    def _scripts(self, plan: ShardingPlan, before: Sequence[pulumi.Resource]) -> pulumi.Resource:
        last = list(before)
        for file in plan.files:
            inputs = SchemaScriptInputs.of(self._access, file, (table.name for table in plan.tables))
            last = [SchemaScript(file.name, inputs, self._after(last))]
        return last[-1]

    def _local_tables(self, plan: ShardingPlan, last: pulumi.Resource) -> pulumi.Resource:
        for declaration in plan.undistributed:
            last = LocalTable(str(declaration.table), declaration, self._access, self._after([last]))
        return last

    def _tables(
        self, plan: ShardingPlan, schema: pulumi.Resource, health: ClusterHealth, addresses: list[str]
    ) -> dict[str, DistributedTable | ReferenceTable]:
        made: dict[str, DistributedTable | ReferenceTable] = {}
        for table in plan.tables:
            name = str(table.name)
            opts = self._after([schema, health, *(made[str(other)] for other in table.after)])
            match table.declaration:
                case ReferenceDeclaration():
                    made[name] = ReferenceTable(name, table.declaration, self._access, addresses, opts)
                case DistributedDeclaration(colocate_with=target):
                    group = made[str(target)].colocation_group if target else None
                    made[name] = DistributedTable(name, table.declaration, self._access, group, opts)
        return made

    def _describe(self, table: PlannedTable) -> dict[str, pulumi.Input[str | int]]:
        made = self.tables[str(table.name)]
        if isinstance(made, DistributedTable) and isinstance(table.declaration, DistributedDeclaration):
            return {
                "kind": "distributed",
                "distributionColumn": table.declaration.distribution_column,
                "colocationGroup": made.colocation_group,
                "shardCount": made.shards,
            }
        assert isinstance(made, ReferenceTable)  # noqa: S101 - the only other kind
        return {"kind": "reference", "placements": made.placements, "colocationGroup": made.colocation_group}


def _name_undeclared(remnants: Remnants, cluster_id: str) -> None:
    for what in remnants.undeclared(cluster_id):
        pulumi.log.warn(
            f"{what} is part of this cluster, but no setting declares it and nothing here touches it. A worker that is still "
            "registered is drained by the next update; then remove what is left yourself, with its data"
        )


def _name_roles(live: LiveCluster | None, cluster_id: str, declared: Collection[str]) -> None:
    if live is not None and live.cluster_id == cluster_id:
        unknown = (describe_unknown(role) for role in live.unknown_roles if role not in declared)
        for line in (*describe_changes(live.roles, declared), *unknown):
            pulumi.log.warn(line)


async def _find_leaving(
    live: LiveCluster | None, cluster_id: str, addresses: Sequence[str], workers: Sequence[WorkerNode]
) -> tuple[str, ...]:
    """Return the workers that are registered and not declared any more; a preview names them.

    One whose group the state has is declared, whatever its address is; one that is to be made is known by its address alone.
    """
    if live is None or live.cluster_id != cluster_id:
        return ()
    declared = {*addresses, *[await worker.id.future() for worker in workers]}
    leaving = [it for it in live.workers if not declared & {it.address, worker_id(it.group_id)}]
    for worker in leaving:
        pulumi.log.warn(
            f"worker {worker.address} is registered, and no setting declares it: its {worker.shards} shards move to the other "
            "workers, then it is unregistered"
        )
    return tuple(worker.address for worker in leaving)
