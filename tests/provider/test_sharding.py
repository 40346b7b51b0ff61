"""Schema files, distributed tables and reference tables on genuine Citus: every row comes through, every key holds."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from components.database import connections, statements
from components.errors import DriftError, NotReadyError, ReshardingError, StackError
from tests.provider.resources import RefusedError
from tests.provider.seen import GATE, eventually, keys, kind, leftovers, metadata, set_aside
from tests.retail import RETAIL_SCHEMA, RETAIL_TABLES
from tests.servers import HOST

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.provider.resources import Cluster, Resource

pytestmark = pytest.mark.needs("citus")

ROOT = Path(__file__).parent.parent.parent
RETAIL_ROWS = """
    insert into metodo_pago (id_metodo_pago, nombre) values (1, 'efectivo'), (2, 'tarjeta');
    insert into cupon values (1, 'VERANO', 0.1, '2025-01-01', '2025-12-31');
    insert into sucursal select i, 1 + i % 4, 'país ' || i % 4, 'Centro', 'Capital' from generate_series(1, 40) i;
    insert into producto select i, 1 + i % 4, 'producto ' || i, 'café', i, i / 2.0 from generate_series(1, 80) i;
    insert into venta (id_pais, id_sucursal, id_metodo_pago, id_cupon, canal_venta)
    select s.id_pais, s.id_sucursal, 1 + i % 2, nullif(i % 2, 0), 'web' from sucursal s, generate_series(1, 10) i;
    insert into detalle_venta (id_pais, id_venta, id_producto, cantidad, precio_unitario, costo_unitario)
    select v.id_pais, v.id_venta, p.id_producto, 1, 2, 1 from venta v join producto p using (id_pais)
"""


# --- schema files ----------------------------------------------------------------------------------------------------


def test_script_runs_once(cluster: Cluster) -> None:
    """A file runs, is written into the ledger by its hash, and never runs again, whether the state is there or lost."""
    text = "create table t (k int); insert into t values (1)"
    script = cluster.script("010.sql", text)

    assert script.up() == "create"
    assert script.refresh()
    assert script.up() == "same"
    assert cluster.script("010.sql", text).up() == "create"

    assert cluster.rows("select * from t") == [(1,)]
    assert cluster.rows("select file_name, sha256 from citus_pulumi.script") == [
        ("010.sql", hashlib.sha256(text.encode()).hexdigest())
    ]


def test_script_is_taken_to_the_letter(cluster: Cluster) -> None:
    """Percent signs, dollar quotes, comments and letters of any script mean what they mean to psql."""
    text = "create table t (v text); -- %s ; \n insert into t values ('100 %% ñ'), ($q$it's; 語$q$), (E'\\\\')"

    cluster.script("010.sql", text).up()

    assert cluster.rows("select v from t order by v") == [("100 %% ñ",), ("\\",), ("it's; 語",)]


def test_empty_script_is_recorded(cluster: Cluster) -> None:
    """A file without a statement has run like any other."""
    cluster.script("010.sql", "-- nothing yet\n").up()
    cluster.script("020.sql", "").up()

    assert cluster.value("select count(*) from citus_pulumi.script") == 2


def test_edited_script_is_refused_at_preview(cluster: Cluster) -> None:
    """A file that ran and was edited since is refused before anything runs, and the error tells what to do instead."""
    script = cluster.script("010.sql", "create table t (k int)")
    script.up()

    with pytest.raises(RefusedError, match=r"010\.sql was applied .* write the change as a new file"):
        script.preview(text="create table t (k bigint)")


def test_edited_script_is_refused_when_the_state_is_lost(cluster: Cluster) -> None:
    """Without the state, the ledger tells that the file was another."""
    cluster.script("010.sql", "create table t (k int)").up()

    with pytest.raises(DriftError, match=r"010\.sql was applied .* put it back as it was"):
        cluster.script("010.sql", "create table t (k bigint)").up()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "create table t (k int);\n\n  create table t (k int);",
            r'^010\.sql:3:3: relation "t" already exists \[SQLSTATE 42P07\]',
        ),
        (
            "create table t (k int);\nselect 'ñandú',\n  nowhere from t;",
            r"^010\.sql:3:3: column \"nowhere\" does not exist",
        ),
        ("create table t (k int);\ninsert int t values (1)", r"^010\.sql:2:8: syntax error at or near \"int\""),
        (
            "create table t (k int primary key); insert into t values (1), (1)",
            r"^010\.sql:1:37: .*; Key \(k\)=\(1\) already exists",
        ),
        (
            "create table t (k int);\ncopy t from stdin;\n1\nx\n\\.\n",
            r"^010\.sql:4:1: invalid input syntax for type integer",
        ),
    ],
    ids=["unlocated", "located", "syntax", "rows", "copy"],
)
def test_failing_script_leaves_nothing_and_is_located(cluster: Cluster, text: str, error: str) -> None:
    """A file of which one statement fails leaves nothing; the error names file, line and column where the server does."""
    with pytest.raises(StackError, match=error) as caught:
        cluster.script("010.sql", text).up()

    assert "nothing of this file was applied" in str(caught.value)
    assert cluster.value("select to_regclass('t')") is None
    assert cluster.value("select count(*) from citus_pulumi.script") == 0


def test_script_and_its_record_are_one(cluster: Cluster) -> None:
    """A file that cannot be recorded leaves nothing either."""
    script = cluster.script("010.sql", "create table t (k int); drop table citus_pulumi.script")

    with pytest.raises(StackError, match=r"applying 010\.sql: relation \"citus_pulumi.script\" does not exist"):
        script.up()

    assert cluster.value("select to_regclass('t')") is None
    assert cluster.value("select to_regclass('citus_pulumi.script')") is not None


def test_mended_script_runs(cluster: Cluster) -> None:
    """A file that failed may be mended in place."""
    script = cluster.script("010.sql", "create tabel t ()")
    with pytest.raises(StackError):
        script.up()

    assert script.up(text="create table t ()") == "create"


def test_settings_of_a_script_end_with_it(cluster: Cluster) -> None:
    """What a file sets for its session holds for no other file, and does not keep it from the ledger."""
    cluster.script(
        "010.sql", "create schema a; set search_path = a; set role pg_monitor; set time zone 'Asia/Tokyo'"
    ).up()

    cluster.script("020.sql", "create table t (zone text default current_setting('timezone'))").up()

    assert cluster.value("select to_regclass('public.t')") == "t"


def test_script_forgotten_by_the_ledger_is_drift(cluster: Cluster) -> None:
    """A file that the ledger does not have counts as not applied."""
    script = cluster.script("010.sql", "select 1")
    script.up()
    cluster.run("delete from citus_pulumi.script")

    assert not script.refresh()
    assert script.up() == "create"


# --- the retail schema -----------------------------------------------------------------------------------------------


@pytest.fixture
def retail(cluster: Cluster) -> list[Resource]:
    """The tables of the retail schema, as yet local and with rows in them, in the order in which they are sharded."""
    declared = cluster.program(RETAIL_SCHEMA, RETAIL_TABLES)
    tables = [resource for resource in declared if "table" in resource.inputs]
    for resource in declared:
        if resource not in tables:
            resource.up()
    cluster.run(RETAIL_ROWS)
    return tables


def contents(cluster: Cluster, tables: list[Resource]) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of the tables, in order."""
    names = [str(resource.inputs["table"]["name"]) for resource in tables]
    return {name: cluster.rows(f"select * from {name} order by 1, 2") for name in names}


