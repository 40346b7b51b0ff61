"""Files that say that they run outside a transaction, and what a file may contain because of that or in spite of it. Pure.

PostgreSQL runs some statements, such as CREATE INDEX CONCURRENTLY, outside a transaction alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import postgast

from components.schema.parse_tree import messages

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MARK", "find_problem", "is_alone", "is_of_session", "read_mark"]

MARK: Final = "-- citus: no transaction"
"""Line among the comments that a file begins with, by which it runs statement by statement, each for itself."""

_MARK: Final = re.compile(r"^--[ \t]*citus:[ \t]*no[ \t_-]transaction[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)

_MEANT: Final = re.compile(r"^--[ \t]*citus\b.*transaction.*$", re.IGNORECASE | re.MULTILINE)
"""What looks like the mark."""


def read_mark(comments: str) -> bool | None:
    """Tell whether the comments that a file begins with have the mark; None where they have something that only looks like it."""
    if _MARK.search(comments):
        return True
    return None if _MEANT.search(comments) else False


def is_alone(kind: str, statement: Any) -> bool:
    """Tell whether PostgreSQL runs the statement outside a transaction alone."""
    if kind in ("index_stmt", "drop_stmt"):
        return bool(statement.concurrent)
    if kind == "reindex_stmt":
        return any(param.def_elem.defname == "concurrently" for param in statement.params)
    if kind == "alter_table_stmt":
        return any(getattr(node.alter_table_cmd, "def").partition_cmd.concurrent for node in statement.cmds)
    return kind == "vacuum_stmt" and bool(statement.is_vacuumcmd)


def is_of_session(kind: str, statement: Any) -> bool:
    """Tell whether a statement lasts as long as the session: a run that goes on with a file repeats it."""
    if kind != "select_stmt":
        return kind == "variable_set_stmt"
    return any(call.funcname[-1].string.sval == "set_config" for call in messages(statement, "FuncCall"))


def find_problem(kind: str, statement: Any, *, is_marked: bool) -> str | None:
    """Return why a file may not contain a statement, and what to do; None where it may."""
    if kind in _NEVER and (why := _NEVER[kind](statement)) is not None:
        return f"this statement {why}"
    if not is_marked:
        if not is_alone(kind, statement):
            return None
        what = "cannot" if kind == "vacuum_stmt" else "uses CONCURRENTLY, which cannot"
        return (
            f"this statement {what} run in a transaction, but each file runs as one: put it into a file of its own whose first "
            f"line is {MARK}"
        )
    why = _MARKED[kind](statement) if kind in _MARKED else None
    return f"this statement {why}" if why is not None else None


# --- what no file may contain ----------------------------------------------------------------------------------------


def _transaction(statement: Any) -> str | None:
    ending = postgast.pg_query_pb2.TransactionStmtKind.Name(statement.kind)
    if "ROLLBACK" not in ending and "PREPARE" not in ending:
        return None
    return "undoes a part of a transaction, or prepares it for another session, but each file runs as one transaction: remove it"


def _reindex(statement: Any) -> str | None:
    what = postgast.pg_query_pb2.ReindexObjectType.Name(statement.kind).rpartition("_")[2]
    if what in ("INDEX", "TABLE"):
        return None
    return "reindexes what the coordinator has alone, and no shard: reindex each table"


def _cluster(statement: Any) -> str | None:
    return None if statement.HasField("relation") else "cannot run in a transaction: name one table, or remove it"


def _subscription(statement: Any) -> str | None:
    if {node.def_elem.defname for node in statement.options} & {"connect", "create_slot"}:
        return None
    return "cannot run in a transaction: remove it, or write WITH (create_slot = false)"


_NEVER: Final[dict[str, Callable[[Any], str | None]]] = {
    "transaction_stmt": _transaction,
    "reindex_stmt": _reindex,
    "cluster_stmt": _cluster,
    "create_subscription_stmt": _subscription,
    "alter_system_stmt": lambda _: (
        "changes a parameter of the coordinator alone, outside every transaction: set it by citus:parameters"
    ),
    "create_table_space_stmt": lambda _: "makes a folder of one server a tablespace, which no shard is in: remove it",
    "drop_table_space_stmt": lambda _: "drops a tablespace of one server, which no shard is in: remove it",
}
"""By the field that holds the statement: why no file may contain it, if so."""


# --- what a marked file may not contain ------------------------------------------------------------------------------


def _index(statement: Any) -> str | None:
    if not statement.concurrent or statement.idxname:
        return None
    return "leaves the index's name to PostgreSQL: name it, so that a run after an interrupted one finds the index"


def _setting(statement: Any) -> str | None:
    if statement.is_local:
        return "lasts until the end of a transaction, which this file does not have: write SET without LOCAL"
    if statement.name in ("role", "session_authorization"):
        return "lets another role write down what has run, in a file without a transaction: put it into a file with one"
    return None


def _temporary(relation: Any) -> str | None:
    if relation.relpersistence != "t":
        return None
    return "makes a temporary table, which a run after an interrupted one does not have: use a plain table, and drop it"


_MARKED: Final[dict[str, Callable[[Any], str | None]]] = {
    "transaction_stmt": lambda _: (
        "begins or ends a transaction, and each statement of this file is one already: remove it, and put what belongs "
        "together into a file with a transaction"
    ),
    "lock_stmt": lambda _: "locks a table until the end of a transaction, which this file does not have: remove it",
    "index_stmt": _index,
    "variable_set_stmt": _setting,
    "create_stmt": lambda it: _temporary(it.relation),
    "create_table_as_stmt": lambda it: _temporary(it.into.rel),
}
"""By the field that holds the statement: why a file without a transaction may not contain it, if so."""
