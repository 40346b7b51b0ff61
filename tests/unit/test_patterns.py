"""Patterns in `citus:tables`: which tables each one matches, which line is the nearest, and what the plan makes of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cli.plan import read_plan
from components.errors import SettingsError
from components.names import TableName, TablePattern
from components.plan.plan import ShardingPlan
from components.schema.files import Schema
from components.schema.statements import SqlFile
from components.settings import Settings
from components.tables import Distributed, Sharding

if TYPE_CHECKING:
    from pathlib import Path

COMPANY = """
create schema audit;
create table tenant (id int primary key);
create table "Order" (tenant_id int references tenant, id int, primary key (tenant_id, id));
create table line (tenant_id int not null, id int, primary key (tenant_id, id));
create table event (tenant_id int not null, at date not null) partition by range (at);
create table event_2026 partition of event for values from ('2026-01-01') to ('2027-01-01');
create table country (code text primary key);
create table audit.entry (tenant_id int not null, line text);
create table audit.kind (kind text primary key);
create temporary table draft (tenant_id int not null);
"""
ONE_BY_ONE = {
    "tenant": {"distributeBy": "id"},
    '"Order"': {"distributeBy": "tenant_id", "colocateWith": "tenant"},
    "line": {"distributeBy": "tenant_id", "colocateWith": "tenant"},
    "event": {"distributeBy": "tenant_id", "colocateWith": "tenant"},
    "audit.entry": {"reference": True},
    "audit.kind": {"reference": True},
}


def settings(tables: dict[str, Any]) -> Settings:
    """Read the settings of tables."""
    return Settings.parse({"password": "x", "tables": json.dumps(tables)}, stack="test")


def draft(tables: dict[str, Any], sql: str = COMPANY) -> ShardingPlan:
    """Return the plan of these settings with its findings."""
    schema, given = Schema([SqlFile("1.sql", sql)]), settings(tables)
    return ShardingPlan.draft(schema, given)


def shardings(plan: ShardingPlan) -> dict[str, Sharding]:
    """Return how each table of the plan is sharded."""
    return {str(it.name): it.declaration.sharding for it in plan.tables}


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("*", ["a", "log_1", "audit.log_1", 'audit."Log"']),
        ("log_*", ["log_1", "audit.log_1"]),
        ("LOG_*", ["log_1", "audit.log_1"]),
        ("audit.*", ["audit.log_1", 'audit."Log"']),
        ("public.*", ["a", "log_1"]),
        ("a*.*_1", ["audit.log_1"]),
        ('"L"*', ['audit."Log"']),
        ("*1", ["log_1", "audit.log_1"]),
        ("*g*", ["log_1", "audit.log_1", 'audit."Log"']),
        ("a.*", []),
        ("l.g*", []),
    ],
)
def test_a_pattern_matches_names_as_sql_spells_them(pattern: str, matched: list[str]) -> None:
    """`*` stands for any characters of a schema or of a name, unquoted letters are folded, and nothing else is special."""
    parsed = TablePattern.parse(pattern)
    assert parsed
    names = map(TableName.parse, ["a", "log_1", "audit.log_1", 'audit."Log"'])
    assert [str(name) for name in names if parsed.matches(name)] == matched


@pytest.mark.parametrize("text", ["a b*", "a.b.*", "*.", ".*", 'a"*', "a-*", "*;"])
def test_what_is_no_pattern_is_refused_with_its_setting(text: str) -> None:
    """One line names the setting, what stands there and how a pattern is written."""
    with pytest.raises(SettingsError, match="is not a pattern of names: write name with") as refused:
        settings({text: {"reference": True}})
    assert str(refused.value).startswith(f"citus:tables.{text} = ")


def test_a_quoted_star_is_a_name() -> None:
    """A table may be called so."""
    assert list(settings({'"*"': {"reference": True}}).tables) == [TableName("public", "*")]


@pytest.mark.parametrize(
    ("declared", "where", "reason"),
    [
        ({"*": {"by": "a", "primaryKey": ["a", "b"]}}, "citus:tables.*: ", "primaryKey is for one table"),
        ({"*": {"by": "a", "reference": True}}, "citus:tables.* = ", "a reference table takes no distributeBy"),
        ({"*": {}}, "citus:tables.* = {}: ", "say how the table is sharded"),
        ({"*": None}, "citus:tables.* = null: ", "valid dictionary"),
        ({"*": True}, "citus:tables.* = true: ", "valid dictionary"),
        ({"t": {"by": "a", "distributeBy": "b"}}, "citus:tables.t.by is unknown", "a table takes distributeBy"),
    ],
)
def test_a_wrong_pattern_is_one_error(declared: dict[str, Any], where: str, reason: str) -> None:
    """It says which line is wrong, and why."""
    with pytest.raises(SettingsError) as refused:
        settings(declared)
    assert len(refused.value.problems) == 1
    assert str(refused.value).startswith(where)
    assert reason in str(refused.value)


def test_a_pattern_is_the_same_plan_as_a_line_for_each_table() -> None:
    """The declarations, which are the inputs of the resources, are equal: another spelling makes no diff."""
    spelled = {
        "*": {"by": "tenant_id", "colocateWith": "tenant"},
        "audit.*": {"reference": True},
        "tenant": {"distributeBy": "id"},
    }
    one, other = draft(ONE_BY_ONE), draft(spelled)
    assert one.errors == other.errors == ()
    assert one.tables == other.tables


def test_tables_without_the_column_and_partitions_are_left_and_told() -> None:
    """A pattern distributes the tables that have its column; partitions follow, temporary tables are nobody's."""
    plan = draft({"*": {"by": "tenant_id", "colocateWith": "tenant"}, "tenant": {"by": "id"}})
    (told,) = plan.patterns
    assert [str(name) for name in told.tables] == ['"Order"', "line", "event", "audit.entry"]
    assert [str(name) for name in told.left] == ["country", "audit.kind"]
    assert told.how == "distributed by tenant_id"
    assert not plan.errors


