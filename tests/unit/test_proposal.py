"""Proposals: which column is taken for the tenant's, what each table becomes, and what is written for a person to edit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from cli.propose import propose_command
from components.errors import SourceError
from components.names import TableName
from components.plan.plan import ShardingPlan
from components.proposal.backfill import backfill
from components.proposal.page import settings_page
from components.proposal.proposal import Proposal, propose
from components.schema.files import Schema
from components.schema.statements import SqlFile
from components.schema.statistics import ColumnStatistics, RunStatement, Statistics, TableStatistics
from components.settings import Settings
from components.tables import Kind

ROOT = Path(__file__).parents[2]

COMPANY = """
create table country (code text primary key);
create table organization (id bigint primary key, country text references country);
create table member (id bigint primary key, organization_id bigint not null references organization);
create table project (id bigint primary key, organization_id bigint not null references organization);
create table task (id bigint primary key, project_id bigint not null references project on delete cascade, member_id bigint
    references member);
create table note (id bigint primary key, task_id bigint not null references task, line text);
create table label (id bigint primary key, organization_id bigint);
create table holiday (day date primary key);
create table schema_migrations (version text primary key);
"""


def proposed(sql: str, statistics: Statistics | None = None, by: str = "") -> Proposal:
    """Return what is proposed for a schema."""
    return propose(Schema([SqlFile("1.sql", sql)]), statistics, by)


def folder(path: Path) -> str:
    """Return the SQL files of a folder as one text."""
    return "\n".join(file.read_text("utf-8") for file in sorted(path.glob("*.sql")))


def kinds(proposal: Proposal, kind: Kind) -> dict[str, str]:
    """Return the tables of a kind with their distribution columns."""
    return {str(it.name): it.column for it in proposal.of(kind)}


def name(table: str) -> TableName:
    """Return a table's name from its spelling."""
    return TableName.parse(table)


def test_the_root_that_others_reference_is_the_tenant() -> None:
    """Tables that have its key are distributed by it, those that lack it follow by foreign keys, what these need is copied."""
    proposal = proposed(COMPANY)
    assert proposal.candidates[0].name == "organization.id"
    assert kinds(proposal, Kind.DISTRIBUTED) == {
        "organization": "id",
        "member": "organization_id",
        "project": "organization_id",
        "label": "organization_id",
        "task": "organization_id",
        "note": "organization_id",
    }
    assert kinds(proposal, Kind.REFERENCE) == {"country": ""}
    assert kinds(proposal, Kind.LOCAL) == {"holiday": "", "schema_migrations": ""}
    assert [(str(it.name), str(it.tie and it.tie.parent)) for it in proposal.lacking] == [
        ("task", "project"),
        ("note", "task"),
    ]
    assert not [it for it in proposal.findings if it.severity == "error"]


def test_it_says_how_sure_it_is() -> None:
    """A foreign key that is never NULL is sure, one that may be and a name alone are likely, both together are a guess."""
    tables = proposed(COMPANY).tables
    assert {str(it): tables[it].sure for it in tables} == {
        "organization": "sure",
        "member": "sure",
        "project": "sure",
        "label": "a guess",
        "task": "likely",
        "note": "likely",
        "country": "likely",
        "holiday": "a guess",
        "schema_migrations": "sure",
    }


def test_foreign_keys_decide_more_than_names() -> None:
    """A column that many tables share by its name alone loses to one that half as many reference."""
    shared = "".join(f"create table s{n} (id int primary key, batch_id int);" for n in range(4))
    tied = "".join(f"create table t{n} (id int primary key, shop int not null references shop);" for n in range(3))
    assert proposed(f"create table shop (id int primary key); {shared} {tied}").candidates[0].name == "shop.id"


def test_names_decide_where_no_foreign_key_does() -> None:
    """The column is then that of the table it is named after, which is distributed by its own key."""
    tables = "".join(f"create table t{n} (id uuid primary key, tenant_id uuid not null);" for n in range(5))
    proposal = proposed(f"create table tenant (id uuid primary key); {tables}")
    assert (proposal.candidates[0].name, proposal.sure) == ("tenant.id", "likely")
    assert proposal.settings == {
        "tenant": {"distributeBy": "id"},
        "*": {"distributeBy": "tenant_id", "colocateWith": "tenant"},
    }


def test_a_composite_foreign_key_carries_the_tenant_on() -> None:
    """TPC-C: the warehouse of an order line is the one of its order's customer's district, whatever its column is called."""
    proposal = proposed((ROOT / "tests/corpus/tpcc/schema.sql").read_text("utf-8"))
    plans = yaml.safe_load((ROOT / "tests/corpus/tpcc/plans.yaml").read_text("utf-8"))["tables"]
    assert proposal.settings == plans
    assert proposal.sure == "sure"


