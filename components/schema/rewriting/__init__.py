"""Statements on sharded tables in a form that Citus takes, with the result that PostgreSQL would give. Pure; runs no SQL.

Citus wants each subcommand of ALTER TABLE that adds a constraint alone, with the constraint's name; it adds no serial column
to a table with rows; it lets no UPDATE or DELETE call a function whose result may differ between shards. For each of these there
is another form. A statement that has none is an error of the plan: plan/rules/later_….py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from components.keys import ForeignKey
from components.names import default_name
from components.schema.rewriting.alter_table import alter_table
from components.schema.rewriting.ddl import create_table, drop_indexes, rename_constraint
from components.schema.rewriting.rows import computed_first, insert
from components.tables import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from components.names import TableName

__all__ = ["Kind", "Known", "Step", "computed_first", "default_name", "rewritten"]


Step = str | ForeignKey
"""A statement; or a foreign key that is kept in the ledger until the table at its other end is sharded."""


"""The kind of a table in the cluster; `managed` is a local table in Citus's metadata, because of a key to a reference table."""


class Known(Protocol):
    """The tables as they are when a statement runs."""

    def name(self, relation: Any) -> TableName:
        """Return the table that a RangeVar refers to."""

    def kind(self, table: TableName) -> Kind:
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


def rewritten(kind: str, statement: Any, known: Known) -> list[Step] | None:
    """Return the steps that have the same effect, in order; None where the statement can stay as it is."""
    rewrite = _REWRITES.get(kind)
    return rewrite(statement, known) if rewrite else None


_REWRITES: Final[dict[str, Callable[[Any, Known], list[Step] | None]]] = {
    "alter_table_stmt": alter_table,
    "create_stmt": create_table,
    "rename_stmt": rename_constraint,
    "drop_stmt": lambda statement, _: drop_indexes(statement),
    "insert_stmt": insert,
}
