"""Functions of `citus:functions`: each found by its signature among those that the files create. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import postgast
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from components.names import ColumnName, TableName
from components.schema.parse_tree import parameter_mode
from components.schema.scope import Scope
from components.tables import FunctionDeclaration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.schema.relations import Relations, Routine
    from components.settings import FunctionSettings

__all__ = [
    "Argument",
    "PlannedFunction",
    "arguments_of",
    "find_argument",
    "find_routine",
    "plan_function",
    "signature_of",
]


@dataclass(frozen=True)
class Argument:
    """An argument of a function."""

    name: str
    type: str
    is_input: bool


@dataclass(frozen=True)
class PlannedFunction:
    """One function of the plan: its declaration, and its signature for people."""

    signature: str
    declaration: FunctionDeclaration


def find_routine(schema: Relations, signature: str) -> tuple[str, Routine] | None:
    """Return the function of this signature and its spelling; None where the files create none, or it cannot be read."""
    try:
        parsed = postgast.parse(f"drop routine {signature}").stmts
    except (postgast.PgQueryError, DecodeError):
        return None
    if len(parsed) != 1 or len(parsed[0].stmt.drop_stmt.objects) != 1:
        return None
    routine, scope = parsed[0].stmt.drop_stmt.objects[0].object_with_args, Scope(schema)
    types = tuple(scope.type_name(node.type_name) for node in routine.objargs)
    name = scope.new_listed_name(routine.objname)
    found = schema.routines.get(name, {}).get(types)
    return (signature_of(name, types), found) if found is not None else None


def signature_of(name: TableName, types: tuple[str, ...]) -> str:
    """Return a function's name with the types of its arguments."""
    return f"{name}({', '.join(types)})"


def arguments_of(schema: Relations, routine: Routine) -> Iterator[Argument]:
    """Yield the arguments of a function in their order, those out of it too."""
    scope = Scope(schema)
    scope.search_path = routine.search_path
    for parameter in (node.function_parameter for node in routine.tree.parameters):
        mode = parameter_mode(parameter)
        yield Argument(parameter.name, scope.type_name(parameter.arg_type), mode not in ("OUT", "TABLE"))


def find_argument(arguments: list[Argument], named: str) -> Argument | None:
    """Return the argument that the settings name, as in SQL or by its number among those of a call."""
    inputs = [it for it in arguments if it.is_input]
    if named.startswith("$"):
        number = int(named[1:]) if named[1:].isascii() and named[1:].isdecimal() and len(named) < 5 else 0  # noqa: PLR2004
        return inputs[number - 1] if 1 <= number <= len(inputs) else None
    try:
        name = ColumnName.parse(named).name
    except ValueError:
        return None
    return next((it for it in inputs if it.name == name), None)


def plan_function(schema: Relations, signature: str, settings: FunctionSettings) -> PlannedFunction:
    """Return a function as it is declared; one that is wrong is as it is written."""
    found = find_routine(schema, signature)
    argument = settings.distribute_by
    definition = ""
    if found is not None:
        text: Any = found[1].text
        definition = hashlib.sha256(text.encode()).hexdigest()[:16]
    if argument is not None and not argument.startswith("$"):
        known = find_argument(list(arguments_of(schema, found[1])), argument) if found is not None else None
        argument = known.name if known is not None else argument
    declaration = FunctionDeclaration(
        function=signature.strip(),
        argument=argument,
        colocate_with=settings.colocate_with,
        force_delegation=settings.force_delegation,
        definition=definition,
    )
    return PlannedFunction(found[0] if found is not None else signature.strip(), declaration)
