"""What a statement needs of the server: its version, an extension, a role. Pure.

The grammar that reads the files is that of the newest PostgreSQL; a server of an older one takes less.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from components.schema.dumps import roles_of
from components.schema.parse_tree import action_of, constraint_kind, messages_by_type, object_type
from components.schema.relations import Position

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["KnownServer", "Need", "find_needs", "parse_release"]


@dataclass(frozen=True)
class Need:
    """Something that a statement needs."""

    kind: Literal["version", "extension", "role", "role made", "role granted"]
    """What is needed; of roles, also those that the statement itself makes or changes, and those that it grants something."""
    name: str
    """The extension or the role; of a version, what needs it."""
    at: Position
    version: int = 0
    """First major version of PostgreSQL that has it."""


@dataclass(frozen=True)
class KnownServer:
    """What is known of the servers that the files are to run on; None where it is not known."""

    what: str = ""
    """Where it is known from, such as the image."""
    postgres: int | None = None
    """Newest major version that it can be."""
    extensions: frozenset[str] | None = None
    """Those that it has, made or not."""
    roles: frozenset[str] | None = None
    citus: tuple[int, int] | None = None
    """Release of Citus, such as (13, 2). Where it is not known, the oldest that is supported is meant."""

    def or_else(self, other: KnownServer) -> KnownServer:
        """Return what is known here, and what only the other knows."""
        return KnownServer(
            self.what if self.postgres else other.what,
            self.postgres or other.postgres,
            other.extensions if self.extensions is None else self.extensions,
            other.roles if self.roles is None else self.roles,
            self.citus or other.citus,
        )


def parse_release(version: str | None) -> tuple[int, int] | None:
    """Return the release of a version of Citus, such as 13.2-1 or 13.2.2; None where it is none."""
    found = re.match(r"(\d+)\.(\d+)", version or "")
    return (int(found[1]), int(found[2])) if found else None


def find_needs(kind: str, statement: Any, text: str, at: Position, functions: Collection[str] = ()) -> Iterator[Need]:
    """Yield what a statement needs; `functions` are those that the files create themselves."""
    if kind == "create_extension_stmt":
        yield Need("extension", statement.extname, at)
    yield from (Need("role", role, at) for role in dict.fromkeys(roles_of(kind, statement)))
    yield from (Need("role made", role, at) for role in _roles_changed(kind, statement))
    yield from (Need("role granted", role, at) for role in _roles_granted(kind, statement))
    if _adds_not_null(kind, statement):
        yield Need("version", "NOT NULL as a constraint of the table", at, 18)
    if kind != "insert_stmt" and (lower := text.lower()) and any(word in lower for word in _WORDS):
        parts = messages_by_type(statement)
        yield from (
            Need("version", what, at, version) for what, version, uses in _NEWER if uses(kind, statement, parts)
        )
        for name in dict.fromkeys(_called(parts)):
            if name in _FUNCTIONS and name not in functions:
                yield Need("version", f"the function {name}()", at, _FUNCTIONS[name])


def _roles_changed(kind: str, statement: Any) -> Sequence[str]:
    """Return the roles that a statement makes, alters, renames or drops; their own settings of parameters are no change."""
    if kind == "create_role_stmt":
        return [statement.role]
    if kind == "alter_role_stmt":
        return [statement.role.rolename]
    if kind == "drop_role_stmt":
        return [it.role_spec.rolename for it in statement.roles]
    if kind == "rename_stmt" and object_type(statement.rename_type) == "OBJECT_ROLE":
        return [statement.subname, statement.newname]
    return []


def _roles_granted(kind: str, statement: Any) -> Sequence[str]:
    """Return the roles to which a statement grants something."""
    statement = statement.action if kind == "alter_default_privileges_stmt" else statement
    if kind not in _GRANTS or not statement.is_grant:
        return []
    grantees = statement.grantee_roles if kind == "grant_role_stmt" else statement.grantees
    return [it.role_spec.rolename for it in grantees if it.role_spec.rolename]


_GRANTS: Final = ("grant_stmt", "grant_role_stmt", "alter_default_privileges_stmt")


_Parts = Mapping[str, Sequence[Any]]
"""The parts of a statement by their types."""

_Test = Callable[[str, Any, _Parts], bool]


def _called(parts: _Parts) -> Iterator[str]:
    """Yield the functions that it calls, but those of a schema other than pg_catalog."""
    for call in parts.get("FuncCall", ()):
        *schema, name = (node.string.sval for node in call.funcname)
        if schema in ([], ["pg_catalog"]):
            yield name


def _any(of: str, test: Callable[[Any], bool]) -> _Test:
    return lambda _kind, _statement, parts: any(map(test, parts.get(of, ())))


def _is(kind: str, test: Callable[[Any], bool] = lambda _: True) -> _Test:
    return lambda own, statement, _parts: own == kind and test(statement)


def _command(action: str) -> _Test:
    return _any("AlterTableCmd", lambda it: action_of(it) == action)


def _node(*types: str) -> _Test:
    return lambda _kind, _statement, parts: not parts.keys().isdisjoint(types)


def _adds_not_null(kind: str, statement: Any) -> bool:
    """Tell whether NOT NULL is a constraint of the table and not of a column."""
    elements = statement.table_elts if kind == "create_stmt" else statement.cmds if kind == "alter_table_stmt" else ()
    own = (getattr(node.alter_table_cmd, "def") if kind == "alter_table_stmt" else node for node in elements)
    return any(constraint_kind(node.constraint) == "CONSTR_NOTNULL" for node in own)


_FUNCTIONS: Final = {
    **dict.fromkeys(
        ("uuidv7", "uuidv4", "casefold", "array_sort", "array_reverse", "crc32", "crc32c", "gamma", "lgamma"), 18
    ),
    **dict.fromkeys(("xmltext", "to_bin", "to_oct", "unicode_assigned", "pg_basetype"), 17),
    **dict.fromkeys(
        ("any_value", "random_normal", "array_sample", "array_shuffle", "date_add", "date_subtract", "erf", "erfc"), 16
    ),
    **dict.fromkeys(("pg_input_is_valid", "pg_input_error_info", "system_user"), 16),
    **dict.fromkeys(("regexp_count", "regexp_instr", "regexp_like", "regexp_substr", "range_agg"), 15),
    **dict.fromkeys(("unistr", "bit_count", "date_bin", "string_to_table", "trim_array"), 14),
}


_MULTIRANGES: Final = {f"{it}multirange" for it in ("int4", "int8", "num", "ts", "tstz", "date")}


def _is_not_enforced(constraint: Any) -> bool:
    kind = constraint_kind(constraint)
    return kind == "CONSTR_ATTR_NOT_ENFORCED" or (
        kind in ("CONSTR_CHECK", "CONSTR_FOREIGN") and not constraint.is_enforced
    )


def _nulls_not_distinct(kind: str, statement: Any, parts: _Parts) -> bool:
    index = kind == "index_stmt" and statement.nulls_not_distinct
    return bool(index) or any(it.nulls_not_distinct for it in parts.get("Constraint", ()))


def _publishes_parts(kind: str, _statement: Any, parts: _Parts) -> bool:
    if kind not in ("create_publication_stmt", "alter_publication_stmt"):
        return False
    tables = parts.get("PublicationTable", ())
    of_schema = any("SCHEMA" in str(it) for it in parts.get("PublicationObjSpec", ()))
    return of_schema or any(it.columns or it.HasField("where_clause") for it in tables)


def _is_multirange(type_name: Any) -> bool:
    return bool(type_name.names) and type_name.names[-1].string.sval in _MULTIRANGES


_NEWER: Final[tuple[tuple[str, int, _Test], ...]] = (
    ("a key WITHOUT OVERLAPS", 18, _any("Constraint", lambda it: it.without_overlaps)),
    ("a foreign key with PERIOD", 18, _any("Constraint", lambda it: it.fk_with_period or it.pk_with_period)),
    ("a VIRTUAL generated column", 18, _any("Constraint", lambda it: it.generated_kind == "v")),
    ("NOT ENFORCED", 18, _any("Constraint", _is_not_enforced)),
    ("RETURNING with OLD or NEW", 18, _any("ReturningClause", lambda it: bool(it.options))),
    ("SET EXPRESSION", 17, _command("SetExpression")),
    ("JSON_TABLE, JSON_VALUE, JSON_QUERY or JSON_EXISTS", 17, _node("JsonTable", "JsonFuncExpr")),
    ("JSON(), JSON_SCALAR() or JSON_SERIALIZE()", 17, _node("JsonParseExpr", "JsonScalarExpr", "JsonSerializeExpr")),
    ("MERGE with RETURNING", 17, _is("merge_stmt", lambda it: it.HasField("returning_clause"))),
    ("the privilege MAINTAIN", 17, _any("AccessPriv", lambda it: it.priv_name == "maintain")),
    ("an event trigger on login", 17, _is("create_event_trig_stmt", lambda it: it.eventname == "login")),
    ("the builtin provider of collations", 17, _is("define_stmt", lambda it: "builtin" in str(it.definition))),
    ("STORAGE of a column in CREATE TABLE", 16, _any("ColumnDef", lambda it: bool(it.storage_name))),
    ("SQL/JSON constructors", 16, _node("JsonObjectConstructor", "JsonArrayConstructor", "JsonArrayQueryConstructor")),
    ("IS JSON", 16, _node("JsonIsPredicate")),
    ("SQL/JSON aggregates", 16, _node("JsonObjectAgg", "JsonArrayAgg")),
    ("NULLS NOT DISTINCT", 15, _nulls_not_distinct),
    ("MERGE", 15, _is("merge_stmt")),
    ("ON DELETE SET NULL (columns)", 15, _any("Constraint", lambda it: bool(it.fk_del_set_cols))),
    ("a view with security_invoker", 15, _any("DefElem", lambda it: it.defname == "security_invoker")),
    ("an unlogged sequence", 15, _is("create_seq_stmt", lambda it: it.sequence.relpersistence == "u")),
    ("a privilege on a parameter", 15, _is("grant_stmt", lambda it: object_type(it.objtype) == "OBJECT_PARAMETER_ACL")),
    ("a publication of a schema, with columns or with WHERE", 15, _publishes_parts),
    ("a body with BEGIN ATOMIC or RETURN", 14, _is("create_function_stmt", lambda it: it.HasField("sql_body"))),
    ("COMPRESSION of a column", 14, _any("ColumnDef", lambda it: bool(it.compression))),
    ("SET COMPRESSION", 14, _command("SetCompression")),
    ("a multirange type", 14, _any("TypeName", _is_multirange)),
)


_WORDS: Final = (
    *(
        "overlaps",
        "period",
        "always as",
        "enforced",
        "returning",
        "expression",
        "json",
        "merge",
        "maintain",
        "login",
        "builtin",
    ),
    *(
        "storage",
        "distinct",
        "set null (",
        "set null(",
        "set default (",
        "set default(",
        "security_invoker",
        "unlogged",
        "parameter",
    ),
    *("publication", "atomic", "return ", "return\n", "compression", "multirange", *_FUNCTIONS),
)
"""A statement that has none of these words, in lower case, needs no special version."""
