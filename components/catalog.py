"""What the cluster is: typed reads and writes of Citus's metadata over a connection.

A function says in its name what it promises: `get_` reads, `ensure_` is idempotent, `wait_until_` has a deadline. The
statements stand in sql/citus/, one a file; knows nothing of Pulumi.
"""

from __future__ import annotations

import functools
import json
import re
import time
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, LiteralString, cast

import psycopg
from psycopg import sql
from psycopg.rows import class_row, dict_row

from components.errors import AccessError, DriftError, IdentityError, NotReadyError, StackError
from components.logs import see
from components.names import TableName
from components.postgres import is_lost, is_permanent
from components.turns import patience, turn
from components.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.postgres import Connection

__all__ = [
    "Node",
    "NodeIdentity",
    "ShardedTable",
    "claim",
    "count_rows",
    "count_shards",
    "ensure_coordinator",
    "ensure_worker",
    "exclusive",
    "get_colocated",
    "get_hindrances",
    "get_node",
    "get_table",
    "identifier",
    "regclass",
    "remove_node",
    "sequentially",
    "silent_nodes_named",
    "wait_until_healthy",
    "wait_until_node_ready",
    "wait_until_nodes_answer",
]

_SQL: Final = Path(__file__).parent.parent / "sql" / "citus"
LOCK: Final = zlib.crc32(b"citus-pulumi")
"""Key of the advisory lock that keeps two runs apart in one database."""
PROBE_SECONDS: Final = 5
"""How long a node may take to answer one question before it is asked again."""
RUNS: Final = "do the nodes run? `pulumi refresh` tells"
_NODE_WAS_LOST: Final = re.compile(
    r"^(08|58030)|failure on connection marked as essential|EOF detected|closed the connection"
)
"""SQLSTATE and message by which Citus says that a connection to another node broke."""
ANSWER_HOLDS: Final = 10
"""Seconds for which an answer of all nodes is good: the steps of one update follow each other closely."""


@functools.cache
def statement(name: str) -> LiteralString:
    """Return the statement of sql/citus/<name>.sql."""
    text: LiteralString = (_SQL / f"{name}.sql").read_text(encoding="utf-8")
    return text


def _value(connection: Connection, query: str, /, **arguments: Any) -> Any:
    row = connection.execute(statement(query), arguments).fetchone()
    return row[0] if row else None


@contextmanager
def exclusive(connection: Connection, *, doing: str, timeout: float) -> Iterator[float]:
    """Hold the cluster's lock: what one run does, another never does at the same time. Freed with the connection.

    The steps of one run wait for each other without a deadline; for another run, `timeout` seconds.

    Yields:
        The seconds that a further wait may take: few where another step of this run has just waited in vain.

    Raises:
        NotReadyError: another run kept the lock for `timeout` seconds; names it, and the nodes that do not answer.
    """
    with turn(connection.info.dsn, doing=doing) as in_vain:
        within = min(timeout, PROBE_SECONDS) if in_vain else timeout
        connection.execute("select set_config('application_name', %s, false)", [f"citus-pulumi: {doing}"[:63]])
        _take_lock(connection, doing, within)
        yield within
        connection.execute("select pg_advisory_unlock(%s)", [LOCK])  # after an error, the connection is closed


def _take_lock(connection: Connection, doing: str, timeout: float) -> None:
    started = time.monotonic()
    for seconds in patience():
        left = started + timeout - time.monotonic()
        if left <= 0:
            break
        # In the server's queue, not by asking again and again: between two steps of the other run it is our turn.
        connection.execute("select set_config('lock_timeout', %s, false)", [f"{min(seconds, left) * 1000:.0f}ms"])
        try:
            connection.execute("select pg_advisory_lock(%s)", [LOCK])
        except psycopg.errors.LockNotAvailable:
            if left > seconds:
                waited = f"{time.monotonic() - started:.0f} of {timeout:.0f} s"
                print(f"{doing}: waiting ({waited}), for {_get_lock_holder(connection)}")  # noqa: T201
        else:
            connection.execute("select set_config('lock_timeout', '0', false)")
            return
    silent = get_silent_nodes(connection, PROBE_SECONDS) if _value(connection, "has_citus") else []
    way = (
        f"these nodes do not answer: {', '.join(silent)}, and what waits for them ends once they answer or are restarted: see "
        "to them, then run up again"
        if silent
        else "let it end, then run up again"
    )
    msg = f"{doing}: gave up after {timeout:.0f} s: {_get_lock_holder(connection)}; {way}"
    raise NotReadyError(msg)


given_up: Final[set[tuple[str, int]]] = set()
"""Cluster and process of steps of this run whose client has gone, and which the coordinator has yet to undo."""


