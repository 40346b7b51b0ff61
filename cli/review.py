"""`python -m cli review`: what a change does to a stack, as Markdown for its reviewers.

The plan's findings, the effects of Pulumi's preview on the data, and their cost where the cluster answers.
`python -m cli drift` writes the same for a stack that is compared with its live cluster.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pulumi import automation

from cli.backups import find_stale
from cli.changes import SECTIONS, Step, describe
from cli.costs import Costs, measure
from cli.plan import read_plan
from cli.rehearsal import rehearsed
from cli.stacks import ENDED, open_stack, read_outputs, reason
from components.errors import StackError
from components.plan.findings import by_kind, listed_findings
from components.plan.rules import RULES
from components.reports import NotRefreshed, collected

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cli.changes import Change
    from cli.plan import Planned
    from components.plan.findings import Finding

__all__ = ["DRIFTED", "Preview", "drift", "markdown", "preview", "review"]

DRIFTED: Final = 2
"""Exit code where the live cluster is not as declared."""
LONGEST: Final = 60_000
"""Characters of a comment; GitHub takes 65,536."""
REHEARSED: Final = (
    "Rehearsed: {base} was brought up with PostgreSQL processes of the machine that ran this, without any rows, and the change "
    "was previewed against it."
)
NEW: Final = (
    "Rehearsed with PostgreSQL processes of the machine that ran this: {base} has no such stack, so all of it is new."
)
QUIET: Final = ("left", "proved")
"""Sections that need no attention."""
HIDDEN: Final = "-- not shown: it contains a password"
SHOWN_SQL: Final = 4_000
"""Characters of a new SQL file that are shown."""


@dataclass
class Preview:
    """The result of Pulumi's preview."""

    steps: list[Step] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    not_refreshed: list[NotRefreshed] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    """How many resources are touched in each way."""
    costs: Costs = field(default_factory=Costs)

    def handle_event(self, event: automation.events.EngineEvent) -> None:
        """Take in one event of the engine."""
        if event.resource_pre_event:
            step = Step.of(event.resource_pre_event.metadata)
            if step and step not in self.steps:
                self.steps.append(step)
        if event.summary_event:
            self.counts = {str(getattr(op, "value", op)): n for op, n in event.summary_event.resource_changes.items()}
        said = event.diagnostic_event
        if said and ENDED not in said.message and "an unhandled error occurred" not in said.message:
            lines = {"error": self.errors, "warning": self.warnings}.get(said.severity)
            text = said.message.strip()
            if lines is not None and text and text not in lines:
                lines.append(text)


def preview(name: str, planned: Planned, *, refresh: bool = False, measured: bool = True) -> Preview:
    """Preview a stack of the current folder, and ask what its changes cost where its rows are `measured`."""
    previewed = Preview()
    try:
        stack = open_stack(name)
        with collected() as previewed.not_refreshed:
            stack.preview(on_event=previewed.handle_event, color="never", refresh=refresh or None)
    except automation.CommandError as error:
        previewed.errors = previewed.errors or [reason(error)]
        return previewed
    asks = [ask for change in describe(previewed.steps, planned.steps) for ask in change.asks]
    if asks and not measured:
        previewed.costs = Costs(unknown="a rehearsal has no rows; a review of the stack itself asks its cluster")
    elif asks:
        previewed.costs = measure(read_outputs(name), asks)
    return previewed


def review(name: str, output: Path | None, base: str = "") -> int:
    """Write what an update of the stack would do, or of the stack as the commit `base` has it; return 1 where it is refused."""
    planned = read_plan(name)
    note, previewed = "", Preview()
    if base and not planned.errors:
        output = output and output.absolute()
        with rehearsed(name, base) as was_there:
            note = (REHEARSED if was_there else NEW).format(base=base)
            previewed = preview(name, planned, measured=False)
    elif not planned.errors:
        previewed = preview(name, planned)
    _write("\n".join(markdown(name, planned, previewed, note=note)), output)
    return int(bool(planned.errors or previewed.errors))


