"""Reads statements, parsed by PostgreSQL's own grammar, into relations. Runs no SQL and knows nothing of sharding.

The statements are handled by subject: create.py and alter.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from components.schema import alter, create
from components.schema.parse_tree import why_not_in_transaction
from components.schema.scope import Scope

if TYPE_CHECKING:
    from components.errors import Problem
    from components.schema.relations import Relations, SqlFile
    from components.schema.scope import Handler

__all__ = ["FileReader"]


class FileReader(Scope):
    """Applies the statements of one file. What a file may not contain is added to `problems`."""

    def __init__(self, relations: Relations, file: SqlFile, problems: list[Problem]) -> None:
        super().__init__(relations, file)
        self.problems = problems

    def read(self, kind: str, statement: Any, offset: int) -> None:
        """Apply one statement, which begins at the offset in bytes; kinds that have no handler change no relation."""
        why = why_not_in_transaction(kind, statement)
        if why is not None:
            message = f"this statement {why}, but each file runs as one transaction: remove it"
            self.problems.append(self.file.position(offset).problem(message))
        elif kind in _HANDLERS:
            self.at = self.file.position(offset)
            self.offset = offset
            _HANDLERS[kind](self, statement)


def _create_schema(scope: Scope, statement: Any) -> None:
    outer, scope.search_path = scope.search_path, statement.schemaname
    for element in statement.schema_elts:
        kind = element.WhichOneof("node")
        if kind in _HANDLERS:
            _HANDLERS[kind](scope, getattr(element, kind))
    scope.search_path = outer


def _set(scope: Scope, statement: Any) -> None:
    if statement.name == "search_path":
        names = [arg.a_const.sval.sval for arg in statement.args]
        scope.search_path = next((name for name in names if name != "$user"), "public")


_HANDLERS: Final[dict[str, Handler]] = {
    "create_schema_stmt": _create_schema,
    "variable_set_stmt": _set,
    **create.HANDLERS,
    **alter.HANDLERS,
}
"""By the field of the parse tree that holds the statement."""
