"""A cluster that is changed while sales are written: none lost, none doubled, and what a client sees of each change.

The demonstration's stack, on Docker or, with `--local`, as processes of this host. Clients write sales of two lines, each in one
transaction, and note which of them were committed. Meanwhile workers come and go, parameters and the password change, and Citus
is upgraded, each by one `up`; with `--kills`, an `up` is killed at a random moment of it and run again. Ends with an error where
a sale that was committed is not there once, with its two lines, or where one is there that no client wrote.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import docker
import psycopg
import yaml
from psycopg.conninfo import make_conninfo

from benchmarks.machine import describe
from tests.e2e.nodes import DockerNodes, LocalNodes, Nodes
from tests.e2e.stack import ROOT, Stack
from tests.genuine import NEWER_IMAGE
from tests.servers import find_installation, find_releases

PREFIX: Final = "bench-changes"
PORT: Final = 5941
CHANGES: Final[dict[str, dict[str, Any]]] = {
    "4 → 8 workers": {"workers": 8},
    "8 → 3 workers": {"workers": 3},
    "max_connections, a restart": {"parameters": {"max_connections": 250}},
    "work_mem, read again": {"parameters": {"max_connections": 250, "work_mem": "8MB"}},
    "another password": {"password": "la segunda"},
    "a third password": {"password": "la tercera"},
}


@dataclass
class Tills:
    """Clients that write sales all the while."""

    clients: int
    passwords: list[str]
    """The former one, and the one of the settings."""
    port: int = PORT
    committed: set[int] = field(default_factory=set)
    unsure: set[int] = field(default_factory=set)
    """The connection was lost at the commit: such a sale is there as a whole, or not at all."""
    errors: Counter[str] = field(default_factory=Counter)
    moments: list[float] = field(default_factory=list)
    """When each sale was committed."""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _done: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def open(self) -> None:
        """Begin to write."""
        self._threads = [threading.Thread(target=self._write, daemon=True) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Let each client end its sale."""
        self._done.set()
        for thread in self._threads:
            thread.join(60)

    def _write(self) -> None:
        connection = None
        while not self._done.is_set():
            number = next(self._numbers)
            at_commit = False
            try:
                if connection is None or connection.closed:
                    connection = self._connect()
                with connection.cursor() as cursor:
                    self._sell(cursor, number)
                    at_commit = True
                    cursor.execute("commit")
                self.committed.add(number)
                self.moments.append(time.monotonic())
            except psycopg.Error as error:
                lost = connection is None or connection.closed
                if at_commit and lost:
                    self.unsure.add(number)
                self.errors[_kind(error)] += 1
                if connection is not None and not connection.closed:
                    with suppress(psycopg.Error):
                        connection.execute("rollback")
                if lost:
                    self._done.wait(0.05)  # as a client does before it connects again

    def _connect(self) -> psycopg.Connection[Any]:
        """Log in as a client does that knows the new password as soon as the settings have it, and the former one till then."""
        try:
            return self._log_in(self.passwords[-1])
        except psycopg.OperationalError:
            return self._log_in(self.passwords[0])

    def _log_in(self, password: str) -> psycopg.Connection[Any]:
        where = {
            "host": "127.0.0.1",
            "port": str(self.port),
            "user": "postgres",
            "dbname": "coorddb",
            "connect_timeout": "5",
        }
        return psycopg.connect(make_conninfo("", password=password, **where), autocommit=True)

    @staticmethod
    def _sell(cursor: psycopg.Cursor[Any], number: int) -> None:
        country = 1 + number % 4
        cursor.execute("begin")
        cursor.execute(
            "insert into venta (id_venta, id_pais, id_sucursal, id_metodo_pago, canal_venta) values (%s, %s, %s, 1, 'tienda')",
            [number, country, country],
        )
        for line in (1, 2):
            cursor.execute(
                "insert into detalle_venta (id_pais, id_venta, id_producto, cantidad, precio_unitario, costo_unitario) "
                "values (%s, %s, %s, %s, 100, 60)",
                [country, number, country, line],
            )


def _kind(error: psycopg.Error) -> str:
    said = " ".join((error.diag.message_primary or str(error)).split())
    for text in (
        "connection refused",
        "starting up",
        "shutting down",
        "password authentication failed",
        "terminating connection",
    ):
        if text in said.lower():
            return f"{text} ({error.sqlstate or 'no SQLSTATE'})"
    words = " ".join("…" if any(map(str.isdigit, word)) else word for word in said.split()[:9])
    return f"{words} ({error.sqlstate or 'no SQLSTATE'})"


def succeed(stack: Stack) -> None:
    """Bring the stack up, and stop where that fails."""
    done = stack.up()
    if done.code:
        sys.exit(done.output)


def stock(stack: Stack) -> None:
    """Write what a sale needs: branches, products and a way to pay."""
    for number in range(1, 5):
        stack.query(
            f"insert into sucursal values ({number}, {number}, 'p', 'n', 'c') on conflict do nothing;"
            f"insert into producto (id_producto, id_pais, nombre, categoria, precio_lista, costo) "
            f"values ({number}, {number}, 'n', 'c', 100, 60)"
        )
    stack.query("insert into metodo_pago values (1, 'efectivo')")


