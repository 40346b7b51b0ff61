"""The rules of a sharding plan: what Citus 12.1, or this project, would refuse, and what works but hurts.

Pure: takes the layout and the order of the tables, yields findings. The rules themselves are told in findings.py.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from components.names import ColumnName, TableName
from components.plan.findings import Finding, found
from components.settings import IDENTIFIER_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from components.plan.layout import Layout
    from components.schema.relations import Column, ForeignKey, Key, Table, UserType
    from components.settings import TableSettings

__all__ = ["check_plan", "check_settings", "truncate_identifier"]


_ACTIONS: Final = {"n": "SET NULL", "d": "SET DEFAULT", "c": "CASCADE"}


_HASHLESS: Final = frozenset(
    {"bit", "box", "circle", "json", "jsonpath", "line", "lseg", "money", "path", "point", "polygon", "varbit", "xml"}
    | {"aclitem", "cid", "pg_snapshot", "refcursor", "tsquery", "tsvector", "txid_snapshot", "xid"}
    | {"cube", "lquery", "ltree", "ltxtquery", "seg"}
)
"""Types without a default operator class for hash: PostgreSQL's up to 16, and those of its own extensions."""


_LIMITS: Final = {"int2": 2**15, "int4": 2**31}


def truncate_identifier(name: str) -> str:
    """Return the name as PostgreSQL keeps it: 63 bytes of it, and no half of a character."""
    return name.encode()[:IDENTIFIER_BYTES].decode(errors="ignore")


def check_settings(layout: Layout) -> Iterator[Finding]:
    """Check names and colocation. Where any of it is wrong, there is no layout to judge."""
    for name, settings in layout.settings.items():
        yield from _names(layout, name, settings)
        yield from _colocation(layout, name, settings.colocate_with)


def check_plan(layout: Layout, order: Mapping[TableName, int]) -> Iterator[Finding]:
    """Check the tables, the keys and the foreign keys of a layout whose names are right, errors before warnings."""
    findings = [
        *(finding for name in layout.settings for finding in _table(layout, name, order)),
        *(finding for name in sorted(layout.managed) for finding in _managed(layout, name, order)),
        *_sequences(layout, order),
        *(finding for table, fk in layout.foreign_keys() for finding in _foreign_key(layout, table, fk, order)),
        *_left_local(layout),
        *_separate_groups(layout),
    ]
    yield from sorted(findings, key=lambda it: (it.severity, it.file, it.line or 0, it.column or 0, it.setting))


# --- names and colocation ----------------------------------------------------------------------------------------------


def _names(layout: Layout, name: TableName, settings: TableSettings) -> Iterator[Finding]:
    setting = f"citus:tables.{name}"
    table = layout.schema.tables.get(name)
    if table is None:
        other = layout.schema.others.get(name)
        if other is not None:
            message = f"{name} is a {other.kind}, which cannot be sharded"
            yield found(
                "not-a-table", name, message, "name the table behind it, or remove it", at=other.at, setting=setting
            )
            return
        message = f"no SQL file of citus:schemaDir creates this table{_did_you_mean(name, layout.schema.tables)}"
        yield found(
            "unknown-table", name, message, "add the file, or remove the table from the settings", setting=setting
        )
        return
    named = [("distributeBy", settings.distribute_by)] + [("primaryKey", c) for c in settings.primary_key or ()]
    for key, column in named:
        if column is not None and table.columns is not None and column.name not in table.columns:
            close = _did_you_mean(column, map(ColumnName, table.columns))
            yield found(
                "unknown-column",
                name,
                f"the table has no such column{close}",
                f"name one of {_listed(table.columns)}",
                at=table.at,
                setting=f"{setting}.{key} = {column}",
            )


def _did_you_mean(name: object, others: Iterable[object]) -> str:
    spelled = {str(other).lower().replace('"', ""): str(other) for other in others}
    close = difflib.get_close_matches(str(name).lower().replace('"', ""), spelled, n=1)
    return f" (did you mean {spelled[close[0]]}?)" if close else ""


