"""DistributedSchema: a schema whose tables are all on one worker, as a dynamic resource. Lifecycle only.

What each step does to the database is in components/database/schemas.py. Deleting it leaves the data where it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

from components.access import Access
from components.database import drain, schemas
from components.database.stall import ended_when_stalled
from components.names import SchemaName
from components.resources.sql import SqlProvider, SqlResource
from components.resources.wire import Given, known, write
from components.tables import SchemaDeclaration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.database.connections import Connection
    from components.resources.wire import Props

__all__ = ["DistributedSchema", "SchemaInputs"]


@dataclass(frozen=True, kw_only=True)
class SchemaInputs(SchemaDeclaration, Access):
    """Inputs of DistributedSchema."""

    worker: str | None = None
    """Address (`name:port`) of its worker as declared; None for Citus to choose."""
    worker_group: Given[int] | None = None
    """That worker's group: the schema is on it, whatever its address is."""


class DistributedSchemaProvider(SqlProvider[SchemaInputs]):
    """A schema whose tables are in one shard each, all on one worker; or one that is to be local again."""

    inputs = SchemaInputs
    compared = ("server", "schema", "tables", "undistribute", "worker", "worker_group", "misplaced")
    replacing = ("schema",)
    outputs = ("node", "colocation_group")

    def identify(self, inputs: SchemaInputs, outputs: Props) -> str:
        """Return the schema's name, as it is spelled in SQL."""
        return str(SchemaName(inputs.schema))

    def announce(self, before: Props, inputs: SchemaInputs) -> Iterator[str]:
        """Say what becomes of the rows."""
        was = self.read_inputs(before) if before else None
        if was is None or was.undistribute != inputs.undistribute:
            yield f"schema {SchemaName(inputs.schema)}: {_told(inputs)}"
        elif inputs.worker is not None and was.worker != inputs.worker:
            yield f"schema {SchemaName(inputs.schema)}: its tables move to {inputs.worker}, online where they allow it"

    def ensure(self, inputs: SchemaInputs, before: Props) -> Props:
        """Distribute the schema and bring it to its worker, or bring it back."""
        if inputs.undistribute:
            with self.session(inputs, f"undistributing schema {inputs.schema}", on_all_nodes=True) as connection:
                schemas.ensure_local(connection, inputs.schema)
            return {"node": "", "colocation_group": None}
        doing = f"distributing schema {inputs.schema}"
        with self.session(inputs, doing, on_all_nodes=True) as connection:
            live = schemas.ensure_distributed(connection, inputs.schema)
        node = self._find_worker(inputs)
        if node is not None and live.node not in ("", node):
            doing = f"moving schema {inputs.schema}"
            with (
                self.session(inputs, doing, on_all_nodes=True) as connection,
                ended_when_stalled(connection, inputs.server, self.password, doing=doing, timeout=inputs.ready_timeout),
            ):
                live = schemas.ensure_placed(connection, inputs.schema, node)
        return {"node": live.node, "colocation_group": live.colocation_group}

    def find(self, connection: Connection, inputs: SchemaInputs, state: Props) -> Props | None:
        """Return where its tables are, or None where it is not distributed (any more), or gone."""
        live = schemas.get_schema(connection, inputs.schema)
        if live is None or (live.colocation_group is None) != inputs.undistribute:
            return None
        found: Props = {"node": live.node, "colocation_group": live.colocation_group}
        if inputs.worker is not None and live.node:
            found["misplaced"] = live.node != _registered(connection, inputs)
        return found

    def _find_worker(self, inputs: SchemaInputs) -> str | None:
        if inputs.worker is None:
            return None
        with self.connection(inputs, "looking for the schema's worker") as connection:
            return _registered(connection, inputs)


def _registered(connection: Connection, inputs: SchemaInputs) -> str | None:
    """Return the address under which the declared worker is registered now."""
    group = 0 if inputs.worker_group is None else known(inputs.worker_group)
    return drain.get_worker_addresses(connection).get(group, inputs.worker)


def _told(inputs: SchemaInputs) -> str:
    if inputs.undistribute:
        return "becomes local; where it is distributed, its rows are rewritten, and its tables are locked meanwhile"
    where = f"on {inputs.worker}" if inputs.worker else "on a worker that Citus chooses"
    return f"its tables are together {where}; where it is local, their rows move there, and writes wait meanwhile"


class DistributedSchema(SqlResource, module="citus", name="DistributedSchema"):
    """A schema whose tables are all on one worker. Its id is the schema's name."""

    node: pulumi.Output[str]
    """`name:port` of the worker; empty where the schema has no table, or is local."""
    colocation_group: pulumi.Output[int]

    def __init__(self, name: str, inputs: SchemaInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        props = {**write(inputs), "misplaced": False, **dict.fromkeys(DistributedSchemaProvider.outputs)}
        super().__init__(DistributedSchemaProvider(), name, props, opts)
