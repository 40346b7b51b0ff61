"""What pg_dump writes is a file of the schema, as it is: rows, commands of psql, owners, another database's name."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.schema import statements
from components.schema.files import Schema
from components.schema.statements import SqlFile

if TYPE_CHECKING:
    from pathlib import Path

DUMP = r"""--
-- PostgreSQL database dump
--

\restrict 8qYb
SET statement_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET default_table_access_method = heap;

CREATE DATABASE shop WITH TEMPLATE = template0 ENCODING = 'UTF8';
ALTER DATABASE shop OWNER TO owner;
\connect shop
COMMENT ON EXTENSION plpgsql IS 'PL/pgSQL procedural language';
CREATE TYPE public.mood AS ENUM ('sad', 'happy');
CREATE TABLE public.company (
    id bigint NOT NULL,
    name text,
    mood public.mood
);
ALTER TABLE public.company OWNER TO owner;
COPY public.company (id, name, mood) FROM stdin;
1	Acme; 'quoted $$ -- all	happy
2	\\.	\N
\.


--
-- Name: company company_pkey; Type: CONSTRAINT; Schema: public; Owner: owner
--

ALTER TABLE ONLY public.company
    ADD CONSTRAINT company_pkey PRIMARY KEY (id);
\unrestrict 8qYb
"""


def split(text: str) -> list[tuple[str, str, bool, bytes | None]]:
    """Return each statement of a text: its place, itself, whether it is psql's, and its rows."""
    return [
        (str(it.at), it.text, it.is_command, None if it.rows is None else b"".join(it.rows))
        for it in SqlFile("1.sql", text).read()
    ]


def problems(text: str) -> list[str]:
    """Return what a file may not contain."""
    return list(map(str, Schema([SqlFile("1.sql", text)]).problems))


# --- splitting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("select 'a;b' ; select \"c;\"", ["select 'a;b'", 'select "c;"']),
        (r"select E'it\'s ; ''x'; select 1", [r"select E'it\'s ; ''x'", "select 1"]),
        ("select date'1;', typee''; x", ["select date'1;', typee''", "x"]),
        (
            "select $$ ; $$, $a$ $$ ; $a$, $1 ; select foo$bar$baz",
            ["select $$ ; $$, $a$ $$ ; $a$, $1", "select foo$bar$baz"],
        ),
        (
            "select 1 /* ; /* ; */ ; */ - 1 -- ;\n/ 2; select 2",
            ["select 1 /* ; /* ; */ ; */ - 1 -- ;\n/ 2", "select 2"],
        ),
        (
            "create rule r as on insert to t do (select 1; select 2); select 3",
            ["create rule r as on insert to t do (select 1; select 2)", "select 3"],
        ),
        (
            "create function f() returns int begin atomic select case when true then 1 end; select 2; end; select 3",
            [
                "create function f() returns int begin atomic select case when true then 1 end; select 2; end",
                "select 3",
            ],
        ),
        ("create procedure p() as 'begin; end'; select 3", ["create procedure p() as 'begin; end'", "select 3"]),
        (" ;; -- nothing\n/* at all */ ;", []),
        ("select 'open ; select", ["select 'open ; select"]),
        ("select $a$ open ; select", ["select $a$ open ; select"]),
    ],
)
def test_statements_end_where_psql_ends_them(text: str, parts: list[str]) -> None:
    """A semicolon within a constant, a name, a comment, a body or parentheses of a rule ends nothing."""
    assert [text for _, text, *_ in split(text)] == parts


def test_rows_and_commands_are_told_from_statements() -> None:
    """Rows belong to their COPY up to the line that ends them; a command takes its line, also behind a statement."""
    found = split("copy t from stdin;\n1\n;x\n\\.\nselect 1 \\gexec\ncopy u from stdin csv;\n\\.\nselect 2")
    assert found == [
        ("1.sql:1:1", "copy t from stdin", False, b"1\n;x\n"),
        ("1.sql:5:1", "select 1", False, None),
        ("1.sql:5:10", "\\gexec", True, None),
        ("1.sql:6:1", "copy u from stdin csv", False, b""),
        ("1.sql:8:1", "select 2", False, None),
    ]


@given(size=st.integers(1, 40))
def test_a_file_is_split_alike_however_much_of_it_is_read_at_once(size: int) -> None:
    """Nothing depends on where one part that is read ends and the next begins."""
    with pytest.MonkeyPatch.context() as patch:
        whole = split(DUMP)
        patch.setattr(statements, "_CHUNK", size)
        assert split(DUMP) == whole


