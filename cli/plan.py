"""`python -m cli plan`: the plan's findings and steps, from files and the stack's state: no engine, no database.

The findings and the steps are those of the program itself (components/plan.py); docs/plan.md tells the formats.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import yaml

from cli.mend import write_mend
from cli.queries import judge_queries
from cli.select_stack import settings_file
from cli.standing import read_standing
from components.errors import PlanError, SettingsError, StackError
from components.names import TableName
from components.nodes.runtime import open_runtime
from components.plan.findings import Finding, by_kind, listed_findings
from components.plan.later import Standing
from components.plan.layout import Layout
from components.plan.patterns import BY_PATTERN, ExpandedPattern
from components.plan.plan import ShardingPlan
from components.plan.rules import RULES
from components.plan.tenants import plan_tenants
from components.schema.files import Schema
from components.schema.needs import KnownServer
from components.schema.transactions import read_mark
from components.settings import PROJECT, SEED_STACK, Settings, refuse_plain_passwords
from components.tables import Local

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from components.errors import InputError
    from components.keys import PlannedForeignKey
    from components.plan.functions import PlannedFunction
    from components.plan.plan import PlannedSchema, PlannedTable
    from components.plan.tenants import Tenancy

__all__ = ["FORMATS", "Planned", "plan_command", "read_plan"]

FORMATS: Final = ("text", "json", "github")
JSON_VERSION: Final = 1
"""Of the schema of `--format json`; grows when a field changes its meaning or goes away."""
_NO_PASSWORD: Final = "not read"  # noqa: S105 - the plan has no use for it


@dataclass(frozen=True)
class Planned:
    """What the plan of a stack finds, each finding with its file's path from here, and what it does."""

    findings: tuple[Finding, ...]
    steps: tuple[dict[str, Any], ...]
    patterns: tuple[ExpandedPattern, ...] = ()
    """What each pattern of the settings came to."""
    settings: Settings | None = field(default=None, repr=False)
    """None where they cannot be read."""
    warned: frozenset[str] = frozenset()
    """Its warnings as the program words them, too."""
    standing: Standing | None = field(default=None, repr=False)
    """What the stack's state tells of its cluster; None where it is planned as a new one."""
    server: KnownServer | None = field(default=None, repr=False)
    """What the settings tell of the servers."""
    layout: Layout | None = field(default=None, repr=False)
    """Its tables, to judge queries by; None where they cannot be read."""

    @property
    def errors(self) -> int:
        """Return how many findings block it."""
        return sum(finding.severity == "error" for finding in self.findings)

    @property
    def warnings(self) -> int:
        """Return how many findings do not block it."""
        return len(self.findings) - self.errors


def plan_command(stack: str, output: str, mend: str = "", queries: str = "") -> int:
    """Print the plan of a stack of the current folder, by default dev's; return 1 where it has errors.

    With `mend` its findings are mended in a new file of the schema instead, and the code is that of a plan with this file.
    With `queries`, a file or a connection, print what becomes of an application's statements in place of the steps.
    """
    stack = stack or SEED_STACK
    if output not in FORMATS:
        print(f"--format {output}: name one of {', '.join(FORMATS)}", file=sys.stderr)
        return 2
    try:
        planned = read_plan(stack)
        if mend:
            told, code = write_mend(stack, planned, mend)
            print(told)
            return code
        judged = judge_queries(queries, planned.layout) if queries and planned.layout is not None else None
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    if output == "json":
        shown = {**_document(stack, planned), **(judged.document() if judged else {})}
        print(json.dumps(shown, ensure_ascii=False, indent=2))
        return int(planned.errors > 0)
    if output == "github":
        lines = _annotations([*planned.findings, *(judged.findings() if judged else ())])
    else:
        lines = judged.text() if judged else _text(stack, planned)
    for line in lines:
        print(line)
    return int(planned.errors > 0)


