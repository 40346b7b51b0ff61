"""How Citus would run the queries of files and applications. tests/provider/test_queries.py holds the verdicts against it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import postgast
import pytest

from cli import plan as command
from cli.queries import QueriesError, judge_queries
from components.errors import SourceError
from components.plan.layout import Layout
from components.plan.plan import ShardingPlan
from components.plan.queries import Outcome, Verdict, judge
from components.schema.files import Schema
from components.schema.statements import SqlFile
from components.settings import Settings
from tests.corpus.explained import families

if TYPE_CHECKING:
    from pathlib import Path

    from components.plan.findings import Finding

TABLES = """
create table a (k int not null, id int not null, x int, primary key (k, id));
create table b (k int not null, id int not null, x int, primary key (k, id));
create table r (id int primary key, name text);
create table l (id int primary key, x int);
"""
SETTINGS = {
    "a": {"distributeBy": "k"},
    "b": {"distributeBy": "k", "colocateWith": "a"},
    "r": {"reference": True},
}


def layout(sql: str = "", tables: dict[str, Any] | None = None, *, citus: tuple[int, int] | None = None) -> Layout:
    """Return the tables above, with more SQL."""
    settings = Settings.parse({"password": "x", "tables": json.dumps(tables or SETTINGS)}, stack="test")
    return Layout(Schema([SqlFile("1.sql", TABLES + sql)]), settings.tables, citus=citus)


def verdict(query: str, sql: str = "", **more: Any) -> Verdict:
    """Return what becomes of a query."""
    return judge(postgast.parse(query).stmts[0].stmt, layout(sql), **more)


def findings(sql: str) -> list[Finding]:
    """Return what a plan says of the queries in its files."""
    settings = Settings.parse({"password": "x", "tables": json.dumps(SETTINGS)}, stack="test")
    schema = Schema([SqlFile("1.sql", TABLES + sql)])
    assert schema.problems == []
    return [it for it in ShardingPlan.draft(schema, settings).findings if it.severity == "warning"]


def line(sql: str, text: str) -> int:
    """Return the line of a text in the file that `findings` plans."""
    return (TABLES + sql)[: (TABLES + sql).index(text)].count("\n") + 1


def test_the_corpus_of_queries_is_the_same_in_every_run_and_nearly_all_of_it_is_judged() -> None:
    """At least 300 queries, each once in its family."""
    read, again = list(families()), list(families())
    assert read == again
    total = [query for family in read for query in family.queries]
    assert len(total) >= 300
    unjudged = []
    for family in read:
        tables = family.layout
        unjudged += [it for it in family.queries if family.verdict(it, tables).outcome == Outcome.NOT_JUDGED]
    assert len(unjudged) < 0.03 * len(total)


def test_a_join_that_moves_rows_says_what_would_join_it() -> None:
    """The remedy names both distribution columns, by the aliases that the query has."""
    found = verdict("select * from a one join b other on other.id = one.x")
    assert found.outcome == Outcome.REPARTITION
    assert found.remedy == "join them by the distribution column too: other.k = one.k"
    assert not found.works
    assert {str(it) for it in found.tables} == {"a", "b"}


def test_tables_apart_are_to_be_colocated() -> None:
    """A join on the distribution columns of tables that are not colocated is refused; the remedy is the setting."""
    apart = layout(tables={"a": {"distributeBy": "k"}, "b": {"distributeBy": "k"}})
    found = judge(postgast.parse("select * from a left join b using (k)").stmts[0].stmt, apart)
    assert found.outcome == Outcome.REFUSED
    assert "citus:tables.b.colocateWith: a" in found.remedy


def test_what_runs_first_is_counted() -> None:
    """A subquery with LIMIT becomes an intermediate result: it works, and the verdict says so."""
    found = verdict("select * from b where k in (select k from a limit 3)")
    assert (found.outcome, found.steps, found.works) == (Outcome.ALL_SHARDS, 1, True)
    assert "1 part of it run first" in found.why


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("select * from nowhere", "no file creates nowhere"),
        ("select y from a", "column y is not known"),
        ("create table t ()", "create is no query"),
        ("select * from a, xmltable('/x' passing '<x/>' columns y int)", "range_table_func in FROM is not read"),
    ],
)
def test_what_cannot_be_told_is_not_judged(query: str, why: str) -> None:
    """Rather than guess, the judge says what it does not know."""
    found = verdict(query)
    assert (found.outcome, found.why) == (Outcome.NOT_JUDGED, why)


def test_a_function_in_sql_has_no_values_for_its_parameters() -> None:
    """Citus plans its queries without them: only those that need no value run (f1 to f19 of the corpus's making)."""
    query = "select count(*) from a where x = i"
    assert verdict(query, parameters=["i"]).outcome == Outcome.ALL_SHARDS
    assert verdict(query, parameters=["i"], in_sql_function=True).outcome == Outcome.REFUSED
    assert (
        verdict("select * from a where k = i", parameters=["i"], in_sql_function=True).outcome == Outcome.SINGLE_SHARD
    )
    assert verdict("update a set x = i", parameters=["i"], in_sql_function=True).outcome == Outcome.ALL_SHARDS
    assert verdict("select * from a where k = 1 and x = $1", in_sql_function=True).outcome == Outcome.SINGLE_SHARD


def test_views_and_functions_that_join_without_the_distribution_column_are_warnings() -> None:
    """Each at its own place: a statement of a function where it is in the body."""
    sql = """
create view paid as select a.id, count(*) from a join b on b.id = a.x group by a.id;
create materialized view stored as select * from a, b where a.x = b.x;
create view over as select * from paid;
create function paid_of(i int) returns bigint language sql as $$
  select 1;
  select count(*) from a join b on b.id = a.x where a.id = i
$$;
create function two(i int) returns bigint language plpgsql as $body$
declare n bigint := 0;
begin
  n := n + (select max(x) from a);
  for n in
    select a.id from a join b on b.x = a.x loop
    update b set x = random() where k = n;
  end loop;
  return n;
end $body$;
create function on_l() returns trigger language plpgsql as $$
begin
  delete from a using b where a.x = b.x and a.id <> new.id;
  return new;
end $$;
"""
    found = findings(sql)
    assert [(it.rule, it.line) for it in found] == [
        ("query-repartition", line(sql, "create view paid")),
        ("query-repartition", line(sql, "create materialized view")),
        ("query-repartition", line(sql, "create view over")),
        ("query-repartition", line(sql, "select count(*) from a join b on b.id = a.x where")),
        ("query-repartition", line(sql, "for n in")),
        ("query-refused", line(sql, "update b set x = random()")),
        ("query-refused", line(sql, "delete from a using b")),
    ]
    assert found[0].message.startswith("the view paid is refused when it is read: the query contains a join")
    assert found[0].remedy == "join them by the distribution column too: b.k = a.k"
    assert found[3].column == 3


def test_queries_that_run_are_no_findings() -> None:
    """Joins by the distribution column, reference tables, and whatever reads local tables alone."""
    assert (
        findings("""
create view fine as select a.id, r.name from a join b using (k) left join r on r.id = a.x;
create view onl as select l.x, count(*) from l join l l2 using (x) group by l.x;
create function f(i int) returns bigint language sql as 'select count(*) from a where k = i';
create function g(i int) returns bigint language plpgsql as 'begin return (select count(*) from a where x = i); end';
create function h() returns int language plpgsql as 'begin execute ''select 1''; return 1; end';
""")
        == []
    )


def test_a_view_that_groups_by_a_key_stays_on_the_coordinator() -> None:
    """Citus warns of it; of a table that is not sharded it does not matter."""
    on_local = "create view w as select id, x from l group by id;"
    for query in ("select id, name, count(*) from r group by id", "select k, id, x from a group by k, id"):
        (found,) = findings(f"create view v as {query}; {on_local}")
        assert (found.rule, found.table) == ("view-on-coordinator", "v")


def test_a_stable_function_in_sql_cannot_return_rows_of_a_sharded_table() -> None:
    """PostgreSQL inlines its call; VOLATILE ones are not inlined."""
    body = "language sql as 'select * from a where k = i'"
    (found,) = findings(
        f"create function f(i int) returns setof a stable {body}; create function g(i int) returns setof a {body};"
    )
    assert (found.rule, found.table) == ("table-function", "f")


def test_what_was_not_judged_is_one_finding() -> None:
    """Dynamic SQL, and names that no file creates, where a sharded table is named too."""
    (found,) = findings("""
create view v as select * from a join nowhere using (k);
create function f() returns int language plpgsql as 'begin execute ''delete from a''; return 1; end';
""")
    assert found.rule == "query-unread"
    assert found.message == "not judged, whole or in part: the view v (no file creates nowhere), the function f"


def test_a_policy_of_a_local_table_is_judged_with_its_table() -> None:
    """Its subquery runs with every query of the table."""
    (found,) = findings("create policy p on l using (exists (select 1 from a join b on a.x = b.x where a.id = l.id));")
    assert (found.rule, found.table) == ("query-refused", "l")


# --- an application's statements ----------------------------------------------------------------------------------------


def test_a_file_of_statements_is_judged_one_by_one(tmp_path: Path) -> None:
    """Parameters of drivers are read; a statement that does not parse is one of them, with its place."""
    path = tmp_path / "app.sql"
    path.write_text(
        "-- the shop\nselect * from a where k = :k and id = :id;\nselect * from a where k = %s and x = '%s';\n\n  selec 1;\n"
        "select * from a where x > 1 and x < interval $1;\nupdate a set k = %(k)s where id = 3"
    )
    judged = judge_queries(str(path), layout())
    assert [(it.verdict.outcome, it.statement.line, it.statement.column) for it in judged.queries] == [
        (Outcome.SINGLE_SHARD, 2, 1),
        (Outcome.SINGLE_SHARD, 3, 1),
        (Outcome.NOT_JUDGED, 5, 3),
        (Outcome.ALL_SHARDS, 6, 1),
        (Outcome.REFUSED, 7, 1),
    ]
    text = list(judged.text())
    assert text[-1] == "5 queries: 2 single shard, 1 all shards, 1 refused, 1 not judged"
    assert f"not judged: {path}:5:3: selec 1" in text
    assert [(it.rule, it.line) for it in judged.findings()] == [("query-refused", 7)]


def test_statements_that_need_the_same_value_for_two_parameters_say_so(tmp_path: Path) -> None:
    """pg_stat_statements gives each constant a parameter of its own."""
    path = tmp_path / "app.sql"
    path.write_text("select * from a, b where a.k = $1 and b.k = $2 and a.id = b.id")
    (it,) = judge_queries(str(path), layout()).queries
    assert it.verdict.outcome == Outcome.SINGLE_SHARD
    assert "if all its parameters are the same; else repartition" in it.verdict.why


@pytest.mark.parametrize("kind", ["csv", "json", "lines"])
def test_an_export_is_ordered_and_weighed(tmp_path: Path, kind: str) -> None:
    """Those that take most time come first; shares are of calls and of time."""
    rows: list[dict[str, Any]] = [
        {"query": "select * from a where k = $1", "calls": 90, "total_exec_time": 25.0},
        {"query": "select *\nfrom a where x = $1", "calls": 10, "total_exec_time": 75.0},
    ]
    path = tmp_path / ("s.csv" if kind == "csv" else "s.json")
    if kind == "csv":
        path.write_text(
            'query,calls,total_exec_time\n"select * from a where k = $1",90,25\n"select *\nfrom a where x = $1",10,75\n'
        )
    else:
        path.write_text(json.dumps(rows) if kind == "json" else "\n".join(map(json.dumps, rows)))
    judged = judge_queries(str(path), layout())
    assert [it.statement.calls for it in judged.queries] == [10, 90]
    assert judged.shares() == [
        {"verdict": "single shard", "queries": 1, "calls": 0.9, "time": 0.25},
        {"verdict": "all shards", "queries": 1, "calls": 0.1, "time": 0.75},
    ]
    assert list(judged.text())[-1] == (
        "2 queries: 1 single shard (90% of the calls, 25% of the time), 1 all shards (10% of the calls, 75% of the time)"
    )


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("s.txt", "", "name a file that ends in .sql, .csv or .json"),
        ("s.csv", "text\nselect 1", "has no column `query`"),
        ("s.json", "{", "is not JSON"),
        ("s.csv", "query,calls\nselect 1,many", "calls and total_exec_time are numbers"),
        ("none.sql", None, "cannot be read"),
    ],
)
def test_a_source_that_cannot_be_read_is_one_error(tmp_path: Path, name: str, text: str | None, said: str) -> None:
    """It names the source, and what it should be."""
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(QueriesError, match=said):
        judge_queries(str(tmp_path / name), layout())


