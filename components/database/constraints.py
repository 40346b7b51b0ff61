"""Primary and foreign keys of live tables: read, rewritten, set aside in the ledger and restored.

Foreign keys are set aside while the tables at their ends are being sharded, in the same transaction, so that a run that dies
loses none of them.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from psycopg import sql
from psycopg.rows import dict_row

from components.database.metadata import get_table
from components.database.statements import identifier, statement
from components.keys import ForeignKey, PrimaryKey, rewritten_foreign_key
from components.names import TableName
from components.tables import Distributed, Local

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from components.database.connections import Connection
    from components.database.metadata import TableState
    from components.tables import Pending

__all__ = [
    "add_foreign_key",
    "add_primary_key",
    "define",
    "drop_primary_key",
    "get_foreign_keys",
    "get_primary_key",
    "record_foreign_key",
    "restore_foreign_keys",
    "rewrite_primary_key",
    "set_foreign_keys_aside",
]


_ACTIONS: Final = {
    "a": sql.SQL("no action"),
    "r": sql.SQL("restrict"),
    "c": sql.SQL("cascade"),
    "n": sql.SQL("set null"),
    "d": sql.SQL("set default"),
}


_MATCH: Final = {"s": sql.SQL("match simple"), "f": sql.SQL("match full")}


_CLUSTER: Final = sql.SQL("alter table {} cluster on {}")


_IDENTIFY: Final = sql.SQL("alter table {} replica identity using index {}")


def define(key: PrimaryKey | ForeignKey) -> sql.Composable:
    """Return a key as `add constraint …` takes it."""
    return _define_primary(key) if isinstance(key, PrimaryKey) else _define_foreign(key)


def _define_primary(key: PrimaryKey) -> sql.Composable:
    included = sql.SQL(" include ({})").format(_names(key.included)) if key.included else sql.SQL("")
    pairs = (option.partition("=") for option in key.options)
    options = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value)) for name, _, value in pairs]
    with_options = sql.SQL(" with ({})").format(sql.SQL(", ").join(options)) if options else sql.SQL("")
    tablespace = (
        sql.SQL(" using index tablespace {}").format(sql.Identifier(key.tablespace)) if key.tablespace else sql.SQL("")
    )
    return sql.SQL("constraint {} primary key ({}){}{}{}{}").format(
        sql.Identifier(key.name),
        _names(key.columns),
        included,
        with_options,
        tablespace,
        _timing(key.deferrable, key.deferred),
    )


def _define_foreign(key: ForeignKey) -> sql.Composable:
    set_columns = sql.SQL(" ({})").format(_names(key.set_columns)) if key.set_columns else sql.SQL("")
    return sql.SQL("constraint {} foreign key ({}) references {} ({}) {} on update {} on delete {}{}{}{}").format(
        sql.Identifier(key.name),
        _names(key.columns),
        identifier(key.parent),
        _names(key.referenced),
        _MATCH[key.match],
        _ACTIONS[key.on_update],
        _ACTIONS[key.on_delete],
        set_columns,
        _timing(key.deferrable, key.deferred),
        sql.SQL("" if key.validated else " not valid"),
    )


def _names(columns: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _timing(deferrable: bool, deferred: bool) -> sql.SQL:  # noqa: FBT001
    if not deferrable:
        return sql.SQL("")
    return sql.SQL(" deferrable initially deferred" if deferred else " deferrable initially immediate")


def get_primary_key(connection: Connection, table: TableName) -> PrimaryKey | None:
    """Return the table's primary key."""
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(statement("get_primary_key"), {"schema": table.schema, "name": table.name}).fetchone()
    return PrimaryKey.of(row) if row else None


def get_foreign_keys(connection: Connection, table: TableName) -> list[ForeignKey]:
    """Return the foreign keys of which the table is an end, either one."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(statement("get_foreign_keys"), {"schema": table.schema, "name": table.name}).fetchall()
    return [ForeignKey.of(row) for row in rows]


def set_foreign_keys_aside(
    connection: Connection, table: TableName, which: Callable[[ForeignKey], bool] = lambda _: True
) -> None:
    """Drop the table's foreign keys, and write each down in the ledger. To call in a transaction."""
    for key in filter(which, get_foreign_keys(connection, table)):
        record_foreign_key(connection, key)
        _drop_constraint(connection, key.child, key.name)