def _listed(columns: Iterable[str]) -> str:
    return ", ".join(str(ColumnName(column)) for column in columns)


def _colocation(layout: Layout, name: TableName, target: TableName | None) -> Iterator[Finding]:
    setting = f"citus:tables.{name}.colocateWith = {target}"
    if target is None:
        return
    if target not in layout.settings:
        message = f"the settings do not distribute that table{_did_you_mean(target, layout.settings)}"
        yield found("colocate-unknown", name, message, "add it to citus:tables", setting=setting)
    elif layout.settings[target].reference:
        message = "that is a reference table, which has no shards to share"
        remedy = "remove colocateWith, it joins locally anyway"
        yield found("colocate-reference", name, message, remedy, setting=setting)
    else:
        chain = [name]
        while target is not None and target in layout.settings and target not in chain:
            chain.append(target)
            target = layout.settings[target].colocate_with
        if target == name:
            message = f"a cycle ({' → '.join(map(str, [*chain, name]))})"
            yield found("colocate-cycle", name, message, "let one of them stand without colocateWith", setting=setting)


# --- one table ---------------------------------------------------------------------------------------------------------


def _table(layout: Layout, name: TableName, order: Mapping[TableName, int]) -> Iterator[Finding]:
    table, settings = layout.schema.tables[name], layout.settings[name]
    if table.persistence == "t":
        message = f"{name} is a temporary table, which cannot be sharded"
        yield found("temporary-table", name, message, "create it without TEMPORARY", at=table.at)
    if table.partition and table.parent in layout.schema.tables:
        yield from _partition(layout, table, settings, order)
        return
    if settings.reference and table.partitioned:
        message = f"{name} is partitioned, which a reference table cannot be"
        yield found("partitioned-reference", name, message, "distribute it instead", at=table.at)
    for member in (table, *layout.partitions(name)):
        yield from _member(layout, table, member, order)
    if settings.distribute_by is not None and table.columns is not None:
        yield from _distribution_column(layout, table, settings)
        yield from _primary_key(layout, table, settings)
        for member in (table, *layout.partitions(name)):
            for key in member.keys:
                if member is table or not layout.is_derived(member, key):
                    yield from _unique_key(member, key, settings.distribute_by.name, own=member is table)


def _partition(
    layout: Layout, table: Table, settings: TableSettings, order: Mapping[TableName, int]
) -> Iterator[Finding]:
    """Check a partition that has settings of its own."""
    root = layout.root(table.name)
    of = layout.settings.get(root)
    target = settings.colocate_with
    alike = (
        of is not None
        and not settings.reference
        and settings.distribute_by == of.distribute_by
        and (target is None or layout.group(target) == layout.group(root))
        and order[root] < order[table.name]
    )
    message = f"{table.name} is a partition of {table.parent} and sharded with it"
    remedy = f"take it out of citus:tables, and let {root} stand there"
    yield found("partition-named" if alike else "partition", table.name, message, remedy, at=table.at)


def _member(layout: Layout, table: Table, member: Table, order: Mapping[TableName, int]) -> Iterator[Finding]:
    """Check what Citus demands of a table and of each of its partitions."""
    name = member.name
    if member is not table and member.partitioned:
        message = (
            f"{name} is a partition of {member.parent} and partitioned itself: Citus shards one level of partitions"
        )
        yield found("partition-levels", name, message, f"partition {table.name} by one column alone", at=member.at)
    yield from _inheritance(layout, member, "")
    for trigger in member.triggers:
        message = f"{name} has the trigger {trigger.name}, which would fire where the tables that it works on are not"
        remedy = f"drop it: drop trigger {ColumnName(trigger.name)} on {name}"
        yield found("trigger", name, message, remedy, at=trigger.at)
    yield from _policies(member)
    yield from _types(layout, member, order)


