"""Files that come to a cluster whose tables are sharded already: what Citus would refuse of them, found beforehand. Pure.

A file that was applied is not judged: what it made is known from the cluster. What Citus refuses in one form and takes in
another is rewriting.py's; here is what is left. `make` of plan.py asks, where there is a cluster to ask about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import postgast

from components.names import ColumnName, TableName
from components.plan.findings import found
from components.schema.parse_tree import SERIALS, action_of, constraint_kind, constraints_of, nodes
from components.schema.parser import FileReader
from components.schema.relations import Relations
from components.schema.rewriting import computed_first, default_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from components.database.live import LiveCluster
    from components.plan.findings import Finding
    from components.schema.relations import SqlFile, Table
    from components.schema.rewriting import LiveKind

__all__ = ["Standing", "check_later"]


@dataclass(frozen=True)
class Standing:
    """What stands in a cluster that is up: the files that were applied there, and the tables that are sharded."""

    files: Collection[str]
    """Names of the files that were applied."""
    tables: Mapping[TableName, tuple[str, str | None]]
    """Kind (`distributed`, `reference`; any other is local) and distribution column of its tables."""

    @classmethod
    def of(cls, live: LiveCluster) -> Standing:
        """Return what a preview has seen of the running cluster."""
        return cls(
            frozenset(live.scripts), {name: (it.kind, it.distribution_column) for name, it in live.tables.items()}
        )


def check_later(
    files: Iterable[SqlFile], standing: Standing, declared: Collection[TableName] = ()
) -> Iterator[Finding]:
    """Yield what Citus would refuse of the files that are not applied yet.

    `declared` are the tables that the settings shard: until then, a new one is kept out of Citus's metadata.
    """
    files = list(files)
    if all(file.name in standing.files for file in files):
        return
    known = _Preview(standing, declared)
    for file in sorted(files, key=lambda it: it.name not in standing.files):
        reader = FileReader(known.relations, file, [])
        known.reader = reader
        judged = file.name not in standing.files
        if judged:
            known.relations.follow()
        for raw in postgast.parse(file.text).stmts:
            kind = raw.stmt.WhichOneof("node")
            if kind is None:
                continue
            statement = getattr(raw.stmt, kind)
            if judged:
                for refusal in refusals(kind, statement, known):
                    at = file.position(raw.stmt_location)
                    yield found(refusal.rule, refusal.table, refusal.message, refusal.remedy, at=at)
            known.learn(kind, statement)
            reader.read(kind, statement, raw.stmt_location)
            known.managed = None


# --- what a preview knows --------------------------------------------------------------------------------------------------


class _Followed(Relations):
    """Relations that tell where a table goes and comes from, so that its kind follows it."""

    def __init__(self, kinds: dict[TableName, tuple[str, str | None]]) -> None:
        super().__init__()
        self.kinds = kinds
        self.follows = False

    def follow(self) -> None:
        """Begin to follow: what was applied before this is in the kinds already, but for partitions that go unnamed."""
        for table in [] if self.follows else list(self.tables):
            for partition in self.children(table) if table in self.kinds else ():
                if partition.partition:
                    self.kinds.setdefault(partition.name, self.kinds[table])
        self.follows = True

    def put(self, table: Table) -> None:
        """Add the table; a new partition of a sharded table is sharded with it."""
        if self.follows and table.partition and table.parent in self.kinds:
            self.kinds[table.name] = self.kinds[table.parent]
        super().put(table)

    def drop(self, name: TableName, *, cascade: bool = False) -> None:
        """Remove a table, and what was known of it."""
        super().drop(name, cascade=cascade)
        if self.follows and name not in self.tables:
            self.kinds.pop(name, None)

    def move(self, table: Table, name: TableName) -> None:
        """Give the table another name; it stays what it is."""
        super().move(table, name)
        if self.follows and table.name in self.kinds:
            self.kinds[name] = self.kinds.pop(table.name)

    def rename_column(self, table: Table, old: str, new: str) -> None:
        """Give a column another name; the distribution column stays the same one."""
        super().rename_column(table, old, new)
        kind, column = self.kinds.get(table.name, ("local", None))
        if self.follows and column == old:
            self.kinds[table.name] = (kind, new)


class _Preview:
    """`Known` from the files, with the kinds that the cluster has."""

    def __init__(self, standing: Standing, declared: Collection[TableName]) -> None:
        self.relations = _Followed({name: how for name, how in standing.tables.items() if how[0] != "local"})
        self.reader: FileReader
        self._declared = declared
        self.managed: set[TableName] | None = None
        """Local tables that Citus has in its metadata; None where that is to be found out again."""
        self.volatile: set[str] = set()
        """Functions that the files create without saying that their result stays the same."""
        self.indexes: dict[TableName, TableName] = {}
        self.owned: dict[tuple[TableName, str], TableName] = {}
        """Sequences that a serial column has still, though it takes no default of them any more."""
        self.dropped: set[TableName] = set()
        """Sequences."""

    def learn(self, kind: str, statement: Any) -> None:
        """Remember of a statement what the relations do not keep."""
        if kind == "create_function_stmt":
            said = {it.def_elem.arg.string.sval for it in statement.options if it.def_elem.defname == "volatility"}
            (self.volatile.add if said <= {"volatile"} else self.volatile.discard)(statement.funcname[-1].string.sval)
        elif kind == "index_stmt" and statement.idxname:
            table = self.name(statement.relation)
            self.indexes[TableName(table.schema, statement.idxname)] = table
        elif kind == "drop_stmt" and postgast.pg_query_pb2.ObjectType.Name(statement.remove_type) == "OBJECT_SEQUENCE":
            names = [[part.string.sval for part in node.list.items] for node in statement.objects]
            self.dropped |= {TableName(([self.reader.search_path, *name])[-2], name[-1]) for name in names}
        elif kind == "alter_table_stmt":
            table = self.name(statement.relation)
            columns = self.relations.tables[table].columns if table in self.relations.tables else None
            for node in statement.cmds:
                command = node.alter_table_cmd
                sequence = columns[command.name].sequence if columns and command.name in columns else None
                own = TableName(table.schema, default_name(table.name, command.name, "seq"))
                if action_of(command) == "ColumnDefault" and sequence == own:
                    self.owned[table, command.name] = own

    def name(self, relation: Any) -> TableName:
        return TableName(relation.schemaname or self.reader.search_path, relation.relname)

    def kind(self, table: TableName) -> LiveKind:
        kind, _ = self.relations.kinds.get(table, ("local", None))
        if kind in ("distributed", "reference"):
            return "distributed" if kind == "distributed" else "reference"
        if self.managed is None:
            self.managed = self._managed()
        return "managed" if table in self.managed else "local"

    def distribution_column(self, table: TableName) -> str | None:
        return self.relations.kinds.get(table, ("local", None))[1]

    def columns(self, table: TableName) -> Sequence[str] | None:
        known = self.relations.tables.get(table)
        return tuple(known.columns) if known and known.columns is not None else None

    def primary_key(self, table: TableName) -> Sequence[str] | None:
        known = self.relations.tables.get(table)
        while known is not None and known.primary_key is None and known.partition and known.parent:
            known = self.relations.tables.get(known.parent)
        return known.primary_key.columns if known and known.primary_key else None

    def is_pending(self, table: TableName) -> bool:
        return table in self._declared and self.kind(table) == "local"

    def constraint(self, table: TableName, name: str) -> tuple[str, str, str | None]:
        return "", "", None

    def free_name(self, table: TableName, columns: str, suffix: str) -> str:
        return default_name(table.name, columns, suffix)

    def index_table(self, index: TableName) -> TableName | None:
        """Return the table of an index, as far as the files name it."""
        return self.indexes.get(index)

    def _managed(self) -> set[TableName]:
        """Return the local tables that foreign keys tie to a reference table, by others too, so that Citus has them."""
        kinds = self.relations.kinds
        ends = [(table.name, fk.parent) for table in self.relations.tables.values() for fk in table.foreign_keys]
        local = {name for name in self.relations.tables if name not in kinds and name not in self._declared}
        managed: set[TableName] = set()
        while True:
            tied = managed | {name for name, (kind, _) in kinds.items() if kind == "reference"}
            new = {
                one
                for a, b in ends
                for one, other in ((a, b), (b, a))
                if one in local and one not in managed and other in tied
            }
            if not new:
                return managed | {
                    child.name for name in managed for child in self.relations.children(name) if child.partition
                }
            managed |= new


# --- what Citus refuses ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Refusal:
    """One thing that Citus would not do, with what does it."""

    rule: str
    table: TableName
    message: str
    remedy: str


def refusals(kind: str, statement: Any, known: _Preview) -> Iterator[Refusal]:
    """Yield what Citus would refuse of a statement, in whatever form rewriting.py gives it."""
    judge = _JUDGES.get(kind)
    if judge is not None:
        yield from judge(statement, known)


_KINDS: Final = {"distributed": "distributed", "reference": "a reference table", "managed": "in Citus's metadata"}


_UNSUPPORTED: Final = {
    "SetStatistics": (
        "SET STATISTICS",
        "remove it; `alter database … set default_statistics_target` holds for all columns",
    ),
    "SetStorage": ("SET STORAGE", "remove it, or let SET COMPRESSION do"),
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
    "SetTableSpace": ("SET TABLESPACE", "remove it: shards lie where each worker's database does"),
    "AddInherit": ("INHERIT", "remove it, or make a partition of it"),
    "DropInherit": ("NO INHERIT", "remove it"),
    "AddOf": ("OF", "remove it"),
    "DropOf": ("NOT OF", "remove it"),
    "AlterConstraint": ("ALTER CONSTRAINT", "drop the constraint and add it as it is to be, in two statements"),
    "EnableRule": ("ENABLE RULE", "drop the rule, or create it again"),
    "DisableRule": ("DISABLE RULE", "drop the rule"),
    "EnableAlwaysRule": ("ENABLE ALWAYS RULE", "remove it"),
    "EnableReplicaRule": ("ENABLE REPLICA RULE", "remove it"),
    "DetachPartitionFinalize": ("DETACH PARTITION … FINALIZE", "remove it"),
}
"""Subcommands of ALTER TABLE that Citus has no way to carry to the shards, and what to do instead."""


_TRIGGERS: Final = frozenset(
    {"EnableTrig", "EnableAlwaysTrig", "EnableReplicaTrig", "EnableTrigUser", "EnableTrigAll"}
    | {"DisableTrig", "DisableTrigUser", "DisableTrigAll"}
)


def _alter_table(statement: Any, known: _Preview) -> Iterator[Refusal]:
    objects = postgast.pg_query_pb2.ObjectType.Name(statement.objtype)
    if objects == "OBJECT_INDEX":
        yield from _alter_index(statement, known)
    elif objects == "OBJECT_TABLE" and known.kind(known.name(statement.relation)) != "local":
        for node in statement.cmds:
            yield from _alter(known.name(statement.relation), node.alter_table_cmd, known)


def _alter(table: TableName, command: Any, known: _Preview) -> Iterator[Refusal]:
    action, kind = action_of(command), known.kind(table)
    if action in _UNSUPPORTED:
        what, remedy = _UNSUPPORTED[action]
        message = f"{table} is {_KINDS[kind]}, and Citus does not carry {what} to its shards"
        yield Refusal("later-alter", table, message, remedy)
    elif action in _TRIGGERS and kind != "managed":
        yield Refusal(
            "later-alter", table, f"{table} is {_KINDS[kind]}, and Citus knows no triggers there", "remove it"
        )
    elif command.name and command.name == known.distribution_column(table):
        yield from _alter_distribution_column(table, command.name, action)
    elif action == "AddColumn":
        yield from _add_column(table, command, known)
    elif action == "AlterColumnType":
        yield from _alter_type(table, command.name, known)


def _alter_distribution_column(table: TableName, name: str, action: str) -> Iterator[Refusal]:
    column = ColumnName(name)
    again = (
        f"bring the table back first, with all that are colocated with it (citus:tables.{table}: {{undistribute: true}}, "
        f"then up), and let this file come with the settings that shard it again"
    )
    said = {
        "AlterColumnType": "its type decides on which shard a row lies",
        "DropColumn": "it decides on which shard a row lies",
        "DropNotNull": "a row without it would lie nowhere",
        "ColumnDefault": "Citus takes its value from the statement, before there is a default",
    }
    if action in said:
        message = f"{table} is distributed by {column}: {said[action]}"
        yield Refusal("later-distribution-column", table, message, again if "Column" in action[:11] else "remove it")


def _add_column(table: TableName, command: Any, known: _Preview) -> Iterator[Refusal]:
    column = getattr(command, "def").column_def
    if command.missing_ok and column.colname in (known.columns(table) or ()):
        return
    name = ColumnName(column.colname)
    constraints = [it for it, _ in constraints_of(column.constraints)]
    serial = len(column.type_name.names) == 1 and column.type_name.names[0].string.sval in SERIALS
    if any(constraint_kind(it) == "CONSTR_IDENTITY" for it in constraints):
        message = f"{table} is {_KINDS[known.kind(table)]}, and Citus adds no identity column to it"
        yield Refusal("later-identity", table, message, f"alter table {table} add column {name} bigserial")
    elif serial and not known.primary_key(table):
        message = (
            f"{table} is {_KINDS[known.kind(table)]} and has no primary key by which its rows could each be given a number of "
            f"a sequence"
        )
        remedy = f"add a primary key first; or add the column {name} without the sequence, then set its default: new rows have it"
        yield Refusal("later-number", table, message, remedy)


def _alter_type(table: TableName, name: str, known: _Preview) -> Iterator[Refusal]:
    relation = known.relations.tables.get(table)
    column = relation.columns.get(name) if relation and relation.columns else None
    sequence = (column.sequence if column else None) or known.owned.get((table, name))
    if column is None or not (column.identity or (sequence and sequence not in known.dropped)):
        return
    what = "an identity" if column.identity else "a sequence"
    message = f"{table} is {_KINDS[known.kind(table)]}, and Citus changes no type of a column that {what} fills"
    remedy = (
        "keep the type"
        if column.identity
        else f"before it: drop sequence {sequence} cascade; after it: another sequence, and nextval('…') of it as the default"
    )
    yield Refusal("later-number", table, message, remedy)


def _alter_index(statement: Any, known: _Preview) -> Iterator[Refusal]:
    for node in statement.cmds:
        if action_of(node.alter_table_cmd) == "SetTableSpace":
            table = known.index_table(known.name(statement.relation))
            if table is not None and known.kind(table) != "local":
                message = f"an index of {table}, which is {_KINDS[known.kind(table)]}, has no tablespace of its own"
                yield Refusal("later-tablespace", table, message, "remove it")


def _index(statement: Any, known: _Preview) -> Iterator[Refusal]:
    table = known.name(statement.relation)
    if statement.table_space and known.kind(table) != "local":
        message = f"an index of {table}, which is {_KINDS[known.kind(table)]}, has no tablespace of its own"
        yield Refusal("later-tablespace", table, message, "remove TABLESPACE")


def _grant(statement: Any, known: _Preview) -> Iterator[Refusal]:
    if not any(node.access_priv.cols for node in statement.privileges):
        return
    for node in statement.objects:
        if node.HasField("range_var") and known.kind(known.name(node.range_var)) != "local":
            table = known.name(node.range_var)
            message = f"{table} is {_KINDS[known.kind(table)]}, and Citus knows no rights on single columns there"
            yield Refusal("later-grant", table, message, "grant on the whole table, or on a view of these columns")


def _alter_sequence(statement: Any, known: _Preview) -> Iterator[Refusal]:
    sequence = known.name(statement.sequence)
    for table in known.relations.tables.values():
        for column in (table.columns or {}).values():
            own = TableName(table.name.schema, default_name(table.name.name, column.name, "seq"))
            filled = column.sequence == sequence or (column.identity and own == sequence)
            if filled and known.kind(table.name) != "local":
                message = f"the sequence {sequence} fills {table.name}.{ColumnName(column.name)}, and every node has it"
                remedy = f"select setval('{sequence}', …) moves it; else a sequence of another name, set as the default"
                yield Refusal("later-sequence", table.name, message, remedy)
                return


# --- rows ----------------------------------------------------------------------------------------------------------------

_VOLATILE: Final = frozenset(
    {"random", "clock_timestamp", "timeofday", "gen_random_uuid", "nextval", "setval", "currval", "lastval", "pg_sleep"}
    | {"uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4", "gen_salt", "gen_random_bytes", "setseed"}
)
"""Functions of PostgreSQL and its own extensions that are volatile however they are called."""


def _calls(tree: Any, names: Collection[str]) -> bool:
    return any(call.funcname[-1].string.sval in names for call in nodes(tree, "func_call"))


def _update(statement: Any, known: _Preview) -> Iterator[Refusal]:
    table = known.name(statement.relation)
    column = known.distribution_column(table)
    if column is not None and any(_moves(node.res_target, column, statement) for node in statement.target_list):
        message = f"{table} is distributed by {ColumnName(column)}: a row with another value would lie on another shard"
        remedy = "insert the rows with the new value, and delete the old ones"
        yield Refusal("later-distribution-column", table, message, remedy)
    yield from _volatile("update_stmt", statement, known)
    yield from _of_one_shard(statement, known)
    yield from _looked_up(statement, statement.from_clause, known)
    for node in statement.target_list:
        relation = known.relations.tables.get(table)
        to = relation.columns.get(node.res_target.name) if relation and relation.columns else None
        filled = to is not None and (to.identity or to.sequence is not None)
        if filled and node.res_target.val.HasField("set_to_default") and known.kind(table) != "local":
            message = f"{table} is {_KINDS[known.kind(table)]}, and DEFAULT of {node.res_target.name} is of a sequence"
            yield Refusal("later-rows", table, message, "set it to nextval('…') of the sequence")


def _moves(target: Any, column: str, statement: Any) -> bool:
    """Tell whether a SET gives the distribution column another value; one that a condition fixes is the same."""
    if target.name != column or statement.from_clause:
        return False
    value = target.val
    if value.HasField("column_ref") and value.column_ref.fields[-1].string.sval == column:
        return False
    return not any(
        {str(_bare(expression.lexpr)), str(_bare(expression.rexpr))} == {str(_bare(value)), side}
        for expression in nodes(statement.where_clause, "a_expr")
        if expression.name and expression.name[-1].string.sval == "="
        for side in (str(_bare(expression.lexpr)), str(_bare(expression.rexpr)))
        if f'sval: "{column}"' in side
    )


def _bare(node: Any) -> Any:
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


def _delete(statement: Any, known: _Preview) -> Iterator[Refusal]:
    yield from _volatile("delete_stmt", statement, known)
    yield from _of_one_shard(statement, known)
    yield from _looked_up(statement, statement.using_clause, known)


def _of_one_shard(statement: Any, known: _Preview) -> Iterator[Refusal]:
    """Find rows that are told apart by ctid in a subquery: two rows on two shards may have the same."""
    table = known.name(statement.relation)
    columns = nodes(statement.where_clause, "column_ref")
    subquery = any(True for _ in nodes(statement, "sub_link"))
    if known.kind(table) == "distributed" and subquery and any(it.fields[-1].string.sval == "ctid" for it in columns):
        message = f"{table} is distributed, and ctid tells rows apart within one shard alone"
        yield Refusal("later-rows", table, message, "tell them apart by the primary key")


def _looked_up(statement: Any, others: Iterable[Any], known: _Preview) -> Iterator[Refusal]:
    """Find a table that rows are looked up in one by one, though it does not lie where they are."""
    table = known.name(statement.relation)
    kind, row = known.kind(table), statement.relation.alias.aliasname or statement.relation.relname
    read = [node.range_var for node in others if node.HasField("range_var")] + [
        *nodes(statement.with_clause, "range_var")
    ]
    direct = {known.name(it) for it in read} & known.relations.tables.keys() if kind == "reference" else set()
    apart = {it for it in direct if known.kind(it) == "local"}
    for link in nodes(statement, "sub_link"):
        names = {known.name(it) for it in nodes(link, "range_var")} & known.relations.tables.keys()
        columns = [tuple(part.string.sval for part in it.fields) for it in nodes(link, "column_ref")]
        how = postgast.pg_query_pb2.SubLinkType.Name(link.sub_link_type)
        if any(len(it) > 1 and it[0] == row for it in columns):
            if (kind, how) == ("reference", "EXISTS_SUBLINK"):  # a join on the distribution column, as Citus takes it
                names = {it for it in names if known.distribution_column(it) not in {column[-1] for column in columns}}
            beside = _WITH[kind]
        elif how == "ANY_SUBLINK":
            continue  # computed before
        else:
            beside = _WITH[kind] | _BEFORE[kind]
        apart |= {it for it in names if known.kind(it) not in beside}
    for other in sorted(apart)[:1]:
        message = (
            f"{table} is {_KINDS.get(kind, 'local')}, and {other}, which is {_KINDS.get(known.kind(other), 'local')}, "
        )
        yield Refusal("later-join", table, f"{message}does not lie with its rows", _JOIN[kind])


_WITH: Final[dict[str, set[str]]] = {
    "distributed": {"distributed", "reference"},
    "reference": {"reference", "managed"},
    "managed": {"managed", "local", "reference"},
    "local": {"managed", "local"},
}
"""Tables that rows of each kind can be looked up in, one by one."""


_BEFORE: Final[dict[str, set[str]]] = {
    "distributed": {"managed", "local"},
    "reference": {"distributed"},
    "managed": {"distributed"},
    "local": {"distributed"},
}
"""Tables that a subquery may look into which does not depend on the row, so that it is computed before."""


_JOIN: Final = {
    "distributed": "update … set … from that table where …; delete … using …",
    "reference": "insert … select … from both … on conflict (…) do update; or make a reference table of the other",
    "managed": "update … set … from that table where …; delete … using …",
    "local": "update … set … from that table where …; delete … using …",
}


def _volatile(kind: str, statement: Any, known: _Preview) -> Iterator[Refusal]:
    table = known.name(statement.relation)
    parts = [node.res_target.val for node in getattr(statement, "target_list", ())] + [statement.where_clause]
    if known.kind(table) == "local" or not any(_calls(part, _VOLATILE | known.volatile) for part in parts):
        return
    if computed_first(kind, statement, known) is None:
        message = f"{table} is {_KINDS[known.kind(table)]}, and a function in here gives another result on every shard"
        remedy = (
            "compute it once, in a WITH … AS MATERIALIZED of the table's key and the value, and join that by the key"
        )
        yield Refusal("later-rows", table, message, remedy)


def _insert(statement: Any, known: _Preview) -> Iterator[Refusal]:
    table = known.name(statement.relation)
    column = known.distribution_column(table)
    if known.kind(table) == "local":
        return
    targets = [node.res_target for node in statement.on_conflict_clause.target_list]
    if column is not None and any(target.name == column for target in targets):
        message = f"{table} is distributed by {ColumnName(column)}: a row with another value would lie on another shard"
        yield Refusal("later-distribution-column", table, message, "leave it out of DO UPDATE SET")
    if any(_calls(target.val, _VOLATILE | known.volatile) for target in targets):
        message = f"{table} is {_KINDS[known.kind(table)]}, and a function in DO UPDATE SET gives another result on every shard"
        yield Refusal("later-rows", table, message, "insert the value, and set it to excluded.…")
    rows = statement.select_stmt.select_stmt.values_lists
    if len(rows) > 1 and any(True for row in rows for _ in nodes(row, "sub_link")):
        message = f"{table} is {_KINDS[known.kind(table)]}, and Citus takes no subquery within VALUES of several rows"
        yield Refusal("later-values", table, message, "insert … select …, a statement for each row or with union all")


def _merge(statement: Any, known: _Preview) -> Iterator[Refusal]:
    table = known.name(statement.relation)
    kind = known.kind(table)
    source = statement.source_relation
    other = known.name(source.range_var) if source.HasField("range_var") else None
    if kind == "reference":
        message = f"{table} is a reference table, into which Citus does not MERGE"
    elif kind == "distributed" and (other is None or known.kind(other) not in ("distributed", "reference")):
        message = f"{table} is distributed, and Citus merges rows of distributed tables alone into it"
    else:
        return
    yield Refusal("later-join", table, message, "insert … on conflict do update, or an UPDATE and an INSERT")


_JUDGES: Final = {
    "alter_table_stmt": _alter_table,
    "alter_seq_stmt": _alter_sequence,
    "index_stmt": _index,
    "grant_stmt": _grant,
    "update_stmt": _update,
    "delete_stmt": _delete,
    "insert_stmt": _insert,
    "merge_stmt": _merge,
}