def test_every_row_comes_through(cluster: Cluster, retail: list[Resource]) -> None:
    """Sharding changes no row, leaves no copy on the coordinator's disk, and puts reference tables on every node."""
    before = contents(cluster, retail)
    assert {name: len(rows) for name, rows in before.items()} == {
        "metodo_pago": 2,
        "cupon": 1,
        "sucursal": 40,
        "producto": 80,
        "venta": 400,
        "detalle_venta": 8000,
    }

    assert [resource.up() for resource in retail] == ["create"] * 6

    assert contents(cluster, retail) == before
    for name, settings in RETAIL_TABLES.items():
        assert kind(cluster, name) == (("reference", None) if "reference" in settings else ("distributed", "id_pais"))
        assert cluster.value("select pg_relation_size(%s::regclass)", name) == 0
    placements = (
        "select count(*) from pg_dist_placement natural join pg_dist_shard where logicalrelid = 'cupon'::regclass"
    )
    assert cluster.value(placements) == 3
    assert cluster.value("select count(distinct colocationid) from pg_dist_partition where partmethod = 'h'") == 1


def test_keys_lead_with_the_country(cluster: Cluster, retail: list[Resource]) -> None:
    """Primary keys, and foreign keys between colocated tables, hold the distribution column; the ledger is empty again."""
    for resource in retail:
        resource.up()

    assert keys(cluster, "sucursal") == {"sucursal_pkey": "PRIMARY KEY (id_pais, id_sucursal)"}
    assert keys(cluster, "producto") == {"producto_pkey": "PRIMARY KEY (id_pais, id_producto)"}
    assert keys(cluster, "venta") == {
        "venta_pkey": "PRIMARY KEY (id_pais, id_venta)",
        "venta_id_sucursal_fkey": "FOREIGN KEY (id_pais, id_sucursal) REFERENCES sucursal(id_pais, id_sucursal)",
        "venta_id_metodo_pago_fkey": "FOREIGN KEY (id_metodo_pago) REFERENCES metodo_pago(id_metodo_pago)",
        "venta_id_cupon_fkey": "FOREIGN KEY (id_cupon) REFERENCES cupon(id_cupon)",
    }
    assert keys(cluster, "detalle_venta") == {
        "detalle_venta_pkey": "PRIMARY KEY (id_pais, id_detalle)",
        "detalle_venta_id_venta_fkey": (
            "FOREIGN KEY (id_pais, id_venta) REFERENCES venta(id_pais, id_venta) ON DELETE CASCADE"
        ),
        "detalle_venta_id_producto_fkey": "FOREIGN KEY (id_pais, id_producto) REFERENCES producto(id_pais, id_producto)",
    }
    assert set_aside(cluster) == []


def test_keys_and_defaults_are_enforced_on_the_shards(cluster: Cluster, retail: list[Resource]) -> None:
    """Workers check what the single database checked; serials count on; a deleted sale takes its lines along."""
    for resource in retail:
        resource.up()
    sale = "insert into venta (id_pais, id_sucursal, id_metodo_pago, canal_venta) values (%s, %s, %s, 'web') returning id_venta"

    for country, branch, method in ((1, 4, 9), (1, 999, 1), (2, 4, 1)):
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            cluster.rows(sale, country, branch, method)
    with pytest.raises(psycopg.errors.UniqueViolation):
        cluster.run("insert into producto values (4, 1, 'otra vez', 'café', 1, 1)")
    assert cluster.value(sale, 1, 4, 1) > 400

    cluster.run("delete from venta where id_pais = 1")
    assert cluster.value("select count(*) from detalle_venta where id_pais = 1") == 0
    assert cluster.value("select count(*) from detalle_venta") == 6000


