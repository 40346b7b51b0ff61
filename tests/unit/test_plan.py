"""The sharding plan: what Citus would refuse is refused at preview, and the tables come in an order that works."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from components.errors import PlanError
from components.names import TableName
from components.plan.plan import ShardingPlan
from components.plan.rules import RULES, SUBJECTS
from components.schema.files import Schema
from components.schema.needs import KnownServer
from components.schema.statements import SqlFile
from components.settings import Settings
from components.tables import Distributed, DistributedDeclaration, Reference
from tests.corpus import cases

ROOT = Path(__file__).parents[2]
REFERENCE = {"reference": True}

Declared = dict[str, Any]


NOTHING = Settings.parse({"password": "x"}, stack="test")
"""Settings that shard no table."""


def by(column: str, **options: Any) -> Declared:
    """Declare a table distributed by a column."""
    return {"distributeBy": column, **options}


def plan(sql: str, tables: Declared) -> ShardingPlan:
    """Make the plan of a schema of one file, 1.sql."""
    schema = Schema([SqlFile("1.sql", sql)])
    assert schema.problems == []
    settings = Settings.parse({"password": "x", "tables": json.dumps(tables)}, stack="test")
    return ShardingPlan.make(schema, settings)


def draft(sql: str, tables: Declared) -> ShardingPlan:
    """Make the plan with whatever speaks against it."""
    schema = Schema([SqlFile("1.sql", sql)])
    assert schema.problems == []
    settings = Settings.parse({"password": "x", "tables": json.dumps(tables)}, stack="test")
    return ShardingPlan.draft(schema, settings)


def findings(sql: str, tables: Declared) -> list[str]:
    """Return all that speaks against the plan."""
    with pytest.raises(PlanError) as caught:
        plan(sql, tables)
    return str(caught.value).splitlines()


def order(sql: str, tables: Declared) -> list[str]:
    """Return the tables in the order of the plan."""
    return [str(table.name) for table in plan(sql, tables).tables]


def test_the_demonstrations_schema_fits_its_settings() -> None:
    """The retail schema with the settings of Pulumi.dev.yaml makes a plan, reference tables first, parents before children."""
    tables = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text("utf-8"))["config"]["citus:tables"]
    settings = Settings.parse({"password": "x", "tables": json.dumps(tables)}, stack="dev")
    made = ShardingPlan.make(Schema.read(ROOT / settings.schema_dir), settings)
    assert [(str(table.name), table.distribution_column) for table in made.tables] == [
        ("cupon", None),
        ("metodo_pago", None),
        ("sucursal", "id_pais"),
        ("producto", "id_pais"),
        ("venta", "id_pais"),
        ("detalle_venta", "id_pais"),
    ]
    assert [file.name for file in made.files] == sorted(path.name for path in (ROOT / "sql/schema").glob("*.sql"))


def test_nothing_declared_is_an_empty_plan() -> None:
    """A schema without settings stays local, and its files still run."""
    made = plan("create table a (x int)", {})
    assert made.tables == ()
    assert [file.name for file in made.files] == ["1.sql"]


def test_a_planned_table_carries_what_was_declared() -> None:
    """Column, colocation, key and related tables reach the plan in the catalogue's spelling."""
    made = plan(
        'create table "P" ("K" int, id int primary key); create table r (x int primary key); '
        'create table c ("K" int, n int primary key references "P", r int references r)',
        {'"P"': by('"K"'), "c": by('"K"', colocateWith='"P"', primaryKey=["N", '"K"']), "r": REFERENCE},
    )
    reference, parent, child = made.tables
    p, c, r = TableName("public", "P"), TableName("public", "c"), TableName("public", "r")
    assert (reference.name, reference.declaration.sharding) == (r, Reference())
    assert (reference.related, reference.after) == ((c,), ())
    assert isinstance(parent.declaration, DistributedDeclaration)
    assert (parent.name, parent.declaration.sharding) == (p, Distributed("K"))
    assert (parent.colocate_with, parent.declaration.primary_key) == (None, None)
    assert (parent.related, parent.after) == ((c,), ())
    assert isinstance(child.declaration, DistributedDeclaration)
    assert (child.distribution_column, child.colocate_with, child.declaration.primary_key) == ("K", p, ("n", "K"))
    assert (child.related, child.after) == ((p, r), (p, r))


def test_a_declared_primary_key_needs_one_in_the_files() -> None:
    """There is nothing to rewrite in a table without a key, so the setting is void, which a person should know."""
    made = plan("create table a (k int not null, n int)", {"a": by("k", primaryKey=["k", "n"])})
    (warning,) = made.warnings
    assert str(warning).startswith(
        "citus:tables.a.primaryKey: 1.sql:1:1: the table has no primary key to rewrite: remove the setting"
    )


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            {"vneta": REFERENCE},
            (
                "citus:tables.vneta: no SQL file of citus:schemaDir creates this table (did you mean venta?): add the file, or "
                "remove the table from the settings"
            ),
        ),
        (
            {'"Venta"': REFERENCE},
            'citus:tables."Venta": no SQL file of citus:schemaDir creates this table (did you mean venta?)',
        ),
        (
            {"app.venta": REFERENCE},
            "citus:tables.app.venta: no SQL file of citus:schemaDir creates this table (did you mean",
        ),
        ({"zzz": REFERENCE}, "citus:tables.zzz: no SQL file of citus:schemaDir creates this table: add the file"),
        (
            {"venta": by("id_pias")},
            (
                "citus:tables.venta.distributeBy = id_pias: 1.sql:1:1: the table has no such column (did you mean id_pais?): "
                'name one of id_pais, "ID", total'
            ),
        ),
        (
            {"venta": by("id")},
            "citus:tables.venta.distributeBy = id: 1.sql:1:1: the table has no such column (did you mean",
        ),
        (
            {"venta": by("id_pais", primaryKey=["id_pais", "zzz"])},
            "citus:tables.venta.primaryKey = zzz: 1.sql:1:1: the table has no such column: name one of id_pais",
        ),
        (
            {"venta": by("id_pais", colocateWith="otra")},
            "citus:tables.venta.colocateWith = otra: the settings do not distribute that table: add it to citus:tables",
        ),
        (
            {"venta": by("id_pais", colocateWith="linae"), "linea": by("id_pais")},
            "citus:tables.venta.colocateWith = linae: the settings do not distribute that table (did you mean linea?)",
        ),
        (
            {"venta": by("id_pais", colocateWith="linea"), "linea": REFERENCE},
            "citus:tables.venta.colocateWith = linea: that is a reference table, which is not split into shards: remove",
        ),
        (
            {"venta": by("id_pais", colocateWith="venta")},
            "citus:tables.venta.colocateWith = venta: a cycle (venta → venta): remove colocateWith from one",
        ),
    ],
)
def test_a_name_that_leads_nowhere_is_found(tables: Declared, message: str) -> None:
    """A table or column that is not there is named by its setting, with a near one if any, and the remedy."""
    sql = 'create table venta (id_pais int, "ID" int, total int); create table linea (id_pais int)'
    (found,) = findings(sql, tables)
    assert found.startswith(message)


