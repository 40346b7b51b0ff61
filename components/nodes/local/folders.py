"""Folders of local nodes: whose they are, and what removes them."""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from components.errors import HostError
from components.nodes.local.installation import Installation, give, reachable_by

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "CONF_FILE",
    "OWNER_FILE",
    "DataFolder",
    "Owner",
    "get_folders",
    "get_owner",
    "get_port",
    "get_settings",
    "reachable_installation",
    "write_private",
]


COPY_PREFIX: Final = "postgresql-"
"""Begins the name of a copy of programs that the account may not run where they are."""


OWNER_FILE: Final = "citus-pulumi.json"


CONF_FILE: Final = "citus-pulumi.conf"


@dataclass(frozen=True)
class Owner:
    """Whose folder it is, as noted in it."""

    stack: str
    """Full name of the stack at that time."""
    node: str
    cluster: str = ""
    """Id of the cluster; empty where the folder was made before there were ids."""
    released: bool = False
    """Whether its server was stopped for good, so that the data may go."""

    @property
    def owner(self) -> str:
        """Return the id of the cluster, or the stack's name where there is none."""
        return self.cluster or self.stack


def get_owner(folder: Path) -> Owner | None:
    """Return whose folder it is; None where there is none.

    Raises:
        HostError: something is there that this project did not make.
    """
    if not folder.exists():
        return None
    try:
        return Owner(**json.loads((folder / OWNER_FILE).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        msg = f"{folder} exists and was not made by this project: it is left alone. Choose another citus:dataDir, or move it"
        raise HostError(msg) from None


def _find_owner(folder: Path) -> Owner | None:
    """Return whose folder it is; None where this project did not make it, or another step is removing it just now."""
    try:
        return get_owner(folder)
    except HostError:
        if (folder / OWNER_FILE).exists():
            raise
        return None


@dataclass(frozen=True)
class DataFolder:
    """The folder of a node, with its data."""

    folder: Path
    owners: frozenset[str]
    """By which the folders of its cluster are signed."""

    @classmethod
    def at(cls, path: str, owners: frozenset[str], *_elsewhere: object) -> DataFolder:
        """Return the folder of that path."""
        return cls(Path(path), owners)

    def __str__(self) -> str:
        return f"folder {self.folder}"

    def exists(self) -> bool:
        """Tell whether the folder is there, as part of the cluster."""
        owner = get_owner(self.folder)
        return owner is not None and owner.owner in self.owners

    def cluster_lives(self) -> bool:
        """Tell whether any node of the cluster has not been stopped for good."""
        owners = [_find_owner(folder) for folder in self.folder.parent.iterdir()]
        return any(owner.owner in self.owners and not owner.released for owner in owners if owner)

    def remove(self) -> None:
        """Remove the folder with all data, and the one around it once no node is left there."""
        shutil.rmtree(self.folder)
        around = self.folder.parent
        with suppress(FileNotFoundError):  # the last nodes go at the same time, and another was faster
            if all(child.name.startswith(COPY_PREFIX) for child in around.iterdir()):
                shutil.rmtree(around, ignore_errors=True)
                with suppress(OSError):  # another stack's nodes are in there
                    around.parent.rmdir()


def get_folders(around: Path) -> dict[str, Owner]:
    """Return whose the nodes' folders are in a stack's folder, by their names; what this project did not make is left out."""
    found = {}
    for folder in sorted(around.iterdir()) if around.is_dir() else ():
        if owner := _find_owner(folder):
            found[folder.name] = owner
    return found


def get_settings(folder: Path) -> dict[str, str]:
    """Return what a node's folder is configured for, by name; nothing where there is no node yet."""
    try:
        text = (folder / CONF_FILE).read_text("utf-8")
    except OSError:
        return {}
    return {name: value.replace("''", "'") for name, value in re.findall(r"^([\w.]+) = '(.*)'$", text, re.MULTILINE)}


def get_port(folder: Path) -> int | None:
    """Return the port that a node's folder is configured for; None where it tells none."""
    port = get_settings(folder).get("port", "")
    return int(port) if port.isdecimal() else None


def write_private(path: Path, text: str) -> None:
    """Write a file that only the server's account may read, whole or not at all."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    give(new)
    new.replace(path)


def reachable_installation(installation: Installation, base: Path) -> Installation:
    """Return the installation, or a copy of it in `base` where the account may not enter it, as in root's home."""
    if reachable_by(installation.bindir):
        return installation
    prefix = installation.bindir.parent
    copy = base / f"{COPY_PREFIX}{installation.version}" / prefix.parent.name / prefix.name
    libraries = prefix.parent.with_name(f"{prefix.parent.name}.libs")  # a wheel has them beside its package
    if not copy.is_dir():
        _copy_whole(((prefix, copy), (libraries, copy.parent.with_name(libraries.name))))
    return replace(installation, bindir=copy / installation.bindir.name)


def _copy_whole(folders: Iterable[tuple[Path, Path]]) -> None:
    """Copy folders, the first one last: where that is there, all are."""
    for source, target in reversed(list(folders)):
        if source.is_dir() and not target.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            making = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
            shutil.copytree(source, making)
            try:
                making.rename(target)
            except OSError:
                shutil.rmtree(making)  # another run was faster
