"""What a statement needs of the server: its version, an extension, a role. Pure.

The grammar that reads the files is that of the newest PostgreSQL; a server of an older one takes less.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from components.schema.dumps import roles_of
from components.schema.parse_tree import action_of, constraint_kind, messages
from components.schema.relations import Position

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

__all__ = ["KnownServer", "Need", "find_needs"]


@dataclass(frozen=True)
class Need:
    """Something that a statement needs."""

    kind: Literal["version", "extension", "role"]
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

    def or_else(self, other: KnownServer) -> KnownServer:
        """Return what is known here, and what only the other knows."""
        return KnownServer(
            self.what if self.postgres else other.what,
            self.postgres or other.postgres,
            other.extensions if self.extensions is None else self.extensions,
            other.roles if self.roles is None else self.roles,
        )


def find_needs(kind: str, statement: Any, text: str, at: Position, functions: Collection[str] = ()) -> Iterator[Need]:
    """Yield what a statement needs; `functions` are those that the files create themselves."""
    if kind == "create_extension_stmt":
        yield Need("extension", statement.extname, at)
    yield from (Need("role", role, at) for role in dict.fromkeys(roles_of(kind, statement)))
    if kind != "insert_stmt" and _HINT.search(text):
        yield from (Need("version", what, at, version) for what, version, uses in _NEWER if uses(kind, statement))
        for name in dict.fromkeys(_called(statement)):
            if name in _FUNCTIONS and name not in functions:
                yield Need("version", f"the function {name}()", at, _FUNCTIONS[name])


def _called(statement: Any) -> Iterator[str]:
    """Yield the functions that it calls, but those of a schema other than pg_catalog."""
    for call in messages(statement, "FuncCall"):
        *schema, name = (node.string.sval for node in call.funcname)
        if schema in ([], ["pg_catalog"]):
            yield name


def _constraint(test: Callable[[Any], bool]) -> Callable[[str, Any], bool]:
    return lambda _, statement: any(map(test, messages(statement, "Constraint")))


def _command(*actions: str) -> Callable[[str, Any], bool]:
    return lambda kind, statement: (
        kind == "alter_table_stmt" and any(action_of(node.alter_table_cmd) in actions for node in statement.cmds)
    )


def _node(*types: str) -> Callable[[str, Any], bool]:
    return lambda _, statement: any(True for it in types for _ in messages(statement, it))


def _adds_not_null(kind: str, statement: Any) -> bool:
    """Tell whether NOT NULL is a constraint of the table and not of a column."""
    elements = statement.table_elts if kind == "create_stmt" else statement.cmds if kind == "alter_table_stmt" else ()
    own = (getattr(node.alter_table_cmd, "def") if kind == "alter_table_stmt" else node for node in elements)
    return any(constraint_kind(node.constraint) == "CONSTR_NOTNULL" for node in own)


def _has_option(*names: str) -> Callable[[str, Any], bool]:
    return lambda _, statement: any(it.defname in names for it in messages(statement, "DefElem"))


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


def _nulls_not_distinct(kind: str, statement: Any) -> bool:
    index = kind == "index_stmt" and statement.nulls_not_distinct
    return bool(index) or any(it.nulls_not_distinct for it in messages(statement, "Constraint"))


def _publishes_parts(kind: str, statement: Any) -> bool:
    if kind not in ("create_publication_stmt", "alter_publication_stmt"):
        return False
    objects = list(messages(statement, "PublicationObjSpec"))
    tables = list(messages(statement, "PublicationTable"))
    return any("SCHEMA" in str(it) for it in objects) or any(it.columns or it.HasField("where_clause") for it in tables)


def _is_multirange(type_name: Any) -> bool:
    return bool(type_name.names) and type_name.names[-1].string.sval in _MULTIRANGES


_NEWER: Final[tuple[tuple[str, int, Callable[[str, Any], bool]], ...]] = (
    ("a key WITHOUT OVERLAPS", 18, _constraint(lambda it: it.without_overlaps)),
    ("a foreign key with PERIOD", 18, _constraint(lambda it: it.fk_with_period or it.pk_with_period)),
    ("a VIRTUAL generated column", 18, _constraint(lambda it: it.generated_kind == "v")),
    ("NOT ENFORCED", 18, _constraint(_is_not_enforced)),
    ("NOT NULL as a constraint of the table", 18, _adds_not_null),
    (
        "RETURNING with OLD or NEW",
        18,
        lambda _, it: any(True for clause in messages(it, "ReturningClause") if clause.options),
    ),
    ("SET EXPRESSION", 17, _command("SetExpression")),
    ("JSON_TABLE, JSON_VALUE, JSON_QUERY, JSON_EXISTS", 17, _node("JsonTable", "JsonFuncExpr")),
    ("JSON(), JSON_SCALAR() or JSON_SERIALIZE()", 17, _node("JsonParseExpr", "JsonScalarExpr", "JsonSerializeExpr")),
    ("MERGE with RETURNING", 17, lambda kind, it: kind == "merge_stmt" and it.HasField("returning_clause")),
    (
        "the privilege MAINTAIN",
        17,
        lambda _, it: any(one.priv_name == "maintain" for one in messages(it, "AccessPriv")),
    ),
    ("an event trigger on login", 17, lambda kind, it: kind == "create_event_trig_stmt" and it.eventname == "login"),
    (
        "the builtin provider of collations",
        17,
        lambda kind, it: kind == "define_stmt" and "builtin" in str(it.definition),
    ),
    (
        "STORAGE of a column in CREATE TABLE",
        16,
        lambda _, it: any(one.storage_name for one in messages(it, "ColumnDef")),
    ),
    (
        "SQL/JSON constructors, IS JSON",
        16,
        _node(*(f"Json{it}" for it in ("ObjectConstructor", "ArrayConstructor", "IsPredicate"))),
    ),
    ("SQL/JSON aggregates", 16, _node("JsonObjectAgg", "JsonArrayAgg", "JsonArrayQueryConstructor")),
    ("NULLS NOT DISTINCT", 15, _nulls_not_distinct),
    ("MERGE", 15, lambda kind, _: kind == "merge_stmt"),
    ("ON DELETE SET NULL (columns)", 15, _constraint(lambda it: bool(it.fk_del_set_cols))),
    ("a view with security_invoker", 15, _has_option("security_invoker")),
    ("an unlogged sequence", 15, lambda kind, it: kind == "create_seq_stmt" and it.sequence.relpersistence == "u"),
    ("a privilege on a parameter", 15, lambda kind, it: kind == "grant_stmt" and "OBJECT_PARAMETER_ACL" in str(it)),
    ("a publication of a schema, with columns or with WHERE", 15, _publishes_parts),
    (
        "a body with BEGIN ATOMIC or RETURN",
        14,
        lambda kind, it: kind == "create_function_stmt" and it.HasField("sql_body"),
    ),
    ("COMPRESSION of a column", 14, lambda _, it: any(one.compression for one in messages(it, "ColumnDef"))),
    ("SET COMPRESSION", 14, _command("SetCompression")),
    ("a multirange type", 14, lambda _, it: any(_is_multirange(one) for one in messages(it, "TypeName"))),
)


_HINT: Final = re.compile(
    r"overlaps|period|virtual|generated|enforced|not\s+null|returning|expression|json|merge|maintain|login|builtin|storage|distinct"
    r"|set\s+null|set\s+default|security_invoker|unlogged|parameter|publication|atomic|return\b|compression|multirange|"
    + "|".join(_FUNCTIONS),
    re.IGNORECASE,
)
"""Words without which a statement has none of it."""