def test_a_cycle_of_colocation_is_found_at_each_of_its_tables() -> None:
    """Tables that wait for each other's group are named with the whole cycle; one that merely leads into it is not."""
    sql = "create table a (x int); create table b (x int); create table c (x int)"
    tables = {"a": by("x", colocateWith="b"), "b": by("x", colocateWith="c"), "c": by("x", colocateWith="b")}
    found = findings(sql, tables)
    assert [line.split(": ")[1] for line in found] == ["a cycle (b → c → b)", "a cycle (c → b → c)"]


def test_columns_that_the_files_do_not_tell_are_not_checked() -> None:
    """A table made by a query may be distributed by any column: the database will know."""
    assert order("create table a as select 1 as x", {"a": by("x", primaryKey=["x", "y"])}) == ["a"]


# --- tables and their own keys ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "tables", "message"),
    [
        (
            "\ncreate temp table a (x int)",
            {"a": by("x")},
            "1.sql:2:1: a is a temporary table, which cannot be sharded: create it without TEMPORARY",
        ),
        ("create temp table a (x int)", {"a": REFERENCE}, "1.sql:1:1: a is a temporary table"),
        (
            "create table a (x int generated always as (1) stored)",
            {"a": by("x")},
            "1.sql:1:1: a cannot be distributed by x: its value is generated: name a plain column",
        ),
        (
            "create table a (x int, y int);\ncreate unique index on a (y)",
            {"a": by("x")},
            (
                "1.sql:2:1: a: this unique index (y) lacks the distribution column x, so no worker could check it alone: make it "
                "(x, y), or remove it"
            ),
        ),
        (
            "create table a (x int, y int unique)",
            {"a": by("x")},
            "1.sql:1:30: a: this unique (y) lacks the distribution column x",
        ),
        (
            "create table a (x int, y int, z int, unique (y, z))",
            {"a": by("x")},
            "1.sql:1:38: a: this unique (y, z) lacks the distribution column x",
        ),
        (
            "create table a (x int, y int, exclude using gist (y with &&))",
            {"a": by("x")},
            "1.sql:1:31: a: this exclude (y) lacks the distribution column x",
        ),
        (
            "create table a (x text); create unique index on a (lower(x))",
            {"a": by("x")},
            "1.sql:1:26: a: this unique index (lower(x)) lacks the distribution column x",
        ),
        (
            "create table a (x int);\ncreate table b (y bigint)",
            {"a": by("x"), "b": by("y", colocateWith="a")},
            (
                "citus:tables.b.colocateWith = a: y is int8, but a.x is int4: colocated tables need one type: alter table a "
                "alter column x type bigint"
            ),
        ),
        (
            "create table a (x int) partition by hash (x); create table p partition of a default",
            {"a": by("x"), "p": REFERENCE},
            "1.sql:1:47: p is a partition of a and sharded with it: remove it from citus:tables",
        ),
        (
            "create table a (x int) partition by hash (x); create table p partition of a default",
            {"p": by("x")},
            "1.sql:1:47: p is a partition of a and sharded with it: remove it from citus:tables",
        ),
        (
            "create table a (x int) partition by hash (x)",
            {"a": REFERENCE},
            "1.sql:1:1: a is partitioned, and Citus cannot replicate a partitioned table: distribute it instead",
        ),
    ],
)
def test_a_table_that_citus_would_refuse_is_found(sql: str, tables: Declared, message: str) -> None:
    """What cannot be sharded as declared is found where it stands, with the reason and the remedy."""
    (found,) = findings(sql, tables)
    assert found.startswith(message)


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("create table a (x int primary key, y int)", {"a": by("y")}),
        ("create table a (x int, y int unique)", {"a": REFERENCE}),
        ("create table a (x int, y int, unique (y, x))", {"a": by("x")}),
        ("create table a (x int unique)", {"a": by("x")}),
        ("create table a (x int, y int); create unique index u on a (y); drop index u", {"a": by("x")}),
        ("create table a (x int, y int unique); alter table a drop constraint a_y_key", {"a": by("x")}),
        ("create table a (x int generated always as identity)", {"a": by("x")}),
        ("create table a (x int, g int generated always as (1) stored)", {"a": by("x")}),
        ("create table a (x int generated always as (1) stored)", {"a": REFERENCE}),
        ("create table a (x serial); create table b (x int)", {"a": by("x"), "b": by("x", colocateWith="a")}),
        ("create table a (x varchar(2)); create table b (x varchar)", {"a": by("x"), "b": by("x", colocateWith="a")}),
        ("create table a (x int); create table b (x text)", {"a": by("x"), "b": by("x")}),
        ("create table a (x int); create table b (x text)", {"a": by("x"), "b": REFERENCE}),
        (
            "create table a (x int) partition by hash (x); create table p partition of a default",
            {"a": by("x")},
        ),
        (
            "create table a (x int) partition by hash (x); create table p partition of a default",
            {"a": by("x"), "p": by("x")},
        ),
        ("create unlogged table a (x int)", {"a": by("x")}),
        ("create table a as select 1 as x; create table b (x int)", {"a": by("x"), "b": by("x", colocateWith="a")}),
    ],
)
def test_a_table_that_citus_takes_makes_a_plan(sql: str, tables: Declared) -> None:
    """Nothing is found where Citus, after the primary key is rewritten, has nothing to refuse."""
    assert sorted(order(sql, tables)) == sorted(tables)


