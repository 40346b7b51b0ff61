"""Which tables a query groups by their primary key, and which of their columns it shows. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.names import TableName
from components.schema.parse_tree import ranges_of, referenced, shown_columns
from components.schema.relations import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.schema.relations import Relations

__all__ = ["GroupedTable", "grouped_tables"]


@dataclass(frozen=True)
class GroupedTable:
    """A table of a FROM clause whose primary key is in GROUP BY."""

    table: Table
    alias: str
    ungrouped: tuple[str, ...]
    """Columns that the query shows, and that are not in GROUP BY: PostgreSQL takes them for the key's sake alone."""


def grouped_tables(select: Any, relations: Relations, search_path: tuple[str, ...]) -> Iterator[GroupedTable]:
    """Yield the tables that one SELECT groups by their primary key."""
    grouped = {referenced(node.column_ref) for node in select.group_clause if node.HasField("column_ref")}
    if not grouped:
        return
    ranges = [
        (it.alias.aliasname or it.relname, _table(it, relations, search_path)) for it in ranges_of(select.from_clause)
    ]
    clauses = (*select.target_list, select.having_clause, *select.sort_clause)
    shown = {referenced(it) for clause in clauses for it in shown_columns(clause, relations.aggregates)}
    for alias, table in ranges:
        if table is None or table.columns is None or table.primary_key is None:
            continue
        others = [other for name, other in ranges if name != alias]
        bare = {
            column
            for column in (*table.columns, *("*",) * (not others))
            if all(other is not None and other.columns is not None and column not in other.columns for other in others)
        }
        own = {column for of, column in grouped if of == alias or (not of and column in bare)}
        named = {column for of, column in shown if of == alias or (not of and column in bare)}
        if own.issuperset(table.primary_key.columns):
            is_star = "*" in named or ("", "*") in shown
            ungrouped = (column for column in table.columns if (is_star or column in named) and column not in own)
            yield GroupedTable(table, alias, tuple(ungrouped))


def _table(range_: Any, relations: Relations, search_path: tuple[str, ...]) -> Table | None:
    schemas = [range_.schemaname] if range_.schemaname else search_path
    found = (relations.tables.get(TableName(schema, range_.relname)) for schema in schemas)
    return next((table for table in found if table is not None), None)
