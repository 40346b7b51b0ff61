"""docs/sharding.md, carried out: every command in its order, against a central database like the one that it tells of."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.e2e.page import IF_EVERYTHING, Clone, read_blocks
from tests.e2e.stack import ROOT
from tests.servers import HOST, PASSWORD, USER, find_installation, running_servers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.needs("pulumi", "citus"), IF_EVERYTHING]

PAGE = ROOT / "docs" / "sharding.md"
STACK = "tienda"


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
def clone(central: dict[str, str], tmp_path: Path) -> Iterator[Clone]:
    """This tree as it is, with its environment set up."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI", "MAKE"))}
    clone = Clone(tmp_path / "clone", STACK, {**environment, **central})
    yield clone
    clone.run(f"make down STACK={STACK}")


@pytest.mark.timeout(900)
def test_every_command_of_the_page_works(clone: Clone) -> None:
    """What the page says fails does, all else succeeds, and what it shows is what is printed."""
    for block in read_blocks(PAGE):
        if block.kind == "yaml":
            clone.set(**yaml.safe_load(block.text))
        elif block.kind == "text":
            clone.assert_printed(block.text)
        elif block.kind == "sh":
            code = clone.run(block.text)
            assert (code != 0) == (block.mark == "fails"), clone.printed