# --- foreign keys ----------------------------------------------------------------------------------------------------

PARENT = "create table p (x int, id int, primary key (x, id));\n"
PARENT_BY_ID = "create table p (x int, id int primary key);\n"
CHILD = "create table c (x int, id int, foreign key (x, id) references p{})"
CHILD_BY_ID = "create table c (x int, id int references p{})"
COLOCATED = {"p": by("x"), "c": by("x", colocateWith="p")}


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            {"c": by("x")},
            (
                "c is distributed, but p stays on the coordinator: make it a reference table (citus:tables.p: "
                "{reference: true}), or distribute it too"
            ),
        ),
        ({"c": REFERENCE, "p": by("x")}, "a reference table cannot reference a distributed table: distribute c too"),
        (
            {"c": by("x"), "p": by("x")},
            (
                "the two are not colocated, so no worker could check it alone: citus:tables.c.colocateWith: p, or remove the "
                "foreign key"
            ),
        ),
        (
            {"c": by("id", colocateWith="p"), "p": by("x")},
            "it pairs a distribution column with another column, but must pair id with x: pair id with x",
        ),
    ],
)
@pytest.mark.parametrize(
    "sql", [PARENT + CHILD.format(""), PARENT + CHILD.format(" (x, id)")], ids=["implicit", "explicit"]
)
def test_a_foreign_key_that_no_node_could_check_is_found(sql: str, tables: Declared, message: str) -> None:
    """A foreign key in a direction that Citus refuses is found where it stands, with the way to keep it."""
    (found,) = findings(sql, tables)
    assert found.startswith(f"1.sql:2:32: c (x, id) → p: {message}")


@pytest.mark.parametrize(
    "tables",
    [
        {},
        {"p": REFERENCE},
        {"c": REFERENCE, "p": REFERENCE},
        {"c": by("x"), "p": REFERENCE},
        {"c": by("id"), "p": REFERENCE},
        {"c": by("x", colocateWith="p"), "p": by("x")},
        {"c": by("x"), "p": by("x", colocateWith="c")},
    ],
)
@pytest.mark.parametrize("sql", [PARENT + CHILD.format(""), PARENT_BY_ID + CHILD_BY_ID.format(" (id)")])
def test_a_foreign_key_that_a_node_can_check_makes_a_plan(sql: str, tables: Declared) -> None:
    """Local to local or reference, anything to reference, and colocated to colocated are all let through."""
    assert sorted(order(sql, tables)) == sorted(tables)


def test_colocation_by_way_of_a_third_table_is_colocation() -> None:
    """Two tables that join the group of a third may reference each other."""
    sql = PARENT + CHILD.format("") + "; create table g (x int)"
    assert order(sql, {"p": by("x", colocateWith="g"), "c": by("x", colocateWith="g"), "g": by("x")}) == ["g", "p", "c"]


@pytest.mark.parametrize(
    ("actions", "refused"),
    [
        ("", []),
        (" on delete cascade", []),
        (" on delete restrict on update restrict", []),
        (" on delete no action on update no action", []),
        (" on delete set null", ["ON DELETE SET NULL"]),
        (" on delete set default", ["ON DELETE SET DEFAULT"]),
        (" on update set null", ["ON UPDATE SET NULL"]),
        (" on update set default", ["ON UPDATE SET DEFAULT"]),
        (" on update cascade", ["ON UPDATE CASCADE"]),
        (" on delete set null on update cascade", ["ON DELETE SET NULL", "ON UPDATE CASCADE"]),
    ],
)
@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        (PARENT + CHILD, COLOCATED),
        (PARENT_BY_ID + CHILD_BY_ID, COLOCATED),
        (PARENT + CHILD, {"p": REFERENCE, "c": by("x")}),
    ],
    ids=["colocated", "colocated, the column added", "reference, by the key's own column"],
)
def test_an_action_that_would_change_the_distribution_column_is_found(
    sql: str, tables: Declared, actions: str, refused: list[str]
) -> None:
    """Once the distribution column is in a foreign key, no action may set it; each that would is a finding."""
    if not refused:
        assert len(order(sql.format(actions), tables)) == 2
        return
    found = findings(sql.format(actions), tables)
    assert [line.split(": ")[2].split(" would")[0] for line in found] == refused
    added = r"alter table c add constraint \w+ foreign key \([a-z, ]+\) references p( \([a-z, ]+\))?$"
    remedy = rf": use ON (DELETE CASCADE or|UPDATE) NO ACTION: alter table c drop constraint \w+; {added}"
    assert all(re.search(remedy, line) for line in found)


def test_an_action_on_other_columns_is_let_through() -> None:
    """A foreign key to a reference table, without the distribution column in it, may set its columns to anything."""
    sql = PARENT_BY_ID + CHILD_BY_ID.format(" on delete set null on update cascade")
    assert order(sql, {"p": REFERENCE, "c": by("x")}) == ["p", "c"]


def test_a_table_may_reference_itself() -> None:
    """A foreign key within a table is checked like one between two colocated tables."""
    sql = "create table a (x int, id int primary key, boss int references a{})"
    assert order(sql.format(""), {"a": by("x")}) == ["a"]
    assert order(sql.format(" on delete set null"), {"a": REFERENCE}) == ["a"]
    assert "ON DELETE SET NULL" in findings(sql.format(" on delete set null"), {"a": by("x")})[0]
    assert "must pair id with id" in findings(sql.format(""), {"a": by("id")})[0]


def test_a_foreign_key_to_an_unknown_table_is_left_to_the_database() -> None:
    """What no file creates cannot be judged: PostgreSQL refuses it, if it is wrong."""
    assert order("create table a (x int references elsewhere)", {"a": by("x")}) == ["a"]


def test_all_findings_come_together() -> None:
    """A person sees everything that speaks against the plan at once, a line each."""
    sql = (
        "create temp table t (x int);\n"
        "create table a (x int, y int unique, z int references b);\n"
        "create table b (z int primary key)"
    )
    found = findings(sql, {"t": by("x"), "a": by("x")})
    assert [line.split(": ")[0] for line in found] == ["1.sql:2:1", "1.sql:1:1", "1.sql:2:30", "1.sql:2:44"]


