"""A stack of the real program, driven as a person drives it, on a backend of its own, and looked at from the outside."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
import yaml

from tests.e2e.nodes import Nodes

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator


ROOT: Final = Path(__file__).parents[2]
DEADLINE: Final = 240
"""Seconds that one run may take, where nothing else is said."""


def copy_tree(folder: Path) -> None:
    """Make of a folder a clone of this tree as it is, what is not committed too, with its environment set up."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for part in (".venv", ".cache"):
        (folder / part).symlink_to(ROOT / part)


@dataclass(frozen=True)
class Run:
    """What a run came to."""

    code: int
    output: str

    @property
    def errors(self) -> str:
        """Return the part of the output that tells what went wrong."""
        return self.output.partition("Diagnostics:")[2].partition("Resources:")[0] or self.output

    def changes(self) -> dict[str, int]:
        """Return the counts of the summary: created, updated, replaced, deleted, unchanged."""
        summary = self.output.partition("Resources:")[2]
        counts = re.findall(r"(\d+) (?:to )?(create|update|delete|replace|unchanged)", summary)
        return {word: int(count) for count, word in counts}


CODE: Final = ("Pulumi.yaml", "__main__.py", "analysis", "cli", "components", "sql")
ENVIRONMENT: Final = ("pyproject.toml", "uv.lock", ".venv")
"""What of the project a stack's folder has."""


