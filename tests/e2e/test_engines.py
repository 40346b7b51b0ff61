"""One engine is checked, changed and asked for logs: the one that `docker` uses, by whatever address."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.nodes import DOCKER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.stack import Stack

RUNTIMES = [DOCKER]
ONE_ENGINE = "it is about that engine"
SOCKET: Final = "/var/run/docker.sock"


class OtherAddress:
    """The engine under another address, at which everything that is asked of it is written down."""

    def __init__(self, path: Path) -> None:
        self.host = f"unix://{path}"
        self.asked = b""
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                engine = socket.socket(socket.AF_UNIX)
                engine.connect(SOCKET)
                threading.Thread(target=self._pass, args=(client, engine), daemon=True).start()
                threading.Thread(target=self._pass, args=(engine, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, note: bool = True) -> None:  # noqa: FBT001, FBT002
        with source, suppress(OSError):  # each is the source of one of the two
            while chunk := source.recv(65536):
                if note:
                    self.asked += chunk
                target.sendall(chunk)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Take no more connections."""
        self._server.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[OtherAddress]:
    """The engine of this machine, under another address."""
    address = OtherAddress(tmp_path / "s")
    yield address
    address.close()


def test_the_active_context_is_where_all_of_it_goes(
    new_stack: Callable[..., Stack], other: OtherAddress, tmp_path: Path
) -> None:
    """Checks and changes both; the next run may reach the same engine by its usual address, and replaces nothing."""
    meta = tmp_path / "contexts" / "meta" / hashlib.sha256(b"chosen").hexdigest()
    meta.mkdir(parents=True)
    described = {"Name": "chosen", "Metadata": {}, "Endpoints": {"docker": {"Host": other.host}}}
    (meta / "meta.json").write_text(json.dumps(described))
    (tmp_path / "config.json").write_text('{"currentContext": "chosen"}')
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "010.sql").write_text("create table bird (id int primary key, name text);")
    stack = new_stack(
        "engines",
        workers=1,
        readyTimeout=180,
        schemaDir=str(tmp_path / "sql"),
        tables={"bird": {"distributeBy": "id"}},
    )
    done = stack.up(DOCKER_CONFIG=str(tmp_path))
    assert done.code == 0, done.output
    for request in (b"/containers/json", b"/containers/create", b"/volumes/create", b"/networks/create"):
        assert request in other.asked
    other.close()
    again = stack.preview()
    assert again.code == 0, again.output
    assert set(again.changes()) <= {"update", "unchanged"}, again.output
    gone = stack.destroy()
    assert gone.code != 0, gone.output
    assert "nothing was deleted: no Docker Engine answers at" in gone.output
    done = stack.up()
    assert done.code == 0, done.output
    assert set(done.changes()) <= {"update", "unchanged"}, done.output
    gone = stack.destroy()
    assert gone.code == 0, gone.output


def test_a_context_that_does_not_exist_is_said_plainly(new_stack: Callable[..., Stack], tmp_path: Path) -> None:
    """Before anything else, with what chose it."""
    preview = new_stack("context").preview(DOCKER_CONTEXT="gone", DOCKER_CONFIG=str(tmp_path))
    assert preview.code != 0
    assert "the Docker context 'gone', chosen by DOCKER_CONTEXT, does not exist" in preview.errors
    assert "Traceback" not in preview.output
