"""The commands behind `make`: which stack they take, and how they say what stands in the way. No engine, no database."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli import cluster
from cli.new_stack import make_stack
from cli.select_stack import select_stack
from cli.status import show_cluster, show_residency
from components.errors import SettingsError
from components.nodes.docker.engine import Engine

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without any stack, as the current folder."""
    shutil.copy(ROOT / "Pulumi.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


UNREACHABLE = {
    "dsn": "postgresql://postgres:secret@127.0.0.1:1/coorddb",
    "coordinator": "127.0.0.1:1",
    "versions": {"citus": "12.1.12", "postgres": "16"},
    "residency": {"t": {"1": "worker:5432"}},
}


@pytest.mark.parametrize(
    ("why", "name", "said"),
    [
        ("", "dev", "stack dev: a Docker Engine answers and has the image (STACK=… names another)"),
        ("no engine", "local", "stack local: no engine: PostgreSQL processes of this host instead"),
    ],
)
def test_the_stack_is_chosen_by_what_can_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], why: str, name: str, said: str
) -> None:
    """The image is the one of dev's settings, and the choice is told with its reason."""
    asked: list[str] = []

    def why_not(image: str) -> str:
        asked.append(image)
        return why

    monkeypatch.setattr(Engine, "why_not", staticmethod(why_not))
    (folder / "Pulumi.dev.yaml").write_text("config: {citus:image: mine:1}\n")
    (folder / "Pulumi.local.yaml").write_text("config: {}\n")
    assert select_stack() == name
    assert asked == ["mine:1"]
    assert capsys.readouterr().out.startswith(said)


def test_a_stack_without_settings_is_no_stack(folder: Path) -> None:
    """Whether it is named or would be chosen, it is not made by looking at it; those that there are are named."""
    (folder / "Pulumi.prod.yaml").write_text("config: {}\n")
    for named in ("typo", ""):
        with pytest.raises(SettingsError, match=r"there is no such file: name one of the stacks prod"):
            select_stack(named)


def test_an_error_is_one_line(folder: Path) -> None:
    """As a process: no traceback, and exit code 1."""
    done = subprocess.run(
        [sys.executable, "-m", "cli", "show", "--stack", "typo"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Pulumi.typo.yaml: there is no such file: name one of the stacks \n"


def test_no_engine_is_a_reason_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no engine answers, that is why an image cannot run, with what the system says."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such.sock")
    assert Engine.why_not("any") == "no Docker Engine answers at unix:///no/such.sock (No such file or directory)"


def test_a_database_out_of_reach_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what is shown after `up` nor the count of rows ends in a traceback, and no password is shown."""
    monkeypatch.setattr(cluster, "SECONDS", 0.1)
    show_cluster("dev", UNREACHABLE)
    assert show_residency(UNREACHABLE) is False
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["the cluster cannot be shown", "the rows cannot be counted"]
    assert "secret" not in "".join(lines)


def test_a_stack_of_ones_own_is_not_made_twice(folder: Path) -> None:
    """Nor like one that there is not; nothing is written then."""
    (folder / "Pulumi.ana.yaml").write_text("config: {}\n")
    with pytest.raises(SettingsError, match=r"Pulumi.ana.yaml is there already"):
        make_stack("ana", "local")
    with pytest.raises(SettingsError, match=r"Pulumi.local.yaml: there is no such file: name one of the stacks ana"):
        make_stack("eva", "local")
    with pytest.raises(SettingsError, match=r"'' is not a valid name of a stack"):
        make_stack("", "ana")
    assert not (folder / "Pulumi.eva.yaml").exists()
