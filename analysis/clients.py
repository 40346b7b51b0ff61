"""PostgreSQL's own client programs, by which others measure: psql and pgbench, of this host or the coordinator's container."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from analysis.errors import AnalysisError
from components.nodes.local.installation import folders

if TYPE_CHECKING:
    from analysis.place import Place

__all__ = ["bench_writes", "copy_by_psql", "find"]

_TPS: Final = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
_SCRIPT: Final = "citus-pulumi-write-sale.sql"


def find(program: str) -> Path | None:
    """Return where the program is on this host: on the PATH, else beside a PostgreSQL that it has."""
    on_path = shutil.which(program)
    if on_path:
        return Path(on_path)
    return next((folder / program for folder in folders() if os.access(folder / program, os.X_OK)), None)


def _environment(place: Place) -> dict[str, str]:
    """Return by what a program finds the tables; the password stands on no command line."""
    server = place.server
    return {
        "PGHOST": server.host,
        "PGPORT": str(server.port),
        "PGUSER": server.user,
        "PGDATABASE": server.database,
        "PGPASSWORD": place.password,
        "PGOPTIONS": f"-c search_path={place.schema}",
    }


def _run(command: list[str], place: Place) -> str:
    environment = {**os.environ, **_environment(place)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    return _succeeded(command[0], done.returncode, done.stdout, done.stderr)


def _succeeded(program: str, code: int, said: str, errors: str) -> str:
    if code:
        last = " ".join(errors.split())[-400:]
        msg = f"{Path(program).name} failed with exit code {code}: {last}"
        raise AnalysisError(msg)
    return said


def copy_by_psql(place: Place, files: dict[str, Path]) -> None:
    r"""Load files of COPY's text format into the tables, one after the other, by psql's \\copy.

    Raises:
        AnalysisError: there is no psql on this host, or it fails.
    """
    program = find("psql")
    if program is None:
        msg = "there is no psql on this host to compare the load with: install PostgreSQL's client programs"
        raise AnalysisError(msg)
    commands = [f"\\copy {target} from '{file}'" for target, file in files.items()]
    options = ["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"]
    _run([str(program), *options, *(part for command in commands for part in ("--command", command))], place)


def bench_writes(place: Place, script: str, *, clients: int, seconds: int) -> float:
    """Return how many transactions a second so many clients get done, each running the script again and again, by pgbench.

    Raises:
        AnalysisError: there is no pgbench on this host nor in the coordinator's container, or it fails.
    """
    how = ["--no-vacuum", f"--client={clients}", f"--jobs={min(clients, 2)}", f"--time={seconds}"]
    program = find("pgbench")
    if program is not None:
        file = Path(os.environ.get("TMPDIR", "/tmp")) / f"{os.getpid()}-{_SCRIPT}"  # noqa: S108
        file.write_text(script, "utf-8")
        try:
            said = _run([str(program), *how, f"--file={file}"], place)
        finally:
            file.unlink()
    else:
        said = _in_container(place, script, how)
    found = _TPS.search(said)
    if found is None:
        msg = f"pgbench gave no figure: {' '.join(said.split())[-400:]}"
        raise AnalysisError(msg)
    return float(found[1])


def _in_container(place: Place, script: str, how: list[str]) -> str:
    log = place.server.log
    if log is None or log.kind != "docker":
        msg = "there is no pgbench on this host to measure writes with: install PostgreSQL's client programs"
        raise AnalysisError(msg)
    from components.nodes.docker.endpoint import connect, get_endpoint  # noqa: PLC0415 - only where this host has no pgbench

    container = connect(get_endpoint()).containers.get(log.where)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo(_SCRIPT)
        member.size, member.mode = len(script.encode()), 0o644
        tar.addfile(member, io.BytesIO(script.encode()))
    container.put_archive("/tmp", archive.getvalue())  # noqa: S108
    environment = {**_environment(place), "PGHOST": "127.0.0.1", "PGPORT": "5432"}
    done = container.exec_run(["pgbench", *how, f"--file=/tmp/{_SCRIPT}"], environment=environment, demux=True)
    said, errors = ((part or b"").decode("utf-8", "replace") for part in cast("tuple[bytes, bytes]", done.output))
    return _succeeded("pgbench", done.exit_code or 0, said, errors)
