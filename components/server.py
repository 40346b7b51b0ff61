"""A PostgreSQL server as processes of this host: its folder made, started, stopped and removed.

A node's folder holds all of it: data/, the log, the file with the password that it shows other nodes, and a note of whose
it is. Knows nothing of Pulumi.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from psycopg import sql

from components import postgres
from components.catalog import statement
from components.errors import HostError
from components.installation import STAND_IN, Installation, give, reachable_by, unprivileged
from components.logs import see
from components.server_settings import SERVER_SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "HOST",
    "DataFolder",
    "LocalServer",
    "Owner",
    "get_folders",
    "get_owner",
    "get_port",
    "node_options",
    "reachable_installation",
]

HOST: Final = "127.0.0.1"
"""Local nodes listen here and nowhere else."""
STOP_SECONDS: Final = 60
COPY_PREFIX: Final = "postgresql-"
"""Begins the name of a copy of programs that the account may not run where they are."""
_OWNER_FILE: Final = "citus-pulumi.json"
_CONF_FILE: Final = "citus-pulumi.conf"
_PASSFILE: Final = "passfile"
_SETTINGS: Final = {"listen_addresses": HOST, "unix_socket_directories": "", **SERVER_SETTINGS}
_NODE_SESSIONS: Final = {
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "extra_float_digits": "1",
    "role": "none",
}
"""What Citus's own sessions on other nodes begin with, whatever a role sets: that bounds the session of a client, on the
coordinator, and nothing twice. Not default_transaction_read_only, without which a COPY would get through. As in
node/start_node.sh."""
_HAS_TRANSACTION_TIMEOUT: Final = 17
"""First version of PostgreSQL that knows transaction_timeout."""


def node_options(installation: Installation) -> str:
    """Return those settings as libpq's PGOPTIONS, for the environment of a server."""
    newer = {"transaction_timeout": "0"} if installation.major >= _HAS_TRANSACTION_TIMEOUT else {}
    return " ".join(f"-c {name}={value}" for name, value in {**_NODE_SESSIONS, **newer}.items())


@dataclass(frozen=True)
class Owner:
    """Whose folder it is, as noted in it."""

    stack: str
    """Full name of the stack at that time."""
    node: str
    cluster: str = ""
    """Id of the cluster; empty where the folder was made before there were ids."""
    released: bool = False
    """Whether its server was stopped for good, so that the data may go."""

    @property
    def owner(self) -> str:
        """Return the id of the cluster, or the stack's name where there is none."""
        return self.cluster or self.stack


