"""Declared roles on genuine Citus: present on every node, with what is declared and nothing more, until they are taken away."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest
from pulumi.dynamic import Config, ConfigureRequest

from components.errors import DriftError
from components.names import RoleName
from components.resources.roles import RoleInputs, RolePrivilegesInputs, RolePrivilegesProvider, RoleProvider
from components.resources.wire import write
from tests.provider.resources import Cluster, Resource
from tests.servers import HOST, PASSWORD, USER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.servers import PostgresServer

pytestmark = pytest.mark.needs("citus")

ODD: Final = r"""p: a\ss '"0%20 $HOME @/ñ"""
SCHEMA: Final = """
    create schema ventas;
    create table ventas.orders (country int, id bigserial, total numeric, primary key (country, id));
    create table public.countries (id int primary key, name text);
    create table ventas.notes (id int primary key);
    create table public.later (country int, id bigint, day date not null) partition by range (day);
    create table public.later_2026 partition of later for values from ('2026-01-01') to ('2027-01-01');
    create view ventas.totals as select country, sum(total) from ventas.orders group by country;
    create function ventas.double(int) returns int language sql as 'select 2 * $1';
    revoke execute on function ventas.double from public;
    insert into ventas.orders select 1 + i % 4, i, 1 from generate_series(1, 100) i;
    select create_reference_table('countries');
    select create_distributed_table('ventas.orders', 'country', shard_count => 4);
    select create_distributed_table('later', 'country', colocate_with => 'ventas.orders');
"""


@pytest.fixture(autouse=True)
def roles_of_the_test(citus_servers: tuple[PostgresServer, ...]) -> Iterator[None]:
    """Drop the roles that a test has made, with what they hold: they belong to a server, not to a test's database."""
    yield
    for server in citus_servers:
        with server.connect() as connection:
            connection.execute("set citus.enable_ddl_propagation = off")
            made = "select rolname from pg_roles where rolname !~ '^pg_' and rolname <> %s"
            for (role,) in connection.execute(made, [USER]).fetchall():
                spelled = RoleName(role)
                for (database,) in connection.execute("select datname from pg_database where datallowconn").fetchall():
                    with server.connect(database) as inside:
                        inside.execute("set citus.enable_ddl_propagation = off")
                        inside.execute(f"drop owned by {spelled}".encode())
                connection.execute(f"drop role {spelled}".encode())


def configured(resource: Resource, cluster: Cluster, passwords: dict[str, str]) -> Resource:
    """Let the provider have the passwords as the engine hands over the stack's settings."""
    given = json.dumps({str(RoleName(role)): {"password": password} for role, password in passwords.items()})
    settings = {"citus:port": str(cluster.coordinator.port), "citus:database": cluster.database, "citus:user": USER}
    config = Config({"citus:password": PASSWORD, "citus:roles": given, **settings}, "citus")
    resource.provider.configure(ConfigureRequest(config))
    return resource


def role(cluster: Cluster, password: str = "one", *, name: str = "app", connections: int | None = None) -> Resource:
    """Declare a role."""
    inputs = RoleInputs(
        **vars(cluster.access()),
        role=name,
        connections=connections,
        password_mark=password,
        generations=("1",) * len(cluster.servers),
    )
    return configured(Resource(RoleProvider(), {**write(inputs), "drift": []}), cluster, {name: password})


def rights(cluster: Cluster, *, read: Sequence[str] = (), write_in: Sequence[str] = (), name: str = "app") -> Resource:
    """Declare what a role may do."""
    inputs = RolePrivilegesInputs(
        **vars(cluster.access()), role=name, read=tuple(read), write=tuple(write_in), files=("010.sql",), tables={}
    )
    return Resource(RolePrivilegesProvider(), {**write(inputs), "drift": []})


def ask(server: PostgresServer, cluster: Cluster, query: str, *, name: str = "app", password: str = "one") -> Any:
    """Log in to a node as the role, and return the only value of a query."""
    with psycopg.connect(
        host=HOST, port=server.port, dbname=cluster.database, user=name, password=password, autocommit=True
    ) as connection:
        row = connection.execute(query.encode())
        return (row.fetchone() or (None,))[0] if row.description else None


WRITES: Final = (
    "insert into ventas.orders (country, total) values (1, 2)",
    "update ventas.orders set total = 3 where country = 1 and id = 4",
    "delete from ventas.orders where country = 2 and id = 1",
)


