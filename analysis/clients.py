"""PostgreSQL's own client programs, by which others measure: psql of this host, and pgbench of this host or beside the nodes."""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from analysis.errors import AnalysisError, NotMeasuredError
from analysis.place import Place
from components.nodes.local.installation import folders

if TYPE_CHECKING:
    from collections.abc import Iterator


__all__ = ["Bench", "Job", "copy_by_psql", "find", "pgbench"]

_SECOND: Final = re.compile(r"^progress: ([0-9.]+) s, ([0-9.]+) tps", re.MULTILINE)
"""What pgbench says of each second."""
_REFUSED: Final = {
    re.compile("no pg_hba.conf entry"): "pg_hba.conf keeps its clients out",
    re.compile("valid client certificate"): "workers let in nobody without a certificate of the stack",
    re.compile(
        r"too many clients already|remaining connection slots|too many connections for", re.IGNORECASE
    ): "a server takes no more connections (max_connections)",
}
"""What a program says that a server lets in no further, and what that means."""
_COMMAND: Final = ("bash", "-c", 'exec "$0" "$@" --file=<(printf %s "$SCRIPT")')
"""Runs pgbench with a script that is in the environment, so that no file of it is left anywhere."""
CONNECT_SECONDS: Final = 0.04
"""Of each client, before what is measured: pgbench counts its time from before its clients connect."""
OPEN_SECONDS: Final = 0.06
"""Of each client, too: the coordinator opens a session on each worker for it, which stays open. A session takes some 20 ms of
processor, so that 64 clients write a tenth as much in the first seconds as afterwards."""
OPENED: Final = 80
"""Clients for which sessions are opened at the most: beyond that there is a pooler, which has few."""
_PATIENCE: Final = 300
"""Seconds that a pgbench may take beside those that it measures: hundreds of clients take long to connect."""
_LIFETIME: Final = "21600"
"""Seconds after which a container of clients ends by itself, where the analysis was killed."""


@dataclass(frozen=True)
class Job:
    """Clients that run a script on a place, again and again: one pgbench."""

    place: Place
    script: str
    clients: int


Bench = Callable[[Sequence[Job], int], float]
"""Runs jobs side by side until warm, then for so many seconds; returns how many transactions a second they get done together.

Raises NotMeasuredError where there is no figure, because a server takes no more connections or connecting takes all the time; and
AnalysisError where pgbench fails.
"""
_Run = Callable[[list[str], dict[str, str]], tuple[int, str, str]]
"""Runs a command with more in its environment; returns its exit code, output and errors."""


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


def _run(command: list[str], environment: dict[str, str]) -> tuple[int, str, str]:
    done = subprocess.run(  # noqa: S603
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def _succeeded(program: str, code: int, said: str, errors: str) -> str:
    if code:
        for pattern, why in _REFUSED.items():
            if pattern.search(errors):
                raise NotMeasuredError(why)
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
    parts = (part for command in commands for part in ("--command", command))
    _succeeded("psql", *_run([str(program), *options, *parts], _environment(place)))


@contextmanager
def pgbench(place: Place) -> Iterator[Bench]:
    """Yield what runs jobs side by side for so many seconds, and returns their transactions a second, added up.

    Clients of a local cluster are processes of this host. Those of containers are in a container of their own, which shares the
    coordinator's network, so that every node is reached in the same way. It is removed afterwards.

    Args:
        place: on the coordinator.

    Raises:
        AnalysisError: there is no pgbench.
    """
    log = place.server.log
    if log is not None and log.kind == "docker":
        with _container(place, log.where) as run:
            yield lambda jobs, seconds: _together("pgbench", run, jobs, seconds)
        return
    program = find("pgbench")
    if program is None:
        msg = "there is no pgbench on this host to measure writes with: install PostgreSQL's client programs"
        raise AnalysisError(msg)
    yield lambda jobs, seconds: _together(str(program), _run, jobs, seconds)


def _together(program: str, run: _Run, jobs: Sequence[Job], seconds: int) -> float:
    clients = sum(job.clients for job in jobs)
    before = max(round(clients * CONNECT_SECONDS + min(clients, OPENED) * OPEN_SECONDS), 1)

    def rate(job: Job) -> float:
        how = [f"--client={job.clients}", f"--jobs={min(job.clients, 2)}", f"--time={before + seconds}"]
        command = [*_COMMAND, program, "--no-vacuum", "--progress=1", *how]
        # pgbench would say how far it is in the person's language
        code, said, errors = run(command, {**_environment(job.place), "SCRIPT": job.script, "LC_ALL": "C"})
        _succeeded(program, code, said, errors)
        found = [(float(time), float(tps)) for time, tps in _SECOND.findall(errors)]
        rates = [tps for time, tps in found if time > found[-1][0] - seconds]
        if not any(rates):
            msg = f"in {before + seconds} s the clients did not get beyond connecting"
            raise NotMeasuredError(msg)
        return statistics.mean(rates)

    with ThreadPoolExecutor(len(jobs)) as pool:
        return sum(pool.map(rate, jobs))


@contextmanager
def _container(place: Place, coordinator: str) -> Iterator[_Run]:
    """Yield what runs a command in a container beside the coordinator's, of the same image."""
    from components.nodes.docker.endpoint import Located  # noqa: PLC0415 - only where nodes are containers

    at = Located.parse(coordinator)
    engine = at.connect(timeout=_PATIENCE)
    node = engine.containers.get(at.name)
    published = {"PGHOST": place.server.host, "PGPORT": str(place.server.port)}
    label = f"citus-pulumi.analysis={at.name}"
    for left in engine.containers.list(filters={"label": label}):  # by a run that was killed
        left.remove(v=True, force=True)
    beside = engine.containers.run(
        node.image.id,
        entrypoint=["sleep", _LIFETIME],
        command=[],
        network_mode=f"container:{node.id}",
        labels=dict([label.split("=")]),
        auto_remove=True,
        init=True,
        detach=True,
    )

    def run(command: list[str], environment: dict[str, str]) -> tuple[int, str, str]:
        if environment.items() >= published.items():
            environment = {**environment, "PGHOST": "127.0.0.1", "PGPORT": "5432"}
        done: Any = beside.exec_run(command, environment=environment, demux=True)
        said, errors = ((part or b"").decode("utf-8", "replace") for part in cast("tuple[bytes, bytes]", done.output))
        return done.exit_code or 0, said, errors

    try:
        yield run
    finally:
        beside.remove(v=True, force=True)
        engine.close()
