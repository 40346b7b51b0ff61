"""Where shards are placed: tenants on workers of their own, and nothing on a worker that leaves.

Takes a connection; knows nothing of Pulumi. Every step moves a whole colocation group's shards, is finished or undone by
Citus itself, and is looked at before it is taken: what was interrupted goes on. Why a split online leaves no part where the
shard was: docs/adr/0016.
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING

from psycopg import sql
from psycopg.rows import class_row

from components.database.metadata import count_rows, get_colocated
from components.database.moves import (
    TenantShard,
    cleaned_up,
    get_node_id,
    get_replication_room,
    get_tenant_shard,
    get_transfer_mode,
    move_shard,
    tell_writes_wait,
)
from components.database.statements import regclass, statement
from components.errors import DriftError, StackError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.database.connections import Connection
    from components.names import TableName

__all__ = ["ensure_tenants", "limit_nodes", "split_points", "spread"]


def ensure_tenants(
    connection: Connection, table: TableName, pins: Mapping[str, str], alike: Sequence[str], nodes: Sequence[str]
) -> dict[str, TenantShard]:
    """Give each value a shard of its own in the whole colocation group, on its node; nothing moves that is placed right.

    `pins` gives a value its node (`name:port`); the values `alike` are spread over `nodes`.

    Returns:
        The shard of each value.

    Raises:
        DriftError: two values with the same hash are declared on different nodes; nothing was moved.
        StackError: Citus would put rows into wrong shards when it splits one; nothing was moved.
    """
    shards = {value: get_tenant_shard(connection, table, value) for value in [*pins, *alike]}
    sizes = _sizes(connection, table, alike)
    placed = {value: shards[value].node for value in alike if shards[value].isolated}
    goals = {**pins, **spread(sizes, nodes, placed, Counter(pins.values()))}
    hashes = _get_hashes(connection, table, list(goals))
    _refuse_twins(table, hashes, goals)
    shared = {shard.shard_id: shard for shard in shards.values() if not shard.isolated}.values()
    for shard in shared:
        _refuse_wrong_parts(connection, table, shard)
    with cleaned_up(connection):
        for shard in shared:
            within = {hashes[value]: goals[value] for value in goals if shards[value] == shard}
            _split(connection, table, shard, within, nodes)
        for value, node in goals.items():
            shards[value] = get_tenant_shard(connection, table, value)
            if shards[value].node != node:
                move_shard(connection, table, shards[value], node)
                shards[value] = get_tenant_shard(connection, table, value)
    return {value: shards[value] for value in goals}


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
            msg = f"citus:tenants.{table}: {value} and {other} have the same hash, so they share a shard: pin both to one worker"
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


def limit_nodes(apart: Mapping[int, str], stays: str, away: str, limit: int) -> dict[int, str]:
    """Say where each part goes first, so that none stays where it is and all go to at most `limit` nodes; pure.

    `away` takes the parts that are to stay on `stays`, and those of nodes that are too many. It counts as one of the nodes.
    """
    others = list(dict.fromkeys(node for node in apart.values() if node not in (stays, away)))[: limit - 1]
    return {hash_: node if node in others else away for hash_, node in apart.items()}


def _split(
    connection: Connection, table: TableName, shard: TenantShard, apart: Mapping[int, str], nodes: Sequence[str]
) -> None:
    """Split a shard, and those colocated with it, so that each of these hashes has a shard of its own.

    With writes waiting, each part goes to its node at once. Online, a part that stayed would wait for ever where a row is
    updated just then: all parts leave, and those between the hashes come back. The caller moves hashes that are not on
    their node yet.
    """
    others = [node for node in nodes if node != shard.node]
    mode, reason = get_transfer_mode(connection, shard.shard_id)
    if mode == "auto" and not others:
        mode, reason = "block_writes", f"there is no worker but {shard.node}"
    tell_writes_wait(f"splitting shard {shard.shard_id} of {table}", mode, reason)
    if mode != "auto":
        _cut(connection, shard, apart, shard.node, mode)
        return
    via = _get_emptiest(connection, others)
    room = get_replication_room(connection, shard, {*apart.values(), via} - {shard.node})
    parts = _cut(connection, shard, limit_nodes(apart, shard.node, via, room), via, mode)
    if shard.node not in nodes:  # it leaves anyway
        return
    for start, end in parts:
        if start != end or start not in apart:
            part = _get_shard_from(connection, table, start)
            if part.node != shard.node:
                move_shard(connection, table, part, shard.node)


def _refuse_wrong_parts(connection: Connection, table: TableName, shard: TenantShard) -> None:
    generated, dropped, question = connection.execute(
        statement("get_split_obstacles"), {"shard": shard.shard_id}
    ).fetchone() or (None, None, "")
    if dropped:
        where = {"name": shard.node_name, "port": shard.node_port, "command": question}
        if connection.execute(statement("run_on_node"), where).fetchone() == (True, "0"):
            dropped = None
    if generated or dropped:
        what = f"{generated} has a generated column" if generated else f"a column of {dropped} was dropped that stood"
        msg = (
            f"citus:tenants.{table}: {what} before its distribution column, and Citus would put rows into wrong shards: "
            "nothing was moved. Recreate the table with the distribution column first"
        )
        if not generated:
            msg += ", or give its colocation group another shardCount with rewrite: true, which leaves that column out"
        raise StackError(msg)


def _cut(
    connection: Connection, shard: TenantShard, apart: Mapping[int, str], rest: str, mode: str
) -> list[tuple[int, int]]:
    """Have Citus split a shard, each part copied straight to its node; return the first and last hash of each part."""
    points, nodes = split_points(shard.lowest, shard.highest, apart, rest)
    ids = [get_node_id(connection, node) for node in nodes]
    how = {"shard": shard.shard_id, "points": list(map(str, points)), "nodes": ids, "mode": mode}
    connection.execute(statement("split_shard"), how)
    return list(zip([shard.lowest, *(point + 1 for point in points)], [*points, shard.highest], strict=True))


def _get_shard_from(connection: Connection, table: TableName, lowest: int) -> TenantShard:
    """Return the shard of a table whose range of hashes begins with `lowest`."""
    with connection.cursor(row_factory=class_row(TenantShard)) as cursor:
        found = cursor.execute(statement("get_shard_from"), {"table": regclass(table), "lowest": lowest}).fetchone()
    if found is None:
        msg = f"a shard of {table} was moved or split by another session meanwhile: run up again"
        raise DriftError(msg)
    return found


def _get_emptiest(connection: Connection, nodes: Sequence[str]) -> str:
    """Return the node with the fewest bytes in shards."""
    carried = dict(connection.execute(statement("get_node_sizes")).fetchall())
    return min(nodes, key=lambda node: carried.get(node, 0))


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
