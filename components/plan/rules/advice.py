"""Rules about joins: tables that could be colocated, and are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.names import ColumnName
from components.plan.findings import Rule
from components.tables import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.names import TableName
    from components.plan.findings import Finding
    from components.plan.layout import Layout
    from components.schema.relations import Table

__all__ = ["check_left_local", "check_separate_groups"]


LEFT_LOCAL: Final = Rule(
    "left-local",
    "warning",
    what="A table has the distribution column of other tables, but stays on the coordinator.",
    why="Every join with them sends its rows to the workers.",
    remedy="Distribute it by that column, colocated with them.",
    source="CreateDistributedPlan",
)

SEPARATE_GROUPS: Final = Rule(
    "separate-groups",
    "warning",
    what="Tables are distributed by columns of the same name and type, but not colocated.",
    why="A join on that column moves rows between workers.",
    remedy="Add `colocateWith`.",
    source="ColocationIdForNewTable",
)


def _is_own_number(table: Table, column: str) -> bool:
    """Tell whether the column identifies the table's own rows, as `id` does in many tables that have nothing else in common.

    That is its primary key, or a unique one where it has none. A key of a partitioned table also holds the columns by which the
    table is partitioned.
    """
    keys = [table.primary_key] if table.primary_key else [key for key in table.keys if key.kind != "exclude"]
    return any(column in key.columns and {column, *table.partition_columns}.issuperset(key.columns) for key in keys)


def check_left_local(layout: Layout) -> Iterator[Finding]:
    """Find local tables that have the distribution column of another table, but for one that is only that table's own number."""
    distributed = {
        (column.name, column.type): name
        for name in sorted(layout.settings, reverse=True)
        if (column := layout.distribution_column(name)) is not None
        and not _is_own_number(layout.schema.tables[name], column.name)
    }
    for table in layout.schema.tables.values():
        if layout.kind(table.name) != Kind.LOCAL or table.persistence == "t" or table.partition:
            continue
        for column in (table.columns or {}).values():
            other = distributed.get((column.name, column.type))
            if other is not None and not _is_own_number(table, column.name):
                by, group = ColumnName(column.name), layout.colocation_root(other)
                message = f"{table.name} stays on the coordinator, though it has {by}, by which {other} is distributed"
                remedy = f"citus:tables.{table.name}: {{distributeBy: {by}, colocateWith: {group}}}"
                yield LEFT_LOCAL.finding(table.name, message, remedy, at=table.at)


def check_separate_groups(layout: Layout) -> Iterator[Finding]:
    """Find colocation groups that could be one."""
    first: dict[tuple[str, str], TableName] = {}
    for name in sorted(layout.settings):
        column = layout.distribution_column(name)
        if column is None or layout.colocation_root(name) != name:
            continue
        if _is_own_number(layout.schema.tables[name], column.name):
            continue
        other = first.setdefault((column.name, column.type), name)
        if other != name:
            by = ColumnName(column.name)
            message = f"it and {other} are both distributed by {by}, but not colocated: a join on it moves rows between workers"
            remedy = f"citus:tables.{name}.colocateWith: {other}"
            yield SEPARATE_GROUPS.finding(name, message, remedy, setting=f"citus:tables.{name}")