def read_plan(stack: str) -> Planned:
    """Read the settings and the SQL files of a stack of the current folder, and plan what they say.

    Raises:
        SettingsError: the stack has no file of settings. All else that is wrong is a finding.
    """
    file = settings_file(stack)
    text = file.read_text("utf-8")
    findings: list[Finding] = []
    plan, settings, server = ShardingPlan((), ()), None, None
    tenancies: tuple[Tenancy, ...] = ()
    standing = read_standing(stack)
    try:
        settings = _settings(text, stack)
        schema = Schema.read(settings.schema_dir)
        server = open_runtime(stack, settings).expect(settings)
        plan = ShardingPlan.draft(schema, settings, standing, server)
        findings += plan.findings
        if not plan.errors:
            tenancies, wrong = _tenancies(plan, schema, settings)
            findings = [*wrong, *findings]
    except SettingsError as error:
        findings += _unplanned("settings", error, "settings.Settings")
    except PlanError as error:
        findings += _unplanned("sql", error, "schema.Schema")
    folder = PurePosixPath(settings.schema_dir.as_posix()) if settings else PurePosixPath()
    return Planned(
        findings=tuple(_placed(finding, folder, file, text) for finding in findings),
        steps=tuple(_steps(plan, folder, settings.shard_count if settings else 0, tenancies)),
        patterns=plan.patterns,
        settings=settings,
        warned=frozenset(map(str, plan.warnings)),
        standing=standing,
        server=server,
        layout=plan.layout,
    )


def _tenancies(plan: ShardingPlan, schema: Schema, settings: Settings) -> tuple[tuple[Tenancy, ...], list[Finding]]:
    """Return the tenants of each group, or why they cannot be placed."""
    try:
        return plan_tenants(plan, schema, settings), []
    except PlanError as error:
        return (), list(_unplanned("tenants", error, "tenants.plan_tenants"))


def _settings(text: str, stack: str) -> Settings:
    """Read the stack's settings as Pulumi would hand them over; secrets stay where they are."""
    config = (yaml.safe_load(text) or {}).get("config") or {}
    refuse_plain_passwords(config)
    values = {
        key.removeprefix(f"{PROJECT}:"): value if isinstance(value, str) else json.dumps(_without_secrets(value))
        for key, value in config.items()
        if key.startswith(f"{PROJECT}:") and not (isinstance(value, dict) and set(value) == {"secure"})
    }
    return Settings.parse({**values, "password": _NO_PASSWORD}, stack=stack)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return _NO_PASSWORD if set(value) == {"secure"} else {key: _without_secrets(it) for key, it in value.items()}
    return value


def _unplanned(rule: str, error: InputError, source: str) -> Iterator[Finding]:
    """Yield what is wrong before there is a plan as findings."""
    for it in error.problems:
        yield Finding("error", rule, it.file, it.line, it.column, "", it.message, "", source, it.setting)


def _placed(finding: Finding, folder: PurePosixPath, file: Path, text: str) -> Finding:
    """Return the finding with its file's path from here; a setting's is in the stack's file."""
    if finding.file:
        return replace(finding, file=str(folder / finding.file))
    return replace(finding, file=file.name, line=_line(finding, text))


def _line(finding: Finding, text: str) -> int:
    """Return the line of the setting in the stack's file, or of what is nearest above it."""
    of_pattern = finding.setting.partition(BY_PATTERN)
    named = of_pattern[0].removeprefix(f"{PROJECT}:tables.") if of_pattern[1] else finding.table
    path = ["config", f"{PROJECT}:tables", named]
    prefix = f"{PROJECT}:tables.{finding.table}."
    if finding.setting.startswith(prefix):
        path.append(finding.setting.removeprefix(prefix).partition(" ")[0])
    elif not finding.table or finding.setting.startswith(f"{PROJECT}:schemas."):
        name, _, table = finding.setting.partition(" = ")[0].partition(".")
        path = ["config", name, table, table.partition(".pin.")[0]]
    node, line = yaml.compose(text, Loader=yaml.SafeLoader), 1
    for name in path:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = next((pair for pair in pairs if _is(pair[0].value, name)), None)
        if found is None:
            continue
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _is(key: str, name: str) -> bool:
    """Tell whether a key of the settings names this: a table may be spelled in several ways."""
    if key == name:
        return True
    try:
        return str(TableName.parse(key)) == name
    except ValueError:
        return False


