"""The load on one stream, by way of staging tables: the same rows, and nothing of it left behind whatever ends it."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from analysis.data import Dataset
from analysis.load import BIG, load
from components.errors import StackError
from tests.provider.seen import assert_no_leftovers, checksum, eventually, place

if TYPE_CHECKING:
    from tests.provider.resources import Cluster

pytestmark = pytest.mark.needs("citus")
DATASET = Dataset(60_000, 7)


def content(cluster: Cluster) -> list[tuple[int, int | None]]:
    """Return the number of rows and their hash, of both tables of sales."""
    return [checksum(cluster, table) for table in BIG]


def assert_nothing_staged(cluster: Cluster) -> None:
    """Assert that no node knows of a staging table, or keeps a shard of one."""
    assert_no_leftovers(cluster)
    for server in cluster.servers:
        with cluster.connected(server) as connection:
            connection.execute("set citus.override_table_visibility = off")
            named = "select relname from pg_class where relname like 'citus_pulumi_analysis%'"
            assert connection.execute(named).fetchall() == []


def test_one_stream_loads_the_rows_of_several(retail: Cluster) -> None:
    """The same to the last column, however they came; loaded again, none is written."""
    tables = place(retail)
    load(tables, DATASET, streams=2, reload=False)
    several = content(retail)

    alone = load(tables, DATASET, streams=1, reload=True)

    assert content(retail) == several
    assert alone.rows == sum(count for count, _ in several)
    assert_nothing_staged(retail)
    assert load(tables, DATASET, streams=1, reload=False).rows == 0


def test_tables_that_are_not_sharded_need_no_staging(retail: Cluster) -> None:
    """On one node the rows come straight in, and are the same."""
    tables = place(retail)
    load(tables, DATASET, streams=1, reload=False)
    sharded = content(retail)
    retail.run("select undistribute_table('venta', cascade_via_foreign_keys => true)")

    load(replace(tables, sharded=False), DATASET, streams=1, reload=True)

    assert content(retail) == sharded


@pytest.mark.parametrize("moment", ["copy", "insert"])
def test_a_killed_coordinator_keeps_nothing_of_a_transaction(retail: Cluster, moment: str) -> None:
    """Killed while rows come into staging tables, or go from there to theirs: none is there, and the next load ends it."""
    tables, raised = place(retail), list[StackError]()

    def loading() -> None:
        try:
            load(tables, DATASET, streams=1, reload=False)
        except StackError as error:
            raised.append(error)

    thread = threading.Thread(target=loading)
    thread.start()
    under_way = (
        "select 1 from pg_stat_activity where datname = current_database() and state = 'active'"
        rf" and pid <> pg_backend_pid() and query like '{moment} %citus\_pulumi\_analysis\_venta%'"
    )
    eventually(lambda: retail.rows(under_way))
    retail.coordinator.kill()
    retail.coordinator.start()
    thread.join(60)

    assert len(raised) == 1
    assert content(retail) == [(0, None)] * 2
    assert_nothing_staged(retail)
    done = load(tables, DATASET, streams=1, reload=False)
    assert sum(totals.sales for totals in done.totals.values()) == DATASET.scale
    assert_nothing_staged(retail)
