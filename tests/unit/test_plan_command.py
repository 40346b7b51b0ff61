"""`python -m cli plan`: findings and steps of a folder, in three formats, without an engine or a database."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.plan import plan_command
from components.errors import PlanError
from components.plan.page import PAGE, with_rules
from components.plan.plan import ShardingPlan
from components.plan.rules import RULES
from components.schema.files import Schema
from components.settings import Settings

ROOT = Path(__file__).parents[2]
SQL = "create table t (\n  x int not null,\n  id int unique\n);\ncreate table r (id int primary key);\n"
SETTINGS = """\
encryptionsalt: v1:abc
config:
  citus:password:
    secure: v1:def
  citus:shardCount: 8
  citus:tables:
    T: {distributeBy: x}
    r:
      reference: true
"""


@pytest.fixture(autouse=True)
def no_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend without any stack: every plan is that of a new one."""
    (tmp_path / "state").mkdir()
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path / 'state'}")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own: one file of SQL, one stack, and that is the current folder."""
    (tmp_path / "sql" / "schema").mkdir(parents=True)
    (tmp_path / "sql" / "schema" / "1.sql").write_text(SQL, "utf-8")
    (tmp_path / "Pulumi.dev.yaml").write_text(SETTINGS, "utf-8")
    shutil.copy(ROOT / "Pulumi.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def document(capsys: pytest.CaptureFixture[str], stack: str = "") -> tuple[int, dict[str, Any]]:
    """Return the exit code and what `--format json` says."""
    code = plan_command(stack, "json")
    shown = json.loads(capsys.readouterr().out)
    assert isinstance(shown, dict)
    return code, shown


def test_the_demonstration_has_a_plan(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Both stacks of the repository can be carried out; files come before tables, and the keys' rewriting is told."""
    monkeypatch.chdir(ROOT)
    for stack in ("dev", "local"):
        code, shown = document(capsys, stack)
        assert (code, shown["errors"], shown["stack"]) == (0, 0, stack)
        kinds = [step["kind"] for step in shown["steps"]]
        assert kinds == sorted(kinds, key=["file", "table", "tenants"].index)
        assert [step["step"] for step in shown["steps"]] == list(range(1, len(kinds) + 1))
        venta = next(step for step in shown["steps"] if step.get("table") == "venta")
        assert venta["primaryKey"] == {"from": ["id_venta"], "to": ["id_pais", "id_venta"]}
        assert {key["references"] for key in venta["restored"]} == {"sucursal", "metodo_pago", "cupon"}
    assert plan_command("", "text") == 0
    shown_text = capsys.readouterr().out
    assert "venta: distributed by id_pais, colocated with sucursal" in shown_text
    assert "  12  tenants of sucursal: 1 on worker 1, 2 on worker 2, 3 on worker 3, 4 on worker 4" in shown_text


def test_an_error_is_shown_with_its_place_and_ends_with_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The text names rule, file, line and column, then the steps; the exit code is 1."""
    assert plan_command("dev", "text") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(
        "error [unique-key] sql/schema/1.sql:3:10: t: this unique (id) lacks the distribution column x"
    )
    assert lines[1].startswith("    fix: make it (x, id), or remove it: alter table t drop constraint t_id_key")
    assert lines[2:] == [
        "stack dev, as a new one: 1 errors, 0 warnings; 3 steps",
        "   1  run sql/schema/1.sql",
        "   2  r: a copy on every node",
        "   3  t: distributed by x (group of t, 8 shards)",
    ]


def test_json_says_everything(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The document is the one that docs/plan.md describes."""
    code, shown = document(capsys)
    (finding,) = shown.pop("findings")
    steps = shown.pop("steps")
    assert (code, shown) == (
        1,
        {"version": 1, "stack": "dev", "errors": 1, "warnings": 0, "applied": None, "patterns": []},
    )
    assert {key: finding[key] for key in ("severity", "rule", "file", "line", "column", "table", "setting")} == {
        "severity": "error",
        "rule": "unique-key",
        "file": "sql/schema/1.sql",
        "line": 3,
        "column": 10,
        "table": "t",
        "setting": "",
    }
    assert finding["source"] == RULES["unique-key"].source
    assert steps[0] == {"step": 1, "kind": "file", "file": "sql/schema/1.sql", "transaction": True}
    assert steps[2] == {
        "step": 3,
        "kind": "table",
        "table": "t",
        "how": "distributed",
        "column": "x",
        "colocateWith": None,
        "group": "t",
        "shardCount": 8,
        "primaryKey": None,
        "after": [],
        "setAside": [],
        "restored": [],
        "pattern": None,
    }
    documented = (ROOT / "docs" / "plan.md").read_text("utf-8")
    assert all(f"`{field}`" in documented for field in {*shown, "findings", "steps", *finding, *steps[0], *steps[2]})


MANY = "".join(f"create table t{n} (x int not null, id int unique);\n" for n in range(8))
TABLES_OF_MANY = {f"t{n}": {"distributeBy": "x"} for n in range(8)}


@pytest.fixture
def many(folder: Path) -> Path:
    """A project with eight findings of one kind, and seven of another."""
    (folder / "sql" / "schema" / "1.sql").write_text(MANY, "utf-8")
    tables = "".join(f"    {name}: {json.dumps(table)}\n" for name, table in TABLES_OF_MANY.items())
    (folder / "Pulumi.dev.yaml").write_text(SETTINGS[: SETTINGS.index("    T:")] + tables, "utf-8")
    return folder


def test_many_findings_of_one_kind_are_one_with_a_list(many: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The text shows the first five, and how many more there are; JSON and the annotations have each."""
    assert plan_command("dev", "text") == 1
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("error [unique-key] 8 findings of one kind: A UNIQUE or EXCLUDE constraint")
    assert rest[0].startswith("    sql/schema/1.sql:1:41: t0: this unique (id) lacks the distribution column x")
    assert rest[5:7] == [
        "    and 3 more, each in `make plan FORMAT=json`",
        "    fix: `make plan MEND=<file>` writes the statements for 8 of them",
    ]
    assert rest[7].startswith("warning [separate-groups] 7 findings of one kind: ")
    assert rest[14] == "    fix: Add `colocateWith`."
    assert rest[13] == "    and 2 more, each in `make plan FORMAT=json`"

    assert len(document(capsys)[1]["findings"]) == 15
    plan_command("dev", "github")
    assert len(capsys.readouterr().out.splitlines()) == 15


def test_a_preview_lists_many_errors_of_one_kind(many: Path) -> None:
    """What stops an update is shortened in the same way."""
    settings = Settings.parse({"password": "x", "tables": json.dumps(TABLES_OF_MANY)}, stack="dev")
    with pytest.raises(PlanError) as caught:
        ShardingPlan.make(Schema.read(many / "sql" / "schema"), settings)
    first, *rest = str(caught.value).splitlines()
    assert first.startswith("unique-key: 8 findings of one kind: ")
    assert len(rest) == 7


def test_a_mend_is_written_as_a_file_of_the_schema(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan with the file has none of the errors that it mends, and the code says so."""
    assert plan_command("dev", "text", "900.sql") == 0
    assert capsys.readouterr().out == (
        "wrote sql/schema/900.sql: 1 statements for 1 findings; 0 are left to you, as comments at its end. A plan with it has 0 "
        "errors, 0 warnings\n"
    )
    text = (folder / "sql" / "schema" / "900.sql").read_text("utf-8")
    assert "-- [unique-key] sql/schema/1.sql:3:10: t: this unique (id) lacks the distribution column x" in text
    assert "\nalter table t drop constraint t_id_key, add constraint t_id_key unique (x, id);\n" in text
    code, shown = document(capsys)
    assert (code, shown["findings"]) == (0, [])


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("sql/schema/1.sql", "the file is there already: name another one"),
        ("0.sql", "it would run before 1.sql: give it a name that sorts behind that"),
        ("900.txt", "it has to be a file of the schema: name one in "),
        ("elsewhere/900.sql", "such as sql/schema/900_mend.sql"),
    ],
)
def test_a_mend_is_a_new_file_behind_the_others(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, why: str
) -> None:
    """Any other name is refused before something is written."""
    assert plan_command("dev", "text", name) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith(f"--mend {name}: ")
    assert why in shown.err
    assert [path.name for path in folder.rglob("*.sql")] == ["1.sql"]
    assert (folder / "sql" / "schema" / "1.sql").read_text("utf-8") == SQL


def test_a_mend_of_what_cannot_be_read_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a plan there is nothing to mend."""
    (folder / "sql" / "schema" / "1.sql").write_text("create tabel t", "utf-8")
    assert plan_command("dev", "text", "900.sql") == 1
    assert "cannot be read, so there is no plan yet" in capsys.readouterr().err


def test_where_sql_mends_nothing_no_file_is_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan whose findings are up to settings, or that has none, needs no file."""
    (folder / "sql" / "schema" / "1.sql").write_text(SQL.replace(" unique", ""), "utf-8")
    assert plan_command("dev", "text", "900.sql") == 0
    assert capsys.readouterr().out == "nothing to mend by SQL: 0 findings are left, see `make plan`\n"
    assert not (folder / "sql" / "schema" / "900.sql").exists()


def test_annotations_are_escaped_as_github_wants(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of properties, the colon and the comma are escaped too; of the message, percent signs and ends of lines."""
    (folder / "sql" / "schema" / "1.sql").rename(folder / "sql" / "schema" / "1,50%: a.sql")
    assert plan_command("dev", "github") == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(
        "::error file=sql/schema/1%2C50%25%3A a.sql,line=3,col=10,title=unique-key::t: this unique (id) lacks"
    )


@pytest.mark.parametrize(
    ("settings", "rule", "line"),
    [
        ("    u: {reference: true}\n", "unknown-table", 7),
        ("    u:\n      reference: true\n", "unknown-table", 7),
        ("    '\"T\"': {reference: true}\n", "unknown-table", 7),
        ("    r: {reference: true}\n    T:\n      distributeBy: x\n      colocateWith: r\n", "colocate-reference", 10),
        ("    t: {distributeBy: x, reference: true}\n", "settings", 7),
    ],
)
def test_a_setting_at_fault_is_found_in_the_stacks_file(
    folder: Path, capsys: pytest.CaptureFixture[str], settings: str, rule: str, line: int
) -> None:
    """A finding about a setting stands at its line of Pulumi.<stack>.yaml, and has no column."""
    head = SETTINGS[: SETTINGS.index("    T:")]
    (folder / "Pulumi.dev.yaml").write_text(f"{head}{settings}", "utf-8")
    code, shown = document(capsys)
    (finding,) = shown["findings"]
    assert (code, finding["rule"], finding["file"], finding["line"]) == (
        1,
        rule,
        "Pulumi.dev.yaml",
        line,
    )
    assert finding["column"] is None


@pytest.mark.parametrize(
    ("tenants", "setting", "line"),
    [
        ("    t: {spread: [1, two]}\n", "citus:tenants.t", 9),
        ("    r: {spread: [1]}\n    T:\n      pin:\n        '1': 9\n", "citus:tenants.r", 9),
        ("    T:\n      pin:\n        '1': 9\n", "citus:tenants.t.pin.1 = 9", 9),
    ],
)
def test_tenants_that_cannot_be_placed_are_findings(
    folder: Path, capsys: pytest.CaptureFixture[str], tenants: str, setting: str, line: int
) -> None:
    """What stops an update is told by the plan, at its line, and no step places them."""
    (folder / "sql" / "schema" / "1.sql").write_text(SQL.replace(" unique", ""), "utf-8")
    settings = SETTINGS.replace("    r:\n      reference: true\n", "    r: {reference: true}\n")
    (folder / "Pulumi.dev.yaml").write_text(
        f"{settings}  citus:tenants:\n{tenants}".replace("  citus:shardCount: 8\n", "")
    )
    code, shown = document(capsys)
    first = shown["findings"][0]
    assert (code, first["rule"], first["setting"], first["line"]) == (1, "tenants", setting, line)
    assert "tenants" not in [step["kind"] for step in shown["steps"]]


def test_every_step_of_an_update_is_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tables that become local come before those that are sharded, tenants last; more of them than workers are spread."""
    (folder / "sql" / "schema" / "1.sql").write_text(f"{SQL.replace(' unique', '')}create table was (id int);", "utf-8")
    tenants = (
        "    was: {undistribute: true}\n  citus:workers: 2\n  citus:tenants:\n    t: {pin: {'7': 2}, spread: [1, 2]}\n"
    )
    (folder / "Pulumi.dev.yaml").write_text(SETTINGS + tenants, "utf-8")
    assert plan_command("dev", "text") == 0
    assert capsys.readouterr().out.splitlines() == [
        "stack dev, as a new one: 0 errors, 0 warnings; 5 steps",
        "   1  run sql/schema/1.sql",
        "   2  was: local again, on the coordinator only",
        "   3  r: a copy on every node",
        "   4  t: distributed by x (group of t, 8 shards)",
        "   5  tenants of t: 7 on worker 2; 1, 2 over the workers by size",
    ]


def test_a_value_is_no_part_of_the_message(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever characters a wrong value has, the finding has the setting and the message apart."""
    (folder / "Pulumi.dev.yaml").write_text(f"{SETTINGS}  citus:image: 'a: b'\n", "utf-8")
    code, shown = document(capsys)
    (finding,) = shown["findings"]
    assert (code, finding["rule"], finding["setting"], finding["line"]) == (1, "settings", "citus:image = 'a: b'", 10)
    assert finding["message"].startswith("String should match")


def test_sql_that_does_not_parse_is_a_finding_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What PostgreSQL's grammar refuses has its place like any finding."""
    (folder / "sql" / "schema" / "2.sql").write_text("select 1;\nselect from where", "utf-8")
    code, shown = document(capsys)
    (finding,) = shown["findings"]
    assert (code, finding["rule"], finding["file"], finding["line"]) == (1, "sql", "sql/schema/2.sql", 2)


def test_warnings_alone_end_well(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What works but hurts is shown, and the exit code is 0."""
    (folder / "sql" / "schema" / "1.sql").write_text("create table t (x int); create table r (id int)", "utf-8")
    assert plan_command("dev", "github") == 0
    assert capsys.readouterr().out.startswith("::warning file=sql/schema/1.sql,line=1,col=1,title=nullable-column::")


@pytest.mark.parametrize(
    ("stack", "output", "code", "said"),
    [
        ("prod", "text", 1, "Pulumi.prod.yaml: there is no such file: name one of the stacks dev"),
        ("dev", "xml", 2, "--format xml: name one of text, json, github"),
    ],
)
def test_what_cannot_be_shown_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str], stack: str, output: str, code: int, said: str
) -> None:
    """An unknown stack or format is one line."""
    assert plan_command(stack, output) == code
    assert capsys.readouterr().err == f"{said}\n"


def test_the_command_needs_neither_an_engine_nor_a_password() -> None:
    """It runs as a process of its own, with nothing in the environment."""
    done = subprocess.run(
        [sys.executable, "-m", "cli", "plan", "--format", "json"],
        cwd=ROOT,
        env={"PATH": os.defpath, "HOME": "/nonexistent"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["stack"] == "dev"


def test_the_page_of_the_rules_is_made_from_them() -> None:
    """docs/plan.md has every rule with its words, and none that is not there; `make rules` writes it."""
    page = PAGE.read_text("utf-8")
    assert page == with_rules(page)
    assert re.findall(r"^#### (.*)$", page, re.MULTILINE) == list(RULES)
