"""Sizes as a person reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = ["in_words", "span_in_words"]

_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")


def in_words(size: int) -> str:
    """Return a number of bytes with its unit, as PostgreSQL counts: in steps of 1024."""
    figure, unit = float(size), 0
    while figure >= 1024 and unit < len(_UNITS) - 1:  # noqa: PLR2004
        figure, unit = figure / 1024, unit + 1
    return f"{figure:.0f} {_UNITS[unit]}" if unit == 0 or figure >= 100 else f"{figure:.1f} {_UNITS[unit]}"  # noqa: PLR2004


def span_in_words(span: timedelta) -> str:
    """Return a span of time in its two largest units, such as 3 h 20 min."""
    seconds = round(span.total_seconds())
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s")]
    shown = [f"{number} {unit}" for number, unit in parts if number]
    return " ".join(shown[:2]) or "0 s"
