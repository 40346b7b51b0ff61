"""A schema for each tenant, distributed as a whole: through files and settings, from the first update to a worker that leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.nodes import LOCAL, STAND_IN
from tests.e2e.stack import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.stack import Stack

RUNTIMES = [LOCAL, STAND_IN]
FILES = {
    "010.sql": "create table kind (id int primary key, name text);\ninsert into kind values (1, 'one');\n",
    "020.sql": """\
create schema tenant_a;
create table tenant_a.sale (id bigint generated always as identity primary key, kind int not null references kind);
create table tenant_a.item (sale bigint references tenant_a.sale on delete cascade, n int, primary key (sale, n));
insert into tenant_a.sale (kind) select 1 from generate_series(1, 100);
insert into tenant_a.item select id, 1 from tenant_a.sale;
create schema "tenant B";
create table "tenant B".sale (id int primary key, kind int references kind);
insert into "tenant B".sale select i, 1 from generate_series(1, 50) i;
create table refund (country int, id int, primary key (country, id));
create function give_back(country int, id int) returns int language plpgsql as $$
begin
    insert into refund values (country, id);
    return current_setting('port');
end $$;
""",
}
TABLES = {"kind": {"reference": True}, "refund": {"distributeBy": "country"}}
FUNCTIONS = {"give_back(integer, integer)": {"distributeBy": "country", "colocateWith": "refund"}}
PLACED = (
    "select n.nspname, string_agg(distinct w.nodename || ':' || w.nodeport, ' ') from pg_dist_schema s"
    " join pg_namespace n on n.oid = s.schemaid join pg_dist_partition using (colocationid)"
    " join pg_dist_shard using (logicalrelid) join pg_dist_placement using (shardid) join pg_dist_node w using (groupid)"
    " group by 1 order by 1"
)


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack]) -> Stack:
    """Two tenants with a schema each, one of them on the second worker."""
    schemas = {"tenant_a": {"worker": 2}, '"tenant B"': {}}
    stack = new_stack("schemas", schemaDir="tenants", tables=TABLES, schemas=schemas, functions=FUNCTIONS)
    (stack.folder / "tenants").mkdir()
    for name, text in FILES.items():
        (stack.folder / "tenants" / name).write_text(text)
    up = stack.up()
    assert up.code == 0, up.output
    assert "schema tenant_a: its tables are together on" in up.output
    return stack


def command(stack: Stack, *arguments: str) -> str:
    """Run one of the project's own commands, which must succeed."""
    done = stack._run([f"{ROOT}/.venv/bin/python", "-m", "cli", *arguments, "--stack", stack.name])
    assert done.code == 0, done.output
    return done.output


def is_settled(stack: Stack) -> bool:
    """Tell whether a second update has nothing to do, after a refresh too."""
    same = stack.preview("--expect-no-changes").code == 0
    return same and stack.refresh().code == 0 and stack.preview("--expect-no-changes").code == 0


def test_each_schema_is_on_one_worker(stack: Stack, runtime: str) -> None:
    """With its rows and keys; a second update changes nothing."""
    workers = stack.outputs()["workers"]
    placed = dict(stack.query(PLACED))
    assert placed["tenant_a"] == workers[1]
    assert placed["tenant B"] in workers
    assert stack.outputs()["schemas"] == {
        "tenant_a": {"kind": "distributed", "node": workers[1], "tables": 2, "pinned": True},
        '"tenant B"': {"kind": "distributed", "tables": 1, "pinned": False},
    }
    assert stack.query(
        "select count(*) from tenant_a.item join tenant_a.sale on id = sale join kind on kind = kind.id"
    ) == [100]
    with pytest.raises(Exception, match="violates foreign key constraint"):
        stack.query("insert into tenant_a.sale (kind) values (7)")
    assert is_settled(stack)


def test_a_function_runs_on_the_worker_of_its_tenant(stack: Stack, runtime: str) -> None:
    """In one round trip, with all that it writes."""
    assert stack.outputs()["functions"] == {"give_back(int4, int4)": {"argument": "country", "colocateWith": "refund"}}
    if runtime == "local":
        of_shard = "select nodeport from pg_dist_placement join pg_dist_node using (groupid) where shardid = "
        for country in range(1, 5):
            (worker,) = stack.query(f"{of_shard} get_shard_id_for_distribution_column('refund', {country})")
            assert stack.query(f"select give_back({country}, 1)") == [worker]


