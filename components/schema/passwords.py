"""Passwords in SQL texts: whether a text has one, and which role a statement gives which password. Runs no SQL.

A role's password is read, so that the nodes can log in with it. The statement is then run with the verifier that PostgreSQL
stores in its place, so that the server's log and views never show the password.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from components.schema.statements import SqlFile

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PasswordChange", "find_change", "find_changes", "hold", "mention", "without_constants"]


_CODE: Final = re.compile(
    r"\b(create|alter)\s+(role|user|group)\b.*?\bpassword\b|\bsubscription\b.*?\bpassword\b", re.IGNORECASE | re.DOTALL
)
"""A password that is not in the parse tree: in a `do` block or a function, of a user mapping or a subscription."""


_KEPT: Final = re.compile(r"md5[0-9a-f]{32}|SCRAM-SHA-256\$\d+:[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]{44}:[A-Za-z0-9+/=]{44}")
"""What PostgreSQL accepts as a password that is hashed already (`get_password_type`)."""


_NEAR_CONSTANT: Final = re.compile(r'at or near "(?:[EeBbXxNn]|[Uu]&)?[\'$].*"', re.DOTALL)


@dataclass(frozen=True)
class PasswordChange:
    """A `create role` or `alter role` that sets a role's password, or removes it."""

    role: str
    """Its name; `current_user` or `session_user` where `is_name` is false."""
    is_name: bool
    password: str | None
    """None where it is removed: to PostgreSQL, an empty password is none."""
    text: str
    """The statement as it is in the file."""
    tree: Any
    """Its parse tree."""

    @property
    def is_hashed(self) -> bool:
        """Tell whether the file has the verifier that PostgreSQL stores, and not the password itself."""
        return self.password is not None and _KEPT.fullmatch(self.password) is not None

    def written_with(self, verifier: str) -> str:
        """Return the statement with the verifier in place of the password."""
        import postgast  # noqa: PLC0415

        tree = type(self.tree)()
        tree.CopyFrom(self.tree)
        for option in _password_options(tree):
            option.arg.string.sval = verifier
        return str(postgast.deparse(tree))


def mention(text: str) -> bool:
    """Tell whether the text can be about passwords at all, without parsing it."""
    return "password" in text.lower()


def hold(text: str) -> bool:
    """Tell whether a SQL text has a role's password, or one with which the server logs in elsewhere.

    A column's name, or a value in a table, is none.
    """
    return mention(text) and any(
        bool(change.password) if change else _CODE.search(part) is not None
        for part in _statements(text)
        for change in [find_change(part)]
    )


def find_changes(text: str) -> list[PasswordChange]:
    """Return the changes of roles' passwords in a SQL text, in its order, those within `do` blocks too."""
    if not mention(text):
        return []
    plain = (inner for part in _statements(text) for inner in (part, *_in_code(part)))
    return [change for statement in plain if (change := find_change(statement))]


def find_change(statement: str) -> PasswordChange | None:
    """Return the change of a role's password in one statement; None where there is none, or it does not parse."""
    if not mention(statement):
        return None
    import postgast  # noqa: PLC0415 - takes a while, and few files are about passwords
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # noqa: PLC0415

    try:
        tree = postgast.parse(statement)
    except (postgast.PgQueryError, DecodeError):
        return None
    options = list(_password_options(tree))
    if not options:
        return None
    given = options[0].arg.string.sval if options[0].HasField("arg") else ""
    node = tree.stmts[0].stmt
    if node.HasField("create_role_stmt"):
        return PasswordChange(node.create_role_stmt.role, True, given or None, statement, tree)  # noqa: FBT003
    role = node.alter_role_stmt.role
    if role.rolename:
        return PasswordChange(role.rolename, True, given or None, statement, tree)  # noqa: FBT003
    kind = postgast.pg_query_pb2.RoleSpecType.Name(role.roletype)
    name = "session_user" if kind == "ROLESPEC_SESSION_USER" else "current_user"
    return PasswordChange(name, False, given or None, statement, tree)  # noqa: FBT003


def without_constants(message: str) -> str:
    """Return an error of PostgreSQL's parser without the constant that it quotes, which may be a password."""
    return _NEAR_CONSTANT.sub("at or near a constant", message)


def _password_options(tree: Any) -> Iterator[Any]:
    if len(tree.stmts) != 1:
        return
    statement = tree.stmts[0].stmt
    for kind in ("create_role_stmt", "alter_role_stmt"):
        if statement.HasField(kind):
            for option in getattr(statement, kind).options:
                if option.def_elem.defname == "password":
                    yield option.def_elem


def _in_code(statement: str) -> Iterator[str]:
    """Yield the statements of a `do` block, except those that it builds at run time."""
    import postgast  # noqa: PLC0415

    if not statement.lower().lstrip().startswith("do") or not mention(statement):
        return
    try:
        found = list(_expressions(postgast.parse_plpgsql(statement)))
    except postgast.PgQueryError:  # of another language
        return
    for query in found:
        yield _constant(query) or query


def _expressions(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _expressions(item)
    elif isinstance(node, dict):
        if "query" in node and isinstance(node["query"], str):
            yield node["query"]
        for item in node.values():
            yield from _expressions(item)


def _constant(expression: str) -> str:
    """Return the value of a string constant, as in `execute 'create role …'`; empty for anything else."""
    import postgast  # noqa: PLC0415

    try:
        target = postgast.parse(f"select {expression}").stmts[0].stmt.select_stmt.target_list[0]
    except (postgast.PgQueryError, IndexError):
        return ""
    return str(target.res_target.val.a_const.sval.sval)


def _statements(text: str) -> Iterator[str]:
    return (it.text for it in SqlFile("", text).read() if not it.is_command)
