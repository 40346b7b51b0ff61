"""Clusters on the stand-in for Citus, and scenarios that stand-in and genuine Citus must answer alike.

A scenario is SQL, a statement a line; lines that are indented belong to the one before. Behind ` -- ` stands what it gives:
an SQLSTATE, or the rows, one `;` apart. A statement without that succeeds and gives nothing.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import sql

from components.nodes.local.installation import STAND_IN, give
from tests.servers import HOST, USER, running_servers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.nodes.local.installation import Installation
    from tests.provider.resources import Cluster
    from tests.servers import PostgresServer

__all__ = ["play", "read", "running_standins"]

NOBODY: Final = 1
"""A port where nobody listens."""
_SHORT: Final = {
    r"nodes": (
        "select groupid, nodename, nodeport, noderack, hasmetadata, isactive, noderole::text, nodecluster::text,"
        " metadatasynced, shouldhaveshards from pg_dist_node order by nodeid"
    ),
    r"active": "select nodeport, isactive, metadatasynced from pg_dist_node order by nodeid",
    r"placements (\w+)": (
        r"select nodeport, count(*) from pg_dist_shard join pg_dist_placement using (shardid)"
        r" join pg_dist_node using (groupid) where logicalrelid = '\1'::regclass group by nodeid order by nodeid"
    ),
    r"shard_of (.+)": (
        r"select shardminvalue from pg_dist_shard where shardid = get_shard_id_for_distribution_column(\1)"
    ),
    r"ask (.+)": (
        r"select success, result from master_run_on_worker(array[:host], array[:worker_1], array[$ask$\1$ask$], true)"
    ),
}
"""Statements that are long and often needed, by how a scenario spells them."""


@contextmanager
def running_standins(installation: Installation, *names: str) -> Iterator[tuple[PostgresServer, ...]]:
    """Yield running servers that find the stand-in."""
    with tempfile.TemporaryDirectory() as folder, running_servers(installation, *names) as servers:
        Path(folder).chmod(0o755)
        copy = shutil.copytree(STAND_IN, Path(folder) / "standin")  # ours may lie where the servers may not enter
        for path in (copy, *copy.rglob("*")):
            give(path)
        command = sql.SQL("alter role {} set extension_control_path = {}")
        for server in servers:
            with server.connect() as connection:
                connection.execute(command.format(sql.Identifier(USER), f"$system:{copy}"))
        yield servers


# --- scenarios -------------------------------------------------------------------------------------------------------


def read(scenario: str) -> list[tuple[str, str]]:
    """Return a scenario's statements, each with what it gives."""
    lines = re.sub(r"\n +", " ", dedent(scenario).strip()).splitlines()
    return [(statement.strip(), gives.strip()) for statement, _, gives in (line.partition(" -- ") for line in lines)]


def play(cluster: Cluster, steps: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Run statements on the coordinator, or where they say, and return each with what it gives here.

    `form` makes the servers a cluster, `form 1` with the first worker alone; `kill` and `start` are for a worker.
    """
    servers = dict(zip(("coordinator", "worker_1", "worker_2"), cluster.servers, strict=True))
    ports = {f":{name}": server.port for name, server in servers.items()} | {":nobody": NOBODY}
    with ExitStack() as stack:
        connections = {name: stack.enter_context(cluster.connected(server)) for name, server in servers.items()}

        def run(step: str) -> str:
            first, _, name = step.partition(" ")
            if first in ("kill", "start"):
                getattr(servers[name], first)()
                for other in servers.keys() - ({name} if first == "kill" else set()):  # for none to keep a connection
                    connections[other] = stack.enter_context(cluster.connected(servers[other]))
                return ""
            if first == "form":
                for server in cluster.servers[: int(name or 2) + 1]:
                    function = "citus_set_coordinator_host" if server is cluster.coordinator else "citus_add_node"
                    connections["coordinator"].execute(f"select {function}('{HOST}', {server.port})".encode())
                return ""
            node, found, statement = step.partition("> ") if step.startswith("worker_") else ("", "", "")
            if found:
                return _outcome(connections[node], statement, ports)
            return _outcome(connections["coordinator"], step, ports)

        return [(step, run(step)) for step, _ in steps]


def _outcome(connection: psycopg.Connection[Any], statement: str, ports: dict[str, int]) -> str:
    for short, long in _SHORT.items():
        if re.fullmatch(short, statement):
            statement = re.sub(short, long, statement)
    statement = re.sub(r":host\b", f"'{HOST}'", statement)
    for name, port in ports.items():
        statement = re.sub(rf"{name}\b", str(port), statement)
    try:
        cursor = connection.execute(statement.encode())
        rows = cursor.fetchall() if cursor.description else []
    except psycopg.Error as error:
        return error.sqlstate or str(error)
    names = {port: name for name, port in ports.items() if port != NOBODY}
    shown = [
        "|".join(_shown(names.get(value, value) if type(value) is int else value) for value in row) for row in rows
    ]
    return "; ".join(shown)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "t" if value else "f"
    return "null" if value is None else str(value).replace(HOST, ":host").replace("\n", r"\n")
