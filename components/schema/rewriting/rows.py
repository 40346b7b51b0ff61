"""INSERT, UPDATE and DELETE in a form that Citus takes."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

import postgast

from components.schema.parse_tree import nodes
from components.schema.rewriting.text import compose, deparsed, key_matches
from components.tables import Kind

if TYPE_CHECKING:
    from components.schema.rewriting import Known, Step

__all__ = ["computed_first", "insert"]


_OF_ONE_SHARD: Final = frozenset({"ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"})
"""System columns, whose values have a meaning within one shard only."""


def insert(statement: Any, known: Known) -> list[Step] | None:
    """Return INSERT … SELECT for one row of VALUES with a subquery, which Citus does not take in VALUES."""
    if known.kind(known.name(statement.relation)) == Kind.LOCAL or not statement.HasField("select_stmt"):
        return None
    select = statement.select_stmt.select_stmt
    if len(select.values_lists) != 1 or not any(True for _ in nodes(select.values_lists[0], "sub_link")):
        return None
    values = select.values_lists[0].list.items
    if any(value.HasField("set_to_default") for value in values):
        return None
    changed = deepcopy(statement)
    row = changed.select_stmt.select_stmt
    del row.values_lists[:]
    for value in values:
        row.target_list.add().res_target.val.CopyFrom(value)
    return [deparsed("insert_stmt", changed)]


def computed_first(kind: str, statement: Any, known: Known) -> list[str] | None:
    """Return an UPDATE or a DELETE that computes the new values, and finds the rows, once, before any shard is changed.

    For one that Citus refuses because a function in it may give another result on each shard, or at each call, or because it
    joins tables that are not colocated. The table is locked against other writers, since rows are then matched by their primary
    key. None if the table has no primary key, the statement sets a column of it, or uses a system column, or has a form that is
    not supported here.
    """
    if (
        kind not in ("update_stmt", "delete_stmt")
        or statement.HasField("with_clause")
        or statement.HasField("returning_clause")
    ):
        return None
    table = known.name(statement.relation)
    key = known.primary_key(table)
    if not key:
        return None
    changed = deepcopy(statement)
    targets = changed.target_list if kind == "update_stmt" else []
    if any(node.res_target.name in key or node.res_target.val.HasField("multi_assign_ref") for node in targets):
        return None
    if any(node.res_target.val.HasField("set_to_default") for node in targets):
        return None
    if any(column.fields[-1].string.sval in _OF_ONE_SHARD for column in nodes(statement, "column_ref")):
        return None
    before = postgast.parse("with _new as materialized (select 1) select 1").stmts[0].stmt.select_stmt
    query = before.with_clause.ctes[0].common_table_expr.ctequery.select_stmt
    del query.target_list[:]
    row = statement.relation.alias.aliasname or statement.relation.relname
    for number, column in enumerate(key):
        _column(query.target_list.add().res_target, row, column, f"_k{number}")
    for number, node in enumerate(targets):
        if not node.res_target.val.HasField("a_const"):
            target = query.target_list.add().res_target
            target.name = f"_v{number}"
            target.val.CopyFrom(node.res_target.val)
            node.res_target.val.Clear()
            _fields(node.res_target.val, "_new", f"_v{number}")
    others = statement.from_clause if kind == "update_stmt" else statement.using_clause
    query.from_clause.add().range_var.CopyFrom(statement.relation)
    query.from_clause.extend(others)
    if statement.HasField("where_clause"):
        query.where_clause.CopyFrom(statement.where_clause)
    changed.with_clause.CopyFrom(before.with_clause)
    from_ = changed.from_clause if kind == "update_stmt" else changed.using_clause
    del from_[:]
    from_.extend(postgast.parse("select 1 from _new").stmts[0].stmt.select_stmt.from_clause)
    condition = compose("select where {pairs}", pairs=key_matches(row, key))
    matched = postgast.parse(condition).stmts[0].stmt.select_stmt.where_clause
    changed.where_clause.CopyFrom(matched)
    return [compose("lock table {table} in share row exclusive mode", table=table), deparsed(kind, changed)]


def _column(target: Any, row: str, column: str, name: str) -> None:
    target.name = name
    _fields(target.val, row, column)


def _fields(value: Any, *names: str) -> None:
    for name in names:
        value.column_ref.fields.add().string.sval = name
