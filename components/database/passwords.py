"""The password of this stack's user, changed on every node at one moment, while nothing logs in to a node.

A role has one password, and a node that logs in to another one shows the one that its passfile has: the two cannot change in one
step. So statements on the tables that Citus knows wait while they change, for some hundredths of a second: a statement that has
begun holds a lock on its table, and one that waits for that has not gone to a node yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import sql

from components.database.nodes import ask_node
from components.database.roles import keep_out_of_log
from components.database.statements import get_value, identifier, statement
from components.errors import NotReadyError
from components.names import TableName
from components.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from components.database.connections import Connection

__all__ = ["change_on_all_nodes", "change_on_one", "get_refusing", "inherits_password", "is_cluster"]

PAUSE: Final = "300ms"
"""How long statements may queue behind us while one that has begun goes on: then they go on, too, and we try again."""
_SHARED: Final = 1000
"""Tables that one statement locks."""


def is_cluster(connection: Connection) -> bool:
    """Tell whether the database has Citus, no stand-in: then a change of a role on the coordinator reaches every node."""
    return bool(get_value(connection, "knows_roles")) and bool(get_value(connection, "get_coordinator"))


def change_on_all_nodes(
    connection: Connection, password: str, others: Sequence[tuple[str, int]], switch: Callable[[], None], timeout: float
) -> None:
    """Give the connection's user another password, on every node, and let the nodes show it to each other.

    Args:
        connection: to the coordinator, as that user.
        password: the new one; what PostgreSQL keeps of it is sent.
        others: nodes that are not registered, and are asked one by one.
        switch: lets every node show the new one; called while nothing logs in to a node.
        timeout: seconds to wait for a moment in which no statement is under way.

    Raises:
        NotReadyError: there was no such moment; nothing was changed.
    """
    change = _change(connection, password)

    def attempt() -> None:
        try:
            with connection.transaction():
                keep_out_of_log(connection)
                connection.execute(change)
                _pause(connection)
                for node in others:
                    ask_node(connection, *node, change.as_string(connection))
                switch()
        except psycopg.errors.LockNotAvailable:
            msg = "statements on sharded tables are under way"
            raise NotReadyError(msg) from None

    what = f"no statement logs in to a node, to change the password of {connection.info.user}"
    wait_until(attempt, what=what, timeout=timeout)


def change_on_one(connection: Connection, password: str) -> None:
    """Give the connection's user another password on this server alone."""
    with connection.transaction():
        keep_out_of_log(connection)
        connection.execute(_change(connection, password))


def inherits_password(connection: Connection, node: tuple[str, int]) -> bool:
    """Tell whether a node's server shows a password that it was started with, whatever its passfile has."""
    return ask_node(connection, *node, statement("inherits_password")) == "t"


def get_refusing(connection: Connection) -> list[tuple[str, int]]:
    """Return the active nodes that do not let the coordinator in with the password that its passfile has now."""
    refusing = []
    with connection.transaction():
        # Else a connection that was made with another password would do.
        connection.execute("set local citus.max_cached_conns_per_worker = 0; set local client_min_messages = error")
        for _, name, port in connection.execute(statement("get_nodes")).fetchall():
            reached = connection.execute("select citus_check_connection_to_node(%s, %s)", [name, port]).fetchone()
            if not (reached and reached[0]):
                refusing.append((name, port))
    return refusing


def _change(connection: Connection, password: str) -> sql.Composed:
    user, encoding = connection.info.user, connection.info.encoding
    verifier = connection.pgconn.encrypt_password(password.encode(encoding), user.encode(encoding)).decode("ascii")
    return sql.SQL("alter role {} password {}").format(sql.Identifier(user), sql.Literal(verifier))


def _pause(connection: Connection) -> None:
    """Let no statement on a table that Citus knows begin until the end of the transaction."""
    tables = [TableName(*row) for row in connection.execute(statement("get_known_tables"))]
    connection.execute("select set_config('lock_timeout', %s, true)", [PAUSE])
    connection.execute("set local citus.enable_ddl_propagation = off")  # the coordinator's locks will do
    for first in range(0, len(tables), _SHARED):
        names = sql.SQL(", ").join(map(identifier, tables[first : first + _SHARED]))
        connection.execute(sql.SQL("lock table {} in access exclusive mode").format(names))
    connection.execute("select set_config('lock_timeout', '0', true)")