def test_rows_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more of them than a part is held at a time, and a part ends where a line does."""
    monkeypatch.setattr(statements, "_CHUNK", 1000)
    text = "copy t from stdin;\n" + "".join(f"{number}\n" for number in range(5000)) + "\\.\nselect 1"
    copy, after = [
        (it.text, [] if it.rows is None else [len(part) for part in it.rows if part.endswith(b"\n")])
        for it in SqlFile("1.sql", text).read()
    ]
    assert len(copy[1]) > 10
    assert max(copy[1]) <= 2000
    assert sum(copy[1]) == sum(len(f"{number}\n") for number in range(5000))
    assert after[0] == "select 1"


# --- dumps -----------------------------------------------------------------------------------------------------------


def test_a_dump_is_read_as_it_is() -> None:
    """Commands of psql, the database itself, rows and SETs are no problem, and the tables are those of the dump."""
    schema = Schema([SqlFile("1.sql", DUMP)])
    assert schema.problems == []
    (table,) = schema.tables.values()
    assert str(table.name) == "company"
    assert table.primary_key
    assert str(table.primary_key.at) == "1.sql:35:9"
    assert {need.name for need in schema.needs} == {"owner"}


def test_a_file_with_rows_is_read_as_it_is_used(tmp_path: Path) -> None:
    """It is no text that goes into a state, but its hash does, and the place where it is."""
    (tmp_path / "1.sql").write_text(DUMP, "utf-8")
    (tmp_path / "2.sql").write_text("select 1", "utf-8")
    dump, plain = Schema.read(tmp_path).files
    assert (dump.text, dump.path) == (None, tmp_path / "1.sql")
    assert replace(dump).digest == SqlFile("1.sql", DUMP).digest
    (tmp_path / "1.sql").write_text(DUMP, "utf-8-sig", newline="\r\n")
    assert replace(dump).digest == SqlFile("1.sql", DUMP).digest
    assert plain.text == "select 1"


def test_a_file_in_another_encoding_that_it_names_is_read(tmp_path: Path) -> None:
    """pg_dump writes in the database's encoding, and says which that is."""
    text = "SET client_encoding = 'LATIN1';\ncreate table año (id int)"
    (tmp_path / "1.sql").write_bytes(text.encode("latin1"))
    assert list(map(str, Schema.read(tmp_path).tables)) == ["año"]
    (tmp_path / "1.sql").write_bytes(text.replace("LATIN1", "SJIS").encode("utf-8"))
    assert problems(text.replace("LATIN1", "SJIS"))[0].startswith("1.sql:1:1: the file is in SJIS, which is not read")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("\\copy t from 'rows.csv'", r"\copy reads a file: put the rows into this one"),
        ("\\i other.sql", r"\i includes another file"),
        ("\\ir other.sql", r"\ir includes another file"),
        ("select 'x' \\gexec", r"a command of psql (\gexec), which is not SQL: remove it"),
        ("\\! rm x", "a command of psql (\\!)"),
        ("\\if true", r"a command of psql (\if)"),
        ("copy t to stdout", "COPY … TO STDOUT writes rows out"),
        ("copy t from stdin (format binary);\nx\n\\.\n", "binary rows"),
        ("\\connect a\n\\connect b", "the file is of two databases, a and b"),
        ("create database other", "this statement is about another database, other"),
        ("drop database shop; \\connect other", "this statement is about another database, shop"),
        ("select * from t where x = :limit", "what psql would put in for a variable (:name) is to be written out"),
    ],
)
def test_what_cannot_be_taken_is_named_with_what_to_do(text: str, what: str) -> None:
    """What psql alone can carry out, and what is of another database, is refused at its place."""
    (found,) = problems(text)
    assert what in found


@pytest.mark.parametrize(
    "text",
    [
        *(
            "\\set ON_ERROR_STOP on",
            "\\echo hello",
            "\\pset pager off",
            "\\timing on",
            "\\encoding UTF8",
            "\\dt",
            "\\d+ t",
            "\\q",
        ),
        "\\connect shop\n\\connect shop",
        "\\connect -reuse-previous=on \"dbname='shop'\"\ncomment on database shop is 'x'; grant connect on database shop to a",
        "drop database if exists shop; create database shop; \\c shop;\nalter database shop set timezone = 'UTC'",
        "begin; create table t (a int); commit;",
        "set default_with_oids = false",
    ],
)
def test_what_changes_nothing_is_passed_over(text: str) -> None:
    """Commands that only show something, and what a dump says of its own database and transaction, are no problem."""
    assert problems(text) == []


