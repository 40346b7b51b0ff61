"""Rules about functions that run on the worker of a tenant: their signature, their argument, and what they use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.names import ColumnName, TableName
from components.plan.findings import Rule
from components.plan.functions import arguments_of, find_argument, find_routine, signature_of
from components.plan.queries import judge
from components.plan.queries.bodies import UnreadableError, read_body
from components.plan.rules.names import did_you_mean
from components.tables import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from components.plan.findings import Finding
    from components.plan.layout import Layout
    from components.schema.relations import Routine
    from components.settings import FunctionSettings

__all__ = ["check_functions"]


UNKNOWN_FUNCTION: Final = Rule(
    "unknown-function",
    "error",
    what="`citus:functions` names a function that no SQL file creates with these types of arguments, or names one twice.",
    why="A function is known by its name and the types of its arguments; those that only return something (OUT) are left out.",
    remedy="Spell its signature as in SQL, such as `sell(int, text)`, or add the file.",
    source="functions.ensure_distributed",
)

FUNCTION_KIND: Final = Rule(
    "function-kind",
    "error",
    what="`citus:functions` names an aggregate, a trigger's function, one that is neither in SQL nor in PL/pgSQL, or one that is "
    "IMMUTABLE.",
    why="Only plain calls are passed on to a worker. PostgreSQL computes an IMMUTABLE function on the coordinator, as it plans.",
    remedy="Write it in PL/pgSQL or SQL, VOLATILE or STABLE; or remove it from the settings.",
    source="TryToDelegateFunctionCall",
)

FUNCTION_TABLE: Final = Rule(
    "function-table",
    "error",
    what="A function is colocated with a table that the settings do not shard.",
    why="It runs where the shard of its tenant is.",
    remedy="Name a table of `citus:tables`, or one of a schema of `citus:schemas`.",
    source="GetFunctionColocationId",
)

FUNCTION_ARGUMENT: Final = Rule(
    "function-argument",
    "error",
    what="The argument by which a function is distributed does not exist, is missing, stands behind an OUT argument, or is given "
    "for a table that has no distribution column.",
    why="The value of the argument says on which worker the call runs. Citus counts OUT arguments too, and then finds no value.",
    remedy="Name an argument of the call, or `$1` for the first one. With a reference table or a table of a distributed schema, "
    "leave `distributeBy` out.",
    source="GetDistributionArgIndex, EnsureFunctionCanBeColocatedWithTable",
)

FUNCTION_TYPE: Final = Rule(
    "function-type",
    "error",
    what="The argument by which a function is distributed has another type than the distribution column.",
    why="Citus refuses types that cannot be converted, and converts others by way of text, which fails in a call if the text "
    "is no value of the column.",
    remedy="Give the argument the type of the column.",
    source="EnsureFunctionCanBeColocatedWithTable",
)

FUNCTION_LOCAL_TABLE: Final = Rule(
    "function-local-table",
    "error",
    what="A function that runs on a worker reads or writes a table that stays on the coordinator, or takes or returns its rows.",
    why="The worker does not have the table: the call fails.",
    remedy="Make the other a reference table, or distribute it too.",
    source="DeferErrorIfAnyObjectHasUnsupportedDependency",
)


_LANGUAGES: Final = ("sql", "plpgsql")
_ALIKE: Final = ({"int2", "int4", "int8"}, {"text", "varchar", "bpchar"})
"""Types of which each can stand for another: their values are converted without loss, or refused in the call."""


def check_functions(layout: Layout, functions: Mapping[str, FunctionSettings]) -> Iterator[Finding]:
    """Check what create_distributed_function demands, and what would make calls fail, or run on the coordinator."""
    seen: dict[str, str] = {}
    for signature, settings in functions.items():
        setting = f"citus:functions.{signature}"
        found = find_routine(layout.schema, signature)
        if found is None:
            known = [signature_of(name, types) for name, of in layout.schema.routines.items() for types in of]
            message = f"no SQL file of citus:schemaDir creates this function{did_you_mean(signature, known)}"
            remedy = "spell it as in SQL, with the types of its arguments, such as sell(int, text)"
            yield UNKNOWN_FUNCTION.finding(None, message, remedy, setting=setting)
            continue
        spelled, routine = found
        if spelled in seen:
            message = f"{seen[spelled]} names the same function"
            yield UNKNOWN_FUNCTION.finding(None, message, "remove one of the two", setting=setting)
            continue
        seen[spelled] = signature
        yield from _check_kind(routine, spelled)
        yield from _check_argument(layout, routine, settings, setting)
        yield from _check_tables(layout, routine, spelled)


def _check_kind(routine: Routine, spelled: str) -> Iterator[Finding]:
    returned = routine.tree.return_type.names if routine.tree is not None else ()
    if routine.is_aggregate or routine.language not in _LANGUAGES:
        what = "an aggregate" if routine.is_aggregate else f"in {routine.language}"
        message, remedy = f"{spelled} is {what}", "write it in plpgsql or sql"
    elif returned and returned[-1].string.sval in ("trigger", "event_trigger"):
        message, remedy = f"{spelled} is the function of a trigger, which no call passes on to a worker", "remove it"
    elif routine.volatility == "i":
        message = f"{spelled} is IMMUTABLE: PostgreSQL computes it on the coordinator, while it plans"
        remedy = f"alter function {spelled} volatile, or remove it from citus:functions"
    else:
        return
    yield FUNCTION_KIND.finding(routine.name, message, remedy, at=routine.at)


def _check_argument(layout: Layout, routine: Routine, settings: FunctionSettings, setting: str) -> Iterator[Finding]:
    table, named = settings.colocate_with, settings.distribute_by
    is_sharded = table in layout.settings or table in layout.single_shard
    if not is_sharded:
        message = f"the settings do not shard that table{did_you_mean(table, [*layout.settings, *layout.single_shard])}"
        yield FUNCTION_TABLE.finding(
            table, message, "add it to citus:tables", setting=f"{setting}.colocateWith = {table}"
        )
        return
    is_by_column = layout.kind(table) == Kind.DISTRIBUTED
    if named is None or not is_by_column:
        if is_by_column:
            message = f"{table} is distributed by a column: the function needs the argument that has its value"
            yield FUNCTION_ARGUMENT.finding(table, message, f"add distributeBy to {setting}", setting=setting)
        elif named is not None:
            message = f"{table} is {layout.kind(table)}, which has no distribution column"
            yield FUNCTION_ARGUMENT.finding(table, message, "remove it", setting=f"{setting}.distributeBy = {named}")
        return
    if routine.tree is None or routine.is_aggregate:
        return
    arguments = list(arguments_of(layout.schema, routine))
    argument, at = find_argument(arguments, named), f"{setting}.distributeBy = {named}"
    if argument is None:
        names = [str(ColumnName(it.name)) for it in arguments if it.is_input and it.name]
        message = f"the function has no such argument{did_you_mean(named, names)}"
        remedy = f"name one of {', '.join(names) or '$1, …'}"
        yield FUNCTION_ARGUMENT.finding(table, message, remedy, setting=at)
        return
    if not all(it.is_input for it in arguments[: arguments.index(argument)]):
        message = "it stands behind an OUT argument, and Citus would pass no call on"
        yield FUNCTION_ARGUMENT.finding(table, message, "declare it before the OUT arguments", setting=at)
    column = layout.distribution_column(table)
    types = {layout.schema.base_type(it) for it in (argument.type, column.type if column else argument.type)}
    if len(types) > 1 and not any(types <= alike for alike in _ALIKE):
        by = ColumnName(layout.distribution_column_name(table))
        message = f"it is {argument.type}, and {table}.{by} is {column.type if column else ''}"
        yield FUNCTION_TYPE.finding(table, message, "give the argument the type of the column", setting=at)


def _check_tables(layout: Layout, routine: Routine, spelled: str) -> Iterator[Finding]:
    names = set(layout.schema.row_functions.get(routine.name.name, ()))
    try:
        for statement in read_body(routine):
            verdict = judge(statement.tree, layout, search_path=routine.search_path, parameters=statement.parameters)
            names |= verdict.tables
    except UnreadableError:
        pass  # query-unread says so
    for name in sorted(names):
        if _is_local(layout, name):
            message = f"{spelled} uses {name}, which stays on the coordinator"
            remedy = f"make it a reference table (citus:tables.{name}: {{reference: true}}), or distribute it too"
            yield FUNCTION_LOCAL_TABLE.finding(routine.name, message, remedy, at=routine.at)


def _is_local(layout: Layout, name: TableName) -> bool:
    table = layout.schema.tables.get(name)
    is_temporary = table is not None and table.persistence == "t"
    return (
        table is not None
        and not is_temporary
        and layout.kind(name) == Kind.LOCAL
        and layout.root(name) not in layout.managed
    )