def test_the_retail_schema_is_proposed_as_its_stack_declares_it() -> None:
    """The same tables, column and group as in Pulumi.dev.yaml."""
    declared = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text("utf-8"))["config"]["citus:tables"]
    assert proposed(folder(ROOT / "sql" / "schema")).settings == declared


def test_the_ads_schema_is_proposed_as_its_settings_declare_it() -> None:
    """But for the primary key, which is a person's choice: quoted names and partitions as they are."""
    declared = json.loads((ROOT / "tests/schemas/ads/settings.json").read_text("utf-8"))["tables"]
    for table in declared.values():
        table.pop("primaryKey", None)
    assert proposed(folder(ROOT / "tests" / "schemas" / "ads")).settings == declared


def test_a_column_that_a_person_wants_comes_first() -> None:
    """By its name alone or with its table; one that ties nothing together is refused, with those that do."""
    assert proposed(COMPANY, by="project.id").candidates[0].name == "project.id"
    assert proposed(COMPANY, by="project_id").candidates[0].name == "project.id"
    with pytest.raises(SourceError, match=r"BY=colour: no column .* candidates are organization\.id"):
        proposed(COMPANY, by="colour")


def test_a_polymorphic_column_is_no_tenant() -> None:
    """An id beside a type that says of which table references many tables, and none."""
    tables = "".join(f"create table t{n} (id int primary key, context_id int, context_type text);" for n in range(5))
    assert proposed(tables).candidates == ()


def test_nothing_is_proposed_where_nothing_ties_tables_together() -> None:
    """Each table stays local, and the page says so."""
    proposal = proposed("create table a (id int primary key); create table b (id int primary key)")
    assert (proposal.candidates, proposal.settings, set(kinds(proposal, Kind.LOCAL))) == ((), {}, {"a", "b"})
    assert "nothing is proposed" in settings_page(proposal, "x")
    assert backfill(proposal) == ""


def test_what_cannot_be_sharded_stays_local() -> None:
    """A table of the tenants that inherits is left, with the plan's reason; the pattern leaves it out."""
    sql = f"{COMPANY} create table base (organization_id bigint not null); create table child () inherits (base);"
    proposal = proposed(sql)
    assert {"base", "child"} <= kinds(proposal, Kind.LOCAL).keys()
    assert "inherits" in proposal.tables[name("child")].why
    assert not [it for it in proposal.findings if it.severity == "error"]


def statistics(rows: dict[str, float], **columns: dict[str, ColumnStatistics]) -> Statistics:
    """Return what a server knows of tables of so many rows."""
    tables = {
        name(table): TableStatistics(count, int(count) * 100, int(count), columns.get(table, {}))
        for table, count in rows.items()
    }
    return Statistics(tables)


def test_rows_without_a_value_are_told_where_the_server_knows_them() -> None:
    """They would stop the update: the table is a guess, whatever ties it."""
    sql = f"{COMPANY} create table mail (id int, member_id bigint references member);"
    nulls = {"label": {"organization_id": ColumnStatistics(0.125, 5)}, "mail": {"member_id": ColumnStatistics(0.25, 5)}}
    tables = proposed(sql, statistics({"label": 1000, "mail": 10}, **nulls)).tables
    assert "12.5% of its rows have none" in tables[name("label")].why
    assert "which 25.0% of its rows do not have" in tables[name("mail")].why
    nulls["mail"]["member_id"] = ColumnStatistics(0, 5)
    mail = proposed(sql, statistics({"label": 1000, "mail": 10}, **nulls)).tables[name("mail")]
    assert (mail.sure, "may be NULL, though none is now" in mail.why) == ("likely", True)


def test_skew_and_number_of_values_weigh() -> None:
    """A column of one value is no tenant, however many tables have it."""
    sql = "create table a (id int primary key); create table b (id int primary key); " + "".join(
        f"create table t{n} (id int primary key, a_id int not null references a, b_id int {'not null ' * (n > 0)}references b);"
        for n in range(4)
    )
    assert proposed(sql).candidates[0].name == "a.id"
    one = {f"t{n}": {"a_id": ColumnStatistics(0, 1), "b_id": ColumnStatistics(0, 900)} for n in range(4)}
    known = statistics({**dict.fromkeys(one, 10000.0), "a": 1, "b": 900}, **one)
    assert proposed(sql, known).candidates[0].name == "b.id"


