"""What Citus refuses of statements that write (multi_router_planner.c, insert_select_planner.c, merge_planner.c). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.names import ColumnName
from components.plan.queries.equivalence import Equivalence, contains_union, is_distribution_column, origin
from components.plan.queries.model import (
    WHOLE_ROW,
    Call,
    Const,
    Expr,
    Join,
    Query,
    Source,
    SubLink,
    Target,
    Var,
    any_table,
    expressions,
    key_of,
    tables_of,
    walk,
    within,
)
from components.plan.queries.planning import Planned, calls, constant_of, has_mutable, has_volatile, plan
from components.plan.queries.pushdown import check_subqueries, check_subquery
from components.plan.queries.verdict import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "check_conflict",
    "check_cte_that_writes",
    "check_merge",
    "check_modify",
    "check_multi_shard",
    "check_reference_target",
    "insert_columns",
    "insert_is_pushable",
    "insert_values",
    "merge_is_pushable",
    "merge_source_query",
]


def check_modify(query: Query, planned: Planned) -> None:
    """Raise Refusal for what no UPDATE, DELETE or INSERT of a row may have (ModifyQuerySupported)."""
    target = query.target
    _check_ctes(query)
    _check_functions(query)
    everything = [expr for it in within(query) for expr in expressions(it)]
    if query.command != "insert" and has_volatile(everything):
        raise Refusal(
            "functions used in UPDATE queries on distributed tables must not be VOLATILE",
            "compute the value first, and write it as a constant",
        )
    if query.command == "insert" or target is None:
        return
    if any(table.is_stored_view for table in tables_of(query)):
        raise Refusal("materialized views in modify queries are not supported", "put its rows into a CTE")
    reads_result = any(it.kind == "result" for part in within(query) for it in part.sources)
    if reads_result and any(isinstance(it, Var) and it.index < WHOLE_ROW for qual in query.where for it in walk(qual)):
        raise Refusal(
            "Recursively planned distributed modifications with ctid on where clause are not supported",
            "select the key instead",
        )
    joined = planned.top.sources
    local = [it for it in joined if it.kind == "table" and it.is_local]
    if local and any(any_table([it], lambda table: table.is_distributed or table.is_reference) for it in joined):
        raise Refusal(f"relation {local[0].table} is not distributed", "make it a reference table")


def _check_ctes(query: Query) -> None:
    for cte in query.ctes:
        if query.command == "insert":
            raise Refusal("Router planner doesn't support common table expressions with INSERT queries")
        if cte.query.command == "insert":
            raise Refusal("Router planner doesn't support INSERT common table expressions.")
        if has_volatile(expr for it in within(cte.query) for expr in expressions(it)):
            raise Refusal("Router planner doesn't support VOLATILE functions in common table expressions.")
        if cte.has_search:
            raise Refusal("CTEs with search clauses are not supported")


def check_reference_target(query: Query, target: Source) -> None:
    """Raise Refusal where a reference table is changed by others, which its task would not find (SelectsFromDistributedTable)."""
    for source in (it for part in within(query) for it in part.sources):
        local = source.table if source.is_local and not source.is_in_metadata else source.replaced
        if local is not None and not source.is_stored_view:
            raise Refusal(f"relation {local} is not distributed", "read the local table in a CTE", is_final=True)
        if source.is_distributed and source is not target:
            raise Refusal(
                "cannot perform select on a distributed table and modify a reference table",
                "read the distributed table in a CTE",
                is_final=True,
            )


def check_cte_that_writes(query: Query) -> None:
    """Raise Refusal for what a CTE that writes may not have (ModifyPartialQuerySupported)."""
    _check_ctes(query)
    _check_functions(query)


def _check_functions(query: Query) -> None:
    """Raise Refusal for functions whose result may differ between nodes (TargetlistAndFunctionsSupported)."""
    target = query.target
    if query.command == "update" and target is not None:
        for entry in query.targets:
            if has_volatile([entry.expr]):
                raise Refusal(
                    "functions used in UPDATE queries on distributed tables must not be VOLATILE",
                    "compute the value first, and write it as a constant",
                )
            if _changes_key(entry, target, query.where):
                raise Refusal(
                    "modifying the partition value of rows is not allowed",
                    "delete the row, and insert it with the new value",
                )
            _check_stable([entry.expr])
    if query.where and has_volatile(query.where):
        raise Refusal(
            "functions used in the WHERE/ON/WHEN clause of modification queries on distributed tables must not be VOLATILE",
            "compute the value first, and write it as a constant",
        )
    _check_stable(query.where)
    if has_mutable(query.returning):
        raise Refusal(
            "non-IMMUTABLE functions are not allowed in the RETURNING clause",
            "return the columns, and call the function outside",
        )
    if query.targets_cursor:
        raise Refusal("cannot run DML queries with cursors", "filter by the key")


def _check_stable(exprs: Iterable[Expr], *, declared: bool = False) -> None:
    """Raise Refusal where a stable function has a column, or stands in CASE or COALESCE (MasterIrreducibleExpression).

    A statement for several shards is checked before PostgreSQL inlines functions: as they are declared.
    """
    for expr in exprs:
        for it in walk(expr):
            if not isinstance(it, Call):
                continue
            inner = [call.declared if declared else call.volatility for call in calls(it.arguments)]
            if it.name in ("case", "coalesce") and it.kind == "other" and set(inner) - {"i"}:
                raise Refusal(
                    "non-IMMUTABLE functions are not allowed in CASE or COALESCE statements", "compute the value first"
                )
            if (it.declared if declared else it.volatility) == "s" and any(isinstance(part, Var) for part in walk(it)):
                raise Refusal(
                    "STABLE functions used in UPDATE queries cannot be called with column references",
                    "compute the value first",
                )


def _changes_key(entry: Target, target: Source, where: Iterable[Expr]) -> bool:
    """Tell whether SET gives the distribution column another value (TargetEntryChangesValue)."""
    column = target.distribution_column
    if column is None or entry.name != target.columns[column]:
        return False
    value = entry.expr
    if isinstance(value, Var) and value.source is target and value.index == column:
        return False
    own = ("column", id(target), column)
    if isinstance(value, Var | Const):
        for qual in where:
            if isinstance(qual, Call) and qual.name == "=" and qual.kind == "operator":
                keys = [key_of(it) for it in qual.arguments]
                same = any(
                    isinstance(it, Const) and isinstance(value, Const) and constant_of(it) == constant_of(value)
                    for it in qual.arguments
                )
                if own in keys and (key_of(value) in keys or same):
                    return False
    return True


def check_conflict(query: Query) -> None:
    """Raise Refusal for what ON CONFLICT may not do (ErrorIfOnConflictNotSupported)."""
    target = query.target
    for entry in query.conflict:
        column = target.distribution_column if target is not None else None
        is_key = target is not None and column is not None and entry.name == target.columns[column]
        if is_key:
            if not (isinstance(entry.expr, Var) and entry.expr.index == column):
                raise Refusal("modifying the partition value of rows is not allowed", "leave it out of DO UPDATE SET")
        elif not isinstance(entry.expr, Var) and has_mutable([entry.expr]):
            raise Refusal(
                "functions used in the DO UPDATE SET clause of INSERTs on distributed tables must be marked IMMUTABLE",
                "insert the value into the column, and set it from excluded",
            )
    if has_mutable(query.conflict_where):
        raise Refusal(
            "functions used in the WHERE clause of the ON CONFLICT clause of INSERTs on distributed tables must be marked "
            "IMMUTABLE"
        )


def check_multi_shard(query: Query, planned: Planned) -> None:
    """Raise Refusal for UPDATE and DELETE that reach several shards (MultiShardUpdateDeleteSupported)."""
    target = query.target
    if any(cte.query.command != "select" for cte in query.ctes):
        raise Refusal(
            "Router planner doesn't support non-select common table expressions with multi shard queries.",
            "run them one after the other",
        )
    exprs = [*query.where, *(entry.expr for entry in query.targets)] if query.command == "update" else query.where
    _check_stable(exprs, declared=True)
    if any(call.declared == "v" for call in calls(expr for it in within(query) for expr in expressions(it))):
        raise Refusal(
            "functions used in UPDATE queries on distributed tables must not be VOLATILE",
            "compute the value first, and write it as a constant",
        )
    if any(join.merges for join in query.joins):
        raise Refusal("a join with USING causes an internal naming conflict, use ON instead", "join with ON")
    if target is not None and target.is_reference:
        raise Refusal(
            "only reference tables may be queried when targeting a reference table with multi shard UPDATE/DELETE queries with "
            "multiple tables",
            "put the distributed table into a CTE",
        )
    check_subqueries(query, planned)


# --- INSERT -------------------------------------------------------------------------------------------------------------


def insert_values(query: Query, target: Source) -> set[str]:
    """Return the values of the distribution column that INSERT … VALUES gives; the text of an expression is a value too.

    Raises:
        Refusal: a row has none.
    """
    if target.distribution_column is None:
        return {f"all of {target.group}"}
    column = target.columns[target.distribution_column]
    index = next((number for number, it in enumerate(query.targets) if it.name == column), None)
    name = ColumnName(column)
    if index is None and column in target.defaults:
        return {f"default of row {number}" for number in range(len(query.values or [[]]))}
    if index is None:
        raise Refusal("cannot perform an INSERT without a partition column value", f"give {name} in every insert")
    found = set()
    for row in query.values or []:
        value = row[index] if index < len(row) else Const("", "null")
        if isinstance(value, Const) and value.kind == "null":
            raise Refusal("cannot perform an INSERT with NULL in the partition column", f"give {name} a value")
        is_default = isinstance(value, Call) and value.name == "default" and value.kind == "other"
        if is_default and column not in target.defaults:
            raise Refusal("cannot perform an INSERT without a partition column value", f"give {name} in every insert")
        found.add(constant_of(value) or f"expression {id(value)}")
    return found


def insert_columns(query: Query, target: Source) -> None:
    """Raise Refusal where INSERT … SELECT names no distribution column, though that has no default."""
    if target.distribution_column is None:
        return
    column = target.columns[target.distribution_column]
    if column not in {it.name for it in query.targets} | target.defaults:
        raise Refusal(
            "the partition column of the target table must have a value", f"give {ColumnName(column)} in every insert"
        )


def insert_is_pushable(  # noqa: C901, PLR0911, PLR0912 - Citus's conditions, in its order
    query: Query, target: Source, routes: Callable[[Query, Planned], bool]
) -> str:
    """Return why INSERT … SELECT does not run shard by shard; empty where it does (DistributedInsertSelectSupported)."""
    select = query.select
    inner = select.query if select is not None else None
    if inner is None:
        return "it has no SELECT"
    tables = list(tables_of(inner))
    if not any(table.is_in_metadata for table in tables):
        return "it selects from no sharded table"
    has_distributed = any(table.is_distributed for table in tables)
    if any(table.is_local for table in tables):
        return "it selects from a local table"
    if has_distributed and not target.is_distributed and not target.is_reference:
        return "the target is a local table"
    given = {entry.name for entry in query.targets}
    if target.volatile_defaults - given or has_volatile(expr for it in within(query) for expr in expressions(it)):
        return "it calls a volatile function, or a default does"
    planned_select = plan(inner)
    is_routed = routes(inner, planned_select)
    if not is_routed:
        try:
            check_subqueries(inner, planned_select)
            check_subquery(inner)
        except Refusal as reason:
            return reason.why
    if target.is_reference:
        if has_distributed:
            return "the target is a reference table"
    elif target.is_distributed and not target.is_single_shard:
        why = _key_does_not_match(query, target)
        if why:
            return why
    groups = {table.group for table in [*tables, target] if table.is_distributed}
    if len(groups) > 1:
        return "the tables are not colocated"
    equivalence = Equivalence(planned_select)
    inner_tables = equivalence.tables()
    if is_routed or inner.ctes or query.ctes:
        return "" if is_routed and not query.ctes else "it has CTEs"
    if equivalence.holds(inner_tables):
        return ""
    if inner.set_operation is not None or contains_union(inner):
        return "" if equivalence.union_is_safe(inner) else "the UNION has the distribution column at different places"
    return "the tables are not joined by their distribution columns"


def _key_does_not_match(query: Query, target: Source) -> str:
    """Return why the target's distribution column does not come from that of the source (InsertPartitionColumnMatchesSelect)."""
    column = target.columns[target.distribution_column or 0]
    for entry in query.targets:
        if entry.name != column or not isinstance(entry.expr, Var) or entry.expr.source.query is None:
            continue
        expr = entry.expr.source.query.targets[entry.expr.index].expr
        found = origin(expr)
        if found is not None:
            table, index = found
            own = target.types[target.distribution_column or 0]
            if index < len(table.types) and table.types[index] != own:
                return f"{ColumnName(column)} has another type than the column that it is filled from"
        return "" if is_distribution_column(expr) else f"{ColumnName(column)} is not filled from a distribution column"
    return f"{ColumnName(column)} is not filled"


