"""The SQL files of the schema: parsed by PostgreSQL's own grammar into tables, columns, keys and foreign keys.

Reads files; runs no SQL and knows nothing of sharding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import postgast
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from components.errors import PlanError, Problem
from components.schema.parser import FileReader
from components.schema.passwords import without_constants
from components.schema.relations import Relations, SqlFile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Schema"]


class Schema(Relations):
    """The tables that the files of a folder create, in the order of the files' names."""

    def __init__(self, files: Iterable[SqlFile] = ()) -> None:
        super().__init__()
        self.files: list[SqlFile] = []
        self.problems: list[Problem] = []
        for file in files:
            self._apply(file)

    @classmethod
    def read(cls, folder: Path) -> Schema:
        """Read and parse every `*.sql` file of the folder.

        Raises:
            PlanError: the folder or a file cannot be read, or does not parse (file, line, column).
        """
        if not folder.is_dir():
            msg = f"citus:schemaDir = {str(folder)!r}: there is no such folder: create it, or name the one with your SQL files"
            raise PlanError(msg)
        files = []
        for path in sorted(folder.glob("*.sql"), key=lambda path: path.name):
            try:
                files.append(SqlFile(path.name, path.read_text(encoding="utf-8-sig")))
            except (OSError, UnicodeDecodeError) as error:
                msg = f"{path.name}: cannot be read as UTF-8 text ({error}): make it a text file in UTF-8"
                raise PlanError(msg) from error
        schema = cls(files)
        if schema.problems:
            raise PlanError(*schema.problems)
        return schema

    def _apply(self, file: SqlFile) -> None:
        self.files.append(file)
        if "\0" in file.text:
            at = file.position(file.text.encode().index(0))
            self.problems.append(at.problem("a NUL byte, which SQL cannot hold: remove it"))
            return
        try:
            statements = postgast.parse(file.text).stmts
        except postgast.PgQueryError as error:
            offset = len(file.text[: max(error.cursorpos - 1, 0)].encode())
            self.problems.append(file.position(offset).problem(without_constants(error.message)))
            return
        except DecodeError:
            message = (
                "expression nested too deeply for the parser (about 50 levels): put parentheses around each half of it, or split "
                "the statement"
            )
            self.problems.append(file.position(_too_deep(file)).problem(message))
            return
        reader = FileReader(self, file, self.problems)
        for raw in statements:
            kind = raw.stmt.WhichOneof("node")
            if kind is not None:
                reader.read(kind, getattr(raw.stmt, kind), raw.stmt_location)


def _too_deep(file: SqlFile) -> int:
    """Return the offset in bytes of the first statement whose tree is too deep for protobuf, which has a limit."""
    offset = 0
    for statement in postgast.split(file.text):
        offset = file.text.index(statement, offset)
        try:
            postgast.parse(statement)
        except DecodeError:
            break
    return len(file.text[:offset].encode())
