"""A proxy that the environment names for HTTP is not for what runs on this machine: Pulumi's parts, and a Docker Engine here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = ["spare_loopback"]

_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy")


def spare_loopback(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let connections to this machine go past the proxies of the environment.

    Go's programs do so by themselves. Python's ask NO_PROXY: requests for HTTP, and gRPC when it opens a channel, which a program under
    `pulumi` itself finds open already.
    """
    if not any(environment.get(name) or environment.get(name.upper()) for name in _PROXIES):
        return
    for name in ("no_proxy", "NO_PROXY"):
        given = environment.get(name) or environment.get(name.swapcase(), "")
        spared = [part.strip() for part in given.split(",") if part.strip()]
        missing = [host for host in _LOOPBACK if host not in spared]
        if missing and "*" not in spared:
            environment[name] = ",".join([*spared, *missing])
