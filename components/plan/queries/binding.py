"""Binds a parsed statement to the tables of a layout: names, aliases, USING, views and common table expressions. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import postgast

from components.plan.queries.model import (
    WHOLE_ROW,
    Action,
    Call,
    Const,
    Cte,
    Expr,
    Join,
    Logic,
    Node,
    Param,
    Query,
    SetOperation,
    Source,
    SubLink,
    Target,
    Var,
    conjuncts,
    key_of,
)
from components.plan.queries.verdict import Undecided
from components.schema.parse_tree import strings
from components.tables import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from components.plan.queries.catalog import Catalog
    from components.schema.relations import OtherRelation

__all__ = ["STATEMENTS", "bind"]

STATEMENTS: Final = ("select_stmt", "insert_stmt", "update_stmt", "delete_stmt", "merge_stmt")
"""Fields of a Node with statements that can be judged."""

_SYSTEM_COLUMNS: Final = frozenset({"ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"})
_JOINS: Final = {"JOIN_INNER": "inner", "JOIN_LEFT": "left", "JOIN_RIGHT": "right", "JOIN_FULL": "full"}
_OF_TIME_ZONE: Final = frozenset({"date_trunc", "date_part", "extract", "age", "timezone"})
"""Functions that are stable on timestamptz alone."""
_TYPES: Final = {
    "now": "timestamptz",
    "current_timestamp": "timestamptz",
    "clock_timestamp": "timestamptz",
    "statement_timestamp": "timestamptz",
    "transaction_timestamp": "timestamptz",
    "to_timestamp": "timestamptz",
    "localtimestamp": "timestamp",
    "current_date": "date",
    "to_date": "date",
}
_DEPTH: Final = 30
"""Of views within views."""


def bind(statement: Any, catalog: Catalog, parameters: Iterable[str] = ()) -> Query:
    """Return the query of a parse tree's Node; `parameters` are names that are no columns, as those of a function.

    Raises:
        Undecided: a table, a column or a form of statement that cannot be resolved.
    """
    return _Binder(catalog, frozenset(parameters)).statement(statement, None)


@dataclass
class _Space:
    """What the names in a part of a query mean."""

    relations: dict[str, Source | dict[str, Expr]] = field(default_factory=dict)
    columns: list[tuple[str, Expr]] = field(default_factory=list)
    """Those that are seen without a table's name, as `*` lists them."""

    def joined(self, other: _Space) -> _Space:
        """Return what is seen of both."""
        return _Space({**self.relations, **other.relations}, [*self.columns, *other.columns])

    @property
    def open_sources(self) -> list[Source]:
        """Return the sources that may have columns which are not listed."""
        return [it for it in self.relations.values() if isinstance(it, Source) and it.is_open]


@dataclass
class _Frame:
    """A query level, with those around it."""

    outer: _Frame | None
    space: _Space = field(default_factory=_Space)
    ctes: dict[str, Cte] = field(default_factory=dict)
    windows: dict[str, list[Expr]] = field(default_factory=dict)
    query: Query = field(default_factory=Query)

    def cte(self, name: str) -> Cte | None:
        """Return the CTE of that name, of this level or the next around it."""
        frame: _Frame | None = self
        while frame is not None:
            if name in frame.ctes:
                return frame.ctes[name]
            frame = frame.outer
        return None


def _source_of(alias: str, columns: list[str], **more: Any) -> Source:
    return Source(alias=alias, columns=columns, **more)


