"""What a fresh clone is prepared with: fake programs on a PATH of their own, no network."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Timer

import pytest

import bootstrap
from bootstrap import PROVIDER, UV_VERSION, Progress, Setup, SetupError

VERSION = "3.259.0"
CLI = f"echo v{VERSION}"
FORGE = 'printf "#!/bin/sh\\necho v{version}\\n" > "{place}" && chmod +x "{place}"'
"""How a fake program makes a fake CLI."""


class Machine:
    """A clone, a HOME, and a PATH that holds nothing but what the test puts there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clone = folder / "clone"
        self.path = folder / "path"
        self.log = folder / "log"
        (folder / "home").mkdir()
        self.environment = {"PATH": str(self.path), "HOME": str(folder / "home")}
        self.clone.mkdir()
        package = '[[package]]\nname = "{}"\nversion = "{}"\n'
        (self.clone / "uv.lock").write_text(package.format("other", "1.0") + package.format("pulumi", VERSION))
        self.path.mkdir()
        for tool in ("env", "mkdir", "chmod", "sleep", "cat", "dirname"):
            (self.path / tool).symlink_to(shutil.which(tool) or tool)
        self.venv_python("echo unreachable >&2; exit 1")

    def program(self, place: str | Path, body: str) -> Path:
        """Write a fake program, which notes how it is called."""
        program = self.folder / place
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\nset -f\necho {program.name} $* >> {self.log}\n{body}\n")
        program.chmod(0o755)
        return program

    def venv_python(self, body: str) -> None:
        """Have the virtual environment; only the installer of the CLI uses it."""
        self.program("clone/.venv/bin/python", body)

    def installer(self) -> None:
        """Let the official installer work."""
        self.venv_python('mkdir -p "$3/bin"\n' + FORGE.format(version=VERSION, place="$3/bin/pulumi"))

    def go(self, version: str = "1.26.8", build: str = "") -> None:
        """Have Go, which builds a fake CLI where `-o` says."""
        body = f"""[ "$1" = version ] && echo go version go{version} linux/amd64 && exit
env | while read -r line; do case $line in GO*) echo "$line" >> {self.log};; esac; done
echo "pwd $PWD" >> {self.log}
cat go.mod >> {self.log}
while [ "$1" != -o ]; do shift; done
mkdir -p "${{2%/*}}"
{build}
{FORGE.format(version=VERSION, place="$2")}"""
        self.program("path/go", body)

    @property
    def cached(self) -> Path:
        """Where a CLI lies that was downloaded or built."""
        return self.clone / ".cache/pulumi" / VERSION

    @property
    def link(self) -> Path:
        """The CLI of the clone."""
        return self.clone / ".cache/bin/pulumi"

    @property
    def setup(self) -> Setup:
        """The steps, as a new run takes them."""
        (self.clone / ".cache").mkdir(exist_ok=True)
        return Setup(self.clone, self.environment, str(self.path / "python3"))

    def calls(self) -> list[str]:
        """Return what was called since the last time, but for asking versions."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return [line for line in lines if not line.endswith(" version")]

    def leftovers(self) -> list[Path]:
        """Return what is half-made in the clone."""
        return [place for kind in ("part", "old") for place in self.clone.rglob(f".*.{kind}")]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with nothing on it."""
    return Machine(tmp_path)


# The order of the search


def test_each_way_is_tried_only_where_those_before_it_fail(machine: Machine) -> None:
    """The PATH, then what an earlier run made, then the installer, then Go."""
    machine.go()
    machine.setup.install_cli()
    assert any(call.startswith("go build") for call in machine.calls())
    shutil.rmtree(machine.cached)

    machine.installer()
    machine.setup.install_cli()
    assert [call.split()[0] for call in machine.calls()] == ["python"]

    machine.venv_python("exit 1")
    machine.setup.install_cli()
    assert machine.calls() == []
    assert machine.link.resolve() == machine.cached / "bin/pulumi"

    program = machine.program("path/pulumi", CLI)
    machine.setup.install_cli()
    assert machine.link.resolve() == program


@pytest.mark.parametrize("version", ["v3.256.0", "3.259.0", "v3.300.1-dev.1+abc"])
def test_supported_versions(version: str) -> None:
    """The oldest one that pyproject allows for the SDK, and all later ones with the same major version."""
    assert bootstrap.is_supported(version)


