"""A pooler before the coordinator: many clients on few sessions, by their own passwords, whatever happens behind it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest
import yaml

from tests.e2e.conftest import free_port
from tests.e2e.nodes import DOCKER

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.stack import Stack

RUNTIMES = [DOCKER]
pytestmark = pytest.mark.needs("pooler")
ROLE: Final = "till"
CLIENTS: Final = 300
"""More than the server takes."""


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack]) -> Stack:
    """A shop that is up, with a role and no pooler."""
    stack = new_stack("pooled", workers=1)
    declare(stack, "app: s3cret 'ñ'")
    done = stack.up()
    assert done.code == 0, done.output
    return stack


def declare(stack: Stack, password: str) -> None:
    """Give the role a password, as a person does."""
    stack.check("config", "set", "--path", "--secret", f"roles.{ROLE}.password", "--stack", stack.name, "--", password)
    document = yaml.safe_load(stack.config.read_text())
    document["config"]["citus:roles"][ROLE]["write"] = ["public"]
    stack.config.write_text(yaml.safe_dump(document, allow_unicode=True))


def containers(stack: Stack) -> dict[str, str]:
    """Return the stack's containers, the id of each by its name."""
    found = [name for name in stack.leftovers() if name.endswith(("_coordinator", "_1", "_pooler"))]
    return {name: json.loads(stack.nodes.description(name.removeprefix(f"{stack.name}_")))["Id"] for name in found}


def ask(uri: str, query: str, **options: Any) -> Any:
    """Return the only value of a query."""
    with closing(psycopg.connect(uri, autocommit=True, **options)) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row and row[0]


def test_a_cluster_that_is_up_gets_a_pooler(stack: Stack) -> None:
    """Nothing else changes; the preview says it, and another run has nothing to do."""
    nodes = containers(stack)
    stack.set(pooler={"port": free_port()})
    previewed = stack.preview()
    assert f"Container {stack.name}_coordinator_pooler create" in " ".join(previewed.output.split())
    done = stack.up()
    assert done.code == 0, done.output
    assert {name: id_ for name, id_ in containers(stack).items() if name in nodes} == nodes
    assert stack.preview("--expect-no-changes").code == 0
    assert stack.refresh().code == 0
    again = stack.preview("--expect-no-changes", "--diff")
    assert again.code == 0, again.output


def test_many_clients_share_few_sessions(stack: Stack) -> None:
    """Over TLS, each by its own password; statements that were prepared on one session run on any."""
    outputs = stack.outputs()
    assert ask(outputs["dsnPooled"], "select current_user") == "postgres"
    uri = outputs["dsnPooledByRole"][ROLE]
    with ThreadPoolExecutor(CLIENTS) as threads:
        opened = list(threads.map(lambda _: psycopg.connect(uri, autocommit=True, prepare_threshold=0), range(CLIENTS)))
        for _ in range(2):
            values = threads.map(lambda it: it.execute("select %s + 1", [1]).fetchone(), opened)
            assert list(values) == [(2,)] * CLIENTS
        sessions = stack.query(f"select count(*) from pg_stat_activity where usename = '{ROLE}'")
        assert 0 < sessions[0] <= 20
        list(threads.map(psycopg.Connection.close, opened))
    with pytest.raises(psycopg.OperationalError, match="SSL required"):
        ask(uri, "select 1", sslmode="disable")
    with pytest.raises(psycopg.OperationalError, match=r"authentication failed|SASL"):
        ask(uri, "select 1", password="another")


def test_clients_wait_while_the_coordinator_restarts(stack: Stack) -> None:
    """A statement that comes meanwhile runs afterwards."""
    uri = stack.outputs()["dsnPooled"]
    with closing(psycopg.connect(uri, autocommit=True)) as connection, ThreadPoolExecutor(1) as threads:
        restart = threads.submit(stack.nodes.restart, "coordinator")
        for _ in range(200):
            try:
                connection.execute("select 1")
            except psycopg.OperationalError:  # what was under way is lost; the next one waits
                connection.close()
                break
        restart.result()
    assert ask(uri, "select 1") == 1


def test_another_password_is_followed_without_a_restart(stack: Stack) -> None:
    """Of the role and of the stack's user: the pooler asks the coordinator, and keeps no password of theirs."""
    pooler = containers(stack)[f"{stack.name}_coordinator_pooler"]
    former = stack.outputs()["dsnPooledByRole"][ROLE]
    declare(stack, "an0ther-s3cret %2")
    stack.check("config", "set", "--secret", "password", "--stack", stack.name, "--", "n3w of all")
    stack.password = "n3w of all"
    done = stack.up()
    assert done.code == 0, done.output
    outputs = stack.outputs()
    assert ask(outputs["dsnPooledByRole"][ROLE], "select current_user") == ROLE
    assert ask(outputs["dsnPooled"], "select current_user") == "postgres"
    with pytest.raises(psycopg.OperationalError, match=r"authentication failed|SASL"):
        ask(former, "select 1")
    assert containers(stack)[f"{stack.name}_coordinator_pooler"] == pooler


def test_clients_enter_a_worker_too(stack: Stack, runtime: str) -> None:
    """Tills of a country write straight to its worker, others to any; each sale is there for the coordinator."""
    port = free_port()
    stack.query("insert into sucursal values (1, 1, 'p', 'n', 'c'), (2, 2, 'p', 'n', 'c')")
    stack.query("insert into metodo_pago values (1, 'efectivo')")
    stack.set(entry="anyNode", workerPorts=f"{port}-{port + 3}", tenants={"sucursal": {"pin": {"1": 1}}})
    done = stack.up()
    assert done.code == 0, done.output
    outputs = stack.outputs()
    worker = stack.nodes.address("worker_1")
    host = worker.partition(":")[0] if runtime == "hosts" else stack.nodes.host
    assert outputs["entries"] == {worker: f"{host}:{port}"}
    sell = (
        "insert into venta (id_pais, id_sucursal, id_metodo_pago, canal_venta) "
        "values ({0}, {0}, 1, 'tienda') returning id_pais"
    )
    assert ask(outputs["dsnByTenant"]["sucursal"]["1"], sell.format(1)) == 1
    assert ask(outputs["dsnAnyNodeByRole"][ROLE], sell.format(2)) == 2
    assert ask(outputs["dsnAnyNode"], "select groupid from pg_dist_local_group") == 1
    assert stack.query("select count(*), count(distinct id_venta) from venta") == [(2, 2)]
    assert stack.preview("--expect-no-changes").code == 0


def test_no_password_is_in_the_open(stack: Stack) -> None:
    """Not in the state, or in what the engine shows of the pooler; nor its own, nor the key of its certificate."""
    state = stack.state()
    shown = stack.nodes.description("coordinator_pooler")
    for secret in ("s3cret", "n3w of all", "PRIVATE KEY", "SCRAM-SHA-256$"):
        assert secret not in state
        assert secret not in shown


def test_a_pooler_that_is_taken_out_leaves_nothing(stack: Stack) -> None:
    """Neither its container nor its role; what nodes and clients have stays."""
    stack.set(pooler=None, entry=None)
    done = stack.up()
    assert done.code == 0, done.output
    assert not [name for name in containers(stack) if name.endswith("_pooler")]
    assert stack.query("select count(*) from pg_roles where rolname ~ 'pooler'") == [0]
    assert ask(stack.outputs()["dsn"], "select 1") == 1
    assert stack.preview("--expect-no-changes").code == 0
    assert stack.destroy().code == 0
    assert stack.leftovers() == []
