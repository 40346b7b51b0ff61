"""The SQL files of the schema: parsed by PostgreSQL's own grammar into tables, columns, keys and foreign keys.

Reads files; runs no SQL and knows nothing of sharding.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from components.errors import PlanError
from components.schema.parser import FileReader, Problems
from components.schema.relations import Relations
from components.schema.statements import SqlFile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from components.errors import Problem

__all__ = ["Schema"]

_SHOWN: Final = 1 << 20
"""Bytes of a file up to which its text is a property of its resource, so that a preview shows it."""


class Schema(Relations):
    """The tables that the files of a folder create, in the order of the files' names."""

    def __init__(self, files: Iterable[SqlFile] = ()) -> None:
        super().__init__()
        self.files: list[SqlFile] = []
        self._problems = Problems()
        for file in files:
            self.add(file)

    @property
    def problems(self) -> list[Problem]:
        """Return what the files may not contain, in their order."""
        return list(self._problems)

    @classmethod
    def read(cls, folder: Path) -> Schema:
        """Read and parse every `*.sql` file of the folder.

        Raises:
            PlanError: the folder or a file cannot be read, or does not parse (file, line, column).
        """
        if not folder.is_dir():
            msg = f"citus:schemaDir = {str(folder)!r}: there is no such folder: create it, or name the one with your SQL files"
            raise PlanError(msg)
        schema = cls()
        for path in sorted(folder.glob("*.sql"), key=lambda path: path.name):
            try:
                is_large = path.stat().st_size > _SHOWN
                schema.add(SqlFile(path.name, None if is_large else path.read_text(encoding="utf-8-sig"), path))
            except UnicodeDecodeError:  # it may name another encoding itself
                schema.add(SqlFile(path.name, None, path))
            except OSError as error:
                msg = f"{path.name}: cannot be read ({error}): make it a text file in UTF-8"
                raise PlanError(msg) from error
        if schema.problems:
            raise PlanError(*schema.problems)
        return schema

    def add(self, file: SqlFile) -> None:
        """Apply a file behind those that are there."""
        reader = FileReader(self, self._problems)
        try:
            for kind, statement in reader.parse(file):
                reader.apply(kind, statement)
                if reader.statement.rows is not None and file.path:
                    file = replace(file, text=None)
        except PlanError as error:
            self._problems.extend(error.problems)
        self.files.append(file)
