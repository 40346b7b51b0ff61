"""A statement as the judge reads it: like PostgreSQL's Query, with names resolved to their sources. Pure data.

A column refers to its source by identity, so that a source can be replaced by another in the course of planning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from components.names import TableName
from components.tables import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


__all__ = [
    "WHOLE_ROW",
    "Call",
    "Const",
    "Cte",
    "Expr",
    "Join",
    "Logic",
    "Node",
    "Param",
    "Query",
    "SetOperation",
    "Source",
    "SubLink",
    "Target",
    "Var",
    "conjuncts",
    "expressions",
    "is_correlated",
    "key_of",
    "sources_below",
    "subqueries",
    "walk",
]

WHOLE_ROW = -1
"""Index of a Var that is the row itself; SYSTEM_COLUMN is that of ctid and the like."""


@dataclass(eq=False)
class Source:
    """An entry of a FROM clause: a table, a subquery, a function, a CTE; or the result of a step that ran before."""

    kind: Literal["table", "subquery", "function", "values", "cte", "result"]
    alias: str
    columns: list[str]
    table: TableName | None = None
    sharding: Kind | None = None
    """Of a table."""
    distribution_column: int | None = None
    """Index of it, of a distributed table."""
    group: TableName | None = None
    """The colocation group of a distributed table."""
    types: list[str] = field(default_factory=list)
    """Of a table's columns."""
    unique: list[frozenset[int]] = field(default_factory=list)
    """Columns of a table's unique keys."""
    defaults: set[str] = field(default_factory=set)
    """Columns of a table that have a value where none is given."""
    volatile_defaults: set[str] = field(default_factory=set)
    """Those whose value is another each time, as that of a sequence."""
    is_kept_by_shards: bool = False
    """Of a reference table: whether each shard can tell which of its rows it keeps in an outer join (Citus 13.2)."""
    replaced: TableName | None = None
    """The local table that it was before it ran."""
    is_stored_view: bool = False
    """Whether it is a materialized view."""
    query: Query | None = None
    cte: Cte | None = None
    """What it refers to."""
    arguments: list[Expr] = field(default_factory=list)
    """Of a function; the values of VALUES."""
    rows: int = 0
    """Of VALUES."""
    lateral: bool = False
    ordinality: bool = False
    is_open: bool = False
    """Whether it may have other columns than these."""

    @property
    def is_distributed(self) -> bool:
        """Tell whether it is a distributed table, by a column or as one of a distributed schema."""
        return self.sharding in (Kind.DISTRIBUTED, Kind.SINGLE_SHARD)

    @property
    def is_single_shard(self) -> bool:
        """Tell whether it is a table of a distributed schema."""
        return self.sharding == Kind.SINGLE_SHARD

    @property
    def is_reference(self) -> bool:
        """Tell whether it is a reference table."""
        return self.sharding == Kind.REFERENCE

    @property
    def is_in_metadata(self) -> bool:
        """Tell whether Citus knows the table."""
        return self.is_distributed or self.sharding in (Kind.REFERENCE, Kind.MANAGED)

    @property
    def is_local(self) -> bool:
        """Tell whether it is a table that only the coordinator has."""
        return self.sharding in (Kind.LOCAL, Kind.MANAGED)


@dataclass(eq=False)
class Expr:
    """An expression."""

    def parts(self) -> list[Expr]:
        """Return the expressions that it is made of; not those of a subquery."""
        return []


@dataclass(eq=False)
class Var(Expr):
    """A column of a source."""

    source: Source
    index: int


@dataclass(eq=False)
class Const(Expr):
    """A constant; the text is empty for NULL."""

    text: str
    kind: Literal["null", "integer", "number", "string", "boolean"]


@dataclass(eq=False)
class Param(Expr):
    """A value that comes with the statement."""

    name: str


@dataclass(eq=False)
class Call(Expr):
    """An operator, a function, or anything else that is made of expressions."""

    name: str
    arguments: list[Expr]
    kind: Literal["operator", "function", "cast", "other"] = "function"
    volatility: Literal["i", "s", "v"] = "i"
    """Once PostgreSQL has inlined it."""
    declared: Literal["i", "s", "v"] = "i"
    """As it is written."""
    is_aggregate: bool = False
    is_window: bool = False
    is_distinct: bool = False
    returns_set: bool = False
    reads: str = ""
    """Name of the function of the files that it calls."""

    def parts(self) -> list[Expr]:
        """Return the arguments."""
        return self.arguments


@dataclass(eq=False)
class Logic(Expr):
    """AND, OR or NOT."""

    name: Literal["and", "or", "not"]
    arguments: list[Expr]

    def parts(self) -> list[Expr]:
        """Return the arguments."""
        return self.arguments


