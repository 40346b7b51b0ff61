"""Which versions of PostgreSQL and Citus go together with data that is there. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["describe_upgrade", "get_extension_problem", "get_major", "get_newest_postgres"]

_NEWEST: Final = {10: 14, 11: 15, 12: 16, 13: 17, 14: 18}
"""The newest PostgreSQL that each major version of Citus runs on."""


def get_major(version: str) -> int | None:
    """Return the major version of PostgreSQL: 15 of 15.20, 19 of 19beta1; None where there is none."""
    found = re.match(r"\d+", version)
    return int(found.group()) if found else None


def get_newest_postgres(image: str) -> int | None:
    """Return the newest major version of PostgreSQL that an image can have, by its name; None where that does not tell."""
    named = re.search(r"(?:^|/)citus:(?:[a-z]+-)?(\d+)(?:\.\d+)*(?:-\w*?pg-?(\d+))?", image)
    if named is None:
        return None
    return int(named[2]) if named[2] else _NEWEST.get(int(named[1]))


def get_extension_problem(libraries: Iterable[str], extension: str, keep: str) -> str:
    """Return why a server with these versions of Citus cannot serve a database; nothing where it can.

    Citus serves the extension of its own version alone; what follows the second number, as in 12.1-1, may differ. A newer library
    is an upgrade, for which the extension is updated.

    Args:
        libraries: the version of Citus, as each source tells it; empty ones do not count.
        extension: the version of the extension citus in the database.
        keep: what to do to stay at a version, with that version as {}.
    """
    there = _release(extension)
    older = next((library for library in libraries if () < _release(library) < there), "")
    if not older:
        return ""
    stay = keep.format(".".join(map(str, there)))
    return (
        f"it has Citus {older}, and the database has the extension citus {extension}, which an older library does not serve, and "
        f"which cannot be taken back: {stay}, or a newer one; or dump the data, and restore it into a new stack"
    )


def describe_upgrade(libraries: Iterable[str], extension: str) -> str:
    """Return what a newer library means for the cluster; empty where it is none."""
    there = _release(extension)
    newer = next((library for library in libraries if _release(library) > there > ()), "")
    if not newer:
        return ""
    return (
        f"Citus is upgraded from {extension} to {newer}, which cannot be taken back: servers first, workers one by one, "
        "then the coordinator, then the extension on each. Statements on sharded tables are refused meanwhile"
    )


def _release(version: str) -> tuple[int, ...]:
    """Return the two numbers that tell one release of Citus from another: 12 and 1 of 12.1-1 and of 12.1.12.citus-1."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
