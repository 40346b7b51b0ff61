"""Rules about the queries that the files themselves have: those of views, functions and policies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import postgast

from components.plan.findings import Rule
from components.plan.queries import Outcome, judge
from components.plan.queries.bodies import UnreadableError, body_text, read_body
from components.schema.parse_tree import nodes
from components.tables import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.names import TableName
    from components.plan.findings import Finding
    from components.plan.layout import Layout
    from components.plan.queries import Verdict
    from components.schema.relations import OtherRelation, Position, Routine

__all__ = ["check_queries"]


QUERY_REFUSED: Final = Rule(
    "query-refused",
    "warning",
    what="A view, a function or a policy has a query that Citus refuses once its tables are sharded.",
    why="It is created all the same, and fails when it is used.",
    remedy="As the finding says: mostly, join by the distribution columns, or filter by one.",
    source="distributed_planner",
)

QUERY_REPARTITION: Final = Rule(
    "query-repartition",
    "warning",
    what="A view, a function or a policy joins distributed tables by other columns than their distribution columns.",
    why="Citus refuses it unless citus.enable_repartition_joins is on; then rows move between the workers each time, which takes "
    "seconds.",
    remedy="Join by the distribution columns too, or make one of the tables a reference table.",
    source="CreatePhysicalDistributedPlan",
)

QUERY_UNREAD: Final = Rule(
    "query-unread",
    "warning",
    what="Views and functions that name sharded tables have queries that were not judged.",
    why="They are put together when they run (EXECUTE), or name what no file creates.",
    remedy="Try them on a cluster before you rely on them.",
    source="components.plan.queries",
)

VIEW_ON_COORDINATOR: Final = Rule(
    "view-on-coordinator",
    "warning",
    what="A view groups by the primary key of a table, and shows other columns of it.",
    why="It depends on the key then. Citus does not create such a view on the workers: the coordinator alone has it.",
    remedy="Group by every column that the view shows.",
    source="ErrorOrWarnIfObjectHasUnsupportedDependency",
)

TABLE_FUNCTION: Final = Rule(
    "table-function",
    "warning",
    what="A function in SQL that is STABLE or IMMUTABLE returns rows of a sharded table.",
    why="PostgreSQL puts its query in the place of the call after Citus has looked at the statement. Citus refuses that.",
    remedy="Make it VOLATILE, or write it in plpgsql.",
    source="distributed_planner",
)


_LISTED: Final = 10
"""How many of those that were not judged are named."""


def check_queries(layout: Layout) -> Iterator[Finding]:
    """Find what will not run of the queries that read or write sharded tables; others are not looked at."""
    names = {
        member.name.name
        for name, settings in layout.settings.items()
        if name in layout.schema.tables
        for member in layout.schema.family(name)
        if settings.reference or settings.distribute_by
    }
    names |= {member.name.name for name in layout.single_shard for member in layout.schema.family(name)}
    if not layout.single_shard and not any(settings.distribute_by for settings in layout.settings.values()):
        return
    unread: list[tuple[Position, str]] = []
    for name, view in layout.schema.others.items():
        if view.query is not None and _mentions(view.query, names):
            names.add(name.name)
            yield from _check_view(layout, name, view, unread)
    words = re.compile(r"\w+")
    for routine in [it for known in layout.schema.routines.values() for it in known.values()]:
        if not names.isdisjoint(words.findall(body_text(routine))):
            yield from _check_routine(layout, routine, unread)
    yield from _check_policies(layout, names)
    if unread:
        listed = list(dict.fromkeys(what for _, what in unread))
        said = ", ".join(listed[:_LISTED]) + (f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else "")
        message = f"not judged, whole or in part: {said}"
        yield QUERY_UNREAD.finding(None, message, "try them on a cluster before you rely on them", at=unread[0][0])


def _mentions(query: Any, names: set[str]) -> bool:
    return any(relation.relname in names for relation in nodes(query, "range_var"))


def _check_view(
    layout: Layout, name: TableName, view: OtherRelation, unread: list[tuple[Position, str]]
) -> Iterator[Finding]:
    what = f"the {view.kind} {name}"
    is_stored = view.kind == "materialized view"
    verdict = judge(view.query if is_stored else _reading(name), layout, search_path=view.search_path)
    if verdict.outcome == Outcome.NOT_JUDGED:
        unread.append((view.at, f"{what} ({verdict.why})"))
    use = f"is refused when it is {'refreshed' if is_stored else 'read'}"
    yield from _found(verdict, f"{what} {use}", name, view.at)
    sharded = sorted(key for key in view.keys if layout.kind(key) not in (Kind.LOCAL, Kind.SINGLE_SHARD))
    if sharded and view.kind == "view":
        message = f"{what} groups by the primary key of {sharded[0]}: Citus keeps it on the coordinator alone"
        yield VIEW_ON_COORDINATOR.finding(name, message, "group by every column that it shows", at=view.at)


def _check_routine(layout: Layout, routine: Routine, unread: list[tuple[Position, str]]) -> Iterator[Finding]:
    what, touches = f"the function {routine.name}", False
    try:
        for statement in read_body(routine):
            verdict = judge(
                statement.tree,
                layout,
                search_path=routine.search_path,
                parameters=statement.parameters,
                in_sql_function=statement.in_sql_function,
            )
            touches = touches or any(layout.kind(it) != Kind.LOCAL for it in verdict.tables)
            if verdict.outcome == Outcome.NOT_JUDGED:
                unread.append((statement.at, f"{what} ({verdict.why})"))
            yield from _found(verdict, f"a query of {what} is refused", routine.name, statement.at)
    except UnreadableError:
        unread.append((routine.at, what))
    if touches and routine.language == "sql" and routine.returns_set and routine.volatility != "v":
        message = f"{what} cannot be called in FROM: it is in SQL, not VOLATILE, and reads a sharded table"
        yield TABLE_FUNCTION.finding(routine.name, message, "make it VOLATILE, or write it in plpgsql", at=routine.at)


def _check_policies(layout: Layout, names: set[str]) -> Iterator[Finding]:
    """Check policies of tables that are not sharded: a subquery of a sharded table's policy is an error by itself."""
    for table in layout.schema.tables.values():
        for policy in table.policies if layout.kind(table.name) == Kind.LOCAL else ():
            if not policy.subquery or policy.tree is None or not _mentions(policy.tree, names):
                continue
            query = _reading(table.name)
            checked = policy.tree.qual if policy.tree.HasField("qual") else policy.tree.with_check
            query.select_stmt.where_clause.CopyFrom(checked)
            what = f"a query of {table.name} is refused by its policy {policy.name}"
            yield from _found(judge(query, layout), what, table.name, policy.at)


def _reading(name: TableName) -> Any:
    """Return the parse tree of a query that reads all of a relation."""
    query = postgast.parse("select * from t").stmts[0].stmt
    read = query.select_stmt.from_clause[0].range_var
    read.schemaname, read.relname = name.schema, name.name
    return query


def _found(verdict: Verdict, what: str, name: TableName, at: Position) -> Iterator[Finding]:
    if verdict.outcome == Outcome.REFUSED:
        yield QUERY_REFUSED.finding(name, f"{what}: {verdict.why}", verdict.remedy, at=at)
    elif verdict.outcome == Outcome.REPARTITION:
        yield QUERY_REPARTITION.finding(name, f"{what}: {verdict.why}", verdict.remedy, at=at)
