"""A SQL file, statement by statement, split as psql does it: with psql's own commands, and the rows that follow a COPY.

Holds one statement, or a part of the rows, at a time. Parses no SQL.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Final

from components.errors import PlanError
from components.schema.relations import Position

__all__ = ["SqlFile", "Statement"]


_CHUNK: Final = 1 << 18
"""Bytes that are read at first; a statement that is longer doubles them."""

_COMMENT: Final = (
    rb"--[^\n]*+|/\*(?:[^*/]++|\*(?!/)|/(?!\*)|/\*(?:[^*/]++|\*(?!/)|/(?!\*)|/\*(?:[^*]++|\*(?!/))*+\*/)*+\*/)*+\*/"
)
"""Comments nest, here up to three deep."""

_BLANK: Final = re.compile(rb"(?:\s++|" + _COMMENT + rb")*+")

_WORD: Final = rb"[A-Za-z_\x80-\xff]"
_TOKENS: Final = (
    rb"[^'\"$;()\\/\-A-Za-z_\x80-\xff0-9]++"
    rb"|[eE]'(?:[^'\\]++|\\.|'')*+'"
    rb"|(?![eE]')[A-Za-z_0-9\x80-\xff][A-Za-z_0-9$\x80-\xff]*+"
    rb"|'[^']*+'"
    rb'|"[^"]*+"'
    rb"|\$(?P<tag>(?:" + _WORD + rb"[A-Za-z_0-9\x80-\xff]*+)?)\$.*?\$(?P=tag)\$"
    rb"|\$(?!(?:" + _WORD + rb"[A-Za-z_0-9\x80-\xff]*+)?\$)\d*+"
    rb"|" + _COMMENT + rb"|-(?!-)|/(?!\*)"
)
_PLAIN: Final = re.compile(rb"(?:" + _TOKENS + rb"|[()])*+", re.DOTALL)
"""A statement up to a semicolon, to a backslash, or to a quotation or comment that does not end."""

_NESTED: Final = re.compile(
    rb"\s*create\s+(?:or\s+replace\s+)?(?:rule\b|(?:function|procedure)\b.*?\bbegin\s+atomic\b)",
    re.IGNORECASE | re.DOTALL,
)
"""Statements that may have semicolons within."""

_TOKEN: Final = re.compile(rb"(?:" + _TOKENS + rb"|[();])", re.DOTALL)

_COPY: Final = re.compile(rb"copy\b.*\bfrom\s+stdin\b", re.IGNORECASE | re.DOTALL)

_ENCODING: Final = re.compile(rb"\s*(?:set\s+client_encoding\s*(?:=|to)\s*|\\encoding\s+)'?([\w-]+)'?", re.IGNORECASE)


@dataclass(frozen=True)
class SqlFile:
    """A file of the schema. Its text is here where a preview can show it; one that is large, or has rows, is read as needed."""

    name: str
    text: str | None
    path: Path | None = field(default=None, compare=False)

    def read(self) -> Iterator[Statement]:
        """Yield the statements. Rows are there until the next statement is asked for.

        Raises:
            PlanError: it is no text in the encoding that it names, which is UTF-8 where it names none.
        """
        if self.text is None and self.path is not None:
            with self.path.open("rb") as stream:
                yield from _Splitter(self.name, stream).split()
        else:
            yield from _Splitter(self.name, io.BytesIO((self.text or "").encode())).split()

    @property
    def comments(self) -> str:
        """Return the comments that the file begins with, of the first 256 KiB."""
        if self.text is not None or self.path is None:
            head = (self.text or "").removeprefix("\ufeff").encode()
        else:
            with self.path.open("rb") as stream:
                head = stream.read(_CHUNK).removeprefix(codecs.BOM_UTF8)
        found = _BLANK.match(head)
        return found.group().decode(errors="replace") if found else ""

    @cached_property
    def digest(self) -> str:
        """The hash by which the ledger knows the file: SHA-256 in hexadecimal, whichever system wrote its lines."""
        if self.text is not None or self.path is None:
            return hashlib.sha256((self.text or "").encode()).hexdigest()
        found = hashlib.sha256()
        with self.path.open(encoding="utf-8-sig", errors="surrogateescape") as stream:
            while part := stream.read(_CHUNK):
                found.update(part.encode(errors="surrogateescape"))
        return found.hexdigest()


@dataclass(frozen=True)
class Statement:
    """One statement without its semicolon, or a command of psql, with its place in the file."""

    at: Position
    raw: bytes
    """As it is in the file."""
    text: str
    is_command: bool = False
    """Whether it is for psql and not for the server."""
    rows: Iterator[bytes] | None = field(default=None, compare=False)
    """What follows COPY … FROM stdin, in parts of whole lines."""

    def position(self, offset: int) -> Position:
        """Return the place of an offset, in bytes of the text's UTF-8."""
        before = self.text.encode()[: max(offset, 0)].decode(errors="ignore")
        lines = before.count("\n")
        column = len(before) - before.rfind("\n") if lines else self.at.column + len(before)
        return Position(self.at.file, self.at.line + lines, column)


