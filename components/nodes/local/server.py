"""A PostgreSQL server as processes of this host: its folder made, started, stopped and removed.

A node's folder holds all of it: data/, the log, the file with the password that it shows other nodes, and a note of whose
it is. Knows nothing of Pulumi.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from psycopg import sql

from components.access import Server
from components.backups.configuration import CONFIG_FILE, TOOLBOX
from components.database.client import connected
from components.database.connections import find_accepted
from components.database.statements import statement
from components.errors import HostError
from components.logs import Log
from components.nodes.local.folders import CONF_FILE, OWNER_FILE, Owner, get_owner, write_private
from components.nodes.local.installation import STAND_IN, Installation, give, unprivileged
from components.nodes.local.passfile import PASSFILE, FolderPassfile
from components.nodes.passfile import as_lines

__all__ = ["HOST", "LocalServer", "node_options"]


HOST: Final = "127.0.0.1"
"""Local nodes listen here and nowhere else."""


STOP_SECONDS: Final = 60


_IDENTITY: Final = """
select system_identifier || case when timeline_id > 1 then '/' || timeline_id else '' end
from pg_control_system(), pg_control_checkpoint()
"""
_RESTORE: Final = Path(__file__).parent.parent / "restore_node.sh"
_SETTINGS: Final = {"listen_addresses": HOST, "unix_socket_directories": ""}


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
class LocalServer:
    """One server: its folder, its port, its programs."""

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
    settings: Mapping[str, str]
    """What it is started with, as postgresql.conf takes it."""
    files: Mapping[str, str] = field(default_factory=dict)
    """What its pgBackRest reads, by the names of the files; empty where nothing is backed up."""
    restore: Mapping[str, str] = field(default_factory=dict)
    """What it is made of a backup by, by the names of the files; empty where it is made empty."""
    restore_within: float | None = None
    """Seconds that this may take."""

    @property
    def log(self) -> Path:
        """Return the server's log."""
        return self.folder / "log"

    @property
    def data(self) -> Path:
        """Return the data folder."""
        return self.folder / "data"

    def ensure(self, password: str, database: str, timeout: float, *, before: str = "", restart: bool = False) -> str:
        """Make the data folder where there is none, start the server where it does not run, make its database with Citus.

        Args:
            password: of the user.
            database: made where it is missing.
            timeout: seconds that a wait may take.
            before: the owner of a folder that was made before clusters had ids.
            restart: whether a server that runs is to take another configuration.

        Returns:
            What identifies the data folder and its Citus: another one has another, and one that was made of a backup again.

        Raises:
            HostError: the folder is another stack's, or a program fails; says what the program said.
            AccessError: the data folder was made with another password.
            NotReadyError: the server takes no connection within `timeout` seconds.
        """
        owner = get_owner(self.folder)
        if owner is None:
            self._initialise(password, database)
        elif owner.node != self.name or owner.owner not in (self.cluster, before):
            msg = (
                f"{self.folder} belongs to node {owner.node} of the cluster {owner.owner} (stack {owner.stack}): choose another "
                "citus:dataDir"
            )
            raise HostError(msg)
        elif restart or self._is_outdated():
            self.stop()
        self._sign(released=False)
        self._configure()
        if not self.is_running():
            self._start(timeout)
        server = Server(self.name, HOST, self.port, "postgres", self.user, Log("file", str(self.log)))
        password = self._find_accepted(server, password, timeout)
        with connected(server, password, doing=f"making the database {database}", timeout=timeout) as connection:
            found = connection.execute("select from pg_database where datname = %s", [database]).fetchone()
            if found is None:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(database)))
            row = connection.execute(_IDENTITY).fetchone()
        own = replace(server, database=database)
        doing = f"making the extension citus in {database}"
        with connected(own, password, doing=doing, timeout=timeout) as connection:
            connection.execute(statement("create_extension"))
        return f"{row[0] if row else ''} {self.installation.citus or ''}".strip()

    def _find_accepted(self, server: Server, password: str, timeout: float) -> str:
        """Return the password of the settings, or the one that the node shows: UserPassword changes it once all servers run."""
        others = [it for it in FolderPassfile(self.folder).read() if it not in ("", password)]
        return find_accepted(server, others, timeout) or password

    def _initialise(self, password: str, database: str) -> None:
        """Make the data folder under another name first: one that a kill left half-made is never taken for a whole one."""
        making = self.folder.with_name(f".{self.folder.name}.{uuid.uuid4().hex[:8]}")
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            give(self.folder.parent)
            for left in self.folder.parent.glob(f".{self.folder.name}.*"):
                shutil.rmtree(left)
            making.mkdir(mode=0o700)
            give(making)
            if self.restore:
                self._restore(making, database)
            else:
                secret = making / "password"
                write_private(secret, f"{password}\n")
                where = [f"--pgdata={making / 'data'}", f"--username={self.user}", f"--pwfile={secret}"]
                how = ["--auth=scram-sha-256", "--encoding=UTF8", f"--locale={self.locale}", "--no-instructions"]
                self._run("initdb", *where, *how)
                secret.unlink()
            with (making / "data" / "postgresql.conf").open("a", encoding="utf-8") as conf:
                conf.write(f"include = '../{CONF_FILE}'\n")
            write_private(making / PASSFILE, as_lines(self.user, password, {}))
            write_private(making / OWNER_FILE, json.dumps(asdict(Owner(self.stack, self.name, self.cluster))))
            making.rename(self.folder)
        except OSError as error:
            msg = f"{self.name}: its folder {self.folder} cannot be made: {error.strerror}"
            raise HostError(msg) from error
        finally:
            shutil.rmtree(making, ignore_errors=True)

    def _restore(self, making: Path, database: str) -> None:
        """Make the data of a backup, and let it come to the point."""
        (making / "data").mkdir(mode=0o700)
        give(making / "data")
        texts = {**self.restore, _RESTORE.name: _RESTORE.read_text("utf-8")}
        for name, text in texts.items():
            write_private(making / name, text.replace(TOOLBOX, str(making)))
        settings = {**self.settings, **self.installation.get_citus_settings()}
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = ["bash", str(making / _RESTORE.name), str(making), str(making / "data")]
        program = [*command, str(self.installation.bindir / "postgres"), *arguments]
        try:
            done = self._call(program, {"PGUSER": self.user, "PGDATABASE": database}, self.restore_within)
        except subprocess.TimeoutExpired:
            msg = f"{self.name}: it has not come to its point within {self.restore_within:.0f} s (citus:restoreFrom.within)"
            raise HostError(msg) from None
        if done.returncode:
            msg = f"{self.name}: it cannot be made of the backup: {' '.join(done.stdout.split())}"
            raise HostError(msg)
        for name in texts:
            (making / name).unlink()

    def _configure(self) -> None:
        settings = {**_SETTINGS, **self.settings, "port": str(self.port)}
        if self.installation.citus is None:
            shutil.copytree(STAND_IN, self.folder / "standin", dirs_exist_ok=True)
            for path in (self.folder / "standin").rglob("*"):
                give(path)
            settings["extension_control_path"] = f"$system:{self.folder / 'standin'}"
        else:
            settings |= self.installation.get_citus_settings()
        quoted = {name: value.replace("'", "''") for name, value in settings.items()}
        lines = [f"{name} = '{value}'" for name, value in quoted.items()]
        write_private(self.folder / CONF_FILE, "\n".join(["# Rewritten at every change.", *lines, ""]))
        for name, text in self.files.items():
            write_private(self.folder / name, text)

    def _start(self, timeout: float) -> None:
        how = ["-w", "-t", str(int(timeout)), "-s"]
        self._run("pg_ctl", "start", "-D", str(self.data), "-l", str(self.log), *how)

    def is_running(self) -> bool:
        """Tell whether a server runs on this data folder."""
        return self._program("pg_ctl", "status", "-D", str(self.data)).returncode == 0

    def _is_outdated(self) -> bool:
        """Tell whether the server that runs is not of these programs, or of an older Citus; a stand-in's is never."""
        return self.installation.citus is not None and self.is_running() and not self.installation.runs(self.data)

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
            write_private(self.folder / OWNER_FILE, json.dumps(asdict(signed)))

    def _program(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PGPASSFILE": str(self.folder / PASSFILE),
            "PGOPTIONS": node_options(self.installation),
            **(
                {
                    "PGBACKREST_CONFIG": str(self.folder / CONFIG_FILE),
                    "PGBACKREST_STANZA": self.name,
                    "PGHOST": HOST,  # where pgBackRest looks for a socket otherwise
                }
                if self.files
                else {}
            ),
        }
        return self._call([str(self.installation.bindir / program), *arguments], environment)

    def _call(
        self, command: list[str], environment: Mapping[str, str], timeout: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - the programs of the installation, and what runs them
            unprivileged([shutil.which(command[0]) or command[0], *command[1:]]),
            check=False,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            cwd=self.folder.parent,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", **environment},
        )

    def _run(self, program: str, *arguments: str) -> None:
        done = self._program(program, *arguments)
        if done.returncode:
            said = " ".join(done.stdout.split()) or f"exit code {done.returncode}"
            msg = f"{self.name}: {program} failed: {said}; {Log('file', str(self.log)).hint()}"
            raise HostError(msg)