def drift(name: str, output: Path | None) -> int:
    """Compare a stack with its live cluster; write what differs, or an empty file; return DRIFTED, 0, or 1 for an error."""
    planned = read_plan(name)
    previewed = preview(name, planned, refresh=True)
    touched = {op: count for op, count in previewed.counts.items() if op not in ("same", "refresh", "read")}
    stale = [] if previewed.errors else _find_stale(name)
    if not touched and not previewed.errors and not stale:
        print(f"stack {name} is as declared")
        if output:
            output.write_text("", "utf-8")
        return 0
    title = (
        "could not be compared with its cluster" if previewed.errors else "is not as declared: what `up` would change"
    )
    if not touched and stale:
        title = "is as declared, and its backups are not"
    lines = [f"<!-- citus drift: {name} -->", f"### Stack `{name}` {title}", ""]
    if stale:
        lines += ["**Backups**", "", *(f"- {_plain(line)}" for line in stale), ""]
    _write("\n".join([*lines, *_not_refreshed(previewed), *_body(planned, previewed)]), output)
    return 1 if previewed.errors else DRIFTED


def _find_stale(name: str) -> list[str]:
    """Return what is wrong with the backups of a stack's cluster."""
    try:
        return find_stale(read_outputs(name))
    except StackError as error:
        return [f"the backups cannot be looked at: {error}"]


def _not_refreshed(previewed: Preview) -> Iterator[str]:
    """Yield why resources were not refreshed, once for all of them; logs of servers stay where they are."""
    for cause, count in Counter(it.cause for it in previewed.not_refreshed).items():
        yield f"{count} resources were not refreshed: {_plain(' '.join(cause.split()))}"
        yield ""


def _write(text: str, output: Path | None) -> None:
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]}\n\n… the rest is in the log of the run"
    print(text)
    if output:
        output.write_text(f"{text}\n", "utf-8")
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
    sys.stdout.flush()


def markdown(name: str, planned: Planned, previewed: Preview, *, note: str = "") -> Iterator[str]:
    """Yield the lines of a review. The first is a mark by which its comment is found again."""
    yield f"<!-- citus review: {name} -->"
    yield f"### Stack `{name}`: {_headline(planned, previewed)}"
    yield ""
    if note:
        yield f"_{note}_"
        yield ""
    yield from _body(planned, previewed)


def _headline(planned: Planned, previewed: Preview) -> str:
    if planned.errors:
        return f"the plan refuses it, {planned.errors} {'error' if planned.errors == 1 else 'errors'}"
    if previewed.errors:
        return "the preview refuses it"
    changes = describe(previewed.steps, planned.steps)
    counts = {section: sum(change.section == section for change in changes) for section in SECTIONS}
    told = [f"{count} {section}" for section, count in counts.items() if count and section not in QUIET]
    return ", ".join(told) or "nothing changes"


def _body(planned: Planned, previewed: Preview) -> Iterator[str]:
    if planned.errors or previewed.errors:
        yield "**Refused**"
        yield ""
        yield from (f"- {line}" for line in _listed([it for it in planned.findings if it.severity == "error"]))
        yield from (f"- {line}" for error in previewed.errors for line in _lines(error))
        yield ""
    else:
        yield from _changes(describe(previewed.steps, planned.steps), previewed.costs)
    yield from _warnings(planned, previewed)
    for step in sorted(previewed.steps, key=lambda step: step.rank):
        if step.kind == "SchemaScript" and step.op == "create":
            rows = "-- a file with rows, or a large one, which is not shown here"
            text = step.new.get("text", rows)
            yield from _sql(step.name, text if isinstance(text, str) else HIDDEN)  # a secret is a wrapped one
    if previewed.steps:
        yield from _resources(previewed)


