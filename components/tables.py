"""Tables distributed, replicated or brought back: each in one transaction that either happens or does not.

Takes a connection; knows nothing of Pulumi. The statements stand in sql/citus/.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from components import keys
from components.catalog import (
    ShardedTable,
    count_rows,
    get_colocated,
    get_table,
    identifier,
    regclass,
    sequentially,
    statement,
)
from components.errors import DriftError, ReshardingError, StackError
from components.names import TableName

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from components.postgres import Connection

__all__ = [
    "Change",
    "ensure_distributed",
    "ensure_local",
    "ensure_reference",
    "replicate",
]


@contextmanager
def _changing(connection: Connection, *tables: TableName) -> Iterator[None]:
    """A transaction in which nobody else writes to the tables."""
    with sequentially(connection):
        for table in tables:
            connection.execute(sql.SQL("lock table {} in share row exclusive mode").format(identifier(table)))
        yield


@contextmanager
def _counted(connection: Connection, *tables: TableName) -> Iterator[None]:
    """Compare the tables' rows before and after, in a transaction; raises StackError where a table has others then."""
    counts = {table: count_rows(connection, table) for table in tables}
    yield
    for table, before in counts.items():
        after = count_rows(connection, table)
        if after != before:
            msg = f"table {table}: it had {before} rows, but {after} came through; everything was rolled back"
            raise StackError(msg)


def _restore_foreign_keys(connection: Connection, table: TableName, still_to_come: Collection[TableName]) -> None:
    """Put back keys that still wait: the table was sharded by hand between the run that set them aside and this one."""
    with sequentially(connection):
        keys.restore_foreign_keys(connection, table, still_to_come)


def _existing(connection: Connection, table: TableName) -> ShardedTable:
    state = get_table(connection, table)
    if state is None:
        msg = f"table {table} does not exist: was it dropped or renamed by hand? Create it again, or take it out of citus:tables"
        raise DriftError(msg)
    return state


@dataclass(frozen=True)
class Change:
    """How a table that is sharded already may be changed."""

    rewrite: bool = False
    """Row by row, where the shards as they are will not do."""
    followers: Sequence[TableName] = ()
    """Tables declared as colocated with it, directly or by others, which move along."""
    leaves: TableName | None = None
    """A table that it was colocated with, and is not to be any more."""


