"""A page of the documentation, carried out: its blocks in their order, in a clone of this tree, as a person would."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from tests.e2e.stack import copy_tree
from tests.genuine import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["IF_EVERYTHING", "Block", "Clone", "read_blocks", "without_blanks"]

IF_EVERYTHING: Final = pytest.mark.skipif(
    not EVERYTHING, reason="takes minutes: `make everything` carries the page out"
)
_PART: Final = re.compile(
    r"^#+ (?P<section>[^\n]*)$|^(?:<!-- (?P<mark>\w+) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
DEADLINE: Final = 600
"""Seconds that one block may take."""


@dataclass(frozen=True)
class Block:
    """A block of code."""

    section: str
    """The heading that it is under."""
    mark: str
    """The word of the comment before it, such as `fails`; else empty."""
    kind: str
    """Its language, such as `sh`."""
    text: str


def read_blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page, in their order."""
    section = ""
    for found in _PART.finditer(page.read_text("utf-8")):
        if found["kind"]:
            yield Block(section, found["mark"] or "", found["kind"], found["text"])
        else:
            section = found["section"]


def without_blanks(text: str) -> list[str]:
    """Return the lines with their blanks made one, and those that are empty left out."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


class Clone:
    """This tree as it is, with its environment set up, and the terminal of somebody who works in it."""

    def __init__(self, folder: Path, stack: str, environment: Mapping[str, str]) -> None:
        """Copy the tree into a new folder."""
        folder.mkdir()
        copy_tree(folder)
        self.folder = folder
        self.printed = ""
        """What the last commands printed."""
        self._stack = stack
        self._environment = dict(environment)
        self._exported = folder.with_suffix(".exported")
        self._exported.touch()

    def set(self, **changed: Any) -> None:
        """Put settings into the file of the stack, by their whole names."""
        file = self.folder / f"Pulumi.{self._stack}.yaml"
        document = yaml.safe_load(file.read_text())
        document["config"] |= changed
        file.write_text(yaml.safe_dump(document, sort_keys=False))

    def run(self, commands: str, *, typed: str = "") -> int:
        """Run commands until one fails, with what is typed; what they export stays. Return the exit code."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"source {self._exported}\n{commands}\nexport -p > {self._exported}"],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            input=typed,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        self.printed = done.stdout
        print(f"$ {commands}{self.printed}")  # noqa: T201 - shown where the test fails
        return done.returncode

    def kill(self, command: str, sign: str) -> None:
        """Start a command, and kill all of it once a line that it prints has a sign."""
        with subprocess.Popen(
            ["bash", "-c", f"source {self._exported}\n{command}"],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        ) as process:
            assert process.stdout
            assert any(sign in line for line in process.stdout)
            os.killpg(process.pid, signal.SIGKILL)

    def assert_printed(self, shown: str) -> None:
        """Compare what a page shows with what was printed: every line of it is there, `…` is any."""
        printed = without_blanks(self.printed)
        missing = [line for line in without_blanks(shown) if line not in printed and line != "…"]
        assert not missing, f"not printed: {missing}\n{self.printed}"
