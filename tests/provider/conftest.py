"""Clusters for the tests of the providers: each test has a database of its own on servers that all tests share."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from components.database import connections
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
    _close_idle_connections()


def _close_idle_connections() -> None:
    for idle in connections._idle.values():
        while idle:
            idle.pop().close()


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
    _close_idle_connections()
    cluster.freeze()
    return cluster


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
