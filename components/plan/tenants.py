"""The tenants that the settings place: checked against the plan, and grouped by colocation group. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.errors import PlanError, Problem
from components.names import TableName

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.plan.plan import PlannedTable, ShardingPlan
    from components.schema.files import Schema
    from components.settings import Settings

__all__ = ["Tenancy", "plan_tenants"]


_INTEGERS: Final = {"int2": 2, "int4": 4, "int8": 8}
"""Bytes of the integer types."""


@dataclass(frozen=True)
class Tenancy:
    """Tenants of one colocation group."""

    table: TableName
    pin: dict[str, int]
    """The number of each value's worker, from 1."""
    spread: tuple[str, ...]
    """Values that the update spreads by their sizes, since there are more of them than workers."""


def plan_tenants(plan: ShardingPlan, schema: Schema, settings: Settings) -> tuple[Tenancy, ...]:
    """Return the tenants of each group. If there are enough workers, each value to spread has a worker already.

    Raises:
        PlanError: with one line for each finding: a table that is not distributed, a worker that does not exist, a value
            that is not of the column's type, a group named twice.
    """
    findings = list(_findings(plan, schema, settings))
    if findings:
        raise PlanError(*findings)
    tenancies = []
    for table, tenants in settings.tenants.items():
        pin, spread = dict(tenants.pin), tenants.spread
        free = [number for number in range(1, settings.workers + 1) if number not in pin.values()]
        if len(spread) <= len(free):
            pin, spread = {**pin, **dict(zip(spread, free, strict=False))}, ()
        tenancies.append(Tenancy(table, pin, spread))
    return tuple(tenancies)


def _findings(plan: ShardingPlan, schema: Schema, settings: Settings) -> Iterable[Problem]:
    distributed = {table.name: table for table in plan.tables if table.distribution_column}
    groups: dict[TableName | None, TableName] = {}
    for table, tenants in settings.tenants.items():
        at = f"citus:tenants.{table}"
        if table not in distributed:
            yield Problem("citus:tables does not distribute that table: name one that it distributes", at)
            continue
        group, by = distributed[table].group, distributed[table].distribution_column
        if group in groups:
            yield Problem(
                f"it is colocated with {groups[group]}, so both have the same tenants: name one of the two", at
            )
        groups[group] = table
        for value, number in tenants.pin.items():
            if not 1 <= number <= settings.workers:
                wrong = f"{at}.pin.{value} = {number}"
                yield Problem(f"there are workers 1 to {settings.workers}: name one of them", wrong)
        for member in distributed.values():
            if member.group == group and (generated := _generated_before(schema, member)):
                yield Problem(
                    f"{member.name} has the generated column {generated} before its distribution column "
                    f"{member.distribution_column}, and Citus would copy rows into wrong shards when it splits one: declare "
                    f"{member.distribution_column} before it",
                    at,
                )
        columns = schema.tables[table].columns or {}
        kind = columns[by].type if by in columns else ""
        for value in [*tenants.pin, *tenants.spread]:
            if kind in _INTEGERS and not _fits(value, _INTEGERS[kind]):
                yield Problem(
                    f"{value!r} is not a valid {kind}, the type of the distribution column {by}: correct it", at
                )


def _generated_before(schema: Schema, table: PlannedTable) -> str | None:
    """Return a generated column that is declared before the distribution column, if there is one."""
    names = list(schema.tables[table.name].columns or {})
    before = names[: names.index(table.distribution_column)] if table.distribution_column in names else []
    return next((name for name in before if (schema.tables[table.name].columns or {})[name].generated), None)


def _fits(value: str, size: int) -> bool:
    try:
        return -(1 << 8 * size - 1) <= int(value) < 1 << 8 * size - 1
    except ValueError:
        return False
