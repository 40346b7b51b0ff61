"""Workers whose data is gone: what stands in the way of going on, and what each is made of where a person wants it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pulumi
from psycopg.conninfo import make_conninfo

from components.backups.catalogue import read_catalogue
from components.backups.restoring import END_OF_ARCHIVE, RestoredNode, Target, render_restore
from components.database import backups
from components.database.client import connected
from components.database.health import get_silent_nodes
from components.errors import BackupError, StackError
from components.nodes.passfile import as_lines

if TYPE_CHECKING:
    from components.backups.catalogue import Catalogue
    from components.backups.configuration import ServerPlace
    from components.backups.restoring import Fresh
    from components.database.live import LiveCluster
    from components.settings import Settings

__all__ = ["RETURN_SECONDS", "Returning", "find_returning"]

RETURN_SECONDS: Final = 86400
"""In which a worker has to be back."""
_SECONDS: Final = 60
"""In which the coordinator has to tell what the repository holds."""


@dataclass(frozen=True)
class Returning:
    """Workers that are made of their own newest backup, while the cluster goes on without them."""

    names: tuple[str, ...] = ()
    nodes: Mapping[str, RestoredNode] = field(default_factory=dict)
    """Each of them by its name, and the other nodes by their addresses."""
    obstacles: tuple[str, ...] = ()
    """A line for each that cannot come back, or that nobody has asked for."""
    told: str = ""
    """What becomes of the workers that the settings want back; empty where they want none."""

    def render(
        self,
        settings: Settings,
        server: ServerPlace,
        path: str,
        coordinator: tuple[str, int],
        fresh: Fresh,
        **verified: str,
    ) -> dict[str, pulumi.Output[str]]:
        """Return the files of one of them, by their names; see render_restore.

        Args:
            settings: of the stack.
            server: of the node; its stanza is the node's name.
            path: where it has the repository.
            coordinator: how it reaches that.
            fresh: the configuration that it has then.
            verified: how it verifies the coordinator, as libpq takes it.
        """
        assert settings.backup  # noqa: S101 - as the settings have proved
        host, port = coordinator
        password = settings.password.get_secret_value()
        target = Target(
            point="",
            cluster_id="",
            password=password,
            nodes=self.nodes,
            coordinator=make_conninfo(host=host, port=port, dbname=settings.database, user=settings.user, **verified),
            passfile=as_lines(settings.user, password, {}),
        )
        files = render_restore(settings.backup, path, server, target, fresh)
        return {name: pulumi.Output.secret(text) for name, text in files.items()}


def find_returning(
    settings: Settings, live: LiveCluster | None, reached: Mapping[str, tuple[str, int]], missing: tuple[str, ...]
) -> Returning:
    """Find out which workers are made of a backup. The repository is asked only where one is lost that a person wants back.

    Args:
        settings: of the stack.
        live: the cluster, where its coordinator answers.
        reached: how other nodes reach each node, by its name; the coordinator's first.
        missing: names of nodes that have no volume or folder.
    """
    keys = dict(zip(reached, settings.nodes, strict=True))
    # One that has data may be half made, by a run that was killed; restore_node.sh leaves data alone that is no restore's.
    wanted = tuple(name for name, key in keys.items() if key in settings.lost_workers)
    if live is None:
        silent = tuple(
            f"citus:restoreWorkers: {keys[name]} comes back into a cluster that runs, and the coordinator does not answer: start "
            "it. Where it is lost, too, restore the whole cluster into a new stack: make restore (docs/backups.md)"
            for name in wanted
            if name in missing
        )
        return Returning(obstacles=silent)
    lost = _describe_lost(settings, live, reached, keys, [it for it in missing if it not in wanted])
    if not wanted:
        return Returning(obstacles=lost)
    try:
        catalogue = _read_catalogue(settings, live)
        sources = {name: _find_source(catalogue, name, *reached[name]) for name in wanted}
    except StackError as error:
        return Returning(obstacles=(*lost, f"citus:restoreWorkers = {settings.restore_workers!r}: {error}"))
    groups = {node.group for node in sources.values()}
    there = {worker.group_id for worker in live.workers}
    unknown = tuple(
        f"citus:restoreWorkers: {keys[name]} was the worker of group {node.group}, and none is registered with that: what it "
        "held is elsewhere, or was given up. Remove it from the setting"
        for name, node in sources.items()
        if node.group not in there
    )
    others = {
        worker.address: RestoredNode(worker.group_id, "", "", 0, worker.node_name, worker.node_port)
        for worker in live.workers
        if worker.group_id not in groups
    }
    gone = ", ".join(name for name in wanted if name in missing)
    told = (
        f"made of their own newest backups, to the end of what they archived: {gone}"
        if gone
        else "citus:restoreWorkers: nothing of it is lost: remove it once `up` has ended, or it counts for the next loss"
    )
    return Returning(wanted, {**sources, **others}, (*lost, *unknown), told)


def _describe_lost(
    settings: Settings,
    live: LiveCluster,
    reached: Mapping[str, tuple[str, int]],
    keys: Mapping[str, str],
    missing: list[str],
) -> tuple[str, ...]:
    """Return a line for each worker that is registered with shards, and has no data: an empty one would be no help.

    One that is registered under an address that no setting gives is lost where it does not answer, with its host.
    """
    lines = []
    by_address = {worker.address: worker for worker in live.workers if worker.shards}
    at = {f"{host}:{port}": name for name, (host, port) in reached.items()}
    elsewhere = [address for address in by_address if address not in at]
    for address, worker in by_address.items():
        if at.get(address) in missing:
            name = at[address]
            way = (
                f"it can be made of its own backup: make restore WORKERS={keys[name]} (docs/backups.md says what that gives back)"
                if settings.backup
                else "this cluster declares no backup, so that is lost: restore the whole from where you have one, or `make down`"
            )
            lines.append(
                f"{keys[name]}: its data ({name}) is gone, and the cluster expects {worker.shards} shards there. Put it back; "
                f"or, where it is lost for good, {way}"
            )
    if missing and elsewhere:
        lines += [
            f"worker {address} is registered with {by_address[address].shards} shards, does not answer, and no host of the "
            f"settings has it ({silent}): nothing moves off it. Bring it back; or, where it is lost for good with its host, say "
            f"which of {', '.join(keys[name] for name in missing)} it was: make restore WORKERS=… (docs/backups.md)"
            for address, silent in _find_silent(live, elsewhere)
        ]
    return tuple(lines)


def _find_silent(live: LiveCluster, addresses: list[str]) -> list[tuple[str, str]]:
    assert live.reached  # noqa: S101 - or it would not be known
    doing = "looking for silent nodes"
    with connected(live.reached, live.password, doing=doing, timeout=_SECONDS) as connection:
        return [(it.node, it.cause) for it in get_silent_nodes(connection) if it.node in addresses]


def _read_catalogue(settings: Settings, live: LiveCluster) -> Catalogue:
    assert live.reached  # noqa: S101 - or it would not be known
    doing = "asking for the backups"
    with connected(live.reached, live.password, doing=doing, timeout=_SECONDS, limit=_SECONDS) as connection:
        try:
            return read_catalogue(backups.read_info(connection), settings.name_prefix)
        except StackError as error:
            raise BackupError(backups.explain(str(error))) from error


def _find_source(catalogue: Catalogue, name: str, host: str, port: int) -> RestoredNode:
    """Return what a worker is made of: its part of the newest complete backup, and the write-ahead log up to its end."""
    newest = next((it for it in reversed(catalogue.backups) if it.is_complete and name in it.parts), None)
    part = newest.parts[name] if newest else None
    if part is None or part.group is None:
        msg = f"no complete backup has {name} in it: what it held is lost, and only the whole cluster can go back to a point"
        raise BackupError(msg)
    return RestoredNode(part.group, name, part.label, END_OF_ARCHIVE, host, port)
