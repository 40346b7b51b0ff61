"""Pulumi's own verbs on each kind of resource (docs/verbs.md): done with every row kept, or refused and nothing touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.nodes import DOCKER, DockerNodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.stack import Stack

RUNTIMES = [DOCKER]
FILE = """create table kind (code text primary key);
create table sale (country int not null, id bigint not null, primary key (country, id));
"""
ROWS = 400


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack], tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """Two workers with four hundred rows in a distributed table."""
    folder = tmp_path_factory.mktemp("schema")
    (folder / "010.sql").write_text(FILE)
    tables = {"sale": {"distributeBy": "country"}, "kind": {"reference": True}}
    stack = new_stack("verbs", tables=tables, schemaDir=str(folder))
    up = stack.up()
    assert up.code == 0, up.output
    stack.query("insert into sale select c, i from generate_series(1, 4) c, generate_series(1, 100) i")
    return stack


def resource(stack: Stack, kind: str, of: str = "") -> str:
    """Return the URN of the resource of a kind, whose name contains a text; of several hosts, the coordinator's."""
    return min((urn for urn in stack.urns(kind) if of in urn.rpartition("::")[2]), key=len)


def assert_whole(stack: Stack) -> None:
    """Every row is there; an update succeeds, and leaves nothing to change."""
    assert stack.query("select count(*) from sale") == [ROWS]
    up = stack.up()
    assert up.code == 0, up.output
    assert stack.query("select count(*) from sale") == [ROWS]
    assert stack.query("select count(*) from pg_dist_node where isactive") == [3]
    assert stack.preview("--expect-no-changes").code == 0


@pytest.mark.parametrize(
    ("kind", "of", "refused"),
    [
        ("ClusterIdentity", "", "which the state of this stack"),
        ("Volume", "worker_1", ""),
        ("NodeData", "worker_1", "is registered and holds"),
        ("NodeData", "coordinator", "it is the coordinator's"),
        ("Network", "", ""),
        ("Container", "coordinator", ""),
        ("WorkerNode", "worker_1", "still holds"),
        ("DistributedTable", "", ""),
        ("ShardPlacement", "", ""),
        ("DestroyGuard", "", ""),
    ],
)
def test_a_replacement_loses_nothing(stack: Stack, kind: str, of: str, refused: str) -> None:
    """`up --replace` makes the resource again with the data in place, or says why it does not."""
    target = resource(stack, kind, of)
    replaced = stack.pulumi("up", "--yes", "--skip-preview", "--stack", stack.name, "--replace", target)
    assert (replaced.code != 0) == bool(refused), replaced.output
    assert refused in replaced.output
    assert_whole(stack)


@pytest.mark.parametrize(
    ("kind", "of", "refused"),
    [
        ("Container", "worker_1", ""),
        ("Volume", "worker_1", ""),
        ("NodeData", "worker_1", "is registered and holds"),
        ("WorkerNode", "worker_1", "still holds"),
        ("SchemaScript", "", ""),
    ],
)
def test_a_targeted_destroy_loses_nothing(stack: Stack, kind: str, of: str, refused: str) -> None:
    """`destroy --target`, with what depends on it where Pulumi asks for that, takes no data that the cluster needs."""
    command = ["destroy", "--yes", "--stack", stack.name, "--target", resource(stack, kind, of)]
    if kind == "Container":
        command.append("--target-dependents")
    gone = stack.pulumi(*command)
    if refused:
        assert gone.code != 0, gone.output
    assert_whole(stack)


def test_a_strangers_container_on_the_network_is_named_before_anything_is_deleted(stack: Stack) -> None:
    """An application that is connected to the network stops the destroy, and every row is still there."""
    assert isinstance(stack.nodes, DockerNodes)
    network = f"{stack.name}net"
    stranger = stack.nodes.engine.containers.run(
        "citusdata/citus:12.1", ["sleep", "300"], entrypoint="", name=f"{stack.name}-app", network=network, detach=True
    )
    try:
        destroy = stack.destroy()
        assert destroy.code != 0
        assert f"network {network}: containers that are not part of this cluster are connected to it" in destroy.output
        assert f"network disconnect {network} {stack.name}-app" in destroy.output
        assert_whole(stack)
        stack.set(network=f"{stack.name}net2")
        preview = stack.preview()
        assert preview.code != 0
        assert f"{stack.name}-app" in preview.errors
        stack.set(network=network)
    finally:
        stranger.remove(force=True, v=True)
    destroy = stack.destroy()
    assert destroy.code == 0, destroy.output
    assert stack.leftovers() == []
