"""The tenants that the settings place: checked against the plan, and grouped by colocation group. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from components.errors import PlanError, Problem
from components.names import TableName

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from components.plan.plan import PlannedTable, ShardingPlan
    from components.schema.files import Schema
    from components.settings import Settings, TenantSettings

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


def plan_tenants(
    plan: ShardingPlan, schema: Schema, settings: Settings, hosts: Mapping[str, str] | None = None
) -> tuple[Tenancy, ...]:
    """Return the tenants of each group. If there are enough workers, each value to spread has a worker already.

    Args:
        plan: of the schema.
        schema: as the files have it.
        settings: of the stack.
        hosts: the host of each node, as an update will have them; None where no engine was asked.

    Raises:
        PlanError: with one line for each finding: a table that is not distributed, a worker or a host that does not exist, a
            value that is not of the column's type, a group named twice.
    """
    workers = _workers_of_hosts(settings, settings.deal_out({}) if hosts is None else hosts)
    findings = list(_findings(plan, schema, settings, workers))
    if findings:
        raise PlanError(*findings)
    tenancies = []
    for table, tenants in settings.tenants.items():
        spread = tenants.spread
        pin = {
            value: where if isinstance(where, int) else _choose(value, workers[where])
            for value, where in tenants.pin.items()
        }
        free = [number for number in range(1, settings.workers + 1) if number not in pin.values()]
        if len(spread) <= len(free):
            pin, spread = {**pin, **dict(zip(spread, free, strict=False))}, ()
        tenancies.append(Tenancy(table, pin, spread))
    return tuple(tenancies)


def _workers_of_hosts(settings: Settings, hosts: Mapping[str, str]) -> dict[str, list[int]]:
    """Return the numbers of the workers of each host."""
    numbers = range(1, settings.workers + 1)
    return {host: [number for number in numbers if hosts[f"worker_{number}"] == host] for host in settings.hosts}


def _choose(value: str, workers: Iterable[int]) -> int:
    """Return a worker for a value: the same one as long as it is among them, whichever others come and go."""
    return max(workers, key=lambda worker: sha256(f"{worker} {value}".encode()).digest())


def _findings(
    plan: ShardingPlan, schema: Schema, settings: Settings, workers: Mapping[str, list[int]]
) -> Iterable[Problem]:
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
        yield from _misplaced(tenants, at, settings, workers)
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


def _misplaced(
    tenants: TenantSettings, at: str, settings: Settings, workers: Mapping[str, list[int]]
) -> Iterable[Problem]:
    for value, where in tenants.pin.items():
        wrong = f"{at}.pin.{value} = {where!r}"
        if isinstance(where, int):
            if not 1 <= where <= settings.workers:
                yield Problem(f"there are workers 1 to {settings.workers}: name one of them", wrong)
        elif not workers[where]:
            yield Problem("no worker is on that host: put one there by citus:hostOf, or raise citus:workers", wrong)


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
