"""Where shards lie: tenants on workers of their own, and nothing on a worker that is to leave.

Takes a connection; knows nothing of Pulumi. Every step moves a whole colocation group's shards, is finished or undone by
Citus itself, and is looked at before it is taken: what was interrupted goes on.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from components.catalog import count_rows, get_colocated, get_node, regclass, remove_node, statement
from components.errors import DriftError, StackError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from components.names import TableName
    from components.postgres import Connection

__all__ = [
    "TenantShard",
    "drain",
    "ensure_left",
    "ensure_tenants",
    "get_leaving",
    "get_residency",
    "get_tenant_shard",
    "split_points",
    "spread",
]


SMALL: Final = 16 * 1024**2
"""Bytes of a shard, and of those that lie with it, below which it is moved with writes waiting."""


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
    """Return where the rows of a value lie, whether there are any or not.

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


def ensure_tenants(
    connection: Connection, table: TableName, pins: Mapping[str, str], alike: Sequence[str], nodes: Sequence[str]
) -> dict[str, TenantShard]:
    """Give each value a shard of its own in the whole colocation group, on its node; nothing moves that lies right.

    `pins` gives a value its node (`name:port`); the values `alike` are spread over `nodes`.

    Returns:
        Where each value lies.

    Raises:
        DriftError: two values that have one hash are to lie on different nodes; nothing was moved.
    """
    shards = {value: get_tenant_shard(connection, table, value) for value in [*pins, *alike]}
    sizes = _sizes(connection, table, alike)
    placed = {value: shards[value].node for value in alike if shards[value].isolated}
    goals = {**pins, **spread(sizes, nodes, placed, Counter(pins.values()))}
    hashes = _get_hashes(connection, table, list(goals))
    _refuse_twins(table, hashes, goals)
    with _cleaned_up(connection):
        for shard in {shard.shard_id: shard for shard in shards.values() if not shard.isolated}.values():
            within = {hashes[value]: goals[value] for value in goals if shards[value] == shard}
            _split(connection, shard, within)
        for value, node in goals.items():
            shards[value] = get_tenant_shard(connection, table, value)
            if shards[value].node != node:
                _move(connection, shards[value], node)
                shards[value] = get_tenant_shard(connection, table, value)
    return {value: shards[value] for value in goals}


@contextmanager
def _cleaned_up(connection: Connection) -> Iterator[None]:
    """Drop what interrupted moves have left, before and after; Citus would do it by and by."""
    connection.execute(statement("cleanup"))
    try:
        yield
    finally:
        if not (connection.closed or connection.broken):
            connection.execute(statement("cleanup"))


def get_residency(connection: Connection, table: TableName, values: Sequence[str]) -> list[tuple[str, str, str, int]]:
    """Return `(table, value, node, rows)` of each table of the colocation group, as the shards themselves have them."""
    found = []
    for member, column in get_colocated(connection, table).items():
        where = {"table": regclass(member), "column": column, "values": list(values)}
        for node, value, rows in connection.execute(statement("count_tenants"), where).fetchall():
            found.append((str(member), value, node, rows))
    return found


def _get_hashes(connection: Connection, table: TableName, values: Sequence[str]) -> dict[str, int]:
    row = connection.execute(statement("get_distribution_type"), {"table": regclass(table)}).fetchone()
    column_type = sql.SQL(row[0] if row else "text")
    hashes = sql.SQL(", ").join(
        sql.SQL("pg_catalog.worker_hash({}::{})").format(sql.Literal(value), column_type) for value in values
    )
    found = connection.execute(sql.SQL("select {}").format(hashes)).fetchone() or ()
    return dict(zip(values, found, strict=True))


def _refuse_twins(table: TableName, hashes: Mapping[str, int], goals: Mapping[str, str]) -> None:
    for value, other in combinations(goals, 2):
        if hashes[value] == hashes[other] and goals[value] != goals[other]:
            msg = f"citus:tenants.{table}: {value} and {other} have the same hash, so they lie together: pin both to one worker"
            raise DriftError(msg)


def split_points(lowest: int, highest: int, apart: Mapping[int, str], rest: str) -> tuple[list[int], list[str]]:
    """Cut a range of hashes so that some have a part of their own; pure.

    Args:
        lowest: the first hash of the range.
        highest: the last hash of the range.
        apart: the node of each hash that is to have a part of its own.
        rest: the node of the parts between them.

    Returns:
        The last hash of each part but the last, and the node of each part.
    """
    ends = sorted({end for hash_ in apart for end in (hash_ - 1, hash_) if lowest <= end < highest})
    starts = [lowest, *(end + 1 for end in ends)]
    return ends, [
        apart.get(start, rest) if start == end else rest for start, end in zip(starts, [*ends, highest], strict=True)
    ]


