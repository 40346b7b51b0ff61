"""What a plan is found to lack, as data; and the rules by which it is found. Pure; knows no schema.

Each rule names the function of Citus, or of this project, that would refuse. docs/plan.md shows them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from components.names import TableName
    from components.schema.relations import Position

__all__ = ["RULES", "Finding", "Rule", "Severity", "found"]


Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One thing that speaks against a plan. Its place is a SQL file, or a setting alone, which has no column."""

    severity: Severity
    rule: str
    file: str
    line: int | None
    column: int | None
    table: str
    message: str
    remedy: str
    source: str
    setting: str = ""
    """The setting at fault, with its value where that is what is wrong."""

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part) if self.line else ""
        return ": ".join(part for part in (self.setting, place, self.message, self.remedy) if part)


@dataclass(frozen=True)
class Rule:
    """One rule: what it finds, why that is so, and what to do."""

    slug: str
    severity: Severity
    what: str
    why: str
    remedy: str
    source: str


def found(
    slug: str, table: TableName, message: str, remedy: str, *, at: Position | None = None, setting: str = ""
) -> Finding:
    """Return a finding of the rule of that name."""
    rule = RULES[slug]
    return Finding(
        severity=rule.severity,
        rule=slug,
        file=at.file if at else "",
        line=at.line if at else None,
        column=at.column if at else None,
        table=str(table),
        message=message,
        remedy=remedy,
        source=rule.source,
        setting=setting,
    )


_DISTRIBUTED: Final = "EnsureRelationCanBeDistributed"


_FOREIGN: Final = "ErrorIfUnsupportedForeignConstraintExists"


