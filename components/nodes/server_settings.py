"""What a node's server is started with, the same in a container and as a process of this host.

What a runtime adds of its own (where the server listens, how it loads Citus) stands with that runtime. What takes effect
without a start is ServerParameters'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.backups.configuration import ARCHIVE_SECONDS, ARCHIVING
from components.parameters import OF_REBALANCE, SERVER_SETTINGS, needs_restart

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.settings import Settings

__all__ = ["as_arguments", "choose_shared_buffers", "find_shared_buffers", "get_reloaded", "get_start_settings"]

_MB: Final = 1 << 20
_SILENCE: Final = "keepalives_idle=10 keepalives_interval=5 keepalives_count=3 tcp_user_timeout=30000"
"""After which a node gives up another that says nothing any more. With a machine that vanished, a query and Citus's own daemon
would wait as long as TCP does, a quarter of an hour."""
_SIZED: Final = "citus_pulumi.shared_buffers"
"""What a node would have by itself, noted where the settings say something else: it comes back once they no longer do."""
AUTHORITY_FILE: Final = "/run/citus-pulumi/ca.crt"
KEYPAIR_FILE: Final = "/run/citus-pulumi/server.pem"
"""In a container: made by start_node.sh."""


def get_start_settings(settings: Settings, shared_buffers: str, *, of_coordinator: bool) -> dict[str, str]:
    """Return what a node is started with: a change of it takes a restart.

    Args:
        settings: of the stack.
        shared_buffers: where the settings say nothing; empty for PostgreSQL's own default.
        of_coordinator: whether the node is the coordinator.
    """
    declared = settings.get_parameters(of_coordinator=of_coordinator)
    started = {**SERVER_SETTINGS, **({"shared_buffers": shared_buffers} if shared_buffers else {})}
    if "max_connections" in declared:  # a transaction on several workers takes one on each
        more = max(2 * int(float(declared["max_connections"])), int(SERVER_SETTINGS["max_prepared_transactions"]))
        started["max_prepared_transactions"] = str(more)
    if shared_buffers and "shared_buffers" in declared:
        started[_SIZED] = shared_buffers
    if settings.backup:
        started |= ARCHIVING
    if settings.verifies:
        started |= {
            "ssl": "on",
            "ssl_ca_file": AUTHORITY_FILE,
            "ssl_cert_file": KEYPAIR_FILE,
            "ssl_key_file": KEYPAIR_FILE,
        }
    return {**started, **{name: value for name, value in declared.items() if needs_restart(name)}}


def get_reloaded(settings: Settings, *, of_coordinator: bool) -> dict[str, str]:
    """Return what takes effect when a node reads its configuration again; where `memory` is declared, sized by it."""
    declared = settings.get_parameters(of_coordinator=of_coordinator)
    verified = f"sslmode=verify-full sslrootcert={AUTHORITY_FILE} {_SILENCE}"
    sized = {"citus.node_conninfo": verified} if settings.verifies else {}
    if of_coordinator and settings.rebalance and settings.rebalance.parallel:
        sized |= dict.fromkeys(OF_REBALANCE, str(settings.rebalance.parallel))
    if settings.backup:
        sized["archive_timeout"] = f"{ARCHIVE_SECONDS}s"
    if memory := settings.memory_bytes:
        of_worker = {**SERVER_SETTINGS, **settings.get_parameters(of_coordinator=False)}
        connections = int(float(of_worker["max_connections"]))
        sized |= {
            "effective_cache_size": f"{memory * 3 // 4 // _MB}MB",
            "maintenance_work_mem": f"{min(max(memory // 16 // _MB, 64), 2048)}MB",
            # Those that are kept for people, and for the nodes' own, are a tenth of a worker's.
            "citus.max_shared_pool_size": str(connections * 9 // 10),
        }
    return {name: value for name, value in {**sized, **declared}.items() if not needs_restart(name)}


def find_shared_buffers(started: Mapping[str, str]) -> str:
    """Return what a node that was started so has where the settings say nothing; empty for PostgreSQL's own default."""
    return started.get(_SIZED) or started.get("shared_buffers", "")


def choose_shared_buffers(memory: int) -> str:
    """Return a quarter of the bytes that a node may use, 128 MB at least and 8 GB at most."""
    return f"{min(max(memory // 4 // _MB // 16 * 16, 128), 8192)}MB"


def as_arguments(started: Mapping[str, str]) -> list[str]:
    """Return the settings as arguments of `postgres`."""
    return [part for name, value in started.items() for part in ("-c", f"{name}={value}")]
