"""Schema scripts run once, tables distributed or replicated: each in one transaction that either happens or does not.

Takes a connection; knows nothing of Pulumi. The statements stand in sql/citus/.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from components import keys
from components.catalog import ShardedTable, get_table, statement
from components.errors import DriftError, ReshardingError, StackError
from components.postgres import is_lost

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from components.names import TableName
    from components.postgres import Connection

__all__ = ["ensure_distributed", "ensure_reference", "ensure_script", "get_script", "replicate", "sha256"]


def sha256(text: str) -> str:
    """Return the hash by which the ledger knows a schema file, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def get_script(connection: Connection, file_name: str) -> str | None:
    """Return the hash of the file as it was applied; None where it was not."""
    row = connection.execute(statement("get_script"), {"file_name": file_name}).fetchone()
    return row[0] if row else None


def refuse_edited(file_name: str, applied: str, text: str) -> None:
    """Raise DriftError where a file is not, to the letter, what was applied under its name."""
    if applied != sha256(text):
        msg = (
            f"{file_name} was applied to this cluster and has been edited since (sha256 {sha256(text)[:12]}…, applied "
            f"{applied[:12]}…): put it back as it was, and write the change as a new file that sorts behind it"
        )
        raise DriftError(msg)


def ensure_script(connection: Connection, file_name: str, text: str) -> None:
    """Run a schema file in one transaction and write it into the ledger; nothing happens where it stands there.

    Raises:
        DriftError: the file was applied with another text.
        StackError: the database refuses a statement; names file, line and column. Nothing of the file remains.
    """
    applied = get_script(connection, file_name)
    if applied is not None:
        refuse_edited(file_name, applied, text)
        return
    with connection.transaction():
        if text.strip():
            try:
                connection.execute(text.encode())
            except psycopg.Error as error:
                if is_lost(error):
                    raise
                raise StackError(_located(file_name, text, error)) from error
        connection.execute("reset all; reset session authorization; reset role")
        connection.execute(statement("record_script"), {"file_name": file_name, "sha256": sha256(text)})


def _located(file_name: str, text: str, error: psycopg.Error) -> str:
    diagnosis = error.diag
    where = file_name
    if diagnosis.statement_position:
        before = text[: int(diagnosis.statement_position) - 1]
        where = f"{file_name}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    detail = f"; {diagnosis.message_detail}" if diagnosis.message_detail else ""
    hint = f"; {diagnosis.message_hint}" if diagnosis.message_hint else ""
    message = diagnosis.message_primary or " ".join(str(error).split())
    code = f" [SQLSTATE {error.sqlstate}]" if error.sqlstate else ""
    return f"{where}: {message}{detail}{hint}{code}; nothing of this file was applied"


@contextmanager
def _sequentially(connection: Connection) -> Iterator[None]:
    """A transaction that works on one shard after the other, as keys across tables need."""
    with connection.transaction():
        connection.execute("set local citus.multi_shard_modify_mode = 'sequential'")
        connection.execute("set local client_min_messages = warning")
        yield


@contextmanager
def _changing(connection: Connection, table: TableName) -> Iterator[None]:
    """A transaction in which nobody else writes to the table."""
    with _sequentially(connection):
        connection.execute(sql.SQL("lock table {} in share row exclusive mode").format(keys.identifier(table)))
        yield


def _restore_foreign_keys(connection: Connection, table: TableName, still_to_come: Collection[TableName]) -> None:
    """Put back keys that still wait: the table was sharded by hand between the run that set them aside and this one."""
    with _sequentially(connection):
        keys.restore_foreign_keys(connection, table, still_to_come)


def _count(connection: Connection, table: TableName, condition: sql.Composable = sql.SQL("true")) -> int:  # noqa: B008
    query = sql.SQL("select count(*) from {} where {}").format(keys.identifier(table), condition)
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _existing(connection: Connection, table: TableName) -> ShardedTable:
    state = get_table(connection, table)
    if state is None:
        msg = f"table {table} does not exist: was it dropped or renamed by hand? Create it again, or take it out of citus:tables"
        raise DriftError(msg)
    return state


def ensure_distributed(
    connection: Connection,
    table: TableName,
    *,
    column: str,
    colocate_with: TableName | None,
    shard_count: int,
    primary_key: tuple[str, ...] | None,
    still_to_come: Collection[TableName],
) -> ShardedTable:
    """Distribute the table by a column, its keys rewritten to hold it; nothing happens where it is so already.

    One transaction: foreign keys set aside, primary key rewritten, rows moved to the shards and counted before and
    after, the local copy dropped, foreign keys restored where the other end stands. `still_to_come` names tables that
    will be sharded later; foreign keys to them wait until then.

    Raises:
        ReshardingError: the table is sharded in another way.
        DriftError: its rows do not fit the new key.
        StackError: rows were lost on the way; everything is rolled back.
    """
    state = _existing(connection, table)
    if state.kind == "local":
        with _changing(connection, table):
            _distribute(connection, table, column, colocate_with, shard_count, primary_key, still_to_come)
        return _existing(connection, table)
    refuse_other_sharding(connection, table, state, column=column, colocate_with=colocate_with, shard_count=shard_count)
    _restore_foreign_keys(connection, table, still_to_come)
    return state


