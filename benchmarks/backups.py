"""A cluster that is backed up while sales are written: what each restore has, and what backups cost.

The demonstration's stack as processes of this host. Clients write sales of two lines, each in one transaction, and note which of
them were committed. Meanwhile backups and restore points are made; with `--kills`, a node, pgBackRest or the store is killed at
a random moment of some; with `--lost`, a worker loses its data, and comes back alone while sales go on: what was committed on it
before the last point is there, and what is missing was committed on it after that and before the loss. Then points are restored
into new stacks, one after the other: every sale that was committed before the point is there, with its lines, and none that was
begun after it. Ends with an error where one is not.

Ratios in the same run: a backup against pgBackRest alone on the same nodes, a restore likewise, and the rate of writing with and
without archiving. With `--store`, the repository is an object store: `versitygw` on the PATH serves it over TLS.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
import yaml

from benchmarks.changes import Tills, stock, succeed
from benchmarks.machine import describe, show, timed
from components.nodes.local.installation import unprivileged
from tests.e2e.conftest import free_port
from tests.e2e.nodes import LocalNodes
from tests.e2e.stack import ROOT, Stack
from tests.servers import find_installation
from tests.store import Store, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PREFIX: Final = "bench-backups"
KEY: Final = "the-key-of-a-benchmark"
ALONE: Final = "pgBackRest alone, on all nodes"
BULK: Final = 1_000_000_000
"""Sales from this number on were there before."""


@dataclass
class Moment:
    """A point, and what clients know of the time around it."""

    name: str
    committed: frozenset[int]
    """Before it was begun."""
    begun: int
    """The highest number that a client had taken once it was complete."""


@dataclass
class Bench:
    """The stack that is backed up, and those who write to it."""

    stack: Stack
    tills: Tills
    chance: random.Random
    repository: dict[str, Any]
    moments: list[Moment] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def back_up(self, kind: str) -> bool:
        """Make a backup or a point; tell whether it is complete."""
        committed = frozenset(self.tills.committed)
        done = self.stack.run_cli("backup", "--kind", kind)
        if done.code:
            self.failures.append(" ".join(done.output.split())[-300:])
            return False
        name = re.findall(r"can be restored to (\S+)", done.output)[-1]
        self.moments.append(Moment(name, committed, next(self.tills._numbers)))  # noqa: SLF001
        return True


def load(stack: Stack, sales: int) -> None:
    """Write sales that are there before, with their lines."""
    stock(stack)
    step = 500_000
    for first in range(BULK, BULK + sales, step):
        numbers = f"generate_series({first}, {min(first + step, BULK + sales) - 1}) i"
        stack.query(
            "insert into venta (id_venta, id_pais, id_sucursal, id_metodo_pago, canal_venta) "
            f"select i, 1 + i % 4, 1 + i % 4, 1, 'tienda' from {numbers}"
        )
        stack.query(
            "insert into detalle_venta (id_pais, id_venta, id_producto, cantidad, precio_unitario, costo_unitario) "
            f"select 1 + i % 4, i, 1 + i % 4, line, 100, 60 from {numbers}, generate_series(1, 2) line"
        )


def read_sales(stack: Stack) -> tuple[set[int], dict[int, int]]:
    """Return the numbers of the sales that clients wrote, and how many lines each has."""
    there = set(stack.query(f"select id_venta from venta where id_venta < {BULK}"))
    return there, dict(stack.query(f"select id_venta, count(*) from detalle_venta where id_venta < {BULK} group by 1"))


def compare(bench: Bench, restored: Stack, moment: Moment) -> None:
    """Compare what a restored cluster has with what clients know."""
    there, lines = read_sales(restored)
    missing = sorted(moment.committed - there)
    after = sorted(number for number in there if number > moment.begun)
    strange = sorted(there - bench.tills.committed - bench.tills.unsure)
    halved = [number for number in there if lines.get(number) != 2] + sorted(lines.keys() - there)  # noqa: PLR2004
    if missing or after or strange or halved:
        sys.exit(f"{moment.name}: missing {missing[:9]}, after {after[:9]}, strange {strange[:9]}, halved {halved[:9]}")
    sums = (
        f"select count(*) || ' ' || sum(hashtext(v::text)::bigint) from venta v where id_venta >= {BULK}",
        f"select count(*) || ' ' || sum(hashtext(d::text)::bigint) from detalle_venta d where id_venta >= {BULK}",
    )
    for query in sums:
        if restored.query(query) != bench.stack.query(query):
            sys.exit(f"{moment.name}: rows that were there before are others: {query}")
    print(
        f"  {moment.name}: {len(there)} sales, {len(moment.committed)} of them certain; each with its lines", flush=True
    )


@contextmanager
def new_stack(bench: Bench, folder: Path, moment: Moment) -> Iterator[Stack]:
    """Yield the settings of a new stack that is made of a point."""
    name, port = f"{PREFIX}-new", free_port()
    installation = find_installation(citus=True)
    assert installation
    source = {**bench.repository, "at": moment.name, "prefix": PREFIX}
    mine = {
        "tables": bench.stack.settings["tables"],
        "workers": 4,
        "shardCount": 8,
        "readyTimeout": 120,
        "rebalance": False,  # it is the restore that is measured
        "restoreFrom": source,
    }
    nodes = LocalNodes(name, port, installation.bindir, stand_in=False)
    stack = Stack(name, folder / f"new-{time.monotonic_ns()}", port, nodes, settings=mine, deadline=3600)
    set_secrets(stack, "restoreFrom", bench)
    try:
        yield stack
    finally:
        stack.nodes.clear()
        stack.nodes.close()


def set_secrets(stack: Stack, setting: str, bench: Bench) -> None:
    """Set what is secret of a repository, as a person does."""
    secrets = {"key": KEY, **({"secretKey": Store.SECRET} if "endpoint" in bench.repository else {})}
    for name, value in secrets.items():
        stack.check("config", "set", "--path", "--secret", f"{setting}.{name}", "--stack", stack.name, "--", value)


def folders(stack: Stack) -> list[Path]:
    """Return the folders of the nodes."""
    assert isinstance(stack.nodes, LocalNodes)
    return sorted(path for path in stack.nodes._folder.iterdir() if (path / "data").is_dir())  # noqa: SLF001


def run_alone(stack: Stack, make: Callable[[Path], list[str]]) -> float:
    """Run pgBackRest on all nodes at the same time, without this project; return the seconds until the last has ended."""
    started = time.perf_counter()
    running = []
    for folder in folders(stack):
        environment = {
            **os.environ,
            "PGBACKREST_CONFIG": str(folder / "pgbackrest.conf"),
            "PGBACKREST_STANZA": folder.name,
            "PGHOST": "127.0.0.1",
            "PGPASSFILE": str(folder / "passfile"),
        }
        program, *arguments = make(folder)
        command = unprivileged([shutil.which(program) or program, *arguments])
        running.append(subprocess.Popen(command, env=environment, cwd="/"))
    codes = [process.wait() for process in running]
    if any(codes):
        sys.exit(f"pgBackRest alone failed: {codes}")
    return time.perf_counter() - started


def killed_meanwhile(bench: Bench, store: Store | None, action: Callable[[], object]) -> str:
    """Do something, and kill a node, pgBackRest or the store at a random moment of it; return what was killed."""
    what = bench.chance.choice(["a node", "pgBackRest", *(["the store"] if store else [])])
    ended = threading.Event()

    def kill() -> None:
        if ended.wait(bench.chance.uniform(0.3, 4)):
            return
        if what == "a node":
            bench.stack.nodes.kill(bench.chance.choice(["coordinator", "worker_1", "worker_2", "worker_3", "worker_4"]))
        elif what == "the store" and store:
            store.kill()
        else:
            for process in psutil.process_iter(["name"]):
                if process.info["name"] == "pgbackrest":
                    with suppress(psutil.Error):
                        process.send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    action()
    ended.set()
    killer.join()
    if store:
        store.ensure()
    bench.stack.refresh()
    succeed(bench.stack)
    return what


def lose_a_worker(bench: Bench) -> None:
    """Take a worker's data away while sales are written, let it come back alone, and compare what the cluster has."""
    if not bench.back_up("restore-point"):
        sys.exit(bench.failures[-1])
    certain = bench.moments[-1].committed
    time.sleep(bench.chance.uniform(1, 20))
    node = bench.chance.choice(["worker_1", "worker_2", "worker_3", "worker_4"])
    place = bench.stack.nodes.address(node)
    found = (
        "select pais from generate_series(1, 4) pais join citus_shards s on shardid = "
        "get_shard_id_for_distribution_column('venta', pais) where nodename || ':' || nodeport = "
    )
    countries = set(bench.stack.query(f"{found}'{place}'"))
    bench.stack.nodes.empty(node)
    until_then = frozenset(bench.tills.committed)
    time.sleep(3)
    started = time.perf_counter()
    done = bench.stack.run_cli("restore", "--workers", node)
    taken = time.perf_counter() - started
    if done.code:
        sys.exit(done.output)
    sold = len(bench.tills.committed) - len(until_then)
    committed = frozenset(bench.tills.committed)
    there, lines = read_sales(bench.stack)
    lost = committed - there
    wrong = {
        "lost, though archived": lost & certain,
        "lost of others": {number for number in lost if 1 + number % 4 not in countries},
        "lost after it was back, or away": lost - until_then,
        "without its lines": {number for number in there if lines.get(number) != 2},  # noqa: PLR2004
        "nobody's": there - bench.tills.committed - bench.tills.unsure,
    }
    for what, numbers in wrong.items():
        if numbers:
            sys.exit(f"{node}: {what}: {sorted(numbers)[:9]}")
    bench.tills.committed -= lost
    told = re.findall(r"committed on it until ([^;]+);", done.output)
    print(
        f"  {node}, countries {sorted(countries)}, lost and back in {taken:.1f} s, with all until {told[-1]}: {len(lost)} sales "
        f"were not archived yet, {sold} were written meanwhile",
        flush=True,
    )


