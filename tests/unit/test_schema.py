"""What the schema's SQL files say, read by PostgreSQL's own grammar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.errors import PlanError
from components.names import TableName
from components.schema.files import Schema
from components.schema.statements import SqlFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from components.schema.relations import Column, Table


def read(*texts: str) -> Schema:
    """Read files 1.sql, 2.sql and so on, in which nothing is wrong."""
    schema = Schema(SqlFile(f"{number}.sql", text) for number, text in enumerate(texts, 1))
    assert schema.problems == []
    return schema


def only(*texts: str) -> Table:
    """Return the only table that the files create."""
    (table,) = read(*texts).tables.values()
    return table


def table(name: str, *texts: str) -> Table:
    """Return one of the tables that the files create."""
    return read(*texts).tables[TableName.parse(name)]


def problem(text: str) -> str:
    """Return the only thing that is wrong with a file 1.sql."""
    (found,) = Schema([SqlFile("1.sql", text)]).problems
    return str(found)


def keys(of: Table) -> list[tuple[str, ...]]:
    """Return the table's keys, each as its kind and its columns."""
    return [(key.kind, *key.columns) for key in of.keys]


def names(of: Schema) -> list[str]:
    """Return the names of the tables, in order."""
    return sorted(map(str, of.tables))


# --- tables and columns ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("create table venta ()", "venta"),
        ("CREATE TABLE Venta ()", "venta"),
        ('create table "Venta" ()', '"Venta"'),
        ("create table app.venta ()", "app.venta"),
        ('create table "Mi App"."Dos ""x" ()', '"Mi App"."Dos ""x"'),
        ("create table if not exists venta ()", "venta"),
        ("create unlogged table venta ()", "venta"),
        ("-- comment\n/* another /* nested */ one */ create table venta ()", "venta"),
        ("set search_path to app; create table venta ()", "app.venta"),
        ("set search_path = '$user', App, public; create table venta ()", "app.venta"),
        ('set local search_path = "App"; create table venta ()', '"App".venta'),
        ("set search_path to app; create table public.venta ()", "venta"),
        ("set search_path to app; reset search_path; create table venta ()", "venta"),
        ("set search_path to app; set search_path to default; create table venta ()", "venta"),
        ("set work_mem = '1MB'; create table venta ()", "venta"),
        ("create table año ()", "año"),
    ],
)
def test_a_table_has_the_name_that_postgresql_would_give_it(text: str, name: str) -> None:
    """Folding, quotes and the file's search_path decide the name of a table."""
    assert only(text).name == TableName.parse(name)


def test_a_files_search_path_ends_with_the_file() -> None:
    """Each file starts at the schema public, whatever the one before it set."""
    assert names(read("set search_path to app; create table a ()", "create table b ()")) == ["app.a", "b"]


@pytest.mark.parametrize(
    ("declared", "type_name"),
    [
        ("integer", "int4"),
        ("int", "int4"),
        ("bigint", "int8"),
        ("smallint", "int2"),
        ("serial", "int4"),
        ("bigserial", "int8"),
        ("smallserial", "int2"),
        ("serial8", "int8"),
        ("text", "text"),
        ("varchar(20)", "varchar"),
        ("character varying", "varchar"),
        ("char(2)", "bpchar"),
        ("numeric(12, 2)", "numeric"),
        ("decimal", "numeric"),
        ("boolean", "bool"),
        ("double precision", "float8"),
        ("timestamp with time zone", "timestamptz"),
        ("timestamptz", "timestamptz"),
        ("uuid", "uuid"),
        ("int[]", "int4[]"),
        ("text[][]", "text[]"),
        ("int array[3]", "int4[]"),
        ("app.pais", "pais"),
    ],
)
def test_a_columns_type_has_one_name_however_it_is_spelled(declared: str, type_name: str) -> None:
    """Types are compared by PostgreSQL's own names of them, and a serial is the integer that it is."""
    assert (only(f"create table t (a {declared})").columns or {})["a"].type == type_name


def test_columns_keep_their_order_and_their_names() -> None:
    """Columns are those declared, folded unless quoted, in the order of the declaration."""
    columns = only('create table t (B int, "Dos palabras" text, a date)').columns or {}
    assert [(name, column.name) for name, column in columns.items()] == [
        ("b", "b"),
        ("Dos palabras", "Dos palabras"),
        ("a", "a"),
    ]


@pytest.mark.parametrize(
    ("declared", "identity", "generated"),
    [
        ("int", False, False),
        ("int default 1 not null", False, False),
        ("int generated always as identity", True, False),
        ("int generated by default as identity (start 7)", True, False),
        ("int generated always as (1 + 1) stored", False, True),
    ],
)
def test_identity_and_generated_columns_are_told_apart(declared: str, identity: bool, generated: bool) -> None:  # noqa: FBT001
    """A column knows whether it is numbered by a sequence, and whether its value is computed."""
    column = (only(f"create table t (a {declared})").columns or {})["a"]
    assert (column.identity, column.generated) == (identity, generated)


