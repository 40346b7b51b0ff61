"""A client of a Docker Engine that is reached through `ssh`, as `docker -H ssh://…` reaches it.

The SDK's own way takes no options of ssh and reads from a pipe, which knows no deadline: a machine that is cut off would be
waited for without end. Here each connection is a socket, whose other end ssh reads and writes.
"""

from __future__ import annotations

import http.client
import socket
import subprocess
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import docker
import urllib3.connection
import urllib3.exceptions
from docker.transport.unixconn import UnixHTTPAdapter, UnixHTTPConnectionPool

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["open_client"]

_API: Final = "1.40"
"""A version that every engine knows: the first question is for the engine's own."""
_PATIENCE: Final = 5
"""Seconds in which ssh ends once it is of no use."""


def open_client(host: str, options: Sequence[str], timeout: int) -> Any:
    """Return a client of the engine at `ssh://user@host:port`; `options` are arguments of `ssh`."""
    parts = urlsplit(host)
    login = ["-l", parts.username] if parts.username else []
    port = ["-p", str(parts.port)] if parts.port else []
    command = ["ssh", *options, *login, *port, "--", parts.hostname or "", "docker system dial-stdio"]
    client: Any = docker.DockerClient(base_url="unix:///var/run/docker.sock", version=_API, timeout=timeout)
    client.api.mount("http+docker://", _Adapter(command, timeout))
    client.api._version = client.api._retrieve_server_version()  # noqa: SLF001 - as the SDK does it for its own transports
    return client


class _Connection(urllib3.connection.HTTPConnection):
    """HTTP with `docker system dial-stdio` on the other machine."""

    def __init__(self, command: Sequence[str], timeout: int) -> None:
        super().__init__("localhost", timeout=timeout)
        self._command = command
        self._ssh: subprocess.Popen[bytes] | None = None

    def connect(self) -> None:
        """Start ssh."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._ssh = subprocess.Popen(  # noqa: S603 - a person's own settings
                list(self._command),
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        ours.settimeout(self.timeout)
        self.sock = ours

    def getresponse(self) -> Any:
        """Return the response; where ssh ends without one, raise what it said."""
        try:
            return super().getresponse()
        except (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError) as error:
            raise OSError(self._last_words() or str(error)) from error

    def close(self) -> None:
        """End ssh, too."""
        super().close()
        if self._ssh is not None:
            self._ssh.terminate()
            self._ssh.communicate()
            self._ssh = None

    def _last_words(self) -> str:
        if self._ssh is None:
            return ""
        try:
            _, said = self._ssh.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            return ""
        lines = [line.strip() for line in said.decode("utf-8", errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else ""


class _Pool(UnixHTTPConnectionPool):
    def __init__(self, command: Sequence[str], timeout: int) -> None:
        super().__init__("http+docker://localhost", "", timeout)
        self._command = command
        self._seconds = timeout

    def _new_conn(self) -> Any:
        return _Connection(self._command, self._seconds)


class _Adapter(UnixHTTPAdapter):
    def __init__(self, command: Sequence[str], timeout: int) -> None:
        super().__init__("", timeout)
        self._pool = _Pool(command, timeout)

    def get_connection(self, url: str | bytes, proxies: Any = None) -> Any:
        return self._pool

    def close(self) -> None:
        super().close()
        self._pool.close()