def _managed(layout: Layout, name: TableName, order: Mapping[TableName, int]) -> Iterator[Finding]:
    """Check a local table that Citus adds to its metadata because of a foreign key."""
    table = layout.schema.tables[name]
    why = ", but foreign keys tie it to a reference table, so that Citus has to manage it"
    for member in (table, *layout.partitions(name)):
        yield from _inheritance(layout, member, why)
        yield from _policies(member)
        yield from _types(layout, member, order)
        if member is not table and member.partitioned:
            message = f"{member.name} is a partition of {member.parent} and partitioned itself{why}"
            remedy = f"partition {name} by one column alone, or remove the foreign key"
            yield found("partition-levels", member.name, message, remedy, at=member.at)


def _inheritance(layout: Layout, table: Table, why: str) -> Iterator[Finding]:
    heirs = [child for child in layout.schema.children(table.name) if not child.partition]
    if table.parents and not table.partition:
        message = f"{table.name} inherits from {table.parent}, which Citus cannot shard{why}"
        remedy = f"end it: alter table {table.name} no inherit {table.parent}"
        yield found("inheritance", table.name, message, remedy, at=table.at)
    elif heirs:
        message = f"{heirs[0].name} inherits from {table.name}, which Citus cannot shard{why}"
        remedy = f"end it: alter table {heirs[0].name} no inherit {table.name}"
        yield found("inheritance", table.name, message, remedy, at=heirs[0].at)


def _policies(table: Table) -> Iterator[Finding]:
    for policy in table.policies:
        if policy.subquery:
            message = f"{table.name}: the policy {policy.name} has a subquery, which no worker could answer alone"
            remedy = f"write it without, or remove it: drop policy {ColumnName(policy.name)} on {table.name}"
            yield found("policy-subquery", table.name, message, remedy, at=policy.at)


def _types(layout: Layout, table: Table, order: Mapping[TableName, int]) -> Iterator[Finding]:
    for column in (table.columns or {}).values():
        message = f"{table.name}: the column {ColumnName(column.name)} is of the type {column.type}, "
        for part in _parts(layout, column.type):
            row = next((name for name in layout.schema.tables if str(name) == part), None)
            if getattr(_user_type(layout, part), "kind", "") == "range":
                remedy = "use a built-in range type, or a column for each bound"
                yield found(
                    "unsupported-type",
                    table.name,
                    f"{message}a range type, which Citus cannot create",
                    remedy,
                    at=table.at,
                )
            elif row is not None and not _is_known(layout, row, table, order):
                remedy = f"shard {row} too, or make a type: create type … as (…)"
                why = f"{message}the row of a table that Citus would not know yet"
                yield found("unsupported-type", table.name, why, remedy, at=table.at)


def _is_known(layout: Layout, row: TableName, table: Table, order: Mapping[TableName, int]) -> bool:
    """Tell whether Citus knows a table, and so its row type, before it comes to another."""
    root = layout.root(table.name)
    if root not in order:
        return layout.kind(row) == "reference"
    return row in order and order[row] < order[root]


def _user_type(layout: Layout, name: str) -> UserType | None:
    for known, of in layout.schema.types.items():
        if name == (known.name if known.schema == "public" else str(known)):
            return of
    return None


def _parts(layout: Layout, name: str) -> Iterator[str]:
    """Yield the type without brackets, and what it is made of."""
    plain = name.removesuffix("[]")
    yield plain
    user_type = _user_type(layout, plain)
    for part in user_type.parts if user_type else ():
        yield from _parts(layout, part)


def _base(layout: Layout, name: str) -> str:
    """Return the type behind a domain."""
    user_type = _user_type(layout, name)
    return _base(layout, user_type.parts[0]) if user_type and user_type.kind == "domain" else name


# --- the distribution column -------------------------------------------------------------------------------------------