def test_people_see_the_schemas(stack: Stack, runtime: str) -> None:
    """`show` has their tables as they are, and `residency` counts their rows on the workers."""
    assert "single shard" in command(stack, "show")
    if runtime != "stand-in":
        told = command(stack, "residency")
        assert "tenant_a.item" in told
        assert "every row is on the worker of its tenant" in told


def test_a_table_that_a_later_file_adds_is_part_of_its_schema(stack: Stack) -> None:
    """It is on the schema's worker at once, with its key to a reference table."""
    later = "create table tenant_a.refund (sale bigint references tenant_a.sale, kind int references kind);\n"
    (stack.folder / "tenants" / "030.sql").write_text(later)
    up = stack.up()
    assert up.code == 0, up.output
    assert dict(stack.query(PLACED))["tenant_a"] == stack.outputs()["workers"][1]
    assert stack.outputs()["schemas"]["tenant_a"]["tables"] == 3
    assert is_settled(stack)


def test_what_cannot_be_is_refused_before_anything_is_touched(stack: Stack, settings: None) -> None:
    """A worker that is not there, a schema that no file creates, a table that is sharded by itself, in one line each."""
    wrong: dict[str, dict[str, Any]] = {
        "there are workers 1 to 2": {"schemas": {"tenant_a": {"worker": 3}}},
        "creates this schema (did you mean tenant_a?)": {"schemas": {"tenant_x": {}}},
        "and all its tables with it": {"tables": {**TABLES, "tenant_a.item": {"distributeBy": "sale"}}},
        "undistribute the schema: citus:schemas.tenant_a": {
            "schemas": {'"tenant B"': {}},
            "tables": {**TABLES, "tenant_a.item": {"distributeBy": "sale"}},
        },
    }
    before = stack.config.read_text()
    for reason, changed in wrong.items():
        stack.set(**changed)
        preview = stack.preview()
        assert preview.code != 0
        assert reason in preview.output
        stack.config.write_text(before)


def test_a_schema_moves_with_the_settings_and_leaves_with_its_worker(stack: Stack) -> None:
    """Online, to the worker that is declared; one that no setting places leaves a worker that is to go."""
    stack.set(schemas={"tenant_a": {"worker": 1}, '"tenant B"': {}})
    up = stack.up()
    assert up.code == 0, up.output
    first = stack.outputs()["workers"][0]
    assert dict(stack.query(PLACED))["tenant_a"] == first
    stack.set(workers=1)
    up = stack.up()
    assert up.code == 0, up.output
    assert dict(stack.query(PLACED)) == {"tenant_a": first, "tenant B": first}
    assert stack.query('select (select count(*) from tenant_a.item), (select count(*) from "tenant B".sale)') == [
        (100, 50)
    ]
    assert is_settled(stack)


def test_a_schema_that_a_later_file_renames_stays_distributed(stack: Stack) -> None:
    """Under its new name in the settings, where its shard is; the old name is forgotten."""
    before = dict(stack.query(PLACED))["tenant B"]
    (stack.folder / "tenants" / "040.sql").write_text('alter schema "tenant B" rename to tenant_b;\n')
    assert '"tenant B": no SQL file' in stack.preview().output
    stack.set(schemas={"tenant_a": {"worker": 1}, "tenant_b": {}})
    up = stack.up()
    assert up.code == 0, up.output
    assert dict(stack.query(PLACED))["tenant_b"] == before
    assert stack.query("select count(*) from tenant_b.sale") == [50]
    assert is_settled(stack)


def test_a_schema_comes_back(stack: Stack) -> None:
    """Its tables are local, with their rows; taken out of the settings, it stays as it is."""
    stack.set(schemas={"tenant_a": {"worker": 1}, "tenant_b": {"undistribute": True}})
    up = stack.up()
    assert up.code == 0, up.output
    assert [name for name, _ in stack.query(PLACED)] == ["tenant_a"]
    assert stack.query("select count(*) from tenant_b.sale") == [50]
    assert is_settled(stack)
    stack.set(schemas=None)
    assert stack.up().code == 0
    assert [name for name, _ in stack.query(PLACED)] == ["tenant_a"]


def test_destroy_removes_every_trace(stack: Stack) -> None:
    """Nothing is left of the nodes."""
    assert stack.destroy().code == 0
    assert stack.leftovers() == []
