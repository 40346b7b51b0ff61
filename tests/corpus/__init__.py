"""The corpus: schemas with plans for them, right and wrong, to hold the plan's verdict against that of Citus.

A family is a YAML file. `schema` names its SQL, `tables` the plan that fits; each of its `cases` changes that plan (null
takes a table out), adds SQL to the schema, or both. edges.yaml is a list of cases that stand for themselves, mends.yaml
one of cases that a file of SQL mends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from tests.corpus.generated import generate

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Case", "Mend", "cases", "mends"]

_FOLDER: Final = Path(__file__).parent
_ROOT: Final = _FOLDER.parents[1]
_SEED_TABLES: Final = "Pulumi.dev.yaml"
GENERATED: Final = 320
"""Number of generated cases."""


@dataclass(frozen=True)
class Case:
    """A schema and the settings of its tables."""

    family: str
    name: str
    sql: str
    tables: dict[str, Any]
    schemas: dict[str, Any] = field(default_factory=dict)
    functions: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.family}: {self.name}"


@dataclass(frozen=True)
class Mend(Case):
    """A case whose findings SQL mends, and the statements that it takes."""

    statements: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return self.name


def mends() -> Iterator[Mend]:
    """Yield the cases of mends.yaml."""
    for case in yaml.safe_load((_FOLDER / "mends.yaml").read_text("utf-8")):
        yield Mend("mends", case["name"], case["sql"], case["tables"], statements=case["mend"])


def cases() -> Iterator[Case]:
    """Yield every case of the corpus, the same on every machine and in every run."""
    for edge in yaml.safe_load((_FOLDER / "edges.yaml").read_text("utf-8")):
        yield Case(
            "edges",
            edge["name"],
            edge["sql"],
            edge.get("tables", {}),
            edge.get("schemas", {}),
            edge.get("functions", {}),
        )
    for path in sorted(_FOLDER.glob("*/plans.yaml")):
        yield from _family(path)
    for number, (sql, tables) in enumerate(generate(GENERATED)):
        yield Case("generated", str(number), sql, tables)


def _family(path: Path) -> Iterator[Case]:
    family = yaml.safe_load(path.read_text("utf-8"))
    folder = (path.parent / family["schema"]).resolve()
    files = sorted(folder.glob("*.sql")) if folder.is_dir() else [folder]
    sql = "\n".join(file.read_text("utf-8") for file in files)
    tables = family.get("tables")
    if tables is None:
        tables = yaml.safe_load((_ROOT / _SEED_TABLES).read_text("utf-8"))["config"]["citus:tables"]
    yield Case(path.parent.name, "as declared", sql, tables)
    for name, case in family["cases"].items():
        changed = {**tables, **case.get("tables", {})}
        yield Case(
            path.parent.name,
            name,
            f"{sql}\n{case.get('sql', '')}",
            {table: settings for table, settings in changed.items() if settings is not None},
        )
