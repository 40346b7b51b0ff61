"""What a repository holds of a cluster, read from what pgBackRest tells of it: backups of all nodes, and points to go back to."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from components.errors import BackupError
from components.sizes import span_in_words

__all__ = ["Backup", "Catalogue", "Part", "Point", "read_catalogue"]

LATEST: Final = "latest"
_POINT: Final = "citus-pulumi-"
_UNREADABLE: Final = 99
"""pgBackRest's code for errors that have no other."""
_INVALID: Final = "[invalid]"
"""Its name for a stanza where it cannot even list them."""
_COORDINATOR: Final = "_coordinator"


@dataclass(frozen=True)
class Part:
    """The backup of one node, as pgBackRest has it."""

    node: str
    """Its stanza: the node's name."""
    label: str
    kind: str
    """full, diff or incr."""
    size: int
    """Bytes of the data."""
    stored: int
    """Bytes that it takes in the repository beside those that it needs."""
    started: datetime
    ended: datetime
    group: int | None
    """The node's in pg_dist_node; None where the backup is not complete."""
    timelines: Mapping[str, int]
    """By the points that it leads to: a restore goes along one, and each begins where an earlier restore ended."""


@dataclass(frozen=True)
class Point:
    """A moment to which every node can be restored."""

    name: str
    moment: datetime
    """All that was committed through the coordinator until then is in it."""
    backup: Backup
    """The one that a restore begins with."""
    citus: str
    """Version of the extension that the database had then; empty where it was not noted."""


@dataclass(frozen=True)
class Backup:
    """A backup of a cluster."""

    name: str
    parts: Mapping[str, Part]
    """By node, the coordinator's first."""
    point: str
    """The restore point that ends it; empty where it is not complete."""
    moment: datetime | None
    major: str
    """Major version of the server that was backed up."""

    @property
    def is_complete(self) -> bool:
        """Tell whether all nodes can be restored from it."""
        return bool(self.point)

    @property
    def kind(self) -> str:
        """Return the kind of its parts: that of the coordinator's."""
        return next(iter(self.parts.values())).kind

    @property
    def size(self) -> int:
        """Return the bytes of all nodes' data."""
        return sum(part.size for part in self.parts.values())

    @property
    def stored(self) -> int:
        """Return the bytes that it takes in the repository."""
        return sum(part.stored for part in self.parts.values())

    @property
    def started(self) -> datetime:
        """Return when the first node began."""
        return min(part.started for part in self.parts.values())

    @property
    def seconds(self) -> float:
        """Return how long it took, until the last node had ended."""
        return (max(part.ended for part in self.parts.values()) - self.started).total_seconds()


@dataclass(frozen=True)
class Catalogue:
    """The backups of one cluster, the oldest first, and the points to go back to."""

    backups: tuple[Backup, ...]
    points: tuple[Point, ...]
    prefixes: tuple[str, ...]
    """Those of all clusters that the repository has something of."""

    def find(self, at: str) -> Point:
        """Return the point that a person means.

        Args:
            at: the name of a point or of a backup, `latest`, or a time, which is answered with the points around it.

        Raises:
            BackupError: there is none such; names those that there are.
        """
        if not self.points:
            msg = "there is no complete backup in the repository: nothing can be restored"
            raise BackupError(msg)
        if at == LATEST:
            return self.points[-1]
        for point in self.points:
            if at in (point.name, point.name.removeprefix(_POINT)):
                return point
        for backup in self.backups:
            if at == backup.name:
                msg = f"the backup {at} is not complete: a node's part of it is missing. {self._describe_all()}"
                raise BackupError(msg)
        moment = _as_moment(at)
        if moment is None:
            msg = f"{at!r} is no backup and no restore point. {self._describe_all()}"
            raise BackupError(msg)
        before = [point for point in self.points if point.moment <= moment]
        after = [point for point in self.points if point.moment > moment]
        told = [
            *(
                f"{it.name} ({span_in_words(moment - it.moment)} before) has what was committed by then"
                for it in before[-1:]
            ),
            *(
                f"{it.name} ({span_in_words(it.moment - moment)} after) has all of it, and what came until then"
                for it in after[:1]
            ),
        ]
        msg = (
            f"no restore point is at {at}: nodes that are restored to a time alone can hold halves of a transaction. "
            f"{'; '.join(told)}. Name one of them"
        )
        raise BackupError(msg)

    def _describe_all(self) -> str:
        first, last = self.points[0], self.points[-1]
        return f"There are {len(self.points)} points to go back to, from {first.name} to {last.name} (latest)"


