"""The drill of docs/backups.md, carried out: back up, restore into a new stack, compare, destroy, and restore once more."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import yaml

from tests.e2e.nodes import LOCAL_BACKUPS
from tests.e2e.page import IF_EVERYTHING, Clone, read_blocks
from tests.e2e.stack import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = IF_EVERYTHING
RUNTIMES = [LOCAL_BACKUPS]
PAGE = ROOT / "docs" / "backups.md"
STACK: Final = "drill"
STACKS: Final = (STACK, "drilled", "drilled2")


@pytest.fixture
def clone(runtime: str, tmp_path: Path) -> Iterator[Clone]:
    """A clone with a stack that is to be backed up."""
    assert runtime == "local"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI", "MAKE"))}
    clone = Clone(tmp_path / "clone", STACK, environment)
    repository = Path(tempfile.mkdtemp(prefix="citus-pulumi-drill-"))
    repository.chmod(0o777)
    data = Path(tempfile.mkdtemp(prefix="citus-pulumi-drill-"))
    data.chmod(0o755)
    # As docs/operations.md has it for those who call pulumi themselves.
    assert clone.run('export PULUMI_BACKEND_URL="file://$PWD/.state?metadata=skip" PULUMI_CONFIG_PASSPHRASE=citus') == 0
    assert clone.run(f"make stack NAME={STACK} LIKE=local") == 0
    settings = {"workers": 2, "shardCount": 4, "standIn": False, "dataDir": str(data)}
    clone.set(
        **{f"citus:{name}": value for name, value in {**settings, "backup": {"repository": str(repository)}}.items()}
    )
    assert clone.run(f"pulumi config set --path --secret backup.key --stack {STACK} the-key-of-a-drill") == 0
    yield clone
    for name in STACKS:
        clone.run(f"make recover STACK={name}; make down STACK={name}")
    for folder in (repository, data):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.timeout(900)
def test_every_command_of_the_drill_works(clone: Clone, tmp_path: Path) -> None:
    """The last stack is made of the repository alone, for the first one is gone; and so is one on a machine that never saw it."""
    for block in read_blocks(PAGE):
        if block.section == "A drill" and block.kind == "sh":
            assert clone.run(block.text) == 0, clone.printed
    assert (
        yaml.safe_load((clone.folder / "Pulumi.drilled2.yaml").read_text())["config"]["citus:restoreFrom"]["prefix"]
        == STACK
    )
    (tmp_path / "home").mkdir()
    bare = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "LANG": "C.UTF-8"}
    elsewhere = Clone(tmp_path / "elsewhere", STACK, bare)
    shutil.copy(clone.folder / f"Pulumi.{STACK}.yaml", elsewhere.folder)
    try:
        assert elsewhere.run(f"make restore STACK={STACK} TO=latest NAME=elsewhere") == 0, elsewhere.printed
        counted = "echo 'select count(*), sum(id_venta) from venta' | make --silent psql STACK=elsewhere"
        assert elsewhere.run(f"{counted} > after.txt") == 0, elsewhere.printed
        assert (elsewhere.folder / "after.txt").read_text() == (clone.folder / "before.txt").read_text()
    finally:
        elsewhere.run("make down STACK=elsewhere")
