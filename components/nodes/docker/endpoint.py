"""Where a Docker Engine is reached: the one that `docker` talks to, or that of a host. The only place that decides it.

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
from urllib.parse import parse_qsl, urlencode, urlsplit

from components.environment import spare_loopback
from components.errors import DockerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.settings import HostSettings

__all__ = ["Endpoint", "Located", "connect", "endpoint_of", "get_endpoint"]


DEFAULT_HOST: Final = "npipe:////./pipe/docker_engine" if sys.platform == "win32" else "unix:///var/run/docker.sock"


_API: Final = "1.40"
"""A version of the API that every engine knows: the first question is for the engine's own."""
_USUAL: Final = "its usual address"
_SSH: Final = ("BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3")
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
    ssh_options: tuple[str, ...] = ()
    """As `ssh -o` takes them."""

    @property
    def options(self) -> list[str]:
        """Return arguments of `ssh`: one that is cut off ends by itself, and asks nobody anything."""
        return [part for option in (*self.ssh_options, *_SSH) for part in ("-o", option)]  # of two, ssh takes the first

    @property
    def command(self) -> str:
        """Return how a person's `docker` talks to it."""
        if self.source == _USUAL:
            return "docker"
        folder = self.certificates
        tls = f" --tlsverify --tlscacert {folder}/ca.pem --tlscert {folder}/cert.pem --tlskey {folder}/key.pem"
        return f"docker -H {self.host}{tls if folder else ''}"

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


@dataclass(frozen=True)
class Located:
    """A container or a volume, and the engine that has it: `<name>` or `<name>@<engine>` as a property of a resource.

    The engine stands there as the last update reached it, so that what is deleted is found where it is, though no setting names
    its host any more.
    """

    name: str
    endpoint: Endpoint | None = None
    """None for the engine that `docker` uses now."""

    @classmethod
    def parse(cls, text: str) -> Located:
        """Read what `str` wrote."""
        name, at, where = text.partition("@")
        if not at:
            return cls(name)
        url, _, source = where.partition("#")
        host, _, query = url.partition("?")
        given = parse_qsl(query)
        certificates = "".join(value for key, value in given if key == "certificates")
        options = tuple(value for key, value in given if key == "option")
        return cls(name, Endpoint(host, source, certificates, options))

    def __str__(self) -> str:
        if self.endpoint is None:
            return self.name
        given = [("certificates", self.endpoint.certificates)] if self.endpoint.certificates else []
        query = urlencode([*given, *(("option", option) for option in self.endpoint.ssh_options)])
        return f"{self.name}@{self.endpoint.host}{'?' if query else ''}{query}#{self.endpoint.source}"

    @property
    def command(self) -> str:
        """Return how a person's `docker` talks to the engine that has it."""
        return self.endpoint.command if self.endpoint else "docker"

    def connect(self, timeout: int = 30) -> Any:
        """Return a client of the engine that has it.

        Raises:
            DockerError: it does not answer.
        """
        return connect(self.endpoint or get_endpoint(), timeout)


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
        return Endpoint(DEFAULT_HOST, _USUAL, _certificates(environment, folder))
    return _of_context(folder, name, source)


def endpoint_of(name: str, host: HostSettings, environment: Mapping[str, str] = os.environ) -> Endpoint:
    """Return where the engine of a host of the settings is reached.

    Raises:
        DockerError: they name a context that does not exist, or that has no engine.
    """
    source = f"citus:hosts.{name}"
    if "://" in host.engine:
        return Endpoint(host.engine, source, host.certificates, host.ssh_options)
    folder = Path(environment.get("DOCKER_CONFIG") or Path.home() / ".docker")
    of_context = _of_context(folder, host.engine, source)
    return Endpoint(of_context.host, source, of_context.certificates, host.ssh_options)


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
        is_by_ssh = endpoint.host.startswith("ssh://")
        address = "unix:///by-ssh" if is_by_ssh else endpoint.host
        client: Any = sdk.DockerClient(base_url=address, tls=_tls(sdk, endpoint), version=_API, timeout=timeout)
        if is_by_ssh:
            from components.nodes.docker.ssh import reach_by_ssh  # noqa: PLC0415 - few engines are reached so

            reach_by_ssh(client, endpoint.host, endpoint.options, timeout)
        _verify_by_own(client.api)
        client.api._version = client.api._retrieve_server_version()  # noqa: SLF001 - as the SDK does by itself
    except (sdk.errors.DockerException, OSError, ValueError) as error:
        where = endpoint.host if endpoint.source == "DOCKER_HOST" else f"{endpoint.host} ({endpoint.source})"
        msg = f"no Docker Engine answers at {where} ({_reason(error)})"
        raise DockerError(msg) from None
    return client


def _verify_by_own(api: Any) -> None:
    """Let the engine's own authority count: requests would prefer the one that REQUESTS_CA_BUNDLE names."""
    merge = api.merge_environment_settings

    def keep(url: str, proxies: Any, stream: Any, _verify: Any, cert: Any) -> Any:
        return merge(url, proxies, stream, api.verify, cert)

    if isinstance(api.verify, str):
        api.merge_environment_settings = keep


def _tls(sdk: Any, endpoint: Endpoint) -> Any:
    if not endpoint.certificates or not endpoint.name:
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