@pytest.mark.parametrize(
    ("text", "persistence"),
    [
        ("create table t ()", "p"),
        ("create temporary table t ()", "t"),
        ("create temp table t as select 1", "t"),
        ("create unlogged table t ()", "u"),
    ],
)
def test_a_table_knows_how_long_it_lasts(text: str, persistence: str) -> None:
    """Permanent, temporary and unlogged tables are told apart by pg_class's own letters."""
    assert only(text).persistence == persistence


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("create table t (a int primary key)", [("primary key", "a")]),
        ("create table t (a int, b int, primary key (b, a))", [("primary key", "b", "a")]),
        ("create table t (a int unique)", [("unique", "a")]),
        ("create table t (a int, b int, constraint u unique (a, b))", [("unique", "a", "b")]),
        ('create table t ("A" int, primary key ("A"))', [("primary key", "A")]),
        ("create table t (a int primary key, b int unique)", [("primary key", "a"), ("unique", "b")]),
        ("create table t (a int, b int, exclude using gist (a with =, b with &&))", [("exclude", "a", "b")]),
        ("create table t (a text); create unique index on t (a)", [("unique index", "a")]),
        ("create table t (a int); create unique index u on only t (a) where a > 1", [("unique index", "a")]),
        ("create table t (a text); create unique index on t (a, lower(a))", [("unique index", "a", "<expression>")]),
        ("create table t (a int); create index on t (a)", []),
        ("create table t (a int); alter table t add primary key (a)", [("primary key", "a")]),
        ("create table t (a int); alter table t add constraint u unique (a)", [("unique", "a")]),
        ("create table t (); alter table t add column a int primary key", [("primary key", "a")]),
        (
            "create table t (a int); create unique index u on t (a); alter table t add constraint k unique using index u",
            [("unique", "a")],
        ),
        (
            "create table t (a int); create unique index u on t (a); alter table t add primary key using index u",
            [("primary key", "a")],
        ),
        ("create table t (a int unique); alter table t drop constraint t_a_key", []),
        ("create table t (a int primary key); alter table t drop constraint t_pkey", []),
        ("create table t (a int, constraint k primary key (a)); alter table t drop constraint k", []),
        ("create table t (a int, b int, unique (a, b)); alter table t drop constraint t_a_b_key", []),
        ("create table t (a int unique); alter table t drop constraint if exists other", [("unique", "a")]),
        ("create table t (a int unique, b int); alter table t drop column a", []),
        ("create table t (a int unique); alter table t drop column a, add column a int", []),
        ("create table t (a int unique); alter table t rename column a to b", [("unique", "b")]),
        ("create table t (a int); create unique index u on t (a); drop index u", []),
        ("create table s.t (a int); create unique index u on s.t (a); drop index s.u", []),
        ("create table s.t (a int); create unique index u on s.t (a); drop index u", [("unique index", "a")]),
        ("create table t (a int); create unique index u on t (a); alter index u rename to v; drop index v", []),
        ("create table t (a int unique); alter table t rename to u; alter table u drop constraint t_a_key", []),
        (
            "create table t (a int unique); alter table t rename constraint t_a_key to k; alter table t drop constraint k",
            [],
        ),
        ("create table t (a int unique); alter table t rename a to b; alter table t drop constraint t_a_key", []),
    ],
)
def test_a_table_has_the_keys_that_its_statements_leave_it(text: str, expected: list[tuple[str, ...]]) -> None:
    """Keys declared, added, renamed and dropped add up to those that the table ends with, in order."""
    assert [found for item in read(text).tables.values() for found in keys(item)] == expected


def test_a_key_says_where_it_was_declared() -> None:
    """A finding about a key can point at the line and column of the very constraint."""
    made = only("create table t (\n  a int,\n  b int unique,\n  primary key (a)\n);\ncreate unique index on t (a)")
    assert [str(key.at) for key in made.keys] == ["1.sql:3:9", "1.sql:4:3", "1.sql:6:1"]


# --- foreign keys ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "columns", "parent", "referenced", "actions"),
    [
        ("create table t (a int references p)", ("a",), "p", (), "aa"),
        ("create table t (a int references p (x))", ("a",), "p", ("x",), "aa"),
        ("create table t (a int references app.p (x))", ("a",), "app.p", ("x",), "aa"),
        ("create table t (a int, b int, foreign key (b, a) references p (x, y))", ("b", "a"), "p", ("x", "y"), "aa"),
        ("create table t (a int references p on delete cascade on update restrict)", ("a",), "p", (), "rc"),
        ("create table t (a int references p on delete set null)", ("a",), "p", (), "an"),
        ("create table t (a int references p on update set default)", ("a",), "p", (), "da"),
        ("create table t (a int); alter table t add foreign key (a) references p", ("a",), "p", (), "aa"),
        ("create table t (); alter table t add a int references p", ("a",), "p", (), "aa"),
        ("create table t (a int references t (a))", ("a",), "t", ("a",), "aa"),
        ("set search_path to app; create table t (a int references p)", ("a",), "app.p", (), "aa"),
        ("create table t (a int references p); alter table t rename a to b", ("b",), "p", (), "aa"),
        ("create table t (a int references t (a)); alter table t rename a to b", ("b",), "t", ("b",), "aa"),
        ("create table t (a int references t); alter table t rename to u", ("a",), "u", (), "aa"),
    ],
)
def test_a_foreign_key_is_read_whole(
    text: str, columns: tuple[str, ...], parent: str, referenced: tuple[str, ...], actions: str
) -> None:
    """Columns, table, referenced columns and both actions of a foreign key are those declared."""
    (fk,) = only(text).foreign_keys
    assert (fk.columns, fk.parent, fk.referenced) == (columns, TableName.parse(parent), referenced)
    assert fk.on_update + fk.on_delete == actions


@pytest.mark.parametrize(
    ("change", "parent", "referenced"),
    [
        ("alter table p rename to q", "q", ("x",)),
        ("alter table p set schema app", "app.p", ("x",)),
        ("alter table p rename column x to y", "p", ("y",)),
        ("alter table p rename to q; alter table q rename x to y; alter table q set schema app", "app.q", ("y",)),
        ("alter table t rename to u", "p", ("x",)),
    ],
)
def test_foreign_keys_follow_what_they_reference(change: str, parent: str, referenced: tuple[str, ...]) -> None:
    """When a table or a column is renamed or moved, the foreign keys of other tables point to its new name."""
    schema = read("create table p (x int primary key); create table t (a int references p (x))", change)
    (fk,) = [fk for item in schema.tables.values() for fk in item.foreign_keys]
    assert (fk.parent, fk.referenced) == (TableName.parse(parent), referenced)
    assert fk.parent in schema.tables