def test_sharding_changes_nothing_when_done(cluster: Cluster, retail: list[Resource]) -> None:
    """A second run, with its state or without, touches no shard, no placement and no key."""
    for resource in retail:
        resource.up()
    before = metadata(cluster)

    for resource in retail:
        assert resource.refresh()
        assert resource.up() == "same"
        resource.delete()
        assert resource.up() == "create"
    assert metadata(cluster) == before


# --- one table -------------------------------------------------------------------------------------------------------


def test_tables_distributed_by_hand_are_adopted(cluster: Cluster) -> None:
    """What is as declared already is taken over as it is."""
    cluster.run("create table r (k int primary key); create table t (k int primary key)")
    cluster.run("select create_reference_table('r'), create_distributed_table('t', 'k', shard_count => 8)")
    before = metadata(cluster)

    cluster.reference("r").up()
    cluster.distributed("t", "k", shard_count=8).up()

    assert metadata(cluster) == before


def test_another_distribution_column_is_refused(cluster: Cluster) -> None:
    """A table distributed by another column is left alone, at preview or where the state is lost, and both are named."""
    cluster.run("create table t (a int, b int)")
    table = cluster.distributed("t", "a")
    table.up()
    both = "table t is distributed by a, but is declared as distributed by b"

    with pytest.raises(RefusedError, match=both):
        table.preview(distribution_column="b")
    with pytest.raises(ReshardingError, match=both):
        cluster.distributed("t", "b").up()

    assert kind(cluster, "t") == ("distributed", "a")


def test_resharding_by_hand_is_seen_by_a_refresh(cluster: Cluster) -> None:
    """A table redistributed by hand is refused until it is declared as it is."""
    cluster.run("create table t (a int, b int)")
    table = cluster.distributed("t", "a")
    table.up()
    cluster.run("select alter_distributed_table('t', distribution_column => 'b')")

    assert table.refresh()
    with pytest.raises(RefusedError, match="table t is distributed by b, but is declared as distributed by a"):
        table.preview()
    assert table.up(distribution_column="b") == "same"


def test_another_shard_count_is_refused(cluster: Cluster) -> None:
    """A table with another number of shards is left alone, and both numbers are named."""
    cluster.run("create table t (a int)")
    cluster.distributed("t", "a", shard_count=4).up()

    with pytest.raises(DriftError, match="has 4 shards, but 8 are declared"):
        cluster.distributed("t", "a", shard_count=8).up()


def test_another_colocation_is_refused_where_the_shards_differ(cluster: Cluster) -> None:
    """A table that could not be colocated as declared without being rewritten is left alone."""
    cluster.run("create table t (a int); create table u (a int)")
    cluster.distributed("t", "a").up()
    cluster.distributed("u", "a", shard_count=8).up()

    with pytest.raises(DriftError, match="table u is not colocated with t"):
        cluster.distributed("u", "a", colocate_with="t").up()


def test_a_table_of_another_kind_is_refused(cluster: Cluster) -> None:
    """Neither is a reference table distributed, nor a distributed one replicated, without being asked."""
    cluster.run("create table r (a int primary key); create table t (a int)")
    cluster.reference("r").up()
    cluster.distributed("t", "a").up()

    with pytest.raises(DriftError, match="table r is a reference table, but is declared as distributed by a"):
        cluster.distributed("r", "a").up()
    with pytest.raises(DriftError, match="table t is distributed by a, but is declared as a reference table"):
        cluster.reference("t").up()


def test_missing_table_is_named(cluster: Cluster) -> None:
    """A table that was dropped or renamed by hand is named."""
    with pytest.raises(DriftError, match="table t does not exist"):
        cluster.distributed("t", "a").up()
    with pytest.raises(DriftError, match="table t does not exist"):
        cluster.reference("t").up()


def test_missing_column_is_named(cluster: Cluster) -> None:
    """A distribution column that is not there is named, and nothing is changed."""
    cluster.run("create table t (a int primary key)")

    with pytest.raises(StackError, match=r'distributing table t: column "b" does not exist'):
        cluster.distributed("t", "b").up()

    assert keys(cluster, "t") == {"t_pkey": "PRIMARY KEY (a)"}


def test_rows_without_distribution_column_are_counted(cluster: Cluster) -> None:
    """NULL in the distribution column is told with the number of rows, and nothing is changed."""
    cluster.run("create table p (a int primary key)")
    cluster.run("create table t (k int primary key, a int references p)")
    cluster.run(
        "insert into t select i, null from generate_series(1, 5) i; insert into p values (1); insert into t values (6, 1)"
    )
    before = metadata(cluster)

    with pytest.raises(
        DriftError, match=r"table t: 5 rows have NULL in the distribution column a.*nothing was changed"
    ):
        cluster.distributed("t", "a").up()

    assert metadata(cluster) == before
    assert set_aside(cluster) == []


def test_duplicates_against_the_declared_key_are_counted(cluster: Cluster) -> None:
    """A declared key that the rows do not keep is told with an example and a number; the old key stays."""
    cluster.run("create table t (id int primary key, a int not null, b int not null)")
    cluster.run("insert into t select i, i % 3, i % 2 from generate_series(1, 20) i")

    with pytest.raises(
        DriftError,
        match=r"6 values of the new primary key \(a, b\) occur more than once \(Key .*\); the old key \(id\) is kept",
    ):
        cluster.distributed("t", "a", primary_key=["a", "b"]).up()

    assert keys(cluster, "t") == {"t_pkey": "PRIMARY KEY (id)"}
    assert kind(cluster, "t") == ("local", None)
    assert cluster.value("select count(*) from t") == 20


