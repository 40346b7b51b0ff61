"""A worker whose disk is full, on genuine Citus: the error says so, every row is there, and with more room it goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from analysis.data import Dataset
from analysis.errors import DiskFullError
from analysis.load import load
from components.errors import DiskFullError as DiskError
from tests.provider.seen import kind, leftovers, place
from tests.servers import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.provider.resources import Cluster

pytestmark = [
    pytest.mark.needs("citus"),
    pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a disk that is small enough to be filled"),
]
ROOM = 6 * 1024**2
"""Bytes that are free at first."""


@pytest.fixture
def small_disk(cluster: Cluster) -> Iterator[Callable[[], None]]:
    """The tables of one worker on a disk with little room; call it, and there is enough."""
    worker = cluster.workers[0]
    oid = cluster.value("select oid from pg_database where datname = current_database()", on=worker)
    folder: Path = worker._data / "base" / str(oid)
    aside = folder.with_name(f"{oid}.aside")
    worker.stop()
    shutil.copytree(folder, aside)
    size = sum(file.stat().st_size for file in aside.iterdir()) + ROOM
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", folder],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        worker.start()
        pytest.skip(f"this machine mounts no disk: {mounted.stderr}")
    subprocess.run(["cp", "-a", f"{aside}/.", folder], check=True)
    subprocess.run(["chown", "-R", f"--reference={folder.parent}", folder], check=True)
    shutil.rmtree(aside)
    worker.start()

    def make_room() -> None:
        subprocess.run(["mount", "-o", "remount,size=1g", folder], check=True)

    yield make_room
    worker.stop()
    subprocess.run(["umount", folder], check=True)
    shutil.rmtree(folder)  # PostgreSQL drops a database whose folder is gone
    worker.start()


@pytest.mark.usefixtures("transport")
def test_a_table_that_does_not_fit_stays_where_it_is(cluster: Cluster, small_disk: Callable[[], None]) -> None:
    """Distributing it fails with what the disk says, and succeeds once there is room."""
    cluster.run(
        "create table t (id int primary key, a int, b text);"
        "insert into t select i, i, repeat('x', 200) from generate_series(1, 100000) i"
    )
    table = cluster.distributed("t", "a")
    full = cluster.workers[0]

    with pytest.raises(
        DiskError,
        match=rf"distributing table t: .*No space left on device.*the disk of one of .*{HOST}:{full.port}.* is full",
    ):
        table.up()

    assert kind(cluster, "t") == ("local", None)
    assert cluster.value("select count(*) from t") == 100_000
    small_disk()
    table.up()
    assert kind(cluster, "t") == ("distributed", "a")
    assert cluster.value("select count(*) from t") == 100_000
    assert leftovers(cluster) == []


@pytest.mark.parametrize("streams", [1, 2])
def test_a_load_that_does_not_fit_goes_on_once_there_is_room(
    small_disk: Callable[[], None], retail: Cluster, streams: int
) -> None:
    """What is loaded are whole blocks; the same command again loads the rest."""
    tables, dataset = place(retail), Dataset(60_000, 7)

    with pytest.raises(DiskFullError, match=r"No space left on device.* is full.*the command goes on from there"):
        load(tables, dataset, streams=streams, reload=False)

    small_disk()
    done = load(tables, dataset, streams=streams, reload=False)
    assert sum(totals.sales for totals in done.totals.values()) == 60_000
    assert retail.value("select count(*) from venta") == 60_000
    assert leftovers(retail) == []
