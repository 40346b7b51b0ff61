"""Dumps as pg_dump writes them run on genuine Citus as files of the schema, and their tables are sharded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from components.database.scripts import ensure_script
from components.errors import StackError
from components.schema.statements import SqlFile
from tests.unit.test_dumps import DUMP

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.provider.resources import Cluster

pytestmark = pytest.mark.needs("citus")

TABLES = {"company": {"distributeBy": "id"}}


def up(cluster: Cluster, folder: Path, tables: Mapping[str, object], *files: str) -> None:
    """Run files, and shard the tables that they create, as an update does."""
    for number, text in enumerate(files, 1):
        (folder / f"{number}.sql").write_text(text, "utf-8")
    for resource in cluster.program(folder, tables):
        resource.up()


def test_a_dump_with_rows_runs_as_it_is(cluster: Cluster, tmp_path: Path) -> None:
    """Rows of COPY come through, what a newer server wrote is passed over, and the next file finds a plain session."""
    up(cluster, tmp_path, TABLES, DUMP, "create table later (id int)")
    assert cluster.rows("select id, name, mood::text from company order by id") == [
        (1, "Acme; 'quoted $$ -- all", "happy"),
        (2, "\\.", None),
    ]
    assert cluster.value("select to_regclass('public.later') is not null") is True
    assert cluster.value("select partmethod from pg_dist_partition where logicalrelid = 'company'::regclass") == "h"


def test_a_dump_with_rows_is_the_same_in_the_next_run(cluster: Cluster, tmp_path: Path) -> None:
    """It is known by its hash: nothing happens again, and an edited row is refused as an edited file."""
    (tmp_path / "1.sql").write_text(DUMP, "utf-8")
    (script, *_) = cluster.program(tmp_path, TABLES)
    assert script.up() == "create"
    assert "Acme" not in str(script.state)
    (again, *_) = cluster.program(tmp_path, TABLES)
    assert again.inputs == script.inputs
    assert script.up() == "same"
    (tmp_path / "1.sql").write_text(DUMP.replace("Acme", "Acne"), "utf-8")
    with pytest.raises(StackError, match=r"1\.sql was applied to this cluster and has been edited since"):
        cluster.program(tmp_path, TABLES)[0].up()


def test_rows_load_into_a_table_that_is_sharded_already(cluster: Cluster, tmp_path: Path) -> None:
    """A later file with rows goes to the shards."""
    first = "create table company (id bigint primary key, name text)"
    up(cluster, tmp_path, TABLES, first)
    up(cluster, tmp_path, TABLES, first, "copy company from stdin;\n1\ta\n2\tb\n3\tc\n\\.\n")
    assert cluster.rows("select * from company order by id") == [(1, "a"), (2, "b"), (3, "c")]


def test_a_wrong_row_is_located(cluster: Cluster, tmp_path: Path) -> None:
    """The error names the line of the row in the file, and nothing of the file remains."""
    with pytest.raises(StackError, match=r"^1\.sql:4:1: .*invalid input syntax for type integer.*nothing of this file"):
        up(cluster, tmp_path, {}, "create table t (a int);\ncopy t from stdin;\n1\nx\n\\.\n")
    assert cluster.value("select to_regclass('t')") is None


def test_owners_and_grants_of_roles_that_are_not_there_are_left_out(
    cluster: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What a role that is there may do is kept; the rest is told once a file."""
    cluster.run("create role dumped_reader")
    try:
        text = (
            "create schema app authorization someapp; create table app.t (id int primary key);"
            "alter table app.t owner to someapp;"
            "grant select on app.t to dumped_reader, other; revoke all on app.t from someapp;"
            "alter default privileges for role someapp grant select on tables to other;"
            "alter table app.t enable row level security; create policy p on app.t to dumped_reader, other using (true)"
        )
        up(cluster, tmp_path, {}, text)
        assert "other (3), someapp (4)" in capfd.readouterr().out
        assert cluster.value("select has_table_privilege('dumped_reader', 'app.t', 'select')") is True
        assert cluster.rows("select roles::text from pg_policies") == [("{dumped_reader}",)]
        assert cluster.value("select tableowner from pg_tables where tablename = 't'") == "postgres"
    finally:
        cluster.run("drop table if exists app.t; drop role dumped_reader")


def test_a_view_takes_the_place_of_its_dummy(cluster: Cluster, tmp_path: Path) -> None:
    """A view that depends on a key follows its dummy, with what shows the dummy between them."""
    text = """
        create table customer (id int not null, name text);
        create view report as select null::int as id, null::text as name, null::bigint as n;
        create view reports as select * from report;
        create function all_reports() returns setof report language plpgsql as 'begin return query select * from report; end';
        alter table only customer add constraint customer_pkey primary key (id);
        create or replace view report as select id, name, count(*) as n from customer group by id;
        create table company (id bigint primary key);
        insert into customer values (1, 'a')
    """
    up(cluster, tmp_path, {**TABLES, "customer": {"reference": True}}, text)
    for source in ("report", "reports", "all_reports()"):
        assert cluster.rows(f"select * from {source}") == [(1, "a", 1)]


def test_tables_with_triggers_are_sharded_where_that_is_allowed(cluster: Cluster) -> None:
    """The trigger is on every shard, and stays there when one is split."""
    cluster.run("""
        create table company (id bigint primary key, name text);
        create function f() returns trigger language plpgsql as $$ begin new.name := upper(new.name); return new; end $$;
        create trigger g before insert on company for each row execute function f()
    """)
    refused = cluster.distributed("company", "id", shard_count=2)
    with pytest.raises(StackError, match="has triggers"):
        refused.up()
    cluster.distributed("company", "id", shard_count=2).up(unsafe_triggers=True)
    cluster.run("insert into company values (1, 'a'), (2, 'b')")
    cluster.run("select isolate_tenant_to_new_shard('company', 1, 'CASCADE', 'block_writes')")
    cluster.run("insert into company values (3, 'c'), (4, 'd')")
    assert cluster.rows("select * from company order by id") == [(1, "A"), (2, "B"), (3, "C"), (4, "D")]


def test_a_file_that_is_edited_while_it_runs_leaves_nothing(cluster: Cluster, tmp_path: Path) -> None:
    """What is written down is what ran: where the file is another at the end, all of it is undone."""
    path = tmp_path / "1.sql"
    path.write_text("create table t (a int);\ncopy t from stdin;\n1\n\\.\n", "utf-8")
    file = SqlFile("1.sql", None, path)
    assert file.digest
    path.write_text("create table t (a int);\ncopy t from stdin;\n2\n\\.\n", "utf-8")
    with cluster.connected() as connection, pytest.raises(StackError, match=r"1\.sql was edited while it ran"):
        ensure_script(connection, file)
    assert cluster.value("select to_regclass('t')") is None
