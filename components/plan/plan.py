"""The sharding plan: what the schema's files create, put together with what the settings declare, and checked.

Pure: reads no settings by itself, runs no SQL. Refuses here, at preview, what Citus would refuse in an update.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from components.errors import PlanError
from components.keys import DeclaredKeys, PlannedForeignKey
from components.plan.later import check_later
from components.plan.layout import Layout
from components.plan.rules import check_plan, check_settings
from components.plan.rules.names import truncate_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from components.kinds import Sharding
    from components.names import TableName
    from components.plan.findings import Finding
    from components.plan.later import Standing
    from components.schema.files import Schema
    from components.schema.relations import SqlFile
    from components.settings import TableSettings

__all__ = ["PlannedTable", "ShardingPlan"]


@dataclass(frozen=True)
class PlannedTable:
    """One table of the plan, ready to be declared."""

    name: TableName
    reference: bool
    distribution_column: str | None
    colocate_with: TableName | None
    primary_key: tuple[str, ...] | None
    """Only where the settings name it; else the key follows from the distribution column."""
    related: tuple[TableName, ...]
    """Tables of the plan that a foreign key ties to this one, in either direction."""
    after: tuple[TableName, ...]
    """Tables of the plan that must stand before this one: its colocation target and those it references."""
    rewrite: bool = False
    """Whether it may be rewritten where it is sharded in another way than declared."""
    group: TableName | None = None
    """The table that starts the colocation group; none of a reference table."""
    old_key: tuple[str, ...] | None = None
    """Columns of the primary key as the files declare it."""
    new_key: tuple[str, ...] | None = None
    """Columns of the primary key once the table is sharded."""
    set_aside: tuple[PlannedForeignKey, ...] = ()
    """Foreign keys that are dropped in this table's turn."""
    restored: tuple[PlannedForeignKey, ...] = ()
    """Foreign keys that are put back in this table's turn: its own, and those that waited for it."""
    former_columns: tuple[str, ...] = ()
    """Names that the distribution column had before files renamed it, and that no other column has now."""

    @property
    def sharding(self) -> Sharding:
        """Return how it is declared."""
        return ("reference" if self.reference else "distributed", self.distribution_column)

    @property
    def keys(self) -> DeclaredKeys:
        """Return the keys that its turn leaves behind."""
        return DeclaredKeys(self.new_key, self.restored)


@dataclass(frozen=True)
class ShardingPlan:
    """The schema's files in order, and the tables in an order in which each finds what it needs."""

    files: tuple[SqlFile, ...]
    tables: tuple[PlannedTable, ...]
    findings: tuple[Finding, ...] = ()
    undistributed: tuple[TableName, ...] = ()
    """Tables that are to be local again."""

    def declared(self, tables: Iterable[TableName] | None = None) -> dict[TableName, Sharding]:
        """Return how these tables of the plan are declared, by default all, and always those that are to be local."""
        wanted = None if tables is None else set(tables)
        planned = {table.name: table.sharding for table in self.tables if wanted is None or table.name in wanted}
        local: Sharding = ("local", None)
        return {**dict(sorted(planned.items())), **dict.fromkeys(self.undistributed, local)}

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Return the findings that block the plan."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Return the findings that do not block the plan."""
        return tuple(finding for finding in self.findings if finding.severity == "warning")

    @classmethod
    def make(
        cls,
        schema: Schema,
        tables: Mapping[TableName, TableSettings],
        undistributed: Iterable[TableName] = (),
        standing: Standing | None = None,
    ) -> ShardingPlan:
        """Put the declared tables in order; if there is a running cluster, also judge the later files.

        Raises:
            PlanError: with one line for each error: where, what, why, and the remedy.
        """
        plan = cls.draft(schema, tables, undistributed, standing)
        if plan.errors:
            raise PlanError("\n".join(map(str, plan.errors)))
        return plan

    @classmethod
    def draft(
        cls,
        schema: Schema,
        tables: Mapping[TableName, TableSettings],
        undistributed: Iterable[TableName] = (),
        standing: Standing | None = None,
    ) -> ShardingPlan:
        """Return the plan with all its findings, whether it can be carried out or not."""
        tables, findings = truncate_names(tables)
        layout = Layout(schema, tables)
        planned = tuple(_in_order({name: _planned(name, layout) for name in tables}))
        findings += check_settings(layout)
        if not any(finding.severity == "error" for finding in findings):
            findings += check_plan(layout, {table.name: number for number, table in enumerate(planned)})
        if standing is not None:
            findings = [*check_later(schema.files, standing, tables), *findings]
        turns = tuple(_with_foreign_keys(planned, layout))
        return cls(tuple(schema.files), turns, tuple(findings), tuple(undistributed))


