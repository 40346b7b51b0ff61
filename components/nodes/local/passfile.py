"""The password of a local node: the passfile in its folder."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from components.nodes.local.folders import write_private
from components.nodes.passfile import as_lines, from_line

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PASSFILE", "FolderPassfile"]

PASSFILE: Final = "passfile"


@dataclass(frozen=True)
class FolderPassfile:
    """The passfile of a node's folder."""

    folder: Path

    @classmethod
    def at(cls, where: str) -> FolderPassfile:
        """Return that of the folder of this path."""
        return cls(Path(where))

    def read(self) -> tuple[str, str]:
        """Return the password, and the one before it while a change is under way."""
        return self._read(PASSFILE), self._read("former")

    def prepare(self, user: str, password: str, others: Mapping[str, str]) -> None:
        """Write another one beside it."""
        write_private(self.folder / "prepared", as_lines(user, password, others))

    def switch(self) -> None:
        """Take what was prepared."""
        write_private(self.folder / "former", (self.folder / PASSFILE).read_text("utf-8"))
        (self.folder / "prepared").replace(self.folder / PASSFILE)

    def settle(self) -> None:
        """Forget the one before."""
        (self.folder / "former").unlink(missing_ok=True)

    def restart(self, timeout: float) -> None:
        """Do nothing: this program starts the server, and gives it no password."""

    def _read(self, name: str) -> str:
        with suppress(OSError):
            return from_line((self.folder / name).read_text("utf-8"))
        return ""