def _steps(
    plan: ShardingPlan, folder: PurePosixPath, shard_count: int, tenancies: Iterable[Tenancy]
) -> Iterator[dict[str, Any]]:
    """Yield what an update does, in its order (components/cluster.py)."""
    steps: list[dict[str, Any]] = [
        {"kind": "file", "file": str(folder / file.name), "transaction": not read_mark(file.comments)}
        for file in plan.files
    ]
    steps += [{"kind": "local", "table": str(it.table)} for it in plan.undistributed]
    steps += [{"kind": "localSchema", "schema": it.name} for it in plan.schemas if it.declaration.undistribute]
    by_pattern = {table: str(it.pattern) for it in plan.patterns for table in it.tables}
    steps += [
        {"kind": "table", **_table(table, shard_count), "pattern": by_pattern.get(table.name)} for table in plan.tables
    ]
    steps += [{"kind": "schema", **_schema(it)} for it in plan.schemas if not it.declaration.undistribute]
    steps += [{"kind": "function", **_function(it)} for it in plan.functions]
    steps += [
        {"kind": "tenants", "table": str(it.table), "pin": dict(it.pin), "spread": list(it.spread)} for it in tenancies
    ]
    for number, step in enumerate(steps, 1):
        yield {"step": number, **step}


def _table(table: PlannedTable, shard_count: int) -> dict[str, Any]:
    changed = table.old_key is not None and table.old_key != table.new_key
    return {
        "table": str(table.name),
        "how": "distributed" if table.distribution_column else "reference",
        "column": table.distribution_column,
        "colocateWith": str(table.colocate_with) if table.colocate_with else None,
        "group": str(table.group) if table.group else None,
        "shardCount": shard_count if table.distribution_column else None,
        "primaryKey": {"from": list(table.old_key or ()), "to": list(table.new_key or ())} if changed else None,
        "after": [str(name) for name in table.after],
        "setAside": [_foreign_key(key) for key in table.set_aside],
        "restored": [_foreign_key(key) for key in table.restored],
    }


def _schema(schema: PlannedSchema) -> dict[str, Any]:
    return {
        "schema": schema.name,
        "worker": schema.worker,
        "tables": [str(name) for name in schema.declaration.tables],
        "after": [str(name) for name in schema.after],
    }


def _function(function: PlannedFunction) -> dict[str, Any]:
    declared = function.declaration
    return {
        "function": function.signature,
        "argument": declared.argument,
        "colocateWith": str(declared.colocate_with),
        "forceDelegation": declared.force_delegation,
    }


def _foreign_key(key: PlannedForeignKey) -> dict[str, str]:
    return {"table": str(key.table), "name": key.name, "references": str(key.references)}


def _document(stack: str, planned: Planned) -> dict[str, Any]:
    return {
        "version": JSON_VERSION,
        "stack": stack,
        "errors": planned.errors,
        "warnings": planned.warnings,
        "applied": sorted(planned.standing.files) if planned.standing else None,
        "findings": [asdict(finding) for finding in planned.findings],
        "steps": planned.steps,
        "patterns": [
            {
                "pattern": str(it.pattern),
                "how": it.how,
                "tables": [str(name) for name in it.tables],
                "left": [str(name) for name in it.left],
            }
            for it in planned.patterns
        ],
    }


