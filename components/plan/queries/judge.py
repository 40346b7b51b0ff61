"""Says how Citus runs a statement: the ways that its planner tries, in its order (distributed_planner.c). Pure."""

from __future__ import annotations

import copy
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.names import SchemaName
from components.plan.queries.binding import bind
from components.plan.queries.catalog import Catalog
from components.plan.queries.equivalence import Equivalence
from components.plan.queries.joining import Rule, join_rules
from components.plan.queries.model import (
    Call,
    Query,
    Source,
    Target,
    Var,
    tables_of,
    walk,
    within,
)
from components.plan.queries.modifying import (
    check_conflict,
    check_cte_that_writes,
    check_merge,
    check_modify,
    check_multi_shard,
    check_reference_target,
    insert_columns,
    insert_is_pushable,
    insert_values,
    merge_is_pushable,
    merge_source_query,
)
from components.plan.queries.parameters import forget_parameters, has_parameters, is_fast_path
from components.plan.queries.planning import NO_VALUE, Planned, can_inline, plan
from components.plan.queries.pushdown import (
    apart,
    check_local,
    check_query,
    check_shards,
    check_subqueries,
    target_has_subquery_above_aggregate,
    uses_subquery_pushdown,
)
from components.plan.queries.recursion import run_steps
from components.plan.queries.verdict import Outcome, Refusal, Undecided, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.plan.layout import Layout

__all__ = ["judge"]

_ORDER = list(Outcome)


def judge(
    statement: Any,
    layout: Layout,
    *,
    search_path: Iterable[str] = ("public",),
    parameters: Iterable[str] = (),
    in_sql_function: bool = False,
) -> Verdict:
    """Return how Citus runs a statement, given as the parse tree's Node (`postgast.parse(text).stmts[0].stmt`).

    Args:
        statement: SELECT, INSERT, UPDATE, DELETE or MERGE; anything else is not judged.
        layout: the schema's tables with the settings that apply to them.
        search_path: schemas in which names are looked up; `public` comes last.
        parameters: names that stand for values, as the arguments of a function; `$1` needs no name.
        in_sql_function: whether it is planned before its parameters have values, as in a function in SQL.
    """
    try:
        query = bind(statement, Catalog(layout, search_path), parameters)
    except Undecided as reason:
        return Verdict(Outcome.NOT_JUDGED, str(reason))
    tables = frozenset(it.table for it in tables_of(query) if it.table is not None and it.table in layout.schema.tables)
    try:
        result = _run_unbound(query) if in_sql_function and has_parameters(query) else _run(query)
    except Refusal as reason:
        return Verdict(Outcome.REFUSED, reason.why, reason.remedy, tables=tables)
    except RecursionError:
        return Verdict(Outcome.NOT_JUDGED, "it is nested too deeply", tables=tables)
    return Verdict(result.outcome, result.why, result.remedy, result.steps, tables)


@dataclass
class _Result:
    """How a query runs."""

    outcome: Outcome
    why: str
    remedy: str = ""
    steps: int = 0

    def after(self, steps: list[_Result]) -> _Result:
        """Return how the query runs with the parts that run before it."""
        worst = max([*steps, self], key=lambda it: _ORDER.index(it.outcome))
        count = len(steps) + self.steps + sum(it.steps for it in steps)
        if not steps or worst.outcome == Outcome.REPARTITION:
            return worst
        rows = "part" if count == 1 else "parts"
        return _Result(
            worst.outcome,
            f"{worst.why}; {count} {rows} of it run first, and their rows are sent to every node",
            worst.remedy,
            count,
        )


def _run(query: Query) -> _Result:
    """Return how a whole statement runs, with its CTEs inlined where that works (CreateDistributedPlannedStmt)."""
    if not any(table.is_in_metadata for table in tables_of(query)):
        return _Result(Outcome.LOCAL, "reads and writes no sharded table")
    if _has_inlinable(query):
        first = copy.deepcopy(query)
        for it in list(within(first)):
            _inline(it)
        try:
            result = _run_distributed(first)
        except Refusal:
            result = None
        if result is not None and result.outcome != Outcome.REPARTITION:
            return result
        try:
            return _run_distributed(query)
        except Refusal:
            if result is None:
                raise
            return result
    return _run_distributed(query)


