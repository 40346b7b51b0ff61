"""CREATE of types, collations and sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from components.names import TableName
from components.schema.definitions import column_of
from components.schema.parse_tree import bounds_of, collation_of, object_type
from components.schema.relations import Sequence, UserType

if TYPE_CHECKING:
    from components.schema.scope import Handler, Scope

__all__ = ["HANDLERS"]


def _create_enum(scope: Scope, statement: Any) -> None:
    scope.relations.types[scope.listed_name(statement.type_name)] = UserType("enum")


def _create_range(scope: Scope, statement: Any) -> None:
    name = scope.listed_name(statement.type_name)
    before, word, after = name.name.partition("range")
    multirange = f"{before}multirange{after}" if word else f"{name.name}_multirange"
    scope.relations.types[name] = scope.relations.types[TableName(name.schema, multirange)] = UserType("range")


def _create_domain(scope: Scope, statement: Any) -> None:
    base = scope.type_name(statement.type_name)
    collation = collation_of(statement.coll_clause)
    scope.relations.types[scope.listed_name(statement.domainname)] = UserType("domain", (base,), collation)


def _create_composite(scope: Scope, statement: Any) -> None:
    columns = [column_of(scope, node.column_def) for node in statement.coldeflist]
    scope.relations.types[scope.name(statement.typevar)] = UserType(
        "composite", tuple(column.type for column in columns), columns={column.name: column for column in columns}
    )


def _define(scope: Scope, statement: Any) -> None:
    if object_type(statement.kind) == "OBJECT_COLLATION":
        options = {node.def_elem.defname: str(node.def_elem.arg) for node in statement.definition}
        scope.relations.collations[scope.listed_name(statement.defnames)] = "false" not in options.get(
            "deterministic", ""
        )


def _create_sequence(scope: Scope, statement: Any) -> None:
    scope.relations.sequences[scope.name(statement.sequence)] = Sequence(scope.at, tuple(bounds_of(statement.options)))


HANDLERS: Final[dict[str, Handler]] = {
    "create_enum_stmt": _create_enum,
    "create_range_stmt": _create_range,
    "create_domain_stmt": _create_domain,
    "composite_type_stmt": _create_composite,
    "define_stmt": _define,
    "create_seq_stmt": _create_sequence,
}
