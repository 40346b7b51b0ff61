"""What PostgreSQL's planner makes of a query before Citus looks at it. Pure.

Subqueries are merged into the query around them, outer joins become inner ones, columns are equal to each other and to
constants. Citus sees only this of a query (its restriction contexts), so a judge has to follow it, step by step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from components.plan.queries.model import (
    Call,
    Const,
    Cte,
    Expr,
    Join,
    Logic,
    Node,
    Param,
    Query,
    Source,
    SubLink,
    Var,
    conjuncts,
    expressions,
    is_correlated,
    key_of,
    refers_to,
    walk,
    within,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "NO_VALUE",
    "Level",
    "Planned",
    "calls",
    "constant_of",
    "has_mutable",
    "has_volatile",
    "is_simple",
    "plan",
    "query_of",
]

NO_VALUE: Final = "no row at all"
"""In the place of a value, where the condition is false."""

Term = tuple[object, ...]
"""A column, by its source's identity and its index, or a constant."""
JoinKind = Literal["inner", "left", "full", "semi", "anti"]


@dataclass(eq=False)
class JoinStep:
    """A join that is not an inner one, as it is planned."""

    kind: JoinKind
    left: set[Source]
    right: set[Source]


@dataclass(eq=False)
class Level:
    """One query level as PostgreSQL plans it, with what was merged into it."""

    query: Query
    sources: list[Source] = field(default_factory=list)
    """What is left to be joined."""
    merged: set[Source] = field(default_factory=set)
    """Subqueries that became part of this level."""
    quals: list[Expr] = field(default_factory=list)
    """Conditions of WHERE and of inner joins."""
    links: list[tuple[Expr, Expr]] = field(default_factory=list)
    """What outer joins compare; that of the side whose rows are kept comes first."""
    passing: list[tuple[Expr, Expr]] = field(default_factory=list)
    """Those of them where a constant of the first passes to the second: not of FULL JOIN."""
    below: set[Expr] = field(default_factory=set)
    """Those of them that are below an outer join: their constants may turn out NULL."""
    local: dict[Source, list[Expr]] = field(default_factory=dict)
    """Conditions that are checked while one source is read."""
    joins: list[JoinStep] = field(default_factory=list)
    classes: list[set[Term]] = field(default_factory=list)
    """Columns and constants that are equal."""
    children: list[Level] = field(default_factory=list)
    """Subqueries that are planned by themselves."""
    columns: dict[Term, Var] = field(default_factory=dict)
    absorbed: list[Query] = field(default_factory=list)
    """Queries of what was merged."""
    converted: set[SubLink] = field(default_factory=set)
    """Subqueries of expressions that became joins."""
    remaining: list[Query] = field(default_factory=list)
    """Subqueries of expressions that are left."""
    owner: Source | None = None
    """The source that this level is the query of."""

    def all(self) -> Iterator[Level]:
        """Yield the level and those below it."""
        yield self
        for child in self.children:
            yield from child.all()

    def resolved(self, expr: Expr) -> Expr:
        """Return the expression with the columns of merged subqueries replaced by what they stand for."""
        while isinstance(expr, Var) and expr.source in self.merged and expr.index >= 0:
            query = query_of(expr.source)
            if query is None:
                break
            expr = query.targets[expr.index].expr
        return expr

    def columns_of(self, expr: Expr) -> Iterator[Var]:
        """Yield the columns that an expression is made of, through merged subqueries."""
        for part in walk(expr):
            if isinstance(part, Var):
                real = self.resolved(part)
                if isinstance(real, Var):
                    yield real
                else:
                    yield from self.columns_of(real)
            elif isinstance(part, SubLink):
                for query in within(part.query):
                    for inner in expressions(query):
                        for it in walk(inner):
                            if isinstance(it, Var) and it.source in {*self.sources, *self.merged}:
                                real = self.resolved(it)
                                yield from [real] if isinstance(real, Var) else self.columns_of(real)

    def reads(self, expr: Expr) -> set[Source]:
        """Return the sources of this level that an expression needs."""
        mine = set(self.sources)
        return {it.source for it in self.columns_of(expr) if it.source in mine}

    def value_of(self, source: Source, index: int) -> str | None:
        """Return the constant that a column is equal to; None where there is none."""
        term = ("column", id(source), index)
        for terms in self.classes:
            if term in terms:
                constants = sorted({str(it[1]) for it in terms if it[0] == "constant"})
                if len([it for it in constants if not it.startswith("$")]) > 1:
                    return NO_VALUE
                return constants[0] if constants else None
        return None