class _Binder:
    def __init__(self, catalog: Catalog, parameters: frozenset[str], depth: int = 0) -> None:
        self.catalog = catalog
        self.parameters = parameters
        self.depth = depth

    # --- statements ---------------------------------------------------------------------------------------------------

    def statement(self, node: Any, outer: _Frame | None) -> Query:
        kind = node.WhichOneof("node")
        if kind not in STATEMENTS:
            msg = f"{(kind or 'nothing').removesuffix('_stmt').replace('_', ' ')} is no query"
            raise Undecided(msg)
        frame = _Frame(outer)
        tree = getattr(node, kind)
        if tree.HasField("with_clause"):
            self._with(tree.with_clause, frame)
        return {
            "select_stmt": self._select,
            "insert_stmt": self._insert,
            "update_stmt": self._update,
            "delete_stmt": self._delete,
            "merge_stmt": self._merge,
        }[kind](tree, frame)

    def _with(self, clause: Any, frame: _Frame) -> None:
        frame.query.is_recursive = clause.recursive
        for node in clause.ctes:
            tree = node.common_table_expr
            names = list(strings(tree.aliascolnames))
            cte = Cte(tree.ctename, Query(), has_search=tree.HasField("search_clause"))
            strength = postgast.pg_query_pb2.CTEMaterialize.Name(tree.ctematerialized)
            cte.materialized = {"CTEMaterializeAlways": "always", "CTEMaterializeNever": "never"}.get(
                strength, "default"
            )  # type: ignore[assignment]
            if clause.recursive:
                frame.ctes[tree.ctename] = cte
                first = tree.ctequery.select_stmt
                if first.HasField("larg"):
                    cte.columns = names or self._names_of(first.larg, frame)
            bound = self.statement(tree.ctequery, frame)
            if cte.references:
                cte.is_recursive = True
            cte.query.replace_by(bound)
            shown = bound.targets if bound.command == "select" else self._returned(bound)
            cte.columns = [*names, *(target.name for target in shown[len(names) :])]
            frame.ctes[tree.ctename] = cte
            frame.query.ctes.append(cte)

    def _names_of(self, select: Any, frame: _Frame) -> list[str]:
        node = postgast.pg_query_pb2.Node()
        node.select_stmt.CopyFrom(select)
        return [target.name for target in self.statement(node, frame).targets]

    def _select(self, tree: Any, frame: _Frame) -> Query:
        query = frame.query
        operation = postgast.pg_query_pb2.SetOperation.Name(tree.op)
        if operation not in ("SETOP_NONE", "SET_OPERATION_UNDEFINED"):
            return self._set_operation(tree, frame, operation)
        if tree.values_lists:
            rows = [[self.expr(item, frame) for item in row.list.items] for row in tree.values_lists]
            source = self._values(rows, "*VALUES*")
            query.tree = [source]
            query.targets = [Target(name, Var(source, index)) for index, name in enumerate(source.columns)]
            return query
        self._from(tree.from_clause, frame)
        if tree.HasField("where_clause"):
            query.where = list(conjuncts(self.expr(tree.where_clause, frame)))
        for node in tree.window_clause:
            window = node.window_def
            base = frame.windows.get(window.refname, [])
            frame.windows[window.name] = base + [self.expr(it, frame) for it in window.partition_clause]
            query.windows.append(frame.windows[window.name])
        query.targets = [target for node in tree.target_list for target in self._target(node.res_target, frame)]
        query.group = list(self._group(tree.group_clause, frame))
        if tree.HasField("having_clause"):
            query.having = self.expr(tree.having_clause, frame)
        if tree.distinct_clause:
            plain = all(node.WhichOneof("node") is None for node in tree.distinct_clause)
            query.distinct = (
                [target.expr for target in query.targets]
                if plain
                else [self._sort_expr(node, frame) for node in tree.distinct_clause]
            )
        query.order = [self._sort_expr(node.sort_by.node, frame) for node in tree.sort_clause]
        self._limit(tree, frame)
        query.for_update = bool(tree.locking_clause)
        return query

    def _limit(self, tree: Any, frame: _Frame) -> None:
        query = frame.query
        if tree.HasField("limit_count"):
            query.limit = self.expr(tree.limit_count, frame)
            if isinstance(query.limit, Const) and query.limit.kind == "null":
                query.limit = None
        if tree.HasField("limit_offset"):
            query.offset = self.expr(tree.limit_offset, frame)

    def _set_operation(self, tree: Any, frame: _Frame, operation: str) -> Query:
        query = frame.query
        query.set_operation = self._operation(tree, frame, operation)
        first = next(query.set_operation.leaves())
        query.targets = [Target(name, Var(first, index)) for index, name in enumerate(first.columns)]
        query.order = [
            query.targets[index].expr
            for node in tree.sort_clause
            for index in [self._position(node.sort_by.node, query.targets)]
            if index is not None
        ]
        self._limit(tree, frame)
        return query

    def _operation(self, tree: Any, frame: _Frame, operation: str) -> SetOperation:
        sides: list[SetOperation | Source] = []
        for side in (tree.larg, tree.rarg):
            inner = postgast.pg_query_pb2.SetOperation.Name(side.op)
            plain = not (
                side.sort_clause
                or side.HasField("limit_count")
                or side.HasField("limit_offset")
                or side.HasField("with_clause")
            )
            if inner not in ("SETOP_NONE", "SET_OPERATION_UNDEFINED") and plain:
                sides.append(self._operation(side, frame, inner))
                continue
            node = postgast.pg_query_pb2.Node()
            node.select_stmt.CopyFrom(side)
            sides.append(self._subquery(self.statement(node, frame), "*SELECT*"))
        return SetOperation(operation.removeprefix("SETOP_").lower(), tree.all, (sides[0], sides[1]))  # type: ignore[arg-type]

    @staticmethod
    def _position(node: Any, targets: Sequence[Target]) -> int | None:
        if node.HasField("a_const") and node.a_const.HasField("ival"):
            number = node.a_const.ival.ival - 1
            return number if 0 <= number < len(targets) else None
        if node.HasField("column_ref") and len(node.column_ref.fields) == 1:
            name = node.column_ref.fields[0].string.sval
            return next((index for index, target in enumerate(targets) if target.name == name), None)
        return None

    def _sort_expr(self, node: Any, frame: _Frame) -> Expr:
        """Return what ORDER BY or DISTINCT ON means: a column of the SELECT list before one of FROM."""
        index = self._position(node, frame.query.targets)
        return frame.query.targets[index].expr if index is not None else self.expr(node, frame)

    def _group(self, nodes: Iterable[Any], frame: _Frame) -> Iterator[Expr]:
        for node in nodes:
            if node.HasField("grouping_set"):
                kind = postgast.pg_query_pb2.GroupingSetKind.Name(node.grouping_set.kind)
                frame.query.grouping_sets = frame.query.grouping_sets or kind != "GROUPING_SET_SIMPLE"
                yield from self._group(node.grouping_set.content, frame)
            elif node.HasField("row_expr"):
                yield from self._group(node.row_expr.args, frame)
            else:
                yield self._group_expr(node, frame)

    def _group_expr(self, node: Any, frame: _Frame) -> Expr:
        """Return what GROUP BY means: a column of FROM before one of the SELECT list."""
        if node.HasField("a_const"):
            index = self._position(node, frame.query.targets)
            if index is not None:
                return frame.query.targets[index].expr
        if node.HasField("column_ref") and len(node.column_ref.fields) == 1:
            found = self._unqualified(node.column_ref.fields[0].string.sval, frame.space)
            if found is None:
                return self._sort_expr(node, frame)
        return self.expr(node, frame)

    def _target(self, tree: Any, frame: _Frame) -> Iterator[Target]:
        value = tree.val
        if value.HasField("column_ref") and value.column_ref.fields[-1].HasField("a_star"):
            yield from (Target(name, expr) for name, expr in self._star(value.column_ref, frame))
            return
        if value.HasField("a_indirection") and value.a_indirection.indirection[-1].HasField("a_star"):
            raise Undecided("the columns of a row value (….*) are not known")
        yield Target(tree.name or _label(value), self.expr(value, frame))

    def _star(self, reference: Any, frame: _Frame) -> list[tuple[str, Expr]]:
        parts = [node.string.sval for node in reference.fields[:-1]]
        if not parts:
            self._refuse_open(frame.space.open_sources)
            return frame.space.columns
        relation = self._relation(parts, frame)
        if relation is None:
            msg = f"there is no table {'.'.join(parts)} in this query"
            raise Undecided(msg)
        if isinstance(relation, dict):
            return list(relation.items())
        self._refuse_open([relation] if relation.is_open else [])
        return [(name, Var(relation, index)) for index, name in enumerate(relation.columns)]

    @staticmethod
    def _refuse_open(sources: list[Source]) -> None:
        for source in sources:
            if source.sharding not in (Kind.LOCAL, None):
                msg = f"the columns of {source.table} are not known"
                raise Undecided(msg)

    # --- statements that write ----------------------------------------------------------------------------------------

    def _target_table(self, tree: Any, frame: _Frame) -> Source:
        relation = tree.relation
        alias = relation.alias.aliasname or relation.relname
        view = self.catalog.view(relation.schemaname, relation.relname)
        if view is not None:
            frame.query.targets_view = True
            return self._view(view[1], alias, frame)
        source = self._table(relation, alias)
        frame.query.target = source
        return source

    def _insert(self, tree: Any, frame: _Frame) -> Query:
        query = frame.query
        query.command = "insert"
        source = self._target_table(tree, frame)
        query.target = source
        named = [node.res_target.name for node in tree.cols]
        select = tree.select_stmt.select_stmt
        columns = named or list(source.columns)
        if not tree.HasField("select_stmt"):
            query.values, columns = [[]], []
        elif select.values_lists and not (select.sort_clause or select.HasField("limit_count")):
            if select.HasField("with_clause"):
                self._with(select.with_clause, frame)
            query.values = [[self.expr(item, frame) for item in row.list.items] for row in select.values_lists]
        else:
            bound = self.statement(tree.select_stmt, frame)
            query.select = self._subquery(bound, "*SELECT*")
        if query.values is not None:
            columns = columns[: len(query.values[0])]
            query.targets = [Target(name, Const("", "null")) for name in columns]
        elif query.select is not None:
            columns = columns[: len(query.select.columns)]
            query.targets = [Target(name, Var(query.select, index)) for index, name in enumerate(columns)]
        frame.space = self._space_of(source)
        if tree.HasField("on_conflict_clause"):
            clause = tree.on_conflict_clause
            frame.space = frame.space.joined(_Space({"excluded": source}, []))
            query.conflict = list(self._assignments(clause.target_list, frame))
            conditions = [clause.where_clause] if clause.HasField("where_clause") else []
            conditions += [clause.infer.where_clause] if clause.infer.HasField("where_clause") else []
            query.conflict_where = [self.expr(node, frame) for node in conditions]
        self._returning(tree, frame)
        return query

    def _assignments(self, nodes: Iterable[Any], frame: _Frame) -> Iterator[Target]:
        for node in nodes:
            value = node.res_target.val
            if value.HasField("multi_assign_ref"):
                reference = value.multi_assign_ref
                inner = reference.source
                if inner.HasField("row_expr"):
                    yield Target(node.res_target.name, self.expr(inner.row_expr.args[reference.colno - 1], frame))
                elif reference.colno == 1:
                    yield Target(node.res_target.name, self.expr(inner, frame))
                else:
                    yield Target(node.res_target.name, Call("multi", [], "other"))
            else:
                yield Target(node.res_target.name, self.expr(value, frame))

    def _returning(self, tree: Any, frame: _Frame) -> None:
        items = [target for node in tree.returning_clause.exprs for target in self._target(node.res_target, frame)]
        frame.query.returning = [item.expr for item in items]

    def _update(self, tree: Any, frame: _Frame) -> Query:
        query = frame.query
        query.command = "update"
        source = self._target_table(tree, frame)
        query.tree = [source]
        frame.space = self._space_of(source)
        self._from(tree.from_clause, frame)
        query.targets = list(self._assignments(tree.target_list, frame))
        self._where(tree, frame)
        self._returning(tree, frame)
        return query

    def _delete(self, tree: Any, frame: _Frame) -> Query:
        query = frame.query
        query.command = "delete"
        source = self._target_table(tree, frame)
        query.tree = [source]
        frame.space = self._space_of(source)
        self._from(tree.using_clause, frame)
        self._where(tree, frame)
        self._returning(tree, frame)
        return query

    def _where(self, tree: Any, frame: _Frame) -> None:
        if tree.where_clause.HasField("current_of_expr"):
            frame.query.targets_cursor = True
        elif tree.HasField("where_clause"):
            frame.query.where = list(conjuncts(self.expr(tree.where_clause, frame)))

    def _merge(self, tree: Any, frame: _Frame) -> Query:
        query = frame.query
        query.command = "merge"
        target = self._target_table(tree, frame)
        frame.space = self._space_of(target)
        node, space = self._item(tree.source_relation, frame)
        frame.space = frame.space.joined(space)
        quals = list(conjuncts(self.expr(tree.join_condition, frame)))
        query.tree = [Join("inner", target, node, quals)]
        for when in tree.merge_when_clauses:
            clause = when.merge_when_clause
            kind = postgast.pg_query_pb2.CmdType.Name(clause.command_type).removeprefix("CMD_").lower()
            condition = self.expr(clause.condition, frame) if clause.HasField("condition") else None
            matched = postgast.pg_query_pb2.MergeMatchKind.Name(clause.match_kind) == "MERGE_WHEN_MATCHED"
            if kind == "insert":
                names = [it.res_target.name for it in clause.target_list] or target.columns
                values = [self.expr(it, frame) for it in clause.values]
                targets = [Target(name, value) for name, value in zip(names, values, strict=False)]
            else:
                targets = list(self._assignments(clause.target_list, frame))
            query.actions.append(Action(kind, matched, condition, targets))
        return query

    # --- FROM ---------------------------------------------------------------------------------------------------------

    def _from(self, nodes: Iterable[Any], frame: _Frame) -> None:
        for node in nodes:
            item, space = self._item(node, frame)
            frame.query.tree.append(item)
            frame.space = frame.space.joined(space)

    def _item(self, node: Any, frame: _Frame) -> tuple[Node, _Space]:
        match node.WhichOneof("node"):
            case "range_var":
                source = self._named(node.range_var, frame)
                return source, self._aliased(source, node.range_var.alias)
            case "range_subselect":
                tree = node.range_subselect
                inner = frame if tree.lateral else _without_space(frame)
                source = self._subquery(self.statement(tree.subquery, inner), tree.alias.aliasname or "subquery")
                source.lateral = tree.lateral
                return source, self._aliased(source, tree.alias)
            case "range_function":
                source = self._function(node.range_function, frame)
                return source, self._aliased(source, node.range_function.alias)
            case "join_expr":
                return self._join(node.join_expr, frame)
            case "range_table_sample":
                return self._item(node.range_table_sample.relation, frame)
        msg = f"{node.WhichOneof('node')} in FROM is not read"
        raise Undecided(msg)

    def _aliased(self, source: Source, alias: Any) -> _Space:
        names = list(strings(alias.colnames))
        source.columns = names + source.columns[len(names) :]
        return self._space_of(source)

    @staticmethod
    def _space_of(source: Source) -> _Space:
        columns: list[tuple[str, Expr]] = [(name, Var(source, index)) for index, name in enumerate(source.columns)]
        return _Space({source.alias: source}, columns)

    def _named(self, relation: Any, frame: _Frame) -> Source:
        alias = relation.alias.aliasname or relation.relname
        cte = None if relation.schemaname else frame.cte(relation.relname)
        if cte is not None:
            source = _source_of(alias, list(cte.columns), kind="cte", cte=cte)
            cte.references.append(source)
            return source
        view = self.catalog.view(relation.schemaname, relation.relname)
        if view is not None:
            return self._view(view[1], alias, frame, name=view[0])
        return self._table(relation, alias)

    @staticmethod
    def _returned(query: Query) -> list[Target]:
        names = []
        for expr in query.returning:
            name = expr.source.columns[expr.index] if isinstance(expr, Var) and expr.index >= 0 else "?column?"
            names.append(Target(name, expr))
        return names

    def _view(self, view: OtherRelation, alias: str, frame: _Frame, name: Any = None) -> Source:
        if view.kind == "foreign table":
            return _source_of(alias, [], kind="table", table=name, sharding=Kind.LOCAL, is_open=True)
        if view.query is None:
            msg = f"the query of view {alias} is not known"
            raise Undecided(msg)
        if self.depth > _DEPTH:
            msg = f"view {alias} is nested too deeply"
            raise Undecided(msg)
        binder = _Binder(self.catalog.within(view.search_path), frozenset(), self.depth + 1)
        query = binder.statement(view.query, None)
        source = self._subquery(query, alias)
        source.columns = [*view.columns, *source.columns[len(view.columns) :]]
        if view.kind == "materialized view":
            stored = _source_of(alias, source.columns, kind="table", table=name, sharding=Kind.LOCAL)
            stored.is_stored_view = True
            return stored
        return source

    def _table(self, relation: Any, alias: str) -> Source:
        source = self.catalog.table(relation.schemaname, relation.relname, alias)
        if source is None:
            name = ".".join(part for part in (relation.schemaname, relation.relname) if part)
            msg = f"no file creates {name}"
            raise Undecided(msg)
        return source

    @staticmethod
    def _subquery(query: Query, alias: str) -> Source:
        return _source_of(alias, [target.name for target in query.targets], kind="subquery", query=query)

    @staticmethod
    def _values(rows: list[list[Expr]], alias: str) -> Source:
        columns = [f"column{number}" for number in range(1, len(rows[0]) + 1)]
        arguments = [expr for row in rows for expr in row]
        return _source_of(alias, columns, kind="values", arguments=arguments, rows=len(rows))

    def _function(self, tree: Any, frame: _Frame) -> Source:
        calls: list[Expr] = []
        columns: list[str] = []
        is_open = False
        for node in tree.functions:
            call, *definitions = node.list.items
            expr = self.expr(call, frame)
            calls.append(expr)
            listed = [it for part in definitions for it in part.list.items]
            names = [it.column_def.colname for it in listed] or self._out_columns(call)
            is_open = is_open or not names
            columns += names
        columns += [it.column_def.colname for it in tree.coldeflist]
        label = _label(tree.functions[0].list.items[0])
        alias = tree.alias.aliasname or label
        source = _source_of(alias, columns, kind="function", arguments=calls, is_open=is_open)
        source.lateral = tree.lateral or any(_has_var(call) for call in calls)
        source.ordinality = tree.ordinality
        if not columns and not tree.alias.colnames and label not in ("jsonb_each", "json_each", "jsonb_each_text"):
            source.columns = [alias]  # a function that returns a plain type: its column is named as it is
        return source

    def _out_columns(self, call: Any) -> list[str]:
        if not call.HasField("func_call"):
            return []
        *schema, name = strings(call.func_call.funcname)
        for it in self.catalog.candidates(schema[-1] if schema else "", name):
            for routine in self.catalog.layout.schema.routines.get(it, {}).values():
                outs = (
                    [
                        node.function_parameter.name
                        for node in routine.tree.parameters
                        if node.function_parameter.mode
                        in (
                            postgast.pg_query_pb2.FUNC_PARAM_OUT,
                            postgast.pg_query_pb2.FUNC_PARAM_INOUT,
                            postgast.pg_query_pb2.FUNC_PARAM_TABLE,
                        )
                    ]
                    if routine.tree is not None
                    else []
                )
                if outs:
                    return outs
        return []

    def _join(self, tree: Any, frame: _Frame) -> tuple[Node, _Space]:
        kind = postgast.pg_query_pb2.JoinType.Name(tree.jointype)
        if kind not in _JOINS:
            msg = f"{kind} is not read"
            raise Undecided(msg)
        left, left_space = self._item(tree.larg, frame)
        lateral = _Frame(frame.outer, frame.space.joined(left_space), frame.ctes, frame.windows, frame.query)
        right, right_space = self._item(tree.rarg, lateral)
        join = Join(_JOINS[kind], left, right, [])  # type: ignore[arg-type]
        names = list(strings(tree.using_clause))
        if tree.is_natural:
            self._refuse_open([*left_space.open_sources, *right_space.open_sources])
            right_names = {name for name, _ in right_space.columns}
            names = [name for name, _ in left_space.columns if name in right_names]
        space = left_space.joined(right_space)
        if names:
            merged = []
            for name in names:
                one, other = self._required(name, left_space), self._required(name, right_space)
                join.quals.append(Call("=", [one, other], "operator"))
                shown = other if join.kind == "right" else one
                merged.append((name, Call("coalesce", [one, other], "other") if join.kind == "full" else shown))
            join.merges = join.kind == "full" and not tree.HasField("alias")
            rest = [(name, expr) for name, expr in space.columns if name not in names]
            space = _Space(space.relations, [*merged, *rest])
        if tree.HasField("quals"):
            inner = _Frame(frame.outer, space, frame.ctes, frame.windows, frame.query)
            join.quals += conjuncts(self.expr(tree.quals, inner))
        if tree.HasField("alias"):
            columns = dict(space.columns)
            space = _Space({tree.alias.aliasname: columns}, list(columns.items()))
        return join, space

    def _required(self, name: str, space: _Space) -> Expr:
        found = self._unqualified(name, space)
        if found is None:
            msg = f"there is no column {name} to join on"
            raise Undecided(msg)
        return found

    # --- names --------------------------------------------------------------------------------------------------------

    @staticmethod
    def _unqualified(name: str, space: _Space) -> Expr | None:
        found = {key_of(expr): expr for known, expr in space.columns if known == name}
        if len(found) > 1:
            msg = f"column {name} is ambiguous"
            raise Undecided(msg)
        if found:
            return next(iter(found.values()))
        if name in _SYSTEM_COLUMNS and space.relations:
            source = next((it for it in space.relations.values() if isinstance(it, Source)), None)
            return Var(source, WHOLE_ROW - 1) if source else None
        for source in space.open_sources[:1] if len(space.open_sources) == 1 else []:
            source.columns.append(name)
            return Var(source, len(source.columns) - 1)
        return None

    @staticmethod
    def _relation(parts: Sequence[str], frame: _Frame) -> Source | dict[str, Expr] | None:
        level: _Frame | None = frame
        while level is not None:
            found = level.space.relations.get(parts[-1])
            if found is not None:
                return found
            level = level.outer
        return None

    def _column(self, reference: Any, frame: _Frame) -> Expr:  # noqa: PLR0911 - what a name may mean, in order
        parts = [node.string.sval for node in reference.fields]
        if len(parts) == 1:
            return self._single(parts[0], frame)
        *of, name = parts
        relation = self._relation(of, frame)
        if isinstance(relation, dict):
            if name in relation:
                return relation[name]
        elif relation is not None:
            if name in relation.columns:
                return Var(relation, relation.columns.index(name))
            if name in _SYSTEM_COLUMNS:
                return Var(relation, WHOLE_ROW - 1)
            if relation.is_open:
                relation.columns.append(name)
                return Var(relation, len(relation.columns) - 1)
        elif of[-1] in self.parameters or ".".join(parts) in self.parameters:
            return Param(".".join(parts))
        if relation is None and len(of) == 1 and self._maybe(of[0], frame) is not None:
            return Call("field", [self._single(of[0], frame)], "other")
        msg = f"column {'.'.join(parts)} is not known"
        raise Undecided(msg)

    def _maybe(self, name: str, frame: _Frame) -> Expr | None:
        try:
            return self._single(name, frame)
        except Undecided:
            return None

    def _single(self, name: str, frame: _Frame) -> Expr:
        level: _Frame | None = frame
        while level is not None:
            found = self._unqualified(name, level.space)
            if found is not None:
                return found
            relation = level.space.relations.get(name)
            if isinstance(relation, Source):
                return Var(relation, WHOLE_ROW)
            if relation is not None:
                return Call("row", list(relation.values()), "other")
            level = level.outer
        if name in self.parameters:
            return Param(name)
        msg = f"column {name} is not known"
        raise Undecided(msg)

    # --- expressions --------------------------------------------------------------------------------------------------

    def expr(self, node: Any, frame: _Frame) -> Expr:
        kind = node.WhichOneof("node")
        handler = getattr(self, f"_expr_{kind}", None)
        if handler is not None:
            return handler(getattr(node, kind), frame)  # type: ignore[no-any-return]
        if kind is None:
            return Const("", "null")
        return Call(kind, list(self._inner(getattr(node, kind), frame)), "other")

    def _inner(self, message: Any, frame: _Frame) -> Iterator[Expr]:
        """Yield the expressions within a node of a kind that needs no more attention."""
        for descriptor, value in message.ListFields():
            if descriptor.message_type is None:
                continue
            for part in [value] if hasattr(value, "ListFields") else value:
                if descriptor.message_type.name == "Node":
                    yield self.expr(part, frame)
                elif descriptor.message_type.name != "TypeName":
                    yield from self._inner(part, frame)

    def _exprs(self, nodes: Iterable[Any], frame: _Frame) -> list[Expr]:
        return [self.expr(node, frame) for node in nodes]

    def _expr_column_ref(self, tree: Any, frame: _Frame) -> Expr:
        if tree.fields[-1].HasField("a_star"):
            return Call("row", [expr for _, expr in self._star(tree, frame)], "other")
        return self._column(tree, frame)

    def _expr_a_const(self, tree: Any, frame: _Frame) -> Expr:
        match tree.WhichOneof("val"):
            case "ival":
                return Const(str(tree.ival.ival), "integer")
            case "fval":
                return Const(tree.fval.fval, "number" if "." in tree.fval.fval else "integer")
            case "boolval":
                return Const(str(tree.boolval.boolval).lower(), "boolean")
            case "sval":
                return Const(tree.sval.sval, "string")
            case "bsval":
                return Const(tree.bsval.bsval, "string")
        return Const("", "null")

    def _expr_param_ref(self, tree: Any, frame: _Frame) -> Expr:
        return Param(f"${tree.number}")

    def _expr_type_cast(self, tree: Any, frame: _Frame) -> Expr:
        value = self.expr(tree.arg, frame)
        name = strings(tree.type_name.names)[-1] if tree.type_name.names else ""
        if isinstance(value, Param):
            return value
        if (
            isinstance(value, Const)
            and name in ("timestamptz", "timestamp", "date")
            and not tree.type_name.array_bounds
        ):
            return Call(name, [Const(value.text, "string")], "cast", "s" if name == "timestamptz" else "i")
        if isinstance(value, Const) and not tree.type_name.array_bounds:
            return (
                Const(value.text, "string" if value.kind != "null" else "null")
                if name != "bool"
                else Const(value.text[:1].replace("t", "true").replace("f", "false"), "boolean")
            )
        if (
            isinstance(value, Var)
            and 0 <= value.index < len(value.source.types)
            and value.source.types[value.index] == name
        ):
            return value
        of_zone = type_of(value) == "timestamptz" and name in ("date", "timestamp", "time", "text", "varchar")
        stable = "s" if name in ("regclass", "timestamptz") or of_zone else "i"
        return Call(name, [value], "cast", stable, stable)  # type: ignore[arg-type]

    def _expr_bool_expr(self, tree: Any, frame: _Frame) -> Expr:
        name = postgast.pg_query_pb2.BoolExprType.Name(tree.boolop).removesuffix("_EXPR").lower()
        return Logic(name, self._exprs(tree.args, frame))

    def _expr_sub_link(self, tree: Any, frame: _Frame) -> Expr:
        kind = postgast.pg_query_pb2.SubLinkType.Name(tree.sub_link_type)
        query = self.statement(tree.subselect, frame)
        test: list[Expr] = []
        if tree.HasField("testexpr"):
            parts = tree.testexpr.row_expr.args if tree.testexpr.HasField("row_expr") else [tree.testexpr]
            test = self._exprs(parts, frame)
        named = {"EXISTS_SUBLINK": "exists", "ANY_SUBLINK": "any", "ALL_SUBLINK": "all"}
        operator = strings(tree.oper_name)[-1] if tree.oper_name else "="
        return SubLink(named.get(kind, "value"), query, test, operator)  # type: ignore[arg-type]

    def _expr_a_expr(self, tree: Any, frame: _Frame) -> Expr:
        kind = postgast.pg_query_pb2.A_Expr_Kind.Name(tree.kind)
        name = strings(tree.name)[-1]
        if kind == "AEXPR_IN":
            return self._in(tree, name, frame)
        if kind == "AEXPR_OP" and tree.lexpr.HasField("row_expr") and tree.rexpr.HasField("row_expr") and name == "=":
            pairs = zip(tree.lexpr.row_expr.args, tree.rexpr.row_expr.args, strict=False)
            return _all([Call("=", [self.expr(a, frame), self.expr(b, frame)], "operator") for a, b in pairs])
        sides = self._exprs([side for side in (tree.lexpr, tree.rexpr) if side.WhichOneof("node")], frame)
        if kind in ("AEXPR_BETWEEN", "AEXPR_BETWEEN_SYM") and isinstance(sides[-1], Call):
            low, high = sides[-1].arguments
            volatility = "s" if any(_depends_on_time_zone("<", [sides[0], it]) for it in (low, high)) else "i"
            parts = ((">=", low), ("<=", high))
            return _all([Call(it, [sides[0], side], "operator", volatility, volatility) for it, side in parts])  # type: ignore[arg-type]
        if kind == "AEXPR_OP":
            volatility = "s" if _depends_on_time_zone(name, sides) else "i"
            return Call(name, sides, "operator", volatility, volatility)  # type: ignore[arg-type]
        if kind == "AEXPR_OP_ANY":
            return Call("any", sides, "other")
        return Call(kind.removeprefix("AEXPR_").lower(), sides, "operator" if "LIKE" in kind else "other")

    def _in(self, tree: Any, name: str, frame: _Frame) -> Expr:
        values = self._exprs(tree.rexpr.list.items, frame)
        if tree.lexpr.HasField("row_expr"):
            return Call("in", [self.expr(tree.lexpr, frame), *values], "other")
        value = self.expr(tree.lexpr, frame)
        if len(values) == 1:
            return Call(name, [value, values[0]], "operator")
        return Call("in" if name == "=" else "not in", [value, *values], "other")

    def _expr_null_test(self, tree: Any, frame: _Frame) -> Expr:
        negated = postgast.pg_query_pb2.NullTestType.Name(tree.nulltesttype) == "IS_NOT_NULL"
        return Call("is not null" if negated else "is null", [self.expr(tree.arg, frame)], "other")

    def _expr_coalesce_expr(self, tree: Any, frame: _Frame) -> Expr:
        return Call("coalesce", self._exprs(tree.args, frame), "other")

    def _expr_case_expr(self, tree: Any, frame: _Frame) -> Expr:
        return Call("case", list(self._inner(tree, frame)), "other")

    def _expr_a_array_expr(self, tree: Any, frame: _Frame) -> Expr:
        return Call("array", self._exprs(tree.elements, frame), "other")

    def _expr_row_expr(self, tree: Any, frame: _Frame) -> Expr:
        return Call("row", self._exprs(tree.args, frame), "other")

    def _expr_list(self, tree: Any, frame: _Frame) -> Expr:
        return Call("list", self._exprs(tree.items, frame), "other")

    def _expr_set_to_default(self, tree: Any, frame: _Frame) -> Expr:
        return Call("default", [], "other")

    def _expr_sqlvalue_function(self, tree: Any, frame: _Frame) -> Expr:
        name = postgast.pg_query_pb2.SQLValueFunctionOp.Name(tree.op).removeprefix("SVFOP_").lower()
        return Call(name, [], "function", "s", "s")

    def _expr_func_call(self, tree: Any, frame: _Frame) -> Expr:
        *schema, name = strings(tree.funcname)
        known = self.catalog.function(schema[-1] if schema else "", name)
        arguments = self._exprs(tree.args, frame)
        if name in _OF_TIME_ZONE and any(type_of(it) == "timestamptz" for it in arguments):
            known = replace(known, volatility="s", declared="s")
        arguments += [self.expr(node.sort_by.node, frame) for node in tree.agg_order]
        if tree.HasField("agg_filter"):
            arguments.append(self.expr(tree.agg_filter, frame))
        is_window = tree.HasField("over")
        if is_window:
            window = tree.over
            base = frame.windows.get(window.name or window.refname, [])
            partition = base + self._exprs(window.partition_clause, frame)
            if not window.name:
                frame.query.windows.append(partition)
            arguments += self._exprs([node.sort_by.node for node in window.order_clause], frame)
        return Call(
            name,
            arguments,
            "function",
            known.volatility,  # type: ignore[arg-type]
            known.declared,  # type: ignore[arg-type]
            is_aggregate=(known.is_aggregate or tree.agg_within_group) and not is_window,
            is_window=is_window,
            is_distinct=tree.agg_distinct,
            returns_set=known.returns_set,
            reads=".".join([*schema, name]) if known.of_files else "",
        )