# --- rules -----------------------------------------------------------------------------------------------------------

RANGE = "partition by range (d); create table p_1 partition of p for values from (1) to (2)"
TRIGGER = "create function f() returns trigger language plpgsql as 'begin return new; end';"
LONG = "t" * 70
R = "create table r (id int primary key);"
T = "create table t (x int not null, id int primary key);"
GROUP = {"t": by("x"), "c": by("x", colocateWith="t")}

RULE_CASES: list[tuple[str, str, Declared, str]] = [
    ("created-before", "create table t (x int); create table t (y int)", {}, "t is created before, in 1.sql:1:1"),
    ("created-later", "create index on t (x); create table t (x int)", {}, "move this one behind that"),
    (
        "created-later",
        "create view v as select * from t; create table t (x int)",
        {},
        "t is created later, in 1.sql:1:35",
    ),
    ("created-later", "create table c (t int references t); " + T, {}, "t is created later"),
    (
        "dropped-before",
        "create table t (x int); drop table t; alter table t add y int",
        {},
        "t is dropped before, in 1.sql:1:25",
    ),
    (
        "replaced-view",
        T + "create view v as select 1 as id, 2 as x; create or replace view v as select id, x from t group by id",
        {"t": REFERENCE},
        "drop view v",
    ),
    (
        "missing-role",
        T + "alter table t owner to app; grant select on t to app",
        {},
        "so that 2 owners, grants or policies of 1.sql are left out",
    ),
    ("missing-role", T + "create policy p on t to reader using (true)", {}, "create role reader"),
    ("unknown-table", "", {"t": REFERENCE}, "add the file"),
    ("not-a-table", "create view v as select 1", {"v": REFERENCE}, "v is a view, which cannot be sharded"),
    ("not-a-table", "create materialized view v as select 1", {"v": REFERENCE}, "v is a materialized view"),
    ("not-a-table", "create foreign table v (x int) server s", {"v": REFERENCE}, "v is a foreign table"),
    ("unknown-column", "create table t (x int)", {"t": by("y")}, "name one of x"),
    ("colocate-unknown", "create table t (x int)", {"t": by("x", colocateWith="u")}, "add it to citus:tables"),
    ("colocate-reference", R + T, {"t": by("x", colocateWith="r"), "r": REFERENCE}, "remove colocateWith"),
    ("colocate-cycle", T, {"t": by("x", colocateWith="t")}, "a cycle (t → t)"),
    ("temporary-table", "create temp table t (x int)", {"t": by("x")}, "create it without TEMPORARY"),
    ("partition", f"create table p (d int) {RANGE}", {"p_1": by("d")}, "name p there"),
    ("partition", f"create table p (d int, x int) {RANGE}", {"p": by("d"), "p_1": by("x")}, "sharded with it"),
    (
        "partition",
        f"create table p (d int) {RANGE}; create table t (d int)",
        {"p": by("d"), "t": by("d"), "p_1": by("d", colocateWith="t")},
        "sharded with it",
    ),
    ("partitioned-reference", f"create table p (d int) {RANGE}", {"p": REFERENCE}, "distribute it instead"),
    (
        "partition-levels",
        f"create table p (d int) {RANGE} partition by hash (d)",
        {"p": by("d")},
        "p_1 is a partition of p",
    ),
    ("inheritance", "create table t (x int); create table u () inherits (t)", {"u": by("x")}, "u no inherit t"),
    ("inheritance", "create table t (x int); create table u () inherits (t)", {"t": by("x")}, "u no inherit t"),
    (
        "inheritance",
        "create table t (x int); create table u (x int); alter table u inherit t",
        {"t": REFERENCE},
        "u inherits",
    ),
    (
        "inheritance",
        R + "create table l (r int references r); create table m () inherits (l)",
        {"r": REFERENCE},
        "foreign keys connect it to a reference table",
    ),
    (
        "trigger",
        TRIGGER + "create table t (x int); create trigger g before insert on t execute function f()",
        {"t": REFERENCE},
        "drop trigger g on t",
    ),
    (
        "trigger",
        TRIGGER + f"create table p (d int) {RANGE}; create trigger g before insert on p_1 execute function f()",
        {"p": by("d")},
        "drop trigger g on p_1",
    ),
    (
        "policy-subquery",
        "create table t (x int); create policy o on t using (x in (select 1))",
        {"t": by("x")},
        "drop policy o",
    ),
    (
        "policy-subquery",
        "create table t (x int); create policy o on t with check (exists (select 1))",
        {"t": REFERENCE},
        "drop policy o on t",
    ),
    (
        "unsupported-type",
        "create type s as range (subtype = float8); create domain d as s; create table t (x int, s d[])",
        {"t": by("x")},
        "t: the column s has the type d[], a range type",
    ),
    ("unsupported-type", "create table u (x int); create table t (x int, u u)", {"t": by("x")}, "shard u too"),
    (
        "generated-column",
        "create table t (x int generated always as (1) stored)",
        {"t": by("x")},
        "name a plain column",
    ),
    ("no-hash", "create table t (x json)", {"t": by("x")}, "alter table t alter column x type jsonb"),
    ("no-hash", "create domain d as point; create table t (x d)", {"t": by("x")}, "values of type d have no hash"),
    ("negative-scale", "create table t (x numeric(5, -2))", {"t": by("x")}, "type numeric"),
    (
        "nondeterministic-collation",
        "create collation n (provider = icu, locale = 'und', deterministic = false); create table t (x text collate n)",
        {"t": by("x")},
        "its collation n is not deterministic",
    ),
    ("colocated-type", T + "create table c (x bigint)", GROUP, "alter table t alter column x type bigint"),
    (
        "colocated-type",
        "create schema s; create type e as enum (); create type s.e as enum (); create table t (x e); create table c (x s.e)",
        GROUP,
        "x is s.e, but t.x is e",
    ),
    (
        "colocated-collation",
        'create table t (x text collate "C"); create table c (x text)',
        GROUP,
        "x has the database's collation, but t.x has the collation C",
    ),
    (
        "unique-key",
        "create table t (x int, y int unique)",
        {"t": by("x")},
        "alter table t drop constraint t_y_key, add constraint t_y_key unique (x, y)",
    ),
    (
        "unique-key",
        "create table t (x int, y int4range, exclude using gist (x with <>, y with &&))",
        {"t": by("x")},
        "write x with =",
    ),
    (
        "unique-key",
        f"create table p (d int, x int) {RANGE} ; alter table p_1 add primary key (d)",
        {"p": by("x")},
        "p_1: this",
    ),
    (
        "key-in-use",
        T + "create view v as select x, id from t group by id",
        {"t": by("x")},
        "the view v groups by the primary key of t",
    ),
    (
        "key-in-use",
        T + R + "create materialized view v as select a.x, max(r.id) from t a join r on a.id = r.id group by a.id",
        {"t": by("x")},
        "the materialized view v groups by the primary key of t",
    ),
    (
        "partitioned-key",
        f"create table p (d int, x int, primary key (d, x)) {RANGE}",
        {"p": by("x", primaryKey=["x"])},
        "primaryKey: [x, d]",
    ),
    (
        "sequence-type",
        "create sequence s; create table t (x int, a serial); create table c (x int, a bigint default nextval('t_a_seq'))",
        GROUP,
        "c: the sequence t_a_seq fills a, which is int8, and t.a, which is int4",
    ),
    (
        "sequence-range",
        "create sequence s start 3000000000; create table t (x int, a int default nextval('s'))",
        {"t": by("x")},
        "alter column a type bigint",
    ),
    (
        "foreign-key-to-local",
        R + "create table t (x int references r)",
        {"t": by("x")},
        "citus:tables.r: {reference: true}",
    ),
    (
        "foreign-key-to-distributed",
        T + "create table r (t int references t)",
        {"t": by("id"), "r": REFERENCE},
        "distribute r",
    ),
    (
        "foreign-key-to-distributed",
        R + T + "create table l (t int references t, r int references r)",
        {"t": by("id"), "r": REFERENCE},
        "l (t) → t: a local table that is connected to a reference table",
    ),
    (
        "foreign-key-colocation",
        T + "create table c (x int, t int references t)",
        {"t": by("x"), "c": by("x")},
        "citus:tables.c.colocateWith: t",
    ),
    ("foreign-key-pair", T + "create table c (x int references t)", GROUP, "must pair x with x"),
    (
        "foreign-key-action",
        T + "create table c (x int, t int references t on delete set null)",
        GROUP,
        "use ON DELETE CASCADE",
    ),
    (
        "foreign-key-default",
        R + "create table t (x int, r serial references r on delete set default)",
        {"t": by("x"), "r": REFERENCE},
        "SET DEFAULT would set r from a sequence",
    ),
    (
        "foreign-key-default",
        R + "create table l (r int generated by default as identity references r on update set default)",
        {"r": REFERENCE},
        "use another action",
    ),
    (
        "foreign-key-reference-action",
        R + "create table s (r int references r on delete cascade)",
        {"s": REFERENCE},
        "so ON DELETE could not reach the copies",
    ),
    (
        "foreign-key-target",
        T + "create table c (x int, t int references t)",
        {**GROUP, "t": by("x", primaryKey=["x"])},
        "it will reference (x, id), but the primary key of t becomes (x): citus:tables.t.primaryKey: [x, id]",
    ),
    ("foreign-key-target", T + "create table l (t int references t)", {"t": by("x")}, "distribute l too"),
    (
        "foreign-key-partition",
        R + f"create table p (d int, r int) {RANGE}; alter table p_1 add foreign key (r) references r",
        {"p": by("d"), "r": REFERENCE},
        "alter table p add foreign key (r) references r",
    ),
    (
        "foreign-key-partition",
        T + f"create table p (d int, x int) {RANGE}; alter table p_1 add foreign key (d) references t",
        {"t": by("x"), "p": by("x", colocateWith="t")},
        "a single partition's foreign key is not rewritten",
    ),
    ("name-cut", f"create table {LONG} (x int not null)", {LONG: by("x")}, "PostgreSQL keeps 63 bytes of a name"),
    (
        "partition-named",
        f"create table p (d int not null) {RANGE}",
        {"p": by("d"), "p_1": by("d")},
        "remove it from citus:tables",
    ),
    ("no-primary-key", "create table t (x int not null)", {"t": by("x", primaryKey=["x"])}, "remove the setting"),
    (
        "included-column",
        "create table t (x int not null, y int, unique (y) include (x))",
        {"t": by("x")},
        "can have the same value",
    ),
    ("unguarded-key", "create table t (x int not null, id serial primary key)", {"t": by("x")}, "becomes (x, id)"),
    (
        "nullable-column",
        "create table t (x int, id int primary key)",
        {"t": by("x")},
        "in the primary key it becomes NOT NULL",
    ),
    (
        "unsupported-object",
        "create operator === (leftarg = text, rightarg = text, function = texteq); "  # noqa: ISC004 - one text
        "create table t (x int not null, v text, check (v === v))",
        {"t": by("x")},
        "the operator === is in one of its expressions",
    ),
    (
        "managed-check",
        R
        + "create table l (d int not null, r int references r, constraint c check (d > 0)) partition by range (d); "
        + "create table l_1 partition of l for values from (1) to (2)",
        {"r": REFERENCE},
        "shard it too",
    ),
    (
        "identity-name",
        R + 'create table l ("ID" int generated always as identity, r int references r)',
        {"r": REFERENCE},
        "make it a serial column",
    ),
    (
        "circular-object",
        T + "create function f(t) returns int language sql immutable as 'select 1'; create index on t (f(t))",
        {"t": by("x")},
        "let the function take or return single columns",
    ),
    (
        "circular-object",
        T + "create function g() returns setof t language sql as 'select * from t'; create view v as select * from g()",
        {"t": REFERENCE},
        "drop view v",
    ),
    (
        "unsupported-object",
        "create table o (a int, b text); create table t (x int not null, v text default (row(1, 'x')::o).b)",
        {"t": by("x")},
        "shard o too",
    ),
    ("nullable-column", "create table t (x int)", {"t": by("x")}, "alter table t alter column x set not null"),
    ("few-values", "create table t (x bool not null)", {"t": by("x")}, "which has few values"),
    ("few-values", "create type e as enum (); create table t (x e not null)", {"t": by("x")}, "is an enum"),
    ("pattern-without-table", "create table log_a (x int)", {"lgo_*": REFERENCE}, "did you mean log_a?"),
    (
        "pattern-without-column",
        "create table t (tenant_id int not null)",
        {"*": by("tenantid")},
        "none of the 1 tables that it applies to has this column (did you mean tenant_id?)",
    ),
    (
        "pattern-tie",
        "create table a_b (x int not null)",
        {"a_*": REFERENCE, "*_b": by("x")},
        "a_b is matched by *_b and by a_*, and neither is nearer",
    ),
    ("pattern-unused", "create table t (x int)", {"*": REFERENCE, "t": REFERENCE}, "has a nearer line"),
    (
        "left-local",
        "create table t (x int not null); create table l (x int)",
        {"t": by("x")},
        "citus:tables.l: {distributeBy: x, colocateWith: t}",
    ),
    (
        "separate-groups",
        "create table t (x int not null); create table u (x int not null)",
        {"t": by("x"), "u": by("x")},
        "citus:tables.u.colocateWith: t",
    ),
    ("foreign-key-from-local", T + "create table l (t int references t)", {"t": by("id")}, "distribute l too"),
    (
        "needed-key",
        "create table t (x int not null, a int unique, b int references t (a)); alter table t drop constraint t_a_key",
        {"t": REFERENCE},
        "drop the foreign key before it (alter table t drop constraint t_b_fkey)",
    ),
    (
        "foreign-key-reference-to-local",
        R + "create table s (r int references r)",
        {"s": REFERENCE},
        "only there can the foreign key be checked",
    ),
    (
        "match-full",
        T + "create table c (x int not null, t int references t match full)",
        GROUP,
        "none of (t) may be NULL",
    ),
]