def test_unique_key_without_distribution_column_is_refused(cluster: Cluster) -> None:
    """What Citus refuses is told in its own words, and nothing is changed."""
    cluster.run("create table t (id int primary key, a int, mail text unique)")

    with pytest.raises(StackError, match=r"distributing table t: .*UNIQUE.*\[SQLSTATE"):
        cluster.distributed("t", "a").up()

    assert keys(cluster, "t") == {"t_pkey": "PRIMARY KEY (id)"}
    assert kind(cluster, "t") == ("local", None)


def test_table_undistributed_by_hand_is_distributed_again(cluster: Cluster) -> None:
    """A refresh sees the drift, and the next update mends it with all rows."""
    cluster.run("create table t (id int primary key, a int); insert into t select i, i from generate_series(1, 50) i")
    table = cluster.distributed("t", "a")
    table.up()
    cluster.run("select undistribute_table('t')")

    assert not table.refresh()
    assert table.up() == "create"
    assert kind(cluster, "t") == ("distributed", "a")
    assert keys(cluster, "t") == {"t_pkey": "PRIMARY KEY (a, id)"}
    assert cluster.value("select count(*) from t") == 50


def test_reference_table_undistributed_by_hand_is_replicated_again(cluster: Cluster) -> None:
    """A refresh sees the drift, and the next update mends it with all rows."""
    cluster.run("create table r (id int primary key); insert into r select generate_series(1, 50)")
    table = cluster.reference("r")
    table.up()
    cluster.run("select undistribute_table('r')")

    assert not table.refresh()
    assert table.up() == "create"
    assert kind(cluster, "r") == ("reference", None)
    assert cluster.value("select count(*) from r") == 50


def test_dropped_table_is_drift(cluster: Cluster) -> None:
    """A refresh sees that the table has gone."""
    cluster.run("create table t (a int); create table r (a int primary key)")
    tables = [cluster.distributed("t", "a"), cluster.reference("r")]
    for table in tables:
        table.up()
    cluster.run("drop table t, r")

    assert [table.refresh() for table in tables] == [False, False]


def test_worker_that_joins_later_gets_the_reference_tables(servers: Cluster) -> None:
    """Citus copies nothing when a node joins: a refresh sees the missing copy, and the next update makes it."""
    servers.coordinator_node().up()
    servers.worker_node(servers.workers[0]).up()
    servers.run("create table r (a int primary key); insert into r values (1)")
    table = servers.reference("r")
    table.up()
    servers.worker_node(servers.workers[1]).up()

    assert table.refresh()
    assert table.up() == "update"
    assert table.state["placements"] == 3
    assert table.refresh()
    assert table.up() == "same"


def test_table_that_citus_took_in_by_itself_is_distributed(cluster: Cluster) -> None:
    """A local table beside a reference table stands in Citus's metadata, but is local all the same."""
    cluster.run("create table r (a int primary key); create table t (k int primary key, a int references r)")
    cluster.run("insert into r values (1); insert into t select i, 1 from generate_series(1, 10) i")
    cluster.reference("r").up()

    cluster.distributed("t", "k").up()

    assert kind(cluster, "t") == ("distributed", "k")
    assert keys(cluster, "t") == {"t_pkey": "PRIMARY KEY (k)", "t_a_fkey": "FOREIGN KEY (a) REFERENCES r(a)"}
    assert cluster.value("select count(*) from t") == 10


# --- foreign keys that wait ------------------------------------------------------------------------------------------


def test_keys_set_aside_survive_a_crash_between_two_tables(cluster: Cluster) -> None:
    """A foreign key waits in the ledger while one of its ends is sharded; whichever run shards the other restores it."""
    cluster.run(
        "create table p (id int primary key, a int); create table c (id int primary key, a int, p int references p);"
        "insert into p select i, i from generate_series(1, 10) i; insert into c select i, i, i from generate_series(1, 10) i"
    )
    cluster.distributed("p", "a", pending=["c"]).up()
    assert set_aside(cluster) == ["c_p_fkey"]
    cluster.coordinator.kill()
    cluster.coordinator.start()
    assert set_aside(cluster) == ["c_p_fkey"]

    cluster.distributed("c", "a", colocate_with="p", pending=["p"]).up()

    assert keys(cluster, "c")["c_p_fkey"] == "FOREIGN KEY (a, p) REFERENCES p(a, id)"
    assert set_aside(cluster) == []


def test_keys_set_aside_return_where_the_other_table_was_sharded_by_hand(cluster: Cluster) -> None:
    """A foreign key that waits for a table is not forgotten where a person distributed that table meanwhile."""
    cluster.run("create table p (id int primary key, a int); create table c (id int, a int, p int references p)")
    cluster.distributed("p", "a", pending=["c"]).up()
    cluster.run("select create_distributed_table('c', 'a', colocate_with => 'p')")

    cluster.distributed("c", "a", colocate_with="p", pending=["p"]).up()

    assert keys(cluster, "c") == {"c_p_fkey": "FOREIGN KEY (a, p) REFERENCES p(a, id)"}
    assert set_aside(cluster) == []


def test_keys_set_aside_and_put_back_by_hand(cluster: Cluster) -> None:
    """A person who missed a foreign key that waits, and declared it again, is in nobody's way."""
    cluster.run("create table r (id int primary key); create table c (id int, r int references r)")
    cluster.reference("r", pending=["c"]).up()
    assert set_aside(cluster) == ["c_r_fkey"]
    cluster.run("alter table c add constraint c_r_fkey foreign key (r) references r on delete cascade")

    cluster.distributed("c", "id", pending=["r"]).up()

    assert keys(cluster, "c") == {"c_r_fkey": "FOREIGN KEY (r) REFERENCES r(id) ON DELETE CASCADE"}
    assert set_aside(cluster) == []


