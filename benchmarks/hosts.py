"""Nodes on three machines against nodes on one: how long `up` takes, what is on the wire, and what latency does to a question.

The machines are engines in network namespaces of this one (tests/hosts.py), as root; so all share its processors. A longer cable
(cable.py) gives two of them the round trip that is asked for. Asked are scenario A, the co-located join, and B, the
repartition join, over made-up sales. Bytes are those that the three hosts send, with all that TCP and TLS add.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from analysis.__main__ import find_cluster
from analysis.data import Dataset
from analysis.load import load
from analysis.pages import read_results, write_report
from analysis.results import TYPICAL, Asked, OverHosts, Writes, WrittenOverHosts
from analysis.scenarios import COLOCATED, REPARTITION, Way
from analysis.tables import one_node
from analysis.writes import measure_writes
from benchmarks.machine import describe, show, timed
from tests.e2e.nodes import HostsNodes
from tests.e2e.stack import ROOT, Stack
from tests.genuine import IMAGE, POOLER_IMAGE
from tests.hosts import Hosts
from tests.retail import RETAIL_TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analysis.place import Place

PORT: Final = 5970
ROUND_TRIPS: Final = (0, 1, 10, 50)
"""Milliseconds between two hosts, beside what they have by themselves."""
ROUND_TRIPS_OF_WRITES: Final = (0, 1)
DEADLINE: Final = 900


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--scale", type=int, default=20_000, help="sales")
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--ask-only", action="store_true", help="leave out how long `up` takes")
    parser.add_argument("--seconds", type=int, default=8, help="of each measurement of writes")
    parser.add_argument(
        "--into", type=Path, help="folder of a report of `make analysis`, which is told what was measured"
    )
    given = parser.parse_args()
    print(describe(image=IMAGE))
    with Hosts(("north", "south", "east"), (IMAGE, POOLER_IMAGE)) as hosts, tempfile.TemporaryDirectory() as folder:
        nodes = HostsNodes("bench-hosts", PORT, hosts)
        stack = Stack("bench-hosts", Path(folder), PORT, nodes, {"tables": RETAIL_TABLES}, deadline=DEADLINE)
        stack.set(workers=4, shardCount=given.shards, readyTimeout=DEADLINE)
        three = nodes.settings
        one = {**three, "hosts": {"north": three["hosts"]["north"]}}
        seconds: dict[str, list[float]] = {"one host": [], "three hosts": []}
        for _ in range(0 if given.ask_only else given.runs):
            for name, settings in (("one host", one), ("three hosts", three)):
                stack.set(**settings)
                seconds[name].append(timed(lambda: _succeeded(stack, "up")))
                _succeeded(stack, "down")
        if not given.ask_only:
            show("up from nothing, one coordinator and four workers", seconds, "one host")
        entered = {"pooler": {"port": PORT + 100}, "entry": "anyNode", "workerPorts": f"{PORT + 101}-{PORT + 164}"}
        stack.set(**three, **entered, tenants={"sucursal": {"spread": [1, 2, 3, 4]}})
        _succeeded(stack, "up")
        measured = _measure(stack, hosts, given.scale, given.runs, given.seconds)
        if given.into:
            results = read_results(given.into / "data.json")
            write_report(results.model_copy(update={"over_hosts": measured}), given.into)
        _succeeded(stack, "down")
        nodes.close()


def _succeeded(stack: Stack, verb: str) -> None:
    done = stack.run(verb)
    if done.code:
        sys.exit(done.output)


def _measure(stack: Stack, hosts: Hosts, scale: int, runs: int, seconds: int) -> OverHosts:
    """Ask the question, and write sales, at each distance; print and return what that came to."""
    started = datetime.now(UTC)
    place, about = find_cluster(stack.outputs())
    loaded = load(place, Dataset(scale, seed=1), streams=2, reload=False)
    print(f"\n{scale:,} sales, {loaded.rows:,} rows in all, on four workers of three hosts")
    kept = replace(COLOCATED, title="A, connections kept", settings=(("citus.max_cached_conns_per_worker", "8"),))
    asked, written = [], []
    for milliseconds in ROUND_TRIPS:
        with _longer_cables(hosts, milliseconds):
            round_trip = _round_trip(hosts)
            print(f"\n  round trip between two hosts {round_trip:.2f} ms")
            found = [_ask(place, way, hosts, runs, round_trip) for way in (COLOCATED, kept, REPARTITION)]
            for it in found:
                bytes_ = f"{it.on_the_wire:>10,} bytes on the wire, {it.received:>6,} of rows to the coordinator"
                print(
                    f"    {it.way:24} {it.median:>7,.0f} ms {it.median / found[0].median:>6.1f} x {bytes_}", flush=True
                )
            writes = _write(place, about["poolers"], seconds) if milliseconds in ROUND_TRIPS_OF_WRITES else []
            asked += found
        if writes:
            written.append(WrittenOverHosts(round_trip=round_trip, writes=writes))
    moment = started.isoformat(timespec="seconds")
    return OverHosts(hosts=len(hosts.made), sales=scale, started_at=moment, asked=asked, written=written)


def _ask(place: Place, way: Way, hosts: Hosts, runs: int, round_trip: float) -> Asked:
    """Return some times to ask; connections are there before."""
    with place.connected(way.title) as connection:
        way.prepare(connection)
        way.ask(connection)
        times, sent = [], []
        for _ in range(runs):
            before = _sent(hosts)
            took, _ = way.ask(connection)
            times.append(took)
            sent.append(_sent(hosts) - before)
        received = way.explain(connection).bytes
    on_the_wire = int(statistics.median(sent))
    return Asked(round_trip=round_trip, way=way.title, times=times, on_the_wire=on_the_wire, received=received)


def _write(place: Place, poolers: dict[str, str], seconds: int) -> list[Writes]:
    """Write sales in each way, by so many clients as stand for a company's."""
    measured = measure_writes(
        place,
        one_node(place),
        shard_count=8,
        poolers=poolers,
        clients=[TYPICAL],
        seconds=seconds,
        rounds=1,
        equal=False,
        tell=lambda _: None,
        say=print,
    )
    rates = {it.way: it.rate for it in measured.writes if it.rates}
    for it in measured.writes:
        if it.rates:
            print(f"    {it.title:64} {it.rate:>7,.0f} sales/s {it.rate / rates[it.against]:>5.2f} x", flush=True)
        else:
            print(f"    {it.title:64} left out: {it.left_out}", flush=True)
    return measured.writes


