"""The tables that the analysis works on: whether they are the company's, and those it makes for itself and drops again."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from psycopg import sql

from analysis.errors import AnalysisError, DataError
from analysis.place import LEDGER, SCHEMA_FILES, statement
from components.database.metadata import get_table
from components.names import TableName
from components.tables import Distributed, Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import LiteralString

    from analysis.place import Place
    from components.database.connections import Connection

__all__ = [
    "COLUMNS",
    "DISTRIBUTED",
    "KEY",
    "REFERENCE",
    "check_tables",
    "columns",
    "drop_leftovers",
    "drop_one_node",
    "one_node",
    "own_schema",
    "plain_tables",
    "sharded_tables",
    "staged",
]

KEY: Final = "id_pais"
COLUMNS: Final = {
    "metodo_pago": {"id_metodo_pago": "integer", "nombre": "text", "comision": "numeric(5,4)"},
    "cupon": {
        "id_cupon": "integer",
        "codigo": "text",
        "descuento": "numeric(5,4)",
        "vigente_desde": "date",
        "vigente_hasta": "date",
    },
    "sucursal": {
        "id_sucursal": "integer",
        "id_pais": "integer",
        "pais": "text",
        "nombre": "text",
        "ciudad": "text",
        "abierta_en": "date",
    },
    "producto": {
        "id_producto": "integer",
        "id_pais": "integer",
        "nombre": "text",
        "categoria": "text",
        "precio_lista": "numeric(12,2)",
        "costo": "numeric(12,2)",
    },
    "venta": {
        "id_venta": "bigint",
        "id_pais": "integer",
        "id_sucursal": "integer",
        "id_metodo_pago": "integer",
        "id_cupon": "integer",
        "canal_venta": "text",
        "vendida_en": "timestamp with time zone",
        "devuelta_en": "timestamp with time zone",
    },
    "detalle_venta": {
        "id_detalle": "bigint",
        "id_pais": "integer",
        "id_venta": "bigint",
        "id_producto": "integer",
        "cantidad": "integer",
        "precio_unitario": "numeric(12,2)",
        "costo_unitario": "numeric(12,2)",
        "descuento": "numeric(12,2)",
    },
}
"""The columns that are filled, parents before children."""
REFERENCE: Final = ("metodo_pago", "cupon")
DISTRIBUTED: Final = ("sucursal", "producto", "venta", "detalle_venta")
MARK: Final = "made by the analysis for a while; it may be dropped"
REMEDY: Final = "the analysis works on the tables of sql/schema, sharded as Pulumi.dev.yaml shards them"


def columns(table: str) -> sql.Composed:
    """Return a table's columns as statements list them."""
    return sql.SQL(", ").join(map(sql.Identifier, COLUMNS[table]))


def check_tables(connection: Connection, schema: str = "public") -> int:
    """Return into how many shards the company's tables were split.

    Raises:
        DataError: a table or a column is missing, or the tables are sharded in another way; names all that differs.
    """
    wrong = _unlike_columns(connection, schema)
    groups, counts = set(), set()
    for name in (*DISTRIBUTED, *REFERENCE):
        table = get_table(connection, TableName(schema, name))
        if table is None:
            continue
        expected = Reference() if name in REFERENCE else Distributed(KEY)
        if table.sharding != expected:
            wrong.append(f"{name} is {table.sharding}, expected {expected}")
        elif isinstance(table.sharding, Distributed):
            groups.add(table.colocation_group)
            counts.add(table.shard_count)
    if len(groups) > 1:
        wrong.append(f"{', '.join(DISTRIBUTED)} are not co-located: they are in {len(groups)} colocation groups")
    if wrong:
        more = f", and {len(wrong) - 4} more" if len(wrong) > 4 else ""  # noqa: PLR2004
        msg = f"the tables of this cluster are not those of the analysis: {'; '.join(wrong[:4])}{more}: {REMEDY}"
        raise DataError(msg)
    return int(counts.pop() or 0)


def _unlike_columns(connection: Connection, schema: str) -> list[str]:
    """Return each table and column that is missing, or of another type."""
    found: dict[str, dict[str, str]] = {}
    where = {"schema": schema, "tables": list(COLUMNS)}
    for table, column, kind in connection.execute(statement("get_columns"), where).fetchall():
        found.setdefault(table, {})[column] = kind
    wrong = [f"there is no table {name}" for name in COLUMNS if name not in found]
    for name, there in found.items():
        for column, kind in COLUMNS[name].items():
            if there.get(column) != kind:
                wrong.append(f"{name}.{column} is {there.get(column, 'missing')}, expected {kind}")
    return wrong


# --- tables for a while ----------------------------------------------------------------------------------------------


@contextmanager
def own_schema(place: Place, name: str) -> Iterator[Place]:
    """Yield a schema of the analysis's own in the same database; it is dropped afterwards, with all in it.

    Args:
        place: the database.
        name: ends the name of the schema.
    """
    schema = f"{LEDGER}_{name}"
    with place.connected(f"making the schema {schema}") as connection:
        _make_schema(connection, schema)
    try:
        yield place.within(schema)
    finally:
        with place.connected(f"dropping the schema {schema}") as connection:
            _drop_schema(connection, schema)


