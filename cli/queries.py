"""`make plan QUERIES=…`: an application's own statements, each with how Citus runs it once the tables are sharded.

They come from a file of SQL, from an export of pg_stat_statements, or from a database that has it.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import postgast
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from components.errors import InputError, PlanError
from components.plan.findings import Finding
from components.plan.queries import Outcome, Verdict, judge
from components.schema.parse_tree import nodes
from components.schema.passwords import without_constants
from components.schema.statements import SqlFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from components.plan.layout import Layout

__all__ = ["JudgedQueries", "JudgedQuery", "QueriesError", "judge_queries"]

_URIS: Final = ("postgres://", "postgresql://")
_SHOWN: Final = 100
"""Characters of a statement."""
_SOURCE: Final = "components.plan.queries"
_PLACEHOLDERS: Final = re.compile(
    r"""
    '(?:[^']|'')*' | "(?:[^"]|"")*" | \$(\w*)\$.*?\$\1\$ | --[^\n]* | /\*.*?\*/   # left as they are
    | (?<![:\w]):(?P<colon>[A-Za-z_]\w*) | %\((?P<named>\w+)\)s | (?P<plain>%s)
    | \b(?P<type>interval|date|time|timestamp|timestamptz)\s+(?P<value>\$\d+)
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)


class QueriesError(InputError):
    """A source of statements that cannot be read; names it, and what it should be."""


@dataclass(frozen=True)
class _Statement:
    """One statement as it was found."""

    text: str
    file: str
    line: int | None = None
    column: int | None = None
    calls: int = 0
    milliseconds: float = 0.0


@dataclass(frozen=True)
class JudgedQuery:
    """A statement with its verdict."""

    statement: _Statement
    verdict: Verdict

    @property
    def place(self) -> str:
        """Return where it is."""
        parts = (self.statement.file, self.statement.line, self.statement.column)
        return ":".join(str(part) for part in parts if part)

    @property
    def shown(self) -> str:
        """Return its text on one line, cut."""
        line = " ".join(self.statement.text.split())
        return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "file": self.statement.file,
            "line": self.statement.line,
            "column": self.statement.column,
            "query": self.statement.text,
            "calls": self.statement.calls,
            "milliseconds": self.statement.milliseconds,
            "verdict": str(self.verdict.outcome),
            "why": self.verdict.why,
            "remedy": self.verdict.remedy,
            "steps": self.verdict.steps,
        }


@dataclass(frozen=True)
class JudgedQueries:
    """Every statement of a source, those that take most first."""

    queries: tuple[JudgedQuery, ...]

    def shares(self) -> list[dict[str, Any]]:
        """Return of each verdict how many statements have it, and their share of all calls and of all time, from 0 to 1."""
        calls, time, count = Counter[Outcome](), Counter[Outcome](), Counter[Outcome]()
        for it in self.queries:
            count[it.verdict.outcome] += 1
            calls[it.verdict.outcome] += it.statement.calls
            time[it.verdict.outcome] += it.statement.milliseconds  # type: ignore[assignment]
        return [
            {
                "verdict": str(outcome),
                "queries": count[outcome],
                "calls": calls[outcome] / calls.total() if calls.total() else None,
                "time": time[outcome] / time.total() if time.total() else None,
            }
            for outcome in Outcome
            if count[outcome]
        ]

    def document(self) -> dict[str, Any]:
        """Return what JSON has of them."""
        return {"queries": [it.document() for it in self.queries], "queryShares": self.shares()}

    def findings(self) -> Iterator[Finding]:
        """Yield those that fail as findings."""
        for it in self.queries:
            if not it.verdict.works:
                rule = "query-refused" if it.verdict.outcome == Outcome.REFUSED else "query-repartition"
                place = (it.statement.file, it.statement.line, it.statement.column)
                yield Finding("warning", rule, *place, "", it.verdict.why, it.verdict.remedy, _SOURCE)

    def text(self) -> Iterator[str]:
        """Yield the lines for a terminal."""
        for it in self.queries:
            weight = (
                f" ({it.statement.calls} calls, {it.statement.milliseconds / 1000:.1f} s)" if it.statement.calls else ""
            )
            yield f"{it.verdict.outcome}: {it.place}{weight}: {it.shown}"
            yield f"    why: {it.verdict.why}"
            if it.verdict.remedy and it.verdict.outcome != Outcome.SINGLE_SHARD:
                yield f"    fix: {it.verdict.remedy}"
        parts = []
        for share in self.shares():
            of = [f"{share[name]:.0%} of the {name}" for name in ("calls", "time") if share[name] is not None]
            parts.append(f"{share['queries']} {share['verdict']}{' (' + ', '.join(of) + ')' if of else ''}")
        yield f"{len(self.queries)} queries: {', '.join(parts) or 'none'}"


def judge_queries(source: str, layout: Layout) -> JudgedQueries:
    """Return the statements of a source with their verdicts, those with most time first, then most calls, then in order.

    Args:
        source: a file (.sql; .csv or .json with the columns query, calls and total_exec_time), or a URI of PostgreSQL.
        layout: the plan's tables.

    Raises:
        QueriesError: the source cannot be read.
    """
    schemas = sorted({table.schema for table in layout.schema.tables} - {"public"})
    judged = [JudgedQuery(it, _judged(it, layout, ["public", *schemas])) for it in _read(source)]
    return JudgedQueries(tuple(sorted(judged, key=lambda it: (-it.statement.milliseconds, -it.statement.calls))))


