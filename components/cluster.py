"""CitusCluster: puts nodes, membership and sharding together. The only place that says what comes before what."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlencode

import pulumi

from components.access import Access, Server
from components.database.login_roles import describe_changes
from components.database.pooling import POOLER
from components.database.rebalance import Forecast, RebalancePolicy, Staying, look_ahead
from components.database.roles import describe_unknown
from components.errors import StackError
from components.names import SchemaName
from components.nodes.backups import BackupGuard, BackupsOfNode, ClusterBackups, ClusterBackupsInputs
from components.nodes.keypairs import KeypairOfNode, ServerKeypairs, ServerKeypairsInputs
from components.nodes.look import Look
from components.nodes.node import node_names
from components.nodes.password import PasswordOfNode, UserPassword, UserPasswordInputs
from components.nodes.restore import RestoredCluster, RestoredClusterInputs
from components.nodes.server_settings import get_reloaded
from components.resources.certificates import CertificateAuthority, CertificateAuthorityInputs
from components.resources.functions import DistributedFunction, FunctionInputs
from components.resources.identity import ClusterIdentity, ClusterIdentityInputs
from components.resources.login_rules import LoginRules, LoginRulesInputs
from components.resources.membership import (
    ClusterHealth,
    ClusterHealthInputs,
    CoordinatorNode,
    CoordinatorNodeInputs,
    WorkerNode,
    WorkerNodeInputs,
    worker_id,
)
from components.resources.parameters import NodeParameters, ServerParameters, ServerParametersInputs
from components.resources.placement import ShardPlacement, ShardPlacementInputs, TenantsInputs
from components.resources.pooling import PoolerLogin, PoolerLoginInputs
from components.resources.rebalance import Rebalance, RebalanceInputs
from components.resources.roles import Role, RoleInputs, RolePrivileges, RolePrivilegesInputs
from components.resources.schemas import DistributedSchema, SchemaInputs
from components.resources.scripts import SchemaScript, SchemaScriptInputs
from components.resources.tables import DistributedTable, LocalTable, ReferenceTable
from components.resources.wire import write
from components.tables import Distributed, DistributedDeclaration, ReferenceDeclaration

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pydantic import SecretStr

    from components.database.live import LiveCluster, LiveWorker
    from components.names import RoleName
    from components.nodes.node import Node
    from components.nodes.restore import RestorePlan
    from components.nodes.runtime import Nodes, Runtime
    from components.plan.functions import PlannedFunction
    from components.plan.plan import PlannedSchema, PlannedTable, ShardingPlan
    from components.plan.tenants import Tenancy
    from components.resources.remains import Remnants
    from components.settings import Settings

__all__ = ["CitusCluster"]


class CitusCluster(pulumi.ComponentResource):
    """A coordinator, its workers, and a schema sharded over them.

    Order: containers, then the coordinator, then the workers, then the proof that all reach each other, then the schema
    files one after the other, then the tables and schemas that become local, then the sharded ones, each after those it needs.
    Roles come before the files, which may name them, and what they may do after the tables.
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
                verifies=settings.verifies or None,
                found=look.remnants.found,
                obstacles=look.obstacles,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.identity.cluster_id.apply(lambda cluster_id: _name_undeclared(look.remnants, cluster_id))
        if restarts := look.describe_restarts():
            pulumi.log.info(restarts)
        declared = [role.name for role in settings.roles]
        self.identity.cluster_id.apply(lambda cluster_id: _name_roles(look.live, cluster_id, declared))
        coordinator_name = node_names(settings)[0]
        authority = self._authority(name) if settings.verifies else None
        server = Server(
            name=coordinator_name,
            host=settings.address,
            port=settings.port,
            database=settings.database,
            user=settings.user,
            log=runtime.log(settings, coordinator_name),
            authority=cast("str", authority.certificate) if authority else None,  # read by those to whom it is known
        )
        self._access = Access(
            server=server, ready_timeout=settings.ready_timeout, unsafe_triggers=settings.unsafe_triggers or None
        )
        nodes = runtime.declare(
            name, settings, self.identity.cluster_id, self._access, authority, pulumi.ResourceOptions(parent=self)
        )
        coordinator = nodes.coordinator
        # What lives in the cluster's database goes with the coordinator's server: a destroy asks the database nothing.
        self._child = pulumi.ResourceOptions(parent=self, deleted_with=coordinator.resource)

        of_user = UserPassword(
            f"{name}-password",
            UserPasswordInputs(
                **vars(self._access),
                mark=pulumi.Output.secret(sha256(settings.password.get_secret_value().encode()).hexdigest()),
                nodes=tuple(
                    PasswordOfNode(
                        node_name=node.node_name,
                        node_port=node.node_port,
                        passfile=node.passfile,
                        generation=node.generation,
                    )
                    for node in (coordinator, *nodes.workers)
                ),
            ),
            self._after([node.resource for node in (coordinator, *nodes.workers)]),
        )
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
            self._after(
                [coordinator.resource, of_user, *self._keypairs(name, authority, [coordinator, *nodes.workers])]
            ),
        )
        self.workers = self._register(nodes.workers)
        generations = tuple(node.generation for node in (coordinator, *nodes.workers))
        health = self._prove(name, generations, nodes.plan)
        workers = [node.address for node in nodes.workers]
        self.roles = self._roles(health, generations)
        ready = self._parameters(name, health)
        last = self._local_tables(plan, self._scripts(plan, [*self.roles.values(), ready]))
        self.schemas: dict[str, DistributedSchema] = {}
        returned = [it for it in plan.schemas if it.declaration.undistribute]
        last = self._schemas(returned, last, workers) or last
        self.tables = self._tables(plan, last, health, [coordinator.address, *workers])
        self._schemas([it for it in plan.schemas if it not in returned], last, workers)
        functions = self._functions(plan)
        tenants = tuple(
            TenantsInputs(
                table=tenancy.table,
                pin={value: workers[number - 1] for value, number in tenancy.pin.items()},
                spread=tuple(tenancy.spread),
            )
            for tenancy in tenancies
        )
        self.placement = ShardPlacement(
            f"{name}-placement",
            ShardPlacementInputs(
                **vars(self._access),
                workers=tuple(workers),
                worker_groups=tuple(worker.group_id for worker in self.workers),
                leaving=self.identity.cluster_id.apply(lambda it: _find_leaving(look.live, it, workers, self.workers)),
                tenants=tenants,
                groups=tuple(self.tables[str(tenancy.table)].colocation_group for tenancy in tenancies),
            ),
            self._after([last, *self.workers, *self.tables.values(), *self.schemas.values()]),
        )
        settled: list[pulumi.Resource] = [
            *(self.placement, last, *functions),
            *self._backups(name, nodes, health),
        ]
        login = self._pooler_login(name, generations, ready) if settings.pooler else None
        settled += self._privileges(plan, last)
        if self.roles or authority:
            known = [last, *([login] if login else [])]
            settled.append(self._login_rules(name, plan, known, generations))
        if settings.pooler and login:
            settled += nodes.pool(settings.pooler, login, settled)
        if settings.rebalance:
            settled.append(self._rebalance(name, plan, workers, tenants, look))
        nodes.guard([*settled, *self._backup_guard(name, settled)])

        at = self._at(settings.port)
        self._options = {"sslmode": "verify-full", "sslrootcert": f"{pulumi.get_stack()}-ca.crt"} if authority else {}
        self.dsn = pulumi.Output.secret(self._uri(at, settings.user, settings.password))
        self.psql = pulumi.Output.from_input(f"psql '{self._uri(at, settings.user)}'")
        self.outputs = {
            "dsn": self.dsn,
            **({"caCertificate": authority.certificate} if authority else {}),
            "psql": self.psql,
            "coordinator": self.coordinator.id,
            "workers": workers,
            "versions": {"citus": self.coordinator.citus_version, "postgres": self.coordinator.postgres_version},
            "tables": {
                **{str(it.table): {"kind": "local"} for it in plan.undistributed},
                **{str(table.name): self._describe(table) for table in plan.tables},
            },
            "functions": {it.signature: self._describe_function(it) for it in plan.functions},
            "schemas": {it.name: self._describe_schema(it) for it in plan.schemas},
            "residency": self.placement.residency,
            **self._describe_roles(at),
            **self._describe_backups(nodes.plan),
            **self._describe_pooled(),
            **self._describe_entries(workers, look.hosts or {}),
            **self._describe_hosts([coordinator, *nodes.workers], look.hosts or {}),
        }
        self.register_outputs(self.outputs)

    def _after(self, resources: Sequence[pulumi.Resource]) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(depends_on=list(resources)))

    def _register(self, workers: Sequence[Node]) -> list[WorkerNode]:
        """Declare the workers one after the other, so that every run gives them the same groups, and the same shards."""
        made: list[WorkerNode] = []
        for node in workers:
            inputs = WorkerNodeInputs(
                **vars(self._access),
                node_name=node.node_name,
                node_port=node.node_port,
                generation=node.generation,
                log=node.log,
            )
            before = made[-1] if made else self.coordinator
            made.append(WorkerNode(node.key, inputs, self._after([before, node.resource])))
        return made

    def _authority(self, name: str) -> CertificateAuthority:
        inputs = CertificateAuthorityInputs(name=f"citus-pulumi {name}")
        return CertificateAuthority(f"{name}-authority", inputs, pulumi.ResourceOptions(parent=self))

    def _keypairs(
        self, name: str, authority: CertificateAuthority | None, nodes: Sequence[Node]
    ) -> list[pulumi.Resource]:
        if authority is None:
            return []
        inputs = ServerKeypairsInputs(
            authority=authority.certificate,
            nodes=tuple(
                KeypairOfNode(node=node.name, place=node.passfile, generation=node.generation, keypair=node.keypair)
                for node in nodes
                if node.keypair
            ),
        )
        return [ServerKeypairs(f"{name}-keypairs", inputs, self._after([node.resource for node in nodes]))]

    def _prove(
        self, name: str, generations: tuple[pulumi.Output[str], ...], plan: RestorePlan | None
    ) -> pulumi.Resource:
        """Declare the proof of a cluster: that all nodes reach each other, and have come to what it is made of."""
        settings = self._settings
        health = ClusterHealth(
            f"{name}-health",
            ClusterHealthInputs(
                **vars(self._access),
                generations=generations,
                peers=settings.peers if settings.verifies and settings.spans else None,
            ),
            self._after(self.workers),
        )
        if plan is None:
            return health
        inputs = RestoredClusterInputs(**vars(self._access), point=plan.point, moment=plan.moment)
        return RestoredCluster(f"{name}-restored", inputs, self._after([health]))

    def _backups(self, name: str, nodes: Nodes, health: pulumi.Resource) -> list[pulumi.Resource]:
        """Declare what archives the nodes, and backs them up at their times; nothing where nothing is backed up."""
        if self._settings.backup is None:
            return []
        all_nodes = [nodes.coordinator, *nodes.workers]
        inputs = ClusterBackupsInputs(
            **vars(self._access),
            repository=self._settings.backup.repository,
            nodes=tuple(
                BackupsOfNode(
                    node=node.name,
                    group=group,
                    place=node.passfile,
                    generation=node.generation,
                    files=dict(node.repository_files),
                )
                for node, group in zip(all_nodes, self._node_groups, strict=True)
            ),
        )
        backups = ClusterBackups(f"{name}-backups", inputs, self._after([health]))
        schedule = self._settings.backup.schedule
        return [backups, *(nodes.schedule(schedule, [backups]) if schedule else [])]

    def _parameters(self, name: str, health: pulumi.Resource) -> pulumi.Resource:
        of_coordinator = get_reloaded(self._settings, of_coordinator=True)
        of_worker = get_reloaded(self._settings, of_coordinator=False)
        if not (of_coordinator or of_worker):
            return health
        names = node_names(self._settings)
        nodes = [NodeParameters(node=names[0], group=0, parameters=of_coordinator)]
        nodes += [
            NodeParameters(node=node, group=worker.group_id, parameters=of_worker)
            for node, worker in zip(names[1:], self.workers, strict=True)
        ]
        inputs = ServerParametersInputs(**vars(self._access), nodes=tuple(nodes))
        return ServerParameters(f"{name}-parameters", inputs, self._after([health]))

    def _rebalance(
        self,
        name: str,
        plan: ShardingPlan,
        workers: Sequence[str],
        tenants: tuple[TenantsInputs, ...],
        look: Look,
    ) -> Rebalance:
        assert self._settings.rebalance  # noqa: S101 - asked before
        policy = RebalancePolicy(**self._settings.rebalance.model_dump())
        placed = tuple(it.declaration.schema for it in plan.schemas if it.worker)
        inputs = RebalanceInputs(
            **vars(self._access),
            policy=policy,
            worker_groups=tuple(worker.group_id for worker in self.workers),
            tenants=tenants,
            schemas=placed,
            files=tuple(file.name for file in plan.files),
            groups=self._groups(),
            all_schemas=tuple(self.schemas),
            forecast=self.identity.cluster_id.apply(
                lambda it: _look_ahead(look.live, it, policy, tenants, placed, workers, self.workers)
            ),
        )
        return Rebalance(f"{name}-rebalance", inputs, self._after([self.placement]))

    def _pooler_login(
        self, name: str, generations: tuple[pulumi.Output[str], ...], ready: pulumi.Resource
    ) -> PoolerLogin:
        entered = len(self._settings.entry_ports)
        inputs = PoolerLoginInputs(
            **vars(self._access), groups=self._node_groups[:entered], generations=generations[:entered]
        )
        return PoolerLogin(f"{name}-pooler-login", inputs, self._after([ready, *self.roles.values()]))

    def _roles(self, health: pulumi.Resource, generations: Sequence[pulumi.Input[str]]) -> dict[RoleName, Role]:
        made: dict[RoleName, Role] = {}
        for role, declared in self._settings.roles.items():
            password, limit = declared.password.get_secret_value(), declared.connections
            inputs = RoleInputs.of(self._access, role.name, password, limit, generations)
            made[role] = Role(str(role), inputs, self._after([health]))
        return made

    @property
    def _node_groups(self) -> tuple[pulumi.Input[int], ...]:
        return (0, *(worker.group_id for worker in self.workers))

    def _groups(self) -> dict[str, pulumi.Input[int]]:
        return {name: table.colocation_group for name, table in self.tables.items()}

    def _privileges(self, plan: ShardingPlan, last: pulumi.Resource) -> list[RolePrivileges]:
        groups = self._groups()
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
            needed = [self.roles[role], last, *self.tables.values(), *self.schemas.values()]
            made.append(RolePrivileges(str(role), inputs, self._after(needed)))
        return made

    def _login_rules(
        self,
        name: str,
        plan: ShardingPlan,
        after: Sequence[pulumi.Resource],
        generations: tuple[pulumi.Output[str], ...],
    ) -> LoginRules:
        inputs = LoginRulesInputs(
            **vars(self._access),
            runtime=self._settings.runtime,
            peers=self._settings.peers if self._settings.verifies else None,
            roles=(*(role.name for role in self._settings.roles), *([POOLER] if self._settings.pooler else [])),
            files=tuple(file.name for file in plan.files),
            groups=self._node_groups,
            generations=generations,
        )
        return LoginRules(f"{name}-login-rules", inputs, self._after([*after, *self.roles.values(), *self.workers]))

    def _describe_roles(self, at: str) -> dict[str, pulumi.Input[Any]]:
        if not self.roles:
            return {}
        told, dsn = {}, {}
        for role, declared in self._settings.roles.items():
            told[str(role)] = {"read": [*map(str, declared.read)], "write": [*map(str, declared.write)]}
            dsn[str(role)] = self._uri(at, role.name, declared.password)
        return {"roles": told, "dsnByRole": pulumi.Output.secret(dsn)}

    def _backup_guard(self, name: str, after: Sequence[pulumi.Resource]) -> list[pulumi.Resource]:
        if not self._settings.require_backup:
            return []
        opts = pulumi.ResourceOptions(parent=self, depends_on=list(after))
        return [BackupGuard(f"{name}-backup-guard", self._access, opts)]

    def _describe_backups(self, plan: RestorePlan | None) -> dict[str, pulumi.Input[Any]]:
        told: dict[str, pulumi.Input[Any]] = {}
        if plan:
            told["restored"] = {"point": plan.point, "moment": plan.moment}
        if backup := self._settings.backup:
            prefix = self._settings.name_prefix
            told["backups"] = {"repository": backup.repository, "prefix": prefix, "maxAge": backup.max_age}
        return told

    def _describe_hosts(self, nodes: Sequence[Node], hosts: Mapping[str, str]) -> dict[str, pulumi.Input[Any]]:
        """Describe where each node is, by its address; nothing where the settings have no hosts."""
        if not hosts:
            return {}
        on = dict(zip((node.address for node in nodes), hosts.values(), strict=True))
        return {"hosts": on, "logs": {node.address: str(node.log) for node in nodes}}

    def _at(self, port: int, host: str = "") -> str:
        """Return `host:port` as URIs have it: of the coordinator's host, or of one that the settings name."""
        address = self._settings.hosts[host].address if host else self._settings.address
        return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

    def _describe_pooled(self) -> dict[str, pulumi.Input[Any]]:
        pooler = self._settings.pooler
        return self._dsn("dsnPooled", self._at(pooler.port)) if pooler else {}

    def _describe_entries(self, workers: Sequence[str], hosts: Mapping[str, str]) -> dict[str, pulumi.Input[Any]]:
        """Describe how clients enter the workers, which are given by their addresses."""
        entered = list(zip(workers, self._settings.nodes[1:], self._settings.entry_ports[1:], strict=False))
        if not entered:
            return {}
        entries = {worker: self._at(port, hosts.get(node, "")) for worker, node, port in entered}
        user, password = self._settings.user, self._settings.password
        by_tenant = self.placement.residency.apply(
            lambda placed: {
                table: {
                    value: self._uri(entries[node], user, password) for value, node in values.items() if node in entries
                }
                for table, values in placed.items()
            }
        )
        balanced = self._dsn("dsnAnyNode", ",".join(entries.values()), load_balance_hosts="random")
        return {"entries": entries, **balanced, "dsnByTenant": pulumi.Output.secret(by_tenant)}

    def _dsn(self, output: str, at: str, **options: str) -> dict[str, pulumi.Input[Any]]:
        """Return an output with the URI of the stack's user, and one with those of the roles, where there are some."""
        settings = self._settings
        of_user = self._uri(at, settings.user, settings.password, **options)
        of_roles = {str(role): self._uri(at, role.name, it.password, **options) for role, it in settings.roles.items()}
        by_role: dict[str, pulumi.Input[Any]] = {f"{output}ByRole": pulumi.Output.secret(of_roles)} if of_roles else {}
        return {output: pulumi.Output.secret(of_user), **by_role}

    def _uri(self, at: str, user: str, password: SecretStr | None = None, **options: str) -> str:
        """Return the URI of the database for a role, at `host:port` or several of them."""
        login = ":".join(quote(it, safe="") for it in (user, *([password.get_secret_value()] if password else [])))
        query = urlencode({**self._options, **options})
        return f"postgresql://{login}@{at}/{quote(self._settings.database, safe='')}{'?' if query else ''}{query}"

    def _scripts(self, plan: ShardingPlan, before: Sequence[pulumi.Resource]) -> pulumi.Resource:
        last = list(before)
        for file in plan.files:
            to_shard = [table.name for table in plan.tables]
            to_shard += [table for schema in plan.schemas for table in schema.declaration.tables]
            inputs = SchemaScriptInputs.of(self._access, file, to_shard)
            last = [SchemaScript(file.name, inputs, self._after(last))]
        return last[-1]

    def _local_tables(self, plan: ShardingPlan, last: pulumi.Resource) -> pulumi.Resource:
        for declaration in plan.undistributed:
            last = LocalTable(str(declaration.table), declaration, self._access, self._after([last]))
        return last

    def _schemas(
        self, planned: Sequence[PlannedSchema], before: pulumi.Resource, workers: Sequence[str]
    ) -> pulumi.Resource | None:
        """Declare the schemas one after the other, since one run changes a cluster in one place at a time; return the last."""
        last: pulumi.Resource | None = None
        for schema in planned:
            number = schema.worker
            inputs = SchemaInputs(
                **vars(schema.declaration),
                **vars(self._access),
                worker=workers[number - 1] if number else None,
                worker_group=self.workers[number - 1].group_id if number else None,
            )
            after = [last or before, *(self.tables[str(table)] for table in schema.after)]
            last = DistributedSchema(schema.name, inputs, self._after([*after, *self.workers]))
            self.schemas[schema.name] = last
        return last

    def _tables(
        self, plan: ShardingPlan, schema: pulumi.Resource, health: pulumi.Resource, addresses: list[str]
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

    def _functions(self, plan: ShardingPlan) -> list[pulumi.Resource]:
        made: list[pulumi.Resource] = []
        sharded: list[pulumi.Resource] = [*self.tables.values(), *self.schemas.values()]
        for function in plan.functions:
            target = function.declaration.colocate_with
            table = self.tables.get(str(target)) or self.schemas[str(SchemaName(target.schema))]
            inputs = FunctionInputs(
                **vars(function.declaration),
                **vars(self._access),
                signature=function.signature,
                target_group=table.colocation_group,
            )
            made.append(DistributedFunction(function.signature, inputs, self._after([*sharded, *made])))
        return made

    def _describe_function(self, function: PlannedFunction) -> dict[str, pulumi.Input[str]]:
        argument, table = function.declaration.argument, str(function.declaration.colocate_with)
        return {"argument": argument, "colocateWith": table} if argument else {"colocateWith": table}

    def _describe_schema(self, schema: PlannedSchema) -> dict[str, pulumi.Input[str | int | bool]]:
        if schema.declaration.undistribute:
            return {"kind": "local"}
        made = self.schemas[schema.name]
        # A rebalance moves one that no worker is declared for: where it was when it was distributed says nothing.
        where: dict[str, pulumi.Input[str | int | bool]] = {"node": made.node} if schema.worker else {}
        pinned = schema.worker is not None
        return {"kind": "distributed", **where, "tables": len(schema.declaration.tables), "pinned": pinned}

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
    """Return the workers that are registered and not declared any more; a preview names them."""
    if live is None or live.cluster_id != cluster_id:
        return ()
    _, leaving = await _compare_workers(live, addresses, workers)
    for worker in leaving:
        pulumi.log.warn(
            f"worker {worker.address} is registered, and no setting declares it: its {worker.shards} shards move to the other "
            "workers, then it is unregistered"
        )
    return tuple(worker.address for worker in leaving)


async def _compare_workers(
    live: LiveCluster, addresses: Sequence[str], workers: Sequence[WorkerNode]
) -> tuple[list[str], list[LiveWorker]]:
    """Return the addresses of the workers that are to join, and the registered ones that no setting declares.

    One whose group the state has is declared, whatever its address is; one that is to be made is known by its address alone.
    """
    ids = [await worker.id.future() for worker in workers]
    declared = {*addresses, *ids}
    leaving = [it for it in live.workers if not declared & {it.address, worker_id(it.group_id)}]
    known = {name for it in live.workers for name in (it.address, worker_id(it.group_id))}
    return [address for address, id_ in zip(addresses, ids, strict=True) if not known & {address, id_}], leaving


async def _look_ahead(
    live: LiveCluster | None,
    cluster_id: str,
    policy: RebalancePolicy,
    tenants: Sequence[TenantsInputs],
    schemas: Sequence[str],
    addresses: Sequence[str],
    workers: Sequence[WorkerNode],
) -> Any:
    """Return what a rebalance would move, once the workers are those that are declared; a preview tells it."""
    if live is None or live.cluster_id != cluster_id or live.reached is None:
        return write(Forecast())
    joining, leaving = await _compare_workers(live, addresses, workers)
    try:
        forecast = await asyncio.to_thread(  # meanwhile, resources are registered
            look_ahead,
            live.reached,
            live.password,
            policy,
            Staying(
                tenants={
                    it.table: (*it.pin, *it.spread)
                    for it in tenants
                    if isinstance(live.tables.get(it.table), Distributed)
                },
                schemas=schemas,
            ),
            joining=joining,
            leaving=[worker.address for worker in leaving],
        )
    except StackError as error:
        pulumi.log.warn(f"what a rebalance would move is not known: {error}")
        return write(Forecast())
    if forecast.moves:
        pulumi.log.info(f"rebalance: {forecast}")
    for reason in forecast.waits:
        pulumi.log.warn(f"rebalance: writes to a shard wait while it is copied, for {reason}")
    return write(forecast)
