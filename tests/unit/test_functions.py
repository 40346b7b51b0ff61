"""Functions that run on the worker of a tenant: what the settings take, what the plan finds, and what is declared and said."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli.changes import Step, describe
from components.errors import SettingsError
from components.names import TableName
from components.plan.plan import ShardingPlan
from components.plan.rules import RULES
from components.schema.files import Schema
from components.schema.statements import SqlFile
from components.settings import Settings

TABLES = (
    "create schema z; create table v (pais int, id int, primary key (pais, id)); create table r (id int primary key); "
    "create table z.t (id int primary key); create table l (id int primary key); "
)
DECLARED = {"v": {"distributeBy": "pais"}, "r": {"reference": True}}
SELL = "create function sell(p int, i int default 1) returns int language plpgsql as 'begin return 1; end'"
BY = {"distributeBy": "p", "colocateWith": "v"}


def settings(**given: Any) -> Settings:
    """Read settings; those that are mappings are given as such."""
    return Settings.parse({"password": "x", **{name: json.dumps(value) for name, value in given.items()}}, stack="test")


def draft(sql: str, functions: dict[str, Any]) -> ShardingPlan:
    """Make the plan with whatever speaks against it."""
    schema = Schema([SqlFile("1.sql", TABLES + sql)])
    assert schema.problems == []
    return ShardingPlan.draft(schema, settings(tables=DECLARED, schemas={"z": {}}, functions=functions))


@pytest.mark.parametrize(
    ("functions", "reason"),
    [
        ({"sell": BY}, "expected a signature: the function's name"),
        ({"sell(int)": {"distributeBy": "p"}}, "citus:functions.sell(int).colocateWith"),
        (
            {"sell(int)": {**BY, "argument": "p"}},
            "is unknown: a function takes distributeBy, colocateWith, forceDelegation",
        ),
        ({"sell(int)": {**BY, "colocateWith": "a.b.c"}}, "citus:functions.sell(int).colocateWith = 'a.b.c'"),
        ([], "citus:functions: expected a mapping of signatures of functions"),
    ],
)
def test_wrong_functions_are_refused(functions: Any, reason: str) -> None:
    """The error names the setting, and what to do."""
    with pytest.raises(SettingsError) as caught:
        settings(functions=functions)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("slug", "sql", "functions", "text"),
    [
        ("unknown-function", SELL, {"sell(int)": BY}, "citus:functions.sell(int): no SQL file"),
        ("unknown-function", SELL, {"sel(int4, int4)": BY}, "(did you mean sell(int4, int4)?)"),
        ("unknown-function", SELL, {"sell(int, )": BY}, "spell it as in SQL"),
        ("unknown-function", SELL, {"sell(int, int)": BY, "public.sell(int4, int4)": BY}, "names the same function"),
        (
            "function-kind",
            SELL.replace("plpgsql", "plpython3u"),
            {"sell(int, int)": BY},
            "is in plpython3u: write it in plpgsql",
        ),
        (
            "function-kind",
            SELL.replace("language", "immutable language"),
            {"sell(int, int)": BY},
            "sell(int4, int4) volatile",
        ),
        (
            "function-kind",
            "create function f() returns trigger language plpgsql as 'begin return new; end'",
            {"f()": {"colocateWith": "r"}},
            "is the function of a trigger",
        ),
        (
            "function-table",
            SELL,
            {"sell(int, int)": {**BY, "colocateWith": "l"}},
            "colocateWith = l: the settings do not shard",
        ),
        ("function-argument", SELL, {"sell(int, int)": {**BY, "distributeBy": "q"}}, "name one of p, i"),
        ("function-argument", SELL, {"sell(int, int)": {**BY, "distributeBy": "$3"}}, "no such argument"),
        ("function-argument", SELL, {"sell(int, int)": {"colocateWith": "v"}}, "add distributeBy"),
        ("function-argument", SELL, {"sell(int, int)": {**BY, "colocateWith": "r"}}, "r is a reference table"),
        ("function-argument", SELL, {"sell(int, int)": {**BY, "colocateWith": "z.t"}}, "z.t is a single-shard table"),
        (
            "function-argument",
            "create function f(out n int, p int) language plpgsql as 'begin n := 1; end'",
            {"f(int)": BY},
            "declare it before the OUT arguments",
        ),
        (
            "function-type",
            "create function f(p text) returns int language plpgsql as 'begin return 1; end'",
            {"f(text)": BY},
            "distributeBy = p: it is text, and v.pais is int4",
        ),
        (
            "function-local-table",
            "create function f(p int) returns void language plpgsql as 'begin insert into l values (p); end'",
            {"f(int)": BY},
            "citus:tables.l: {reference: true}",
        ),
        (
            "function-local-table",
            "create function f(p int) returns setof l language plpgsql as 'begin return; end'",
            {"f(int)": BY},
            "f(int4) uses l, which stays on the coordinator",
        ),
    ],
)
def test_a_rule_of_functions_finds_what_it_tells(slug: str, sql: str, functions: dict[str, Any], text: str) -> None:
    """Each finds its case, with its source, and a text that says what mends it."""
    found = draft(sql, functions).errors
    assert {(it.rule, it.source) for it in found} == {(slug, RULES[slug].source)}
    assert text in "\n".join(map(str, found))


def test_a_plan_has_each_function_as_it_is_declared() -> None:
    """Arguments by name, in quotes or by number; with a table of a schema or a reference table, none."""
    quoted = 'create function z."Add"("T" int) returns int language plpgsql as \'begin return 1; end\''
    made = draft(
        f"{SELL}; {quoted}; create function f() returns int language plpgsql as 'begin return 1; end'",
        {
            "sell(integer, int)": {"by": "P", "colocateWith": "v", "forceDelegation": True},
            'z."Add"(int)': {"colocateWith": "z.t"},
            "f()": {"colocateWith": "r"},
        },
    )
    assert made.errors == ()
    declared = [(it.signature, it.declaration.argument, it.declaration.colocate_with) for it in made.functions]
    assert declared == [
        ("sell(int4, int4)", "p", TableName("public", "v")),
        ('z."Add"(int4)', None, TableName("z", "t")),
        ("f()", None, TableName("public", "r")),
    ]
    assert [it.declaration.force_delegation for it in made.functions] == [True, False, False]
    assert len({it.declaration.definition for it in made.functions}) == 3


@pytest.mark.parametrize(
    ("op", "old", "section", "said"),
    [
        ("create", {}, "created", "calls of the function `f(int4)` run on the worker of its `p`, with `v`"),
        ("update", {"argument": "q"}, "created", "run on the worker of its `p`"),
        ("update", {"definition": "1"}, "proved", "run on the worker of its `p`"),
        ("delete", {}, "left", "its calls run where they are made"),
    ],
)
def test_a_review_says_where_calls_run(op: str, old: dict[str, Any], section: str, said: str) -> None:
    """On a worker, or where they are made again."""
    new = {
        "argument": "p",
        "colocate_with": {"schema": "public", "name": "v"},
        "force_delegation": False,
        "definition": "2",
    }
    (change,) = describe(
        [Step(op, "DistributedFunction", "f(int4)", {**new, **old} if op == "update" else old, new)], []
    )
    assert change.section == section
    assert said in change.text
