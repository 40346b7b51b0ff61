"""Shards evened out over the workers by Citus's own planner and background job; what a preview says of it, and the carrying out.

Citus plans by a strategy of pg_dist_rebalance_strategy, and takes a threshold and rules of placement from nowhere else. So one
is added, used and removed within a transaction, which leaves nothing (docs/adr/0008). Knows nothing of Pulumi.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from psycopg import sql

from components.database.client import connected
from components.database.distribute import replicate
from components.database.jobs import Moves, can_rebalance, mark, settle, wait_for
from components.database.moves import (
    SMALL,
    TenantShard,
    cleaned_up,
    get_replication_room,
    get_tenant_shard,
    parse_address,
)
from components.database.stall import Process
from components.database.statements import get_value, statement
from components.errors import NotReadyError
from components.names import TableName
from components.sizes import in_words
from components.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from components.access import Server
    from components.database.connections import Connection

__all__ = ["Forecast", "RebalancePolicy", "Staying", "ensure_balanced", "forecast", "look_ahead"]


ROUNDS: Final = 5
"""Jobs at most: one for what moves online, one for what does not, and what the sizes after these still ask for."""
ROOM_SECONDS: Final = 10
"""How long processes that are to end soon may keep the background workers that a job needs."""
PREVIEW_SECONDS: Final = 10
"""How long the planner may take for a preview."""
_EACH: Final = {
    "citus_shard_cost_by_disk_size": "pg_size_bytes(current_setting('citus.rebalancer_by_disk_size_base_cost'))",
    "citus_shard_cost_1": "1",
}
"""What Citus's own cost functions count for each shard, whatever its size."""


@dataclass(frozen=True, kw_only=True)
class RebalancePolicy:
    """When and how shards are evened out; what is None is as the cluster has it."""

    strategy: str | None = None
    """Name of a strategy in pg_dist_rebalance_strategy."""
    threshold: float | None = None
    """By how much of the average load a worker may differ, 0 to 1."""
    parallel: int | None = None
    """Moves at a time at most."""
    transfer_mode: str = "auto"
    """`auto`, online where the tables allow it, or `block_writes`."""


@dataclass(frozen=True, kw_only=True)
class Staying:
    """What the settings place, and no rebalance moves."""

    tenants: Mapping[TableName, Sequence[str]] = field(default_factory=dict)
    """By table: those that have a shard of their own."""
    schemas: Sequence[str] = ()
    """Distributed schemas that are on a worker by the settings."""


@dataclass(frozen=True)
class Move:
    """One move that Citus plans: a shard with those that are colocated."""

    group: int
    """Colocation group."""
    source: str
    target: str
    shards: tuple[int, ...]


@dataclass(frozen=True)
class Forecast:
    """What a rebalance would do now."""

    moves: int = 0
    """Shards that move, each with those that are colocated."""
    shards: int = 0
    """All that move."""
    size: int = 0
    """Bytes."""
    waits: tuple[str, ...] = ()
    """Why writes wait while shards move; a reason for each colocation group."""
    obstacle: str = ""
    """Why it cannot be done; empty where it can."""
    looked_at: str = ""
    """When the planner was asked, where it plans moves: it tells two forecasts apart that are else the same."""

    def __str__(self) -> str:
        moves = f"{self.moves} move{'s' * (self.moves != 1)}"
        return f"{self.shards} shard{'s' * (self.shards != 1)} of {in_words(self.size)} in {moves}"


# --- what would move ---------------------------------------------------------------------------------------------------


def look_ahead(
    server: Server,
    password: str,
    policy: RebalancePolicy,
    staying: Staying,
    *,
    joining: Sequence[str] = (),
    leaving: Sequence[str] = (),
) -> Forecast:
    """Return what a rebalance would do once some workers have joined and others have left, for a preview; changes nothing.

    Raises:
        StackError: the coordinator does not answer, or the planner takes too long.
    """
    doing = "asking Citus's planner what a rebalance would move"
    with connected(server, password, doing=doing, timeout=PREVIEW_SECONDS, limit=PREVIEW_SECONDS) as connection:
        if not can_rebalance(connection):
            return Forecast()
        fixed = get_fixed(connection, staying)
        return forecast(connection, policy, fixed, joining=joining, leaving=leaving)


def get_fixed(connection: Connection, staying: Staying) -> list[int]:
    """Return the shards of what stays, with all that are colocated: no rebalance moves them."""
    tenants = [(table, value) for table, values in staying.tenants.items() for value in values]
    shards = [get_tenant_shard(connection, table, value) for table, value in tenants]
    alone = [shard.shard_id for shard in shards if shard.isolated]
    if staying.schemas:
        of_schemas = connection.execute(statement("get_shards_of_schemas"), {"schemas": list(staying.schemas)})
        alone += [shard for (shard,) in of_schemas]
    rows = connection.execute(statement("get_colocated_shards"), {"shards": alone}).fetchall() if alone else []
    return sorted({shard for (shard,) in rows})