@pytest.mark.parametrize("version", ["v3.255.9", "v4.256.0", "v2.300.0", "", "mise 2026.1.1", "v30.256.0", "v3.256"])
def test_unsupported_versions(version: str) -> None:
    """Older ones, other major versions, and what is none."""
    assert not bootstrap.is_supported(version)


@pytest.mark.parametrize(("body", "found"), [("echo v3.100.0", "v3.100.0"), ("exit 1", "broken")])
def test_another_version_on_the_path_is_skipped_with_a_line(
    machine: Machine, capsys: pytest.CaptureFixture[str], body: str, found: str
) -> None:
    """The search goes on along the PATH."""
    old = machine.program("path/pulumi", body)
    new = machine.program("more/pulumi", CLI)
    machine.environment["PATH"] += f"::{old.parent}/../path:{new.parent}"
    machine.setup.install_cli()
    assert machine.link.resolve() == new
    said = capsys.readouterr().err
    assert said.count("skipping") == 1
    assert f"{old} is {found}, and 3.256 or later is needed" in said


def test_where_nothing_helps_one_error_says_all_that_was_tried(machine: Machine) -> None:
    """With the reason of each, and the remedy."""
    old = machine.program("path/pulumi", "echo v3.1.0")
    with pytest.raises(SetupError) as raised:
        machine.setup.install_cli()
    assert str(raised.value).splitlines() == [
        "there is no Pulumi CLI, and none can be had:",
        f"  on the PATH: {old} is v3.1.0, and 3.256 or later is needed",
        f"  made before: no {VERSION} in .cache/pulumi",
        "  Pulumi's installer: unreachable",
        "  built with Go: no go on the PATH",
        "Put pulumi 3.256 or later on the PATH, or go 1.21 or later, then run `make setup` again.",
    ]
    assert not machine.link.is_symlink()
    assert machine.leftovers() == []


# The link


def test_a_link_within_the_clone_is_relative_and_moves_with_it(machine: Machine) -> None:
    """And nothing is done where it is right."""
    machine.installer()
    machine.setup.install_cli()
    made = machine.link.lstat().st_mtime_ns
    assert str(machine.link.readlink()) == f"../pulumi/{VERSION}/bin/pulumi"
    machine.setup.install_cli()
    assert machine.link.lstat().st_mtime_ns == made
    machine.clone.rename(machine.folder / "moved")
    moved = machine.folder / "moved/.cache/bin/pulumi"
    assert subprocess.run([moved], capture_output=True, check=True).stdout == f"v{VERSION}\n".encode()


def test_a_link_that_dangles_is_chosen_anew(machine: Machine) -> None:
    """As it is after the CLI on the PATH was removed."""
    program = machine.program("path/pulumi", CLI)
    machine.environment["PATH"] = f"{machine.link.parent}:{machine.path}"
    machine.setup.install_cli()
    program.unlink()
    machine.installer()
    machine.setup.install_cli()
    assert machine.link.resolve() == machine.cached / "bin/pulumi"


def test_a_link_on_the_path_to_the_clones_own_makes_no_circle(machine: Machine) -> None:
    """What both lead to is what is linked."""
    program = machine.program("elsewhere/pulumi", CLI)
    machine.environment["PATH"] += f":{program.parent}"
    machine.setup.install_cli()
    (machine.path / "pulumi").symlink_to(machine.link)
    machine.setup.install_cli()
    assert machine.link.readlink() == program

    program.unlink()
    machine.installer()
    machine.setup.install_cli()
    machine.setup.install_cli()
    assert machine.link.resolve() == machine.cached / "bin/pulumi"


# Dynamic providers


