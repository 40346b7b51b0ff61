"""Views as SQL: as the files declare them, or grouped by all that they show. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import postgast

from components.schema.grouping import grouped_tables
from components.schema.key_text import lowered
from components.schema.parse_tree import nodes, referenced
from components.schema.rewriting.text import deparsed, quote_literal

if TYPE_CHECKING:
    from components.names import TableName
    from components.schema.relations import OtherRelation, Relations

__all__ = ["create_view", "dependent_views", "drop_view"]

_STATEMENT: Final = {"ViewStmt": "view_stmt", "CreateTableAsStmt": "create_table_as_stmt", "IndexStmt": "index_stmt"}


def dependent_views(relations: Relations, name: TableName, column: str | None = None) -> dict[TableName, OtherRelation]:
    """Return the views that read a relation, and those that read these, each after what it reads.

    With a column those alone, at first, that name it or all columns.
    """
    found: dict[TableName, OtherRelation] = {}
    for view, other in relations.others.items():  # in the order in which the files create them
        if (name in other.uses and _may_show(other, column)) or other.uses & found.keys():
            found[view] = other
    return found


def _may_show(view: OtherRelation, column: str | None) -> bool:
    if column is None or view.source is None:
        return True
    node = view.source.read()
    return any(referenced(it)[1] in (column, "*") for it in nodes(node.query, "column_ref"))


def drop_view(name: TableName, view: OtherRelation) -> str:
    """Return the statement that drops a view."""
    return f"drop {view.kind} {name}"


def create_view(
    name: TableName, view: OtherRelation, relations: Relations | None = None, *, replaces: bool = False
) -> list[str]:
    """Return the statements that make a view, with its indexes and its comment; none where its text is not known.

    With `relations` its queries group by every column of their tables that they show. `replaces` is for a view that is there.
    """
    if view.source is None:
        return []
    node = view.source.read()
    if relations is not None and not all(
        _group_by_all(select, relations, view.source.search_path) for select in nodes(node.query, "select_stmt")
    ):
        return []
    target = node.view if view.source.kind == "ViewStmt" else node.into.rel
    target.schemaname, target.relname = name.schema, name.name
    if view.source.kind == "ViewStmt":
        node.replace = replaces
    else:
        node.if_not_exists = False
    trees = [(view.source.kind, node)]
    for source in view.indexes:
        index = source.read()
        index.relation.schemaname, index.relation.relname, index.concurrent = name.schema, name.name, False
        trees.append((source.kind, index))
    try:
        texts = [lowered(deparsed(_STATEMENT[kind], tree)) for kind, tree in trees]
        for text in texts:
            postgast.parse(text)
    except postgast.PgQueryError:
        return []
    texts = view.source.within_path(*texts)
    if view.comment is not None and not replaces:
        texts.append(f"comment on {view.kind} {name} is {quote_literal(view.comment)}")
    return texts


_NO_EQUALITY: Final = frozenset({"json", "xml", "point", "polygon", "path", "line", "lseg", "box", "circle"})


def _group_by_all(select: Any, relations: Relations, search_path: tuple[str, ...]) -> bool:
    """Let a query group by every column of the tables that it shows; return False where a column cannot be grouped by."""
    for grouped in list(grouped_tables(select, relations, search_path)):
        for name in grouped.ungrouped:
            if (grouped.table.columns or {})[name].type.removesuffix("[]") in _NO_EQUALITY:
                return False
            fields = select.group_clause.add().column_ref.fields
            fields.add().string.sval = grouped.alias
            fields.add().string.sval = name
    return True