@dataclass(eq=False)
class SubLink(Expr):
    """A subquery within an expression."""

    kind: Literal["exists", "any", "all", "value"]
    query: Query
    test: list[Expr] = field(default_factory=list)
    """Of ANY and ALL: what is compared with the subquery's columns."""
    operator: str = "="

    def parts(self) -> list[Expr]:
        """Return what is compared with the subquery's rows."""
        return self.test


@dataclass(eq=False)
class Join:
    """A join of two sides."""

    kind: Literal["inner", "left", "right", "full"]
    left: Node
    right: Node
    quals: list[Expr]
    merges: bool = False
    """Whether USING has a column that is neither side's alone, and the join has no alias."""


Node = Source | Join


@dataclass(eq=False)
class Target:
    """An entry of a SELECT list, or of SET and the columns of INSERT."""

    name: str
    expr: Expr


@dataclass(eq=False)
class Cte:
    """A common table expression with the places that refer to it."""

    name: str
    query: Query
    columns: list[str] = field(default_factory=list)
    references: list[Source] = field(default_factory=list)
    materialized: Literal["default", "always", "never"] = "default"
    is_recursive: bool = False
    has_search: bool = False


@dataclass(eq=False)
class SetOperation:
    """UNION, INTERSECT or EXCEPT of sources, which are subqueries."""

    kind: Literal["union", "intersect", "except"]
    all: bool
    sides: tuple[SetOperation | Source, SetOperation | Source]

    def leaves(self) -> Iterator[Source]:
        """Yield the subqueries, from left to right."""
        for side in self.sides:
            if isinstance(side, SetOperation):
                yield from side.leaves()
            else:
                yield side

    def operations(self) -> Iterator[SetOperation]:
        """Yield the operation and those within it."""
        yield self
        for side in self.sides:
            if isinstance(side, SetOperation):
                yield from side.operations()


@dataclass(eq=False)
class Action:
    """One WHEN of MERGE."""

    kind: Literal["insert", "update", "delete", "nothing"]
    matched: bool
    condition: Expr | None
    targets: list[Target]


@dataclass(eq=False)
class Query:
    """A statement or a subquery."""

    command: Literal["select", "insert", "update", "delete", "merge"] = "select"
    tree: list[Node] = field(default_factory=list)
    """The FROM clause; of UPDATE and DELETE also the target."""
    where: list[Expr] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    group: list[Expr] = field(default_factory=list)
    grouping_sets: bool = False
    having: Expr | None = None
    distinct: list[Expr] | None = None
    order: list[Expr] = field(default_factory=list)
    limit: Expr | None = None
    offset: Expr | None = None
    windows: list[list[Expr]] = field(default_factory=list)
    """PARTITION BY of each window."""
    for_update: bool = False
    set_operation: SetOperation | None = None
    ctes: list[Cte] = field(default_factory=list)
    is_recursive: bool = False
    target: Source | None = None
    """Of a statement that writes."""
    values: list[list[Expr]] | None = None
    """Rows of INSERT … VALUES, in the order of the targets."""
    select: Source | None = None
    """Of INSERT … SELECT."""
    conflict: list[Target] = field(default_factory=list)
    """SET of ON CONFLICT DO UPDATE."""
    conflict_where: list[Expr] = field(default_factory=list)
    returning: list[Expr] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    targets_view: bool = False
    targets_cursor: bool = False
    found_sublinks: list[SubLink] | None = None
    """Those of the expressions, once they were looked for."""

    @property
    def sublinks(self) -> list[SubLink]:
        """Return the subqueries of the expressions, each once; there never are others later."""
        if self.found_sublinks is None:
            found = {id(it): it for expr in expressions(self) for it in walk(expr) if isinstance(it, SubLink)}
            self.found_sublinks = list(found.values())
        return self.found_sublinks

    @property
    def has_aggregates(self) -> bool:
        """Tell whether the SELECT list or HAVING has an aggregate."""
        roots = [target.expr for target in self.targets] + ([self.having] if self.having else []) + self.order
        return any(isinstance(it, Call) and it.is_aggregate for root in roots for it in walk(root))

    @property
    def has_set_functions(self) -> bool:
        """Tell whether the SELECT list has a function that returns rows."""
        return any(isinstance(it, Call) and it.returns_set for target in self.targets for it in walk(target.expr))

    @property
    def sources(self) -> list[Source]:
        """Return the sources of the FROM clause, or of the set operation."""
        found = [source for node in self.tree for source in sources_below(node)]
        if self.set_operation is not None:
            found += self.set_operation.leaves()
        if self.select is not None:
            found.append(self.select)
        if self.command == "insert" and self.target is not None:
            found.insert(0, self.target)
        return found

    @property
    def joined(self) -> list[Source]:
        """Return the sources of the FROM clause alone."""
        return [source for node in self.tree for source in sources_below(node)]

    @property
    def joins(self) -> Iterator[Join]:
        """Yield every join of the FROM clause."""
        waiting = list(self.tree)
        while waiting:
            node = waiting.pop()
            if isinstance(node, Join):
                yield node
                waiting += [node.left, node.right]

    def replace_by(self, other: Query) -> None:
        """Become another query."""
        vars(self).clear()
        vars(self).update(vars(other))


