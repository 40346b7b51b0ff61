"""The statement that declares a key or a view, kept small until a text of it is wanted: a plan reads thousands of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import postgast

from components.names import ColumnName
from components.schema.parse_tree import nodes

__all__ = ["Source"]


@dataclass(frozen=True)
class Source:
    """A parse tree as bytes: the tree of a whole file would stay in memory as long as one node of it is held."""

    kind: str
    """Its message, such as IndexStmt."""
    tree: bytes
    search_path: tuple[str, ...]
    """The schemas in which its unqualified names are looked up."""
    renamed: tuple[tuple[str, str], ...] = ()
    """Columns that were renamed since, in order."""

    @classmethod
    def of(cls, node: Any, search_path: tuple[str, ...]) -> Self:
        """Keep a node."""
        return cls(node.DESCRIPTOR.name, node.SerializeToString(), search_path)

    def renaming(self, old: str, new: str) -> Self:
        """Return it after a column of its table was renamed."""
        return replace(self, renamed=(*self.renamed, (old, new)))

    @property
    def path(self) -> str | None:
        """Return the search_path as SQL lists it; None where a session of this project has it so, or all names are qualified."""
        is_usual = self.search_path in ((), ("public",))
        return None if is_usual else ", ".join(str(ColumnName(schema)) for schema in self.search_path)

    def within_path(self, *statements: str) -> list[str]:
        """Return statements so that they run with the search_path of this one."""
        if self.path is None:
            return list(statements)
        return [f"set local search_path = {self.path}", *statements, "set local search_path = public"]

    def read(self) -> Any:
        """Return the tree, with the columns of its expressions under the names that they have now."""
        node = getattr(postgast.pg_query_pb2, self.kind).FromString(self.tree)
        for old, new in self.renamed:
            for column in nodes(node, "column_ref"):
                if column.fields[-1].string.sval == old:
                    column.fields[-1].string.sval = new
            for element in nodes(node, "index_elem"):
                element.name = new if element.name == old else element.name
        return node
