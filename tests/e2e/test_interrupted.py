"""An update that is cut off anywhere is finished by the next."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.nodes import DOCKER, LOCAL, STAND_IN

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.stack import Stack

RUNTIMES = [DOCKER, LOCAL, STAND_IN]
FOREIGN_KEYS = """
select count(*) from pg_constraint join pg_dist_partition on logicalrelid = conrelid where contype = 'f'
"""


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack]) -> Stack:
    """A small stack; each test leaves it down."""
    return new_stack("cut")


@pytest.mark.parametrize(
    "sign",
    ["", "CoordinatorNode test-cut_coordinator", "Table venta"],
    ids=["servers", "membership", "tables"],
)
def test_a_killed_up_is_finished_by_the_next(stack: Stack, sign: str) -> None:
    """After kill -9 the documented commands free the state, and up converges."""
    stack.kill_up_at(f"{sign or stack.nodes.shown('worker_1')} creating", signal.SIGKILL)
    stack.recover()
    up = stack.up()
    assert up.code == 0, up.output
    assert stack.preview("--expect-no-changes").code == 0
    assert stack.query("select count(*) from citus_pulumi.foreign_key") == [0]
    assert stack.query(FOREIGN_KEYS) == [5]
    assert stack.destroy().code == 0
    assert stack.leftovers() == []


def test_an_interrupted_up_is_finished_by_the_next(stack: Stack) -> None:
    """After ^C nothing needs to be mended by hand."""
    stack.kill_up_at("WorkerNode test-cut_worker_1 creating", signal.SIGINT)
    up = stack.up()
    assert up.code == 0, up.output
    assert stack.preview("--expect-no-changes").code == 0
    assert stack.destroy().code == 0
