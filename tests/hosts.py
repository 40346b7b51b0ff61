"""Several machines on one: each a network namespace with a Docker Engine of its own, all on one bridge.

What a test builds, it removes. A host can be cut off, slowed down, and looked at from the wire between.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import docker

from components.certificates import issue, make_authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Host", "Hosts", "why_no_hosts"]

SECONDS: Final = 30
"""In which an engine comes up, or ends."""


def why_no_hosts() -> str:
    """Return why this machine cannot have hosts in namespaces; nothing where it can."""
    missing = [name for name in ("ip", "nsenter", "dockerd", "iptables") if shutil.which(name) is None]
    if missing:
        return f"no {', '.join(missing)}"
    if os.geteuid() != 0:
        return "not root"
    name = f"cp{random.randrange(1 << 24):06x}"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if tried.returncode:
        return tried.stderr.strip()
    _run("ip", "netns", "del", name)
    return ""


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def _wait_for(attempt: Callable[[], None], what: str, hint: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        with suppress(OSError):
            attempt()
            return
        assert time.monotonic() < deadline, f"waited {SECONDS} s until {what}: {hint()}"
        time.sleep(0.1)


@dataclass
class Host:
    """One machine."""

    name: str
    address: str
    namespace: str
    link: str
    """Its end of the cable, on the bridge."""
    folder: Path
    engine: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return where its engine is reached: by a socket, which is in no namespace."""
        return f"unix://{self.folder}/docker.sock"

    @property
    def setting(self) -> dict[str, Any]:
        """Return it as citus:hosts has it."""
        return {"engine": self.url, "address": self.address}

    @property
    def over_tls(self) -> dict[str, Any]:
        """Return it as citus:hosts has it, the engine reached over TLS."""
        return {
            "engine": f"tcp://{self.address}:2376",
            "address": self.address,
            "certificates": str(self.folder / "tls"),
        }

    @contextmanager
    def over_ssh(self) -> Iterator[dict[str, Any]]:
        """Run a server of ssh on it; yield the host as citus:hosts has it, the engine reached through ssh."""
        keys = self.folder / "ssh"
        keys.mkdir()
        for name in ("host", "user"):
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / name))
        known = (keys / "host.pub").read_text()
        (keys / "known_hosts").write_text(f"[{self.address}]:2222 {known}")
        Path("/run/sshd").mkdir(exist_ok=True)
        settings = {
            "ListenAddress": f"{self.address}:2222",
            "HostKey": keys / "host",
            "AuthorizedKeysFile": keys / "user.pub",
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "PermitRootLogin": "prohibit-password",
            "SetEnv": f"DOCKER_HOST={self.url}",
        }
        (keys / "config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        command = ["nsenter", f"--net=/run/netns/{self.namespace}", "/usr/sbin/sshd", "-D", "-f", str(keys / "config")]
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_for(lambda: socket.create_connection((self.address, 2222), 1).close(), "sshd answers")
            options = [f"IdentityFile={keys / 'user'}", f"UserKnownHostsFile={keys / 'known_hosts'}"]
            engine = f"ssh://root@{self.address}:2222"
            yield {"engine": engine, "address": self.address, "sshOptions": [*options, "StrictHostKeyChecking=yes"]}
        finally:
            server.terminate()
            server.wait()
            shutil.rmtree(keys)

    def _make_certificates(self) -> list[str]:
        """Make what the engine and its clients know each other by; return the engine's options."""
        folder = self.folder / "tls"
        folder.mkdir(exist_ok=True)
        authority, key = make_authority(f"engine of {self.name}")
        for name, addresses in (("server", [self.address]), ("client", ["client"])):
            certificate, own = issue(authority, key, name, addresses, 2)
            prefix = "" if name == "client" else "server-"
            (folder / f"{prefix}cert.pem").write_text(certificate)
            (folder / f"{prefix}key.pem").write_text(own)
        (folder / "ca.pem").write_text(authority)
        pair = [f"--tlscert={folder}/server-cert.pem", f"--tlskey={folder}/server-key.pem"]
        return ["--tlsverify", f"--tlscacert={folder}/ca.pem", *pair, "-H", f"tcp://{self.address}:2376"]

    def client(self) -> Any:
        """Return a client of its engine."""
        return docker.DockerClient(base_url=self.url)

    def start(self) -> None:
        """Start the engine, and wait until it answers."""
        more = self._make_certificates()
        command = ["nsenter", f"--net=/run/netns/{self.namespace}", "dockerd", "--data-root", f"{self.folder}/data"]
        command += ["--exec-root", f"{self.folder}/exec", "--pidfile", f"{self.folder}/pid", "-H", self.url, *more]
        with Path(self.folder / "log").open("ab") as log:
            self.engine = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

        def probe() -> None:
            with closing(socket.socket(socket.AF_UNIX)) as client:  # the SDK forgets its own where nothing answers
                client.connect(f"{self.folder}/docker.sock")

        _wait_for(probe, "the engine answers", lambda: (self.folder / "log").read_text()[-2000:])

    def stop(self) -> None:
        """End the engine; its containers end with it."""
        if self.engine is not None:
            self.engine.send_signal(signal.SIGTERM)
            try:
                self.engine.wait(SECONDS)
            except subprocess.TimeoutExpired:
                self.engine.kill()
                self.engine.wait()
            self.engine = None
            (self.folder / "docker.sock").unlink(missing_ok=True)

    @property
    def is_cut_off(self) -> bool:
        """Tell whether nobody reaches it."""
        return not (self.folder / "docker.sock").exists()

    def cut_off(self) -> None:
        """Pull the cable, and let nobody talk to the engine either."""
        _run("ip", "link", "set", self.link, "down")
        (self.folder / "docker.sock").rename(self.folder / "docker.sock.away")

    def connect(self) -> None:
        """Put the cable back."""
        _run("ip", "link", "set", self.link, "up")
        (self.folder / "docker.sock.away").rename(self.folder / "docker.sock")

    def sent(self) -> int:
        """Return how many bytes it has sent to others."""
        return int(_run("ip", "netns", "exec", self.namespace, "cat", "/sys/class/net/eth0/statistics/tx_bytes"))


@dataclass
class Hosts:
    """Some machines that reach each other, and that this one reaches."""

    names: tuple[str, ...]
    images: tuple[str, ...]
    made: dict[str, Host] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """Build them."""
        self._key = f"{random.randrange(1 << 16):04x}"
        self._net = f"10.{random.randrange(64, 128)}.{random.randrange(256)}"
        self.bridge = f"cpbr{self._key}"
        self._folder = Path(tempfile.mkdtemp(prefix="citus-pulumi-hosts-"))
        try:
            _run("ip", "link", "add", self.bridge, "type", "bridge")
            _run("ip", "addr", "add", f"{self._net}.1/24", "dev", self.bridge)
            _run("ip", "link", "set", self.bridge, "up")
            _run("iptables", "-I", "FORWARD", "-i", self.bridge, "-o", self.bridge, "-j", "ACCEPT")
            for number, name in enumerate(self.names, start=2):
                self.made[name] = self._build(name, number)
            self._load()
            for host in self.made.values():
                host.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _build(self, name: str, number: int) -> Host:
        namespace, link = f"cp{self._key}{name}", f"cpv{self._key}{number}"
        folder = self._folder / name
        folder.mkdir()
        host = Host(name, f"{self._net}.{number}", namespace, link, folder)
        _run("ip", "netns", "add", namespace)
        _run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        _run("ip", "link", "set", link, "master", self.bridge, "up")
        for command in ("link set lo up", f"addr add {host.address}/24 dev eth0", "link set eth0 up"):
            _run("ip", "-n", namespace, *command.split())
        _run("ip", "-n", namespace, "route", "add", "default", "via", f"{self._net}.1")
        return host

    def _load(self) -> None:
        """Load the images into the first engine; the others begin with copies of its data, which is much quicker."""
        first, *others = self.made.values()
        first.start()
        for image in self.images:
            _run("sh", "-c", f"docker save {image} | docker -H {first.url} load")
        first.stop()
        for again in ("network", "engine-id"):
            subprocess.run(["rm", "-rf", f"{first.folder}/data/{again}"], check=True)
        data = first.folder / "data"
        layers = (data / "overlay2").rename(self._folder / "layers")
        for host in others:
            _run("cp", "-a", str(data), f"{host.folder}/data")
            _run("cp", "-al", str(layers), f"{host.folder}/data/overlay2")  # an engine writes into no layer that it has
        layers.rename(data / "overlay2")

    def __getitem__(self, name: str) -> Host:
        """Return one of them."""
        return self.made[name]

    def __exit__(self, *_error: object) -> None:
        """Remove all of it."""
        for host in self.made.values():
            with suppress(Exception), closing(host.client()) as client:
                for container in client.containers.list(all=True):
                    container.remove(force=True, v=True)
            host.stop()
        for command in (
            *(["ip", "netns", "del", host.namespace] for host in self.made.values()),
            *(["ip", "link", "del", host.link] for host in self.made.values()),
            ["ip", "link", "del", self.bridge],
            ["iptables", "-D", "FORWARD", "-i", self.bridge, "-o", self.bridge, "-j", "ACCEPT"],
        ):
            subprocess.run(command, capture_output=True, check=False)
        for mount in sorted(Path("/proc/self/mounts").read_text().splitlines(), reverse=True):
            point = mount.split()[1]
            if point.startswith(f"{self._folder}/"):
                subprocess.run(["umount", "-l", point], capture_output=True, check=False)
        shutil.rmtree(self._folder, ignore_errors=True)
