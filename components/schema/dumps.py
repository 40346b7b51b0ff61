"""What a file has that is for psql, for the server that a dump came from, or for its database, and not for this one. Pure.

pg_dump writes more than a schema: commands of psql, a transaction, the database itself, owners, grants, parameters of newer
servers. Such statements are passed over, or lose the part that cannot be; what changes the meaning of a file is a problem.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import postgast

from components.schema.parse_tree import messages, object_type

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from components.schema.relations import Position
    from components.schema.statements import Statement

__all__ = ["Dump", "roles_of", "without_roles"]


_HARMLESS: Final = frozenset(
    {"restrict", "unrestrict", "set", "unset", "echo", "qecho", "warn", "pset", "timing", "encoding", "errverbose"}
    | {"q", "x", "a", "t"}
)
"""Commands of psql that change nothing in the database."""

_SHOWING: Final = re.compile(r"d\S*|l\+?|h|help|\?|conninfo")

_INCLUDES: Final = frozenset({"i", "ir", "include", "include_relative"})

_OUTDATED: Final = frozenset({"default_with_oids"})
"""Parameters that no supported server has."""

_VERSIONED: Final = frozenset(
    {
        "transaction_timeout",
        "idle_session_timeout",
        "default_toast_compression",
        "restrict_nonsystem_relation_kind",
        "event_triggers",
    }
)
"""Parameters of some supported servers, which a file may set without any effect on what it makes."""

_OF_DATABASE: Final = frozenset({"alter_database_stmt", "alter_database_set_stmt", "alter_database_refresh_coll_stmt"})

_WHOLE: Final = ("TRANS_STMT_BEGIN", "TRANS_STMT_START", "TRANS_STMT_COMMIT")
"""A file is one transaction already: what begins or ends one is passed over."""


class Dump:
    """One file as it is read: which of its statements are for the server, and what cannot be taken."""

    def __init__(self, problem: Callable[[Position, str], None], is_known: Callable[[str], bool] | None = None) -> None:
        """Take what reports a problem, and what tells whether the server knows a parameter; without, none is asked."""
        self._problem = problem
        self._is_known = is_known
        self._database = ""
        """The database that the dump is of, by its own words."""
        self._others: dict[str, Position] = {}
        """Databases that it creates or drops."""

    def command(self, statement: Statement) -> None:
        """Take a command of psql."""
        name, _, rest = statement.text.removeprefix("\\").rstrip(" ;").partition(" ")
        if name in ("connect", "c"):
            self._connect(rest, statement.at)
        elif name in _INCLUDES:
            self._problem(statement.at, rf"\{name} includes another file: put what that has into a file of the schema")
        elif name == "copy":
            message = r"\copy reads a file: put the rows into this one, as pg_dump does (COPY … FROM stdin)"
            self._problem(statement.at, message)
        elif name not in _HARMLESS and not _SHOWING.fullmatch(name):
            self._problem(statement.at, f"a command of psql (\\{name}), which is not SQL: remove it")

    def _connect(self, rest: str, at: Position) -> None:
        named = re.search(r"""dbname\s*=\s*'?([^'"\s]+)""", rest) or re.match(r"""(?:-\S+\s+)?["']?([^"'\s]+)""", rest)
        name = named[1] if named else "-"
        if name != "-" and self._database not in ("", name):
            message = (
                f"the file is of two databases, {self._database} and {name}, and a cluster has one: dump each for itself, "
                "and make a stack of each"
            )
            self._problem(at, message)
        self._database = name if name != "-" else self._database
        self._others.pop(name, None)

    def _takes_copy(self, statement: Any, at: Position) -> bool:
        options = {node.def_elem.defname: node.def_elem.arg.string.sval for node in statement.options}
        if statement.filename:
            return True
        if not statement.is_from:
            self._problem(at, "COPY … TO STDOUT writes rows out, and a file has nobody to read them: remove it")
        elif options.get("format") == "binary":
            self._problem(
                at, "COPY … FROM STDIN with binary rows, which are no text: write them as text, as pg_dump does"
            )
        else:
            return True
        return False

    def finish(self) -> None:
        """Report the databases that the file creates or drops, and never connects to."""
        for name, at in self._others.items():
            message = (
                f"this statement is about another database, {name}, and a cluster has one (citus:database): remove it"
            )
            self._problem(at, message)

    def is_for_server(self, kind: str, statement: Any, at: Position) -> bool:
        """Tell whether a statement is to be run."""
        if kind == "transaction_stmt":
            return postgast.pg_query_pb2.TransactionStmtKind.Name(statement.kind) not in _WHOLE
        if kind == "copy_stmt":
            return self._takes_copy(statement, at)
        if kind in ("createdb_stmt", "dropdb_stmt"):
            self._others.setdefault(statement.dbname, at)
            return False
        if kind == "variable_set_stmt" and not statement.is_local and "." not in statement.name:
            name = statement.name.lower()
            return name not in _OUTDATED and (name not in _VERSIONED or self._is_known is None or self._is_known(name))
        return not self._database or self._database not in _databases(kind, statement)


