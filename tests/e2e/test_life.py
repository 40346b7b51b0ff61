"""The life of the seed's stack, from nothing to nothing: one story, in the order in which it is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.e2e.nodes import DOCKER, LOCAL, STAND_IN

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.stack import Stack

RUNTIMES = [DOCKER, LOCAL, STAND_IN]
SALES = (
    """insert into sucursal select i, i, (array['México', 'Colombia', 'Perú', 'Chile'])[i], 'Centro', 'Capital'
    from generate_series(1, 4) i""",
    "insert into metodo_pago (id_metodo_pago, nombre) values (1, 'efectivo')",
    """insert into venta (id_pais, id_sucursal, id_metodo_pago, canal_venta)
    select 1 + i % 4, 1 + i % 4, 1, 'web' from generate_series(1, 1000) i""",
)


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack]) -> Stack:
    """The seed's cluster: one coordinator, four workers, 32 shards, brought up once for the module."""
    stack = new_stack("life", workers=4, shardCount=32)
    up = stack.up()
    assert up.code == 0, up.output
    return stack


def test_up_makes_what_is_declared(stack: Stack) -> None:
    """Four workers are registered and active, the sales tables are co-located, the small ones are on every node."""
    nodes = stack.query(
        "select nodename || ':' || nodeport, isactive, groupid from pg_dist_node where groupid > 0 order by groupid"
    )
    assert nodes == [(stack.nodes.address(f"worker_{n}"), True, n) for n in range(1, 5)]
    tables = stack.query(
        "select table_name::text, citus_table_type, distribution_column, colocation_id, shard_count from citus_tables"
    )
    sales = {"sucursal", "producto", "venta", "detalle_venta"}
    assert {row[0] for row in tables if row[1:3] == ("distributed", "id_pais") and row[4] == 32} == sales
    assert len({row[3] for row in tables if row[0] in sales}) == 1
    assert {row[0] for row in tables if row[1] == "reference"} == {"metodo_pago", "cupon"}
    placements = stack.query(
        "select count(*) from citus_shards where citus_table_type = 'reference' group by table_name"
    )
    assert placements == [5, 5]


def test_keys_hold_the_country(stack: Stack) -> None:
    """Primary keys and the foreign keys between co-located tables begin with the country."""
    keys = stack.query(
        "select pg_get_constraintdef(oid) from pg_constraint where connamespace = 'public'::regnamespace"
        " and contype in ('p', 'f') and conrelid::regclass::text in ('venta', 'detalle_venta')"
    )
    assert set(keys) == {
        "PRIMARY KEY (id_pais, id_venta)",
        "PRIMARY KEY (id_pais, id_detalle)",
        "FOREIGN KEY (id_pais, id_sucursal) REFERENCES sucursal(id_pais, id_sucursal)",
        "FOREIGN KEY (id_metodo_pago) REFERENCES metodo_pago(id_metodo_pago)",
        "FOREIGN KEY (id_cupon) REFERENCES cupon(id_cupon)",
        "FOREIGN KEY (id_pais, id_venta) REFERENCES venta(id_pais, id_venta) ON DELETE CASCADE",
        "FOREIGN KEY (id_pais, id_producto) REFERENCES producto(id_pais, id_producto)",
    }


def test_outputs_tell_how_to_connect_and_what_is_there(stack: Stack) -> None:
    """The outputs name the nodes, the tables and the versions; the connection string works."""
    outputs = stack.outputs()
    assert outputs["coordinator"] == stack.nodes.address("coordinator")
    assert outputs["workers"] == [stack.nodes.address(f"worker_{n}") for n in range(1, 5)]
    assert outputs["tables"]["venta"]["distributionColumn"] == "id_pais"
    assert outputs["tables"]["venta"]["shardCount"] == 32
    assert outputs["tables"]["cupon"]["kind"] == "reference"
    assert outputs["versions"]["citus"].startswith("12.1")
    import psycopg  # noqa: PLC0415

    with psycopg.connect(outputs["dsn"]) as connection:
        assert connection.execute("select current_user").fetchone() == ("postgres",)


def test_the_password_is_nowhere_in_the_open(stack: Stack) -> None:
    """It stands in no description of a container or process, in no line of the state, and in no settings file."""
    for node in ("coordinator", "worker_1"):
        assert stack.password not in stack.nodes.description(node)
    assert json.dumps(stack.password)[1:-1] not in stack.state()
    assert stack.password not in stack.state()
    assert "secreto" not in stack.config.read_text()


