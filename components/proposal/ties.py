"""What ties the tables of a schema: foreign keys, followed by tables and by columns; and names, where there are none. Pure."""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.names import TableName
from components.plan.layout import Layout
from components.schema.relations import ForeignKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from components.schema.relations import Column, Relations, Table

__all__ = ["Tie", "Ties", "is_bookkeeping", "normalized", "stem"]


_BOOKKEEPING: Final = re.compile(
    r"(schema_migrations?|ar_internal_metadata|alembic_version|flyway_schema_history|django_migrations|goose_db_version"
    r"|knex_migrations(_lock)?|_prisma_migrations|databasechangelog(lock)?|__efmigrationshistory|gorp_migrations|migrations?)$",
    re.IGNORECASE,
)
"""Tables in which tools keep which migrations ran."""


@dataclass(frozen=True)
class Tie:
    """A foreign key between two tables; a partition stands for its table."""

    child: TableName
    parent: TableName
    foreign_key: ForeignKey
    pairs: tuple[tuple[str, str], ...]
    """Each referencing column with the one that it references."""
    optional: bool
    """Whether a row may reference nothing."""


class Ties:
    """The tables of a schema that can be sharded by themselves, and the foreign keys between them."""

    def __init__(self, relations: Relations) -> None:
        self.relations = relations
        layout = Layout(relations, {})
        self.tables: dict[TableName, Table] = {
            name: table
            for name, table in relations.tables.items()
            if table.persistence != "t" and layout.root(name) == name
        }
        self.order = {name: number for number, name in enumerate(self.tables)}
        self.columns: dict[str, list[tuple[TableName, Column]]] = defaultdict(list)
        """By their normalized names, in the order of the tables."""
        for name, table in self.tables.items():
            for column in (table.columns or {}).values():
                self.columns[normalized(column.name)].append((name, column))
        self.outward: dict[TableName, list[Tie]] = defaultdict(list)
        self.inward: dict[TableName, list[Tie]] = defaultdict(list)
        for table, fk in layout.foreign_keys:
            child, parent = layout.root(table.name), layout.root(fk.parent)
            if child not in self.tables or parent not in self.tables:
                continue
            key = table.primary_key.columns if table.primary_key else ()
            columns = [(table.columns or {}).get(name) for name in fk.columns]
            optional = any(it is None or not (it.not_null or it.name in key) for it in columns)
            pairs = tuple(zip(fk.columns, layout.referenced_columns(fk), strict=False))
            tie = Tie(child, parent, fk, pairs, optional)
            self.outward[child].append(tie)
            self.inward[parent].append(tie)

    def is_nullable(self, table: TableName, column: str) -> bool:
        """Tell whether the column may be NULL, as the table is now."""
        found = (self.tables[table].columns or {}).get(column)
        key = self.tables[table].primary_key
        return found is None or not (found.not_null or (key is not None and column in key.columns))

    def columns_with(self, seeds: Iterable[tuple[TableName, str]]) -> dict[TableName, dict[str, int]]:
        """Return the columns that have the value of one of these by foreign keys: for each table, with how many keys away.

        A key of a table to itself is another row's value, and not followed.
        """
        found: dict[TableName, dict[str, int]] = defaultdict(dict)
        waiting = [(table, column, 0) for table, column in seeds]
        for table, column, _ in waiting:
            found[table][column] = 0
        for table, column, steps in waiting:  # grows meanwhile
            for tie in self.inward[table]:
                for mine, theirs in tie.pairs:
                    if theirs == column and tie.child != table and mine not in found[tie.child]:
                        found[tie.child][mine] = steps + 1
                        waiting.append((tie.child, mine, steps + 1))
        return {table: columns for table, columns in found.items() if columns}

    def single_keys(self, name: TableName) -> Iterator[str]:
        """Yield the columns that identify a row of the table by themselves, that of its primary key first."""
        for key in sorted(self.tables[name].keys, key=lambda key: key.kind != "primary key"):
            if len(key.columns) == 1 and key.referable and key.kind != "exclude":
                yield key.columns[0]


@functools.cache
def normalized(name: str) -> str:
    """Return a name as it compares to others, however it is spelled: companyId, "Company Id", company_id."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


@functools.cache
def stem(column: str) -> str:
    """Return what a column's name says that it identifies: tenant of tenant_id, pais of id_pais; empty where it says nothing."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", column).lower()
    found = re.fullmatch(r"(?:(?:id|fk)_(?P<a>.+)|(?P<b>.+?)_?(?:id|uuid|guid))", words.replace(" ", "_").strip("_"))
    return normalized((found["a"] or found["b"]) if found else "")


def is_bookkeeping(name: TableName) -> bool:
    """Tell whether a table is one in which a tool keeps which migrations ran."""
    return bool(_BOOKKEEPING.match(name.name))
