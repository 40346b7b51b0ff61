"""Reads statements, parsed by PostgreSQL's own grammar, into relations. Runs no SQL and knows nothing of sharding.

The statements are handled by subject: create.py and alter.py.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import postgast
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from components.schema import alter, create
from components.schema.dumps import Dump
from components.schema.needs import find_needs
from components.schema.parse_tree import tables_named, types_named, why_not_in_transaction
from components.schema.passwords import without_constants
from components.schema.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from components.errors import Problem
    from components.schema.relations import Position, Relations
    from components.schema.scope import Handler
    from components.schema.statements import SqlFile, Statement

__all__ = ["FileReader", "Problems"]


class Problems:
    """What files may not contain. Of a kind that is met often, one problem stands for all."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def add(self, at: Position, message: str) -> None:
        """Add one; those with the same message are of a kind."""
        self._found.append(at.problem(message))

    def extend(self, problems: Iterable[Problem]) -> None:
        """Add problems that have their places already."""
        self._found += problems

    def __iter__(self) -> Iterator[Problem]:
        """Yield the problems in their order; of a kind that has many, the first, with how many there are."""
        count = Counter(problem.message for problem in self._found)
        told = set()
        for problem in self._found:
            often = count[problem.message]
            if often <= _FEW:
                yield problem
            elif problem.message not in told:
                told.add(problem.message)
                yield replace(problem, message=f"{problem.message}; {often} of this kind, of which this is the first")


_FEW: Final = 3
"""As many of a kind are told one by one."""


class FileReader(Scope):
    """Applies the statements of one file. What a file may not contain is added to `problems`."""

    def __init__(self, relations: Relations, problems: Problems) -> None:
        super().__init__(relations)
        self.problems = problems

    def parse(self, file: SqlFile) -> Iterator[tuple[str, Any]]:
        """Yield each statement that the server is to run, as its kind and its tree; the current one is known as `statement`."""
        dump = Dump(self.problems.add)
        for statement in file.read():
            self.statement = statement
            if statement.is_command:
                dump.command(statement)
                continue
            for kind, tree in self._parsed(statement):
                why = why_not_in_transaction(kind, tree)
                if why is not None:
                    self.problems.add(
                        self.at, f"this statement {why}, but each file runs as one transaction: remove it"
                    )
                elif dump.is_for_server(kind, tree, self.at):
                    yield kind, tree
        dump.finish()

    def _parsed(self, statement: Statement) -> Iterator[tuple[str, Any]]:
        try:
            found = postgast.parse(statement.text).stmts
        except postgast.PgQueryError as error:
            offset = len(statement.text[: max(error.cursorpos - 1, 0)].encode())
            message = without_constants(error.message)
            if message == 'syntax error at or near ":"':
                message += ": what psql would put in for a variable (:name) is to be written out"
            self.problems.add(statement.position(offset), message)
            return
        except DecodeError:
            message = (
                "expression nested too deeply for the parser (about 50 levels): put parentheses around each half of it, or split "
                "the statement"
            )
            self.problems.add(self.at, message)
            return
        for raw in found:
            kind = raw.stmt.WhichOneof("node")
            if kind is not None:
                yield kind, getattr(raw.stmt, kind)

    def apply(self, kind: str, statement: Any) -> None:
        """Apply the current statement; kinds that have no handler change no relation."""
        known = self.relations
        for relation in tables_named(kind, statement):
            known.expect(self.name(relation), self.at)
        for type_name in types_named(kind, statement):
            known.expect(self.listed_name(type_name.names), self.at)
        needs = find_needs(kind, statement, self.statement.text, self.at, known.functions)
        known.needs += (need for need in needs if need.kind != "role" or need.name not in known.roles)
        if kind in _HANDLERS:
            _HANDLERS[kind](self, statement)
        if kind in _CREATING:
            made = statement
            for field in _CREATING[kind]:
                made = getattr(made, field)
            known.meet(self.new_name(made), self.at)
        elif kind in _CREATING_TYPES:
            known.meet(self.new_listed_name(getattr(statement, _CREATING_TYPES[kind])), self.at)


_CREATING: Final = {
    "create_stmt": ("relation",),
    "create_table_as_stmt": ("into", "rel"),
    "view_stmt": ("view",),
    "create_foreign_table_stmt": ("base_stmt", "relation"),
    "create_seq_stmt": ("sequence",),
    "composite_type_stmt": ("typevar",),
}
"""Where a statement has the name of the relation that it creates."""

_CREATING_TYPES: Final = {
    "create_enum_stmt": "type_name",
    "create_range_stmt": "type_name",
    "create_domain_stmt": "domainname",
}


def _create_schema(scope: Scope, statement: Any) -> None:
    scope.relations.schemas.add(statement.schemaname or statement.authrole.rolename)
    outer, scope.search_path = scope.search_path, (statement.schemaname, *scope.search_path)
    for element in statement.schema_elts:
        kind = element.WhichOneof("node")
        if kind in _HANDLERS:
            _HANDLERS[kind](scope, getattr(element, kind))
    scope.search_path = outer


def _set(scope: Scope, statement: Any) -> None:
    if statement.name == "search_path":
        _set_search_path(scope, [arg.a_const.sval.sval for arg in statement.args] or ["public"])


def _select(scope: Scope, statement: Any) -> None:
    """Take `select … into`, and `set_config('search_path', …)`, as pg_dump writes it."""
    for target in statement.target_list:
        call = target.res_target.val.func_call
        if call.funcname and call.funcname[-1].string.sval == "set_config":
            name, value, *_ = (*(argument.a_const for argument in call.args), None, None)
            if name and name.sval.sval == "search_path" and value and value.HasField("sval"):
                _set_search_path(scope, [part.strip().strip('"') for part in value.sval.sval.split(",")])
    create.select_into(scope, statement)


def _create_role(scope: Scope, statement: Any) -> None:
    scope.relations.roles.add(statement.role)


def _set_search_path(scope: Scope, names: list[str]) -> None:
    scope.search_path = tuple(name for name in names if name not in ("", "$user"))


_HANDLERS: Final[dict[str, Handler]] = {
    **create.HANDLERS,
    **alter.HANDLERS,
    "create_schema_stmt": _create_schema,
    "create_role_stmt": _create_role,
    "variable_set_stmt": _set,
    "select_stmt": _select,
}
"""By the field of the parse tree that holds the statement."""
