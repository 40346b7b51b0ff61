"""Folders of this project that the code reads from."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["PROJECT", "SQL"]

PROJECT: Final = Path(__file__).parent.parent
"""The folder of the program."""

SQL: Final = PROJECT / "sql"