@pytest.mark.parametrize(
    ("slug", "sql", "tables", "text"), RULE_CASES, ids=[f"{number} {case[0]}" for number, case in enumerate(RULE_CASES)]
)
def test_a_rule_finds_what_it_tells(slug: str, sql: str, tables: Declared, text: str) -> None:
    """Each rule finds its case, alone, with its severity, its source, and a text that says what mends it."""
    made = draft(sql, tables)
    found = [finding for finding in made.findings if finding.severity == RULES[slug].severity]
    assert [finding.rule for finding in found] == [slug]
    assert text in str(found[0])
    assert (found[0].source, bool(found[0].message), bool(found[0].remedy)) == (RULES[slug].source, True, True)
    assert (found[0].line is None) == (found[0].column is None) == (not found[0].file)
    assert found[0].file or found[0].setting


@pytest.mark.parametrize(
    ("sql", "rules"),
    [
        ("create schema ventas; create role app login", ["declared-role"]),
        ("create schema ventas; create user app password 'x'", ["declared-role"]),
        ("create schema ventas; alter role app password 'x'", ["declared-role"]),
        ("create schema ventas; alter role app rename to other", ["declared-role"]),
        ("create schema ventas; drop role if exists other, app", ["declared-role"]),
        ("create schema ventas; alter role app set search_path = ventas", []),
        ("create schema ventas; create table t (x int); grant select on t to app", ["declared-role-grant"]),
        ("create schema ventas; grant pg_monitor to app", ["declared-role-grant"]),
        ("create schema ventas; alter default privileges grant select on tables to app", ["declared-role-grant"]),
        ("create schema ventas; create table t (x int); revoke select on t from app", []),
        ("create schema ventas; create table t (x int); create policy p on t to app", []),
        ("create schema ventas; create table t (x int); grant select on t to other", ["missing-role"]),
        ("create schema authorization ventas", ["missing-role"]),
        ("create schema old; alter schema old rename to ventas", []),
        ("create schema venta", ["role-schema"]),
    ],
)
def test_roles_of_the_settings_are_told_apart_from_those_of_files(sql: str, rules: list[str]) -> None:
    """A declared role is there for policies, no file makes or changes it, and its schemas have to be there."""
    declared = json.dumps({"app": {"password": "x", "write": ["ventas", "public"]}})
    settings = Settings.parse({"password": "x", "roles": declared}, stack="test")
    found = ShardingPlan.draft(Schema([SqlFile("1.sql", sql)]), settings).findings
    assert [it.rule for it in found] == rules
    assert all(it.severity == RULES[it.rule].severity and it.source == RULES[it.rule].source for it in found)