def forecast(
    connection: Connection,
    policy: RebalancePolicy,
    fixed: Sequence[int],
    *,
    joining: Sequence[str] = (),
    leaving: Sequence[str] = (),
) -> Forecast:
    """Return what a rebalance would do now; changes nothing. Workers that join need not be there yet.

    What workers that leave hold is not counted: it moves before.
    """
    strategies = get_strategies(connection)
    if policy.strategy and policy.strategy not in strategies:
        return Forecast(
            obstacle=f"citus:rebalance.strategy = {policy.strategy!r}: the cluster has no such rebalance strategy, only "
            f"{', '.join(strategies)}: name one of these, or add it with citus_add_rebalance_strategy(…)"
        )
    moves = [
        it for it in get_moves(connection, policy, fixed, joining=joining, leaving=leaving) if it.source not in leaving
    ]
    if not moves:
        return Forecast()
    sizes = get_sizes(connection)
    modes = get_modes(connection, policy, moves, sizes)
    return Forecast(
        moves=len(moves),
        shards=sum(len(move.shards) for move in moves),
        size=sum(sizes.get(shard, 0) for move in moves for shard in move.shards),
        waits=tuple(sorted({reason for _, reason in modes.values() if reason})),
        obstacle=next(iter(get_obstacles(connection)), ""),
        looked_at=datetime.now(UTC).isoformat(),
    )


def get_strategies(connection: Connection) -> dict[str, tuple[sql.Identifier, sql.Identifier, str]]:
    """Return each rebalance strategy by its name, the default one first.

    Returns:
        The functions that say where a shard may be, and what it costs, and the latter's name.
    """
    rows = connection.execute(statement("get_rebalance_strategies"))
    return {name: (sql.Identifier(*allowed), sql.Identifier(*cost), cost[1]) for name, allowed, cost in rows}


def get_moves(
    connection: Connection,
    policy: RebalancePolicy,
    fixed: Sequence[int],
    *,
    joining: Sequence[str] = (),
    leaving: Sequence[str] = (),
) -> list[Move]:
    """Return the moves that Citus plans, in their order; changes nothing."""
    with connection.transaction(force_rollback=True):
        for name, port in map(parse_address, joining):
            connection.execute(statement("add_expected_worker"), {"name": name, "port": port})
        for name, port in map(parse_address, leaving):
            connection.execute(statement("expect_worker_gone"), {"name": name, "port": port})
        with _strategy(connection, policy, fixed):
            rows = connection.execute(statement("get_rebalance_moves")).fetchall()
    return [Move(group, source, target, tuple(shards)) for group, source, target, shards in rows]


@contextmanager
def _strategy(connection: Connection, policy: RebalancePolicy, fixed: Sequence[int]) -> Iterator[None]:
    """Have a strategy `citus_pulumi` in the transaction that is open, by which fixed shards stay."""
    strategies = get_strategies(connection)
    base = policy.strategy or next(iter(strategies))
    allowed, cost, cost_name = strategies[base]
    each = _EACH.get(cost_name) if fixed else None
    connection.execute("set local client_min_messages = error")  # else a notice for each move that is not worth it
    rule = sql.SQL(statement("create_placement_rule"))
    connection.execute(rule.format(allowed=allowed, fixed=sql.Literal(list(fixed))))
    if each:
        connection.execute(sql.SQL(statement("create_shard_cost")).format(cost=cost, each=sql.SQL(each)))
    own = {"strategy": base, "threshold": policy.threshold, "cost": "pg_temp.citus_pulumi_cost" if each else None}
    connection.execute(statement("add_rebalance_strategy"), own)
    yield
    connection.execute(statement("remove_rebalance_strategy"))
    connection.execute("drop function pg_temp.citus_pulumi_allowed(bigint, integer)")
    if each:
        connection.execute("drop function pg_temp.citus_pulumi_cost(bigint)")


def get_sizes(connection: Connection) -> dict[int, int]:
    """Return the bytes of each shard."""
    return dict(connection.execute(statement("get_shard_sizes")).fetchall())


def get_modes(
    connection: Connection, policy: RebalancePolicy, moves: Sequence[Move], sizes: Mapping[int, int]
) -> dict[int, tuple[str, str | None]]:
    """Return how each colocation group's shards are moved; and why not online, where they are too big for writes to wait.

    As where a tenant or a drained worker's shard is moved: small shards are copied sooner than replication is set up.
    """
    groups = list({move.group for move in moves})
    offline = dict(connection.execute(statement("get_offline_groups"), {"groups": groups}).fetchall())
    modes: dict[int, tuple[str, str | None]] = {}
    for group in groups:
        biggest = max(sum(sizes.get(shard, 0) for shard in move.shards) for move in moves if move.group == group)
        reason = offline.get(group) or (
            "citus:rebalance.transferMode is block_writes" if policy.transfer_mode == "block_writes" else None
        )
        if biggest < SMALL:
            modes[group] = ("block_writes", None)
        else:
            modes[group] = ("block_writes" if reason else "auto", reason)
    return modes


