"""All statements that a plan's findings ask for, as one file of the schema. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.plan.findings import Finding, Stage, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["MendFile"]

_TITLES: Final = {
    Stage.PREPARE: "What later statements need.",
    Stage.DROP_FOREIGN_KEYS: "Foreign keys that are added again at the end: PostgreSQL changes no key that one needs.",
    Stage.DROP_VIEWS: "Views that are made again below: PostgreSQL changes no column that one shows.",
    Stage.COLUMNS: "Columns.",
    Stage.KEYS: "Keys and indexes.",
    Stage.VIEWS: "Views.",
    Stage.FOREIGN_KEYS: "Foreign keys.",
}


@dataclass(frozen=True)
class MendFile:
    """The file's text, what it mends, and what it leaves to a person."""

    mended: tuple[Finding, ...]
    left: tuple[Finding, ...]

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> MendFile:
        """Return the file for these findings."""
        findings = list(findings)
        mended = tuple(it for it in findings if _runs(it))
        return cls(mended, tuple(it for it in findings if not _runs(it)))

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return what it runs, each once, in order."""
        steps = dict.fromkeys(step for finding in self.mended if finding.mend for step in finding.mend.steps)
        return tuple(sorted(steps, key=Step.when))

    @property
    def statements(self) -> int:
        """Return how many statements it runs."""
        return sum(len(step.statements) for step in self.steps)

    def text(self, stack: str) -> str:
        """Return the file's text."""
        return "\n".join(self._lines(stack)) + "\n"

    def _lines(self, stack: str) -> Iterator[str]:
        yield f"-- Mends what `make plan` finds in the schema of stack {stack}. By `make plan MEND=…`; edit it."
        yield "-- It runs behind the other files and before tables are sharded. It fails, as a whole, where rows do not allow it."
        needed: dict[Step, list[Finding]] = {}
        for finding in self.mended:
            for step in dict.fromkeys(finding.mend.steps if finding.mend else ()):
                needed.setdefault(step, []).append(finding)
        stage = None
        for step in self.steps:
            if step.stage != stage:
                stage = step.stage
                yield from ("", f"-- --- {_TITLES[stage]}")
            yield ""
            yield from dict.fromkeys(line for finding in needed[step] for line in _about(finding, step))
            yield from (f"{statement};" for statement in step.statements)
        if self.left:
            yield from (
                "",
                "-- --- Left to you: settings, and what would lose rows, checks or work that is done today.",
            )
        for finding in self.left:
            yield from ("", f"-- {_named(finding)}: {_line(finding.message)}")
            mend = finding.mend
            words = finding.remedy.removesuffix(str(mend)).removesuffix(": ") if mend else finding.remedy
            if words:
                yield f"--   fix: {_line(words)}"
            if mend and mend.steps:
                yield f"--   not run, since {_line(mend.decision)}:"
                ordered = sorted(mend.steps, key=Step.when)
                yield from (f"--   {_line(statement)};" for step in ordered for statement in step.statements)


def _runs(finding: Finding) -> bool:
    return finding.mend is not None and finding.mend.runs


def _about(finding: Finding, step: Step) -> Iterator[str]:
    """Yield the comments of a step: at the main one of a finding what it is about, at the others its name alone."""
    if finding.mend is None or step != finding.mend.steps[0]:
        yield f"-- for {_named(finding)}"
        return
    yield f"-- {_named(finding)}: {_line(finding.message)}"
    if finding.mend.effect:
        yield f"--   {_line(finding.mend.effect)}"


def _named(finding: Finding) -> str:
    return f"[{finding.rule}] {finding.setting or finding.place}".rstrip()


def _line(text: str) -> str:
    """Return a text on one line: what follows a line's end would be run."""
    return " ".join(text.splitlines())
