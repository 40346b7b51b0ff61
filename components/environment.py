"""What this process takes from its surroundings: proxies, and the encoding of its output."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = ["print_anything", "spare_loopback"]


_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy")


def spare_loopback(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let connections to this machine go past the proxies of the environment.

    Go's programs do so by themselves. Python's ask NO_PROXY: requests for HTTP, and gRPC when it opens a channel. A program that
    `pulumi` itself has started finds its channel open: there NO_PROXY is to be set before.
    """
    if not any(environment.get(name) or environment.get(name.upper()) for name in _PROXIES):
        return
    given = environment.get("no_proxy") or environment.get("NO_PROXY", "")
    spared = [part.strip() for part in given.split(",") if part.strip()]
    if "*" not in spared:
        spared += [host for host in _LOOPBACK if host not in spared]
    environment["no_proxy"] = environment["NO_PROXY"] = ",".join(spared)


def print_anything(encoding: str | None = None) -> None:
    r"""Let print show what standard output has no letter for as `\xf1` or `\u2192`; `encoding` is one to write in instead."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
