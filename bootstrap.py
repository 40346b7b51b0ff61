"""Prepare a fresh clone from package registries alone: uv, the locked packages, and the Pulumi CLI.

`make setup` runs it on the system's Python, before there is anything else: the standard library is all it uses. Each step
looks first whether there is anything to do. What takes long is made in a folder beside its place and moved there once it
is whole, so a run that was killed leaves nothing that looks finished, and the next one goes on.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this file is what says so; no syntax in it is newer than Python 3.6's
    sys.exit("error: Python 3.11 or later is needed, and {} is {}.{}".format(sys.executable, *sys.version_info))

import fcntl
import importlib.util
import os
import re
import select
import shutil
import signal
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

UV_VERSION = "0.13.9"
OLDEST_CLI = (3, 256)
"""The CLI may be of any later minor version: it keeps to the protocol of a major one."""
OLDEST_GO = (1, 21)
"""The first that fetches a later Go where a module asks for it."""

PROVIDER = "pulumi-resource-pulumi-python"
MODULE = "github.com/pulumi/pulumi/pkg/v3"
VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"

VERSIONS = "{}.{} or later".format(*OLDEST_CLI)
REMEDY = (
    f"Put pulumi {VERSIONS} on the PATH, or go {'.'.join(map(str, OLDEST_GO))} or later, then run `make setup` again."
)

INSTALLER_SECONDS = 60
TICK_SECONDS = 15
"""How often a line of progress is written where it is not one that is rewritten on a terminal."""

INSTALLER = """
import subprocess, sys
from pulumi.automation import PulumiCommand
from semver import VersionInfo
try:
    PulumiCommand.install(root=sys.argv[1], version=VersionInfo.parse(sys.argv[2]))
except subprocess.CalledProcessError as error:
    sys.exit((error.output or b"").decode(errors="replace").strip() or f"it ended with {error.returncode}")
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""

PROVIDER_SCRIPT = """\
#!/bin/sh
# How Pulumi's engine starts the dynamic providers of this clone: in its virtual environment, whichever else is active.
clone=$(cd "$(dirname "$0")/{up}" && pwd) || exit
PATH=$clone/.venv/bin:$PATH
export PATH
unset PYTHONHOME
exec "$clone/.venv/bin/python" -u -m pulumi.dynamic "$@"
"""


class SetupError(Exception):
    """A step that failed; its text says why."""


