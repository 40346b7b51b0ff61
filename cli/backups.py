"""`python -m cli backup|backups`: backs a running cluster up, and shows what its repository holds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console

from cli.cluster import connected_to
from cli.status import make_table
from components.backups.catalogue import Catalogue, read_catalogue
from components.backups.settings import as_duration
from components.database import backups
from components.errors import BackupError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.backups.catalogue import Backup

__all__ = ["KINDS", "back_up", "find_stale", "read_backups", "show_backups", "show_state"]

KINDS: Final = {"full": "full", "differential": "diff", "incremental": "incr"}
"""Kinds of backups, and what pgBackRest calls them."""
_MB: Final = 1 << 20


def back_up(outputs: Mapping[str, Any], kind: str) -> None:
    """Back the cluster up, and make it a point to which all nodes can be restored.

    Raises:
        BackupError: it is not complete, or nothing is backed up.
    """
    if kind != "restore-point" and kind not in KINDS:
        msg = f"KIND={kind}: expected {', '.join(KINDS)} or restore-point"
        raise BackupError(msg)
    _refuse_none(outputs)
    with connected_to(outputs, "backing the cluster up") as connection:
        if kind == "restore-point":
            backups.make_restore_point(connection)
        else:
            backups.back_up(connection, KINDS[kind])


def read_backups(outputs: Mapping[str, Any]) -> Catalogue:
    """Return what the repository of a running cluster holds of it.

    Raises:
        StackError: nothing is backed up, or the repository cannot be read.
    """
    _refuse_none(outputs)
    with connected_to(outputs, "reading the backups") as connection:
        return read_catalogue(backups.read_info(connection), outputs["backups"]["prefix"])


def show_backups(catalogue: Catalogue, *, as_json: bool) -> None:
    """Print the backups, the newest last, and the points to go back to."""
    if as_json:
        print(json.dumps(_describe(catalogue), indent=2))
        return
    console = Console(highlight=False)
    if not catalogue.backups:
        console.print("there is no backup yet: make backup")
        return
    spelled = {short: kind for kind, short in KINDS.items()}
    rows = [
        (
            backup.name,
            spelled.get(backup.kind, backup.kind),
            len(backup.parts),
            f"{backup.size / _MB:,.0f} MB",
            f"{backup.stored / _MB:,.1f} MB",
            f"{backup.seconds:.0f} s",
            "complete" if backup.is_complete else "not complete",
        )
        for backup in catalogue.backups
    ]
    console.print(make_table(["backup", "kind", "nodes", "data", "stored", "took", ""], rows))
    if catalogue.points:
        first, last = catalogue.points[0], catalogue.points[-1]
        console.print(
            f"points to go back to: {len(catalogue.points)}, from {first.name} to {last.name}", soft_wrap=True
        )


def find_stale(outputs: Mapping[str, Any]) -> list[str]:
    """Return why the backups of a running cluster are not as they should be, a line each: too old, failed, or not archived.

    Raises:
        StackError: the cluster cannot be asked.
    """
    return _look(outputs)[1] if "backups" in outputs else []


def show_state(console: Console, outputs: Mapping[str, Any]) -> None:
    """Print how the backups of a running cluster are; nothing where it is not backed up.

    Raises:
        StackError: the cluster cannot be asked.
    """
    if "backups" not in outputs:
        return
    runs, problems = _look(outputs)
    console.print(f"backups:  {runs.describe()} (make backups)", soft_wrap=True, markup=False)
    for problem in problems:
        console.print(problem, style="bold red", soft_wrap=True, markup=False)


def _look(outputs: Mapping[str, Any]) -> tuple[backups.BackupRuns, list[str]]:
    """Return what the cluster notes of its backups, and what is wrong with them."""
    with connected_to(outputs, "looking at the backups") as connection:
        runs = backups.find_runs(connection) or backups.BackupRuns()
        problems = list(backups.find_archiving_problems(connection))
    longest = outputs["backups"]["maxAge"]
    if runs.ended is None or datetime.now(UTC) - runs.ended > as_duration(longest):
        problems.insert(0, f"{runs.describe()} (citus:backup.maxAge is {longest})")
    if runs.failed:
        problems.append(f"the backup {runs.failed} failed: {runs.error}")
    return runs, problems


def _describe(catalogue: Catalogue) -> dict[str, Any]:
    def describe(backup: Backup) -> dict[str, Any]:
        return {
            "name": backup.name,
            "kind": backup.kind,
            "complete": backup.is_complete,
            "started": backup.started.isoformat(),
            "seconds": backup.seconds,
            "bytes": backup.size,
            "stored": backup.stored,
            "point": backup.point or None,
            "nodes": {node: part.label for node, part in backup.parts.items()},
        }

    return {
        "backups": [describe(backup) for backup in catalogue.backups],
        "points": [
            {"name": it.name, "moment": it.moment.isoformat(), "backup": it.backup.name} for it in catalogue.points
        ],
    }


def _refuse_none(outputs: Mapping[str, Any]) -> None:
    if "backups" not in outputs:
        msg = "nothing is backed up: declare citus:backup, and make up"
        raise BackupError(msg)
