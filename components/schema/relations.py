"""What SQL files can create, as data: tables with their columns and keys, types, sequences. Pure; parses nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from components.errors import Problem
from components.names import TableName
from components.schema.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from components.schema.needs import Need


__all__ = [
    "EXPRESSION",
    "Column",
    "Expression",
    "ForeignKey",
    "Key",
    "Misplaced",
    "OtherRelation",
    "Policy",
    "Position",
    "RefusedDrop",
    "Relations",
    "Routine",
    "Sequence",
    "Table",
    "Trigger",
    "UserType",
    "is_derived",
]


EXPRESSION: Final = "<expression>"
"""In a key's columns, for an expression of an index."""


@dataclass(frozen=True)
class Position:
    """A place in a SQL file, lines and columns counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def problem(self, message: str) -> Problem:
        """Return something that is wrong at this place."""
        return Problem(message, file=self.file, line=self.line, column=self.column)


@dataclass(frozen=True)
class Column:
    """A column as declared; `type` is PostgreSQL's own name for it, such as `int4`, or a type that the files create."""

    name: str
    type: str
    identity: bool
    generated: bool
    not_null: bool = False
    collation: str = ""
    """As COLLATE names it; empty for that of the type."""
    scale: int = 0
    """Of numeric (precision, scale)."""
    modifiers: str = ""
    """Of the type, as in varchar(20), with the parentheses."""
    sequence: TableName | None = None
    """The sequence of the `nextval` in its default; a serial column's own sequence too."""
    default: tuple[str, ...] | None = None
    """Functions that its default calls; None where it has no default, or NULL."""
    former: tuple[str, ...] = ()
    """Its names before it was renamed."""


@dataclass(frozen=True)
class Key:
    """A PRIMARY KEY, a UNIQUE constraint, a unique index or an EXCLUDE constraint."""

    kind: str
    columns: tuple[str, ...]
    at: Position
    name: str
    included: tuple[str, ...] = ()
    """Columns of INCLUDE, which the index stores and does not compare."""
    unequal: tuple[str, ...] = ()
    """Columns that EXCLUDE compares by another operator than =."""
    referable: bool = True
    """Whether a foreign key may reference it: not deferrable, not partial, no expression."""
    labels: tuple[str, ...] = ()
    """What stands for its columns and expressions in a name that PostgreSQL makes; empty where it has no expression."""
    timing: str = ""
    """Of a constraint: deferrable, and initially deferred."""
    source: Source | None = field(default=None, compare=False, repr=False)
    """The statement that declares it, for all that is not read here: predicate, expressions, operator classes, options."""
    comment: str | None = None
    clustered: bool = False
    """CLUSTER ON: like the next, what ALTER TABLE says of an index, and what is lost when the index is dropped."""
    replica_identity: bool = False


@dataclass(frozen=True)
class ForeignKey:
    """A reference to another table; `referenced` is empty where the other's primary key is meant.

    Actions are one letter as in pg_constraint: a none, r restrict, c cascade, n set null, d set default.
    """

    columns: tuple[str, ...]
    parent: TableName
    referenced: tuple[str, ...]
    on_update: str
    on_delete: str
    at: Position
    name: str
    set_columns: tuple[str, ...] = ()
    """Columns of ON DELETE SET NULL (…) or SET DEFAULT (…), where only some are set."""
    match: str = "s"
    """One letter as in pg_constraint: s simple, f full."""
    timing: str = ""
    """Deferrable, and initially deferred."""
    validated: bool = True
    comment: str | None = None


@dataclass(frozen=True)
class Trigger:
    """A trigger that a file creates."""

    name: str
    at: Position


@dataclass(frozen=True)
class Policy:
    """A row-level policy; `subquery` where one of its expressions holds a SELECT."""

    name: str
    at: Position
    subquery: bool
    tree: Any = None
    """Parse tree of the statement that creates or alters it."""


@dataclass(frozen=True)
class Expression:
    """An expression of a table that uses an object which the files create and Citus does not pass on to workers."""

    at: Position
    uses: str
    """Such as: the operator ===."""
    row: str = ""
    """The table whose row type it uses, as types are named."""


