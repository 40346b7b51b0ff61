"""Roles of applications on genuine Citus: what has a password logs in, and queries from every node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from cli.role import ensure_role
from components.errors import AccessError, StackError
from tests.servers import HOST, PASSWORD, USER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.provider.resources import Cluster, Resource
    from tests.servers import PostgresServer

pytestmark = pytest.mark.needs("citus")

ODD = r"""p: a\ss '"0%20 $HOME @/ñ"""
TABLES = """
    create table orders (country int, id bigint, primary key (country, id));
    create table items (id bigint primary key, country int);
    insert into orders select 1 + i % 4, i from generate_series(1, 100) i;
    insert into items select i, 1 + i % 4 from generate_series(1, 100) i;
    grant select, insert on orders, items to public;
"""


@pytest.fixture(autouse=True)
def roles_of_the_test(citus_servers: tuple[PostgresServer, ...]) -> Iterator[None]:
    """Drop the roles that a test has made: they belong to a server, not to a test's database."""
    yield
    for server in citus_servers:
        with server.connect() as connection:
            made = "select format('drop role %%I', rolname) from pg_roles where rolname !~ '^pg_' and rolname <> %s"
            for (drop,) in connection.execute(made, [USER]).fetchall():
                connection.execute(drop.encode())


def quoted(text: str) -> str:
    """Return the text as a constant of SQL."""
    return "'" + text.replace("'", "''") + "'"


def shard(cluster: Cluster) -> None:
    """Make the tables, and put their shards on the workers."""
    cluster.run(TABLES)
    for table, column in (("orders", "country"), ("items", "id")):
        cluster.run(
            f"select create_distributed_table('{table}', '{column}', shard_count => 4, colocate_with => 'none')"
        )


def ask(cluster: Cluster, server: PostgresServer, role: str, password: str) -> tuple[int, int]:
    """Log in to a node as the role, and return how many rows it reads, and joins by way of other workers."""
    with psycopg.connect(
        host=HOST, port=server.port, dbname=cluster.database, user=role, password=password, autocommit=True
    ) as connection:
        connection.execute("set citus.enable_repartition_joins = on")
        rows = connection.execute("select count(*) from orders").fetchone()
        joined = connection.execute(
            "select count(*) from orders o join items i on o.id = i.id and o.country = i.country"
        )
        return (rows or (0,))[0], (joined.fetchone() or (0,))[0]


def assert_every_node_answers(cluster: Cluster, role: str, password: str) -> None:
    """Assert that the role's queries go through, whichever node they come to."""
    for server in cluster.servers:
        assert ask(cluster, server, role, password) == (100, 100), server.name


def shown(cluster: Cluster, server: PostgresServer) -> dict[str, str]:
    """Return what a node shows other nodes for roles."""
    return dict(cluster.rows("select rolename, authinfo from pg_dist_authinfo where nodeid = 0", on=server))


def outputs(cluster: Cluster) -> dict[str, Any]:
    """Return the outputs of a stack that is up, as far as `make role` reads them."""
    port = cluster.coordinator.port
    dsn = make_conninfo("", host=HOST, port=port, dbname=cluster.database, user=USER, password=PASSWORD)
    return {"coordinator": f"{HOST}:{port}", "dsn": dsn}


def file_with_roles(cluster: Cluster, text: str, name: str = "010.sql") -> Resource:
    """Declare a file that gives roles passwords, as the program does."""
    script = cluster.script(name, text)
    script.inputs["roles_known"] = True
    return script


# --- roles of files --------------------------------------------------------------------------------------------------


def test_a_role_of_a_file_queries_from_every_node(cluster: Cluster) -> None:
    """Whatever is in its name and its password; joins between workers too. Another run changes nothing."""
    role = "Shop 'App"
    script = file_with_roles(cluster, f'create role "{role}" login password {quoted(ODD)}')
    script.up()
    shard(cluster)

    assert_every_node_answers(cluster, role, ODD)
    before = [cluster.rows("select xmin, * from pg_dist_authinfo", on=server) for server in cluster.servers]
    assert script.refresh()
    assert script.up() == "same"
    health = cluster.health()
    health.up()
    assert health.refresh()
    assert health.up() == "same"
    assert [cluster.rows("select xmin, * from pg_dist_authinfo", on=server) for server in cluster.servers] == before


