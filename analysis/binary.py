"""Rows in PostgreSQL's binary COPY format, made from numpy's columns without a step a row. Pure; knows no table.

A row is a count of fields, then each field's length and bytes. Rows whose fields have the same lengths have one layout, so
they are one structured array; a block has few layouts, and each is written into its rows' places at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = ["HEADER", "TRAILER", "Field", "encode", "int4", "int8", "numeric", "or_null", "text", "timestamptz"]

HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER: Final = b"\xff\xff"
EPOCH: Final = 946_684_800
"""Seconds from 1970 to 2000, from where PostgreSQL counts."""
_NUMERIC: Final = np.dtype(
    [("ndigits", ">i2"), ("weight", ">i2"), ("sign", ">i2"), ("dscale", ">i2"), ("digits", ">i2", (4,))]
)


@dataclass(frozen=True)
class Field:
    """One column. Of each row, `variant` says which of `parts` it has; a part is values, one word, or NULL."""

    parts: tuple[NDArray[Any] | bytes | None, ...]
    variant: NDArray[np.int64] | None = None
    """None where there is one part."""


def int4(values: NDArray[np.int64]) -> Field:
    """Return a column of type integer."""
    return Field((values.astype(">i4"),))


def int8(values: NDArray[np.int64]) -> Field:
    """Return a column of type bigint."""
    return Field((values.astype(">i8"),))


def timestamptz(microseconds: NDArray[np.int64]) -> Field:
    """Return a column of type timestamp with time zone, from microseconds since 1970."""
    return int8(microseconds - EPOCH * 1_000_000)


def numeric(cents: NDArray[np.int64]) -> Field:
    """Return a column of type numeric with two decimals, from hundredths that are not negative and below 10^14.

    Always four digits to the base of 10,000: PostgreSQL drops those that are zero as it reads them.
    """
    whole, hundredths = np.divmod(cents, 100)
    values = np.zeros(len(cents), _NUMERIC)
    values["ndigits"], values["weight"], values["dscale"] = 4, 2, 2
    digits = values["digits"]
    digits[:, 0] = whole // 10_000**2
    digits[:, 1] = whole // 10_000 % 10_000
    digits[:, 2] = whole % 10_000
    digits[:, 3] = hundredths * 100
    return Field((values,))


def text(words: Sequence[str], chosen: NDArray[np.int64]) -> Field:
    """Return a column of type text: of each row, the number of one of a few words."""
    return Field(tuple(word.encode() for word in words), chosen)


def or_null(field: Field, null: NDArray[np.bool_]) -> Field:
    """Return the column with NULL where that is true; the column has one part."""
    return Field((*field.parts, None), null.astype(np.int64))


def encode(fields: Sequence[Field]) -> bytes:
    """Return the rows as COPY takes them, in their order, to stand between HEADER and TRAILER."""
    rows = next(len(part) for field in fields for part in field.parts if isinstance(part, np.ndarray))
    layout = np.zeros(rows, np.int64)
    for field in fields:
        if field.variant is not None:
            layout = layout * len(field.parts) + field.variant
    if all(field.variant is None for field in fields):
        return _rows(fields, slice(None), rows).tobytes()
    groups = [
        (chosen := np.flatnonzero(layout == code), _rows(fields, chosen, len(chosen))) for code in np.unique(layout)
    ]
    widths = np.empty(rows, np.int64)
    for chosen, made in groups:
        widths[chosen] = made.itemsize
    starts = np.cumsum(widths) - widths
    out = np.empty(int(widths.sum()), np.uint8)
    for chosen, made in groups:
        out[starts[chosen, None] + np.arange(made.itemsize)] = made.view(np.uint8).reshape(len(chosen), -1)
    return out.tobytes()


def _rows(fields: Sequence[Field], chosen: NDArray[np.int64] | slice, count: int) -> NDArray[Any]:
    """Return rows that all have the layout of the first of them."""
    parts: list[NDArray[Any] | bytes | None] = []
    for field in fields:
        number = 0 if field.variant is None else int(field.variant[chosen][0])
        part = field.parts[number]
        parts.append(part[chosen] if isinstance(part, np.ndarray) else part)
    kinds: list[tuple[str, Any]] = [("count", ">i2")]
    for number, part in enumerate(parts):
        kinds.append((f"length{number}", ">i4"))
        if part is not None:
            kinds.append((f"value{number}", part.dtype if isinstance(part, np.ndarray) else f"V{len(part)}"))
    rows = np.empty(count, np.dtype(kinds))
    rows["count"] = len(parts)
    for number, part in enumerate(parts):
        if part is None:
            rows[f"length{number}"] = -1
            continue
        value = rows[f"value{number}"]
        rows[f"length{number}"] = value.dtype.itemsize
        value[...] = part if isinstance(part, np.ndarray) else np.void(part)
    return rows
