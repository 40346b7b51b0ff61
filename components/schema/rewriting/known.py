"""What rewriting a statement needs to know of the cluster's tables, and the steps that it returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

from components.keys import ForeignKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.names import TableName

__all__ = ["Known", "LiveKind", "Step"]


Step = str | ForeignKey
"""A statement; or a foreign key that is kept in the ledger until the table at its other end is sharded."""


LiveKind = Literal["distributed", "reference", "managed", "local"]
"""The kind of a table in the cluster; `managed` is a local table in Citus's metadata, because of a key to a reference table."""


class Known(Protocol):
    """The tables as they are when a statement runs."""

    def name(self, relation: Any) -> TableName:
        """Return the table that a RangeVar refers to."""

    def kind(self, table: TableName) -> LiveKind:
        """Return its kind; `local` where it is not known."""

    def columns(self, table: TableName) -> Sequence[str] | None:
        """Return its columns; None where they are not known."""

    def primary_key(self, table: TableName) -> Sequence[str] | None:
        """Return the columns of its primary key; None where it has none."""

    def constraint(self, table: TableName, name: str) -> tuple[str, str, str | None]:
        """Return a constraint's kind as in pg_constraint, its definition and its comment; an empty kind where there is none."""

    def distribution_column(self, table: TableName) -> str | None:
        """Return its distribution column; None where it is not distributed."""

    def is_pending(self, table: TableName) -> bool:
        """Tell whether it is local, and sharded later in the same update."""

    def free_name(self, table: TableName, columns: str, suffix: str) -> str:
        """Return the name that PostgreSQL would give a constraint or a sequence of the table."""
