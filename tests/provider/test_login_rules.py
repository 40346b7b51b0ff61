"""Who may log in to the nodes, by their pg_hba.conf: written through the servers, taken back, and never over a person's lines."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg
import pytest
from psycopg.sql import Literal

from components.database import login_rules, nodes
from components.errors import StackError
from components.resources.login_rules import LoginRulesInputs, LoginRulesProvider
from components.resources.wire import write
from tests.provider.resources import Cluster, Resource
from tests.servers import HOST, PASSWORD, USER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import PostgresServer

pytestmark = pytest.mark.needs("citus")

HAND: Final = "host all all 127.0.0.1/32 scram-sha-256\nhost all monitor 127.0.0.1/32 reject\n"


@pytest.fixture(autouse=True)
def rules_of_the_test(cluster: Cluster) -> Iterator[None]:
    """Leave the servers, which all tests share, with the files they had, and without roles."""
    before = {server: hba(server).read_text() for server in cluster.servers}
    yield
    for server, text in before.items():
        hba(server).write_text(text)
        hba(server).with_name("pg_hba.conf.before").unlink(missing_ok=True)
        with server.connect() as connection:
            connection.execute("select pg_reload_conf()")
    cluster.run('drop role if exists "shop app"')


def hba(server: PostgresServer) -> Path:
    """Return where the server has its rules."""
    with server.connect() as connection:
        (path,) = connection.execute("show hba_file").fetchone() or ("",)
    return Path(path)


def rules(cluster: Cluster) -> Resource:
    """Declare the rules."""
    inputs = LoginRulesInputs(
        **vars(cluster.access()),
        runtime="local",
        roles=("shop app",),
        files=(),
        groups=tuple(range(len(cluster.servers))),
        generations=("1",) * len(cluster.servers),
    )
    return Resource(LoginRulesProvider(), {**write(inputs), "drifted": []})


@contextmanager
def logged_in(server: PostgresServer, database: str, user: str) -> Iterator[psycopg.Connection]:
    """Log in as a role; all of them have the same password here."""
    with psycopg.connect(host=HOST, port=server.port, dbname=database, user=user, password=PASSWORD) as connection:
        yield connection


def make_role(cluster: Cluster, name: str = '"shop app"') -> None:
    """Make a role as a file would."""
    cluster.run(f"create role {name} login password {Literal(PASSWORD).as_string()}")


def test_those_that_there_are_log_in_to_the_one_database_and_nobody_else(cluster: Cluster) -> None:
    """On every node; a second run writes nothing, a deleted resource puts back what was there."""
    make_role(cluster)
    before = [hba(server).read_text() for server in cluster.servers]
    declared = rules(cluster)
    assert declared.up() == "create"
    assert declared.up() == "same"
    for server in cluster.servers:
        with logged_in(server, cluster.database, "shop app"):
            pass
        with (
            pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"),
            logged_in(server, "postgres", "shop app"),
        ):
            pass
        assert hba(server).stat().st_mode & 0o777 == 0o600
    cluster.run("create table t (a int); select create_distributed_table('t', 'a'); select count(*) from t")
    declared.delete()
    assert [hba(server).read_text() for server in cluster.servers] == before
    with logged_in(cluster.servers[0], "postgres", "shop app"):
        pass


def test_a_role_that_somebody_made_is_kept_out_until_it_is_known(cluster: Cluster) -> None:
    """A refresh names each node, an update lets the role in; so does what lets the nodes know a role."""
    declared = rules(cluster)
    declared.up()
    make_role(cluster)
    with (
        pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"),
        logged_in(cluster.coordinator, cluster.database, "shop app"),
    ):
        pass
    declared.refresh()
    assert len(declared.state["drifted"]) == len(cluster.servers)
    assert declared.up() == "update"
    with logged_in(cluster.coordinator, cluster.database, "shop app"):
        pass
    declared.refresh()
    assert not declared.state["drifted"]

    hba(cluster.coordinator).write_text(hba(cluster.coordinator).read_text().replace('"shop app"', '"another"'))
    with cluster.connected() as connection:
        login_rules.renew_rules(connection, nodes.get_addresses(connection).values())
    assert '"shop app"' in hba(cluster.coordinator).read_text()


def test_lines_of_somebodys_own_stay(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """On that node alone, and said; taking the rules away leaves it, too."""
    by_hand, *others = cluster.servers
    hba(by_hand).write_text(HAND)
    declared = rules(cluster)
    declared.up()
    assert hba(by_hand).read_text() == HAND
    assert "lines of somebody's own, and stays as it is" in capsys.readouterr().out
    assert all("Written by citus-pulumi" in hba(server).read_text() for server in others)
    declared.refresh()
    assert not declared.state["drifted"]
    declared.delete()
    assert hba(by_hand).read_text() == HAND


def test_rules_that_a_server_does_not_understand_are_taken_back(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it reads them, so that nobody is locked out."""
    before = hba(cluster.coordinator).read_text()
    monkeypatch.setattr(login_rules, "_lines", lambda *_: ["host nonsense"])
    with pytest.raises(StackError, match=r"does not understand the rules .*those from before are back"):
        rules(cluster).up()
    assert hba(cluster.coordinator).read_text() == before
    with logged_in(cluster.coordinator, cluster.database, USER):
        pass
