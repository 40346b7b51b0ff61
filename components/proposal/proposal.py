"""A proposal: what each table of a schema becomes once it is sharded by the best candidate, and how sure that is. Pure.

It is checked by the plan like settings that a person has written.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from components.errors import SourceError
from components.names import ColumnName, TableName
from components.plan.findings import Finding
from components.plan.plan import ShardingPlan
from components.proposal.candidates import Candidate, rank
from components.proposal.statements import read_statements
from components.proposal.ties import Tie, Ties, is_bookkeeping
from components.schema.relations import Column
from components.schema.statistics import Statistics
from components.settings import Settings
from components.tables import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from components.proposal.statements import UsedColumns
    from components.schema.files import Schema

__all__ = ["Proposal", "ProposedTable", "Sureness", "propose"]


Sureness = Literal["sure", "likely", "a guess"]

WORKERS: Final = 4
"""Of a stack by default."""
LARGE: Final = 1 << 30
"""Bytes from which a copy on every node is worth a second thought."""
SMALL: Final = 100 << 20
"""Bytes up to which a table that others are joined with may as well be on every node."""
_UNSHARDABLE: Final = frozenset(
    {"inheritance", "partition-levels", "partitioned-reference", "unsupported-type", "generated-column", "no-hash"}
    | {"nondeterministic-collation", "negative-scale"}
)
"""Rules by which a table cannot be sharded as it is: such a table stays local where its foreign keys let it."""
_FEW: Final = 4
"""Tables from which a pattern is shorter than a line each."""


@dataclass(frozen=True)
class ProposedTable:
    """What becomes of a table, and why."""

    name: TableName
    kind: Kind
    sure: Sureness
    why: str
    column: str = ""
    """The distribution column."""
    tie: Tie | None = None
    """Of a table that lacks the column: the foreign key by which it is filled."""


@dataclass(frozen=True)
class Proposal:
    """Settings for a schema, with what they rest on."""

    candidates: tuple[Candidate, ...]
    """The best first: the proposal is made of that one."""
    sure: Sureness
    tables: dict[TableName, ProposedTable]
    settings: dict[str, Any]
    """citus:tables as a stack has it."""
    shard_count: int
    tenants: tuple[str, ...]
    """Values that are worth a worker of their own."""
    findings: tuple[Finding, ...]
    """What the plan finds in a schema that has the columns that are missing."""
    statistics: Statistics
    statements: int
    """Calls of statements that were looked at."""

    def of(self, kind: Kind) -> list[ProposedTable]:
        """Return the tables of a kind."""
        return [it for it in self.tables.values() if it.kind == kind]

    @property
    def lacking(self) -> list[ProposedTable]:
        """Return the tables that lack the column, each after those that it gets its values from."""
        return [it for it in self.tables.values() if it.tie]


def propose(schema: Schema, statistics: Statistics | None = None, by: str = "") -> Proposal:
    """Propose settings for a schema; the columns that are missing are added to it, so that the plan can judge them.

    Raises:
        SourceError: there is no column of the name `by` that could be the tenant's.
    """
    known = statistics or Statistics()
    ties = Ties(schema)
    used = read_statements(known.statements, ties)
    candidates = rank(ties, known, used, by)
    if by and not (candidates and candidates[0].is_called(by)):
        named = ", ".join(it.name for it in candidates[:5]) or "none"
        msg = f"BY={by}: no column of that name ties tables together; candidates are {named}"
        raise SourceError(msg)
    if not candidates:
        tables = {name: _left(name, known) for name in ties.tables}
        return Proposal((), "a guess", tables, {}, 32, (), (), known, sum(it.calls for it in used))
    best = candidates[0]
    tables = _assign(best, ties, known, used)
    _add_columns(schema, best, tables)
    tables, settings, findings = _adjusted(schema, best, ties, tables)
    return Proposal(
        tuple(candidates),
        _sureness(candidates),
        tables,
        settings,
        _shard_count(best, known, tables),
        _tenants(best),
        findings,
        known,
        sum(it.calls for it in used),
    )


def _sureness(candidates: Sequence[Candidate]) -> Sureness:
    best, others = candidates[0], candidates[1:]
    share = len(best.carriers) / max(best.tables, 1)
    clear = not others or best.score >= 1.25 * others[0].score
    by_keys = sum(it.how == "foreign key" for it in best.carriers.values())
    if best.is_author:
        return "a guess"
    if clear and share >= 0.6 and by_keys * 2 >= len(best.carriers):  # noqa: PLR2004
        return "sure"
    return "likely" if clear and share >= 0.3 else "a guess"  # noqa: PLR2004


def _assign(
    best: Candidate, ties: Ties, statistics: Statistics, used: Sequence[UsedColumns]
) -> dict[TableName, ProposedTable]:
    """Return what each table becomes, as its foreign keys and its columns have it."""
    group = {name: _distributed(name, best) for name in best.carriers}
    group |= {name: _following(name, best, tie, ties, statistics) for name, tie in best.followers.items()}
    copied: dict[TableName, ProposedTable] = {}
    waiting = list(group)
    for name in waiting:  # grows meanwhile
        for tie in ties.outward[name]:
            if tie.parent not in group and tie.parent not in copied:
                copied[tie.parent] = _copied(tie, statistics)
                waiting.append(tie.parent)
    for name in ties.tables:
        if name not in group and name not in copied and (calls := _joined(name, group, used)):
            size = statistics.tables[name].size if name in statistics.tables else 0
            if size <= SMALL:
                why = f"small, and in {calls:,} calls together with distributed tables"
                copied[name] = ProposedTable(name, Kind.REFERENCE, "likely", why)
    rest = {name: _left(name, statistics) for name in ties.tables if name not in group and name not in copied}
    return {**group, **copied, **rest}


def _distributed(name: TableName, best: Candidate) -> ProposedTable:
    carrier, column = best.carriers[name], ColumnName(best.carriers[name].column)
    sure: Sureness = "sure"
    match carrier.how:
        case "key":
            why = "the tenants themselves"
        case "foreign key":
            far = f", over {carrier.steps} foreign keys" if carrier.steps > 1 else ""
            why = f"{column} references {best.name}{far}"
        case _:
            why, sure = f"{column}, by its name alone", "likely"
    if carrier.nulls:
        why, sure = f"{why}; {carrier.nulls:.1%} of its rows have none: give them one first", "a guess"
    elif carrier.nullable and carrier.how != "key":
        none = ", though none is now" if carrier.nulls == 0 else ""
        why, sure = f"{why}; it may be NULL{none}", "likely" if carrier.nulls == 0 or sure == "sure" else "a guess"
    return ProposedTable(name, Kind.DISTRIBUTED, sure, why, carrier.column)


def _following(name: TableName, best: Candidate, tie: Tie, ties: Ties, statistics: Statistics) -> ProposedTable:
    taken = {*(ties.tables[name].columns or {})}
    column = next(it for it in (best.column, f"tenant_{best.column}", f"the_{best.column}") if it not in taken)
    keys = ", ".join(str(ColumnName(it)) for it in tie.foreign_key.columns)
    why, sure = f"it lacks the column, and finds it by {keys} → {tie.parent}", "likely"
    known = statistics.tables[name].columns if name in statistics.tables else {}
    nulls = [known[it].nulls for it in tie.foreign_key.columns if it in known]
    if any(nulls):
        why, sure = f"{why}, which {max(nulls):.1%} of its rows do not have: give them a tenant first", "a guess"
    elif tie.optional:
        why, sure = (
            f"{why}, which may be NULL{', though none is now' if nulls else ''}",
            "likely" if nulls else "a guess",
        )
    return ProposedTable(name, Kind.DISTRIBUTED, cast("Sureness", sure), why, column, tie)


def _copied(tie: Tie, statistics: Statistics) -> ProposedTable:
    known = statistics.tables.get(tie.parent)
    why = f"{tie.child} references it, and it has no tenant"
    if known is None:
        return ProposedTable(tie.parent, Kind.REFERENCE, "likely", why)
    size = f"{known.rows:,.0f} rows" if known.rows >= 0 else f"{known.size:,} bytes"
    if known.size > LARGE or known.writes > 1_000_000:  # noqa: PLR2004
        why += f"; with {size} and {known.writes:,} rows written a copy on every node costs: or drop the foreign keys to it"
        return ProposedTable(tie.parent, Kind.REFERENCE, "a guess", why)
    return ProposedTable(tie.parent, Kind.REFERENCE, "sure", f"{why}; {size}")


def _joined(name: TableName, group: dict[TableName, ProposedTable], used: Sequence[UsedColumns]) -> int:
    """Return in how many calls a table is used together with distributed ones."""
    return sum(it.calls for it in used if name in it.tables and not it.tables.isdisjoint(group))


def _left(name: TableName, statistics: Statistics) -> ProposedTable:
    if is_bookkeeping(name):
        return ProposedTable(name, Kind.LOCAL, "sure", "which migrations ran, kept by a tool")
    known = statistics.tables.get(name)
    size = f" ({known.rows:,.0f} rows)" if known and known.rows >= 0 else ""
    return ProposedTable(name, Kind.LOCAL, "a guess", f"nothing ties it to the tenants{size}")


def _add_columns(schema: Schema, best: Candidate, tables: dict[TableName, ProposedTable]) -> None:
    for it in tables.values():
        table = schema.tables[it.name]
        if it.tie and table.columns is not None:
            column = Column(it.column, best.type, identity=False, generated=False, not_null=True)
            for member in schema.family(it.name):
                schema.put(replace(member, columns={**(member.columns or {}), it.column: column}))


def _adjusted(
    schema: Schema, best: Candidate, ties: Ties, tables: dict[TableName, ProposedTable]
) -> tuple[dict[TableName, ProposedTable], dict[str, Any], tuple[Finding, ...]]:
    """Return the tables without those that the plan says cannot be sharded and that nothing forces to be."""
    while True:
        settings = _settings(best, tables, ties)
        given = Settings.parse({"password": "-", "tables": json.dumps(settings)}, stack="proposal")
        plan = ShardingPlan.draft(schema, given)
        by_name = {str(name): name for name in schema.tables}
        changed = False
        for finding in plan.errors:
            name = by_name.get(finding.table)
            while name is not None and name not in tables:  # a partition stands for its table
                name = schema.tables[name].parent
            if finding.rule in _UNSHARDABLE and name is not None and _may_be_local(name, ties, tables):
                why = f"{finding.message.removeprefix(f'{name} ').removeprefix(f'{name}: ')}"
                tables = {**tables, name: ProposedTable(name, Kind.LOCAL, "likely", why)}
                changed = True
        if not changed:
            return tables, settings, plan.findings


def _may_be_local(name: TableName, ties: Ties, tables: dict[TableName, ProposedTable]) -> bool:
    """Tell whether no foreign key between the table and a distributed one is in the way; and whether it is sharded at all."""
    ends = [*(tie.child for tie in ties.inward[name]), *(tie.parent for tie in ties.outward[name])]
    others = {end for end in ends if end != name}
    return tables[name].kind != Kind.LOCAL and all(tables[it].kind != Kind.DISTRIBUTED for it in others)


def _settings(best: Candidate, tables: dict[TableName, ProposedTable], ties: Ties) -> dict[str, Any]:
    """Return citus:tables: patterns where they are shorter than a line for each table."""
    settings: dict[str, Any] = {}
    root = str(best.root)
    settings[root] = {"distributeBy": str(ColumnName(best.carriers[best.root].column))}
    distributed = [it for it in tables.values() if it.kind == Kind.DISTRIBUTED and it.name != best.root]
    alike = [it for it in distributed if it.column == best.column]
    excluded = [name for name, column in _with_column(best, ties) if tables[name].kind == Kind.LOCAL]
    if len(alike) >= _FEW + len(excluded):
        settings["*"] = {"distributeBy": str(ColumnName(best.column)), "colocateWith": root}
        settings |= {str(name): False for name in excluded}
    else:
        alike = []
    settings |= {
        str(it.name): {"distributeBy": str(ColumnName(it.column)), "colocateWith": root}
        for it in distributed
        if it not in alike
    }
    copied = [it.name for it in tables.values() if it.kind == Kind.REFERENCE]
    of_schema = Counter(name.schema for name in tables)
    whole = {
        schema for schema, count in Counter(it.schema for it in copied).items() if of_schema[schema] == count >= _FEW
    }
    settings |= {
        f"{str(TableName(schema, 'x')).removesuffix('x')}*": {"reference": True}
        for schema in sorted(whole - {"public"})
    }
    return settings | {str(name): {"reference": True} for name in copied if name.schema not in whole - {"public"}}


def _with_column(best: Candidate, ties: Ties) -> Iterator[tuple[TableName, str]]:
    """Yield the tables that a pattern with the tenant's column applies to."""
    for name, table in ties.tables.items():
        if best.column in (table.columns or {}):
            yield name, best.column


def _shard_count(best: Candidate, statistics: Statistics, tables: dict[TableName, ProposedTable]) -> int:
    """Return 32; fewer for a handful of tenants, more where a shard would be bigger than some gigabytes."""
    if best.values is not None and best.values <= 2 * WORKERS:
        return 2 * WORKERS
    size = sum(
        statistics.tables[it.name].size
        for it in tables.values()
        if it.kind == Kind.DISTRIBUTED and it.name in statistics.tables
    )
    return 128 if size > 2000 * LARGE else 64 if size > 200 * LARGE else 32


def _tenants(best: Candidate) -> tuple[str, ...]:
    """Return the values that have as many rows as half a worker holds, or all where there are no more than workers."""
    few = best.values is not None and best.values <= WORKERS
    return tuple(value for value, share in best.common if few or share >= 0.5 / WORKERS)