def test_a_password_in_the_connection_is_not_told() -> None:
    """Nobody listens there; the error is libpq's, without the URI."""
    with pytest.raises(SourceError) as error:
        judge_queries("postgresql://app:hushhush@127.0.0.1:1/shop", layout())
    assert "hushhush" not in str(error.value)


@pytest.mark.parametrize("output", ["text", "json", "github"])
def test_the_plan_shows_the_queries_in_every_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    """Text shows them in place of the steps, JSON beside them; GitHub gets those that fail as warnings."""
    (tmp_path / "sql" / "schema").mkdir(parents=True)
    (tmp_path / "sql" / "schema" / "1.sql").write_text(TABLES)
    config = "\n".join(f"    {name}: {json.dumps(how)}" for name, how in SETTINGS.items())
    (tmp_path / "Pulumi.dev.yaml").write_text(f"config:\n  citus:tables:\n{config}\n")
    (tmp_path / "app.sql").write_text("select * from a where k = $1;\nselect * from a join b on a.x = b.x")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "read_standing", lambda _stack: None)
    assert command.plan_command("dev", output, queries="app.sql") == 0
    shown = capsys.readouterr().out
    if output == "json":
        read = json.loads(shown)
        assert [it["verdict"] for it in read["queries"]] == ["single shard", "repartition"]
        assert [it["queries"] for it in read["queryShares"]] == [1, 1]
        assert read["steps"]
    elif output == "github":
        assert shown.startswith(
            "::warning file=app.sql,line=2,col=1,title=query-repartition::the query contains a join"
        )
    else:
        assert shown.splitlines()[-1] == "2 queries: 1 single shard, 1 repartition"


@pytest.mark.parametrize(
    ("query", "steps"),
    [
        ("select * from r left join a on r.id = a.k", 0),
        ("select * from a right join r on r.id = a.k and a.x > 1", 0),
        ("select * from r left join (select k, count(*) from a group by k) s on s.k = r.id", 0),
        ("select * from r left join a on r.id = a.x", 1),
        ("select * from r left join a on r.id = a.k left join b on r.id = b.k", 2),
        ("select * from (select * from r) s left join a on s.id = a.k", 1),
    ],
)
def test_an_outer_join_keeps_rows_of_a_reference_table_by_release(query: str, steps: int) -> None:
    """From Citus 13.2 on, the shards do so where it is by the distribution column; before, or where it is unknown, none does."""
    tree = postgast.parse(query).stmts[0].stmt
    assert judge(tree, layout(citus=(13, 2))).steps == steps
    assert judge(tree, layout(citus=(13, 1))).steps > 0
    assert judge(tree, layout()).steps > 0
