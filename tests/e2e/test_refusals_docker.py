"""What stands in the way on a Docker Engine: one clear error at preview, nothing touched."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.e2e.nodes import DOCKER, DockerNodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.stack import Stack


RUNTIMES = [DOCKER]
ONE_ENGINE = "its strangers are on that engine"


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack]) -> Stack:
    """A stack that is never brought up."""
    return new_stack("refused")


def test_an_image_that_nobody_has_is_refused_at_preview(stack: Stack, settings: None) -> None:
    """The setting and the image are named."""
    stack.set(image="localhost:1/no/such:image")
    preview = stack.preview()
    assert preview.code != 0
    assert "citus:image = 'localhost:1/no/such:image': the engine does not have it" in preview.errors


def test_a_port_in_use_is_refused_at_preview(stack: Stack, settings: None) -> None:
    """The port's holder is left alone, and the setting that chooses another is named."""
    with closing(socket.socket()) as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        stack.set(port=holder.getsockname()[1])
        preview = stack.preview()
    assert preview.code != 0
    assert "cannot be published on 127.0.0.1 (Address already in use)" in preview.errors


def test_a_missing_engine_is_said_plainly(stack: Stack) -> None:
    """Not by the traceback of a plugin."""
    preview = stack.preview(DOCKER_HOST="unix:///no/such/docker.sock")
    assert preview.code != 0
    assert "no Docker Engine answers at unix:///no/such/docker.sock (No such file or directory)" in preview.errors
    assert "Traceback" not in preview.output


def test_a_strangers_container_is_left_alone(stack: Stack) -> None:
    """A name that is taken is refused at preview, and its holder goes on."""
    assert isinstance(stack.nodes, DockerNodes)
    stranger = stack.nodes.engine.containers.create("citusdata/citus:12.1", name=f"{stack.name}_worker_1")
    try:
        preview = stack.preview()
        assert preview.code != 0
        assert f"container {stack.name}_worker_1 exists and is not this stack's" in preview.errors
        stranger.reload()
    finally:
        stranger.remove(v=True)