def _run_unbound(query: Query) -> _Result:
    """Return how a statement runs whose parameters have no values when it is planned (hasUnresolvedParams)."""
    if not any(table.is_in_metadata for table in tables_of(query)) or is_fast_path(query):
        return _run(query)
    bound = copy.deepcopy(query)
    forget_parameters(query)
    if query.command in ("update", "delete"):
        with suppress(Refusal):  # a step that would have to run first needs the values
            return _modify(query, plan(query))
    first = copy.deepcopy(query)
    for it in list(within(first)):
        _inline(it)
    if query.command == "select":
        found = _router(first, plan(first)) or _router(query, plan(query))
        if found is not None:
            return found
    result = _run(bound)  # what is refused with values too has a better reason
    if result.outcome == Outcome.REPARTITION:
        return result
    raise Refusal(
        "could not create distributed plan: a function in SQL has no values for its parameters when Citus plans its queries, "
        "unless they read one table by its distribution column",
        "write the function in plpgsql",
    )


def _has_inlinable(query: Query) -> bool:
    return any(_inlinable(it) for it in within(query))


def _inlinable(query: Query) -> list[Any]:
    if query.command != "select":
        return []
    return [cte for cte in query.ctes if can_inline(cte)]


def _inline(query: Query) -> None:
    for cte in _inlinable(query):
        for number, reference in enumerate(cte.references):
            reference.kind = "subquery"
            reference.query = cte.query if number == 0 else copy.deepcopy(cte.query)
        query.ctes.remove(cte)


def _run_distributed(query: Query, *, again: bool = False) -> _Result:
    """Try one way after the other (CreateDistributedPlan)."""
    planned = plan(query)
    steps: list[_Result] = []
    had_ctes = bool(query.ctes)
    refusal: Refusal | None = None
    found: _Result | None = None
    try:
        found = _first_way(query, planned)
    except Refusal as reason:
        if query.command in ("insert", "merge") or reason.is_final:
            raise
        refusal = reason
    if found is not None:
        return found
    if planned.has_unseen_outer_join and query.command == "select":
        raise Refusal(
            "Distributed queries with outer joins and pseudoconstant quals are not supported in PG14, PG15 and PG16",
            "take the condition that has no column out of the query",
        )
    count = run_steps(query, planned, lambda part: steps.append(_run(part)))
    if count or had_ctes:
        if again:
            raise Refusal(
                "recursive complex joins are only supported when all distributed tables are co-located and joined on their "
                "distribution columns"
            )
        return _run_distributed(query, again=True).after(steps)
    if refusal is not None and query.command != "select":
        raise refusal
    return _logical(query, planned)


def _first_way(query: Query, planned: Planned) -> _Result | None:
    match query.command:
        case "select":
            return _router(query, planned)
        case "insert":
            return _insert(query, planned)
        case "merge":
            return _merge(query, planned)
    return _modify(query, planned)


# --- one shard ----------------------------------------------------------------------------------------------------------


def _single_value(planned: Planned) -> str | None:
    """Return the value that all distribution columns are equal to; None where they may differ."""
    values: set[str] = set()
    groups = set()
    for table in planned.tables:
        if not table.is_distributed:
            continue
        found = planned.values(table)
        if found is None or len(found) > 1:
            return None
        values |= found
        groups.add(table.group)
    values.discard(NO_VALUE)
    if len(values) > 1 or len(groups) > 1:
        return None
    return next(iter(values), NO_VALUE)


def _router(query: Query, planned: Planned) -> _Result | None:  # noqa: C901, PLR0911 - Citus's conditions, in its order
    """Return how a query runs that one shard can answer whole (CreateRouterPlan)."""
    tables = list(tables_of(query))
    distributed = [table for table in tables if table.is_distributed]
    if distributed and any(table.is_local for table in tables):
        return None
    in_metadata = distributed or any(table.is_reference for table in tables)
    calls = [it for target in query.targets for it in walk(target.expr) if isinstance(it, Call)]
    if in_metadata and not _is_of_schemas(distributed) and any(it.name == "nextval" for it in calls):
        return None
    if any(cte.has_search for it in within(query) for cte in it.ctes):
        return None
    for cte in query.ctes:
        if cte.query.command == "select":
            continue
        target = cte.query.target
        if cte.query.command not in ("update", "delete") or target is None or not target.is_distributed:
            return None
        try:
            check_cte_that_writes(cte.query)
        except Refusal:
            return None
    value = _single_value(planned)
    if value is None:
        return None
    if distributed and value == NO_VALUE:
        return _Result(Outcome.LOCAL, "no row can match, so no shard is read")
    if not distributed:
        what = "reference tables" if any(table.is_reference for table in tables) else "tables of the coordinator"
        return _Result(Outcome.LOCAL, f"reads no distributed table, but {what}")
    return _Result(Outcome.SINGLE_SHARD, _filtered(distributed))


