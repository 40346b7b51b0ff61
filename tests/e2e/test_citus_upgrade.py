"""A newer Citus on the same PostgreSQL, in one update: servers one after the other, then the extension; every row is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.nodes import DOCKER
from tests.genuine import IMAGE, NEWER_IMAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.stack import Stack

RUNTIMES = [DOCKER]
pytestmark = pytest.mark.needs("newer")
VERSIONS = "select distinct result from run_command_on_all_nodes($$select extversion from pg_extension where extname = 'citus'$$)"


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack], tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A stack that is up, with sharded and referenced rows and a tenant of its own."""
    folder = tmp_path_factory.mktemp("schema")
    (folder / "010.sql").write_text(
        "create table kind (code text primary key);\n"
        "create table sale (country int, id int, kind text references kind, primary key (country, id));\n"
        "insert into kind values ('a');\ninsert into sale select i % 4, i, 'a' from generate_series(1, 100) i;\n"
    )
    tables = {"kind": {"reference": True}, "sale": {"distributeBy": "country"}}
    made = new_stack("citus", schemaDir=str(folder), tables=tables, tenants={"sale": {"pin": {"1": 2}}})
    done = made.up()
    assert done.code == 0, done.output
    return made


def test_a_newer_citus_is_one_update_that_is_announced(stack: Stack) -> None:
    """The preview says what it means; rows, keys and tenants are as they were, and a second run changes nothing."""
    (before,) = stack.query(VERSIONS)
    stack.set(image=NEWER_IMAGE)
    preview = stack.preview()
    assert preview.code == 0, preview.output
    assert f"Citus is upgraded from {before} to" in preview.output
    assert "started again, workers one after the other, then the coordinator" in preview.output

    done = stack.up()

    assert done.code == 0, done.output
    (after,) = stack.query(VERSIONS)
    assert after != before
    assert stack.query("select count(*), count(distinct country) from sale join kind on code = kind") == [(100, 4)]
    assert stack.outputs()["versions"]["citus"] == after
    assert stack.preview("--expect-no-changes").code == 0
    assert stack.refresh().code == 0
    assert stack.preview("--expect-no-changes").code == 0


def test_an_upgrade_that_was_killed_after_the_servers_goes_on(
    new_stack: Callable[..., Stack], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As where a run is killed before the extension is updated: statements are refused, and the next run ends it."""
    folder = tmp_path_factory.mktemp("schema")
    (folder / "010.sql").write_text(
        "create table t (id int primary key);\ninsert into t select generate_series(1, 50);\n"
    )
    stack = new_stack("half", schemaDir=str(folder), tables={"t": {"distributeBy": "id"}})
    assert stack.up().code == 0
    targets = [
        f"--target={urn}"
        for urn in stack.urns("Container:Container", "RemoteImage:RemoteImage", "Container", "RemoteImage")
    ]
    stack.set(image=NEWER_IMAGE)
    half = stack.run("up", *targets)
    assert half.code == 0, half.output

    done = stack.up()

    assert done.code == 0, done.output
    assert stack.query("select count(*) from t") == [50]
    assert len(stack.query(VERSIONS)) == 1
    assert stack.preview("--expect-no-changes").code == 0


def test_an_older_citus_is_refused_with_both_versions(stack: Stack, settings: None) -> None:
    """At preview, with the way to go; nothing is touched."""
    stack.set(image=IMAGE)
    errors = stack.preview().errors
    assert "which an older library does not serve, and which cannot be taken back: set an image of Citus" in errors