@pytest.mark.parametrize(
    "change",
    [
        "alter table t drop constraint t_a_fkey",
        "alter table t drop column a",
        "alter table t rename constraint t_a_fkey to f; alter table t drop constraint f",
        "alter table t rename to u; alter table u drop constraint t_a_fkey",
        "drop table t; create table t ()",
    ],
)
def test_a_dropped_foreign_key_is_gone(change: str) -> None:
    """A foreign key that a later statement drops, by the name that PostgreSQL gave it too, is no longer there."""
    assert only("create table t (a int references p)", change).foreign_keys == ()


# --- tables made from others -----------------------------------------------------------------------------------------

SOURCE = "create table s (a int primary key, b int unique, c int generated always as (a + 1) stored);"


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ("create table t (like s)", "abc", []),
        ("create table t (like s, d int)", "abcd", []),
        ("create table t (like s including indexes)", "abc", [("primary key", "a"), ("unique", "b")]),
        ("create table t (like s including all)", "abc", [("primary key", "a"), ("unique", "b")]),
        ("create table t (like s including all excluding indexes)", "abc", []),
        ("create table t (d int) inherits (s)", "abcd", []),
        ("create table t partition of s for values in (1)", "abc", [("primary key", "a"), ("unique", "b")]),
    ],
)
def test_a_table_made_after_another_has_its_columns_and_the_keys_it_takes_over(
    text: str, columns: str, expected: list[tuple[str, ...]]
) -> None:
    """LIKE copies keys only where it says so, INHERITS copies none, and a partition has those of its parent."""
    made = table("t", SOURCE + text)
    assert sorted(made.columns or ()) == list(columns)
    assert keys(made) == expected


@pytest.mark.parametrize(
    ("options", "generated"), [("", False), (" including generated", True), (" including all", True)]
)
def test_a_copied_column_is_generated_only_where_like_says_so(options: str, generated: bool) -> None:  # noqa: FBT001
    """LIKE makes a plain column of a generated one unless it includes GENERATED."""
    columns = table("t", f"{SOURCE} create table t (like s{options})").columns or {}
    assert columns["c"].generated is generated


def test_a_copied_key_has_a_name_of_its_own() -> None:
    """A key that LIKE copies is dropped by the name that PostgreSQL gives the copy."""
    made = table("t", SOURCE, "create table t (like s including all); alter table t drop constraint t_b_key")
    assert keys(made) == [("primary key", "a")]


def test_partitions_know_their_parent() -> None:
    """A partitioned table says so, and each of its partitions names it."""
    schema = read(
        "create table p (a int) partition by range (a);"
        "create table p1 partition of p for values from (1) to (2);"
        "create table p2 partition of p default; alter table p rename to q"
    )
    assert [(str(item.name), item.partitioned, str(item.parent)) for item in schema.tables.values()] == [
        ("p1", False, "q"),
        ("p2", False, "q"),
        ("q", True, "None"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "create table t as select 1 as a",
        "create table t as table other",
        "select 1 as a into t",
        "create table t (like other)",
        "create table t () inherits (other)",
        "create table t partition of other default",
        "create table t of a_type",
        "create table other as select 1; create table t (like other, a int)",
        "create table other as select 1; create table t (a int) inherits (other)",
    ],
)
def test_columns_that_the_files_do_not_tell_are_unknown_rather_than_none(text: str) -> None:
    """A table made by a query, or after a table or type of which nothing is known, has columns nobody can check."""
    assert table("t", text).columns is None


@pytest.mark.parametrize(
    "text",
    [
        "create view t as select 1",
        "create materialized view t as select 1",
        "create function f() returns int language sql as 'create table t ()'",
        "do $$ begin create table t (); end $$",
        "comment on table t is 'create table t ()'",
        "alter table t add column a int",
        "create unique index on t (a)",
        "select 1",
        "-- create table t ();",
        "",
        ";;",
    ],
)
def test_what_creates_no_table_creates_none(text: str) -> None:
    """Views, functions, comments and changes to unknown tables leave no table behind."""
    assert read(text).tables == {}


# --- later changes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "columns"),
    [
        ("alter table t add column c text", {"a": "int4", "b": "int4", "c": "text"}),
        ("alter table t add column if not exists b text", {"a": "int4", "b": "int4"}),
        ("alter table if exists t drop column b", {"a": "int4"}),
        ("alter table t drop column if exists z", {"a": "int4", "b": "int4"}),
        ("alter table t alter column a type bigint", {"a": "int8", "b": "int4"}),
        (
            "alter table t alter b set data type text using b::text, add c int[]",
            {"a": "int4", "b": "text", "c": "int4[]"},
        ),
        ("alter table t rename column b to c", {"a": "int4", "c": "int4"}),
        ("alter table t rename b to c", {"a": "int4", "c": "int4"}),
        ("alter table t alter a set not null, owner to x", {"a": "int4", "b": "int4"}),
        ("create table if not exists t (z int)", {"a": "int4", "b": "int4"}),
        ("create table if not exists t as select 1", {"a": "int4", "b": "int4"}),
        ("drop table t; create table t (z text)", {"z": "text"}),
        ("drop view t", {"a": "int4", "b": "int4"}),
        ("drop function t()", {"a": "int4", "b": "int4"}),
        ("drop trigger t on t", {"a": "int4", "b": "int4"}),
    ],
)
def test_later_files_change_the_columns(change: str, columns: dict[str, str]) -> None:
    """A table's columns are those that it has once every file has run."""
    made = table("t", "create table t (a int, b int)", change)
    assert {name: column.type for name, column in (made.columns or {}).items()} == columns


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ("drop table a", ["app.c", "b"]),
        ("drop table if exists a, b, nothing", ["app.c"]),
        ("drop table app.c cascade", ["a", "b"]),
        ("drop table c", ["a", "app.c", "b"]),
        ("set search_path to app; drop table c", ["a", "b"]),
        ("alter table a rename to d", ["app.c", "b", "d"]),
        ('alter table app.c rename to "D"', ["a", 'app."D"', "b"]),
        ("alter table a set schema app", ["app.a", "app.c", "b"]),
        ("alter table app.c set schema public", ["a", "b", "c"]),
        ("alter table nothing rename to x; alter table nothing set schema x", ["a", "app.c", "b"]),
        ("alter view a_view rename to a", ["a", "app.c", "b"]),
    ],
)
def test_tables_are_dropped_renamed_and_moved(change: str, left: list[str]) -> None:
    """The tables are those that are left once every file has run, under their last names."""
    schema = read("create table a (); create table b (); create table app.c ();", change)
    assert names(schema) == left
    assert all(item.name == name for name, item in schema.tables.items())