def test_many_of_a_kind_are_one_problem() -> None:
    """A file with hundreds of them gives one line, with how many there are, and few give a line each."""
    line = "create index concurrently on t (a);\n"
    (found,) = problems("create table t (a int);\n" + line * 95)
    assert found.startswith("1.sql:2:1: this statement uses CONCURRENTLY")
    assert found.endswith("; 95 of this kind, of which this is the first")
    assert len(problems("create table t (a int);\n" + line * 3)) == 3


def test_errors_do_not_hide_each_other() -> None:
    """Each statement is parsed by itself, so that one that does not parse hides none behind it."""
    assert [it.split(": ")[0] for it in problems("selec 1;\nselect 1;\ncreate tabel t;\nvacuum")] == [
        *("1.sql:1:1", "1.sql:3:8", "1.sql:4:1")
    ]


# --- names and order -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("set search_path = app, public; create table t (a int)", ["app.t"]),
        ("set search_path to app; reset search_path; create table t (a int)", ["t"]),
        ("select pg_catalog.set_config('search_path', 'app', false); create table t (a int)", ["app.t"]),
        ("create table t (a int); set search_path = app, public; alter table t rename to u", ["u"]),
        ('set search_path = "$user", app; create table t (a int)', ["app.t"]),
        ("create table t (a int); drop table t; create table t (b int)", ["t"]),
    ],
)
def test_a_name_is_looked_up_along_the_search_path(text: str, names: list[str]) -> None:
    """A new table goes into the first schema; one that is there is found in whichever has it."""
    assert list(map(str, Schema([SqlFile("1.sql", text)]).tables)) == names


def test_names_are_found_in_whichever_order_files_come() -> None:
    """A table that is created in a later file is known as such, by both places; what no file creates is not."""
    texts = {"a.sql": "create index on t (x); alter table elsewhere add x int", "b.sql": "create table t (x int)"}
    schema = Schema([SqlFile(name, text) for name, text in texts.items()])
    assert [(str(it.name), str(it.at), str(it.other)) for it in schema.misplaced] == [("t", "a.sql:1:1", "b.sql:1:1")]


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("insert into t values (1)", "create table t (a int)"),
        ("update t set a = 1", "create table t (a int)"),
        ("truncate t", "create table t (a int)"),
        ("create sequence s owned by t.a", "create table t (a int)"),
        ("create table u (like t)", "create table t (a int)"),
        ("create table u partition of t default", "create table t (a int) partition by list (a)"),
        ("create table u (b t)", "create type t as enum ('a')"),
        ("create domain d as t", "create domain t as int"),
        ("alter table x add b t[]", "create type t as (a int)"),
        ("create table u (b int default nextval('t'))", "create sequence t"),
    ],
)
def test_what_a_statement_needs_has_to_be_there_before_it(first: str, then: str) -> None:
    """Tables, types and sequences alike; the other way round nothing is found."""
    tables = "create table x (a int);"
    assert [it.how for it in Schema([SqlFile("1.sql", f"{tables}{first};{then}")]).misplaced] == ["created later"]
    assert Schema([SqlFile("1.sql", f"{tables}{then};{first}")]).misplaced == []


def test_memory_is_flat(tmp_path: Path) -> None:
    """Only a part of a file is held, however many rows it has."""

    class Counted(io.BytesIO):
        most = 0

        def read(self, size: int | None = -1, /) -> bytes:
            Counted.most = max(Counted.most, size or 0)
            return super().read(size)

    rows = b"".join(b"%d\tx\n" % number for number in range(300_000))
    splitter = statements._Splitter("1.sql", Counted(b"copy t from stdin;\n" + rows + b"\\.\n"))
    (copy,) = ((it, sum(map(len, it.rows or ()))) for it in itertools.islice(splitter.split(), 1))
    assert copy[1] == len(rows)
    assert Counted.most <= 1 << 18


@pytest.mark.parametrize("call", ["set_config('search_path')", "set_config()", "set_config('search_path', x.y, false)"])
def test_a_search_path_that_only_the_server_knows_stays_as_it_was(call: str) -> None:
    """What is no constant is not guessed, and a call that the server refuses is no failure of the reader."""
    schema = Schema([SqlFile("1.sql", f"select {call} from x; create table t (a int)")])
    assert (schema.problems, list(map(str, schema.tables))) == ([], ["t"])


def test_a_check_is_known_by_its_new_name() -> None:
    """Renamed and dropped, it is gone."""
    text = "create table t (a int check (a > 0)); alter table t rename constraint t_a_check to c;"
    (table,) = Schema([SqlFile("1.sql", text)]).tables.values()
    assert table.checks == {"c"}
    (table,) = Schema([SqlFile("1.sql", f"{text} alter table t drop constraint c")]).tables.values()
    assert table.checks == set()
