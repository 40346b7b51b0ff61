"""Another password of the stack's user, in one update: nothing restarts, no node is refused, whatever an earlier run left."""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from components.nodes.passfile import open_passfile
from tests.e2e.nodes import DOCKER, LOCAL, STAND_IN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.stack import Stack

RUNTIMES = [DOCKER, LOCAL, STAND_IN]
NODES = ("coordinator", "worker_1", "worker_2")


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack], tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A stack that is up."""
    folder = tmp_path_factory.mktemp("schema")
    (folder / "010.sql").write_text("create table t (id bigint primary key, v text);")
    made = new_stack("password", schemaDir=str(folder), tables={"t": {"distributeBy": "id"}})
    done = made.up()
    assert done.code == 0, done.output
    return made


def change(stack: Stack, password: str) -> None:
    """Set another password, as a person does."""
    stack.check("config", "set", "--secret", "password", "--stack", stack.name, "--", password)
    stack.password = password


def started(stack: Stack) -> list[str]:
    """Return when each node's server was started."""
    return [
        str(row)
        for row in stack.query(
            "select result from run_command_on_all_nodes('select pg_postmaster_start_time()') r order by nodeid"
        )
    ]


def is_whole(stack: Stack) -> bool:
    """Tell whether every node reaches every other, and shows the password of the settings alone."""
    shown = {open_passfile(stack.nodes.passfile(node)).read() for node in NODES}
    return shown == {(stack.password, "")} and all(stack.query("select result from citus_check_cluster_node_health()"))


def connect(stack: Stack, password: str) -> psycopg.Connection[Any]:
    """Log in to the coordinator."""
    return psycopg.connect(
        host=stack.nodes.host, port=stack.port, user="postgres", dbname="coorddb", password=password, autocommit=True
    )


@dataclass
class Load:
    """Clients that write through sessions which they had, each statement with connections of its own between the nodes."""

    written: int = 0
    errors: list[str] = field(default_factory=list)


@contextmanager
def load(stack: Stack) -> Iterator[Load]:
    """Write all the while, from four clients."""
    made, done, numbers = Load(), threading.Event(), iter(range(10**9))

    def client(connection: psycopg.Connection[Any]) -> None:
        connection.execute("set citus.max_cached_conns_per_worker = 0")
        while not done.is_set():
            number = next(numbers)
            try:
                connection.execute("insert into t values (%s, 'x')", [number])
                made.written += 1
            except psycopg.Error as error:
                made.errors.append(str(error))

    connections = [connect(stack, stack.password) for _ in range(4)]
    threads = [threading.Thread(target=client, args=[connection]) for connection in connections]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        done.set()
        for thread in threads:
            thread.join()
        for connection in connections:
            connection.close()


def test_another_password_changes_under_load_and_no_node_is_refused(stack: Stack, runtime: str) -> None:
    """Each statement of the load logs in to a node; none fails, no server was restarted, and the old password is refused."""
    before, former = started(stack), stack.password
    with load(stack) as made:
        for password in ("una segunda: 'ñ' \\ %", "tercera"):
            change(stack, password)
            assert "nothing restarts" in stack.preview().output
            done = stack.up()
            assert done.code == 0, done.output
            assert password not in done.output
    assert made.errors == []
    assert made.written > 0
    assert stack.query("select count(*) from t") == [made.written]
    assert started(stack) == before
    assert is_whole(stack)
    assert stack.preview("--expect-no-changes").code == 0
    assert "tercera" not in stack.state()
    assert "tercera" not in stack.nodes.description("coordinator")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(stack, former)


@pytest.mark.parametrize("switched", [1, 3])
def test_a_change_that_was_killed_is_ended_by_the_next_run(stack: Stack, switched: int) -> None:
    """Some nodes, or all, show the new password already, and the role has the old one."""
    former = stack.password
    change(stack, f"another {switched}")
    for node in NODES[:switched]:
        passfile = open_passfile(stack.nodes.passfile(node))
        passfile.prepare("postgres", stack.password, {})
        passfile.switch()
    done = stack.up()
    assert done.code == 0, done.output
    assert is_whole(stack)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(stack, former)


def test_a_node_that_was_left_with_the_old_one_gets_it(stack: Stack, runtime: str) -> None:
    """As where the coordinator was killed between the two phases of its commit."""
    if runtime == "stand-in":
        pytest.skip("its nodes do not log in to each other")
    former = stack.password
    change(stack, "after the commit")
    with closing(connect(stack, former)) as connection:
        connection.execute("set citus.enable_alter_role_propagation = off")
        connection.execute("alter role postgres password 'after the commit'")
    for node in NODES:
        passfile = open_passfile(stack.nodes.passfile(node))
        passfile.prepare("postgres", stack.password, {})
        passfile.switch()
    done = stack.up()
    assert done.code == 0, done.output
    assert is_whole(stack)


def test_one_that_was_changed_by_hand_before_is_followed(stack: Stack, runtime: str) -> None:
    """The database has it already; the nodes come to show it."""
    if runtime == "stand-in":
        pytest.skip("a change on its coordinator reaches no other node")
    stack.query("alter role postgres password 'by hand'")
    change(stack, "by hand")
    done = stack.up()
    assert done.code == 0, done.output
    assert is_whole(stack)


def test_a_container_that_is_made_again_shows_the_new_one(stack: Stack) -> None:
    """Whatever it was first made with."""
    stack.nodes.remove("worker_1")
    assert stack.refresh().code == 0
    done = stack.up()
    assert done.code == 0, done.output
    assert is_whole(stack)
    assert stack.preview("--expect-no-changes").code == 0
