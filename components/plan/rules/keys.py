"""Rules about primary and unique keys, and about the sequences that fill them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.names import ColumnName, listed
from components.plan.findings import Rule
from components.plan.remedies import INTEGERS, mend_key, mend_view, mended_type
from components.schema.key_text import listed_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from components.names import TableName
    from components.plan.findings import Finding
    from components.plan.layout import Layout
    from components.schema.relations import Column, Key, Table

__all__ = ["check_primary_key", "check_sequences", "check_unique_keys"]


UNIQUE_KEY: Final = Rule(
    "unique-key",
    "error",
    what="A UNIQUE or EXCLUDE constraint or a unique index lacks the distribution column; EXCLUDE has to compare it by =. On a "
    "single partition, so does a primary key.",
    why="Each worker checks only its own rows.",
    remedy="Add the distribution column, or remove the constraint. The primary keys of tables are rewritten automatically.",
    source="ErrorIfUnsupportedConstraint",
)

INCLUDED_COLUMN: Final = Rule(
    "included-column",
    "warning",
    what="A unique index or constraint has the distribution column in INCLUDE only.",
    why="Citus accepts it, but two rows with different distribution columns can then have the same value.",
    remedy="Make the distribution column part of the key itself.",
    source="ErrorIfUnsupportedConstraint",
)

KEY_IN_USE: Final = Rule(
    "key-in-use",
    "error",
    what="A view groups by a table's primary key and shows other columns of it, and the key has to be rewritten.",
    why="PostgreSQL makes such a view depend on the key, which then cannot be dropped.",
    remedy="Let the view group by every column that it shows.",
    source="constraints.rewrite_primary_key",
)

PARTITIONED_KEY: Final = Rule(
    "partitioned-key",
    "error",
    what="`primaryKey` leaves out a column by which the table is partitioned.",
    why="PostgreSQL checks a key within each partition.",
    remedy="Add the column to `primaryKey`.",
    source="constraints.rewrite_primary_key",
)

NO_PRIMARY_KEY: Final = Rule(
    "no-primary-key",
    "warning",
    what="`primaryKey` is set for a table without a primary key.",
    why="There is no key to rewrite, so the setting has no effect.",
    remedy="Remove the setting, or declare the key in the SQL file.",
    source="keys.rewritten_primary_key",
)

UNGUARDED_KEY: Final = Rule(
    "unguarded-key",
    "warning",
    what="A primary key of generated numbers gets the distribution column in front.",
    why="The numbers of the sequence stay unique, but a number that is inserted explicitly is compared only with rows that have "
    "the same distribution column.",
    remedy="Let the sequence generate every number; set `primaryKey` to confirm that this is intended.",
    source="keys.rewritten_primary_key",
)

SEQUENCE_TYPE: Final = Rule(
    "sequence-type",
    "error",
    what="One sequence fills columns of different types.",
    why="Citus gives a sequence the type of the column that it fills, on every node.",
    remedy="Give the columns the same type, or each its own sequence.",
    source="EnsureSequenceTypeSupported",
)

SEQUENCE_RANGE: Final = Rule(
    "sequence-range",
    "error",
    what="A sequence has a START, MINVALUE or MAXVALUE outside the range of its column's type.",
    why="Citus gives a sequence the type of the column that it fills.",
    remedy="Make the column bigint, or declare smaller bounds.",
    source="AlterSequenceType",
)


_LIMITS: Final = {"int2": 2**15, "int4": 2**31}


def check_primary_key(layout: Layout, table: Table, by: ColumnName) -> Iterator[Finding]:
    """Check the key that the table has once it is distributed."""
    name, key, settings = table.name, table.primary_key, layout.settings[table.name]
    setting = f"citus:tables.{name}.primaryKey"
    if key is None:
        if settings.primary_key:
            message = "the table has no primary key to rewrite"
            remedy = "remove the setting, or declare the key in the SQL file"
            yield NO_PRIMARY_KEY.finding(name, message, remedy, at=table.at, setting=setting)
        return
    new = layout.primary_key(name) or ()
    for view in layout.views_on_key.get(name, ()) if new != key.columns else ():
        other = layout.schema.others[view]
        message = f"the {other.kind} {view} groups by the primary key of {name}, which has to be rewritten"
        remedy = "let it group by every column that it shows"
        yield KEY_IN_USE.finding(name, message, remedy, at=other.at, mend=mend_view(layout, view, other))
    missing = [column for column in table.partition_columns if column and column not in new]
    if missing:
        message = f"{name} is partitioned by {listed(missing)}, which must be in its primary key"
        remedy = f"{setting}: [{listed([*new, *missing])}]"
        yield PARTITIONED_KEY.finding(name, message, remedy, at=key.at, setting=setting)
    columns = [column for it in key.columns if (column := (table.columns or {}).get(it))]
    if by.name not in key.columns and not settings.primary_key and any(it.identity or it.sequence for it in columns):
        message = (
            f"{name}: the primary key ({listed(key.columns)}) becomes ({listed(new)}): its generated numbers stay unique, but "
            f"one that is inserted explicitly is checked within one {by} only"
        )
        remedy = f"let the sequence generate every number; {setting}: [{listed(new)}] confirms that this is intended"
        yield UNGUARDED_KEY.finding(name, message, remedy, at=key.at)


def check_unique_keys(layout: Layout, table: Table, by: ColumnName) -> Iterator[Finding]:
    """Check what ErrorIfUnsupportedConstraint demands of each key; the primary key of the table itself is rewritten."""
    for key in table.keys:
        if key.kind != "primary key":
            yield from _check_unique_key(layout, table, key, by)
    for partition in layout.partitions(table.name):
        for key in partition.keys:
            if not layout.is_derived(partition, key):
                yield from _check_unique_key(layout, partition, key, by)


def _check_unique_key(layout: Layout, table: Table, key: Key, by: ColumnName) -> Iterator[Finding]:
    name, columns = table.name, listed_key(key)
    if by.name in key.columns:
        if by.name in key.unequal:
            message = (
                f"{name}: this exclude ({columns}) compares the distribution column {by} by another operator than ="
            )
            yield UNIQUE_KEY.finding(name, message, f"write {by} with =, or remove it", at=key.at)
        return
    message = f"{name}: this {key.kind} ({columns}) lacks the distribution column {by}"
    remedy, mend = f"make it ({by}, {columns}), or remove it", mend_key(layout, table, key)
    if by.name in key.included:
        message += " but in INCLUDE, so rows on different workers can have the same value"
        yield INCLUDED_COLUMN.finding(name, message, remedy, at=key.at, mend=mend)
    else:
        message += ", so no worker could check it alone"
        yield UNIQUE_KEY.finding(name, message, remedy, at=key.at, mend=mend)


def check_sequences(layout: Layout, order: Mapping[TableName, int]) -> Iterator[Finding]:
    """Check what EnsureDistributedSequencesHaveOneType demands of columns that a sequence fills."""
    filled: dict[TableName, list[tuple[Table, Column]]] = {}
    roots = [*sorted(layout.managed), *sorted({*layout.settings, *layout.single_shard}, key=lambda name: order[name])]
    for table in (member for root in roots for member in (layout.schema.tables[root], *layout.partitions(root))):
        for column in (table.columns or {}).values():
            if column.sequence is not None:
                filled.setdefault(column.sequence, []).append((table, column))
    for name, columns in filled.items():
        yield from _check_sequence(layout, name, columns)


def _check_sequence(layout: Layout, sequence: TableName, columns: list[tuple[Table, Column]]) -> Iterator[Finding]:
    (first, first_column), types = columns[0], {column.type for _, column in columns}
    declared = layout.schema.sequences.get(sequence)

    def exceeds(type_: str) -> bool:
        limit = _LIMITS.get(type_)
        return bool(declared and limit and any(not -limit <= bound < limit for bound in declared.bounds))

    wanted = max(types, key=INTEGERS.index) if types <= set(INTEGERS) else first_column.type
    wanted = "int8" if exceeds(wanted) else wanted
    for table, column in columns:
        fills = f"{table.name}: the sequence {sequence} fills {ColumnName(column.name)}, which is {column.type}"
        if first_column.type != column.type:
            narrow, narrow_column = (first, first_column) if column.type == wanted else (table, column)
            mend = mended_type(layout, layout.root(narrow.name), narrow_column, wanted)
            message = f"{fills}, and {first.name}.{ColumnName(first_column.name)}, which is {first_column.type}"
            yield SEQUENCE_TYPE.finding(table.name, message, "", at=table.at, mend=mend)
        if declared and exceeds(column.type):
            message = f"{fills}: its bounds are outside the range of this type"
            mend = mended_type(layout, layout.root(table.name), column, "int8")
            yield SEQUENCE_RANGE.finding(table.name, message, "", at=declared.at, mend=mend)