def test_a_table_is_found_where_it_was_created() -> None:
    """A finding about a table can point at its CREATE TABLE, past the comments before it, whatever changed it later."""
    made = only(
        "", "-- a comment\n\n  /* é */ create table t (a int)", "alter table t add b int; alter table t rename to u"
    )
    assert str(made.at) == "2.sql:3:11"


# --- what cannot be read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("x", "1:1", 'syntax error at or near "x"'),
        ("create table t (\n    a int,\n    b int,\n)", "4:1", 'syntax error at or near ")"'),
        ("select 1;\n\n  selec 2", "3:3", 'syntax error at or near "selec"'),
        ("select 'ñññ日本😀' from from", "1:22", 'syntax error at or near "from"'),
        ("-- ¡día!\nselect '😀', from", "2:13", 'syntax error at or near "from"'),
        ("create table t (a int", "1:22", "syntax error at end of input"),
        ("select 'a", "1:8", "unterminated quoted string"),
        ("select 1 /* ", "1:10", "unterminated /* comment"),
        ("\tselect from from", "1:14", 'syntax error at or near "from"'),
    ],
)
def test_a_syntax_error_is_found_by_file_line_and_column(text: str, where: str, what: str) -> None:
    """The grammar's own message comes with the place, columns counted in characters whatever their bytes."""
    assert problem(text).startswith(f"1.sql:{where}: {what}")


@given(prefix=st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=40))
@example(prefix="\n\n")
@example(prefix="😀\nñ")
def test_a_syntax_error_is_found_behind_any_text(prefix: str) -> None:
    """The position of an error is exact whatever characters and lines stand before it."""
    before = "select $body$" + prefix.replace("$", "") + "$body$ "
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    assert problem(f"{before}from from").startswith(f"1.sql:{line}:{column + 5}: syntax error")


UNDOES = "undoes a part of a transaction, or prepares it for another session, but each file runs as one transaction: remove it"
ALONE = (
    "cannot run in a transaction, but each file runs as one: put it into a file of its own whose first line is "
    "-- citus: no transaction"
)
CONCURRENTLY = f"uses CONCURRENTLY, which {ALONE}"
MARKED = "-- for the report\n-- citus: no transaction\n"


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("rollback to savepoint a", UNDOES),
        ("rollback", UNDOES),
        ("prepare transaction 'a'", UNDOES),
        ("vacuum", ALONE),
        ("vacuum (analyze) t", ALONE),
        ("create index concurrently on t (a)", CONCURRENTLY),
        ("create unique index concurrently i on t (a)", CONCURRENTLY),
        ("drop index concurrently i", CONCURRENTLY),
        ("reindex table concurrently t", CONCURRENTLY),
        ("alter table t detach partition p concurrently", CONCURRENTLY),
        (
            "create tablespace s location '/x'",
            "makes a folder of one server a tablespace, which no shard is in: remove it",
        ),
        ("reindex schema public", "reindexes what the coordinator has alone, and no shard: reindex each table"),
        ("cluster", "cannot run in a transaction: name one table, or remove it"),
        (
            "alter system set work_mem = '1MB'",
            "changes a parameter of the coordinator alone, outside every transaction: set it by citus:parameters",
        ),
    ],
)
def test_what_cannot_run_in_a_files_transaction_is_refused(statement: str, why: str) -> None:
    """A statement that needs to be alone, or ends the transaction of its file, is refused where it stands, with the way."""
    text = f"create table t (a int); -- ñ\n/* x */  {statement};"
    assert problem(text) == f"1.sql:2:10: this statement {why}"


@pytest.mark.parametrize(
    "mark",
    [
        "-- citus: no transaction",
        "--citus:no-transaction",
        "-- Citus: NO TRANSACTION\r",
        "\ufeff/* x */\n-- citus: no transaction",
    ],
)
def test_a_file_may_say_that_it_runs_outside_a_transaction(mark: str) -> None:
    """The mark is one of the comments that the file begins with."""
    text = f"{mark}\nvacuum; create index concurrently i on t (a); alter type m add value 'x'; set work_mem = '8MB'"
    assert Schema([SqlFile("1.sql", text)]).problems == []
    assert "whose first line is" in problem("select 1; -- citus: no transaction\nvacuum")


