"""Dynamic resources driven as Pulumi's engine drives them, and a cluster of throw-away servers to drive them on."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from pulumi.dynamic import Config, ConfigureRequest

from components.access import Access, Server
from components.database import nodes
from components.database.rebalance import Forecast, RebalancePolicy
from components.logs import Log
from components.names import TableName
from components.plan.plan import ShardingPlan
from components.resources.functions import DistributedFunctionProvider, FunctionInputs
from components.resources.membership import (
    ClusterHealthInputs,
    ClusterHealthProvider,
    CoordinatorNodeInputs,
    CoordinatorNodeProvider,
    WorkerNodeInputs,
    WorkerNodeProvider,
)
from components.resources.placement import ShardPlacementInputs, ShardPlacementProvider, TenantsInputs
from components.resources.provider import DeclarativeProvider
from components.resources.rebalance import RebalanceInputs, RebalanceProvider
from components.resources.schemas import DistributedSchemaProvider, SchemaInputs
from components.resources.scripts import SchemaScriptInputs, SchemaScriptProvider
from components.resources.tables import DistributedTableProvider, ReferenceTableProvider
from components.resources.wire import write
from components.schema.files import Schema
from components.settings import Settings
from components.tables import DistributedDeclaration, Pending, ReferenceDeclaration
from tests.servers import HOST, PASSWORD, USER, PostgresServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import psycopg


STACK = "organization/citus/test"
CLUSTER_ID = "11111111-2222-4333-8444-555555555555"
READY_TIMEOUT = 30
"""Seconds, where a test does not wait for it to pass."""


class RefusedError(Exception):
    """A provider's `check` refused the inputs, as it does at preview."""


def as_on_the_wire(props: Mapping[str, Any]) -> dict[str, Any]:
    """Return properties as Pulumi hands them to a provider: every number a float, no property that is None."""

    def without_nones(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without_nones(item) for key, item in value.items() if item is not None}
        return [without_nones(item) for item in value] if isinstance(value, list | tuple) else value

    return cast("dict[str, Any]", json.loads(json.dumps(without_nones(dict(props))), parse_int=float))


@dataclass
class Resource:
    """One dynamic resource with its state. A step that fails leaves the state as it was, as the engine does."""

    provider: DeclarativeProvider[Any]
    inputs: dict[str, Any]
    password: str = PASSWORD
    id: str = ""
    state: dict[str, Any] = field(default_factory=dict)
    applied: dict[str, Any] = field(default_factory=dict)
    """The inputs of the last step that succeeded."""

    def __post_init__(self) -> None:
        server = {key: str(value) for key, value in self.inputs.get("server", {}).items()}
        settings = {f"citus:{key}": server[key] for key in ("port", "database", "user") if key in server}
        config = Config({"citus:password": self.password, **settings}, "citus")
        self.provider.configure(ConfigureRequest(config))

    def up(self, **changed: Any) -> str:
        """Bring the resource to its inputs, some of them changed; return create, update, replace or same."""
        news = as_on_the_wire({**self.inputs, **changed})
        step = self.preview(**changed)
        if step in ("create", "replace"):
            if step == "replace":
                self.delete()
            created = self.provider.create(as_on_the_wire(news))
            self.id, outs = str(created.id), created.outs
        elif step == "update":
            outs = self.provider.update(self.id, as_on_the_wire(self.state), as_on_the_wire(news)).outs
        else:
            outs = self.state
        self.inputs = {**self.inputs, **changed}
        self.applied, self.state = news, as_on_the_wire(outs or {})
        return step

    def preview(self, **changed: Any) -> str:
        """Return what `up` would do; raises RefusedError with the reason where the provider refuses the inputs."""
        news = as_on_the_wire({**self.inputs, **changed})
        failures = self.provider.check(as_on_the_wire(self.applied), as_on_the_wire(news)).failures
        if failures:
            raise RefusedError(failures[0].reason)
        if not self.id:
            return "create"
        diff = self.provider.diff(self.id, as_on_the_wire(self.state), news)
        if diff.replaces:
            return "replace"
        return "update" if diff.changes else "same"

    def refresh(self) -> bool:
        """Compare with the live cluster; return whether the resource is still there."""
        read = self.provider.read(self.id, as_on_the_wire(self.state))
        self.id, self.state = read.id or "", as_on_the_wire(read.outs or {})
        if not self.id:
            self.applied = {}
        elif read.inputs is not None:
            self.applied = as_on_the_wire(read.inputs)
        return bool(self.id)

    def delete(self) -> None:
        """Delete the resource."""
        self.provider.delete(self.id, as_on_the_wire(self.state))
        self.id, self.state, self.applied = "", {}, {}


