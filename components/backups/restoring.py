"""What a node is given that is made of a backup: files beside those of pgBackRest. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.backups.configuration import AUTHORITY_FILE, ServerPlace, render
from components.paths import SQL

if TYPE_CHECKING:
    from components.backups.settings import RepositorySettings

__all__ = ["END_OF_ARCHIVE", "RESTORE_FILES", "Fresh", "RestoredNode", "Target", "render_restore"]

END_OF_ARCHIVE: Final = 0
"""In the place of a timeline: the newest, to its end."""

_SCRIPTS: Final = ("after_restore.sql", "find_reference_copies.sql")
RESTORE_FILES: Final = (
    *("restore.conf", "restore.env", "restore-password", "restore-user", "restore-cluster", "restore-point"),
    *("restore-nodes.json", "restore-hba.conf", "restore-auto.conf", *_SCRIPTS),
)
"""The names of those that there are in any case."""


@dataclass(frozen=True)
class RestoredNode:
    """A node of the new cluster, and what it is made of."""

    group: int
    """In pg_dist_node, as it was."""
    stanza: str
    """The node that was backed up."""
    label: str
    """Of its backup."""
    timeline: int
    """That leads from there to the point; or END_OF_ARCHIVE."""
    name: str
    """How the other nodes reach it now."""
    port: int


@dataclass(frozen=True)
class Target:
    """What all nodes of a cluster come to."""

    point: str
    """Empty where a worker comes to the end of its archive."""
    cluster_id: str
    """Of the new cluster; of one that goes on, nothing needs it."""
    password: str
    """Of the user, from now on."""
    nodes: Mapping[str, RestoredNode]
    """By name."""
    coordinator: str = ""
    """How a worker that comes back alone reaches the coordinator, as libpq takes it; it has its password from a file."""
    passfile: str = ""
    """The text of that file."""


@dataclass(frozen=True)
class Fresh:
    """What a node has that was not made of a backup."""

    rules: str
    """pg_hba.conf."""
    configuration: str
    """postgresql.auto.conf, without what Citus adds to it."""


def render_restore(
    settings: RepositorySettings, path: str, server: ServerPlace, target: Target, fresh: Fresh
) -> dict[str, str]:
    """Return the texts of the files that restore_node.sh reads, by their names.

    Args:
        settings: of the repository.
        path: folder of the repository as the node sees it.
        server: where the node's server is; its stanza is the name that the node has now.
        target: what the node comes to.
        fresh: the configuration that it has then.
    """
    node = target.nodes[server.stanza]
    timeline = "latest" if node.timeline == END_OF_ARCHIVE else node.timeline
    source = ServerPlace(node.stanza, server.data, server.port, server.user, server.database, server.folder)
    authority = settings.authority
    where = f"{server.folder}/restore-{AUTHORITY_FILE}" if authority else ""
    return {
        "restore.conf": render(settings, path, source, where),
        "restore.env": f"STANZA={node.stanza}\nLABEL={node.label}\nPOINT={target.point}\nTIMELINE={timeline}\n",
        "restore-password": target.password,
        "restore-user": server.user,
        "restore-cluster": f"{target.cluster_id}\n",  # Docker uploads no empty file
        "restore-point": f"{target.point}\n",
        "restore-nodes.json": json.dumps(
            [{"groupid": it.group, "name": it.name, "port": it.port} for it in target.nodes.values()]
        ),
        "restore-hba.conf": fresh.rules,
        "restore-auto.conf": fresh.configuration,
        **{name: (SQL / "citus" / name).read_text("utf-8") for name in _SCRIPTS},
        **({f"restore-{AUTHORITY_FILE}": authority} if authority else {}),
        **(
            {"restore-coordinator": target.coordinator, "restore-passfile": target.passfile}
            if target.coordinator
            else {}
        ),
    }