@dataclass(frozen=True)
class LocalServer:
    """One server: where it lies, where it listens, what it runs."""

    name: str
    stack: str
    cluster: str
    """Id of the cluster; a folder of another one is left alone."""
    folder: Path
    port: int
    user: str
    installation: Installation
    """Where it has no Citus, the stand-in for it is put beside it."""
    locale: str
    """Of its data, where that is still to be made."""

    @property
    def log(self) -> Path:
        """Return the server's log."""
        return self.folder / "log"

    @property
    def data(self) -> Path:
        """Return the data folder."""
        return self.folder / "data"

    def ensure(self, password: str, database: str, timeout: float, *, before: str = "") -> str:
        """Make the data folder where there is none, start the server where it does not run, make its database with Citus.

        Args:
            password: of the user.
            database: made where it is missing.
            timeout: seconds that a wait may take.
            before: the owner of a folder that was made before clusters had ids.

        Returns:
            What identifies the data folder: another one has another.

        Raises:
            HostError: the folder is another stack's, or a program fails; says what the program said.
            AccessError: the data folder was made with another password.
            NotReadyError: the server takes no connection within `timeout` seconds.
        """
        owner = get_owner(self.folder)
        if owner is None:
            self._initialise(password)
        elif owner.node != self.name or owner.owner not in (self.cluster, before):
            msg = (
                f"{self.folder} belongs to node {owner.node} of the cluster {owner.owner} (stack {owner.stack}): choose another "
                "citus:dataDir"
            )
            raise HostError(msg)
        self._sign(released=False)
        self._configure()
        if not self.is_running():
            self._start(timeout)
        server = postgres.Server(self.name, HOST, self.port, "postgres", self.user, f"file:{self.log}")
        with (
            postgres.reworded(f"making the database {database}", server),
            postgres.connected(server, password, timeout=timeout) as connection,
        ):
            found = connection.execute("select from pg_database where datname = %s", [database]).fetchone()
            if found is None:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(database)))
            row = connection.execute("select system_identifier::text from pg_control_system()").fetchone()
        own = replace(server, database=database)
        with (
            postgres.reworded(f"making the extension citus in {database}", own),
            postgres.connected(own, password, timeout=timeout) as connection,
        ):
            connection.execute(statement("create_extension"))
        _write(self.folder / _PASSFILE, self._passfile(password))  # now that it is known to be right
        return str(row[0]) if row else ""

    def _initialise(self, password: str) -> None:
        """Make the data folder under another name first: one that a kill left half-made is never taken for a whole one."""
        making = self.folder.with_name(f".{self.folder.name}.{uuid.uuid4().hex[:8]}")
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            give(self.folder.parent)
            for left in self.folder.parent.glob(f".{self.folder.name}.*"):
                shutil.rmtree(left)
            making.mkdir(mode=0o700)
            give(making)
            secret = making / "password"
            _write(secret, f"{password}\n")
            where = [f"--pgdata={making / 'data'}", f"--username={self.user}", f"--pwfile={secret}"]
            how = ["--auth=scram-sha-256", "--encoding=UTF8", f"--locale={self.locale}", "--no-instructions"]
            self._run("initdb", *where, *how)
            secret.unlink()
            with (making / "data" / "postgresql.conf").open("a", encoding="utf-8") as conf:
                conf.write(f"include = '../{_CONF_FILE}'\n")
            _write(making / _PASSFILE, self._passfile(password))
            _write(making / _OWNER_FILE, json.dumps(asdict(Owner(self.stack, self.name, self.cluster))))
            making.rename(self.folder)
        except OSError as error:
            msg = f"{self.name}: its folder {self.folder} cannot be made: {error.strerror}"
            raise HostError(msg) from error
        finally:
            shutil.rmtree(making, ignore_errors=True)

    def _configure(self) -> None:
        settings = {**_SETTINGS, "port": str(self.port)}
        if self.installation.citus is None:
            shutil.copytree(STAND_IN, self.folder / "standin", dirs_exist_ok=True)
            for path in (self.folder / "standin").rglob("*"):
                give(path)
            settings["extension_control_path"] = f"$system:{self.folder / 'standin'}"
        else:
            settings |= self.installation.get_citus_settings()
        quoted = {name: value.replace("'", "''") for name, value in settings.items()}
        lines = [f"{name} = '{value}'" for name, value in quoted.items()]
        _write(self.folder / _CONF_FILE, "\n".join(["# Written anew at every change.", *lines, ""]))

    def _passfile(self, password: str) -> str:
        fields = (part.replace("\\", r"\\").replace(":", r"\:") for part in (self.user, password))
        return f"*:*:*:{':'.join(fields)}\n"

    def _start(self, timeout: float) -> None:
        how = ["-w", "-t", str(int(timeout)), "-s"]
        self._run("pg_ctl", "start", "-D", str(self.data), "-l", str(self.log), *how)

    def is_running(self) -> bool:
        """Tell whether a server runs on this data folder."""
        return self._program("pg_ctl", "status", "-D", str(self.data)).returncode == 0

    def stop(self) -> None:
        """Shut the server down, at once but orderly; nothing happens where it does not run."""
        if self.is_running():
            self._run("pg_ctl", "stop", "-D", str(self.data), "-m", "fast", "-w", "-t", str(STOP_SECONDS), "-s")

    def release(self) -> None:
        """Stop the server for good; its folder stays, with all data.

        Raises:
            HostError: the folder is another cluster's.
        """
        owner = get_owner(self.folder)
        if owner is None:
            return
        if owner.owner != self.cluster:
            msg = f"{self.folder} belongs to the cluster {owner.owner} (stack {owner.stack}): it is left alone"
            raise HostError(msg)
        self.stop()
        self._sign(released=True)

    def _sign(self, *, released: bool) -> None:
        signed = Owner(self.stack, self.name, self.cluster, released)
        if get_owner(self.folder) != signed:
            _write(self.folder / _OWNER_FILE, json.dumps(asdict(signed)))

    def _program(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "PGPASSFILE": str(self.folder / _PASSFILE),
            "PGOPTIONS": node_options(self.installation),
            "LC_ALL": "C.UTF-8",
        }
        return subprocess.run(  # noqa: S603 - the programs of the installation
            unprivileged([self.installation.bindir / program, *arguments]),
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            cwd=self.folder.parent,
            env=environment,
        )

    def _run(self, program: str, *arguments: str) -> None:
        done = self._program(program, *arguments)
        if done.returncode:
            said = " ".join(done.stdout.split()) or f"exit code {done.returncode}"
            msg = f"{self.name}: {program} failed: {said}; {see(f'file:{self.log}')}"
            raise HostError(msg)