def test_local_table_keeps_its_key_to_a_reference_table(cluster: Cluster) -> None:
    """A table that is to stay local references a reference table as before."""
    cluster.run("create table r (id int primary key); create table l (id int, r int references r)")
    cluster.run("insert into r values (1); insert into l values (1, 1)")

    cluster.reference("r").up()

    assert keys(cluster, "l") == {"l_r_fkey": "FOREIGN KEY (r) REFERENCES r(id)"}
    assert cluster.rows("select * from l") == [(1, 1)]
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        cluster.run("insert into l values (2, 2)")


def test_reference_tables_that_reference_each_other(cluster: Cluster) -> None:
    """Keys between reference tables, in both directions, stay as they were."""
    cluster.run(
        "create table r (id int primary key, s int); create table s (id int primary key, r int references r);"
        "alter table r add foreign key (s) references s on update cascade"
    )

    cluster.reference("r", pending=["s"]).up()
    cluster.reference("s", pending=["r"]).up()

    assert keys(cluster, "r")["r_s_fkey"] == "FOREIGN KEY (s) REFERENCES s(id) ON UPDATE CASCADE"
    assert keys(cluster, "s")["s_r_fkey"] == "FOREIGN KEY (r) REFERENCES r(id)"
    assert set_aside(cluster) == []


def test_a_key_that_the_rows_violate_leaves_the_table_as_it_was(cluster: Cluster) -> None:
    """A child whose row lies in another tenant than its parent cannot be colocated with it; nothing is lost by trying."""
    cluster.run(
        "create table p (id int primary key, a int); create table c (id int primary key, a int, p int references p);"
        "insert into p values (1, 1); insert into c values (1, 2, 1)"
    )
    cluster.distributed("p", "a", pending=["c"]).up()

    with pytest.raises(StackError, match=r"distributing table c: .*c_p_fkey.*detail: Key \(a, p\)=\(2, 1\)"):
        cluster.distributed("c", "a", colocate_with="p", pending=["p"]).up()

    assert kind(cluster, "c") == ("local", None)
    assert set_aside(cluster) == ["c_p_fkey"]
    cluster.run("update c set a = 1")
    cluster.distributed("c", "a", colocate_with="p", pending=["p"]).up()
    assert set_aside(cluster) == []


def test_cycle_of_foreign_keys(cluster: Cluster) -> None:
    """Two tables that reference each other are sharded one after the other, and both keys hold in the end."""
    cluster.run(
        "create table x (id int primary key, a int, y int); create table y (id int primary key, a int, x int references x);"
        "alter table x add foreign key (y) references y deferrable initially deferred;"
        "insert into x select i, i, i from generate_series(1, 9) i; insert into y select i, i, i from generate_series(1, 9) i"
    )

    cluster.distributed("x", "a", pending=["y"]).up()
    cluster.distributed("y", "a", colocate_with="x", pending=["x"]).up()

    assert keys(cluster, "x")["x_y_fkey"] == "FOREIGN KEY (a, y) REFERENCES y(a, id) DEFERRABLE INITIALLY DEFERRED"
    assert keys(cluster, "y")["y_x_fkey"] == "FOREIGN KEY (a, x) REFERENCES x(a, id)"
    assert set_aside(cluster) == []


def test_self_reference(cluster: Cluster) -> None:
    """A table that references itself does so within each tenant."""
    cluster.run(
        "create table t (id int primary key, a int, boss int references t);"
        "insert into t select i, i % 3, nullif(i % 3, 0) from generate_series(1, 2) i"
    )

    cluster.distributed("t", "a").up()

    assert keys(cluster, "t") == {
        "t_pkey": "PRIMARY KEY (a, id)",
        "t_boss_fkey": "FOREIGN KEY (a, boss) REFERENCES t(a, id)",
    }
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        cluster.run("insert into t values (3, 1, 2)")


# --- forms of keys and names -----------------------------------------------------------------------------------------


def test_keys_that_hold_the_column_stay_as_they_are(cluster: Cluster) -> None:
    """A composite key that has the distribution column, in any place, is not rewritten."""
    cluster.run("create table t (id int, a int, constraint mine primary key (id, a))")

    cluster.distributed("t", "a").up()

    assert keys(cluster, "t") == {"mine": "PRIMARY KEY (id, a)"}


def test_table_without_key_or_rows(cluster: Cluster) -> None:
    """Neither is needed."""
    cluster.run("create table t (a text)")

    cluster.distributed("t", "a").up()

    assert kind(cluster, "t") == ("distributed", "a")
    assert keys(cluster, "t") == {}


def test_serial_and_identity_count_on(cluster: Cluster) -> None:
    """Numbers that the database gives go on where they were."""
    cluster.run(
        "create table s (id serial primary key, a int); insert into s (a) select 1 from generate_series(1, 7);"
        "create table i (id bigint generated always as identity primary key, a int);"
        "insert into i (a) select 1 from generate_series(1, 7);"
        "create table n (id int generated by default as identity primary key, a int);"
        "insert into n (a) select 1 from generate_series(1, 7)"
    )

    for name in ("s", "i", "n"):
        cluster.distributed(name, "a").up()

        assert cluster.value(f"insert into {name} (a) values (1) returning id") == 8


