"""The kinds of table."""

from __future__ import annotations

from typing import Literal

__all__ = ["Sharding"]


Sharding = tuple[Literal["distributed", "reference", "local"], str | None]
"""Kind of a table, and its distribution column."""