def _text(stack: str, planned: Planned) -> Iterator[str]:
    for alike in by_kind(planned.findings):
        finding, rule = alike[0], RULES.get(alike[0].rule)
        if len(alike) > 1 and rule is not None:
            first, *more = listed_findings(alike, rule)
            yield from (f"{finding.severity} [{finding.rule}] {first}", *more)
            continue
        for it in alike:
            place = ":".join(str(part) for part in (it.file, it.line, it.column) if part)
            said = ": ".join(part for part in (it.setting, it.message) if part)
            yield f"{it.severity} [{it.rule}] {place}: {said}"
            if it.remedy:
                yield f"    fix: {it.remedy}"
    how = _judged(planned.standing)
    yield f"stack {stack}, {how}: {planned.errors} errors, {planned.warnings} warnings; {len(planned.steps)} steps"
    for step in planned.steps:
        first, *more = _step(step)
        yield f"{step['step']:4}  {first}"
        yield from (f"        {line}" for line in more)
    for pattern in planned.patterns:
        yield f"pattern {pattern.pattern}, {pattern.how}: {_names(pattern.tables)}"
        if pattern.left:
            yield f"        left as they are: {_names(pattern.left)}"


def _names(tables: Iterable[TableName]) -> str:
    return ", ".join(map(str, tables)) or "none"


def _judged(standing: Standing | None) -> str:
    if standing is None:
        return "as a new one"
    sharded = sum(sharding != Local() for sharding in standing.tables.values())
    return f"by its state ({len(standing.files)} files applied, {sharded} tables sharded)"


def _step(step: dict[str, Any]) -> Iterator[str]:
    match step["kind"]:
        case "file":
            yield f"run {step['file']}" + (
                "" if step["transaction"] else ", statement by statement, outside a transaction"
            )
        case "local":
            yield f"{step['table']}: local again, on the coordinator only"
        case "localSchema":
            yield f"schema {step['schema']}: its tables local again, on the coordinator only"
        case "schema":
            where = f"on worker {step['worker']}" if step["worker"] else "on a worker that Citus chooses"
            yield f"schema {step['schema']}: distributed as a whole, {where}"
            if step["tables"]:
                yield f"tables: {', '.join(step['tables'])}"
        case "function":
            of = f" of its {step['argument']}" if step["argument"] else ""
            yield f"function {step['function']}: runs on the worker{of}, with {step['colocateWith']}"
        case "tenants":
            yield f"tenants of {step['table']}: {'; '.join(_placements(step))}"
        case _:
            yield from _table_step(step)


def _placements(step: dict[str, Any]) -> Iterator[str]:
    if step["pin"]:
        yield ", ".join(f"{value} on worker {number}" for value, number in step["pin"].items())
    if step["spread"]:
        yield f"{', '.join(step['spread'])} over the workers by size"


def _table_step(step: dict[str, Any]) -> Iterator[str]:
    by_pattern = f"; by the pattern {step['pattern']}" if step["pattern"] else ""
    if step["how"] == "reference":
        yield f"{step['table']}: a copy on every node{by_pattern}"
    else:
        joined = f", colocated with {step['colocateWith']}" if step["colocateWith"] else ""
        yield (
            f"{step['table']}: distributed by {step['column']}{joined} (group of {step['group']}, "
            f"{step['shardCount']} shards){by_pattern}"
        )
    if step["primaryKey"]:
        old, new = (", ".join(step["primaryKey"][end]) for end in ("from", "to"))
        yield f"primary key ({old}) becomes ({new})"
    for verb, keys in (("set aside", step["setAside"]), ("restored", step["restored"])):
        for key in keys:
            yield f"{verb}: {key['table']}.{key['name']} → {key['references']}"


def _annotations(findings: Iterable[Finding]) -> Iterator[str]:
    """Yield GitHub's workflow commands, escaped as its runner reads them."""
    for finding in findings:
        properties = {"file": finding.file, "line": finding.line, "col": finding.column, "title": finding.rule}
        shown = ",".join(f"{key}={_escaped(str(value), ':,')}" for key, value in properties.items() if value)
        said = ": ".join(part for part in (finding.setting, finding.message, finding.remedy) if part)
        yield f"::{finding.severity} {shown}::{_escaped(said)}"


def _escaped(text: str, more: str = "") -> str:
    for character in f"%\r\n{more}":  # the percent sign first: it begins what the others become
        text = text.replace(character, f"%{ord(character):02X}")
    return text
