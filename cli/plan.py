"""`python -m cli plan`: what the plan finds and what it does, from the files alone: no engine, no database, no password.

The findings and the steps are those of the program itself (components/plan.py); docs/plan.md tells the formats.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import yaml

from components.errors import PlanError, SettingsError
from components.findings import Finding
from components.names import TableName
from components.plan import ShardingPlan
from components.schema import Schema
from components.settings import PROJECT, Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from components.plan import PlannedForeignKey, PlannedTable

__all__ = ["FORMATS", "plan_command"]

FORMATS: Final = ("text", "json", "github")
JSON_VERSION: Final = 1
"""Of the schema of `--format json`; grows when a field changes its meaning or goes away."""
_DEFAULT_STACK: Final = "dev"
_NO_PASSWORD: Final = "not read"  # noqa: S105 - the plan has no use for it
_PLACE: Final = re.compile(r"(?P<file>[^:]+):(?P<line>\d+):(?P<column>\d+): (?P<message>.*)", re.DOTALL)


def plan_command(stack: str, output: str) -> int:
    """Print the plan of a stack of the current folder, by default dev's; return 1 where it has errors."""
    stack = stack or _DEFAULT_STACK
    if output not in FORMATS:
        print(f"--format {output}: name one of {', '.join(FORMATS)}", file=sys.stderr)
        return 2
    file = Path(f"Pulumi.{stack}.yaml")
    if not file.is_file():
        known = ", ".join(path.name.split(".")[1] for path in sorted(Path().glob("Pulumi.*.yaml")))
        print(f"{file}: there is no such file: name one of the stacks {known}", file=sys.stderr)
        return 1
    text = file.read_text("utf-8")
    findings: list[Finding] = []
    plan, shard_count, folder = ShardingPlan((), ()), 0, PurePosixPath()
    try:
        settings = _settings(text, stack)
        shard_count, folder = settings.shard_count, PurePosixPath(settings.schema_dir.as_posix())
        plan = ShardingPlan.draft(Schema.read(settings.schema_dir), settings.tables)
        findings += plan.findings
    except SettingsError as error:
        findings += [_unread("settings", line, "settings.Settings") for line in str(error).splitlines()]
    except PlanError as error:
        findings += [_unread("sql", line, "schema.Schema") for line in str(error).splitlines()]
    shown = [_placed(finding, folder, file, text) for finding in findings]
    steps = list(_steps(plan, folder, shard_count))
    if output == "json":
        print(json.dumps(_document(stack, shown, steps), ensure_ascii=False, indent=2))
    else:
        for line in _annotations(shown) if output == "github" else _text(stack, shown, steps):
            print(line)
    return int(any(finding.severity == "error" for finding in shown))


def _settings(text: str, stack: str) -> Settings:
    """Read the stack's settings as Pulumi would hand them over; secrets stay where they are."""
    config = (yaml.safe_load(text) or {}).get("config") or {}
    values = {
        key.removeprefix(f"{PROJECT}:"): value if isinstance(value, str) else json.dumps(value)
        for key, value in config.items()
        if key.startswith(f"{PROJECT}:") and not (isinstance(value, dict) and set(value) == {"secure"})
    }
    return Settings.parse({**values, "password": _NO_PASSWORD}, stack=stack)


def _unread(rule: str, line: str, source: str) -> Finding:
    """Return a line of an error that stands before any plan as a finding."""
    place = _PLACE.fullmatch(line)
    setting, _, message = line.partition(": ") if line.startswith(f"{PROJECT}:") else ("", "", line)
    return Finding(
        severity="error",
        rule=rule,
        file=place["file"] if place else "",
        line=int(place["line"]) if place else None,
        column=int(place["column"]) if place else None,
        table="",
        message=place["message"] if place else message,
        remedy="",
        source=source,
        setting=setting,
    )


def _placed(finding: Finding, folder: PurePosixPath, file: Path, text: str) -> Finding:
    """Return the finding with its file's path from here; a setting's is in the stack's file."""
    if finding.file:
        return replace(finding, file=str(folder / finding.file))
    return replace(finding, file=file.name, line=_line(finding, text))


