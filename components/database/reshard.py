"""Changes of tables that are sharded already: in place where their shards allow it, else rewritten by Citus."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal

from components.database import constraints
from components.database.metadata import get_colocated, get_table
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
from components.keys import ForeignKey, rewritten_primary_key
from components.names import TableName
from components.tables import Distributed

if TYPE_CHECKING:
    from components.database.connections import Connection
    from components.database.metadata import TableState
    from components.tables import DistributedDeclaration

__all__ = ["ReshardPlan", "colocate", "plan_resharding", "reshard", "undistribute"]


# --- what is to be done ------------------------------------------------------------------------------------------------


class _Group(Enum):
    """What becomes of a table's colocation group."""

    STAYS = "stays"
    JOINS = "joins another table's"
    LEAVES = "leaves that of a table, and starts one of its own"
    SPLITS = "gets another number of shards"


@dataclass(frozen=True)
class _Effect:
    followers: Literal["none", "declared", "all"]
    """Which tables of its group move along."""
    into: bool
    """Whether it goes to the group of its colocation target."""
    own: bool
    """Whether it gets a group with the declared number of shards."""


_EFFECTS: Final = {
    _Group.STAYS: _Effect("none", into=False, own=False),  # another column: those that get it too come in their turn
    _Group.JOINS: _Effect("declared", into=True, own=False),
    _Group.LEAVES: _Effect("declared", into=False, own=True),
    _Group.SPLITS: _Effect("all", into=False, own=True),
}


@dataclass(frozen=True)
class ReshardPlan:
    """What it takes to bring a distributed table to its declaration."""

    table: TableName
    reason: str
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


def plan_resharding(
    connection: Connection, live: TableState, column: str, declared: DistributedDeclaration, leaves: TableName | None
) -> ReshardPlan | None:
    """Compare a distributed table with its declaration; None where it is as declared.

    Args:
        connection: to the coordinator.
        live: the table as it is.
        column: its distribution column now.
        declared: how it is to be.
        leaves: a table that it was colocated with, and is not to be any more.
    """
    table, target = declared.table, declared.colocate_with
    others = [other for other in get_colocated(connection, table) if other != table]
    followers = {"none": [], "declared": [it for it in declared.followers if it in others], "all": others}
    has_other_count = target is None and live.shard_count != declared.shard_count
    if target is not None:
        group = _Group.STAYS if target in others else _Group.JOINS
    elif leaves in others and leaves not in followers["declared"]:
        group = _Group.LEAVES
    else:
        group = _Group.SPLITS if has_other_count else _Group.STAYS
    has_other_column = column != declared.distribution_column
    if group is _Group.STAYS and not has_other_column:
        return None
    reasons = {
        _Group.JOINS: f"is not colocated with {target} as declared, and its shards are not placed like those",
        _Group.SPLITS: f"has {live.shard_count} shards, but {declared.shard_count} are declared",
        _Group.LEAVES: f"is colocated with {leaves}, but is not declared so, and tenants of that group have shards of their own",
    }
    reason = f"is {live.sharding}, but is declared as {declared.sharding}" if has_other_column else reasons[group]
    effect = _EFFECTS[group]
    if has_other_column and _get_type(connection, table, column) != _get_type(
        connection, table, declared.distribution_column
    ):  # no group has columns of two types
        effect = _Effect("none", into=target is not None, own=target is None)
    in_place = not (has_other_column or has_other_count) and (
        _are_placed_alike(connection, table, target) if target else live.shards == live.shard_count
    )
    return ReshardPlan(
        table,
        reason,
        declared.distribution_column if has_other_column else None,
        target if effect.into else None,
        declared.shard_count if effect.own else None,
        tuple(followers[effect.followers]),
        in_place,
    )


def _get_type(connection: Connection, table: TableName, column: str) -> tuple[Any, ...]:
    found = connection.execute(statement("get_column_type"), {"table": regclass(table), "column": column}).fetchone()
    if found is None:
        msg = (
            f"table {table}: there is no column {column} to distribute it by: correct citus:tables.{table}.distributeBy"
        )
        raise DriftError(msg)
    return tuple(found)


def _are_placed_alike(connection: Connection, table: TableName, other: TableName) -> bool:
    where = {"table": regclass(table), "other": regclass(other)}
    return connection.execute(statement("count_unlike_shards"), where).fetchone() == (0,)


# --- doing it ----------------------------------------------------------------------------------------------------------


def colocate(connection: Connection, plan: ReshardPlan, declared: DistributedDeclaration) -> None:
    """Let the tables, their partitions too, change their colocation group; no row moves."""

    def is_cut(key: ForeignKey) -> bool:
        other = key.parent if key.child in moving else key.child
        live = get_table(connection, other)
        return other not in moving and live is not None and isinstance(live.sharding, Distributed)

    with locked(connection, *sorted(plan.tables)):
        moving = with_partitions(connection, *plan.tables)
        for table in moving:
            constraints.set_foreign_keys_aside(connection, table, is_cut)
        into = regclass(plan.into) if plan.into else "none"
        for table in moving:
            connection.execute(statement("update_colocation"), {"table": regclass(table), "colocate_with": into})
            into = regclass(plan.into or plan.table)
        for table in moving:
            constraints.restore_foreign_keys(connection, table, declared.pending)


def reshard(connection: Connection, plan: ReshardPlan, declared: DistributedDeclaration) -> None:
    """Let Citus rewrite the tables, row by row, and drop the old ones. To call in a transaction that has locked them."""
    moving = with_partitions(connection, *plan.tables)
    with preserving_comments_and_grants(connection, *plan.tables), counted(connection, *plan.tables):
        old = new = None
        if plan.column is not None:
            refuse_nulls(connection, plan.table, plan.column)
            old = constraints.get_primary_key(connection, plan.table)
            new = old and rewritten_primary_key(old, plan.column, declared.primary_key)
        for table in moving:
            constraints.set_foreign_keys_aside(connection, table)
        if old and new != old:
            constraints.drop_primary_key(connection, plan.table, old)
        how = {
            "table": regclass(plan.table),
            "column": plan.column,
            "shard_count": plan.shard_count,
            "colocate_with": regclass(plan.into) if plan.into else "none" if plan.shard_count else None,
        }
        connection.execute(statement("alter_distributed_table"), how)
        for table in plan.followers:
            how = {"table": regclass(table), "column": None, "shard_count": None}
            connection.execute(statement("alter_distributed_table"), {**how, "colocate_with": regclass(plan.table)})
        if old and new and new != old:
            with explain_duplicates(connection, plan.table, old, new):
                constraints.add_primary_key(connection, plan.table, new)
    for table in moving:
        constraints.restore_foreign_keys(connection, table, declared.pending)


def undistribute(connection: Connection, table: TableName) -> None:
    """Bring every row back to the coordinator; the table's foreign keys are set aside then. To call in a transaction."""
    with preserving_comments_and_grants(connection, table), counted(connection, table):
        for member in with_partitions(connection, table):
            constraints.set_foreign_keys_aside(connection, member)
        connection.execute(statement("undistribute"), {"table": regclass(table)})
