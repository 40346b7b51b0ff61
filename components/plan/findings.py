"""Findings about a plan, as data, and the rules that they belong to. Pure; knows no schema. The rules are in rules/."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from components.names import TableName
    from components.schema.relations import Position

__all__ = ["Finding", "Rule", "Severity"]


Severity = Literal["error", "warning"]


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

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part) if self.line else ""
        return ": ".join(part for part in (self.setting, place, self.message, self.remedy) if part)

    def placed(self, at: Position) -> Finding:
        """Return the finding with its place."""
        return replace(self, file=at.file, line=at.line, column=at.column)


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
        self, table: TableName | None, message: str, remedy: str, *, at: Position | None = None, setting: str = ""
    ) -> Finding:
        """Return a finding of this rule; its remedy is the statement or the setting that fixes this case."""
        found = Finding(
            self.severity, self.slug, "", None, None, str(table or ""), message, remedy, self.source, setting
        )
        return found.placed(at) if at else found
