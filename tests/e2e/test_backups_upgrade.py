"""Backups and releases of Citus: an older backup is upgraded where it is restored, and a newer one is refused at preview."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.nodes import DOCKER
from tests.e2e.page import IF_EVERYTHING
from tests.e2e.test_backups import SALE, TABLES, declare_key, rows, sell
from tests.e2e.test_citus_upgrade import VERSIONS
from tests.genuine import IMAGE, NEWER_IMAGE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.stack import Stack

RUNTIMES = [DOCKER]
pytestmark = [pytest.mark.needs("newer"), IF_EVERYTHING]


@pytest.mark.timeout(600)
def test_what_was_backed_up_needs_a_citus_that_is_as_new(
    new_stack: Callable[..., Stack], repository: Path, tmp_path: Path
) -> None:
    """A point from before an upgrade is restored by either, one from after it by the newer alone."""
    (tmp_path / "010.sql").write_text(SALE)
    common: dict[str, Any] = {"schemaDir": str(tmp_path), "tables": TABLES, "workers": 1}

    def restore(name: str, image: str, at: str) -> Stack:
        source = {"repository": str(repository), "prefix": stack.name, "at": at}
        made = new_stack(name, **common, image=image, restoreFrom=source)
        declare_key(made, "restoreFrom")
        return made

    stack = new_stack("released", **common, backup={"repository": str(repository)})
    declare_key(stack, "backup")
    assert stack.up().code == 0
    sell(stack, 1, 400)
    before = rows(stack)
    done = stack.run_cli("backup", "--kind", "full")
    assert done.code == 0, done.output
    first = done.output.split()[-1]
    newer = restore("newer", NEWER_IMAGE, first)
    up = newer.up()
    assert up.code == 0, up.output
    assert "the coordinator has the extension citus " in up.output
    assert newer.query(VERSIONS) != stack.query(VERSIONS)
    assert rows(newer) == before
    assert newer.preview("--expect-no-changes").code == 0
    stack.set(image=NEWER_IMAGE)
    up = stack.up()
    assert up.code == 0, up.output
    done = stack.run_cli("backup", "--kind", "restore-point")
    assert done.code == 0, done.output
    refused = restore("older", IMAGE, "latest").preview()
    assert refused.code != 0
    (release,) = stack.query(VERSIONS)
    assert f"the database has the extension citus {release}, which an older library does not serve" in refused.errors, (
        refused.output
    )
    again = restore("old", IMAGE, first)
    up = again.up()
    assert up.code == 0, up.output
    assert rows(again) == before
