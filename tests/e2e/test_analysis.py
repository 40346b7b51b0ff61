"""The whole analysis on a stack of its own: loaded, killed and resumed, refused, measured, and looked at in a browser."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import docker
import pytest

from analysis.pages import read_results
from tests.e2e.conftest import free_port
from tests.e2e.nodes import DOCKER, LOCAL, STAND_IN
from tests.e2e.stack import ROOT, Run, Stack
from tests.genuine import PARTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from analysis.results import Results

RUNTIMES = [DOCKER, LOCAL, STAND_IN]
pytestmark = pytest.mark.needs("pulumi")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack], request: pytest.FixtureRequest, runtime: str) -> Stack:
    """A stack that is up, with its four countries on workers of their own, and poolers where there can be some."""
    has_poolers = runtime in ("docker", "hosts") and request.config.stash[PARTS]["pooler"].version
    first = free_port()
    poolers = {"pooler": {"port": first}, "entry": "anyNode", "workerPorts": f"{first + 1}-{first + 9}"}
    made = new_stack("analysis", tenants={"sucursal": {"spread": [1, 2, 3, 4]}}, **(poolers if has_poolers else {}))
    up = made.up()
    assert up.code == 0, up.output
    return made


def analyse(stack: Stack, *more: str) -> Run:
    """Run the analysis, short, with more options."""
    return stack._run(
        [
            *command(stack),
            "--runs",
            "2",
            "--shards",
            "",
            "--scales",
            "",
            "--clients",
            "2",
            "--seconds",
            "1",
            "--rounds",
            "1",
            *more,
        ]
    )


def command(stack: Stack) -> list[str]:
    """Return the command of `make analysis` on the stack."""
    return [
        f"{ROOT}/.venv/bin/python",
        "-m",
        "analysis",
        "--stack",
        stack.name,
        "--output",
        str(stack.folder / "report"),
    ]


@pytest.fixture
def genuine(runtime: str) -> None:
    """Skip what a stand-in refuses."""
    if runtime == "stand-in":
        pytest.skip("a stand-in moves no rows: that it is refused is tested")


def test_a_stand_in_is_refused(stack: Stack, runtime: str) -> None:
    """No figure is ever reported from one."""
    if runtime != "stand-in":
        pytest.skip("this cluster is genuine")
    done = analyse(stack)
    assert done.code == 1
    assert "this cluster is a stand-in for Citus" in done.output
    assert not (stack.folder / "report").exists()


@pytest.mark.usefixtures("genuine")
def test_rows_of_others_are_left_alone(stack: Stack) -> None:
    """Tables that hold rows which the analysis did not load are refused, and keep them."""
    stack.query("insert into metodo_pago values (9, 'trueque', 0, true)")
    done = analyse(stack, "--scale", "1000")
    assert done.code == 1
    assert "table metodo_pago holds rows that the analysis did not load" in done.output
    assert stack.query("select nombre from metodo_pago") == ["trueque"]
    stack.query("delete from metodo_pago")


@pytest.mark.usefixtures("genuine")
def test_a_load_that_was_killed_goes_on(stack: Stack) -> None:
    """Killed between two transactions, it loads the blocks that are missing: every row once, as the sums show."""
    with subprocess.Popen(
        [*command(stack), "--scale", "300000", "--streams", "2"],
        cwd=stack.folder,
        env=stack.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        ledger = "select count(*) from citus_pulumi_analysis.block"
        there = "select to_regclass('citus_pulumi_analysis.block') is not null"
        stack.wait_until(lambda: stack.query(there) == [True] and stack.query(ledger)[0] > 0, "blocks are loaded")
        process.send_signal(signal.SIGKILL)
    loaded = stack.query(ledger)[0]
    code = (
        "import sys; from analysis.__main__ import *; find_pulumi()\n"
        f"outputs = read_outputs({stack.name!r})\n"
        "place, _ = find_cluster(outputs); done = load(place, Dataset(300000, SEED), streams=2, reload=False)\n"
        "print(sum(it.sales for it in done.totals.values()), done.rows)"
    )
    done = stack._run([f"{ROOT}/.venv/bin/python", "-c", code])
    assert done.code == 0, done.output
    sales, rows = map(int, done.output.split()[-2:])
    assert sales == 300_000
    assert 0 < loaded < stack.query(ledger)[0]
    assert (
        0 < rows < stack.query("select count(*) from venta")[0] + stack.query("select count(*) from detalle_venta")[0]
    )


@pytest.mark.usefixtures("genuine")
def test_another_dataset_is_refused_and_a_stray_row_is_found(stack: Stack) -> None:
    """What was asked for is not mixed with what is there; RELOAD throws away nothing that the analysis did not load."""
    done = analyse(stack, "--scale", "1000")
    assert done.code == 1
    assert "the tables hold 300000 sales" in done.output
    assert "RELOAD=1" in done.output
    stack.query("insert into venta (id_pais, id_sucursal, id_metodo_pago, canal_venta) values (4, 4001, 1, 'web')")
    done = analyse(stack, "--scale", "1000", "--reload")
    assert done.code == 1
    assert "country 4 of venta and detalle_venta is not what the analysis has loaded" in " ".join(done.output.split())
    stack.query("delete from venta where id_venta < 1000000")
    assert stack.query("select count(*) from venta") == [300_000]


@pytest.mark.usefixtures("genuine")
def test_the_report_says_what_was_measured(stack: Stack, runtime: str) -> None:
    """All ways give the same rows; the co-located join moves the same few bytes each time; nothing is left behind."""
    done = analyse(stack, "--whole", "--scale", "2000", "--reload")
    assert done.code == 0, done.output
    results = read_results(stack.folder / "report" / "data.json")
    assert len(results.answer) == 16
    ways = {it.key: it for it in results.own.scenarios}
    assert set(ways) == {"colocated", "repartition", "single_hash", "reference", "one_node"}
    assert len({(run.bytes, run.rows) for run in ways["colocated"].runs}) == 1
    assert ways["colocated"].runs[0].rows == 16
    assert ways["colocated"].map_tasks == 0 < ways["repartition"].map_tasks
    assert ways["repartition"].median > ways["colocated"].median
    assert sum(share.rows for share in ways["colocated"].nodes) == 16
    assert all(country.pinned for country in results.countries)
    assert results.country.shards == 1
    written = 12 if "pooler" in stack.settings else 6
    assert len(results.writes) == written
    for it in results.writes:  # workers on hosts let in nobody without a certificate, but by their poolers
        is_kept_out = runtime == "hosts" and it.entry == "worker"
        found = (0, "pg_hba.conf keeps its clients out") if is_kept_out else (1, "")
        assert (it.clients, len(it.rates), it.left_out) == (2, *found)
    assert_equal_shares(stack, results, runtime)
    assert stack.query("select nspname from pg_namespace where nspname like 'citus_pulumi_analysis_%'") == []
    assert stack.query("select datname from pg_database where datname like '%_one_node'") == []
    assert stack.password not in done.output


def assert_equal_shares(stack: Stack, results: Results, runtime: str) -> None:
    """Assert that nodes in containers had equal shares of the processors, and have no limit now; the report tells of others."""
    if runtime != "docker":
        assert results.shares_left_out == (
            "the nodes are on hosts" if runtime == "hosts" else "the nodes are no containers"
        )
        return
    assert results.shares
    names = [f"{stack.name}_{node}" for node in ("coordinator", "worker_1", "worker_2")]
    assert results.shares.containers == names
    assert all(it.rates for it in results.shares.writes)
    with closing(docker.from_env()) as engine:
        limits = {engine.containers.get(name).attrs["HostConfig"]["CpuQuota"] for name in names}
        assert engine.containers.list(filters={"label": f"citus-pulumi.analysis={names[0]}"}) == []
    assert limits == {-1}


@pytest.mark.usefixtures("genuine")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_the_report(stack: Stack, tmp_path: Path, width: int) -> None:
    """Opened from the disk, at a desktop's and a phone's width, it shows its answer and is not wider than the window."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no Chromium on this machine to open the report in")
    page = (stack.folder / "report" / "index.html").read_text("utf-8")
    measuring = "<script>document.title = `${document.documentElement.scrollWidth} of ${innerWidth}`</script></body>"
    (tmp_path / "page.html").write_text(page.replace("</body>", measuring), "utf-8")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--window-size={width},900",
        f"--user-data-dir={tmp_path}/profile",
    ]
    done = subprocess.run(
        [browser, *options, "--dump-dom", f"file://{tmp_path}/page.html"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = re.search(r"<title>(\d+) of (\d+)</title>", done.stdout)
    assert found, done.stdout[:500]
    assert int(found[1]) <= int(found[2])
    assert "as long, for the same answer" in done.stdout
