"""This host as it is before the update: which PostgreSQL it has, and what stands in the way."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import pulumi

from components.access import Server
from components.database.live import get_extension_version, look_at
from components.errors import HostError
from components.logs import Log
from components.nodes.local.folders import get_folders, get_owner, get_port, get_settings, reachable_installation
from components.nodes.local.installation import STAND_IN_NEEDS, Installation, folders, reachable_by
from components.nodes.local.server import HOST
from components.nodes.locales import choose_locale, get_initial_locale, lacks_locale
from components.nodes.look import Look
from components.nodes.node import node_names
from components.nodes.passfile import find_passwords
from components.nodes.restoring import decide
from components.nodes.returning import Returning, find_returning
from components.nodes.server_settings import choose_shared_buffers, find_shared_buffers, get_start_settings
from components.nodes.versions import describe_upgrade, get_extension_problem
from components.parameters import REFUSED, SERVER_SETTINGS, needs_restart
from components.resources.remains import Remnant, Remnants
from components.schema.needs import KnownServer, parse_release

if TYPE_CHECKING:
    from components.access import Access
    from components.nodes.runtime import Nodes
    from components.resources.certificates import CertificateAuthority
    from components.settings import Settings

__all__ = ["LocalHost", "get_running_port"]


DISK_NEEDED: Final = 100 * 1024**2
"""Bytes that a fresh node's folder takes."""


_ROOTS_FOLDER: Final = Path("/var/lib/citus-pulumi")
"""Where data is by default when we are root and the project where servers may not enter, such as in root's home."""


# --- this host, before the update --------------------------------------------------------------------------------------


