"""Schemas that are distributed as a whole: what the settings take, what the plan finds, and what is declared and said."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli.changes import Step, describe
from cli.standing import standing_of
from components.errors import SettingsError
from components.names import TableName
from components.plan.later import Standing
from components.plan.plan import ShardingPlan
from components.plan.rules import RULES
from components.resources.schemas import DistributedSchemaProvider
from components.schema.files import Schema
from components.schema.statements import SqlFile
from components.settings import Settings
from components.tables import Distributed, Kind, Sharding, SingleShard

A = "create schema a; create table a.t (id int primary key, x int); create table a.u (t int references a.t); "
R = "create schema z; create table z.r (id int primary key); "


def settings(**given: Any) -> Settings:
    """Read settings; those that are mappings are given as such."""
    values = {name: json.dumps(value) if isinstance(value, dict) else str(value) for name, value in given.items()}
    return Settings.parse({"password": "x", **values}, stack="test")


def draft(sql: str, standing: dict[str, Sharding] | None = None, **given: Any) -> ShardingPlan:
    """Make the plan with whatever speaks against it; `standing` are the tables of a running cluster."""
    schema = Schema([SqlFile("1.sql", sql)])
    assert schema.problems == []
    live = None if standing is None else Standing({"1.sql"}, {TableName.parse(it): how for it, how in standing.items()})
    return ShardingPlan.draft(schema, settings(**{"schemas": {"a": {}}, **given}), live)


# --- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schemas", "reason"),
    [
        ({"public": {}}, 'citus:schemas = {"public": {}}: the schema public cannot be distributed'),
        ({"pg_catalog": {}}, "the schema pg_catalog cannot be distributed"),
        ({"information_schema": {}}, "the schema information_schema cannot be distributed"),
        ({"a": {"worker": 5}}, "citus:schemas.a.worker = 5: there are workers 1 to 4: name one of them"),
        ({"a": {"worker": 0}}, "citus:schemas.a.worker = 0"),
        ({"a": {"worker": 1, "undistribute": True}}, "stands alone: remove it, or worker"),
        ({"a": {"workers": 1}}, "citus:schemas.a.workers is unknown: a schema takes worker, undistribute"),
        ({"a.b": {}}, "'a.b' is not a name"),
        ({"a": {}, "A": {}}, "citus:schemas names a schema twice"),
        ({"a": []}, "citus:schemas.a"),
    ],
)
def test_wrong_schemas_are_refused(schemas: dict[str, Any], reason: str) -> None:
    """The error names the setting, and what to do."""
    with pytest.raises(SettingsError) as caught:
        settings(schemas=schemas)
    assert reason in str(caught.value)


# --- the plan ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slug", "sql", "given", "text"),
    [
        ("unknown-schema", A, {"schemas": {"aa": {}}}, "creates this schema (did you mean a?): add the file"),
        (
            "unknown-schema",
            "create table t (x int)",
            {"schemas": {"b": {"undistribute": True}}},
            "citus:schemas.b: no SQL",
        ),
        ("schema-table", A, {"tables": {"a.t": {"distributeBy": "id"}}}, "citus:tables.a.t: citus:schemas distributes"),
        ("schema-table", A, {"tables": {"a.t": {"undistribute": True}}}, "remove the table from citus:tables"),
        ("schema-extension", A + "create extension citext schema a", {}, "the extension citext is in a"),
        ("schema-foreign-table", A + "create foreign table a.f (x int) server s", {}, "create it in another schema"),
        (
            "schema-partition",
            A + "create table a.p (x int) partition by list (x); create table p1 partition of a.p default",
            {},
            "create it in a",
        ),
        (
            "foreign-key-of-schema",
            A + R + "alter table a.t add foreign key (x) references z.r",
            {},
            "z.r: {reference: true}",
        ),
        (
            "foreign-key-of-schema",
            A + R + "alter table z.r add foreign key (id) references a.t",
            {},
            "remove the foreign key",
        ),
        (
            "foreign-key-of-schema",
            A + "create schema b; create table b.t (id int primary key, x int references a.t)",
            {"schemas": {"a": {}, "b": {}}},
            "only its own schema references it",
        ),
    ],
)
def test_a_rule_of_schemas_finds_what_it_tells(slug: str, sql: str, given: dict[str, Any], text: str) -> None:
    """Each finds its case, alone, with its source, and a text that says what mends it."""
    (found,) = draft(sql, **given).errors
    assert (found.rule, found.source) == (slug, RULES[slug].source)
    assert text in str(found)


@pytest.mark.parametrize(
    ("standing", "given", "text"),
    [
        ({"a.t": Distributed("id")}, {}, "citus:schemas.a: a.t is distributed by id in the running cluster"),
        (
            {"a.t": SingleShard()},
            {"schemas": {}, "tables": {"a.t": {"distributeBy": "id"}}},
            "undistribute the schema: citus:schemas.a: {undistribute: true}",
        ),
        ({"a.t": SingleShard()}, {"schemas": {}, "tables": {"a.t": {"undistribute": True}}}, "undistribute the schema"),
    ],
)
def test_what_stands_sharded_otherwise_is_an_error(
    standing: dict[str, Sharding], given: dict[str, Any], text: str
) -> None:
    """A table that is sharded by itself, and one whose schema is distributed, are to be undistributed first."""
    (found,) = draft("create schema a; create table a.t (id int primary key)", standing, **given).errors
    assert found.rule == "schema-sharded"
    assert text in str(found)


def test_the_tables_of_a_schema_that_comes_back_may_be_sharded() -> None:
    """In one update: the schema is local before its tables are reached."""
    declared = {"schemas": {"a": {"undistribute": True}}, "tables": {"a.t": {"distributeBy": "id"}}}
    made = draft("create schema a; create table a.t (id int primary key)", {"a.t": SingleShard()}, **declared)
    assert made.findings == ()
    assert [it.declaration.undistribute for it in made.schemas] == [True]


def test_a_plan_has_each_schema_with_its_tables_and_what_they_reference() -> None:
    """Partitions come with their table, and no pattern applies to a table of the schema."""
    sql = (
        R + A + "alter table a.t add foreign key (x) references z.r; create table a.p (x int) partition by list (x); "
        "create table a.p1 partition of a.p default; create table z.t (id int)"
    )
    made = draft(sql, schemas={"a": {"worker": 2}}, tables={"z.r": {"reference": True}, "*": {"distributeBy": "id"}})
    assert made.errors == ()
    (schema,) = made.schemas
    assert (schema.name, schema.worker, schema.after) == ("a", 2, (TableName("z", "r"),))
    assert [it.name for it in schema.declaration.tables] == ["p", "t", "u"]
    assert [str(it.name) for it in made.tables] == ["z.r", "z.t"]
    reference = made.tables[0]
    assert [str(it.table) for it in reference.declaration.pending] == ["a.t"]
    assert reference.set_aside == reference.restored == ()
    assert made.layout is not None
    assert made.layout.kind(TableName("a", "p1")) == Kind.SINGLE_SHARD


# --- what is said ------------------------------------------------------------------------------------------------------


def inputs(**changed: Any) -> dict[str, Any]:
    """The inputs of a DistributedSchema."""
    return {"schema": "a", "tables": [{"schema": "a", "name": "t"}], "undistribute": False, **changed}


@pytest.mark.parametrize(
    ("step", "section", "said"),
    [
        (Step("create", "DistributedSchema", "a", {}, inputs()), "created", "on a worker that Citus chooses: `a.t`"),
        (
            Step("create", "DistributedSchema", "a", {}, inputs(worker="w:1", tables=[])),
            "created",
            "on `w:1`: no table yet",
        ),
        (
            Step("update", "DistributedSchema", "a", inputs(), inputs(worker="w:1")),
            "moved",
            "moves to `w:1`, with `a.t`",
        ),
        (
            Step("update", "DistributedSchema", "a", inputs(worker="w:1", misplaced=True), inputs(worker="w:1")),
            "moved",
            "moves to `w:1`",
        ),
        (Step("update", "DistributedSchema", "a", inputs(tables=[]), inputs()), "proved", "schema `a` has `a.t`"),
        (Step("update", "DistributedSchema", "a", inputs(), inputs(undistribute=True)), "rewritten", "becomes local"),
        (
            Step("update", "DistributedSchema", "a", inputs(undistribute=True), inputs()),
            "created",
            "distributed as a whole",
        ),
        (Step("delete", "DistributedSchema", "a", inputs()), "left", "it stays as it is, with its rows"),
    ],
)
def test_a_review_says_what_becomes_of_a_schema(step: Step, section: str, said: str) -> None:
    """Which rows move, and where."""
    (change,) = describe([step], [])
    assert change.section == section
    assert said in change.text


def test_a_state_tells_which_schemas_are_distributed() -> None:
    """A plan of a stack that is up knows their tables; those of one that came back are not sharded."""
    kind = "pulumi-python:dynamic/citus:DistributedSchema"
    script = {"type": "pulumi-python:dynamic/citus:SchemaScript", "id": "1.sql"}
    standing = standing_of([script, {"type": kind, "id": "a", "inputs": inputs()}])
    assert standing is not None
    assert standing.tables == {TableName("a", "t"): SingleShard()}
    back = standing_of([script, {"type": kind, "id": "a", "inputs": inputs(undistribute=True)}])
    assert back is not None
    assert back.tables == {}


def test_a_preview_says_what_becomes_of_a_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """That rows move, to which worker, or back; a schema is never replaced by another worker."""
    server = {"name": "c", "host": "h", "port": 1, "database": "d", "user": "u", "log": "file:x"}
    old = {**inputs(), "server": server}
    provider = DistributedSchemaProvider()
    provider.check({}, {**old, "worker": "w:1", "ready_timeout": 1})
    diffs = []
    for change in ({"worker": "w:1"}, {"undistribute": True}):
        provider.check(old, {**old, **change, "ready_timeout": 1})
        diffs.append(provider.diff("a", old, {**old, **change}))
    moved, back = diffs
    said = capsys.readouterr().out.splitlines()
    assert [it.changes for it in (moved, back)] == [True, True]
    assert [it.replaces for it in (moved, back)] == [[], []]
    assert said == [
        "schema a: its tables are together on w:1; where it is local, their rows move there, and writes wait meanwhile",
        "schema a: its tables move to w:1, online where they allow it",
        "schema a: becomes local; where it is distributed, its rows are rewritten, and its tables are locked meanwhile",
    ]
