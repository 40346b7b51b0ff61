"""Which Docker Engine a stack lives on: the one that the command `docker` talks to. The only place that decides it.

Checks, hooks and logs connect to it here, and Pulumi's Docker provider is given its address: by itself the provider has rules of
its own, by which the active context counts for nothing and DOCKER_CONTEXT before DOCKER_HOST.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from components.environment import spare_loopback
from components.errors import DockerError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Endpoint", "connect", "get_endpoint"]


DEFAULT_HOST: Final = "npipe:////./pipe/docker_engine" if sys.platform == "win32" else "unix:///var/run/docker.sock"


_LOCAL_SCHEMES: Final = ("unix", "npipe", "fd")


@dataclass(frozen=True)
class Endpoint:
    """Where an engine is reached."""

    host: str
    """As DOCKER_HOST has it: unix://…, tcp://…, ssh://…."""
    source: str
    """What named it, for messages."""
    certificates: str = ""
    """Folder with ca.pem, cert.pem and key.pem; empty where it is reached without TLS."""

    @property
    def name(self) -> str:
        """Return the name or address of the engine's machine; empty where it is reached by a socket of this one."""
        parts = urlsplit(self.host if "://" in self.host else f"tcp://{self.host}")
        return "" if parts.scheme in _LOCAL_SCHEMES else parts.hostname or ""

    def get_remote_addresses(self) -> list[str] | None:
        """Return the IP addresses of the engine's machine, where it is another than this one.

        Returns:
            None where it is this machine. An empty list where the name has no address, as an alias of ssh's settings has none.
        """
        if not self.name:
            return None
        try:
            found = socket.getaddrinfo(self.name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return []
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        return None if any(map(_is_own, addresses)) else addresses


def _is_own(address: str) -> bool:
    """Tell whether an address is one of this machine: nobody else's can be bound."""
    with closing(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


# --- which one ---------------------------------------------------------------------------------------------------------


def get_endpoint(environment: Mapping[str, str] = os.environ) -> Endpoint:
    """Return the engine that `docker` would use: by DOCKER_HOST, DOCKER_CONTEXT, `docker context use`, or the usual socket.

    Raises:
        DockerError: they name a context that does not exist, or that has no engine.
    """
    folder = Path(environment.get("DOCKER_CONFIG") or Path.home() / ".docker")
    if host := environment.get("DOCKER_HOST"):
        return Endpoint(host, "DOCKER_HOST", _certificates(environment, folder))
    name, source = environment.get("DOCKER_CONTEXT", ""), "DOCKER_CONTEXT"
    if not name:
        name, source = _active_context(folder), "`docker context use`"
    if name in ("", "default"):
        return Endpoint(DEFAULT_HOST, "its usual address", _certificates(environment, folder))
    return _of_context(folder, name, source)


def _active_context(folder: Path) -> str:
    try:
        return str(json.loads((folder / "config.json").read_text("utf-8")).get("currentContext", ""))
    except (OSError, ValueError, AttributeError):
        return ""  # `docker` warns of such a file, and goes on


def _of_context(folder: Path, name: str, source: str) -> Endpoint:
    key = hashlib.sha256(name.encode()).hexdigest()
    try:
        meta = json.loads((folder / "contexts" / "meta" / key / "meta.json").read_text("utf-8"))
        host = str(meta["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, KeyError, TypeError):
        msg = (
            f"the Docker context {name!r}, chosen by {source}, does not exist or names no engine: `docker context ls` "
            "lists those that there are; choose one, or let DOCKER_HOST name the engine"
        )
        raise DockerError(msg) from None
    certificates = folder / "contexts" / "tls" / key / "docker"
    return Endpoint(host, f"the Docker context {name!r}", str(certificates) if certificates.is_dir() else "")


def _certificates(environment: Mapping[str, str], folder: Path) -> str:
    return environment.get("DOCKER_CERT_PATH") or (str(folder) if environment.get("DOCKER_TLS_VERIFY") else "")


# --- a client of it ----------------------------------------------------------------------------------------------------


def connect(endpoint: Endpoint, timeout: int = 30) -> Any:
    """Return a client of an engine, which has answered.

    Raises:
        DockerError: it does not answer; says where, and why.
    """
    import docker as sdk  # noqa: PLC0415 - slow to import, and unit tests do without

    spare_loopback()
    try:
        if endpoint.host.startswith("unix://"):
            with closing(socket.socket(socket.AF_UNIX)) as probe:  # the SDK forgets its own where nothing answers
                probe.connect(endpoint.host.removeprefix("unix://"))
        client = sdk.DockerClient(
            base_url=endpoint.host,
            tls=_tls(sdk, endpoint),
            version="auto",
            timeout=timeout,
            use_ssh_client=True,
        )
        client.ping()
    except (sdk.errors.DockerException, OSError, ValueError) as error:
        where = endpoint.host if endpoint.source == "DOCKER_HOST" else f"{endpoint.host} ({endpoint.source})"
        msg = f"no Docker Engine answers at {where} ({_reason(error)})"
        raise DockerError(msg) from None
    return client


def _tls(sdk: Any, endpoint: Endpoint) -> Any:
    if not endpoint.certificates or not endpoint.name or endpoint.host.startswith("ssh://"):
        return False
    folder = Path(endpoint.certificates)
    pair = (str(folder / "cert.pem"), str(folder / "key.pem"))
    return sdk.tls.TLSConfig(client_cert=pair, ca_cert=str(folder / "ca.pem"), verify=True)


def _reason(error: BaseException) -> str:
    """Return what the operating system said, which the SDK wraps several times; else what the SDK says."""
    inner: BaseException | None = error
    while inner is not None:
        nested = [argument for argument in inner.args if isinstance(argument, BaseException)]
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        inner = nested[0] if nested else inner.__context__
    return str(error)