def _get_lock_holder(connection: Connection) -> str:
    row = connection.execute(statement("get_lock_holder"), {"key": LOCK}).fetchone()
    process, session = row or (0, "a session that has just ended")
    who = "a step of this run that was given up" if (connection.info.dsn, process) in given_up else "another run"
    return f"{who} holds this cluster's lock ({session})"


@contextmanager
def _at_most(connection: Connection, seconds: float) -> Iterator[None]:
    """Let no statement take longer: a node that is paused takes connections, then says nothing for ever.

    Raises:
        NotReadyError: one did.
    """
    connection.execute("select set_config('statement_timeout', %s, false)", [f"{seconds * 1000:.0f}ms"])
    try:
        yield
    except psycopg.errors.QueryCanceled:
        msg = f"no answer within {seconds:g} s"
        raise NotReadyError(msg) from None
    finally:
        if not (connection.closed or connection.broken):
            connection.execute("select set_config('statement_timeout', '0', false)")


# --- nodes -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Node:
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


def get_node(connection: Connection, name: str, port: int) -> Node | None:
    """Return the registered node of that address, alive or not."""
    with connection.cursor(row_factory=class_row(Node)) as cursor:
        return cursor.execute(statement("get_node"), {"name": name, "port": port}).fetchone()


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
        owner = _value(connection, "claim_stack", cluster_id=cluster_id, before=before)
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
    registered = _value(connection, "get_coordinator")
    if registered != f"{name}:{port}":
        connection.execute("select citus_set_coordinator_host(%s, %s)", [name, port])
    return get_versions(connection)


def get_versions(connection: Connection) -> dict[str, str]:
    """Return citus_version, postgres_version and server_id of the server that the connection is to."""
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(statement("get_versions")).fetchone()
    return dict(row or {})


def get_coordinator(connection: Connection) -> str | None:
    """Return `name:port` of the registered coordinator; None where there is no Citus or no such row."""
    if _value(connection, "has_citus"):
        return cast("str | None", _value(connection, "get_coordinator"))
    return None


def _ask(connection: Connection, name: str, port: int, command: str) -> str:
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


def wait_until_node_ready(connection: Connection, name: str, port: int, timeout: float, *, log: str) -> NodeIdentity:
    """Wait until a node answers the coordinator by SQL, make sure it has the extension, and return who it is.

    Raises:
        AccessError: it will not let the coordinator in (wrong password, no such database, unknown host).
        NotReadyError: it does not answer within `timeout` seconds.
    """

    def attempt() -> str:
        with _at_most(connection, min(timeout, PROBE_SECONDS)):
            return _ask(connection, name, port, statement("has_citus"))

    has_citus = wait_until(
        attempt,
        what=f"worker {name}:{port} answers the coordinator",
        timeout=timeout,
        hint=lambda: see(log),
    )
    with _at_most(connection, timeout):
        if has_citus != "t":
            _ask(connection, name, port, statement("create_extension"))
        return _identify(connection, name, port)


def _identify(connection: Connection, name: str, port: int) -> NodeIdentity:
    return NodeIdentity(**json.loads(_ask(connection, name, port, statement("identify_node"))))


def ensure_worker(
    connection: Connection, name: str, port: int, identity: NodeIdentity, *, server_id: str | None
) -> dict[str, Any]:
    """Register the worker, or activate it where it is inactive, and prove that it is the node it is taken for.

    Citus takes an address that it knows for a node that it knows, without asking it; so the node is asked before
    (`identity`) and after. `server_id` is the identity that an earlier run saw, if any.

    Returns:
        node_id, group_id and server_id.

    Raises:
        IdentityError: the node at that address is another than the registered one, or a member of another cluster.
    """
    if identity.citus_version != identity.library_version:
        msg = (
            f"worker {name}:{port} has the extension citus {identity.citus_version} in {identity.database}, but its server "
            f"brings {identity.library_version}: run `alter extension citus update` there, on the coordinator first"
        )
        raise IdentityError(msg)
    _refuse_settings(connection)
    node = get_node(connection, name, port)
    _refuse_stranger(connection, f"{name}:{port}", node, identity, server_id)
    if node is None:
        connection.execute("select citus_add_node(%s, %s)", [name, port])
    elif not node.is_active:
        connection.execute("select citus_activate_node(%s, %s)", [name, port])
    node = get_node(connection, name, port)
    identity = _identify(connection, name, port)
    if node is None or not (node.is_active and node.metadata_synced and node.group_id == identity.group_id):
        msg = f"worker {name}:{port} was registered, but does not know it ({node}; it says {identity}): run up again"
        raise IdentityError(msg)
    return {"node_id": node.node_id, "group_id": node.group_id, "server_id": identity.server_id}