def test_statements_weigh() -> None:
    """The column by which an application asks is the better one of two that serve as many tables."""
    sql = "create table a (id int primary key); create table b (id int primary key); " + "".join(
        f"create table t{n} (id int primary key, a_id int not null references a, b_id int not null references b);"
        for n in range(3)
    )
    asked = (RunStatement("select * from t1 where b_id = $1 and id > $2", 900), RunStatement("select a_id from t2", 90))
    best = proposed(sql, Statistics(statements=asked)).candidates[0]
    assert (best.name, round(best.calls or 0, 2)) == ("b.id", 0.91)


def test_few_tenants_get_a_worker_each_and_few_shards() -> None:
    """Where there are no more values than workers, all of them are spread; else those that are as big as half a worker."""
    common = tuple((str(n), 0.25) for n in range(1, 5))
    few = statistics({"project": 1e5}, project={"organization_id": ColumnStatistics(0, 4, common)})
    proposal = proposed(COMPANY, few)
    assert (proposal.tenants, proposal.shard_count) == (("1", "2", "3", "4"), 8)
    many = statistics(
        {"project": 1e5}, project={"organization_id": ColumnStatistics(0, 900, (("7", 0.3), ("8", 0.01)))}
    )
    proposal = proposed(COMPANY, many)
    assert (proposal.tenants, proposal.shard_count) == (("7",), 32)


def test_the_page_is_the_settings_of_a_stack() -> None:
    """Read as a stack's file, it declares what is proposed, and the plan takes it once the columns are there."""
    schema = Schema([SqlFile("1.sql", COMPANY)])
    config = yaml.safe_load(settings_page(propose(schema), "the test", schema_dir="sql"))["config"]
    assert config["citus:schemaDir"] == "sql"
    given = Settings.parse({"password": "x", "tables": json.dumps(config["citus:tables"])}, stack="test")
    filled = Schema([SqlFile("1.sql", COMPANY), SqlFile("2.sql", backfill(proposed(COMPANY)))])
    assert filled.problems == []
    plan = ShardingPlan.draft(filled, given)
    assert not plan.errors
    assert {str(it.name) for it in plan.tables} == {
        "organization",
        "member",
        "project",
        "label",
        "task",
        "note",
        "country",
    }


def test_names_and_values_are_text_whatever_yaml_makes_of_them() -> None:
    """A table called no, a column called on, a tenant 007: they are read as they are spelled."""
    tables = "".join(f'create table t{n} (id int primary key, "on" text not null references "no");' for n in range(2))
    known = statistics({"t1": 1e5}, t1={"on": ColumnStatistics(0, 900, (("007", 0.3), ("7", 0.3)))})
    proposal = proposed(f'create table "no" (id text primary key); {tables}', known)
    config = yaml.safe_load(settings_page(proposal, "x"))["config"]
    assert config["citus:tables"]["t1"] == {"distributeBy": '"on"', "colocateWith": "no"}
    assert config["citus:tenants"] == {"no": {"spread": ["007", 7]}}


def test_every_table_is_told_with_its_reason() -> None:
    """Those of a pattern and those that stay local are comments; a person finds each table of the schema in the file."""
    proposal = proposed(COMPANY)
    page = settings_page(proposal, "x")
    for it in proposal.tables.values():
        assert any(str(it.name) in line and f"{it.sure}: {it.why}" in line for line in page.splitlines()), it


def test_the_command_writes_both_files_and_overwrites_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Settings and the SQL beside them; a file that is there is refused before anything is written."""
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema" / "1.sql").write_text(COMPANY)
    out = tmp_path / "shop.yaml"
    propose_command(str(tmp_path / "schema"), out, "")
    assert yaml.safe_load(out.read_text())["config"]["citus:tables"]["organization"] == {"distributeBy": "id"}
    assert "alter table task add column if not exists organization_id bigint;" in (tmp_path / "shop.sql").read_text()
    out.unlink()
    with pytest.raises(SourceError, match=r"shop\.sql is there already"):
        propose_command(str(tmp_path / "schema"), out, "")
    assert not out.exists()
    propose_command(str(tmp_path / "schema"), None, "")
    assert yaml.safe_load(capsys.readouterr().out)["config"]["citus:shardCount"] == 32


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "FROM= is missing"),
        ("no/such/folder", "there is no such folder, and it is no address"),
        ("postgresql://u:se%cret@h/d", "FROM is not the address of a database"),
    ],
)
def test_a_source_that_is_none_is_one_clear_error(source: str, said: str) -> None:
    """It says what is expected, and nothing of a password."""
    with pytest.raises(SourceError, match=said) as refused:
        propose_command(source, None, "")
    assert "cret" not in str(refused.value)
