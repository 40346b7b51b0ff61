"""The reader of SQL files against PostgreSQL: what it says of a schema is what the same text makes on a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

from components.names import TableName
from components.schema.files import Schema
from components.schema.statements import SqlFile
from tests.corpus import cases

if TYPE_CHECKING:
    from components.schema.relations import Table
    from tests.servers import PostgresServer

ROOT: Final = Path(__file__).parents[2]
RELATIONS: Final = (ROOT / "tests" / "corpus" / "relations.sql").read_bytes()
IDENTITY_INHERITED: Final = 170000
"""First version in which a partition inherits identity; Citus 12.1 runs on none that does."""

Said = dict[str, Any]


def made(connection: psycopg.Connection[Any], sql: str) -> dict[TableName, Said] | None:
    """Return the tables that a text makes on a server, and undo it; None where the server refuses the text."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(sql.encode())
            connection.execute("set local search_path = ''")
            rows = connection.execute(RELATIONS).fetchall()
    except psycopg.Error:
        return None
    version = connection.info.server_version
    return {
        TableName(*name): {
            "columns": [
                [
                    *column[:2],
                    column[2] or is_partition,
                    column[3] and not (is_partition and version >= IDENTITY_INHERITED),
                    *column[4:],
                ]
                for column in columns
            ],
            "keys": keys,
            "foreign keys": foreign_keys,
        }
        for name, is_partition, columns, keys, foreign_keys in rows
    }


def read(schema: Schema, table: Table, server: Said) -> Said:
    """Return what the reader says of a table, in the same form; of what a partition has from its table, as the server does."""
    key = table.primary_key.columns if table.primary_key else ()
    columns = [
        [
            *(it.name, it.type, it.not_null or it.name in key or table.partition),
            *(it.identity, it.generated, it.sequence is not None),
        ]
        for it in (table.columns or {}).values()
    ]
    keys = sorted([it.name, it.kind == "primary key", list(it.columns)] for it in table.keys)
    foreign_keys = sorted(
        [it.name, [it.parent.schema, it.parent.name], it.on_update, it.on_delete, it.match, list(it.columns)]
        for it in table.foreign_keys
        if it.parent in schema.tables
    )
    if table.partition:
        keys = [it for it in keys if it in server["keys"]]
        foreign_keys = [it for it in foreign_keys if it in server["foreign keys"]]
    return {"columns": columns, "keys": keys, "foreign keys": foreign_keys}


@pytest.mark.needs("postgres")
def test_the_reader_says_of_every_schema_of_the_corpus_what_postgresql_makes_of_it(
    postgres_server: PostgresServer,
) -> None:
    """Columns, keys and foreign keys with their names, wherever the server takes the text and its files tell the columns."""
    different, compared = [], 0
    texts = {case.sql: str(case) for case in cases()}
    texts["\n".join(path.read_text("utf-8") for path in sorted((ROOT / "sql" / "schema").glob("*.sql")))] = "sql/schema"
    with postgres_server.connect() as connection:
        for sql, name in texts.items():
            server, schema = made(connection, sql), Schema([SqlFile("1.sql", sql)])
            if server is None:
                continue
            compared += 1
            tables = {it.name: it for it in schema.tables.values() if it.persistence != "t"}
            if tables.keys() != server.keys():
                different.append(f"{name}: {sorted(map(str, tables.keys() ^ server.keys()))}\n{sql}")
            for table in (it for it in tables.values() if it.columns is not None and it.name in server):
                said = read(schema, table, server[table.name])
                if any(it.partition for it in tables.values()):  # whose own foreign keys have taken numbers
                    for key in (*said["foreign keys"], *server[table.name]["foreign keys"]):
                        key[0] = key[0].rstrip("0123456789")
                different += [
                    f"{name}: {part} of {table.name}\n  reader: {said[part]}\n  server: {server[table.name][part]}\n{sql}"
                    for part in said
                    if said[part] != server[table.name][part]
                ]
    assert compared > len(texts) * 3 / 4
    assert not different, f"{len(different)} of {compared}:\n" + "\n".join(different[:20])