def _judged(statement: _Statement, layout: Layout, search_path: list[str]) -> Verdict:
    try:
        parsed = _parsed(statement.text)
    except (postgast.PgQueryError, DecodeError) as error:
        return Verdict(Outcome.NOT_JUDGED, f"does not parse: {without_constants(str(error))}")
    if len(parsed) != 1:
        return Verdict(Outcome.NOT_JUDGED, "is not one statement")
    tree = parsed[0].stmt
    verdict = judge(tree, layout, search_path=search_path)
    numbers = {it.number for it in nodes(tree, "param_ref")}
    if len(numbers) > 1 and verdict.outcome not in (Outcome.SINGLE_SHARD, Outcome.LOCAL, Outcome.NOT_JUDGED):
        for it in nodes(tree, "param_ref"):
            it.number = 1
        same = judge(tree, layout, search_path=search_path)
        if same.outcome == Outcome.SINGLE_SHARD and not same.steps:
            why = f"{same.why}, if all its parameters are the same; else {verdict.outcome}: {verdict.why}"
            return Verdict(same.outcome, why, verdict.remedy, tables=same.tables)
    return verdict


def _parsed(text: str) -> Any:
    try:
        return postgast.parse(text).stmts
    except postgast.PgQueryError:
        replaced = _with_parameters(text)
        if replaced == text:
            raise
        return postgast.parse(replaced).stmts


def _with_parameters(text: str) -> str:
    """Return a statement with $1 and so on in place of :name, %s and %(name)s; and `interval $1` as PostgreSQL reads it."""
    numbers: dict[str, int] = {}

    def numbered(match: re.Match[str]) -> str:
        if match["value"]:
            return f"{match['value']}::{match['type']}"
        name = match["colon"] or match["named"]
        if name:
            return f"${numbers.setdefault(name, len(numbers) + 1)}"
        if match["plain"]:
            return f"${numbers.setdefault(f'%{match.start()}', len(numbers) + 1)}"
        return match[0]

    return _PLACEHOLDERS.sub(numbered, text)


# --- where they come from -----------------------------------------------------------------------------------------------


def _read(source: str) -> Iterator[_Statement]:
    if source.startswith(_URIS):
        yield from _read_database(source)
        return
    path = Path(source)
    readers = {".sql": _read_sql, ".csv": _read_csv, ".json": _read_json}
    if path.suffix.lower() not in readers:
        msg = f"QUERIES={source}: name a file that ends in .sql, .csv or .json, or a URI (postgresql://…)"
        raise QueriesError(msg)
    try:
        yield from readers[path.suffix.lower()](path)
    except (OSError, UnicodeDecodeError) as error:
        msg = f"QUERIES={source}: cannot be read ({error}): name a text file in UTF-8"
        raise QueriesError(msg) from error


def _read_sql(path: Path) -> Iterator[_Statement]:
    try:
        for it in SqlFile(str(path), path.read_text("utf-8-sig")).read():
            if not it.is_command and it.text.strip():
                yield _Statement(it.text, str(path), it.at.line, it.at.column)
    except PlanError as error:
        raise QueriesError(*error.problems) from error


def _read_csv(path: Path) -> Iterator[_Statement]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        for row in reader:
            yield _of_row(row, path, reader.line_num)


def _read_json(path: Path) -> Iterator[_Statement]:
    text = path.read_text("utf-8-sig")
    try:
        rows = json.loads(text)
    except ValueError:
        try:
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            msg = f"QUERIES={path}: is not JSON ({error}): a list of objects, or one on each line"
            raise QueriesError(msg) from error
    for row in rows if isinstance(rows, list) else [rows]:
        yield _of_row(row if isinstance(row, dict) else {}, path, None)


def _of_row(row: Mapping[str, Any], path: Path, line: int | None) -> _Statement:
    query = row.get("query")
    if not isinstance(query, str):
        msg = f"QUERIES={path}: has no column `query`: export query, calls and total_exec_time of pg_stat_statements"
        raise QueriesError(msg)
    time = row.get("total_exec_time") or row.get("total_time") or 0
    try:
        return _Statement(query, str(path), line, None, int(row.get("calls") or 0), float(time))
    except ValueError as error:
        msg = f"QUERIES={path}: calls and total_exec_time are numbers: {error}"
        raise QueriesError(msg) from error


def _read_database(uri: str) -> Iterable[_Statement]:
    # Imported here: files alone need no driver.
    from components.database.catalogue import get_statements, reading  # noqa: PLC0415

    with reading(uri, "QUERIES") as connection:
        found = get_statements(connection)
    if found is None:
        msg = "QUERIES: the database has no pg_stat_statements that can be read: create the extension, or name a file"
        raise QueriesError(msg)
    return [_Statement(it.text, "pg_stat_statements", None, None, it.calls, it.milliseconds) for it in found]