def test_quoted_names_in_another_schema(cluster: Cluster) -> None:
    """Names with capitals, blanks, quotes, dots and percent signs are spelled as the catalogue has them."""
    cluster.run(
        'create schema "My schema";'
        'create table "My schema"."T.1 ""x"" 100%" ("Id" int primary key, "The %s key" int);'
        'create table "My schema"."U" ("Id" int primary key, "Key" int, "T" int references "My schema"."T.1 ""x"" 100%");'
        'insert into "My schema"."T.1 ""x"" 100%" values (1, 1); insert into "My schema"."U" values (1, 1, 1)'
    )
    t, u = '"My schema"."T.1 ""x"" 100%"', '"My schema"."U"'

    table = cluster.distributed(t, "The %s key", pending=[u])
    table.up()
    cluster.distributed(u, "Key", colocate_with=t, pending=[t]).up()

    assert table.id == t
    assert table.refresh()
    assert keys(cluster, t) == {'T.1 "x" 100%_pkey': 'PRIMARY KEY ("The %s key", "Id")'}
    assert keys(cluster, u)["U_T_fkey"] == f'FOREIGN KEY ("Key", "T") REFERENCES {t}("The %s key", "Id")'
    assert cluster.value(f"select count(*) from {u}") == 1


@pytest.mark.parametrize(
    ("declared", "restored"),
    [
        ("on delete cascade on update restrict", "ON UPDATE RESTRICT ON DELETE CASCADE"),
        ("deferrable", "DEFERRABLE"),
        ("deferrable initially deferred", "DEFERRABLE INITIALLY DEFERRED"),
        ("match full", "MATCH FULL"),
    ],
)
def test_foreign_keys_keep_their_form(cluster: Cluster, declared: str, restored: str) -> None:
    """Actions, timing and match of a foreign key are what they were."""
    cluster.run(
        "create table p (id int primary key, a int);"
        f"create table c (id int primary key, a int, p int, constraint f foreign key (p) references p {declared})"
    )
    cluster.distributed("p", "a", pending=["c"]).up()
    cluster.distributed("c", "a", colocate_with="p", pending=["p"]).up()

    definition = keys(cluster, "c")["f"]

    assert definition.startswith("FOREIGN KEY (a, p) REFERENCES p(a, id)")
    assert set(restored.split()) <= set(definition.split())


def test_comments_of_keys_are_kept(cluster: Cluster) -> None:
    """A comment on a foreign key that is set aside, and on a primary key that is rewritten."""
    cluster.run(
        "create table p (id int primary key, a int); create table c (id int primary key, a int, p int references p);"
        "comment on constraint c_p_fkey on c is 'it''s mine'; comment on constraint p_pkey on p is 'yours'"
    )
    cluster.distributed("p", "a", pending=["c"]).up()
    cluster.distributed("c", "a", colocate_with="p", pending=["p"]).up()
    comments = (
        "select conname, obj_description(oid) from pg_constraint where conname in ('c_p_fkey', 'p_pkey') order by 1"
    )
    assert cluster.rows(comments) == [("c_p_fkey", "it's mine"), ("p_pkey", "yours")]


def test_foreign_key_that_was_never_validated_stays_so(cluster: Cluster) -> None:
    """NOT VALID spares the old rows, before and after."""
    cluster.run(
        "create table p (id int primary key, a int); create table c (id int primary key, a int, p int);"
        "insert into c values (1, 1, 404);"
        "alter table c add constraint f foreign key (p) references p not valid"
    )
    cluster.distributed("p", "a", pending=["c"]).up()
    cluster.distributed("c", "a", colocate_with="p", pending=["p"]).up()

    assert keys(cluster, "c")["f"] == "FOREIGN KEY (a, p) REFERENCES p(a, id) NOT VALID"
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        cluster.run("insert into c values (2, 1, 404)")


def test_set_null_on_the_key_is_refused(cluster: Cluster) -> None:
    """Citus refuses SET NULL even of other columns than the distribution column; the key waits, the table is untouched."""
    cluster.run(
        "create table p (id int, a int, primary key (a, id));"
        "create table c (id int primary key, a int, p int,"
        " constraint f foreign key (a, p) references p (a, id) on delete set null (p))"
    )
    cluster.distributed("p", "a", pending=["c"]).up()

    with pytest.raises(StackError, match=r"distributing table c: .*SET NULL .* not supported.*\[SQLSTATE 0A000\]"):
        cluster.distributed("c", "a", colocate_with="p", pending=["p"]).up()

    assert keys(cluster, "c") == {"c_pkey": "PRIMARY KEY (id)"}
    assert set_aside(cluster) == ["f"]


def test_included_columns_and_deferrable_keys_are_kept(cluster: Cluster) -> None:
    """INCLUDE and timing of a primary key are what they were; a column that becomes part of the key is included no more."""
    cluster.run(
        "create table t (id int, a int, b int, constraint k primary key (id) include (a, b));"
        "create table d (id int, a int, constraint k2 primary key (id) deferrable initially deferred)"
    )

    cluster.distributed("t", "a").up()
    cluster.distributed("d", "a").up()

    assert keys(cluster, "t") == {"k": "PRIMARY KEY (a, id) INCLUDE (b)"}
    assert keys(cluster, "d") == {"k2": "PRIMARY KEY (a, id) DEFERRABLE INITIALLY DEFERRED"}


# --- another schema, by configuration alone --------------------------------------------------------------------------


