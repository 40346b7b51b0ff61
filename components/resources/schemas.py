"""DistributedSchema: a schema whose tables are all on one worker, as a dynamic resource. Lifecycle only.

What each step does to the database is in components/database/schemas.py. Deleting it leaves the data where it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi.dynamic import DiffResult

from components.access import Access
from components.database import drain, schemas
from components.database.stall import ended_when_stalled
from components.names import SchemaName
from components.resources.sql import SqlProvider, SqlResource
from components.resources.wire import Given, known, write
from components.tables import SchemaDeclaration

if TYPE_CHECKING:
    from collections.abc import Iterable

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

    def refuse(self, before: Props, inputs: SchemaInputs) -> Iterable[str]:
        """Say what becomes of the rows of a schema that no state knows of."""
        if not before:
            print(f"schema {SchemaName(inputs.schema)}: {_told(inputs)}")  # noqa: T201 - Pulumi shows it
        return ()

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """Compare, and say what a change means for the rows."""
        was, declared = self.read_inputs(_olds), self.read_inputs(_news)
        spelled = SchemaName(declared.schema)
        if was.undistribute != declared.undistribute:
            print(f"schema {spelled}: {_told(declared)}")  # noqa: T201 - Pulumi shows it
        elif declared.worker is not None and was.worker != declared.worker:
            moved = f"its tables move to {declared.worker}, online where they allow it"
            print(f"schema {spelled}: {moved}")  # noqa: T201 - Pulumi shows it
        return super().diff(_id, _olds, _news)

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
    return drain.get_addresses(connection).get(group, inputs.worker)


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
