"""Opens stacks, runs operations on them, and reads their outputs. Shows what Pulumi says; asks no database."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pulumi
from pulumi import automation

from components.environment import spare_loopback
from components.errors import StackError
from components.settings import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["find_pulumi", "open_stack", "program", "read_outputs", "reason", "run_operation"]

Result = TypeVar("Result")
ENDED: Final = "the program ended there"
"""Said by the Automation API, twice, after an error that the program has shown itself: not to be shown again."""


def find_pulumi() -> None:
    """Let this process find Pulumi's CLI where setup put it, dynamic providers the Python that runs this, and all each other."""
    folders = [str(Path(sys.executable).parent), str(Path(__file__).parents[1] / ".cache" / "bin")]
    os.environ["PATH"] = os.pathsep.join([*folders, os.environ.get("PATH", os.defpath)])
    spare_loopback()  # they speak to each other on this host by gRPC, which would ask a proxy to pass that on


def program() -> None:
    """Run the program, as Pulumi's language host would.

    Raises:
        pulumi.RunError: the program has shown an error and ended.
    """
    try:
        runpy.run_path("__main__.py", run_name="__main__")
    except SystemExit:
        raise pulumi.RunError(ENDED) from None


def open_stack(name: str) -> automation.Stack:
    """Return the stack of that name, made where it is new, with the program and settings of the current folder."""
    options = automation.LocalWorkspaceOptions(work_dir=str(Path.cwd()))
    return automation.create_or_select_stack(name, project_name=PROJECT, program=program, opts=options)


def read_outputs(name: str) -> dict[str, Any]:
    """Return a stack's outputs, secrets too; none where nothing was brought up.

    One call of the CLI: the Automation API makes four of it, and a stack that is not there yet.

    Raises:
        StackError: the CLI refuses it, as with another passphrase.
    """
    command = ["pulumi", "--non-interactive", "stack", "output", "--json", "--show-secrets", "--stack", name]
    done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8")  # noqa: S603
    if "no stack named" in done.stderr:
        return {}
    if done.returncode:
        raise StackError(done.stderr.strip())
    outputs: dict[str, Any] = json.loads(done.stdout)
    return outputs


def run_operation(name: str, operation: Callable[[automation.Stack, dict[str, Any]], Result]) -> Result:
    """Return what an operation on a stack does, its progress shown; end with exit code 1 where it fails, the error shown too."""
    said: list[str] = []

    def show(line: str) -> None:
        said.append(line)
        if ENDED not in line:
            print(line, flush=True)

    how = {"on_output": show, "on_error": show, "color": "always" if sys.stdout.isatty() else "never"}
    try:
        return operation(open_stack(name), how)
    except automation.CommandError as error:
        if not said:  # before the engine said anything itself
            print(reason(error), file=sys.stderr)
        sys.exit(1)


def reason(error: automation.CommandError) -> str:
    """Return what the CLI said, out of the report that the Automation API makes of it."""
    said = str(error).rpartition("stderr: ")[2].strip()
    return said or str(error)
