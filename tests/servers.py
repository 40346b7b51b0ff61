"""Throw-away PostgreSQL servers as processes of this machine, with Citus where it is installed.

They listen on 127.0.0.1 alone, keep nothing, and trust nobody without a password. Knows nothing of pytest.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
import psycopg
from psycopg import sql

from components.nodes.local.folders import reachable_installation
from components.nodes.local.installation import Installation, folders, give, unprivileged, wheel_folders
from components.nodes.local.server import node_options
from components.schema.needs import parse_release

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "HOST",
    "PASSWORD",
    "USER",
    "PostgresServer",
    "find_installation",
    "find_release",
    "find_releases",
    "find_wheel",
    "free_port",
    "running_servers",
]

HOST: Final = "127.0.0.1"
USER: Final = "postgres"
PASSWORD: Final = r"""p: a\ss '"0%20 $HOME @/ñ"""
"""Of every server; odd on purpose."""
MEMORY_NEEDED: Final = 2 * 1024**3
"""Bytes that must be free in memory for data folders to lie there."""
DEADLINE: Final = 60.0
"""Seconds for a server to start or to stop."""

_SETTINGS: Final = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "dynamic_shared_memory_type": "mmap",
    "wal_level": "logical",
    "min_wal_size": "32MB",
    "max_wal_size": "128MB",
    "max_connections": "200",
    "max_prepared_transactions": "200",
    "max_worker_processes": "32",
    "shared_buffers": "32MB",
    "restart_after_crash": "off",
}
_CITUS_SETTINGS: Final = {
    "citus.recover_2pc_interval": "60s",
    "citus.defer_shard_delete_interval": "1s",
    "citus.enable_statistics_collection": "off",
}


def find_installation(*, citus: bool = False) -> Installation | None:
    """Return the PostgreSQL to use, with Citus where that is asked for; None where this machine has none.

    The first of CITUS_PULUMI_PG_BIN alone where it is set; else the first that the project itself would find.
    """
    return next((installation for installation in _find_all() if installation.citus or not citus), None)


def _find_all() -> Iterator[Installation]:
    named = os.environ.get("CITUS_PULUMI_PG_BIN", "").split(os.pathsep)
    return (installation for it in named for folder in folders(it) if (installation := Installation.at(folder)))


def find_releases() -> list[Installation]:
    """Return one PostgreSQL for each release of Citus that this machine has, or that CITUS_PULUMI_PG_BIN names."""
    found: dict[tuple[int, int] | None, Installation] = {}
    for installation in _find_all():
        if installation.citus:
            found.setdefault(parse_release(installation.citus), installation)
    return list(found.values())


def find_release() -> tuple[int, int] | None:
    """Return the release of the local Citus that tests use; None where this machine has none."""
    found = find_installation(citus=True)
    return parse_release(found.citus) if found else None


def find_wheel() -> Installation | None:
    """Return the newest PostgreSQL of the wheel that is installed with the project; None where it has none here."""
    bindir = next(wheel_folders(), None)
    return Installation.at(bindir) if bindir else None


# --- one server ------------------------------------------------------------------------------------------------------


