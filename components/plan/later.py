"""Later files, which are run on a cluster whose tables are sharded already, and what Citus would refuse of them. Pure.

A file that was applied is not judged: its effect is known from the cluster. What Citus refuses in one form and takes in another
is rewritten (schema/rewriting/); the rest is found by the rules of rules/later_….py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.names import TableName
from components.plan.later_tables import LaterTables
from components.plan.rules import later_definitions, later_rows
from components.schema.parser import FileReader, Problems
from components.tables import Local, Sharding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from components.plan.findings import Finding
    from components.schema.statements import SqlFile

__all__ = ["Standing", "check_later"]


@dataclass(frozen=True)
class Standing:
    """The state of a running cluster: the files that were applied there, and the tables that are sharded."""

    files: Collection[str]
    """Names of the files that were applied."""
    tables: Mapping[TableName, Sharding]


_CHECKS: Final = {**later_definitions.CHECKS, **later_rows.CHECKS}


def check_later(
    files: Iterable[SqlFile],
    standing: Standing,
    declared: Collection[TableName] = (),
    citus: tuple[int, int] | None = None,
) -> Iterator[Finding]:
    """Yield what Citus would refuse of the files that are not applied yet.

    `declared` are the tables that the settings shard: until then, a new one is kept out of Citus's metadata. `citus` is the
    release of Citus, where it is known.
    """
    files = list(files)
    if all(file.name in standing.files for file in files):
        return
    sharded = {name: how for name, how in standing.tables.items() if how != Local()}
    known = LaterTables(sharded, declared, citus)
    for file in sorted(files, key=lambda it: it.name not in standing.files):
        known.reader = reader = FileReader(known.relations, Problems())
        is_later = file.name not in standing.files
        if is_later:
            known.relations.follow()
        for kind, statement in reader.parse(file):
            if is_later and kind in _CHECKS:
                yield from (finding.placed(reader.at) for finding in _CHECKS[kind](statement, known))
            known.learn(kind, statement)
