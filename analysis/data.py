"""Sales made up in columns: the same for a seed and a scale, whoever makes them, in whatever order, however often.

A country's sales are cut into blocks, and each block has a source of chance of its own. Touches no database.
"""

from __future__ import annotations

import datetime as dt
import functools
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from analysis import binary
from analysis.world import (
    CHANNELS,
    COUNTRIES,
    COUPONS,
    FIRST_DAY,
    LINES,
    PAYMENT_METHODS,
    PRODUCTS,
    QUANTITIES,
    RETURNED,
    Country,
    day_weights,
    discount_of,
    falling,
    products,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = ["BLOCK", "LARGEST", "SMALLEST", "VERSION", "Batch", "Block", "Dataset", "Totals", "expected_rows"]

BLOCK: Final = 5_000
"""Sales of a block."""
VERSION: Final = 2
"""Of what is made of a seed; grows when the same seed gives other rows."""
SMALLEST, LARGEST = 1_000, 100_000_000
"""Sales of a dataset."""
IDS_OF_COUNTRY: Final = 1_000_000_000
"""A country's sales are numbered from its own number times this: far from what the tables' sequences give."""
MOST_LINES: Final = len(LINES)
_DAY: Final = 86_400 * 1_000_000
_HOURS: Final = (0, 0.02, 0.06, 0.30, 0.62, 0.92, 1)
"""Of a day's sales, the share that is made by 0, 4, 8, 12, 16, 20 and 24 o'clock."""


@dataclass(frozen=True)
class Block:
    """A part of a country's sales: the `number`th, which begins with the sale `first`."""

    country: Country
    number: int
    first: int
    sales: int


@dataclass(frozen=True)
class Totals:
    """What rows add up to; money in hundredths. Two datasets that differ in a row differ here."""

    sales: int = 0
    sale_ids: int = 0
    returned: int = 0
    with_coupon: int = 0
    lines: int = 0
    line_ids: int = 0
    quantity: int = 0
    revenue: int = 0
    cost: int = 0
    discount: int = 0

    def __add__(self, other: Totals) -> Totals:
        return Totals(**{name: value + getattr(other, name) for name, value in asdict(self).items()})

    @property
    def rows(self) -> int:
        """Return how many rows of both tables."""
        return self.sales + self.lines


@dataclass(frozen=True)
class Batch:
    """A block's rows of venta and of detalle_venta, as binary COPY takes them, and what they add up to."""

    block: Block
    sales: bytes
    lines: bytes
    totals: Totals
    profit: tuple[int, ...]
    """In hundredths, of each channel, without sales that came back."""


@dataclass(frozen=True)
class Dataset:
    """All sales of the company: `scale` of them."""

    scale: int
    seed: int

    def sales_of(self, country: Country) -> int:
        """Return how many of the sales are the country's; together they are exactly `scale`."""
        before = [it for it in COUNTRIES if it.id_pais < country.id_pais]
        end = sum(it.share for it in before) + country.share
        start = sum(it.share for it in before)
        return round(self.scale * end) - round(self.scale * start)

    def blocks_of(self, country: Country) -> list[Block]:
        """Return the country's blocks."""
        sales = self.sales_of(country)
        starts = range(0, sales, BLOCK)
        return [Block(country, number, start, min(BLOCK, sales - start)) for number, start in enumerate(starts)]

    def blocks(self) -> list[Block]:
        """Return every block, one country after the other."""
        return [block for country in COUNTRIES for block in self.blocks_of(country)]

    def make(self, block: Block) -> Batch:
        """Make a block's rows."""
        country, habits = block.country, _Habits.of(block.country)
        chance = np.random.Generator(np.random.PCG64([self.seed, VERSION, self.scale, country.id_pais, block.number]))
        count = block.sales

        position = (block.first + np.arange(count) + chance.random(count)) / self.sales_of(country)
        days = np.interp(position, habits.time, np.arange(len(habits.time)))
        day = np.minimum(days.astype(np.int64), len(habits.time) - 2)
        hour = np.interp(chance.random(count), _HOURS, np.linspace(0, 1, len(_HOURS)))
        sold = habits.start + day * _DAY + (hour * (_DAY - 1)).astype(np.int64)
        channel = habits.channel(chance.random(count))
        branch = habits.branch(chance.random(count))
        method = habits.method(chance.random(count))
        month = habits.month[day]
        coupon = chance.random(count) < country.coupons
        returned = chance.random(count) < np.array(RETURNED)[channel]
        back = sold + 3_600_000_000 + (chance.random(count) * 30 * _DAY).astype(np.int64)
        ids = country.id_pais * IDS_OF_COUNTRY + block.first + 1 + np.arange(count)

        lines = habits.lines(chance.random(count)) + 1
        sale = np.repeat(np.arange(count), lines)
        line = np.arange(len(sale)) - np.repeat(np.cumsum(lines) - lines, lines)
        product = habits.product(chance.random(len(sale)))
        quantity = habits.quantity(chance.random(len(sale))) + 1
        dearer = 10_000 + 15 * month[sale]  # prices rise a little each month
        price = habits.price[product] * dearer // 10_000
        cost = habits.cost[product] * dearer // 10_000
        off = np.where(coupon[sale], habits.discount[month[sale]], 0)
        off = np.maximum(off, np.where(chance.random(len(sale)) < 0.06, 1_000, 0))  # noqa: PLR2004 - a promotion
        discount = price * quantity * off // 10_000
        line_ids = ids[sale] * MOST_LINES + line

        profit = quantity * (price - cost) - discount
        kept = ~returned[sale]
        by_channel = [int(profit[kept & (channel[sale] == number)].sum()) for number in range(len(CHANNELS))]
        totals = Totals(
            sales=count,
            sale_ids=int(ids.sum()),
            returned=int(returned.sum()),
            with_coupon=int(coupon.sum()),
            lines=len(sale),
            line_ids=int(line_ids.sum()),
            quantity=int(quantity.sum()),
            revenue=int((price * quantity).sum()),
            cost=int((cost * quantity).sum()),
            discount=int(discount.sum()),
        )
        here = np.full(max(count, len(sale)), country.id_pais)
        return Batch(
            block=block,
            sales=binary.encode(
                [
                    binary.int8(ids),
                    binary.int4(here[:count]),
                    binary.int4(country.id_pais * 1_000 + branch + 1),
                    binary.int4(method + 1),
                    binary.or_null(binary.int4(month + 1), ~coupon),
                    binary.text(CHANNELS, channel),
                    binary.timestamptz(sold),
                    binary.or_null(binary.timestamptz(back), ~returned),
                ]
            ),
            lines=binary.encode(
                [
                    binary.int8(line_ids),
                    binary.int4(here[: len(sale)]),
                    binary.int8(ids[sale]),
                    binary.int4(country.id_pais * 100_000 + product + 1),
                    binary.int4(quantity),
                    binary.numeric(price),
                    binary.numeric(cost),
                    binary.numeric(discount),
                ]
            ),
            totals=totals,
            profit=tuple(by_channel),
        )


class _Choice:
    """Numbers with given shares, out of evenly spread ones: numpy's own distributions may change with its version."""

    def __init__(self, shares: Sequence[float]) -> None:
        edges = np.cumsum(np.array(shares, dtype=np.float64))
        self._edges = edges[:-1] / edges[-1]

    def __call__(self, even: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.searchsorted(self._edges, even, side="right")


@dataclass(frozen=True)
class _Habits:
    """What chance chooses from in one country."""

    time: NDArray[np.float64]
    """Share of the sales that are made by the start of each day, and at last 1."""
    start: int
    """Microseconds from 1970 to the first day."""
    month: NDArray[np.int64]
    """Of each day, counted from the first."""
    channel: _Choice
    branch: _Choice
    method: _Choice
    lines: _Choice
    product: _Choice
    quantity: _Choice
    price: NDArray[np.int64]
    cost: NDArray[np.int64]
    discount: NDArray[np.int64]
    """Of each month's coupon, in ten-thousandths."""

    @classmethod
    @functools.cache
    def of(cls, country: Country) -> _Habits:
        """Return a country's habits."""
        weights = np.array(day_weights(country))
        time = np.concatenate([[0.0], np.cumsum(weights) / weights.sum()])
        time[-1] = 1.0
        days = [FIRST_DAY + dt.timedelta(number) for number in range(len(weights))]
        goods = products(country)
        return cls(
            time=time,
            start=int(dt.datetime.combine(FIRST_DAY, dt.time(), dt.UTC).timestamp()) * 1_000_000,
            month=np.array([(day.year - FIRST_DAY.year) * 12 + day.month - 1 for day in days]),
            channel=_Choice(country.channels),
            branch=_Choice(falling(country.branches)),
            method=_Choice([method[3] for method in PAYMENT_METHODS]),
            lines=_Choice(LINES),
            product=_Choice(falling(PRODUCTS)),
            quantity=_Choice(QUANTITIES),
            price=np.array([row[4] for row in goods]),
            cost=np.array([row[5] for row in goods]),
            discount=np.array([discount_of(number) for number in range(COUPONS)]),
        )


def expected_rows(scale: int) -> int:
    """Return about how many rows a scale has in both tables."""
    return round(scale * (1 + sum((number + 1) * share for number, share in enumerate(LINES)) / sum(LINES)))