_RULES: Final = (
    # --- settings ------------------------------------------------------------------------------------------------------
    Rule(
        "unknown-table",
        "error",
        "`citus:tables` names a table that no SQL file creates.",
        "There would be nothing to shard; most often a name is misspelled, or wants its quotes.",
        "Spell it as in SQL, add the file, or take the table out of the settings.",
        "tables.ensure_distributed",
    ),
    Rule(
        "not-a-table",
        "error",
        "`citus:tables` names a view, a materialized view or a foreign table.",
        "Only tables have shards. Views of sharded tables follow them by themselves.",
        "Name the table behind it.",
        "ErrorIfForeignTable, tables.ensure_distributed",
    ),
    Rule(
        "unknown-column",
        "error",
        "`distributeBy` or `primaryKey` names a column that the table does not have.",
        "The column decides on which worker a row lies.",
        "Name one of the table's columns, spelled as in SQL.",
        "BuildDistributionKeyFromColumnName, keys.rewrite_primary_key",
    ),
    Rule(
        "colocate-unknown",
        "error",
        "`colocateWith` names a table that the settings do not distribute.",
        "A colocation group is made of distributed tables.",
        "Add that table to `citus:tables`, or name another.",
        "FindColocateWithColocationId",
    ),
    Rule(
        "colocate-reference",
        "error",
        "`colocateWith` names a reference table.",
        "A reference table has no shards to share; it joins locally on every node anyway.",
        "Remove `colocateWith`.",
        "EnsureTableCanBeColocatedWith",
    ),
    Rule(
        "colocate-cycle",
        "error",
        "`colocateWith` leads back to the table itself.",
        "Each would have to stand before the other.",
        "Let one of them stand without `colocateWith`; the others may name it or each other.",
        "FindColocateWithColocationId",
    ),
    # --- kinds of table ------------------------------------------------------------------------------------------------
    Rule(
        "temporary-table",
        "error",
        "A temporary table is to be sharded.",
        "It ends with the session that made it, and no worker sees it.",
        "Create it without TEMPORARY.",
        "ErrorIfTemporaryTable",
    ),
    Rule(
        "partition",
        "error",
        "A partition is to be sharded by itself, or otherwise than its partitioned table.",
        "Partitions are sharded with their table, by its column.",
        "Put the partitioned table into `citus:tables`, and take the partition out.",
        _DISTRIBUTED,
    ),
    Rule(
        "partitioned-reference",
        "error",
        "A partitioned table is to be a reference table.",
        "Citus distributes partitioned tables, and cannot replicate them.",
        "Distribute it, or create it without partitions.",
        _DISTRIBUTED,
    ),
    Rule(
        "partition-levels",
        "error",
        "A partition of a sharded table is partitioned itself.",
        "Citus shards one level of partitions.",
        "Partition by one column alone: the shards are a second level already.",
        _DISTRIBUTED,
    ),
    Rule(
        "inheritance",
        "error",
        "A table that INHERITS, or from which another does, is to be sharded, or to be managed by Citus because a "
        "foreign key ties it to a reference table.",
        "A query of the parent reads its heirs, which would lie elsewhere.",
        "End it (`alter table … no inherit …`), or make partitions of the heirs.",
        "EnsureRelationKindSupported, ErrorIfUnsupportedCitusLocalTableKind",
    ),
    Rule(
        "trigger",
        "error",
        "A table to be sharded, or one of its partitions, has a trigger.",
        "It would fire on the workers, where what it reads and writes is not.",
        "Drop the trigger, and do its work in the application or by a constraint.",
        "EnsureRelationHasNoTriggers",
    ),
    Rule(
        "policy-subquery",
        "error",
        "A row-level policy has a subquery.",
        "Policies are checked on the workers, where a subquery would see one shard.",
        "Write the policy with the row's own columns and settings of the session.",
        "ErrorIfUnsupportedPolicy",
    ),
    Rule(
        "unsupported-type",
        "error",
        "A column is of a range type that the files create, or of the row type of a table that is not sharded before.",
        "Before a table, Citus creates its types on every node; it cannot create these.",
        "Use a built-in range type or two columns; shard that table too, or make a composite type of its own.",
        "DeferErrorIfAnyObjectHasUnsupportedDependency",
    ),
    # --- distribution column -------------------------------------------------------------------------------------------
    Rule(
        "generated-column",
        "error",
        "The distribution column is GENERATED ALWAYS AS (…) STORED.",
        "The worker is chosen before the value is computed.",
        "Distribute by a plain column; the application may fill it.",
        "DistributionColumnUsesGeneratedStoredColumn",
    ),
    Rule(
        "no-hash",
        "error",
        "The distribution column's type cannot be hashed, as json, point, money and bit cannot.",
        "A row lies on the shard of its value's hash.",
        "Distribute by another column, or give this one another type, such as jsonb for json.",
        "SupportFunctionForColumn",
    ),
    Rule(
        "negative-scale",
        "error",
        "The distribution column is numeric with a negative scale.",
        "Values are rounded when they are stored, after the shard was chosen.",
        "Declare it without the negative scale.",
        "DistributionColumnUsesNumericColumnNegativeScale",
    ),
    Rule(
        "nondeterministic-collation",
        "error",
        "The distribution column has a collation that is not deterministic.",
        "Two spellings that are equal would have different hashes, and lie on different shards.",
        "Give the column a deterministic collation.",
        _DISTRIBUTED,
    ),
    Rule(
        "colocated-type",
        "error",
        "Two tables of one colocation group have distribution columns of different types.",
        "Equal values of two types have different hashes, and would lie on different workers.",
        "Give both columns one type.",
        "EnsureTableCanBeColocatedWith",
    ),
    Rule(
        "colocated-collation",
        "error",
        "Two tables of one colocation group have distribution columns of different collations.",
        "Equal by one collation is not equal by the other.",
        "Give both columns one collation.",
        "EnsureColumnTypeEquality",
    ),
    # --- keys ----------------------------------------------------------------------------------------------------------
    Rule(
        "unique-key",
        "error",
        "A UNIQUE or EXCLUDE constraint or a unique index lacks the distribution column; EXCLUDE has to compare it by =. "
        "Of a partition's own, a primary key too.",
        "Each worker checks its own rows alone.",
        "Add the distribution column, or remove the constraint. Primary keys of tables are rewritten by themselves.",
        "ErrorIfUnsupportedConstraint",
    ),
    Rule(
        "key-in-use",
        "error",
        "A view groups by a table's primary key, shows other columns of it, and the key is to be rewritten.",
        "PostgreSQL ties such a view to the key, which cannot be dropped then.",
        "Let the view group by every column that it shows.",
        "keys.rewrite_primary_key",
    ),
    Rule(
        "partitioned-key",
        "error",
        "`primaryKey` leaves out a column by which the table is partitioned.",
        "PostgreSQL checks a key within each partition.",
        "Add the column to `primaryKey`.",
        "keys.rewrite_primary_key",
    ),
    Rule(
        "sequence-type",
        "error",
        "One sequence fills columns of different types.",
        "Citus gives a sequence the type of the column that it fills, the same on every node.",
        "Give the columns one type, or each its own sequence.",
        "EnsureSequenceTypeSupported",
    ),
    Rule(
        "sequence-range",
        "error",
        "A sequence is declared with figures that its column's type does not hold.",
        "Citus gives a sequence the type of the column that it fills.",
        "Make the column bigint, or the figures smaller.",
        "AlterSequenceType",
    ),
    # --- foreign keys --------------------------------------------------------------------------------------------------
    Rule(
        "foreign-key-to-local",
        "error",
        "A distributed table references a table that stays on the coordinator.",
        "The workers, where its rows lie, do not have the other table.",
        "Make the other a reference table, or distribute it too.",
        _FOREIGN,
    ),
    Rule(
        "foreign-key-to-distributed",
        "error",
        "A reference table, or a local one that a foreign key ties to a reference table, references a distributed table.",
        "The rows that it references are spread over the workers.",
        "Distribute both, colocated, or remove the foreign key.",
        _FOREIGN,
    ),
    Rule(
        "foreign-key-colocation",
        "error",
        "Two distributed tables that are not colocated reference one another.",
        "The referenced row lies on another worker.",
        "Colocate them.",
        _FOREIGN,
    ),
    Rule(
        "foreign-key-pair",
        "error",
        "A foreign key between colocated tables pairs a distribution column with another column.",
        "The referencing and the referenced row lie together only where their distribution columns are equal.",
        "Pair the two distribution columns.",
        "keys.rewritten_foreign_key",
    ),
    Rule(
        "foreign-key-action",
        "error",
        "An action of a foreign key, such as ON DELETE SET NULL, would change the distribution column.",
        "A row would have to move to another worker. Between colocated tables the column is part of every foreign key.",
        "Use CASCADE on delete, or NO ACTION.",
        "EnsureSupportedFKeyOnDistKey",
    ),
    Rule(
        "foreign-key-default",
        "error",
        "An action SET DEFAULT of a foreign key sets a column that a sequence or an identity fills.",
        "Workers do not have the sequence, and would set NULL.",
        "Use another action, or another default.",
        "ForeignKeySetsNextValColumnToDefault",
    ),
    Rule(
        "foreign-key-reference-action",
        "error",
        "A foreign key of a reference table to a local one has an action that changes rows.",
        "A change on the coordinator could not reach the copies on the workers.",
        "Use NO ACTION or RESTRICT, or make the other a reference table too.",
        "EnsureSupportedFKeyBetweenCitusLocalAndRefTable",
    ),
    Rule(
        "foreign-key-target",
        "error",
        "A foreign key references columns that are no key any more once the primary key is rewritten.",
        "PostgreSQL wants a primary key or a unique constraint of exactly these columns.",
        "Name a `primaryKey` of the distribution column and the referenced columns, and no others.",
        "keys.restore_foreign_keys",
    ),
    Rule(
        "foreign-key-partition",
        "error",
        "A partition has a foreign key of its own, or is referenced by one, that cannot hold while its table is sharded.",
        "Foreign keys of tables are set aside and rewritten; those of single partitions stay as they are.",
        "Tie the partitioned tables instead of single partitions.",
        f"{_FOREIGN}, keys.set_foreign_keys_aside",
    ),
    # --- later files ---------------------------------------------------------------------------------------------------
    Rule(
        "later-alter",
        "error",
        "A file that is not applied yet alters a sharded table in a way that Citus does not carry to the shards, such as SET "
        "STATISTICS, SET STORAGE, CLUSTER ON, INHERIT or ALTER CONSTRAINT.",
        "Citus repeats a list of subcommands on every shard, and refuses the others.",
        "As the finding says: another statement, or none.",
        "ErrorIfUnsupportedAlterTableStmt",
    ),
    Rule(
        "later-distribution-column",
        "error",
        "A file that is not applied yet changes the type of a sharded table's distribution column, drops it, gives it a "
        "default, lets it be NULL, or gives rows another value of it.",
        "The column's value decides on which shard a row lies.",
        "For the type: bring the table back with `undistribute: true`, and shard it again together with the file. For rows: "
        "insert them with the new value, and delete the old ones.",
        "AlterInvolvesPartitionColumn, TargetlistAndFunctionsSupported",
    ),
    Rule(
        "later-identity",
        "error",
        "A file that is not applied yet adds an identity column to a sharded table.",
        "Citus makes identity columns with the table only.",
        "Add the column as bigserial: its rows are numbered, and new ones too.",
        "ErrorIfUnsupportedAlterTableStmt",
    ),
    Rule(
        "later-number",
        "error",
        "A file that is not applied yet adds a serial column to a sharded table without a primary key, or changes the type of a "
        "column that a sequence or an identity fills.",
        "Rows are numbered by their primary key; and the sequence is on every node, with the type of the column.",
        "Add a primary key before, or set the default without numbering the rows that are there; drop the sequence before the "
        "type is changed, and make another.",
        "ErrorIfUnsupportedAlterTableStmt",
    ),
    Rule(
        "later-sequence",
        "error",
        "A file that is not applied yet alters a sequence that fills a column of a sharded table.",
        "Every node has it, with numbers of its own.",
        "`select setval(…)`, or another sequence as the default.",
        "PreprocessAlterSequenceStmt",
    ),
    Rule(
        "later-tablespace",
        "error",
        "A file that is not applied yet names a tablespace for an index of a sharded table.",
        "Workers need not have it.",
        "Remove it.",
        "ErrorIfUnsupportedIndexStmt, ErrorIfUnsupportedAlterIndexStmt",
    ),
    Rule(
        "later-grant",
        "error",
        "A file that is not applied yet grants rights on single columns of a sharded table, or takes them away.",
        "Citus carries rights on whole tables to the workers.",
        "Grant on the table, or on a view of these columns.",
        "PreprocessGrantStmt",
    ),
    Rule(
        "later-rows",
        "error",
        "A file that is not applied yet changes rows of a sharded table by a function that gives another result at each call, or "
        "tells them apart by ctid, in a statement that cannot be said in another way: with WITH, RETURNING, several columns at "
        "once, DEFAULT, or without a primary key.",
        "Each shard, and each copy of it, would get other values. Where there is a primary key, a plain UPDATE or DELETE is "
        "computed once, before.",
        "Compute the values in a materialized WITH, and update from it.",
        "TargetlistAndFunctionsSupported",
    ),
    Rule(
        "later-join",
        "error",
        "A file that is not applied yet changes rows by a subquery that looks, row by row, into a table that does not lie where "
        "the rows are; or a reference table by a local one; or merges into a sharded table what Citus does not merge.",
        "Each shard, and each copy, is changed by what its node has.",
        "Write UPDATE … FROM; for a reference table, INSERT … SELECT … ON CONFLICT DO UPDATE; for MERGE, INSERT and UPDATE.",
        "MultiShardUpdateDeleteSupported, ErrorIfMergeNotSupported",
    ),
    Rule(
        "later-values",
        "error",
        "A file that is not applied yet inserts several rows of VALUES with a subquery into a sharded table.",
        "Citus computes rows of VALUES one by one, without looking into tables.",
        "Use INSERT … SELECT.",
        "ModifyPartialQuerySupported",
    ),
    # --- what works but hurts ------------------------------------------------------------------------------------------
    Rule(
        "name-cut",
        "warning",
        "A name in the settings is longer than the 63 bytes that PostgreSQL keeps.",
        "PostgreSQL cuts it without asking, here as in SQL.",
        "Write the name as PostgreSQL keeps it.",
        "truncate_identifier",
    ),
    Rule(
        "partition-named",
        "warning",
        "`citus:tables` names a partition beside its table.",
        "It is sharded with its table; its own entry does nothing.",
        "Take the partition out of the settings.",
        "CreateCitusTable",
    ),
    Rule(
        "no-primary-key",
        "warning",
        "`primaryKey` is set for a table that has none.",
        "There is no key to rewrite, so the setting does nothing.",
        "Remove the setting, or declare the key in the SQL file.",
        "keys.rewritten_primary_key",
    ),
    Rule(
        "included-column",
        "warning",
        "A unique index or constraint has the distribution column in INCLUDE only.",
        "Citus accepts it, but two rows of different distribution columns can then share a value.",
        "Make the distribution column part of the key itself.",
        "ErrorIfUnsupportedConstraint",
    ),
    Rule(
        "unguarded-key",
        "warning",
        "A primary key of generated numbers gets the distribution column in front.",
        "The numbers of the sequence stay unique, but one that is written by hand is checked only against rows of the "
        "same distribution column.",
        "Let the sequence give every number; name `primaryKey` in the settings to say that this is meant.",
        "keys.rewritten_primary_key",
    ),
    Rule(
        "nullable-column",
        "warning",
        "The distribution column may be NULL.",
        "No worker owns such a row: inserting it fails, and rows without a value stop the table from being distributed.",
        "Declare the column NOT NULL.",
        "tables.ensure_distributed",
    ),
    Rule(
        "few-values",
        "warning",
        "The distribution column is a boolean or an enum.",
        "There are at most as many shards with rows as values; the other workers stay idle.",
        "Distribute by a column of many values.",
        "CreateHashDistributedTableShards",
    ),
    Rule(
        "left-local",
        "warning",
        "A table has the distribution column of others, but stays on the coordinator.",
        "Every join of it with them sends its rows to the workers.",
        "Distribute it by that column, colocated with them.",
        "CreateDistributedPlan",
    ),
    Rule(
        "separate-groups",
        "warning",
        "Tables are distributed by columns of one name and type, but not colocated.",
        "A join on that column moves rows between workers.",
        "Add `colocateWith`.",
        "ColocationIdForNewTable",
    ),
    Rule(
        "foreign-key-from-local",
        "error",
        "A local table references a distributed one.",
        "Citus would let it be, and check new rows of the local table; but a row that is deleted or changed on a worker "
        "would leave those that reference it behind, unnoticed. A key that holds no longer is refused.",
        "Distribute the local table too, colocated.",
        "ErrorIfUnsupportedForeignConstraintExists, which looks at tables that Citus manages alone",
    ),
    Rule(
        "foreign-key-reference-to-local",
        "warning",
        "A reference table references a local one.",
        "It is checked on the coordinator alone, so every write to the reference table goes through there, and joins of "
        "the two run there.",
        "Make the other a reference table too.",
        "EnsureSupportedFKeyBetweenCitusLocalAndRefTable",
    ),
    Rule(
        "match-full",
        "warning",
        "A foreign key of MATCH FULL gets the distribution column in front.",
        "MATCH FULL wants all columns NULL or none, and the distribution column never is: the others may not be NULL any "
        "more.",
        "Declare it without MATCH FULL.",
        "keys.rewritten_foreign_key",
    ),
)


RULES: Final = {rule.slug: rule for rule in _RULES}
