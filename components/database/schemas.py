"""Schemas distributed as a whole, moved to their worker, or brought back: each in one transaction, but for the move.

Takes a connection; knows nothing of Pulumi. The statements are in sql/citus/.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql
from psycopg.rows import dict_row

from components.database import constraints
from components.database.metadata import get_table
from components.database.moves import TenantShard, cleaned_up, move_shard
from components.database.safeguards import (
    counted,
    drop_local_copy,
    locked,
    preserving_comments_and_grants,
    refuse_identity,
    with_partitions,
)
from components.database.statements import sequentially, statement
from components.errors import DriftError
from components.names import SchemaName, TableName
from components.tables import Distributed, Reference

if TYPE_CHECKING:
    from components.database.connections import Connection

__all__ = ["SchemaState", "count_rows", "ensure_distributed", "ensure_local", "ensure_placed", "get_schema"]


@dataclass(frozen=True)
class SchemaState:
    """How Citus knows a schema."""

    colocation_group: int | None
    """None where it is not distributed."""
    shard: TenantShard | None
    """A shard of it; None where it has no table, or is not distributed."""

    @property
    def node(self) -> str:
        """Return `name:port` of the worker that has its tables; empty where it has none."""
        return self.shard.node if self.shard else ""


def get_schema(connection: Connection, schema: str) -> SchemaState | None:
    """Return what the schema is now; None where there is no such schema."""
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(statement("get_schema"), {"schema": schema}).fetchone()
    if row is None:
        return None
    shard = TenantShard(row["shard_id"], 0, 0, row["node_name"], row["node_port"]) if row["shard_id"] else None
    return SchemaState(row["colocation_group"], shard)


def ensure_distributed(connection: Connection, schema: str) -> SchemaState:
    """Distribute a schema with all its tables; nothing happens where it is so already.

    One transaction: the rows are moved to the shards and counted before and after, the local copies dropped, and foreign keys to
    reference tables restored that waited for the schema.

    Raises:
        DriftError: there is no such schema, or a table of it is sharded by itself.
        StackError: rows were lost on the way; everything is rolled back.
    """
    if _get_existing(connection, schema).colocation_group is None:
        tables = _get_tables(connection, schema)
        _refuse_sharded(connection, schema, tables)
        with locked(connection, *tables):
            with counted(connection, *tables):
                connection.execute(statement("distribute_schema"), {"schema": _regnamespace(schema)})
            for table in tables:
                drop_local_copy(connection, table)
            _restore_foreign_keys(connection, tables)
    else:
        with sequentially(connection):
            _restore_foreign_keys(connection, _get_tables(connection, schema))
    return _get_existing(connection, schema)


def ensure_placed(connection: Connection, schema: str, node: str) -> SchemaState:
    """Move all tables of a distributed schema to a worker (`name:port`), online where they allow it.

    Nothing happens where they are there, and where there is no table yet.

    Raises:
        DriftError: the worker is not registered, or there is no such schema.
    """
    live = _get_existing(connection, schema)
    if live.shard is None or live.node == node:
        return live
    with cleaned_up(connection):
        move_shard(connection, f"the schema {SchemaName(schema)}", live.shard, node)
    return _get_existing(connection, schema)


def ensure_local(connection: Connection, schema: str) -> None:
    """Bring the rows of a distributed schema back to the coordinator; nothing happens where it is not distributed.

    One transaction, with the rows counted before and after.

    Raises:
        DriftError: there is no such schema, or a table of it has an identity column.
        StackError: rows were lost on the way; everything is rolled back.
    """
    if _get_existing(connection, schema).colocation_group is None:
        return
    tables = _get_tables(connection, schema)
    members = with_partitions(connection, *tables)
    refuse_identity(connection, tables)
    with (
        locked(connection, *tables),
        counted(connection, *tables),
        preserving_comments_and_grants(connection, *members),
    ):
        connection.execute(statement("undistribute_schema"), {"schema": _regnamespace(schema)})


def count_rows(connection: Connection, schemas: list[str]) -> list[tuple[str, str, str, int]]:
    """Return `(schema, table, node, rows)` of each table of distributed schemas, as the shards themselves have them."""
    return connection.execute(statement("count_schema_rows"), {"schemas": schemas}).fetchall()


def _get_existing(connection: Connection, schema: str) -> SchemaState:
    live = get_schema(connection, schema)
    if live is None:
        msg = (
            f"schema {SchemaName(schema)} does not exist: was it dropped or renamed by hand? Create it again, or take it out of "
            "citus:schemas"
        )
        raise DriftError(msg)
    return live


def _get_tables(connection: Connection, schema: str) -> list[TableName]:
    rows = connection.execute(statement("get_schema_tables"), {"schema": schema}).fetchall()
    return [TableName(schema, name) for (name,) in rows]


def _refuse_sharded(connection: Connection, schema: str, tables: list[TableName]) -> None:
    for table in tables:
        live = get_table(connection, table)
        if live is not None and isinstance(live.sharding, Distributed | Reference):
            msg = (
                f"schema {SchemaName(schema)}: its table {table} is {live.sharding}, and Citus distributes schemas of local "
                "tables only; nothing was changed. Undistribute it first, without the schema in citus:schemas: "
                f"citus:tables.{table}: {{undistribute: true}}"
            )
            raise DriftError(msg)


def _restore_foreign_keys(connection: Connection, tables: list[TableName]) -> None:
    for member in with_partitions(connection, *tables):
        constraints.restore_foreign_keys(connection, member, ())


def _regnamespace(schema: str) -> str:
    return sql.Identifier(schema).as_string(None)
