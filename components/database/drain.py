"""Workers that leave: their shards move to those that stay, then they are unregistered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.database.moves import TenantShard, cleaned_up, move_shard, parse_address
from components.database.nodes import get_addresses, get_node, remove_node
from components.database.statements import statement
from components.errors import StackError
from components.names import TableName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.database.connections import Connection

__all__ = [
    "ensure_left",
    "ensure_shards_allowed",
    "get_idle_workers",
    "get_leaving",
    "get_worker_addresses",
    "get_workers",
]


def get_idle_workers(connection: Connection, nodes: Sequence[str]) -> list[str]:
    """Return those of the nodes that are registered and take no shards, as a drain that was interrupted leaves them."""
    found = {node: get_node(connection, *parse_address(node)) for node in nodes}
    return [node for node, known in found.items() if known is not None and not known.should_have_shards]


def get_worker_addresses(connection: Connection) -> dict[int, str]:
    """Return the address (`name:port`) of each registered worker, by its group."""
    return {group: f"{name}:{port}" for group, (name, port) in get_addresses(connection).items() if group}


def get_workers(connection: Connection) -> list[str]:
    """Return all registered workers as `name:port`, whoever registered them."""
    return list(get_worker_addresses(connection).values())


def get_leaving(connection: Connection, staying: Sequence[str]) -> list[str]:
    """Return the registered workers that are not among those that stay."""
    return [worker for worker in get_workers(connection) if worker not in staying]


def ensure_left(connection: Connection, staying: Sequence[str]) -> None:
    """Drain and unregister every worker but those that stay; nothing happens where there is none.

    Raises:
        StackError: no node stays, or the shards could not all be moved; nothing is unregistered.
        DriftError: a worker holds shards again.
    """
    leaving = get_leaving(connection, staying)
    if leaving:
        drain(connection, leaving, staying)
    for worker in leaving:
        remove_node(connection, *parse_address(worker))


def ensure_shards_allowed(connection: Connection, nodes: Sequence[str], *, allowed: bool = True) -> None:
    """Let Citus put shards on these nodes, or let it not; those that are not registered are left out."""
    for name, port in map(parse_address, nodes):
        known = get_node(connection, name, port)
        if known is not None and known.should_have_shards != allowed:
            connection.execute(statement("set_node_holds_shards"), {"name": name, "port": port, "holds": allowed})


def drain(connection: Connection, leaving: Sequence[str], staying: Sequence[str]) -> None:
    """Move every shard from the nodes that leave to those that stay; nothing happens where they hold none.

    A shard goes to the node with the fewest shards of its colocation group; of two alike, the one with the fewest bytes.
    Online where its tables allow it, else with writes to it waiting.

    Raises:
        StackError: no node stays, or the shards could not all be moved; the nodes take shards again, as before.
    """
    if not leaving:
        return
    with cleaned_up(connection):
        try:
            ensure_shards_allowed(connection, leaving, allowed=False)  # none takes what another gives away
            for node in leaving:
                _drain(connection, node, staying)
        except BaseException:
            if not (connection.closed or connection.broken):
                ensure_shards_allowed(connection, leaving)
            raise


def _drain(connection: Connection, node: str, staying: Sequence[str]) -> None:
    while held := connection.execute(statement("get_next_shard"), {"node": node}).fetchone():
        schema, name, shard_id, numbers, sizes = held
        table = TableName(schema, name)
        if not staying:
            msg = f"citus:workers: worker {node} cannot leave: it holds shards of {table}, and none stays to take them"
            raise StackError(msg)
        target = min(staying, key=lambda other: (numbers.get(other, 0), sizes.get(other, 0)))
        move_shard(connection, table, TenantShard(shard_id, 0, 0, *parse_address(node)), target)
