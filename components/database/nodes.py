"""The nodes of pg_dist_node: coordinator and workers registered, proved to be the ones that were registered, removed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from psycopg.rows import class_row, dict_row

from components.database import statements
from components.database.connections import is_permanent
from components.database.node_settings import refuse_settings
from components.database.statements import get_value, statement, time_limited
from components.errors import AccessError, DriftError, IdentityError, NotReadyError, StackError
from components.waiting import wait_until

if TYPE_CHECKING:
    import psycopg

    from components.database.connections import Connection
    from components.logs import Log

__all__ = [
    "KnownWorker",
    "NodeIdentity",
    "PgDistNode",
    "ask_node",
    "claim",
    "count_shards",
    "ensure_coordinator",
    "ensure_upgraded",
    "ensure_worker",
    "get_addresses",
    "get_node",
    "get_node_of_group",
    "remove_node",
    "wait_until_node_ready",
    "wait_until_told",
]

_UPDATE_EXTENSION: Final = "alter extension citus update"

# --- nodes -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PgDistNode:
    """A row of pg_dist_node."""

    node_id: int
    group_id: int
    node_name: str
    node_port: int
    is_active: bool
    metadata_synced: bool
    should_have_shards: bool


@dataclass(frozen=True)
class NodeIdentity:
    """What a node says of itself when asked directly."""

    database: str
    citus_version: str | None
    """Version of the extension in this database; None where it is not there."""
    library_version: str
    server_id: str | None
    group_id: int | None
    coordinator: str | None
    """`name:port` of the coordinator that this node was last a member of; None when it never was."""
    shards: int
    """Shards of distributed tables that its own metadata says it holds."""
    wal_level: str
    restored: str | None = None
    """Until when it has what was committed on it, where it was made of its own backup and is still to be taken back."""


@dataclass(frozen=True)
class KnownWorker:
    """What an earlier run saw of a worker."""

    group_id: int
    server_id: str


def get_node(connection: Connection, name: str, port: int) -> PgDistNode | None:
    """Return the registered node of that address, alive or not."""
    return _find_node(connection, name=name, port=port, group_id=None)


def get_node_of_group(connection: Connection, group_id: int) -> PgDistNode | None:
    """Return the registered node of that group, whatever its address."""
    return _find_node(connection, name=None, port=None, group_id=group_id)


def _find_node(connection: Connection, **where: Any) -> PgDistNode | None:
    with connection.cursor(row_factory=class_row(PgDistNode)) as cursor:
        return cursor.execute(statement("get_node"), where).fetchone()


def claim(connection: Connection, cluster_id: str, stack: str, *, before: str = "") -> None:
    """Make the ledger, and write down whose cluster this is.

    Args:
        connection: to the coordinator.
        cluster_id: of this stack's cluster.
        stack: full name of the stack, for people.
        before: what the ledger may name where it was made before clusters had ids: the stack's name at that time.

    Raises:
        IdentityError: it is another cluster.
    """
    with connection.transaction():
        connection.execute(statement("create_ledger"))
        owner = get_value(connection, "claim_stack", cluster_id=cluster_id, before=before)
    if owner != cluster_id:
        msg = (
            f"this database is part of the cluster {owner}, not of this stack's ({stack}, cluster {cluster_id}). Use the stack "
            "that manages it, or choose another citus:namePrefix, citus:network and citus:port for this one. If the state of "
            f"that stack was lost, take the cluster over in a stack without one: pulumi config set adopt {owner}"
        )
        raise IdentityError(msg)


def ensure_coordinator(connection: Connection, name: str, port: int) -> dict[str, str]:
    """Make this server the coordinator under the name by which the other nodes reach it.

    Returns:
        citus_version, postgres_version and server_id.
    """
    connection.execute(statement("create_extension"))
    registered = get_value(connection, "get_coordinator")
    if registered != f"{name}:{port}":
        connection.execute("select citus_set_coordinator_host(%s, %s)", [name, port])
    return get_versions(connection)


def ensure_upgraded(connection: Connection) -> list[str]:
    """Bring the extension to the version of the servers' library, where that is newer: on the coordinator, then on each worker.

    Returns:
        A line for each node that was updated.
    """
    told = []
    if is_outdated := connection.execute(statement("get_outdated_extension")).fetchone():
        connection.execute(_UPDATE_EXTENSION)
        told.append("the coordinator has the extension citus {} now".format(*is_outdated))
    for _, name, port in connection.execute(statement("get_nodes")).fetchall() if get_coordinator(connection) else ():
        try:
            outdated = ask_node(connection, name, port, statement("get_outdated_extension"))
        except NotReadyError:
            continue  # it starts, or is elsewhere now: its own step waits for it, and does this then
        if outdated:
            ask_node(connection, name, port, _UPDATE_EXTENSION)
            told.append(f"{name}:{port} has the extension citus {outdated} now")
    if told:
        connection.execute("call citus_finish_citus_upgrade()")
    return told


def get_versions(connection: Connection) -> dict[str, str]:
    """Return citus_version, postgres_version and server_id of the server that the connection is to."""
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(statement("get_versions")).fetchone()
    return dict(row or {})


def get_coordinator(connection: Connection) -> str | None:
    """Return `name:port` of the registered coordinator; None where there is no Citus or no such row."""
    if get_value(connection, "has_citus"):
        return cast("str | None", get_value(connection, "get_coordinator"))
    return None


def get_addresses(connection: Connection) -> dict[int, tuple[str, int]]:
    """Return the name and port of each registered node by its group; the coordinator's is 0."""
    return {group: (name, port) for group, name, port in connection.execute(statement("get_addresses"))}


