"""Makes a stack with the settings of another one, and with names, ports and a password of its own."""

from __future__ import annotations

import random
import re
import secrets
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import yaml
from pulumi import automation

from cli.select_stack import settings_file
from cli.stacks import open_stack
from components.errors import SettingsError
from components.settings import PROJECT

__all__ = ["NODES", "free_ports", "make_stack"]

NODES: Final = 65
"""A coordinator and the most workers there can be."""
_TAKEN_OVER: Final = ("password", "backup", "restoreFrom", "dataDir", "namePrefix", "network", "port", "workerPorts")
"""Settings that two stacks of one machine cannot share."""


def make_stack(name: str, like: str) -> Path:
    """Make a stack with the settings of another one; return its file of settings. Nothing is brought up.

    Raises:
        SettingsError: it is there already, or the other one is not, or the name is not valid.
    """
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,39}", name):
        msg = (
            f"{name!r} is not a valid name of a stack: 1 to 40 letters, digits, _ and -, the first a letter or a digit"
        )
        raise SettingsError(msg)
    file = Path(f"Pulumi.{name}.yaml")
    if file.exists():
        msg = f"{file} is there already: choose another name, or remove it"
        raise SettingsError(msg)
    document = yaml.safe_load(settings_file(like).read_text("utf-8")) or {}
    given: dict[str, Any] = document.get("config") or {}
    config = {key: value for key, value in given.items() if key.removeprefix(f"{PROJECT}:") not in _TAKEN_OVER}
    port = free_ports()
    own: dict[str, Any] = {"namePrefix": name, "port": port}
    if given.get(f"{PROJECT}:runtime") == "local":
        own["workerPorts"] = f"{port + 1}-{port + NODES - 1}"
    else:
        own["network"] = f"{name}net"
    config |= {f"{PROJECT}:{key}": value for key, value in own.items()}
    file.write_text(yaml.safe_dump({"config": config}, allow_unicode=True, sort_keys=False), "utf-8")
    try:
        password = automation.ConfigValue(secrets.token_urlsafe(24), secret=True)
        open_stack(name).set_config(f"{PROJECT}:password", password)
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return file


def free_ports() -> int:
    """Return the first of as many ports in a row as a cluster may need, all free now."""
    while True:
        first = random.randint(15000, 29000)  # noqa: S311
        with ExitStack() as probes:
            try:
                for port in range(first, first + NODES):
                    probes.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
