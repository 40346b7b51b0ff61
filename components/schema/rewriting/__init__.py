"""Statements on sharded tables in a form that Citus takes, with the result that PostgreSQL would give. Pure; runs no SQL.

Citus wants each subcommand of ALTER TABLE that adds a constraint alone, with the constraint's name; it adds no serial column
to a table with rows; it lets no UPDATE or DELETE call a function whose result may differ between shards. For each of these there
is another form. A statement that has none is an error of the plan: plan/rules/later_….py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from components.schema.rewriting.alter_table import alter_table
from components.schema.rewriting.constraints import default_name
from components.schema.rewriting.ddl import create_table, drop_indexes, rename_constraint
from components.schema.rewriting.known import Known, LiveKind, Step
from components.schema.rewriting.rows import computed_first, insert

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Known", "LiveKind", "Step", "computed_first", "default_name", "rewritten"]


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
