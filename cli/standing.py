"""What a stack's state tells of its cluster: files that were applied, and tables that are sharded. Asks Pulumi, no database.

The state is read as it was written, secrets encrypted: no passphrase is needed.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any, Final

from components.plan.later import Standing
from components.resources.wire import read
from components.tables import (
    DistributedDeclaration,
    LocalDeclaration,
    ReferenceDeclaration,
    SchemaDeclaration,
    Sharding,
    SingleShard,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.names import TableName

__all__ = ["read_standing", "standing_of"]

_PATIENCE: Final = 20
"""Seconds that Pulumi's CLI may take."""
_TYPE: Final = "pulumi-python:dynamic/citus:"
_KINDS: Final = {
    "DistributedTable": DistributedDeclaration,
    "ReferenceTable": ReferenceDeclaration,
    "LocalTable": LocalDeclaration,
}


def read_standing(stack: str) -> Standing | None:
    """Return what the state of a stack of the current folder tells; None where there is no state that can be read."""
    command = ["pulumi", "stack", "export", "--stack", stack, "--non-interactive"]
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        done = subprocess.run(  # noqa: S603 - the name of the program stands here
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=True
        )
        deployment = json.loads(done.stdout)["deployment"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        return None
    return standing_of(deployment.get("resources") or ())


def standing_of(resources: Iterable[dict[str, Any]]) -> Standing | None:
    """Return what the resources of a state tell; None where no file was applied."""
    files: set[str] = set()
    tables: dict[TableName, Sharding] = {}
    for resource in resources:
        kind = str(resource.get("type", "")).removeprefix(_TYPE)
        known = {**(resource.get("inputs") or {}), **(resource.get("outputs") or {})}
        if resource.get("delete") or not resource.get("id"):
            continue
        if kind == "SchemaScript":
            files.add(str(resource["id"]))
        elif kind in _KINDS:
            declared: DistributedDeclaration | ReferenceDeclaration | LocalDeclaration = read(_KINDS[kind], known)
            tables[declared.table] = declared.sharding
        elif kind == "DistributedSchema":
            schema = read(SchemaDeclaration, known)
            tables |= {} if schema.undistribute else dict.fromkeys(schema.tables, SingleShard())
    return Standing(files, tables) if files else None
