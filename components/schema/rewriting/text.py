"""SQL text: statements put together from names and literals, and parse trees turned back into text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

import postgast

from components.names import TableName

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Sql",
    "compose",
    "deparsed",
    "expression",
    "key_matches",
    "quote_identifier",
    "quote_literal",
]


class Sql(str):
    """A piece of SQL, which is put into a statement as it is; any other text is a name."""

    __slots__ = ()


def compose(template: LiteralString, **parts: TableName | str) -> Sql:
    """Return a statement with names put in: a TableName with its schema, a str as one name, Sql as it is."""
    return Sql(template.format(**{key: _quoted(part) for key, part in parts.items()}))


def _quoted(part: TableName | str) -> str:
    if isinstance(part, TableName):
        return f"{quote_identifier(part.schema)}.{quote_identifier(part.name)}"
    return part if isinstance(part, Sql) else quote_identifier(part)


def quote_identifier(name: str) -> Sql:
    """Return a name in quotes."""
    return Sql('"' + name.replace('"', '""') + '"')


def quote_literal(text: str) -> Sql:
    """Return a text as a constant, which means the same whatever standard_conforming_strings is."""
    constant = "'" + text.replace("'", "''").replace("\\", "\\\\") + "'"
    return Sql(f"E{constant}" if "\\" in text else constant)


def deparsed(kind: str, statement: Any) -> str:
    """Return a parse tree as text; `kind` is the field that holds the statement, such as `alter_table_stmt`."""
    tree = postgast.parse("select 1")
    tree.stmts[0].Clear()
    getattr(tree.stmts[0].stmt, kind).CopyFrom(statement)
    return str(postgast.deparse(tree))


def expression(node: Any) -> Sql:
    """Return an expression's tree as text."""
    tree = postgast.parse("select 1")
    tree.stmts[0].stmt.select_stmt.target_list[0].res_target.val.CopyFrom(node)
    return Sql(postgast.deparse(tree).removeprefix("SELECT "))


def key_matches(row: str, key: Sequence[str]) -> Sql:
    """Return the condition that a row has the key of a row of `_new`, whose columns `_k0`, `_k1` and so on hold it."""
    pairs = (compose("{row}.{column} = _new.{own}", row=row, column=it, own=f"_k{n}") for n, it in enumerate(key))
    return Sql(" and ".join(pairs))
