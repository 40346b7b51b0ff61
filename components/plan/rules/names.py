"""Rules about the names in `citus:tables`: of tables, of columns, and of tables to colocate with."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from components.names import ColumnName, TableName, listed, truncate_identifier
from components.plan.findings import Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from components.plan.findings import Finding
    from components.plan.layout import Layout
    from components.settings import TableSettings

__all__ = ["check_colocation", "check_names", "did_you_mean", "truncate_names"]


UNKNOWN_TABLE: Final = Rule(
    "unknown-table",
    "error",
    what="`citus:tables` names a table that no SQL file creates.",
    why="There is no table to shard. Most often the name is misspelled, or lacks its quotes.",
    remedy="Spell it as in SQL, add the file, or remove the table from the settings.",
    source="distribute.ensure_distributed",
)

NOT_A_TABLE: Final = Rule(
    "not-a-table",
    "error",
    what="`citus:tables` names a view, a materialized view or a foreign table.",
    why="Only tables have shards. A view of sharded tables needs no setting.",
    remedy="Name the table behind it.",
    source="ErrorIfForeignTable, distribute.ensure_distributed",
)

PATTERN_WITHOUT_TABLE: Final = Rule(
    "pattern-without-table",
    "error",
    what="A pattern in `citus:tables` matches no table that the SQL files create.",
    why="It has no effect. Most often it is misspelled. Partitions follow their table and temporary tables are never sharded: "
    "no pattern matches those.",
    remedy="Correct it, or remove it.",
    source="patterns.expand_patterns",
)

PATTERN_WITHOUT_COLUMN: Final = Rule(
    "pattern-without-column",
    "error",
    what="None of the tables that a pattern applies to has the column by which it distributes.",
    why="A pattern distributes those of its tables that have the column, and leaves the others as they are.",
    remedy="Correct the column, or remove the pattern.",
    source="patterns.expand_patterns",
)

PATTERN_TIE: Final = Rule(
    "pattern-tie",
    "error",
    what="Two patterns match a table, and neither is nearer.",
    why="A table's own name is nearest, then the pattern that gives most characters.",
    remedy="Give the table a line of its own, or make one of the patterns longer.",
    source="patterns.expand_patterns",
)

PATTERN_UNUSED: Final = Rule(
    "pattern-unused",
    "warning",
    what="Every table that a pattern matches has a nearer line in `citus:tables`.",
    why="It applies to no table.",
    remedy="Remove it, unless it is meant for tables of later files.",
    source="patterns.expand_patterns",
)

UNKNOWN_COLUMN: Final = Rule(
    "unknown-column",
    "error",
    what="`distributeBy` or `primaryKey` names a column that the table does not have.",
    why="The value of the distribution column decides which worker stores a row.",
    remedy="Name one of the table's columns, spelled as in SQL.",
    source="BuildDistributionKeyFromColumnName, constraints.rewrite_primary_key",
)

COLOCATE_UNKNOWN: Final = Rule(
    "colocate-unknown",
    "error",
    what="`colocateWith` names a table that the settings do not distribute.",
    why="A colocation group consists of distributed tables.",
    remedy="Add that table to `citus:tables`, or name another.",
    source="FindColocateWithColocationId",
)

COLOCATE_REFERENCE: Final = Rule(
    "colocate-reference",
    "error",
    what="`colocateWith` names a reference table.",
    why="A reference table is not split into shards, and joins locally on every node anyway.",
    remedy="Remove `colocateWith`.",
    source="EnsureTableCanBeColocatedWith",
)

COLOCATE_CYCLE: Final = Rule(
    "colocate-cycle",
    "error",
    what="`colocateWith` leads back to the table itself.",
    why="Each table of the cycle would have to be distributed before the others.",
    remedy="Remove `colocateWith` from one of them; the others may name it, or each other.",
    source="FindColocateWithColocationId",
)

NAME_CUT: Final = Rule(
    "name-cut",
    "warning",
    what="A name in the settings is longer than the 63 bytes that PostgreSQL keeps.",
    why="PostgreSQL truncates it silently, here as in SQL.",
    remedy="Write the name as PostgreSQL keeps it.",
    source="truncate_identifier",
)


def truncate_names(
    tables: Mapping[TableName, TableSettings],
) -> tuple[dict[TableName, TableSettings], list[Finding]]:
    """Return the settings with every name as PostgreSQL keeps it, and a warning for each that it truncates."""

    def table_name(name: TableName) -> TableName:
        return TableName(truncate_identifier(name.schema), truncate_identifier(name.name))

    def column_name(name: ColumnName) -> ColumnName:
        return ColumnName(truncate_identifier(name.name))

    known: dict[TableName, TableSettings] = {}
    findings = []
    for name, settings in tables.items():
        changes = {
            "distribute_by": settings.distribute_by and column_name(settings.distribute_by),
            "colocate_with": settings.colocate_with and table_name(settings.colocate_with),
            "primary_key": settings.primary_key and tuple(map(column_name, settings.primary_key)),
        }
        short, kept = table_name(name), settings.model_copy(update=changes)
        if (short, kept) != (name, settings):
            message, remedy = "PostgreSQL keeps 63 bytes of a name", "write it as PostgreSQL keeps it"
            findings.append(NAME_CUT.finding(short, message, remedy, setting=f"citus:tables.{name}"))
        known[short] = kept
    return known, findings


def check_names(layout: Layout, name: TableName, settings: TableSettings) -> Iterator[Finding]:
    """Check that the table and its columns exist."""
    setting = f"citus:tables.{name}"
    table = layout.schema.tables.get(name)
    if table is None:
        other = layout.schema.others.get(name)
        if other is not None:
            message, remedy = (
                f"{name} is a {other.kind}, which cannot be sharded",
                "name the table behind it, or remove it",
            )
            yield NOT_A_TABLE.finding(name, message, remedy, at=other.at, setting=setting)
            return
        message, remedy = _why_unknown(name, layout)
        yield UNKNOWN_TABLE.finding(name, message, remedy, setting=setting)
        return
    named = [("distributeBy", settings.distribute_by)] + [("primaryKey", c) for c in settings.primary_key or ()]
    for key, column in named:
        if column is not None and table.columns is not None and column.name not in table.columns:
            message = f"the table has no such column{did_you_mean(column, map(ColumnName, table.columns))}"
            remedy = f"name one of {listed(table.columns)}"
            for now, known in table.columns.items():
                if column.name in known.former:
                    message = "a file has given this column another name"
                    remedy = f"{key}: {ColumnName(now)}, for all tables of its colocation group at once; no row moves"
            yield UNKNOWN_COLUMN.finding(name, message, remedy, at=table.at, setting=f"{setting}.{key} = {column}")


def _why_unknown(name: TableName, layout: Layout) -> tuple[str, str]:
    """Return why there is no table of that name, and what to do."""
    schema = layout.schema
    if schema.renamed.get(name) in schema.tables:
        return "a file has given this table another name", f"name citus:tables.{schema.renamed[name]}; no row moves"
    if name in schema.dropped:
        return f"{schema.dropped[name]} drops this table", "remove it from the settings, in the same update"
    message = f"no SQL file of citus:schemaDir creates this table{did_you_mean(name, schema.tables)}"
    return message, "add the file, or remove the table from the settings"


def did_you_mean(name: object, others: Iterable[object]) -> str:
    """Return a question for the name that is spelled most like this one; empty where none is."""
    spelled = {str(other).lower().replace('"', ""): str(other) for other in others}
    close = difflib.get_close_matches(str(name).lower().replace('"', ""), spelled, n=1)
    return f" (did you mean {spelled[close[0]]}?)" if close else ""


def check_colocation(layout: Layout, name: TableName, target: TableName | None) -> Iterator[Finding]:
    """Check that the table to colocate with is distributed, and does not depend on this one."""
    setting = f"citus:tables.{name}.colocateWith = {target}"
    if target is None:
        return
    if target not in layout.settings:
        message = f"the settings do not distribute that table{did_you_mean(target, layout.settings)}"
        yield COLOCATE_UNKNOWN.finding(name, message, "add it to citus:tables", setting=setting)
    elif layout.settings[target].reference:
        message = "that is a reference table, which is not split into shards"
        remedy = "remove colocateWith, it joins locally anyway"
        yield COLOCATE_REFERENCE.finding(name, message, remedy, setting=setting)
    else:
        chain = [name]
        while target is not None and target in layout.settings and target not in chain:
            chain.append(target)
            target = layout.settings[target].colocate_with
        if target == name:
            message = f"a cycle ({' → '.join(map(str, [*chain, name]))})"
            yield COLOCATE_CYCLE.finding(name, message, "remove colocateWith from one of them", setting=setting)