def record_foreign_key(connection: Connection, key: ForeignKey) -> None:
    """Write a foreign key down in the ledger, for restore_foreign_keys to make."""
    connection.execute(
        statement("set_foreign_key_aside"),
        {
            "child_schema": key.child.schema,
            "child_name": key.child.name,
            "name": key.name,
            "parent_schema": key.parent.schema,
            "parent_name": key.parent.name,
            "definition": json.dumps(asdict(key)),
        },
    )


def _drop_constraint(connection: Connection, table: TableName, name: str) -> None:
    connection.execute(sql.SQL("alter table {} drop constraint {}").format(identifier(table), sql.Identifier(name)))


def drop_primary_key(connection: Connection, table: TableName, key: PrimaryKey) -> None:
    """Drop the table's primary key. To call in a transaction."""
    _drop_constraint(connection, table, key.name)


def add_primary_key(connection: Connection, table: TableName, key: PrimaryKey) -> None:
    """Give the table a primary key. To call in a transaction."""
    connection.execute(sql.SQL("alter table {} add {}").format(identifier(table), define(key)))
    _restore_index(connection, table, key)


def _restore_index(connection: Connection, table: TableName, key: PrimaryKey) -> None:
    """Give a new primary key what ALTER TABLE and COMMENT had said of the old one and of its index."""
    _comment(connection, table, key)
    if key.index_comment is not None:
        index = identifier(TableName(table.schema, key.name))
        connection.execute(sql.SQL("comment on index {} is {}").format(index, sql.Literal(key.index_comment)))
    if not (key.clustered or key.replica_identity):
        return
    # On a table that is sharded already Citus refuses both; on the shards, the primary key is the replica identity anyway.
    connection.execute("set local citus.enable_ddl_propagation = off")
    for members, command in ((key.clustered, _CLUSTER), (key.replica_identity, _IDENTIFY)):
        for member in members:
            own = get_primary_key(connection, member)
            if own is not None:
                connection.execute(command.format(identifier(member), sql.Identifier(own.name)))
    connection.execute("set local citus.enable_ddl_propagation = on")


def add_foreign_key(connection: Connection, key: ForeignKey) -> None:
    """Give the key's table the key, with its comment. To call in a transaction."""
    connection.execute(sql.SQL("alter table {} add {}").format(identifier(key.child), define(key)))
    _comment(connection, key.child, key)


def _comment(connection: Connection, table: TableName, key: PrimaryKey | ForeignKey) -> None:
    if key.comment is not None:
        where = (sql.Identifier(key.name), identifier(table), sql.Literal(key.comment))
        connection.execute(sql.SQL("comment on constraint {} on {} is {}").format(*where))


def rewrite_primary_key(connection: Connection, table: TableName, new: PrimaryKey) -> None:
    """Replace the table's primary key in place. To call in a transaction."""
    connection.execute(
        sql.SQL("alter table {table} drop constraint {name}, add {definition}").format(
            table=identifier(table), name=sql.Identifier(new.name), definition=define(new)
        )
    )
    _restore_index(connection, table, new)


def restore_foreign_keys(connection: Connection, table: TableName, pending: Collection[Pending]) -> None:
    """Restore the table's foreign keys whose other end is as it will stay, rewritten where both are distributed.

    To call in a transaction. A key to a pending table that is not as declared yet, or is in another colocation group, waits in
    the ledger: the turn of that table restores it.
    """
    declared = {it.table: it.sharding for it in pending}

    def is_to_change(other: TableName, state: TableState) -> bool:
        sharding = declared[other]
        return isinstance(state.sharding, Local) if sharding is None else sharding != state.sharding

    rows = connection.execute(statement("get_set_aside"), {"schema": table.schema, "name": table.name}).fetchall()
    for (definition,) in rows:
        key = ForeignKey.of(definition)
        child, parent = get_table(connection, key.child), get_table(connection, key.parent)
        if child is None or parent is None:
            continue
        other, other_state = (key.parent, parent) if key.child == table else (key.child, child)
        both = isinstance(child.sharding, Distributed) and isinstance(parent.sharding, Distributed)
        if other != table and other in declared:
            apart = both and child.colocation_group != parent.colocation_group
            if apart or is_to_change(other, other_state):
                continue
        if isinstance(child.sharding, Distributed) and isinstance(parent.sharding, Distributed):
            key = rewritten_foreign_key(key, child.sharding.column, parent.sharding.column)
        if not any(
            live.child == key.child and live.name == key.name for live in get_foreign_keys(connection, key.child)
        ):
            add_foreign_key(connection, key)
        connection.execute(
            statement("forget_foreign_key"),
            {"schema": key.child.schema, "child": key.child.name, "name": key.name},
        )
