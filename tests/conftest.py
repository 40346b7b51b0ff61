"""What all tests share: the marker `needs`, the summary of genuine parts, and the local servers."""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import pytest

from tests.genuine import PARTS, Part, detect, missing_parts
from tests.servers import find_installation, running_servers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import PostgresServer


def pytest_configure(config: pytest.Config) -> None:
    """Look for the genuine parts once a run; a process of xdist is told what was found."""
    config.addinivalue_line(
        "markers", "needs(*parts): skipped where this machine lacks one of these (tests/genuine.py)"
    )
    told = getattr(config, "workerinput", {}).get("parts")
    config.stash[PARTS] = {name: Part(*fields) for name, fields in told.items()} if told else detect()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a process of xdist what was found."""
    node.workerinput["parts"] = {name: astuple(part) for name, part in node.config.stash[PARTS].items()}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that needs a part that is missing."""
    parts = item.config.stash[PARTS]
    missing = missing_parts(parts, item.iter_markers())
    if missing:
        item.user_properties.append(("missing", ",".join(missing)))
        pytest.skip("; ".join(f"needs {parts[name].title}: {parts[name].why}" for name in missing))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """End the run with what was genuine, and what was not tested for want of it."""
    skipped = terminalreporter.stats.get("skipped", [])
    missing = [dict(report.user_properties).get("missing", "").split(",") for report in skipped]
    terminalreporter.section("genuine parts")
    for name, part in config.stash[PARTS].items():
        lost = sum(name in names for names in missing)
        text = part.version or f"MISSING, so {lost} tests did not run: {part.why}"
        terminalreporter.write_line(f"{part.title:30} {text}", red=not part.version, green=bool(part.version))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server of any kind; a test that uses it is marked `needs("postgres")`."""
    installation = find_installation()
    assert installation
    with running_servers(installation, "stock") as (server,):
        yield server


@pytest.fixture(scope="session")
def citus_servers() -> Iterator[tuple[PostgresServer, ...]]:
    """Three servers with Citus that know nothing of each other; a test that uses them is marked `needs("citus")`."""
    installation = find_installation(citus=True)
    assert installation
    with running_servers(installation, "coordinator", "worker_1", "worker_2") as servers:
        yield servers