def _distribution_column(layout: Layout, table: Table, settings: TableSettings) -> Iterator[Finding]:
    """Check what EnsureRelationCanBeDistributed demands of the column, and colocation of its type."""
    name, by = table.name, settings.distribute_by
    assert by is not None  # noqa: S101 - for the type checker
    assert table.columns is not None  # noqa: S101
    column = table.columns[by.name]
    base = _base(layout, column.type)
    if column.generated:
        message = f"{name} cannot be distributed by {by}: its value is generated"
        yield found("generated-column", name, message, "name a plain column", at=table.at)
    if base in _HASHLESS:
        message = f"{name} cannot be distributed by {by}: values of type {column.type} have no hash"
        remedy = f"name another column{f': alter table {name} alter column {by} type jsonb' * (base == 'json')}"
        yield found("no-hash", name, message, remedy, at=table.at)
    if column.scale < 0:
        message = f"{name} cannot be distributed by {by}: it is numeric with a negative scale"
        yield found("negative-scale", name, message, f"alter table {name} alter column {by} type numeric", at=table.at)
    if not _deterministic(layout, _collation(layout, column)):
        message = (
            f"{name} cannot be distributed by {by}: its collation {_collation(layout, column)} is not deterministic"
        )
        remedy = f'alter table {name} alter column {by} type {column.type} collate "C"'
        yield found("nondeterministic-collation", name, message, remedy, at=table.at)
    yield from _colocated_column(layout, table, column, settings)
    if not column.not_null and table.primary_key is None:
        message = f"{name}: the distribution column {by} may be NULL, and no worker owns a row without it"
        remedy = f"alter table {name} alter column {by} set not null"
        yield found("nullable-column", name, message, remedy, at=table.at)
    enum = getattr(_user_type(layout, base), "kind", "") == "enum"
    if base == "bool" or enum:
        message = (
            f"{name}: the distribution column {by} is {'an enum' if enum else 'a boolean'}, which has few values: "
        )
        message += "most workers would hold no row"
        yield found("few-values", name, message, "distribute by a column of many values", at=table.at)


def _colocated_column(layout: Layout, table: Table, column: Column, settings: TableSettings) -> Iterator[Finding]:
    name, by, target = table.name, settings.distribute_by, settings.colocate_with
    other = layout.distribution_column(target) if target else None
    if other is None or target is None:
        return
    setting = f"citus:tables.{name}.colocateWith = {target}"
    target_by = ColumnName(other.name)
    alter = f"alter table {name} alter column {by} type"
    if other.type != column.type:
        message = f"{by} is {column.type}, but {target}.{target_by} is {other.type}"
        remedy = f"colocated tables need one type: {alter} {other.type}"
        yield found("colocated-type", name, message, remedy, setting=setting)
    elif (mine := _collation(layout, column)) != (theirs := _collation(layout, other)):
        message = f"{by} has {_named(mine)}, but {target}.{target_by} has {_named(theirs)}"
        remedy = f'colocated tables need one collation: {alter} {column.type} collate "{theirs or "default"}"'
        yield found("colocated-collation", name, message, remedy, setting=setting)


def _collation(layout: Layout, column: Column) -> str:
    user_type = _user_type(layout, column.type)
    collation = column.collation or (user_type.collation if user_type else "")
    return "" if collation == ("C" if column.type == "name" else "default") else collation


def _named(collation: str) -> str:
    return f"the collation {collation}" if collation else "the database's collation"


def _deterministic(layout: Layout, collation: str) -> bool:
    name = TableName(*(["public", collation] if "." not in collation else collation.split(".", 1)))
    return layout.schema.collations.get(name, True)


# --- keys --------------------------------------------------------------------------------------------------------------


