"""What a step reports to the program that started the run, as data; a person reads the same on the terminal.

Pulumi runs steps in processes of its own, and passes on what they print only as text. So the program names a file in the
environment, and each report is a line of it, in JSON.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NotRefreshed", "collected", "report"]

_VARIABLE: Final = "CITUS_PULUMI_REPORTS"


@dataclass(frozen=True)
class NotRefreshed:
    """A resource that a refresh could not compare with the cluster, for the coordinator is unreachable."""

    resource: str
    cause: str
    """One line, without what a server's log says."""


def report(it: NotRefreshed) -> None:
    """Report to the program that started the run, where it asked for that."""
    path = os.environ.get(_VARIABLE)
    if path:
        with suppress(OSError), Path(path).open("a", encoding="utf-8") as file:  # gone where the program was killed
            file.write(f"{json.dumps(asdict(it))}\n")


@contextmanager
def collected() -> Iterator[list[NotRefreshed]]:
    """Collect what runs that are started inside report; the list is filled at the end."""
    reports: list[NotRefreshed] = []
    with tempfile.NamedTemporaryFile("r", encoding="utf-8", prefix="citus-pulumi-") as file:
        os.environ[_VARIABLE] = file.name
        try:
            yield reports
        finally:
            del os.environ[_VARIABLE]
            reports += [NotRefreshed(**json.loads(line)) for line in file]