def _filtered(tables: list[Source]) -> str:
    if _is_of_schemas(tables):
        return f"all its tables are together, in the distributed schema {_schema_of(tables[0])}"
    names = dict.fromkeys(f"{table.table}.{table.columns[table.distribution_column or 0]}" for table in tables)
    shown = ", ".join(list(names)[:3])
    return f"the distribution column has one value ({shown})"


def _is_of_schemas(tables: list[Source]) -> bool:
    return bool(tables) and all(table.is_single_shard for table in tables)


def _spans(target: Source) -> Outcome:
    """Return what rows that come from elsewhere are written to."""
    return Outcome.SINGLE_SHARD if target.is_single_shard else Outcome.ALL_SHARDS


def _schema_of(table: Source) -> str:
    return str(SchemaName(table.group.schema if table.group else ""))


# --- several shards -----------------------------------------------------------------------------------------------------


def _logical(query: Query, planned: Planned) -> _Result:
    """Return how a query runs on several shards (MultiLogicalPlanCreate)."""
    check_query(query)
    if uses_subquery_pushdown(query, planned):
        check_subqueries(query, planned)
        check_shards(query)
        if target_has_subquery_above_aggregate(query):
            raise Refusal(
                "cannot push down subquery on the target list: it would be computed after the aggregate",
                "put the aggregate into a subquery of FROM, or the subquery into a join",
            )
        return _spread(query, planned)
    for source in planned.top.sources:
        check_local(source)
    equivalence = Equivalence(planned)
    why, remedy = apart(equivalence, equivalence.tables())
    try:
        rules = join_rules(planned.top)
    except Refusal as reason:
        raise Refusal(reason.why, remedy) from None
    if Rule.CARTESIAN in rules:
        raise Refusal(
            "cannot perform distributed planning on this query: Cartesian products are currently unsupported",
            remedy or "join the tables by their distribution columns",
        )
    if Rule.DUAL_REPARTITION in rules:
        return _Result(
            Outcome.REPARTITION,
            f"the query contains a join that requires repartitioning{': ' + why if why else ''}",
            remedy or "compare the distribution columns with each other, not with a third column",
        )
    return _spread(query, planned)


def _spread(query: Query, planned: Planned) -> _Result:
    tables = [table for table in planned.tables if table.is_distributed]
    merged = "; the coordinator puts the results together" if query.has_aggregates or query.group or query.order else ""
    inner = {source for level in planned.levels for join in level.joins if join.kind == "left" for source in join.right}
    values = [planned.values(table) for table in tables if table not in inner]
    known = [it for it in values if it is not None]
    if values and len(known) == len(values) and len(set().union(*known)) == 1:
        return _Result(Outcome.SINGLE_SHARD, _filtered(tables))
    if not tables:
        return _Result(Outcome.LOCAL, "what is left reads no distributed table")
    names = list(dict.fromkeys(str(table.table) for table in tables))
    joined = "joined by their distribution columns, " if len(tables) > 1 else ""
    column = next((it for it in tables if it.distribution_column is not None), None)
    key = f"{column.table}.{column.columns[column.distribution_column or 0]}" if column else ""
    return _Result(
        Outcome.ALL_SHARDS,
        f"{', '.join(names[:4])}: {joined}read on every shard at once{merged}",
        f"where the value is known, filter by it: {key} = …" if key else "",
    )


# --- statements that write ----------------------------------------------------------------------------------------------


def _modify(query: Query, planned: Planned) -> _Result:
    target = query.target
    if target is None:
        raise Refusal("cannot modify views when the query contains citus tables", "write to the table itself")
    check_modify(query, planned)
    values = [planned.values(table) for table in planned.tables if table.is_distributed]
    if any(it is None or len(it) > 1 for it in values):
        check_multi_shard(query, planned)
        check_shards(query)
        return _written(query, Outcome.ALL_SHARDS)
    if _single_value(planned) is None:
        raise Refusal("router planner does not support queries that reference non-colocated distributed tables")
    if target.is_reference:
        check_reference_target(query, target)
    tables = list(tables_of(query))
    if any(it.is_distributed for it in tables) and any(it.is_local and not it.is_in_metadata for it in tables):
        raise Refusal("found no worker with all shard placements")
    if target.is_distributed:
        return _Result(Outcome.SINGLE_SHARD, _filtered([target]))
    return _written(query, Outcome.LOCAL)


