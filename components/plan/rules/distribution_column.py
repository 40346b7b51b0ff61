"""Rules about the distribution column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.names import ColumnName
from components.plan.findings import Mend, Rule
from components.plan.remedies import (
    collation_of,
    group_collation,
    group_type,
    is_deterministic,
    mend_distribution_column,
    mend_not_null,
    mended_type,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.names import TableName
    from components.plan.findings import Finding
    from components.plan.layout import Layout
    from components.schema.relations import Column, Table
    from components.settings import TableSettings

__all__ = ["check_distribution_column"]


GENERATED_COLUMN: Final = Rule(
    "generated-column",
    "error",
    what="The distribution column is GENERATED ALWAYS AS (…) STORED.",
    why="Citus chooses the shard before the value is computed.",
    remedy="Distribute by a plain column; the application may fill it.",
    source="DistributionColumnUsesGeneratedStoredColumn",
)

NO_HASH: Final = Rule(
    "no-hash",
    "error",
    what="The distribution column has a type that cannot be hashed, such as json, point, money or bit.",
    why="The hash of the value decides which shard stores a row.",
    remedy="Distribute by another column, or change the type of this one, such as from json to jsonb.",
    source="SupportFunctionForColumn",
)

NEGATIVE_SCALE: Final = Rule(
    "negative-scale",
    "error",
    what="The distribution column is numeric with a negative scale.",
    why="PostgreSQL rounds a value when it stores it, after Citus has chosen the shard.",
    remedy="Declare it without the negative scale.",
    source="DistributionColumnUsesNumericColumnNegativeScale",
)

NONDETERMINISTIC_COLLATION: Final = Rule(
    "nondeterministic-collation",
    "error",
    what="The distribution column has a nondeterministic collation.",
    why="Two spellings that are equal would have different hashes, and be stored on different shards.",
    remedy="Give the column a deterministic collation.",
    source="EnsureRelationCanBeDistributed",
)

COLOCATED_TYPE: Final = Rule(
    "colocated-type",
    "error",
    what="Two tables of one colocation group have distribution columns of different types.",
    why="Equal values of two types have different hashes, and would be stored on different workers.",
    remedy="Give both columns the same type.",
    source="EnsureTableCanBeColocatedWith",
)

COLOCATED_COLLATION: Final = Rule(
    "colocated-collation",
    "error",
    what="Two tables of one colocation group have distribution columns of different collations.",
    why="Values that are equal in one collation need not be equal in the other.",
    remedy="Give both columns the same collation.",
    source="EnsureColumnTypeEquality",
)

NULLABLE_COLUMN: Final = Rule(
    "nullable-column",
    "warning",
    what="The distribution column may be NULL.",
    why="No shard stores such a row: inserting it fails, and a table that has such rows cannot be distributed.",
    remedy="Declare the column NOT NULL.",
    source="distribute.ensure_distributed",
)

FEW_VALUES: Final = Rule(
    "few-values",
    "warning",
    what="The distribution column is a boolean or an enum.",
    why="At most as many shards have rows as there are values; the other workers stay idle.",
    remedy="Distribute by a column with many values.",
    source="CreateHashDistributedTableShards",
)


UNHASHABLE_TYPES: Final = frozenset(
    {"bit", "box", "circle", "json", "jsonpath", "line", "lseg", "money", "path", "point", "polygon", "varbit", "xml"}
    | {"aclitem", "cid", "pg_snapshot", "refcursor", "tsquery", "tsvector", "txid_snapshot", "xid"}
    | {"cube", "lquery", "ltree", "ltxtquery", "seg"}
)
"""Types without a default operator class for hash: PostgreSQL's up to 16, and those of its own extensions."""