@pytest.mark.parametrize(
    "mark", ["-- citus: notransaction", "-- citus no transaction", "-- citus: no transactions please"]
)
def test_a_mark_that_is_misspelled_is_refused(mark: str) -> None:
    """A comment that looks like the mark is one, or none."""
    assert problem(f"{mark}\nselect 1") == (
        "1.sql:1:1: a comment at the beginning looks like -- citus: no transaction: write it so, or leave it out"
    )
    assert Schema([SqlFile("1.sql", "-- citus: distributed by a\nselect 1")]).problems == []


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("begin", "begins or ends a transaction"),
        ("savepoint a", "begins or ends a transaction"),
        ("lock table t", "locks a table until the end of a transaction"),
        ("create index concurrently on t (a)", "leaves the index's name to PostgreSQL: name it"),
        ("set local work_mem = '8MB'", "lasts until the end of a transaction"),
        ("set role reader", "lets another role write down what has run"),
        ("create temp table x (a int)", "makes a temporary table"),
        ("create temp table x as select 1", "makes a temporary table"),
        ("alter system set work_mem = '1MB'", "changes a parameter of the coordinator alone"),
    ],
)
def test_what_cannot_run_statement_by_statement_is_refused(statement: str, why: str) -> None:
    """What needs a transaction, or is lost with the session, is refused in a file that has none."""
    assert problem(f"{MARKED}create table t (a int);\n{statement}").startswith(f"1.sql:4:1: this statement {why}")


def test_a_partitioned_table_takes_no_index_concurrently() -> None:
    """PostgreSQL refuses it, and a REINDEX of all partitions in a transaction: each says what to do instead."""
    table = f"{MARKED}create table t (a int, b int) partition by range (a);\n"
    assert "1.sql:4:1: t is partitioned, and PostgreSQL creates no index on it" in problem(
        f"{table}create index concurrently i on t (b)"
    )
    assert "reindex each partition" in problem(f"{table}reindex table concurrently t")
    assert Schema([SqlFile("1.sql", f"{table}create index i on only t (b)")]).problems == []


@pytest.mark.parametrize(
    "text",
    [
        "begin; create table t (a int); commit",
        "start transaction; end",
        "savepoint a; release savepoint a",
        "analyze",
        "analyze t (a)",
        "create index on t (a)",
        "drop index i",
        "reindex table t",
        "alter table t detach partition p",
        "refresh materialized view concurrently v",
        "comment on table t is 'begin; vacuum; commit'",
        "-- begin;\n/* commit; */",
    ],
)
def test_what_can_run_in_a_files_transaction_is_let_through(text: str) -> None:
    """Nothing is refused that PostgreSQL runs in a transaction."""
    assert Schema([SqlFile("1.sql", text)]).problems == []


@pytest.mark.parametrize(("text", "where"), [("\0", "1:1"), ("select 1;\nselect 'ñ\0'", "2:10")])
def test_a_nul_byte_is_found(text: str, where: str) -> None:
    """A NUL byte, at which the grammar would stop reading, is refused where it stands."""
    assert problem(text) == f"1.sql:{where}: a NUL byte, which SQL cannot hold: remove it"