def _databases(kind: str, statement: Any) -> Collection[str]:
    """Return the databases that a statement is about."""
    if kind in _OF_DATABASE:
        return (statement.dbname,)
    if kind in ("comment_stmt", "sec_label_stmt") and object_type(statement.objtype) == "OBJECT_DATABASE":
        return (statement.object.string.sval,)
    if kind == "alter_owner_stmt" and object_type(statement.object_type) == "OBJECT_DATABASE":
        return (statement.object.string.sval,)
    if kind == "grant_stmt" and object_type(statement.objtype) == "OBJECT_DATABASE":
        return [node.string.sval for node in statement.objects]
    return ()


def roles_of(kind: str, statement: Any) -> list[str]:
    """Return the roles that a statement names as owners, in grants and in policies, and that need not be there for the rest."""
    if kind == "variable_set_stmt":
        is_role = statement.name in ("role", "session_authorization") and statement.args
        return [statement.args[0].a_const.sval.sval] if is_role else []
    if kind not in _WITH_ROLES:
        return []
    granted = statement.granted_roles if kind == "grant_role_stmt" else ()
    named = (it.rolename for it in messages(statement, "RoleSpec") if _is_named(it))
    return [*(node.access_priv.priv_name for node in granted), *named]


def _is_named(role: Any) -> bool:
    return str(postgast.pg_query_pb2.RoleSpecType.Name(role.roletype)) == "ROLESPEC_CSTRING"


def without_roles(kind: str, statement: Any, missing: Collection[str]) -> Any:
    """Return the statement without roles that are not there; None where nothing is left of it. It is changed in place."""

    def is_there(node: Any) -> bool:
        role = node.alter_table_cmd.newowner if node.HasField("alter_table_cmd") else node.role_spec
        return not (_is_named(role) and role.rolename in missing)

    if kind == "alter_table_stmt":
        left = [_keep(statement.cmds, is_there)]
    elif kind == "grant_stmt":
        if statement.grantor.rolename in missing:
            statement.ClearField("grantor")
        left = [_keep(statement.grantees, is_there)]
    elif kind in ("create_policy_stmt", "alter_policy_stmt"):
        left = [_keep(statement.roles, is_there)]
    elif kind == "alter_default_privileges_stmt":
        of = [node.def_elem.arg.list.items for node in statement.options if node.def_elem.defname == "roles"]
        left = [_keep(listed, is_there) for listed in (*of, statement.action.grantees)]
    elif kind == "create_schema_stmt":
        statement.schemaname = statement.schemaname or statement.authrole.rolename
        statement.ClearField("authrole")
        left = []
    else:  # one about an owner, or about membership, alone
        return None
    return statement if all(left) else None


def _keep(listed: Any, is_kept: Callable[[Any], bool]) -> bool:
    """Remove nodes from a list; tell whether it has any left."""
    kept = [type(node).FromString(node.SerializeToString()) for node in listed if is_kept(node)]
    del listed[:]
    listed.extend(kept)
    return bool(kept)


_WITH_ROLES: Final = frozenset(
    {
        "alter_table_stmt",
        "alter_owner_stmt",
        "grant_stmt",
        "grant_role_stmt",
        "create_policy_stmt",
        "alter_policy_stmt",
        "create_schema_stmt",
        "alter_default_privileges_stmt",
        "variable_set_stmt",
    }
)
