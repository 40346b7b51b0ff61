"""`python -m cli restore`: makes a new stack of a backup of another one, or puts a stack back to one."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from pulumi import automation

from cli.backups import read_backups
from cli.new_stack import make_stack
from cli.select_stack import settings_file
from cli.stacks import open_stack, read_outputs
from components.errors import BackupError, StackError
from components.settings import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["prepare_in_place", "prepare_new", "wanted_workers"]

_OF_BACKUPS: Final = ("retention", "schedule", "maxAge")
_SECRET: Final = ("key", "secretKey")


def prepare_new(source: str, new: str, at: str) -> None:
    """Make the settings of a new stack that is made of a backup of another one.

    Args:
        source: the stack that is backed up, running or not.
        new: name of the new stack; where it is there already, it goes on.
        at: what to restore to.

    Raises:
        StackError: there is no such backup, or the other stack has none.
    """
    if Path(f"Pulumi.{new}.yaml").exists():
        document = yaml.safe_load(settings_file(new).read_text("utf-8")) or {}
        if f"{PROJECT}:restoreFrom" not in (document.get("config") or {}):
            msg = f"the stack {new} is there already, and is not made of a backup: choose another name (NAME=…)"
            raise BackupError(msg)
        return
    repository, prefix = _read_repository(source)
    point = _find_point(source, at)
    file = make_stack(new, source)
    _write(new, file, repository, {"at": point, "prefix": prefix})
    print(f"{file}: the stack {new} is made of {point}, as it was in {repository['repository']}")


def prepare_in_place(stack: str, confirmed: str, at: str) -> None:
    """Let a stack be made of one of its own backups, once it is destroyed.

    Args:
        stack: whose rows are given up.
        confirmed: its name once more.
        at: what to restore to.

    Raises:
        StackError: it was not said twice, there is no such backup, or nobody can tell.
    """
    if confirmed != stack:
        msg = (
            f"restoring in place gives up all that the stack {stack} holds now, and everything since the point: say its name "
            f"twice, IN_PLACE={stack} CONFIRM={stack}; without IN_PLACE, a new stack is made"
        )
        raise BackupError(msg)
    repository, prefix = _read_repository(stack)
    # Nothing is given up before it is known that there is something to go back to.
    point = read_backups(read_outputs(stack)).find(at).name
    _write(stack, settings_file(stack), repository, {"at": point, "prefix": prefix, "inPlace": True})
    print(f"the stack {stack} goes back to {point}")


@contextmanager
def wanted_workers(stack: str, workers: str) -> Iterator[None]:
    """Let an update make lost workers of their own newest backup. It is said for this once: later on, it would be meant no more.

    Args:
        stack: that has lost them.
        workers: such as worker_2, with commas between.
    """
    opened, setting = open_stack(stack), f"{PROJECT}:restoreWorkers"
    opened.set_config(setting, automation.ConfigValue(workers))
    yield
    opened.remove_config(setting)


def _read_repository(stack: str) -> tuple[dict[str, Any], str]:
    config = open_stack(stack).get_all_config()
    backup = config.get(f"{PROJECT}:backup")
    declared = json.loads(backup.value) if backup else None
    if not isinstance(declared, dict):
        msg = f"the stack {stack} declares no citus:backup, so there is nothing to restore"
        raise BackupError(msg)
    prefix = config.get(f"{PROJECT}:namePrefix")
    return {name: it for name, it in declared.items() if name not in _OF_BACKUPS}, prefix.value if prefix else PROJECT


def _find_point(stack: str, at: str) -> str:
    """Return the name of a point while the cluster is up to tell; else what the person said, which the preview looks for."""
    outputs = read_outputs(stack)
    if "backups" not in outputs:
        return at
    try:
        catalogue = read_backups(outputs)
    except StackError as error:
        print(
            f"the cluster of {stack} cannot be asked for its backups, so the repository is read once it is mounted: {error}"
        )
        return at
    return catalogue.find(at).name


def _write(stack: str, file: Path, repository: Mapping[str, Any], more: Mapping[str, Any]) -> None:
    document = yaml.safe_load(file.read_text("utf-8")) or {}
    plain = {name: it for name, it in repository.items() if name not in _SECRET}
    document["config"][f"{PROJECT}:restoreFrom"] = {**plain, **more}
    file.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), "utf-8")
    opened = open_stack(stack)
    for name in _SECRET:
        if name in repository:
            value = automation.ConfigValue(str(repository[name]), secret=True)
            opened.set_config(f"{PROJECT}:restoreFrom.{name}", value, path=True)