def sources_below(node: Node) -> Iterator[Source]:
    """Yield the sources of a FROM entry, from left to right."""
    if isinstance(node, Source):
        yield node
    else:
        yield from sources_below(node.left)
        yield from sources_below(node.right)


def walk(expr: Expr) -> Iterator[Expr]:
    """Yield an expression and all that it is made of; not the inside of subqueries."""
    waiting = [expr]
    while waiting:
        it = waiting.pop()
        yield it
        waiting += it.parts()


def expressions(query: Query) -> Iterator[Expr]:
    """Yield the expressions of a query, each whole; not those of its subqueries in FROM and WITH."""
    yield from query.where
    for join in query.joins:
        yield from join.quals
    for source in query.joined:
        yield from source.arguments
    yield from (target.expr for target in query.targets)
    yield from query.group
    yield from query.order
    yield from query.distinct or []
    yield from (it for it in (query.having, query.limit, query.offset) if it is not None)
    for partition in query.windows:
        yield from partition
    for row in query.values or []:
        yield from row
    yield from (target.expr for target in query.conflict)
    yield from query.conflict_where
    yield from query.returning
    for action in query.actions:
        yield from (target.expr for target in action.targets)
        if action.condition is not None:
            yield action.condition


def subqueries(query: Query) -> Iterator[Query]:
    """Yield the queries directly within a query: of FROM, of WITH, and of expressions."""
    for source in query.sources:
        if source.query is not None:
            yield source.query
    yield from (cte.query for cte in query.ctes)
    yield from (it.query for it in query.sublinks)


def within(query: Query) -> Iterator[Query]:
    """Yield the query and every query within it."""
    waiting = [query]
    while waiting:
        it = waiting.pop()
        yield it
        waiting += subqueries(it)


def is_correlated(query: Query) -> bool:
    """Tell whether a query refers to a source outside itself."""
    inside = list(within(query))
    own = {id(source) for it in inside for source in it.sources}
    return any(
        isinstance(part, Var) and id(part.source) not in own
        for it in inside
        for expr in expressions(it)
        for part in walk(expr)
    )


def refers_to(query: Query, sources: set[Source]) -> bool:
    """Tell whether a query refers to one of the sources."""
    return any(
        isinstance(part, Var) and part.source in sources
        for it in within(query)
        for expr in expressions(it)
        for part in walk(expr)
    )


def conjuncts(expr: Expr) -> Iterator[Expr]:
    """Yield what is joined by AND."""
    if isinstance(expr, Logic) and expr.name == "and":
        for it in expr.arguments:
            yield from conjuncts(it)
    else:
        yield expr


def key_of(expr: Expr) -> tuple[object, ...]:
    """Return what two expressions have in common if they are the same."""
    match expr:
        case Var():
            return ("column", id(expr.source), expr.index)
        case Const():
            return ("constant", expr.text, expr.kind == "null")
        case Param():
            return ("parameter", expr.name)
        case SubLink():
            return ("subquery", id(expr))
        case Call() | Logic():
            return (type(expr).__name__, expr.name, *(key_of(it) for it in expr.arguments))
    return ("other", id(expr))


def any_table(sources: list[Source], wanted: Callable[[Source], bool]) -> bool:
    """Tell whether the sources, or the queries within them, have such a table."""
    return any(wanted(table) for table in tables_within(sources))


def tables_within(sources: list[Source]) -> Iterator[Source]:
    """Yield the tables among the sources and in the queries within them."""
    for source in sources:
        if source.kind == "table":
            yield source
        if source.query is not None:
            yield from tables_of(source.query)
        for argument in source.arguments:
            for it in walk(argument):
                if isinstance(it, SubLink):
                    yield from tables_of(it.query)


def tables_of(query: Query) -> Iterator[Source]:
    """Yield the tables of a query and of the queries within it."""
    for it in within(query):
        yield from (source for source in it.sources if source.kind == "table")
