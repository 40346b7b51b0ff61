"""Where shards are placed: tenants on workers of their own, and nothing on a worker that leaves.

Takes a connection; knows nothing of Pulumi. Every step moves a whole colocation group's shards, is finished or undone by
Citus itself, and is looked at before it is taken: what was interrupted goes on. Why a split online leaves no part where the
shard was: docs/adr/0016.
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
from components.errors import DriftError, NotReadyError, StackError
from components.names import TableName
from components.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from components.postgres import Connection

__all__ = [
    "TenantShard",
    "clean_up",
    "ensure_left",
    "ensure_shards_allowed",
    "ensure_tenants",
    "get_idle_workers",
    "get_leaving",
    "get_residency",
    "get_tenant_shard",
    "get_workers",
    "limit_nodes",
    "split_points",
    "spread",
]


SMALL: Final = 16 * 1024**2
"""Bytes of a shard, and of those that lie with it, below which it is moved with writes waiting."""
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
    with _cleaned_up(connection):
        for shard in shared:
            within = {hashes[value]: goals[value] for value in goals if shards[value] == shard}
            _split(connection, table, shard, within, nodes)
        for value, node in goals.items():
            shards[value] = get_tenant_shard(connection, table, value)
            if shards[value].node != node:
                _move(connection, table, shards[value], node)
                shards[value] = get_tenant_shard(connection, table, value)
    return {value: shards[value] for value in goals}


@contextmanager
def _cleaned_up(connection: Connection) -> Iterator[None]:
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


def limit_nodes(apart: Mapping[int, str], stays: str, away: str, limit: int) -> dict[int, str]:
    """Say where each part goes first, so that none stays where it is and all go to at most `limit` nodes; pure.

    `away` takes the parts that are to stay on `stays`, and those of nodes that are too many. It counts as one of the nodes.
    """
    others = list(dict.fromkeys(node for node in apart.values() if node not in (stays, away)))[: limit - 1]
    return {hash_: node if node in others else away for hash_, node in apart.items()}


def _split(
    connection: Connection, table: TableName, shard: TenantShard, apart: Mapping[int, str], nodes: Sequence[str]
) -> None:
    """Split a shard, and those that lie with it, so that each of these hashes has a shard of its own.

    With writes waiting, each part goes to its node at once. Online, a part that stayed would wait for ever where a row is
    updated just then: all parts leave, and those between the hashes come back. The caller moves hashes that are not on
    their node yet.
    """
    others = [node for node in nodes if node != shard.node]
    mode, reason = _transfer_mode(connection, shard.shard_id)
    if mode == "auto" and not others:
        mode, reason = "block_writes", f"there is no worker but {shard.node}"
    _tell(f"splitting shard {shard.shard_id} of {table}", mode, reason)
    if mode != "auto":
        _cut(connection, shard, apart, shard.node, mode)
        return
    via = _get_emptiest(connection, others)
    room = _get_room(connection, shard, {*apart.values(), via} - {shard.node})
    parts = _cut(connection, shard, limit_nodes(apart, shard.node, via, room), via, mode)
    if shard.node not in nodes:  # it leaves anyway
        return
    for start, end in parts:
        if start != end or start not in apart:
            part = _get_shard_from(connection, table, start)
            if part.node != shard.node:
                _move(connection, table, part, shard.node)


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
            "nothing was moved. Write the table anew with the distribution column first"
        )
        if not generated:
            msg += ", or give its colocation group another shardCount with rewrite: true, which leaves that column out"
        raise StackError(msg)


def _cut(
    connection: Connection, shard: TenantShard, apart: Mapping[int, str], rest: str, mode: str
) -> list[tuple[int, int]]:
    """Have Citus split a shard, each part copied straight to its node; return the first and last hash of each part."""
    points, nodes = split_points(shard.lowest, shard.highest, apart, rest)
    ids = [_get_node_id(connection, node) for node in nodes]
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


def _get_room(connection: Connection, shard: TenantShard, targets: Collection[str]) -> int:
    """Return to how many nodes a shard's node can replicate it, and those that lie with it, at the same time.

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


def _tell(doing: str, mode: str, reason: str | None) -> None:
    """Print that writes wait, and why, where it may take long."""
    if mode != "auto" and reason:
        print(f"{doing}: writes to it wait until it is copied, for {reason}")  # noqa: T201 - Pulumi shows it


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


def _move(connection: Connection, table: TableName, shard: TenantShard, node: str) -> None:
    """Move a shard, and those that lie with it, to a node."""
    name, port = _address(node)
    mode, reason = _transfer_mode(connection, shard.shard_id)
    _tell(f"moving shard {shard.shard_id} of {table} to {node}", mode, reason)
    if mode == "auto":
        _get_room(connection, shard, [node])
    where = {"from_name": shard.node_name, "from_port": shard.node_port, "name": name, "port": port}
    connection.execute(statement("move_shard"), {**where, "shard": shard.shard_id, "mode": mode})


def _transfer_mode(connection: Connection, shard: int) -> tuple[str, str | None]:
    """Return how to move a shard and those that lie with it; why not online, where they are too big for writes to wait."""
    row = connection.execute(statement("get_transfer_mode"), {"shard": shard, "small": SMALL}).fetchone()
    return (str(row[0]), row[1]) if row else ("auto", None)


def get_idle_workers(connection: Connection, nodes: Sequence[str]) -> list[str]:
    """Return those of the nodes that are registered and take no shards, as a drain that was interrupted leaves them."""
    found = {node: get_node(connection, *_address(node)) for node in nodes}
    return [node for node, known in found.items() if known is not None and not known.should_have_shards]


def get_workers(connection: Connection) -> list[str]:
    """Return all registered workers as `name:port`, whoever registered them."""
    return [f"{name}:{port}" for name, port in connection.execute(statement("get_workers"))]


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
        remove_node(connection, *_address(worker))


def ensure_shards_allowed(connection: Connection, nodes: Sequence[str], *, allowed: bool = True) -> None:
    """Let Citus put shards on these nodes, or let it not; those that are not registered are left out."""
    for name, port in map(_address, nodes):
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
    with _cleaned_up(connection):
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
        _move(connection, table, TenantShard(shard_id, 0, 0, *_address(node)), target)
