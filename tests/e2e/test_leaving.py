"""Workers that leave, whatever the state knows of them: drained and unregistered before anything of theirs goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import free_port
from tests.e2e.nodes import DOCKER, LOCAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.stack import Stack

RUNTIMES = [LOCAL, DOCKER]
SALE = "create table sale (country int not null, id bigint not null, primary key (country, id));\n"
ROWS = 400


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack], tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """Three workers with four hundred rows in a distributed table."""
    folder = tmp_path_factory.mktemp("schema")
    (folder / "010.sql").write_text(SALE)
    declared = {"tables": {"sale": {"distributeBy": "country"}}, "schemaDir": str(folder), "workers": 3}
    stack = new_stack("leaving", **declared, rebalance=False)  # so that a test says which shards a worker holds
    up = stack.up()
    assert up.code == 0, up.output
    stack.query("insert into sale select c, i from generate_series(1, 4) c, generate_series(1, 100) i")
    return stack


def workers(stack: Stack) -> list[str]:
    """Return the registered workers."""
    return stack.query("select nodename || ':' || nodeport from pg_dist_node where groupid > 0 order by groupid")


def test_a_worker_that_the_state_does_not_know_is_drained_before_it_goes(stack: Stack) -> None:
    """After a destroy of the coordinator's server and all that depends on it, fewer workers cost no row."""
    (server,) = (urn for urn in stack.urns("Container", "LocalNode") if "coordinator" in urn)
    gone = stack.pulumi("destroy", "--yes", "--stack", stack.name, "--target", server, "--target-dependents")
    assert gone.code == 0, gone.output
    stack.set(workers=2)
    up = stack.up()
    assert up.code == 0, up.output
    assert workers(stack) == [stack.nodes.address("worker_1"), stack.nodes.address("worker_2")]
    assert stack.query("select count(*) from sale") == [ROWS]
    assert not any("worker_3" in left for left in stack.leftovers())
    assert stack.preview("--expect-no-changes").code == 0


def test_a_registered_worker_that_no_setting_declares_is_named_and_drained(stack: Stack) -> None:
    """A state from before a worker joined: the preview names the worker and what it holds, and up moves its shards."""
    before = stack.pulumi("stack", "export", "--stack", stack.name).output
    stack.set(workers=3)
    assert stack.up().code == 0
    stack.query(
        "select citus_move_shard_placement(shardid, nodename, nodeport, "
        f"'{stack.nodes.address('worker_3').partition(':')[0]}', {stack.nodes.address('worker_3').partition(':')[2]},"
        " 'block_writes') from citus_shards where table_name::text = 'sale' limit 1"
    )
    stack.set(workers=2)
    (stack.folder / "before.json").write_text(before[before.index("{") :])
    stack.check("stack", "import", "--stack", stack.name, "--file", "before.json")
    preview = stack.preview()
    assert preview.code == 0, preview.output
    address = stack.nodes.address("worker_3")
    assert f"worker {address} is registered, and no setting declares it: its 1 shards move" in preview.output
    assert "worker_3" in preview.output.partition("is part of this cluster, but no setting declares it")[0]
    up = stack.up()
    assert up.code == 0, up.output
    assert address not in workers(stack)
    assert stack.query("select count(*) from sale") == [ROWS]
    assert stack.nodes.runs("worker_3")  # named, and left to a person


def test_a_lost_state_and_fewer_workers_at_once_lose_nothing(stack: Stack, runtime: str) -> None:
    """Taken over with fewer workers, the cluster still drains the one that is not declared any more."""
    stack.set(workers=3)
    assert stack.up().code == 0
    (cluster_id,) = stack.query("select name from citus_pulumi.stack")
    stack.set_state_aside()
    stack.set(adopt=cluster_id, workers=2)
    if runtime == "hosts":  # where nodes verify each other, all are adopted first
        assert "no setting declares it. The nodes get certificates of another authority" in stack.preview().errors
        stack.set(workers=3)
        assert stack.up().code == 0
        stack.set(workers=2)
    up = stack.up()
    assert up.code == 0, up.output
    assert workers(stack) == [stack.nodes.address("worker_1"), stack.nodes.address("worker_2")]
    assert stack.query("select count(*) from sale") == [ROWS]
    stack.set(adopt=None, workers=3)
    assert stack.up().code == 0


def test_another_port_and_fewer_workers_at_once(stack: Stack, runtime: str) -> None:
    """Containers take the new port and let the worker go; a local coordinator refuses another port at preview."""
    old, port = stack.port, free_port()
    stack.set(workers=2, port=port)
    if runtime in ("docker", "hosts"):
        stack.port = port
        up = stack.up()
        assert up.code == 0, up.output
        assert len(workers(stack)) == 2
    else:
        preview = stack.preview()
        assert preview.code != 0
        assert f"citus:port gives {port}" in preview.errors, preview.output
        stack.set(port=old)
        assert stack.up().code == 0
    assert stack.query("select count(*) from sale") == [ROWS]
    assert stack.preview("--expect-no-changes").code == 0


def test_data_of_a_worker_with_shards_goes_only_with_the_whole_cluster(stack: Stack) -> None:
    """Neither a targeted destroy nor a replacement removes a volume or a folder of a worker that holds shards."""
    (data,) = (urn for urn in stack.urns("NodeData") if "worker_1" in urn)
    for command in (
        ["destroy", "--yes", "--stack", stack.name, "--target", data],
        ["up", "--yes", "--skip-preview", "--stack", stack.name, "--replace", data],
    ):
        refused = stack.pulumi(*command)
        assert refused.code != 0, refused.output
    assert stack.query("select count(*) from sale") == [ROWS]
    assert stack.preview("--expect-no-changes").code == 0
