"""Equal shares of the processors: limits each node's container to its own share for a while, and lifts the limits again.

Nodes on one machine share its processors. With a share of its own, each is as on a small machine of its own.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from analysis.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    from analysis.place import Place

__all__ = ["equal_shares", "get_obstacle"]

PERIOD: Final = 100_000
"""Microseconds over which the kernel counts what a container has used; Docker's default."""
FOR_NODES: Final = 0.5
"""Part of the machine's processors that the workers share; the rest is the clients'."""


def _engine() -> Any:
    from components.nodes.docker.endpoint import connect, get_endpoint  # noqa: PLC0415 - only where nodes are containers

    return connect(get_endpoint())


def get_obstacle(place: Place, workers: Sequence[str]) -> str:
    """Return why the nodes cannot be given equal shares; empty where they can.

    Args:
        place: on the coordinator.
        workers: names of the workers' containers.
    """
    log = place.server.log
    if log is None or log.kind != "docker":
        return "the nodes are no containers"
    from components.nodes.docker.endpoint import Located, get_endpoint  # noqa: PLC0415 - only where nodes are containers

    if Located.parse(log.where).endpoint:
        return "the nodes are on hosts"
    if get_endpoint().get_remote_addresses() is not None:
        return "the Docker Engine is on another machine"
    found = {container.name: container for container in _engine().containers.list()}
    names = [log.where, *workers]
    missing = [name for name in names if name not in found]
    if missing:
        return f"this machine's Docker Engine does not run {', '.join(missing)}"
    limited = [name for name in names if _is_limited(found[name].attrs["HostConfig"])]
    return f"{', '.join(limited)} have a limit of their own already, as citus:cpus sets" if limited else ""


def _is_limited(host: dict[str, Any]) -> bool:
    return bool(host["NanoCpus"] or host["CpuQuota"] > 0)


@contextmanager
def equal_shares(place: Place, workers: Sequence[str], say: Callable[[str], None]) -> Iterator[tuple[list[str], float]]:
    """Limit the coordinator and each worker to its share; yield their names and the share, in processors.

    The limits are lifted afterwards, after an error, ^C or SIGTERM too.

    Args:
        place: on the coordinator.
        workers: names of the workers' containers, which have no limit.
        say: told what is limited, and how to lift that by hand.

    Raises:
        AnalysisError: a limit could not be lifted; says how to do it by hand.
    """
    engine = _engine()
    names = [place.server.log.where if place.server.log else "", *workers]
    share = round(engine.info()["NCPU"] * FOR_NODES / len(workers), 2)
    by_hand = f"docker update --cpu-quota -1 {' '.join(names)}"
    say(
        f"for a while, {', '.join(names)} are limited to {share} processors each. Should this be killed, lift that: {by_hand}"
    )
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGTERM, _end)
    try:
        for name in names:
            engine.containers.get(name).update(cpu_period=PERIOD, cpu_quota=round(share * PERIOD))
        yield names, share
    finally:
        for number in before:  # nothing may end this halfway
            signal.signal(number, signal.SIG_IGN)
        failed = [failure for name in names if (failure := _lift(engine, name))]
        for number, handler in before.items():
            signal.signal(number, handler)
        engine.close()
        if failed:
            msg = f"limits of processors could not be lifted ({'; '.join(failed)}): {by_hand}"
            raise AnalysisError(msg)
    say("the limits are lifted")


def _end(_number: int, _frame: FrameType | None) -> None:
    """Let SIGTERM end the program as ^C does, so that what is in hand is put back."""
    raise KeyboardInterrupt


def _lift(engine: Any, name: str) -> str:
    """Lift a container's limit; return why that failed."""
    import docker as sdk  # noqa: PLC0415 - slow to import

    try:
        engine.containers.get(name).update(cpu_quota=-1)
    except (sdk.errors.DockerException, OSError) as error:
        return f"{name}: {error}"
    return ""
