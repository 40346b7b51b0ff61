"""The sharding plan: what the schema's files create, put together with what the settings declare, and checked.

Pure: reads no settings by itself, runs no SQL. Refuses here, at preview, what Citus would refuse in an update.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.errors import PlanError
from components.names import ColumnName, TableName

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from components.schema import ForeignKey, Schema, SqlFile, Table
    from components.settings import TableSettings

__all__ = ["PlannedTable", "ShardingPlan"]

_ACTIONS: Final = {"n": "SET NULL", "d": "SET DEFAULT", "c": "CASCADE"}


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


@dataclass(frozen=True)
class ShardingPlan:
    """The schema's files in order, and the tables in an order in which each finds what it needs."""

    files: tuple[SqlFile, ...]
    tables: tuple[PlannedTable, ...]

    @classmethod
    def make(cls, schema: Schema, tables: Mapping[TableName, TableSettings]) -> ShardingPlan:
        """Put the declared tables in order.

        Raises:
            PlanError: with one line for each finding: where, what, why, and what mends it.
        """
        findings = [*_unknown_names(schema, tables), *_colocation(tables)]
        if not findings:
            findings = [*_kinds(schema, tables), *_keys(schema, tables), *_foreign_keys(schema, tables)]
        if findings:
            raise PlanError("\n".join(findings))
        planned = {name: _planned(name, schema, tables) for name in tables}
        return cls(tuple(schema.files), tuple(_in_order(planned)))


def _planned(name: TableName, schema: Schema, tables: Mapping[TableName, TableSettings]) -> PlannedTable:
    settings = tables[name]
    table = schema.tables[name]
    outward = {fk.table for fk in table.foreign_keys if fk.table in tables} - {name}
    inward = {other.name for other in schema.tables.values() if any(fk.table == name for fk in other.foreign_keys)}
    return PlannedTable(
        name=name,
        reference=settings.reference,
        distribution_column=settings.distribute_by.name if settings.distribute_by else None,
        colocate_with=settings.colocate_with,
        primary_key=tuple(column.name for column in settings.primary_key) if settings.primary_key else None,
        related=tuple(sorted((outward | inward & tables.keys()) - {name})),
        after=tuple(sorted(outward | ({settings.colocate_with} if settings.colocate_with else set()))),
    )


def _in_order(planned: dict[TableName, PlannedTable]) -> Iterable[PlannedTable]:
    """Yield reference tables first, then each table after those it needs; a cycle of foreign keys is cut.

    A foreign key may point to a table that comes later: it is put aside and restored when both ends stand. So
    colocation alone binds, and what remains of a cycle may come in any order; the names' order is the steady one.
    """
    done: set[TableName] = set()
    waiting = sorted(planned.values(), key=lambda table: (not table.reference, table.name))
    while waiting:
        ready = [table for table in waiting if done.issuperset(table.after)] or [
            table for table in waiting if table.colocate_with is None or table.colocate_with in done
        ]
        table = ready[0]
        waiting.remove(table)
        done.add(table.name)
        yield PlannedTable(**{**vars(table), "after": tuple(name for name in table.after if name in done)})


def _unknown_names(schema: Schema, tables: Mapping[TableName, TableSettings]) -> Iterable[str]:
    for name, settings in tables.items():
        table = schema.tables.get(name)
        if table is None:
            yield (
                f"citus:tables.{name}: no SQL file of citus:schemaDir creates this table"
                f"{_did_you_mean(name, schema.tables)}: add the file, or remove the table from the settings"
            )
            continue
        named = [("distributeBy", settings.distribute_by)] + [("primaryKey", c) for c in settings.primary_key or ()]
        for setting, column in named:
            if column is not None and table.columns is not None and column.name not in table.columns:
                yield (
                    f"citus:tables.{name}.{setting} = {column}: {table.at}: the table has no such column"
                    f"{_did_you_mean(column, map(ColumnName, table.columns))}: name one of "
                    f"{', '.join(str(ColumnName(c)) for c in table.columns)}"
                )


def _did_you_mean(name: object, others: Iterable[object]) -> str:
    spelled = {str(other).lower().replace('"', ""): str(other) for other in others}
    close = difflib.get_close_matches(str(name).lower().replace('"', ""), spelled, n=1)
    return f" (did you mean {spelled[close[0]]}?)" if close else ""


def _colocation(tables: Mapping[TableName, TableSettings]) -> Iterable[str]:
    for name, settings in tables.items():
        target = settings.colocate_with
        at = f"citus:tables.{name}.colocateWith = {target}"
        if target is None:
            continue
        if target not in tables:
            yield f"{at}: the settings do not distribute that table{_did_you_mean(target, tables)}: add it to citus:tables"
        elif tables[target].reference:
            yield f"{at}: that is a reference table, which has no shards to share: remove colocateWith, it joins locally anyway"
        else:
            chain = [name]
            while target is not None and target in tables and target not in chain:
                chain.append(target)
                target = tables[target].colocate_with
            if target == name:
                yield f"{at}: a cycle ({' → '.join(map(str, [*chain, name]))}): let one of them stand without colocateWith"


def _group(name: TableName, tables: Mapping[TableName, TableSettings]) -> TableName:
    while (target := tables[name].colocate_with) is not None:
        name = target
    return name


