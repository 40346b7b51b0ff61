"""Where a node's log is, and how it ends: for errors that name a node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from components import registry

__all__ = ["Log"]

LAST_LINES: Final = 5


@dataclass(frozen=True)
class Log:
    """A log: `docker:<container>` or `file:<path>` as a property of a resource."""

    kind: str
    where: str

    @classmethod
    def parse(cls, text: str) -> Log:
        """Read what `str` wrote."""
        kind, _, where = text.partition(":")
        return cls(kind, where)

    def __str__(self) -> str:
        return f"{self.kind}:{self.where}"

    def hint(self) -> str:
        """Return the command that shows the log, and its last lines where they can be read."""
        command, text = registry.load(registry.LOGS, self.kind)(self.where, LAST_LINES)
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        ending = "; it ends with: " + " | ".join(lines[-LAST_LINES:]) if lines else ""
        return f"see: {command}{ending}"
