"""The sharding plan: what the schema's files create, put together with what the settings declare, and checked.

Pure: reads no settings by itself, runs no SQL. Refuses here, at preview, what Citus would refuse in an update.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from components.errors import PlanError
from components.keys import DeclaredKeys, PlannedForeignKey
from components.names import SchemaName, TableName
from components.plan.findings import Finding, by_kind, listed_findings
from components.plan.functions import PlannedFunction, plan_function
from components.plan.later import check_later
from components.plan.layout import Layout
from components.plan.patterns import ExpandedPattern, expand_patterns
from components.plan.rules import RULES, check_files, check_plan, check_settings
from components.plan.rules import functions as function_rules
from components.plan.rules import schemas as schema_rules
from components.plan.rules.names import truncate_names
from components.plan.rules.roles import check_roles
from components.schema.needs import KnownServer
from components.schema.statements import SqlFile
from components.tables import (
    DistributedDeclaration,
    Kind,
    Local,
    LocalDeclaration,
    Pending,
    ReferenceDeclaration,
    SchemaDeclaration,
    SingleShard,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from components.plan.later import Standing
    from components.schema.files import Schema
    from components.settings import SchemaSettings, Settings

__all__ = ["PlannedSchema", "PlannedTable", "ShardingPlan"]


@dataclass(frozen=True)
class PlannedTable:
    """One table of the plan: its declaration, and what the plan tells of the way to it."""

    declaration: DistributedDeclaration | ReferenceDeclaration
    related: tuple[TableName, ...]
    """Tables of the plan that a foreign key ties to this one, in either direction."""
    after: tuple[TableName, ...]
    """Tables of the plan that must be there before this one: its colocation target and those it references."""
    group: TableName | None = None
    """The table that starts the colocation group; none of a reference table."""
    old_key: tuple[str, ...] | None = None
    """Columns of the primary key as the files declare it."""
    new_key: tuple[str, ...] | None = None
    """Columns of the primary key once the table is sharded."""
    set_aside: tuple[PlannedForeignKey, ...] = ()
    """Foreign keys that are dropped in this table's turn."""

    @property
    def name(self) -> TableName:
        """Return the table."""
        return self.declaration.table

    @property
    def distribution_column(self) -> str | None:
        """Return the column by which the table is distributed; None of a reference table."""
        return self.declaration.distribution_column if isinstance(self.declaration, DistributedDeclaration) else None

    @property
    def colocate_with(self) -> TableName | None:
        """Return the table whose colocation group this one joins."""
        return self.declaration.colocate_with if isinstance(self.declaration, DistributedDeclaration) else None

    @property
    def restored(self) -> tuple[PlannedForeignKey, ...]:
        """Return the foreign keys that are restored in this table's turn: its own, and those that waited for it."""
        return self.declaration.declared_keys.foreign


@dataclass(frozen=True)
class PlannedSchema:
    """One schema of the plan, which is distributed as a whole or undistributed."""

    declaration: SchemaDeclaration
    worker: int | None = None
    """The number of its worker, from 1; None for Citus to choose."""
    after: tuple[TableName, ...] = ()
    """Reference tables of the plan that its foreign keys reference."""

    @property
    def name(self) -> str:
        """Return the schema, as it is spelled in SQL."""
        return str(SchemaName(self.declaration.schema))


