"""What a plan refuses of the tenants that the settings name."""

from __future__ import annotations

import json

import pytest

from components.errors import PlanError
from components.plan.plan import ShardingPlan
from components.plan.tenants import plan_tenants
from components.schema.files import Schema
from components.schema.statements import SqlFile
from components.settings import Settings

GENERATED = "n int generated always as (id * 2) stored"


@pytest.mark.parametrize(
    "columns", [f"{GENERATED}, country int", f"country int, {GENERATED}"], ids=["before", "behind"]
)
@pytest.mark.parametrize("table", ["sale", "line"])
def test_a_generated_column_before_the_distribution_column_is_refused_where_tenants_are_placed(
    columns: str, table: str
) -> None:
    """In any table of the colocation group; Citus would put rows into wrong shards. Behind it, it does no harm."""
    others = {"sale": "line", "line": "sale"}
    schema = Schema(
        [SqlFile("1.sql", f"create table {table} (id int, {columns}); create table {others[table]} (country int)")]
    )
    tables = {"sale": {"distributeBy": "country"}, "line": {"distributeBy": "country", "colocateWith": "sale"}}
    given = {"password": "x", "tables": json.dumps(tables), "tenants": json.dumps({"sale": {"spread": [1, 2]}})}
    settings = Settings.parse(given, stack="test")
    plan = ShardingPlan.make(schema, settings.tables)
    if columns.startswith("country"):
        assert plan_tenants(plan, schema, settings)
        return
    with pytest.raises(
        PlanError, match=rf"citus:tenants\.sale: {table} has the generated column n before its distribution"
    ):
        plan_tenants(plan, schema, settings)
