"""Writes, measured on genuine servers: each way writes to the workers that have the stack's countries, and leaves nothing."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from analysis import writes
from analysis.clients import pgbench
from analysis.place import Place, statement
from analysis.tables import drop_one_node, one_node
from tests.provider.seen import place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.provider.resources import Cluster

pytestmark = pytest.mark.needs("citus")
SCHEMA = "citus_pulumi_analysis_writes"


def nodes_of_countries(cluster: Cluster) -> dict[int, str]:
    """Return the worker of each country of the stack's own tables."""
    with place(cluster).connected("asking where countries are") as connection:
        rows = connection.execute(statement("get_countries"), {"countries": [1, 2, 3, 4]}).fetchall()
    return {row[0]: row[1] for row in rows}


def test_each_way_writes_and_nothing_is_left(retail: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """All without a pooler give a figure; a worker gets the sales of the stack's countries there; calls are passed on to it."""
    with place(retail).connected("moving a country") as connection:
        where = {"countries": [1]}
        _, source, _, shard = connection.execute(statement("get_countries"), where).fetchall()[0]
        workers = "select nodename || ':' || nodeport from pg_dist_node where groupid > 0"
        target = next(row[0] for row in connection.execute(workers).fetchall() if row[0] != source)
        connection.execute(statement("move_country"), {"shard": shard, "source": source, "target": target})
    seen: dict[str, Any] = {}

    @contextmanager
    def watched(tables: Place) -> Iterator[Any]:
        with pgbench(tables) as bench:
            yield bench
        with tables.within(SCHEMA).connected("looking at what was written") as connection:
            seen["written"] = dict(connection.execute("select id_pais, count(*) from venta group by 1").fetchall())
            seen["lines"] = connection.execute("select count(*) from detalle_venta").fetchone()
            rows = connection.execute(statement("get_countries"), {"countries": [1, 2, 3, 4]}).fetchall()
            seen["nodes"] = {row[0]: row[1] for row in rows}
            call = connection.execute("explain select vender(1, 1001, 100001)").fetchall()
            seen["call"] = "\n".join(row[0] for row in call)

    monkeypatch.setattr(writes, "pgbench", watched)
    alone = one_node(place(retail))
    try:
        found = writes.measure_writes(
            place(retail),
            alone,
            shard_count=8,
            poolers={},
            clients=[2],
            seconds=1,
            rounds=1,
            equal=True,
            tell=lambda _: None,
            say=lambda _: None,
        )
    finally:
        drop_one_node(place(retail))

    assert {it.way: bool(it.rates) for it in found.writes} == dict.fromkeys(
        (way.key for way in writes.WAYS if not way.entry.endswith("by pooler")), True
    )
    assert (found.shares, found.shares_left_out) == (None, "the nodes are no containers")
    assert set(seen["written"]) == {1, 2, 3, 4}
    assert seen["lines"] == (2 * sum(seen["written"].values()),)
    assert seen["nodes"][1] == nodes_of_countries(retail)[1] == target
    assert target.rpartition(":")[2] in seen["call"]
    left = f"select count(*) from pg_namespace where nspname = '{SCHEMA}'"
    for server in retail.servers:
        with retail.connected(server) as connection:
            assert connection.execute(left.encode()).fetchone() == (0,)
