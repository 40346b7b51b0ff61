"""The password that a node shows other nodes: a file beside its data, which a runtime reads and writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

from components import registry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.settings import Settings

__all__ = ["Passfile", "as_lines", "find_passwords", "from_line", "open_passfile"]


class Passfile(Protocol):
    """Where a node has its password. A kill at any moment leaves a whole one."""

    @classmethod
    def at(cls, where: str) -> Self:
        """Return the one of the node of that name or folder."""

    def read(self) -> tuple[str, str]:
        """Return the password, and the one before it while a change is under way; empty where there is none."""

    def prepare(self, user: str, password: str, others: Mapping[str, str]) -> None:
        """Write another one beside it, and keep the present one as the one before.

        `others` are passwords for single nodes, by `name:port`.
        """

    def switch(self) -> None:
        """Take what was prepared; the node shows it at its next login."""

    def settle(self) -> None:
        """Forget the one before."""

    def restart(self, timeout: float) -> None:
        """Restart the node's server, and wait until it takes connections."""


def open_passfile(place: str) -> Passfile:
    """Return the passfile at `docker:<container>` or `folder:<path>`."""
    passfile: Passfile = registry.open_at(registry.PASSFILES, place)
    return passfile


def find_passwords(settings: Settings, place: str) -> Sequence[str]:
    """Return the password of the settings, and those that the node at a place shows: before a change, they are others."""
    return list(dict.fromkeys(filter(None, (settings.password.get_secret_value(), *open_passfile(place).read()))))


def as_lines(user: str, password: str, others: Mapping[str, str]) -> str:
    """Return the text of a passfile, as libpq reads it."""
    lines = [f"{node}:*:{_escaped(user)}:{_escaped(other)}" for node, other in others.items()]
    return "\n".join([*lines, f"*:*:*:{_escaped(user)}:{_escaped(password)}", ""])


def from_line(text: str) -> str:
    """Return the password for any node of a passfile's text; empty where there is none."""
    lines = [line for line in text.splitlines() if line.startswith("*:*:*:")]
    if not lines:
        return ""
    field, escaped = "", False
    for character in lines[-1]:
        if escaped or character not in "\\:":
            field, escaped = field + character, False
        elif character == "\\":
            escaped = True
        else:
            field = ""
    return field


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace(":", r"\:")