@pytest.mark.parametrize(
    "other",
    [
        "create table o (id int, kind text, primary key (id, kind)) partition by list (kind)",
        "create table o (id int not null, line text)",
        "create table o (id serial, other int references l)",
    ],
)
@pytest.mark.parametrize("key", ["id int primary key", "id int not null unique"])
def test_the_number_of_a_table_is_no_tie_to_others(key: str, other: str) -> None:
    """A column that is named as the key of a distributed table says nothing of it: no advice to distribute by that name."""
    local = "create table l (id int primary key)"
    assert [it.rule for it in draft(f"create table t ({key}); {local}; {other}", {"t": by("id")}).findings] == []


def test_a_column_named_as_in_the_other_tables_of_a_group_is_a_tie() -> None:
    """The root's own number is none, the column by which its followers name it is."""
    sql = T + "create table c (t_id int not null references t); create table l (id int primary key, t_id int, n int)"
    made = draft(sql, {"t": by("id"), "c": by("t_id", colocateWith="t")})
    assert [(it.rule, it.remedy) for it in made.findings] == [
        ("left-local", "citus:tables.l: {distributeBy: t_id, colocateWith: t}")
    ]


def test_every_rule_has_a_case() -> None:
    """No rule goes untested; those of later files are test_later's."""
    of_servers = {"newer-server", "missing-extension", "unsafe-trigger"}  # below
    of_roles = {"declared-role", "declared-role-grant", "role-schema"}  # below
    of_queries = {rule.slug for rule in SUBJECTS["Views, functions and policies"]}  # test_queries.py
    of_schemas = {rule.slug for rule in SUBJECTS["Distributed schemas"]} | {"foreign-key-of-schema"}  # test_schemas.py
    of_functions = {rule.slug for rule in SUBJECTS["Functions that run on workers"]}  # test_functions.py
    elsewhere = of_servers | of_roles | of_queries | of_schemas | of_functions
    tested = {slug for slug, *_ in RULE_CASES} | elsewhere
    assert tested == {slug for slug in RULES if not slug.startswith("later-")}


