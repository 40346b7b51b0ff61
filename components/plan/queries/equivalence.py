"""Whether all distributed tables of a query are joined by their distribution columns (relation_restriction_equivalence.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.plan.queries.model import SetOperation, Source, Var, subqueries, tables_of
from components.plan.queries.planning import is_simple, query_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from components.plan.queries.model import Expr, Query
    from components.plan.queries.planning import Level, Planned

__all__ = ["Equivalence", "connected"]


def connected(table: Source, classes: list[set[Source]]) -> set[Source]:
    """Return the table, and those that sets of equal distribution columns connect to it, over others too."""
    found, size = {table}, 0
    while len(found) != size:
        size = len(found)
        for members in classes:
            if members & found:
                found |= members
    return found


class Equivalence:
    """The distribution columns of a planned statement that are equal to each other."""

    def __init__(self, planned: Planned) -> None:
        """Take the statement as PostgreSQL plans it."""
        self.planned = planned
        self.levels = {table: level for level in planned.levels for table in level.sources if table.kind == "table"}
        self._owned = {level.owner: level for level in planned.levels if level.owner is not None}
        self._classes: list[tuple[set[Source], set[Source]]] = []
        """Tables by which a level is found, and tables whose distribution columns are equal there."""
        for level in planned.levels:
            below, own = self._below(level), set(level.sources)
            for source in level.sources:
                own.update(table for _, table in self._leaves(source) if table is not None)
            for terms in level.classes:
                # Where there is a constant, PostgreSQL joins by nothing, and Citus sees no join.
                is_joined = len(own) > 1 and not any(term[0] == "constant" for term in terms)
                self._classes.append((below if is_joined else own, self._members(level, terms)))
            self._classes += [(below, self._members_of(level, pair)) for pair in level.links]

    def tables(self, query: Query | None = None) -> list[Source]:
        """Return the tables that are read, of the statement or of a query within it."""
        if query is None:
            return list(self.levels)
        return [table for table in dict.fromkeys(tables_of(query)) if table in self.levels]

    def holds(self, tables: Iterable[Source], *, more: Iterable[set[Source]] = ()) -> bool:
        """Tell whether each distributed table is joined to the others by its distribution column."""
        tables = list(tables)
        if any(not table.is_in_metadata for table in tables):
            return False
        distributed = [table for table in tables if table.is_distributed]
        if len(set(distributed)) <= 1:
            return True
        return connected(distributed[0], [*self.classes(tables), *more]).issuperset(distributed)

    def apart(self, tables: Iterable[Source]) -> list[set[Source]]:
        """Return the distributed tables in groups, each joined by distribution columns."""
        tables = list(tables)
        classes = self.classes(tables)
        waiting = [table for table in dict.fromkeys(tables) if table.is_distributed]
        groups = []
        while waiting:
            group = connected(waiting[0], classes) & set(waiting)
            groups.append(group)
            waiting = [table for table in waiting if table not in group]
        return groups

    def classes(self, tables: Iterable[Source]) -> list[set[Source]]:
        """Return the sets of tables whose distribution columns are equal, by the levels that these tables belong to."""
        wanted = set(tables)
        return [members for near, members in self._classes if len(members) > 1 and not wanted.isdisjoint(near)]

    @staticmethod
    def _below(level: Level) -> set[Source]:
        """Return the tables of a level and of the subqueries that it joins."""
        below = {source for source in level.sources if source.kind == "table"}
        queries = [it for source in [*level.sources, *level.merged] if (it := query_of(source)) is not None]
        return below.union(*(tables_of(query) for query in queries))

    def _members(self, level: Level, terms: Iterable[tuple[object, ...]]) -> set[Source]:
        columns = [level.columns[term] for term in terms if term in level.columns]
        return {table for column in columns for table in self._tables_at(column)}

    def _members_of(self, level: Level, pair: tuple[Expr, Expr]) -> set[Source]:
        columns = [it for it in map(level.resolved, pair) if isinstance(it, Var)]
        return {table for column in columns for table in self._tables_at(column)}

    def _tables_at(self, column: Var) -> Iterator[Source]:
        """Yield the tables whose distribution column this is, through the subqueries that it comes from."""
        source = column.source
        if source.kind == "table":
            if source.is_distributed and source.distribution_column == column.index:
                yield source
            return
        query = query_of(source)
        if query is None or not 0 <= column.index < len(query.targets):
            return
        if query.set_operation is not None:
            yield from self._tables_of_union(source, column.index)
            return
        level = self._owned.get(source)
        expr = query.targets[column.index].expr
        real = level.resolved(expr) if level is not None else expr
        if isinstance(real, Var) and (level is None or real.source in level.sources):
            yield from self._tables_at(real)

    def _tables_of_union(self, source: Source, index: int) -> Iterator[Source]:
        """Yield the tables of a column of a UNION.

        Where all is UNION ALL, PostgreSQL merges sides that are one table, and Citus looks for their distribution column at
        any place, but at the same one (AddUnionAllSetOperationsToAttributeEquivalenceClass).
        """
        place: int | None = None
        for leaf, table in self._leaves(source):
            if table is None or leaf.query is None:
                yield from self._tables_at(Var(leaf, index))
                continue
            columns = [self._owned[leaf].resolved(target.expr) for target in leaf.query.targets]
            own = [it.index if isinstance(it, Var) and it.source is table else None for it in columns]
            key = table.distribution_column
            found = own.index(key) if key is not None and key in own else None
            if found is not None and found == (found if place is None else place):
                place = found
                yield table

    def _leaves(self, source: Source) -> Iterator[tuple[Source, Source | None]]:
        """Yield the sides of a UNION, each with the table that it is merged to, if it is."""
        query = query_of(source)
        operation = query.set_operation if query is not None else None
        if query is None or operation is None:
            return
        is_merged = all(it.kind == "union" and it.all for it in operation.operations()) and not query.limit
        for leaf in operation.leaves():
            level = self._owned.get(leaf)
            table = level.sources[0] if level is not None and len(level.sources) == 1 else None
            is_plain = table is not None and table.kind == "table" and level is not None and not level.quals
            is_simple_leaf = leaf.query is not None and is_simple(leaf.query)
            yield leaf, table if is_merged and is_plain and is_simple_leaf else None

    # --- UNION --------------------------------------------------------------------------------------------------------

    def union_is_safe(self, query: Query) -> bool:
        """Tell whether every side of a UNION has its distribution column at the same place (SafeToPushdownUnionSubquery)."""
        tables = self.tables(query)
        place: int | None = None
        same: set[Source] = set()
        for table in tables:
            index = self._place_in_union(query, table)
            if index is None:
                continue
            place = index if place is None else place
            if index == place:
                same.add(table)
        distributed = [table for table in tables if table.is_distributed]
        if not distributed:
            return True
        common = connected(distributed[0], [*self.classes(tables), same])
        return common.issuperset(distributed) and len({table.group for table in distributed}) == 1

    def _place_in_union(self, query: Query, table: Source) -> int | None:
        holder = _holder(query, table)
        if holder is None or not table.is_distributed:
            return None
        for index, target in enumerate(holder.targets):
            if isinstance(target.expr, Var) and origin(target.expr) == (table, table.distribution_column):
                return index
        return None


def _holder(query: Query, table: Source) -> Query | None:
    """Return the query whose own FROM has the table."""
    if any(source is table for source in query.sources):
        return query
    for it in subqueries(query):
        found = _holder(it, table)
        if found is not None:
            return found
    return None


def origin(expr: Expr) -> tuple[Source, int] | None:
    """Return the table and the column that an expression is, through subqueries (FindReferencedTableColumn)."""
    if not isinstance(expr, Var) or expr.index < 0:
        return None
    source = expr.source
    if source.kind == "table":
        return source, expr.index
    if source.query is not None and expr.index < len(source.query.targets):
        return origin(source.query.targets[expr.index].expr)
    return None


def is_distribution_column(expr: Expr) -> bool:
    """Tell whether an expression is a distributed table's distribution column (IsPartitionColumn)."""
    found = origin(expr)
    return found is not None and found[0].is_distributed and found[0].distribution_column == found[1]


def contains_union(query: Query) -> bool:
    """Tell whether all that a query reads is a UNION (ContainsUnionSubquery)."""
    joined = query.joined
    if len(joined) != 1 or joined[0].kind != "subquery" or joined[0].query is None:
        return False
    inner = joined[0].query
    operation = inner.set_operation
    if operation is not None:
        return isinstance(operation, SetOperation) and operation.kind == "union"
    return contains_union(inner)
