"""An object store of this machine that speaks S3 over TLS, with an authority of its own: versitygw."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from components.certificates import issue, make_authority

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Store", "served"]

SECONDS = 20
"""In which it answers."""


@dataclass
class Store:
    """One store with one bucket. It can be killed, and comes back with what it had."""

    folder: Path
    address: str
    port: int
    process: subprocess.Popen[bytes] | None = None
    ID: ClassVar = "AKIDEXAMPLE"
    SECRET: ClassVar = "s3cr3t-of-a-store-of-tests"
    BUCKET: ClassVar = "backups"

    @property
    def setting(self) -> dict[str, Any]:
        """Return it as citus:backup has it, without what is secret."""
        return {
            "repository": f"s3://{self.BUCKET}/shop",
            "endpoint": f"{self.address}:{self.port}",
            "keyId": self.ID,
            "caFile": str(self.folder / "ca.crt"),
        }

    def ensure(self) -> None:
        """Start it where it does not run, and wait until it answers."""
        if self.process is not None and self.process.poll() is None:
            return
        command = ["versitygw", "--port", f":{self.port}", "--access", self.ID, "--secret", self.SECRET]
        command += ["--cert", str(self.folder / "server.crt"), "--key", str(self.folder / "server.key")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "posix", str(self.folder / "data")], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + SECONDS
        while True:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill it; what it has stays."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@contextmanager
def served(folder: Path) -> Iterator[Store]:
    """Serve a store, and remove it."""
    (folder / "data" / Store.BUCKET).mkdir(parents=True)
    with socket.socket() as probe, socket.socket(type=socket.SOCK_DGRAM) as route:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        route.connect(("192.0.2.1", 9))  # sends nothing: it tells by which of its addresses others reach this machine
        address = route.getsockname()[0]
    authority, key = make_authority("a store")
    certificate, own = issue(authority, key, "store", [address], 2)
    for name, text in (("ca.crt", authority), ("server.crt", certificate), ("server.key", own)):
        (folder / name).write_text(text)
    store = Store(folder, address, port)
    try:
        store.ensure()
        yield store
    finally:
        store.kill()
        shutil.rmtree(folder, ignore_errors=True)


def get_version() -> str:
    """Return the version of the program; empty where there is none."""
    program = shutil.which("versitygw", path=os.environ["PATH"])
    if program is None:
        return ""
    return subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout.strip()
