"""What a change costs: rows and bytes, asked of the running cluster where it answers. Changes nothing, waits little."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from cli.changes import Ask
from cli.shown import is_stand_in
from components.database.connections import open_session
from components.database.metadata import count_rows
from components.database.statements import regclass, statement
from components.names import TableName

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.database.connections import Connection

__all__ = ["Costs", "in_words", "measure"]

SECONDS: Final = 10
"""How long a single question may take: a review does not keep a cluster busy."""
_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")


@dataclass(frozen=True)
class Costs:
    """What was learnt: the size of each thing asked for, in words; or why nothing was."""

    sizes: Mapping[Ask, str] = field(default_factory=dict)
    unknown: str = ""
    """Why no size is known; empty where the cluster answered."""


def measure(outputs: Mapping[str, Any], asks: Iterable[Ask]) -> Costs:
    """Ask the cluster of a stack, by its outputs, how big each thing is."""
    wanted = list(dict.fromkeys(asks))
    if not wanted:
        return Costs()
    if "dsn" not in outputs:
        return Costs(unknown="nothing is up yet")
    if is_stand_in(outputs):
        return Costs(unknown="the cluster is a stand-in, which holds no rows that could be measured")
    try:
        with open_session(timeout=5, **conninfo_to_dict(outputs["dsn"])) as connection:
            connection.execute("select set_config('statement_timeout', %s, false)", [f"{SECONDS}s"])
            return Costs(
                {ask: _table(connection, ask[1]) if ask[0] == "table" else _node(connection, ask[1]) for ask in wanted}
            )
    except psycopg.Error as error:
        return Costs(unknown=f"the coordinator does not answer from here ({' '.join(str(error).split())})")


def _table(connection: Connection, name: str) -> str:
    table = TableName.parse(name)
    try:
        row = connection.execute(statement("measure_table"), {"table": regclass(table)}).fetchone()
        if row is None:
            return "not there yet: no row moves"
        size = in_words(int(row[0]))
    except psycopg.OperationalError as error:
        if connection.closed or connection.broken:
            raise
        return f"its size is not known ({error.diag.message_primary})"
    try:
        return f"{count_rows(connection, table):,} rows, {size}"
    except psycopg.errors.QueryCanceled:
        return f"more rows than are counted in {SECONDS} s, {size}"


def _node(connection: Connection, address: str) -> str:
    name, _, port = address.rpartition(":")
    row = connection.execute(statement("measure_node"), {"name": name, "port": int(port)}).fetchone()
    shards, size = row or (0, 0)
    return f"{shards:,} shards, {in_words(int(size))}"


def in_words(size: int) -> str:
    """Return a number of bytes with its unit, as PostgreSQL counts: in steps of 1024."""
    figure, unit = float(size), 0
    while figure >= 1024 and unit < len(_UNITS) - 1:  # noqa: PLR2004
        figure, unit = figure / 1024, unit + 1
    return f"{figure:.0f} {_UNITS[unit]}" if unit == 0 or figure >= 100 else f"{figure:.1f} {_UNITS[unit]}"  # noqa: PLR2004