def ensure_distributed(
    connection: Connection,
    table: TableName,
    *,
    column: str,
    colocate_with: TableName | None,
    shard_count: int,
    primary_key: tuple[str, ...] | None,
    still_to_come: Collection[TableName],
    change: Change = Change(),
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
    state = _existing(connection, table)
    if state.kind == "reference":
        if not change.rewrite:
            raise ReshardingError(table, f"is a reference table, but is declared as distributed by {column}")
        _refuse_identity(connection, [table])
    if state.kind in ("local", "reference"):
        with _changing(connection, table):
            if state.kind == "reference":
                _undistribute(connection, table)
            _distribute(connection, table, column, colocate_with, shard_count, primary_key, still_to_come)
        return _existing(connection, table)
    if colocate_with is not None:
        _existing(connection, colocate_with)
    move = _Move.of(connection, table, state, column, colocate_with, shard_count, change)
    if move is None:
        _restore_foreign_keys(connection, table, still_to_come)
        return state
    if move.in_place:
        _colocate(connection, move, still_to_come)
    elif change.rewrite:
        _refuse_identity(connection, move.tables)
        with _changing(connection, *sorted(move.tables)):
            _reshard(connection, move, primary_key, still_to_come)
    else:
        raise ReshardingError(table, move.what)
    return _existing(connection, table)


def _distribute(
    connection: Connection,
    table: TableName,
    column: str,
    colocate_with: TableName | None,
    shard_count: int,
    primary_key: tuple[str, ...] | None,
    still_to_come: Collection[TableName],
) -> None:
    _refuse_nulls(connection, table, column)
    keys.set_foreign_keys_aside(connection, table)
    old = keys.get_primary_key(connection, table)
    if old is not None:
        new = keys.rewritten_primary_key(old, column, primary_key)
        if new != old:
            _rewrite(connection, table, old, new)
    how: dict[str, Any] = {"table": regclass(table), "column": column}
    with _counted(connection, table):
        if colocate_with is None:
            connection.execute(statement("distribute"), {**how, "shard_count": shard_count})
        else:
            connection.execute(statement("distribute_colocated"), {**how, "colocate_with": regclass(colocate_with)})
    _drop_local_copy(connection, table)
    keys.restore_foreign_keys(connection, table, still_to_come)


def _refuse_nulls(connection: Connection, table: TableName, column: str) -> None:
    nulls = count_rows(connection, table, sql.SQL("{} is null").format(sql.Identifier(column)))
    if nulls:
        msg = (
            f"table {table}: {nulls} rows have no {column}, so no worker could own them; nothing was changed. Give each of "
            f"them a {column}, then run up again"
        )
        raise DriftError(msg)


def _rewrite(connection: Connection, table: TableName, old: keys.PrimaryKey, new: keys.PrimaryKey) -> None:
    with _duplicates_told(connection, table, old, new):
        keys.rewrite_primary_key(connection, table, new)


@contextmanager
def _duplicates_told(
    connection: Connection, table: TableName, old: keys.PrimaryKey, new: keys.PrimaryKey
) -> Iterator[None]:
    try:
        with connection.transaction():
            yield
    except psycopg.errors.UniqueViolation as error:
        columns = sql.SQL(", ").join(map(sql.Identifier, new.columns))
        row = connection.execute(
            sql.SQL("select count(*) from (select from {} group by {} having count(*) > 1) duplicate").format(
                identifier(table), columns
            )
        ).fetchone()
        msg = (
            f"table {table}: {row[0] if row else 'some'} values of the new primary key ({', '.join(new.columns)}) occur more "
            f"than once ({error.diag.message_detail}); the old key ({', '.join(old.columns)}) is kept. Name other columns in "
            f"citus:tables.{table}.primaryKey, or mend the rows"
        )
        raise DriftError(msg) from error


def _drop_local_copy(connection: Connection, table: TableName) -> None:
    """Truncate what is left of the rows on the coordinator's own disk: to call once they were counted on the shards."""
    connection.execute("select truncate_local_data_after_distributing_table(%s::regclass)", [regclass(table)])


# --- changes of tables that are sharded ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Move:
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
        change: Change,
    ) -> _Move | None:
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


def _refuse_identity(connection: Connection, tables: Sequence[TableName]) -> None:
    """Raise DriftError where Citus could not rewrite one of the tables."""
    for table in tables:
        found = connection.execute(statement("get_identity_columns"), {"table": regclass(table)}).fetchall()
        if found:
            columns = ", ".join(str(column) for (column,) in found)
            msg = (
                f"table {table}: Citus rewrites no table with an identity column, and this one has {columns}; nothing was "
                f"changed. Declare the table as it is; or replace it by hand: create a table (like {table} including all "
                f"excluding identity), copy the rows, drop {table}, give the new one its name, then refresh and run up again"
            )
            raise DriftError(msg)


def _with_partitions(connection: Connection, *tables: TableName) -> list[TableName]:
    """Return each table, and its partitions behind it."""
    found = []
    for table in tables:
        partitions = connection.execute(statement("get_partitions"), {"table": regclass(table)}).fetchall()
        found += [table, *(TableName(*partition) for partition in partitions)]
    return found


@contextmanager
def _remembering(connection: Connection, *tables: TableName) -> Iterator[None]:
    """Give back in the end what Citus leaves behind of tables that it writes anew."""
    commands = [
        command
        for table in tables
        for _, command in connection.execute(
            statement("get_comments_and_grants"), {"table": regclass(table)}
        ).fetchall()
    ]
    yield
    for command in commands:
        connection.execute(command.encode())