def say(text: str) -> None:
    """Write one line."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def without_addresses(text: str) -> str:
    """Return a program's words without colours, and without addresses of registries, which may carry passwords."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    return re.sub(r"[a-z+]+://[^\s\"'`<>()]+", "<address>", text)


class Progress:
    """How far a long program is: one line rewritten on a terminal, a new one every now and then elsewhere."""

    def __init__(self, describe: Callable[[str], str]) -> None:
        """Take what makes a text of what the program has written so far."""
        self.describe = describe
        self.terminal = sys.stderr.isatty()
        self.began = self.shown = time.monotonic()

    def show(self, output: str) -> None:
        """Write it if it is due."""
        now = time.monotonic()
        text = f"  {self.describe(output)}, {now - self.began:.0f} s"
        if self.terminal:
            sys.stderr.write(f"\r{text}\x1b[K")
            sys.stderr.flush()
        elif now - self.shown >= TICK_SECONDS:
            self.shown = now
            say(text)

    def end(self) -> None:
        """Clear the line."""
        if self.terminal:
            sys.stderr.write("\r\x1b[K")


def run(
    *command: str | Path,
    environment: Mapping[str, str],
    folder: Path,
    hold: int | None,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> str:
    """Run a program and return what it wrote; SetupError with that where it fails, or takes too long.

    Its process group ends with this call. Should this process be killed, the program keeps `hold` open, the lock: another
    run then waits until the program has ended too, which it does as soon as it finds that nobody reads what it writes.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - what it runs is named in this file
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=() if hold is None else (hold,),
        )
    except OSError as error:
        raise SetupError(f"{command[0]}: {error.strerror}") from None
    with process:
        try:
            output = without_addresses(follow(process, seconds, progress)).strip()
            code = process.wait()
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            if progress:
                progress.end()
    if code:
        raise SetupError("\n".join(output.splitlines()[-20:]) or f"it ended with {code}")
    return output


def follow(process: subprocess.Popen[bytes], seconds: float | None, progress: Progress | None) -> str:
    """Read what a program writes until it ends; what it leaves in the background may write on."""
    assert process.stdout  # noqa: S101 - it is a pipe
    deadline = time.monotonic() + (seconds or float("inf"))
    output = b""
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        ready, _, _ = select.select([process.stdout], [], [], 0 if ended else 0.2)
        chunk = os.read(process.stdout.fileno(), 1 << 16) if ready else b""
        output += chunk
        if not chunk and (ready or ended):
            return output.decode(errors="replace")
        if progress:
            progress.show(output.decode(errors="replace"))
    raise SetupError(f"it took more than {seconds:.0f} s")


class Setup:
    """The steps for one clone. Each returns at once where there is nothing to do."""

    def __init__(self, clone: Path, environment: Mapping[str, str], python: str) -> None:
        """Take the clone's folder, the user's environment, and the Python that all is made with."""
        self.clone = clone
        self.cache = clone / ".cache"
        self.bin = self.cache / "bin"
        self.venv = clone / ".venv"
        self.uv = self.cache / "uv/bin/uv"
        self.python = python
        self.environment = dict(environment)
        self.lock: int | None = None
        home = environment.get("HOME", "")
        self.homeless = not (home and os.access(home, os.W_OK | os.X_OK))
        """Programs that keep what they download below HOME have no place for it there."""
        if self.homeless:
            self.environment.setdefault("UV_CACHE_DIR", str(self.cache / "packages"))
            self.environment.setdefault("GOPATH", str(self.cache / "go"))
            self.environment.setdefault("GOCACHE", str(self.cache / "go/build"))

    def all(self) -> None:
        """Take the steps, one run at a time."""
        with self.alone():
            self.install_uv()
            self.install_packages()
            self.install_cli()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other runs of the same clone waiting; programs that a killed one left behind count as that run."""
        self.cache.mkdir(exist_ok=True)
        with (self.cache / "setup.lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                say(f"waiting for the setup of this clone that process {file.read().strip() or '?'} began")
                fcntl.flock(file, fcntl.LOCK_EX)
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            self.lock = file.fileno()
            yield

    def run(self, *command: str | Path, **options: Any) -> str:
        """Run a program in the clone, with the user's environment and the lock."""
        return run(*command, **{"environment": self.environment, "folder": self.clone, "hold": self.lock, **options})

    @contextmanager
    def made(self, target: Path) -> Iterator[Path]:
        """Give a folder beside the target to work in, which takes the target's place once it is whole."""
        part, old = (target.with_name(f".{target.name}.{kind}") for kind in ("part", "old"))
        remove(part)
        part.mkdir(parents=True)
        try:
            yield part
        except SetupError:
            remove(part)
            raise
        remove(old)
        with suppress(FileNotFoundError):
            target.rename(old)  # a folder cannot take the place of one that holds something
        part.rename(target)
        remove(old)

    def install_uv(self) -> None:
        """Put the pinned uv into .cache/uv."""
        with suppress(SetupError):
            if self.run(self.uv, "--version").split()[1:2] == [UV_VERSION]:
                return
        missing = [name for name in ("venv", "ensurepip") if not importlib.util.find_spec(name)]
        if missing:
            raise SetupError(
                f"{self.python} lacks its module {missing[0]}, which installs uv: install the package python3-venv "
                "(Debian, Ubuntu), then run `make setup` again"
            )
        say(f"installing uv {UV_VERSION}, which installs the locked packages")
        with self.made(self.cache / "uv") as part:
            self.run(self.python, "-m", "venv", part)
            pip = (part / "bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check")
            self.run(*pip, "install", f"uv=={UV_VERSION}")

    def install_packages(self) -> None:
        """Bring .venv to what uv.lock says; one that a killed run left is made anew, for it may hold half a package."""
        unfinished = self.cache / "venv.unfinished"
        if unfinished.exists():
            remove(self.venv)
        environment = {"UV_PYTHON_DOWNLOADS": "never"} | self.environment | {"UV_PROJECT_ENVIRONMENT": str(self.venv)}
        if not (self.venv / "bin/python").exists():
            environment.setdefault("UV_PYTHON", self.python)
        sync = (self.uv, "sync", "--frozen")
        with suppress(SetupError):
            self.run(*sync, "--check", environment=environment)
            return
        say("installing the locked packages into .venv")
        unfinished.touch()
        self.run(*sync, "--compile-bytecode", environment=environment)
        unfinished.unlink()

    def install_cli(self) -> None:
        """Find or make a Pulumi CLI, link .cache/bin/pulumi to it, and see to dynamic providers in Python."""
        lock = tomllib.loads((self.clone / "uv.lock").read_text("utf-8"))
        version = next(package["version"] for package in lock["package"] if package["name"] == "pulumi")
        ways = {
            "on the PATH": self.find,
            "made before": self.reuse,
            "Pulumi's installer": self.download,
            "built with Go": self.build,
        }
        tried = []
        for way, take in ways.items():
            try:
                program = take(self.cache / "pulumi" / version, version)
                break
            except SetupError as error:
                tried.append(f"  {way}: {str(error).splitlines()[-1]}")
        else:
            raise SetupError("\n".join(["there is no Pulumi CLI, and none can be had:", *tried, REMEDY]))
        self.link(program)
        ours = self.bin / PROVIDER
        if os.access(program.parent / PROVIDER, os.X_OK):
            ours.unlink(missing_ok=True)
        else:
            self.write_provider(ours)

    def find(self, target: Path, version: str) -> Path:
        """Return the first CLI on the PATH that is supported, as what it is a link to."""
        refused = {}
        for folder in filter(None, self.environment.get("PATH", "").split(os.pathsep)):
            candidate = Path(folder) / "pulumi"
            program = candidate.resolve()
            if not os.access(program, os.X_OK) or program in refused or program.is_relative_to(self.cache):
                continue
            found = self.version_of(candidate)
            if is_supported(found):
                return program
            refused[program] = f"{candidate} is {found or 'broken'}, and {VERSIONS} is needed"
            say(f"skipping a Pulumi CLI: {refused[program]}")
        raise SetupError("; ".join(refused.values()) or "no pulumi")

    def reuse(self, target: Path, version: str) -> Path:
        """Return the CLI that an earlier run downloaded or built."""
        program = target / "bin/pulumi"
        if not is_supported(self.version_of(program)):
            raise SetupError(f"no {version} in .cache/pulumi")
        return program

    def download(self, target: Path, version: str) -> Path:
        """Run the installer that Pulumi's Python package brings along."""
        say(f"downloading the Pulumi CLI {version}, for there is none on the PATH")
        with self.made(target) as part:
            python = self.venv / "bin/python"
            self.run(python, "-c", INSTALLER, part, version, seconds=INSTALLER_SECONDS)
            self.verify(part)
        return target / "bin/pulumi"

    def build(self, target: Path, version: str) -> Path:
        """Build the CLI from its Go module; Go goes on where it was killed."""
        go = shutil.which("go", path=self.environment.get("PATH", ""))
        if not go:
            raise SetupError("no go on the PATH")
        found = re.search(r"\bgo(\d+)\.(\d+)", self.run(go, "version"))
        if not found or (int(found[1]), int(found[2])) < OLDEST_GO:
            raise SetupError(f"{go} is older than {OLDEST_GO[0]}.{OLDEST_GO[1]}")
        say(f"building the Pulumi CLI {version} with Go, for it could not be downloaded: some minutes, once")
        with self.made(target) as part:
            source = part / "source"
            source.mkdir()
            # Of modules that name Go 1.17 or later, Go loads only what the build needs.
            (source / "go.mod").write_text(f"module cli\n\ngo 1.21\n\nrequire {MODULE} v{version}\n", "utf-8")
            command = [go, "build", "-v", "-mod=mod", "-trimpath", "-buildvcs=false"]
            if self.homeless:
                command.append("-modcacherw")  # so that .cache can be removed
            command += ["-ldflags", f"-s -w -X {VERSION_VARIABLE}=v{version}", "-o", str(part / "bin/pulumi")]
            environment = self.environment | {"GOWORK": "off"}
            progress = Progress(describe_build)
            self.run(*command, f"{MODULE}/cmd/pulumi", environment=environment, folder=source, progress=progress)
            remove(source)
            self.write_provider(part / "bin" / PROVIDER)
            self.verify(part)
        return target / "bin/pulumi"

    def verify(self, part: Path) -> None:
        """Refuse what was made where it does not run."""
        found = self.version_of(part / "bin/pulumi")
        if not is_supported(found):
            raise SetupError(f"what it made is {found or 'broken'}, and {VERSIONS} is needed")

    def version_of(self, program: Path) -> str:
        """Return what a CLI says its version is, or nothing where it does not run."""
        try:
            return self.run(
                program, "version", environment=self.environment | {"PULUMI_SKIP_UPDATE_CHECK": "true"}, seconds=30
            )
        except SetupError:
            return ""

    def link(self, program: Path) -> None:
        """Let .cache/bin/pulumi lead to the program, by a relative path within the clone."""
        goal = os.path.relpath(program, self.bin) if program.is_relative_to(self.cache) else str(program)
        link = self.bin / "pulumi"
        if link.is_symlink() and str(link.readlink()) == goal:
            return
        say(f"using the Pulumi CLI {program}")
        new = self.bin / ".pulumi.part"
        new.parent.mkdir(exist_ok=True)
        new.unlink(missing_ok=True)
        new.symlink_to(goal)
        new.replace(link)

    def write_provider(self, place: Path) -> None:
        """Write the program by which the engine starts dynamic providers; it finds the clone from where it is itself."""
        text = PROVIDER_SCRIPT.format(up=os.path.relpath(self.clone, place.parent))
        if place.exists() and place.read_text("utf-8") == text:
            return
        new = place.with_name(f".{place.name}.part")
        new.write_text(text, "utf-8")
        new.chmod(0o755)
        new.replace(place)


def is_supported(version: str) -> bool:
    """Tell whether a CLI of this version will do."""
    found = re.match(r"v?(\d+)\.(\d+)\.", version)
    return found is not None and int(found[1]) == OLDEST_CLI[0] and int(found[2]) >= OLDEST_CLI[1]


def describe_build(output: str) -> str:
    """Return how far `go build -v` is: it names each module that it downloads, then each package that it compiles."""
    lines = output.splitlines()
    downloads = sum(line.startswith("go: downloading") for line in lines)
    packages = sum(not line.startswith("go: ") for line in lines)
    return f"{packages} of up to 1700 packages compiled" if packages else f"{downloads} of up to 260 modules downloaded"


def remove(place: Path) -> None:
    """Remove a folder, if it is there."""
    with suppress(FileNotFoundError):
        shutil.rmtree(place)


def main() -> int:
    """Prepare the clone that this file is in; return the exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
            signal.signal(number, lambda number, _: sys.exit(128 + number))  # so that programs it runs end too
    try:
        Setup(Path(__file__).resolve().parent, os.environ, os.path.realpath(sys.executable)).all()
    except (SetupError, OSError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(main())