def test_a_worker_that_joins_later_knows_the_roles(servers: Cluster) -> None:
    """It holds shards and is asked by others, and asks them, as if it had been there."""
    servers.coordinator_node().up()
    servers.worker_node(servers.workers[0]).up()
    file_with_roles(servers, "create role app login password 'one'").up()
    shard(servers)

    servers.worker_node(servers.workers[1]).up()
    servers.run("select rebalance_table_shards(shard_transfer_mode => 'block_writes')")

    assert_every_node_answers(servers, "app", "one")


def test_a_worker_that_was_unregistered_comes_back_with_the_roles(cluster: Cluster) -> None:
    """What it did not hear of meanwhile it learns when it is registered again."""
    worker = cluster.workers[1]
    cluster.unregister(worker)
    file_with_roles(cluster, "create role app login password 'one'").up()

    cluster.worker_node(worker).up()
    shard(cluster)

    assert_every_node_answers(cluster, "app", "one")


@pytest.mark.parametrize(
    ("text", "role", "password"),
    [
        ("alter role app password 'two'", "app", "two"),
        ("alter role app rename to shop; alter role shop rename to store", "store", "one"),
        ("alter role app rename to shop; alter role shop password 'two'", "shop", "two"),
        ("drop role app; create role app login password 'two'", "app", "two"),
        ("set role app; alter role current_user password 'two'", "app", "two"),
        ("do $$ begin create role other login password 'th;ree'; end $$", "other", "th;ree"),
        ("do $$ begin execute 'create role other login password ''three'''; end $$", "other", "three"),
        ("create role passing login password 'x'; alter role passing rename to other", "other", "x"),
    ],
)
def test_a_later_file_changes_what_the_nodes_know(cluster: Cluster, text: str, role: str, password: str) -> None:
    """Another password, another name, another role of that name, a role made in a block: the nodes follow."""
    file_with_roles(cluster, "create role app login password 'one'").up()
    shard(cluster)

    file_with_roles(cluster, text, "020.sql").up()

    assert_every_node_answers(cluster, role, password)
    expected = {role} if "rename" in text and role != "other" else {"app", role}
    assert all(set(shown(cluster, server)) == expected for server in cluster.servers)


@pytest.mark.parametrize("text", ["drop role app", "alter role app password null"])
def test_a_password_that_is_gone_is_kept_nowhere(cluster: Cluster, text: str) -> None:
    """No node shows it any more, and the rows of others, and for single nodes, stay as a person has set them."""
    file_with_roles(cluster, "create role app login password 'one'; create role own login").up()
    theirs = "insert into pg_dist_authinfo values (0, 'own', 'password=theirs'), (77, 'own', 'password=for77')"
    for server in cluster.servers:
        cluster.run(theirs, on=server)

    cluster.script("020.sql", text).up()

    for server in cluster.servers:
        rows = cluster.rows("select * from pg_dist_authinfo order by nodeid", on=server)
        assert rows == [(0, "own", "password=theirs"), (77, "own", "password=for77")]
    assert cluster.rows("select * from citus_pulumi.role") == []


