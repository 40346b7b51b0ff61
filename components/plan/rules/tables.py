"""Rules about the tables that Citus shards or manages: their kind, partitions, triggers, policies and column types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.names import ColumnName, listed
from components.plan.findings import Rule
from components.plan.remedies import drop_for_good
from components.tables import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from components.names import TableName
    from components.plan.findings import Finding, Mend
    from components.plan.layout import Layout
    from components.schema.relations import Table

__all__ = ["check_managed", "check_members", "check_table"]


TEMPORARY_TABLE: Final = Rule(
    "temporary-table",
    "error",
    what="The settings shard a temporary table.",
    why="It exists in the session that created it only, and on no worker.",
    remedy="Create it without TEMPORARY.",
    source="ErrorIfTemporaryTable",
)

PARTITION: Final = Rule(
    "partition",
    "error",
    what="The settings shard a partition by itself, or differently from its partitioned table.",
    why="Partitions are sharded with their table, by its distribution column.",
    remedy="Put the partitioned table into `citus:tables`, and remove the partition.",
    source="EnsureRelationCanBeDistributed",
)

PARTITION_NAMED: Final = Rule(
    "partition-named",
    "warning",
    what="`citus:tables` names a partition in addition to its table.",
    why="It is sharded with its table; its own entry has no effect.",
    remedy="Remove the partition from the settings.",
    source="CreateCitusTable",
)

PARTITIONED_REFERENCE: Final = Rule(
    "partitioned-reference",
    "error",
    what="The settings make a partitioned table a reference table.",
    why="Citus distributes partitioned tables, but cannot replicate them.",
    remedy="Distribute it, or create it without partitions.",
    source="EnsureRelationCanBeDistributed",
)

PARTITION_LEVELS: Final = Rule(
    "partition-levels",
    "error",
    what="A partition of a sharded table is partitioned itself.",
    why="Citus shards one level of partitions.",
    remedy="Partition by one column only: the shards are a second level already.",
    source="EnsureRelationCanBeDistributed",
)

INHERITANCE: Final = Rule(
    "inheritance",
    "error",
    what="A table with INHERITS, or with child tables, is sharded, or is managed by Citus because a foreign key connects it to "
    "a reference table.",
    why="A query of the parent also reads its child tables, which would be placed elsewhere.",
    remedy="Remove the inheritance (`alter table … no inherit …`), or make the child tables partitions.",
    source="EnsureRelationKindSupported, ErrorIfUnsupportedCitusLocalTableKind",
)

TRIGGER: Final = Rule(
    "trigger",
    "error",
    what="A table that is sharded, or one of its partitions, has a trigger.",
    why="It would fire on the workers, where the tables that it reads and writes do not exist.",
    remedy="Drop the trigger, and do its work in the application or by a constraint; or set `unsafeTriggers`.",
    source="EnsureRelationHasNoTriggers",
)

UNSAFE_TRIGGER: Final = Rule(
    "unsafe-trigger",
    "warning",
    what="`unsafeTriggers` lets a sharded table, or one of its partitions, have a trigger.",
    why="It fires on the worker that stores the row, as a trigger of the shard: `TG_TABLE_NAME` is the shard's name, local "
    "tables are not there, and Citus refuses what it writes to more than one node, such as to a reference table.",
    remedy="Let its function read and write nothing but the row itself.",
    source="citus.enable_unsafe_triggers",
)

POLICY_SUBQUERY: Final = Rule(
    "policy-subquery",
    "error",
    what="A row-level security policy has a subquery.",
    why="Policies are checked on the workers, where a subquery would see one shard.",
    remedy="Write the policy with the row's own columns and settings of the session.",
    source="ErrorIfUnsupportedPolicy",
)

UNSUPPORTED_TYPE: Final = Rule(
    "unsupported-type",
    "error",
    what="A column has a range type that the files create, or the row type of a table that is not sharded before this one.",
    why="Citus creates the types of a table on every node before the table. It cannot create these.",
    remedy="Use a built-in range type or two columns; shard that table too, or create a composite type instead.",
    source="DeferErrorIfAnyObjectHasUnsupportedDependency",
)


UNSUPPORTED_OBJECT: Final = Rule(
    "unsupported-object",
    "error",
    what="A default, a check, a generated column or an index of a table uses an operator, an operator class or a cast that the "
    "files create, or the row type of a table that is not sharded before this one.",
    why="Citus passes functions and types on to the workers, and none of these: the shards cannot be created.",
    remedy="Call the function behind the operator or the cast; create a composite type, or shard that table too.",
    source="CreateShardsOnWorkers",
)


MANAGED_CHECK: Final = Rule(
    "managed-check",
    "error",
    what="A local table that Citus manages is partitioned and has a CHECK constraint.",
    why="Citus names the constraint of the table and those of its partitions after different shards, and then misses them.",
    remedy="Shard the table too, drop the constraint, or remove the foreign key that connects it to a reference table.",
    source="MergeConstraintsIntoExisting",
)

IDENTITY_NAME: Final = Rule(
    "identity-name",
    "error",
    what="A local table that Citus manages has an identity column whose name has to be in quotes.",
    why="Citus writes the column's name without quotes when it takes the table into its metadata, and does not find it.",
    remedy="Make it a serial column, or rename it; or remove the foreign key that connects the table to a reference table.",
    source="DropIdentitiesOnTable",
)

CIRCULAR_OBJECT: Final = Rule(
    "circular-object",
    "error",
    what="A sharded table, or one that Citus manages, has an index or a check with a function that takes its rows; or a view "
    "reads it together with such a function, or by a function that returns its rows.",
    why="To create the table on workers, Citus needs the function first, and to create the function the table.",
    remedy="Let the function take or return single columns (`returns table (…)`), or drop the index, the check or the view.",
    source="DeferErrorIfCircularDependencyExists",
)


def check_table(layout: Layout, name: TableName, order: Mapping[TableName, int]) -> Iterator[Finding]:
    """Check a table of the settings and its partitions."""
    table = layout.schema.tables[name]
    if table.persistence == "t":
        message = f"{name} is a temporary table, which cannot be sharded"
        yield TEMPORARY_TABLE.finding(name, message, "create it without TEMPORARY", at=table.at)
    if table.partition and table.parent in layout.schema.tables:
        yield _check_partition(layout, table, order)
        return
    if layout.settings[name].reference and table.partitioned:
        message = f"{name} is partitioned, and Citus cannot replicate a partitioned table"
        yield PARTITIONED_REFERENCE.finding(name, message, "distribute it instead", at=table.at)
    yield from check_members(layout, table, order)


def check_members(layout: Layout, table: Table, order: Mapping[TableName, int]) -> Iterator[Finding]:
    """Check a sharded table, of whichever kind, and its partitions."""
    name = table.name
    for member in (table, *layout.partitions(name)):
        if member is not table and member.partitioned:
            message = f"{member.name} is a partition of {member.parent} and partitioned itself: Citus shards one level"
            remedy = f"partition {name} by one column only"
            yield PARTITION_LEVELS.finding(member.name, message, remedy, at=member.at)
        yield from _check_inheritance(layout, member, "")
        for trigger in member.triggers:
            if layout.unsafe_triggers:
                message = (
                    f"{member.name}: trigger {trigger.name} fires on the workers, on the shards (citus:unsafeTriggers)"
                )
                remedy = "let its function read and write nothing but the row itself"
                yield UNSAFE_TRIGGER.finding(member.name, message, remedy, at=trigger.at)
                continue
            message = f"{member.name}: trigger {trigger.name} would fire on the workers, where the tables it uses do not exist"
            mend = drop_for_good(
                "what the trigger does is no longer done", f"drop trigger {ColumnName(trigger.name)} on {member.name}"
            )
            yield TRIGGER.finding(member.name, message, "drop it", at=trigger.at, mend=mend)
        yield from _check_policies(member)
        yield from _check_types(layout, member, order)


def _check_partition(layout: Layout, table: Table, order: Mapping[TableName, int]) -> Finding:
    root, settings = layout.root(table.name), layout.settings[table.name]
    root_settings, target = layout.settings.get(root), settings.colocate_with
    same = (
        root_settings is not None
        and not settings.reference
        and settings.distribute_by == root_settings.distribute_by
        and (target is None or layout.colocation_root(target) == layout.colocation_root(root))
        and order[root] < order[table.name]
    )
    message = f"{table.name} is a partition of {table.parent} and sharded with it"
    remedy = f"remove it from citus:tables, and name {root} there"
    return (PARTITION_NAMED if same else PARTITION).finding(table.name, message, remedy, at=table.at)


def check_managed(layout: Layout, name: TableName, order: Mapping[TableName, int]) -> Iterator[Finding]:
    """Check a local table that Citus adds to its metadata because of a foreign key."""
    why = ", but foreign keys connect it to a reference table, so Citus has to manage it"
    table = layout.schema.tables[name]
    if table.checks and layout.partitions(name):
        message = f"{name}: Citus cannot take a partitioned table with a CHECK constraint ({listed(sorted(table.checks))}){why}"
        remedy = f"shard it too (citus:tables.{name}: {{distributeBy: …}}), or remove the foreign key"
        yield MANAGED_CHECK.finding(name, message, remedy, at=table.at)
    for member in (table, *layout.partitions(name)):
        yield from _check_inheritance(layout, member, why)
        yield from _check_policies(member)
        yield from _check_types(layout, member, order)
        for column in (member.columns or {}).values():
            if column.identity and str(ColumnName(column.name)) != column.name:
                spelled = ColumnName(column.name)
                message = (
                    f"{member.name}: Citus does not find the identity column {spelled}, whose name needs quotes{why}"
                )
                remedy = (
                    f"make it a serial column, or rename it: alter table {member.name} rename column {spelled} to …"
                )
                yield IDENTITY_NAME.finding(member.name, message, remedy, at=member.at)
        if member is not table and member.partitioned:
            message = f"{member.name} is a partition of {member.parent} and partitioned itself{why}"
            remedy = f"partition {name} by one column only, or remove the foreign key"
            yield PARTITION_LEVELS.finding(member.name, message, remedy, at=member.at)


def _check_inheritance(layout: Layout, table: Table, why: str) -> Iterator[Finding]:
    child_tables = [child for child in layout.schema.children(table.name) if not child.partition]
    if table.parents and not table.partition:
        message = f"{table.name} inherits from {table.parent}, which Citus cannot shard{why}"
        mend = _disinherited(table, table.parents)
        yield INHERITANCE.finding(table.name, message, "remove the inheritance", at=table.at, mend=mend)
    elif child_tables:
        child = child_tables[0]
        message = f"{child.name} inherits from {table.name}, which Citus cannot shard{why}"
        own = [it for it in child_tables if table.name in it.parents]
        mend = drop_for_good(
            _NOT_READ.format(table.name), *(f"alter table {it.name} no inherit {table.name}" for it in own)
        )
        yield INHERITANCE.finding(table.name, message, "remove the inheritance", at=child.at, mend=mend)


_NOT_READ: Final = "queries of {} then no longer read the rows of its child tables"


def _disinherited(table: Table, parents: Iterable[TableName]) -> Mend:
    statements = (f"alter table {table.name} no inherit {parent}" for parent in parents)
    return drop_for_good(_NOT_READ.format(table.parent), *statements)


def _check_policies(table: Table) -> Iterator[Finding]:
    for policy in table.policies:
        if policy.subquery:
            message = f"{table.name}: policy {policy.name} has a subquery, which would see one shard on a worker"
            remedy = "write it without the subquery, or remove it"
            mend = drop_for_good(
                "rows are then let through, or hidden, otherwise",
                f"drop policy {ColumnName(policy.name)} on {table.name}",
            )
            yield POLICY_SUBQUERY.finding(table.name, message, remedy, at=policy.at, mend=mend)


def _check_types(layout: Layout, table: Table, order: Mapping[TableName, int]) -> Iterator[Finding]:
    schema = layout.schema
    for view in layout.views_in_circle.get(table.name, ()):
        message = f"the view {view} reads {table.name} by a function of its rows, and Citus needs each before the other"
        remedy = f"let the function return single columns (returns table (…)), or drop the view: drop view {view}"
        yield CIRCULAR_OBJECT.finding(table.name, message, remedy, at=schema.others[view].at)
    for expression in table.expressions:
        other = layout.names.get(expression.row)
        if other == table.name:
            message = f"{table.name}: {expression.uses} is in one of its expressions, and each needs the other to be there first"
            remedy = "let the function take or return single columns, or drop what calls it"
            yield CIRCULAR_OBJECT.finding(table.name, message, remedy, at=expression.at)
        elif other is None or not _is_known(layout, other, table, order):
            message = (
                f"{table.name}: {expression.uses} is in one of its expressions, and Citus passes it on to no worker"
            )
            remedy = f"shard {other} too, or create a type: create type … as (…)"
            if other is None:
                remedy = "call the function behind it instead"
            yield UNSUPPORTED_OBJECT.finding(table.name, message, remedy, at=expression.at)
    for column in (table.columns or {}).values():
        typed = f"{table.name}: the column {ColumnName(column.name)} has the type {column.type}"
        for part in schema.type_parts(column.type):
            row = layout.names.get(part)
            if schema.type_kind(part) == "range":
                message = f"{typed}, a range type, which Citus cannot create"
                remedy = "use a built-in range type, or a column for each bound"
                yield UNSUPPORTED_TYPE.finding(table.name, message, remedy, at=table.at)
            elif row is not None and not _is_known(layout, row, table, order):
                message = f"{typed}, the row type of a table that Citus does not know at that point"
                remedy = f"shard {row} too, or create a type: create type … as (…)"
                yield UNSUPPORTED_TYPE.finding(table.name, message, remedy, at=table.at)


def _is_known(layout: Layout, row: TableName, table: Table, order: Mapping[TableName, int]) -> bool:
    """Tell whether Citus knows a table, and so its row type, before it reaches another table."""
    root = layout.root(table.name)
    if root not in order:
        return layout.kind(row) == Kind.REFERENCE
    return row in order and order[row] < order[root]