def test_dynamic_providers_run_in_the_clones_environment(machine: Machine) -> None:
    """Wherever the clone has been moved to, and with arguments as they are."""
    machine.program("path/pulumi", CLI)
    machine.venv_python('printf "%s|" "${PYTHONHOME-none}" "$@"')
    machine.setup.install_cli()
    moved = machine.clone.rename(machine.folder / "mo ved")
    run = subprocess.run(
        [moved / ".cache/bin" / PROVIDER, "a  b", "$c"],
        env=machine.environment | {"PYTHONHOME": "/else"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "none|-u|-m|pulumi.dynamic|a  b|$c|"


def test_a_cli_that_brings_its_own_provider_uses_that(machine: Machine) -> None:
    """The engine warns of another one on the PATH, so ours goes."""
    machine.program("path/pulumi", CLI)
    machine.setup.install_cli()
    ours = machine.link.with_name(PROVIDER)
    assert os.access(ours, os.X_OK)
    made = ours.stat().st_mtime_ns
    machine.setup.install_cli()
    assert ours.stat().st_mtime_ns == made
    machine.program(f"path/{PROVIDER}", "")
    machine.setup.install_cli()
    assert not ours.exists()


# Built with Go


def test_what_go_is_asked_for(machine: Machine) -> None:
    """One module, the pinned version, and Go's own folders where HOME is usable."""
    machine.environment["GOWORK"] = "/some/go.work"
    machine.go()
    machine.setup.install_cli()
    part = machine.cached.with_name(f".{VERSION}.part")
    flags = "-v -mod=mod -trimpath -buildvcs=false -ldflags -s -w -X"
    variable = f"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{VERSION}"
    module = "github.com/pulumi/pulumi/pkg/v3"
    assert machine.calls()[1:] == [  # the first is the installer
        f"go build {flags} {variable} -o {part}/bin/pulumi {module}/cmd/pulumi",
        "GOWORK=off",
        f"pwd {part}/source",
        "module cli",
        "",
        "go 1.21",
        "",
        f"require {module} v{VERSION}",
    ]
    assert sorted(place.name for place in machine.cached.rglob("*")) == ["bin", "pulumi", PROVIDER]
    assert not machine.link.with_name(PROVIDER).exists()
    assert machine.leftovers() == []


@pytest.mark.parametrize("home", [None, "", "/nonexistent"])
def test_go_without_a_home_keeps_all_in_the_clone(machine: Machine, home: str | None) -> None:
    """And such that it can be removed; what the user set stays."""
    machine.environment.pop("HOME")
    if home is not None:
        machine.environment["HOME"] = home
    machine.environment["GOCACHE"] = "/mine"
    machine.go()
    machine.setup.install_cli()
    calls = machine.calls()
    assert {"GOCACHE=/mine", f"GOPATH={machine.clone}/.cache/go"} <= set(calls)
    assert " -modcacherw " in calls[1]


def test_an_old_go_is_not_tried(machine: Machine) -> None:
    """It could not fetch the one that the module asks for."""
    machine.go(version="1.19.8")
    with pytest.raises(SetupError, match=r"built with Go: .*/go is older than 1\.21"):
        machine.setup.install_cli()


def test_a_failed_build_is_told_by_its_last_line(machine: Machine) -> None:
    """Without addresses of registries."""
    machine.go(build="echo 'go: downloading x'; echo 'go: x: Get \"https://user:secret@proxy/x\": no route'; exit 1")
    with pytest.raises(SetupError, match=r'built with Go: go: x: Get "<address>": no route\n'):
        machine.setup.install_cli()
    assert machine.leftovers() == []


def test_progress_of_a_build() -> None:
    """Modules first, then packages."""
    downloads = "go: downloading a v1\ngo: downloading b v2\n"
    assert bootstrap.describe_build(downloads) == "2 of up to 260 modules downloaded"
    assert bootstrap.describe_build(downloads + "net/http\n") == "1 of up to 1700 packages compiled"


def test_progress_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Or one that is rewritten, on a terminal."""
    progress = Progress(str.upper)
    progress.show("early")
    progress.shown -= bootstrap.TICK_SECONDS
    progress.show("due")
    progress.show("early")
    progress.end()
    assert capsys.readouterr().err == "  DUE, 0 s\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = Progress(str.upper)
    progress.show("one")
    progress.end()
    assert capsys.readouterr().err == "\r  ONE, 0 s\x1b[K\r\x1b[K"


# The installer


def test_an_installer_that_hangs_is_ended(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all that it started, and said in a sentence."""
    monkeypatch.setattr(bootstrap, "INSTALLER_SECONDS", 0.1)
    child = machine.folder / "child"
    machine.venv_python(f"sleep 60 & echo $! > {child}; wait")
    with pytest.raises(SetupError, match=r"Pulumi's installer: it took more than 0 s\n"):
        machine.setup.install_cli()
    _wait_until_gone(int(child.read_text()))


def test_an_installer_that_makes_nothing_is_no_success(machine: Machine) -> None:
    """What it leaves must run, and be of the right version."""
    machine.venv_python('mkdir -p "$3/bin"\n' + FORGE.format(version="3.1.0", place="$3/bin/pulumi"))
    with pytest.raises(SetupError, match=r"Pulumi's installer: what it made is v3\.1\.0"):
        machine.setup.install_cli()
    assert not machine.cached.exists()


# Kills


@pytest.mark.parametrize("half", ["", "exit 1"])
def test_what_is_half_made_is_ignored_and_replaced(machine: Machine, half: str) -> None:
    """Under its final name, which no run of ours leaves, or beside it."""
    for place in (
        machine.cached,
        machine.cached.with_name(f".{VERSION}.part"),
        machine.cached.with_name(f".{VERSION}.old"),
    ):
        (place / "rest").mkdir(parents=True)
        machine.program(place / "bin/pulumi", half)
    machine.installer()
    machine.setup.install_cli()
    assert machine.link.resolve() == machine.cached / "bin/pulumi"
    assert not (machine.cached / "rest").exists()
    assert machine.leftovers() == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_build_leaves_nothing_under_its_final_name(machine: Machine, number: signal.Signals) -> None:
    """And the next run waits until what the killed one left behind is gone."""
    building = machine.folder / "building"
    seen = machine.folder / "seen"
    machine.go(
        build=f"[ -e {building} ] || {{ echo > {building}; until [ -e {seen} ]; do sleep 0.05; done; echo a/package; }}"
    )
    interruptible = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # unlike in the background of a shell
    )
    program = (
        f"{interruptible}; import sys; sys.path.insert(0, sys.argv[1]); import bootstrap; sys.exit(bootstrap.main())"
    )
    shutil.copy(bootstrap.__file__, machine.clone)
    _prepare(machine)
    command = [sys.executable, "-c", program, str(machine.clone)]
    with subprocess.Popen(command, env=machine.environment, stderr=subprocess.PIPE, text=True) as process:
        _wait_for(building)
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert "Traceback" not in errors
    assert not machine.cached.exists()
    assert not machine.link.is_symlink()
    with subprocess.Popen(command, env=machine.environment, stderr=subprocess.PIPE, text=True) as again:
        assert again.stderr
        first = again.stderr.readline()
        seen.touch()
        again.communicate(timeout=10)
    assert again.returncode == 0
    assert machine.link.resolve() == machine.cached / "bin/pulumi"
    assert machine.leftovers() == []
    waited = f"waiting for the setup of this clone that process {process.pid} began" in first
    assert waited == (number == signal.SIGKILL)


def test_a_second_run_waits_for_the_first(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """And says so."""
    setup = machine.setup
    with (machine.clone / ".cache/setup.lock").open("w") as first:
        first.write("4711")
        first.flush()
        fcntl.flock(first, fcntl.LOCK_EX)
        Timer(0.1, fcntl.flock, (first, fcntl.LOCK_UN)).start()
        with setup.alone():
            pass
    assert capsys.readouterr().err == "waiting for the setup of this clone that process 4711 began\n"


# uv, and the locked packages

PIP = """[ "$2" = venv ] || exit 1
mkdir -p "$3/bin"
cat > "$3/bin/python" <<'END'
#!/bin/sh
echo "pip $*" >> {log}
{pip}
cp="${{0%/*}}/uv"
cat > "$cp" <<'UV'
{uv}
UV
chmod +x "$cp"
END
chmod +x "$3/bin/python"
"""
UV = """#!/bin/sh
[ "$1" = --version ] && echo "uv {version} (x86_64)" && exit
echo "uv $*" >> {log}
env | while read -r line; do case $line in UV_*) echo "$line" >> {log};; esac; done
{sync}"""
SYNC = """case $* in *--check*) [ -e .venv/whole ]; exit;; esac
mkdir -p .venv/bin
echo '#!/bin/sh' > .venv/bin/python
chmod +x .venv/bin/python
echo > .venv/whole"""


def _prepare(machine: Machine, *, pip: str = "", version: str = UV_VERSION, sync: str = SYNC) -> None:
    """Have a fake uv, and a fake Python that installs another; have no virtual environment."""
    shutil.rmtree(machine.clone / ".venv")
    uv = UV.format(version=version, log=machine.log, sync=sync)
    machine.program("path/python3", PIP.format(log=machine.log, pip=pip, uv=uv))
    installed = machine.clone / ".cache/uv/bin/uv"
    installed.parent.mkdir(parents=True)
    installed.write_text(uv)
    installed.chmod(0o755)


def test_nothing_is_done_the_second_time(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each step the first time, silence the second."""
    _prepare(machine)
    shutil.rmtree(machine.clone / ".cache")
    machine.program("path/pulumi", CLI)
    machine.setup.all()
    said = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in said] == ["installing", "installing", "using"]
    assert f"pip -m pip --quiet --disable-pip-version-check install uv=={UV_VERSION}" in machine.calls()

    before = sorted((str(place), place.lstat().st_mtime_ns) for place in machine.clone.rglob("*"))
    machine.setup.all()
    after = sorted((str(place), place.lstat().st_mtime_ns) for place in machine.clone.rglob("*"))
    assert {place for place, _ in set(before) ^ set(after)} <= {f"{machine.clone}/.cache/setup.lock"}
    assert capsys.readouterr().err == ""
    assert [call for call in machine.calls() if call.startswith(("uv", "pip"))] == ["uv sync --frozen --check"]


def test_another_uv_is_replaced(machine: Machine) -> None:
    """Whole, by the pinned one."""
    _prepare(machine, version="0.1.0")
    (machine.clone / ".cache/uv/rest").touch()
    machine.setup.install_uv()
    assert any(call.startswith("pip ") for call in machine.calls())
    assert (machine.clone / ".cache/uv/bin/uv").exists()
    assert not (machine.clone / ".cache/uv/rest").exists()
    assert machine.leftovers() == []


def test_a_failed_install_leaves_nothing(machine: Machine) -> None:
    """And shows what was said, without addresses."""
    _prepare(machine, pip='echo "ERROR: none at https://me:secret@registry/simple"; exit 1')
    shutil.rmtree(machine.clone / ".cache")
    with pytest.raises(SetupError, match=r"ERROR: none at <address>$"):
        machine.setup.install_uv()
    assert list((machine.clone / ".cache").iterdir()) == []


def test_a_python_without_venv_is_told_with_the_remedy(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian keeps it in a package of its own."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ensurepip" else name)
    with pytest.raises(SetupError, match=r"lacks its module ensurepip.*python3-venv"):
        machine.setup.install_uv()


def test_an_environment_that_was_not_finished_is_made_anew(machine: Machine) -> None:
    """For it may hold half a package, which uv takes for a whole one."""
    _prepare(machine, sync="exit 1")
    with pytest.raises(SetupError):
        machine.setup.install_packages()
    (machine.clone / ".venv/lib").mkdir(parents=True)
    (machine.clone / ".venv/whole").touch()

    shutil.rmtree(machine.clone / ".cache/uv")
    machine.program("clone/.cache/uv/bin/uv", SYNC)
    machine.setup.install_packages()
    assert (machine.clone / ".venv/bin/python").exists()
    assert not (machine.clone / ".venv/lib").exists()
    assert not (machine.clone / ".cache/venv.unfinished").exists()


def test_uv_is_told_which_python_and_where(machine: Machine) -> None:
    """The one that runs setup, for a new environment; no other is downloaded."""
    _prepare(machine)
    machine.environment |= {"HOME": "", "UV_PROJECT_ENVIRONMENT": "elsewhere"}
    machine.setup.install_packages()
    assert {
        f"UV_PYTHON={machine.path}/python3",
        "UV_PYTHON_DOWNLOADS=never",
        f"UV_PROJECT_ENVIRONMENT={machine.clone}/.venv",
        f"UV_CACHE_DIR={machine.clone}/.cache/packages",
        "uv sync --frozen --compile-bytecode",
    } <= set(machine.calls())


# The rest


def test_an_old_python_gets_one_clear_error() -> None:
    """Before anything is imported that it does not have."""
    old = "import sys; sys.version_info = (3, 10); exec(compile(open(sys.argv[1]).read(), 'bootstrap.py', 'exec'))"
    run = subprocess.run([sys.executable, "-c", old, bootstrap.__file__], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr == f"error: Python 3.11 or later is needed, and {sys.executable} is 3.10\n"


def test_a_program_that_cannot_be_run_is_no_traceback(machine: Machine) -> None:
    """As a script whose interpreter is missing."""
    (machine.path / "bad").write_text("#!/nonexistent\n")
    (machine.path / "bad").chmod(0o755)
    with pytest.raises(SetupError, match="No such file"):
        machine.setup.run(machine.path / "bad")


def test_a_program_may_leave_something_in_the_background(machine: Machine) -> None:
    """Which keeps the output open; that is not waited for."""
    began = time.monotonic()
    program = machine.program("path/leaves", "sleep 2 & echo left")
    assert machine.setup.run(program) == "left"
    assert time.monotonic() - began < 1.5


def _wait_for(place: Path) -> None:
    deadline = time.monotonic() + 10
    while not place.exists():
        assert time.monotonic() < deadline, place
        time.sleep(0.01)


def _wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and ") Z " not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < deadline, pid
        time.sleep(0.01)