# --- MERGE --------------------------------------------------------------------------------------------------------------


def check_merge(query: Query, target: Source) -> None:
    """Raise Refusal for what MERGE may not have (ErrorIfMergeNotSupported)."""
    if target.is_reference:
        raise Refusal("Reference table as target is not allowed in MERGE command", "write INSERT … ON CONFLICT")
    if has_mutable(expr for it in within(query) for expr in expressions(it)):
        raise Refusal(
            "non-IMMUTABLE functions are not yet supported in MERGE sql with distributed tables",
            "compute the values first",
        )
    for action in query.actions:
        for entry in action.targets if action.kind == "update" else []:
            if _changes_key(entry, target, _on(query)):
                raise Refusal("updating the distribution column is not allowed in MERGE actions", "leave it out of SET")
    for it in within(query):
        if any(cte.query.command != "select" for cte in it.ctes):
            raise Refusal("CTEs with modifying actions are not yet supported in MERGE")
        if it.is_recursive:
            raise Refusal("Recursive CTEs are not yet supported in MERGE")


def _on(query: Query) -> list[Expr]:
    join = query.tree[0]
    return join.quals if isinstance(join, Join) else []


def _inserted_key(query: Query, target: Source) -> Expr | None:
    """Return what MERGE inserts into the distribution column (FetchAndValidateInsertVarIfExists)."""
    if target.distribution_column is None:
        return None
    column = target.columns[target.distribution_column]
    for action in query.actions:
        if action.kind != "insert":
            continue
        value = next((it.expr for it in action.targets if it.name == column), None)
        if value is None:
            raise Refusal(
                "MERGE INSERT must have distribution column as value", f"give {ColumnName(column)} in WHEN NOT MATCHED"
            )
        if not isinstance(value, Var):
            raise Refusal(
                "MERGE INSERT is using unsupported expression type for distribution column",
                "insert the source's column",
            )
        return value
    return None


