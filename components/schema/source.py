"""The statement that declares a key or a view, kept small until a text of it is wanted: a plan reads thousands of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import postgast

from components.schema.parse_tree import nodes

__all__ = ["Source"]


@dataclass(frozen=True)
class Source:
    """A parse tree as bytes: the tree of a whole file would stay in memory as long as one node of it is held."""

    kind: str
    """Its message, such as IndexStmt."""
    tree: bytes
    search_path: str
    """The schema in which its unqualified names are."""
    renamed: tuple[tuple[str, str], ...] = ()
    """Columns that were renamed since, in order."""

    @classmethod
    def of(cls, node: Any, search_path: str) -> Self:
        """Keep a node."""
        return cls(node.DESCRIPTOR.name, node.SerializeToString(), search_path)

    def renaming(self, old: str, new: str) -> Self:
        """Return it after a column of its table was renamed."""
        return replace(self, renamed=(*self.renamed, (old, new)))

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