def _kinds(schema: Schema, tables: Mapping[TableName, TableSettings]) -> Iterable[str]:
    """Check what EnsureRelationCanBeDistributed demands of the kind of table."""
    for name, settings in tables.items():
        table = schema.tables[name]
        parent = schema.tables.get(table.parent) if table.parent else None
        if table.persistence == "t":
            yield f"{table.at}: {name} is a temporary table, which cannot be sharded: create it without TEMPORARY"
        if parent is not None and parent.partitioned:
            yield (
                f"{table.at}: {name} is a partition of {parent.name} and sharded with it: take it out of citus:tables, and "
                f"let {parent.name} stand there"
            )
        if settings.reference and table.partitioned:
            yield f"{table.at}: {name} is partitioned, which a reference table cannot be: distribute it instead"


def _keys(schema: Schema, tables: Mapping[TableName, TableSettings]) -> Iterable[str]:
    """Check what ErrorIfUnsupportedConstraint and EnsureDistributedSequencesHaveOneType demand of one table."""
    for name, settings in tables.items():
        table = schema.tables[name]
        by = settings.distribute_by
        if by is None or table.columns is None:
            continue
        column = table.columns[by.name]
        if column.generated:
            yield f"{table.at}: {name} cannot be distributed by {by}: its value is generated; name a plain column"
        target = settings.colocate_with
        other = schema.tables[target].columns if target else None
        if target and other is not None and (target_by := tables[target].distribute_by) is not None:
            target_type = other[target_by.name].type
            if target_type != column.type:
                yield (
                    f"citus:tables.{name}.colocateWith = {target}: {by} is {column.type}, but {target}.{target_by} is "
                    f"{target_type}: colocated tables need one type: alter table {name} alter column {by} type {target_type}"
                )
        if settings.primary_key and not any(key.kind == "primary key" for key in table.keys):
            yield (
                f"citus:tables.{name}.primaryKey: {table.at}: the table has no primary key to rewrite: remove the setting, or "
                "declare the key in the SQL file"
            )
        for key in table.keys:
            if key.kind != "primary key" and by.name not in key.columns:
                yield (
                    f"{key.at}: {name}: this {key.kind} ({', '.join(key.columns)}) lacks the distribution column {by}, so "
                    f"no worker could check it alone: make it ({by}, {', '.join(key.columns)}), or remove it"
                )


def _foreign_keys(schema: Schema, tables: Mapping[TableName, TableSettings]) -> Iterable[str]:
    """Check what ErrorIfUnsupportedForeignConstraintExists demands, in all directions (Citus, foreign_constraint.c)."""
    for table in schema.tables.values():
        for fk in table.foreign_keys:
            if fk.table in schema.tables or fk.table in tables:
                yield from _foreign_key(table, fk, schema, tables)


def _foreign_key(
    table: Table, fk: ForeignKey, schema: Schema, tables: Mapping[TableName, TableSettings]
) -> Iterable[str]:
    at = f"{fk.at}: {table.name} ({', '.join(fk.columns)}) → {fk.table}"
    child, parent = tables.get(table.name), tables.get(fk.table)
    if child is None and parent is None:
        return
    if parent is None:
        where = "is copied to every node" if child and child.reference else "is spread over the workers"
        yield (
            f"{at}: {table.name} {where}, {fk.table} would stay on the coordinator alone: make it a "
            f"reference table (citus:tables.{fk.table}: {{reference: true}}), or distribute it too"
        )
        return
    if parent.reference:
        if child and child.distribute_by and child.distribute_by.name in fk.columns:
            yield from _actions(at, fk, child.distribute_by.name)
        return
    if child is None or child.reference:
        kind = "a local table" if child is None else "a reference table"
        yield (
            f"{at}: {kind} cannot reference a distributed one: distribute {table.name} too, colocated with {fk.table}, "
            "or remove the foreign key"
        )
        return
    if child.distribute_by is None or parent.distribute_by is None:
        return
    if _group(table.name, tables) != _group(fk.table, tables):
        yield (
            f"{at}: the two are not colocated, so no worker could check it alone: "
            f"citus:tables.{table.name}.colocateWith: {fk.table}, or remove the foreign key"
        )
        return
    by, parent_by = child.distribute_by.name, parent.distribute_by.name
    referenced = fk.referenced or next((k.columns for k in schema.tables[fk.table].keys if k.kind == "primary key"), ())
    pairs = list(zip(fk.columns, referenced, strict=False))
    if (by, parent_by) not in pairs and any(by == a or parent_by == b for a, b in pairs):
        yield (
            f"{at}: it pairs a distribution column with another column, but must pair {by} with {parent_by}: "
            "mend the foreign key"
        )
    yield from _actions(at, fk, by)


def _actions(at: str, fk: ForeignKey, by: str) -> Iterable[str]:
    for event, action in (("DELETE", fk.on_delete), ("UPDATE", fk.on_update)):
        if action in ("n", "d") or (action == "c" and event == "UPDATE"):
            yield (
                f"{at}: ON {event} {_ACTIONS[action]} would change the distribution column {by}, which is part of the "
                f"foreign key once distributed: use ON {event} {'CASCADE or ' * (event == 'DELETE')}NO ACTION"
            )
