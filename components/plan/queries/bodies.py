"""The statements that the bodies of functions have, in SQL and in PL/pgSQL, each with its place. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import postgast
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from components.plan.queries.binding import STATEMENTS
from components.schema.parse_tree import nodes, strings
from components.schema.relations import Position

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.schema.relations import Routine

__all__ = ["BodyStatement", "UnreadableError", "body_text", "read_body"]

_EXPRESSION: Final = 2
"""parseMode of PL/pgSQL's expressions; an assignment has more."""
_TRIGGER_NAMES: Final = frozenset(
    {"new", "old", "found", "tg_name", "tg_when", "tg_level", "tg_op", "tg_relid", "tg_argv"}
) | {
    "tg_relname",
    "tg_table_name",
    "tg_table_schema",
    "tg_nargs",
}
_EXTRA_BRACE: Final = re.compile(r"(?<=[,\[])\{\}\}(?=[,\]])")
"""What the parser writes for each variable of a trigger: JSON with a brace too many."""


class UnreadableError(Exception):
    """A body, or a part of it, that cannot be read as SQL."""


@dataclass(frozen=True)
class BodyStatement:
    """One statement of a function's body."""

    at: Position
    tree: Any
    """The parse tree's Node."""
    parameters: frozenset[str]
    """Names of the function's arguments and variables."""
    in_sql_function: bool


def body_text(routine: Routine) -> str:
    """Return what a body says, to look for names in; empty where it is not written out."""
    if routine.tree is None:
        return ""
    if routine.tree.HasField("sql_body"):
        return routine.text
    return next(iter(_as(routine)), "")


def read_body(routine: Routine) -> Iterator[BodyStatement]:
    """Yield the statements of a body that can be judged.

    Raises:
        UnreadableError: there is a part that cannot be read, such as EXECUTE.
    """
    if routine.language == "sql":
        yield from _sql(routine)
    elif routine.language == "plpgsql":
        yield from _plpgsql(routine)


def _as(routine: Routine) -> tuple[str, ...]:
    options = {node.def_elem.defname: node.def_elem.arg for node in routine.tree.options}
    return strings(options["as"].list.items) if "as" in options else ()


def _sql(routine: Routine) -> Iterator[BodyStatement]:
    names = frozenset({*routine.arguments, routine.name.name})
    if routine.tree.HasField("sql_body"):
        for tree in sql_statements(routine.tree):
            yield BodyStatement(routine.at, tree, names, in_sql_function=True)
        return
    text = body_text(routine)
    start = routine.text.find(text)
    try:
        parsed = postgast.parse(text).stmts
    except (postgast.PgQueryError, DecodeError) as error:
        raise UnreadableError from error
    for raw in parsed:
        if raw.stmt.WhichOneof("node") in STATEMENTS:
            before = text.encode()[: raw.stmt_location].decode(errors="ignore")
            blank = len(text[len(before) :]) - len(text[len(before) :].lstrip())
            at = _moved(routine.at, routine.text[: start + len(before) + blank]) if start >= 0 else routine.at
            yield BodyStatement(at, raw.stmt, names, in_sql_function=True)


def sql_statements(tree: Any) -> list[Any]:
    """Return the statements of a body of BEGIN ATOMIC or RETURN."""
    body = tree.sql_body
    if body.HasField("return_stmt"):
        select = postgast.pg_query_pb2.Node()
        select.select_stmt.target_list.add().res_target.val.CopyFrom(body.return_stmt.returnval)
        return [select]
    items = [it for part in body.list.items for it in (part.list.items if part.HasField("list") else [part])]
    return [it for it in items if it.WhichOneof("node") in STATEMENTS]


def _moved(at: Position, text: str) -> Position:
    """Return the place behind a text that begins at a place."""
    lines = text.count("\n")
    column = len(text) - text.rfind("\n") if lines else at.column + len(text)
    return Position(at.file, at.line + lines, column)


def _plpgsql(routine: Routine) -> Iterator[BodyStatement]:
    tree = _plpgsql_tree(routine.text)
    names = set(routine.arguments) | _TRIGGER_NAMES
    for datum in tree.get("datums", []):
        names |= {str(it["refname"]) for it in datum.values() if "refname" in it}
    text = body_text(routine)
    start = routine.text.find(text)
    first = routine.at.line + routine.text[: max(start, 0)].count("\n")
    for line, expression in _expressions(tree, 1):
        parsed = _parsed(expression)
        if parsed is not None:
            at = Position(routine.at.file, first + line - 1, 1)
            yield BodyStatement(at, parsed, frozenset(names), in_sql_function=False)
    if "PLpgSQL_stmt_dynexecute" in str(tree) or "dynquery" in str(tree):
        raise UnreadableError


def _plpgsql_tree(text: str) -> Any:
    try:
        (function,) = postgast.parse_plpgsql(text)
    except json.JSONDecodeError as error:
        try:
            (function,) = json.loads(_EXTRA_BRACE.sub("{}", error.doc))
        except ValueError:
            raise UnreadableError from error
    except (postgast.PgQueryError, ValueError) as error:
        raise UnreadableError from error
    return function["PLpgSQL_function"]


def _expressions(part: Any, line: int) -> Iterator[tuple[int, Any]]:
    """Yield each piece of SQL with its line in the body."""
    if isinstance(part, list):
        for it in part:
            yield from _expressions(it, line)
    elif isinstance(part, dict):
        line = int(part.get("lineno", line))
        for name, value in part.items():
            if name == "PLpgSQL_expr":
                yield line, value
            else:
                yield from _expressions(value, line)


def _parsed(expression: Any) -> Any:
    """Return a piece of SQL as a statement; None where it reads nothing."""
    text, mode = str(expression["query"]), int(expression.get("parseMode", 0))
    if mode > _EXPRESSION:
        text = text.partition("=")[2].lstrip("=")
    if mode:
        if "select" not in text.lower():
            return None
        text = f"select {text}"
    try:
        (raw,) = postgast.parse(text).stmts
    except (postgast.PgQueryError, DecodeError, ValueError):
        return None
    tree = raw.stmt
    if tree.WhichOneof("node") not in STATEMENTS:
        return None
    return tree if any(True for _ in nodes(tree, "range_var")) or tree.WhichOneof("node") != "select_stmt" else None
