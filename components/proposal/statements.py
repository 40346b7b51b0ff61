"""What statements compare with a parameter: by which columns an application asks. Pure; parses with PostgreSQL's grammar."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import postgast
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from components.names import TableName
from components.schema.parse_tree import nodes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from components.proposal.ties import Ties
    from components.schema.statistics import RunStatement

__all__ = ["UsedColumns", "read_statements"]


@dataclass(frozen=True)
class UsedColumns:
    """The tables of a statement, and the columns that it compares with a value or inserts."""

    tables: frozenset[TableName]
    compared: frozenset[str]
    calls: int


def read_statements(statements: Iterable[RunStatement], ties: Ties) -> list[UsedColumns]:
    """Return what the statements that read or write tables of the schema use; those that do not parse are left out."""
    by_name: dict[str, list[TableName]] = {}
    for name in ties.tables:
        by_name.setdefault(name.name, []).append(name)
    found = Counter[tuple[frozenset[TableName], frozenset[str]]]()
    for statement in statements:
        try:
            parsed = postgast.parse(statement.text).stmts
        except (postgast.PgQueryError, DecodeError):
            continue
        tables = frozenset(
            name
            for raw in parsed
            for range_ in (*nodes(raw.stmt, "range_var"), *nodes(raw.stmt, "relation"))
            for name in by_name.get(range_.relname, ())
            if range_.schemaname in ("", name.schema)
        )
        if tables:
            found[tables, frozenset(column for raw in parsed for column in _compared(raw.stmt))] += statement.calls
    return [UsedColumns(tables, compared, calls) for (tables, compared), calls in found.items()]


def _compared(statement: Any) -> Iterator[str]:
    """Yield the columns that are compared by = with a parameter or a constant, and those that an INSERT names."""
    for expression in nodes(statement, "a_expr"):
        sides = (expression.lexpr, expression.rexpr)
        operator = expression.name[-1].string.sval if expression.name else ""
        for one, other in (sides, sides[::-1]):
            if operator == "=" and one.HasField("column_ref") and not other.HasField("column_ref"):
                yield one.column_ref.fields[-1].string.sval
    for insert in nodes(statement, "insert_stmt"):
        yield from (column.res_target.name for column in insert.cols)
