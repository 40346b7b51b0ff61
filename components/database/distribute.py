"""Tables distributed, replicated or brought back: each in one transaction that either happens or does not.

Takes a connection; knows nothing of Pulumi. The statements are in sql/citus/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from components.database import constraints
from components.database.reshard import colocate, plan_resharding, reshard, undistribute
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
from components.errors import DriftError, ReshardingError
from components.keys import rewritten_primary_key
from components.names import SchemaName
from components.tables import Distributed, Local, Reference, SingleShard

if TYPE_CHECKING:
    from components.database.connections import Connection
    from components.database.metadata import TableState
    from components.names import TableName
    from components.tables import DistributedDeclaration, LocalDeclaration, ReferenceDeclaration

__all__ = ["ensure_distributed", "ensure_local", "ensure_reference", "replicate"]


def ensure_distributed(
    connection: Connection, declared: DistributedDeclaration, *, leaves: TableName | None = None
) -> TableState:
    """Distribute the table by a column, its keys rewritten to hold it; nothing happens where it is so already.

    One transaction: foreign keys set aside, primary key rewritten, rows moved to the shards and counted before and
    after, the local copy dropped, foreign keys restored where the other end is ready. Those to `declared.pending` wait.

    A table that is sharded in another way is changed in the same manner: in place where its shards are placed as needed,
    else rewritten, if that is declared. `leaves` is a table that it was colocated with, and is not to be any more.

    Raises:
        ReshardingError: the table must be rewritten, and may not be.
        DriftError: rows stand in the way, or an identity column.
        StackError: rows were lost on the way; everything is rolled back.
    """
    table = declared.table
    live = get_existing(connection, table)
    match live.sharding:
        case Distributed(column):
            return _redistribute(connection, live, column, declared, leaves)
        case Reference():
            if not declared.rewrite:
                raise ReshardingError(table, f"is {live.sharding}, but is declared as {declared.sharding}")
            refuse_identity(connection, [table])
            with locked(connection, table):
                undistribute(connection, table)
                _distribute(connection, declared)
        case SingleShard():
            _refuse_single_shard(declared)
        case Local():
            with locked(connection, table):
                _distribute(connection, declared)
    return get_existing(connection, table)


def _redistribute(
    connection: Connection, live: TableState, column: str, declared: DistributedDeclaration, leaves: TableName | None
) -> TableState:
    if declared.colocate_with is not None:
        get_existing(connection, declared.colocate_with)
    plan = plan_resharding(connection, live, column, declared, leaves)
    if plan is None:
        restore_waiting_keys(connection, declared.table, declared.pending)
        return live
    if plan.in_place:
        colocate(connection, plan, declared)
    elif declared.rewrite:
        refuse_identity(connection, plan.tables)
        with locked(connection, *sorted(plan.tables)):
            reshard(connection, plan, declared)
    else:
        raise ReshardingError(declared.table, plan.reason)
    return get_existing(connection, declared.table)


def _refuse_single_shard(declared: DistributedDeclaration | ReferenceDeclaration | LocalDeclaration) -> NoReturn:
    schema = SchemaName(declared.table.schema)
    msg = (
        f"table {declared.table} is a single-shard table of the distributed schema {schema}, but is declared as "
        f"{declared.sharding}; nothing was changed. Undistribute the schema first: citus:schemas.{schema}: {{undistribute: true}}"
    )
    raise DriftError(msg)


def _distribute(connection: Connection, declared: DistributedDeclaration) -> None:
    table, column = declared.table, declared.distribution_column
    refuse_nulls(connection, table, column)
    constraints.set_foreign_keys_aside(connection, table)
    old = constraints.get_primary_key(connection, table)
    if old is not None:
        new = rewritten_primary_key(old, column, declared.primary_key)
        if new != old:
            with explain_duplicates(connection, table, old, new):
                constraints.rewrite_primary_key(connection, table, new)
    how: dict[str, Any] = {"table": regclass(table), "column": column}
    with counted(connection, table):
        if declared.colocate_with is None:
            connection.execute(statement("distribute"), {**how, "shard_count": declared.shard_count})
        else:
            target = regclass(declared.colocate_with)
            connection.execute(statement("distribute_colocated"), {**how, "colocate_with": target})
    drop_local_copy(connection, table)
    constraints.restore_foreign_keys(connection, table, declared.pending)


def ensure_local(connection: Connection, declared: LocalDeclaration) -> None:
    """Bring the rows of a sharded table back to the coordinator; nothing happens where it is local already.

    Its keys stay as they are. One transaction, with the rows counted before and after.

    Raises:
        DriftError: the table has an identity column.
        StackError: rows were lost on the way; everything is rolled back.
    """
    table = declared.table
    live = get_existing(connection, table)
    if isinstance(live.sharding, Local):
        restore_waiting_keys(connection, table, declared.pending)
        return
    if isinstance(live.sharding, SingleShard):
        _refuse_single_shard(declared)
    refuse_identity(connection, [table])
    with locked(connection, table):
        undistribute(connection, table)
        for member in with_partitions(connection, table):
            constraints.restore_foreign_keys(connection, member, declared.pending)


def ensure_reference(connection: Connection, declared: ReferenceDeclaration) -> TableState:
    """Replicate the table to every node; where it is a reference table already, to the nodes that lack it.

    Raises:
        ReshardingError: the table is distributed, and may not be rewritten.
        DriftError: it is to be rewritten, but has an identity column.
        StackError: rows were lost on the way; everything is rolled back.
    """
    table = declared.table
    live = get_existing(connection, table)
    match live.sharding:
        case Reference():
            replicate(connection)
            restore_waiting_keys(connection, table, declared.pending)
            return get_existing(connection, table)
        case Distributed():
            if not declared.rewrite:
                raise ReshardingError(table, f"is {live.sharding}, but is declared as {declared.sharding}")
            refuse_identity(connection, [table])
        case SingleShard():
            _refuse_single_shard(declared)
    with locked(connection, table):
        if not isinstance(live.sharding, Local):
            undistribute(connection, table)
        constraints.set_foreign_keys_aside(connection, table)
        with counted(connection, table):
            connection.execute("select create_reference_table(%s::regclass)", [regclass(table)])
        drop_local_copy(connection, table)
        constraints.restore_foreign_keys(connection, table, declared.pending)
    return get_existing(connection, table)


def replicate(connection: Connection) -> None:
    """Copy every reference table to the nodes that lack it, such as those that have just joined."""
    row = connection.execute(statement("count_missing_reference_placements")).fetchone()
    if row and row[0]:
        connection.execute("select replicate_reference_tables('block_writes')")