def check_distribution_column(layout: Layout, table: Table, by: ColumnName) -> Iterator[Finding]:
    """Check what EnsureRelationCanBeDistributed demands of the column, and colocation of its type."""
    name, settings, column = table.name, layout.settings[table.name], (table.columns or {})[by.name]
    base, collation = layout.schema.base_type(column.type), collation_of(layout.schema, column)
    refused = f"{name} cannot be distributed by {by}"
    if column.generated:
        message = f"{refused}: its value is generated"
        yield GENERATED_COLUMN.finding(name, message, "name a plain column", at=table.at)
    if base in UNHASHABLE_TYPES:
        message = f"{refused}: values of type {column.type} have no hash"
        mend = mended_type(layout, name, column, "jsonb") if column.type == "json" else None
        yield NO_HASH.finding(name, message, "name another column", at=table.at, mend=mend)
    if column.scale < 0:
        message = f"{refused}: it is numeric with a negative scale"
        mend = mended_type(layout, name, column, "numeric")
        yield NEGATIVE_SCALE.finding(name, message, "", at=table.at, mend=mend)
    if not is_deterministic(layout.schema, collation):
        message = f"{refused}: its collation {collation} is not deterministic"
        mend = mend_distribution_column(layout, name, column)
        yield NONDETERMINISTIC_COLLATION.finding(name, message, "", at=table.at, mend=mend)
    yield from _check_colocated_column(layout, table, column, settings)
    if not column.not_null and not (table.primary_key and by.name in table.primary_key.columns):
        message = f"{name}: the distribution column {by} may be NULL, and no shard stores a row without a value"
        if table.primary_key:
            message += f": in the primary key it becomes NOT NULL, so an insert without {by} fails"
        yield NULLABLE_COLUMN.finding(name, message, "", at=table.at, mend=mend_not_null(name, by.name))
    is_enum = layout.schema.type_kind(base) == "enum"
    if base == "bool" or is_enum:
        kind = "an enum" if is_enum else "a boolean"
        message = (
            f"{name}: the distribution column {by} is {kind}, which has few values: most workers would store no row"
        )
        yield FEW_VALUES.finding(name, message, "distribute by a column with many values", at=table.at)


def _check_colocated_column(layout: Layout, table: Table, column: Column, settings: TableSettings) -> Iterator[Finding]:
    name, by, target = table.name, settings.distribute_by, settings.colocate_with
    other = layout.distribution_column(target) if target else None
    if other is None or target is None:
        return
    setting = f"citus:tables.{name}.colocateWith = {target}"
    target_by = ColumnName(other.name)
    mine, theirs = collation_of(layout.schema, column), collation_of(layout.schema, other)
    if other.type != column.type:
        message = f"{by} is {column.type}, but {target}.{target_by} is {other.type}"
        remedy, mend = "colocated tables need one type", _one_type(layout, name, column)
        yield COLOCATED_TYPE.finding(name, message, remedy, setting=setting, mend=mend)
    elif mine != theirs:
        message = f"{by} has {_named(mine)}, but {target}.{target_by} has {_named(theirs)}"
        remedy, mend = "colocated tables need one collation", mend_distribution_column(layout, name, column)
        yield COLOCATED_COLLATION.finding(name, message, remedy, setting=setting, mend=mend)


def _one_type(layout: Layout, name: TableName, column: Column) -> Mend:
    """Return what gives a distribution column the type of its colocation group; the others where they are to change."""
    type_, *_ = group_type(layout, name)
    others = layout.groups[layout.colocation_root(name)] if column.type == type_ else [name]
    wanted = type_, group_collation(layout, name)
    columns = [
        (member, it)
        for member in others
        if (it := layout.distribution_column(member)) and (it.type, collation_of(layout.schema, it)) != wanted
    ]
    mends = [mend_distribution_column(layout, member, it) for member, it in columns]
    effect = next((mend.effect for mend in mends if mend.effect), "")
    decision = next((mend.decision for mend in mends if mend.decision), "")
    return Mend(tuple(step for mend in mends for step in mend.steps), effect, decision)


def _named(collation: str) -> str:
    return f"the collation {collation}" if collation else "the database's collation"