@dataclass
class Stack:
    """One stack: its settings, its state and its names on the engine."""

    name: str
    folder: Path
    port: int
    nodes: Nodes
    settings: dict[str, Any] = field(default_factory=dict)
    password: str = "un secreto: 'ñ' \\ $x % @/"
    deadline: float = DEADLINE

    def __post_init__(self) -> None:
        """Make the backend and the stack."""
        self.backend = self.folder / "state"
        self.backend.mkdir(parents=True)
        self.run_code_of(ROOT)
        self.config = self.folder / f"Pulumi.{self.name}.yaml"
        self.check("stack", "init", self.name)
        self.check("config", "set", "--secret", "password", "--stack", self.name, "--", self.password)
        self.set(namePrefix=self.name, port=self.port, readyTimeout=60, workers=2, shardCount=4)
        self.set(**self.nodes.settings, **self.settings)

    def run_code_of(self, project: Path) -> None:
        """Let the stack's program and commands be those of a project's folder; they run in the environment of this one."""
        for root, parts in ((project, CODE), (ROOT, ENVIRONMENT)):
            for part in parts:
                link = self.folder / part
                link.unlink(missing_ok=True)
                link.symlink_to(root / part)

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of the CLI: the backend and passphrase of this stack, nobody else's."""
        mine = {
            "PULUMI_BACKEND_URL": f"file://{self.backend}",
            "PULUMI_CONFIG_PASSPHRASE": "only for tests",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PATH": f"{ROOT}/.cache/bin:{ROOT}/.cache/uv/bin:{os.environ['PATH']}",
        }
        return {**os.environ, **mine, **more}

    def pulumi(self, *arguments: str, **environment: str) -> Run:
        """Run Pulumi's CLI to its end."""
        return self._run(["pulumi", "--non-interactive", *arguments], **environment)

    def _run(self, command: list[str], **environment: str) -> Run:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=self.deadline,
            check=False,
        )
        return Run(done.returncode, done.stdout)

    def check(self, *arguments: str) -> None:
        """Run the CLI, which must succeed."""
        done = self.pulumi(*arguments)
        assert done.code == 0, done.output

    def set(self, **settings: Any) -> None:
        """Write settings into the stack's file; None removes one."""
        document = yaml.safe_load(self.config.read_text())
        for key, value in settings.items():
            if value is None:
                document["config"].pop(f"citus:{key}", None)
            else:
                document["config"][f"citus:{key}"] = value
        self.config.write_text(yaml.safe_dump(document, allow_unicode=True))

    def run(self, verb: str, *more: str, **environment: str) -> Run:
        """Carry out up, preview, refresh, down or recover as a person would on this runtime."""
        return self._run(self.nodes.command(verb, self.name, *more), **environment)

    def run_cli(self, verb: str, *more: str, **environment: str) -> Run:
        """Run the project's own command, as `make` does."""
        return self._run([f"{ROOT}/.venv/bin/python", "-m", "cli", verb, "--stack", self.name, *more], **environment)

    def up(self, **environment: str) -> Run:
        """Bring the stack to what is declared."""
        return self.run("up", **environment)

    def preview(self, *more: str, **environment: str) -> Run:
        """Show what `up` would do."""
        return self.run("preview", *more, **environment)

    def refresh(self) -> Run:
        """Compare the state with the live cluster."""
        return self.run("refresh")

    def destroy(self) -> Run:
        """Remove everything."""
        return self.run("down")

    def leftovers(self) -> list[str]:
        """Return the name of all that is left of the stack's nodes."""
        return self.nodes.leftovers()

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs, secrets too."""
        shown = self.pulumi("stack", "output", "--json", "--show-secrets", "--stack", self.name)
        outputs: dict[str, Any] = json.loads(shown.output)
        if "caCertificate" in outputs:  # where the addresses name it by its file, relative to the stack's folder
            file = self.folder / f"{self.name}-ca.crt"
            file.write_text(outputs["caCertificate"])
            outputs = json.loads(shown.output.replace(f"sslrootcert={file.name}", f"sslrootcert={file}"))
        return outputs

    def state(self) -> str:
        """Return the state as it lies on the disk."""
        return (self.backend / ".pulumi" / "stacks" / "citus" / f"{self.name}.json").read_text()

    def urns(self, *kinds: str) -> list[str]:
        """Return the URNs in the state of the resources of some kinds."""
        resources = json.loads(self.state())["checkpoint"]["latest"]["resources"]
        return [entry["urn"] for entry in resources if entry["type"].rpartition(":")[2] in kinds]

    def set_state_aside(self) -> Path:
        """Forget all that Pulumi knew of the stack, as on another clone; its settings stay. Return where the state is."""
        settings = self.config.read_text()
        aside = self.folder / f"aside-{time.monotonic_ns()}"
        (self.backend / ".pulumi").rename(aside)
        self.check("stack", "init", self.name)
        self.config.write_text(settings)
        return aside

    def bring_state_back(self, aside: Path) -> None:
        """Put a state that was set aside in the place of the present one."""
        shutil.rmtree(self.backend / ".pulumi")
        aside.rename(self.backend / ".pulumi")

    def rename(self, name: str) -> None:
        """Give the stack another name, as `pulumi stack rename` does, and its file of settings too."""
        self.check("stack", "rename", name, "--stack", self.name)
        renamed = self.folder / f"Pulumi.{name}.yaml"
        if not renamed.exists():
            self.config.rename(renamed)
        self.name, self.config = name, renamed

    def recover(self) -> None:
        """Free the state after a run that was killed, as `make recover` does."""
        done = self._run([f"{ROOT}/.venv/bin/python", "-m", "cli", "recover", "--stack", self.name])
        assert done.code == 0, done.output

    def start_up(self) -> subprocess.Popen[str]:
        """Start `up`, in a process group of its own as a terminal would, and return at once."""
        return subprocess.Popen(
            self.nodes.command("up", self.name),
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def kill_up_at(self, sign: str, how: signal.Signals) -> str:
        """Start `up`, and end it with a signal as soon as its output shows the sign; return what it had printed."""
        printed = []
        with self.start_up() as process:
            assert process.stdout
            for line in process.stdout:
                printed.append(line)
                if sign in line:
                    os.killpg(process.pid, how)
                    break
            printed.extend(process.stdout)
        return "".join(printed)

    # --- the database ---

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=self.nodes.host,
            port=self.port,
            user=self.settings.get("user", "postgres"),
            dbname=self.settings.get("database", "coorddb"),
            password=self.password,
            autocommit=True,
        )

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection[Any]]:
        """Yield a connection to the coordinator within a transaction, which is committed in the end."""
        with closing(self._connect()) as connection, connection.transaction():
            yield connection

    def query(self, sql: str) -> list[Any]:
        """Run a statement on the coordinator; return the only value of each row, or whole rows."""
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute(sql.encode())
            if cursor.description is None:
                return []
            rows = cursor.fetchall()
            return [row[0] for row in rows] if len(cursor.description) == 1 else rows

    def wait_until(self, holds: Callable[[], bool], what: str, seconds: float = 60) -> None:
        """Poll until something holds."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if holds():
                    return
            except psycopg.OperationalError:
                pass
            assert time.monotonic() < deadline, f"waited {seconds} s until {what}"
            time.sleep(0.1)
