"""The locale of a cluster's data: which one is taken, and what follows for nodes that are made later.

It is chosen once, when a node's data folder is made. Nodes whose locales differ would sort and compare text differently, and
queries that push sorting down to the workers would return wrong rows.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["DEFAULT_LOCALE", "choose_locale", "get_initial_locale", "lacks_locale"]


DEFAULT_LOCALE: Final = "C.UTF-8"
"""Sorts by code point, knows the cases of all letters, and never changes its order with an operating system's release. Every
glibc has it, and every major version of PostgreSQL takes it."""


def choose_locale(wanted: str, of_data: str) -> tuple[str, str]:
    """Return the locale of nodes that are made now, and why it cannot be the one that is set; empty where it can.

    Args:
        wanted: the setting; empty where none is set.
        of_data: the locale that the stack's data has; empty where there is no data.
    """
    if of_data and wanted and _normal(wanted) != _normal(of_data):
        why = (
            f"citus:locale = {wanted!r}: this stack's data was made with {of_data!r}, and a locale cannot be changed: remove "
            "the setting; or dump the data, and restore it into a new stack with that locale"
        )
        return of_data, why
    return of_data or wanted or DEFAULT_LOCALE, ""


def lacks_locale(locale: str, known: Collection[str]) -> bool:
    """Tell whether a system that lists these locales lacks one. A system that lists none does not tell."""
    return bool(known) and _normal(locale) not in map(_normal, known)


def get_initial_locale(postgresql_conf: str) -> str:
    """Return the locale that initdb was given, which it notes in the settings that it writes; empty where that is gone."""
    found = re.search(r"^\s*lc_monetary\s*=\s*'?([^'\s#]+)", postgresql_conf, re.MULTILINE)
    return found[1] if found else ""


def _normal(locale: str) -> str:
    """Spell `en_US.UTF-8` and `en_US.utf8` alike, as the C library does."""
    name, dot, codeset = locale.partition(".")
    return f"{name}{dot}{codeset.lower().replace('-', '')}"
