"""Changes of tables that are sharded already: in place where their shards allow it, else rewritten by Citus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components import keys
from components.database import constraints
from components.database.metadata import ShardedTable, get_colocated, get_table
from components.database.safeguards import (
    counted,
    explain_duplicates,
    locked,
    preserving_comments_and_grants,
    refuse_nulls,
    with_partitions,
)
from components.database.statements import regclass, statement
from components.errors import DriftError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from components.database.connections import Connection
    from components.names import TableName

__all__ = ["ReshardPlan", "ReshardPolicy", "colocate", "reshard", "undistribute"]


@dataclass(frozen=True)
class ReshardPolicy:
    """How a table that is sharded already may be changed."""

    rewrite: bool = False
    """Row by row, where the shards as they are will not do."""
    followers: Sequence[TableName] = ()
    """Tables declared as colocated with it, directly or by others, which move along."""
    leaves: TableName | None = None
    """A table that it was colocated with, and is not to be any more."""


# --- changes of tables that are sharded ------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReshardPlan:
    """What it takes to bring a distributed table to its declaration."""

    table: TableName
    what: str
    """How the table is, and how it is declared."""
    column: str | None
    """The new distribution column, where it is another."""
    into: TableName | None
    """Table whose colocation group to join."""
    shard_count: int | None
    """Of a new group of its own."""
    followers: tuple[TableName, ...]
    """Tables of its group that move along."""
    in_place: bool
    """The shards stay where they are, and only change their group."""

    @property
    def tables(self) -> list[TableName]:
        """Return all the tables that move."""
        return [self.table, *self.followers]

    @classmethod
    def of(
        cls,
        connection: Connection,
        table: TableName,
        state: ShardedTable,
        column: str,
        colocate_with: TableName | None,
        shard_count: int,
        change: ReshardPolicy,
    ) -> ReshardPlan | None:
        """Compare the table with its declaration; None where it is as declared."""
        group = [other for other in get_colocated(connection, table) if other != table]
        followers = [other for other in change.followers if other in group]
        joins = colocate_with is not None and colocate_with not in group
        leaves = colocate_with is None and change.leaves in group and change.leaves not in followers
        splits = colocate_with is None and state.shard_count != shard_count
        other_column = state.distribution_column != column
        if other_column:
            what = f"is distributed by {state.distribution_column}, but is declared as distributed by {column}"
        elif joins:
            what = f"is not colocated with {colocate_with} as declared, and its shards do not lie as those do"
        elif splits:
            what = f"has {state.shard_count} shards, but {shard_count} are declared"
        elif leaves:
            what = f"is colocated with {change.leaves}, of which tenants have shards of their own, but is to leave it"
        else:
            return None
        other_type = other_column and _type(connection, table, column) != _type(
            connection, table, state.distribution_column
        )
        alone = other_type and colocate_with is None
        in_place = not (other_column or splits) and (
            _lie_alike(connection, table, colocate_with) if colocate_with else state.shards == state.shard_count
        )
        if other_type or not (joins or leaves or splits):
            followers = []  # those that are to have the new column too come in their turn
        elif splits and not leaves:
            followers = group
        new_group = splits or leaves or alone
        return cls(
            table,
            what,
            column if other_column else None,
            colocate_with if joins or other_type else None,
            shard_count if new_group else None,
            tuple(followers),
            in_place,
        )


def _type(connection: Connection, table: TableName, column: str | None) -> tuple[Any, ...]:
    found = connection.execute(statement("get_column_type"), {"table": regclass(table), "column": column}).fetchone()
    if found is None:
        msg = (
            f"table {table}: there is no column {column} to distribute it by: correct citus:tables.{table}.distributeBy"
        )
        raise DriftError(msg)
    return tuple(found)


def _lie_alike(connection: Connection, table: TableName, other: TableName) -> bool:
    where = {"table": regclass(table), "other": regclass(other)}
    return connection.execute(statement("count_unlike_shards"), where).fetchone() == (0,)


def colocate(connection: Connection, move: ReshardPlan, still_to_come: Collection[TableName]) -> None:
    """Let the tables, their partitions too, change their colocation group; no row moves."""

    def is_cut(key: keys.ForeignKey) -> bool:
        other = key.parent if key.child in moving else key.child
        state = get_table(connection, other)
        return other not in moving and state is not None and state.kind == "distributed"

    with locked(connection, *sorted(move.tables)):
        moving = with_partitions(connection, *move.tables)
        for table in moving:
            constraints.set_foreign_keys_aside(connection, table, is_cut)
        into = regclass(move.into) if move.into else "none"
        for table in moving:
            connection.execute(statement("update_colocation"), {"table": regclass(table), "colocate_with": into})
            into = regclass(move.into or move.table)
        for table in moving:
            constraints.restore_foreign_keys(connection, table, still_to_come)


def reshard(
    connection: Connection, move: ReshardPlan, primary_key: tuple[str, ...] | None, still_to_come: Collection[TableName]
) -> None:
    """Let Citus write the tables anew, row by row, and drop the old ones."""
    moving = with_partitions(connection, *move.tables)
    with preserving_comments_and_grants(connection, *move.tables), counted(connection, *move.tables):
        old = new = None
        if move.column is not None:
            refuse_nulls(connection, move.table, move.column)
            old = constraints.get_primary_key(connection, move.table)
            new = old and keys.rewritten_primary_key(old, move.column, primary_key)
        for table in moving:
            constraints.set_foreign_keys_aside(connection, table)
        if old and new != old:
            constraints.drop_primary_key(connection, move.table, old)
        how = {
            "table": regclass(move.table),
            "column": move.column,
            "shard_count": move.shard_count,
            "colocate_with": regclass(move.into) if move.into else "none" if move.shard_count else None,
        }
        connection.execute(statement("alter_distributed_table"), how)
        for table in move.followers:
            how = {"table": regclass(table), "column": None, "shard_count": None}
            connection.execute(statement("alter_distributed_table"), {**how, "colocate_with": regclass(move.table)})
        if old and new and new != old:
            with explain_duplicates(connection, move.table, old, new):
                constraints.add_primary_key(connection, move.table, new)
    for table in moving:
        constraints.restore_foreign_keys(connection, table, still_to_come)


def undistribute(connection: Connection, table: TableName) -> None:
    """Bring every row back to the coordinator; the table's foreign keys are set aside then. To call in a transaction."""
    with preserving_comments_and_grants(connection, table), counted(connection, table):
        for member in with_partitions(connection, table):
            constraints.set_foreign_keys_aside(connection, member)
        connection.execute(statement("undistribute"), {"table": regclass(table)})