def _primary_key(layout: Layout, table: Table, settings: TableSettings) -> Iterator[Finding]:
    name, by, key = table.name, settings.distribute_by, table.primary_key
    assert by is not None  # noqa: S101
    assert table.columns is not None  # noqa: S101
    if key is None:
        if settings.primary_key:
            yield found(
                "no-primary-key",
                name,
                "the table has no primary key to rewrite",
                "remove the setting, or declare the key in the SQL file",
                at=table.at,
                setting=f"citus:tables.{name}.primaryKey",
            )
        return
    new = layout.primary_key(name) or ()
    for view, other in layout.schema.others.items():
        if name in other.keys and new != key.columns:
            message = f"the {other.kind} {view} groups by the primary key of {name}, which is to be rewritten"
            yield found("key-in-use", name, message, "let it group by every column that it shows", at=other.at)
    missing = [column for column in table.partition_columns if column and column not in new]
    if missing:
        message = f"{name} is partitioned by {_listed(missing)}, which its primary key has to hold"
        remedy = f"citus:tables.{name}.primaryKey: [{_listed([*new, *missing])}]"
        yield found("partitioned-key", name, message, remedy, at=key.at, setting=f"citus:tables.{name}.primaryKey")
    generated = [table.columns[c] for c in key.columns if c in table.columns]
    if by.name not in key.columns and not settings.primary_key and any(c.identity or c.sequence for c in generated):
        message = (
            f"{name}: the primary key ({_listed(key.columns)}) becomes ({_listed(new)}): its generated numbers stay unique, "
            f"but one that is written by hand is checked within one {by} only"
        )
        remedy = f"let the sequence give every number; citus:tables.{name}.primaryKey: [{_listed(new)}] says that it is meant"
        yield found("unguarded-key", name, message, remedy, at=key.at)


def _unique_key(table: Table, key: Key, by: str, *, own: bool) -> Iterator[Finding]:
    """Check what ErrorIfUnsupportedConstraint demands; the primary key of a table itself is rewritten."""
    if key.kind == "primary key" and own:
        return
    name, columns, column = table.name, _listed_key(key), ColumnName(by)
    if by in key.columns and by not in key.unequal:
        return
    if by in key.columns:
        message = (
            f"{name}: this exclude ({columns}) compares the distribution column {column} by another operator than ="
        )
        yield found("unique-key", name, message, f"write {column} with =, or remove it", at=key.at)
        return
    message = f"{name}: this {key.kind} ({columns}) lacks the distribution column {column}"
    remedy = f"make it ({column}, {columns}), or remove it"
    if key.kind in ("unique", "primary key"):
        remedy += (
            f": alter table {name} drop constraint {ColumnName(key.name)}, add constraint {ColumnName(key.name)} "
            f"{key.kind} ({column}, {columns})"
        )
    if by in key.included:
        message += " but in INCLUDE, so rows of different workers may share a value"
        yield found("included-column", name, message, remedy, at=key.at)
    else:
        yield found("unique-key", name, f"{message}, so no worker could check it alone", remedy, at=key.at)


def _listed_key(key: Key) -> str:
    return ", ".join(column if column.startswith("<") else str(ColumnName(column)) for column in key.columns)


def _sequences(layout: Layout, order: Mapping[TableName, int]) -> Iterator[Finding]:
    """Check what EnsureDistributedSequencesHaveOneType demands of columns that a sequence fills."""
    first: dict[TableName, tuple[Table, Column]] = {}
    roots = [*sorted(layout.managed), *sorted(layout.settings, key=lambda name: order[name])]
    for table in (member for root in roots for member in (layout.schema.tables[root], *layout.partitions(root))):
        for column in (table.columns or {}).values():
            if column.sequence is None:
                continue
            other_table, other = first.setdefault(column.sequence, (table, column))
            at = f"{table.name}: the sequence {column.sequence} fills {ColumnName(column.name)}, which is {column.type}"
            if other.type != column.type:
                message = f"{at}, and {other_table.name}.{ColumnName(other.name)}, which is {other.type}"
                remedy = f"alter table {table.name} alter column {ColumnName(column.name)} type {other.type}"
                yield found("sequence-type", table.name, message, remedy, at=table.at)
            sequence, limit = layout.schema.sequences.get(column.sequence), _LIMITS.get(column.type)
            if sequence and limit and any(not -limit <= figure < limit for figure in sequence.bounds):
                remedy = f"alter table {table.name} alter column {ColumnName(column.name)} type bigint"
                yield found("sequence-range", table.name, f"{at}: too small for its figures", remedy, at=sequence.at)


