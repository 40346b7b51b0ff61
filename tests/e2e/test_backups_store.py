"""An object store as the repository, over TLS with an authority of its own: archived, backed up, restored, and not there."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.nodes import DOCKER, LOCAL_BACKUPS
from tests.e2e.test_backups import SALE, TABLES, declare_key, rows, sell
from tests.store import Store, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.stack import Stack

RUNTIMES = [LOCAL_BACKUPS, DOCKER]
pytestmark = pytest.mark.needs("store")


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """A store of this machine."""
    with tempfile.TemporaryDirectory(prefix="citus-pulumi-store-") as folder, served(Path(folder) / "store") as made:
        Path(folder).chmod(0o755)
        yield made


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack], tmp_path_factory: pytest.TempPathFactory, store: Store) -> Stack:
    """A cluster that is backed up to it."""
    folder = tmp_path_factory.mktemp("schema")
    (folder / "010.sql").write_text(SALE)
    stack = new_stack("stored", schemaDir=str(folder), tables=TABLES, backup=store.setting)
    declare(stack, "backup")
    up = stack.up()
    assert up.code == 0, up.output
    sell(stack, 1, 400)
    return stack


def declare(stack: Stack, setting: str, secret: str = Store.SECRET) -> None:
    """Set what is secret, as a person does."""
    declare_key(stack, setting)
    stack.check("config", "set", "--path", "--secret", f"{setting}.secretKey", "--stack", stack.name, "--", secret)


def test_a_cluster_is_made_of_what_a_store_has(stack: Stack, store: Store, new_stack: Callable[..., Stack]) -> None:
    """Every row is there; nothing secret is in the state, in what was printed, or in what the system shows."""
    before = rows(stack)
    done = stack.run_cli("backup", "--kind", "full")
    assert done.code == 0, done.output
    source = {**store.setting, "prefix": stack.name, "at": "latest"}
    new = new_stack("unstored", schemaDir=stack.settings["schemaDir"], tables=TABLES, restoreFrom=source)
    declare(new, "restoreFrom")
    up = new.up()
    assert up.code == 0, up.output
    assert rows(new) == before
    for it in (stack, new):
        assert Store.SECRET not in it.state() + up.output + it.nodes.description("coordinator")
    assert new.preview("--expect-no-changes").code == 0


def test_a_store_that_is_away_is_seen_before_a_disk_is_full(stack: Stack, store: Store) -> None:
    """A backup says so and is not complete; a refresh says which nodes do not archive; afterwards all of it is made up for."""
    store.kill()
    try:
        sell(stack, 1001, 1100)
        done = stack.run_cli("backup")
        assert done.code != 0
        assert "is not complete" in done.output, done.output
        assert Store.SECRET not in done.output
        stack.query("select result from run_command_on_all_nodes('select pg_switch_wal()')")
        stack.wait_until(lambda: "is not archived since" in stack.refresh().output, "a refresh sees it", 200)
        shown = stack.run_cli("show")
        assert "is not archived since" in shown.output, shown.output
        assert "failed: " in shown.output
    finally:
        store.ensure()
    up = stack.up()
    assert up.code == 0, up.output
    done = stack.run_cli("backup")
    assert done.code == 0, done.output
    assert stack.preview("--expect-no-changes").code == 0


def test_a_store_that_refuses_is_told_with_its_setting(stack: Stack, store: Store) -> None:
    """In one line, without what was wrong."""
    declare(stack, "backup", "another-secret")
    up = stack.up()
    assert up.code != 0
    assert "citus:backup.repository = 's3://backups/shop'" in up.errors
    assert "the store refuses citus:backup.keyId with its secretKey" in up.errors, up.errors
    assert "another-secret" not in up.output
    declare(stack, "backup")
    assert stack.up().code == 0