def kill_at(stack: Stack, seconds: float) -> bool:
    """Kill an `up` once it has run so long, and free the state; tell whether it was still running."""
    running = stack.start_up()
    try:
        running.wait(seconds)
    except Exception:  # noqa: BLE001 - of subprocess: it is still running
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        stack.recover()
        return True
    return False


def set_all(stack: Stack, settings: dict[str, Any]) -> None:
    """Write settings as a person does."""
    given = dict(settings)
    if password := given.pop("password", None):
        stack.check("config", "set", "--secret", "password", "--stack", stack.name, "--", password)
        stack.password = password
    stack.set(**given)


def check(stack: Stack, tills: Tills) -> None:
    """Compare what is there with what clients know."""
    there = Counter(stack.query("select id_venta from venta"))
    lines = Counter(stack.query("select id_venta from detalle_venta"))
    missing = sorted(tills.committed - there.keys())
    strange = sorted(there.keys() - tills.committed - tills.unsure)
    doubled = [number for number, times in there.items() if times > 1]
    halved = [number for number in there if lines[number] != 2]  # noqa: PLR2004 - as they are written
    if missing or strange or doubled or halved or lines.keys() - there.keys():
        sys.exit(f"lost {missing[:9]}, strange {strange[:9]}, doubled {doubled[:9]}, without their lines {halved[:9]}")


def choose_nodes(*, local: bool) -> tuple[Nodes, dict[str, Any]]:
    """Return what runs the nodes, and the setting that makes a newer Citus of it."""
    if not local:
        return DockerNodes(PREFIX), {"image": NEWER_IMAGE}
    releases = find_releases()
    older = find_installation(citus=True)
    newer = [it for it in releases if older and it.version.split(".")[0] == older.version.split(".")[0]]
    if older is None or len(newer) < 2:  # noqa: PLR2004 - one to begin with, and a newer one
        sys.exit(
            "two releases of Citus on one PostgreSQL are needed: name both in CITUS_PULUMI_PG_BIN=<folder>:<folder>"
        )
    return LocalNodes(PREFIX, PORT, older.bindir, stand_in=False), {"postgresBin": str(newer[-1].bindir)}


def main() -> None:
    """Change, check and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--kills", type=int, default=0, help="how many runs are killed, over all changes")
    parser.add_argument("--local", action="store_true", help="processes of this host instead of containers")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="changes whose name contains this")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    settings: dict[str, Any] = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]
    nodes, newer = choose_nodes(local=options.local)
    changes = {**CHANGES, f"upgrade to {next(iter(newer.values()))}": newer}
    changes = {name: change for name, change in changes.items() if options.only in name}
    with tempfile.TemporaryDirectory() as folder:
        mine = {"tables": settings["citus:tables"], "workers": 4, "shardCount": 32, "readyTimeout": 120}
        stack = Stack(PREFIX, Path(folder) / "stack", PORT, nodes, settings=mine)
        stack.nodes.clear()
        try:
            succeed(stack)
            stock(stack)
            versions = stack.outputs()["versions"]
            engine = {} if options.local else {"docker": docker.from_env().version()["Version"]}
            print(describe(citus=versions["citus"], postgresql=versions["postgres"], **engine))
            tills = Tills(options.clients, [stack.password])
            tills.open()
            kills = share(options.kills, len(changes))
            for (name, change), number in zip(changes.items(), kills, strict=True):
                run(stack, tills, name, change, chance, number)
            tills.close()
            check(stack, tills)
            print(
                f"\n{len(tills.committed)} sales committed: each is there once, with its lines. Unsure {len(tills.unsure)}"
            )
        finally:
            stack.nodes.clear()
            stack.nodes.close()


def share(number: int, parts: int) -> list[int]:
    """Deal a number out, as evenly as can be."""
    return [number // parts + (part < number % parts) for part in range(parts)]


def run(stack: Stack, tills: Tills, name: str, change: dict[str, Any], chance: random.Random, kills: int) -> None:
    """Carry out one change, and print its line of the report."""
    errors, begun, first = tills.errors.copy(), time.monotonic(), len(tills.moments)
    set_all(stack, change)
    tills.passwords = [tills.passwords[-1], stack.password]
    killed = sum(kill_at(stack, chance.uniform(1, 30)) for _ in range(kills))
    succeed(stack)
    ended = time.monotonic()
    again = stack.preview("--expect-no-changes")
    if again.code:
        sys.exit(f"{name}: another run would change something\n{again.output}")
    moments = [begun, *sorted(moment for moment in tills.moments[first:] if moment < ended), ended]
    pause = max(later - earlier for earlier, later in itertools.pairwise(moments))
    seen = "; ".join(f"{times} of {kind}" for kind, times in (tills.errors - errors).items()) or "none"
    rate = (len(moments) - 2) / (ended - begun)
    print(
        f"{name}: {killed} killed, {ended - begun:.0f} s, {rate:.0f} sales/s, longest pause {pause:.2f} s; {seen}",
        flush=True,
    )


if __name__ == "__main__":
    main()
