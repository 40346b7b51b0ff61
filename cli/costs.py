"""What a change costs: rows and bytes, asked of the running cluster where it answers. Changes nothing, waits little."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cli.changes import Ask
from cli.cluster import connected_to, is_stand_in
from components.database.metadata import count_rows
from components.database.statements import regclass, statement, time_limited
from components.errors import NotReadyError, StackError
from components.names import TableName
from components.sizes import in_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.database.connections import Connection

__all__ = ["Costs", "measure"]

SECONDS: Final = 10
"""How long a single question may take: a review does not keep a cluster busy."""


@dataclass(frozen=True)
class Costs:
    """The size of each thing asked for, in words; or why no size is known."""

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
    sizes = {}
    for ask in wanted:
        try:
            with connected_to(outputs, "measuring") as connection, time_limited(connection, SECONDS):
                sizes[ask] = _table(connection, ask[1]) if ask[0] == "table" else _node(connection, ask[1])
        except NotReadyError as error:  # its message is without the server's log
            if not error.nodes:
                return Costs(unknown=f"the cluster cannot be asked from here ({error.message})")
            sizes[ask] = f"its size is not known ({error.message})"
        except StackError as error:
            return Costs(unknown=f"the cluster cannot be asked from here ({error})")
    return Costs(sizes)


def _table(connection: Connection, name: str) -> str:
    table = TableName.parse(name)
    row = connection.execute(statement("measure_table"), {"table": regclass(table)}).fetchone()
    if row is None:
        return "not there yet: no row moves"
    size = in_words(int(row[0]))
    try:
        with time_limited(connection, SECONDS):
            return f"{count_rows(connection, table):,} rows, {size}"
    except NotReadyError:
        return f"more rows than are counted in {SECONDS} s, {size}"


def _node(connection: Connection, address: str) -> str:
    name, _, port = address.rpartition(":")
    row = connection.execute(statement("measure_node"), {"name": name, "port": int(port)}).fetchone()
    shards, size = row or (0, 0)
    return f"{shards:,} shards, {in_words(int(size))}"