def _line(finding: Finding, text: str) -> int:
    """Return the line of the setting in the stack's file, or of what is nearest above it."""
    path = ["config", f"{PROJECT}:tables", finding.table]
    prefix = f"{PROJECT}:tables.{finding.table}."
    if finding.setting.startswith(prefix):
        path.append(finding.setting.removeprefix(prefix).partition(" ")[0])
    elif not finding.table:
        path = ["config", finding.setting.partition(" ")[0].partition(".")[0]]
    node, line = yaml.compose(text, Loader=yaml.SafeLoader), 1
    for name in path:
        found = next((pair for pair in getattr(node, "value", None) or [] if _is(pair[0].value, name)), None)
        if found is None:
            break
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


def _steps(plan: ShardingPlan, folder: PurePosixPath, shard_count: int) -> Iterator[dict[str, Any]]:
    for number, file in enumerate(plan.files, 1):
        yield {"step": number, "kind": "file", "file": str(folder / file.name)}
    for number, table in enumerate(plan.tables, 1 + len(plan.files)):
        yield {"step": number, "kind": "table", **_table(table, shard_count)}


def _table(table: PlannedTable, shard_count: int) -> dict[str, Any]:
    changed = table.old_key is not None and table.old_key != table.new_key
    return {
        "table": str(table.name),
        "how": "reference" if table.reference else "distributed",
        "column": table.distribution_column,
        "colocateWith": str(table.colocate_with) if table.colocate_with else None,
        "group": str(table.group) if table.group else None,
        "shardCount": None if table.reference else shard_count,
        "primaryKey": {"from": list(table.old_key or ()), "to": list(table.new_key or ())} if changed else None,
        "after": [str(name) for name in table.after],
        "setAside": [_foreign_key(key) for key in table.set_aside],
        "restored": [_foreign_key(key) for key in table.restored],
    }


def _foreign_key(key: PlannedForeignKey) -> dict[str, str]:
    return {"table": str(key.table), "name": key.name, "references": str(key.references)}


def _document(stack: str, findings: list[Finding], steps: list[dict[str, Any]]) -> dict[str, Any]:
    severities = [finding.severity for finding in findings]
    return {
        "version": JSON_VERSION,
        "stack": stack,
        "errors": severities.count("error"),
        "warnings": severities.count("warning"),
        "findings": [asdict(finding) for finding in findings],
        "steps": steps,
    }


def _text(stack: str, findings: list[Finding], steps: list[dict[str, Any]]) -> Iterator[str]:
    for finding in findings:
        place = ":".join(str(part) for part in (finding.file, finding.line, finding.column) if part)
        said = ": ".join(part for part in (finding.setting, finding.message) if part)
        yield f"{finding.severity} [{finding.rule}] {place}: {said}"
        if finding.remedy:
            yield f"    mend it: {finding.remedy}"
    errors, warnings = (sum(it.severity == severity for it in findings) for severity in ("error", "warning"))
    yield f"stack {stack}: {errors} errors, {warnings} warnings; {len(steps)} steps"
    for step in steps:
        yield from _step(step)


def _step(step: dict[str, Any]) -> Iterator[str]:
    number = f"{step['step']:4}  "
    if step["kind"] == "file":
        yield f"{number}run {step['file']}"
        return
    if step["how"] == "reference":
        yield f"{number}{step['table']}: a copy on every node"
    else:
        joined = f", colocated with {step['colocateWith']}" if step["colocateWith"] else ""
        yield (
            f"{number}{step['table']}: distributed by {step['column']}{joined} (group of {step['group']}, "
            f"{step['shardCount']} shards)"
        )
    if step["primaryKey"]:
        old, new = (", ".join(step["primaryKey"][end]) for end in ("from", "to"))
        yield f"        primary key ({old}) becomes ({new})"
    for verb, keys in (("set aside", step["setAside"]), ("restored", step["restored"])):
        for key in keys:
            yield f"        {verb}: {key['table']}.{key['name']} → {key['references']}"


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
