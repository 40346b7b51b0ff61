"""Later files: what is judged and what is not, by the files and what stands in the cluster."""

from __future__ import annotations

import json
from typing import Any

import postgast
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.standing import standing_of
from components.names import TableName
from components.plan.later import Standing
from components.plan.plan import ShardingPlan
from components.plan.rules import RULES
from components.resources.tables import DistributedTableProvider
from components.schema.files import Schema
from components.schema.needs import KnownServer, parse_release
from components.schema.rewriting import computed_first, default_name, rewritten
from components.schema.rewriting.text import compose, quote_literal
from components.schema.statements import SqlFile
from components.settings import Settings
from components.tables import Distributed, DistributedDeclaration, Kind, Reference, Sharding, SingleShard

FIRST = """\
create table kind (id int primary key);
create table t (x int not null, id int not null, kind int, primary key (x, id)) partition by range (id);
create table t1 partition of t for values from (1) to (9);
create table l (x int, kind int references kind);
create schema a; create table a.s (id int primary key);
"""
SHARDED: dict[TableName, Sharding] = {
    TableName("public", "kind"): Reference(),
    TableName("public", "t"): Distributed("x"),
    TableName("a", "s"): SingleShard(),
}
STANDING = Standing({"1.sql"}, SHARDED)


def plan(
    *files: tuple[str, str],
    tables: dict[str, Any] | None = None,
    standing: Standing | None = STANDING,
    server: KnownServer | None = None,
) -> ShardingPlan:
    """Return the plan of the first file and others."""
    given = {"password": "x", "tables": json.dumps(tables or {"t": {"distributeBy": "x"}, "kind": {"reference": True}})}
    schema = Schema([SqlFile("1.sql", FIRST), *(SqlFile(name, text) for name, text in files)])
    assert schema.problems == []
    return ShardingPlan.draft(schema, Settings.parse(given, stack="test"), standing, server)


def found(*files: tuple[str, str], **more: Any) -> list[str]:
    """Return `place rule` of each error."""
    return [f"{it.file}:{it.line}:{it.column} {it.rule}" for it in plan(*files, **more).errors]


LATER_CASES = [
    ("later-alter", "alter table t alter column kind set storage plain", "SET STORAGE to its shards"),
    ("later-distribution-column", "update t set x = 5", "insert the rows with the new value, and delete the old ones"),
    (
        "later-identity",
        "alter table kind add column n int generated always as identity",
        "alter table kind add column n bigserial",
    ),
    ("later-number", "alter table l add column n bigserial", "l is in Citus's metadata and has no primary key"),
    (
        "later-sequence",
        "alter table t add column n serial; alter sequence t_n_seq restart with 9",
        "select setval('t_n_seq', …) moves it",
    ),
    ("later-tablespace", "create index on t (kind) tablespace quick", "remove TABLESPACE"),
    ("later-grant", "grant select (x) on t to public", "on a view of these columns"),
    ("later-rows", "update l set x = random()", "compute it once"),
    ("later-join", "update t set kind = (select max(l.kind) from l where l.x = t.x)", "update … set … from that table"),
    (
        "later-schema",
        "create table a.u (id int references a.s); alter table a.s set schema public",
        "drop the foreign keys first",
    ),
    ("later-values", "insert into t values (1, (select 1)), (2, (select 2))", "insert … select …"),
]


@pytest.mark.parametrize(("slug", "sql", "text"), LATER_CASES, ids=[slug for slug, *_ in LATER_CASES])
def test_a_rule_of_later_files_finds_what_it_tells(slug: str, sql: str, text: str) -> None:
    """Each finds its case, alone, with a text that says what mends it; a new stack is told nothing of it."""
    (finding,) = plan(("2.sql", sql)).errors
    assert (finding.rule, finding.source, finding.file) == (slug, RULES[slug].source, "2.sql")
    assert text in str(finding)
    assert plan(("2.sql", sql), standing=None).errors == ()


def test_every_rule_of_later_files_has_a_case() -> None:
    """No rule goes untested."""
    assert {slug for slug, *_ in LATER_CASES} == {slug for slug in RULES if slug.startswith("later-")}


WIDEN = "-- wider\nalter table kind add column y int;\n  alter table t alter x type bigint;"