def refuse_other_sharding(
    connection: Connection,
    table: TableName,
    state: ShardedTable,
    *,
    column: str,
    colocate_with: TableName | None,
    shard_count: int,
) -> None:
    """Raise ReshardingError where the table is not distributed as wanted, naming what it is and what was wanted."""
    what = None
    if state.kind != "distributed":
        what = f"is a {state.kind} table, but is declared as distributed by {column}"
    elif state.distribution_column != column:
        what = f"is distributed by {state.distribution_column}, but is declared as distributed by {column}"
    elif colocate_with is not None and _existing(connection, colocate_with).colocation_group != state.colocation_group:
        what = f"is not colocated with {colocate_with} as declared"
    elif colocate_with is None and state.shard_count != shard_count:
        what = f"has {state.shard_count} shards, but {shard_count} are declared"
    if what is not None:
        raise ReshardingError(table, what)


def _distribute(
    connection: Connection,
    table: TableName,
    column: str,
    colocate_with: TableName | None,
    shard_count: int,
    primary_key: tuple[str, ...] | None,
    still_to_come: Collection[TableName],
) -> None:
    nulls = _count(connection, table, sql.SQL("{} is null").format(sql.Identifier(column)))
    if nulls:
        msg = (
            f"table {table}: {nulls} rows have no {column}, so no worker could own them; nothing was changed. Give each of "
            f"them a {column}, then run up again"
        )
        raise DriftError(msg)
    before = _count(connection, table)
    keys.set_foreign_keys_aside(connection, table)
    old = keys.get_primary_key(connection, table)
    if old is not None:
        new = keys.rewritten_primary_key(old, column, primary_key)
        if new != old:
            _rewrite(connection, table, old, new)
    how: dict[str, Any] = {"table": _regclass(table), "column": column}
    if colocate_with is None:
        connection.execute(statement("distribute"), {**how, "shard_count": shard_count})
    else:
        connection.execute(statement("distribute_colocated"), {**how, "colocate_with": _regclass(colocate_with)})
    _drop_local_copy(connection, table, before)
    keys.restore_foreign_keys(connection, table, still_to_come)


def _rewrite(connection: Connection, table: TableName, old: keys.PrimaryKey, new: keys.PrimaryKey) -> None:
    try:
        with connection.transaction():
            keys.rewrite_primary_key(connection, table, new)
    except psycopg.errors.UniqueViolation as error:
        columns = sql.SQL(", ").join(map(sql.Identifier, new.columns))
        row = connection.execute(
            sql.SQL("select count(*) from (select from {} group by {} having count(*) > 1) duplicate").format(
                keys.identifier(table), columns
            )
        ).fetchone()
        msg = (
            f"table {table}: {row[0] if row else 'some'} values of the new primary key ({', '.join(new.columns)}) occur more "
            f"than once ({error.diag.message_detail}); the old key ({', '.join(old.columns)}) is kept. Name other columns in "
            f"citus:tables.{table}.primaryKey, or mend the rows"
        )
        raise DriftError(msg) from error


def _drop_local_copy(connection: Connection, table: TableName, before: int) -> None:
    """Compare the counts, then truncate what is left of the rows on the coordinator's own disk."""
    after = _count(connection, table)
    if after != before:
        msg = f"table {table}: {before} rows went to the shards, but {after} are there; everything was rolled back"
        raise StackError(msg)
    connection.execute("select truncate_local_data_after_distributing_table(%s::regclass)", [_regclass(table)])


def _regclass(table: TableName) -> str:
    return keys.identifier(table).as_string(None)


def ensure_reference(connection: Connection, table: TableName, *, still_to_come: Collection[TableName]) -> ShardedTable:
    """Replicate the table to every node; where it is a reference table already, to the nodes that lack it.

    Raises:
        ReshardingError: the table is distributed.
        StackError: rows were lost on the way; everything is rolled back.
    """
    state = _existing(connection, table)
    if state.kind == "distributed":
        raise ReshardingError(
            table, f"is distributed by {state.distribution_column}, but is declared as a reference table"
        )
    if state.kind == "local":
        with _changing(connection, table):
            before = _count(connection, table)
            keys.set_foreign_keys_aside(connection, table)
            connection.execute("select create_reference_table(%s::regclass)", [_regclass(table)])
            _drop_local_copy(connection, table, before)
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
