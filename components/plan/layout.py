"""The placement of each table (distributed, reference or local) as declared, without validation. Pure."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from components.keys import PrimaryKey, rewritten_primary_key
from components.schema.relations import is_derived
from components.tables import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from components.names import TableName
    from components.schema.relations import Column, ForeignKey, Key, Relations, Table
    from components.settings import TableSettings

__all__ = ["Layout"]


class Layout:
    """The schema's tables with the settings that apply to each. A partition is placed as its partitioned table is."""

    def __init__(
        self,
        schema: Relations,
        settings: Mapping[TableName, TableSettings],
        *,
        schemas: Collection[str] = (),
        unsafe_triggers: bool = False,
        citus: tuple[int, int] | None = None,
    ) -> None:
        self.schema = schema
        self.settings = settings
        self.schemas = schemas
        """Schemas that are distributed as a whole."""
        self.unsafe_triggers = unsafe_triggers
        """Whether sharded tables may have triggers."""
        self.citus = citus
        """Release of Citus, such as (13, 2); None where it is not known."""

    def root(self, name: TableName) -> TableName:
        """Return the partitioned table that a table is a partition of, through others too; else the table itself."""
        passed: set[TableName] = set()
        table = self.schema.tables.get(name)
        while table is not None and table.partition and table.parent is not None and name not in passed:
            passed.add(name)
            name = table.parent
            table = self.schema.tables.get(name)
        return name

    def _settings(self, name: TableName) -> TableSettings | None:
        return self.settings.get(self.root(name))

    def kind(self, name: TableName) -> Kind:
        """Return the kind that the settings declare."""
        settings = self._settings(name)
        if settings is None:
            return Kind.SINGLE_SHARD if name.schema in self.schemas else Kind.LOCAL
        return Kind.REFERENCE if settings.reference else Kind.DISTRIBUTED

    @cached_property
    def single_shard(self) -> dict[TableName, None]:
        """The tables of distributed schemas, without partitions, in the order in which Citus takes those of a schema."""
        found = (it.name for it in self.schema.tables.values() if not it.partition and it.persistence != "t")
        return dict.fromkeys(sorted(name for name in found if self.kind(name) == Kind.SINGLE_SHARD))

    def distribution_column_name(self, name: TableName) -> str:
        """Return the distribution column's name; empty where there is none."""
        settings = self._settings(name)
        return settings.distribute_by.name if settings and settings.distribute_by else ""

    def distribution_column(self, name: TableName) -> Column | None:
        """Return the distribution column; None where the files do not tell its definition."""
        table = self.schema.tables.get(self.root(name))
        return table.columns.get(self.distribution_column_name(name)) if table and table.columns else None

    def colocation_chain(self, name: TableName) -> list[TableName]:
        """Return the table, the one that it is colocated with, and so on, each once."""
        chain: list[TableName] = []
        target: TableName | None = self.root(name)
        while target is not None and target not in chain:
            chain.append(target)
            settings = self.settings.get(target)
            target = settings.colocate_with if settings else None
        return chain

    def colocation_root(self, name: TableName) -> TableName:
        """Return the table that starts the colocation group of this one."""
        return self.colocation_chain(name)[-1]

    def partitions(self, name: TableName) -> list[Table]:
        """Return the table's partitions, those of partitions too."""
        return [child for child in self.schema.children(name) if child.partition]

    def primary_key(self, name: TableName) -> tuple[str, ...] | None:
        """Return the columns of the primary key that the table has in the end, its partitioned table's where it has none."""
        table, root = self.schema.tables.get(name), self.schema.tables.get(self.root(name))
        key = (table.primary_key if table else None) or (root.primary_key if root else None)
        if table is None or key is None:
            return None
        settings = self._settings(name)
        if self.kind(name) != Kind.DISTRIBUTED or settings is None:
            return key.columns
        if root is not None and key not in root.keys and not self.is_derived(table, key):
            return key.columns
        return new_key(key.columns, self.distribution_column_name(name), settings)

    def is_derived(self, partition: Table, key: Key) -> bool:
        """Tell whether a partition's key comes from its partitioned table, or became part of one when it was attached."""
        if not partition.partition:
            return False
        parents = [self.schema.tables[parent] for parent in partition.parents if parent in self.schema.tables]
        return any(is_derived(key, of, partition.keys) for parent in parents for of in parent.keys)

    def referenced_columns(self, fk: ForeignKey) -> tuple[str, ...]:
        """Return the columns that a foreign key references, as the files declare them."""
        for name in (fk.parent, self.root(fk.parent)):
            table = self.schema.tables.get(name)
            if not fk.referenced and table is not None and table.primary_key is not None:
                return table.primary_key.columns
        return fk.referenced

    @cached_property
    def foreign_keys(self) -> tuple[tuple[Table, ForeignKey], ...]:
        """Each foreign key between two tables that the files create, with the table that has it.

        Those of a partition that its partitioned table has too became one with them.
        """
        return tuple((table, fk) for table in self.schema.tables.values() for fk in self._own_foreign_keys(table))

    def _own_foreign_keys(self, table: Table) -> Iterator[ForeignKey]:
        parent = self.schema.tables.get(table.parent) if table.partition and table.parent else None
        inherited = {self._meaning(fk) for fk in parent.foreign_keys} if parent else set()
        for fk in table.foreign_keys:
            if fk.parent in self.schema.tables and self._meaning(fk) not in inherited:
                yield fk

    @cached_property
    def references(self) -> dict[TableName, set[TableName]]:
        """Of each table, those that foreign keys of it or of its partitions reference; partitions count as their table."""
        return self._grouped((table.name, fk.parent) for table, fk in self.foreign_keys)

    @cached_property
    def referrers(self) -> dict[TableName, set[TableName]]:
        """Of each table, those whose foreign keys reference it or one of its partitions."""
        return self._grouped((fk.parent, table.name) for table, fk in self.foreign_keys)

    def _grouped(self, pairs: Iterable[tuple[TableName, TableName]]) -> dict[TableName, set[TableName]]:
        grouped: dict[TableName, set[TableName]] = {}
        for one, other in pairs:
            for name in {one, self.root(one)}:
                grouped.setdefault(name, set()).add(self.root(other))
        return grouped

    @cached_property
    def names(self) -> dict[str, TableName]:
        """The tables by their names as a column's type has them: each has a row type of its name."""
        return {str(name): name for name in self.schema.tables}

    @cached_property
    def referencing(self) -> dict[TableName, list[tuple[Table, ForeignKey]]]:
        """Foreign keys by the table that they reference, each with the table that has it."""
        found: dict[TableName, list[tuple[Table, ForeignKey]]] = {}
        for table, fk in self.foreign_keys:
            found.setdefault(fk.parent, []).append((table, fk))
        return found

    @cached_property
    def groups(self) -> dict[TableName, list[TableName]]:
        """Distributed tables of the settings by the first of their colocation group."""
        found: dict[TableName, list[TableName]] = {}
        for name in self.settings:
            if self.kind(name) == Kind.DISTRIBUTED:
                found.setdefault(self.colocation_root(name), []).append(name)
        return found

    @cached_property
    def group_types(self) -> dict[TableName, set[str]]:
        """Types of the distribution columns of each colocation group, by its first table."""
        columns = {root: map(self.distribution_column, members) for root, members in self.groups.items()}
        return {root: {column.type for column in found if column} for root, found in columns.items()}

    def _meaning(self, fk: ForeignKey) -> tuple[object, ...]:
        return (fk.columns, fk.parent, self.referenced_columns(fk), fk.on_update, fk.on_delete, fk.match)

    @cached_property
    def views_on_key(self) -> dict[TableName, list[TableName]]:
        """Of each table, the views that depend on its primary key."""
        return self._views((view, other.keys) for view, other in self.schema.others.items())

    @cached_property
    def views_in_circle(self) -> dict[TableName, list[TableName]]:
        """Of each table, the views that read it by, or together with, a function of its rows."""
        return self._views((view, other.circles) for view, other in self.schema.others.items())

    @staticmethod
    def _views(pairs: Iterable[tuple[TableName, Iterable[TableName]]]) -> dict[TableName, list[TableName]]:
        found: dict[TableName, list[TableName]] = {}
        for view, tables in pairs:
            for table in tables:
                found.setdefault(table, []).append(view)
        return found

    @cached_property
    def managed(self) -> frozenset[TableName]:
        """Local tables that Citus adds to its metadata: a foreign key connects them to a reference table, through others too."""
        tied: dict[TableName, set[TableName]] = {}
        managed: set[TableName] = set()
        for table, fk in self.foreign_keys:
            ends = [self.root(table.name), self.root(fk.parent)]
            for one, other in (ends, ends[::-1]):
                if self.kind(one) == Kind.LOCAL:
                    tied.setdefault(one, set()).update({other} if self.kind(other) == Kind.LOCAL else ())
                    managed |= {one} if self.kind(other) == Kind.REFERENCE else set()
        waiting = list(managed)
        while waiting:
            new = tied.get(waiting.pop(), set()) - managed
            managed |= new
            waiting.extend(new)
        return frozenset(managed)


def new_key(columns: tuple[str, ...], by: str, settings: TableSettings) -> tuple[str, ...]:
    """Return the columns of a primary key as they are rewritten (keys.rewritten_primary_key)."""
    wanted = tuple(column.name for column in settings.primary_key) if settings.primary_key else None
    return rewritten_primary_key(PrimaryKey("", columns), by, wanted).columns