ON_COORDINATOR: Final = ("truncate ventas.orders", "create role other", "select count(*) from citus_pulumi.stack")


def test_a_role_does_what_is_declared_and_nothing_more(cluster: Cluster) -> None:
    """It reads one schema, reads and writes another, and nothing else, from every node; another run changes nothing."""
    app = role(cluster, ODD, name="Shop 'App")
    assert app.up() == "create"
    cluster.run(SCHEMA)
    may = rights(cluster, read=["public"], write_in=["ventas"], name="Shop 'App")
    may.up()

    def as_app(query: str, server: PostgresServer) -> Any:
        return ask(server, cluster, query, name="Shop 'App", password=ODD)

    for server in cluster.servers:
        assert as_app("select count(*) from later join countries on true", server) == 0
        assert as_app("select count(*) from later_2026", server) == 0
        assert as_app("select count(*) from ventas.orders", server) >= 100
        for number, statement in enumerate(WRITES):
            as_app(statement.replace("id = ", f"id = {server.port + number} + "), server)
        assert as_app("select ventas.double(2)", server) == 4
        assert as_app("select count(*) from ventas.totals", server) == 4
        for denied in (
            "insert into countries values (1, 'x')",
            "create table ventas.mine ()",
            "create table public.mine ()",
            "select * from pg_authid",
            "select * from pg_dist_authinfo",
            *(ON_COORDINATOR if server is cluster.coordinator else ()),
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                as_app(denied, server)
    for resource in (app, may):
        assert resource.refresh()
        assert resource.state["drift"] == []
        assert resource.up() == "same"


def test_what_comes_later_is_the_roles_too(servers: Cluster) -> None:
    """Tables made by hand, in a schema of its own file, converted, undistributed; and all of them on a worker that joins."""
    servers.coordinator_node().up()
    first, second = servers.workers
    servers.worker_node(first).up()
    app = role(servers, connections=3)
    app.up()
    servers.run(SCHEMA)
    may = rights(servers, read=["public"], write_in=["ventas"])
    may.up()

    servers.run("""
        create table ventas.returns (country int, id bigserial, primary key (country, id));
        create function ventas.triple(int) returns int language sql as 'select 3 * $1';
        revoke execute on function ventas.triple from public;
        select create_distributed_table('ventas.returns', 'country', colocate_with => 'ventas.orders');
        select alter_distributed_table('ventas.orders', shard_count => 8, cascade_to_colocated => true);
        select undistribute_table('ventas.returns');
        alter table countries add column code text;
        create table public.codes (id int primary key);
        select create_reference_table('codes');
        create table public.later_2027 partition of later for values from ('2027-01-01') to ('2028-01-01');
    """)
    servers.worker_node(second).up()
    servers.run("select rebalance_table_shards(shard_transfer_mode => 'block_writes')")
    app.up(generations=["1", "1", "2"])

    for server in servers.servers:
        assert ask(server, servers, "select count(*) from ventas.orders o join countries c on c.id = o.country") == 0
        ask(server, servers, "insert into ventas.orders (country, total) values (1, 2)")
        assert ask(server, servers, "select count(*) from later_2027 l, codes") == 0
    assert (
        ask(servers.coordinator, servers, "insert into ventas.returns (country) values (1) returning ventas.triple(1)")
        == 3
    )
    for resource in (app, may):
        assert resource.refresh()
        assert resource.state["drift"] == []
    limits = [servers.value("select rolconnlimit from pg_roles where rolname = 'app'", on=it) for it in servers.servers]
    assert limits == [3, -1, -1]


BY_HAND: Final = {
    "grant truncate on ventas.orders to app": "role app has TRUNCATE on table ventas.orders, which is not declared",
    "grant select (name) on local to app": "role app has SELECT on columns of public.local, which is not declared",
    "grant select on local to app with grant option": "role app has SELECT on table public.local, and may grant it to others",
    "revoke insert on ventas.orders from app": "role app lacks INSERT on table ventas.orders",
    "revoke usage on schema ventas from app": "role app lacks USAGE on schema ventas",
    "grant create on schema public to app": "role app has CREATE on schema public, which is not declared",
    "grant create on database {} to app": "role app has CREATE on database {}, which is not declared",
    "alter default privileges for role postgres grant select on tables to app": "role app has SELECT on later tables (for",
    "alter role app superuser": "role app is a superuser",
    "alter role app nologin": "role app may not log in",
    "alter role app valid until '2020-01-01'": "role app may not log in",
    "alter role app password 'other'": "role app has another password than the declared one",
    "alter role app connection limit 7": "role app has the connection limit 7",
    "grant pg_read_all_data to app": "role app is a member of pg_read_all_data",
    "grant select on pg_authid to app": "role app has SELECT on table pg_catalog.pg_authid, which is not declared",
}


@pytest.mark.parametrize("change", BY_HAND)
def test_what_is_changed_by_hand_is_drift(cluster: Cluster, capsys: pytest.CaptureFixture[str], change: str) -> None:
    """A refresh names it, and an update puts it right on every node, and grants of others stay as they are."""
    app, may = role(cluster), rights(cluster, read=["public"], write_in=["ventas"])
    app.up()
    cluster.run(SCHEMA + "; create table local (id int, name text); create role other; grant all on local to other")
    may.up()
    cluster.run(change.format(cluster.database))
    capsys.readouterr()

    assert app.refresh()
    assert may.refresh()
    assert BY_HAND[change].format(cluster.database) in capsys.readouterr().out
    assert {app.up(), may.up()} == {"same", "update"}

    assert app.refresh()
    assert may.refresh()
    assert not capsys.readouterr().out
    for server in cluster.servers:
        ask(server, cluster, "insert into ventas.orders (country, total) values (1, 2)")
    assert cluster.value("select has_table_privilege('other', 'local', 'truncate')")


def test_a_role_that_is_gone_or_changed_on_a_node_comes_back(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """Dropped everywhere, dropped on one worker, made a superuser on one: an update mends it."""
    app, may = role(cluster), rights(cluster, read=["public"], write_in=["ventas"])
    app.up()
    cluster.run(SCHEMA)
    may.up()
    first, second = cluster.workers
    for server in (first, second):
        cluster.run("set citus.enable_ddl_propagation = off; drop owned by app", on=server)
    cluster.run("set citus.enable_ddl_propagation = off; drop role app", on=first)
    cluster.run("set citus.enable_ddl_propagation = off; alter role app superuser; grant pg_monitor to app", on=second)
    assert app.refresh()
    said = capsys.readouterr().out
    for line in (
        f"is not there on worker {HOST}:{first.port}",
        "is a superuser on worker",
        "is a member of pg_monitor on worker",
    ):
        assert line in said
    assert app.up() == "update"
    assert app.refresh()
    assert app.state["drift"] == []


def test_what_a_worker_was_given_or_lost_is_drift(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """On a table as on one of its shards: a refresh names the table and the worker, and an update puts it right."""
    role(cluster).up()
    cluster.run(SCHEMA)
    may = rights(cluster, read=["public"], write_in=["ventas"])
    may.up()
    assert may.refresh()
    assert may.state["drift"] == []
    first, second = cluster.workers
    cluster.run("set citus.enable_ddl_propagation = off; grant truncate on ventas.orders to app", on=first)
    shard = "select shard_name('countries', shardid) from pg_dist_shard where logicalrelid = 'countries'::regclass"
    cluster.run(
        f"set citus.enable_ddl_propagation = off; set citus.enable_manual_changes_to_shards = on; "
        f"revoke select on {cluster.value(shard)} from app",
        on=second,
    )
    capsys.readouterr()

    assert may.refresh()
    assert set(capsys.readouterr().out.splitlines()) == {
        f"role app has other privileges on table ventas.orders on worker {HOST}:{first.port} than on the coordinator",
        f"role app has other privileges on table public.countries on worker {HOST}:{second.port} than on the coordinator",
    }
    assert may.up() == "update"
    assert may.refresh()
    assert may.state["drift"] == []
    for server in cluster.servers:
        assert ask(server, cluster, "select count(*) from countries") == 0
    assert not cluster.value("select has_table_privilege('app', 'ventas.orders', 'truncate')", on=first)


def test_a_password_changes_in_one_update(cluster: Cluster) -> None:
    """Sessions that are open go on; the new one is good on every node, the old one on none."""
    app, may = role(cluster), rights(cluster, write_in=["ventas"])
    app.up()
    cluster.run(SCHEMA)
    may.up()

    rotated = role(cluster, "two")
    rotated.id, rotated.state, rotated.applied = app.id, app.state, app.applied
    with psycopg.connect(
        host=HOST, port=cluster.coordinator.port, dbname=cluster.database, user="app", password="one", autocommit=True
    ) as before:
        before.execute("select count(*) from ventas.orders")
        assert rotated.up() == "update"
        before.execute("select count(*) from ventas.orders")
    for server in cluster.servers:
        assert ask(server, cluster, "select count(*) from ventas.orders", password="two") == 100
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            ask(server, cluster, "select 1")
    assert rotated.up() == "same"


def test_a_role_is_taken_away(cluster: Cluster) -> None:
    """With all its privileges, on every node, with its row of pg_dist_authinfo; privileges of others stay."""
    app, may = role(cluster), rights(cluster, read=["public"], write_in=["ventas"])
    app.up()
    cluster.run(SCHEMA + "; create role other; grant select on countries to other")
    may.up()
    cluster.run("set citus.enable_ddl_propagation = off; grant truncate on ventas.orders to app", on=cluster.workers[0])

    may.delete()
    app.delete()

    for server in cluster.servers:
        assert cluster.rows("select from pg_roles where rolname = 'app'", on=server) == []
        assert cluster.rows("select from pg_dist_authinfo where rolename = 'app'", on=server) == []
    assert cluster.rows("select from citus_pulumi.role") == []
    assert (
        cluster.rows(
            "select from pg_dist_object where classid = 'pg_authid'::regclass and objid not in (select oid from pg_roles)"
        )
        == []
    )
    assert cluster.value("select has_table_privilege('other', 'countries', 'select')")


@pytest.mark.parametrize(
    ("in_the_way", "why", "way"),
    [
        (
            "create table mine (id int); alter table mine owner to app",
            "it owns table mine",
            "reassign owned by app to postgres",
        ),
        (
            "create policy own on countries to app",
            "policy own on table countries names it",
            "drop policy own on countries",
        ),
    ],
)
def test_a_role_that_is_needed_stays(cluster: Cluster, in_the_way: str, why: str, way: str) -> None:
    """What it owns is never dropped: the error names it and the way, and nothing was changed."""
    app, may = role(cluster), rights(cluster, read=["public"], write_in=["ventas"])
    app.up()
    cluster.run(SCHEMA + "; set citus.enable_local_reference_table_foreign_keys = off")
    may.up()
    cluster.run(in_the_way)

    may.delete()
    with pytest.raises(DriftError, match=why):
        app.delete()
    assert ask(cluster.coordinator, cluster, "select count(*) from ventas.orders") == 100
    cluster.run(way)
    app.delete()
    assert cluster.rows("select from pg_roles where rolname = 'app'") == []


def test_a_role_that_is_logged_in_stays(cluster: Cluster) -> None:
    """Its sessions are counted, and the way is told."""
    app = role(cluster)
    app.up()
    with (
        psycopg.connect(
            host=HOST,
            port=cluster.coordinator.port,
            dbname=cluster.database,
            user="app",
            password="one",
            autocommit=True,
        ),
        pytest.raises(DriftError, match="1 sessions of it are open on the coordinator: stop the application"),
    ):
        app.delete()
    app.delete()


def test_a_role_that_exists_is_taken_over(cluster: Cluster) -> None:
    """Made by hand on the coordinator alone, with rights and memberships: it has what is declared afterwards, on every node."""
    cluster.run(SCHEMA)
    cluster.run(
        "set citus.enable_ddl_propagation = off; create role app login superuser password 'old'; "
        "grant pg_write_all_data to app; grant select on public.countries to app"
    )

    role(cluster).up()
    may = rights(cluster, write_in=["ventas"])
    may.up()

    for server in cluster.servers:
        assert ask(server, cluster, "select count(*) from ventas.orders") == 100
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask(server, cluster, "select count(*) from public.countries")


def test_a_schema_that_is_not_there_is_named(cluster: Cluster) -> None:
    """Nothing is granted then."""
    role(cluster).up()
    with pytest.raises(DriftError, match=r"citus:roles\.app: there is no schema almacen"):
        rights(cluster, read=["almacen", "public"]).up()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of a connection that was being opened
@pytest.mark.parametrize("what", ["make", "rotate", "drop"])
def test_an_update_that_is_cut_off_is_ended_by_the_next(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Whichever statement was its last: every node lets the role in afterwards, or none has it any more."""
    cluster.run(SCHEMA)
    cut, step = True, 3
    while cut:
        app = role(cluster, f"password {step}")
        if what != "make":
            app.up()
            rights(cluster, write_in=["ventas"]).up()
        after = role(cluster, "rotated") if what == "rotate" else app
        after.id, after.state, after.applied = app.id, app.state, app.applied
        work = app.delete if what == "drop" else after.up
        cut = is_cut_off(monkeypatch, work, step)
        if cut:
            work()
        assert_ended(cluster, None if what == "drop" else after, "rotated" if what == "rotate" else f"password {step}")
        step += 10


def is_cut_off(monkeypatch: pytest.MonkeyPatch, work: Callable[[], Any], at: int) -> bool:
    """Do something and end it before its n-th statement; tell whether it had so many."""
    execute, left = psycopg.Connection.execute, [at]

    def cut_off(self: Any, *arguments: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return execute(self, *arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.Connection, "execute", cut_off)
        try:
            work()
        except KeyboardInterrupt:
            return True
    return False


def assert_ended(cluster: Cluster, app: Resource | None, password: str) -> None:
    """Assert that the role is as declared on every node, or gone; in the end it is."""
    staged = "select count(*) from pg_dist_authinfo where nodeid = -2"
    assert [cluster.value(staged, on=server) for server in cluster.servers] == [0, 0, 0]
    if app is not None:
        for server in cluster.servers:
            assert ask(server, cluster, "select 1", password=password) == 1
        assert app.refresh()
        assert app.state["drift"] == []
        app.delete()
    for server in cluster.servers:
        assert cluster.rows("select from pg_roles where rolname = 'app'", on=server) == []
        assert cluster.rows("select from pg_dist_authinfo where rolename = 'app'", on=server) == []


def test_the_password_is_in_no_log_and_no_view(cluster: Cluster) -> None:
    """Though every node writes down all that it is asked, whether the role is made, gets another password or is refused."""
    secrets = ("n0t-for-the-l0g", "n0r-this-0ne")
    for server in cluster.servers:
        for setting in (
            "log_statement = 'all'",
            "log_min_duration_statement = 0",
            "log_parameter_max_length_on_error = -1",
        ):
            cluster.run(f"alter database {cluster.database} set {setting}", on=server)
    app = role(cluster, secrets[0])
    app.up()
    rotated = role(cluster, secrets[1])
    rotated.id, rotated.state, rotated.applied = app.id, app.state, app.applied
    rotated.up()
    cluster.run("set citus.enable_ddl_propagation = off; drop role app", on=cluster.workers[0])
    rotated.refresh()
    rotated.up()
    for server in cluster.servers:
        log = server.log.read_text("utf-8", "replace")
        assert not any(secret in log for secret in secrets)


def test_what_everybody_may_do_is_told(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """It is not the role's own, so nothing is revoked; what the role may do anyway is not told."""
    role(cluster).up()
    cluster.run(SCHEMA + "; grant select on countries to public; grant select, truncate on ventas.orders to public")
    rights(cluster, read=["public"], write_in=["ventas"]).up()
    said = capsys.readouterr().out
    assert "role app also has what everybody has: TRUNCATE on ventas.orders. Where nobody else needs it" in said


def test_what_another_role_granted_is_told(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Only who granted it can revoke it: the update says so, and a refresh goes on naming it."""
    role(cluster).up()
    cluster.run("create table local (id int); create role giver; grant truncate on local to giver with grant option")
    cluster.run("set role giver; grant truncate on local to app")
    may = rights(cluster, read=["public"])
    may.up()
    assert (
        "role app still has TRUNCATE on table public.local: giver granted it, and must revoke it"
        in capsys.readouterr().out
    )


def test_a_worker_that_says_nothing_holds_up_no_refresh(servers: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said that the role was not compared, and its state stays as it was."""
    servers.form()
    app, may = role(servers), rights(servers, read=["public"])
    app.up()
    may.up()
    servers.workers[1].pause()
    try:
        for resource in (app, may):
            before = dict(resource.state)
            assert resource.refresh()
            assert resource.state == before
            assert "app: not refreshed, a node is unreachable: no answer within 5 s" in capsys.readouterr().out
    finally:
        servers.workers[1].resume()
