"""What is printed reaches the person whatever the encoding of standard output is: no name of a table ends a run."""

from __future__ import annotations

import io
import sys

__all__ = ["print_anything"]


def print_anything(encoding: str | None = None) -> None:
    r"""Let print show what standard output has no letter for as `\xf1` or `\u2192`; `encoding` is one to write in instead."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
