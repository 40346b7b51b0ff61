"""What tests see of a cluster from the outside: how Citus knows a table, its keys, and what was left behind."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from analysis.place import Place
from components.access import Server
from components.logs import Log
from tests.servers import HOST, PASSWORD, USER

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.provider.resources import Cluster

GATE = 4711
"""Key of the advisory lock at which the workers stop while a gated table is copied to them."""


def kind(cluster: Cluster, table: str) -> tuple[str, str | None]:
    """Return how Citus knows a table, and by which column it is distributed."""
    rows = cluster.rows(
        "select case when partmethod = 'h' then 'distributed' when repmodel = 't' then 'reference' else 'local' end,"
        " case when partmethod = 'h' then column_to_column_name(logicalrelid, partkey) end"
        " from pg_dist_partition where logicalrelid = %s::regclass",
        table,
    )
    return rows[0] if rows else ("local", None)


def keys(cluster: Cluster, table: str) -> dict[str, str]:
    """Return the definitions of a table's primary and foreign keys by their names."""
    return dict(
        cluster.rows(
            "select conname, pg_get_constraintdef(oid) from pg_constraint"
            " where conrelid = %s::regclass and contype in ('p', 'f')",
            table,
        )
    )


def metadata(cluster: Cluster) -> list[list[tuple[Any, ...]]]:
    """Return all that distributing a table changes."""
    return [
        cluster.rows("select logicalrelid::text, partmethod, colocationid from pg_dist_partition order by 1"),
        cluster.rows("select shardid from pg_dist_shard order by 1"),
        cluster.rows("select placementid, shardid, groupid from pg_dist_placement order by 1"),
        cluster.rows("select oid, conname, pg_get_constraintdef(oid) from pg_constraint order by 1"),
    ]


def checksum(cluster: Cluster, table: str) -> tuple[int, int | None]:
    """Return how many rows a table has, and their hash; None where there is no row."""
    (found,) = cluster.rows(f"select count(*), sum(hashtextextended(t::text, 0)) from {table} t")
    return found


def set_aside(cluster: Cluster) -> list[str]:
    """Return the names of the foreign keys that wait in the ledger."""
    return [name for (name,) in cluster.rows("select name from citus_pulumi.foreign_key order by 1")]


def leftovers(cluster: Cluster) -> list[tuple[Any, ...]]:
    """Return shards and prepared transactions on any node that the coordinator's metadata does not know of."""
    known = {shard for (shard,) in cluster.rows("select shardid from pg_dist_shard")}
    shards = r"select relname, substring(relname from '_(\d{6,})$')::bigint from pg_class where relkind = 'r'"
    prepared = "select gid from pg_prepared_xacts where database = current_database()"
    found: list[tuple[Any, ...]] = []
    for server in cluster.servers:
        with cluster.connected(server) as connection:
            connection.execute("set citus.override_table_visibility = off")
            tables = connection.execute(shards.encode()).fetchall()
        found += [(server.name, name) for name, shard in tables if shard is not None and shard not in known]
        found += [(server.name, gid) for (gid,) in cluster.rows(prepared, on=server)]
    return found


def place(cluster: Cluster) -> Place:
    """Return where the analysis finds the company's tables."""
    port, log = cluster.coordinator.port, Log("file", str(cluster.coordinator.log))
    return Place(Server("coordinator", HOST, port, cluster.database, USER, log), PASSWORD)


def eventually(condition: Callable[[], Any], *, within: float = 20) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, condition
        time.sleep(0.02)


def assert_no_leftovers(cluster: Cluster) -> None:
    """Assert that no node keeps a shard or a transaction of an attempt, once Citus has cleaned up as it does by itself."""
    cluster.run("select recover_prepared_transactions()")
    cluster.run("call citus_cleanup_orphaned_resources()")
    eventually(lambda: not leftovers(cluster))