def measure_writes(bench: Bench, seconds: float, rounds: int) -> dict[str, list[float]]:
    """Return the seconds that 1,000 sales take with and without archiving, in turns."""
    found: dict[str, list[float]] = {"archived by pgBackRest": [], "not archived": []}
    for _, (name, command) in itertools.product(
        range(rounds),
        (("archived by pgBackRest", ""), ("not archived", "alter system set archive_command = '/bin/true'")),
    ):
        reset = "alter system reset archive_command"
        on_all = "select result from run_command_on_all_nodes($c${}$c$)"
        bench.stack.query(on_all.format(command or reset))
        bench.stack.query(on_all.format("select pg_reload_conf()"))
        first = len(bench.tills.moments)
        time.sleep(seconds)
        found[name].append(1000 * seconds / max(len(bench.tills.moments) - first, 1))
    bench.stack.query("select result from run_command_on_all_nodes($c$alter system reset archive_command$c$)")
    bench.stack.query("select result from run_command_on_all_nodes('select pg_reload_conf()')")
    return found


def measure_backups(bench: Bench, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of full backups, in turns: by pgBackRest alone, and by this project, as SQL and as a command."""
    call = "call citus_pulumi.backup('full')"
    ways: dict[str, Callable[[], object]] = {
        ALONE: partial(run_alone, bench.stack, lambda _folder: ["pgbackrest", "--type=full", "backup"]),
        call: partial(bench.stack.query, call),
        "make backup KIND=full": partial(bench.back_up, "full"),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        last = bench.moments[-1]
        for name, way in ways.items():
            found[name].append(timed(way))
        if bench.moments[-1] is last:
            sys.exit(bench.failures[-1])
    return found


def restore_alone(bench: Bench, folder: Path, moment: Moment) -> float:
    """Restore all nodes to a point by pgBackRest and PostgreSQL alone; return the seconds until the last takes connections."""
    installation = find_installation(citus=True)
    assert installation
    there = folder / "alone"
    there.mkdir(mode=0o777)
    there.chmod(0o777)
    ports = {node: free_port() for node in folders(bench.stack)}
    script = (
        'set -e; mkdir -m 700 "$1"; '
        'pgbackrest --pg1-path="$1" --type=name --target="$2" --target-action=promote restore >/dev/null; '
        'sed -i "/^include = /d" "$1/postgresql.conf"; '
        '"$3/pg_ctl" start -D "$1" -l "$1.log" -s -w -t 3600 -o "-p $4 -c listen_addresses=127.0.0.1 -c unix_socket_directories= '
        "-c max_connections=200 -c max_prepared_transactions=400 -c max_worker_processes=32 -c max_wal_senders=32 "
        '-c max_locks_per_transaction=512 -c wal_level=logical -c hot_standby=off -c shared_buffers=512MB"; '
        'until "$3/pg_isready" -q -h 127.0.0.1 -p "$4"; do sleep 0.05; done'
    )
    try:
        return run_alone(
            bench.stack,
            lambda node: [
                *(
                    "bash",
                    "-c",
                    script,
                    "alone",
                    str(there / node.name),
                    moment.name,
                    str(installation.bindir),
                    str(ports[node]),
                ),
            ],
        )
    finally:
        for data in there.iterdir():
            if data.is_dir():
                command = [str(installation.bindir / "pg_ctl"), "stop", "-D", str(data), "-m", "immediate", "-s"]
                subprocess.run(unprivileged(command), check=False, cwd="/", capture_output=True)
        shutil.rmtree(there, ignore_errors=True)


def open_bench(opened: ExitStack, folder: Path, options: argparse.Namespace) -> tuple[Bench, Store | None]:
    """Bring the stack up, with what is there before; return it, and its store."""
    settings: dict[str, Any] = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]
    installation = find_installation(citus=True)
    if installation is None or shutil.which("pgbackrest") is None:
        sys.exit("a local PostgreSQL with Citus, and pgbackrest, are needed")
    store = opened.enter_context(served(folder / "store")) if options.store else None
    if not store:
        (folder / "repository").mkdir()
        (folder / "repository").chmod(0o777)
    repository = store.setting if store else {"repository": str(folder / "repository")}
    port = free_port()
    nodes = LocalNodes(PREFIX, port, installation.bindir, stand_in=False)
    backup = {"backup": {**repository, "retention": "30"}}
    mine = {"tables": settings["citus:tables"], "workers": 4, "shardCount": 8, "readyTimeout": 120, **backup}
    stack = Stack(PREFIX, folder / "stack", port, nodes, settings=mine, deadline=3600)
    opened.callback(stack.nodes.close)
    opened.callback(stack.nodes.clear)
    bench = Bench(stack, Tills(options.clients, [stack.password], port), random.Random(options.seed), repository)
    set_secrets(stack, "backup", bench)
    succeed(stack)
    load(stack, options.sales)
    (size,) = stack.query("select sum(citus_total_relation_size(logicalrelid)) from pg_dist_partition")
    versions = stack.outputs()["versions"]
    said = subprocess.run(["pgbackrest", "version"], check=True, capture_output=True, text=True).stdout
    print(describe(citus=versions["citus"], postgresql=versions["postgres"], pgbackrest=said.split()[-1]))
    where = "a store" if store else "a folder"
    print(f"{options.sales} sales with two lines each, {int(size) >> 20} MB, backed up to {where}", flush=True)
    return bench, store


def back_up_meanwhile(bench: Bench, store: Store | None, options: argparse.Namespace) -> None:
    """Make backups while sales are written, and kill something in some of them."""
    if not bench.back_up("full"):
        sys.exit(bench.failures[-1])
    killed = set(bench.chance.sample(range(options.backups), options.kills))
    lost = set(bench.chance.sample(range(options.backups), options.lost))
    for number in range(options.backups):
        if number in lost:
            lose_a_worker(bench)
        kind = bench.chance.choice(["full", "differential", "incremental", "incremental", "restore-point"])
        if number in killed:
            what = killed_meanwhile(bench, store, partial(bench.back_up, kind))
            print(f"  {kind}, {what} killed: {len(bench.moments)} points, {len(bench.failures)} failed", flush=True)
        else:
            bench.back_up(kind)
    for failure in bench.failures:
        print(f"  not complete: {failure}")


def restore_all(bench: Bench, folder: Path, number: int) -> dict[str, list[float]]:
    """Restore the last point and some others, one after the other, and compare each; return the seconds of the last one."""
    last = bench.moments[-1]
    seconds = {"pgBackRest alone, to a point": [restore_alone(bench, folder, last)]}
    for moment in [last, *bench.chance.sample(bench.moments[:-1], min(number, len(bench.moments)) - 1)]:
        with new_stack(bench, folder, moment) as restored:
            taken = timed(partial(succeed, restored))
            if moment is last:
                seconds["make restore, a new stack by `up`"] = [taken]
            compare(bench, restored, moment)
    return seconds


def main() -> None:
    """Back up, kill, restore, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sales", type=int, default=200_000, help="that are there before")
    parser.add_argument("--backups", type=int, default=6)
    parser.add_argument("--kills", type=int, default=2, help="how many of the backups something is killed in")
    parser.add_argument("--lost", type=int, default=1, help="how often a worker loses its data")
    parser.add_argument("--restores", type=int, default=3)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10, help="that each round of writing takes")
    parser.add_argument("--rounds", type=int, default=3, help="of writing, and of full backups")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", action="store_true", help="an object store in the place of a folder")
    options = parser.parse_args()
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="bench-backups-")))
        folder.chmod(0o755)
        bench, store = open_bench(opened, folder, options)
        bench.tills.open()
        back_up_meanwhile(bench, store, options)
        archived = measure_writes(bench, options.seconds, options.rounds)
        bench.tills.close()
        print(
            f"{len(bench.tills.committed)} sales were written meanwhile, {len(bench.moments)} points made", flush=True
        )
        restored = restore_all(bench, folder, options.restores)
        show("a thousand sales", archived, "not archived")
        show("a full backup", measure_backups(bench, options.rounds), ALONE)
        show("a restore", restored, "pgBackRest alone, to a point")


if __name__ == "__main__":
    main()
