"""Shards of tenants: where they are, and how one is moved and cleaned up after."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg.rows import class_row

from components.database.metadata import get_colocated
from components.database.nodes import get_node
from components.database.statements import regclass, statement
from components.errors import DriftError, NotReadyError, StackError
from components.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from components.database.connections import Connection
    from components.names import TableName

__all__ = [
    "TenantShard",
    "clean_up",
    "cleaned_up",
    "get_node_id",
    "get_replication_room",
    "get_residency",
    "get_tenant_shard",
    "get_transfer_mode",
    "move_shard",
    "parse_address",
    "tell_writes_wait",
]


SMALL: Final = 16 * 1024**2
"""Bytes of a shard and those colocated with it, below which it is moved with writes waiting."""


CLEANUP_SECONDS: Final = 20
"""How long the subscriptions and replication slots of an ended move may take to be dropped."""


@dataclass(frozen=True)
class TenantShard:
    """The shard of one value of a distribution column."""

    shard_id: int
    lowest: int
    """Of the hashes that it holds."""
    highest: int
    node_name: str
    node_port: int

    @property
    def isolated(self) -> bool:
        """Tell whether it holds this value alone."""
        return self.lowest == self.highest

    @property
    def node(self) -> str:
        """Return `name:port` of the node that holds it."""
        return f"{self.node_name}:{self.node_port}"


def get_tenant_shard(connection: Connection, table: TableName, value: str) -> TenantShard:
    """Return the shard of a value's rows, whether there are any or not.

    Raises:
        StackError: the value is none of the distribution column's type.
    """
    try:
        with connection.cursor(row_factory=class_row(TenantShard)) as cursor:
            found = cursor.execute(statement("get_tenant_shard"), {"table": regclass(table), "value": value}).fetchone()
    except psycopg.DataError as error:
        msg = f"citus:tenants.{table}: {value!r} is no value of its distribution column: {error.diag.message_primary}"
        raise StackError(msg) from error
    if found is None:
        msg = f"citus:tenants.{table}: no shard holds {value!r}: is the table distributed?"
        raise DriftError(msg)
    return found


@contextmanager
def cleaned_up(connection: Connection) -> Iterator[None]:
    """Drop what interrupted moves have left, before and after."""
    clean_up(connection)
    drop_orphans(connection)
    try:
        yield
    finally:
        if not (connection.closed or connection.broken):
            clean_up(connection)


def clean_up(connection: Connection, *, timeout: float = CLEANUP_SECONDS) -> None:
    """Drop what moves that have ended left behind; a replication slot that stayed would keep its node's WAL for ever.

    Old placements that queries still read are left to Citus, which tries again every few seconds.

    Raises:
        NotReadyError: something could not be dropped within `timeout` seconds; names it.
    """

    def attempt() -> None:
        connection.execute(statement("cleanup"))
        left = [f"{name} on {node}" for name, node in connection.execute(statement("get_leftovers")).fetchall()]
        if left:
            msg = f"it still has {', '.join(left)}"
            raise NotReadyError(msg)

    wait_until(attempt, what="Citus has dropped what an interrupted move left", timeout=timeout)


def drop_orphans(connection: Connection, *, timeout: float = CLEANUP_SECONDS) -> None:
    """Drop what moves that have ended left behind without Citus knowing of it, as where a node was frozen meanwhile.

    Raises:
        NotReadyError: something could not be dropped within `timeout` seconds; names it.
    """

    def attempt() -> None:
        if connection.execute(statement("end_orphaned_processes")).fetchone() != (0,):
            msg = "processes of it have not ended"
            raise NotReadyError(msg)
        left = connection.execute(statement("get_orphaned_replication")).fetchall()
        for name, port, _, commands in left:
            for command in commands:
                where = {"name": name, "port": port, "command": command}
                connection.execute(statement("run_on_node"), where)
        if left:
            msg = f"there is {', '.join(f'{orphan} on {name}:{port}' for name, port, orphan, _ in left)}"
            raise NotReadyError(msg)

    wait_until(attempt, what="nothing is left of moves that were interrupted", timeout=timeout)


def get_residency(connection: Connection, table: TableName, values: Sequence[str]) -> list[tuple[str, str, str, int]]:
    """Return `(table, value, node, rows)` of each table of the colocation group, as the shards themselves have them."""
    found = []
    for member, column in get_colocated(connection, table).items():
        where = {"table": regclass(member), "column": column, "values": list(values)}
        for node, value, rows in connection.execute(statement("count_tenants"), where).fetchall():
            found.append((str(member), value, node, rows))
    return found


def get_replication_room(connection: Connection, shard: TenantShard, targets: Collection[str]) -> int:
    """Return to how many nodes at a time a shard's node can replicate it and those colocated with it.

    Raises:
        StackError: to none, or one of the targets could not receive it; names the settings of PostgreSQL to raise.
    """
    where = {"shard": shard.shard_id, "node": shard.node, "targets": list(targets)}
    row = connection.execute(statement("get_replication_room"), where).fetchone()
    room, short = row or (0, None)
    if short:
        msg = (
            f"shard {shard.shard_id} cannot be copied online: {short}. End what takes them, or raise the setting there"
        )
        raise StackError(msg)
    return int(room)


def tell_writes_wait(doing: str, mode: str, reason: str | None) -> None:
    """Print that writes wait, and why, where it may take long."""
    if mode != "auto" and reason:
        print(f"{doing}: writes to it wait until it is copied, for {reason}")  # noqa: T201 - Pulumi shows it


def parse_address(node: str) -> tuple[str, int]:
    """Return the name and the port of `name:port`."""
    name, _, port = node.rpartition(":")
    return name, int(port)


def get_node_id(connection: Connection, node: str) -> int:
    """Return the id by which Citus knows a registered worker."""
    known = get_node(connection, *parse_address(node))
    if known is None:
        msg = f"worker {node} is not registered any more: refresh, then run up again"
        raise DriftError(msg)
    return known.node_id


def move_shard(connection: Connection, what: object, shard: TenantShard, node: str) -> None:
    """Move a shard, and those colocated with it, to a node; `what` says of what it is one."""
    name, port = parse_address(node)
    mode, reason = get_transfer_mode(connection, shard.shard_id)
    tell_writes_wait(f"moving shard {shard.shard_id} of {what} to {node}", mode, reason)
    if mode == "auto":
        get_replication_room(connection, shard, [node])
    where = {"from_name": shard.node_name, "from_port": shard.node_port, "name": name, "port": port}
    connection.execute(statement("move_shard"), {**where, "shard": shard.shard_id, "mode": mode})


def get_transfer_mode(connection: Connection, shard: int) -> tuple[str, str | None]:
    """Return how to move a shard and those colocated with it; and why not online, where they are too big for writes to wait."""
    row = connection.execute(statement("get_transfer_mode"), {"shard": shard, "small": SMALL}).fetchone()
    return (str(row[0]), row[1]) if row else ("auto", None)
