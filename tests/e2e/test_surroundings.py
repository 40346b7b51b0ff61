"""A run where everything around it is against it: tables that take long, a terminal without letters, proxies, timeouts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.nodes import LOCAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.stack import Stack

RUNTIMES = [LOCAL]
SCHEMA = """
create function slow(int) returns bool language plpgsql immutable as
$$ begin perform pg_sleep(0.004); return true; end $$;
create table "año" (id int primary key);
create table "mañana" (id int primary key);
create table "→" (id int primary key);
insert into "año" select generate_series(1, 1500);
insert into "mañana" select generate_series(1, 1500);
insert into "→" select generate_series(1, 1500);
alter table "año" add check (slow(id)) not valid;
alter table "mañana" add check (slow(id)) not valid;
alter table "→" add check (slow(id)) not valid;
alter role postgres set statement_timeout = '1s';
"""
TABLES: dict[str, Any] = {name: {"distributeBy": "id"} for name in ('"año"', '"mañana"', '"→"')}
NO_LETTERS = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
NOWHERE = dict.fromkeys(
    ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9"
)
LIBPQ = {
    "PGOPTIONS": "-c statement_timeout=1",
    "PGSERVICE": "nowhere",
    "PGSSLMODE": "verify-full",
    "PGHOSTADDR": "203.0.113.1",
}


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack]) -> Stack:
    """A stack that is up, with tables that are not distributed yet."""
    stack = new_stack("around", tables={}, schemaDir="schema", shardCount=1)
    (stack.folder / "schema").mkdir()
    (stack.folder / "schema" / "010.sql").write_text(SCHEMA, "utf-8")
    up = stack.up()
    assert up.code == 0, up.output
    return stack


def test_run_takes_as_long_as_it_needs_whatever_is_around_it(stack: Stack) -> None:
    """Three tables that each take longer than readyTimeout and than the role's timeout: all are distributed in one run."""
    stack.set(tables=TABLES, readyTimeout=5, rebalance=False)

    up = stack.up(**NO_LETTERS, **NOWHERE, **LIBPQ)

    assert up.code == 0, up.output
    assert "waiting for another step of this run: distributing table" in up.output
    assert stack.query("select count(*) from pg_dist_partition where partmethod = 'h'") == [3]
    for verb in ("show", "preview", "plan", "refresh"):
        done = stack.run(verb, **NO_LETTERS, **NOWHERE, **LIBPQ)
        assert done.code == 0, done.output
        assert "Traceback" not in done.output
    assert stack.preview("--expect-no-changes", **NO_LETTERS).code == 0