@dataclass(eq=False)
class Planned:
    """A whole statement as PostgreSQL plans it."""

    top: Level

    @property
    def levels(self) -> list[Level]:
        """Return every query level."""
        return list(self.top.all())

    @property
    def tables(self) -> list[Source]:
        """Return every table that is read."""
        return [source for level in self.levels for source in level.sources if source.kind == "table"]

    @property
    def has_outer_join(self) -> bool:
        """Tell whether an outer join is left."""
        return any(join.kind in ("left", "full", "anti") for level in self.levels for join in level.joins)

    @property
    def has_semi_join(self) -> bool:
        """Tell whether a semi join is left."""
        return any(join.kind == "semi" for level in self.levels for join in level.joins)

    @property
    def has_unseen_outer_join(self) -> bool:
        """Tell whether a condition without a column keeps Citus from seeing the only outer join (PostgreSQL 14 to 16)."""
        return any(
            len(level.joins) == 1
            and level.joins[0].kind in ("left", "full")
            and any(_is_pseudoconstant(level, it) for it in level.quals)
            for level in self.levels
        )

    def values(self, table: Source) -> set[str] | None:
        """Return the values that a distributed table's distribution column can have; None where it can have any."""
        level = next(it for it in self.levels if table in it.sources)
        column = table.distribution_column
        if column is None and not table.is_single_shard:
            return None
        if any(
            isinstance(it, Const) and it.text in ("false", "") for it in [*level.quals, *level.local.get(table, [])]
        ):
            return {NO_VALUE}
        if column is None:
            return {f"all of {table.group}"}
        value = level.value_of(table, column)
        if value is not None:
            return {value}
        found: set[str] | None = None
        for qual in [*level.quals, *level.local.get(table, [])]:
            listed = _values(level, qual, table, column)
            if listed is not None:
                found = listed if found is None else found & listed
        return found


def _is_pseudoconstant(level: Level, qual: Expr) -> bool:
    return not any(True for _ in level.columns_of(qual)) and constant_of(qual) is None and not has_volatile([qual])


def query_of(source: Source) -> Query | None:
    """Return the query of a subquery, or of a CTE that is read in one place and so becomes a subquery (inline_cte)."""
    if source.kind == "cte" and source.cte is not None and can_inline(source.cte):
        return source.cte.query
    return source.query


def can_inline(cte: Cte) -> bool:
    """Tell whether PostgreSQL makes a subquery of a CTE."""
    return (
        bool(cte.references)
        and (cte.materialized == "never" or (cte.materialized == "default" and len(cte.references) == 1))
        and not cte.is_recursive
        and all(it.command == "select" for it in within(cte.query))
        and not has_volatile(expr for it in within(cte.query) for expr in expressions(it))
    )


def plan(query: Query) -> Planned:
    """Return a query as PostgreSQL plans it; the query itself stays as it is."""
    return Planned(_plan(query, None, {}))


def has_volatile(exprs: Iterable[Expr]) -> bool:
    """Tell whether an expression calls a volatile function, in its subqueries too."""
    return any(it.volatility == "v" for it in calls(exprs))


def has_mutable(exprs: Iterable[Expr]) -> bool:
    """Tell whether an expression calls a function that is not immutable, in its subqueries too."""
    return any(it.volatility != "i" for it in calls(exprs))


def calls(exprs: Iterable[Expr]) -> Iterator[Call]:
    """Yield what expressions call, in their subqueries too."""
    for expr in exprs:
        for it in walk(expr):
            if isinstance(it, Call):
                yield it
            elif isinstance(it, SubLink):
                for query in within(it.query):
                    yield from calls(expressions(query))


# --- the FROM clause ----------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _From:
    """Parts that are joined by inner joins, with their conditions."""

    parts: list[_Part] = field(default_factory=list)
    quals: list[Expr] = field(default_factory=list)


@dataclass(eq=False)
class _Outer:
    """Two sides of an outer, semi or anti join."""

    kind: JoinKind
    left: _Part
    right: _Part
    quals: list[Expr]


_Part = Source | _From | _Outer


