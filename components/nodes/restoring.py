"""Whether the nodes of a stack are to be made of a backup. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.database.live import LiveCluster
    from components.settings import Settings

__all__ = ["Restoring", "decide"]

Restoring = tuple[bool, tuple[str, ...]]


def decide(settings: Settings, live: LiveCluster | None, there: Sequence[str], missing: Sequence[str]) -> Restoring:
    """Tell whether nodes are made of the backup that the settings name, and what stands in the way.

    A cluster is made of a backup once. A node that loses its data later must not come back as it was then, beside others that
    went on.

    Args:
        settings: of the stack.
        live: the cluster, where its coordinator answers.
        there: nodes that have a volume or a folder.
        missing: those that have none.
    """
    if settings.restore_from is None:
        return False, ()
    if not there:
        return True, ()
    if live is not None:
        if live.restored is None:
            msg = (
                "citus:restoreFrom: this stack has a cluster, which was not made of that backup: remove the setting, or restore "
                "into a new stack (make restore)"
            )
            return False, (msg,)
        return not live.restored, ()
    if missing:
        msg = (
            f"citus:restoreFrom: {', '.join(missing)} would be made of the backup, beside {', '.join(there)} with data of their "
            "own, and the coordinator does not answer. Start it; or, where it was never up, `make down` and begin again; or "
            "remove the setting"
        )
        return False, (msg,)
    return True, ()
