r"""How fast the same rows are loaded: by this loader on some streams, and by psql's \\copy. In tables made for it."""

from __future__ import annotations

import functools
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from psycopg import sql

from analysis.clients import copy_by_psql, find
from analysis.data import Dataset
from analysis.errors import AnalysisError
from analysis.load import BIG, fill, write_blocks
from analysis.place import statement
from analysis.results import PSQL, Race
from analysis.tables import COLUMNS, columns, sharded_tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from analysis.place import Place

__all__ = ["STREAMS", "race"]

STREAMS: Final = (1, 2, 4)
SALES: Final = 400_000
"""The most that are loaded in each round: several blocks a stream, so that making the next one goes on beside writing one."""


def race(place: Place, dataset: Dataset, *, shard_count: int) -> list[Race]:
    """Return how long each way took, as often as there are ways: each comes once at each place of a round."""
    dataset = Dataset(min(SALES, dataset.scale), dataset.seed)
    with sharded_tables(place, "race", shard_count) as own, tempfile.TemporaryDirectory() as folder:
        lines = fill(own, dataset)
        blocks = dataset.blocks()
        ways: dict[str, Callable[[], object]] = {
            f"this loader, {streams} stream{'s'[: streams > 1]}": functools.partial(
                write_blocks, own, dataset, blocks, streams=streams
            )
            for streams in STREAMS
        }
        if find("psql"):
            files = _files(own, Path(folder))
            ways[PSQL] = functools.partial(copy_by_psql, own, files)
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(len(ways)):
            for name in islice(cycle(ways), turn, turn + len(ways)):
                _empty(own)
                started = time.perf_counter()
                ways[name]()
                seconds[name].append(time.perf_counter() - started)
    numbers = [*STREAMS, 1]
    rows = dataset.scale + lines
    return [
        Race(name=name, streams=streams, rows=rows, seconds=took)
        for (name, took), streams in zip(seconds.items(), numbers, strict=False)
    ]


def _empty(place: Place) -> None:
    """Empty the tables, and let every node write to disk what is left of that, which the next way would wait for."""
    with place.connected("emptying tables for a while") as connection:
        connection.execute(sql.SQL("truncate {}").format(sql.SQL(", ").join(map(sql.Identifier, BIG))))
        for node, said in connection.execute(statement("checkpoint")):
            msg = f"node {node} could not write to disk what it has in memory: {said}"
            raise AnalysisError(msg)


def _files(place: Place, folder: Path) -> dict[str, Path]:
    r"""Write what is in the tables into files for \\copy, by the name that it takes: a table and its columns."""
    files = {}
    with place.connected("writing files for psql") as connection:
        for table in BIG:
            file = folder / f"{table}.txt"
            query = sql.SQL("copy (select {} from {}) to stdout").format(columns(table), sql.Identifier(table))
            with file.open("wb") as out, connection.cursor().copy(query) as copy:
                for part in copy:
                    out.write(part)
            files[f"{table} ({', '.join(COLUMNS[table])})"] = file
    return files