def test_a_file_is_judged_until_it_is_applied() -> None:
    """It has an error at its statement; once it is applied, or on a new stack, it has none."""
    assert found(("2.sql", WIDEN)) == ["2.sql:3:3 later-distribution-column"]
    applied = Standing({"1.sql", "2.sql"}, STANDING.tables)
    assert found(("2.sql", WIDEN), standing=applied) == []
    assert found(("2.sql", WIDEN), standing=None) == []


def test_a_file_that_sorts_before_an_applied_one_is_judged_by_what_stands() -> None:
    """The tables of the file that was applied are known, though it comes later in order."""
    assert found(("0.sql", "alter table t cluster on t_pkey;")) == ["0.sql:1:1 later-alter"]


@pytest.mark.parametrize(
    "statements",
    [
        "alter table t rename to u; alter table u alter column x type bigint; alter table u rename to t",
        "alter table t rename x to y; alter table t alter column y type bigint; alter table t rename y to x",
        "create schema s; alter table t set schema s; alter table s.t alter x type bigint; alter table s.t set schema public",
        "alter table t detach partition t1; alter table t1 alter column x type bigint",
        "set search_path = s, public; alter table public.t alter column x type bigint",
        "create table t2 partition of t for values from (9) to (20); alter table t2 alter column kind set statistics 9",
        (
            "create table t2 (x int not null, id int not null, kind int); alter table t attach partition t2 for values from (9) "
            "to (20); alter table t2 alter column kind set statistics 9"
        ),
        "alter table l alter column x set statistics 9",
        "create table m (l int); alter table m add foreign key (l) references kind; alter table m alter l set storage plain",
    ],
)
def test_what_was_sharded_stays_so_under_another_name(statements: str) -> None:
    """Renames, schemas and partitions of the same file are followed, and local tables that Citus has beside a key."""
    assert len(found(("2.sql", statements))) == 1


@pytest.mark.parametrize(
    ("statement", "errors"),
    [
        ("update t set x = 1 where x = 1 and id = 2", 0),
        ("update t set x = 1 where 1 = t.x", 0),
        ("update t set x = x, kind = 1", 0),
        ("update t set x = 1 where id = 1", 1),
        ("update t set x = 1 where x = 2", 1),
        ("update t set x = x + 1", 1),
    ],
)
def test_a_row_may_be_given_the_distribution_column_that_it_has(statement: str, errors: int) -> None:
    """As Citus takes it where the statement itself shows that the value stays the same."""
    assert len(found(("2.sql", statement))) == errors


@pytest.mark.parametrize(
    "statements",
    [
        "create table n (x int); alter table n alter column x set statistics 9",
        "drop table t1; create table t1 (x int); alter table t1 alter column x set storage plain",
        "alter table l drop constraint l_kind_fkey; alter table l alter column x set statistics 9",
        (
            "create table n (id int generated always as identity, x int not null, kind int references kind); "
            "alter table n alter column id set generated by default"
        ),
    ],
)
def test_what_is_local_is_left_to_postgresql(statements: str) -> None:
    """New tables, those that no key ties any more, and those that are to be sharded only afterwards."""
    tables = {"t": {"distributeBy": "x"}, "kind": {"reference": True}}
    if "create table n (id" in statements:
        tables["n"] = {"distributeBy": "x"}
    assert found(("2.sql", statements), tables=tables) == []


class _Sharded:
    """Every table is distributed by x, with a key of x and id."""

    def name(self, relation: Any) -> TableName:
        return TableName(relation.schemaname or "public", relation.relname)

    def kind(self, table: TableName) -> Any:
        return Kind.DISTRIBUTED

    def columns(self, table: TableName) -> tuple[str, ...]:
        return ("x", "id", "note")

    def primary_key(self, table: TableName) -> tuple[str, ...]:
        return ("x", "id")

    def distribution_column(self, table: TableName) -> str:
        return "x"

    def is_pending(self, table: TableName) -> bool:
        return False

    def constraint(self, table: TableName, name: str) -> tuple[str, str, str | None]:
        return ("c", "CHECK (id > 0)", "it's") if name == "c" else ("p", "", None)

    def free_name(self, table: TableName, columns: str, suffix: str) -> str:
        return default_name(table.name, columns, suffix)