@dataclass(frozen=True)
class ShardingPlan:
    """The schema's files in order, and the tables in an order in which each finds what it needs."""

    files: tuple[SqlFile, ...]
    tables: tuple[PlannedTable, ...]
    undistributed: tuple[LocalDeclaration, ...] = ()
    """Tables that are to be local again."""
    schemas: tuple[PlannedSchema, ...] = ()
    functions: tuple[PlannedFunction, ...] = ()
    findings: tuple[Finding, ...] = ()
    patterns: tuple[ExpandedPattern, ...] = ()
    """What each pattern of the settings came to."""
    layout: Layout | None = field(default=None, compare=False, repr=False)
    """The tables with the settings that apply to each."""

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Return the findings that block the plan."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Return the findings that do not block the plan."""
        return tuple(finding for finding in self.findings if finding.severity == "warning")

    def told_errors(self) -> Iterator[str]:
        """Yield what blocks the plan: a line for each finding, or a few for many of one kind."""
        for alike in by_kind(self.errors):
            rule = RULES.get(alike[0].rule)
            if len(alike) == 1 or rule is None:
                yield from map(str, alike)
            else:
                yield "\n".join(
                    [f"{rule.slug}: {line}" if n == 0 else line for n, line in enumerate(listed_findings(alike, rule))]
                )

    @classmethod
    def make(
        cls, schema: Schema, settings: Settings, standing: Standing | None = None, server: KnownServer | None = None
    ) -> ShardingPlan:
        """Put the declared tables in order; if there is a running cluster, also judge the later files.

        Raises:
            PlanError: with one line for each error: where, what, why, and the remedy.
        """
        plan = cls.draft(schema, settings, standing, server)
        if plan.errors:
            raise PlanError(*plan.told_errors())
        return plan

    @classmethod
    def draft(
        cls, schema: Schema, settings: Settings, standing: Standing | None = None, server: KnownServer | None = None
    ) -> ShardingPlan:
        """Return the plan with all its findings, whether it can be carried out or not."""
        tables, findings = truncate_names(settings.tables)
        distributed = tuple(it.name for it, how in settings.schemas.items() if not how.undistribute)
        expansion = expand_patterns(schema, tables, settings.undistributed, settings.patterns, distributed)
        tables = expansion.tables
        findings += expansion.findings
        server = server or KnownServer()
        layout = Layout(
            schema, tables, schemas=distributed, unsafe_triggers=settings.unsafe_triggers, citus=server.citus
        )
        planned = tuple(_in_order({name: _planned(name, layout, settings.shard_count) for name in tables}))
        findings += check_settings(layout)
        findings += schema_rules.check_names(layout, settings.schemas, expansion.undistributed)
        if not any(finding.severity == "error" for finding in findings):
            in_order = [*(table.name for table in planned), *layout.single_shard]
            findings += check_plan(layout, {name: number for number, name in enumerate(in_order)})
            findings += function_rules.check_functions(layout, settings.functions)
        applied = standing.files if standing else ()
        roles = [role.name for role in settings.roles]
        findings = [*check_files(schema, server, applied, roles), *check_roles(schema, settings), *findings]
        if standing is not None:
            findings = [
                *check_later(schema.files, standing, {**tables, **layout.single_shard}, server.citus),
                *findings,
            ]
            findings += schema_rules.check_standing(layout, standing.tables, settings.schemas, expansion.undistributed)
        turns = _with_pending(list(_with_foreign_keys(planned, layout)), expansion.undistributed, layout)
        placed = tuple(map(expansion.placed, findings))
        schemas = tuple(_planned_schema(it, how, layout) for it, how in settings.schemas.items())
        functions = tuple(plan_function(schema, signature, how) for signature, how in settings.functions.items())
        return cls(tuple(schema.files), *turns, schemas, functions, placed, expansion.patterns, layout)


def _planned_schema(schema: SchemaName, settings: SchemaSettings, layout: Layout) -> PlannedSchema:
    if settings.undistribute:
        return PlannedSchema(SchemaDeclaration(schema=schema.name, undistribute=True))
    tables = tuple(name for name in layout.single_shard if name.schema == schema.name)
    referenced = {parent for name in tables for parent in layout.references.get(name, ())}
    after = tuple(sorted(parent for parent in referenced if layout.kind(parent) == Kind.REFERENCE))
    return PlannedSchema(SchemaDeclaration(schema=schema.name, tables=tables), settings.worker, after)


def _planned(name: TableName, layout: Layout, shard_count: int) -> PlannedTable:
    tables, table, settings = layout.settings, layout.schema.tables.get(name), layout.settings[name]
    outward, inward = layout.references.get(name, set()), layout.referrers.get(name, set())
    types = {column.type.removesuffix("[]") for column in ((table and table.columns) or {}).values()}
    rows = {layout.names[text] for text in types & layout.names.keys()}
    before = (outward | rows | {layout.root(name)}) & tables.keys() - {name}
    key = table.primary_key if table else None
    column = layout.distribution_column(name)
    new_key = layout.primary_key(name) if key else None
    sharded: dict[str, Any] = {
        "table": name,
        "rewrite": settings.rewrite,
        "declared_keys": DeclaredKeys(new_key),
        "created_by": table.at.file if table else None,
    }
    declaration: DistributedDeclaration | ReferenceDeclaration
    if settings.distribute_by is None:
        declaration = ReferenceDeclaration(**sharded)
    else:
        declaration = DistributedDeclaration(
            **sharded,
            distribution_column=settings.distribute_by.name,
            colocate_with=settings.colocate_with,
            shard_count=shard_count,
            primary_key=tuple(column.name for column in settings.primary_key) if settings.primary_key else None,
            former_columns=tuple(it for it in column.former if table and it not in (table.columns or {}))
            if column
            else (),
        )
    return PlannedTable(
        declaration,
        related=tuple(sorted((outward | inward) & {*tables, *layout.single_shard} - {name})),
        after=tuple(sorted(before | ({settings.colocate_with} if settings.colocate_with else set()))),
        group=None if settings.reference else layout.colocation_root(name),
        old_key=key.columns if key else None,
        new_key=new_key,
    )