class _Splitter:
    """Splits a stream of bytes."""

    def __init__(self, name: str, stream: IO[bytes]) -> None:
        self._name = name
        self._stream = stream
        self._held = b""
        self._start = 0
        """Where in what is held the next statement begins."""
        self._ended = False
        self._line, self._column = 1, 1
        """Of the start, in characters."""
        self._encoding = "utf-8"

    def split(self) -> Iterator[Statement]:
        self._read_more()
        if self._held.startswith(codecs.BOM_UTF8):
            self._held = self._held.removeprefix(codecs.BOM_UTF8)
        while True:
            self._move_to(self._end_of(_BLANK, opening=b"/*"))
            if self._start == len(self._held):
                return
            if self._held.startswith(b"\\", self._start):
                yield self._take(self._end_of_line(), is_command=True)
                continue
            end = self._end_of_statement()
            statement = self._take(end)
            if self._held.startswith(b";", self._start):
                self._move_to(self._start + 1)
            if not statement.raw:
                continue
            if not _COPY.match(statement.raw):
                yield statement
                continue
            self._move_to(min(self._end_of_line() + 1, len(self._held)))
            rows = self._rows()
            yield Statement(statement.at, statement.raw, statement.text, rows=rows)
            for _ in rows:
                pass

    # --- what is held -----------------------------------------------------------------------------------------------

    def _read_more(self) -> None:
        """Read on, as much again as the statement has already, and forget what is before it."""
        self._held = self._held[self._start :]
        self._start = 0
        more = self._stream.read(max(_CHUNK, len(self._held)))
        self._ended = not more
        self._held += more

    def _move_to(self, end: int) -> None:
        lines = self._held.count(b"\n", self._start, end)
        begun = self._held.rfind(b"\n", self._start, end) + 1 if lines else self._start
        self._line += lines
        self._column = (1 if lines else self._column) + len(self._decoded(self._held[begun:end]))
        self._start = end

    def _end_of(self, pattern: re.Pattern[bytes], *, opening: bytes = b"") -> int:
        """Return where a match at the start ends; what it takes may go on in what is not read yet."""
        while True:
            found = pattern.match(self._held, self._start)
            end = found.end() if found else self._start
            if self._ended or (end + 1 < len(self._held) and not (opening and self._held.startswith(opening, end))):
                return end
            self._read_more()

    def _end_of_line(self) -> int:
        while True:
            end = self._held.find(b"\n", self._start)
            if end >= 0 or self._ended:
                return end if end >= 0 else len(self._held)
            self._read_more()

    def _end_of_statement(self) -> int:
        while True:
            end = self._end_of(_PLAIN)
            if self._held[end : end + 1] == b";" and _NESTED.match(self._held, self._start, end):
                end = self._end_of_nested()
            if self._ended or self._held[end : end + 1] in (b";", b"\\"):
                # What nothing ends is the last statement, for the parser to say why.
                return end if self._held[end : end + 1] in (b";", b"\\") else len(self._held)
            self._read_more()

    def _end_of_nested(self) -> int:
        """Return where a statement ends that has semicolons in parentheses, or between BEGIN ATOMIC and END."""
        at, parentheses, blocks = self._start, 0, 0
        while found := _TOKEN.match(self._held, at):
            token = found.group().lower()
            parentheses += (token == b"(") - (token == b")")
            if token == b"begin" or (token == b"case" and blocks):
                blocks += 1
            blocks -= token == b"end" and blocks > 0
            if token == b";" and parentheses <= 0 and not blocks:
                break
            at = found.end()
        return at

    # --- what is taken ----------------------------------------------------------------------------------------------

    def _take(self, end: int, *, is_command: bool = False) -> Statement:
        raw = self._held[self._start : end].rstrip()
        at = Position(self._name, self._line, self._column)
        found = _ENCODING.match(raw)
        if found:
            self._encoding = self._codec(found[1].decode("ascii", "replace"), at)
        statement = Statement(at, raw, self._decoded(raw, at), is_command=is_command)
        if b"\0" in raw:
            place = statement.position(statement.text.encode().index(0))
            raise PlanError(place.problem("a NUL byte, which SQL cannot hold: remove it"))
        self._move_to(end)
        return statement

    def _decoded(self, raw: bytes, at: Position | None = None) -> str:
        try:
            return raw.decode(self._encoding)
        except UnicodeDecodeError as error:
            if at is None:
                return raw.decode(self._encoding, "replace")
            remedy = "make it a text file in UTF-8 (pg_dump --encoding=UTF8)"
            message = f"cannot be read as {self._encoding.upper()} text ({error}): {remedy}"
            raise PlanError(at.problem(message)) from error

    @staticmethod
    def _codec(name: str, at: Position) -> str:
        """Return Python's name for an encoding of PostgreSQL in which no byte of a longer character is an ASCII one."""
        known = {"SQL_ASCII": "utf-8", "UNICODE": "utf-8", "KOI8R": "koi8_r", "KOI8U": "koi8_u"}
        codec = known.get(name.upper(), re.sub("(?i)^win(?=[0-9])", "cp", name))
        try:
            is_safe = codecs.lookup(codec).name not in {
                "big5",
                "gbk",
                "gb18030",
                "shift_jis",
                "johab",
                "cp932",
                "cp949",
            }
        except LookupError:
            is_safe = False
        if not is_safe:
            raise PlanError(
                at.problem(f"the file is in {name}, which is not read: make it UTF-8 (pg_dump --encoding=UTF8)")
            )
        return codec

    def _rows(self) -> Iterator[bytes]:
        """Yield the rows up to the line that ends them."""
        while True:
            found = re.compile(rb"^\\\.\r?(?:\n|\Z)", re.MULTILINE).search(self._held, self._start)
            is_whole = found is not None and (self._ended or found.end() < len(self._held))
            last = self._held.rfind(b"\n", self._start) + 1
            end = found.start() if found and is_whole else len(self._held) if self._ended else max(last, self._start)
            if not self._ended and not is_whole and found:
                end = found.start()
            rows = self._held[self._start : end]
            self._move_to(end)
            if rows:
                yield rows
            if is_whole and found:
                self._move_to(found.end())
                return
            if self._ended:
                return
            self._read_more()
