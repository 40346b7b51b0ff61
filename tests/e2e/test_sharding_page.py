"""docs/sharding.md, carried out: every command in its order, against a central database like the one that it tells of."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.e2e.stack import ROOT, copy_tree
from tests.servers import HOST, PASSWORD, USER, find_installation, running_servers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.needs("pulumi", "citus")

PAGE = ROOT / "docs" / "sharding.md"
STACK = "tienda"
BLOCK = re.compile(r"(<!-- fails -->\n)?```(sh|yaml|text)\n(.*?)```", re.DOTALL)


@pytest.fixture
def central() -> Iterator[dict[str, str]]:
    """The environment of somebody whose central database is CENTRAL."""
    installation = find_installation(citus=True)
    assert installation
    with running_servers(installation, "central") as (server,):
        with server.connect() as connection:
            connection.execute((ROOT / "tests/schemas/central/central.sql").read_bytes())
        yield {
            "CENTRAL": f"postgresql://{USER}@{HOST}:{server.port}/postgres",
            "PGPASSWORD": PASSWORD,
            "PATH": f"{installation.bindir}:{os.environ['PATH']}",
        }


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """This tree as it is, with its environment set up."""
    copy_tree(tmp_path)
    yield tmp_path
    subprocess.run(["make", "down", f"STACK={STACK}"], cwd=tmp_path, check=False, capture_output=True, timeout=120)


def squeezed(text: str) -> list[str]:
    """Return the lines with their blanks made one, and those that are empty left out."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def settings(folder: Path, **changed: Any) -> None:
    """Put settings into the file of the stack."""
    file = folder / f"Pulumi.{STACK}.yaml"
    document = yaml.safe_load(file.read_text())
    document["config"] |= changed
    file.write_text(yaml.safe_dump(document, sort_keys=False))


@pytest.mark.timeout(900)
def test_every_command_of_the_page_works(central: dict[str, str], clone: Path) -> None:
    """What the page says fails does, all else succeeds, and what it shows is what is printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI", "MAKE"))}
    printed = ""
    for fails, kind, text in BLOCK.findall(PAGE.read_text("utf-8")):
        if kind == "yaml":
            settings(clone, **yaml.safe_load(text))
        elif kind == "text":
            missing = [line for line in squeezed(text) if line not in squeezed(printed) and line != "…"]
            assert not missing, f"not printed: {missing}\n{printed}"
        else:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", text],
                cwd=clone,
                env={**environment, **central},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
                timeout=240,
                check=False,
            )
            printed = done.stdout
            print(f"$ {text}{printed}")  # noqa: T201 - shown where the test fails
            assert (done.returncode != 0) == bool(fails), printed