def _colocate(connection: Connection, move: _Move, still_to_come: Collection[TableName]) -> None:
    """Let the tables, their partitions too, change their colocation group; no row moves."""

    def is_cut(key: keys.ForeignKey) -> bool:
        other = key.parent if key.child in moving else key.child
        state = get_table(connection, other)
        return other not in moving and state is not None and state.kind == "distributed"

    with _changing(connection, *sorted(move.tables)):
        moving = _with_partitions(connection, *move.tables)
        for table in moving:
            keys.set_foreign_keys_aside(connection, table, is_cut)
        into = regclass(move.into) if move.into else "none"
        for table in moving:
            connection.execute(statement("update_colocation"), {"table": regclass(table), "colocate_with": into})
            into = regclass(move.into or move.table)
        for table in moving:
            keys.restore_foreign_keys(connection, table, still_to_come)


def _reshard(
    connection: Connection, move: _Move, primary_key: tuple[str, ...] | None, still_to_come: Collection[TableName]
) -> None:
    """Let Citus write the tables anew, row by row, and drop the old ones."""
    moving = _with_partitions(connection, *move.tables)
    with _remembering(connection, *move.tables), _counted(connection, *move.tables):
        old = new = None
        if move.column is not None:
            _refuse_nulls(connection, move.table, move.column)
            old = keys.get_primary_key(connection, move.table)
            new = old and keys.rewritten_primary_key(old, move.column, primary_key)
        for table in moving:
            keys.set_foreign_keys_aside(connection, table)
        if old and new != old:
            keys.drop_primary_key(connection, move.table, old)
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
            with _duplicates_told(connection, move.table, old, new):
                keys.add_primary_key(connection, move.table, new)
    for table in moving:
        keys.restore_foreign_keys(connection, table, still_to_come)


def _undistribute(connection: Connection, table: TableName) -> None:
    """Bring every row back to the coordinator; the table's foreign keys are set aside then. To call in a transaction."""
    with _remembering(connection, table), _counted(connection, table):
        for member in _with_partitions(connection, table):
            keys.set_foreign_keys_aside(connection, member)
        connection.execute(statement("undistribute"), {"table": regclass(table)})


def ensure_local(connection: Connection, table: TableName, *, still_to_come: Collection[TableName]) -> None:
    """Bring the rows of a sharded table back to the coordinator; nothing happens where it is local already.

    Its keys stay as they are. One transaction, with the rows counted before and after.

    Raises:
        DriftError: the table has an identity column.
        StackError: rows were lost on the way; everything is rolled back.
    """
    if _existing(connection, table).kind == "local":
        _restore_foreign_keys(connection, table, still_to_come)
        return
    _refuse_identity(connection, [table])
    with _changing(connection, table):
        _undistribute(connection, table)
        for member in _with_partitions(connection, table):
            keys.restore_foreign_keys(connection, member, still_to_come)


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
    state = _existing(connection, table)
    if state.kind == "distributed":
        if not rewrite:
            raise ReshardingError(
                table, f"is distributed by {state.distribution_column}, but is declared as a reference table"
            )
        _refuse_identity(connection, [table])
    if state.kind != "reference":
        with _changing(connection, table):
            if state.kind == "distributed":
                _undistribute(connection, table)
            keys.set_foreign_keys_aside(connection, table)
            with _counted(connection, table):
                connection.execute("select create_reference_table(%s::regclass)", [regclass(table)])
            _drop_local_copy(connection, table)
            keys.restore_foreign_keys(connection, table, still_to_come)
        return _existing(connection, table)
    replicate(connection)
    _restore_foreign_keys(connection, table, still_to_come)
    return _existing(connection, table)


def replicate(connection: Connection) -> None:
    """Copy every reference table to the nodes that lack it, such as those that have just joined."""
    row = connection.execute(statement("count_missing_reference_placements")).fetchone()
    if row and row[0]:
        connection.execute("select replicate_reference_tables('block_writes')")
