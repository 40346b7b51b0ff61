"""What pgBackRest is given on a node: its configuration, as text, and what the server is started with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from components.backups.settings import RepositorySettings

__all__ = [
    "ARCHIVE_SECONDS",
    "ARCHIVING",
    "AUTHORITY_FILE",
    "CONFIG_FILE",
    "TOOLBOX",
    "ServerPlace",
    "render",
    "render_files",
]

CONFIG_FILE: Final = "pgbackrest.conf"
AUTHORITY_FILE: Final = "repository-ca.crt"
ARCHIVING: Final = {
    "archive_mode": "on",
    "archive_command": "pgbackrest archive-push %p",  # its environment has the configuration and the stanza
}
"""What the server of a node that is backed up is started with."""
TOOLBOX: Final = "@toolbox@"
"""Stands for a folder that is there for the moment, where pgBackRest is run before there are nodes."""
ARCHIVE_SECONDS: Final = 60
"""After which what was written is archived, though the file of the write-ahead log is not full."""


@dataclass(frozen=True)
class ServerPlace:
    """Where a node's server and its files are, as pgBackRest reaches them."""

    stanza: str
    """The node's name."""
    data: str
    """Its data folder."""
    port: int
    user: str
    database: str
    folder: str
    """Of files that are the server's alone."""


def render_files(settings: RepositorySettings, path: str, server: ServerPlace) -> dict[str, str]:
    """Return the texts of the files that pgBackRest reads, by their names in the server's folder; see render."""
    authority = settings.authority
    where = f"{server.folder}/{AUTHORITY_FILE}" if authority else ""
    return {CONFIG_FILE: render(settings, path, server, where), **({AUTHORITY_FILE: authority} if authority else {})}


def render(settings: RepositorySettings, path: str, server: ServerPlace, authority: str = "") -> str:
    """Return the text of a configuration.

    Args:
        settings: of the repository.
        path: folder of the repository as the node sees it; an object store has its own.
        server: of the node.
        authority: file with the certificate of the store's authority; empty where the system's are used.
    """
    of_repository = {
        **(_of_store(settings, authority) if settings.is_store else {"path": path}),
        "cipher-type": "aes-256-cbc",
        "cipher-pass": settings.key.get_secret_value(),
        **_of_retention(settings),
    }
    common = {
        **{f"repo1-{name}": value for name, value in of_repository.items()},
        "expire-auto": "n",  # what is complete on all nodes decides, and not each node by itself
        "start-fast": "y",
        "io-timeout": "10",  # a store that does not answer is asked four times
        "compress-type": "lz4",
        "process-max": "2",
        "log-level-console": "warn",
        "log-level-file": "off",
        "log-level-stderr": "off",
        "lock-path": f"{server.folder}/pgbackrest",
        "spool-path": f"{server.folder}/pgbackrest",
    }
    own = {
        "pg1-path": server.data,
        "pg1-port": str(server.port),
        "pg1-user": server.user,
        "pg1-database": server.database,
    }
    lines = ["[global]", *_lines(common), "", f"[{server.stanza}]", *_lines(own), ""]
    return "\n".join(lines)


def _lines(options: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in options.items()]


def _of_store(settings: RepositorySettings, authority: str) -> dict[str, str]:
    bucket, _, prefix = settings.repository.removeprefix("s3://").partition("/")
    host, _, port = settings.endpoint.removeprefix("https://").partition(":")
    secret = settings.secret_key.get_secret_value() if settings.secret_key else ""
    login = {"s3-key": settings.key_id, "s3-key-secret": secret} if secret else {"s3-key-type": "auto"}
    return {
        "type": "s3",
        "path": f"/{prefix.strip('/')}",
        "s3-bucket": bucket,
        "s3-endpoint": host or f"s3.{settings.region}.amazonaws.com",
        "s3-region": settings.region,
        "s3-uri-style": settings.uri_style,
        **login,
        **({"storage-port": port} if port else {}),
        **({"storage-ca-file": authority} if authority else {}),
    }


def _of_retention(settings: RepositorySettings) -> dict[str, str]:
    retention = getattr(settings, "retention", "")
    if not retention:
        return {}
    how = {"retention-full-type": "time"} if retention.endswith("d") else {}
    return {"retention-full": retention.removesuffix("d"), **how}
