"""The file that mends a plan's findings: its statements, what it says of them, and what it leaves to a person."""

from __future__ import annotations

import pytest

from components.plan.mend import MendFile
from components.schema.files import Schema
from components.schema.statements import SqlFile
from tests.corpus import Case, Mend, mends
from tests.corpus.runner import draft

MENDS = list(mends())


def mended(sql: str, tables: dict[str, object]) -> tuple[list[str], str]:
    """Return the statements of the file, and its text."""
    file = MendFile.of(draft(Case("", "", sql, tables)).findings)
    return [statement for step in file.steps for statement in step.statements], file.text("dev")


@pytest.mark.parametrize("mend", MENDS, ids=str)
def test_a_finding_is_mended_by_statements_that_keep_all_else(mend: Mend) -> None:
    """Names, predicates, expressions and options are as in the files; what depends on a key or a column goes and comes back."""
    statements, text = mended(mend.sql, mend.tables)

    assert statements == mend.statements
    assert all(f"\n{statement};\n" in text for statement in statements)


@pytest.mark.parametrize("mend", MENDS, ids=str)
def test_a_plan_with_the_file_has_none_of_the_findings(mend: Mend) -> None:
    """The file mends what it says it mends, and brings up nothing new."""
    file = MendFile.of(draft(mend).findings)

    after = draft(mend, file.text("dev"))

    assert file.mended
    assert {(it.rule, it.table) for it in file.mended}.isdisjoint((it.rule, it.table) for it in after.findings)
    assert after.errors == ()
    assert MendFile.of(after.findings).steps == ()


@pytest.mark.parametrize(
    ("sql", "tables", "statement", "why"),
    [
        (
            "create table t (x int not null); create trigger g after insert on t for each row execute function f()",
            {"t": {"distributeBy": "x"}},
            "drop trigger g on t",
            "what the trigger does is no longer done",
        ),
        (
            "create table t (x int not null, id int primary key); create table l (t int references t)",
            {"t": {"distributeBy": "id"}},
            "alter table l drop constraint l_t_fkey",
            "rows may then reference what is not there",
        ),
        (
            "create table t (x int not null, a int unique); create table l (a int references t (a))",
            {"t": {"distributeBy": "x"}},
            "alter table t drop constraint t_a_key, add constraint t_a_key unique (x, a)",
            "the foreign key l_a_fkey of l needs it, and l is not distributed",
        ),
        (
            "create table t (x int not null); create policy o on t using (x in (select 1))",
            {"t": {"reference": True}},
            "drop policy o on t",
            "rows are then let through",
        ),
        (
            "create table t (x int not null); create table u () inherits (t); create table w () inherits (t)",
            {"t": {"distributeBy": "x"}},
            "alter table w no inherit t",
            "no longer read the rows of its child tables",
        ),
    ],
)
def test_what_would_lose_rows_or_checks_is_left_to_a_person(
    sql: str, tables: dict[str, object], statement: str, why: str
) -> None:
    """Such a statement is a comment, with what it would do."""
    statements, text = mended(sql, tables)

    assert statements == []
    assert f"\n--   {statement};\n" in text
    assert why in text


def test_what_a_setting_mends_is_a_comment() -> None:
    """The file tells what else the plan finds, with the setting to write."""
    sql = "create table t (x int not null); create table l (x int not null)"
    statements, text = mended(sql, {"t": {"distributeBy": "x"}})

    assert statements == []
    assert "-- [left-local] 1.sql:1:34: l stays on the coordinator" in text
    assert "--   fix: citus:tables.l: {distributeBy: x, colocateWith: t}\n" in text


def test_the_file_tells_what_the_application_has_to_change() -> None:
    """Where a key becomes another, ON CONFLICT has to name its columns."""
    _, text = mended("create table t (x int not null, a int unique)", {"t": {"distributeBy": "x"}})

    assert "-- [unique-key] 1.sql:1:39: t: this unique (a) lacks the distribution column x" in text
    assert (
        "--   (a) is checked within one x only; ON CONFLICT (a) in the application becomes ON CONFLICT (x, a)\n" in text
    )


def test_no_name_ends_a_comment() -> None:
    """A name with an end of line in it stays within its comment, and within its statement."""
    name = '"a\nb; drop table t"'
    statements, text = mended(f"create table t (x int not null, {name} int unique)", {"t": {"distributeBy": "x"}})

    assert statements == [
        f'alter table t drop constraint "t_a\nb; drop table t_key", add constraint "t_a\nb; drop table t_key" unique (x, {name})'
    ]
    assert Schema([SqlFile("1.sql", text)]).problems == []
    assert all(line.startswith(("--", "alter", "b;")) for line in text.splitlines() if line)
