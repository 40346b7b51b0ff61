"""The part of docs/plan.md about the rules, made from the rules: `make rules` writes it. Not used by a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from components.plan.rules import SUBJECTS

__all__ = ["PAGE", "with_rules"]


PAGE: Final = Path(__file__).parents[2] / "docs" / "plan.md"
_START: Final = "<!-- From here on made from components/plan/rules by `make rules`. -->\n"


def with_rules(page: str) -> str:
    """Return the page with the rules as they are now, in the place of those that it has."""
    sections = []
    for subject, rules in SUBJECTS.items():
        sections.append(f"### {subject}")
        for rule in rules:
            words = f"- Why: {rule.why}\n- Remedy: {rule.remedy}\n- Source: {rule.source}"
            sections.append(f"#### {rule.slug}\n\n*{rule.severity}* · {rule.what}\n\n{words}")
    before, start, _ = page.partition(_START)
    return before + start + "\n" + "\n\n".join(sections) + "\n"


if __name__ == "__main__":
    PAGE.write_text(with_rules(PAGE.read_text("utf-8")), "utf-8")