def _planned(name: TableName, layout: Layout) -> PlannedTable:
    tables, table, settings = layout.settings, layout.schema.tables.get(name), layout.settings[name]
    members = {name, *(partition.name for partition in layout.partitions(name))}
    outward = {layout.root(fk.parent) for child, fk in layout.foreign_keys() if child.name in members}
    inward = {layout.root(child.name) for child, fk in layout.foreign_keys() if fk.parent in members}
    types = {
        other
        for other in tables
        for column in ((table and table.columns) or {}).values()
        if column.type.removesuffix("[]") == str(other)
    }
    before = (outward | types | {layout.root(name)}) & tables.keys() - {name}
    key = table.primary_key if table else None
    column = layout.distribution_column(name)
    return PlannedTable(
        name=name,
        reference=settings.reference,
        distribution_column=settings.distribute_by.name if settings.distribute_by else None,
        colocate_with=settings.colocate_with,
        primary_key=tuple(column.name for column in settings.primary_key) if settings.primary_key else None,
        related=tuple(sorted((outward | inward) & tables.keys() - {name})),
        after=tuple(sorted(before | ({settings.colocate_with} if settings.colocate_with else set()))),
        rewrite=settings.rewrite,
        group=None if settings.reference else layout.colocation_root(name),
        old_key=key.columns if key else None,
        new_key=layout.primary_key(name) if key else None,
        former_columns=tuple(it for it in column.former if table and it not in (table.columns or {})) if column else (),
    )


def _in_order(planned: dict[TableName, PlannedTable]) -> Iterable[PlannedTable]:
    """Yield reference tables first, then each table after those it needs; a cycle of foreign keys is cut.

    A foreign key may reference a table that comes later: it is set aside, and restored once both tables are sharded. So only
    colocation determines the order within a cycle; the rest is sorted by name, to be the same in each run.
    """
    done: set[TableName] = set()
    waiting = sorted(planned.values(), key=lambda table: (not table.reference, table.name))
    while waiting:
        ready = (
            [table for table in waiting if done.issuperset(table.after)]
            or [table for table in waiting if table.colocate_with is None or table.colocate_with in done]
            or waiting  # where colocateWith leads nowhere, which is an error
        )
        table = ready[0]
        waiting.remove(table)
        done.add(table.name)
        yield replace(table, after=tuple(name for name in table.after if name in done and name != table.name))


def _with_foreign_keys(planned: Iterable[PlannedTable], layout: Layout) -> Iterable[PlannedTable]:
    """Yield the tables with the foreign keys that are set aside and restored in the turn of each.

    As constraints.set_foreign_keys_aside and constraints.restore_foreign_keys do it: a key is dropped in the turn of the first of
    its two tables, and added again in that of the last.
    """
    turns = [table.name for table in planned]
    for table in planned:
        aside, restored = [], []
        for child, fk in layout.foreign_keys():
            ends = sorted(turns.index(end) for end in {child.name, fk.parent} if end in turns)
            form = (fk.on_update, fk.on_delete, fk.match)
            key = PlannedForeignKey(child.name, fk.name, fk.parent, form)
            if ends and turns[ends[0]] == table.name:
                aside.append(key)
            if ends and turns[ends[-1]] == table.name:
                restored.append(key)
        yield replace(table, set_aside=tuple(aside), restored=tuple(restored))
