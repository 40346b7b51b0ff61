"""Which parts of a query Citus runs first, keeping their rows as intermediate results (recursive_planning.c). Pure.

The query is changed in place: what ran is replaced by a source of the kind `result`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.plan.queries.equivalence import Equivalence, connected, contains_union
from components.plan.queries.model import (
    Call,
    Expr,
    Join,
    Node,
    Param,
    Query,
    SetOperation,
    Source,
    SubLink,
    Target,
    Var,
    any_table,
    is_correlated,
    walk,
)
from components.plan.queries.pushdown import can_push_down, find_kept_by_shards, is_distributed, union_can_push_down
from components.plan.queries.verdict import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from components.plan.queries.planning import Planned

__all__ = ["run_steps"]


def run_steps(query: Query, planned: Planned, run: Callable[[Query], None]) -> int:
    """Run what has to run first; return how many parts that were.

    Raises:
        Refusal: one of them cannot run, or Citus refuses the form of the query.
    """
    steps = _Steps(planned, run)
    steps.all_equal = steps.are_equal(query)
    steps.plan(query)
    return steps.count


class _Steps:
    def __init__(self, planned: Planned, run: Callable[[Query], None]) -> None:
        self.planned = planned
        self.equivalence = Equivalence(planned)
        self.run = run
        self.count = 0
        self.level = 0
        self.all_equal = False

    def plan(self, query: Query) -> None:  # noqa: C901 - Citus's steps, in its order
        """Plan the parts of a query (RecursivelyPlanSubqueriesAndCTEs)."""
        self._plan_ctes(query)
        self._wrap_functions(query)
        for subquery in list(_direct(query)):
            self.level += 1
            self.plan(subquery)
            self.level -= 1
            if self._must_run(subquery):
                self.run_now(subquery)
        if query.set_operation is not None and self._set_operation_must_run(query):
            for leaf in query.set_operation.leaves():
                if leaf.query is not None and any_table([leaf], is_distributed):
                    self.run_now(leaf.query)
        if query.having is not None:
            links = [it for it in walk(query.having) if isinstance(it, SubLink)]
            if any(is_correlated(it.query) for it in links):
                raise Refusal("Subqueries in HAVING cannot refer to outer query")
            self._run_all(links)
        if self._has_separate_subqueries(query):
            self._run_separate(query)
        if _mixes_local(query.sources):
            self._run_local(query)
        if self.planned.has_outer_join:
            for node in _without_kept_by_shards(query):
                self._run_outer(node)
        if query.sublinks and not any_table(query.sources, is_distributed):
            links = [
                it
                for expr in [*query.where, *(t.expr for t in query.targets)]
                for it in walk(expr)
                if isinstance(it, SubLink)
            ]
            self._run_all(links)

    def run_now(self, query: Query) -> bool:
        """Run a subquery, unless it refers to the query around it (RecursivelyPlanSubquery)."""
        if is_correlated(query):
            return False
        part = Query()
        part.replace_by(query)
        self.run(part)
        self.count += 1
        names = [target.name for target in part.targets]
        result = Source("result", "intermediate_result", names)
        query.replace_by(Query(tree=[result], targets=[Target(name, Var(result, i)) for i, name in enumerate(names)]))
        return True

    def are_equal(self, query: Query) -> bool:
        """Tell whether all distribution columns of a query are equal (AllDistributionKeysInQueryAreEqual)."""
        tables = self.equivalence.tables(query)
        if query.ctes or any(not table.is_in_metadata for table in tables):
            return False
        if self.equivalence.holds(tables):
            return True
        if query.set_operation is not None or contains_union(query):
            return self.equivalence.union_is_safe(query)
        return False

    # --- common table expressions and functions -----------------------------------------------------------------------

    def _plan_ctes(self, query: Query) -> None:
        if not query.ctes:
            return
        if query.is_recursive:
            raise Refusal(
                "recursive CTEs are only supported when they contain a filter on the distribution column",
                "filter by the distribution column within the CTE, and join on it",
            )
        for cte in query.ctes:
            if is_correlated(Query(tree=[Source("subquery", cte.name, [], query=cte.query)])) and _refers_outside(
                cte.query, query
            ):
                raise Refusal("CTEs that refer to other subqueries are not supported in multi-shard queries")
            if not cte.references and cte.query.command == "select":
                continue
            part = Query()
            part.replace_by(cte.query)
            self.run(part)
            self.count += 1
            for reference in cte.references:
                result = Source("result", "intermediate_result", list(cte.columns))
                reference.kind = "subquery"
                targets = [Target(name, Var(result, index)) for index, name in enumerate(cte.columns)]
                reference.query = Query(tree=[result], targets=targets)
        query.ctes = []

    @staticmethod
    def _wrap_functions(query: Query) -> None:
        """Put functions that are joined into subqueries (WrapFunctionsInSubqueries)."""
        if len(query.sources) + sum(1 for _ in query.joins) < 2:  # noqa: PLR2004
            return
        for source in query.joined:
            if source.kind == "function" and not source.lateral and not source.ordinality:
                inner = Source("function", source.alias, list(source.columns), arguments=source.arguments)
                source.kind, source.arguments = "subquery", []
                targets = [Target(name, Var(inner, index)) for index, name in enumerate(source.columns)]
                source.query = Query(tree=[inner], targets=targets)

    # --- subqueries ---------------------------------------------------------------------------------------------------

    def _must_run(self, query: Query) -> bool:
        if any_table(query.sources, lambda it: it.is_local):
            return True
        if not can_push_down(query):
            return True
        return not self.all_equal and not self.are_equal(query)

    def _set_operation_must_run(self, query: Query) -> bool:
        operation = query.set_operation
        if self.level == 0 or not isinstance(operation, SetOperation) or operation.kind != "union":
            return True
        return not union_can_push_down(query) or not self.equivalence.union_is_safe(query)

    def _run_all(self, links: list[SubLink]) -> None:
        for link in links:
            if any_table(link.query.sources, lambda it: it.is_in_metadata):
                self.run_now(link.query)

    def _has_separate_subqueries(self, query: Query) -> bool:
        if self.all_equal:
            return False
        has = any(source.kind == "subquery" for source in query.joined) or any(
            isinstance(it, SubLink) for expr in _conditions(query) for it in walk(expr)
        )
        if not has or any_table(query.sources, lambda it: it.is_local):
            return False
        return not self.are_equal(query)

    def _run_separate(self, query: Query) -> None:
        """Run the subqueries that are not joined to the first table by the distribution column."""
        anchor = self._anchor(query)
        if anchor is None:
            return
        first = [anchor] if anchor in self.equivalence.levels else self.equivalence.tables(anchor.query or Query())
        if not first:
            return
        classes = self.equivalence.classes(first)
        candidates = [source.query for source in query.joined if source.kind == "subquery" and source.query is not None]
        candidates += [it.query for expr in query.where for it in walk(expr) if isinstance(it, SubLink)]
        for subquery in candidates:
            tables = [*first, *(it for it in self.equivalence.tables(subquery) if it not in first)]
            if len(tables) > len(first) and not self._joined(tables, classes):
                self.run_now(subquery)

    @staticmethod
    def _joined(tables: list[Source], classes: list[set[Source]]) -> bool:
        distributed = [table for table in tables if table.is_distributed]
        if all(table.is_single_shard for table in distributed):  # they have no column that could be compared
            return True
        return len(distributed) <= 1 or connected(distributed[0], classes).issuperset(distributed)

    @staticmethod
    def _anchor(query: Query) -> Source | None:
        found: Source | None = None
        for source in query.joined:
            if source.kind == "table" and source.is_distributed:
                return source
            inner = source.query
            usable = inner is not None and inner.set_operation is None and not contains_union(inner)
            if found is None and usable and any_table([source], is_distributed):
                found = source
        return found

    # --- local tables and outer joins ---------------------------------------------------------------------------------

    def _run_table(self, source: Source) -> None:
        inner = Source(**vars(source))
        level = self.equivalence.levels.get(source)
        known = [(index, level.value_of(source, index)) for index in range(len(source.columns))] if level else []
        where: list[Expr] = [
            Call("=", [Var(inner, index), Param(value)], "operator") for index, value in known if value is not None
        ]
        part = Query(
            where=where, tree=[inner], targets=[Target(name, Var(inner, i)) for i, name in enumerate(source.columns)]
        )
        self.run(part)
        self.count += 1
        result = Source("result", "intermediate_result", list(source.columns))
        targets = [Target(name, Var(result, index)) for index, name in enumerate(source.columns)]
        source.replaced = source.table if source.is_local and not source.is_in_metadata else None
        source.kind, source.table, source.sharding, source.distribution_column = "subquery", None, None, None
        source.query = Query(tree=[result], targets=targets)

    def _run_local(self, query: Query) -> None:
        """Run the local tables that are joined to others; or the others, where each is read by a unique key."""
        tables = [source for source in query.sources if source.kind == "table" and source is not query.target]
        local = [source for source in tables if source.is_local]
        others = [source for source in tables if not source.is_local]
        by_key = all(self._is_read_by_key(source) for source in others)
        chosen = (others or local) if by_key and others else (local or others)
        for source in chosen:
            self._run_table(source)

    def _is_read_by_key(self, source: Source) -> bool:
        level = self.equivalence.levels.get(source)
        if level is None:
            return False
        fixed = {index for index in range(len(source.columns)) if level.value_of(source, index) is not None}
        return any(key <= fixed for key in source.unique)

    def _run_outer(self, node: Node) -> bool:
        """Run the distributed side of outer joins whose other side repeats on every shard; return whether the node repeats."""
        if isinstance(node, Source):
            return not any_table([node], is_distributed)
        left, right = self._run_outer(node.left), self._run_outer(node.right)
        match node.kind:
            case "left":
                if left and not right:
                    self._run_side(node.right)
                return left
            case "right":
                if right and not left:
                    self._run_side(node.left)
                return right
            case "full":
                if left != right:
                    self._run_side(node.right if left else node.left)
                return left or right
        return left and right

    def _run_side(self, node: Node) -> None:
        if isinstance(node, Join):
            self._run_side(node.left)
            self._run_side(node.right)
        elif any_table([node], is_distributed):
            if node.kind == "table":
                self._run_table(node)
            elif node.query is not None:
                self.run_now(node.query)


def _direct(query: Query) -> Iterator[Query]:
    """Yield the subqueries of FROM and of expressions, without the CTEs."""
    for source in query.sources:
        if source.query is not None:
            yield source.query
    yield from (it.query for it in query.sublinks)


def _without_kept_by_shards(query: Query) -> list[Node]:
    """Return what is joined, but for outer joins that the shards do as they are."""
    kept = find_kept_by_shards(query)
    return [node for node in query.tree if not (isinstance(node, Join) and {node.left, node.right} & kept)]


def _conditions(query: Query) -> Iterator[Expr]:
    yield from query.where
    for join in query.joins:
        yield from join.quals
    if query.having is not None:
        yield query.having


def _mixes_local(sources: list[Source]) -> bool:
    """Tell whether local tables are joined to others (ContainsLocalTableDistributedTableJoin)."""
    others = [it for it in sources if any_table([it], lambda table: table.is_distributed or table.is_reference)]
    return bool(others) and any(it.kind == "table" and it.is_local for it in sources if it not in others)


def _refers_outside(cte: Query, query: Query) -> bool:
    """Tell whether a CTE refers to a source outside it that is not its own query's."""
    return is_correlated(cte) and not any(source in query.joined for source in cte.joined)
