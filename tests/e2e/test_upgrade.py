"""A stack made by an earlier commit goes on with this one: nothing is replaced, and no row is touched."""

from __future__ import annotations

import base64
import json
import subprocess
import tarfile
from io import BytesIO
from typing import TYPE_CHECKING

import pytest

from tests.e2e.nodes import DOCKER, LOCAL, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.stack import Stack

RUNTIMES = [DOCKER, LOCAL]
ONE_ENGINE = "the earlier commit knows no hosts"
BEFORE = "e36993ca655c"
"""The last commit at which a state named the modules of providers."""
FILE = """create table kind (code text primary key);
create table sale (country int not null, id bigint not null, kind text references kind, primary key (country, id));
"""
TABLES = {"sale": {"distributeBy": "country"}, "kind": {"reference": True}}
ROWS = 400


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it was."""
    archive = subprocess.run(["git", "archive", BEFORE], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"this clone does not have the commit {BEFORE}: fetch its history")
    folder = tmp_path_factory.mktemp("earlier")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def providers(stack: Stack) -> set[bytes]:
    """Return the pickles by which the state names providers."""
    found: set[bytes] = set()
    for resource in json.loads(stack.state())["checkpoint"]["latest"]["resources"]:
        for properties in (resource.get("inputs") or {}, resource.get("outputs") or {}):
            if "__provider" in properties:
                found.add(base64.b64decode(properties["__provider"]))
    return found


def test_a_stack_of_an_earlier_commit_goes_on(
    new_stack: Callable[..., Stack], tmp_path_factory: pytest.TempPathFactory, earlier: Path
) -> None:
    """Refreshed, brought up, changed and destroyed by this code; its rows are there until then."""
    folder = tmp_path_factory.mktemp("schema")
    (folder / "010.sql").write_text(FILE)
    stack = new_stack("upgrade", tables=TABLES, schemaDir=str(folder), tenants={"sale": {"pin": {"1": 2}}})
    stack.run_code_of(earlier)
    made = stack.up()
    assert made.code == 0, made.output
    stack.query("insert into kind values ('a')")
    stack.query("insert into sale select c, i, 'a' from generate_series(1, 4) c, generate_series(1, 100) i")
    servers = stack.query(
        "select nodename || nodeport || (select system_identifier from pg_control_system()) from pg_dist_node"
    )

    stack.run_code_of(ROOT)
    refreshed = stack.refresh()
    assert refreshed.code == 0, refreshed.output
    up = stack.up()

    assert up.code == 0, up.output
    assert up.changes().keys() <= {"create", "update", "same", "unchanged"}, up.output
    assert up.changes().get("create", 0) == 2, up.output  # what sees to the password, and what evens shards out
    assert stack.query("select count(*) from sale") == [ROWS]
    assert (
        stack.query(
            "select nodename || nodeport || (select system_identifier from pg_control_system()) from pg_dist_node"
        )
        == servers
    )
    assert all(b"components.registry" in provider for provider in providers(stack))
    assert stack.preview("--expect-no-changes").code == 0
    assert stack.refresh().code == 0
    assert stack.preview("--expect-no-changes").code == 0

    stack.set(workers=3)
    changed = stack.up()
    assert changed.code == 0, changed.output
    stack.set(workers=2)
    changed = stack.up()
    assert changed.code == 0, changed.output
    assert stack.query("select count(*) from sale") == [ROWS]
    destroyed = stack.destroy()
    assert destroyed.code == 0, destroyed.output
    assert stack.leftovers() == []
