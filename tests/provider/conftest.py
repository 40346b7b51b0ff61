"""Clusters for the tests of the providers: each test has a database of its own on servers that all tests share."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from components.database.connections import close_idle
from tests.provider.resources import Cluster
from tests.retail import RETAIL_SCHEMA, RETAIL_TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import PostgresServer

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def no_idle_connections() -> Iterator[None]:
    """Close the connections that providers keep for their next use."""
    yield
    close_idle()


@pytest.fixture(scope="session")
def unformed(citus_servers: tuple[PostgresServer, ...]) -> Cluster:
    """To copy: a database with the extension on each of three servers that know nothing of each other."""
    coordinator, *workers = citus_servers
    cluster = Cluster("unformed", coordinator, tuple(workers))
    cluster.make()
    cluster.freeze()
    return cluster


@pytest.fixture(scope="session")
def formed(citus_servers: tuple[PostgresServer, ...]) -> Cluster:
    """To copy: a coordinator with two registered workers."""
    coordinator, *workers = citus_servers
    cluster = Cluster("formed", coordinator, tuple(workers))
    cluster.make()
    cluster.form()
    close_idle()
    cluster.freeze()
    return cluster


@pytest.fixture(params=["encrypted", "plain"])
def transport(
    request: pytest.FixtureRequest, citus_servers: tuple[PostgresServer, ...], monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Connections with TLS, then without: those of this process, and those of the nodes to each other.

    libpq has other words for a connection that broke, and other moments at which it notices.
    """
    if request.param == "encrypted":
        yield request.param
        return
    monkeypatch.setenv("PGSSLMODE", "disable")
    _alter_system(citus_servers, "set citus.node_conninfo = 'sslmode=disable'")
    yield request.param
    _alter_system(citus_servers, "reset citus.node_conninfo")


def _alter_system(servers: tuple[PostgresServer, ...], change: str) -> None:
    for server in servers:
        server.resume()
        server.start()
        with server.connect() as connection:
            connection.execute(f"alter system {change}".encode())
            connection.execute("select pg_reload_conf()")


@contextmanager
def _copy(original: Cluster) -> Iterator[Cluster]:
    cluster = Cluster(f"test_{next(_numbers)}", original.coordinator, original.workers)
    cluster.make(original)
    try:
        yield cluster
    finally:
        cluster.drop()


@pytest.fixture
def servers(unformed: Cluster) -> Iterator[Cluster]:
    """A coordinator and two workers that know nothing of each other yet; each has the extension."""
    with _copy(unformed) as cluster:
        yield cluster


@pytest.fixture
def cluster(formed: Cluster) -> Iterator[Cluster]:
    """A coordinator with two registered workers."""
    with _copy(formed) as cluster:
        yield cluster


@pytest.fixture
def retail(cluster: Cluster) -> Cluster:
    """The company's tables, sharded as they are declared."""
    for resource in cluster.program(RETAIL_SCHEMA, RETAIL_TABLES):
        resource.up()
    return cluster
