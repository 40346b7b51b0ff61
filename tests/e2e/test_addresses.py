"""Workers that get other addresses: they are the same workers, and keep their shards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.nodes import LOCAL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.stack import Stack

RUNTIMES = [LOCAL]
SHARDS = "select groupid || ' ' || count(*) from pg_dist_placement group by groupid order by groupid"


def test_workers_on_other_ports_keep_their_shards(new_stack: Callable[..., Stack], tmp_path: Path) -> None:
    """Other workerPorts in one update, then an address changed by hand: no preview drains a worker, and no row moves."""
    (tmp_path / "010.sql").write_text("create table sale (country int, id bigint, primary key (country, id));\n")
    stack = new_stack("addresses", tables={"sale": {"distributeBy": "country"}}, schemaDir=str(tmp_path))
    up = stack.up()
    assert up.code == 0, up.output
    stack.query("insert into sale select c, i from generate_series(1, 4) c, generate_series(1, 100) i")
    before = stack.query(SHARDS)
    first = stack.port + 6
    stack.set(workerPorts=f"{first}-{first + 3}")

    preview = stack.preview()
    assert preview.code == 0, preview.output
    assert "no setting declares it" not in preview.output
    up = stack.up()

    assert up.code == 0, up.output
    assert stack.query("select nodeport from pg_dist_node where groupid > 0 order by groupid") == [first, first + 1]
    assert (stack.query(SHARDS), stack.query("select count(*) from sale")) == (before, [400])
    assert stack.preview("--expect-no-changes").code == 0

    stack.query("select citus_update_node(nodeid, 'localhost', nodeport) from pg_dist_node where groupid = 2")
    assert "no setting declares it" not in stack.preview().output
    assert stack.refresh().code == 0
    assert "no setting declares it" not in stack.preview().output
    up = stack.up()
    assert up.code == 0, up.output
    assert stack.query("select distinct nodename from pg_dist_node") == ["127.0.0.1"]
    assert (stack.query(SHARDS), stack.query("select count(*) from sale")) == (before, [400])
    destroyed = stack.destroy()
    assert destroyed.code == 0, destroyed.output
    assert stack.leftovers() == []