def _plan(query: Query, owner: Source | None, constants: dict[int, Expr]) -> Level:
    level = Level(query, owner=owner)
    if query.set_operation is not None:
        for leaf in query.set_operation.leaves():
            level.sources.append(leaf)
            if leaf.query is not None:
                taken = {
                    index: it
                    for index, it in constants.items()
                    if _takes_any(leaf.query) and _takes(leaf.query, leaf.query.targets[index].expr)
                }
                level.children.append(_plan(leaf.query, leaf, taken))
        _add_expressions(level)
        return level
    if query.command == "insert":
        level.sources = [query.select] if query.select else []
        if query.select is not None and query.select.query is not None:
            level.children.append(_plan(query.select.query, query.select, {}))
        _add_expressions(level)
        return level
    top = _from(level, query.tree, query.where)
    _reduce(level, top, set())
    before = 0
    while before != len(level.sources):  # one may be all that needs another
        before = len(level.sources)
        _remove_useless(level, top, top)
    _distribute(level, top, below=False)
    _find_equal(level, constants, query)
    for source in level.sources:
        inner = query_of(source)
        if inner is not None:
            level.children.append(_plan(inner, source, _pushed(level, source, inner)))
    _add_expressions(level)
    return level


def _add_expressions(level: Level) -> None:
    """Plan the subqueries of expressions that are left, and the CTEs that were not inlined."""
    seen: set[int] = set()
    for query in [level.query, *level.absorbed]:
        for part in query.sublinks:
            if id(part) not in seen and part not in level.converted:
                seen.add(id(part))
                level.remaining.append(part.query)
                level.children.append(_plan(part.query, None, {}))
        for cte in query.ctes:
            if (cte.references or cte.query.command != "select") and not can_inline(cte):
                level.children.append(_plan(cte.query, None, {}))


def _from(level: Level, nodes: list[Node], where: list[Expr]) -> _From:
    parts = _From([_part(level, node) for node in nodes])
    for qual in where:
        for it in _factored(qual):
            _add_qual(level, parts, it)
    return parts


def _part(level: Level, node: Node) -> _Part:
    if isinstance(node, Join):
        left, right = _part(level, node.left), _part(level, node.right)
        if node.kind == "inner":
            joined = _From([left, right])
            for qual in node.quals:
                for it in _factored(qual):
                    _add_qual(level, joined, it)
            return joined
        if node.kind == "right":
            left, right = right, left
        kind: JoinKind = "full" if node.kind == "full" else "left"
        return _Outer(kind, left, right, [it for qual in node.quals for it in _factored(qual)])
    query = query_of(node)
    if query is not None and is_simple(query):
        level.merged.add(node)
        level.absorbed.append(query)
        return _from(level, query.tree, query.where)
    level.sources.append(node)
    return node


def is_simple(query: Query) -> bool:
    """Tell whether PostgreSQL merges a subquery into the query around it (is_simple_subquery)."""
    if query.command != "select":
        return False
    closed = (
        query.set_operation
        or query.group
        or query.grouping_sets
        or query.having
        or query.order
        or query.distinct is not None
        or query.limit
        or query.offset
        or query.for_update
        or query.ctes
        or query.windows
    )
    if closed or query.has_aggregates or query.has_set_functions:
        return False
    windows = any(isinstance(it, Call) and it.is_window for target in query.targets for it in walk(target.expr))
    return not windows and not has_volatile([target.expr for target in query.targets])


def _add_qual(level: Level, parts: _From, qual: Expr) -> None:
    """Add a condition; EXISTS and IN become semi joins where PostgreSQL can make them so (pull_up_sublinks)."""
    negated = isinstance(qual, Logic) and qual.name == "not"
    inner = qual.arguments[0] if isinstance(qual, Logic) and negated else qual
    if not isinstance(inner, SubLink):
        parts.quals.append(qual)
        return
    query = inner.query
    if inner.kind == "exists" and _exists_can_join(query):
        level.converted.add(inner)
        level.absorbed.append(query)
        sub = _from(level, query.tree, query.where)
        quals, sub.quals = sub.quals, []
        left = _From(parts.parts)
        parts.parts = [_Outer("anti" if negated else "semi", left, sub, quals)]
        return
    can_join = not negated and inner.kind == "any" and inner.operator == "=" and not is_correlated(query)
    if (
        can_join
        and any(isinstance(it, Var) for test in inner.test for it in walk(test))
        and not has_volatile(inner.test)
    ):
        level.converted.add(inner)
        source = Source("subquery", "ANY_subquery", [target.name for target in query.targets], query=query)
        right = _part(level, source)
        quals = [Call("=", [test, Var(source, index)], "operator") for index, test in enumerate(inner.test)]
        parts.parts = [_Outer("semi", _From(parts.parts), right, list(quals))]
        return
    parts.quals.append(qual)