def _all(parts: list[Expr]) -> Expr:
    return Logic("and", parts) if len(parts) > 1 else parts[0]


def type_of(expr: Expr) -> str:  # noqa: PLR0911 - one for each form
    """Return the type of an expression that has to do with time; empty for any other."""
    match expr:
        case Var() if 0 <= expr.index < len(expr.source.types):
            return expr.source.types[expr.index]
        case Var() if expr.source.query is not None and 0 <= expr.index < len(expr.source.query.targets):
            return type_of(expr.source.query.targets[expr.index].expr)
        case Call(kind="cast"):
            return expr.name
        case Call(kind="operator", name="+" | "-") if expr.arguments:
            return type_of(expr.arguments[0])
        case (
            Call(name="date_trunc", arguments=[_, inner, *_])
            | Call(name="max" | "min" | "coalesce", arguments=[inner, *_])
        ):
            return type_of(inner)
        case Call():
            return _TYPES.get(expr.name, "")
    return ""


def _depends_on_time_zone(operator: str, sides: list[Expr]) -> bool:
    """Tell whether an operator on times is stable: it needs the session's time zone."""
    types = {type_of(it) for it in sides}
    if operator in ("+", "-"):
        return type_of(sides[0]) == "timestamptz" and types != {"timestamptz"}
    return "timestamptz" in types and bool(types & {"timestamp", "date"})