class LocalHost:
    """This host as it is before the update: which PostgreSQL it has, and what stands in the way."""

    def __init__(self, stack: str, project: Path) -> None:
        self.stack = stack
        self.restarted: dict[str, str] = {}
        """Nodes that run and have to be started again, with the reason, once `look` has looked: not all at the same time."""
        self.restores = False
        """Whether nodes are made of a backup, once `look` has looked."""
        self.returning = Returning()
        """Workers that are made of their own backup, once `look` has looked."""
        self._project = project

    def data_dir(self, settings: Settings) -> Path:
        """Return the folder of this stack's nodes."""
        if settings.data_dir:
            base = (self._project / settings.data_dir).absolute()
        elif reachable_by(self._project):
            base = self._project / ".data"
        else:
            name = f"{self._project.name}-{hashlib.sha256(str(self._project).encode()).hexdigest()[:8]}"
            base = _ROOTS_FOLDER / name
        folder = base / self.stack.rpartition("/")[2]
        coordinator = node_names(settings)[0]
        if (folder / coordinator).exists() or not base.is_dir():
            return folder
        # A stack that was renamed keeps its folder: no other stack has this prefix and this port.
        renamed = [other for other in base.iterdir() if get_port(other / coordinator) == settings.port]
        return renamed[0] if len(renamed) == 1 else folder

    @classmethod
    def open(cls, stack: str, settings: Settings) -> Self:  # noqa: ARG003 - as the other runtimes
        """Return this host, for the stack of the project in the current folder."""
        return cls(stack, Path.cwd())

    def expect(self, settings: Settings) -> KnownServer:
        """Return the version and the extensions of the programs that are to be used; nothing where there are none."""
        try:
            installation = self.installation(settings)
        except HostError:
            return KnownServer()
        extensions = frozenset({*installation.get_extensions(), "citus"})  # the stand-in brings its own
        release = parse_release(installation.citus)
        return KnownServer(f"{installation}", installation.major, extensions, frozenset({settings.user}), release)

    def log(self, settings: Settings, node: str) -> Log:
        """Return where a node's log is."""
        return Log("file", str(self.data_dir(settings) / node / "log"))

    def declare(
        self,
        name: str,
        settings: Settings,
        cluster_id: pulumi.Output[str],
        access: Access,
        authority: CertificateAuthority | None,
        opts: pulumi.ResourceOptions,
    ) -> Nodes:
        """Declare the nodes as processes."""
        from components.nodes.local.resources import LocalNodes  # noqa: PLC0415 - which needs this module

        return LocalNodes(name, settings, self, cluster_id, access, opts)

    def look(self, settings: Settings) -> Look:
        """Return what is there already: folders of nodes, and the cluster where its coordinator runs."""
        folder = self.data_dir(settings)
        names = node_names(settings)
        remnants = Remnants(
            tuple(
                Remnant(f"folder {folder / name}", owner.owner, name in names, not owner.cluster)
                for name, owner in get_folders(folder).items()
            )
        )
        live = None
        port = get_running_port(folder / names[0])
        if port is not None:
            server = Server(names[0], HOST, port, settings.database, settings.user)
            live = look_at(server, *find_passwords(settings, f"folder:{folder / names[0]}"))
        there = [name for name in names if (folder / name).exists()]
        missing = [name for name in names if name not in there]
        self.restores, in_the_way = decide(settings, live, there, missing)
        reached = {name: (HOST, port) for name, port in zip(names, settings.local_ports, strict=True)}
        if not self.restores:
            self.returning = find_returning(settings, live, reached, tuple(missing))
        obstacles = (
            *in_the_way,
            *self.returning.obstacles,
            *self._ports(settings, folder),
            *self._locale_problems(settings),
            *self._extension_problems(settings),
        )
        self.restarted = self._find_restarted(settings)
        return Look(
            remnants,
            live,
            obstacles,
            live.server if live else KnownServer(),
            restarts=self.restarted,
            returning=self.returning.told,
        )

    def started_beside(self, settings: Settings, node: str) -> dict[str, str]:
        """Return what a node is started with beside SERVER_SETTINGS, or in the place of one of them."""
        names = node_names(settings)
        there = [folder for name in names if (folder := self.data_dir(settings) / name).exists()]
        if there:
            shared_buffers = find_shared_buffers(get_settings(there[0]))
        else:
            shared_buffers = choose_shared_buffers(get_memory() // len(names))
        started = get_start_settings(settings, shared_buffers, of_coordinator=node == names[0])
        return {name: value for name, value in started.items() if SERVER_SETTINGS.get(name) != value}

    def _find_restarted(self, settings: Settings) -> dict[str, str]:
        found = {}
        installation = self.installation(settings)
        for node in node_names(settings):
            folder = self.data_dir(settings) / node
            if get_running_port(folder) is None:
                continue
            was = get_settings(folder)
            now = {**SERVER_SETTINGS, **self.started_beside(settings, node)}
            whys = [f"{name} {was.get(name)} -> {value}" for name, value in now.items() if was.get(name) != value]
            whys += [
                f"{name} {value} -> as PostgreSQL has it"
                for name, value in was.items()
                if needs_restart(name) and name not in {**now, **REFUSED}
            ]
            if installation.citus and not reachable_installation(installation, folder.parent).runs(folder / "data"):
                whys.append(f"{installation} with Citus {installation.citus}")
            if whys:
                found[node] = "; ".join(whys)
        return found

    def installation(self, settings: Settings) -> Installation:
        """Return the PostgreSQL to use: one with Citus, else, where the settings allow it, one that takes the stand-in.

        Where the stack's data was made by a server of some major version, only that one will do.

        Raises:
            HostError: there is none; says what was found, and what to do.
        """
        if settings.postgres_bin and Installation.at(Path(settings.postgres_bin)) is None:
            msg = (
                f"citus:postgresBin = {settings.postgres_bin!r}: there is no PostgreSQL server (initdb, postgres, pg_ctl, "
                "pg_config): name the folder that holds them, or remove the setting"
            )
            raise HostError(msg)
        found = [installation for folder in folders(settings.postgres_bin) if (installation := Installation.at(folder))]
        major = self._major_of_data(settings)
        fitting = [installation for installation in found if major in (None, installation.major)]
        if found and not fitting:
            msg = f"this stack's data was made by PostgreSQL {major}, and this host has only {_listed(found)}: install that one"
            raise HostError(msg)
        for installation in fitting:
            if installation.citus:
                return installation
        if settings.stand_in:
            for installation in fitting:
                if installation.takes_stand_in:
                    return installation
            msg = (
                f"this host has neither Citus nor a PostgreSQL of {STAND_IN_NEEDS} or later, which the stand-in for Citus "
                f"needs (found: {_listed(found)}): `make setup` installs one, or let citus:postgresBin name one"
            )
            raise HostError(msg)
        msg = (
            f"no PostgreSQL of this host has Citus (found: {_listed(found)}): install it, or let citus:postgresBin name the "
            "programs of one that has. To rehearse on a stand-in that moves no rows, set citus:standIn: true"
        )
        raise HostError(msg)

    def _major_of_data(self, settings: Settings) -> int | None:
        try:
            return int((self._coordinator_data(settings) / "PG_VERSION").read_text("ascii"))
        except (OSError, ValueError):
            return None

    def check(self, settings: Settings) -> None:
        """Look for what makes any update fail, whatever the state says.

        Raises:
            HostError: with one line for each obstacle: what it is, and what removes it.
        """
        installation = self.installation(settings)
        folder = self.data_dir(settings)
        names = node_names(settings)
        problems = []
        for name in names:
            try:
                get_owner(folder / name)
            except HostError as error:
                problems.append(str(error))
        missing = sum(not (folder / name).exists() for name in names)
        problems += self._room(folder, missing * DISK_NEEDED)
        if problems:
            raise HostError("\n".join(problems))
        if not installation.citus:
            pulumi.log.warn(
                f"no Citus on this host: a STAND-IN on {installation} keeps its catalog and refuses what Citus refuses, but "
                "moves no rows. Good for rehearsing a plan; measure nothing on it"
            )

    def _ports(self, settings: Settings, folder: Path) -> list[str]:
        """Return a line for each port that something else than the node itself listens on."""
        return [
            f"{'citus:port' if port == settings.port else 'citus:workerPorts'}: port {port} of {HOST}, meant for {name}, is in "
            "use: choose free ones with `pulumi config set`, or stop what uses it"
            for name, port in zip(node_names(settings), settings.local_ports, strict=True)
            if _is_taken(port) and get_running_port(folder / name) != port
        ]

    def locale(self, settings: Settings) -> tuple[str, str]:
        """Return the locale of nodes that are made now, and why it cannot be the one that is set; empty where it can."""
        try:
            conf = self._coordinator_data(settings).joinpath("postgresql.conf").read_text("utf-8", errors="replace")
        except OSError:
            conf = ""
        return choose_locale(settings.locale, get_initial_locale(conf))

    def _coordinator_data(self, settings: Settings) -> Path:
        return self.data_dir(settings) / node_names(settings)[0] / "data"

    def _locale_problems(self, settings: Settings) -> list[str]:
        locale, why = self.locale(settings)
        folder = self.data_dir(settings)
        known = self.installation(settings).get_locales()
        if why or all((folder / name).exists() for name in node_names(settings)) or not lacks_locale(locale, known):
            return [why] if why else []
        msg = (
            f"citus:locale = {locale!r}: this host does not have it; it has {', '.join(known)}: set one of these, or generate "
            "yours (Debian: locale-gen)"
        )
        return [msg]

    def _extension_problems(self, settings: Settings) -> list[str]:
        """Ask the running cluster, where the programs are others than those that run it, whether they can serve it."""
        data = self._coordinator_data(settings)
        port = get_running_port(data.parent)
        installation = self.installation(settings)
        if port is None or installation.citus is None or installation.runs(data):
            return []
        server = Server(node_names(settings)[0], HOST, port, settings.database, settings.user)
        extension = get_extension_version(server, *find_passwords(settings, f"folder:{data.parent}"))
        keep = "install Citus {}, or let citus:postgresBin name it"
        why = get_extension_problem([installation.citus], extension, keep)
        if upgrade := describe_upgrade([installation.citus], extension):
            pulumi.log.info(f"{installation}: {upgrade}")
        return [f"{installation}: {why}"] if why else []

    def _room(self, folder: Path, needed: int) -> list[str]:
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free = shutil.disk_usage(there).free
        if free >= needed:
            return []
        return [f"{folder}: {needed >> 20} MB are needed for the nodes' data, {free >> 20} MB are free: make room"]


def _listed(found: list[Installation]) -> str:
    return ", ".join(map(str, found)) or "none"


def _is_taken(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            return False
        except OSError:
            return True
    return False


def get_running_port(folder: Path) -> int | None:
    """Return the port on which the folder's server says that it listens, if it lives."""
    try:
        lines = (folder / "data" / "postmaster.pid").read_text("utf-8").splitlines()
        os.kill(int(lines[0]), 0)
        return int(lines[3])
    except PermissionError:
        return int(lines[3])
    except (OSError, ValueError, IndexError):
        return None


def get_memory() -> int:
    """Return the bytes of memory that this host has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
