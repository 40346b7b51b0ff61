"""Rehearses a change on this machine: brings the stack up as it was before, for the change to be previewed against.

Needs no backend, no passphrase and no Docker, so it runs for a pull request of a stranger too.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tarfile
import tempfile
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from cli.new_stack import NODES, free_ports
from cli.select_stack import settings_file
from components.errors import StackError
from components.settings import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["rehearsed"]

_OF_ITS_RUNTIME: Final = ("password", "bindAddress", "postgresBin", "dataDir")
"""Settings that a rehearsal has its own of."""


@contextmanager
def rehearsed(stack: str, base: str) -> Iterator[bool]:
    """Bring up the stack as the commit `base` declares it, and make a copy of the current folder the current one.

    Yields whether the commit has that stack; where it has not, nothing is brought up. In the end the nodes, their data and the
    state are gone.

    Raises:
        StackError: there is no such commit, or the stack does not come up; says why.
    """
    settings = settings_file(stack).name
    with ExitStack() as left:
        folder = Path(tempfile.mkdtemp(prefix="citus-pulumi-rehearsal-"))
        left.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)  # servers do not run as root, and have to enter
        before, after = folder / "before", folder / "after"
        _unpack(base, before)
        _copy(Path.cwd(), after, but=settings)
        known = (before / settings).is_file()
        left.enter_context(_environment(folder / "state"))
        port = free_ports()
        own = {"runtime": "local", "standIn": True, "port": port, "workerPorts": f"{port + 1}-{port + NODES - 1}"}
        own["dataDir"] = str(folder / "data")
        _adapt(before / settings if known else Path(settings), before / settings, own)
        _run(["pulumi", "--non-interactive", "stack", "init", stack], before)
        config_set = ["pulumi", "--non-interactive", "config", "set", "--secret", "--stack", stack, "password"]
        _run(config_set, before, told=secrets.token_urlsafe(24))
        secret = yaml.safe_load((before / settings).read_text("utf-8"))
        _adapt(Path(settings), after / settings, {**own, "password": secret["config"][f"{PROJECT}:password"]})
        with (after / settings).open("a", encoding="utf-8") as file:
            yaml.safe_dump({"encryptionsalt": secret["encryptionsalt"]}, file)
        if known:
            left.callback(_run, _cli("down", stack), before)
            print(f"rehearsal: bringing up {stack} as {base} declares it", file=sys.stderr, flush=True)
            _run(_cli("up", stack), before)
        left.enter_context(chdir(after))
        yield known


def _unpack(base: str, folder: Path) -> None:
    folder.mkdir()
    archive = folder.with_suffix(".tar")
    _run(["git", "archive", "--output", str(archive), base, "--"], Path.cwd())
    how: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # new in Python 3.11.4
    try:
        shutil.unpack_archive(archive, folder, **how)
    except tarfile.TarError as error:
        msg = f"rehearsal: {base} cannot be unpacked ({error}): commit no link that leads out of the repository"
        raise StackError(msg) from error


def _copy(source: Path, target: Path, *, but: str) -> None:
    """Make a folder that shows the source's files, one of them left out, and keeps what is written into it to itself."""
    target.mkdir()
    for entry in source.iterdir():
        if entry.name not in (but, ".state", ".data", ".git"):
            (target / entry.name).symlink_to(entry)


def _adapt(source: Path, target: Path, own: dict[str, Any]) -> None:
    """Write the settings of a stack as those of local nodes of this machine; secrets stay behind."""
    document = yaml.safe_load(source.read_text("utf-8")) or {}
    config = {
        key: value
        for key, value in (document.get("config") or {}).items()
        if key.removeprefix(f"{PROJECT}:") not in _OF_ITS_RUNTIME
    }
    config |= {f"{PROJECT}:{key}": value for key, value in own.items()}
    target.write_text(yaml.safe_dump({"config": config}, allow_unicode=True, sort_keys=False), "utf-8")


@contextmanager
def _environment(state: Path) -> Iterator[None]:
    """Let Pulumi use a backend and a passphrase that nobody else has."""
    state.mkdir()
    own = {"PULUMI_BACKEND_URL": f"file://{state}", "PULUMI_CONFIG_PASSPHRASE": secrets.token_urlsafe(24)}
    before = dict(os.environ)
    os.environ.pop("PULUMI_CONFIG_PASSPHRASE_FILE", None)
    os.environ.update(own)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _cli(verb: str, stack: str) -> list[str]:
    return [sys.executable, "-m", "cli", verb, "--stack", stack]


def _run(command: list[str], folder: Path, *, told: str = "") -> None:
    """Run a command of a folder; what it is `told` stands on no command line.

    Raises:
        StackError: it failed; with what it said.
    """
    done = subprocess.run(  # noqa: S603 - named in this file
        command,
        cwd=folder,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        input=told,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        shown = [part for part in command[:4] if part != "--non-interactive"]
        msg = f"rehearsal: `{' '.join(shown)}` failed:\n{done.stdout[-4000:]}"
        raise StackError(msg)