def _sent(hosts: Hosts) -> int:
    return sum(host.sent() for host in hosts.made.values())


_CONNECT: Final = """
import socket, statistics, sys, time
def connect():
    started = time.perf_counter()
    socket.create_connection((sys.argv[1], 2376), 10).close()
    return 1000 * (time.perf_counter() - started)
print(statistics.median(connect() for _ in range(9)))
"""


def _round_trip(hosts: Hosts) -> float:
    """Return the milliseconds from one host to another and back: what it takes to connect to the engine there."""
    command = ["nsenter", f"--net=/run/netns/{hosts['south'].namespace}", sys.executable, "-c", _CONNECT]
    command.append(hosts["east"].address)
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@contextmanager
def _longer_cables(hosts: Hosts, milliseconds: float) -> Iterator[None]:
    """Let packets between two hosts have such a round trip more: they pass four times through a delay on their way."""
    if not milliseconds:
        yield
        return
    relays, extra = [], []
    try:
        for number, host in enumerate(hosts.made.values()):
            inner, outer = f"cpi{number}", f"cpo{number}"
            _ip(f"link set {host.link} nomaster")
            _ip(f"link add {inner} type veth peer name {outer}")
            extra.append(host)
            _ip(f"link set {inner} promisc on up")
            _ip(f"link set {host.link} promisc on")
            _ip(f"link set {outer} master {hosts.bridge} up")
            in_host = ["nsenter", f"--net=/run/netns/{host.namespace}"]
            for where, interface in ((in_host, "eth0"), ([], outer), ([], inner), ([], host.link)):
                _run([*where, sys.executable, "-m", "benchmarks.cable", interface])
            arguments = [host.link, inner, str(milliseconds / 4)]
            command = [sys.executable, "-m", "benchmarks.cable", *arguments]
            relays.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE))
        for relay in relays:
            assert relay.stdout
            relay.stdout.readline()  # it has begun
        yield
    finally:
        for relay in relays:
            relay.kill()
            relay.communicate()
        for number, host in enumerate(extra):
            _ip(f"link del cpi{number}")
            _ip(f"link set {host.link} master {hosts.bridge}")


def _ip(arguments: str) -> None:
    _run(["ip", *arguments.split()])


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, cwd=ROOT)


if __name__ == "__main__":
    main()