def ask_node(connection: Connection, name: str, port: int, command: str) -> str:
    """Run a command on a node, registered or not, through the coordinator and as the nodes themselves connect.

    Raises:
        NotReadyError: it cannot be reached, and that may pass.
        AccessError: it cannot be reached, and that will not pass.
        StackError: it was reached, and the command failed.
    """
    notices: list[str] = []

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        notices.append(" ".join((diagnostic.message_primary or "").split()))

    connection.add_notice_handler(note)
    try:
        answer = connection.execute(
            statement("run_on_node"), {"name": name, "port": port, "command": command}
        ).fetchone()
        if answer is None:
            msg = f"{name}:{port}: the coordinator gave no answer"
            raise NotReadyError(msg)
        success, result = answer
        if success:
            return str(result)
        if not str(result).startswith("failed to connect"):
            msg = f"{name}:{port}: {result}"
            raise StackError(msg)
        # That function keeps the cause to itself; this one warns with it.
        notices.clear()
        reached = connection.execute("select citus_check_connection_to_node(%s, %s)", [name, port]).fetchone()
    finally:
        connection.remove_notice_handler(note)
    if reached and reached[0]:
        msg = "it has just begun to answer"
        raise NotReadyError(msg)
    cause = "; ".join(notices).rpartition("following error: ")[2] or "no connection"
    if "server does not support SSL" in cause:
        cause += ": the extension citus, which turns TLS on, is in no database of that server: create it in this one"
    if is_permanent(cause):
        msg = f"{name}:{port} cannot be reached from the coordinator, and waiting will not help: {cause}"
        if "password authentication failed" in cause:
            msg += "; its volume was initialised with another password than the coordinator's"
        raise AccessError(msg)
    raise NotReadyError(cause)


def wait_until_node_ready(connection: Connection, name: str, port: int, timeout: float, *, log: Log) -> NodeIdentity:
    """Wait until a node answers the coordinator by SQL, make sure it has the extension, and return who it is.

    Raises:
        AccessError: it will not let the coordinator in (wrong password, no such database, unknown host).
        NotReadyError: it does not answer within `timeout` seconds.
    """

    def attempt() -> str:
        with time_limited(connection, min(timeout, statements.PROBE_SECONDS)):
            return ask_node(connection, name, port, statement("has_citus"))

    has_citus = wait_until(
        attempt,
        what=f"worker {name}:{port} answers the coordinator",
        timeout=timeout,
        hint=log.hint,
    )
    with time_limited(connection, timeout):
        if has_citus != "t":
            ask_node(connection, name, port, statement("create_extension"))
        return _identify(connection, name, port)


def _identify(connection: Connection, name: str, port: int) -> NodeIdentity:
    return NodeIdentity(**json.loads(ask_node(connection, name, port, statement("identify_node"))))


def ensure_worker(
    connection: Connection, name: str, port: int, identity: NodeIdentity, *, known: KnownWorker | None, timeout: float
) -> dict[str, Any]:
    """Register the worker, or activate it where it is inactive, and prove that it is the node it is taken for.

    A worker that is registered under another address is the same one where an earlier run saw its identity: it gets the new
    address, and keeps its shards.

    Citus takes an address that it knows for a node that it knows, without asking it; so the node is asked before
    (`identity`) and after. `known` is what an earlier run saw, if any.

    Returns:
        node_id, group_id and server_id.

    Raises:
        IdentityError: the node at that address is another than the registered one, or a member of another cluster.
    """
    refuse_settings(connection)
    if identity.restored and identity.group_id is not None and identity.server_id is not None:
        # Where the worker is on another host now, another resource stands for it, which knows nothing yet.
        known = known or KnownWorker(identity.group_id, identity.server_id)
    if known is not None:
        _ensure_address(connection, name, port, identity, known, timeout)
    node = get_node(connection, name, port)
    _refuse_stranger(connection, f"{name}:{port}", node, identity, known.server_id if known else None)
    if identity.citus_version != identity.library_version:
        ask_node(connection, name, port, _UPDATE_EXTENSION)
    if node is None:
        connection.execute("select citus_add_node(%s, %s)", [name, port])
    elif not node.is_active:
        connection.execute("select citus_activate_node(%s, %s)", [name, port])
    node = get_node(connection, name, port)
    identity = _identify(connection, name, port)
    is_known = node is not None and (node.metadata_synced or identity.restored)  # see take_back
    if node is None or not (node.is_active and is_known and node.group_id == identity.group_id):
        msg = f"worker {name}:{port} was registered, but does not know it ({node}; it says {identity}): run up again"
        raise IdentityError(msg)
    return {"node_id": node.node_id, "group_id": node.group_id, "server_id": identity.server_id}


