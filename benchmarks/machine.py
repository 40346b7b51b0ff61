"""What a figure was measured on, and how figures are shown. Times alone mean little: read the ratios."""

from __future__ import annotations

import os
import platform
import statistics
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["describe", "show", "timed"]


def timed(action: Callable[[], object]) -> float:
    """Return how many seconds an action takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def describe(**versions: str) -> str:
    """Return the machine in a line: cores, system, Python, and what else was used."""
    used = "".join(f", {name.capitalize()} {version}" for name, version in versions.items())
    return f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}{used}"


def show(title: str, seconds: Mapping[str, Sequence[float]], base: str) -> None:
    """Print the median and spread of each, and its ratio to the base."""
    print(f"\n{title}")
    unit = statistics.median(seconds[base])
    for name, runs in seconds.items():
        median = statistics.median(runs)
        print(f"  {name:44} {median:6.2f} s  ({min(runs):.2f} to {max(runs):.2f})  {median / unit:5.2f} x")