def get_obstacles(connection: Connection) -> list[str]:
    """Return why the coordinator could not run a background job; empty where it could."""
    return [said for (said,) in connection.execute(statement("get_background_room")).fetchall()]


# --- the carrying out --------------------------------------------------------------------------------------------------


def ensure_balanced(
    connection: Connection,
    policy: RebalancePolicy,
    staying: Staying,
    *,
    server: Server,
    password: str,
    timeout: float,
) -> None:
    """Have Citus move shards until its plan is empty; what the settings place stays. Prints what it does.

    A rebalance that runs already is waited for. There is no deadline as long as moves make progress.

    Raises:
        StackError: there is no room for the job, or it failed or made no progress for `timeout` seconds. Each move is complete
            or rolled back then.
    """
    watch = partial(Process, server, password)
    settle(connection, watch, timeout=timeout, keep=True)
    fixed = get_fixed(connection, staying)
    with cleaned_up(connection):
        for _ in range(ROUNDS):
            moves = get_moves(connection, policy, fixed)
            if not moves:
                return
            _carry_out(connection, policy, fixed, moves, watch=watch, timeout=timeout)
    left = len(get_moves(connection, policy, fixed))
    if left:
        print(f"rebalance: loads changed meanwhile, and {left} moves are planned again: the next update goes on")  # noqa: T201


def _carry_out(
    connection: Connection,
    policy: RebalancePolicy,
    fixed: Sequence[int],
    moves: Sequence[Move],
    *,
    watch: Callable[[int], Process],
    timeout: float,
) -> None:
    """Have one job do the moves that go the same way: online, where there are such, else those with writes waiting."""
    replicate(connection)
    sizes = get_sizes(connection)
    modes = get_modes(connection, policy, moves, sizes)
    mode = "auto" if "auto" in {own for own, _ in modes.values()} else "block_writes"
    groups = [group for group, (own, _) in modes.items() if own == mode]
    chosen = [move for move in moves if move.group in groups]
    _ensure_room(connection)
    if mode == "auto":
        _ensure_replication_room(connection, chosen)
    others = connection.execute(statement("get_shards_of_other_groups"), {"groups": groups}).fetchall()
    start = (
        "start_parallel_rebalance"
        if (policy.parallel or 1) > 1 and get_value(connection, "has_parallel")
        else "start_rebalance"
    )
    with (
        connection.transaction(),
        _strategy(connection, policy, [*fixed, *(shard for (shard,) in others if shard not in fixed)]),
    ):
        job = get_value(connection, start, mode=mode)
        if job is not None:
            mark(connection, job)
    if job is None:  # loads changed since
        return
    size = {move: sum(sizes.get(shard, 0) for shard in move.shards) for move in chosen}
    total = Forecast(len(chosen), sum(len(move.shards) for move in chosen), sum(size.values()))
    how = "online" if mode == "auto" else "writes to a shard wait while it is copied"
    reasons = sorted({reason for group, (_, reason) in modes.items() if group in groups and reason})
    print(f"rebalance: {total}, {how}{' (' + '; '.join(reasons) + ')' if reasons else ''}: job {job}")  # noqa: T201
    began = time.monotonic()
    planned = Moves({shard: size[move] for move in chosen for shard in move.shards}, total.size)
    wait_for(connection, job, planned, watch, timeout=timeout)
    print(f"rebalance: {total} done in {time.monotonic() - began:.0f} s")  # noqa: T201


def _ensure_room(connection: Connection) -> None:
    """Refuse to start a job that Citus would never begin, after a short wait for processes that end by themselves."""

    def attempt() -> None:
        obstacles = get_obstacles(connection)
        if obstacles:
            raise NotReadyError(obstacles[0])

    wait_until(attempt, what="a rebalance can start", timeout=ROOM_SECONDS)


def _ensure_replication_room(connection: Connection, moves: Sequence[Move]) -> None:
    """Refuse moves that a node has no room to replicate or to receive; names the settings of PostgreSQL to raise."""
    targets: dict[tuple[int, str], set[str]] = {}
    for move in moves:
        targets.setdefault((move.group, move.source), set()).add(move.target)
    for (group, source), nodes in targets.items():
        shard = next(move.shards[0] for move in moves if (move.group, move.source) == (group, source))
        get_replication_room(connection, TenantShard(shard, 0, 0, *parse_address(source)), nodes)
