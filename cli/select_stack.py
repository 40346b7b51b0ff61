"""Selects the stack: the one that is named, else Docker's where it can run, else the one of local processes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import yaml

from components.errors import SettingsError
from components.nodes.docker.engine import Engine
from components.settings import PROJECT, SEED_STACK

__all__ = ["LOCAL_STACK", "select_stack", "settings_file"]

LOCAL_STACK: Final = "local"


def settings_file(stack: str) -> Path:
    """Return the file of a stack's settings in the current folder.

    Raises:
        SettingsError: there is none; names those that there are.
    """
    file = Path(f"Pulumi.{stack}.yaml")
    if not file.is_file():
        known = ", ".join(path.name.split(".")[1] for path in sorted(Path().glob("Pulumi.*.yaml")))
        msg = f"{file}: there is no such file: name one of the stacks {known}"
        raise SettingsError(msg)
    return file


def select_stack(named: str = "") -> str:
    """Return the stack to use: the one that is named, or one that can run here, saying in one line which and why.

    Raises:
        SettingsError: it has no file of settings.
    """
    if named:
        settings_file(named)
        return named
    why = Engine.why_not(_image())
    name = LOCAL_STACK if why else SEED_STACK
    settings_file(name)
    reason = f"{why}: PostgreSQL processes of this host instead" if why else "a Docker Engine answers and has the image"
    print(f"stack {name}: {reason} (STACK=… names another)", flush=True)
    return name


def _image() -> str:
    """Return the image of Docker's stack, by its settings or by default."""
    settings = yaml.safe_load(settings_file(SEED_STACK).read_text("utf-8")) or {}
    project = yaml.safe_load(Path("Pulumi.yaml").read_text("utf-8"))
    return str((settings.get("config") or {}).get(f"{PROJECT}:image") or project["config"]["image"]["default"])