def _changes(changes: list[Change], costs: Costs) -> Iterator[str]:
    found = {section: list(dict.fromkeys(it for it in changes if it.section == section)) for section in SECTIONS}
    for section, title in SECTIONS.items():
        if found[section] and section not in QUIET:
            yield f"**{title}**"
            yield ""
            yield from (f"- {change.text}{_cost(change, costs)}" for change in found[section])
            yield ""
            notes = dict.fromkeys(change.note for change in found[section] if change.note)
            if notes:
                yield " ".join(notes)
                yield ""
    if costs.unknown:
        yield f"The cost is unknown: {_plain(costs.unknown)}."
        yield ""
    for section in QUIET:
        if found[section]:
            yield from _folded(f"{SECTIONS[section]}: {len(found[section])}", [it.text for it in found[section]])


def _folded(title: str, items: Iterable[str]) -> Iterator[str]:
    yield f"<details><summary>{title}</summary>"
    yield ""
    yield from (f"- {item}" for item in items)
    yield ""
    yield "</details>"
    yield ""


def _cost(change: Change, costs: Costs) -> str:
    known = [(ask[1], costs.sizes[ask]) for ask in change.asks if ask in costs.sizes]
    if len(known) == 1:
        return f" — **{known[0][1]}**"
    return " — **" + "; ".join(f"{name}: {size}" for name, size in known) + "**" if known else ""


def _finding(finding: Finding) -> str:
    place = ":".join(str(part) for part in (finding.file, finding.line, finding.column) if part)
    said = ": ".join(part for part in (finding.setting, finding.message) if part)
    remedy = f". Fix: {_plain(finding.remedy)}" if finding.remedy else ""
    return f"`{place}` {_plain(said)}{remedy} (`{finding.rule}`)"


def _warnings(planned: Planned, previewed: Preview) -> Iterator[str]:
    """Yield the warnings: the plan's, each with its place, and others of the program and the engine."""
    of_plan = [finding for finding in planned.findings if finding.severity == "warning"]
    others = [line for said in previewed.warnings if said not in planned.warned for line in _lines(said)]
    if of_plan or others:
        yield from _folded(f"Warnings: {len(of_plan) + len(others)}", [*_listed(of_plan), *others])


def _listed(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield an item of a list for each finding, or one for many of one kind."""
    for alike in by_kind(findings):
        rule = RULES.get(alike[0].rule)
        if len(alike) > 1 and rule is not None:
            yield f"`{rule.slug}`: " + "<br>".join(map(_plain, listed_findings(alike, rule)))
        else:
            yield from map(_finding, alike)


def _lines(said: str) -> list[str]:
    """Return what a program said as lines, without the address of a resource that Pulumi puts before it."""
    return [_plain(line.rpartition("has a problem: ")[2]) for line in said.splitlines() if line.strip()]


def _sql(name: str, text: str) -> Iterator[str]:
    fence = "```"
    while fence in text:
        fence += "`"
    shown = text if len(text) <= SHOWN_SQL else f"{text[:SHOWN_SQL]}\n-- … {len(text) - SHOWN_SQL} characters more"
    yield from (
        f"<details><summary>{_plain(name)}</summary>",
        "",
        f"{fence}sql",
        shown.strip(),
        fence,
        "",
        "</details>",
        "",
    )


def _resources(previewed: Preview) -> Iterator[str]:
    counts = ", ".join(f"{count} to {op}" for op, count in sorted(previewed.counts.items()) if op != "same")
    yield f"<details><summary>Pulumi's resources: {counts or 'none'}, {previewed.counts.get('same', 0)} unchanged</summary>"
    yield ""
    yield "| operation | kind | name | inputs that differ |"
    yield "| --- | --- | --- | --- |"
    for step in sorted(previewed.steps, key=lambda step: step.rank):
        differ = (
            ", ".join(step.changed(*sorted({*step.old, *step.new} - {"__provider"}))) if step.op == "update" else ""
        )
        yield f"| {step.op} | {step.kind} | {_plain(step.name)} | {differ} |"
    yield ""
    yield "</details>"
    yield ""


def _plain(text: str) -> str:
    """Return a text of files or programs so that Markdown shows it as it is, and calls nobody."""
    for character, shown in {
        "&": "&amp;",
        "<": "&lt;",
        "@": "&#64;",
        "|": "&#124;",
        "*": "&#42;",
        "[": "&#91;",
    }.items():
        text = text.replace(character, shown)
    return text
