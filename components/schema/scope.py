"""What a name in a SQL file refers to, by the file's search_path and the relations that exist so far. Parses nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from components.names import TableName
from components.schema.parse_tree import SERIALS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.schema.relations import Relations, SqlFile, Table

__all__ = ["Handler", "Scope"]


class Scope:
    """The relations that a file's statements change, and the file's search_path."""

    def __init__(self, relations: Relations, file: SqlFile) -> None:
        self.relations = relations
        self.file = file
        self.at = file.position(0)
        """Where the current statement begins."""
        self.offset = 0
        """The same, in bytes."""
        self.search_path = "public"
        """The first schema of it alone: the one in which tables are created."""

    def name(self, relation: Any) -> TableName:
        """Return the name of a RangeVar."""
        return TableName(relation.schemaname or self.search_path, relation.relname)

    def listed_name(self, nodes: Iterable[Any]) -> TableName:
        """Return a name given as a list: a, s.a or database.s.a."""
        *schema, name = (node.string.sval for node in nodes)
        return TableName(schema[-1] if schema else self.search_path, name)

    def table(self, relation: Any) -> Table | None:
        """Return the table of a RangeVar; None where the files create none."""
        return self.relations.tables.get(self.name(relation))

    def type_name(self, node: Any) -> str:
        """Return the type as the grammar normalises it, without pg_catalog: `integer` is `int4`, and so is `serial`.

        A type that the files create is qualified with its schema, unless that is public. An array type ends in one pair of
        brackets, however many it is declared with, as in PostgreSQL.
        """
        if not node.names:
            return ""
        name = self.listed_name(node.names)
        is_builtin = len(node.names) > 1 and name.schema == "pg_catalog"
        known = not is_builtin and (name in self.relations.types or name in self.relations.tables)
        plain = str(name) if known and name.schema != "public" else name.name
        return SERIALS.get(plain, plain) + "[]" * bool(node.array_bounds)


Handler = Callable[[Scope, Any], None]
"""Applies one statement to the relations of the scope."""
