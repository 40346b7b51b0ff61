"""Patterns of `citus:tables`: which of the tables that the files create each one shards, and how. Pure.

A table's own line counts alone; else the nearest pattern, which is the one that gives most characters of the name.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from components.names import ColumnName, TableName, TablePattern, truncate_identifier
from components.plan.findings import Finding
from components.plan.rules.names import (
    PATTERN_TIE,
    PATTERN_UNUSED,
    PATTERN_WITHOUT_COLUMN,
    PATTERN_WITHOUT_TABLE,
    UNKNOWN_TABLE,
    did_you_mean,
)
from components.settings import EXCLUDED, TableSettings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from components.schema.relations import Relations, Table

__all__ = ["BY_PATTERN", "ExpandedPattern", "Expansion", "expand_patterns"]


BY_PATTERN: Final = ", which declares "
"""In the setting of a finding: between the pattern and its table."""
_TABLES: Final = "citus:tables."


@dataclass(frozen=True)
class ExpandedPattern:
    """A pattern, and the tables for which it is the nearest."""

    pattern: TablePattern
    how: str
    """What it declares, in words."""
    tables: tuple[TableName, ...]
    """Those that it shards, or brings back."""
    left: tuple[TableName, ...]
    """Those that stay as they are: they lack the column, or the pattern is there to leave them out."""


@dataclass(frozen=True)
class Expansion:
    """The settings with a line for each table that a pattern shards."""

    tables: dict[TableName, TableSettings]
    undistributed: tuple[TableName, ...]
    patterns: tuple[ExpandedPattern, ...] = ()
    findings: list[Finding] = field(default_factory=list)

    @cached_property
    def _by_table(self) -> dict[str, ExpandedPattern]:
        return {str(table): it for it in self.patterns for table in it.tables}

    def placed(self, finding: Finding) -> Finding:
        """Return the finding; where a pattern declares its table, with the pattern as the setting at fault."""
        own = f"{_TABLES}{finding.table}"
        it = self._by_table.get(finding.table)
        if it is None or own not in finding.setting + finding.remedy:
            return finding
        setting, remedy = finding.setting, finding.remedy
        if setting.startswith(own):
            setting = f"{_TABLES}{it.pattern}{BY_PATTERN}{setting.removeprefix(_TABLES)}"
        if own in remedy:
            remedy += f" (in a line of its own, which counts alone, without the pattern {it.pattern})"
        return replace(finding, setting=setting, remedy=remedy)


def expand_patterns(
    schema: Relations,
    tables: Mapping[TableName, TableSettings],
    undistributed: Iterable[TableName],
    patterns: Mapping[TableName | TablePattern, TableSettings],
    schemas: Collection[str] = (),
) -> Expansion:
    """Return the settings with what each pattern declares of the tables that have no line of their own.

    None is for the tables of `schemas`, which are distributed as a whole.
    """
    own = {*tables, *undistributed, *(name for name in patterns if isinstance(name, TableName))}
    expanded, brought_back, findings = dict(tables), list(undistributed), list(_unknown(schema, patterns))
    apart = {name for name in schema.tables if name.schema in schemas}
    nearest, unused, ties = _match(schema, own | apart, patterns)
    for table, one, other in ties:
        message = f"{table.name} is matched by {one} and by {other}, and neither is nearer"
        remedy = f"give {table.name} a line of its own, or make one of the two longer"
        findings.append(PATTERN_TIE.finding(table.name, message, remedy, at=table.at, setting=f"citus:tables.{other}"))
    findings += [_without_table(schema, pattern, matched=bool(found)) for pattern, found in unused.items()]
    told = []
    for pattern, matched in nearest.items():
        settings = patterns[pattern]
        chosen = _applicable(matched, settings)
        if settings.undistribute:
            brought_back += [table.name for table in chosen]
        elif chosen:
            expanded.update(_lines(chosen, settings))
        elif settings.distribute_by:
            findings.append(_without_column(pattern, settings.distribute_by, matched))
        names = {table.name for table in chosen}
        left = tuple(table.name for table in matched if table.name not in names)
        told.append(ExpandedPattern(pattern, _in_words(settings), tuple(table.name for table in chosen), left))
    return Expansion(expanded, tuple(brought_back), tuple(told), findings)


def _match(
    schema: Relations, own: set[TableName], patterns: Mapping[TableName | TablePattern, TableSettings]
) -> tuple[dict[TablePattern, list[Table]], dict[TablePattern, int], list[tuple[Table, TablePattern, TablePattern]]]:
    """Return the tables for which each pattern is the nearest, how many others match the rest, and the ties."""
    ordered = sorted((it for it in patterns if isinstance(it, TablePattern)), key=lambda it: (-it.literal, it.text))
    nearest: dict[TablePattern, list[Table]] = {pattern: [] for pattern in ordered}
    found, ties = dict.fromkeys(ordered, 0), []
    for table in schema.tables.values():
        if table.persistence == "t" or (table.partition and table.parent in schema.tables):
            continue
        matching = [pattern for pattern in ordered if pattern.matches(table.name)]
        for pattern in matching:
            found[pattern] += 1
        if matching and table.name not in own:
            first = matching[0]
            nearest[first].append(table)
            alike = (it for it in matching[1:] if it.literal == first.literal and patterns[it] != patterns[first])
            ties += [(table, first, other) for other in alike][:1]
    unused = {pattern: found[pattern] for pattern in ordered if not nearest[pattern]}
    return {pattern: tables for pattern, tables in nearest.items() if tables}, unused, ties


def _unknown(schema: Relations, patterns: Iterable[TableName | TablePattern]) -> Iterator[Finding]:
    """Yield the tables that no pattern is to apply to, and that are not there."""
    for name in patterns:
        if isinstance(name, TableName) and name not in schema.tables:
            message = f"no SQL file of citus:schemaDir creates this table{did_you_mean(name, schema.tables)}"
            remedy = "add the file, or remove the table from the settings"
            yield UNKNOWN_TABLE.finding(name, message, remedy, setting=f"citus:tables.{name}")


def _applicable(tables: list[Table], settings: TableSettings) -> list[Table]:
    if settings is EXCLUDED:
        return []
    by = settings.distribute_by
    return [it for it in tables if by is None or truncate_identifier(by.name) in (it.columns or {})]


def _lines(tables: list[Table], settings: TableSettings) -> dict[TableName, TableSettings]:
    """Return a line for each table. Those that are distributed form one group, of the table that is created first."""
    root = settings.colocate_with or (tables[0].name if tables and settings.distribute_by else None)
    return {it.name: settings.model_copy(update={"colocate_with": root if it.name != root else None}) for it in tables}


def _in_words(settings: TableSettings) -> str:
    if settings is EXCLUDED:
        return "no pattern applies"
    if settings.undistribute:
        return "local again"
    return f"distributed by {settings.distribute_by}" if settings.distribute_by else "a copy on every node"


def _without_table(schema: Relations, pattern: TablePattern, *, matched: bool) -> Finding:
    setting = f"citus:tables.{pattern}"
    if matched:
        message, remedy = (
            "every table that it matches has a nearer line",
            "remove it, unless tables of later files need it",
        )
        return PATTERN_UNUSED.finding(pattern, message, remedy, setting=setting)
    known = [name for name, table in schema.tables.items() if not table.partition]
    message = f"no table that the SQL files create has such a name{did_you_mean(pattern.text.replace('*', ''), known)}"
    return PATTERN_WITHOUT_TABLE.finding(pattern, message, "correct it, or remove it", setting=setting)


def _without_column(pattern: TablePattern, by: ColumnName, tables: list[Table]) -> Finding:
    columns = sorted({ColumnName(column) for table in tables for column in table.columns or {}})
    message = f"none of the {len(tables)} tables that it applies to has this column{did_you_mean(by, columns)}"
    setting = f"citus:tables.{pattern}.distributeBy = {by}"
    return PATTERN_WITHOUT_COLUMN.finding(pattern, message, "name a column that they have", setting=setting)