# --- foreign keys ------------------------------------------------------------------------------------------------------


def _foreign_key(layout: Layout, table: Table, fk: ForeignKey, order: Mapping[TableName, int]) -> Iterator[Finding]:
    """Check what ErrorIfUnsupportedForeignConstraintExists demands, in all directions, of the key as it is rewritten."""
    at = f"{table.name} ({_listed(fk.columns)}) → {fk.parent}"
    child, parent = layout.kind(table.name), layout.kind(fk.parent)
    if child == parent == "local" and layout.root(table.name) not in layout.managed:
        return
    yield from _default_action(table, fk, at)
    if child == "local" and parent != "distributed":
        of = table if table.partition else layout.schema.tables[fk.parent]
        if parent == "local" and of.partition:
            yield _of_partition(
                layout, table, fk, f"{at}: Citus cannot manage {of.name} apart from {layout.root(of.name)}"
            )
        elif parent == "reference" and table.partition:
            yield _of_partition(
                layout, table, fk, f"{at}: Citus cannot manage a single partition of {layout.root(table.name)}"
            )
        return
    if parent == "local":
        yield from _to_local(layout, table, fk, at)
    elif parent == "reference":
        if table.partition:
            yield _of_partition(
                layout, table, fk, f"{at}: the reference table comes first, and finds a partition that is local"
            )
        elif child == "distributed" and layout.by(table.name) in fk.columns:
            yield from _actions(table, fk, at, layout.by(table.name))
    elif child == "reference" or (child == "local" and layout.root(table.name) in layout.managed):
        kind = (
            "a reference table" if child == "reference" else "a local table that foreign keys tie to a reference table"
        )
        message = f"{at}: {kind} cannot reference a distributed one"
        remedy = f"distribute {table.name} too, colocated with {fk.parent}, or remove the foreign key"
        yield found("foreign-key-to-distributed", table.name, message, remedy, at=fk.at)
    else:
        yield from _to_distributed(layout, table, fk, at, order)


def _default_action(table: Table, fk: ForeignKey, at: str) -> Iterator[Finding]:
    """Check what ForeignKeySetsNextValColumnToDefault refuses."""
    set_columns = fk.columns if fk.on_update == "d" else (fk.set_columns or fk.columns) if fk.on_delete == "d" else ()
    for name in set_columns:
        column = (table.columns or {}).get(name)
        if column is not None and (column.identity or column.sequence):
            message = (
                f"{at}: SET DEFAULT would take the next value of a sequence for {ColumnName(name)}, which workers lack"
            )
            yield found("foreign-key-default", table.name, message, "use another action", at=fk.at)


def _of_partition(layout: Layout, table: Table, fk: ForeignKey, message: str) -> Finding:
    child, parent = layout.root(table.name), layout.root(fk.parent)
    remedy = (
        f"tie the partitioned tables: alter table {table.name} drop constraint {ColumnName(fk.name)}; "
        f"alter table {child} add foreign key ({_listed(fk.columns)}) references {parent}"
    )
    return found("foreign-key-partition", table.name, message, remedy, at=fk.at)


