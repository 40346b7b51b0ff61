"""Comments and issues on GitHub that are kept up to date instead of repeated, by GitHub's own command `gh`."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from components.errors import StackError

__all__ = ["comment", "keep_issue"]


def comment(text: str, number: int) -> None:
    """Put a text under a pull request; the comment that begins with the same line is replaced.

    Raises:
        StackError: GitHub refuses, or there is no `gh`.
    """
    mark = text.partition("\n")[0]
    path = f"repos/{_repository()}/issues/{number}/comments"
    for found in _get(path):
        if found["body"].startswith(mark) and found["user"]["type"] == "Bot":
            _gh(f"repos/{_repository()}/issues/comments/{found['id']}", "PATCH", {"body": text})
            return
    _gh(path, "POST", {"body": text})


def keep_issue(title: str, text: str) -> None:
    """Let one open issue of that title say the text; without a text there is none open.

    Raises:
        StackError: GitHub refuses, or there is no `gh`.
    """
    path = f"repos/{_repository()}/issues"
    found = next((it for it in _get(f"{path}?state=open") if it["title"] == title and "pull_request" not in it), None)
    if found is None:
        if text:
            _gh(path, "POST", {"title": title, "body": text})
    elif text:
        _gh(f"{path}/{found['number']}", "PATCH", {"body": text})
    else:
        _gh(f"{path}/{found['number']}", "PATCH", {"state": "closed", "state_reason": "completed"})


def _repository() -> str:
    try:
        return os.environ["GITHUB_REPOSITORY"]
    except KeyError:
        msg = "GITHUB_REPOSITORY is not set: let it name the repository, as owner/name"
        raise StackError(msg) from None


def _get(path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for page in json.loads(_gh(path, "GET")):
        found += page
    return found


def _gh(path: str, method: str, body: dict[str, str] | None = None) -> str:
    command = ["gh", "api", path, "--method", method]
    command += ["--input", "-"] if body else ["--paginate", "--slurp"]
    try:
        done = subprocess.run(  # noqa: S603 - the name of the program stands here
            command, input=json.dumps(body) if body else "", check=False, capture_output=True, encoding="utf-8"
        )
    except FileNotFoundError:
        msg = "there is no gh on the PATH: install GitHub's command line, https://cli.github.com"
        raise StackError(msg) from None
    if done.returncode:
        msg = f"gh api {path}: {done.stderr.strip() or done.stdout.strip()}"
        raise StackError(msg)
    return done.stdout