@contextmanager
def sharded_tables(place: Place, name: str, shard_count: int) -> Iterator[Place]:
    """Yield new, empty copies of the company's tables in a schema of their own of the cluster; they are dropped afterwards.

    Args:
        place: the cluster's database.
        name: ends the name of the schema.
        shard_count: into how many shards they are split.
    """
    with own_schema(place, name) as own:
        with own.connected(f"making the tables of the schema {own.schema}") as connection:
            connection.execute("set citus.multi_shard_modify_mode = 'sequential'")
            _run(connection, statement("create_tables"))
            _run(connection, statement("shard_tables"), shard_count=shard_count)
            _run(connection, statement("add_foreign_keys"))
        yield own


@contextmanager
def plain_tables(place: Place, name: str) -> Iterator[Place]:
    """Yield new, empty copies of the company's tables in a schema of their own and not sharded; they are dropped afterwards."""
    with own_schema(place, name) as own:
        with own.connected(f"making the tables of the schema {own.schema}") as connection:
            _run(connection, statement("create_tables"))
            _run(connection, statement("add_foreign_keys"))
        yield replace(own, sharded=False)


@contextmanager
def staged(connection: Connection, tables: Iterable[str]) -> Iterator[dict[str, str]]:
    """Yield an empty staging table for each, by its name; in the end the tables get what is in them. To call in a transaction.

    Staging tables are placed as theirs are, shard by shard, and have no keys: rows come in unchecked, and then all workers check
    and insert theirs at once. They live in the transaction alone, so that whatever ends it leaves none.
    """
    staging = {table: f"{LEDGER}_{table}" for table in tables}
    for table, name in staging.items():
        create = sql.SQL("create table {} as select {} from {} with no data")
        connection.execute(create.format(sql.Identifier(name), columns(table), sql.Identifier(table)))
        connection.execute(statement("shard_staging_table"), {"name": name, "table": table})
    yield staging
    for table, name in staging.items():
        insert = sql.SQL("insert into {} ({}) select {} from {}")
        source = sql.Identifier(name)
        connection.execute(insert.format(sql.Identifier(table), columns(table), columns(table), source))
        connection.execute(sql.SQL("drop table {}").format(source))


def _make_schema(connection: Connection, schema: str) -> None:
    drop = _drop_schema(connection, schema, only_ours=True)
    if not drop:
        msg = f"there is a schema {schema} that the analysis did not make: rename it, or drop it"
        raise AnalysisError(msg)
    connection.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
    connection.execute(sql.SQL("comment on schema {} is {}").format(sql.Identifier(schema), sql.Literal(MARK)))


def _drop_schema(connection: Connection, schema: str, *, only_ours: bool = False) -> bool:
    """Drop a schema; return False where it is there and not ours."""
    there = connection.execute("select from pg_namespace where nspname = %s", [schema]).fetchone()
    ours = schema in {row[0] for row in connection.execute(statement("get_leftovers"), {"mark": MARK}).fetchall()}
    if there and only_ours and not ours:
        return False
    connection.execute("set client_min_messages = warning")
    connection.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(schema)))
    return True


def _run(connection: Connection, text: LiteralString, **arguments: object) -> None:
    """Run a file of several statements, one transaction each."""
    for part in text.split(";\n"):
        if part.strip():
            connection.execute(part, arguments or None)


def drop_leftovers(place: Place) -> None:
    """Drop what an earlier run has made for a while and could not drop."""
    with place.connected("dropping what an earlier run of the analysis left") as connection:
        for (schema,) in connection.execute(statement("get_leftovers"), {"mark": MARK}).fetchall():
            _drop_schema(connection, schema)


# --- one node --------------------------------------------------------------------------------------------------------


def one_node(place: Place) -> Place:
    """Return the company's tables as they were before: plain, in a database of their own on the coordinator's server.

    Made where they are missing. What an earlier run has loaded there is still in them.

    Raises:
        AnalysisError: there is a database of that name that the analysis did not make.
    """
    name = f"{place.server.database}_one_node"
    own = replace(place, server=replace(place.server, database=name), sharded=False)
    with place.connected(f"making the database {name}") as connection:
        row = connection.execute(statement("get_database"), {"name": name}).fetchone()
        if row is not None and row[0] != MARK:
            msg = f"there is a database {name} that the analysis did not make: rename it, or drop it"
            raise AnalysisError(msg)
        if row is None:
            connection.execute("set client_min_messages = warning")
            connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
            connection.execute(sql.SQL("comment on database {} is {}").format(sql.Identifier(name), sql.Literal(MARK)))
    with own.connected(f"making the tables of the database {name}") as connection, connection.transaction():
        if connection.execute("select to_regclass('public.detalle_venta') is null").fetchone() == (True,):
            for file in SCHEMA_FILES:
                connection.execute(file.read_bytes())
    return own


def drop_one_node(place: Place) -> None:
    """Drop the database of `one_node`, where there is one that the analysis has made."""
    name = f"{place.server.database}_one_node"
    with place.connected(f"dropping the database {name}") as connection:
        if connection.execute(statement("get_database"), {"name": name}).fetchone() == (MARK,):
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