def test_an_advertising_schema_needs_configuration_alone(cluster: Cluster) -> None:
    """A multi-tenant schema that this project has never seen is sharded from its files and settings."""
    folder = ROOT / "tests" / "schemas" / "ads"
    tables = json.loads((folder / "settings.json").read_text("utf-8"))["tables"]
    declared = cluster.program(folder, tables)
    count = "select count(*) from ads."
    names = ("companies", "campaigns", "ads", '"Click"', "impressions")
    for resource in declared:
        if "text" in resource.inputs:
            resource.up()
    before = [cluster.value(f"{count}{name}") for name in names]
    assert before == [10, 40, 120, 1200, 2880]

    for resource in declared:
        resource.up()

    assert [cluster.value(f"{count}{name}") for name in names] == before
    assert {kind(cluster, f"ads.{name}") for name in names} == {
        ("distributed", "id"),
        ("distributed", "company_id"),
        ("distributed", "Company Id"),
    }
    assert kind(cluster, 'ads."GeoRegion"') == ("reference", None)
    assert kind(cluster, "ads.import_run") == ("local", None)
    assert cluster.value("select count(distinct colocationid) from pg_dist_partition where partmethod = 'h'") == 1
    assert keys(cluster, 'ads."Click"') == {
        "Click PK": 'PRIMARY KEY ("Company Id", "clickId") INCLUDE (clicked_at)',
        "Click_adId_fkey": 'FOREIGN KEY ("Company Id", "adId") REFERENCES ads.ads(company_id, id) ON DELETE CASCADE',
        "Click_regionId_fkey": 'FOREIGN KEY ("regionId") REFERENCES ads."GeoRegion"("regionId")',
    }
    assert keys(cluster, "ads.ads")["ads variant"] == (
        "FOREIGN KEY (company_id, variant_of) REFERENCES ads.ads(company_id, id) DEFERRABLE INITIALLY DEFERRED"
    )
    assert set_aside(cluster) == []
    cluster.run("delete from ads.companies where id = 3")
    assert cluster.value(f'{count}"Click" where "Company Id" = 3') == 0
    for resource in declared:
        assert resource.refresh()
        assert resource.up() == "same"


# --- a fault while a table is distributed ----------------------------------------------------------------------------


@pytest.fixture
def gated(cluster: Cluster) -> Cluster:
    """A cluster with a table t of 2000 rows; a worker on which the gate is locked stops in the middle of taking them."""
    cluster.run(
        "create function gate() returns boolean language plpgsql as"
        f" $$ begin perform pg_advisory_xact_lock_shared({GATE}); return true; end $$;"
        "create table t (id int primary key, a int, check (gate()));"
        "insert into t select i, i % 50 from generate_series(1, 2000) i"
    )
    return cluster


def while_distributing(cluster: Cluster, act: Callable[[], object], *, ready_timeout: int = 5) -> BaseException | None:
    """Distribute the gated table, act while the first worker takes its rows, open the gate, and return what was raised."""
    raised: list[BaseException] = []

    def distribute() -> None:
        try:
            cluster.distributed("t", "a", ready_timeout=ready_timeout).up()
        except StackError as error:
            raised.append(error)

    distributing = threading.Thread(target=distribute)
    waiting = "select count(*) from pg_locks where locktype = 'advisory' and objid = %s and not granted"
    with cluster.connected(cluster.workers[0]) as gatekeeper:
        gatekeeper.execute("select pg_advisory_lock(%s)", [GATE])
        distributing.start()
        eventually(lambda: gatekeeper.execute(waiting, [GATE]).fetchone() != (0,))
        act()
        if cluster.workers[0].answers:
            with suppress(psycopg.OperationalError):
                gatekeeper.execute("select pg_advisory_unlock(%s)", [GATE])
    distributing.join()
    return raised[0] if raised else None


def assert_nothing_happened(cluster: Cluster) -> None:
    """Assert that t is local as before with all its rows, and that nothing of the attempt is left on any node."""
    assert kind(cluster, "t") == ("local", None)
    assert keys(cluster, "t") == {"t_pkey": "PRIMARY KEY (id)"}
    assert cluster.value("select count(*) from t") == 2000
    cluster.run("select recover_prepared_transactions()")
    assert leftovers(cluster) == []


def assert_converges(cluster: Cluster) -> None:
    """Assert that the next run distributes t with all its rows."""
    cluster.distributed("t", "a").up()
    assert kind(cluster, "t") == ("distributed", "a")
    assert cluster.value("select count(*) from t") == 2000
    assert leftovers(cluster) == []


@pytest.mark.usefixtures("transport")
def test_worker_killed_while_a_table_is_distributed(gated: Cluster) -> None:
    """The update fails and names the table; every row is where it was; the next update succeeds."""
    error = while_distributing(gated, gated.workers[0].kill)

    assert isinstance(error, NotReadyError)
    assert re.match(
        rf"distributing table t: .*→ {HOST}:{gated.workers[0].port} \(.* rolled back: run the command again", str(error)
    )
    gated.workers[0].start()
    assert_nothing_happened(gated)
    assert_converges(gated)