@pytest.fixture(params=[True, False], ids=["unlimited", "limited"])
def nesting(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether protobuf reads trees of any depth, as Pulumi tells it to for the whole process, or has its own limit."""
    upb = pytest.importorskip("google._upb._message", reason="another implementation of protobuf has other limits")
    upb.SetAllowOversizeProtos(request.param)
    yield request.param
    upb.SetAllowOversizeProtos(True)  # noqa: FBT003


@pytest.mark.parametrize("terms", [100, 2000])
def test_a_statement_that_nests_deep_is_read_or_refused_where_it_stands(terms: int, nesting: bool) -> None:  # noqa: FBT001
    """A long chain of operators is read; where protobuf has a limit, it is a problem with a place, and no crash."""
    text = f"create table t (a int);\ncreate view ñ as\nselect {' || '.join(['a'] * terms)} from t;\nselect 1"
    schema = Schema([SqlFile("1.sql", text)])
    if nesting:
        assert (names(schema), schema.problems) == (["t"], [])
    else:
        (found,) = schema.problems
        assert str(found).startswith("1.sql:2:1: expression nested too deeply")


def test_every_file_with_a_problem_is_reported() -> None:
    """Problems of several files come together, in the order of the files."""
    schema = Schema([SqlFile("a.sql", "x"), SqlFile("b.sql", "select 1"), SqlFile("c.sql", "vacuum; rollback")])
    assert [(it.file, it.line, it.column) for it in schema.problems] == [
        ("a.sql", 1, 1),
        ("c.sql", 1, 1),
        ("c.sql", 1, 9),
    ]


# --- the folder ------------------------------------------------------------------------------------------------------


def test_the_files_of_a_folder_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    """Every *.sql file counts, sorted by name; others and folders within do not."""
    for name in ("020_b.sql", "100_d.sql", "010_a.sql", "notes.txt", "020_b.sql.bak"):
        (tmp_path / name).write_text("create table t (); drop table t;", encoding="utf-8")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "000.sql").write_text("x", encoding="utf-8")
    assert [file.name for file in Schema.read(tmp_path).files] == ["010_a.sql", "020_b.sql", "100_d.sql"]


def test_an_empty_folder_is_a_schema_without_tables(tmp_path: Path) -> None:
    """A cluster may start without any table."""
    assert Schema.read(tmp_path).tables == {}


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    """A file that an editor on Windows wrote, with its mark and line ends, reads like any other."""
    (tmp_path / "1.sql").write_bytes(b"\xef\xbb\xbf-- \xc3\xb1\r\ncreate table t\r\n(a int)")
    schema = Schema.read(tmp_path)
    assert [str(item.at) for item in schema.tables.values()] == ["1.sql:2:1"]
    assert (schema.files[0].text or "").startswith("-- ñ\n")


def test_a_missing_folder_is_refused_by_its_setting(tmp_path: Path) -> None:
    """A schemaDir that is not there is named with the two remedies."""
    with pytest.raises(PlanError, match=r"citus:schemaDir = .*: create it, or name"):
        Schema.read(tmp_path / "nothing")


@pytest.mark.parametrize("content", [b"select '\xff'", b"\xf1", "select 1".encode("utf-16")])
def test_a_file_that_is_not_utf_8_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    """A file in another encoding is refused as such, before anything runs."""
    (tmp_path / "latin.sql").write_bytes(content)
    with pytest.raises(PlanError, match=r"^latin\.sql:1:1: cannot be read as UTF-8 text"):
        Schema.read(tmp_path)


def test_a_folder_named_like_a_file_is_refused_by_name(tmp_path: Path) -> None:
    """What cannot be read as a file is refused by name."""
    (tmp_path / "a.sql").mkdir()
    with pytest.raises(PlanError, match=r"^a\.sql: cannot be read"):
        Schema.read(tmp_path)


def test_all_problems_of_a_folder_are_one_error(tmp_path: Path) -> None:
    """A person sees the problems of every file at once, a line each."""
    for name in ("a.sql", "b.sql"):
        (tmp_path / name).write_text("\nx", encoding="utf-8")
    with pytest.raises(PlanError) as caught:
        Schema.read(tmp_path)
    assert [line.split(": ")[0] for line in str(caught.value).splitlines()] == ["a.sql:2:1", "b.sql:2:1"]


# --- anything at all -------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["t", "u", '"T"', "app.t", "public.u", "a", "b", "a.b.c", '"é"'])
COLUMN = st.sampled_from(
    [
        *("int", "serial primary key", "int unique", "text[]", "int check (a > 0) default 1", "int references t"),
        *("int references u (a) on delete set null", "int generated always as identity"),
        "int generated always as (1) stored",
    ]
)
TEMPLATES = [
    "create table {0} ({1} {2}, {3} {2})",
    "create table {0} (like {1} including all, {3} {2})",
    "create table {0} ({1} {2}) inherits ({3})",
    "create table {0} partition of {1} default",
    "create table {0} ({1} int) partition by hash ({1})",
    "create table {0} ({1} int, exclude using gist ({1} with =, ({3} + 1) with &&))",
    "create table {0} as select 1",
    "select 1 into {0}",
    "create unique index {1} on {0} ({1}, lower({3}))",
    "alter table {0} add {1} {2}, drop column {3}, drop constraint {1}, alter column {3} type bigint",
    "alter table {0} add constraint {1} unique using index {3}",
    "alter table {0} add foreign key ({1}, {3}) references {3}",
    "alter table {0} attach partition {1} default",
    "alter table {0} rename to {1}",
    "alter table {0} rename {1} to {3}",
    "alter table {0} rename constraint {1} to {3}",
    "alter index {0} rename to {1}",
    "alter table {0} set schema {1}",
    "alter function {0}() rename to {1}",
    "alter type {0} rename attribute {1} to {3}",
    "alter schema {0} rename to {1}",
    "drop table {0}, {1}",
    "drop index {0}, {1}",
    "drop schema {0} cascade",
    "drop function {0}(int)",
    "drop type {0}",
    "drop cast (int as {0})",
    "drop trigger {0} on {1}",
    "set search_path to {0}, {1}",
    "set search_path to 1.5",
    "reset search_path",
]
STATEMENTS = st.builds(str.format, st.sampled_from(TEMPLATES), NAMES, NAMES, COLUMN, NAMES)


@given(text=st.text())
@example(text="\0")
@example(text="\ufeffselect 1")
@example(text="(" * 20_000)
def test_any_text_is_a_schema_or_a_problem(text: str) -> None:
    """Arbitrary text raises nothing: it is read, or recorded as a problem of its file."""
    schema = Schema([SqlFile("any.sql", text)])
    assert all(found.file == "any.sql" and found.line for found in schema.problems)


@given(texts=st.lists(st.lists(STATEMENTS, max_size=12).map(";\n".join), max_size=3))
def test_any_statements_leave_a_consistent_schema_or_a_problem(texts: list[str]) -> None:
    """Any sequence of statements about tables, sensible or not, raises nothing and files each table under its name."""
    schema = Schema(SqlFile("any.sql", text) for text in texts)
    assert all(found.file == "any.sql" and found.line for found in schema.problems)
    assert all(item.name == name for name, item in schema.tables.items())
    assert all(name == column.name for item in schema.tables.values() for name, column in (item.columns or {}).items())


# --- what Citus looks at beside keys ---------------------------------------------------------------------------------

FUNCTION = "create function f() returns trigger language plpgsql as 'begin return new; end';"


def column(schema: Schema, name: str, table: str = "t") -> Column:
    """Return a column of a table."""
    columns = schema.tables[TableName.parse(table)].columns
    assert columns is not None
    return columns[name]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ("", ["g"]),
        ("drop trigger g on t", []),
        ("drop trigger other on t", ["g"]),
        ("create or replace trigger g after insert on t execute function f()", ["g"]),
        ("create trigger h after insert on t execute function f()", ["g", "h"]),
        ("alter table t rename to u", ["g"]),
        ("drop table t; create table t (a int)", []),
    ],
)
def test_triggers_are_those_that_remain(change: str, names: list[str]) -> None:
    """A table has the triggers that files create and do not drop."""
    (table,) = read(
        FUNCTION, "create table t (a int); create trigger g before insert on t execute function f()", change
    ).tables.values()
    assert [trigger.name for trigger in table.triggers] == names


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("create policy p on t using (a > 0)", [("p", False)]),
        ("create policy p on t using (a in (select 1))", [("p", True)]),
        ("create policy p on t with check (a = (select 1))", [("p", True)]),
        ("create policy p on t using ('sub_link' = b)", [("p", False)]),
        ("create policy p on t using (a in (select 1)); drop policy p on t", []),
        ("create policy p on t using (a in (select 1)); alter policy p on t using (true)", [("p", False)]),
        ("create policy p on t using (a in (select 1)); alter policy p on t to public", [("p", True)]),
    ],
)
def test_a_policy_tells_whether_it_holds_a_query(change: str, expected: list[tuple[str, bool]]) -> None:
    """A subquery anywhere in a policy's expressions is seen, and nothing else is taken for one."""
    (table,) = read("create table t (a int, b text)", change).tables.values()
    assert [(policy.name, policy.subquery) for policy in table.policies] == expected


@pytest.mark.parametrize(
    ("change", "parents", "partition"),
    [
        ("create table t partition of p default", ["p"], True),
        ("create table t (a int); alter table p attach partition t default", ["p"], True),
        ("create table t partition of p default; alter table p detach partition t", [], False),
        ("create table t () inherits (q)", ["q"], False),
        ("create table t () inherits (q, r)", ["q", "r"], False),
        ("create table t (a int); alter table t inherit q", ["q"], False),
        ("create table t () inherits (q, r); alter table t no inherit q", ["r"], False),
        ("create table t () inherits (q); alter table q rename to s", ["s"], False),
        ("create table t () inherits (q); alter table q set schema app", ["app.q"], False),
    ],
)
def test_a_table_knows_what_it_hangs_on(change: str, parents: list[str], partition: bool) -> None:  # noqa: FBT001
    """Partitions and heirs name their parents, whichever statement ties or unties them."""
    schema = read(
        "create table p (a int) partition by list (a); create table q (a int); create table r (a int)", change
    )
    table = schema.tables[TableName("public", "t")]
    assert ([str(parent) for parent in table.parents], table.partition) == (parents, partition)


@pytest.mark.parametrize("child", ["create table t partition of p default", "create table t () inherits (p)"])
def test_what_changes_a_parents_columns_reaches_its_children(child: str) -> None:
    """Columns that are added to a table, dropped, renamed or changed in it are so in its partitions and heirs."""
    partitioned = " partition by list (a)" * ("partition" in child)
    schema = read(
        f"create table p (a int, b int, c int){partitioned}; {child}",
        "alter table p add d text references o unique, drop b, alter c type bigint; alter table p rename a to e",
    )
    table = schema.tables[TableName("public", "t")]
    assert {name: it.type for name, it in (table.columns or {}).items()} == {"e": "int4", "c": "int8", "d": "text"}
    assert table.foreign_keys == ()


def test_dropping_a_table_takes_its_partitions_and_with_cascade_all_that_points_to_it() -> None:
    """Partitions go with their table; heirs and foreign keys to it go with CASCADE."""
    sql = (
        "create table p (a int primary key) partition by list (a); create table t partition of p default;"
        "create table q (a int primary key); create table h () inherits (q); create table c (a int references q)"
    )
    schema = read(sql, "drop table p; drop table q cascade")
    assert [str(name) for name in schema.tables] == ["c"]
    assert schema.tables[TableName("public", "c")].foreign_keys == ()


@pytest.mark.parametrize(
    "change",
    ["alter table app.q drop constraint q_pkey cascade", "alter table app.q drop a cascade", "drop schema app cascade"],
)
@pytest.mark.parametrize("columns", ["", " (a)"])
def test_foreign_keys_go_with_what_they_point_to(change: str, columns: str) -> None:
    """A foreign key does not outlive the key, the column or the schema that it points to."""
    schema = read(
        f"create table app.q (a int primary key); create table c (a int references app.q{columns})",
        change,
    )
    assert schema.tables[TableName("public", "c")].foreign_keys == ()


def test_a_key_of_a_partitioned_table_goes_from_its_partitions_too() -> None:
    """Dropping a key from a partitioned table leaves none of it in the partitions."""
    schema = read(
        "create table p (a int, constraint k primary key (a)) partition by list (a); create table t partition of p default",
        "alter table p drop constraint k",
    )
    assert [table.keys for table in schema.tables.values()] == [(), ()]


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("a int", None),
        ("a serial", "t_a_seq"),
        ("a int default nextval('s')", "s"),
        ("a int default nextval('app.s'::regclass)", "app.s"),
        ("a text default 'x' || nextval('s')", "s"),
        ("a int default 5", None),
        ("a int; alter table t alter a set default nextval('s')", "s"),
        ("a serial; alter table t alter a drop default", None),
    ],
)
def test_a_column_names_the_sequence_that_fills_it(declared: str, expected: str | None) -> None:
    """The sequence of a default is known, whether it is a serial column's own or named."""
    body, _, change = declared.partition("; ")
    found = column(read(f"create table t ({body})", change), "a").sequence
    assert (str(found) if found else None) == expected


