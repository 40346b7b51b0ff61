"""What a name in a query is: a table with its placement, a view, a function. By the layout alone. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import postgast
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from components.names import TableName
from components.plan.queries.model import Source
from components.plan.queries.volatility import AGGREGATES, SET_RETURNING, STABLE, VOLATILE, WINDOW_FUNCTIONS
from components.schema.parse_tree import nodes, strings
from components.tables import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.plan.layout import Layout
    from components.schema.relations import OtherRelation, Routine

__all__ = ["Catalog", "Function"]

_SYSTEM_SCHEMAS: Final = frozenset({"pg_catalog", "information_schema"})


@dataclass(frozen=True)
class Function:
    """What a plan depends on, of a function."""

    volatility: str
    declared: str = "i"
    is_aggregate: bool = False
    is_window: bool = False
    returns_set: bool = False
    of_files: bool = False


_KEPT_BY_SHARDS: Final = (13, 2)
"""First release of Citus in which an outer join keeps the rows of a reference table on the shards."""


class Catalog:
    """The relations and functions of a layout, by the name that a query gives them."""

    def __init__(self, layout: Layout, search_path: Iterable[str] = ("public",)) -> None:
        """Take the schemas in which a name without one is looked up, in order."""
        self.layout = layout
        self.search_path = tuple(dict.fromkeys([*search_path, "public"]))
        self._volatilities: dict[int, str] = {}
        """Of the files' functions, as they were asked for."""

    def within(self, search_path: Iterable[str]) -> Catalog:
        """Return the same catalog with another search path."""
        return Catalog(self.layout, search_path)

    def candidates(self, schema: str, name: str) -> list[TableName]:
        """Return what the name may refer to, in order."""
        return [TableName(it, name) for it in ([schema] if schema else self.search_path)]

    def view(self, schema: str, name: str) -> tuple[TableName, OtherRelation] | None:
        """Return the view, materialized view or foreign table of that name."""
        for it in self.candidates(schema, name):
            if it in self.layout.schema.tables:
                return None
            if it in self.layout.schema.others:
                return it, self.layout.schema.others[it]
        return None

    def table(self, schema: str, name: str, alias: str) -> Source | None:
        """Return the table of that name as a source; None where no file creates it."""
        for it in self.candidates(schema, name):
            if it in self.layout.schema.tables:
                return self._source(it, alias)
        if schema in _SYSTEM_SCHEMAS or (not schema and name.startswith("pg_")):
            return Source("table", alias, [], TableName(schema or "pg_catalog", name), Kind.LOCAL, is_open=True)
        return None

    def _source(self, name: TableName, alias: str) -> Source:
        table, layout = self.layout.schema.tables[name], self.layout
        columns = list(table.columns or {})
        kind = layout.kind(name)
        if kind == Kind.LOCAL and layout.root(name) in layout.managed:
            kind = Kind.MANAGED
        source = Source("table", alias, columns, name, kind, is_open=table.columns is None)
        source.types = [column.type for column in (table.columns or {}).values()]
        for it in (table.columns or {}).values():
            called = ("nextval",) if it.identity else it.default
            if called is not None or it.generated:
                source.defaults.add(it.name)
            if any(self.function("", name).volatility == "v" for name in called or ()):
                source.volatile_defaults.add(it.name)
        if kind == Kind.DISTRIBUTED:
            source.group = layout.colocation_root(name)
            column = layout.distribution_column_name(name)
            if column not in columns:
                columns.append(column)
                source.types.append("")
            source.distribution_column = columns.index(column)
        elif kind == Kind.SINGLE_SHARD:
            source.group = TableName(name.schema, "")
        source.is_kept_by_shards = kind == Kind.REFERENCE and (layout.citus or (0, 0)) >= _KEPT_BY_SHARDS
        for key in table.keys:
            if key.kind == "exclude" or not set(key.columns) <= set(columns) or not key.referable:
                continue
            names = (layout.primary_key(name) if key.kind == "primary key" else None) or key.columns
            source.unique.append(frozenset(columns.index(column) for column in names if column in columns))
        return source

    def function(self, schema: str, name: str) -> Function:
        """Return what kind of function it is; one that nobody knows is taken to be immutable."""
        routines = [
            routine
            for it in self.candidates(schema, name)
            for routine in self.layout.schema.routines.get(it, {}).values()
        ]
        if routines and schema not in _SYSTEM_SCHEMAS:
            return self._routine(routines)
        if name in AGGREGATES:
            return Function("i", is_aggregate=True, is_window=False)
        if name in WINDOW_FUNCTIONS:
            return Function("i", is_window=True)
        volatility = "v" if name in VOLATILE else "s" if name in STABLE else "i"
        return Function(volatility, volatility, returns_set=name in SET_RETURNING)

    def _routine(self, routines: list[Routine]) -> Function:
        volatility = max(map(self._volatility, routines), key="isv".index)
        return Function(
            volatility,
            max((it.volatility for it in routines), key="isv".index),
            is_aggregate=any(it.is_aggregate for it in routines),
            returns_set=any(it.returns_set for it in routines),
            of_files=not any(it.is_aggregate for it in routines),
        )

    def _volatility(self, routine: Routine) -> str:
        """Return how volatile a function is; one that PostgreSQL inlines, as its body is (inline_function)."""
        known = self._volatilities
        if id(routine) not in known:
            known[id(routine)] = routine.volatility  # of a function that calls itself
            known[id(routine)] = self._volatility_of(routine)
        return known[id(routine)]

    def _volatility_of(self, routine: Routine) -> str:
        expression = _inlined(routine)
        if expression is None:
            return routine.volatility
        found = "i"
        for call in nodes(expression, "func_call"):
            *schema, name = strings(call.funcname)
            known = self.function(schema[-1] if schema else "", name)
            found = max(found, known.volatility, key="isv".index)
        if any(True for _ in nodes(expression, "sqlvalue_function")):
            found = max(found, "s", key="isv".index)
        return found if "isv".index(found) <= "isv".index(routine.volatility) else routine.volatility


def _inlined(routine: Routine) -> Any:
    """Return the expression that a function in SQL is, if it is no more than that."""
    if routine.language != "sql" or routine.returns_set or routine.tree is None:
        return None
    for statement in _body(routine.tree):
        if not statement.HasField("select_stmt"):  # of RETURN
            return statement
        select = statement.select_stmt
        alone = len(select.target_list) == 1 and not select.from_clause and not select.HasField("where_clause")
        return select.target_list[0] if alone and not any(True for _ in nodes(select, "sub_link")) else None
    return None


@lru_cache(maxsize=256)
def _parsed(text: str) -> Any:
    try:
        return postgast.parse(text)
    except (postgast.PgQueryError, DecodeError):
        return None


def _body(tree: Any) -> list[Any]:
    """Return the statements of a function in SQL; none where its body does not parse."""
    if tree.HasField("sql_body"):
        return [tree.sql_body.return_stmt.returnval] if tree.sql_body.HasField("return_stmt") else []
    options = {node.def_elem.defname: node.def_elem.arg for node in tree.options}
    parsed = _parsed(strings(options["as"].list.items)[0]) if "as" in options else None
    return [raw.stmt for raw in parsed.stmts] if parsed else []
