"""The tables of a running cluster as later files change them, statement by statement. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from components.names import TableName, default_name
from components.schema.parse_tree import action_of, object_type
from components.schema.relations import Relations
from components.tables import Distributed, Kind, Reference, SingleShard

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from components.schema.parser import FileReader
    from components.schema.relations import Column, Position, Table
    from components.tables import Sharding

__all__ = ["LaterTables"]


class _FollowedRelations(Relations):
    """Relations in which the kind of a table follows it through renames, partitions and drops."""

    def __init__(self, kinds: dict[TableName, Sharding]) -> None:
        super().__init__()
        self.kinds = kinds
        self.distributed_schemas = {name.schema for name, sharding in kinds.items() if sharding == SingleShard()}
        self.follows = False

    def follow(self) -> None:
        """Begin to follow. The kinds already include the effect of applied files, except for partitions, which have none."""
        for table in [] if self.follows else list(self.tables):
            for partition in self.children(table) if table in self.kinds else ():
                if partition.partition:
                    self.kinds.setdefault(partition.name, self.kinds[table])
        self.follows = True

    def put(self, table: Table) -> None:
        """Add the table; a partition of a sharded table, and a table of a distributed schema, is sharded with it."""
        if self.follows and table.partition and table.parent in self.kinds:
            self.kinds[table.name] = self.kinds[table.parent]
        elif self.follows and table.name.schema in self.distributed_schemas and table.persistence != "t":
            self.kinds[table.name] = SingleShard()
        super().put(table)

    def drop(self, name: TableName, *, cascade: bool = False, at: Position | None = None) -> None:
        """Remove a table and its kind."""
        super().drop(name, cascade=cascade, at=at)
        if self.follows and name not in self.tables:
            self.kinds.pop(name, None)

    def move(self, table: Table, name: TableName) -> None:
        """Rename the table; it keeps its kind."""
        super().move(table, name)
        if self.follows and table.name in self.kinds:
            kind = self.kinds.pop(table.name)
            if kind != SingleShard() or name.schema in self.distributed_schemas:
                self.kinds[name] = kind

    def rename_column(self, table: Table, old: str, new: str) -> None:
        """Rename a column; the distribution column stays the same one."""
        super().rename_column(table, old, new)
        if self.follows and self.kinds.get(table.name) == Distributed(old):
            self.kinds[table.name] = Distributed(new)


class LaterTables:
    """`Known` (schema/rewriting) from the files, with the kinds that the tables have in the cluster."""

    def __init__(
        self, sharded: dict[TableName, Sharding], declared: Collection[TableName], citus: tuple[int, int] | None = None
    ) -> None:
        self.relations = _FollowedRelations(sharded)
        self.reader: FileReader
        """Of the current file."""
        self.volatile: set[str] = set()
        """Functions that the files create, and do not declare stable or immutable."""
        self.owned: dict[tuple[TableName, str], TableName] = {}
        """Sequences that a serial column still owns, though its default no longer uses them."""
        self.dropped: set[TableName] = set()
        """Sequences."""
        self.citus = citus
        """Release of Citus; None where it is not known."""
        self._declared = declared
        self._managed: set[TableName] | None = None
        """Local tables in Citus's metadata; None while unknown."""
        self._indexes: dict[TableName, TableName] = {}

    def learn(self, kind: str, statement: Any) -> None:
        """Apply the reader's current statement to what is known."""
        if kind == "create_function_stmt":
            said = {it.def_elem.arg.string.sval for it in statement.options if it.def_elem.defname == "volatility"}
            (self.volatile.add if said <= {"volatile"} else self.volatile.discard)(statement.funcname[-1].string.sval)
        elif kind == "index_stmt" and statement.idxname:
            table = self.name(statement.relation)
            self._indexes[TableName(table.schema, statement.idxname)] = table
        elif kind == "drop_stmt" and object_type(statement.remove_type) == "OBJECT_SEQUENCE":
            self.dropped |= {self.reader.listed_name(node.list.items) for node in statement.objects}
        elif kind == "alter_table_stmt":
            table = self.name(statement.relation)
            for command in (node.alter_table_cmd for node in statement.cmds):
                column = self.column(table, command.name)
                own = TableName(table.schema, default_name(table.name, command.name, "seq"))
                if action_of(command) == "ColumnDefault" and column and column.sequence == own:
                    self.owned[table, command.name] = own
        self.reader.apply(kind, statement)
        self._managed = None

    def name(self, relation: Any) -> TableName:
        """Return the table that a RangeVar refers to."""
        return self.reader.name(relation)

    def kind(self, table: TableName) -> Kind:
        """Return its kind once the files so far have run."""
        if table in self.relations.kinds:
            return self.relations.kinds[table].kind
        if self._managed is None:
            self._managed = self._find_managed()
        return Kind.MANAGED if table in self._managed else Kind.LOCAL

    def describe(self, table: TableName) -> str:
        """Return what a table is, such as `t is distributed`."""
        return f"{table} is {self.kind(table)}"

    def distribution_column(self, table: TableName) -> str | None:
        """Return its distribution column; None where it is not distributed."""
        sharding = self.relations.kinds.get(table)
        return sharding.column if isinstance(sharding, Distributed) else None

    def column(self, table: TableName, name: str) -> Column | None:
        """Return a column; None where the files do not tell."""
        known = self.relations.tables.get(table)
        return known.columns.get(name) if known and known.columns is not None else None

    def columns(self, table: TableName) -> Sequence[str] | None:
        """Return its columns; None where the files do not tell."""
        known = self.relations.tables.get(table)
        return tuple(known.columns) if known and known.columns is not None else None

    def primary_key(self, table: TableName) -> Sequence[str] | None:
        """Return the columns of its primary key, or of its partitioned table's."""
        known = self.relations.tables.get(table)
        while known is not None and known.primary_key is None and known.partition and known.parent:
            known = self.relations.tables.get(known.parent)
        return known.primary_key.columns if known and known.primary_key else None

    def is_pending(self, table: TableName) -> bool:
        """Tell whether it is local, and sharded later in the same update."""
        return table in self._declared and self.kind(table) == Kind.LOCAL

    def constraint(self, table: TableName, name: str) -> tuple[str, str, str | None]:
        """Return nothing: no check needs a constraint's definition."""
        return "", "", None

    def free_name(self, table: TableName, columns: str, suffix: str) -> str:
        """Return the name that PostgreSQL would give, if it is free."""
        return default_name(table.name, columns, suffix)

    def index_table(self, index: TableName) -> TableName | None:
        """Return the table of an index; None where the files do not name the index."""
        return self._indexes.get(index)

    def _find_managed(self) -> set[TableName]:
        """Return the local tables that foreign keys connect to a reference table, through others too."""
        kinds = self.relations.kinds
        ends = [(table.name, fk.parent) for table in self.relations.tables.values() for fk in table.foreign_keys]
        local = {name for name in self.relations.tables if name not in kinds and name not in self._declared}
        managed: set[TableName] = set()
        while True:
            connected = managed | {name for name, sharding in kinds.items() if sharding == Reference()}
            new = {
                one
                for a, b in ends
                for one, other in ((a, b), (b, a))
                if one in local and one not in managed and other in connected
            }
            if not new:
                return managed | {
                    child.name for name in managed for child in self.relations.children(name) if child.partition
                }
            managed |= new