def test_the_first_table_of_a_pattern_starts_its_group() -> None:
    """Without colocateWith, that is the one that the files create first: a later file does not change it."""
    sql = "create table z (t int not null); create table b (t int not null);"
    before, after = draft({"*": {"by": "t"}}, sql), draft({"*": {"by": "t"}}, f"{sql} create table a (t int not null);")
    assert {str(it.name): it.colocate_with and str(it.colocate_with) for it in after.tables} == {
        "z": None,
        "a": "z",
        "b": "z",
    }
    declared = {it.name: it.colocate_with for it in after.tables}
    assert all(declared[it.name] == it.colocate_with for it in before.tables)


def test_the_nearest_line_counts_alone() -> None:
    """A name is nearer than any pattern, a longer pattern than a shorter one; false and undistribute leave tables out."""
    plan = draft(
        {
            "*": {"by": "tenant_id"},
            "audit.*": {"reference": True},
            "audit.k*": False,
            "tenant": False,
            '"Order"': {"by": "id"},
            "line": {"undistribute": True},
        }
    )
    assert shardings(plan) == {
        '"Order"': Distributed("id"),
        "event": Distributed("tenant_id"),
        "audit.entry": draft(ONE_BY_ONE).tables[0].declaration.sharding,
    }
    assert [str(it.table) for it in plan.undistributed] == ["line"]


def test_a_name_that_is_left_out_must_exist() -> None:
    """False for a table that no file creates is most often a misspelled name."""
    assert [(it.rule, it.setting) for it in draft({"lines": False, "line": {"reference": True}}).findings] == [
        ("unknown-table", "citus:tables.lines")
    ]


def test_a_pattern_can_bring_tables_back() -> None:
    """Each becomes a table that is to be local again."""
    plan = draft({"audit.*": {"undistribute": True}})
    assert [str(it.table) for it in plan.undistributed] == ["audit.entry", "audit.kind"]
    assert not plan.tables


def test_a_finding_about_a_table_of_a_pattern_names_the_pattern(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setting at fault is the pattern's, its line is found, and the remedy says that it needs a line of its own."""
    (tmp_path / "1.sql").write_text("create table t (x int not null); create table u (x text not null)")
    (tmp_path / "Pulumi.test.yaml").write_text(
        f"config:\n  citus:schemaDir: {tmp_path}\n  citus:tables:\n    t: {{by: x}}\n    'u*': {{by: x, colocateWith: t}}\n"
    )
    monkeypatch.chdir(tmp_path)
    (finding,) = read_plan("test").findings
    assert (finding.rule, finding.file, finding.line) == ("colocated-type", "Pulumi.test.yaml", 5)
    assert finding.setting == "citus:tables.u*, which declares u.colocateWith = t"


def test_the_plan_shows_what_each_pattern_came_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the steps of the tables, and in a list of patterns with the tables that each leaves as they are."""
    from cli.plan import plan_command  # noqa: PLC0415

    (tmp_path / "1.sql").write_text(COMPANY)
    tables = {"*": {"by": "tenant_id", "colocateWith": "tenant"}, "tenant": {"by": "id"}}
    config = {"config": {"citus:schemaDir": str(tmp_path), "citus:tables": tables}}
    (tmp_path / "Pulumi.test.yaml").write_text(json.dumps(config))
    monkeypatch.chdir(tmp_path)
    assert plan_command("test", "text") == 0
    printed = capsys.readouterr().out
    assert (
        "line: distributed by tenant_id, colocated with tenant (group of tenant, 32 shards); by the pattern *"
        in printed
    )
    assert 'pattern *, distributed by tenant_id: "Order", line, event, audit.entry' in printed
    assert "left as they are: country, audit.kind" in printed
    assert plan_command("test", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert {it["table"]: it["pattern"] for it in document["steps"] if it["kind"] == "table"} == {
        "tenant": None,
        '"Order"': "*",
        "line": "*",
        "event": "*",
        "audit.entry": "*",
    }
    assert document["patterns"] == [
        {
            "pattern": "*",
            "how": "distributed by tenant_id",
            "tables": ['"Order"', "line", "event", "audit.entry"],
            "left": ["country", "audit.kind"],
        }
    ]
