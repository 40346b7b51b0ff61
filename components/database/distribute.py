"""Tables distributed, replicated or brought back: each in one transaction that either happens or does not.

Takes a connection; knows nothing of Pulumi. The statements stand in sql/citus/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from components import keys
from components.database import constraints
from components.database.reshard import ReshardPlan, ReshardPolicy, colocate, reshard, undistribute
from components.database.safeguards import (
    counted,
    drop_local_copy,
    explain_duplicates,
    get_existing,
    locked,
    refuse_identity,
    refuse_nulls,
    restore_waiting_keys,
    with_partitions,
)
from components.database.statements import regclass, statement
from components.errors import ReshardingError

if TYPE_CHECKING:
    from collections.abc import Collection

    from components.database.connections import Connection
    from components.database.metadata import ShardedTable
    from components.names import TableName

__all__ = ["ensure_distributed", "ensure_local", "ensure_reference", "replicate"]


def ensure_distributed(
    connection: Connection,
    table: TableName,
    *,
    column: str,
    colocate_with: TableName | None,
    shard_count: int,
    primary_key: tuple[str, ...] | None,
    still_to_come: Collection[TableName],
    change: ReshardPolicy = ReshardPolicy(),  # noqa: B008 - frozen
) -> ShardedTable:
    """Distribute the table by a column, its keys rewritten to hold it; nothing happens where it is so already.

    One transaction: foreign keys set aside, primary key rewritten, rows moved to the shards and counted before and
    after, the local copy dropped, foreign keys restored where the other end stands. `still_to_come` names tables that
    will be sharded later, with their kind and column where it is a mapping; foreign keys to them wait until then.

    A table that is sharded in another way is changed in the same manner: in place where its shards lie as they must,
    else rewritten, if `change` allows it.

    Raises:
        ReshardingError: the table must be rewritten, and may not be.
        DriftError: rows stand in the way, or an identity column.
        StackError: rows were lost on the way; everything is rolled back.
    """
    state = get_existing(connection, table)
    if state.kind == "reference":
        if not change.rewrite:
            raise ReshardingError(table, f"is a reference table, but is declared as distributed by {column}")
        refuse_identity(connection, [table])
    if state.kind in ("local", "reference"):
        with locked(connection, table):
            if state.kind == "reference":
                undistribute(connection, table)
            _distribute(connection, table, column, colocate_with, shard_count, primary_key, still_to_come)
        return get_existing(connection, table)
    if colocate_with is not None:
        get_existing(connection, colocate_with)
    move = ReshardPlan.of(connection, table, state, column, colocate_with, shard_count, change)
    if move is None:
        restore_waiting_keys(connection, table, still_to_come)
        return state
    if move.in_place:
        colocate(connection, move, still_to_come)
    elif change.rewrite:
        refuse_identity(connection, move.tables)
        with locked(connection, *sorted(move.tables)):
            reshard(connection, move, primary_key, still_to_come)
    else:
        raise ReshardingError(table, move.what)
    return get_existing(connection, table)


def _distribute(
    connection: Connection,
    table: TableName,
    column: str,
    colocate_with: TableName | None,
    shard_count: int,
    primary_key: tuple[str, ...] | None,
    still_to_come: Collection[TableName],
) -> None:
    refuse_nulls(connection, table, column)
    constraints.set_foreign_keys_aside(connection, table)
    old = constraints.get_primary_key(connection, table)
    if old is not None:
        new = keys.rewritten_primary_key(old, column, primary_key)
        if new != old:
            _rewrite(connection, table, old, new)
    how: dict[str, Any] = {"table": regclass(table), "column": column}
    with counted(connection, table):
        if colocate_with is None:
            connection.execute(statement("distribute"), {**how, "shard_count": shard_count})
        else:
            connection.execute(statement("distribute_colocated"), {**how, "colocate_with": regclass(colocate_with)})
    drop_local_copy(connection, table)
    constraints.restore_foreign_keys(connection, table, still_to_come)


def _rewrite(connection: Connection, table: TableName, old: keys.PrimaryKey, new: keys.PrimaryKey) -> None:
    with explain_duplicates(connection, table, old, new):
        constraints.rewrite_primary_key(connection, table, new)


def ensure_local(connection: Connection, table: TableName, *, still_to_come: Collection[TableName]) -> None:
    """Bring the rows of a sharded table back to the coordinator; nothing happens where it is local already.

    Its keys stay as they are. One transaction, with the rows counted before and after.

    Raises:
        DriftError: the table has an identity column.
        StackError: rows were lost on the way; everything is rolled back.
    """
    if get_existing(connection, table).kind == "local":
        restore_waiting_keys(connection, table, still_to_come)
        return
    refuse_identity(connection, [table])
    with locked(connection, table):
        undistribute(connection, table)
        for member in with_partitions(connection, table):
            constraints.restore_foreign_keys(connection, member, still_to_come)


# --- reference tables ------------------------------------------------------------------------------------------------


def ensure_reference(
    connection: Connection, table: TableName, *, still_to_come: Collection[TableName], rewrite: bool = False
) -> ShardedTable:
    """Replicate the table to every node; where it is a reference table already, to the nodes that lack it.

    Raises:
        ReshardingError: the table is distributed, and may not be rewritten.
        DriftError: it is to be rewritten, but has an identity column.
        StackError: rows were lost on the way; everything is rolled back.
    """
    state = get_existing(connection, table)
    if state.kind == "distributed":
        if not rewrite:
            raise ReshardingError(
                table, f"is distributed by {state.distribution_column}, but is declared as a reference table"
            )
        refuse_identity(connection, [table])
    if state.kind != "reference":
        with locked(connection, table):
            if state.kind == "distributed":
                undistribute(connection, table)
            constraints.set_foreign_keys_aside(connection, table)
            with counted(connection, table):
                connection.execute("select create_reference_table(%s::regclass)", [regclass(table)])
            drop_local_copy(connection, table)
            constraints.restore_foreign_keys(connection, table, still_to_come)
        return get_existing(connection, table)
    replicate(connection)
    restore_waiting_keys(connection, table, still_to_come)
    return get_existing(connection, table)


def replicate(connection: Connection) -> None:
    """Copy every reference table to the nodes that lack it, such as those that have just joined."""
    row = connection.execute(statement("count_missing_reference_placements")).fetchone()
    if row and row[0]:
        connection.execute("select replicate_reference_tables('block_writes')")
