"""Rules about later files that change rows: INSERT, UPDATE, DELETE and MERGE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import postgast

from components.names import ColumnName
from components.plan.findings import Rule
from components.plan.rules.later_definitions import LATER_DISTRIBUTION_COLUMN
from components.schema.parse_tree import has_subquery, nodes
from components.schema.rewriting import computed_first
from components.tables import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from components.plan.findings import Finding
    from components.plan.later_tables import LaterTables

__all__ = ["CHECKS"]


LATER_ROWS: Final = Rule(
    "later-rows",
    "error",
    what="A later file changes rows of a sharded table by a volatile function, or identifies them by ctid, in a "
    "statement that cannot be rewritten: with WITH, RETURNING, several columns at once, DEFAULT, or without a primary key.",
    why="Each shard, and each replica of a reference table, would get other values. If there is a primary key, a plain UPDATE or "
    "DELETE is computed once, beforehand.",
    remedy="Compute the values in a materialized WITH, and update from it.",
    source="TargetlistAndFunctionsSupported",
)

LATER_JOIN: Final = Rule(
    "later-join",
    "error",
    what="A later file changes rows by a correlated subquery on a table that is not placed with them; or a "
    "reference table by a local one; or merges into a sharded table in a way that Citus does not support.",
    why="Each node changes its shards with the tables that it has itself.",
    remedy="Write UPDATE … FROM; for a reference table, INSERT … SELECT … ON CONFLICT DO UPDATE; for MERGE, INSERT and UPDATE.",
    source="MultiShardUpdateDeleteSupported, ErrorIfMergeNotSupported",
)

LATER_VALUES: Final = Rule(
    "later-values",
    "error",
    what="A later file inserts several rows of VALUES with a subquery into a sharded table.",
    why="Citus evaluates each row of VALUES on its own, without reading tables.",
    remedy="Use INSERT … SELECT.",
    source="ModifyPartialQuerySupported",
)


_VOLATILE: Final = frozenset(
    {"random", "clock_timestamp", "timeofday", "gen_random_uuid", "nextval", "setval", "currval", "lastval", "pg_sleep"}
    | {"uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4", "gen_salt", "gen_random_bytes", "setseed"}
)
"""Functions of PostgreSQL and its own extensions that are volatile with any arguments."""


_WITH_EACH_ROW: Final[dict[Kind, set[Kind]]] = {
    Kind.DISTRIBUTED: {Kind.DISTRIBUTED, Kind.REFERENCE},
    Kind.REFERENCE: {Kind.REFERENCE, Kind.MANAGED},
    Kind.SINGLE_SHARD: {Kind.SINGLE_SHARD, Kind.REFERENCE},
    Kind.MANAGED: {Kind.MANAGED, Kind.LOCAL, Kind.REFERENCE},
    Kind.LOCAL: {Kind.MANAGED, Kind.LOCAL},
}
"""By kind of the changed table: the kinds of table that a correlated subquery may read."""


_BEFORE: Final[dict[Kind, set[Kind]]] = {
    Kind.DISTRIBUTED: {Kind.MANAGED, Kind.LOCAL, Kind.SINGLE_SHARD},
    Kind.REFERENCE: {Kind.DISTRIBUTED, Kind.SINGLE_SHARD},
    Kind.SINGLE_SHARD: {Kind.MANAGED, Kind.LOCAL, Kind.DISTRIBUTED},
    Kind.MANAGED: {Kind.DISTRIBUTED, Kind.SINGLE_SHARD},
    Kind.LOCAL: {Kind.DISTRIBUTED, Kind.SINGLE_SHARD},
}
"""By kind of the changed table: what else an uncorrelated subquery may read, since it runs beforehand."""


_JOIN_REMEDIES: Final = {
    Kind.DISTRIBUTED: "update … set … from that table where …; delete … using …",
    Kind.REFERENCE: "insert … select … from both … on conflict (…) do update; or make the other a reference table",
    Kind.SINGLE_SHARD: "update … set … from that table where …; delete … using …",
    Kind.MANAGED: "update … set … from that table where …; delete … using …",
    Kind.LOCAL: "update … set … from that table where …; delete … using …",
}


def _check_update(statement: Any, known: LaterTables) -> Iterator[Finding]:
    table = known.name(statement.relation)
    by = known.distribution_column(table)
    if by is not None and any(_changes_column(node.res_target, by, statement) for node in statement.target_list):
        message = f"{table} is distributed by {ColumnName(by)}: another value would belong to another shard"
        remedy = "insert the rows with the new value, and delete the old ones"
        yield LATER_DISTRIBUTION_COLUMN.finding(table, message, remedy)
    yield from _check_volatile("update_stmt", statement, known)
    yield from _check_ctid(statement, known)
    yield from _check_lookups(statement, statement.from_clause, known)
    for target in (node.res_target for node in statement.target_list):
        column = known.column(table, target.name)
        is_filled = column is not None and (column.identity or column.sequence is not None)
        if is_filled and target.val.HasField("set_to_default") and known.kind(table) != Kind.LOCAL:
            message = f"{known.describe(table)}, and DEFAULT of {ColumnName(target.name)} is taken from a sequence"
            yield LATER_ROWS.finding(table, message, "set it to nextval('…') of the sequence")


def _changes_column(target: Any, column: str, statement: Any) -> bool:
    """Tell whether a SET gives the column another value; not if a condition shows that the value is the same."""
    if target.name != column or statement.from_clause:
        return False
    value = target.val
    if value.HasField("column_ref") and value.column_ref.fields[-1].string.sval == column:
        return False
    return not any(
        {str(_without_locations(it.lexpr)), str(_without_locations(it.rexpr))} == {str(_without_locations(value)), side}
        for it in nodes(statement.where_clause, "a_expr")
        if it.name and it.name[-1].string.sval == "="
        for side in (str(_without_locations(it.lexpr)), str(_without_locations(it.rexpr)))
        if f'sval: "{column}"' in side
    )


def _without_locations(node: Any) -> Any:
    """Return a copy of an expression without its places in the file."""
    copy = type(node)()
    copy.CopyFrom(node)
    waiting = [copy]
    while waiting:
        part = waiting.pop()
        if "location" in part.DESCRIPTOR.fields_by_name:
            part.location = 0
        for field, value in part.ListFields():
            if field.message_type is not None:
                waiting.extend([value] if hasattr(value, "ListFields") else list(value))
    return copy


def _check_delete(statement: Any, known: LaterTables) -> Iterator[Finding]:
    yield from _check_volatile("delete_stmt", statement, known)
    yield from _check_ctid(statement, known)
    yield from _check_lookups(statement, statement.using_clause, known)


def _check_ctid(statement: Any, known: LaterTables) -> Iterator[Finding]:
    """Find rows that a subquery identifies by ctid: rows on two shards may have the same."""
    table = known.name(statement.relation)
    if known.kind(table) != Kind.DISTRIBUTED or not has_subquery(statement):
        return
    if any(it.fields[-1].string.sval == "ctid" for it in nodes(statement.where_clause, "column_ref")):
        message = f"{table} is distributed, and a ctid is unique within one shard only"
        yield LATER_ROWS.finding(table, message, "identify the rows by the primary key")


def _check_lookups(statement: Any, joined: Iterable[Any], known: LaterTables) -> Iterator[Finding]:
    """Find a table that is read for each row, but is not placed with the rows."""
    table = known.name(statement.relation)
    kind, row = known.kind(table), statement.relation.alias.aliasname or statement.relation.relname
    joins = [node.range_var for node in joined if node.HasField("range_var")]
    read = [*joins, *nodes(statement.with_clause, "range_var")] if kind == Kind.REFERENCE else []
    apart = {it for it in map(known.name, read) if it in known.relations.tables and known.kind(it) == Kind.LOCAL}
    for link in nodes(statement, "sub_link"):
        names = {known.name(it) for it in nodes(link, "range_var")} & known.relations.tables.keys()
        columns = [tuple(part.string.sval for part in it.fields) for it in nodes(link, "column_ref")]
        link_type = postgast.pg_query_pb2.SubLinkType.Name(link.sub_link_type)
        if any(len(it) > 1 and it[0] == row for it in columns):
            if (kind, link_type) == (
                Kind.REFERENCE,
                "EXISTS_SUBLINK",
            ):  # a join on the distribution column, as Citus takes it
                names = {it for it in names if known.distribution_column(it) not in {column[-1] for column in columns}}
            allowed = _WITH_EACH_ROW[kind]
        elif link_type == "ANY_SUBLINK":
            continue  # computed beforehand
        else:
            allowed = _WITH_EACH_ROW[kind] | _BEFORE[kind]
        apart |= {it for it in names if known.kind(it) not in allowed}
        if kind == Kind.SINGLE_SHARD and link_type == "EXISTS_SUBLINK":  # a join, which is computed beforehand
            apart = {it for it in apart if known.kind(it) != Kind.DISTRIBUTED}
        elif allowed is _WITH_EACH_ROW[Kind.SINGLE_SHARD]:
            apart |= {it for it in names if known.kind(it) == kind and it.schema != table.schema}
    for other in sorted(apart)[:1]:
        message = (
            f"{known.describe(table)}, and {known.describe(other)}: it is not placed with the rows that are changed"
        )
        yield LATER_JOIN.finding(table, message, _JOIN_REMEDIES[kind])


def _is_volatile(tree: Any, known: LaterTables) -> bool:
    return any(call.funcname[-1].string.sval in _VOLATILE | known.volatile for call in nodes(tree, "func_call"))


def _check_volatile(kind: str, statement: Any, known: LaterTables) -> Iterator[Finding]:
    table = known.name(statement.relation)
    targets = statement.target_list if kind == "update_stmt" else ()
    parts = [*(node.res_target.val for node in targets), statement.where_clause]
    if known.kind(table) == Kind.LOCAL or not any(_is_volatile(part, known) for part in parts):
        return
    if computed_first(kind, statement, known) is None:
        message = f"{known.describe(table)}, and a volatile function would give another result on every shard"
        remedy = (
            "compute it once, in a WITH … AS MATERIALIZED of the table's key and the value, and join that by the key"
        )
        yield LATER_ROWS.finding(table, message, remedy)


def _check_insert(statement: Any, known: LaterTables) -> Iterator[Finding]:
    table = known.name(statement.relation)
    by = known.distribution_column(table)
    if known.kind(table) == Kind.LOCAL:
        return
    targets = [node.res_target for node in statement.on_conflict_clause.target_list]
    if by is not None and any(target.name == by for target in targets):
        message = f"{table} is distributed by {ColumnName(by)}: another value would belong to another shard"
        yield LATER_DISTRIBUTION_COLUMN.finding(table, message, "leave it out of DO UPDATE SET")
    if any(_is_volatile(target.val, known) for target in targets):
        message = f"{known.describe(table)}, and a volatile function in DO UPDATE SET would give another result on every shard"
        yield LATER_ROWS.finding(table, message, "insert the value, and set the column to excluded.…")
    rows = statement.select_stmt.select_stmt.values_lists
    if len(rows) > 1 and any(has_subquery(row) for row in rows):
        message = f"{known.describe(table)}, and Citus takes no subquery within VALUES of several rows"
        yield LATER_VALUES.finding(table, message, "insert … select …, a statement for each row or with union all")


def _check_merge(statement: Any, known: LaterTables) -> Iterator[Finding]:
    table = known.name(statement.relation)
    kind, source = known.kind(table), statement.source_relation
    other = known.name(source.range_var) if source.HasField("range_var") else None
    is_sharded = other is not None and known.kind(other) in (Kind.DISTRIBUTED, Kind.REFERENCE, Kind.SINGLE_SHARD)
    if kind == Kind.REFERENCE:
        message = f"{table} is a reference table, into which Citus does not MERGE"
    elif kind in (Kind.DISTRIBUTED, Kind.SINGLE_SHARD) and not is_sharded:
        message = f"{known.describe(table)}, and Citus merges only rows of sharded tables into it"
    else:
        return
    yield LATER_JOIN.finding(table, message, "insert … on conflict do update, or an UPDATE and an INSERT")


CHECKS: Final[dict[str, Callable[[Any, LaterTables], Iterator[Finding]]]] = {
    "update_stmt": _check_update,
    "delete_stmt": _check_delete,
    "insert_stmt": _check_insert,
    "merge_stmt": _check_merge,
}
"""What Citus would refuse of a statement, whatever form it is rewritten to; by the field that holds the statement."""
