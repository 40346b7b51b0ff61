"""Statements with parameters that have no value yet when Citus plans them. Pure."""

from __future__ import annotations

from components.plan.queries.model import Call, Param, Query, Var, expressions, walk, within
from components.plan.queries.planning import constant_of

__all__ = ["forget_parameters", "has_parameters", "is_fast_path"]


def has_parameters(query: Query) -> bool:
    """Tell whether a statement has parameters."""
    return any(isinstance(it, Param) for part in within(query) for expr in expressions(part) for it in walk(expr))


def is_fast_path(query: Query) -> bool:
    """Tell whether Citus needs no value to plan a statement: it is for one value of one table (FastPathRouterQuery)."""
    if query.command == "insert" and query.select is None:
        return True
    sources = query.sources
    if query.ctes or query.sublinks or query.set_operation or len(sources) != 1 or sources[0].kind != "table":
        return False
    table = sources[0]
    if table.distribution_column is None:
        return True
    columns = [
        it for qual in query.where for it in walk(qual) if isinstance(it, Var) and it.index == table.distribution_column
    ]
    return len(columns) == 1 and any(
        isinstance(qual, Call)
        and qual.kind == "operator"
        and qual.name == "="
        and columns[0] in qual.arguments
        and any(constant_of(it) is not None for it in qual.arguments)
        for qual in query.where
    )


def forget_parameters(query: Query) -> None:
    """Make every parameter of a statement an expression of which nothing is known."""
    for part in within(query):
        for expr in expressions(part):
            for it in walk(expr):
                for number, inner in enumerate(it.parts()):
                    if isinstance(inner, Param):
                        it.parts()[number] = Call("parameter", [], "other")
