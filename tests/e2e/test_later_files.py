"""Files that come to a stack whose tables are sharded: ordinary migrations go through, the others are refused at preview."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.e2e.nodes import DOCKER, LOCAL, STAND_IN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.stack import Run, Stack

RUNTIMES = [LOCAL, DOCKER, STAND_IN]
FIRST = """\
create table currency (code text primary key, name text);
insert into currency values ('EUR', 'euro'), ('USD', 'dollar');
create table shop (id_pais int not null, id int not null, primary key (id_pais, id));
create table sale (id_pais int not null, id bigint not null, shop int not null, primary key (id_pais, id),
  foreign key (id_pais, shop) references shop (id_pais, id));
insert into shop select c, i from generate_series(1, 4) c, generate_series(1, 5) i;
insert into sale select c, i, i % 5 + 1 from generate_series(1, 4) c, generate_series(1, 100) i;
create table item_kind (id int primary key);
insert into item_kind values (1);
create table item (tenant int not null, id bigint not null, sku varchar(30), price numeric, note text, primary key (id));
insert into item select i % 10, i, 's', 1, 'n' from generate_series(1, 100) i;
"""
IDENTITY = """\
create table invoice (
    id bigint generated always as identity,
    tenant int not null,
    item bigint references item (id),
    currency text not null references currency (code),
    primary key (id)
);
insert into invoice (tenant, item, currency) values (1, 1, 'EUR');
"""
RENAME = """\
alter table shop rename column id_pais to country_id;
alter table sale rename column id_pais to country_id;
"""
ORDINARY = """\
alter table item add column seq bigserial;
alter table item add column kind text check (kind in ('a', 'b'));
alter table item add column ref int default 1 references item_kind (id), alter column sku type varchar(50);
alter table item rename constraint item_pkey to item_pk;
update item set price = price * random();
alter table item add column created timestamptz not null default clock_timestamp();
"""
REFUSED = {
    "a-widen": "alter table item alter column tenant type bigint;",
    "d-statistics": "alter table item alter column note set statistics 500;",
    "e-identity": "alter table item add column pos bigint generated always as identity;",
    "l-cluster": "alter table item cluster on item_pkey;",
    "o-storage": "alter table item alter column note set storage external;",
}


def tables(country: str, *, invoice: bool) -> dict[str, Any]:
    """Return the settings of the tables, with the country's column as it is called."""
    return {
        "currency": {"reference": True},
        "item_kind": {"reference": True},
        "shop": {"distributeBy": country},
        "sale": {"distributeBy": country, "colocateWith": "shop"},
        "item": {"distributeBy": "tenant"},
        **({"invoice": {"distributeBy": "tenant", "colocateWith": "item"}} if invoice else {}),
    }


