"""Changes after which there may be no way back but a backup, and how old that is. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from components.backups.settings import as_duration
from components.errors import BackupError
from components.tables import Local

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from components.database.live import LiveCluster
    from components.plan.plan import ShardingPlan
    from components.settings import Settings

__all__ = ["find_dangers", "judge"]


def find_dangers(
    settings: Settings, plan: ShardingPlan, live: LiveCluster | None, restarts: Mapping[str, str]
) -> Iterator[str]:
    """Yield what an update does to the rows of a running cluster, in words.

    Args:
        settings: of the stack.
        plan: of its tables.
        live: None where nothing runs.
        restarts: nodes that are started again, with the reason.
    """
    if live is None:
        return
    leaving = len(live.workers) - settings.workers
    if leaving > 0:
        yield f"{leaving} {'worker is' if leaving == 1 else 'workers are'} drained"
    if any("image" in why or "Citus" in why for why in restarts.values()):
        yield "the nodes get other programs"
    for table in plan.tables:
        found = live.tables.get(table.name)
        if found is not None and not isinstance(found, Local) and found != table.declaration.sharding:
            yield f"{table.name} is rewritten"
    for declared in plan.undistributed:
        if not isinstance(live.tables.get(declared.table, Local()), Local):
            yield f"{declared.table} becomes local"


def judge(settings: Settings, live: LiveCluster | None, dangers: list[str], now: datetime | None = None) -> str:
    """Return how old the newest backup is, where an update does something dangerous; empty where there is nothing to say.

    Raises:
        BackupError: it is older than the settings allow.
    """
    if live is None or not dangers:
        return ""
    what, runs = "; ".join(dangers), live.backups
    told = runs.describe(now) if runs else "nothing is backed up"
    if settings.require_backup:
        age = (now or datetime.now(UTC)) - runs.ended if runs and runs.ended else None
        if age is None or age > as_duration(settings.require_backup):
            way = "`make backup` first" if settings.backup else "declare citus:backup, and `make backup` first"
            msg = f"citus:requireBackup = {settings.require_backup!r}: {what}, and {told}: {way}, or remove the setting"
            raise BackupError(msg)
    return f"{what}: {told}" if runs else ""