def _to_local(layout: Layout, table: Table, fk: ForeignKey, at: str) -> Iterator[Finding]:
    as_reference = f"make it a reference table (citus:tables.{fk.parent}: {{reference: true}}), or distribute it too"
    if layout.kind(table.name) == "distributed":
        message = f"{at}: {table.name} is spread over the workers, {fk.parent} would stay on the coordinator alone"
        yield found("foreign-key-to-local", table.name, message, as_reference, at=fk.at)
        return
    message = f"{at}: {table.name} is copied to every node, {fk.parent} would stay on the coordinator alone"
    changing = [event for event, action in (("DELETE", fk.on_delete), ("UPDATE", fk.on_update)) if action not in "ar"]
    other = layout.schema.tables[fk.parent]
    if other.partition:
        yield found("foreign-key-partition", table.name, f"{message}, and is a partition", as_reference, at=fk.at)
    elif changing:
        message += f", so ON {changing[0]} could not reach the copies"
        yield found("foreign-key-reference-action", table.name, message, as_reference, at=fk.at)
    else:
        message += ", where alone it is checked"
        yield found("foreign-key-reference-to-local", table.name, message, as_reference, at=fk.at)


def _to_distributed(
    layout: Layout, table: Table, fk: ForeignKey, at: str, order: Mapping[TableName, int]
) -> Iterator[Finding]:
    """Check a foreign key from a distributed or a local table to a distributed one."""
    referred = layout.referred(fk)
    if layout.kind(table.name) == "local":
        if not _is_key(layout, fk.parent, referred):
            yield _lost(layout, table, fk, at, referred)
            return
        message = (
            f"{at}: {table.name} is local and {fk.parent} is not: new rows are checked, but a row of {fk.parent} that is "
            f"deleted or changed leaves those that reference it behind, unnoticed"
        )
        remedy = f"distribute {table.name} too, colocated with {fk.parent}, or remove the foreign key"
        yield found("foreign-key-from-local", table.name, message, remedy, at=fk.at)
        return
    if layout.group(table.name) != layout.group(fk.parent):
        message = f"{at}: the two are not colocated, so no worker could check it alone"
        remedy = (
            f"citus:tables.{layout.root(table.name)}.colocateWith: {layout.root(fk.parent)}, or remove the foreign key"
        )
        yield found("foreign-key-colocation", table.name, message, remedy, at=fk.at)
        return
    by, parent_by = layout.by(table.name), layout.by(fk.parent)
    pairs = list(zip(fk.columns, referred, strict=False))
    paired = (by, parent_by) in pairs
    if not paired and any(by == a or parent_by == b for a, b in pairs):
        message = (
            f"{at}: it pairs a distribution column with another column, but must pair {ColumnName(by)} with "
            f"{ColumnName(parent_by)}"
        )
        yield found("foreign-key-pair", table.name, message, "mend the foreign key", at=fk.at)
        yield from _actions(table, fk, at, by)
        return
    yield from _actions(table, fk, at, by)
    wanted = referred if paired else (parent_by, *referred)
    trouble = _partition_trouble(layout, table, fk, order, paired=paired)
    if trouble:
        yield _of_partition(layout, table, fk, f"{at}: {trouble}")
    elif not _is_key(layout, fk.parent, wanted):
        yield _lost(layout, table, fk, at, wanted)
    elif fk.match == "f" and not paired:
        message = (
            f"{at}: with MATCH FULL and {ColumnName(by)} in front, none of ({_listed(fk.columns)}) may be NULL any more"
        )
        yield found("match-full", table.name, message, "declare it without MATCH FULL", at=fk.at)


def _partition_trouble(
    layout: Layout, table: Table, fk: ForeignKey, order: Mapping[TableName, int], *, paired: bool
) -> str:
    """Return why a foreign key of a single partition, or to one, does not outlive the sharding of its table."""
    child, parent = order[layout.root(table.name)], order[layout.root(fk.parent)]
    if table.partition and child < parent:
        return f"{fk.parent} is sharded after this partition"
    if table.partition and child > parent and not paired:
        return "a single partition's foreign key is not rewritten"
    other = layout.schema.tables[fk.parent]
    if not other.partition:
        return ""
    if child < parent:
        return f"the partition {fk.parent} is sharded after {table.name}"
    key = layout.schema.tables[layout.root(fk.parent)].primary_key
    rewritten = key is not None and layout.primary_key(fk.parent) != key.columns
    if rewritten and key is not None and frozenset(layout.referred(fk)) == frozenset(key.columns) and child != parent:
        return f"it holds the primary key of {fk.parent}, which is to be rewritten"
    return ""


