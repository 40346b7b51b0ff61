"""How long the tool takes, as ratios to what one would do without it, side by side in one run.

From nothing to a verified, sharded cluster: against a plain script of docker and psql that does the same. With nothing to
do: against a Pulumi program that declares nothing. Times alone mean little; read the ratios.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import docker
import yaml

from benchmarks.machine import describe, show, timed
from tests.e2e.nodes import DockerNodes
from tests.e2e.stack import ROOT, Run, Stack

PREFIX: Final = "bench"
SERVERS_PREFIX: Final = "bench-servers"
PLAIN_PORT, STACK_PORT, SERVERS_PORT = 5938, 5939, 5940
NOTHING: Final = '"""A program that declares nothing."""\n\nimport pulumi\n\npulumi.export("nothing", 0)\n'

SERVERS: Final = '''"""A program that declares the containers and nothing that is in them."""

import pulumi

from components.access import Access, Server
from components.nodes.runtime import open_runtime
from components.stack_config import load_settings

settings = load_settings()
runtime = open_runtime(f"organization/citus/{pulumi.get_stack()}", settings)
server = Server("coordinator", "127.0.0.1", settings.port, settings.database, settings.user, runtime.log(settings, "coordinator"))
runtime.declare(
    settings.name_prefix,
    settings,
    pulumi.Output.from_input("00000000-0000-4000-8000-000000000000"),
    Access(server=server, ready_timeout=settings.ready_timeout),
    pulumi.ResourceOptions(),
)
'''


def succeed(run: Run) -> None:
    """Stop where a run of the CLI failed: its time would mean nothing."""
    if run.code != 0:
        sys.exit(run.output)


def run_script(script: str, **environment: str) -> None:
    """Run one of the plain scripts."""
    subprocess.run([script, PREFIX, str(PLAIN_PORT)], cwd=ROOT, env={**os.environ, **environment}, check=True)


def remove_plain() -> None:
    """Remove what the plain scripts made."""
    engine = docker.from_env()
    label = f"bench={PREFIX}"
    for container in engine.containers.list(all=True, filters={"label": label}):
        container.remove(force=True)
    for network in engine.networks.list(filters={"label": label}):
        network.remove()
    for volume in engine.volumes.list(filters={"name": f"{PREFIX}_"}):
        volume.remove()


def plain(**environment: str) -> float:
    """Return the seconds of the plain script, and remove what it made."""
    seconds = timed(lambda: run_script("benchmarks/plain.sh", **environment))
    remove_plain()
    return seconds


def main() -> None:
    """Measure, interleaved, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="how often each is run")
    runs = parser.parse_args().runs
    settings: dict[str, Any] = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]
    tables = settings["citus:tables"]
    fresh: dict[str, list[float]] = {
        "plain script": [],
        "plain script, initdb --no-sync": [],
        "pulumi up": [],
    }
    idle: dict[str, list[float]] = {
        f"{program}, {verb}": []
        for verb in ("up", "preview")
        for program in ("empty program", "containers alone", "all")
    }
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(
            PREFIX,
            Path(folder) / "stack",
            STACK_PORT,
            DockerNodes(PREFIX),
            settings={"tables": tables, "workers": 4, "shardCount": 32},
        )
        empty = Stack("empty", Path(folder) / "empty", STACK_PORT, DockerNodes("empty"))
        servers = Stack(
            SERVERS_PREFIX, Path(folder) / "servers", SERVERS_PORT, DockerNodes(SERVERS_PREFIX), {"workers": 4}
        )
        for other, program in ((empty, NOTHING), (servers, SERVERS)):
            (other.folder / "__main__.py").unlink()
            (other.folder / "__main__.py").write_text(program)
        succeed(empty.up())
        for _ in range(runs):
            fresh["plain script"].append(plain())
            fresh["plain script, initdb --no-sync"].append(plain(INITDB_ARGS="--no-sync"))
            fresh["pulumi up"].append(timed(lambda: succeed(stack.up())))
            succeed(stack.destroy())
        succeed(stack.up())
        succeed(servers.up())
        named = {"empty program": empty, "containers alone": servers, "all": stack}
        for _ in range(runs):
            for name, one in named.items():
                idle[f"{name}, up"].append(timed(lambda one=one: succeed(one.up())))  # type: ignore[misc]
                idle[f"{name}, preview"].append(timed(lambda one=one: succeed(one.preview("--expect-no-changes"))))  # type: ignore[misc]
        versions, cli = stack.outputs()["versions"], stack.pulumi("version").output.strip()
        succeed(stack.destroy())
        succeed(servers.destroy())

    engine = docker.from_env().version()["Version"]
    print(describe(docker=engine, pulumi=cli, citus=versions["citus"], postgresql=versions["postgres"]))
    print(f"{runs} runs, interleaved; medians")
    show("from nothing to a verified, sharded cluster", fresh, "plain script")
    for verb in ("up", "preview"):
        rows = {name: seconds for name, seconds in idle.items() if name.endswith(verb)}
        show(f"{verb}, with nothing to do", rows, f"empty program, {verb}")


if __name__ == "__main__":
    main()
