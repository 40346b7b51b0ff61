"""How Citus knows a table: its kind, its distribution column, its shards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql
from psycopg.rows import dict_row

from components.database.statements import identifier, regclass, statement
from components.names import TableName
from components.tables import Distributed, Kind, Local, Reference, Sharding, SingleShard

if TYPE_CHECKING:
    from components.database.connections import Connection

__all__ = ["TableState", "count_rows", "get_colocated", "get_table"]


@dataclass(frozen=True)
class TableState:
    """How Citus knows a table. One that it merely manages is local."""

    oid: int
    sharding: Sharding
    colocation_group: int | None
    shard_count: int | None
    """Into how many shards it was split; None where it is local."""
    shards: int
    """How many there are: more where tenants have a shard of their own."""
    placements: int


def get_table(connection: Connection, table: TableName) -> TableState | None:
    """Return what the table is now; None where there is no such table."""
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(statement("get_table"), {"schema": table.schema, "name": table.name}).fetchone()
    return TableState(sharding=as_sharding(row.pop("kind"), row.pop("distribution_column")), **row) if row else None


def as_sharding(kind: str, column: str | None) -> Sharding:
    """Return the kind of table that a statement of sql/citus/ tells."""
    kinds: dict[Kind, Sharding] = {
        Kind.DISTRIBUTED: Distributed(column or ""),
        Kind.REFERENCE: Reference(),
        Kind.SINGLE_SHARD: SingleShard(),
    }
    return kinds.get(Kind(kind), Local())


def get_colocated(connection: Connection, table: TableName) -> dict[TableName, str]:
    """Return the tables of a distributed table's colocation group, itself among them, each with its distribution column."""
    rows = connection.execute(statement("get_colocated"), {"table": regclass(table)}).fetchall()
    return {TableName(schema, name): column for schema, name, column in rows}


def count_rows(connection: Connection, table: TableName, condition: sql.Composable | None = None) -> int:
    """Return how many rows a table has, or how many of them a condition holds for."""
    query = sql.SQL("select count(*) from {} where {}").format(identifier(table), condition or sql.SQL("true"))
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
