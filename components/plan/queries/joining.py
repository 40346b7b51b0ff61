"""The order in which Citus joins tables that it does not push down as a whole (multi_join_order.c). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from components.names import TableName
from components.plan.queries.model import Call, Source, Var
from components.plan.queries.verdict import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.plan.queries.model import Expr
    from components.plan.queries.planning import Level

__all__ = ["Rule", "join_rules"]


class Rule(IntEnum):
    """How one more table is joined, the cheapest first."""

    REFERENCE = 1
    LOCAL = 2
    DUAL_REPARTITION = 5
    CARTESIAN_REFERENCE = 6
    CARTESIAN = 7


@dataclass(frozen=True)
class _Condition:
    """A condition on more than one table."""

    tables: frozenset[Source]
    sides: tuple[Var, Var] | None
    """Where it compares two columns."""


@dataclass(frozen=True)
class _State:
    """What is joined so far."""

    last: Source
    columns: tuple[tuple[Source, int], ...]
    """Distribution columns that the joined rows are spread by."""
    method: str
    anchor: TableName | None
    """The colocation group; None where the rows are spread anew."""


def join_rules(level: Level) -> tuple[Rule, ...]:
    """Return the rules of the best order in which the tables of a level can be joined.

    Raises:
        Refusal: there is none.
    """
    conditions = [it for it in (_condition(level, qual) for qual in level.quals) if it is not None]
    tried = (_order(first, level.sources, conditions) for first in level.sources)
    orders = [order for order in tried if order is not None]
    if not orders:
        raise Refusal(
            "complex joins are only supported when all distributed tables are joined on their distribution columns with equal "
            "operator"
        )
    for rule in sorted(Rule, reverse=True):
        fewest = min(order.count(rule) for order in orders)
        orders = [order for order in orders if order.count(rule) == fewest]
    return orders[0]


def _condition(level: Level, qual: Expr) -> _Condition | None:
    tables = frozenset(column.source for column in level.columns_of(qual))
    if len(tables) < 2:  # noqa: PLR2004
        return None
    sides = None
    if isinstance(qual, Call) and qual.kind == "operator" and qual.name == "=":
        one, other = (level.resolved(it) for it in qual.arguments)
        sides = (one, other) if isinstance(one, Var) and isinstance(other, Var) else None
    return _Condition(tables, sides)


def _order(first: Source, tables: list[Source], conditions: list[_Condition]) -> tuple[Rule, ...] | None:
    state, joined, rules = _start(first), [first], []
    while len(joined) < len(tables):
        best: tuple[Rule, _State] | None = None
        for table in tables:
            if table in joined:
                continue
            known = frozenset(joined)
            usable = [it for it in conditions if table in it.tables and it.tables <= known | {table}]
            step = _join(state, table, usable)
            if step is not None and (best is None or step[0] < best[0]):
                best = step
        if best is None:
            return None
        rules.append(best[0])
        state = best[1]
        joined.append(state.last)
    return tuple(rules)


def _key(table: Source) -> tuple[Source, int] | None:
    return (table, table.distribution_column) if table.distribution_column is not None else None


def _start(table: Source) -> _State:
    key = _key(table)
    return _State(table, (key,) if key else (), "hash" if key else "none", table.group or table.table)


def _join(state: _State, table: Source, usable: list[_Condition]) -> tuple[Rule, _State] | None:
    if usable and table.is_reference:
        return Rule.REFERENCE, _State(table, state.columns, state.method, state.anchor)
    key = _key(table)
    same = state.anchor is not None and state.anchor == (table.group or table.table)
    if key and same and state.method == "hash" and _on(usable, state.columns, key):
        return Rule.LOCAL, _State(table, (*state.columns, key), "hash", state.anchor)
    if any(it.sides and _types_agree(it.sides) for it in usable):
        return Rule.DUAL_REPARTITION, _State(table, (), "redistribute", None)
    if table.is_reference:
        return Rule.CARTESIAN_REFERENCE, _State(table, state.columns, state.method, state.anchor)
    return None if usable else (Rule.CARTESIAN, _State(table, state.columns, state.method, None))


def _on(usable: Iterable[_Condition], columns: Iterable[tuple[Source, int]], key: tuple[Source, int]) -> bool:
    pairs = [{(side.source, side.index) for side in it.sides} for it in usable if it.sides]
    return any({column, key} == pair for column in columns for pair in pairs)


def _types_agree(sides: tuple[Var, Var]) -> bool:
    types = {side.source.types[side.index] if side.index < len(side.source.types) else "" for side in sides}
    return len(types) == 1