def _exists_can_join(query: Query) -> bool:
    closed = query.ctes or query.set_operation or query.has_aggregates or query.grouping_sets or query.windows
    limited = query.limit is not None and not isinstance(query.limit, Const)
    if closed or query.has_set_functions or query.having or query.offset or query.for_update or limited:
        return False
    own = {source for it in within(query) for source in it.sources}
    refers = any(isinstance(it, Var) and it.source not in own for qual in query.where for it in walk(qual))
    rest = Query(tree=query.tree)
    return bool(query.tree) and refers and not is_correlated(rest) and not has_volatile(query.where)


def _factored(qual: Expr) -> Iterator[Expr]:
    """Yield the conditions of a qual, with what every branch of an OR has in common in front of it."""
    for part in conjuncts(qual):
        it = _without_not(part)
        if it is not part and isinstance(it, Logic) and it.name == "and":
            yield from _factored(it)
        elif isinstance(it, Logic) and it.name == "or":
            branches = [{key_of(part): part for part in conjuncts(branch)} for branch in _branches(it)]
            common = set(branches[0]).intersection(*branches[1:])
            yield from (branches[0][key] for key in branches[0] if key in common)
            if not any(set(branch) <= common for branch in branches):
                yield it
        else:
            yield it


_NEGATED: Final = {"=": "<>", "<>": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def _without_not(expr: Expr) -> Expr:
    """Return a condition with NOT put into it, as far as that goes (negate_clause)."""
    if not (isinstance(expr, Logic) and expr.name == "not"):
        return expr
    inner = expr.arguments[0]
    if isinstance(inner, Call) and inner.kind == "operator" and inner.name in _NEGATED:
        return Call(_NEGATED[inner.name], inner.arguments, "operator")
    if isinstance(inner, Logic) and inner.name == "not":
        return _without_not(inner.arguments[0])
    if isinstance(inner, Logic):
        return Logic(
            "or" if inner.name == "and" else "and", [_without_not(Logic("not", [it])) for it in inner.arguments]
        )
    return expr


def _branches(expr: Expr) -> Iterator[Expr]:
    if isinstance(expr, Logic) and expr.name == "or":
        for it in expr.arguments:
            yield from _branches(it)
    else:
        yield expr


# --- outer joins --------------------------------------------------------------------------------------------------------


def _sources(part: _Part) -> set[Source]:
    if isinstance(part, Source):
        return {part}
    if isinstance(part, _From):
        return set().union(*(_sources(it) for it in part.parts))
    return _sources(part.left) | _sources(part.right)


def _strict(level: Level, expr: Expr) -> set[Source]:  # noqa: PLR0911 - one for each form
    """Return the sources of which no column can be NULL where the expression is to be true or not NULL."""
    real = level.resolved(expr)
    match real:
        case Var():
            return {real.source}
        case Logic(name="and"):
            return set().union(*(_strict(level, it) for it in real.arguments))
        case Logic(name="or"):
            return set.intersection(*(_strict(level, it) for it in real.arguments))
        case Logic():
            return _strict(level, real.arguments[0])
        case Call(kind="operator" | "cast"):
            return set().union(*(_strict(level, it) for it in real.arguments))
        case Call(name="is not null" | "in"):
            return _strict(level, real.arguments[0])
        case Call(name="any") if real.arguments:
            return _strict(level, real.arguments[0])
        case SubLink(kind="any"):
            return set().union(*(_strict(level, it) for it in real.test))
    return set()


def _reduce(level: Level, part: _Part, strict: set[Source]) -> None:
    """Make inner joins of outer joins whose other side is needed above (reduce_outer_joins)."""
    if isinstance(part, _From):
        here = strict.union(*(_strict(level, qual) for qual in part.quals))
        for index, it in enumerate(part.parts):
            if isinstance(it, _Outer):
                part.parts[index] = _reduced(it, here)
            _reduce(level, part.parts[index], here)
    elif isinstance(part, _Outer):
        own = set().union(*(_strict(level, qual) for qual in part.quals)) if part.quals else set()
        left, right = strict, strict
        if part.kind == "left":
            right = strict | own
        elif part.kind == "semi":
            left, right = strict | own, own
        elif part.kind == "anti":
            right = own
        elif part.kind == "full":
            left = right = set()
        part.left, part.right = (
            _reduced(it, passed) if isinstance(it, _Outer) else it
            for it, passed in ((part.left, left), (part.right, right))
        )
        _reduce(level, part.left, left)
        _reduce(level, part.right, right)


def _reduced(outer: _Outer, strict: set[Source]) -> _Part:
    on_left, on_right = bool(_sources(outer.left) & strict), bool(_sources(outer.right) & strict)
    if outer.kind == "full":
        if on_left and on_right:
            return _From([outer.left, outer.right], outer.quals)
        if on_left or on_right:
            left, right = (outer.left, outer.right) if on_left else (outer.right, outer.left)
            return _Outer("left", left, right, outer.quals)
    if outer.kind == "left" and on_right:
        return _From([outer.left, outer.right], outer.quals)
    return outer


def _remove_useless(level: Level, part: _Part, top: _Part) -> None:
    """Leave out what a left join adds no row and no column by (remove_useless_joins)."""
    if isinstance(part, Source):
        return
    if isinstance(part, _From):
        for index, it in enumerate(part.parts):
            part.parts[index] = _without_useless(level, it, top)
        return
    part.left, part.right = _without_useless(level, part.left, top), _without_useless(level, part.right, top)


def _without_useless(level: Level, part: _Part, top: _Part) -> _Part:
    _remove_useless(level, part, top)
    if isinstance(part, _Outer) and part.kind == "left":
        right, own = part.right, list(part.quals)
        while isinstance(right, _From) and len(right.parts) == 1:
            own += right.quals
            right = right.parts[0]
        if isinstance(right, Source) and _is_useless(level, right, own, top):
            level.sources.remove(right)
            return part.left
    return part


def _is_useless(level: Level, source: Source, own: list[Expr], top: _Part) -> bool:
    fixed = set()
    for qual in own:
        sides = _equal(level, qual)
        for one, other in (sides, sides[::-1]) if sides else ():
            is_own = isinstance(one, Var) and one.source is source
            if is_own and isinstance(one, Var) and source not in level.reads(other):
                fixed.add(one.index)
    if not any(key <= fixed for key in _unique_keys(source)):
        return False
    query = level.query
    used = (
        [target.expr for target in query.targets] + query.group + query.order + query.returning + (query.distinct or [])
    )
    used += [it for it in (query.having, query.limit, query.offset) if it is not None]
    used += [it for window in query.windows for it in window]
    used += [it for other in level.sources for it in other.arguments]
    used += [it for it in _quals(top) if not any(it is mine for mine in own)]
    lateral = [it.query for it in level.sources if it.lateral and it.query is not None]
    return not any(source in level.reads(expr) for expr in used) and not any(refers_to(it, {source}) for it in lateral)


def _quals(part: _Part) -> Iterator[Expr]:
    if isinstance(part, _From):
        yield from part.quals
        for it in part.parts:
            yield from _quals(it)
    elif isinstance(part, _Outer):
        yield from part.quals
        yield from _quals(part.left)
        yield from _quals(part.right)


def _unique_keys(source: Source) -> list[frozenset[int]]:
    """Return sets of columns that no two rows of a source share (query_is_distinct_for)."""
    query = query_of(source)
    if query is None:
        return source.unique
    keys = [key_of(target.expr) for target in query.targets]

    def places(exprs: list[Expr]) -> list[frozenset[int]]:
        wanted = {key_of(it) for it in exprs}
        return [frozenset(keys.index(it) for it in wanted)] if wanted <= set(keys) else []

    if query.set_operation is not None:
        return [] if query.set_operation.all else [frozenset(range(len(keys)))]
    if query.distinct is not None:
        return places(query.distinct)
    if query.group and not query.grouping_sets:
        return places(query.group)
    return [frozenset()] if query.has_aggregates and not query.group else []


def _distribute(level: Level, part: _Part, *, below: bool) -> None:
    """Put each condition where it is checked (deconstruct_jointree); `below` that side of an outer join that may be NULL."""
    if isinstance(part, _From):
        for it in part.parts:
            _distribute(level, it, below=below)
        level.quals += part.quals
        level.below.update(part.quals if below else ())
    elif isinstance(part, _Outer):
        _distribute(level, part.left, below=below or part.kind == "full")
        _distribute(level, part.right, below=below or part.kind in ("left", "full", "anti"))
        _distribute_join(level, part)


def _distribute_join(level: Level, part: _Outer) -> None:
    left, right = _sources(part.left), _sources(part.right)
    if part.kind == "semi":
        if not _is_unique(level, right, part.quals):
            level.joins.append(JoinStep("semi", left, right))
        level.quals += part.quals
        return
    level.joins.append(JoinStep(part.kind, left, right))
    for qual in part.quals:
        needed = level.reads(qual)
        if part.kind in ("left", "anti") and len(needed) == 1 and needed <= right:
            level.local.setdefault(next(iter(needed)), []).append(qual)
        sides = _equal(level, qual)
        if sides is not None:
            sides = sides if level.reads(sides[0]) <= left else sides[::-1]
            level.links.append(sides)
            if part.kind in ("left", "anti"):
                level.passing.append(sides)


def _is_unique(level: Level, sources: set[Source], quals: list[Expr]) -> bool:
    """Tell whether a semi join finds one row at most, by a unique key (reduce_unique_semijoins)."""
    if len(sources) != 1:
        return False
    source = next(iter(sources))
    fixed = set()
    for qual in quals:
        sides = _equal(level, qual)
        for side in sides or ():
            if isinstance(side, Var) and side.source is source:
                fixed.add(side.index)
    return any(key <= fixed for key in source.unique)


# --- what is equal ------------------------------------------------------------------------------------------------------


def _equal(level: Level, qual: Expr) -> tuple[Expr, Expr] | None:
    """Return both sides of an equality, without casts that PostgreSQL adds."""
    if isinstance(qual, Call) and qual.kind == "operator" and qual.name == "=" and len(qual.arguments) == 2:  # noqa: PLR2004
        one, other = (level.resolved(it) for it in qual.arguments)
        return one, other
    return None


def _term(level: Level, expr: Expr) -> Term | None:
    real = level.resolved(expr)
    if isinstance(real, Var):
        if real.index < 0:
            return None
        term = ("column", id(real.source), real.index)
        level.columns[term] = real
        return term
    value = constant_of(real)
    return ("constant", value) if value is not None else None


def constant_of(expr: Expr) -> str | None:
    """Return what stands for a value that is known when the statement is planned; None where it depends on a row."""
    match expr:
        case Const():
            return None if expr.kind == "null" else _number(expr.text)
        case Param():
            return expr.name
        case Call(kind="operator" | "cast" | "function") if (
            expr.volatility == "i" and expr.arguments and not expr.is_aggregate
        ):
            parts = [constant_of(it) for it in expr.arguments]
            return None if None in parts else f"{expr.name}({', '.join(map(str, parts))})"
        case Call(name="array"):
            parts = [constant_of(it) for it in expr.arguments]
            return None if None in parts else f"array({', '.join(map(str, parts))})"
    return None


def _number(text: str) -> str:
    """Return a number as it is compared: 1, 01 and '1' are the same."""
    stripped = text.strip()
    return str(int(stripped)) if stripped.lstrip("+-").isdecimal() else text


def _find_equal(level: Level, constants: dict[int, Expr], query: Query) -> None:
    pairs: list[tuple[Expr, Expr]] = []
    below: list[tuple[Expr, Expr]] = []
    for qual in level.quals:
        sides = _equal(level, qual)
        if sides is not None:
            (below if qual in level.below else pairs).append(sides)
    for one, other in list(
        pairs
    ):  # of a column that FULL JOIN USING merged: it holds for both (reconsider_full_join_clauses)
        for merged, value in ((one, other), (other, one)):
            if isinstance(merged, Call) and merged.name == "coalesce" and constant_of(value) is not None:
                keys = {key_of(level.resolved(it)) for it in merged.arguments}
                if any({key_of(side) for side in link} == keys for link in level.links):
                    pairs += [(level.resolved(it), value) for it in merged.arguments]
    pairs += [(query.targets[index].expr, value) for index, value in constants.items()]
    known = [(_term(level, one), _term(level, other)) for one, other in pairs]
    known += [(_own(_term(level, one)), _own(_term(level, other))) for one, other in below]
    _merge(level, [(one, other) for one, other in known if one is not None and other is not None])
    _pass_outer_joins(level)


def _pass_outer_joins(level: Level) -> None:
    """Let constants pass from the side of an outer join that is kept to the other (reconsider_outer_join_clauses)."""
    for link in level.links:
        for side in link:
            _term(level, side)
    passing = [(_term(level, one), _term(level, other)) for one, other in level.passing]
    for _ in passing:  # each may be what the next one needs
        for kept, other in passing:
            known = next((it for it in level.classes if kept in it), set())
            constant = next((term for term in known if term[0] == "constant"), None)
            if constant is not None and other is not None:
                _merge(level, [(other, ("constant", constant[1], other))])


def _own(term: Term | None) -> Term | None:
    """Return a constant as one that equals no other: below an outer join, it is not as constant as it looks."""
    return ("constant", term[1], object()) if term is not None and term[0] == "constant" else term


def _merge(level: Level, pairs: list[tuple[Term, Term]]) -> None:
    for one, other in pairs:
        touched = [it for it in level.classes if one in it or other in it]
        level.classes = [it for it in level.classes if it not in touched] + [set().union({one, other}, *touched)]


def _pushed(level: Level, source: Source, query: Query) -> dict[int, Expr]:
    """Return the columns of a subquery that are equal to constants, where PostgreSQL pushes that into it."""
    if not _takes_any(query):
        return {}
    pushed: dict[int, Expr] = {}
    for index in range(len(source.columns)):
        value = level.value_of(source, index)
        if value is None:
            for qual in level.local.get(source, []):
                sides = _equal(level, qual)
                for one, other in (sides, sides[::-1]) if sides else ():
                    if isinstance(one, Var) and one.source is source and one.index == index:
                        value = constant_of(other)
        if value is not None and index < len(query.targets) and _takes(query, query.targets[index].expr):
            pushed[index] = Param(value)
    return pushed


def _takes_any(query: Query) -> bool:
    """Tell whether a condition may be checked within a subquery at all (subquery_is_pushdown_safe)."""
    if query.limit is not None or query.offset is not None:
        return False
    if query.set_operation is None:
        return True
    operations = list(query.set_operation.operations())
    if all(it.kind == "union" and it.all for it in operations):
        return True  # each side by itself
    leaves = [leaf.query for leaf in query.set_operation.leaves()]
    return all(it.kind != "except" for it in operations) and all(leaf is None or _takes_any(leaf) for leaf in leaves)


def _takes(query: Query, expr: Expr) -> bool:
    """Tell whether a condition on a column of the SELECT list may be checked within the subquery."""
    key = key_of(expr)
    if any(isinstance(it, Call) and (it.is_aggregate or it.is_window or it.returns_set) for it in walk(expr)):
        return False
    for listed in ([query.group] if query.group else []) + query.windows + ([query.distinct] if query.distinct else []):
        if key not in {key_of(it) for it in listed}:
            return False
    return not (query.has_aggregates and not query.group)


def _values(level: Level, qual: Expr, table: Source, column: int) -> set[str] | None:
    """Return the values of a column that a condition lets through; None where it does not tell."""

    def is_column(expr: Expr) -> bool:
        real = level.resolved(expr)
        return isinstance(real, Var) and real.source is table and real.index == column

    match qual:
        case Call(name="=", kind="operator", arguments=[one, other]):
            for side, value in ((one, other), (other, one)):
                if is_column(side) and constant_of(level.resolved(value)) is not None:
                    return {str(constant_of(level.resolved(value)))}
        case Call(name="in", arguments=[one, *listed]) if is_column(one):
            found = {constant_of(it) for it in listed}
            return None if None in found else {str(it) for it in found}
        case Call(name="any", arguments=[one, Call(name="array") as listed]) if is_column(one):
            found = {constant_of(it) for it in listed.arguments}
            return None if None in found else {str(it) for it in found}
        case Logic(name="or"):
            branches = [_values(level, it, table, column) for it in qual.arguments]
            return None if any(it is None for it in branches) else set().union(*(it for it in branches if it))
        case Logic(name="and"):
            parts = [it for it in (_values(level, part, table, column) for part in qual.arguments) if it is not None]
            return set.intersection(*parts) if parts else None
    return None