@pytest.mark.parametrize(
    ("declared", "not_null"),
    [
        ("a int", False),
        ("a int not null", True),
        ("a serial", True),
        ("a int generated always as identity", True),
        ("a int; alter table t alter a set not null", True),
        ("a int not null; alter table t alter a drop not null", False),
    ],
)
def test_a_column_tells_whether_it_may_be_null(declared: str, not_null: bool) -> None:  # noqa: FBT001
    """NOT NULL is known, by itself or implied."""
    body, _, change = declared.partition("; ")
    assert column(read(f"create table t ({body})", change), "a").not_null is not_null


@pytest.mark.parametrize(
    ("declared", "type_", "collation", "scale"),
    [
        ("a app.e", "app.e", "", 0),
        ("a d", "d", "", 0),
        ('a text collate "C"', "text", "C", 0),
        ('a text collate pg_catalog."C"', "text", "C", 0),
        ("a numeric(5, -2)", "numeric", "", -2),
        ("a numeric(5, 2)", "numeric", "", 2),
        ("a numeric(5)", "numeric", "", 0),
        ("a pg_catalog.int4", "int4", "", 0),
    ],
)
def test_a_columns_type_is_read_whole(declared: str, type_: str, collation: str, scale: int) -> None:
    """A type's schema, collation and scale are known where they say more than its name."""
    schema = read("create type app.e as enum ()", f"create domain d as int; create table t ({declared})")
    found = column(schema, "a")
    assert (found.type, found.collation, found.scale) == (type_, collation, scale)


