"""Reads a live PostgreSQL, not a cluster of this project: its catalogue as relations, its statistics. Changes nothing.

The statements are in sql/catalogue/. Everything is read in one transaction that cannot write, and no statement may take long.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, LiteralString

import psycopg
from psycopg import conninfo, sql
from psycopg.rows import dict_row

from components.database.connections import GIVEN
from components.errors import SourceError
from components.names import TableName
from components.paths import SQL
from components.schema.relations import (
    EXPRESSION,
    Column,
    ForeignKey,
    Key,
    OtherRelation,
    Policy,
    Position,
    Relations,
    Sequence,
    Table,
    Trigger,
    UserType,
)
from components.schema.statistics import ColumnStatistics, RunStatement, Statistics, TableStatistics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from components.database.connections import Connection

__all__ = ["get_relations", "get_statements", "get_statistics", "reading"]


_LIMITS: Final = {
    "default_transaction_read_only": "on",
    "statement_timeout": "60s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "60s",
    "search_path": "",
}

Row = dict[str, Any]


@contextmanager
def reading(uri: str, said_by: str) -> Iterator[Connection]:
    """Yield a connection in a transaction that reads alone: of one moment, and without waiting for anybody for long.

    `said_by` is what a person gave the address by, such as FROM.

    What the address leaves open is as libpq has it of the environment (PGPASSWORD, PGSSLMODE, a file of passwords).

    Raises:
        SourceError: the address is none, nobody answers, or the database refuses something; never with the password.
    """
    try:
        given = {key: value for key, value in conninfo.conninfo_to_dict(uri).items() if value is not None}
    except psycopg.Error:  # its message may quote a part of the password
        msg = f"{said_by} is not the address of a database: write postgresql://<user>@<host>:<port>/<database>"
        raise SourceError(msg) from None
    target = {**GIVEN, **given}
    settings = " ".join(f"-c {name}={value}" for name, value in _LIMITS.items())
    options = f"{target.pop('options', '')} {settings}".strip()
    target = {"connect_timeout": 10, **target, "application_name": "citus-pulumi", "client_encoding": "UTF8"}
    try:
        with psycopg.connect(**target, options=options, row_factory=dict_row) as connection:  # type: ignore[arg-type]
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            yield connection
            connection.rollback()
    except psycopg.Error as error:
        said = " ".join(str(error).split())
        msg = f"the database of {said_by} cannot be read: {said}"
        raise SourceError(msg) from None


@functools.cache
def _statement(name: str) -> LiteralString:
    text: LiteralString = (SQL / "catalogue" / f"{name}.sql").read_text(encoding="utf-8")
    return text


def _rows(connection: Connection, name: str, **arguments: Any) -> Iterable[Row]:
    rows: Iterable[Row] = connection.execute(_statement(name), arguments or None).fetchall()
    return rows


def _name(row: Row, key: str = "table") -> TableName:
    return TableName(row["schema"], row[key])


def get_relations(connection: Connection, relations: Relations) -> None:
    """Add what the catalogue has to relations, as if SQL files had created it in the order in which it was created."""
    columns: dict[TableName, dict[str, Column]] = defaultdict(dict)
    for row in _rows(connection, "get_columns"):
        columns[_name(row)][row["name"]] = _column(row)
    for row in _rows(connection, "get_tables"):
        name = _name(row, "name")
        relations.put(
            Table(
                name,
                Position(str(name), 0, 0),
                columns=columns[name],
                persistence=row["persistence"],
                parents=tuple(TableName(*parent) for parent in row["parents"] or ()),
                partition=row["partition"],
                partitioned=row["partitioned"],
                partition_columns=tuple(row["partition_columns"] or ()),
            )
        )
    for row in _rows(connection, "get_other_relations"):
        keys = frozenset(TableName(*key) for key in row["keys"] or ())
        relations.others[_name(row, "name")] = OtherRelation(row["kind"], Position(row["name"], 0, 0), keys)
    for row in _rows(connection, "get_types"):
        relations.types[_name(row, "name")] = UserType(row["kind"], tuple(row["parts"] or ()), row["collation"])
    for row in _rows(connection, "get_sequences"):
        relations.sequences[_name(row, "name")] = Sequence(Position(row["name"], 0, 0), _bounds(row))
    for row in _rows(connection, "get_collations"):
        relations.collations[_name(row, "name")] = row["deterministic"]
    _add_constraints(connection, relations)


def _column(row: Row) -> Column:
    return Column(
        row["name"],
        row["type"],
        identity=row["identity"],
        generated=row["generated"],
        not_null=row["not_null"],
        collation=row["collation"],
        scale=row["scale"],
        sequence=TableName(*row["sequence"]) if row["sequence"] else None,
    )


def _bounds(row: Row) -> tuple[int, ...]:
    """Return the bounds that were given, as far as they can be told from those of the sequence's type."""
    return tuple(row["bounds"]) if row["type"] != "bigint" else tuple(it for it in row["bounds"] if abs(it) < 2**63 - 1)


