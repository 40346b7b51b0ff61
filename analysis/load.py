"""Loads a dataset into the company's tables: by COPY, several streams side by side, and goes on where it was killed.

A block's rows and its line in the ledger come in one transaction. What is in the tables is added up in the end and compared
with what was made.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from psycopg import sql

from analysis import binary
from analysis.data import VERSION, Totals
from analysis.errors import DataError
from analysis.place import LEDGER, statement
from analysis.tables import COLUMNS, columns, staged
from analysis.world import CHANNELS, COUNTRIES, PAYMENT_METHODS, branches, coupons, products
from components.database.statements import sequentially

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from psycopg import Copy

    from analysis.data import Batch, Block, Dataset
    from analysis.place import Place
    from components.database.connections import Connection

__all__ = ["BIG", "Loaded", "analyze", "copy_static", "fill", "load", "transactions", "write_blocks"]

BIG: Final = ("venta", "detalle_venta")
"""The tables of sales."""
ALONE: Final = 100
"""Blocks of a transaction where there is one stream: few transactions, because each locks the rows it refers to again."""
SIDE_BY_SIDE: Final = 10
"""Blocks of a transaction where there are several: enough of them that all streams end together."""
WORTH_STAGING: Final = 40_000
"""Sales from which on staging tables save one stream more than their making takes."""
_T = TypeVar("_T")
Report = Callable[[int, int], None]
"""Told of each block that is there: its sales, and rows of both tables that this run has written for it."""


@dataclass(frozen=True)
class Loaded:
    """What is in the tables."""

    totals: dict[int, Totals]
    """Of each country, by its number."""
    profit: dict[tuple[str, str], int]
    """The answer that the question must have, by country and channel: in hundredths, as it was made up."""
    rows: int
    """Rows of both tables that this run has written."""
    seconds: float


def load(place: Place, dataset: Dataset, *, streams: int, reload: bool, report: Report = lambda *_: None) -> Loaded:
    """Load what is missing of the dataset, and check that nothing else is there.

    Args:
        place: the tables.
        dataset: what they are to hold.
        streams: how many blocks are made and written side by side.
        reload: throw away first what an earlier run has loaded.
        report: told of progress.

    Raises:
        DataError: the tables hold rows that the analysis did not load, or those of another dataset.
        DiskFullError: a node has no room; what is loaded stays.
    """
    with place.connected("preparing the load") as connection:
        _prepare(connection, dataset, reload=reload)
        known = _known(connection)
    missing = [block for block in dataset.blocks() if (block.country.id_pais, block.number) not in known]
    sales, lines = (sum(getattr(totals, kind) for totals, _ in known.values()) for kind in ("sales", "lines"))
    report(sales, sales + lines)
    started = time.perf_counter()
    rows = write_blocks(place, dataset, missing, streams=streams, also=_record, report=report)
    seconds = time.perf_counter() - started
    with place.connected("adding up what was loaded") as connection:
        return _checked(connection, dataset, rows, seconds)


def write_blocks(
    place: Place,
    dataset: Dataset,
    blocks: Sequence[Block],
    *,
    streams: int = 1,
    also: Callable[[Connection, Sequence[Batch]], None] = lambda *_: None,
    report: Report = lambda *_: None,
) -> int:
    """Make blocks and write them, on so many streams side by side; return how many rows of both tables that were.

    A transaction has several blocks, and a block is made while the one before it is written. `also` is done in it. One stream
    writes much into staging tables, for at the end of a COPY the workers check its foreign keys one after the other. Of
    several streams, each keeps another worker busy.
    """
    much = sum(block.sales for block in blocks) >= WORTH_STAGING
    to_stage = BIG if place.sharded and streams == 1 and much else ()
    stopping = threading.Event()
    groups = transactions(blocks, streams)
    shared = _shared(groups)

    def stream() -> int:
        rows = 0
        try:
            with place.connected("loading") as connection, ThreadPoolExecutor(1) as maker:
                for making in _ahead(maker, dataset, shared):
                    if stopping.is_set():
                        break
                    with connection.transaction(), staged(connection, to_stage) as staging:
                        written = _copy(connection, (future.result() for future in making), staging)
                        also(connection, written)
                    totals = [batch.totals for batch in written]
                    rows += sum(it.rows for it in totals)
                    report(sum(it.sales for it in totals), sum(it.rows for it in totals))
        except BaseException:
            stopping.set()
            raise
        return rows

    with ThreadPoolExecutor(streams) as pool:
        running = [pool.submit(stream) for _ in range(min(streams, len(groups)))]
        try:
            return sum(future.result() for future in running)
        except BaseException:
            stopping.set()
            raise


def transactions(blocks: Iterable[Block], streams: int) -> list[list[Block]]:
    """Share blocks out to transactions.

    One stream writes to all countries at once, so to all workers. Of several, each writes to one country a transaction, and
    they take different ones: streams that refer to the same products and branches lock them together, which is slow.
    """
    of_country: dict[int, list[Block]] = {}
    for block in blocks:
        of_country.setdefault(block.country.id_pais, []).append(block)
    if streams == 1:
        return _cut(_in_turn(of_country.values()), ALONE)
    return _in_turn([_cut(own, SIDE_BY_SIDE) for own in of_country.values()])


def _cut(items: list[_T], size: int) -> list[list[_T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _in_turn(each: Iterable[list[_T]]) -> list[_T]:
    """Merge lists so that all of them come to their ends together."""
    turns = [(number / len(items), item) for items in each for number, item in enumerate(items)]
    return [item for _, item in sorted(turns, key=lambda turn: turn[0])]


def _ahead(
    maker: ThreadPoolExecutor, dataset: Dataset, groups: Iterator[Sequence[Block]]
) -> Iterator[list[Future[Batch]]]:
    """Yield each group's blocks as they are being made; the next group's are made after them."""
    current: list[Future[Batch]] = []
    for group in groups:
        following = [maker.submit(dataset.make, block) for block in group]
        if current:
            yield current
        current = following
    if current:
        yield current


def _shared(groups: Iterable[Sequence[Block]]) -> Iterator[Sequence[Block]]:
    """Yield the groups of blocks, each once, to whichever thread asks."""
    lock, source = threading.Lock(), iter(groups)

    class Shared:
        def __iter__(self) -> Iterator[Sequence[Block]]:
            return self

        def __next__(self) -> Sequence[Block]:
            with lock:
                return next(source)

    return Shared()


def _prepare(connection: Connection, dataset: Dataset, *, reload: bool) -> None:
    """Make the ledger, and the rows that everything else refers to; refuse tables that hold something else."""
    ledger = sql.Identifier(LEDGER, "dataset")
    with connection.transaction():  # of its own: what it sets would keep a truncate from the shards, too
        for part in statement("create_ledger").split(";\n"):
            connection.execute(part)
    with sequentially(connection):
        row = connection.execute(sql.SQL("select scale, seed, version from {}").format(ledger)).fetchone()
        if row is not None and reload:
            _refuse_others(connection)
            _empty(connection)
            row = None
    wanted = (dataset.scale, dataset.seed, VERSION)
    if row is None:
        with sequentially(connection):
            _refuse_rows(connection)
            copy_static(connection)
            insert = sql.SQL("insert into {} (scale, seed, version) values (%s, %s, %s)").format(ledger)
            connection.execute(insert, wanted)
    elif row != wanted:
        scale, seed, version = row
        how = f"run again with SCALE={scale} SEED={seed}, or" if version == VERSION else "run again"
        msg = (
            f"the tables hold {scale} sales of seed {seed} (made by version {version} of the generator), and {dataset.scale} "
            f"of seed {dataset.seed} (version {VERSION}) are asked for: {how} with RELOAD=1, which throws them away first"
        )
        raise DataError(msg)


def _refuse_rows(connection: Connection) -> None:
    for table in COLUMNS:
        if connection.execute(sql.SQL("select 1 from {} limit 1").format(sql.Identifier(table))).fetchone():
            msg = (
                f"table {table} holds rows that the analysis did not load: it fills empty tables only, and deletes nothing. Use "
                f"a stack of its own for it, or empty {', '.join(COLUMNS)} yourself"
            )
            raise DataError(msg)


def _empty(connection: Connection) -> None:
    tables = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    connection.execute(sql.SQL("truncate {}").format(tables))
    ledgers = [sql.Identifier(LEDGER, name) for name in ("dataset", "block")]
    connection.execute(sql.SQL("truncate {}, {}").format(*ledgers))


def _known(connection: Connection) -> dict[tuple[int, int], tuple[Totals, list[int]]]:
    """Return what the ledger says of each block that is there: what it adds up to, and its profit by channel."""
    query = sql.SQL("select id_pais, number, totals, profit from {}").format(sql.Identifier(LEDGER, "block"))
    return {(pais, number): (Totals(**totals), profit) for pais, number, totals, profit in connection.execute(query)}


def _record(connection: Connection, batches: Sequence[Batch]) -> None:
    query = sql.SQL("insert into {} (id_pais, number, totals, profit) values (%s, %s, %s, %s)")
    values = [
        (it.block.country.id_pais, it.block.number, json.dumps(asdict(it.totals)), list(it.profit)) for it in batches
    ]
    connection.cursor().executemany(query.format(sql.Identifier(LEDGER, "block")), values)


def copy_static(connection: Connection) -> None:
    """Fill the tables that sales refer to, which are empty. To call in a transaction."""
    rows: dict[str, Iterable[tuple[object, ...]]] = {
        "metodo_pago": [(number, name, fee) for number, name, fee, _ in PAYMENT_METHODS],
        "cupon": coupons(),
        "sucursal": [row for country in COUNTRIES for row in branches(country)],
        "producto": [
            (*row[:4], f"{row[4] / 100:.2f}", f"{row[5] / 100:.2f}")
            for country in COUNTRIES
            for row in products(country)
        ],
    }
    for table, values in rows.items():
        with connection.cursor().copy(_statement(table, "text", table)) as copy:
            for row in values:
                copy.write_row(row)


def _copy(connection: Connection, batches: Iterable[Batch], staging: dict[str, str]) -> list[Batch]:
    """Write blocks as they come, into the staging tables of those tables that have one; return them."""
    written = []
    sales, lines = BIG
    with _copying(connection, sales, staging.get(sales, sales)) as copy:
        for batch in batches:
            copy.write(batch.sales)
            written.append(batch)
    with _copying(connection, lines, staging.get(lines, lines)) as copy:
        for batch in written:
            copy.write(batch.lines)
    return written


@contextmanager
def _copying(connection: Connection, table: str, into: str) -> Iterator[Copy]:
    with connection.cursor().copy(_statement(table, "binary", into)) as copy:
        copy.write(binary.HEADER)
        yield copy
        copy.write(binary.TRAILER)


def _statement(table: str, kind: str, into: str) -> sql.Composed:
    copy = sql.SQL("copy {} ({}) from stdin with (format {})")
    return copy.format(sql.Identifier(into), columns(table), sql.SQL(kind))


def fill(place: Place, dataset: Dataset) -> int:
    """Fill tables that the analysis has made for itself, on one stream; return how many sale lines there are."""
    with place.connected("filling tables for a while") as connection, sequentially(connection):
        copy_static(connection)
    rows = write_blocks(place, dataset, dataset.blocks())
    with place.connected("filling tables for a while") as connection:
        analyze(connection)
    return rows - dataset.scale


def analyze(connection: Connection) -> None:
    """Let the planner know what is in the tables, so that plans do not change while they are compared."""
    connection.execute(sql.SQL("analyze {}").format(sql.SQL(", ").join(map(sql.Identifier, COLUMNS))))


# --- what is there ---------------------------------------------------------------------------------------------------


def _lying(connection: Connection) -> dict[int, Totals]:
    """Add up what is in the tables, by country."""
    found: dict[int, dict[str, int]] = {}
    for name in ("total_sales", "total_lines"):
        cursor = connection.execute(statement(name))
        names = [column.name for column in cursor.description or ()]
        for row in cursor:
            values = dict(zip(names, map(int, row), strict=True))
            found.setdefault(values.pop("id_pais"), {}).update(values)
    return {pais: Totals(**values) for pais, values in found.items()}


def _sums(connection: Connection) -> dict[int, Totals]:
    """Add up what the ledger says, by country."""
    sums: dict[int, Totals] = {}
    for (pais, _), (totals, _) in _known(connection).items():
        sums[pais] = sums.get(pais, Totals()) + totals
    return sums


def _refuse_others(connection: Connection) -> None:
    """Raise DataError where the tables hold anything that the ledger does not tell of."""
    lying, sums = _lying(connection), _sums(connection)
    for pais in sorted({*lying, *sums}):
        there, told = lying.get(pais, Totals()), sums.get(pais, Totals())
        if there != told:
            differs = next(name for name, value in asdict(told).items() if getattr(there, name) != value)
            what = f"{differs} is {getattr(there, differs)}, expected {getattr(told, differs)}"
            msg = (
                f"country {pais} of {' and '.join(BIG)} is not what the analysis has loaded: {what}. Somebody else added, "
                "changed or removed rows, and nothing was changed now: take them out; or, to start again, empty the tables "
                f"yourself and drop the schema {LEDGER}"
            )
            raise DataError(msg)


def _checked(connection: Connection, dataset: Dataset, rows: int, seconds: float) -> Loaded:
    _refuse_others(connection)
    profit: dict[tuple[str, str], int] = {}
    names = {country.id_pais: country.pais for country in COUNTRIES}
    for (pais, _), (_, by_channel) in _known(connection).items():
        for channel, value in zip(CHANNELS, by_channel, strict=True):
            key = names[pais], channel
            profit[key] = profit.get(key, 0) + value
    sums = _sums(connection)
    total = sum(totals.sales for totals in sums.values())
    if total != dataset.scale:
        msg = f"{total} sales are there, but {dataset.scale} were to be loaded: run the same command again"
        raise DataError(msg)
    return Loaded(sums, profit, rows, seconds)