def test_other_relations_and_types_are_known() -> None:
    """Views, foreign tables, types, collations and sequences are kept by name, with what the plan asks of them."""
    schema = read(
        "create view v as select 1; create materialized view m as select 1; create foreign table f (a int) server s;",
        'create type r as range (subtype = int4); create domain d as text collate "C"; create type c as (a int, b text);',
        "create collation n (provider = icu, locale = 'und', deterministic = false); create collation o from \"C\";",
        "create sequence s start 7 maxvalue 3000000000 minvalue -5; create view w as select 1; drop view w;",
        "create type gone as enum (); drop type gone; create sequence gone; drop sequence gone; create table t of c",
    )
    assert {str(name): other.kind for name, other in schema.others.items()} == {
        "v": "view",
        "m": "materialized view",
        "f": "foreign table",
    }
    kinds = {str(name): (it.kind, it.parts, it.collation) for name, it in schema.types.items()}
    assert kinds.pop("r_multirange") == kinds.pop("r") == ("range", (), "")
    assert kinds == {"d": ("domain", ("text",), "C"), "c": ("composite", ("int4", "text"), "")}
    assert {str(name): it for name, it in schema.collations.items()} == {"n": False, "o": True}
    assert [(str(name), it.bounds) for name, it in schema.sequences.items()] == [("s", (7, 3000000000, -5))]
    assert column(schema, "b").type == "text"


def test_a_schema_may_be_created_with_what_is_in_it() -> None:
    """CREATE SCHEMA with tables in one statement makes them in that schema."""
    schema = read(
        "create schema app create table t (a int primary key) create view v as select 1; create table u (a int)"
    )
    assert [str(name) for name in schema.tables] == ["app.t", "u"]
    assert [str(name) for name in schema.others] == ["app.v"]


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("a int, b int, unique (a) include (b)", ("unique", ("b",), (), True)),
        ("a int, unique (a) deferrable", ("unique", (), (), False)),
        ("a int unique deferrable", ("unique", (), (), False)),
        ("a int unique not deferrable", ("unique", (), (), True)),
        ("a int, b int, exclude using gist (a with =, b with <>)", ("exclude", (), ("b",), False)),
        ("a int); create unique index on t (a) where a > 0; select (1", ("unique index", (), (), False)),
        ("a int, primary key (a), unique (a)", ("primary key", (), (), True)),
    ],
)
def test_a_key_tells_what_it_can_guard(
    declared: str, expected: tuple[str, tuple[str, ...], tuple[str, ...], bool]
) -> None:
    """INCLUDE, EXCLUDE's operators and whether a foreign key may point to a key are read; a twin of the key is none."""
    (table,) = read(f"create table t ({declared})").tables.values()
    (key,) = table.keys
    assert (key.kind, key.included, key.unequal, key.referable) == expected


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        (
            "alter table a drop constraint a_code_key",
            "the unique a_code_key of a, which the foreign key u_code_fkey of u",
        ),
        (
            "alter table a drop constraint a_code_key, add constraint a_code_key unique (t, code)",
            "the unique a_code_key of a, which the foreign key u_code_fkey of u",
        ),
        ("drop index i", "the index i of a, which the foreign key u_n_fkey of u"),
        ("alter table a drop column code", "the column code of a, which the foreign key u_code_fkey of u"),
        ("drop table a", "the table a, which the foreign key u_"),
        ("alter table a drop constraint a_pkey", "the primary key a_pkey of a, which the foreign key s of a"),
    ],
)
def test_what_a_foreign_key_needs_is_dropped_with_cascade_only(statement: str, what: str) -> None:
    """PostgreSQL refuses it; the error says which foreign key to drop before, and where the statement stands."""
    sql = (
        "create table a (t int, id int primary key, code text unique, n int, constraint s foreign key (t) references a);"
        "create unique index i on a (n); create table u (code text references a (code), n int references a (n));"
    )
    refused = Schema([SqlFile("1.sql", sql), SqlFile("2.sql", statement)]).refused_drops
    assert refused
    assert all(drop.at.file == "2.sql" for drop in refused)
    assert f"{refused[0].what}, which the foreign key {refused[0].foreign_key.name} of {refused[0].child}".startswith(
        what
    )

    hidden = f"do $$ begin execute 'drop' end $$; {statement}"
    assert Schema([SqlFile("1.sql", sql), SqlFile("2.sql", hidden)]).refused_drops == []
    if "add" not in statement:
        assert Schema([SqlFile("1.sql", sql), SqlFile("2.sql", f"{statement} cascade")]).refused_drops == []


@pytest.mark.parametrize(
    "statements",
    [
        "alter table u drop constraint u_code_fkey; alter table a drop constraint a_code_key",
        "drop table u; alter table a drop constraint a_code_key; drop index i; drop table a",
        "drop table a, u",
        "create unique index more on a (code); alter table a drop constraint a_code_key",
        "alter table u drop column code; alter table a drop column code",
        "alter table a drop constraint s, drop constraint a_pkey",
    ],
)
def test_what_no_foreign_key_needs_is_dropped(statements: str) -> None:
    """A key goes once its foreign keys are gone; where another key would do, nothing is said."""
    sql = (
        "create table a (t int, id int primary key, code text unique, n int, constraint s foreign key (t) references a);"
        "create unique index i on a (n); create table u (code text references a (code), n int references a (n));"
    )
    assert Schema([SqlFile("1.sql", sql), SqlFile("2.sql", statements)]).refused_drops == []