class PostgresServer:
    """A server with a data folder and a port of its own; where it has Citus, the library is loaded."""

    def __init__(self, installation: Installation, folder: Path, name: str) -> None:
        """Make the data folder; the server is not started yet."""
        self.name = name
        self.port = free_port()
        self._folder = folder
        self.log = folder / f"{name}.log"
        self._passfile = folder / f"{name}.passfile"
        self._bindir = installation.bindir
        self._node_options = node_options(installation)
        self._settings = _SETTINGS | (_CITUS_SETTINGS | installation.get_citus_settings() if installation.citus else {})
        self._paused = False
        self._process: subprocess.Popen[bytes] | None = None
        self.log_in_with()
        pwfile = folder / f"{name}.pw"
        self._write_secret(pwfile, PASSWORD)
        where = [f"--pgdata={self._data}", f"--username={USER}", f"--pwfile={pwfile}"]
        how = ["--no-sync", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
        self._run([self._bindir / "initdb", *where, *how])

    @property
    def _data(self) -> Path:
        return self._folder / f"{self.name}.data"

    def start(self) -> None:
        """Start the server where it does not run, and wait until it takes connections."""
        if self.pid is not None:
            return
        settings = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        command: list[str | Path] = [self._bindir / "postgres", "-D", self._data, "-p", str(self.port), *settings]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                unprivileged(command), stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self._environment()
            )
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                self.connect().close()
            except psycopg.OperationalError as error:
                if self.pid is None or time.monotonic() > deadline:
                    tail = "\n".join(self.log.read_text("utf-8", errors="replace").splitlines()[-20:])
                    msg = f"{self.name} does not start ({error}); its log ends with:\n{tail}"
                    raise RuntimeError(msg) from error
                time.sleep(0.02)
            else:
                return

    @property
    def pid(self) -> int | None:
        """Return the postmaster's process id; None where the server does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def answers(self) -> bool:
        """Tell whether the server runs and is not paused."""
        return self.pid is not None and not self._paused

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Shut the server down, at once but orderly; with SIGQUIT without writing its data."""
        self.resume()
        if self._process is not None and self.pid is not None:
            self._process.send_signal(how)
            try:
                self._process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """Kill the server and every process of it, as a power cut would, and wait until none is left."""
        if self._process is not None and self.pid is not None:
            children = self._signal_all(signal.SIGKILL)
            self._process.wait(DEADLINE)
            psutil.wait_procs(children, DEADLINE)  # as long as one lives, the server's shared memory is in use

    def pause(self) -> None:
        """Freeze every process of the server: its port still takes connections, nobody answers."""
        self._signal_all(signal.SIGSTOP)
        self._paused = True

    def resume(self) -> None:
        """Let a paused server go on."""
        self._signal_all(signal.SIGCONT)
        self._paused = False

    def _signal_all(self, number: signal.Signals) -> list[psutil.Process]:
        """Send a signal to each process of the server, and return those beside the postmaster."""
        if self.pid is None:
            return []
        if number != signal.SIGCONT:
            os.kill(self.pid, signal.SIGSTOP)  # so that it makes no further child meanwhile
        server = psutil.Process(self.pid)
        children = server.children()
        for process in [*children, server]:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        return children

    def connect(self, database: str = "postgres", password: str = PASSWORD) -> psycopg.Connection[Any]:
        """Return a connection in autocommit mode."""
        return psycopg.connect(
            host=HOST,
            port=self.port,
            dbname=database,
            user=USER,
            password=password,
            autocommit=True,
            connect_timeout=5,
            application_name="test",
        )

    def log_in_with(self, others: dict[int, str] | None = None) -> None:
        """Let the server log in to other nodes with PASSWORD, but with another password to those of these ports."""
        lines = [f"*:{port}:*:{USER}:{_as_passfile_field(password)}" for port, password in (others or {}).items()]
        self._write_secret(self._passfile, "\n".join([*lines, f"*:*:*:{USER}:{_as_passfile_field(PASSWORD)}"]))

    def create_database(self, name: str, *, template: str | None = None) -> None:
        """Make a database with the extension citus in it, or a copy of a frozen one."""
        create = sql.SQL("create database {} template {}")
        with self.connect() as connection:
            connection.execute(create.format(sql.Identifier(name), sql.Identifier(template or "template1")))
        if template is None:
            with self.connect(name) as connection:
                connection.execute("create extension citus")

    def freeze_database(self, name: str) -> None:
        """End every session in a database and let nobody in any more, so that it can be copied."""
        deadline = time.monotonic() + DEADLINE
        others = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = %s"
        with self.connect() as connection:
            connection.execute(sql.SQL("alter database {} allow_connections false").format(sql.Identifier(name)))
            while time.monotonic() < deadline and connection.execute(others, [name]).fetchone() != (0,):
                time.sleep(0.01)  # the daemon of Citus takes a moment

    def drop_database(self, name: str) -> None:
        """Drop a database with whatever is in it, whoever is connected, and whatever transaction is prepared."""
        with suppress(psycopg.OperationalError), self.connect(name) as connection:
            for (gid,) in connection.execute(
                "select gid from pg_prepared_xacts where database = %s", [name]
            ).fetchall():
                connection.execute(sql.SQL("rollback prepared {}").format(sql.Literal(gid)))
        with suppress(psycopg.errors.InvalidCatalogName):
            self.freeze_database(name)
        with self.connect() as connection:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PGPASSFILE": str(self._passfile),
            "PGOPTIONS": self._node_options,
            "LC_ALL": "C",
        }

    def _run(self, command: list[Path | str]) -> None:
        done = subprocess.run(
            unprivileged(command), check=False, capture_output=True, text=True, env=self._environment()
        )
        if done.returncode:
            msg = f"{self.name}: {command[0]} failed:\n{done.stdout}{done.stderr}"
            raise RuntimeError(msg)

    @staticmethod
    def _write_secret(path: Path, text: str) -> None:
        path.write_text(f"{text}\n", encoding="utf-8")
        path.chmod(0o600)
        give(path)


@contextmanager
def running_servers(installation: Installation, *names: str) -> Iterator[tuple[PostgresServer, ...]]:
    """Yield one running server for each name, made side by side; in the end nothing remains of them."""
    folder = Path(tempfile.mkdtemp(prefix="citus-pulumi-test-", dir=_quick_folder()))
    give(folder)
    installation = reachable_installation(installation, folder)
    servers: list[PostgresServer] = []

    def run(name: str) -> PostgresServer:
        server = PostgresServer(installation, folder, name)
        servers.append(server)
        server.start()
        return server

    try:
        with ThreadPoolExecutor() as pool:
            started = tuple(pool.map(run, names))
        yield started
    finally:
        for server in servers:
            server.stop(signal.SIGQUIT)  # not by SIGKILL, which would leave its shared memory behind
        shutil.rmtree(folder)


def _quick_folder() -> Path | None:
    """Return a folder in memory where there is room: making a database is ten times as fast there as on a disk."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > MEMORY_NEEDED else None


def _as_passfile_field(text: str) -> str:
    return text.replace("\\", r"\\").replace(":", r"\:")


def free_port() -> int:
    """Return a port that is free now, outside the range from which systems take those of outgoing connections."""
    while True:
        port = random.randint(15000, 30000)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port


if __name__ == "__main__":
    for each in find_releases():
        print(each.bindir)  # noqa: T201 - for `make corpus`