@dataclass(frozen=True)
class Table:
    """A table as the statements so far make it. `columns` is None where the files alone do not tell them."""

    name: TableName
    at: Position
    columns: dict[str, Column] | None = field(default_factory=dict)
    keys: tuple[Key, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    persistence: str = "p"
    parents: tuple[TableName, ...] = ()
    """The table that it is a partition of, or those it inherits from."""
    partition: bool = False
    partitioned: bool = False
    partition_columns: tuple[str, ...] = ()
    """What it is partitioned by."""
    checks: frozenset[str] = frozenset()
    """Names of its CHECK constraints."""
    expressions: tuple[Expression, ...] = ()
    """Defaults, checks, generated columns and indexes, as far as they use objects that the files create."""
    triggers: tuple[Trigger, ...] = ()
    policies: tuple[Policy, ...] = ()

    @property
    def parent(self) -> TableName | None:
        """Return the table that it is a partition of, or the first it inherits from."""
        return self.parents[0] if self.parents else None

    @property
    def primary_key(self) -> Key | None:
        """Return the table's own primary key."""
        return next((key for key in self.keys if key.kind == "primary key"), None)


@dataclass(frozen=True)
class OtherRelation:
    """A relation other than a table: a view, a materialized view, a foreign table."""

    kind: str
    at: Position
    keys: frozenset[TableName] = frozenset()
    """Tables on whose primary key it depends: it groups by the key, and shows other columns of them."""
    uses: frozenset[TableName] = frozenset()
    """Relations that a view reads."""
    circles: frozenset[TableName] = frozenset()
    """Tables that a view reads together with a function of their rows, or by a function that returns their rows."""
    source: Source | None = field(default=None, compare=False, repr=False)
    """Of a view; None once something that it reads was renamed, which PostgreSQL follows and a text does not."""
    indexes: tuple[Source, ...] = ()
    """Of a materialized view."""
    comment: str | None = None
    is_dummy: bool = False
    """Whether it holds a place for the view that comes later, as pg_dump writes it."""
    query: Any = None
    """Parse tree of a view's query."""
    columns: tuple[str, ...] = ()
    """Names that the view gives to its query's first columns."""
    search_path: tuple[str, ...] = ("public",)
    """Schemas in which its query looks up names."""


@dataclass(frozen=True)
class Routine:
    """A function or a procedure that a file creates."""

    name: TableName
    at: Position
    language: str
    volatility: str
    """One letter as in pg_proc: i immutable, s stable, v volatile."""
    arguments: tuple[str, ...] = ()
    """Names of its arguments, in and out; empty for one that has none."""
    returns_set: bool = False
    is_aggregate: bool = False
    tree: Any = None
    """Parse tree of the statement that creates it."""
    text: str = field(default="", repr=False)
    """Of the statement, which begins at `at`."""
    search_path: tuple[str, ...] = ("public",)
    """Schemas in which its body looks up names."""


@dataclass(frozen=True)
class UserType:
    """A type that a file creates: enum, domain, range or composite."""

    kind: str
    parts: tuple[str, ...] = ()
    """Types that it consists of: a domain's base, a composite's columns."""
    collation: str = ""
    columns: dict[str, Column] | None = None
    """Of a composite type."""


@dataclass(frozen=True)
class Sequence:
    """A sequence that a file creates."""

    at: Position
    bounds: tuple[int, ...] = ()
    """START, MINVALUE and MAXVALUE as far as they are given."""


def is_derived(key: Key, of: Key, others: Iterable[Key]) -> bool:
    """Tell whether a partition's key comes from a key of its table, or became part of one when it was attached.

    `others` are all the keys of the partition.
    """
    if of.at == key.at:
        return True
    same = of.columns == key.columns and (of.kind == "unique index" or key.kind != "unique index")
    return same and all(of.at != other.at for other in others)


@dataclass(frozen=True)
class RefusedDrop:
    """A statement that drops what a foreign key needs without CASCADE."""

    what: str
    """Such as `the index i of t`."""
    foreign_key: ForeignKey
    child: TableName
    """The table that has the foreign key."""
    at: Position


@dataclass(frozen=True)
class Misplaced:
    """A table or view that a statement names where it is not there, or creates where it is there."""

    how: Literal["created later", "dropped before", "created before"]
    name: TableName
    at: Position
    other: Position
    """The other statement."""


class Relations:
    """All that statements have created so far. Its methods apply DDL with PostgreSQL's cascades."""

    def __init__(self) -> None:
        self.tables: dict[TableName, Table] = {}
        self.others: dict[TableName, OtherRelation] = {}
        self.types: dict[TableName, UserType] = {}
        self.collations: dict[TableName, bool] = {}
        """Whether each is deterministic."""
        self.sequences: dict[TableName, Sequence] = {}
        self.routines: dict[TableName, dict[tuple[str, ...], Routine]] = {}
        """By name and types of the arguments."""
        self.aggregates: set[str] = set()
        """Names of aggregates."""
        self.may_lack_drops = False
        """Whether a `do` block may have dropped what seems to be there."""
        self.refused_drops: list[RefusedDrop] = []
        self.operators: set[str] = set()
        self.operator_classes: set[str] = set()
        self.casts: set[str] = set()
        """Types to which the files create a cast."""
        self.functions: set[str] = set()
        """Names, whatever their arguments."""
        self.row_functions: dict[str, frozenset[TableName]] = {}
        """Of each function that takes or returns rows of tables: those tables."""
        self.roles: set[str] = set()
        self.schemas: dict[str, Position] = {}
        self.extensions: dict[str, tuple[str, Position]] = {}
        """Of each schema that CREATE EXTENSION names: the extension."""
        self.needs: list[Need] = []
        """What statements need of the server, but roles that statements before them create."""
        self.replaced_views: dict[TableName, Position] = {}
        """Views that depend on a key, where a statement puts them in place of another view of that name."""
        self.misplaced: list[Misplaced] = []
        self._awaited: dict[TableName, Position] = {}
        self.dropped: dict[TableName, Position] = {}
        """Where relations were dropped that are not there any more."""
        self.renamed: dict[TableName, TableName] = {}
        """The present names of tables, by their former ones."""
        self._children: dict[TableName, dict[TableName, None]] = {}
        """Of each parent, the tables that name it, in the order in which they came."""

    def has(self, name: TableName) -> bool:
        """Tell whether a table, a view, a sequence or a type of that name is there."""
        return name in self.tables or name in self.others or name in self.sequences or name in self.types

    def refuse_again(self, name: TableName, at: Position) -> None:
        """Note that a statement is to create a table that is there."""
        if name in self.tables:
            self.misplaced.append(Misplaced("created before", name, at, self.tables[name].at))

    def expect(self, name: TableName, at: Position) -> None:
        """Note that a statement names a relation. That no file creates it is no fault: code or an extension may."""
        if not self.has(name):
            if name in self.dropped:
                self.misplaced.append(Misplaced("dropped before", name, at, self.dropped[name]))
            else:
                self._awaited.setdefault(name, at)

    def meet(self, name: TableName, at: Position) -> None:
        """Note that a statement has created a relation."""
        self.dropped.pop(name, None)
        if name in self._awaited:
            self.misplaced.append(Misplaced("created later", name, self._awaited.pop(name), at))

    def find_type(self, name: str) -> TableName | None:
        """Return the type that a column's type names, if the files create it."""
        found = TableName("public", name)
        if found in self.types:
            return found
        others = (known for known in self.types if "." in name and known.schema != "public")
        return next((known for known in others if name == str(known)), None)

    def user_type(self, name: str) -> UserType | None:
        """Return the type of that name, if the files create it."""
        found = self.find_type(name)
        return self.types[found] if found else None

    def type_kind(self, name: str) -> str:
        """Return the kind of a type that the files create, such as enum; empty for any other."""
        user_type = self.user_type(name)
        return user_type.kind if user_type else ""

    def type_parts(self, name: str) -> Iterator[str]:
        """Yield the type without brackets, and the types that it consists of."""
        plain = name.removesuffix("[]")
        yield plain
        user_type = self.user_type(plain)
        for part in user_type.parts if user_type else ():
            yield from self.type_parts(part)

    def base_type(self, name: str) -> str:
        """Return the type behind a domain; any other as it is."""
        user_type = self.user_type(name)
        return self.base_type(user_type.parts[0]) if user_type and user_type.kind == "domain" else name

    def put(self, table: Table) -> None:
        """Add the table, or replace its earlier version."""
        known = self.tables.get(table.name)
        if known is None or known.parents != table.parents:
            self._forget(table.name)
            for parent in table.parents:
                self._children.setdefault(parent, {})[table.name] = None
        self.tables[table.name] = table

    def _forget(self, name: TableName) -> None:
        known = self.tables.get(name)
        for parent in known.parents if known else ():
            self._children[parent].pop(name, None)

    def _remove(self, name: TableName) -> None:
        self._forget(name)
        self.tables.pop(name, None)

    def children(self, name: TableName) -> list[Table]:
        """Return the partitions of a table and the tables that inherit from it, those of these too."""
        found: dict[TableName, Table] = {}
        waiting = [name]
        while waiting:
            parent = waiting.pop(0)
            new = [it for it in self._children.get(parent, ()) if it not in found and it != name]
            found.update((child, self.tables[child]) for child in new)
            waiting.extend(new)
        return list(found.values())

    def family(self, name: TableName) -> list[Table]:
        """Return the table, if it is known, and its children."""
        return ([self.tables[name]] if name in self.tables else []) + self.children(name)

    def drop(self, name: TableName, *, cascade: bool = False, at: Position | None = None) -> None:
        """Remove a table with its partitions; with CASCADE also what inherits from it and the foreign keys to it."""
        if at is not None:
            self.dropped[name] = at
        for table in self.family(name):
            if table.name == name or table.partition or cascade:
                self._remove(table.name)
        if cascade:
            self._drop_foreign_keys(lambda fk: fk.parent == name)

    def drop_key(self, table: Table, name: str, *, cascade: bool) -> None:
        """Remove the table's key or foreign key of that name; with CASCADE also the foreign keys that reference it."""
        gone = [key for key in table.keys if key.name == name]
        self.put(
            replace(
                table,
                keys=tuple(key for key in table.keys if key.name != name),
                foreign_keys=tuple(fk for fk in table.foreign_keys if fk.name != name),
                checks=table.checks - {name},
            )
        )
        if cascade:
            meant = {frozenset(key.columns) for key in gone} | {
                frozenset[str]() for key in gone if key.kind == "primary key"
            }
            self._drop_foreign_keys(lambda fk: fk.parent == table.name and frozenset(fk.referenced) in meant)

    def needing(self, table: Table, key: Key) -> list[tuple[TableName, ForeignKey]]:
        """Return the foreign keys that need a key, with their tables: those for which no other key would do."""
        alike = [it for it in table.keys if it.referable and frozenset(it.columns) == frozenset(key.columns)]
        columns = frozenset(key.columns) if alike == [key] else None
        return [
            (other.name, fk)
            for other in self.tables.values()
            for fk in other.foreign_keys
            if fk.parent == table.name
            and (frozenset(fk.referenced) == columns if fk.referenced else key.kind == "primary key")
        ]

    def drop_derived(self, table: Table, name: str, *, cascade: bool) -> None:
        """Remove from the partitions what a key of their table made there, or what became part of it."""
        gone = [key for key in table.keys if key.name == name]
        for child in self.children(table.name) if gone else ():
            for key in child.keys:
                if child.partition and any(is_derived(key, of, child.keys) for of in gone):
                    self.drop_key(self.tables[child.name], key.name, cascade=cascade)

    def drop_column(self, table: Table, column: str) -> None:
        """Remove a column, and the keys and foreign keys that contain it."""
        self.put(
            replace(
                table,
                columns=table.columns and {name: kept for name, kept in table.columns.items() if name != column},
                keys=tuple(key for key in table.keys if column not in (*key.columns, *key.included)),
                foreign_keys=tuple(fk for fk in table.foreign_keys if column not in fk.columns),
            )
        )
        key = table.primary_key.columns if table.primary_key else ()
        self._drop_foreign_keys(lambda fk: fk.parent == table.name and column in (fk.referenced or key))

    def _drop_foreign_keys(self, gone: Callable[[ForeignKey], bool]) -> None:
        for table in list(self.tables.values()):
            if any(map(gone, table.foreign_keys)):
                self.put(replace(table, foreign_keys=tuple(fk for fk in table.foreign_keys if not gone(fk))))

    def move(self, table: Table, name: TableName) -> None:
        """Rename the table, also in the foreign keys that reference it and in its children."""
        self._remove(table.name)
        self.put(replace(table, name=name))
        self.renamed = {
            **{old: name if new == table.name else new for old, new in self.renamed.items()},
            table.name: name,
        }
        for other in list(self.tables.values()):
            if table.name not in {*other.parents, *(fk.parent for fk in other.foreign_keys)}:
                continue
            fks = tuple(replace(fk, parent=name) if fk.parent == table.name else fk for fk in other.foreign_keys)
            parents = tuple(name if parent == table.name else parent for parent in other.parents)
            self.put(replace(other, foreign_keys=fks, parents=parents))
        for view, relation in self.others.items():
            if table.name in relation.uses:
                keys = frozenset(name if key == table.name else key for key in relation.keys)
                uses = frozenset(name if used == table.name else used for used in relation.uses)
                self.others[view] = replace(relation, keys=keys, uses=uses, source=None)

    def rename_schema(self, old: str, new: str) -> None:
        """Rename a schema, with all that is in it."""
        self.schemas |= {new: self.schemas.pop(old)} if old in self.schemas else {}
        for table in list(self.tables.values()):
            if table.name.schema == old:
                self.move(table, TableName(new, table.name.name))
        others: tuple[dict[TableName, Any], ...] = (self.others, self.sequences, self.types)
        for known in others:
            for name in [it for it in known if it.schema == old]:
                known[TableName(new, name.name)] = known.pop(name)

    def rename_column(self, table: Table, old: str, new: str) -> None:
        """Rename a column, also in keys and in the foreign keys that reference it."""

        def renamed(columns: Iterable[str]) -> tuple[str, ...]:
            return tuple(new if column == old else column for column in columns)

        columns = table.columns and {
            (new if name == old else name): replace(column, name=new, former=(*column.former, old))
            if name == old
            else column
            for name, column in table.columns.items()
        }
        keys = tuple(
            replace(
                key,
                columns=renamed(key.columns),
                included=renamed(key.included),
                unequal=renamed(key.unequal),
                source=key.source and key.source.renaming(old, new),
            )
            for key in table.keys
        )
        fks = tuple(
            replace(fk, columns=renamed(fk.columns), set_columns=renamed(fk.set_columns)) for fk in table.foreign_keys
        )
        self.put(replace(table, columns=columns, keys=keys, foreign_keys=fks))
        for view, relation in self.others.items():
            if table.name in relation.uses:
                self.others[view] = replace(relation, source=None)
        for other in list(self.tables.values()):
            if all(fk.parent != table.name for fk in other.foreign_keys):
                continue
            fks = tuple(
                replace(fk, referenced=renamed(fk.referenced)) if fk.parent == table.name else fk
                for fk in other.foreign_keys
            )
            self.put(replace(other, foreign_keys=fks))

    def rename_index(self, index: TableName, new: str | None) -> None:
        """Rename the index, or remove it: an index is in the schema of its table."""
        for table in list(self.tables.values()):
            found = [key for key in table.keys if key.name == index.name and table.name.schema == index.schema]
            if found and new is None:
                self.drop_derived(table, index.name, cascade=False)
            if found:
                changed = [replace(found[-1], name=new)] if new else []
                others = (key for key in table.keys if key.name != index.name)
                self.put(replace(table, keys=(*others, *changed)))
