"""An application's role, which a file makes with a password: it works on every node, and its password is seen nowhere."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

from tests.e2e.nodes import DOCKER, LOCAL
from tests.e2e.stack import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.stack import Run, Stack

RUNTIMES = [DOCKER, LOCAL]
PASSWORD: Final = "app: s3cret 'ñ'"
ROLE: Final = "shop_app"


@pytest.fixture(scope="module")
def said() -> list[Run]:
    """All that was printed on the way."""
    return []


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack], said: list[Run]) -> Stack:
    """A shop with one table and one role, on two workers."""
    tables = {"orders": {"distributeBy": "country"}}
    stack = new_stack("roles", schemaDir=str(ROOT / "tests/schemas/shop"), tables=tables)
    said += [stack.preview("--diff"), stack.up()]
    assert said[-1].code == 0, said[-1].output
    return stack


def ask(stack: Stack, query: str, role: str = ROLE) -> Any:
    """Return the only value of a query that the role asks on the coordinator."""
    with closing(
        psycopg.connect(host=stack.nodes.host, port=stack.port, dbname="coorddb", user=role, password=PASSWORD)
    ) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row and row[0]


def test_the_role_queries_what_lies_on_the_workers(stack: Stack) -> None:
    """The role of the file reads all rows, with nothing done by hand."""
    assert ask(stack, "select count(*) from orders") == 400


def test_a_worker_that_joins_later_knows_the_role(stack: Stack, said: list[Run]) -> None:
    """It holds rows that the role reads, and each node logs in to each as the role."""
    stack.set(workers=3)
    said.append(stack.up())
    assert said[-1].code == 0, said[-1].output
    stack.query("select rebalance_table_shards('orders', shard_transfer_mode => 'block_writes')")
    nodes = stack.query("select count(distinct nodename || nodeport) from citus_shards where shard_size is not null")
    assert nodes == [3]
    assert ask(stack, "select count(*) from orders") == 400
    assert ask(stack, "select count(*) filter (where result) from citus_check_cluster_node_health()") == 16


def test_its_password_is_nowhere_in_the_open(stack: Stack, said: list[Run]) -> None:
    """Not in what was printed, in the state, or in what the system shows of a node; the text of the file is a secret."""
    state = stack.state()
    assert "s3cret" not in state
    assert '"010_shop.sql"' in state
    assert "s3cret" not in "".join(run.output for run in said)
    assert "s3cret" not in json.dumps(stack.outputs())
    assert all("s3cret" not in stack.nodes.description(node) for node in ("coordinator", "worker_1", "worker_3"))


def test_nothing_differs_afterwards(stack: Stack) -> None:
    """A preview that expects no changes passes, right after up and after a refresh, and says nothing of roles."""
    assert stack.preview("--expect-no-changes").code == 0
    refreshed = stack.refresh()
    assert refreshed.code == 0
    assert f"role {ROLE}" not in refreshed.output
    assert stack.preview("--expect-no-changes").code == 0


def test_a_role_made_by_hand_is_named_and_made_known(stack: Stack) -> None:
    """A preview tells the command, and that takes the password from a variable or its input, never from its arguments."""
    for statement in ("create role hand login password 'app: s3cret ''ñ'''", "grant select on orders to hand"):
        stack.query(statement)
    assert "make role ROLE=hand" in stack.preview().output
    command = [f"{ROOT}/.venv/bin/python", "-m", "cli", "role", "--stack", stack.name]

    wrong = stack._run(command, ROLE="hand", ROLE_PASSWORD="wrong")
    assert (wrong.code, "the coordinator refuses this password" in wrong.output) == (1, True), wrong.output
    done = stack._run(command, ROLE="hand", ROLE_PASSWORD=PASSWORD)
    assert (done.code, done.output.strip()) == (0, "role hand can query from every node")

    assert ask(stack, "select count(*) from orders", "hand") == 400
    assert "role hand" not in stack.preview().output
