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
    plan = ShardingPlan.make(schema, settings)
    if columns.startswith("country"):
        assert plan_tenants(plan, schema, settings)
        return
    with pytest.raises(
        PlanError, match=rf"citus:tenants\.sale: {table} has the generated column n before its distribution"
    ):
        plan_tenants(plan, schema, settings)


def test_a_tenant_of_a_host_has_a_worker_there_and_keeps_it() -> None:
    """Another worker of the same host takes some of the tenants; those that stay are where they were."""
    schema = Schema([SqlFile("1.sql", "create table sale (country int)")])
    pin = {str(value): "south" if value % 2 else "north" for value in range(1, 41)}
    given = {
        "password": "x",
        "tables": json.dumps({"sale": {"distributeBy": "country"}}),
        "tenants": json.dumps({"sale": {"pin": pin}}),
        "hosts": json.dumps({name: {"engine": "unix:///s", "address": name} for name in ("north", "south")}),
        "hostOf": json.dumps({"coordinator": "north"}),
        "workers": "5",
    }
    settings = Settings.parse(given, stack="test")
    plan = ShardingPlan.make(schema, settings)
    hosts = {"coordinator": "north", "worker_1": "south", "worker_2": "south", "worker_3": "north", "worker_4": "north"}
    (before,) = plan_tenants(plan, schema, settings, {**hosts, "worker_5": "north"})
    assert {worker for value, worker in before.pin.items() if pin[value] == "south"} == {1, 2}
    (after,) = plan_tenants(plan, schema, settings, {**hosts, "worker_5": "south"})
    assert {worker for value, worker in after.pin.items() if pin[value] == "south"} == {1, 2, 5}
    stayed = [value for value in pin if pin[value] == "south" and after.pin[value] != 5]
    assert [before.pin[value] for value in stayed] == [after.pin[value] for value in stayed]


def test_a_host_without_a_worker_takes_no_tenant() -> None:
    """The finding names the tenant, the host and the remedy."""
    schema = Schema([SqlFile("1.sql", "create table sale (country int)")])
    given = {
        "password": "x",
        "tables": json.dumps({"sale": {"distributeBy": "country"}}),
        "tenants": json.dumps({"sale": {"pin": {"1": "north"}}}),
        "hosts": json.dumps({name: {"engine": "unix:///s", "address": name} for name in ("north", "south")}),
        "hostOf": json.dumps({"coordinator": "north"}),
        "workers": "1",
    }
    settings = Settings.parse(given, stack="test")
    plan = ShardingPlan.make(schema, settings)
    with pytest.raises(PlanError, match=r"citus:tenants\.sale\.pin\.1 = 'north'.*no worker is on that host"):
        plan_tenants(plan, schema, settings)
