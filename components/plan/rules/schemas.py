"""Rules about schemas that are distributed as a whole: which ones can be, and what may be in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.names import SchemaName
from components.plan.findings import Rule
from components.plan.rules.names import did_you_mean
from components.plan.rules.tables import check_members
from components.tables import Distributed, Reference, SingleShard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from components.names import TableName
    from components.plan.findings import Finding
    from components.plan.layout import Layout
    from components.settings import SchemaSettings
    from components.tables import Sharding

__all__ = ["check_names", "check_schemas", "check_standing"]


UNKNOWN_SCHEMA: Final = Rule(
    "unknown-schema",
    "error",
    what="`citus:schemas` names a schema that no SQL file creates.",
    why="There is no schema to distribute. Most often the name is misspelled, or lacks its quotes.",
    remedy="Spell it as in SQL, add the file, or remove the schema from the settings.",
    source="schemas.ensure_distributed",
)

SCHEMA_TABLE: Final = Rule(
    "schema-table",
    "error",
    what="`citus:tables` names a table of a schema that `citus:schemas` distributes.",
    why="All tables of a distributed schema are in one shard each, together on one worker. None of them is sharded otherwise.",
    remedy="Remove the table from `citus:tables`, or move it to another schema.",
    source="ErrorIfTenantTable",
)

SCHEMA_EXTENSION: Final = Rule(
    "schema-extension",
    "error",
    what="A schema that is distributed is the schema of an extension.",
    why="The extension's objects are on every node, and are used by other schemas.",
    remedy="Create the extension in another schema, such as public.",
    source="EnsureSchemaCanBeDistributed",
)

SCHEMA_FOREIGN_TABLE: Final = Rule(
    "schema-foreign-table",
    "error",
    what="A foreign table is in a schema that is distributed.",
    why="It has no rows that a worker could store.",
    remedy="Create it in another schema.",
    source="EnsureTableKindSupportedForTenantSchema",
)

SCHEMA_PARTITION: Final = Rule(
    "schema-partition",
    "error",
    what="A partition and its table are in different schemas, and one of the two is distributed.",
    why="A table and its partitions are placed together, as one schema is.",
    remedy="Create the partition in the schema of its table.",
    source="ErrorIfIllegalPartitioningInTenantSchema",
)

SCHEMA_SHARDED: Final = Rule(
    "schema-sharded",
    "error",
    what="A table is sharded by itself in the running cluster, and with its whole schema in the settings; or the reverse.",
    why="Citus distributes schemas of local tables only, and takes no single table out of a distributed schema.",
    remedy="Set `undistribute: true` for the table first, in an update of its own. The tables of a schema that is undistributed "
    "may be sharded in the same update.",
    source="EnsureTenantTable, ErrorIfTenantTable",
)


def check_names(layout: Layout, schemas: Iterable[SchemaName], undistributed: Iterable[TableName]) -> Iterator[Finding]:
    """Check that the schemas exist, and that no table of one is sharded by itself."""
    known = {*layout.schema.schemas, *(name.schema for name in layout.schema.tables)}
    for schema in schemas:
        if schema.name not in known:
            message = (
                f"no SQL file of citus:schemaDir creates this schema{did_you_mean(schema, map(SchemaName, known))}"
            )
            remedy = "add the file, or remove the schema from the settings"
            yield UNKNOWN_SCHEMA.finding(None, message, remedy, setting=f"citus:schemas.{schema}")
    for name in (*layout.settings, *undistributed):
        if name.schema in layout.schemas:
            message = f"citus:schemas distributes the schema {SchemaName(name.schema)}, and all its tables with it"
            remedy = "remove the table from citus:tables, or the schema from citus:schemas"
            yield SCHEMA_TABLE.finding(name, message, remedy, setting=f"citus:tables.{name}")


def check_schemas(layout: Layout, order: Mapping[TableName, int]) -> Iterator[Finding]:
    """Check what EnsureSchemaCanBeDistributed and CreateTenantSchemaTable demand."""
    for schema in layout.schemas:
        spelled = SchemaName(schema)
        if schema in layout.schema.extensions:
            extension, at = layout.schema.extensions[schema]
            message = f"the extension {extension} is in {spelled}, which is distributed"
            yield SCHEMA_EXTENSION.finding(None, message, "create it in the schema public", at=at)
    for name, other in layout.schema.others.items():
        if other.kind == "foreign table" and name.schema in layout.schemas:
            message = f"the foreign table {name} is in a schema that is distributed"
            yield SCHEMA_FOREIGN_TABLE.finding(name, message, "create it in another schema", at=other.at)
    for table in layout.schema.tables.values():
        root = layout.root(table.name)
        if (
            table.partition
            and root.schema != table.name.schema
            and {root.schema, table.name.schema} & set(layout.schemas)
        ):
            message = (
                f"{table.name} is a partition of {root}, and they are in different schemas, of which one is distributed"
            )
            remedy = f"create it in {SchemaName(root.schema)}"
            yield SCHEMA_PARTITION.finding(table.name, message, remedy, at=table.at)
    for name in layout.single_shard:
        yield from check_members(layout, layout.schema.tables[name], order)


def check_standing(
    layout: Layout,
    standing: Mapping[TableName, Sharding],
    schemas: Mapping[SchemaName, SchemaSettings],
    undistributed: Iterable[TableName],
) -> Iterator[Finding]:
    """Check that what the running cluster has sharded can be sharded as the settings say."""
    returning = {schema.name for schema, settings in schemas.items() if settings.undistribute}
    local = set(undistributed)
    for name, sharding in standing.items():
        if name.schema in layout.schemas and isinstance(sharding, Distributed | Reference):
            message = f"{name} is {sharding} in the running cluster, and citus:schemas distributes its whole schema"
            remedy = f"undistribute it first, without the schema in citus:schemas: citus:tables.{name}: {{undistribute: true}}"
            yield SCHEMA_SHARDED.finding(name, message, remedy, setting=f"citus:schemas.{SchemaName(name.schema)}")
        elif isinstance(sharding, SingleShard) and (name in layout.settings or name in local):
            if name.schema in returning | set(layout.schemas):
                continue
            schema = SchemaName(name.schema)
            message = f"{name} is in the schema {schema}, which is distributed in the running cluster"
            remedy = f"undistribute the schema: citus:schemas.{schema}: {{undistribute: true}}"
            yield SCHEMA_SHARDED.finding(name, message, remedy, setting=f"citus:tables.{name}")