def test_a_role_of_an_older_version_becomes_known(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that ran before the nodes were to know its role makes a difference, and an update mends it."""
    text = "create role app login password 'one'"
    cluster.run(text)
    script = cluster.script("010.sql", "select 1")
    script.up()
    shard(cluster)
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        ask(cluster, cluster.coordinator, "app", "one")
    cluster.run("drop table if exists citus_pulumi.role; delete from citus_pulumi.script")
    cluster.run(f"insert into citus_pulumi.script values ('010.sql', encode(sha256({quoted(text)}::bytea), 'hex'))")
    script.applied["text"] = script.state["text"] = script.inputs["text"] = text
    cluster.run(
        "insert into pg_dist_authinfo values (0, 'app', 'password=one')"
    )  # as a person might have helped oneself

    assert script.up(roles_known=True) == "update"
    assert_every_node_answers(cluster, "app", "one")
    assert script.refresh()
    assert script.up() == "same"


def test_the_password_is_in_no_log_and_no_error(cluster: Cluster) -> None:
    """Though every node writes down all that it is asked; what a worker gets of it is a hash."""
    secret = "n0t-for-the-l0g"
    for server in cluster.servers:
        for setting in (
            "log_statement = 'all'",
            "log_min_duration_statement = 0",
            "log_parameter_max_length_on_error = -1",
        ):
            cluster.run(f"alter database {cluster.database} set {setting}", on=server)
    file_with_roles(cluster, f"create role app login password '{secret}'").up()
    ensure_role(outputs(cluster), "app", secret)
    for number, text in enumerate(
        (
            f"create role app login password '{secret}'",
            f"create role other login password '{secret}' '{secret}'",
            f"do $$ begin execute 'create role app login password ''{secret}'''; end $$",
            f"alter role app password '{secret}'; select 1 / 0",
        )
    ):
        with pytest.raises(StackError) as refused:
            cluster.script(f"02{number}.sql", text).up()
        assert secret not in str(refused.value)
    assert not any(secret in server.log.read_text("utf-8", "replace") for server in cluster.servers)
    assert any("SCRAM-SHA-256" in server.log.read_text("utf-8", "replace") for server in cluster.workers)


# --- what a person does ----------------------------------------------------------------------------------------------


def test_a_node_that_forgot_is_drift(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """A row taken away or changed on a worker is named by a refresh, and put back by an update."""
    file_with_roles(cluster, "create role app login password 'one'").up()
    shard(cluster)
    health = cluster.health()
    health.up()
    first, second = cluster.workers
    cluster.run("delete from pg_dist_authinfo", on=first)
    cluster.run("update pg_dist_authinfo set authinfo = 'password=wrong'", on=second)

    assert health.refresh()
    said = capsys.readouterr().out
    assert all(
        f"worker {HOST}:{worker.port} does not know the password of role app" in said for worker in (first, second)
    )
    assert health.up() == "update"
    assert_every_node_answers(cluster, "app", "one")
    assert health.refresh()
    assert health.up() == "same"


@pytest.mark.parametrize("change", ["alter role app rename to shop", "drop role app"])
def test_a_role_renamed_or_dropped_by_hand_is_drift(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    """Nodes that show a password for a name that is no role's any more are named, and put in order."""
    file_with_roles(cluster, "create role app login password 'one'").up()
    shard(cluster)
    health = cluster.health()
    health.up()
    cluster.run(change)

    assert health.refresh()
    assert "nodes still keep a password for it" in capsys.readouterr().out
    assert health.up() == "update"
    if "rename" in change:
        assert_every_node_answers(cluster, "shop", "one")
    assert all(set(shown(cluster, server)) == ({"shop"} if "rename" in change else set()) for server in cluster.servers)


def test_a_password_changed_by_hand_is_named_with_the_way(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """No update can know it, so none is offered: `make role` is told, and does."""
    file_with_roles(cluster, "create role app login password 'one'").up()
    shard(cluster)
    health = cluster.health()
    health.up()
    cluster.run("alter role app password 'two'")
    capsys.readouterr()

    assert health.refresh()
    assert "role app: the password that the nodes know is not its own any more" in (said := capsys.readouterr().out)
    assert "make role ROLE=app" in said
    assert health.up() == "same"

    ensure_role(outputs(cluster), "app", "two")
    assert_every_node_answers(cluster, "app", "two")
    assert health.refresh()
    assert not capsys.readouterr().out


def test_a_role_made_by_hand_is_named_and_made_known(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """A refresh tells which roles may use sharded tables and cannot; with the password they can."""
    shard(cluster)
    cluster.run(f"create role hand login password {quoted(ODD)}; create role nobody login")
    health = cluster.health()
    health.up()
    capsys.readouterr()

    assert health.refresh()
    assert (said := capsys.readouterr().out).startswith("role hand may use sharded tables")
    assert "nobody" not in said
    assert health.up() == "same"

    ensure_role(outputs(cluster), "hand", ODD)
    assert_every_node_answers(cluster, "hand", ODD)
    ensure_role(outputs(cluster), "hand", ODD)


@pytest.mark.parametrize(
    ("role", "password", "why"),
    [
        ("hand", "wrong", "the coordinator refuses this password"),
        ("nobody", "right", "there is no role nobody"),
        (USER, PASSWORD, "this stack's own user"),
    ],
)
def test_what_is_no_roles_password_is_refused(cluster: Cluster, role: str, password: str, why: str) -> None:
    """The error says why, and no node shows anything."""
    cluster.run("create role hand login password 'right'")

    with pytest.raises(AccessError, match=why):
        ensure_role(outputs(cluster), role, password)
    assert all(shown(cluster, server) == {} for server in cluster.servers)


def test_a_worker_without_the_role_is_named(cluster: Cluster) -> None:
    """A role that was made on the coordinator alone cannot be let in by the others."""
    cluster.run("set citus.enable_create_role_propagation = off; create role hand login password 'right'")

    with pytest.raises(
        AccessError, match=f"role hand has another password on worker {HOST}:[0-9]+ than on the coordinator"
    ):
        ensure_role(outputs(cluster), "hand", "right")