def _written(query: Query, outcome: Outcome) -> _Result:
    target = query.target
    if target is None or outcome == Outcome.ALL_SHARDS:
        name = target.table if target else ""
        key = (
            f"{name}.{target.columns[target.distribution_column]}"
            if target and target.distribution_column is not None
            else ""
        )
        remedy = f"where the value is known, filter by it: {key} = …" if key else ""
        return _Result(
            Outcome.ALL_SHARDS, f"writes to every shard of {name}, in one transaction over all workers", remedy
        )
    what = "the reference table" if target.is_reference else "the table of the coordinator"
    where = ", on every node" if target.is_reference else ""
    return _Result(Outcome.LOCAL, f"writes to {what} {target.table}{where}")


def _insert(query: Query, planned: Planned) -> _Result | None:  # noqa: PLR0911 - one for each way
    target = query.target
    if target is None or query.targets_view:
        raise Refusal("cannot modify views when the query contains citus tables", "insert into the table itself")
    check_conflict(query)
    if query.select is None:
        return _insert_rows(query, planned, target)
    inner = query.select.query or Query()
    if not target.is_in_metadata:
        part = _with_ctes(query, inner)
        found = _run(part)
        return _Result(
            found.outcome, f"{found.why}; the rows go to {target.table} on the coordinator", found.remedy, found.steps
        )
    why = insert_is_pushable(query, target, lambda it, its: _router(it, its) is not None)
    if not why:
        single = _single_value(plan(inner))
        if target.is_distributed and single is None:
            return _Result(Outcome.ALL_SHARDS, f"each shard of {target.table} gets its rows from the shard beside it")
        if target.is_distributed:
            return _Result(
                Outcome.SINGLE_SHARD, _filtered([it for it in tables_of(inner) if it.is_distributed] or [target])
            )
        return _written(query, Outcome.LOCAL)
    found = _run(_with_ctes(query, inner))
    if found.outcome == Outcome.REPARTITION:
        return found
    insert_columns(query, target)
    outcome = max(found.outcome, _spans(target), key=_ORDER.index) if target.is_distributed else found.outcome
    how = (
        "the rows move between the shards or by the coordinator"
        if target.is_distributed
        else "the rows go by the coordinator"
    )
    return _Result(outcome, f"{how}: {why}", found.remedy if found.outcome == Outcome.REFUSED else "", found.steps)


def _with_ctes(query: Query, inner: Query) -> Query:
    part = copy.copy(inner)
    if query.ctes or inner.set_operation is not None:
        source = Source("subquery", "subquery", [it.name for it in inner.targets], query=inner)
        part = Query(tree=[source], targets=[Target(it.name, Var(source, n)) for n, it in enumerate(inner.targets)])
        part.ctes, part.is_recursive = list(query.ctes), query.is_recursive
    return part


def _insert_rows(query: Query, planned: Planned, target: Source) -> _Result:
    if query.sublinks:
        raise Refusal("subqueries are not supported within INSERT queries", "write it as INSERT … SELECT")
    if query.ctes:
        raise Refusal(
            "Router planner doesn't support common table expressions with INSERT queries", "write it as INSERT … SELECT"
        )
    check_modify(query, planned)
    if not target.is_distributed:
        return _written(query, Outcome.LOCAL)
    values = insert_values(query, target)
    if len(values) == 1:
        return _Result(Outcome.SINGLE_SHARD, _filtered([target]))
    return _Result(
        Outcome.ALL_SHARDS,
        f"{len(values)} values of the distribution column of {target.table}: a row goes to the shard of its value",
    )


def _merge(query: Query, planned: Planned) -> _Result | None:
    target = query.target
    if target is None:
        raise Refusal("cannot modify views when the query contains citus tables")
    check_merge(query, target)
    why = merge_is_pushable(query, target, planned)
    if not why:
        single = _single_value(planned)
        if target.is_distributed and single is None:
            return _Result(Outcome.ALL_SHARDS, f"each shard of {target.table} is merged with the shard beside it")
        if target.is_distributed:
            return _Result(Outcome.SINGLE_SHARD, _filtered([target]))
        return _written(query, Outcome.LOCAL)
    found = _run(merge_source_query(query, target))
    outcome = max(found.outcome, _spans(target), key=_ORDER.index)
    return _Result(outcome, f"the source's rows move between the shards first: {why}", "", found.steps)
