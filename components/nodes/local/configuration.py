"""What a local node's pgBackRest reads: files in its folder."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.nodes.local.folders import write_private

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FolderConfiguration"]


@dataclass(frozen=True)
class FolderConfiguration:
    """The files of a node's folder."""

    folder: Path

    @classmethod
    def at(cls, where: str) -> FolderConfiguration:
        """Return those of the folder of this path."""
        return cls(Path(where))

    def ensure(self, texts: Mapping[str, str]) -> bool:
        """Let pgBackRest read these from now on; return whether it did not yet."""
        differing = [name for name, text in texts.items() if self._read(name) != text]
        for name in differing:
            write_private(self.folder / name, texts[name])
        return bool(differing)

    def _read(self, name: str) -> str:
        with suppress(OSError):
            return (self.folder / name).read_text("utf-8")
        return ""
