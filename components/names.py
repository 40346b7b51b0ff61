"""Names of tables, columns, schemas and roles, spelled as in SQL. Pure; knows nothing of settings, plans or databases."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

__all__ = [
    "IDENTIFIER_BYTES",
    "ColumnName",
    "RoleName",
    "SchemaName",
    "TableName",
    "TablePattern",
    "default_name",
    "listed",
    "truncate_identifier",
]

IDENTIFIER_BYTES: Final = 63
"""Longest name that PostgreSQL keeps whole, in bytes (NAMEDATALEN - 1)."""

_PATTERN = re.compile(r'\*|"(?:[^"\0\ud800-\udfff]|"")+"|[\w$]+|\.')
_PART = re.compile(r'"(?:[^"\0\ud800-\udfff]|"")+"|[^\W\d][\w$]*')
_PLAIN = re.compile(r"[^\W\dA-Z](?:[^\WA-Z]|\$)*")
_FOLDED = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
"""PostgreSQL folds these letters alone where a character may take several bytes, as in UTF-8 (downcase_identifier)."""

_RESERVED: Final = frozenset(
    re.findall(
        r"\w+",
        "all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate "
        "collation column concurrently constraint create cross current_catalog current_date current_role current_schema "
        "current_time current_timestamp current_user default deferrable desc distinct do else end except false fetch "
        "for foreign freeze from full grant group having ilike in initially inner intersect into is isnull join lateral "
        "leading left like limit localtime localtimestamp natural not notnull null offset on only or order outer "
        "overlaps placing primary references returning right select session_user similar some symmetric system_user "
        "table tablesample then to trailing true union unique user using variadic verbose when where window with ",
    )
)
"""Keywords of PostgreSQL 15 to 18 that name no table and no column without quotes (parser/kwlist.h)."""


def _parse(text: str, most: int) -> tuple[str, ...]:
    """Split `a.b` or `"A b".c` into names: an unquoted one is folded to lower case, as PostgreSQL folds it."""
    names: list[str] = []
    position = 0
    while part := _PART.match(text, position):
        word = part.group()
        names.append(word[1:-1].replace('""', '"') if word.startswith('"') else word.translate(_FOLDED))
        position = part.end()
        if not text.startswith(".", position):
            break
        position += 1
    else:
        names.clear()  # nothing that is a name at the start, or behind a dot
    if position != len(text) or not 1 <= len(names) <= most:
        msg = f'{text!r} is not a name: write name or "Quoted Name"' + (", with schema. before it" * (most > 1))
        raise ValueError(msg)
    return tuple(names)


@lru_cache(maxsize=65536)
def _quoted(name: str, reserved: frozenset[str] = _RESERVED) -> str:
    if _PLAIN.fullmatch(name) and name not in reserved:
        return name
    return '"' + name.replace('"', '""') + '"'


class _SqlName:
    """Lets pydantic read the name from a string in the settings."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the name from its spelling in SQL; raises ValueError."""
        raise NotImplementedError

    @classmethod
    def _read(cls, value: object) -> Self:
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            msg = f"expected a name, got {value!r}"
            raise ValueError(msg)  # noqa: TRY004 - pydantic reports ValueError
        return cls.parse(value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # Imported here: providers use names too, and their process starts faster without pydantic.
        from pydantic_core import core_schema  # noqa: PLC0415

        return core_schema.no_info_plain_validator_function(cls._read)


@dataclass(frozen=True, order=True)
class TableName(_SqlName):
    """A table by schema and name, as the catalogue has them: folded, without quotes."""

    schema: str
    name: str

    @classmethod
    def parse(cls, text: str) -> TableName:
        """Read `name` (in the schema public) or `schema.name`; raises ValueError."""
        *schema, name = _parse(text, most=2)
        return cls(schema[0] if schema else "public", name)

    def __str__(self) -> str:
        """Return the name as it is spelled in SQL, without `public.`."""
        return self._spelled(_RESERVED)

    @property
    def former_spelling(self) -> str:
        """Return the name as states of the time have it when keywords stood without quotes."""
        return self._spelled(frozenset())

    def _spelled(self, reserved: frozenset[str]) -> str:
        prefix = "" if self.schema == "public" else f"{_quoted(self.schema, reserved)}."
        return prefix + _quoted(self.name, reserved)


@dataclass(frozen=True, order=True)
class TablePattern:
    """Names of tables, with `*` for any characters of a name: `log_*`, `audit.*`. Without a schema, in whichever schema."""

    text: str

    @classmethod
    def parse(cls, text: str) -> TablePattern | None:
        """Read a pattern; None where the text has no `*` outside of quotes. Raises ValueError where it has, and is none."""
        parts = _PATTERN.findall(text)
        if "*" not in parts:
            return None
        if "".join(parts) != text or parts.count(".") > 1 or "." in (parts[0], parts[-1]):
            msg = f'{text!r} is not a pattern of names: write name with * in it, such as log_* or "Log"*, with schema. before it'
            raise ValueError(msg)
        return cls(text)

    @cached_property
    def _parts(self) -> tuple[tuple[str, ...], ...]:
        """The schema, if there is one, and the name; each as its literal texts, between which anything may be."""
        parts: list[list[str]] = [[""]]
        for piece in _PATTERN.findall(self.text):
            if piece == ".":
                parts.append([""])
            elif piece == "*":
                parts[-1].append("")
            else:
                parts[-1][-1] += piece[1:-1].replace('""', '"') if piece.startswith('"') else piece.translate(_FOLDED)
        return tuple(map(tuple, parts))

    def matches(self, table: TableName) -> bool:
        """Tell whether a table has such a name."""
        names = (table.schema, table.name)[-len(self._parts) :]
        expressions = (".*".join(map(re.escape, part)) for part in self._parts)
        return all(re.fullmatch(it, name, re.DOTALL) for it, name in zip(expressions, names, strict=True))

    @property
    def literal(self) -> int:
        """Return how many characters the pattern gives: of two that match, the one with more is nearer."""
        return sum(len(text) for part in self._parts for text in part)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, order=True)
