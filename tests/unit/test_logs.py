"""Where a person is sent to look, and what they see there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.logs import Log

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_end_of_a_log_file_is_shown(tmp_path: Path) -> None:
    """Its last five lines, empty ones left out, on one line."""
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n\n" for number in range(9)))
    assert (
        Log.parse(f"file:{log}").hint() == f"see: tail {log}; it ends with: line 4 | line 5 | line 6 | line 7 | line 8"
    )


def test_a_log_that_cannot_be_read_is_named_all_the_same(tmp_path: Path) -> None:
    """The command that shows it is better than nothing."""
    assert Log.parse(f"file:{tmp_path}/none").hint() == f"see: tail {tmp_path}/none"


def test_a_container_without_an_engine_is_named_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """No error of the look itself hides the error that it was to explain."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/docker.sock")
    assert Log.parse("docker:node_1").hint() == "see: docker logs node_1"