@pytest.fixture(scope="module")
def schema(runtime: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the schema with its first file, one for each runtime."""
    folder = tmp_path_factory.mktemp("later")
    (folder / "010.sql").write_text(FIRST)
    return folder


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack], schema: Path) -> Stack:
    """The tables of the first file, sharded."""
    stack = new_stack("later", schemaDir=str(schema), tables=tables("id_pais", invoice=False))
    up = stack.up()
    assert up.code == 0, up.output
    return stack


def plan(stack: Stack) -> Run:
    """Run `make plan`, which asks no database, and has no passphrase."""
    unable = {"PULUMI_CONFIG_PASSPHRASE": "", "PULUMI_CONFIG_PASSPHRASE_FILE": "/dev/null"}
    return stack._run([sys.executable, "-m", "cli", "plan", "--stack", stack.name], **unable)


def test_what_citus_refuses_is_found_before_anything_runs(stack: Stack, schema: Path) -> None:
    """Each file is an error of the preview and of the plan, with its place; a later change of the file mends it."""
    for name, text in REFUSED.items():
        (schema / f"020-{name}.sql").write_text(text)
    preview, planned = stack.preview(), plan(stack)
    for name in REFUSED:
        assert f"020-{name}.sql:1:1" in preview.output, preview.output
        assert f"020-{name}.sql:1:1" in planned.output, planned.output
        (schema / f"020-{name}.sql").unlink()
    assert (preview.code != 0, planned.code) == (True, 1)
    assert "by its state (1 files applied, 5 tables sharded): 5 errors" in planned.output
    assert plan(stack).code == 0


def test_ordinary_migrations_go_through(stack: Stack, schema: Path, runtime: str) -> None:
    """A new table with an identity, a renamed distribution column, and a column of each kind: no row of others moves."""
    shards = "select logicalrelid::text, shardid, groupid from pg_dist_shard join pg_dist_placement using (shardid) order by 2, 3"
    before = stack.query(shards)
    (schema / "020-invoice.sql").write_text(IDENTITY)
    (schema / "030-rename.sql").write_text(RENAME)
    (schema / "040-ordinary.sql").write_text(ORDINARY)
    stack.set(tables=tables("country_id", invoice=True))
    preview = stack.preview()
    assert preview.code == 0, preview.output
    assert "its distribution column is called country_id now; no row moves" in preview.output
    up = stack.up()
    assert up.code == 0, up.output
    assert [row for row in stack.query(shards) if row[0] != "invoice"] == before
    assert stack.query("select count(*), count(distinct id_pais) from (select country_id as id_pais from sale) s") == [
        (400, 4)
    ]
    keys = "select conname from pg_constraint where contype = 'f' and conrelid = 'invoice'::regclass order by 1"
    assert stack.query(keys) == ["invoice_currency_fkey", "invoice_item_fkey"]
    if runtime != "stand-in":  # which has no shards to be numbered apart
        assert stack.query("select count(distinct seq), count(distinct price) from item") == [(100, 100)]
    names = (
        "select conname from pg_constraint where conrelid = 'item'::regclass and contype in ('c', 'f', 'p') order by 1"
    )
    assert stack.query(names) == ["item_kind_check", "item_pk", "item_ref_fkey"]


def test_another_up_changes_nothing(stack: Stack) -> None:
    """Right after, and after a refresh; and the plan knows the files."""
    assert stack.preview("--expect-no-changes").code == 0
    assert stack.refresh().code == 0
    again = stack.preview("--expect-no-changes")
    assert again.code == 0, again.output
    assert "(4 files applied, 6 tables sharded): 0 errors" in plan(stack).output


def test_a_file_that_fails_halfway_leaves_nothing(stack: Stack, schema: Path) -> None:
    """Neither what it did before the statement that fails, nor a record of it; mended, it goes through."""
    file = schema / "050-halfway.sql"
    file.write_text("alter table item add column half serial;\nupdate item set sku = sku || '1';\nselect 1 / 0;")
    up = stack.up()
    assert up.code != 0
    assert "050-halfway.sql:3:1: division by zero" in up.output, up.output
    assert stack.query("select count(*) from item where sku = 's'") == [100]
    assert stack.query("select count(*) from pg_attribute where attname = 'half' and attnum > 0") == [0]
    assert stack.query("select file_name from citus_pulumi.script where file_name ~ 'halfway'") == []
    file.write_text("alter table item add column half serial;")
    up = stack.up()
    assert up.code == 0, up.output


def test_a_table_takes_another_name_in_place(stack: Stack, schema: Path) -> None:
    """A file renames it, and the settings with it: its shards stay, and those colocated with it."""
    (schema / "060-store.sql").write_text("alter table shop rename to store;")
    known = tables("country_id", invoice=True)
    stack.set(
        tables={
            **{name: how for name, how in known.items() if name not in ("shop", "sale")},
            "store": {"distributeBy": "country_id"},
            "sale": {"distributeBy": "country_id", "colocateWith": "store"},
        }
    )
    shards = "select shardid from pg_dist_shard order by 1"
    before = stack.query(shards)
    up = stack.up()
    assert up.code == 0, up.output
    assert stack.query(shards) == before
    assert stack.preview("--expect-no-changes").code == 0


def test_a_file_outside_a_transaction_goes_on_where_it_was_killed(stack: Stack, schema: Path) -> None:
    """An update that is killed while it builds an index CONCURRENTLY: the next one ends the file, and the index is valid."""
    (schema / "070-index.sql").write_text(
        "-- citus: no transaction\ncreate type mood as enum ('a');\nalter type mood add value 'b';\n"
        "create index concurrently item_note on item (note);\nalter table item add column mood mood default 'b';\n"
    )
    with stack.transaction() as writer:
        writer.execute("update item set note = 'later' where id = 1 and tenant = 1")
        stack.kill_up_at("waiting for a lock", signal.SIGKILL)
        assert stack.query("select number from citus_pulumi.statement where done order by 1") == [1, 2]
    stack.recover()
    up = stack.up()
    assert up.code == 0, up.output
    assert stack.query("select indisvalid from pg_index where indexrelid = 'item_note'::regclass") == [True]
    assert stack.query("select distinct mood::text from item") == ["b"]
    assert stack.query("select * from citus_pulumi.statement") == []
    assert stack.preview("--expect-no-changes").code == 0


def test_a_table_that_is_put_in_the_place_of_another_is_sharded(stack: Stack, schema: Path) -> None:
    """Filled from it and renamed: one update shards the new one, and a refresh finds no drift. A renamed schema is followed."""
    (schema / "080-swap.sql").write_text(
        "create table sale_new (like sale including all); insert into sale_new select * from sale;\n"
        "drop table sale; alter table sale_new rename to sale;\n"
        "create schema old; alter table item_kind set schema old; alter schema old rename to kept;"
    )
    document = yaml.safe_load(stack.config.read_text())["config"]["citus:tables"]
    document["kept.item_kind"] = document.pop("item_kind")
    stack.set(tables=document)
    preview = stack.preview()
    assert preview.code == 0, preview.output
    assert "sale: 080-swap.sql creates it again, and it is sharded again" in preview.output
    up = stack.up()
    assert up.code == 0, up.output
    assert "sale" in stack.query("select logicalrelid::text from pg_dist_partition where partmethod = 'h'")
    assert stack.query("select count(*) from sale") == [400]
    assert stack.refresh().code == 0
    again = stack.preview("--expect-no-changes")
    assert again.code == 0, again.output
