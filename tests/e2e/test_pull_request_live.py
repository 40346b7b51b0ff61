"""Reviews and drift of a stack that runs, with rows in it: the costs are those of its cluster."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.nodes import DOCKER, LOCAL
from tests.e2e.stack import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.stack import Stack


RUNTIMES = [LOCAL, DOCKER]


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack]) -> Stack:
    """Two workers, and a thousand sales."""
    stack = new_stack("review")
    up = stack.up()
    assert up.code == 0, up.output
    stack.query("insert into sucursal select i, i, 'México', 'Centro', 'Capital' from generate_series(1, 4) i")
    stack.query("insert into metodo_pago (id_metodo_pago, nombre) values (1, 'efectivo')")
    stack.query(
        "insert into venta (id_pais, id_sucursal, id_metodo_pago, canal_venta)"
        " select 1 + i % 4, 1 + i % 4, 1, 'web' from generate_series(1, 1000) i"
    )
    return stack


def say(stack: Stack, verb: str) -> tuple[int, str]:
    """Run `review` or `drift` as make does; return the exit code and what it wrote."""
    file = stack.folder / "said.md"
    command = [f"{ROOT}/.venv/bin/python", "-m", "cli", verb, "--stack", stack.name, "--output", str(file)]
    done = subprocess.run(
        command, cwd=stack.folder, env=stack.environment(), check=False, capture_output=True, text=True, timeout=240
    )
    return done.returncode, file.read_text() if file.exists() else done.stderr


def test_a_worker_that_leaves_is_told_with_its_shards(stack: Stack, settings: None) -> None:
    """How many, and how big; and what is deleted with its data."""
    stack.set(workers=1)
    code, text = say(stack, "review")
    assert code == 0, text
    leaving = re.escape(stack.nodes.address("worker_2"))
    assert re.search(
        rf"every shard on `{leaving}` moves to the workers that stay — \*\*8 shards, [\d.]+ [kM]B\*\*", text
    ), text
    assert re.search(rf"worker `{leaving}` leaves, once no shard is left on it", text), text
    assert "**with all data in i" in text


def test_a_rewrite_is_told_with_its_rows(stack: Stack, settings: None) -> None:
    """Those of every table that moves along."""
    tables = {**stack.settings["tables"]}
    stack.set(shardCount=8, tables={**tables, "sucursal": {"distributeBy": "id_pais", "rewrite": True}})
    code, text = say(stack, "review")
    assert code == 0, text
    assert "shards: `4` → `8`" in text
    assert re.search(r"venta: 1,000 rows, [\d.]+ [kM]B", text), text
    assert re.search(r"sucursal: 4 rows, ", text), text
    assert stack.password not in text


def test_no_change_is_no_drift(stack: Stack) -> None:
    """The exit code is 0, and there is nothing for an issue to say."""
    assert say(stack, "drift") == (0, "")


def test_drift_is_told_as_what_up_would_mend(stack: Stack) -> None:
    """A table undistributed by hand would be distributed again; the exit code is 2, the state untouched."""
    before = stack.state()
    stack.query("select undistribute_table('venta', cascade_via_foreign_keys => true)")
    code, text = say(stack, "drift")
    assert code == 2, text
    assert f"### Stack `{stack.name}` is not as declared" in text
    assert "table `venta` is distributed by `id_pais`" in text
    assert re.search(r"1,000 rows, [\d.]+ [kM]B", text), text
    assert stack.state() == before


def test_a_coordinator_that_is_down_is_told_once(stack: Stack) -> None:
    """How many resources were not refreshed and why, on one line; what its log says is not for everybody."""
    stack.nodes.kill("coordinator")
    code, text = say(stack, "drift")
    assert code == 2, text
    (line,) = [line for line in text.splitlines() if "not refreshed" in line]
    assert re.match(
        r"\d\d resources were not refreshed: timed out after 5 s of waiting until .* takes connections", line
    )
    assert "see:" not in text
    assert "LOG:" not in text
