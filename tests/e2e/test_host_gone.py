"""A host that is gone for good, with the workers that were on it: they come back elsewhere, made of their backups.

On `make hosts` alone, whose engines have the nodes' image with pgBackRest.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.e2e.nodes import HOSTS, HostsNodes
from tests.genuine import ON_HOSTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.stack import Stack

RUNTIMES = [HOSTS]
pytestmark = [
    pytest.mark.skipif(not ON_HOSTS, reason="the engines have no image with pgBackRest: make hosts"),
    pytest.mark.timeout(900),
]
KEY = "a-k3y-of-the-repository"
SALE = """
create table country (id int primary key, name text);
create table sale (country int not null, id bigint not null, primary key (country, id));
"""


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack], repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """Five workers on three hosts, backed up."""
    folder = tmp_path_factory.mktemp("schema")
    (folder / "010.sql").write_text(SALE)
    stack = new_stack(
        "gone",
        workers=5,
        schemaDir=str(folder),
        tables={"country": {"reference": True}, "sale": {"distributeBy": "country"}},
        backup={"repository": str(repository)},
        readyTimeout=120,
    )
    stack.check("config", "set", "--path", "--secret", "backup.key", "--stack", stack.name, "--", KEY)
    up = stack.up()
    assert up.code == 0, up.output
    stack.query("insert into country select i, 'country ' || i from generate_series(1, 40) i")
    stack.query("insert into sale select c, i from generate_series(1, 40) c, generate_series(1, 50) i")
    assert stack.run_cli("backup", "--kind", "full").code == 0
    return stack


def test_workers_of_a_host_that_is_gone_for_good_come_back_elsewhere(stack: Stack) -> None:
    """All that was archived of them is there; the cluster sold meanwhile, and nothing was removed that a person did not name."""
    nodes = stack.nodes
    assert isinstance(nodes, HostsNodes)
    stack.query("insert into sale select c, i from generate_series(1, 40) c, generate_series(51, 60) i")
    assert stack.run_cli("backup", "--kind", "restore-point").code == 0
    lost = [node for node in (f"worker_{number}" for number in range(1, 6)) if nodes.host_of(node) == "south"]
    assert len(lost) == 2
    wanted = ",".join(lost)
    before = stack.state()
    told = stack.run_cli("forget", "--host", "south")
    assert told.code != 0
    assert "citus:hosts.south: the settings have this host" in told.output
    three = nodes.settings["hosts"]
    stack.set(hosts={name: three[name] for name in ("north", "east")})
    told = stack.run_cli("forget", "--host", "south")
    assert told.code != 0
    assert "the engine of host south answers" in told.output
    assert stack.state() == before
    nodes.hosts["south"].cut_off()
    try:
        refused = stack.preview()
        assert refused.code != 0
        assert "nothing moves off it. Bring it back; or, where it is lost for good with its host" in refused.errors
        assert all(node in refused.errors for node in lost)
        sold = list(filter(lambda country: sells(stack, country), range(1, 9)))
        assert 0 < len(sold) < 8
        told = stack.run_cli("forget", "--host", "south")
        assert told.code == 0, told.output
        assert all(node in told.output for node in lost)
        done = stack.run_cli("restore", "--workers", wanted)
        assert done.code == 0, done.output
        assert done.output.count("is back, with what was committed on it until") >= 2
        left = [nodes.engines[name].containers.list() for name in ("north", "east")]
        assert len([it for engine in left for it in engine if "_worker_" in str(it.name)]) == 5
        assert stack.query("select count(*) from sale") == [40 * 60 + len(sold)]
        assert stack.query("select count(*) from country") == [40]
        assert stack.query("select bool_and(result) from citus_check_cluster_node_health()") == [True]
        assert stack.query(
            "select count(*) from pg_dist_node where nodename = '" + nodes.hosts["south"].address + "'"
        ) == [0]
        again = stack.preview("--expect-no-changes")
        assert again.code == 0, again.output
        assert stack.refresh().code == 0
        assert stack.run_cli("backup").code == 0
        gone = stack.destroy()
        assert gone.code == 0, gone.output
    finally:
        nodes.hosts["south"].connect()


def sells(stack: Stack, country: int) -> bool:
    """Write a sale of a country; tell whether its worker is there."""
    with suppress(psycopg.Error):
        stack.query(f"set citus.node_connection_timeout = '2s'; insert into sale values ({country}, 9001)")
        return True
    return False
