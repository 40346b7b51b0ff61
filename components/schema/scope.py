"""What a name in a SQL file refers to, by the file's search_path and the relations that exist so far. Parses nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from components.names import TableName
from components.schema.parse_tree import SERIALS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.schema.relations import Position, Relations, Table
    from components.schema.statements import Statement

__all__ = ["Handler", "Scope"]


class Scope:
    """The relations that a file's statements change, and the file's search_path."""

    def __init__(self, relations: Relations) -> None:
        self.relations = relations
        self.statement: Statement
        """The current one."""
        self.search_path: tuple[str, ...] = ("public",)

    @property
    def at(self) -> Position:
        """Return where the current statement begins."""
        return self.statement.at

    def position(self, offset: int) -> Position:
        """Return the place of an offset in the current statement, in bytes."""
        return self.statement.position(offset)

    @property
    def creation_schema(self) -> str:
        """Return the schema in which objects are created that name none."""
        return self.search_path[0] if self.search_path else ""

    def new_name(self, relation: Any) -> TableName:
        """Return the name of a RangeVar that a statement creates."""
        return TableName(relation.schemaname or self.creation_schema, relation.relname)

    def new_listed_name(self, nodes: Iterable[Any]) -> TableName:
        """Return a name given as a list of what a statement creates."""
        *schema, name = (node.string.sval for node in nodes)
        return TableName(schema[-1] if schema else self.creation_schema, name)

    def name(self, relation: Any) -> TableName:
        """Return the name of a RangeVar: of the first schema of the search_path that has it."""
        return self._find(relation.schemaname, relation.relname)

    def listed_name(self, nodes: Iterable[Any]) -> TableName:
        """Return a name given as a list: a, s.a or database.s.a."""
        *schema, name = (node.string.sval for node in nodes)
        return self._find(schema[-1] if schema else "", name)

    def own_name(self, name: str) -> TableName:
        """Return a name that is written without a schema."""
        return self._find("", name)

    def _find(self, schema: str, name: str) -> TableName:
        if schema:
            return TableName(schema, name)
        found = (TableName(one, name) for one in self.search_path)
        return next(filter(self.relations.has, found), TableName(self.creation_schema, name))

    def table(self, relation: Any) -> Table | None:
        """Return the table of a RangeVar; None where the files create none."""
        return self.relations.tables.get(self.name(relation))

    def type_table(self, node: Any) -> TableName | None:
        """Return the name of the table that a type would be the row type of."""
        return self.listed_name(node.names) if node.names else None

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