@pytest.mark.parametrize(
    ("sql", "version"),
    [
        ("create table b (r int, d int4range, unique (r, d without overlaps))", 18),
        ("create table b (p int, v int generated always as (p / 5) virtual)", 18),
        ("create table b (id uuid default uuidv7())", 18),
        ("create table b (a int, constraint n not null a)", 18),
        ("create table b (a int check (a > 0) not enforced)", 18),
        ("select * from json_table('[]', '$[*]' columns (a int path '$.a')) t", 17),
        ("create table b (a text storage plain)", 16),
        ("create table b (a int); create unique index on b (a) nulls not distinct", 15),
        ("create function f() returns int return 1", 14),
    ],
)
def test_what_a_server_is_too_old_for_is_an_error(sql: str, version: int) -> None:
    """The grammar takes the newest syntax; a server of an earlier version is named, one of that version takes it."""
    schema = Schema([SqlFile("1.sql", sql)])
    (found,) = ShardingPlan.draft(schema, NOTHING, server=KnownServer("the image x", version - 1)).errors
    assert found.rule == "newer-server"
    assert f"needs PostgreSQL {version}, and the image x has {version - 1} at most" in str(found)
    assert ShardingPlan.draft(schema, NOTHING, server=KnownServer("the image x", version)).findings == ()
    assert ShardingPlan.draft(schema, NOTHING).findings == ()


def test_triggers_are_a_warning_where_the_settings_let_them() -> None:
    """With unsafeTriggers, the trigger of a sharded table blocks no plan; the warning tells what it means."""
    schema = Schema(
        [SqlFile("1.sql", f"{TRIGGER} {T} create trigger g before insert on t for each row execute function f()")]
    )
    given = {"password": "x", "tables": json.dumps({"t": by("x")})}
    (refused,) = ShardingPlan.draft(schema, Settings.parse(given, stack="test")).errors
    (warned,) = ShardingPlan.draft(schema, Settings.parse({**given, "unsafeTriggers": "true"}, stack="test")).findings
    assert (refused.rule, warned.rule) == ("trigger", "unsafe-trigger")
    assert "fires on the workers" in str(warned)


def test_a_function_that_the_files_create_needs_no_newer_server() -> None:
    """Many write uuidv7() themselves, for servers that do not have it."""
    function = "create function uuidv7() returns uuid language sql as 'select gen_random_uuid()';"
    sql = function + "create table t (x uuid default uuidv7())"
    assert ShardingPlan.draft(Schema([SqlFile("1.sql", sql)]), NOTHING, server=KnownServer("it", 15)).findings == ()


def test_an_extension_that_the_server_lacks_is_an_error() -> None:
    """Each is named at its place; those that it has are none."""
    schema = Schema([SqlFile("1.sql", "create extension hstore;\ncreate extension if not exists postgis")])
    (found,) = ShardingPlan.draft(schema, NOTHING, server=KnownServer("the image x", 16, frozenset({"hstore"}))).errors
    assert (found.rule, found.line) == ("missing-extension", 2)
    assert "the extension postgis is not among those that the image x has" in str(found)


def test_a_role_that_is_there_or_that_the_files_create_is_no_finding() -> None:
    """A file that creates its roles, and one for a cluster that has them, keep owners and grants."""
    schema = Schema([SqlFile("1.sql", "create role a; " + T + "alter table t owner to a; grant select on t to b")])
    assert ShardingPlan.draft(schema, NOTHING, server=KnownServer("it", 16, roles=frozenset({"b"}))).findings == ()
    assert [str(it.rule) for it in ShardingPlan.draft(schema, NOTHING).findings] == ["missing-role"]


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        (T + "create table c (x int not null, t int references t)", GROUP),
        (T + "create view v as select id, max(x) from t group by id", {"t": by("x")}),
        (T + "create view v as select id, x from t group by id, x", {"t": by("x")}),
        (T + "create view v as select id, x from t group by id; drop view v", {"t": by("x")}),
        (f"create table p (d int not null, x int not null, unique (d, x)) {RANGE}", {"p": by("x")}),
        ("create table t (x int not null, id serial primary key)", {"t": by("x", primaryKey=["x", "id"])}),
        ("create table t (id int primary key); create table u (id int primary key)", {"t": by("id")}),
        ("create table t (id int primary key); create table u (id int primary key)", {"t": by("id"), "u": by("id")}),
        (R + "create table l (r int references r on delete set null)", {"r": REFERENCE}),
        (
            TRIGGER
            + R
            + "create table l (r int references r); create trigger g before insert on l execute function f()",
            {"r": REFERENCE},
        ),
        ("create table t (x int not null); create policy o on t using (x > 0)", {"t": by("x")}),
        ("create table t (x int not null, exclude using gist (x with =))", {"t": by("x")}),
        (
            "create table u (x int not null); create table t (x int not null, u u)",
            {"t": by("x", colocateWith="u"), "u": by("x")},
        ),
        (
            R + "create table p (d int not null, r int references r) " + RANGE,
            {"r": REFERENCE, "p": by("d")},
        ),
    ],
)
def test_nothing_is_found_where_nothing_hurts(sql: str, tables: Declared) -> None:
    """A plan that Citus takes and that serves its joins has neither errors nor warnings."""
    assert [str(finding) for finding in draft(sql, tables).findings] == []


def test_a_foreign_key_of_a_partition_that_citus_takes_is_let_through() -> None:
    """Where the referenced table comes first and the columns are paired, a partition may have a key of its own."""
    sql = (
        "create table t (x int primary key); create table p (d int, x int not null) " + RANGE + ";"
        "alter table p_1 add foreign key (x) references t"
    )
    assert order(sql, {"t": by("x"), "p": by("x", colocateWith="t")}) == ["t", "p"]
    (found,) = findings(sql, {"p": by("x"), "t": by("x", colocateWith="p")})
    assert "t is sharded after this partition" in found