def merge_is_pushable(query: Query, target: Source, planned: Planned) -> str:  # noqa: PLR0911 - as above
    """Return why MERGE does not run shard by shard; empty where it does (DeferErrorIfRoutableMergeNotSupported)."""
    tables = list(tables_of(query))
    distributed = [it for it in tables if it.is_distributed]
    if distributed and any(it.is_reference for it in tables):
        return "it has distributed and reference tables"
    if distributed and any(it.is_local and it.is_in_metadata for it in tables):
        return "it has distributed and local tables"
    if not distributed:
        return ""
    if len(distributed) == 1:
        return "it has one distributed table only"
    if len({it.group for it in distributed}) > 1:
        return "the tables are not colocated"
    if target.is_single_shard:
        return ""
    try:
        check_subqueries(query, planned)
    except Refusal as reason:
        return reason.why
    value = _inserted_key(query, target)
    if value is not None and not is_distribution_column(value):
        return "the inserted distribution column is not that of the source"
    return ""


def merge_source_query(query: Query, target: Source) -> Query:  # noqa: C901, PLR0912 - as above
    """Return the query of MERGE's source, where its rows are moved first.

    Raises:
        Refusal: they cannot be (ErrorIfRepartitionMergeNotSupported, SourceResultPartitionColumnIndex).
    """
    join = query.tree[0]
    side = join.right if isinstance(join, Join) else target
    tables = list(tables_of(query))
    if not target.is_distributed:
        raise Refusal("MERGE involving repartition of rows is supported only if the target is distributed")
    if any(it.is_local and not it.is_in_metadata for it in tables):
        raise Refusal(
            "MERGE INTO an distributed table from Postgres table is not yet supported", "make it a reference table"
        )
    if isinstance(side, Join):
        raise Refusal("Source is not an explicit query", "write the source as (SELECT … FROM … JOIN …)")
    if side.kind not in ("subquery", "table", "cte"):
        raise Refusal(
            "Currently, Citus only supports table, subquery, and CTEs as valid sources for the MERGE operation"
        )
    if not any(it.is_in_metadata for it in tables if it is not target):
        raise Refusal(
            "To MERGE into a distributed table, source must be Citus table(s)", "make the source a reference table"
        )
    exprs = _on(query) + [entry.expr for action in query.actions for entry in action.targets]
    exprs += [action.condition for action in query.actions if action.condition is not None]
    if any(isinstance(it, SubLink) for expr in exprs for it in walk(expr)):
        raise Refusal("Sub-queries and CTEs are not allowed in ON clause or actions for MERGE with repartitioning")
    keys = []
    for qual in _on(query):
        if isinstance(qual, Call) and qual.name == "=" and all(isinstance(it, Var) for it in qual.arguments):
            one, other = (it for it in qual.arguments if isinstance(it, Var))
            for mine, theirs in ((one, other), (other, one)):
                if mine.source is target and mine.index == target.distribution_column and theirs.source is not target:
                    keys.append(theirs)
    if not keys and not target.is_single_shard:
        raise Refusal(
            "The required join operation is missing between the target's distribution column and any expression originating "
            "from the source",
            f"compare {ColumnName(target.columns[target.distribution_column or 0])} with a column of the source in ON",
        )
    value = _inserted_key(query, target)
    if value is not None and key_of(value) not in {key_of(it) for it in keys}:
        raise Refusal("MERGE INSERT must use the source's joining column for target's distribution column")
    if side.kind == "cte":
        cte = next(it for it in query.ctes if side in it.references)
        return Query(
            tree=[Source("subquery", side.alias, side.columns, query=cte.query)],
            targets=[Target(name, Const("", "null")) for name in side.columns],
        )
    inner = side.query or Query(
        tree=[side], targets=[Target(name, Var(side, n)) for n, name in enumerate(side.columns)]
    )
    inner.ctes = [*query.ctes, *inner.ctes]
    return inner