def get_owner(folder: Path) -> Owner | None:
    """Return whose folder it is; None where there is none.

    Raises:
        HostError: something is there that this project did not make.
    """
    if not folder.exists():
        return None
    try:
        return Owner(**json.loads((folder / _OWNER_FILE).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        msg = f"{folder} exists and was not made by this project: it is left alone. Choose another citus:dataDir, or move it"
        raise HostError(msg) from None


@dataclass(frozen=True)
class DataFolder:
    """The folder of a node, with its data."""

    folder: Path
    owners: frozenset[str]
    """By which the folders of its cluster are signed."""

    @classmethod
    def at(cls, path: str, owners: frozenset[str]) -> DataFolder:
        """Return the folder of that path."""
        return cls(Path(path), owners)

    def __str__(self) -> str:
        return f"folder {self.folder}"

    def exists(self) -> bool:
        """Tell whether the folder is there, as part of the cluster."""
        owner = get_owner(self.folder)
        return owner is not None and owner.owner in self.owners

    def cluster_lives(self) -> bool:
        """Tell whether any node of the cluster has not been stopped for good."""
        owners = [get_owner(folder) for folder in self.folder.parent.iterdir() if (folder / _OWNER_FILE).exists()]
        return any(owner.owner in self.owners and not owner.released for owner in owners if owner)

    def remove(self) -> None:
        """Remove the folder with all data, and the one around it once no node is left there."""
        shutil.rmtree(self.folder)
        around = self.folder.parent
        if all(child.name.startswith(COPY_PREFIX) for child in around.iterdir()):
            shutil.rmtree(around, ignore_errors=True)
            with suppress(OSError):  # another stack's nodes are beside it
                around.parent.rmdir()


def get_folders(around: Path) -> dict[str, Owner]:
    """Return whose the nodes' folders are in a stack's folder, by their names; what this project did not make is left out."""
    found = {}
    for folder in sorted(around.iterdir()) if around.is_dir() else ():
        if (folder / _OWNER_FILE).exists():
            owner = get_owner(folder)
            if owner is not None:
                found[folder.name] = owner
    return found


def get_port(folder: Path) -> int | None:
    """Return the port that a node's folder is configured for; None where it tells none."""
    try:
        text = (folder / _CONF_FILE).read_text("utf-8")
    except OSError:
        return None
    found = re.search(r"^port = '(\d+)'$", text, re.MULTILINE)
    return int(found[1]) if found else None


def _write(path: Path, text: str) -> None:
    """Write a file that only the server's account may read, whole or not at all."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    give(new)
    new.replace(path)


def reachable_installation(installation: Installation, base: Path) -> Installation:
    """Return the installation, or a copy of it in `base` where the account may not enter it, as in root's home."""
    if reachable_by(installation.bindir):
        return installation
    prefix = installation.bindir.parent
    copy = base / f"{COPY_PREFIX}{installation.version}" / prefix.parent.name / prefix.name
    libraries = prefix.parent.with_name(f"{prefix.parent.name}.libs")  # a wheel's lie beside its package
    if not copy.is_dir():
        _copy_whole(((prefix, copy), (libraries, copy.parent.with_name(libraries.name))))
    return replace(installation, bindir=copy / installation.bindir.name)


def _copy_whole(folders: Iterable[tuple[Path, Path]]) -> None:
    """Copy folders, the first one last: where that is there, all are."""
    for source, target in reversed(list(folders)):
        if source.is_dir() and not target.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            making = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
            shutil.copytree(source, making)
            try:
                making.rename(target)
            except OSError:
                shutil.rmtree(making)  # another run was faster
