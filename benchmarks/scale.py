"""What an update costs over the number of workers, of tables and of tenants: three curves, in time and memory.

Each point is a stack of its own, on Docker or, with `--local`, as processes of this host: `up` from nothing, then `up` and a
preview with nothing to do. Memory is the most that Pulumi, its plugins and the program held at one moment, servers not counted.
Tables are of ten colocation groups, each child with a foreign key to its group's first; tenants are pinned, in turn, to four
workers, each on a shard of its own. In Docker, what 64 workers on few processors mostly do is the image's own check of health,
in each container each four seconds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
import yaml

from benchmarks.machine import describe
from tests.e2e.nodes import DockerNodes, LocalNodes, Nodes
from tests.e2e.stack import ROOT, Stack
from tests.servers import find_installation

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.stack import Run

PREFIX: Final = "bench-scale"
PORT: Final = 5942
GROUPS: Final = 10
READY_SECONDS: Final = 1200
"""What each stack declares as `readyTimeout`."""
DEADLINE: Final = 7200
"""Seconds that one run may take."""


class Memory(threading.Thread):
    """Looks, four times a second, how much memory the children of this process hold together."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0
        """Bytes."""
        self._ended = threading.Event()

    def run(self) -> None:
        """Look until the end."""
        while not self._ended.wait(0.25):
            held = 0
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    held += 0 if process.name() == "postgres" else process.memory_info().rss
            self.most = max(self.most, held)

    def end(self) -> int:
        """End, and return the most bytes that were held."""
        self._ended.set()
        self.join()
        return self.most


def measure(run: Callable[[], Run]) -> str:
    """Return the seconds and the memory of a run, which must succeed."""
    memory = Memory()
    memory.start()
    started = time.perf_counter()
    done = run()
    seconds = time.perf_counter() - started
    held = memory.end()
    if done.code != 0:
        sys.exit(done.output)
    return f"{seconds:8.1f} s {held / 2**20:6.0f} MB"


def write_tables(folder: Path, count: int) -> dict[str, dict[str, Any]]:
    """Write the file of a schema of so many tables, and return how they are declared."""
    folder.mkdir()
    declared: dict[str, dict[str, Any]] = {}
    statements = []
    for number in range(count):
        root = f"g{number % GROUPS}_t0"
        name = f"g{number % GROUPS}_t{number // GROUPS}"
        keys = "primary key (tenant_id, id)"
        if name == root:
            declared[name] = {"distributeBy": "tenant_id"}
        else:
            declared[name] = {"distributeBy": "tenant_id", "colocateWith": root}
            keys += f", foreign key (tenant_id, parent_id) references {root} (tenant_id, id)"
        statements.append(f"create table {name} (tenant_id bigint, id bigint, parent_id bigint, note text, {keys});\n")
    (folder / "010_tables.sql").write_text("".join(statements))
    return declared


def choose_nodes(*, local: bool) -> Nodes:
    """Return what runs the nodes."""
    if not local:
        return DockerNodes(PREFIX)
    installation = find_installation(citus=True)
    if installation is None:
        sys.exit("no PostgreSQL of this host has Citus: name the folder of one that has in CITUS_PULUMI_PG_BIN")
    nodes = LocalNodes(PREFIX, PORT, installation.bindir, stand_in=False)
    nodes.settings["workerPorts"] = f"{PORT + 1}-{PORT + 99}"
    return nodes


def point(what: str, settings: dict[str, Any], *, local: bool, tables: int = 0) -> None:
    """Bring up a stack with these settings, measure it, print the line, and remove it."""
    with tempfile.TemporaryDirectory() as folder:
        if tables:
            settings = {
                **settings,
                "schemaDir": f"{folder}/schema",
                "tables": write_tables(Path(folder) / "schema", tables),
            }
        nodes = choose_nodes(local=local)
        limits = {"readyTimeout": READY_SECONDS, "shardCount": 32, "workers": 4}
        stack = Stack(PREFIX, Path(folder) / "stack", PORT, nodes, {**limits, **settings}, deadline=DEADLINE)
        try:
            up, again = measure(stack.up), measure(stack.up)
            preview = measure(lambda: stack.preview("--expect-no-changes"))
            print(f"  {what:16} up {up}   again {again}   preview {preview}", flush=True)
            if (removed := stack.destroy()).code != 0:
                sys.exit(removed.output)
        finally:
            nodes.clear()
            nodes.close()


def main() -> None:
    """Measure each curve, and print a line a point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="*", default=[4, 16, 64])
    parser.add_argument("--tables", type=int, nargs="*", default=[20, 100, 200, 500])
    parser.add_argument("--tenants", type=int, nargs="*", default=[10, 100, 1000])
    parser.add_argument("--local", action="store_true", help="nodes as processes of this host, not as containers")
    counts = parser.parse_args()
    retail = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]["citus:tables"]
    print(describe())
    print("\nworkers, the retail schema")
    for count in counts.workers:
        point(f"{count} workers", {"workers": count, "tables": retail}, local=counts.local)
    print("\ntables of ten groups, 4 workers")
    for count in counts.tables:
        point(f"{count} tables", {}, local=counts.local, tables=count)
    print("\npinned tenants of the retail schema, 4 workers")
    for count in counts.tenants:
        pin = {str(value): value % 4 + 1 for value in range(1, count + 1)}
        tenants = {"sucursal": {"pin": pin}}
        point(f"{count} tenants", {"tables": retail, "tenants": tenants}, local=counts.local)


if __name__ == "__main__":
    main()
