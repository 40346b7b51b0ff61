"""Connecting: what is waited for, what fails at once, and what an error says. On any PostgreSQL."""

from __future__ import annotations

import builtins
import json
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from components import waiting
from components.access import Server
from components.database.connections import SETTINGS, connected, translated_errors
from components.errors import AccessError, NotReadyError, StackError
from components.logs import Log
from tests.servers import HOST, PASSWORD, USER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import PostgresServer

pytestmark = pytest.mark.needs("postgres")

SECRET = "tr0ub4dor&3"


@pytest.fixture
def server(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """The server, which runs again after the test whatever the test did to it."""
    yield postgres_server
    postgres_server.resume()
    postgres_server.start()


def at(server: PostgresServer, *, database: str = "postgres", user: str = USER) -> Server:
    """Return how the code under test is told of the server."""
    return Server("node_1", HOST, server.port, database, user, Log("file", "/no/such/log"))


@pytest.mark.parametrize(
    "password",
    [
        "0000",
        'it\'s "quoted"',
        " leading and trailing ",
        "%41 %% %s",
        r"back\slash\\",
        "$HOME ${HOME} $(id)",
        "user@host:5432/db?sslmode=disable",
        "host=elsewhere port=1",
        "contraseña-пароль-密码",
        "x" * 900,
    ],
)
def test_any_password_works(server: PostgresServer, password: str) -> None:
    """A password is taken to the letter, whatever it means to a shell, a URI or a connection string."""
    with server.connect() as connection:
        connection.execute("drop role if exists odd")
        connection.execute(sql.SQL("create role odd login password {}").format(sql.Literal(password)))

    with connected(at(server, user="odd"), password, timeout=5) as connection:
        assert connection.execute("select current_user").fetchone() == ("odd",)


def test_wrong_password_fails_at_once(server: PostgresServer) -> None:
    """A wrong password is not waited upon, and the error tells the way on without showing it."""
    started = time.monotonic()

    with (
        pytest.raises(AccessError, match=r"node_1 .* refuses the password of postgres: .*pulumi config set") as caught,
        connected(at(server), SECRET, timeout=60),
    ):
        pass

    assert time.monotonic() - started < 5
    assert SECRET not in _whole(caught.value)
    assert PASSWORD not in _whole(caught.value)


@pytest.mark.parametrize(
    ("database", "user", "named"),
    [("nowhere", USER, 'database "nowhere" does not exist'), ("postgres", "nobody_such", "nobody_such")],
)
def test_missing_database_or_role_fails_at_once(server: PostgresServer, database: str, user: str, named: str) -> None:
    """What the server does not have is named at once, and no password with it."""
    started = time.monotonic()

    with (
        pytest.raises(AccessError, match=named) as caught,
        connected(at(server, database=database, user=user), PASSWORD, timeout=60),
    ):
        pass

    assert time.monotonic() - started < 5
    assert PASSWORD not in _whole(caught.value)


def test_role_that_may_not_log_in_fails_at_once(server: PostgresServer) -> None:
    """A role without LOGIN is no cause to wait."""
    with server.connect() as connection:
        connection.execute("drop role if exists dormant")
        connection.execute(sql.SQL("create role dormant nologin password {}").format(sql.Literal(SECRET)))

    with (
        pytest.raises(AccessError, match="not permitted to log in"),
        connected(at(server, user="dormant"), SECRET, timeout=60),
    ):
        pass


def test_unknown_host_fails_at_once() -> None:
    """A name that does not resolve is no cause to wait."""
    nowhere = Server("node_1", "no-such-host.invalid", 5432, "postgres", USER, Log("file", "/no/such/log"))

    with pytest.raises(AccessError, match=r"node_1 \(no-such-host\.invalid:5432\)"), connected(nowhere, "", timeout=60):
        pass


def test_server_that_starts_later_is_waited_for(server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that refuses connections and then takes them is reached within the deadline."""
    server.stop()
    refused = threading.Event()
    monkeypatch.setattr(waiting, "REPORT_EVERY", 0.0)
    monkeypatch.setattr(builtins, "print", lambda *_args, **_kwargs: refused.set())

    def start_later() -> None:
        refused.wait(30)
        server.start()

    starter = threading.Thread(target=start_later)
    starter.start()
    try:
        with connected(at(server), PASSWORD, timeout=30) as connection:
            assert refused.is_set()
            assert connection.execute("select 1").fetchone() == (1,)
    finally:
        starter.join()


def test_deadline_names_server_seconds_cause_and_remedy(server: PostgresServer) -> None:
    """A server that never answers ends in one message with all that a person needs."""
    server.stop()
    started = time.monotonic()

    with (
        pytest.raises(
            NotReadyError,
            match=rf"gave up after 1 s of waiting until node_1 \({HOST}:{server.port}\) takes connections "
            r"\(last error: .*[Cc]onnection refused.*\); see: tail /no/such/log$",
        ),
        connected(at(server), PASSWORD, timeout=1),
    ):
        pass

    assert 1 <= time.monotonic() - started < 3


def test_frozen_server_is_given_up_at_the_deadline(server: PostgresServer) -> None:
    """A server that takes connections and answers nothing is no server, and the wait for it is bounded."""
    server.pause()
    started = time.monotonic()

    with pytest.raises(NotReadyError, match="timeout expired"), connected(at(server), PASSWORD, timeout=2):
        pass

    assert time.monotonic() - started < 6


def test_progress_is_told(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who waits is told for what, since when, until when and why."""
    server.stop()
    monkeypatch.setattr(waiting, "REPORT_EVERY", 0.3)

    with pytest.raises(NotReadyError), connected(at(server), PASSWORD, timeout=1):
        pass

    lines = capsys.readouterr().out.splitlines()
    assert 1 <= len(lines) <= 4
    assert lines[0].startswith(f"waiting until node_1 ({HOST}:{server.port}) takes connections (0 of 1 s; last: ")
    assert PASSWORD not in "".join(lines)


def test_session_is_reused_and_remembers_nothing(server: PostgresServer) -> None:
    """The next session may be the same connection, without settings, locks or tables of the one before."""
    with connected(at(server), PASSWORD, timeout=5) as first:
        first.execute("set work_mem = '1234kB'")
        first.execute("create temporary table leftover ()")
        first.execute("select pg_advisory_lock(7)")

    with connected(at(server), PASSWORD, timeout=5) as second:
        assert second is first
        assert second.execute("show work_mem").fetchone() != ("1234kB",)
        assert second.execute("select to_regclass('leftover')").fetchone() == (None,)
        assert second.execute("select count(*) from pg_locks where locktype = 'advisory'").fetchone() == (0,)


def test_two_sessions_at_once_are_two_connections(server: PostgresServer) -> None:
    """A connection in use is nobody else's."""
    with connected(at(server), PASSWORD, timeout=5) as one, connected(at(server), PASSWORD, timeout=5) as other:
        assert one is not other


def test_session_that_died_is_replaced(server: PostgresServer) -> None:
    """A server restarted between two sessions costs a new connection, not an error."""
    with connected(at(server), PASSWORD, timeout=5):
        pass
    server.stop()
    server.start()

    with connected(at(server), PASSWORD, timeout=5) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_session_that_failed_is_not_reused(server: PostgresServer) -> None:
    """Whatever state an error left behind goes with its connection."""
    with pytest.raises(ZeroDivisionError), connected(at(server), PASSWORD, timeout=5) as failed:
        _ = 1 / 0

    with connected(at(server), PASSWORD, timeout=5) as connection:
        assert connection is not failed
        assert failed.closed


def test_refusal_of_the_database_becomes_one_line(server: PostgresServer) -> None:
    """An error of the server tells what was being done, its own words, detail, hint and SQLSTATE."""
    raising = "do $$ begin raise 'no' using detail = 'since', hint = 'try', errcode = 'P0007'; end $$"

    with (
        server.connect() as connection,
        pytest.raises(StackError, match=r"^doing it: no; detail: since; hint: try \[SQLSTATE P0007\]$") as caught,
        translated_errors("doing it", at(server)),
    ):
        connection.execute(raising)

    assert isinstance(caught.value.__cause__, psycopg.Error)


def test_server_that_goes_away_in_the_middle_is_named(server: PostgresServer) -> None:
    """A server killed under a statement is named, and the way on is told."""
    with connected(at(server), PASSWORD, timeout=5) as connection:
        server.kill()
        with (
            pytest.raises(NotReadyError, match=r"^doing it: node_1 \(.*\) went away in the middle \(.*run up again"),
            translated_errors("doing it", at(server)),
        ):
            connection.execute("select 1")


def _whole(error: BaseException) -> str:
    """Return everything that a traceback of the error would show, messages only."""
    text = ""
    cause: BaseException | None = error
    while cause is not None:
        text += str(cause) + "\n"
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return text


def test_session_takes_nothing_from_role_database_or_environment(server: PostgresServer) -> None:
    """Whatever they set, a session begins with ours, after it was used too; a variable of libpq's cannot make it fail."""
    program = """
import json, sys
from components import postgres
server = postgres.Server("node_1", *json.loads(sys.argv[1]), log=None)
for _ in range(2):
    with postgres.connected(server, sys.argv[2], timeout=5) as connection:
        known = {name: connection.execute(f"show {name}").fetchone()[0] for name in postgres.SETTINGS}
        zone, name, user = connection.execute(
            "select current_setting('timezone'), current_setting('application_name'), current_user"
        ).fetchone()
        connection.execute("set statement_timeout = '7s'")
        connection.execute("set search_path = pg_catalog")
    print(json.dumps([known, zone, name, user]))
"""
    hostile = {
        "default_transaction_read_only": "on",
        "datestyle": "SQL, DMY",
        "intervalstyle": "sql_standard",
        "statement_timeout": "5s",
        "search_path": "elsewhere",
        "role": "somebody",
        "default_transaction_isolation": "serializable",
    }
    environment = {
        "PGOPTIONS": "-c statement_timeout=1ms",
        "PGSERVICE": "nowhere",
        "PGSERVICEFILE": "/nowhere",
        "PGHOSTADDR": "203.0.113.1",
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "/nowhere",
        "PGREQUIREAUTH": "none",
        "PGTARGETSESSIONATTRS": "standby",
        "PGGSSENCMODE": "require",
        "PGCHANNELBINDING": "require",
        "PGCLIENTENCODING": "LATIN1",
        "PGTZ": "America/Bogota",
        "PGDATESTYLE": "German",
        "PGAPPNAME": "mine",
        "PGCONNECT_TIMEOUT": "0",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "ALL_PROXY": "socks5://127.0.0.1:9",
    }
    with server.connect() as connection:
        connection.execute("create database hostile")
        connection.execute("create role somebody; create role hostile superuser login")
        connection.execute(sql.SQL("alter role hostile password {}").format(sql.Literal(PASSWORD)))
        for name, value in hostile.items():
            connection.execute(f"alter role hostile in database hostile set {name} = '{value}'".encode())
        zone = connection.execute("show timezone").fetchone()
    where = json.dumps([HOST, server.port, "hostile", "hostile"])
    command = [sys.executable, "-c", program, where, PASSWORD]
    done = subprocess.run(command, env={**os.environ, **environment}, check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    seen = [json.loads(line) for line in done.stdout.splitlines()]
    assert seen == [[SETTINGS, *(zone or ()), "citus-pulumi", "hostile"]] * 2