def _in_order(planned: dict[TableName, PlannedTable]) -> Iterable[PlannedTable]:
    """Yield reference tables first, then each table after those it needs; a cycle of foreign keys is cut.

    A foreign key may reference a table that comes later: it is set aside, and restored once both tables are sharded. So only
    colocation determines the order within a cycle; the rest is sorted by name, to be the same in each run.
    """
    done: set[TableName] = set()
    waiting = dict(sorted(planned.items(), key=lambda pair: _rank(pair[1])))
    missing = {name: len(table.after) for name, table in waiting.items()}
    needed_by: dict[TableName, list[TableName]] = {}
    for name, table in waiting.items():
        for other in table.after:
            needed_by.setdefault(other, []).append(name)
    ready = [_rank(table) for name, table in waiting.items() if not missing[name]]  # sorted, so a heap
    while waiting:
        cut = (
            table for table in waiting.values() if ready or table.colocate_with is None or table.colocate_with in done
        )
        # Where colocateWith leads nowhere, which is an error, the first that waits.
        name = heappop(ready)[1] if ready else next(cut, next(iter(waiting.values()))).name
        table = waiting.pop(name)
        done.add(name)
        for other in needed_by.get(name, ()):
            missing[other] -= 1
            if not missing[other] and other in waiting:
                heappush(ready, _rank(waiting[other]))
        yield replace(table, after=tuple(it for it in table.after if it in done and it != name))


def _rank(table: PlannedTable) -> tuple[bool, TableName]:
    return table.group is not None, table.name


def _with_foreign_keys(planned: Sequence[PlannedTable], layout: Layout) -> Iterable[PlannedTable]:
    """Yield the tables with the foreign keys that are set aside and restored in the turn of each.

    As constraints.set_foreign_keys_aside and constraints.restore_foreign_keys do it: a key is dropped in the turn of the first of
    its two tables, and added again in that of the last.
    """
    turns = {table.name: number for number, table in enumerate(planned)}
    aside: dict[int, list[PlannedForeignKey]] = {}
    restored: dict[int, list[PlannedForeignKey]] = {}
    for child, fk in layout.foreign_keys:
        ends = sorted(turns[end] for end in {child.name, fk.parent} & turns.keys())
        if ends and layout.kind(child.name) != Kind.SINGLE_SHARD:  # of a schema, which restores its own
            key = PlannedForeignKey(child.name, fk.name, fk.parent, (fk.on_update, fk.on_delete, fk.match))
            aside.setdefault(ends[0], []).append(key)
            restored.setdefault(ends[-1], []).append(key)
    for turn, table in enumerate(planned):
        keys = replace(table.declaration.declared_keys, foreign=tuple(restored.get(turn, ())))
        declaration = replace(table.declaration, declared_keys=keys)
        yield replace(table, set_aside=tuple(aside.get(turn, ())), declaration=declaration)


def _with_pending(
    tables: Sequence[PlannedTable], undistributed: Iterable[TableName], layout: Layout
) -> tuple[tuple[PlannedTable, ...], tuple[LocalDeclaration, ...]]:
    """Return the tables, and those that are to be local, each with what other steps of the same update make of its relations."""
    local = [Pending(name, Local()) for name in undistributed]
    sharded = {table.name: Pending(table.name, table.declaration.sharding) for table in tables}
    waiting = {
        name: tuple(Pending(it.name, SingleShard()) for it in layout.schema.family(name))
        for name in layout.single_shard
    }
    related = {table.name: set(table.related) for table in tables}
    followers_of: dict[TableName, list[TableName]] = {table.name: [] for table in tables}
    for table in tables:
        for leader in layout.colocation_chain(table.name):
            if leader in followers_of and leader != table.name:
                followers_of[leader].append(table.name)
    planned = []
    for table in tables:
        followers = tuple(followers_of[table.name])
        tied = set().union(*(related[name] for name in (table.name, *followers))) - {table.name}
        of_schemas = (it for name in sorted(tied & waiting.keys()) for it in waiting[name])
        others = (sharded[name] for name in sorted(tied & sharded.keys()))
        changes: dict[str, Any] = {"pending": (*others, *of_schemas, *local)}
        if isinstance(table.declaration, DistributedDeclaration):
            changes["followers"] = followers
        planned.append(replace(table, declaration=replace(table.declaration, **changes)))
    all_sharded = [sharded[name] for name in sorted(sharded)]
    return tuple(planned), tuple(
        LocalDeclaration(table=it.table, pending=(*all_sharded, *(other for other in local if other != it)))
        for it in local
    )
