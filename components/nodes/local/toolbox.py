"""pgBackRest of this host, run under the account of the servers."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.backups.configuration import CONFIG_FILE, TOOLBOX
from components.errors import BackupError
from components.nodes.local.folders import write_private
from components.nodes.local.installation import give, unprivileged

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HostToolbox"]


@dataclass(frozen=True)
class HostToolbox:
    """The programs of this host."""

    @classmethod
    def at(cls, _where: str) -> HostToolbox:
        """Return that of this host."""
        return cls()

    def read_info(self, files: Mapping[str, str], _repository: str) -> str:
        """Return what `pgbackrest info` tells, as JSON.

        Raises:
            BackupError: it fails; with what it said.
        """
        program = shutil.which("pgbackrest")
        if program is None:
            msg = "this host has no pgbackrest: install it"
            raise BackupError(msg)
        with tempfile.TemporaryDirectory(prefix="citus-pulumi-") as folder:
            give(Path(folder))
            for name, text in files.items():
                write_private(Path(folder) / name, text.replace(TOOLBOX, folder))
            command = [program, f"--config={folder}/{CONFIG_FILE}", "info", "--output=json"]
            done = subprocess.run(  # noqa: S603
                unprivileged(command), capture_output=True, text=True, errors="replace", check=False, cwd="/"
            )
        if done.returncode:
            raise BackupError(done.stdout + done.stderr)
        return done.stdout
