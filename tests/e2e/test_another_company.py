"""Another company's schema goes through with SQL files and settings alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.nodes import DOCKER, LOCAL, STAND_IN
from tests.e2e.stack import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.stack import Stack

RUNTIMES = [LOCAL, DOCKER, STAND_IN]
SCHEMA = ROOT / "tests" / "schemas" / "ads"


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack]) -> Stack:
    """A company of advertisements: its files hold rows, which are there before the tables are sharded."""
    tables = json.loads((SCHEMA / "settings.json").read_text())["tables"]
    stack = new_stack("ads", schemaDir=str(SCHEMA), tables=tables, database="Anuncios 1", user="dueño")
    up = stack.up()
    assert up.code == 0, up.output
    return stack


def test_every_table_is_sharded_as_declared(stack: Stack) -> None:
    """One group of five tables by company, one reference table, one left local; names in any spelling."""
    tables = stack.query(
        "select table_name::text, citus_table_type, distribution_column, colocation_id from citus_tables"
        " where table_name::text !~ '_20\\d\\d$'"
    )
    distributed = {row[0]: row[2] for row in tables if row[1] == "distributed"}
    assert distributed == {
        "ads.companies": "id",
        "ads.campaigns": "company_id",
        "ads.ads": "company_id",
        'ads."Click"': "Company Id",
        "ads.impressions": "company_id",
    }
    assert len({row[3] for row in tables if row[1] == "distributed"}) == 1
    assert [row[0] for row in tables if row[1] == "reference"] == ['ads."GeoRegion"']


@pytest.mark.parametrize(
    ("table", "rows"),
    [("companies", 10), ("campaigns", 40), ("ads", 120), ('"Click"', 1200), ("impressions", 2880), ('"GeoRegion"', 3)],
)
def test_rows_from_before_the_sharding_are_all_there(stack: Stack, runtime: str, table: str, rows: int) -> None:
    """As many as the files put in, and none of them on the coordinator's own disk any more."""
    assert stack.query(f"select count(*) from ads.{table}") == [rows]
    if runtime != "stand-in":  # which moves no rows
        assert stack.query(f"select pg_relation_size('ads.{table}'::regclass)") == [0]


def test_new_rows_get_their_numbers_and_keep_their_keys(stack: Stack) -> None:
    """Serial and identity columns go on, and a foreign key across co-located tables still holds."""
    (campaign,) = stack.query(
        "insert into ads.campaigns (company_id, name, monthly_budget) values (1, 'new', 1) returning id"
    )
    assert campaign > 40
    ad = "insert into ads.ads (company_id, campaign_id, name, target_url) values (1, {}, 'n', 'u') returning id"
    assert stack.query(ad.format(campaign))[0] > 120
    with pytest.raises(Exception, match="violates foreign key constraint"):
        stack.query(ad.format(999999))


def test_a_second_up_changes_nothing(stack: Stack) -> None:
    """Right after up, and after a refresh."""
    assert stack.preview("--expect-no-changes").code == 0
    assert stack.refresh().code == 0
    assert stack.preview("--expect-no-changes").code == 0


def test_patterns_in_the_place_of_lines_change_nothing(stack: Stack) -> None:
    """The same tables by a pattern: no resource differs."""
    tables = json.loads((SCHEMA / "settings.json").read_text())["tables"]
    own = {name: tables[name] for name in ("ads.companies", 'ads."Click"')}
    pattern = {"by": "company_id", "colocateWith": "ads.companies"}
    stack.set(tables={**own, "*": pattern, 'ads."Geo"*': {"reference": True}})
    assert stack.preview("--expect-no-changes").code == 0
    stack.set(tables={**own, "*": pattern})
    assert stack.preview("--expect-no-changes").code != 0
    stack.set(tables=tables)


def test_destroy_removes_every_trace(stack: Stack) -> None:
    """Nothing on the engine bears the stack's label."""
    assert stack.destroy().code == 0
    assert stack.leftovers() == []
