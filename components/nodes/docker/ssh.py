"""A client of a Docker Engine that is reached through `ssh`, as `docker -H ssh://…` reaches it.

The SDK's own way takes no options of ssh and reads from a pipe, which knows no deadline: a machine that is cut off would be
waited for without end. Here each connection is a socket, whose other end ssh reads and writes.
"""

from __future__ import annotations

import http.client
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import urllib3.connection
import urllib3.exceptions
from docker.transport.unixconn import UnixHTTPAdapter, UnixHTTPConnectionPool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["reach_by_ssh"]

_PATIENCE: Final = 5
"""Seconds in which ssh ends once it is of no use."""


def reach_by_ssh(client: Any, host: str, options: Sequence[str], timeout: int) -> None:
    """Let a client of the SDK reach the engine at `ssh://user@host:port`; `options` are arguments of `ssh`."""
    parts = urlsplit(host)
    login = ["-l", parts.username] if parts.username else []
    port = ["-p", str(parts.port)] if parts.port else []
    command = ["ssh", *options, *login, *port, "--", parts.hostname or "", "docker system dial-stdio"]
    client.api.mount("http+docker://", _Adapter(command, timeout))


class _Connection(urllib3.connection.HTTPConnection):
    """HTTP with `docker system dial-stdio` on the other machine."""

    def __init__(self, command: Sequence[str], timeout: int) -> None:
        super().__init__("localhost", timeout=timeout)
        self._command = command
        self._ssh: subprocess.Popen[bytes] | None = None
        self._asks = False

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

    def request(self, *arguments: Any, **named: Any) -> None:
        """Send a request; where ssh has ended, raise what it said."""
        with self._told_by_ssh():
            super().request(*arguments, **named)

    def getresponse(self) -> Any:
        """Return the response; where ssh ends without one, raise what it said."""
        with self._told_by_ssh():
            return super().getresponse()

    def close(self) -> None:
        """End ssh, too."""
        super().close()
        if not self._asks:  # else urllib3 closes it because of an error, which ssh is still to explain
            self._end(0)

    @contextmanager
    def _told_by_ssh(self) -> Iterator[None]:
        self._asks = True
        try:
            yield
        except (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError) as error:
            super().close()
            raise OSError(0, self._end(_PATIENCE) or str(error)) from error
        finally:
            self._asks = False

    def _end(self, patience: float) -> str:
        """End ssh after so many seconds, where it does not by itself; return the last that it said."""
        process, self._ssh = self._ssh, None
        if process is None:
            return ""
        try:
            _, said = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            process.terminate()
            _, said = process.communicate()
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
