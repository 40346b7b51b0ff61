"""What a table is in a cluster: its kinds, and its declaration, which plan, resources and database share. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, ClassVar, Final

from components.keys import DeclaredKeys
from components.names import TableName

__all__ = [
    "Declaration",
    "Distributed",
    "DistributedDeclaration",
    "FunctionDeclaration",
    "Kind",
    "Local",
    "LocalDeclaration",
    "Pending",
    "Reference",
    "ReferenceDeclaration",
    "SchemaDeclaration",
    "ShardedDeclaration",
    "Sharding",
    "SingleShard",
    "get_compared",
]

_HOW: Final = {"how": True}
"""Metadata of a field that says how a declaration is carried out: another value alone makes no update."""


class Kind(Enum):
    """The kinds of table; the values are those of the statements in sql/citus/."""

    DISTRIBUTED = "distributed"
    REFERENCE = "reference"
    MANAGED = "managed"
    """Local, and in Citus's metadata, since a foreign key connects it to a reference table."""
    SINGLE_SHARD = "single shard"
    """In one shard, as the tables of a distributed schema are."""
    LOCAL = "local"

    def __str__(self) -> str:
        spelled = {Kind.REFERENCE: "a reference table", Kind.SINGLE_SHARD: "a single-shard table"}
        return {**spelled, Kind.MANAGED: "in Citus's metadata"}.get(self, str(self.value))


@dataclass(frozen=True)
class Local:
    """All rows are on the coordinator."""

    kind: ClassVar[Kind] = Kind.LOCAL

    def __str__(self) -> str:
        return str(self.kind)


@dataclass(frozen=True)
class Reference:
    """Every node has all rows."""

    kind: ClassVar[Kind] = Kind.REFERENCE

    def __str__(self) -> str:
        return str(self.kind)


@dataclass(frozen=True)
class Distributed:
    """Rows are on the workers, by the hash of a column."""

    kind: ClassVar[Kind] = Kind.DISTRIBUTED
    column: str

    def __str__(self) -> str:
        return f"distributed by {self.column}"


@dataclass(frozen=True)
class SingleShard:
    """All rows are in one shard, on the worker that has all tables of its schema."""

    kind: ClassVar[Kind] = Kind.SINGLE_SHARD

    def __str__(self) -> str:
        return str(self.kind)


Sharding = Distributed | Reference | SingleShard | Local


@dataclass(frozen=True)
class Pending:
    """A table that another step of the same update shards: a foreign key to it waits until then."""

    table: TableName
    sharding: Sharding | None = None
    """None where nothing more than the name is known."""


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """A table as the settings and the schema declare it."""

    table: TableName
    pending: tuple[Pending, ...] = field(default=(), metadata=_HOW)
    """Tables of the plan that a foreign key ties to this one or to its followers."""


@dataclass(frozen=True, kw_only=True)
class LocalDeclaration(Declaration):
    """A table that is to be local again."""

    @property
    def sharding(self) -> Sharding:
        """Return its kind."""
        return Local()


@dataclass(frozen=True, kw_only=True)
class ShardedDeclaration(Declaration):
    """What distributed and reference tables have in common."""

    rewrite: bool = field(default=False, metadata=_HOW)
    """Whether Citus may rewrite the table, row by row, where it is sharded in another way than declared."""
    declared_keys: DeclaredKeys = DeclaredKeys()  # noqa: RUF009 - frozen
    """Keys that are there once the table is sharded."""
    created_by: str | None = field(default=None, metadata=_HOW)
    """The file that creates the table: where another one does, that is another table, which is to be sharded again."""


@dataclass(frozen=True, kw_only=True)
class ReferenceDeclaration(ShardedDeclaration):
    """A table with a copy on every node."""

    @property
    def sharding(self) -> Sharding:
        """Return its kind."""
        return Reference()


@dataclass(frozen=True, kw_only=True)
class DistributedDeclaration(ShardedDeclaration):
    """A table whose rows are on the workers, by the hash of a column."""

    distribution_column: str
    colocate_with: TableName | None = None
    """Distributed table whose colocation group to join; without it the table starts a group of its own."""
    shard_count: int
    """Of a group of its own."""
    primary_key: tuple[str, ...] | None = field(default=None, metadata=_HOW)
    """Columns of the key once distributed; by default the distribution column, then the old key's."""
    followers: tuple[TableName, ...] = field(default=(), metadata=_HOW)
    """Tables that are colocated with it, directly or by others: they move along."""
    former_columns: tuple[str, ...] = field(default=(), metadata=_HOW)
    """Names that files have given the distribution column before: it is the same column, and no row moves."""

    @property
    def sharding(self) -> Sharding:
        """Return its kind."""
        return Distributed(self.distribution_column)


@dataclass(frozen=True, kw_only=True)
class SchemaDeclaration:
    """A schema whose tables are all together on one worker, or are to be local again."""

    schema: str
    tables: tuple[TableName, ...] = ()
    """Those that the files create in it, without partitions: one that is new shows, and is proved to be there."""
    undistribute: bool = False


@dataclass(frozen=True, kw_only=True)
class FunctionDeclaration:
    """A function whose calls run on the worker of the tenant that they name."""

    function: str
    """Its signature, as a value that casts to regprocedure."""
    argument: str | None = None
    """The argument that has the tenant: its name as the catalogue has it, or $1; None for a table that has no column."""
    colocate_with: TableName
    force_delegation: bool = False
    definition: str = ""
    """Hash of the statement that creates it: one that is another shows, and the function is proved to be distributed still."""


def get_compared(declaration: type[Any]) -> tuple[str, ...]:
    """Return the fields of which another value makes an update."""
    return tuple(it.name for it in fields(declaration) if it.name != "table" and not it.metadata.get("how"))