def read_catalogue(told: str, prefix: str) -> Catalogue:
    """Return what a repository holds of a cluster.

    Args:
        told: by `pgbackrest info --output=json`.
        prefix: namePrefix of the cluster.

    Raises:
        BackupError: the repository cannot be read, as where its key is another; says what pgBackRest said.
    """
    listed = json.loads(told, strict=False)  # what cannot be decrypted is in it as it is
    stanzas = {
        str(stanza["name"]): stanza
        for stanza in listed
        if re.fullmatch(rf"{re.escape(prefix)}(_coordinator|_worker_\d+)", str(stanza["name"]))
    }
    for stanza in [*stanzas.values(), *(it for it in listed if it["name"] == _INVALID)]:
        for repository in stanza.get("repo") or ():
            if repository["status"]["code"] == _UNREADABLE:
                said = str(repository["status"]["message"]).partition("\n")[0]
                msg = f"it cannot be read: {said}"
                raise BackupError(msg)
    names = sorted(stanzas, key=lambda name: (not name.endswith(_COORDINATOR), len(name), name))
    made = {node: _get_named(stanzas[node]) for node in names}
    coordinator = f"{prefix}{_COORDINATOR}"
    majors = {one["id"]: str(one["version"]) for one in stanzas.get(coordinator, {}).get("db") or ()}
    backups, points = [], []
    for name in sorted({name for found in made.values() for name in found}):
        leading = made.get(coordinator, {}).get(name, {})
        annotation = leading.get("annotation", {})
        backup = Backup(
            name,
            {node: _read_part(node, found[name]) for node, found in made.items() if name in found},
            annotation.get("point", ""),
            _as_moment(annotation.get("moment", "")),
            majors.get((leading.get("database") or {}).get("id"), ""),
        )
        backups.append(backup)
        if backup.moment and backup.point:
            points.append(Point(backup.point, backup.moment, backup, annotation.get("citus", "")))
        for key, (moment, _, citus) in _read_further(annotation).items():
            if (at := _as_moment(moment)) and backup.point:
                points.append(Point(key, at, backup, citus))
    prefixes = sorted(
        str(it["name"]).removesuffix(_COORDINATOR) for it in listed if str(it["name"]).endswith(_COORDINATOR)
    )
    return Catalogue(tuple(backups), tuple(sorted(points, key=lambda it: it.moment)), tuple(prefixes))


def _get_named(stanza: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the backups of a node that are part of one of the cluster, by its name."""
    return {
        found["annotation"]["name"]: found
        for found in stanza.get("backup") or ()
        if (found.get("annotation") or {}).get("name")
    }


def _read_part(node: str, found: Mapping[str, Any]) -> Part:
    times = {name: datetime.fromtimestamp(value, UTC) for name, value in found["timestamp"].items()}
    info = found["info"]
    return Part(
        node,
        str(found["label"]),
        str(found["type"]),
        int(info["size"]),
        int(info["repository"]["delta"]),
        times["start"],
        times["stop"],
        int(group) if (group := found["annotation"].get("group")) else None,
        _read_timelines(found["annotation"]),
    )


def _read_timelines(annotation: Mapping[str, str]) -> dict[str, int]:
    of_further = {key: timeline for key, (_, timeline, _) in _read_further(annotation).items()}
    found = {annotation.get("point", ""): annotation.get("timeline", ""), **of_further}
    return {point: int(timeline) for point, timeline in found.items() if point and timeline}


def _read_further(annotation: Mapping[str, str]) -> dict[str, tuple[str, str, str]]:
    """Return moment, timeline and Citus's version of each further point; empty where they were not noted."""
    noted = {key: [*value.split("/"), "", ""] for key, value in annotation.items() if key.startswith(_POINT)}
    return {key: (moment, timeline, citus) for key, (moment, timeline, citus, *_) in noted.items()}


def _as_moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
