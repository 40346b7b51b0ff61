"""Rules about later files that change definitions: ALTER TABLE, indexes, sequences and grants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from components.names import ColumnName, SchemaName, TableName, default_name
from components.plan.findings import Rule
from components.schema.parse_tree import SERIALS, action_of, constraint_kind, constraints_of, object_type
from components.tables import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from components.plan.findings import Finding
    from components.plan.later_tables import LaterTables

__all__ = ["CHECKS", "LATER_DISTRIBUTION_COLUMN"]


LATER_ALTER: Final = Rule(
    "later-alter",
    "error",
    what="A later file alters a sharded table in a way that Citus does not propagate to the shards, such as SET "
    "STATISTICS, SET STORAGE, CLUSTER ON, INHERIT, ALTER CONSTRAINT or DETACH PARTITION CONCURRENTLY.",
    why="Citus propagates a fixed list of subcommands, and refuses the others.",
    remedy="As the finding says: another statement, or none.",
    source="ErrorIfUnsupportedAlterTableStmt",
)

LATER_DISTRIBUTION_COLUMN: Final = Rule(
    "later-distribution-column",
    "error",
    what="A later file changes the type of a sharded table's distribution column, drops it, gives it a "
    "default, allows NULL in it, or updates its value in rows.",
    why="The column's value decides which shard stores a row.",
    remedy="For the type: undistribute the table with `undistribute: true`, and shard it again together with the file. For "
    "rows: insert them with the new value, and delete the old ones.",
    source="AlterInvolvesPartitionColumn, TargetlistAndFunctionsSupported",
)

LATER_IDENTITY: Final = Rule(
    "later-identity",
    "error",
    what="A later file adds an identity column to a sharded table.",
    why="Citus creates identity columns only together with the table.",
    remedy="Add the column as bigserial: existing rows are numbered, and so are new ones.",
    source="ErrorIfUnsupportedAlterTableStmt",
)

LATER_NUMBER: Final = Rule(
    "later-number",
    "error",
    what="A later file adds a serial column to a sharded table without a primary key, or changes the type of a "
    "column that a sequence or an identity fills.",
    why="Rows are numbered by their primary key. And the sequence is on every node, with the type of the column.",
    remedy="Add a primary key first, or set the default without numbering existing rows. Drop the sequence before the type is "
    "changed, and create another.",
    source="ErrorIfUnsupportedAlterTableStmt",
)

LATER_SEQUENCE: Final = Rule(
    "later-sequence",
    "error",
    what="A later file alters a sequence that fills a column of a sharded table.",
    why="The sequence is on every node, with a range of its own on each.",
    remedy="Use `select setval(…)`, or another sequence as the default.",
    source="PreprocessAlterSequenceStmt",
)

LATER_TABLESPACE: Final = Rule(
    "later-tablespace",
    "error",
    what="A later file names a tablespace for an index of a sharded table.",
    why="The tablespace need not exist on the workers.",
    remedy="Remove it.",
    source="ErrorIfUnsupportedIndexStmt, ErrorIfUnsupportedAlterIndexStmt",
)

LATER_GRANT: Final = Rule(
    "later-grant",
    "error",
    what="A later file grants or revokes privileges on single columns of a sharded table, and Citus is older than 13.1.",
    why="Until then, Citus propagates only privileges on whole tables.",
    remedy="Grant on the table, or on a view of these columns.",
    source="PreprocessGrantStmt",
)


LATER_SCHEMA: Final = Rule(
    "later-schema",
    "error",
    what="A later file moves a sharded table into a distributed schema, or out of one a table with foreign keys or partitions.",
    why="All tables of a distributed schema are on one worker, and its foreign keys and partitions stay within it.",
    remedy="Drop the foreign keys first; or create another table in the schema, copy the rows and drop the old one.",
    source="EnsureTenantTable, ErrorIfTenantTable",
)


_PRIVILEGES_ON_COLUMNS: Final = (13, 1)
"""First release of Citus that propagates them."""


_UNSUPPORTED: Final = {
    "SetStatistics": (
        "SET STATISTICS",
        "remove it; `alter database … set default_statistics_target` applies to all columns",
    ),
    "SetStorage": ("SET STORAGE", "remove it, or use SET COMPRESSION"),
    "SetOptions": ("options of a column", "remove it"),
    "ResetOptions": ("options of a column", "remove it"),
    "AddIdentity": ("ADD GENERATED … AS IDENTITY", "set default nextval('…') of a sequence instead"),
    "SetIdentity": ("changes of an identity column", "remove it: the column stays as it is"),
    "DropIdentity": ("DROP IDENTITY", "remove it: the column stays as it is"),
    "DropExpression": (
        "DROP EXPRESSION",
        "add a plain column, fill it with an UPDATE, drop the generated one, and rename",
    ),
    "ClusterOn": ("CLUSTER ON", "remove it: shards are not clustered"),
    "DropCluster": ("SET WITHOUT CLUSTER", "remove it"),
    "SetTableSpace": ("SET TABLESPACE", "remove it: shards are in the default tablespace of each worker's database"),
    "AddInherit": ("INHERIT", "remove it, or make the table a partition"),
    "DropInherit": ("NO INHERIT", "remove it"),
    "AddOf": ("OF", "remove it"),
    "DropOf": ("NOT OF", "remove it"),
    "AlterConstraint": ("ALTER CONSTRAINT", "drop the constraint and add the new one, in two statements"),
    "EnableRule": ("ENABLE RULE", "drop the rule, or create it again"),
    "DisableRule": ("DISABLE RULE", "drop the rule"),
    "EnableAlwaysRule": ("ENABLE ALWAYS RULE", "remove it"),
    "EnableReplicaRule": ("ENABLE REPLICA RULE", "remove it"),
    "DetachPartitionFinalize": ("DETACH PARTITION … FINALIZE", "remove it"),
}
"""Subcommands of ALTER TABLE that Citus does not propagate to the shards, and what to do instead."""


_TRIGGERS: Final = frozenset(
    {"EnableTrig", "EnableAlwaysTrig", "EnableReplicaTrig", "EnableTrigUser", "EnableTrigAll"}
    | {"DisableTrig", "DisableTrigUser", "DisableTrigAll"}
)


_OF_DISTRIBUTION_COLUMN: Final = {
    "AlterColumnType": "its type decides which shard stores a row",
    "DropColumn": "it decides which shard stores a row",
    "DropNotNull": "no shard stores a row without it",
    "ColumnDefault": "Citus takes its value from the statement, before the default is applied",
}


def _check_alter_table(statement: Any, known: LaterTables) -> Iterator[Finding]:
    altered = object_type(statement.objtype)
    name = known.name(statement.relation)
    for command in (node.alter_table_cmd for node in statement.cmds):
        if altered == "OBJECT_INDEX" and action_of(command) == "SetTableSpace":
            yield from _check_tablespace(known.index_table(name), "remove it", known)
        elif altered == "OBJECT_TABLE" and known.kind(name) != Kind.LOCAL:
            yield from _check_subcommand(name, command, known)


def _check_subcommand(table: TableName, command: Any, known: LaterTables) -> Iterator[Finding]:
    action = action_of(command)
    if action in _UNSUPPORTED:
        what, remedy = _UNSUPPORTED[action]
        message = f"{known.describe(table)}, and Citus does not propagate {what} to its shards"
        yield LATER_ALTER.finding(table, message, remedy)
    elif getattr(command, "def").partition_cmd.concurrent:
        message = f"{known.describe(table)}, and Citus does not detach its partitions CONCURRENTLY"
        yield LATER_ALTER.finding(table, message, "remove CONCURRENTLY: shards of a partition are detached at once")
    elif action in _TRIGGERS and known.kind(table) != Kind.MANAGED:
        message = f"{known.describe(table)}, and Citus supports no triggers there"
        yield LATER_ALTER.finding(table, message, "remove it")
    elif command.name and command.name == known.distribution_column(table):
        if action in _OF_DISTRIBUTION_COLUMN:
            message = f"{table} is distributed by {ColumnName(command.name)}: {_OF_DISTRIBUTION_COLUMN[action]}"
            remedy = "remove it"
            if action in ("AlterColumnType", "DropColumn"):
                remedy = (
                    "undistribute the table first, with all that are colocated with it "
                    f"(citus:tables.{table}: {{undistribute: true}}, then up), and add this file together with the settings that "
                    "shard it again"
                )
            yield LATER_DISTRIBUTION_COLUMN.finding(table, message, remedy)
    elif action == "AddColumn":
        yield from _check_new_column(table, command, known)
    elif action == "AlterColumnType":
        yield from _check_type(table, command.name, known)


def _check_new_column(table: TableName, command: Any, known: LaterTables) -> Iterator[Finding]:
    column = getattr(command, "def").column_def
    if command.missing_ok and column.colname in (known.columns(table) or ()):
        return
    name = ColumnName(column.colname)
    is_serial = len(column.type_name.names) == 1 and column.type_name.names[0].string.sval in SERIALS
    if any(constraint_kind(it) == "CONSTR_IDENTITY" for it, _ in constraints_of(column.constraints)):
        message = f"{known.describe(table)}, and Citus adds no identity column to it"
        yield LATER_IDENTITY.finding(table, message, f"alter table {table} add column {name} bigserial")
    elif is_serial and not known.primary_key(table):
        message = f"{known.describe(table)} and has no primary key, by which existing rows could be numbered"
        remedy = (
            f"add a primary key first; or add the column {name} as an integer, then set its default, for new rows only"
        )
        yield LATER_NUMBER.finding(table, message, remedy)


def _check_type(table: TableName, name: str, known: LaterTables) -> Iterator[Finding]:
    column = known.column(table, name)
    sequence = (column.sequence if column else None) or known.owned.get((table, name))
    if column is None or not (column.identity or (sequence and sequence not in known.dropped)):
        return
    source = "an identity" if column.identity else "a sequence"
    message = f"{known.describe(table)}, and Citus does not change the type of a column that {source} fills"
    remedy = (
        "keep the type"
        if column.identity
        else f"before it: drop sequence {sequence} cascade; after it: create another, and set its nextval('…') as the default"
    )
    yield LATER_NUMBER.finding(table, message, remedy)


def _check_tablespace(table: TableName | None, remedy: str, known: LaterTables) -> Iterator[Finding]:
    if table is not None and known.kind(table) != Kind.LOCAL:
        message = f"{known.describe(table)}, and Citus takes no tablespace for its indexes"
        yield LATER_TABLESPACE.finding(table, message, remedy)


def _check_index(statement: Any, known: LaterTables) -> Iterator[Finding]:
    if statement.table_space:
        yield from _check_tablespace(known.name(statement.relation), "remove TABLESPACE", known)


def _check_grant(statement: Any, known: LaterTables) -> Iterator[Finding]:
    if known.citus is not None and known.citus >= _PRIVILEGES_ON_COLUMNS:
        return
    if not any(node.access_priv.cols for node in statement.privileges):
        return
    for node in statement.objects:
        if node.HasField("range_var") and known.kind(known.name(node.range_var)) != Kind.LOCAL:
            table = known.name(node.range_var)
            message = f"{known.describe(table)}, and Citus supports no privileges on single columns there"
            yield LATER_GRANT.finding(table, message, "grant on the whole table, or on a view of these columns")


def _check_sequence(statement: Any, known: LaterTables) -> Iterator[Finding]:
    sequence = known.name(statement.sequence)
    for table in known.relations.tables.values():
        for column in (table.columns or {}).values():
            own = TableName(table.name.schema, default_name(table.name.name, column.name, "seq"))
            is_filled = column.sequence == sequence or (column.identity and own == sequence)
            if is_filled and known.kind(table.name) != Kind.LOCAL:
                message = f"the sequence {sequence} fills {table.name}.{ColumnName(column.name)}, and is on every node"
                remedy = (
                    f"select setval('{sequence}', …) moves it; or create another sequence, and set it as the default"
                )
                yield LATER_SEQUENCE.finding(table.name, message, remedy)
                return


def _check_schema(statement: Any, known: LaterTables) -> Iterator[Finding]:
    table = known.name(statement.relation)
    if object_type(statement.object_type) != "OBJECT_TABLE" or table not in known.relations.tables:
        return
    kind, schema = known.kind(table), SchemaName(statement.newschema)
    copied = f"create the table in {schema} instead, insert the rows, and drop {table}"
    if schema.name in known.relations.distributed_schemas and kind in (Kind.DISTRIBUTED, Kind.REFERENCE):
        message = f"{known.describe(table)}, and the schema {schema} takes local tables only, since it is distributed"
        yield LATER_SCHEMA.finding(table, message, copied)
    if kind != Kind.SINGLE_SHARD or schema.name == table.schema:
        return
    tied = [
        it.name
        for it in known.relations.tables.values()
        for fk in it.foreign_keys
        if table in (it.name, fk.parent) and (it.name, fk.parent) != (table, table)
    ]
    if known.relations.tables[table].partitioned:
        message = f"{known.describe(table)} with partitions, and Citus moves none out of its distributed schema"
        yield LATER_SCHEMA.finding(table, message, copied)
    elif tied:
        message = f"{known.describe(table)} with foreign keys, which cannot lead out of its distributed schema"
        yield LATER_SCHEMA.finding(table, message, "drop the foreign keys first, with all that reference it")


CHECKS: Final[dict[str, Callable[[Any, LaterTables], Iterator[Finding]]]] = {
    "alter_table_stmt": _check_alter_table,
    "alter_object_schema_stmt": _check_schema,
    "alter_seq_stmt": _check_sequence,
    "index_stmt": _check_index,
    "grant_stmt": _check_grant,
}
"""What Citus would refuse of a statement, whatever form it is rewritten to; by the field that holds the statement."""