def steps(statement: str) -> list[str] | None:
    """Return what a statement is rewritten to."""
    node = postgast.parse(statement).stmts[0].stmt
    kind = node.WhichOneof("node")
    said = rewritten(kind, getattr(node, kind), _Sharded()) or computed_first(kind, getattr(node, kind), _Sharded())
    return None if said is None else [str(step) for step in said]


def test_constraints_come_last_and_have_the_names_of_postgresql() -> None:
    """A check on one column is named after it, one on several after the table, the second of a name gets a number."""
    assert steps(
        "alter table t add check (a > 0), add column a int not null check (a > 1) check (a > id) unique deferrable, drop note"
    ) == [
        "ALTER TABLE t DROP note",
        "ALTER TABLE t ADD COLUMN a int NOT NULL",
        "ALTER TABLE t ADD CONSTRAINT t_a_check CHECK (a > 1)",
        "ALTER TABLE t ADD CONSTRAINT t_check CHECK (a > id)",
        "ALTER TABLE t ADD CONSTRAINT t_a_key UNIQUE (a) DEFERRABLE",
        "ALTER TABLE t ADD CONSTRAINT t_a_check1 CHECK (a > 0)",
    ]


def test_keys_get_the_distribution_column_in_front() -> None:
    """As when the table was sharded; where they have it, they stay."""
    assert steps("alter table t add primary key (id)") == ["ALTER TABLE t ADD CONSTRAINT t_pkey PRIMARY KEY (x, id)"]
    assert steps("alter table t add foreign key (o) references u") == [
        "ALTER TABLE t ADD CONSTRAINT t_o_fkey FOREIGN KEY (x, o) REFERENCES u (x, id)"
    ]
    assert steps("alter table t add foreign key (x, o) references u (x, id) on delete cascade") == [
        "ALTER TABLE t ADD CONSTRAINT t_x_o_fkey FOREIGN KEY (x, o) REFERENCES u (x, id) ON DELETE CASCADE"
    ]


def test_odd_names_stay_what_they_are() -> None:
    """Quotes and capitals come through every form."""
    assert steps('alter table "T" rename constraint c to "it\'s ""new"""') == [
        'alter table "public"."T" drop constraint "c"',
        'alter table "public"."T" add constraint "it\'s ""new""" CHECK (id > 0)',
        'comment on constraint "it\'s ""new""" on "public"."T" is \'it\'\'s\'',
    ]
    assert steps('update "T" as "A" set note = random() where "A".id > 1') == [
        'lock table "public"."T" in share row exclusive mode',
        (
            'WITH _new AS MATERIALIZED (SELECT "A".x AS _k0, "A".id AS _k1, random() AS _v0 FROM "T" "A" WHERE "A".id > 1) '
            'UPDATE "T" "A" SET note = _new._v0 FROM _new WHERE "A".x = _new._k0 AND "A".id = _new._k1'
        ),
    ]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=15))
def test_names_and_constants_mean_what_they_were_made_of(text: str) -> None:
    """PostgreSQL's grammar reads back any name, and any text, whatever quotes and backslashes are in it."""
    made = compose("select {text} as {name}", text=quote_literal(text), name=text)
    (target,) = postgast.parse(made).stmts[0].stmt.select_stmt.target_list
    assert (target.res_target.val.a_const.sval.sval, target.res_target.name) == (text, text)


@pytest.mark.parametrize(
    "statement",
    [
        "update t set id = random()",
        "update t set note = random() returning id",
        "with a as (select 1) update t set note = random() from a",
        "update t set (note, y) = (select 1, 2)",
        "delete from t where ctid in (select min(ctid) from t)",
        "alter table t add column y int default 1",
        "alter table t alter column note set not null, drop column id",
    ],
)
def test_what_would_not_be_the_same_is_left(statement: str) -> None:
    """No other form is made of what it would change, or of what Citus takes as it is."""
    assert steps(statement) is None


def test_names_are_cut_as_postgresql_cuts_them() -> None:
    """The longer of table and columns first, down to 63 bytes with what follows."""
    assert default_name("t" * 60, "c", "check") == "t" * 55 + "_c_check"
    assert default_name("t" * 40, "c" * 40, "fkey") == "t" * 29 + "_" + "c" * 28 + "_fkey"