def _is_key(layout: Layout, name: TableName, columns: tuple[str, ...]) -> bool:
    """Tell whether a foreign key may point to exactly these columns, once the table is sharded."""
    tables = [layout.schema.tables[table] for table in {name, layout.root(name)}]
    keys = [key.columns for table in tables for key in table.keys if key.kind != "primary key" and key.referable]
    primary = layout.primary_key(name)
    referable = all(table.primary_key is None or table.primary_key.referable for table in tables)
    known = all(table.columns is not None for table in tables)
    return not known or frozenset(columns) in {frozenset(key) for key in [*keys, *([primary] * referable)] if key}


def _lost(layout: Layout, table: Table, fk: ForeignKey, at: str, columns: tuple[str, ...]) -> Finding:
    root, by = layout.root(fk.parent), layout.by(fk.parent)
    primary = layout.primary_key(fk.parent) or ()
    message = (
        f"{at}: it will reference ({_listed(columns)}), but the primary key of {fk.parent} becomes ({_listed(primary)})"
    )
    if by in columns:
        remedy = f"citus:tables.{root}.primaryKey: [{_listed(columns)}]"
    else:
        remedy = f"distribute {table.name} too, colocated with {fk.parent}, or remove the foreign key"
    return found("foreign-key-target", table.name, message, remedy, at=fk.at)


def _actions(table: Table, fk: ForeignKey, at: str, by: str) -> Iterator[Finding]:
    for event, action in (("DELETE", fk.on_delete), ("UPDATE", fk.on_update)):
        if action in ("n", "d") or (action == "c" and event == "UPDATE"):
            message = (
                f"{at}: ON {event} {_ACTIONS[action]} would change the distribution column {ColumnName(by)}, which is part of "
                "the foreign key once distributed"
            )
            remedy = f"use ON {event} {'CASCADE or ' * (event == 'DELETE')}NO ACTION"
            yield found("foreign-key-action", table.name, message, remedy, at=fk.at)


# --- what works but hurts ----------------------------------------------------------------------------------------------


def _alone(table: Table, column: str) -> bool:
    """Tell whether the column is the table's whole key, as `id` is in many tables that have nothing else in common."""
    return table.primary_key is not None and table.primary_key.columns == (column,)


def _left_local(layout: Layout) -> Iterator[Finding]:
    distributed = {
        (column.name, column.type): name
        for name in sorted(layout.settings, reverse=True)
        if (column := layout.distribution_column(name)) is not None
    }
    for table in layout.schema.tables.values():
        if layout.kind(table.name) != "local" or table.persistence == "t" or table.partition:
            continue
        for column in (table.columns or {}).values():
            other = distributed.get((column.name, column.type))
            if other is not None and not _alone(table, column.name):
                by = ColumnName(column.name)
                message = f"{table.name} stays on the coordinator, though it has {by}, by which {other} is distributed"
                remedy = f"citus:tables.{table.name}: {{distributeBy: {by}, colocateWith: {layout.group(other)}}}"
                yield found("left-local", table.name, message, remedy, at=table.at)


def _separate_groups(layout: Layout) -> Iterator[Finding]:
    first: dict[tuple[str, str], TableName] = {}
    for name in sorted(layout.settings):
        column = layout.distribution_column(name)
        if column is None or layout.group(name) != name or _alone(layout.schema.tables[name], column.name):
            continue
        other = first.setdefault((column.name, column.type), name)
        if other != name:
            by = ColumnName(column.name)
            message = f"it and {other} are both distributed by {by}, but not colocated: a join on it moves rows between workers"
            remedy = f"citus:tables.{name}.colocateWith: {other}"
            yield found("separate-groups", name, message, remedy, setting=f"citus:tables.{name}")