def _has_var(expr: Expr) -> bool:
    return isinstance(expr, Var) or any(_has_var(part) for part in expr.parts())


def _without_space(frame: _Frame) -> _Frame:
    """Return the level as a subquery in FROM sees it: the CTEs, and what is around, but not its neighbours."""
    return _Frame(frame.outer, _Space(), frame.ctes, {}, frame.query)


def _label(node: Any) -> str:  # noqa: C901, PLR0911, PLR0912 - one for each form
    """Return the name that PostgreSQL gives to a column without one (FigureColname)."""
    kind = node.WhichOneof("node")
    value: Any = getattr(node, kind) if kind else None
    match kind:
        case "column_ref":
            return str(value.fields[-1].string.sval)
        case "func_call":
            return str(strings(value.funcname)[-1])
        case "type_cast":
            label = _label(value.arg)
            return label if label != "?column?" else str(strings(value.type_name.names)[-1])
        case "a_indirection":
            names = [it.string.sval for it in value.indirection if it.HasField("string")]
            return names[-1] if names else _label(value.arg)
        case "coalesce_expr":
            return "coalesce"
        case "case_expr":
            return (
                _label(value.defresult)
                if value.HasField("defresult") and _label(value.defresult) != "?column?"
                else "case"
            )
        case "min_max_expr":
            return "greatest" if "GREATEST" in postgast.pg_query_pb2.MinMaxOp.Name(value.op) else "least"
        case "a_array_expr":
            return "array"
        case "row_expr":
            return "row"
        case "sub_link":
            name = postgast.pg_query_pb2.SubLinkType.Name(value.sub_link_type)
            if name == "EXISTS_SUBLINK":
                return "exists"
            if name == "ARRAY_SUBLINK":
                return "array"
            inner = value.subselect.select_stmt.target_list
            return (
                str(inner[0].res_target.name or _label(inner[0].res_target.val))
                if name == "EXPR_SUBLINK" and inner
                else "?column?"
            )
        case "sqlvalue_function":
            return str(postgast.pg_query_pb2.SQLValueFunctionOp.Name(value.op).removeprefix("SVFOP_").lower())
    return "?column?"
