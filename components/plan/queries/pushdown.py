"""Whether Citus can send a query to the shards whole: as a join and subqueries of colocated tables. Pure.

Each function has the rules of one of Citus's, which it names, and raises Refusal with Citus's own reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.names import ColumnName, listed
from components.plan.queries.equivalence import Equivalence, contains_union, is_distribution_column
from components.plan.queries.model import (
    Call,
    Join,
    Query,
    Source,
    SubLink,
    Var,
    any_table,
    expressions,
    is_correlated,
    refers_to,
    tables_within,
    walk,
    within,
)
from components.plan.queries.planning import has_mutable
from components.plan.queries.verdict import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.plan.queries.model import Expr
    from components.plan.queries.planning import Planned

__all__ = [
    "apart",
    "can_push_down",
    "check_local",
    "check_query",
    "check_shards",
    "check_subqueries",
    "check_subquery",
    "is_distributed",
    "on_distribution_column",
    "recurring",
    "target_has_subquery_above_aggregate",
    "union_can_push_down",
    "uses_subquery_pushdown",
]

_MATERIALIZED_ROWS: Final = 100
"""citus.values_materialization_threshold."""


def is_distributed(source: Source) -> bool:
    """Tell whether a source is a distributed table."""
    return source.is_distributed


def recurring(query: Query) -> str:
    """Return what repeats on every shard where a FROM clause has no distributed table; empty where it has one."""
    if not query.sources:
        return "a subquery without FROM"
    if any_table(query.sources, is_distributed):
        return ""
    return _recurring(query.sources)


def _recurring(sources: Iterable[Source]) -> str:  # noqa: PLR0911 - one for each kind
    for source in sources:
        if source.is_reference:
            return "a reference table"
        if source.kind == "function":
            return "a set returning function"
        if source.kind == "result":
            return "a CTE or subquery"
        if source.kind == "values":
            return "VALUES"
        if source.query is not None:
            if not source.query.sources:
                return "a subquery without FROM"
            found = _recurring(source.query.sources)
            if found:
                return found
    return ""


def on_distribution_column(query: Query, exprs: Iterable[Expr]) -> bool:
    """Tell whether one of the expressions is a distribution column (TargetListOnPartitionColumn)."""
    if any(is_distribution_column(expr) for expr in exprs):
        return True
    return not any_table(query.sources, is_distributed)


def windows_are_local(query: Query) -> bool:
    """Tell whether every window has a distribution column in its PARTITION BY (SafeToPushdownWindowFunction)."""
    return all(window and on_distribution_column(query, window) for window in query.windows)


def _needs_merge(query: Query) -> str:  # noqa: PLR0911 - Citus's conditions
    """Return why the rows of a subquery would have to be merged from all shards (DeferErrorIfSubqueryRequiresMerge)."""
    if query.windows and not windows_are_local(query):
        return "a window without the distribution column in PARTITION BY"
    if query.distinct is not None and not on_distribution_column(query, query.distinct):
        return "DISTINCT without the distribution column"
    if query.having is not None and not query.group:
        return "HAVING without GROUP BY"
    if query.has_aggregates and not query.group:
        return "an aggregate without GROUP BY"
    if query.group and not on_distribution_column(query, query.group):
        return "GROUP BY without the distribution column"
    if query.limit is not None:
        return "LIMIT"
    return "OFFSET" if query.offset is not None else ""


def check_subquery(query: Query) -> None:
    """Raise Refusal where a subquery cannot be pushed down as a part of another (DeferErrorIfCannotPushdownSubquery)."""
    reason = _why_not(query)
    if reason:
        raise Refusal(reason)


def can_push_down(query: Query) -> bool:
    """Tell whether a subquery can be pushed down as a part of another."""
    return not _why_not(query)


def _why_not(query: Query) -> str:  # noqa: C901, PLR0911 - Citus's conditions, in its order
    for source in query.joined:
        if source.kind == "values" and source.rows > _MATERIALIZED_ROWS:
            return "VALUES of many rows"
        if source.kind in ("values", "function") and has_mutable(source.arguments):
            return "a function in FROM that is not immutable"
        if source.kind == "cte":
            return "a subquery reads a CTE"
    if not query.sources and has_mutable(target.expr for target in query.targets):
        return "a subquery without FROM calls a function that is not immutable"
    if not is_correlated(query):
        merge = _needs_merge(query)
        if merge:
            return f"a subquery has {merge}"
    union = _why_no_union(query)
    if union:
        return union
    if query.is_recursive:
        return "a subquery is recursive"
    if query.ctes:
        return "a subquery has CTEs"
    if query.for_update:
        return "a subquery has FOR UPDATE"
    if query.grouping_sets:
        return "a subquery has GROUPING SETS, CUBE or ROLLUP"
    return _why_from_recurs(query)


def _why_no_union(query: Query) -> str:
    """Return why a set operation cannot be pushed down (DeferErrorIfUnsupportedUnionQuery)."""
    if query.set_operation is None:
        return ""
    for operation in query.set_operation.operations():
        if operation.kind != "union":
            return "INTERSECT and EXCEPT are not pushed down"
        for side in operation.sides:
            if isinstance(side, Source) and side.query is not None:
                what = recurring(side.query)
                if what:
                    return f"one side of the UNION reads {what} only"
    return ""


def union_can_push_down(query: Query) -> bool:
    """Tell whether nothing but the places of distribution columns could speak against a UNION."""
    return not _why_no_union(query)


def _why_from_recurs(query: Query) -> str:
    """Return why a query with subqueries in its expressions has the wrong FROM (DeferErrorIfFromClauseRecurs)."""
    if not query.sublinks:
        return ""
    what = recurring(query)
    return f"correlated subqueries are not supported when the FROM clause contains {what}" if what else ""


def apart(equivalence: Equivalence, tables: Iterable[Source]) -> tuple[str, str]:
    """Return which distributed tables are not joined by their distribution columns, and what would join them."""
    groups = equivalence.apart(tables)
    if len(groups) < 2:  # noqa: PLR2004
        return "", ""
    one, other = (min(group, key=lambda it: it.alias) for group in groups[:2])
    keys = [f"{_spelled(it)}.{_key(it)}" for it in (one, other)]
    why = f"{_named(one)} and {_named(other)} are not joined by their distribution columns"
    if one.group != other.group:
        remedy = (
            f"distribute both by what joins them (citus:tables.{other.table}.colocateWith: {one.table}), or make the smaller one "
            "a reference table"
        )
        return f"{why}, and are not colocated", remedy
    return why, f"join them by the distribution column too: {keys[1]} = {keys[0]}"


def _key(source: Source) -> str:
    return str(ColumnName(source.columns[source.distribution_column or 0]))


def _spelled(source: Source) -> str:
    return listed([source.alias])


def _named(source: Source) -> str:
    table = str(source.table)
    return table if source.table is not None and source.table.name == source.alias else f"{table} {_spelled(source)}"


def check_subqueries(query: Query, planned: Planned) -> None:
    """Raise Refusal where a query cannot be pushed down with all its subqueries (DeferErrorIfUnsupportedSubqueryPushdown)."""
    equivalence = Equivalence(planned)
    if contains_union(query):
        if not equivalence.union_is_safe(query):
            raise Refusal(
                "not every side of the UNION has the distribution column at the same place",
                "select the distribution column at the same place on each side",
            )
    elif not equivalence.holds(equivalence.tables()):
        why, remedy = apart(equivalence, equivalence.tables())
        raise Refusal(
            f"complex joins are only supported when all distributed tables are co-located and joined on their distribution "
            f"columns{': ' + why if why else ''}",
            remedy,
        )
    reason = _why_from_recurs(query)
    if reason:
        raise Refusal(reason)
    _check_recurring_joins(planned)
    for it in within(query):
        if it is not query:
            check_subquery(it)


def _check_recurring_joins(planned: Planned) -> None:
    """Raise Refusal for a lateral join of a distributed subquery to rows that repeat on every shard."""
    for level in planned.levels:
        kept = find_kept_by_shards(level.query)
        for join in level.joins:
            if join.kind == "left" and join.left <= kept:
                continue
            if join.kind in ("left", "full") and not any_table(list(join.left), is_distributed):
                if any_table(list(join.right), is_distributed):
                    what = _recurring(join.left) or "a subquery"
                    raise Refusal(f"cannot perform a lateral outer join when a distributed subquery references {what}")
            elif join.kind == "full" and not any_table(list(join.right), is_distributed):
                what = _recurring(join.right) or "a subquery"
                raise Refusal(f"cannot perform a lateral outer join when a distributed subquery references {what}")
        repeating = {source for source in level.sources if not any_table([source], is_distributed)}
        for source in level.sources:
            lateral = source.lateral and source.query is not None and source not in repeating
            if lateral and source.query is not None and refers_to(source.query, repeating):
                merge = _needs_merge(source.query)
                if merge:
                    raise Refusal(f"a lateral subquery has {merge}, and refers to rows that repeat on every shard")


def find_kept_by_shards(query: Query) -> set[Source]:
    """Return the reference tables whose rows outer joins with a distributed table keep, each shard its own.

    Citus takes one reference table and one distributed table or subquery, equal in its distribution column, without LATERAL
    (CanPushdownRecurringOuterJoin).
    """
    found = set()
    for join in query.tree:
        if not isinstance(join, Join) or join.kind not in ("left", "right"):
            continue
        kept, other = (join.left, join.right) if join.kind == "left" else (join.right, join.left)
        if not isinstance(kept, Source) or not isinstance(other, Source) or not kept.is_kept_by_shards or other.lateral:
            continue
        for qual in join.quals:
            sides = qual.arguments if isinstance(qual, Call) and qual.name == "=" else []
            own = [it for it in sides if isinstance(it, Var) and it.source is kept]
            if len(own) == 1 and any(isinstance(it, Var) and is_distribution_column(it) for it in sides):
                found.add(kept)
    return found


def check_query(query: Query) -> None:
    """Raise Refusal for what Citus runs on one shard only (DeferErrorIfQueryNotSupported)."""
    one_shard = "filter by the distribution column, so that one shard has all the rows"
    if query.for_update:
        raise Refusal("could not run distributed query with FOR UPDATE/SHARE commands", one_shard)
    if query.set_operation is not None:
        raise Refusal("could not run distributed query with UNION, INTERSECT, or EXCEPT", one_shard)
    if query.is_recursive and query.ctes:
        raise Refusal("could not run distributed query with RECURSIVE", one_shard)
    if query.grouping_sets:
        raise Refusal("could not run distributed query with GROUPING SETS, CUBE, or ROLLUP", one_shard)
    if any(isinstance(it, Call) and it.name == "grouping_func" for expr in expressions(query) for it in walk(expr)):
        raise Refusal("could not run distributed query with GROUPING", one_shard)
    if any(source.kind == "cte" for source in query.joined):
        raise Refusal("could not run distributed query with complex table expressions", one_shard)
    for expr, word in ((query.limit, "LIMIT"), (query.offset, "OFFSET")):
        if expr is not None and any(isinstance(it, SubLink) for it in walk(expr)):
            raise Refusal(f"subquery in {word} is not supported in multi-shard queries", "read the number first")
    for source in tables_within(query.sources):
        check_local(source)


def check_local(source: Source) -> None:
    """Raise Refusal for a table that is on the coordinator alone, in the place of shards."""
    if source.is_local:
        raise Refusal(
            "direct joins between distributed and local tables are not supported",
            f"make {source.table} a reference table, or read it in a subquery of FROM or a CTE",
        )


def check_shards(query: Query) -> None:
    """Raise Refusal where distributed tables of different groups would be read together (ErrorIfUnsupportedShardDistribution)."""
    groups: dict[object, Source] = {}
    for it in within(query):
        for source in it.sources:
            if source.is_distributed:
                groups.setdefault(source.group, source)
    if len(groups) > 1:
        one, other = list(groups.values())[:2]
        raise Refusal(
            f"cannot push down this subquery: {one.table} and {other.table} are not colocated",
            f"citus:tables.{other.table}.colocateWith: {one.table}",
            is_final=True,
        )


def uses_subquery_pushdown(query: Query, planned: Planned) -> bool:
    """Tell which of Citus's two planners takes a query (ShouldUseSubqueryPushDown)."""
    top = planned.top
    if any(source.kind == "subquery" for source in top.sources) or top.remaining:
        return True
    if planned.has_semi_join or planned.has_outer_join:
        return True
    if any(source.kind in ("function", "values", "result") for it in within(query) for source in it.sources):
        return True
    if any(join.kind != "inner" for join in query.joins):
        return True
    return bool(query.windows) and windows_are_local(query)


def target_has_subquery_above_aggregate(query: Query) -> bool:
    """Tell whether the SELECT list has a subquery that is computed after the rows of all shards are together."""
    if query.group and on_distribution_column(query, query.group):
        return False
    alone = query.has_aggregates and not query.group
    if alone and any(isinstance(it, SubLink) for target in query.targets for it in walk(target.expr)):
        return True
    return any(
        any(isinstance(it, SubLink) for it in walk(target.expr))
        and any(isinstance(it, Call) and (it.is_aggregate or it.is_window) for it in walk(target.expr))
        for target in query.targets
    )
