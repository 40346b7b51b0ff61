"""Comments and issues are edited in place. GitHub is a program named `gh` that writes down what it is asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cli.github import comment, keep_issue
from components.errors import StackError

if TYPE_CHECKING:
    from pathlib import Path

FAKE = """#!/bin/sh
echo "$4 $2" >> "$GH_ASKED"
case "$4" in GET) cat "$GH_ANSWER";; *) cat >> "$GH_ASKED"; echo >> "$GH_ASKED"; echo '{}';; esac
"""


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the program, what it answers to a list (`answer`), and what it was asked (`asked`)."""
    program = tmp_path / "gh"
    program.write_text(FAKE)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("GH_ASKED", str(tmp_path / "asked"))
    monkeypatch.setenv("GH_ANSWER", str(tmp_path / "answer"))
    monkeypatch.setenv("GITHUB_REPOSITORY", "o/r")
    return tmp_path


def asked(github: Path, *answer: Any) -> list[str]:
    """Return what was asked since; the next list is answered so."""
    file = github / "asked"
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    (github / "answer").write_text(json.dumps([list(answer)]))
    return lines


def test_a_comment_is_made_once_and_then_edited(github: Path) -> None:
    """The one of a bot that begins with the same line is taken for it; a person's that quotes it is left alone."""
    text = "<!-- mark -->\nhello"
    person = {"id": 1, "body": text, "user": {"type": "User"}}
    asked(github, person)
    comment(text, 7)
    body = json.dumps({"body": text})
    assert asked(github, person, {"id": 2, "body": "<!-- mark -->\nold", "user": {"type": "Bot"}}) == [
        "GET repos/o/r/issues/7/comments",
        "POST repos/o/r/issues/7/comments",
        body,
    ]
    comment(text, 7)
    assert asked(github)[1:] == ["PATCH repos/o/r/issues/comments/2", body]


def test_an_issue_is_opened_kept_and_closed(github: Path) -> None:
    """There is one of a title at most; it is closed once there is nothing to say."""
    there = {"number": 3, "title": "Drift"}
    asked(github, {"number": 2, "title": "Drift", "pull_request": {}})
    keep_issue("Drift", "text")
    assert asked(github, there)[1:] == ["POST repos/o/r/issues", '{"title": "Drift", "body": "text"}']
    keep_issue("Drift", "other")
    assert asked(github, there)[1:] == ["PATCH repos/o/r/issues/3", '{"body": "other"}']
    keep_issue("Drift", "")
    assert asked(github)[1:] == ["PATCH repos/o/r/issues/3", '{"state": "closed", "state_reason": "completed"}']
    keep_issue("Drift", "")
    assert asked(github) == ["GET repos/o/r/issues?state=open"]


def test_what_is_missing_is_told(github: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program, the repository's name, or an answer."""
    (github / "gh").write_text("#!/bin/sh\necho 'HTTP 403' >&2; exit 1\n")
    with pytest.raises(StackError, match=r"gh api repos/o/r/issues.*: HTTP 403"):
        keep_issue("t", "")
    monkeypatch.setenv("PATH", str(github / "nowhere"))
    with pytest.raises(StackError, match="there is no gh on the PATH"):
        keep_issue("t", "")
    monkeypatch.delenv("GITHUB_REPOSITORY")
    with pytest.raises(StackError, match="GITHUB_REPOSITORY is not set"):
        comment("t", 1)
