"""Statements that run outside a transaction: what the ledger knows of them, and what an interrupted one leaves behind.

Such a statement cannot be undone, and is not written down in the moment in which it ends. So it is written down before it begins,
too: whoever finds it begun and not ended knows that an INVALID index is its own.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from psycopg import sql

from components.database.statements import get_value, identifier, regclass, statement
from components.errors import DriftError
from components.names import TableName

if TYPE_CHECKING:
    from components.database.connections import Connection
    from components.schema.statements import Statement

__all__ = ["Progress", "Remnant", "find_index", "find_invalid"]


# --- indexes ---------------------------------------------------------------------------------------------------------


class _Index(NamedTuple):
    table: TableName
    is_valid: bool
    """On the coordinator."""


def find_index(connection: Connection, index: TableName) -> _Index | None:
    """Return an index as the coordinator knows it; None where there is none of that name."""
    row = connection.execute(statement("get_index"), {"index_name": regclass(index)}).fetchone()
    return _Index(TableName(row[0], row[1]), row[2]) if row else None


def find_invalid(connection: Connection, index: TableName) -> str:
    """Return where an index that is there is INVALID or missing, in words; nothing where it is valid everywhere."""
    found = find_index(connection, index)
    if found is None:
        return ""
    named = {"table_name": regclass(found.table), "name": index.name}
    shards = []
    if _has_shards(connection, found.table):
        shards = connection.execute(statement("get_invalid_index_placements"), named).fetchall()
    if shards:
        nodes = ", ".join(dict.fromkeys(node for _, node in shards))
        return f"INVALID or missing on {len(shards)} shards of {found.table} ({nodes})"
    return "" if found.is_valid else f"INVALID on {found.table}"


def _has_shards(connection: Connection, table: TableName) -> bool:
    return bool(get_value(connection, "has_shards", table_name=regclass(table)))


@dataclass(frozen=True)
class Remnant:
    """What a statement leaves if it is interrupted."""

    kind: Literal["index", "reindex"]
    """An index that it creates, or those that it builds in the place of a table's indexes."""
    name: TableName
    """The index, or the table."""

    @classmethod
    def parse(cls, text: str | None) -> Remnant | None:
        """Read what the ledger has of it."""
        kind, _, name = (text or "").partition(" ")
        return cls("index" if kind == "index" else "reindex", TableName.parse(name)) if kind else None

    def __str__(self) -> str:
        """Return it as the ledger has it."""
        return f"{self.kind} {self.name}"

    def drop(self, connection: Connection, *, is_wanted: bool = True) -> str:
        """Drop what is INVALID of it, on the coordinator and the shards; return that in words, nothing where nothing is.

        An index that is not wanted is dropped even if it is valid.
        """
        if self.kind == "index":
            where = find_invalid(connection, self.name)
            if not is_wanted and not where and find_index(connection, self.name):
                where = "of a statement that has been edited since"
            if where:
                connection.execute(sql.SQL("drop index concurrently if exists {}").format(identifier(self.name)))
            return f"the index {self.name}, {where}" if where else ""
        named = {"table_name": regclass(self.name)}
        own = [TableName(*row) for row in connection.execute(statement("get_reindex_leftovers"), named).fetchall()]
        for index in own:
            connection.execute(sql.SQL("drop index concurrently if exists {}").format(identifier(index)))
        dropped = len(own)
        if _has_shards(connection, self.name):
            dropped += get_value(connection, "drop_reindex_leftovers", **named) or 0
        return f"{dropped} INVALID indexes of {self.name}" if dropped else ""


# --- the ledger ------------------------------------------------------------------------------------------------------


class _Begun(NamedTuple):
    sha256: str
    done: bool
    leaves: Remnant | None


class Progress:
    """How far a file has come that runs statement by statement; statements are counted from 1."""

    def __init__(self, connection: Connection, file_name: str) -> None:
        self._connection = connection
        self._file_name = file_name
        rows = connection.execute(statement("get_begun_statements"), {"file_name": file_name}).fetchall()
        self._begun = {number: _Begun(sha256, done, Remnant.parse(leaves)) for number, sha256, done, leaves in rows}

    @property
    def done(self) -> int:
        """Return how many statements have run."""
        return sum(it.done for it in self._begun.values())

    def is_done(self, number: int, part: Statement) -> bool:
        """Tell whether a statement has run.

        Raises:
            DriftError: it has, with another text.
        """
        begun = self._begun.get(number)
        if begun is None or not begun.done:
            return False
        if begun.sha256 != _digest(part):
            msg = (
                f"{part.at}: this statement has run on this cluster and has been edited since: put it back as it was. What comes "
                "after the last one that has run may change"
            )
            raise DriftError(msg)
        return True

    def is_begun(self, number: int, part: Statement) -> bool:
        """Tell whether a statement was interrupted, or refused, and has not been edited since."""
        begun = self._begun.get(number)
        return begun is not None and not begun.done and begun.sha256 == _digest(part)

    def remnant(self, number: int) -> Remnant | None:
        """Return what a statement that was interrupted may have left."""
        begun = self._begun.get(number)
        return begun.leaves if begun and not begun.done else None

    def begin(self, number: int, part: Statement, leaves: Remnant | None) -> None:
        """Write down that a statement begins, and what it leaves if it is interrupted."""
        self._write("begin_statement", number, part, leaves=str(leaves) if leaves else None)

    def finish(self, number: int, part: Statement) -> None:
        """Write down that a statement has run; within its transaction, if it has one."""
        self._write("finish_statement", number, part)

    def forget(self) -> None:
        """Remove what is written down: the file has run to its end."""
        self._connection.execute(statement("forget_statements"), {"file_name": self._file_name})

    def _write(self, name: str, number: int, part: Statement, **more: Any) -> None:
        row = {"file_name": self._file_name, "number": number, "sha256": _digest(part), **more}
        self._connection.execute(statement(name), row)


def _digest(part: Statement) -> str:
    return hashlib.sha256(part.raw).hexdigest()