class ColumnName(_SqlName):
    """A column's name, as the catalogue has it."""

    name: str

    @classmethod
    def parse(cls, text: str) -> ColumnName:
        """Read `name` or `"Quoted Name"`; raises ValueError."""
        return cls(*_parse(text, most=1))

    def __str__(self) -> str:
        """Return the name as it is spelled in SQL."""
        return _quoted(self.name)


@dataclass(frozen=True, order=True)
class SchemaName(_SqlName):
    """A schema's name, as the catalogue has it."""

    name: str

    @classmethod
    def parse(cls, text: str) -> SchemaName:
        """Read `name` or `"Quoted Name"`; raises ValueError."""
        return cls(*_parse(text, most=1))

    def __str__(self) -> str:
        """Return the name as it is spelled in SQL."""
        return _quoted(self.name)


class RoleName(ColumnName):
    """A role's name, as the catalogue has it."""


def listed(columns: Iterable[str]) -> str:
    """Return columns as SQL lists them."""
    return ", ".join(str(ColumnName(column)) for column in columns)


def truncate_identifier(name: str) -> str:
    """Return the name as PostgreSQL keeps it: 63 bytes of it, and no half of a character."""
    return name.encode()[:IDENTIFIER_BYTES].decode(errors="ignore")


def default_name(table: str, columns: str, suffix: str, limit: int = IDENTIFIER_BYTES) -> str:
    """Return the name that makeObjectName of PostgreSQL makes: the longer of table and columns is truncated until all fit."""
    one, two = table.encode(), columns.encode()
    room = limit - len(suffix.encode()) - 1 - (1 if two else 0)
    while len(one) + len(two) > room:
        if len(one) > len(two):
            one = one[:-1]
        else:
            two = two[:-1]
    parts: Iterable[str] = (one.decode(errors="ignore"), two.decode(errors="ignore"), suffix)
    return "_".join(part for part in parts if part)