def test_warnings_do_not_stop_a_plan_and_errors_come_first() -> None:
    """An error stops a plan, a warning does not; a draft has both, errors first, each in the order of the files."""
    made = plan("create table t (x int)", {"t": by("x")})
    assert [finding.rule for finding in made.warnings] == ["nullable-column"]
    made = draft("create table t (x int);\ncreate table u (x json)", {"t": by("x"), "u": by("x")})
    assert [(finding.rule, finding.line) for finding in made.findings] == [
        ("no-hash", 2),
        ("nullable-column", 1),
        ("nullable-column", 2),
    ]
    assert (len(made.errors), len(made.warnings)) == (1, 2)


def test_a_table_tells_what_becomes_of_its_keys() -> None:
    """The plan says how the primary key is rewritten, and in whose turn each foreign key is set aside and restored."""
    sql = R + T + "create table c (x int not null, t int references t, r int references r)"
    reference, parent, child = plan(sql, {**GROUP, "r": REFERENCE}).tables
    assert (reference.old_key, reference.new_key, reference.group) == (("id",), ("id",), None)
    assert (parent.old_key, parent.new_key, parent.group) == (("id",), ("x", "id"), parent.name)
    assert (child.old_key, child.group) == (None, parent.name)
    assert [key.name for key in reference.set_aside] == ["c_r_fkey"]
    assert [key.name for key in parent.set_aside] == ["c_t_fkey"]
    assert [[key.name for key in table.restored] for table in (reference, parent, child)] == [
        [],
        [],
        ["c_t_fkey", "c_r_fkey"],
    ]
    assert child.set_aside == ()


# --- order -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "tables", "expected"),
    [
        ("create table b (x int); create table a (x int)", {"b": by("x"), "a": by("x")}, ["a", "b"]),
        ("create table a (x int); create table z (x int)", {"a": by("x"), "z": REFERENCE}, ["z", "a"]),
        (
            "create table a (x int); create table z (x int)",
            {"a": by("x", colocateWith="z"), "z": by("x")},
            ["z", "a"],
        ),
        (
            "create table z (x int primary key); create table a (x int references z)",
            {"a": REFERENCE, "z": REFERENCE},
            ["z", "a"],
        ),
        (
            (
                "create table z (x int primary key); create table a (x int primary key references z);"
                "create table b (x int references a)"
            ),
            {"a": by("x", colocateWith="b"), "b": by("x"), "z": by("x", colocateWith="b")},
            ["b", "z", "a"],
        ),
        (
            (
                "create table a (x int primary key); create table b (x int primary key references a);"
                "alter table a add foreign key (x) references b"
            ),
            {"a": by("x"), "b": by("x", colocateWith="a")},
            ["a", "b"],
        ),
        (
            (
                "create table a (x int primary key); create table b (x int primary key references a);"
                "alter table a add foreign key (x) references b"
            ),
            {"a": REFERENCE, "b": REFERENCE},
            ["a", "b"],
        ),
    ],
    ids=[
        "by name",
        "references first",
        "group first",
        "parent first",
        "group before parent",
        "cycle",
        "reference cycle",
    ],
)
def test_tables_come_in_an_order_in_which_each_finds_what_it_needs(
    sql: str, tables: Declared, expected: list[str]
) -> None:
    """Reference tables, colocation targets and parents come first; a cycle of foreign keys is cut and does not hang."""
    assert order(sql, tables) == expected


def test_a_table_waits_only_for_tables_before_it() -> None:
    """Where a cycle of foreign keys is cut, the first table does not wait for the second, which would be a deadlock."""
    sql = (
        "create table a (x int primary key); create table b (x int primary key references a);"
        "alter table a add foreign key (x) references b"
    )
    first, second = plan(sql, {"a": by("x"), "b": by("x", colocateWith="a")}).tables
    assert (first.after, second.after) == ((), (first.name,))
    assert (first.related, second.related) == ((second.name,), (first.name,))


@given(data=st.data(), size=st.integers(1, 7))
def test_any_colocated_tables_are_planned_once_and_after_their_group(data: st.DataObject, size: int) -> None:
    """Whatever foreign keys tie tables of one group, cycles too, each is planned once, and after its colocation target."""
    names = [f"t{number}" for number in range(size)]
    edges = data.draw(st.sets(st.tuples(st.sampled_from(names), st.sampled_from(names)), max_size=12))
    targets = {
        name: data.draw(st.sampled_from(names[:number])) if number else None for number, name in enumerate(names)
    }
    shuffled = data.draw(st.permutations(names))
    sql = ";".join(
        [f"create table {name} (x int primary key)" for name in names]
        + [f"alter table {child} add foreign key (x) references {parent}" for child, parent in sorted(edges)]
    )
    made = plan(sql, {name: by("x", colocateWith=targets[name]) for name in shuffled})
    placed: list[str] = []
    for table in made.tables:
        assert {str(name) for name in table.after} <= set(placed)
        assert targets[str(table.name)] in (None, *placed)
        placed.append(str(table.name))
    assert sorted(placed) == names
    acyclic = all(child > parent for child, parent in edges)
    assert not acyclic or all(placed.index(parent) < placed.index(child) for child, parent in edges)


def test_the_order_does_not_depend_on_the_order_of_the_settings() -> None:
    """The same settings written in another order make the same plan, so that no update follows."""
    sql = "create table a (x int); create table b (x int); create table c (x int); create table d (x int)"
    tables = {"a": by("x"), "b": REFERENCE, "c": by("x", colocateWith="d"), "d": by("x")}
    assert plan(sql, tables) == plan(sql, dict(reversed(tables.items())))


# --- the corpus ------------------------------------------------------------------------------------------------------


def test_the_corpus_is_the_same_in_every_run_and_all_of_it_can_be_judged() -> None:
    """Its cases have names of their own and do not change; each gives a plan, right or wrong (test_corpus.py tells which)."""
    corpus = list(cases())
    assert corpus == list(cases())
    assert len({str(case) for case in corpus}) == len(corpus) >= 200
    refused = sum(bool(draft(case.sql, case.tables).errors) for case in corpus)
    assert len(corpus) / 4 < refused < len(corpus) * 3 / 4
