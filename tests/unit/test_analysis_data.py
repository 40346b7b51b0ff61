"""The analysis's data: the same for a seed however it is made, and rows that COPY reads as they were meant."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import binary
from analysis.data import BLOCK, Dataset, Totals
from analysis.load import transactions
from analysis.world import CHANNELS, COUNTRIES, branches, coupons, products


def test_a_block_is_the_same_whoever_makes_it_and_whenever() -> None:
    """Blocks made in another order, by another object, have the same rows to the byte."""
    blocks = Dataset(3_000, 7).blocks()
    first = {(it.country.id_pais, it.number): Dataset(3_000, 7).make(it).lines for it in blocks}
    for block in reversed(blocks):
        assert Dataset(3_000, 7).make(block).lines == first[block.country.id_pais, block.number]
    assert Dataset(3_000, 8).make(blocks[0]).lines not in first.values()


@given(scale=st.integers(1_000, 100_000_000))
def test_countries_share_all_the_sales_and_blocks_cover_them(scale: int) -> None:
    """No sale is lost or made twice, however the shares are rounded; a block is never larger than it may be."""
    dataset = Dataset(scale, 1)
    assert sum(map(dataset.sales_of, COUNTRIES)) == scale
    if scale < 10_000_000:
        for country in COUNTRIES:
            blocks = dataset.blocks_of(country)
            assert sum(block.sales for block in blocks) == dataset.sales_of(country)
            assert all(0 < block.sales <= BLOCK for block in blocks)
            assert [block.first for block in blocks] == [number * BLOCK for number in range(len(blocks))]


@given(scale=st.integers(1_000, 5_000_000), streams=st.integers(1, 100))
def test_every_block_is_in_one_transaction(scale: int, streams: int) -> None:
    """However many streams there are, no block is forgotten or written twice."""
    blocks = Dataset(scale, 1).blocks()
    written = [block for group in transactions(blocks, streams) for block in group]
    assert len(written) == len(blocks)
    assert set(written) == set(blocks)


def test_all_workers_have_something_to_do() -> None:
    """One stream writes to all countries at once; of several, each to one, and those that begin to different ones."""
    blocks = Dataset(2_000_000, 1).blocks()
    (alone, *_), side_by_side = transactions(blocks, 1), transactions(blocks, 4)
    assert {block.country for block in alone} == set(COUNTRIES)
    assert all(len({block.country for block in group}) == 1 for group in side_by_side)
    assert {group[0].country for group in side_by_side[:4]} == set(COUNTRIES)


def test_sales_are_as_the_company_makes_them() -> None:
    """One to eight lines a sale, few products that sell much, returns and coupons as each country has them."""
    dataset = Dataset(200_000, 3)
    totals = sum((dataset.make(block).totals for block in dataset.blocks()), Totals())
    assert totals.sales == 200_000
    assert 2.3 < totals.lines / totals.sales < 2.8
    assert 0.03 < totals.returned / totals.sales < 0.08
    assert 0.10 < totals.with_coupon / totals.sales < 0.15
    assert 0 < totals.discount < totals.cost < totals.revenue
    country = replace(COUNTRIES[0])
    assert [row[0] for row in branches(country)] == list(range(1001, 1001 + country.branches))
    assert len({row[0] for it in COUNTRIES for row in products(it)}) == 4 * 400
    assert len(coupons()) == 24


def test_profit_is_what_a_countrys_lines_add_up_to() -> None:
    """The expected answer is that of the rows: price less cost less discount, of sales that did not come back."""
    dataset = Dataset(2_000, 5)
    block = dataset.blocks_of(COUNTRIES[1])[0]
    batch = dataset.make(block)
    assert len(batch.profit) == len(CHANNELS)
    assert sum(batch.profit) < batch.totals.revenue - batch.totals.cost - batch.totals.discount


@given(cents=st.lists(st.integers(0, 10**14 - 1), min_size=1, max_size=20))
def test_money_is_written_as_numeric_has_it(cents: list[int]) -> None:
    """Four digits to the base of 10,000, two decimals; read back, they are the number."""
    rows = binary.encode([binary.numeric(np.array(cents))])
    for number, value in enumerate(cents):
        row = rows[number * 22 : (number + 1) * 22]
        fields, length, ndigits, weight, sign, scale, *digits = struct.unpack(">hihhhhhhhh", row)
        assert (fields, length, ndigits, weight, sign, scale) == (1, 16, 4, 2, 0, 2)
        assert (
            sum(digit * 10_000 ** (2 - place) * 100 for place, digit in enumerate(digits[:3])) + digits[3] // 100
            == value
        )


@given(st.data())
def test_rows_of_several_layouts_keep_their_order(data: st.DataObject) -> None:
    """Words of other lengths and NULLs make rows of other lengths, each where it belongs."""
    chosen = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=30))
    null = data.draw(st.lists(st.booleans(), min_size=len(chosen), max_size=len(chosen)))
    values = np.arange(len(chosen))
    fields = [
        binary.int4(values),
        binary.text(CHANNELS, np.array(chosen)),
        binary.or_null(binary.int8(values), np.array(null)),
    ]
    expected = b""
    for number, (word, is_null) in enumerate(zip(chosen, null, strict=True)):
        text = CHANNELS[word].encode()
        expected += struct.pack(">hiii", 3, 4, number, len(text)) + text
        expected += struct.pack(">i", -1) if is_null else struct.pack(">iq", 8, number)
    assert binary.encode(fields) == expected


@pytest.mark.parametrize("name", ["sales", "lines"])
def test_totals_add_up(name: str) -> None:
    """Two blocks' totals are the sum of each, of every kind."""
    one, other = Totals(sales=1, lines=3), Totals(sales=2, lines=5)
    assert getattr(one + other, name) == getattr(one, name) + getattr(other, name)
    assert (one + other).rows == 11
