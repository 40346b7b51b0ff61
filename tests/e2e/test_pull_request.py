"""What a reviewer reads: changes of a clone, previewed against the stack as it was before, on a backend of their own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.e2e.stack import ROOT, Run, copy_tree
from tests.servers import find_installation

pytestmark = pytest.mark.needs("pulumi", "wheel")

TABLE = """create table bitacora (
    id_bitacora bigint not null,
    id_pais int not null,
    usuario int not null
);
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of this tree with one commit, which has one table more: the log of who did what, by country."""
    folder = tmp_path_factory.mktemp("clone")
    copy_tree(folder)
    (folder / "sql" / "schema" / "060_bitacora.sql").write_text(TABLE)
    bitacora = {"bitacora": {"distributeBy": "id_pais", "colocateWith": "sucursal"}}
    declare(folder, tables=bitacora, workers=2, shardCount=4, tenants={})
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "before"]):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *command], cwd=folder, check=True)
    return folder


@pytest.fixture(autouse=True)
def as_before(clone: Path) -> None:
    """Each change is one of the commit, not of the change before."""
    subprocess.run(["git", "stash", "-q", "-u"], cwd=clone, check=True)
    subprocess.run(["git", "stash", "drop", "-q"], cwd=clone, check=False, capture_output=True)


def declare(folder: Path, *, tables: dict[str, Any], **settings: Any) -> None:
    """Write settings of the stack dev."""
    file = folder / "Pulumi.dev.yaml"
    document = yaml.safe_load(file.read_text())
    document["config"]["citus:tables"] |= tables
    document["config"] |= {f"citus:{name}": value for name, value in settings.items()}
    file.write_text(yaml.safe_dump(document, sort_keys=False))


def review(clone: Path) -> tuple[Run, str]:
    """Review the clone's change; return the run, and the part of the text that everybody reads, ports made even."""
    file = clone / "review.md"
    command = [
        f"{ROOT}/.venv/bin/python",
        "-m",
        "cli",
        "review",
        "--stack",
        "dev",
        "--base",
        "HEAD",
        "--output",
        str(file),
    ]
    done = subprocess.run(command, cwd=clone, check=False, capture_output=True, text=True, timeout=240)
    text = file.read_text() if file.exists() else ""
    file.unlink(missing_ok=True)
    shown = text.partition("<details>")[0]
    first = min((int(port) for port in re.findall(r":(\d{5})`", shown)), default=0)
    shown = re.sub(r"\b(\d{5})\b", lambda it: f"<port {int(it[1]) - first}>", shown)
    return Run(done.returncode, done.stdout + done.stderr), shown


def test_a_worker_and_a_table_more(clone: Path) -> None:
    """What joins, what is copied to it, which file runs and how its table is distributed, and what all of that costs."""
    (clone / "sql" / "schema" / "070_devolucion.sql").write_text(
        "create table devolucion (id_devolucion uuid primary key, id_pais int not null);"
    )
    declare(clone, tables={"devolucion": {"distributeBy": "id_pais", "colocateWith": "sucursal"}}, workers=3)
    run, shown = review(clone)
    assert run.code == 0, run.output
    expected = EXPECTED["joins"]
    if find_installation(citus=True):  # a stand-in plans no moves
        copied = "- table `metodo_pago` is copied to `127.0.0.1:<port 0>`\n"
        expected = expected.replace("2 moved", "3 moved").replace(copied, f"{copied}{REBALANCED}")
    assert shown == expected


def test_another_distribution_column_is_rewritten_where_it_is_asked_for(clone: Path) -> None:
    """The table, both columns, and that every row is written anew."""
    declare(clone, tables={"bitacora": {"distributeBy": "usuario", "rewrite": True}})
    run, shown = review(clone)
    assert run.code == 0, run.output
    assert shown == EXPECTED["rewritten"]


def test_another_distribution_column_is_refused_where_it_is_not(clone: Path) -> None:
    """The preview's refusal is the comment, with the setting that allows it."""
    declare(clone, tables={"bitacora": {"distributeBy": "usuario"}})
    run, shown = review(clone)
    assert run.code == 1, run.output
    assert shown == EXPECTED["refused"]


def test_a_table_of_another_kind_is_told_by_both(clone: Path) -> None:
    """It is the same resource to Pulumi, whatever it is called."""
    declare(clone, tables={"bitacora": {"reference": True, "rewrite": True}})
    run, shown = review(clone)
    assert run.code == 0, run.output
    assert shown == EXPECTED["kind"]


def test_what_the_plan_refuses_stands_with_its_line(clone: Path) -> None:
    """A foreign key to a table that stays local, with file, line, column and remedy; no preview is tried."""
    (clone / "sql" / "schema" / "070_devolucion.sql").write_text(
        "create table motivo (id int primary key);\n"
        "create table devolucion (id_pais int not null, id_motivo int references motivo);\n"
    )
    declare(clone, tables={"devolucion": {"distributeBy": "id_pais", "colocateWith": "sucursal"}})
    run, shown = review(clone)
    assert run.code == 1, run.output
    assert shown == EXPECTED["plan"]


