"""restore_node.sh, after a kill: what it had begun goes on without Citus, and data that it has not made is left alone."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from components.nodes.local.installation import unprivileged
from tests.servers import find_installation

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("postgres")
SCRIPT = Path(__file__).parents[2] / "components" / "nodes" / "restore_node.sh"
CALLED = "pgbackrest was called"


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as the account of the servers."""
    environment = {"PATH": f"{cwd}:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PGUSER": "admin", "PGDATABASE": "postgres"}
    return subprocess.run(
        unprivileged(command), cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    """A node's folder with fresh data, and what the script is given; pgBackRest does nothing but say that it was called."""
    made = Path(tempfile.mkdtemp(prefix="citus-pulumi-test-"))
    made.chmod(0o777)
    installation = find_installation()
    assert installation
    done = run(installation.bindir / "initdb", "-D", made / "data", "-U", "admin", "--no-sync", cwd=made)
    assert done.returncode == 0, done.stderr
    for name, text in {
        "restore.env": "STANZA=node\nLABEL=1F\nPOINT=point\nTIMELINE=1\n",
        "after_restore.sql": "create table told ();",
        "restore-hba.conf": "# rules\n",
        "restore-auto.conf": "# configuration\n",
        "restore_node.sh": SCRIPT.read_text("utf-8"),
        "pgbackrest": f"#!/bin/sh\necho '{CALLED}'\nexit 1\n",
    }.items():
        (made / name).write_text(text)
        (made / name).chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def restore(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the script on the folder."""
    installation = find_installation()
    assert installation
    server = installation.bindir / "postgres"
    script = folder / "restore_node.sh"
    return run("/bin/bash", script, folder, folder / "data", server, "-c", "restore_command=false", cwd=folder)


def test_what_pgbackrest_had_restored_comes_to_its_point(folder: Path) -> None:
    """Killed right after that, the server must not start with Citus and the addresses of the other cluster."""
    signal = folder / "data" / "recovery.signal"
    assert run("/bin/touch", signal, cwd=folder).returncode == 0
    done = restore(folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "node has come to point"
    assert CALLED not in done.stdout
    assert not signal.exists()
    assert (folder / "data" / "citus-pulumi.restored").read_text() == "point 1F\n"
    assert (folder / "data" / "pg_hba.conf").read_text() == "# rules\n"
    assert not (folder / "data" / "postmaster.pid").exists()
    assert restore(folder).stdout == ""


def test_what_was_restored_in_part_is_restored_again(folder: Path) -> None:
    """As long as pgBackRest's own manifest is there, whatever else is."""
    for name in ("backup.manifest", "recovery.signal"):
        assert run("/bin/touch", folder / "data" / name, cwd=folder).returncode == 0
    done = restore(folder)
    assert done.returncode != 0
    assert CALLED in done.stdout


def test_data_that_no_restore_has_made_is_left_alone(folder: Path) -> None:
    """It may be anybody's."""
    before = (folder / "data" / "pg_hba.conf").read_text()
    done = restore(folder)
    assert (done.returncode, done.stdout) == (0, "")
    assert (folder / "data" / "pg_hba.conf").read_text() == before