def _add_constraints(connection: Connection, relations: Relations) -> None:
    keys, foreign_keys = defaultdict(list), defaultdict(list)
    triggers, policies = defaultdict(list), defaultdict(list)
    places: dict[int, Position] = {}
    for row in _rows(connection, "get_keys"):
        # A key of a partition that its table's key is the origin of has that one's place, as when files are read.
        at = places[row["index"]] = places.get(row["derived"] or 0) or Position(str(_name(row)), 0, row["index"])
        of = tuple(column or EXPRESSION for column in row["columns"])
        included, unequal = tuple(row["included"] or ()), tuple(row["unequal"] or ())
        keys[_name(row)].append(Key(row["kind"], of, at, row["name"], included, unequal, row["referable"]))
    for row in _rows(connection, "get_foreign_keys"):
        foreign_keys[_name(row)].append(
            ForeignKey(
                tuple(row["columns"]),
                TableName(*row["parent"]),
                tuple(row["referenced"]),
                row["on_update"],
                row["on_delete"],
                Position(str(_name(row)), 0, 0),
                row["name"],
                tuple(row["set_columns"] or ()),
                row["match"],
            )
        )
    for row in _rows(connection, "get_triggers"):
        triggers[_name(row)].append(Trigger(row["name"], Position(str(_name(row)), 0, 0)))
    for row in _rows(connection, "get_policies"):
        policies[_name(row)].append(Policy(row["name"], Position(str(_name(row)), 0, 0), row["subquery"]))
    for name, table in list(relations.tables.items()):
        relations.put(
            replace(
                table,
                keys=tuple(keys[name]),
                foreign_keys=tuple(foreign_keys[name]),
                triggers=tuple(triggers[name]),
                policies=tuple(policies[name]),
            )
        )


def get_statistics(connection: Connection, columns: Iterable[str]) -> Statistics:
    """Return the sizes of the tables, what is known of the columns of these names, and the statements that were run."""
    found: dict[TableName, dict[str, ColumnStatistics]] = defaultdict(dict)
    for row in _rows(connection, "get_column_statistics", columns=sorted(columns)):
        common = tuple(zip(row["values"] or (), row["shares"] or (), strict=False))
        found[_name(row)][row["column"]] = ColumnStatistics(row["nulls"], row["distinct"], common)
    tables = {
        _name(row, "name"): TableStatistics(
            row["rows"], int(row["bytes"]), int(row["writes"]), found[_name(row, "name")]
        )
        for row in _rows(connection, "get_table_statistics")
    }
    return Statistics(tables, get_statements(connection) or ())


def get_statements(connection: Connection) -> tuple[RunStatement, ...] | None:
    """Return what pg_stat_statements has; None where the extension is not there, not loaded, or not for this role."""
    for extension in _rows(connection, "get_statements_schema"):
        query = sql.SQL(_statement("get_statements")).format(schema=sql.Identifier(extension["nspname"]))
        try:
            with connection.transaction():
                rows = connection.execute(query).fetchall()
        except (psycopg.errors.ObjectNotInPrerequisiteState, psycopg.errors.InsufficientPrivilege):
            return None
        return tuple(RunStatement(row["text"], int(row["calls"]), row["milliseconds"]) for row in rows)
    return None