@pytest.mark.usefixtures("transport")
def test_worker_paused_while_a_table_is_distributed(gated: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The update gives up at the deadline and names the worker; once it answers again, the next update succeeds."""
    monkeypatch.setattr(statements, "PROBE_SECONDS", 1)
    paused = gated.workers[0]
    started = time.monotonic()

    error = while_distributing(gated, paused.pause, ready_timeout=2)

    assert time.monotonic() - started < 15
    assert re.match(
        rf"distributing table t: timed out: no answer .*{HOST}:{paused.port} \(.* run the command again", str(error)
    )
    with pytest.raises(
        NotReadyError, match=rf"step of this run that was abandoned holds .* no answer from .*:{paused.port} "
    ):
        gated.distributed("t", "a", ready_timeout=1).up()
    paused.resume()
    eventually(lambda: not gated.value("select count(*) from pg_locks where locktype = 'advisory'"))
    assert_nothing_happened(gated)
    assert_converges(gated)


@pytest.mark.usefixtures("transport")
def test_session_ended_while_a_table_is_distributed(gated: Cluster) -> None:
    """A session ended by an administrator leaves nothing behind."""
    sessions = (
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name ~ 'citus-pulumi: distributing'"
    )

    error = while_distributing(gated, lambda: gated.run(sessions))

    assert "distributing table t: the connection to coordinator" in str(error)
    assert "terminating connection due to administrator command" in str(error)
    assert_nothing_happened(gated)
    assert_converges(gated)


@pytest.mark.usefixtures("transport")
def test_coordinator_killed_while_a_table_is_distributed(gated: Cluster) -> None:
    """A coordinator that dies and recovers has its rows, and the workers keep nothing of the attempt."""
    error = while_distributing(gated, gated.coordinator.kill)

    assert re.match(
        r"distributing table t: the connection to coordinator \(.*\) was lost .* Run the command again", str(error)
    )
    gated.coordinator.start()
    eventually(lambda: not leftovers(gated))
    assert_nothing_happened(gated)
    assert_converges(gated)


def test_writes_wait_while_a_table_is_distributed(gated: Cluster) -> None:
    """Nobody's row is lost between the copy and the switch: writers wait, and their rows lie on the shards then."""
    writer = threading.Thread(target=lambda: gated.run("insert into t values (0, 0)"))

    def write() -> None:
        writer.start()
        eventually(lambda: gated.value("select count(*) from pg_locks where locktype = 'relation' and not granted"))

    error = while_distributing(gated, write)

    writer.join()
    assert error is None
    assert kind(gated, "t") == ("distributed", "a")
    assert gated.value("select count(*) from t") == 2001


def test_write_under_way_is_waited_for(cluster: Cluster) -> None:
    """A row that a transaction has written, but not committed yet, comes along and does not upset the count."""
    cluster.run("create table t (id int primary key, a int); insert into t select i, i from generate_series(1, 2000) i")
    waiting = "select count(*) from pg_locks where relation = 't'::regclass and not granted"
    with ThreadPoolExecutor() as pool, cluster.connected() as writer:
        writer.execute("begin; insert into t values (0, 0)")
        distributing = pool.submit(cluster.distributed("t", "a").up)
        eventually(lambda: cluster.value(waiting))
        writer.execute("commit")
        assert distributing.result() == "create"

    assert cluster.value("select count(*) from t") == 2001


@pytest.mark.usefixtures("transport")
@pytest.mark.parametrize("fault", ["dead", "paused"])
def test_silent_worker_stops_distribution_before_it_begins(cluster: Cluster, fault: str) -> None:
    """With a worker dead or paused nothing is distributed; the error comes at the deadline and names it."""
    cluster.run("create table t (id int primary key, a int); insert into t select i, i from generate_series(1, 2000) i")
    silent = cluster.workers[1]
    {"dead": silent.kill, "paused": silent.pause}[fault]()
    started = time.monotonic()

    with pytest.raises(NotReadyError, match=rf"every node answers the coordinator .*→ {HOST}:{silent.port} \("):
        cluster.distributed("t", "a", ready_timeout=1).up()

    assert time.monotonic() - started < 10
    silent.resume()
    silent.start()
    assert_nothing_happened(cluster)
    assert_converges(cluster)


@pytest.mark.usefixtures("transport")
def test_worker_restarted_between_two_tables(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections to the worker that Citus kept from the table before are not used any more."""
    monkeypatch.setattr(connections, "FRESH_SECONDS", 0)
    cluster.run("create table r (a int primary key); create table c (a int references r)")
    cluster.reference("r", pending=["c"]).up()
    cluster.workers[0].kill()
    cluster.workers[0].start()

    assert cluster.distributed("c", "a", pending=["r"]).up() == "create"

    assert kind(cluster, "c") == ("distributed", "a")


@pytest.mark.usefixtures("transport")
def test_coordinator_killed_while_a_file_is_applied(cluster: Cluster) -> None:
    """A file is applied as a whole or not at all, and the next update applies it."""
    script = cluster.script("010.sql", f"create table t (k int); select pg_advisory_xact_lock({GATE})")
    raised: list[BaseException] = []

    def apply() -> None:
        try:
            script.up()
        except StackError as error:
            raised.append(error)

    applying = threading.Thread(target=apply)
    with cluster.connected() as gatekeeper:
        gatekeeper.execute("select pg_advisory_lock(%s)", [GATE])
        applying.start()
        eventually(lambda: cluster.value("select count(*) from pg_locks where objid = %s and not granted", GATE))
        cluster.coordinator.kill()
    applying.join()
    cluster.coordinator.start()

    assert re.match(
        r"applying 010\.sql: the connection to coordinator \(.*\) was lost .* Run the command again", str(raised[0])
    )
    assert script.up() == "create"
    assert cluster.value("select to_regclass('t')") == "t"


def test_two_runs_at_once_apply_a_file_once(cluster: Cluster) -> None:
    """The second run waits for the first, and finds its work done."""
    scripts = [cluster.script("010.sql", "create table t (k int); select pg_sleep(0.3)") for _ in range(2)]

    with ThreadPoolExecutor() as pool:
        steps = list(pool.map(lambda script: script.up(), scripts))

    assert steps == ["create", "create"]
    assert cluster.value("select count(*) from citus_pulumi.script") == 1
