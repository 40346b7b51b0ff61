"""A live database read from its catalogue, against the same schema read from its files: one model, whatever fills it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.rows import dict_row

from components.database.catalogue import get_relations
from components.schema.files import Schema
from components.schema.relations import Relations
from components.schema.statements import SqlFile
from tests.corpus import cases
from tests.provider.test_reader import IDENTITY_INHERITED, ROOT

if TYPE_CHECKING:
    from components.schema.relations import Table
    from tests.servers import PostgresServer

Told = dict[str, Any]


def live(connection: psycopg.Connection[Any], sql: str) -> Relations | None:
    """Return what the catalogue says of a text that a server runs, and undo it; None where the server refuses the text."""
    relations = Relations()
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(sql.encode())
            connection.execute("set local search_path = ''")
            get_relations(connection, relations)
    except psycopg.Error:
        return None
    return relations


def told(table: Table, relations: Relations, other: Table | None = None) -> Told:
    """Return what the plan looks at in a table; of a partition, without what it has from its table in only one of the two."""
    key = table.primary_key.columns if table.primary_key else ()
    columns = [
        (
            *(it.name, it.type, it.identity, it.generated, it.not_null or it.name in key or table.partition),
            *(
                "" if it.collation == ("C" if it.type == "name" else "default") else it.collation,
                min(0, it.scale),
                it.sequence is not None,
            ),
        )
        for it in (table.columns or {}).values()
    ]
    keys = sorted((it.name, it.kind, it.columns, it.included, it.unequal, it.referable) for it in table.keys)
    numbered = any(it.partition for it in relations.tables.values())  # whose own foreign keys have taken numbers
    foreign_keys = sorted(
        (
            it.name.rstrip("0123456789") if numbered else it.name,
            it.parent,
            it.columns,
            it.on_update,
            it.on_delete,
            it.match,
            sorted(it.set_columns),
        )
        for it in table.foreign_keys
        if it.parent in relations.tables
    )
    if table.partition and other:
        keys = [it for it in keys if it[0] in {key.name for key in other.keys}]
        names = {fk.name.rstrip("0123456789") for fk in other.foreign_keys}
        foreign_keys = [it for it in foreign_keys if it[0] in names]
    return {
        "columns": columns,
        "keys": keys,
        "foreign keys": foreign_keys,
        "kind": (table.persistence, table.parents, table.partition, table.partitioned, table.partition_columns),
        "triggers": sorted(it.name for it in table.triggers),
        "policies": sorted((it.name, it.subquery) for it in table.policies),
    }


@pytest.mark.needs("postgres")
def test_a_live_database_is_read_as_its_files_are(postgres_server: PostgresServer) -> None:
    """Over the whole corpus: whatever a rule looks at is the same, from the catalogue and from the files."""
    different, compared = [], 0
    texts = {case.sql: str(case) for case in cases()}
    texts["\n".join(path.read_text("utf-8") for path in sorted((ROOT / "sql" / "schema").glob("*.sql")))] = "sql/schema"
    with postgres_server.connect() as connection:
        connection.row_factory = dict_row  # as `reading` sets it
        assert connection.info.server_version < IDENTITY_INHERITED
        for sql, name in texts.items():
            server, schema = live(connection, sql), Schema([SqlFile("1.sql", sql)])
            if server is None:
                continue
            compared += 1
            files = {it.name: it for it in schema.tables.values() if it.persistence != "t"}
            if files.keys() != server.tables.keys():
                different.append(f"{name}: {files.keys() ^ server.tables.keys()}\n{sql}")
            for table in (it for it in files.values() if it.columns is not None and it.name in server.tables):
                other = server.tables[table.name]
                one, two = told(table, schema, other), told(other, server, table)
                different += [
                    f"{name}: {part} of {table.name}\n  files:  {one[part]}\n  server: {two[part]}\n{sql}"
                    for part in one
                    if one[part] != two[part]
                ]
            kinds = [{key: (it.kind, it.collation) for key, it in of.types.items()} for of in (schema, server)]
            if kinds[0] != kinds[1]:
                different.append(f"{name}: types\n  files:  {kinds[0]}\n  server: {kinds[1]}\n{sql}")
            if schema.collations != server.collations or schema.others.keys() != server.others.keys():
                different.append(
                    f"{name}: {schema.collations} {server.collations} {schema.others} {server.others}\n{sql}"
                )
            views = [{key: (it.kind, it.keys) for key, it in of.others.items()} for of in (schema, server)]
            if views[0] != views[1]:
                different.append(f"{name}: views\n  files:  {views[0]}\n  server: {views[1]}\n{sql}")
    assert compared > len(texts) * 3 / 4
    assert not different, f"{len(different)} of {compared}:\n" + "\n".join(different[:20])
