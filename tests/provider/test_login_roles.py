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
    from collections.abc import Iterator, Sequence

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


def rights(
    cluster: Cluster, *, read: Sequence[str] = (), write_in: Sequence[str] = (), name: str = "app"
) -> Resource:
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


def refused(server: PostgresServer, cluster: Cluster, query: str) -> bool:
    """Tell whether the role lacks the privilege for a query."""
    try:
        ask(server, cluster, query)
    except psycopg.errors.InsufficientPrivilege:
        return True
    return False


WRITES: Final = (
    "insert into ventas.orders (country, total) values (1, 2)",
    "update ventas.orders set total = 3 where country = 1 and id = 4",
    "delete from ventas.orders where country = 2 and id = 1",
)


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
        assert as_app("select count(*) from ventas.orders join countries c on true right join later l on true", server) == 0
        assert as_app("select count(*) from ventas.orders", server) >= 100
        for number, statement in enumerate(WRITES):
            as_app(statement.replace("id = ", f"id = {server.port + number} + "), server)
        assert as_app("select ventas.double(2)", server) == 4
        assert as_app("select count(*) from ventas.totals", server) == 4
        for denied in (
            "insert into countries values (1, 'x')",
            "truncate ventas.orders",
            "create table ventas.mine ()",
            "create table public.mine ()",
            "select count(*) from citus_pulumi.stack",
            "select * from pg_authid",
            "select * from pg_dist_authinfo",
            "create role other",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                as_app(denied, server)
    for resource in (app, may):
        assert resource.refresh()
        assert resource.state["drift"] == []
        assert resource.up() == "same"
