"""Where a set of the company's tables is: a server, a database, a schema; and the statements of sql/analysis/."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, LiteralString

import psycopg

from analysis.errors import DiskFullError
from components.access import Server
from components.database import connections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.database.connections import Connection

__all__ = ["LEDGER", "SCHEMA_FILES", "Place", "statement"]

_SQL: Final = Path(__file__).parent.parent / "sql"
LEDGER: Final = "citus_pulumi_analysis"
"""Schema of what the analysis remembers; begins the names of all else that it makes."""
CONNECT_SECONDS: Final = 10


@functools.cache
def statement(name: str) -> LiteralString:
    """Return the statement of sql/analysis/<name>.sql."""
    text: LiteralString = (_SQL / "analysis" / f"{name}.sql").read_text(encoding="utf-8")
    return text


SCHEMA_FILES: Final = tuple(sorted((_SQL / "schema").glob("*.sql")))
"""The tables as the company's one database had them."""


@dataclass(frozen=True)
class Place:
    """Tables by their plain names, in one schema of one database."""

    server: Server
    password: str = field(repr=False)
    schema: str = "public"
    also: tuple[str, ...] = ()
    """Schemas to look in for tables that are not in the first."""
    sharded: bool = True
    """Whether Citus splits the tables; those on one node it does not."""

    def within(self, schema: str, *also: str) -> Place:
        """Return the same database, seen from another schema."""
        return replace(self, schema=schema, also=also)

    @contextmanager
    def connected(self, doing: str) -> Iterator[Connection]:
        """Yield a connection in autocommit mode that finds the tables by their plain names.

        Errors of the database come out as one line that says what was being done.

        Raises:
            DiskFullError: a node has no room left.
            StackError: anything else that the database refuses.
        """
        with (
            connections.translated_errors(doing, self.server),
            _room(doing),
            connections.connected(self.server, self.password, timeout=CONNECT_SECONDS) as connection,
        ):
            path = ", ".join([self.schema, *self.also])
            connection.execute("select set_config('search_path', %s, false)", [path])
            yield connection


@contextmanager
def _room(doing: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        said = error.diag.message_primary or str(error)
        if error.sqlstate != psycopg.errors.DiskFull.sqlstate and "No space left on device" not in said:
            raise
        where = f" ({error.diag.context})" if error.diag.context else ""
        msg = (
            f"{doing}: the disk is full: {' '.join((said + where).split())}. What is loaded stays, whole blocks of it: make "
            "room and run the same command again, which goes on from there; or begin anew with a smaller SCALE and RELOAD=1"
        )
        raise DiskFullError(msg) from error
