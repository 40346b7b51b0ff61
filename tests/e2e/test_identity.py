"""A cluster stays itself: renamed, met by another state, taken over on purpose, or asked to become another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.nodes import DOCKER, LOCAL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.stack import Stack

RUNTIMES = [DOCKER, LOCAL]
SHARDED = {"sale": {"distributeBy": "country"}}
ROWS = 400


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack], tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A cluster of two workers with four hundred rows in a distributed table, brought up once for the module."""
    folder: Path = tmp_path_factory.mktemp("schema")
    (folder / "010.sql").write_text(
        "create table sale (country int not null, id bigint not null, primary key (country, id));\n"
    )
    stack = new_stack("identity", tables=SHARDED, schemaDir=str(folder))
    up = stack.up()
    assert up.code == 0, up.output
    stack.query("insert into sale select c, i from generate_series(1, 4) c, generate_series(1, 100) i")
    return stack


def test_a_renamed_stack_is_the_same_cluster(stack: Stack) -> None:
    """After a rename, an update replaces nothing, keeps every row, and leaves nothing to change."""
    stack.rename("test-identity-renamed")
    up = stack.up()
    assert up.code == 0, up.output
    assert up.changes().keys() <= {"unchanged", "update"}, up.output
    assert stack.query("select count(*) from sale") == [ROWS]
    assert stack.preview("--expect-no-changes").code == 0
    stack.rename("test-identity")
    assert stack.up().code == 0


@pytest.mark.parametrize(
    "changed",
    [{"namePrefix": "test-other"}, {"user": "other"}, {"database": "other"}, {"runtime": "other"}],
    ids=lambda changed: next(iter(changed)),
)
def test_what_the_data_was_made_with_stays(stack: Stack, settings: None, runtime: str, changed: dict[str, Any]) -> None:
    """Another prefix, user, database or runtime is refused at preview, and the value to set back is named."""
    ((setting, value),) = changed.items()
    if setting == "runtime":
        value = "docker" if runtime not in ("docker", "hosts") else "local"
        stack.set(hosts=None, hostOf=None)
        stack.set(standIn=True, workerPorts=f"{stack.port + 1}-{stack.port + 9}", dataDir=None, postgresBin=None)
    stack.set(**{setting: value})
    preview = stack.preview()
    assert preview.code != 0
    assert f"citus:{setting} = {value!r}: this cluster was made with" in preview.errors, preview.output
    assert stack.query("select count(*) from sale") == [ROWS]


def test_another_state_does_not_take_it_over(stack: Stack) -> None:
    """With another state and the same names, preview and up are refused, and destroy leaves everything where it is."""
    mine = stack.set_state_aside()
    for run in (stack.preview(), stack.up()):
        assert run.code != 0
        assert "does not know. If another stack or another clone manages it" in run.errors, run.output
        assert "pulumi config set adopt " in run.errors
    assert stack.destroy().code == 0
    stack.bring_state_back(mine)
    assert stack.query("select count(*) from sale") == [ROWS]
    assert stack.preview("--expect-no-changes").code == 0


def test_a_lost_state_is_found_again_on_request(stack: Stack, settings: None) -> None:
    """With the cluster's id in the setting adopt, the preview says what it adopts, and up keeps every row."""
    (cluster_id,) = stack.query("select name from citus_pulumi.stack")
    stack.set_state_aside()
    stack.set(adopt="no-such-cluster")
    preview = stack.preview()
    assert preview.code != 0
    assert "part of the cluster" in preview.errors
    stack.set(adopt=cluster_id)
    preview = stack.preview()
    assert preview.code == 0, preview.output
    assert f"adopts the cluster {cluster_id} with all its data" in preview.output
    up = stack.up()
    assert up.code == 0, up.output
    assert stack.query("select count(*) from sale") == [ROWS]
    stack.set(adopt=None)
    assert stack.preview("--expect-no-changes").code == 0
    stack.set(adopt="another-cluster")
    preview = stack.preview()
    assert preview.code != 0
    assert f"this stack already has a cluster, {cluster_id}" in preview.output


def test_the_whole_cluster_goes_when_it_is_destroyed(stack: Stack) -> None:
    """Destroy removes servers, data and network."""
    destroy = stack.destroy()
    assert destroy.code == 0, destroy.output
    assert stack.leftovers() == []