def test_nothing_is_reached_from_other_machines(stack: Stack, runtime: str) -> None:
    """A published or local port is bound to 127.0.0.1, and of containers only the coordinator's is published."""
    if runtime == "hosts":
        pytest.skip("hosts are reached by others: test_hosts.py tries who is let in")
    listening = {tuple(c.laddr) for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    ports = range(stack.port, stack.port + 5)
    expected = set(ports[:1]) if runtime == "docker" else set(ports)
    assert {address for address in listening if address[1] in ports} == {("127.0.0.1", port) for port in expected}


def test_a_second_up_changes_nothing(stack: Stack) -> None:
    """A preview that expects no changes passes, right after up and after a refresh."""
    assert stack.preview("--expect-no-changes").code == 0
    assert stack.refresh().code == 0
    assert stack.preview("--expect-no-changes").code == 0


def test_nodes_log_in_to_each_other_after_a_restart(stack: Stack, runtime: str) -> None:
    """The password file is in place at every start, not just at the first."""
    for statement in SALES:
        stack.query(statement)
    for node in ("worker_1", "worker_2", "coordinator"):
        stack.nodes.restart(node)
    if runtime != "docker":  # whose containers start again by themselves
        assert stack.refresh().code == 0
        up = stack.up()
        assert up.code == 0, up.output
    healthy = "select bool_and(coalesce(result, false)) from citus_check_cluster_node_health()"
    stack.wait_until(lambda: stack.query(healthy) == [True], "all pairs are healthy")
    assert stack.query("select count(*) from venta") == [1000]


def test_drift_is_reported_and_mended(stack: Stack) -> None:
    """Tables undistributed and a worker made inactive by hand are seen by a refresh and mended by up, rows kept."""
    stack.query("select undistribute_table('venta', cascade_via_foreign_keys => true)")
    name, port = stack.nodes.address("worker_4").split(":")
    stack.query(f"select citus_disable_node('{name}', {port}, synchronous => true)")
    refreshed = stack.refresh()
    assert refreshed.code == 0, refreshed.output
    assert refreshed.changes()["delete"] == 6
    preview = stack.preview("--expect-no-changes")
    assert preview.code != 0
    assert preview.changes() | {"create": 6} == preview.changes()
    mended = stack.up()
    assert mended.code == 0, mended.output
    assert stack.query(f"select isactive from pg_dist_node where nodename = '{name}' and nodeport = {port}") == [True]
    assert stack.query("select count(*) from citus_tables where distribution_column = 'id_pais'") == [4]
    assert stack.query("select count(*) from venta") == [1000]
    assert stack.preview("--expect-no-changes").code == 0


def test_what_was_taken_away_by_hand_comes_back(stack: Stack) -> None:
    """A server, on its data, and a key, as it was: refresh sees them gone, up brings them back, no row is lost."""
    key = "select pg_get_constraintdef(oid) from pg_constraint where conname = 'detalle_venta_id_venta_fkey'"
    (before,) = stack.query(key)
    stack.query("alter table detalle_venta drop constraint detalle_venta_id_venta_fkey")
    stack.nodes.remove("worker_3")
    assert stack.refresh().code == 0
    assert stack.up().code == 0
    assert stack.query("select count(*) from venta") == [1000]
    assert stack.query(key) == [before]
    assert stack.preview("--expect-no-changes").code == 0


def test_a_worker_joins_and_leaves(stack: Stack) -> None:
    """A fifth worker gets the reference tables; two leave, their shards moved to those that stay, without a trace."""
    stack.set(workers=5)
    assert stack.up().code == 0
    assert stack.query("select count(*) from citus_shards where table_name::text = 'cupon'") == [6]
    stack.set(workers=3)
    up = stack.up()
    assert up.code == 0, up.output
    assert not any("worker_4" in left or "worker_5" in left for left in stack.leftovers())
    assert stack.query("select count(*) from citus_shards where table_name::text = 'venta'") == [32]
    assert stack.query("select count(*) from pg_dist_node") == [4]
    assert stack.query("select count(*) from venta") == [1000]
    assert stack.preview("--expect-no-changes").code == 0


def test_tenants_get_workers_of_their_own(stack: Stack) -> None:
    """Three countries on three workers, told by the outputs; the settings' next word moves one of them."""
    stack.set(tenants={"sucursal": {"spread": [1, 2, 3]}})
    up = stack.up()
    assert up.code == 0, up.output
    workers = {str(number): stack.nodes.address(f"worker_{number}") for number in range(1, 4)}
    assert stack.outputs()["residency"] == {"sucursal": workers}
    stack.set(tenants={"sucursal": {"pin": {"1": 3}, "spread": [2, 3]}})
    assert stack.up().code == 0
    assert stack.outputs()["residency"]["sucursal"]["1"] == stack.nodes.address("worker_3")
    assert stack.query("select count(*) from venta") == [1000]
    assert stack.preview("--expect-no-changes").code == 0


def test_a_worker_whose_data_is_gone_is_not_made_anew(stack: Stack) -> None:
    """An empty one in its place would serve nothing right: that is said before it is made, with what is lost and the way back."""
    stack.nodes.empty("worker_2")
    assert stack.refresh().code == 0
    up = stack.up()
    assert up.code != 0
    assert "worker_2: its data" in up.errors
    assert "is gone, and the cluster expects" in up.errors
    assert "this cluster declares no backup, so that is lost" in up.errors
    assert not [name for name in stack.leftovers() if "worker_2" in name]


def test_destroy_removes_every_trace_fast_even_with_the_coordinator_dead(stack: Stack) -> None:
    """Nothing is asked of a database that does not answer, and nothing bears the stack's label afterwards."""
    stack.nodes.kill("coordinator")
    destroy = stack.destroy()
    assert destroy.code == 0, destroy.output
    assert stack.leftovers() == []