def test_a_renamed_distribution_column_is_the_same_one() -> None:
    """The plan knows its earlier names, but for one that another column has now; the provider then rewrites nothing."""
    tables = {"t": {"distributeBy": "z"}, "kind": {"reference": True}}
    renames = "alter table t rename column x to y; alter table t rename y to z"

    def former_columns(text: str) -> tuple[str, ...]:
        declared = (it.declaration for it in plan(("2.sql", text), tables=tables).tables)
        (table,) = (it for it in declared if isinstance(it, DistributedDeclaration))
        return table.former_columns

    assert former_columns(renames) == ("x", "y")
    assert former_columns(f"{renames}; alter table t add column x int") == ("y",)
    wire = {"schema": "public", "name": "t"}
    olds = {"table": wire, "distribution_column": "x", "shard_count": 4.0}
    news = {**olds, "distribution_column": "z", "former_columns": ["x", "y"]}
    provider = DistributedTableProvider()
    assert provider.check(olds, news).failures == []
    assert provider.diff("", olds, news).changes
    (failure,) = provider.check(olds, {**news, "former_columns": ["y"]}).failures
    assert "is distributed by x, but is declared as distributed by z" in failure.reason


def test_a_state_tells_what_stands() -> None:
    """Files that were applied and tables as they were left; what is pending or being deleted is not there."""
    kind = "pulumi-python:dynamic/citus:"
    table = {"schema": "public", "name": "t"}
    resources: list[dict[str, Any]] = [
        {"type": f"{kind}SchemaScript", "id": "1.sql", "inputs": {}},
        {"type": f"{kind}SchemaScript", "inputs": {"file_name": "2.sql"}},
        {"type": f"{kind}DistributedTable", "id": "public.t", "outputs": {"table": table, "distribution_column": "x"}},
        {
            "type": f"{kind}ReferenceTable",
            "id": "public.u",
            "delete": True,
            "outputs": {"table": {**table, "name": "u"}},
        },
        {"type": "pulumi:pulumi:Stack"},
    ]
    assert standing_of(resources) == Standing({"1.sql"}, {TableName("public", "t"): Distributed("x")})
    assert standing_of(resources[1:]) is None


@pytest.mark.parametrize(("version", "errors"), [("12.1-1", 1), ("13.0.4", 1), ("13.1-1", 0), ("13.2-1", 0), ("", 1)])
def test_what_a_later_release_takes_is_judged_by_the_servers(version: str, errors: int) -> None:
    """Privileges on columns go through from Citus 13.1 on; a version that is not known is taken for the oldest."""
    file = ("2.sql", "grant select (kind) on t to public")
    assert len(found(file, server=KnownServer(citus=parse_release(version)))) == errors


def test_a_partition_is_not_detached_concurrently() -> None:
    """Citus detaches a sharded one in a transaction alone; one of a local table is PostgreSQL's own."""
    mark = "-- citus: no transaction\n"
    detach = "alter table t detach partition t1 concurrently"
    assert found(("2.sql", f"{mark}{detach}")) == ["2.sql:2:1 later-alter"]
    local = "create table p (x int) partition by range (x); create table p1 partition of p for values from (1) to (2);"
    assert found(("2.sql", f"{mark}{local}alter table p detach partition p1 concurrently")) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("drop table t", "citus:tables.t: 2.sql:1:1 drops this table: remove it from the settings, in the same update"),
        ("alter table t rename to u", "citus:tables.t: a file has given this table another name: name citus:tables.u"),
        ("alter table t rename to u; alter table u rename to v", "name citus:tables.v; no row moves"),
        ("create schema s; alter table t set schema s; alter schema s rename to a", "name citus:tables.a.t"),
        (
            "alter table t rename column x to y",
            "distributeBy = x: 1.sql:2:1: a file has given this column another name",
        ),
    ],
)
def test_settings_that_a_file_leaves_behind_are_told_the_way(text: str, told: str) -> None:
    """A table or a column that a later file drops or renames: the error says what became of it."""
    errors = "\n".join(map(str, plan(("2.sql", text)).errors))
    assert told in errors


def test_a_schema_that_is_renamed_keeps_its_tables_sharded() -> None:
    """Settings with the new name are those of the same tables."""
    renamed = ("2.sql", "create schema s; alter table t set schema s; alter schema s rename to a; drop table l")
    assert found(renamed, tables={"a.t": {"distributeBy": "x"}, "kind": {"reference": True}}) == []
