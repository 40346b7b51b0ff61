"""The workflows: each step is a target of the Makefile or an action pinned by its commit, with no right that it does not need."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
MAY_WRITE = {"pull-request.yml": {"preview": {"pull-requests"}}, "drift.yml": {"drift": {"issues"}}}

workflows = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


def read(file: Path) -> dict[Any, Any]:
    """Return the workflow; `on` is read as true, as YAML 1.1 has it."""
    document = yaml.safe_load(file.read_text("utf-8"))
    assert isinstance(document, dict)
    return document


def steps(file: Path) -> list[dict[str, Any]]:
    """Return every step of every job."""
    return [step for job in read(file)["jobs"].values() for step in job["steps"]]


def test_there_are_workflows() -> None:
    """None of the tests below runs on nothing."""
    assert [file.stem for file in FILES] == ["ci", "deploy", "drift", "drill", "pull-request"]


@workflows
def test_a_step_is_a_target_or_an_action(file: Path) -> None:
    """So that all of it runs anywhere; no expression is pasted into a shell."""
    for step in steps(file):
        if "run" in step:
            assert re.fullmatch(r"make [a-z-]+", step["run"]), step["run"]
            assert step["run"].removeprefix("make ") in TARGETS, step["run"]
        else:
            assert "uses" in step


@workflows
def test_actions_are_pinned(file: Path) -> None:
    """By the commit, with the release's name behind it."""
    used = [line.strip() for line in file.read_text("utf-8").splitlines() if "uses:" in line]
    assert used
    assert [line for line in used if not re.search(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)] == []
    for step in steps(file):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@workflows
def test_rights_are_the_least(file: Path) -> None:
    """Reading the contents, but for the two jobs that write a comment or an issue."""
    document = read(file)
    assert document["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in document[True]
    for name, job in document["jobs"].items():
        rights = {right for right, how in job.get("permissions", {}).items() if how == "write"}
        assert rights == MAY_WRITE.get(file.name, {}).get(name, set())
        assert "timeout-minutes" in job


@workflows
def test_runs_do_not_get_into_each_others_way(file: Path) -> None:
    """Each job or workflow has a group; what changes a cluster is never ended half-way."""
    document = read(file)
    for job in document["jobs"].values():
        guard = job.get("concurrency") or document.get("concurrency")
        assert guard
        changes = any(step.get("run") == "make up" for step in job["steps"])
        assert not (changes and guard["cancel-in-progress"])


@workflows
def test_strangers_get_no_secrets(file: Path) -> None:
    """On a pull request, a job that reads a secret runs for branches of this repository alone."""
    document = read(file)
    for job in document["jobs"].values():
        if "pull_request" in document[True] and "secrets." in yaml.safe_dump(job):
            assert "head.repo.full_name == github.repository" in job["if"]
        if "secrets." in yaml.safe_dump(job):
            assert "environment" in job


@workflows
def test_pulumi_is_the_locked_one(file: Path) -> None:
    """The action installs the version that the dependencies were locked with."""
    locked = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]
    version = next(package["version"] for package in locked if package["name"] == "pulumi")
    given = [step["with"]["pulumi-version"] for step in steps(file) if "pulumi/actions" in step.get("uses", "")]
    assert set(given) <= {version}