def _refuse_stranger(
    connection: Connection, address: str, node: Node | None, identity: NodeIdentity, server_id: str | None
) -> None:
    if node is not None and (
        identity.group_id != node.group_id or (server_id is not None and identity.server_id != server_id)
    ):
        held = _value(connection, "count_shards_on_node", name=node.node_name, port=node.node_port)
        way = (
            f"The cluster expects {held} shards there. Put its old volume back; or, where that is lost, restore the "
            "cluster from a backup"
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
    coordinator = _value(connection, "get_coordinator")
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
    return int(_value(connection, "count_shards_on_node", name=name, port=port))


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


_answered: dict[str, float] = {}
"""When all nodes of a cluster last answered, by its connection string without the password."""


def get_silent_nodes(connection: Connection, timeout: float) -> list[str]:
    """Return `coordinator → node (cause)` for each active node that does not answer the coordinator by SQL."""
    seconds = min(timeout, PROBE_SECONDS)
    try:
        with _at_most(connection, seconds):
            if _value(connection, "ask_all_nodes"):
                return []
    except NotReadyError:
        pass  # One by one, to learn which it is.
    silent = []
    for coordinator, name, port in connection.execute(statement("get_nodes")).fetchall():
        try:
            with _at_most(connection, seconds):
                _ask(connection, name, port, "select 1")
        except (AccessError, NotReadyError) as error:
            silent.append(f"{coordinator} → {name}:{port} ({error})")
    return silent


def _get_blockers(connection: Connection, process: int) -> list[str]:
    """Return the sessions that keep a process of the coordinator, or what works for it on a node, waiting for a lock."""
    found = connection.execute(statement("get_blockers"), {"process": process}).fetchall()
    return [f"{where}: {session}" for where, sessions in found for session in (sessions or "").splitlines()]


def get_hindrances(
    connection: Connection, process: int, also: tuple[str, int] | None = None
) -> tuple[list[str], list[str]]:
    """Return the nodes that do not answer, `also` among them, and the sessions that keep a process waiting for a lock."""
    if not _value(connection, "has_citus"):
        return [], []
    silent = get_silent_nodes(connection, PROBE_SECONDS)
    if also:
        try:
            with _at_most(connection, PROBE_SECONDS):
                _ask(connection, *also, "select 1")
        except (AccessError, NotReadyError) as error:
            silent.append(f"{also[0]}:{also[1]} ({error})")
    if silent:
        return silent, []
    try:
        with _at_most(connection, PROBE_SECONDS):
            return [], _get_blockers(connection, process)
    except NotReadyError:  # they answer, if slowly
        return [], []


def get_unreachable_pairs(connection: Connection, timeout: float) -> list[str]:
    """Return `a → b` for each pair of nodes of which the first cannot reach the second, with the cause where it is known.

    The coordinator asks each node first. Citus's own check of all pairs waits for ever on a connection that it kept to
    a node that is paused, and cannot be cancelled there.

    Raises:
        NotReadyError: the check of all pairs took longer than `timeout` seconds.
    """
    silent = get_silent_nodes(connection, timeout)
    if silent:
        return silent
    with _at_most(connection, timeout):
        return [row[0] for row in connection.execute(statement("get_unreachable_pairs"))]


def _refuse_unreachable(broken: list[str]) -> None:
    if broken:
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""  # noqa: PLR2004
        msg = f"unreachable: {', '.join(broken[:3])}{more}"
        raise NotReadyError(msg)


def wait_until_nodes_answer(connection: Connection, timeout: float) -> None:
    """Wait until every node answers the coordinator: what changes all of them waits for ever on one that is paused.

    Raises:
        StackError: Citus works on a node with settings that would break off or falsify what it does there.
    """
    cluster = connection.info.dsn
    if time.monotonic() - _answered.get(cluster, -ANSWER_HOLDS) < ANSWER_HOLDS:
        return
    wait_until(
        lambda: _refuse_unreachable(get_silent_nodes(connection, timeout)),
        what="every node answers the coordinator",
        timeout=timeout,
        hint=lambda: RUNS,
    )
    _refuse_settings(connection)
    _answered[cluster] = time.monotonic()


def _refuse_settings(connection: Connection) -> None:
    """Refuse what Citus's own sessions on the nodes take from the role or its database, and which ours cannot set for them.

    A timeout ends a step that only takes long. Values that nodes send each other as text are read as another day (DateStyle),
    with another sign (IntervalStyle), without a backslash (standard_conforming_strings), or have lost digits.
    """
    found = connection.execute(statement("get_refused_settings")).fetchall()
    if not found:
        return
    user, database = connection.info.user, connection.info.dbname
    setters = {
        "user": "role {user}",
        "database": "database {database}",
        "database user": "role {user} in database {database}",
    }
    lines = []
    for node, name, value, source in found:
        names = {"user": sql.Identifier(user), "database": sql.Identifier(database), "name": sql.Identifier(name)}
        reset = sql.SQL(f"alter {setters.get(source, 'system')} reset {{name}}")
        lines.append(f"{node}: {name} = {value} ({reset.format(**names).as_string(None)})")
    msg = (
        f"Citus's own sessions on the nodes take these settings from {user}, {database} or the server, and would break off or "
        f"falsify what this step does: {'; '.join(lines)}. Reset each on that node, a role's on the coordinator, which passes "
        "it on; then run up again. What needs such a setting, let it have a role of its own"
    )
    raise StackError(msg)


@contextmanager
def silent_nodes_named(connection: Connection, doing: str) -> Iterator[None]:
    """Say of which node a statement failed, where nodes do not answer any more: what Citus says does not always tell.

    Raises:
        NotReadyError: from any psycopg.Error inside, where at least one node is silent, or was.
        StackError: a node has no room on its disk.
    """
    try:
        yield
    except psycopg.Error as error:
        silent = [] if is_lost(error) else get_silent_nodes(connection, PROBE_SECONDS)
        said = " ".join((error.diag.message_primary or str(error)).split())
        if "No space left on device" in said:  # Citus does not say whose
            nodes = ", ".join(f"{name}:{port}" for _, name, port in connection.execute(statement("get_nodes")))
            msg = f"{doing}: {said}: the disk of one of {nodes} is full; all was undone: make room there, then run up again"
            raise StackError(msg) from error
        if "due to lock timeout" in said:  # which our own session does not have
            msg = (
                f"{doing}: {said}: somebody kept a table locked on a node for longer than the lock_timeout that Citus's own "
                "sessions take there from the role, the database or the server; all was undone: run up again"
            )
            raise NotReadyError(msg) from error
        if silent:
            back = f"unreachable: {', '.join(silent)}; what was under way was undone: run up again once it is back"
        elif _NODE_WAS_LOST.search(f"{error.sqlstate} {said}") and not is_permanent(said):
            back = "every node answers again; what was under way was undone: run up again"
        else:
            raise
        msg = f"{doing}: {said}; {back}; {RUNS}"
        raise NotReadyError(msg) from error


def wait_until_healthy(connection: Connection, timeout: float) -> int:
    """Wait until every node reaches every node, and return how many pairs were tried."""

    def attempt() -> int:
        _refuse_unreachable(get_unreachable_pairs(connection, timeout))
        return int(_value(connection, "count_nodes")) ** 2

    pairs = wait_until(attempt, what="every node reaches every other", timeout=timeout, hint=lambda: RUNS)
    _answered[connection.info.dsn] = time.monotonic()
    return pairs


@contextmanager
def sequentially(connection: Connection) -> Iterator[None]:
    """A transaction that works on one shard after the other, as keys across tables need."""
    with connection.transaction():
        connection.execute("set local citus.multi_shard_modify_mode = 'sequential'")
        connection.execute("set local client_min_messages = warning")
        yield


# --- tables ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ShardedTable:
    """How Citus knows a table. `kind` is distributed, reference or local (one that Citus merely manages is local)."""

    oid: int
    kind: str
    distribution_column: str | None
    colocation_group: int | None
    shard_count: int | None
    """Into how many shards it was split; None where it is local."""
    shards: int
    """How many there are: more where tenants have a shard of their own."""
    placements: int


def get_table(connection: Connection, table: TableName) -> ShardedTable | None:
    """Return what the table is now; None where there is no such table."""
    with connection.cursor(row_factory=class_row(ShardedTable)) as cursor:
        return cursor.execute(statement("get_table"), {"schema": table.schema, "name": table.name}).fetchone()


def get_colocated(connection: Connection, table: TableName) -> dict[TableName, str]:
    """Return the tables of a distributed table's colocation group, itself among them, each with its distribution column."""
    rows = connection.execute(statement("get_colocated"), {"table": regclass(table)}).fetchall()
    return {TableName(schema, name): column for schema, name, column in rows}


def count_rows(connection: Connection, table: TableName, condition: sql.Composable | None = None) -> int:
    """Return how many rows a table has, or how many of them a condition holds for."""
    query = sql.SQL("select count(*) from {} where {}").format(identifier(table), condition or sql.SQL("true"))
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def identifier(table: TableName) -> sql.Identifier:
    """Return the table's name for use in a statement, always with its schema."""
    return sql.Identifier(table.schema, table.name)


def regclass(table: TableName) -> str:
    """Return the table's name as a value that casts to regclass."""
    return identifier(table).as_string(None)
