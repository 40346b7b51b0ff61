"""Stacks for whole tests: each with names, ports and state of its own, and nothing left of it afterwards."""

from __future__ import annotations

import socket
import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.e2e.stack import ROOT, Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RETAIL_TABLES = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]["citus:tables"]


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def new_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Stack]]:
    """Make stacks by name; all that they leave on the engine is removed at the end of the module."""
    made: list[Stack] = []

    def make(name: str, **settings: Any) -> Stack:
        folder = Path(tmp_path_factory.mktemp(name))
        stack = Stack(f"test-{name}", folder, free_port(), settings={"tables": RETAIL_TABLES, **settings})
        stack.clear_engine()
        made.append(stack)
        return stack

    yield make
    for stack in made:
        # The plugins of an engine that was killed go on, waiting for it.
        subprocess.run(["pkill", "-f", str(stack.folder)], check=False)
        stack.clear_engine()
