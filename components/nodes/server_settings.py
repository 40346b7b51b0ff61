"""What every node's server is started with, the same in a container and as a process of this host.

What a runtime adds of its own (where the server listens, how it loads Citus) stands with that runtime.
"""

from __future__ import annotations

from typing import Final

__all__ = ["SERVER_SETTINGS", "as_arguments"]


SERVER_SETTINGS: Final = {
    "wal_level": "logical",
    "max_connections": "200",
    "max_prepared_transactions": "400",
    "max_worker_processes": "32",
    "max_wal_senders": "32",
    "max_replication_slots": "32",
    "max_logical_replication_workers": "24",
    "max_locks_per_transaction": "512",
}
"""By name, as postgresql.conf takes them.

A command that touches every shard of a partitioned table locks them all in one transaction, and so does its prepared half on
each worker: max_locks_per_transaction * (max_connections + max_prepared_transactions) is what a node can lock at a time, here
307,200. Measured: 79,100 on each of four workers and 29,100 on the coordinator for 730 partitions of 32 shards with two indexes;
the images' own settings allow 19,200. So 1,000 such partitions fit on two workers, and on one alone they do not. Against
PostgreSQL's own 64 it costs 107 MB of shared memory a node, of which 50 MB are in use from the start.
Moves and splits of shards without a stop take a replication slot, a sender and a worker for each shard of a colocation group.
"""


def as_arguments() -> list[str]:
    """Return the settings as arguments of `postgres`."""
    return [part for name, value in SERVER_SETTINGS.items() for part in ("-c", f"{name}={value}")]
