"""A role of the settings: made, changed, given another password and taken away, each in one update, with its password nowhere."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest
import yaml

from tests.e2e.nodes import DOCKER, LOCAL, STAND_IN
from tests.e2e.stack import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.stack import Run, Stack

RUNTIMES = [LOCAL, DOCKER, STAND_IN]
PASSWORDS: Final = ("app: s3cret 'ñ'", "an0ther-s3cret %2")
ROLE: Final = "till"


@pytest.fixture(scope="module")
def said() -> list[Run]:
    """All that was printed on the way."""
    return []


def declare(stack: Stack, password: str, **what: Any) -> None:
    """Declare the role in the stack's settings, as a person does."""
    stack.check("config", "set", "--path", "--secret", f"roles.{ROLE}.password", "--stack", stack.name, "--", password)
    document = yaml.safe_load(stack.config.read_text())
    document["config"]["citus:roles"][ROLE].update(what)
    stack.config.write_text(yaml.safe_dump(document, allow_unicode=True))


@pytest.fixture(scope="module")
def schema(runtime: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the schema, to which a test adds."""
    folder = tmp_path_factory.mktemp("schema")
    text = """
        create schema ventas;
        create table ventas.orders (country int not null, id bigint not null, primary key (country, id));
        create table countries (id int primary key);
        insert into ventas.orders select 1 + i % 4, i from generate_series(1, 400) i;
    """
    (folder / "010.sql").write_text(text)
    return folder


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack], said: list[Run], schema: Path) -> Stack:
    """A shop with a role, on two workers."""
    tables = {"ventas.orders": {"distributeBy": "country"}, "countries": {"reference": True}}
    stack = new_stack("declared", schemaDir=str(schema), tables=tables)
    declare(stack, PASSWORDS[0], read=["public"], write=["ventas"])
    said += [stack.preview("--diff"), stack.up()]
    assert said[-1].code == 0, said[-1].output
    return stack


def ask(stack: Stack, query: str, password: str) -> Any:
    """Return the only value of a query that the role asks on the coordinator."""
    with closing(
        psycopg.connect(
            host=stack.nodes.host, port=stack.port, dbname="coorddb", user=ROLE, password=password, autocommit=True
        )
    ) as connection:
        cursor = connection.execute(query.encode())
        row = cursor.fetchone() if cursor.description else None
        return row and row[0]


def test_the_role_does_what_is_declared_and_nothing_else(stack: Stack) -> None:
    """It writes in one schema and reads in the other; the URI of the outputs is its own."""
    assert ask(stack, "select count(*) from ventas.orders", PASSWORDS[0]) == 400
    ask(
        stack,
        "insert into ventas.orders values (1, 0); delete from ventas.orders where country = 1 and id = 0",
        PASSWORDS[0],
    )
    assert ask(stack, "select count(*) from countries", PASSWORDS[0]) == 0
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(stack, "insert into countries values (1)", PASSWORDS[0])
    outputs = stack.outputs()
    assert outputs["roles"] == {ROLE: {"read": ["public"], "write": ["ventas"]}}
    with closing(psycopg.connect(outputs["dsnByRole"][ROLE])) as connection:
        assert connection.execute("select current_user").fetchone() == (ROLE,)


def test_what_a_later_file_makes_is_the_roles_and_what_is_changed_by_hand_is_put_back(
    stack: Stack, schema: Path, said: list[Run]
) -> None:
    """A refresh names what was granted by hand, and one update grants what is new and revokes the rest."""
    stack.query(f"grant insert on countries to {ROLE}")
    said.append(stack.refresh())
    assert f"role {ROLE} has INSERT on table public.countries, which is not declared" in said[-1].output
    (schema / "020.sql").write_text("create table ventas.returns (id int primary key)")
    said.append(stack.up())
    assert said[-1].code == 0, said[-1].output
    assert ask(stack, "select count(*) from ventas.returns", PASSWORDS[0]) == 0
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(stack, "insert into countries values (1)", PASSWORDS[0])
    assert stack.preview("--expect-no-changes").code == 0
    assert stack.refresh().code == 0
    assert stack.preview("--expect-no-changes").code == 0


def test_another_password_takes_one_update(stack: Stack, said: list[Run]) -> None:
    """One resource changes, and the old password is refused."""
    declare(stack, PASSWORDS[1])
    said.append(stack.up())
    assert (said[-1].code, said[-1].changes().get("update")) == (0, 1), said[-1].output
    assert ask(stack, "select count(*) from ventas.orders", PASSWORDS[1]) == 400
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        ask(stack, "select 1", PASSWORDS[0])


def test_only_roles_that_are_known_log_in(stack: Stack, runtime: str, said: list[Run]) -> None:
    """To the one database, and to a container over TLS; one that was made by hand once `make role` has made it known."""
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
        psycopg.connect(host=stack.nodes.host, port=stack.port, dbname="postgres", user=ROLE, password=PASSWORDS[1])
    if runtime == "docker":
        with pytest.raises(psycopg.OperationalError, match="no encryption"):
            psycopg.connect(f"{stack.outputs()['dsnByRole'][ROLE]}?sslmode=disable")
    stack.query("create role hand login password 'by-h4nd'")
    by_hand = f"postgresql://hand:by-h4nd@{stack.nodes.host}:{stack.port}/"
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
        psycopg.connect(f"{by_hand}coorddb")
    said.append(stack.refresh())
    assert "pg_hba.conf is not as the last update would write it now" in said[-1].output
    if runtime == "stand-in":  # has no passwords that nodes show each other
        assert stack.up().code == 0
    else:
        command = [f"{ROOT}/.venv/bin/python", "-m", "cli", "role", "--stack", stack.name]
        done = stack._run(command, ROLE="hand", ROLE_PASSWORD="by-h4nd")
        assert (done.code, done.output.strip()) == (0, "role hand can query from every node")
    psycopg.connect(f"{by_hand}coorddb").close()
    assert (stack.refresh().code, stack.preview("--expect-no-changes").code) == (0, 0)


def test_the_passwords_are_nowhere_in_the_open(stack: Stack, said: list[Run]) -> None:
    """Not in what was printed, in the state, in the settings, or in what the system shows of a node."""
    assert "s3cret" not in stack.state() + stack.config.read_text()
    assert "s3cret" not in "".join(run.output for run in said)
    assert "s3cret" not in json.dumps({**stack.outputs(), "dsnByRole": None})
    assert all("s3cret" not in stack.nodes.description(node) for node in ("coordinator", "worker_1"))


def test_a_role_that_is_declared_no_more_goes_unless_it_is_in_use(
    stack: Stack, schema: Path, runtime: str, said: list[Run]
) -> None:
    """What it owns, and who is logged in, is told at preview; nothing is dropped then, and one update does it later."""
    stack.query(f"create table mine (id int); alter table mine owner to {ROLE}")
    stack.check("config", "rm", "--path", f"roles.{ROLE}", "--stack", stack.name)
    with closing(
        psycopg.connect(host=stack.nodes.host, port=stack.port, dbname="coorddb", user=ROLE, password=PASSWORDS[1])
    ):
        previewed = stack.preview()
        assert f"role {ROLE} is declared no more, and cannot be removed yet: it owns table mine" in previewed.output
        assert "1 sessions of it are open on the coordinator" in previewed.output
        refused = stack.up()
        assert (refused.code != 0, "it owns table mine" in refused.errors) == (True, True)
    assert ask(stack, "select count(*) from ventas.orders", PASSWORDS[1]) == 400

    (schema / "030.sql").write_text(f"reassign owned by {ROLE} to postgres")
    said.append(stack.up())
    assert said[-1].code == 0, said[-1].output
    assert stack.query(f"select count(*) from pg_roles where rolname = '{ROLE}'") == [0]
    assert stack.query("select count(*) from mine") == [0]
    # No role is declared, and the rules are those from before; where nodes verify each other, there are some in any case.
    database = "coorddb" if runtime == "hosts" else "postgres"
    psycopg.connect(f"postgresql://hand:by-h4nd@{stack.nodes.host}:{stack.port}/{database}").close()
    assert stack.preview("--expect-no-changes").code == 0


def test_a_password_in_plain_text_is_refused(stack: Stack) -> None:
    """At preview, with the command that sets it, and without the password."""
    stack.set(roles={ROLE: {"password": "plain-s3cret"}})
    previewed = stack.preview()
    assert previewed.code != 0
    assert f"pulumi config set --path --secret 'roles.{ROLE}.password'" in previewed.output
    assert "plain-s3cret" not in previewed.output
    stack.set(roles=None)
