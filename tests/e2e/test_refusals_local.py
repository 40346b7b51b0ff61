"""What stands in the way of local nodes: one clear error at preview, nothing touched."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.nodes import STAND_IN

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.stack import Stack


RUNTIMES = [STAND_IN]


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack]) -> Stack:
    """A stack that is never brought up."""
    return new_stack("refused")


def refusal(stack: Stack) -> str:
    """Return the error of a preview, which touched nothing."""
    before = stack.leftovers()
    preview = stack.preview()
    assert preview.code != 0
    assert "Traceback" not in preview.output
    assert stack.leftovers() == before
    return preview.errors


def test_a_port_in_use_is_refused(stack: Stack) -> None:
    """The port, the node that was to have it and the setting are named; its holder is left alone."""
    with closing(socket.socket()) as holder:
        holder.bind(("127.0.0.1", stack.port + 2))
        holder.listen()
        error = refusal(stack)
    assert f"citus:workerPorts: port {stack.port + 2} of 127.0.0.1, meant for {stack.name}_worker_2, is in use" in error


def test_a_folder_of_something_else_is_left_alone(stack: Stack) -> None:
    """A folder that this project did not make is never taken for a node's."""
    folder = Path(stack.nodes.settings["dataDir"]) / stack.name / f"{stack.name}_worker_1"
    folder.mkdir(parents=True)
    try:
        assert f"{folder} exists and was not made by this project: it is left alone" in refusal(stack)
    finally:
        folder.rmdir()


def test_a_folder_without_servers_is_refused(stack: Stack, settings: None) -> None:
    """The setting and the folder are named."""
    stack.set(postgresBin="/no/such")
    assert "citus:postgresBin = '/no/such': there is no PostgreSQL server" in refusal(stack)


def test_no_citus_and_no_stand_in_is_refused(stack: Stack, settings: None) -> None:
    """Where no Citus is and the stand-in is not allowed, both ways out are told."""
    stack.set(standIn=False)
    error = refusal(stack)
    assert "no PostgreSQL of this host has Citus (found: PostgreSQL 1" in error
    assert "set citus:standIn: true" in error


def test_a_postgresql_too_old_for_the_stand_in_is_refused(stack: Stack, settings: None) -> None:
    """Its version is named, and the one that is needed."""
    folder = Path(stack.nodes.settings["postgresBin"]).parents[1] / "pginstall" / "bin"
    stack.set(postgresBin=str(folder))
    error = refusal(stack)
    assert "this host has neither Citus nor a PostgreSQL of 18 or later" in error
    assert "(found: PostgreSQL 16" in error


def test_too_few_ports_are_refused(stack: Stack, settings: None) -> None:
    """The range and the number of workers are named."""
    stack.set(workerPorts=f"{stack.port + 1}-{stack.port + 1}")
    assert f"citus:workerPorts = '{stack.port + 1}-{stack.port + 1}': 1 ports are too few for 2 workers" in refusal(
        stack
    )
