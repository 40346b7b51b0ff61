"""Passwords in SQL text: which role is given which, what stands for it in a statement, and what an error may quote."""

from __future__ import annotations

import pytest

from components.database.roles import describe_unknown
from components.schema import passwords

VERIFIER = "SCRAM-SHA-256$4096:6nnnF3wV4HUdPNUgNjlbMw==$" + "A" * 43 + "=:" + "B" * 43 + "="


@pytest.mark.parametrize(
    ("statement", "role", "password"),
    [
        ("create role app login password 'a b'", "app", "a b"),
        ("CREATE USER App ENCRYPTED PASSWORD 'x'", "app", "x"),
        ("create group g password 'x' user a, b", "g", "x"),
        ("""create role "Shop 'App" password E'it\\'s'""", "Shop 'App", "it's"),
        ("create role app password $$it's$$", "app", "it's"),
        (r"create role app password U&'\00f1'", "app", "ñ"),
        ("create role app password 'a'\n  'b'", "app", "ab"),
        ("alter user app with connection limit 3 password 'x'", "app", "x"),
        ("alter role current_user password 'x'", "current_user", "x"),
        ("alter role session_user password 'x'", "session_user", "x"),
        ("alter role app password null", "app", None),
        ("alter role app password ''", "app", None),
    ],
)
def test_what_a_statement_does_to_a_password_is_read(statement: str, role: str, password: str | None) -> None:
    """In every spelling that PostgreSQL takes; an empty password is none."""
    change = passwords.find_change(statement)
    assert change is not None
    assert (change.role, change.password) == (role, password)


@pytest.mark.parametrize(
    "statement",
    [
        "create role app login",
        "alter role app valid until '2030-01-01'",
        "create table t (password text default 'password')",
        "alter role app set application_name = 'password'",
        "create role app pasword 'x' -- password",
    ],
)
def test_other_statements_change_no_password(statement: str) -> None:
    """What merely has the word, or does not parse, is no change."""
    assert passwords.find_change(statement) is None


def test_what_is_sent_holds_no_password() -> None:
    """All else of the statement stays; only what PostgreSQL keeps of the password stands in its place."""
    statement = "create user \"Ä'\" password 'secret' valid until '2030-01-01' connection limit 3 in role a createdb"
    change = passwords.find_change(statement)
    assert change
    assert change.written_with(VERIFIER) == (
        f"CREATE USER \"Ä'\" WITH PASSWORD '{VERIFIER}' VALID UNTIL '2030-01-01' CONNECTION LIMIT 3 IN ROLE a CREATEDB"
    )


@pytest.mark.parametrize(
    ("given", "is_hashed"),
    [
        (VERIFIER, True),
        ("md5" + "0" * 32, True),
        ("md5" + "0" * 31, False),
        ("md5" + "F" * 32, False),
        ("SCRAM-SHA-256$4096:salt", False),
    ],
)
def test_a_hash_is_no_password(given: str, is_hashed: bool) -> None:  # noqa: FBT001
    """PostgreSQL takes exactly these as hashed already, and anything else as a password."""
    change = passwords.find_change(f"create role app password '{given}'")
    assert change
    assert change.is_hashed is is_hashed


def test_a_do_block_is_looked_into() -> None:
    """What it may run is found where it is written as a statement or a constant, in the order of the text."""
    text = """
        create role a password 'one';
        do $$ begin
            if not exists (select from pg_roles where rolname = 'b') then create role b password 't;wo'; end if;
            execute 'alter role c password ''three''';
            execute format('create role d password %L', current_user);
        end $$;
    """
    found = [(change.role, change.password) for change in passwords.find_changes(text)]
    assert found == [("a", "one"), ("b", "t;wo"), ("c", "three")]


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("create role a password 'x'", True),
        (f"create role a password '{VERIFIER}'", True),
        ("do $$ begin execute format('create role a password %L', 'x'); end $$", True),
        ("create user mapping for a server s options (user 'a', password 'x')", True),
        ("create subscription s connection 'host=h password=x' publication p", True),
        ("create role a; alter role a password null", False),
        ("create table account (login text, password text); insert into account values ('user', 'password')", False),
        ("select 1", False),
    ],
)
def test_a_text_with_a_password_is_told(text: str, holds: bool) -> None:  # noqa: FBT001
    """One of a role or of another server; a column of that name is none, so that its file is shown as ever."""
    assert passwords.hold(text) is holds


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("syntax error at or near \"'secret'\"", "syntax error at or near a constant"),
        ("syntax error at or near \"E'sec\nret'\"", "syntax error at or near a constant"),
        ('syntax error at or near "$$secret$$"', "syntax error at or near a constant"),
        ('syntax error at or near "from"', 'syntax error at or near "from"'),
        ('role "app" already exists', 'role "app" already exists'),
    ],
)
def test_an_error_quotes_no_constant(said: str, shown: str) -> None:
    """PostgreSQL quotes the token at which it stumbles; a name is told, a constant might be a password."""
    assert passwords.without_constants(said) == shown


def test_the_way_names_the_role_as_a_shell_takes_it() -> None:
    """A name with a quote or a blank can be pasted."""
    assert "make role ROLE='Shop App'" in describe_unknown("Shop App")


def test_a_password_in_a_dump_is_found_behind_commands_of_psql() -> None:
    """What pg_dumpall writes of roles begins with a command that no server takes."""
    text = "\\restrict abc\ncreate role app;\nalter role app with login password 'x';\n\\unrestrict abc\n"
    assert passwords.hold(text)
    assert [(it.role, it.password) for it in passwords.find_changes(text)] == [("app", "x")]