def test_a_stack_that_is_new_is_all_new(clone: Path) -> None:
    """Nothing is brought up for it, and all of it is told."""
    shutil.copy(clone / "Pulumi.dev.yaml", clone / "Pulumi.ana.yaml")
    command = [f"{ROOT}/.venv/bin/python", "-m", "cli", "review", "--stack", "ana", "--base", "HEAD"]
    done = subprocess.run(command, cwd=clone, check=False, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "HEAD has no such stack, so all of it is new" in done.stdout
    assert "table `bitacora` is distributed by `id_pais`" in done.stdout


def test_a_stack_of_ones_own(clone: Path, tmp_path: Path) -> None:
    """It is like another one, can be previewed at once, and its password stands nowhere in the open."""
    own = {"PULUMI_BACKEND_URL": f"file://{tmp_path}", "PULUMI_CONFIG_PASSPHRASE": "mine"}
    for command in (["new", "eva", "--like", "local"], ["review", "--stack", "eva"]):
        done = subprocess.run(
            [f"{ROOT}/.venv/bin/python", "-m", "cli", *command],
            cwd=clone,
            env={**os.environ, **own},
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "server `eva_coordinator` on port" in done.stdout
    config = yaml.safe_load((clone / "Pulumi.eva.yaml").read_text())["config"]
    assert list(config["citus:password"]) == ["secure"]


def test_a_commit_that_is_not_there_is_one_line(clone: Path) -> None:
    """Nothing is brought up, and nothing is left."""
    command = [f"{ROOT}/.venv/bin/python", "-m", "cli", "review", "--stack", "dev", "--base", "no-such"]
    done = subprocess.run(command, cwd=clone, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "rehearsal: `git archive" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_is_left_of_a_rehearsal() -> None:
    """No folder and no server."""
    assert list(Path(tempfile.gettempdir()).glob("citus-pulumi-rehearsal-*")) == []
    commands = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert [command for command in commands if "citus-pulumi-rehearsal-" in command] == []


NOTE = (
    "_Rehearsed: HEAD was brought up with PostgreSQL processes of the machine that ran this, without any rows, and the change "
    "was previewed against it._\n"
)
HEAD = "<!-- citus review: dev -->\n### Stack `dev`: "
NO_ROWS = "The cost is unknown: a rehearsal has no rows; a review of the stack itself asks its cluster.\n\n"
REBALANCED = (
    "- rebalance: 5 shards of 104 kB in 1 move\n\nCitus moves shards in the background, and reads and writes go on.\n"
)
EXPECTED = {
    "joins": f"""{HEAD}2 moved, 4 created

{NOTE}
**Moved or copied**

- table `cupon` is copied to `127.0.0.1:<port 0>`
- table `metodo_pago` is copied to `127.0.0.1:<port 0>`

**Created**

- server `citus_worker_3` on port <port 0>
- worker `127.0.0.1:<port 0>` joins
- `070_devolucion.sql` runs, once, in one transaction
- table `devolucion` is distributed by `id_pais`, colocated with `sucursal`; its primary key (id_devolucion) becomes \
(id_pais, id_devolucion)

Shards move to workers that join where `citus:rebalance` or `citus:tenants` say so. Existing rows of a table move to its shards; \
writes to it wait until that is done.

{NO_ROWS}""",
    "rewritten": f"""{HEAD}1 rewritten

{NOTE}
**Rewritten, row by row**

- table `bitacora`: distributed by `id_pais` → `usuario`; colocated with `sucursal` → nothing

Every row is rewritten, in one transaction per table. Reads and writes wait until it is done, and the old rows take disk \
space until then.

{NO_ROWS}""",
    "kind": f"""{HEAD}1 rewritten

{NOTE}
**Rewritten, row by row**

- table `bitacora`: distributed → a reference table

Every row is rewritten, in one transaction per table. Reads and writes wait until it is done, and the old rows take disk \
space until then.

{NO_ROWS}""",
    "refused": f"""{HEAD}the preview refuses it

{NOTE}
**Refused**

- table bitacora is distributed by id_pais, but is declared as distributed by usuario. Changing that rewrites every row and \
locks the table meanwhile, so it is done only where the settings ask for it: set citus:tables.bitacora.rewrite to true, or \
declare the table as it is

""",
    "plan": f"""{HEAD}the plan refuses it, 1 error

**Refused**

- `sql/schema/070_devolucion.sql:2:62` devolucion (id_motivo) → motivo: devolucion is distributed, but motivo stays on the \
coordinator. Fix: make it a reference table (citus:tables.motivo: {{reference: true}}), or distribute it too \
(`foreign-key-to-local`)

""",
}
"""The part of each review that stands open, to the letter."""
