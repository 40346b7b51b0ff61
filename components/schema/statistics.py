"""What a running database knows of its rows and its work, as data: for a proposal. Pure; asks no database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.names import TableName

__all__ = ["ColumnStatistics", "RunStatement", "Statistics", "TableStatistics"]


@dataclass(frozen=True)
class ColumnStatistics:
    """What ANALYZE found in a column."""

    nulls: float
    """Fraction of the rows, 0 to 1."""
    distinct: float
    """Number of values; negative for a fraction of the rows, as in pg_stats."""
    common: tuple[tuple[str, float], ...] = ()
    """The most common values, each with its fraction of the rows."""


@dataclass(frozen=True)
class TableStatistics:
    """How big a table is, and how much is written to it."""

    rows: float
    """As the planner estimates them; negative where nobody has analyzed the table."""
    size: int
    """Bytes, with indexes."""
    writes: int
    """Rows inserted, updated and deleted since the server's counters were reset."""
    columns: Mapping[str, ColumnStatistics] = field(default_factory=dict)


@dataclass(frozen=True)
class RunStatement:
    """A statement that applications have run, with parameters in the place of constants."""

    text: str
    calls: int
    milliseconds: float = 0.0
    """That all calls together took."""


@dataclass(frozen=True)
class Statistics:
    """All that is known of rows and work; nothing where there are only files."""

    tables: Mapping[TableName, TableStatistics] = field(default_factory=dict)
    statements: tuple[RunStatement, ...] = ()