def _ensure_address(
    connection: Connection, name: str, port: int, identity: NodeIdentity, known: KnownWorker, timeout: float
) -> None:
    """Give a worker that is registered under another address this one, once the server here proved to be the same."""
    node, registered = get_node(connection, name, port), get_node_of_group(connection, known.group_id)
    if registered is None or registered == node:
        return
    former = f"{registered.node_name}:{registered.node_port}"
    if identity.server_id != known.server_id:
        msg = (
            f"worker {name}:{port} is not the one that is registered as {former} (server_id {identity.server_id}, was "
            f"{known.server_id}): correct its address, or put its old volume back"
        )
        raise IdentityError(msg)
    if node is not None:
        msg = (
            f"worker {former} cannot get the address {name}:{port}, under which the worker of group {node.group_id} is "
            "registered: choose one that no worker has"
        )
        raise IdentityError(msg)
    connection.execute("select citus_update_node(%s, %s, %s)", [registered.node_id, name, port])
    print(f"worker {former} has the address {name}:{port} now")  # noqa: T201 - Pulumi shows it
    if not identity.restored:  # others of its host may be still to come, and Citus tells nobody before all are there
        wait_until_told(connection, timeout, of=f"{name}:{port}")


def wait_until_told(connection: Connection, timeout: float, *, of: str = "") -> None:
    """Wait until a node, or every one, knows the addresses of all.

    Args:
        connection: to the coordinator.
        timeout: seconds.
        of: the node, as `name:port`; the others may still have to come to their addresses. Empty for all.

    Raises:
        NotReadyError: some do not within that time; names them.
    """

    def attempt() -> None:
        unaware = [f"{name}:{port}" for name, port in connection.execute(statement("get_unaware_nodes"))]
        if waited_for := [it for it in unaware if of in ("", it)]:
            msg = f"Citus has not told {', '.join(waited_for)} yet"
            raise NotReadyError(msg)

    wait_until(attempt, what=f"{of or 'every node'} knows the addresses of all nodes", timeout=timeout)


def _refuse_stranger(
    connection: Connection, address: str, node: PgDistNode | None, identity: NodeIdentity, server_id: str | None
) -> None:
    if node is not None and (
        identity.group_id != node.group_id or (server_id is not None and identity.server_id != server_id)
    ):
        held = get_value(connection, "count_shards_on_node", name=node.node_name, port=node.node_port)
        way = (
            f"The cluster expects {held} shards there. Put its old volume back; or, where that is lost, restore the "
            "cluster from a backup: make restore (docs/backups.md)"
            if held
            else f"It is to hold no shard, so nothing is lost: select citus_remove_node('{node.node_name}', "
            f"{node.node_port}); then run up again"
        )
        msg = (
            f"worker {address} is not the node that was registered under that name: its volume was replaced or emptied "
            f"(server_id {identity.server_id}, was {server_id or 'another'}; group {identity.group_id}, was "
            f"{node.group_id}). {way}"
        )
        raise IdentityError(msg)
    coordinator = get_value(connection, "get_coordinator")
    if node is None and identity.coordinator not in (None, coordinator):
        msg = (
            f"worker {address} is a member of another cluster, whose coordinator is {identity.coordinator}: unregister it "
            "there first, or give this stack a worker of its own"
        )
        raise IdentityError(msg)
    if node is None and identity.shards:
        msg = (
            f"worker {address} is not registered, but holds {identity.shards} shards of a cluster it was part of before: "
            "if their data is not needed any more, remove its container and its volume, refresh, and run up again"
        )
        raise IdentityError(msg)


def count_shards(connection: Connection, name: str, port: int) -> int:
    """Return how many placements of distributed tables a node holds, registered under this address."""
    return int(get_value(connection, "count_shards_on_node", name=name, port=port))


def remove_node(connection: Connection, name: str, port: int) -> None:
    """Unregister a worker that holds no shard; nothing happens where it is not registered.

    Raises:
        DriftError: it still holds shards of distributed tables.
    """
    if get_node(connection, name, port) is None:
        return
    held = count_shards(connection, name, port)
    if held:
        msg = (
            f"worker {name}:{port} still holds {held} shards of distributed tables, so it is kept: move them away first "
            f"with: select citus_drain_node('{name}', {port}); then run up again"
        )
        raise DriftError(msg)
    connection.execute(statement("cleanup"))
    with connection.transaction():
        connection.execute(statement("lock_transaction_records"))
        connection.execute("select citus_remove_node(%s, %s)", [name, port])
