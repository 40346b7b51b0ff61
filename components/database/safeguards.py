"""What protects rows and keys while a table is sharded: locks, counts, refusals with their reason."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from components.database import constraints
from components.database.metadata import TableState, count_rows, get_table
from components.database.statements import identifier, regclass, sequentially, statement
from components.errors import DriftError, StackError
from components.names import TableName

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from components import keys
    from components.database.connections import Connection
    from components.tables import Pending

__all__ = [
    "counted",
    "drop_local_copy",
    "explain_duplicates",
    "get_existing",
    "locked",
    "preserving_comments_and_grants",
    "refuse_identity",
    "refuse_nulls",
    "restore_waiting_keys",
    "with_partitions",
]


@contextmanager
def locked(connection: Connection, *tables: TableName) -> Iterator[None]:
    """A transaction in which nobody else writes to the tables."""
    with sequentially(connection):
        for table in tables:
            connection.execute(sql.SQL("lock table {} in share row exclusive mode").format(identifier(table)))
        yield


@contextmanager
def counted(connection: Connection, *tables: TableName) -> Iterator[None]:
    """Compare the tables' rows before and after, in a transaction; raises StackError where a table has others then."""
    counts = {table: count_rows(connection, table) for table in tables}
    yield
    for table, before in counts.items():
        after = count_rows(connection, table)
        if after != before:
            msg = (
                f"table {table}: its row count changed from {before} to {after} while it was sharded; everything was rolled "
                "back"
            )
            raise StackError(msg)


def restore_waiting_keys(connection: Connection, table: TableName, pending: Collection[Pending]) -> None:
    """Put back keys that still wait: the table was sharded by hand between the run that set them aside and this one."""
    with sequentially(connection):
        constraints.restore_foreign_keys(connection, table, pending)


def get_existing(connection: Connection, table: TableName) -> TableState:
    """Return how Citus knows a table; raises DriftError where there is no such table."""
    state = get_table(connection, table)
    if state is None:
        msg = f"table {table} does not exist: was it dropped or renamed by hand? Create it again, or take it out of citus:tables"
        raise DriftError(msg)
    return state


def refuse_nulls(connection: Connection, table: TableName, column: str) -> None:
    """Raise DriftError where rows have no value in the distribution column."""
    nulls = count_rows(connection, table, sql.SQL("{} is null").format(sql.Identifier(column)))
    if nulls:
        msg = (
            f"table {table}: {nulls} rows have NULL in the distribution column {column}; nothing was changed. Give each of "
            f"them a {column}, then run up again"
        )
        raise DriftError(msg)


@contextmanager
def explain_duplicates(
    connection: Connection, table: TableName, old: keys.PrimaryKey, new: keys.PrimaryKey
) -> Iterator[None]:
    """Tell how many values of a new primary key occur twice, where it cannot be made for that."""
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
            f"citus:tables.{table}.primaryKey, or correct the rows"
        )
        raise DriftError(msg) from error


def drop_local_copy(connection: Connection, table: TableName) -> None:
    """Truncate what is left of the rows on the coordinator's own disk: to call once they were counted on the shards."""
    connection.execute("select truncate_local_data_after_distributing_table(%s::regclass)", [regclass(table)])


def refuse_identity(connection: Connection, tables: Sequence[TableName]) -> None:
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


def with_partitions(connection: Connection, *tables: TableName) -> list[TableName]:
    """Return each table, and its partitions behind it."""
    found = []
    for table in tables:
        partitions = connection.execute(statement("get_partitions"), {"table": regclass(table)}).fetchall()
        found += [table, *(TableName(*partition) for partition in partitions)]
    return found


@contextmanager
def preserving_comments_and_grants(connection: Connection, *tables: TableName) -> Iterator[None]:
    """Restore in the end the comments and grants that Citus drops of tables that it rewrites."""
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
