"""Printing where standard output has no letter for what is printed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = r"from components.environment import print_anything; print_anything({}); print('a\u00f1o \u2192 x')"


@pytest.mark.parametrize(
    ("environment", "encoding", "shown"),
    [
        ({"PYTHONIOENCODING": "ascii"}, "", rb"a\xf1o \u2192 x"),
        ({"PYTHONIOENCODING": "latin-1"}, "", b"a\xf1o \\u2192 x"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "", rb"a\xf1o \u2192 x"),
        ({"PYTHONIOENCODING": "ascii"}, "'utf-8'", "año → x".encode()),
        ({"PYTHONIOENCODING": "utf-8"}, "", "año → x".encode()),
    ],
)
def test_what_has_no_letter_is_shown_by_its_number(environment: dict[str, str], encoding: str, shown: bytes) -> None:
    """No encoding of standard output makes print fail; where it is Pulumi that reads, it is UTF-8 all the same."""
    program = PROGRAM.format(encoding)
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environment}, check=False, capture_output=True
    )

    assert done.stdout.strip() == shown, done.stderr