def _split(connection: Connection, shard: TenantShard, apart: Mapping[int, str]) -> None:
    """Split a shard, and those that lie with it, so that each of these hashes has a shard on its node."""
    points, nodes = split_points(shard.lowest, shard.highest, apart, shard.node)
    ids = [_get_node_id(connection, node) for node in nodes]
    mode = _transfer_mode(connection, shard.shard_id)
    how = {"shard": shard.shard_id, "points": list(map(str, points)), "nodes": ids, "mode": mode}
    connection.execute(statement("split_shard"), how)


def _address(node: str) -> tuple[str, int]:
    name, _, port = node.rpartition(":")
    return name, int(port)


def _get_node_id(connection: Connection, node: str) -> int:
    known = get_node(connection, *_address(node))
    if known is None:
        msg = f"worker {node} is not registered any more: refresh, then run up again"
        raise DriftError(msg)
    return known.node_id


def spread(
    sizes: Mapping[str, int], nodes: Sequence[str], placed: Mapping[str, str], taken: Mapping[str, int]
) -> dict[str, str]:
    """Give each value a node, so that the nodes carry as alike as the sizes allow; pure.

    First by number: no node gets a second value while another has none. Among the nodes with the fewest, a value stays
    where it is, else goes to the one with the least to carry. The biggest chooses first, and of two alike the one
    that is named first.

    Args:
        sizes: rows of each value.
        nodes: the nodes that there are.
        placed: the nodes of values that have a shard of their own already.
        taken: how many values each node carries beside these.
    """
    numbers = {node: taken.get(node, 0) for node in nodes}
    loads = dict.fromkeys(nodes, 0)
    result = {}
    for value in sorted(sizes, key=lambda value: -sizes[value]):
        fewest = min(numbers.values())
        free = [node for node in nodes if numbers[node] == fewest]
        staying = placed.get(value)
        node = staying if staying in free else min(free, key=lambda node: (node in placed.values(), loads[node]))
        result[value] = node
        numbers[node] += 1
        loads[node] += sizes[value]
    return {value: result[value] for value in sizes}


def _sizes(connection: Connection, table: TableName, values: Sequence[str]) -> dict[str, int]:
    """Return how many rows the colocation group has of each value: asked of that value's worker alone."""
    sizes = dict.fromkeys(values, 0)
    for member, column in get_colocated(connection, table).items() if values else ():
        for value in values:
            is_value = sql.SQL("{} = {}").format(sql.Identifier(column), sql.Literal(value))
            sizes[value] += count_rows(connection, member, is_value)
    return sizes


def _move(connection: Connection, shard: TenantShard, node: str) -> None:
    """Move a shard, and those that lie with it, to a node."""
    name, port = _address(node)
    where = {"from_name": shard.node_name, "from_port": shard.node_port, "name": name, "port": port}
    mode = _transfer_mode(connection, shard.shard_id)
    connection.execute(statement("move_shard"), {**where, "shard": shard.shard_id, "mode": mode})


def _transfer_mode(connection: Connection, shard: int) -> str:
    row = connection.execute(statement("get_transfer_mode"), {"shard": shard, "small": SMALL}).fetchone()
    return str(row[0]) if row else "auto"


def _drain_mode(connection: Connection) -> str:
    row = connection.execute(statement("get_drain_mode")).fetchone()
    return str(row[0]) if row and row[0] else "auto"


def get_leaving(connection: Connection, staying: Sequence[str]) -> list[str]:
    """Return the registered workers (`name:port`) that are not among those that stay, whoever registered them."""
    registered = [f"{name}:{port}" for name, port in connection.execute(statement("get_workers"))]
    return [worker for worker in registered if worker not in staying]


def ensure_left(connection: Connection, staying: Sequence[str]) -> None:
    """Drain and unregister every worker but those that stay; nothing happens where there is none.

    Raises:
        psycopg.Error: the shards could not all be moved; nothing is unregistered.
        DriftError: a worker holds shards again.
    """
    leaving = get_leaving(connection, staying)
    if leaving:
        drain(connection, leaving)
    for worker in leaving:
        remove_node(connection, *_address(worker))


def drain(connection: Connection, nodes: Sequence[str]) -> None:
    """Move every shard away from nodes that are to leave; nothing happens where they hold none.

    Raises:
        psycopg.Error: the shards could not all be moved; the nodes take shards again, as before.
    """
    leaving = [address for address in map(_address, nodes) if get_node(connection, *address)]

    def hold_shards(holds: bool) -> None:  # noqa: FBT001
        for name, port in leaving:
            connection.execute(statement("set_node_holds_shards"), {"name": name, "port": port, "holds": holds})

    with _cleaned_up(connection):
        try:
            hold_shards(False)  # noqa: FBT003 - none of them takes what another gives away
            for name, port in leaving:
                where = {"name": name, "port": port, "mode": _drain_mode(connection)}
                connection.execute(statement("drain_node"), where)
        except BaseException:
            if not (connection.closed or connection.broken):
                hold_shards(True)  # noqa: FBT003
            raise