@dataclass(frozen=True)
class Cluster:
    """A coordinator and its workers, in a database of their own on each."""

    database: str
    coordinator: PostgresServer
    workers: tuple[PostgresServer, ...]

    @property
    def servers(self) -> tuple[PostgresServer, ...]:
        """Return all nodes, the coordinator first."""
        return (self.coordinator, *self.workers)

    # --- what the program declares -----------------------------------------------------------------------------------

    def access(self, ready_timeout: int = READY_TIMEOUT) -> Access:
        """Return how the coordinator is reached."""
        log = Log("file", str(self.coordinator.log))
        server = Server("coordinator", HOST, self.coordinator.port, self.database, USER, log)
        return Access(server=server, ready_timeout=ready_timeout)

    def coordinator_node(self, *, cluster_id: str = CLUSTER_ID, ready_timeout: int = READY_TIMEOUT) -> Resource:
        """Declare the coordinator."""
        inputs = CoordinatorNodeInputs(
            **vars(self.access(ready_timeout)),
            node_name=HOST,
            node_port=self.coordinator.port,
            generation="1",
            stack=STACK,
            cluster_id=cluster_id,
        )
        return Resource(CoordinatorNodeProvider(), write(inputs))

    def worker_node(self, worker: PostgresServer, *, ready_timeout: int = READY_TIMEOUT, host: str = HOST) -> Resource:
        """Declare a worker."""
        inputs = WorkerNodeInputs(
            **vars(self.access(ready_timeout)),
            node_name=host,
            node_port=worker.port,
            generation="1",
            log=Log("file", str(worker.log)),
        )
        return Resource(WorkerNodeProvider(), {**write(inputs), "active": True})

    def health(self, *, ready_timeout: int = READY_TIMEOUT) -> Resource:
        """Declare that every node reaches every other."""
        inputs = ClusterHealthInputs(**vars(self.access(ready_timeout)), generations=("1",) * len(self.servers))
        return Resource(ClusterHealthProvider(), {**write(inputs), "healthy": True})

    def script(self, file_name: str, text: str) -> Resource:
        """Declare a file of the schema."""
        inputs = SchemaScriptInputs(**vars(self.access()), file_name=file_name, text=text)
        return Resource(SchemaScriptProvider(), write(inputs))

    def distributed(
        self,
        table: str,
        by: str,
        *,
        colocate_with: str | None = None,
        shard_count: int = 4,
        primary_key: Sequence[str] | None = None,
        pending: Sequence[str] = (),
        ready_timeout: int = READY_TIMEOUT,
    ) -> Resource:
        """Declare a distributed table; names of tables are spelled as in SQL, those of columns as in the catalogue."""
        declaration = DistributedDeclaration(
            table=TableName.parse(table),
            distribution_column=by,
            colocate_with=TableName.parse(colocate_with) if colocate_with else None,
            shard_count=shard_count,
            primary_key=tuple(primary_key) if primary_key else None,
            pending=tuple(Pending(TableName.parse(other)) for other in pending),
        )
        return self.table(declaration, ready_timeout=ready_timeout)

    def reference(self, table: str, *, pending: Sequence[str] = ()) -> Resource:
        """Declare a reference table."""
        waiting = tuple(Pending(TableName.parse(other)) for other in pending)
        return self.table(ReferenceDeclaration(table=TableName.parse(table), pending=waiting))

    def table(
        self, declaration: DistributedDeclaration | ReferenceDeclaration, *, ready_timeout: int = READY_TIMEOUT
    ) -> Resource:
        """Declare a sharded table."""
        inputs = {**write(declaration), **write(self.access(ready_timeout)), "lost_keys": []}
        if isinstance(declaration, DistributedDeclaration):
            return Resource(DistributedTableProvider(), inputs)
        nodes = [f"{HOST}:{server.port}" for server in self.servers]
        return Resource(ReferenceTableProvider(), {**inputs, "nodes": nodes, "missing": 0})

    def schema(
        self,
        schema: str,
        *,
        tables: Sequence[str] = (),
        worker: PostgresServer | None = None,
        undistribute: bool = False,
    ) -> Resource:
        """Declare a schema that is distributed as a whole, on a worker or wherever Citus puts it."""
        groups = dict(self.rows("select nodeport, groupid from pg_dist_node where groupid > 0"))
        inputs = SchemaInputs(
            **vars(self.access()),
            schema=schema,
            tables=tuple(TableName(schema, table) for table in tables),
            undistribute=undistribute,
            worker=f"{HOST}:{worker.port}" if worker else None,
            worker_group=groups[worker.port] if worker else None,
        )
        return Resource(DistributedSchemaProvider(), {**write(inputs), "misplaced": False})

    def function(
        self, function: str, argument: str | None, table: str, *, force_delegation: bool = False, definition: str = "1"
    ) -> Resource:
        """Declare a function that runs on the worker of a tenant."""
        target = TableName.parse(table)
        inputs = FunctionInputs(
            **vars(self.access()),
            function=function,
            argument=argument,
            colocate_with=target,
            force_delegation=force_delegation,
            definition=definition,
            signature=function,
            target_group=self.value(
                "select colocationid from pg_dist_partition where logicalrelid = %s::regclass", table
            ),
        )
        return Resource(DistributedFunctionProvider(), {**write(inputs), "released": False})

    def placement(self, *tenants: Mapping[str, Any], workers: Sequence[PostgresServer] | None = None) -> Resource:
        """Declare where tenants lie, and which workers hold shards; by default all of them."""
        holding = self.workers if workers is None else workers
        groups = dict(self.rows("select nodeport, groupid from pg_dist_node where groupid > 0"))
        inputs = ShardPlacementInputs(
            **vars(self.access()),
            workers=tuple(f"{HOST}:{worker.port}" for worker in holding),
            worker_groups=tuple(groups[worker.port] for worker in holding),
            tenants=tuple(TenantsInputs(**{**group, "table": TableName.parse(group["table"])}) for group in tenants),
        )
        return Resource(ShardPlacementProvider(), {**write(inputs), "misplaced": []})

    def rebalance(
        self,
        *tenants: Mapping[str, Any],
        forecast: Forecast | None = None,
        ready_timeout: int = READY_TIMEOUT,
        **policy: Any,
    ) -> Resource:
        """Declare that shards are evened out over the registered workers; tenants with shards of their own stay."""
        groups = [group for (group,) in self.rows("select groupid from pg_dist_node where groupid > 0 order by 1")]
        inputs = RebalanceInputs(
            **vars(self.access(ready_timeout)),
            policy=RebalancePolicy(**policy),
            worker_groups=tuple(groups),
            tenants=tuple(TenantsInputs(**{**group, "table": TableName.parse(group["table"])}) for group in tenants),
            forecast=forecast or Forecast(),
        )
        return Resource(RebalanceProvider(), {**write(inputs), "unbalanced": []})

    def program(self, schema_dir: Path, tables: Mapping[str, Any], *, shard_count: int = 4) -> list[Resource]:
        """Declare a schema's files and its tables as the program does (cluster.py), in the order of their creation."""
        given = {"tables": json.dumps(tables), "password": PASSWORD, "shardCount": str(shard_count)}
        settings = Settings.parse(given, stack="test")
        plan = ShardingPlan.make(Schema.read(schema_dir), settings)
        inputs = (SchemaScriptInputs.of(self.access(), file) for file in plan.files)
        files = [Resource(SchemaScriptProvider(), write(it)) for it in inputs]
        return [*files, *(self.table(table.declaration) for table in plan.tables)]

    # --- what a person does by hand ----------------------------------------------------------------------------------

    def form(self) -> None:
        """Make the servers one cluster, as an update does."""
        self.coordinator_node().up()
        for worker in self.workers:
            self.worker_node(worker).up()

    def unregister(self, worker: PostgresServer) -> None:
        """Remove a worker that holds no shard from pg_dist_node."""
        with self.connected() as connection:
            nodes.remove_node(connection, HOST, worker.port)

    @contextmanager
    def connected(self, server: PostgresServer | None = None) -> Iterator[psycopg.Connection[Any]]:
        """Yield a connection to the cluster's database on a node, the coordinator by default."""
        with (server or self.coordinator).connect(self.database) as connection:
            yield connection

    def run(self, statements: str, *, on: PostgresServer | None = None) -> None:
        """Run statements on a node, the coordinator by default."""
        with self.connected(on) as connection:
            connection.execute(statements.encode())

    def rows(self, query: str, *arguments: object, on: PostgresServer | None = None) -> list[tuple[Any, ...]]:
        """Return the rows of a query on a node, the coordinator by default."""
        with self.connected(on) as connection:
            return connection.execute(query.encode(), arguments or None).fetchall()

    def value(self, query: str, *arguments: object, on: PostgresServer | None = None) -> Any:
        """Return the only value of a query."""
        ((value,),) = self.rows(query, *arguments, on=on)
        return value

    def make(self, template: Cluster | None = None) -> None:
        """Make the database on every node, each with the extension and nothing else, or as a copy of a frozen cluster."""
        source = template.database if template else None
        self._each(lambda server: server.create_database(self.database, template=source))

    def freeze(self) -> None:
        """End the cluster's sessions and let nobody in any more, so that it can be copied."""
        self._each(lambda server: server.freeze_database(self.database))

    def recreate(self, worker: PostgresServer) -> None:
        """Replace a worker's database by an empty one, as a new volume under the old name does."""
        worker.drop_database(self.database)
        worker.create_database(self.database)

    def drop(self) -> None:
        """Bring every server back to life and drop the database."""

        def drop(server: PostgresServer) -> None:
            server.resume()
            server.start()
            server.drop_database(self.database)

        self._each(drop)

    def _each(self, work: Callable[[PostgresServer], None]) -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(work, self.servers))
