"""Findings about a plan, as data, and the rules that they belong to. Pure; knows no schema. The rules are in rules/."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from components.names import TableName
    from components.schema.relations import Position

__all__ = ["Finding", "Mend", "Rule", "Severity", "Stage", "Step", "by_kind", "listed_findings"]


Severity = Literal["error", "warning"]

FEW: Final = 3
"""Findings of one kind that are shown each by itself; more of them are one with a list."""
SHOWN: Final = 5
"""How many of the list are shown."""


class Stage(IntEnum):
    """When a statement of a mend runs: PostgreSQL changes no key and no column that something else still needs."""

    PREPARE = 0
    DROP_FOREIGN_KEYS = 1
    DROP_VIEWS = 2
    COLUMNS = 3
    KEYS = 4
    VIEWS = 5
    FOREIGN_KEYS = 6


@dataclass(frozen=True)
class Step:
    """Statements that stand together, without their semicolons."""

    stage: Stage
    statements: tuple[str, ...]
    order: int = 0
    """Within the stage, where that matters."""

    def when(self) -> tuple[int, int]:
        """Return what to sort steps by."""
        return self.stage, self.order


@dataclass(frozen=True)
class Mend:
    """The statements that mend a finding, in an order in which PostgreSQL runs them."""

    steps: tuple[Step, ...]
    effect: str = ""
    """What it changes for rows and applications."""
    decision: str = ""
    """Why a person has to decide about it; empty where it may run as it is."""

    @property
    def runs(self) -> bool:
        """Tell whether it mends without a person's decision."""
        return bool(self.steps) and not self.decision

    def __str__(self) -> str:
        return "; ".join(sql for step in sorted(self.steps, key=Step.when) for sql in step.statements)


@dataclass(frozen=True)
class Finding:
    """One problem of a plan. Its place is in a SQL file; that of a setting alone has no file, line or column."""

    severity: Severity
    rule: str
    file: str
    line: int | None
    column: int | None
    table: str
    message: str
    remedy: str
    source: str
    setting: str = ""
    """The setting at fault, with its value if the value is wrong."""
    mend: Mend | None = None
    """The statements of the remedy, where there are any."""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.setting, self.place, self.message, self.remedy) if part)

    @property
    def place(self) -> str:
        """Return file, line and column; empty for a setting."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part) if self.line else ""

    @property
    def said(self) -> str:
        """Return its place and what it says, without the remedy."""
        return ": ".join(part for part in (self.setting, self.place, self.message) if part)

    def placed(self, at: Position) -> Finding:
        """Return the finding with its place."""
        return replace(self, file=at.file, line=at.line, column=at.column)


def by_kind(findings: Iterable[Finding]) -> Iterator[tuple[Finding, ...]]:
    """Yield the findings as they are shown: each by itself, or all of a rule at once where there are more than FEW.

    Those of a rule stand where its first does.
    """
    kinds: dict[tuple[str, str], list[Finding]] = {}
    for finding in (findings := list(findings)):
        kinds.setdefault((finding.severity, finding.rule), []).append(finding)
    for finding in findings:
        alike = kinds[finding.severity, finding.rule]
        if len(alike) <= FEW:
            yield (finding,)
        elif alike[0] is finding:
            yield tuple(alike)


def listed_findings(alike: Sequence[Finding], rule: Rule) -> list[str]:
    """Return the lines of many findings of one rule: how many, the first of them, and what to do about all."""
    runs = sum(finding.mend is not None and finding.mend.runs for finding in alike)
    fix = f"`make plan MEND=<file>` writes the statements for {runs} of them" if runs else rule.remedy
    return [
        f"{len(alike)} findings of one kind: {rule.what}",
        *(f"    {finding.said}" for finding in alike[:SHOWN]),
        *([f"    and {len(alike) - SHOWN} more, each in `make plan FORMAT=json`"] if len(alike) > SHOWN else []),
        f"    fix: {fix}",
    ]


@dataclass(frozen=True)
class Rule:
    """One rule: what it finds, why that is a problem, and what to do about it. docs/plan.md is made of these texts."""

    slug: str
    severity: Severity
    what: str
    why: str
    remedy: str
    source: str
    """The function of Citus, or of this project, that would refuse; or that does what hurts."""

    def finding(
        self,
        table: TableName | None,
        message: str,
        remedy: str,
        *,
        at: Position | None = None,
        setting: str = "",
        mend: Mend | None = None,
    ) -> Finding:
        """Return a finding of this rule; its remedy is the statement or the setting that fixes this case.

        The statements of `mend` follow the remedy's words.
        """
        words = ": ".join(part for part in (remedy, str(mend or "")) if part)
        found = Finding(
            self.severity, self.slug, "", None, None, str(table or ""), message, words, self.source, setting, mend
        )
        return found.placed(at) if at else found
