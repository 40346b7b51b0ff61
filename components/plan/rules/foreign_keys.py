"""Rules about foreign keys, judged as they are once the distribution columns are part of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.names import ColumnName, listed
from components.plan.findings import Rule
from components.plan.remedies import drop_for_good, mend_foreign_key, mended_key, move_to_tables
from components.schema.key_text import drop_foreign_key, listed_key
from components.tables import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from components.names import TableName
    from components.plan.findings import Finding, Mend
    from components.plan.layout import Layout
    from components.schema.relations import ForeignKey, Table

__all__ = ["check_foreign_key"]


FOREIGN_KEY_TO_LOCAL: Final = Rule(
    "foreign-key-to-local",
    "error",
    what="A distributed table references a table that stays on the coordinator.",
    why="The workers, which store its rows, do not have the other table.",
    remedy="Make the other a reference table, or distribute it too.",
    source="ErrorIfUnsupportedForeignConstraintExists",
)

FOREIGN_KEY_TO_DISTRIBUTED: Final = Rule(
    "foreign-key-to-distributed",
    "error",
    what="A reference table, or a local table that a foreign key connects to a reference table, references a distributed table.",
    why="The referenced rows are spread over the workers.",
    remedy="Distribute both, colocated, or remove the foreign key.",
    source="ErrorIfUnsupportedForeignConstraintExists",
)

FOREIGN_KEY_FROM_LOCAL: Final = Rule(
    "foreign-key-from-local",
    "error",
    what="A local table references a distributed one.",
    why="Citus accepts the constraint and checks inserts, but not deletes or updates on the distributed side, so orphaned rows "
    "appear silently. This project therefore refuses it.",
    remedy="Distribute the local table too, colocated, or remove the foreign key.",
    source="ErrorIfUnsupportedForeignConstraintExists, which looks only at tables that Citus manages",
)

FOREIGN_KEY_COLOCATION: Final = Rule(
    "foreign-key-colocation",
    "error",
    what="A distributed table references another one with which it is not colocated.",
    why="The referenced row is stored on another worker.",
    remedy="Colocate them.",
    source="ErrorIfUnsupportedForeignConstraintExists",
)

FOREIGN_KEY_OF_SCHEMA: Final = Rule(
    "foreign-key-of-schema",
    "error",
    what="A foreign key leads from a distributed schema to another schema's table that is no reference table, or from another "
    "schema into a distributed one.",
    why="All tables of a distributed schema are on one worker, and the other table is somewhere else.",
    remedy="Make the referenced table a reference table, or remove the foreign key.",
    source="EnsureFKeysForTenantTable",
)

FOREIGN_KEY_PAIR: Final = Rule(
    "foreign-key-pair",
    "error",
    what="A foreign key between colocated tables pairs a distribution column with another column.",
    why="The referencing and the referenced row are on the same worker only if their distribution columns are equal.",
    remedy="Pair the two distribution columns, or remove the foreign key.",
    source="keys.rewritten_foreign_key",
)

FOREIGN_KEY_TARGET: Final = Rule(
    "foreign-key-target",
    "error",
    what="A foreign key references columns that are no longer a key once the distribution column is part of both.",
    why="PostgreSQL requires a primary key or a unique constraint on exactly these columns.",
    remedy="Let the referenced unique key have the distribution column too. Where it is the primary key, set `primaryKey` to the "
    "distribution column and the referenced columns, and no others.",
    source="constraints.restore_foreign_keys",
)

FOREIGN_KEY_PARTITION: Final = Rule(
    "foreign-key-partition",
    "error",
    what="A single partition has a foreign key of its own, or is referenced by one, that cannot hold while its table is sharded.",
    why="Foreign keys of tables are dropped, rewritten and restored; those of single partitions stay as they are.",
    remedy="Declare the foreign key between the partitioned tables instead.",
    source="ErrorIfUnsupportedForeignConstraintExists, constraints.set_foreign_keys_aside",
)

FOREIGN_KEY_ACTION: Final = Rule(
    "foreign-key-action",
    "error",
    what="An action of a foreign key, such as ON DELETE SET NULL, would change the distribution column.",
    why="A row would have to move to another worker. Between colocated tables, the column is part of every foreign key.",
    remedy="Use CASCADE on delete, or NO ACTION.",
    source="EnsureSupportedFKeyOnDistKey",
)

FOREIGN_KEY_DEFAULT: Final = Rule(
    "foreign-key-default",
    "error",
    what="An action SET DEFAULT of a foreign key sets a column that a sequence or an identity fills.",
    why="Workers do not have the sequence, and would set NULL.",
    remedy="Use another action, or another default.",
    source="ForeignKeySetsNextValColumnToDefault",
)

FOREIGN_KEY_REFERENCE_ACTION: Final = Rule(
    "foreign-key-reference-action",
    "error",
    what="A foreign key from a reference table to a local one has an action that changes rows.",
    why="A change on the coordinator could not reach the copies on the workers.",
    remedy="Use NO ACTION or RESTRICT, or make the other a reference table too.",
    source="EnsureSupportedFKeyBetweenCitusLocalAndRefTable",
)

FOREIGN_KEY_REFERENCE_TO_LOCAL: Final = Rule(
    "foreign-key-reference-to-local",
    "warning",
    what="A reference table references a local one.",
    why="Only the coordinator can check it, so every write to the reference table goes through the coordinator, and joins of the "
    "two tables run there.",
    remedy="Make the other a reference table too.",
    source="EnsureSupportedFKeyBetweenCitusLocalAndRefTable",
)

MATCH_FULL: Final = Rule(
    "match-full",
    "warning",
    what="A foreign key of MATCH FULL gets the distribution column in front.",
    why="MATCH FULL requires all columns to be NULL or none, and the distribution column is never NULL: the others may no longer "
    "be NULL.",
    remedy="Declare it without MATCH FULL.",
    source="keys.rewritten_foreign_key",
)


_ACTIONS: Final = {"n": "SET NULL", "d": "SET DEFAULT", "c": "CASCADE"}


def check_foreign_key(
    layout: Layout, table: Table, fk: ForeignKey, order: Mapping[TableName, int]
) -> Iterator[Finding]:
    """Check what ErrorIfUnsupportedForeignConstraintExists demands, in all directions, of the key as it is rewritten."""
    key = f"{table.name} ({listed(fk.columns)}) → {fk.parent}"
    child, parent = layout.kind(table.name), layout.kind(fk.parent)
    is_managed = layout.root(table.name) in layout.managed
    if child == parent == Kind.LOCAL and not is_managed:
        return
    yield from _check_default_action(layout, table, fk, key)
    if Kind.SINGLE_SHARD in (child, parent):
        yield from _check_of_schema(layout, table, fk, key)
    elif child == Kind.LOCAL and parent != Kind.DISTRIBUTED:
        partition = table if table.partition else layout.schema.tables[fk.parent]
        if partition.partition and (parent == Kind.LOCAL or table.partition):
            root = layout.root(partition.name)
            message = f"{key}: Citus cannot manage the partition {partition.name} without its table {root}"
            yield _partition_finding(layout, table, fk, message)
    elif parent == Kind.LOCAL:
        yield _reference_to_local(layout, table, fk, key)
    elif parent == Kind.REFERENCE:
        by = layout.distribution_column_name(table.name)
        if table.partition:
            message = f"{key}: reference tables are sharded first, while this partition is still local"
            yield _partition_finding(layout, table, fk, message)
        elif child == Kind.DISTRIBUTED and by in fk.columns:
            yield from _check_actions(layout, table, fk, key, by)
    elif child == Kind.REFERENCE or (child == Kind.LOCAL and is_managed):
        kind = (
            "a reference table" if child == Kind.REFERENCE else "a local table that is connected to a reference table"
        )
        message = f"{key}: {kind} cannot reference a distributed table"
        remedy = _distribute_too(table, fk)
        yield FOREIGN_KEY_TO_DISTRIBUTED.finding(table.name, message, remedy, at=fk.at, mend=_removed(table, fk))
    else:
        yield from _check_to_distributed(layout, table, fk, key, order)


def _check_of_schema(layout: Layout, table: Table, fk: ForeignKey, key: str) -> Iterator[Finding]:
    """Check what EnsureFKeysForTenantTable demands of a foreign key that a table of a distributed schema is an end of."""
    child, parent = layout.root(table.name), layout.root(fk.parent)
    if child.schema == parent.schema:
        is_later = child < parent or (child == parent and fk.parent not in (parent, table.name))
        if table.partition and is_later:
            message = f"{key}: {fk.parent} is not distributed before this partition"
            yield _partition_finding(layout, table, fk, message)
    elif layout.kind(fk.parent) != Kind.REFERENCE:
        message = (
            f"{key}: a table of a distributed schema references its own schema and reference tables, and only its own schema "
            "references it"
        )
        remedy = "remove the foreign key"
        if layout.kind(table.name) == Kind.SINGLE_SHARD:
            remedy = f"make {parent} a reference table (citus:tables.{parent}: {{reference: true}}), or {remedy}"
        yield FOREIGN_KEY_OF_SCHEMA.finding(table.name, message, remedy, at=fk.at, mend=_removed(table, fk))


def _distribute_too(table: Table, fk: ForeignKey) -> str:
    return f"distribute {table.name} too, colocated with {fk.parent}, or remove the foreign key"


def _removed(table: Table, fk: ForeignKey) -> Mend:
    return drop_for_good("rows may then reference what is not there", drop_foreign_key(table.name, fk))


def _check_default_action(layout: Layout, table: Table, fk: ForeignKey, key: str) -> Iterator[Finding]:
    """Check what ForeignKeySetsNextValColumnToDefault refuses."""
    set_columns = fk.columns if fk.on_update == "d" else (fk.set_columns or fk.columns) if fk.on_delete == "d" else ()
    for name in set_columns:
        column = (table.columns or {}).get(name)
        if column is not None and (column.identity or column.sequence):
            message = f"{key}: SET DEFAULT would set {ColumnName(name)} from a sequence, which workers do not have"
            mend = mend_foreign_key(layout, table, fk)
            yield FOREIGN_KEY_DEFAULT.finding(table.name, message, "use another action", at=fk.at, mend=mend)


def _partition_finding(layout: Layout, table: Table, fk: ForeignKey, message: str) -> Finding:
    remedy, mend = "declare it between the partitioned tables", move_to_tables(layout, table, fk)
    return FOREIGN_KEY_PARTITION.finding(table.name, message, remedy, at=fk.at, mend=mend)


def _reference_to_local(layout: Layout, table: Table, fk: ForeignKey, key: str) -> Finding:
    """Return what is wrong with a foreign key from a distributed or a reference table to a local one."""
    remedy = f"make it a reference table (citus:tables.{fk.parent}: {{reference: true}}), or distribute it too"
    stays = f"but {fk.parent} stays on the coordinator"
    if layout.kind(table.name) == Kind.DISTRIBUTED:
        message = f"{key}: {table.name} is distributed, {stays}"
        return FOREIGN_KEY_TO_LOCAL.finding(table.name, message, remedy, at=fk.at)
    message = f"{key}: {table.name} is on every node, {stays}"
    changing = [event for event, action in (("DELETE", fk.on_delete), ("UPDATE", fk.on_update)) if action not in "ar"]
    if layout.schema.tables[fk.parent].partition:
        return FOREIGN_KEY_PARTITION.finding(table.name, f"{message}, and is a partition", remedy, at=fk.at)
    if changing:
        message += f", so ON {changing[0]} could not reach the copies"
        remedy += ", or let it do nothing"
        mend = mend_foreign_key(layout, table, fk)
        return FOREIGN_KEY_REFERENCE_ACTION.finding(table.name, message, remedy, at=fk.at, mend=mend)
    message += ", and only there can the foreign key be checked"
    return FOREIGN_KEY_REFERENCE_TO_LOCAL.finding(table.name, message, remedy, at=fk.at)


def _check_to_distributed(
    layout: Layout, table: Table, fk: ForeignKey, key: str, order: Mapping[TableName, int]
) -> Iterator[Finding]:
    """Check a foreign key from a distributed or a local table to a distributed one."""
    referenced = layout.referenced_columns(fk)
    if layout.kind(table.name) == Kind.LOCAL:
        if not _is_key(layout, fk.parent, referenced):
            yield _lost_target(layout, table, fk, key, referenced)
            return
        message = (
            f"{key}: {table.name} is local and {fk.parent} is distributed: Citus would check inserts, but not deletes or updates "
            f"of {fk.parent}, so orphaned rows would appear silently"
        )
        remedy = _distribute_too(table, fk)
        yield FOREIGN_KEY_FROM_LOCAL.finding(table.name, message, remedy, at=fk.at, mend=_removed(table, fk))
        return
    if layout.colocation_root(table.name) != layout.colocation_root(fk.parent):
        message = f"{key}: the two are not colocated, so no worker could check it alone"
        child, parent = layout.root(table.name), layout.root(fk.parent)
        remedy = f"citus:tables.{child}.colocateWith: {parent}, or remove the foreign key"
        yield FOREIGN_KEY_COLOCATION.finding(table.name, message, remedy, at=fk.at, mend=_removed(table, fk))
        return
    by, parent_by = layout.distribution_column_name(table.name), layout.distribution_column_name(fk.parent)
    pairs = list(zip(fk.columns, referenced, strict=False))
    is_paired = (by, parent_by) in pairs
    if not is_paired and any(by == one or parent_by == other for one, other in pairs):
        pair = f"{ColumnName(by)} with {ColumnName(parent_by)}"
        message = f"{key}: it pairs a distribution column with another column, but must pair {pair}"
        remedy = f"pair {pair} in the foreign key, or remove it"
        yield FOREIGN_KEY_PAIR.finding(table.name, message, remedy, at=fk.at, mend=_removed(table, fk))
        yield from _check_actions(layout, table, fk, key, by)
        return
    yield from _check_actions(layout, table, fk, key, by)
    target = referenced if is_paired else (parent_by, *referenced)
    problem = _partition_problem(layout, table, fk, order, is_paired=is_paired)
    if problem:
        yield _partition_finding(layout, table, fk, f"{key}: {problem}")
    elif not _is_key(layout, fk.parent, target):
        yield _lost_target(layout, table, fk, key, target)
    elif fk.match == "f" and not is_paired:
        message = (
            f"{key}: with MATCH FULL and {ColumnName(by)} in front, none of ({listed(fk.columns)}) may be NULL any more"
        )
        decision = "a row with some of the columns NULL is then not refused" if len(fk.columns) > 1 else ""
        mend = mend_foreign_key(layout, table, fk, decision=decision)
        yield MATCH_FULL.finding(table.name, message, "declare it without MATCH FULL", at=fk.at, mend=mend)


def _partition_problem(
    layout: Layout, table: Table, fk: ForeignKey, order: Mapping[TableName, int], *, is_paired: bool
) -> str:
    """Return why a foreign key of a single partition, or to one, cannot be kept while its table is sharded."""
    child, parent = order[layout.root(table.name)], order[layout.root(fk.parent)]
    if table.partition and child < parent:
        return f"{fk.parent} is sharded after this partition"
    if table.partition and child > parent and not is_paired:
        return "a single partition's foreign key is not rewritten"
    if not layout.schema.tables[fk.parent].partition:
        return ""
    if child < parent:
        return f"the partition {fk.parent} is sharded after {table.name}"
    key = layout.schema.tables[layout.root(fk.parent)].primary_key
    if key is None or child == parent or layout.primary_key(fk.parent) == key.columns:
        return ""
    is_key = frozenset(layout.referenced_columns(fk)) == frozenset(key.columns)
    return f"it depends on the primary key of {fk.parent}, which has to be rewritten" if is_key else ""


def _is_key(layout: Layout, name: TableName, columns: tuple[str, ...]) -> bool:
    """Tell whether a foreign key may reference exactly these columns, once the table is sharded."""
    tables = [layout.schema.tables[table] for table in {name, layout.root(name)}]
    keys = [key.columns for table in tables for key in table.keys if key.kind != "primary key" and key.referable]
    primary = layout.primary_key(name)
    referable = all(table.primary_key is None or table.primary_key.referable for table in tables)
    known = all(table.columns is not None for table in tables)
    return not known or frozenset(columns) in {frozenset(key) for key in [*keys, *([primary] * referable)] if key}


def _lost_target(layout: Layout, table: Table, fk: ForeignKey, key: str, columns: tuple[str, ...]) -> Finding:
    by, primary = layout.distribution_column_name(fk.parent), layout.primary_key(fk.parent)
    lacking, mend = mended_key(layout, fk), None
    why = f"the primary key of {fk.parent} becomes ({listed(primary)})" if primary else f"{fk.parent} has no such key"
    remedy = f"citus:tables.{layout.root(fk.parent)}.primaryKey: [{listed(columns)}]"
    if by not in columns:
        remedy, mend = _distribute_too(table, fk), _removed(table, fk)
    elif lacking is not None:
        why = f"the {lacking[1].kind} ({listed_key(lacking[1])}) of {lacking[0].name} lacks {ColumnName(by)}"
        remedy, mend = f"let that key have {ColumnName(by)} too", mend_foreign_key(layout, table, fk)
    elif primary is None:
        remedy = f"declare unique ({listed(columns)}) in {fk.parent}"
    message = f"{key}: it will reference ({listed(columns)}), but {why}"
    return FOREIGN_KEY_TARGET.finding(table.name, message, remedy, at=fk.at, mend=mend)


def _check_actions(layout: Layout, table: Table, fk: ForeignKey, key: str, by: str) -> Iterator[Finding]:
    for event, action in (("DELETE", fk.on_delete), ("UPDATE", fk.on_update)):
        if action in ("n", "d") or (action == "c" and event == "UPDATE"):
            column = ColumnName(by)
            message = (
                f"{key}: ON {event} {_ACTIONS[action]} would change the distribution column {column}, which is part of the "
                "foreign key once distributed"
            )
            remedy = f"use ON {event} {'CASCADE or ' * (event == 'DELETE')}NO ACTION"
            mend = mend_foreign_key(layout, table, fk)
            yield FOREIGN_KEY_ACTION.finding(table.name, message, remedy, at=fk.at, mend=mend)
