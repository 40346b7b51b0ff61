"""What primary and foreign keys have besides their columns: kept when tables are distributed and brought back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from components.names import TableName
from components.resources.tables import LocalTableProvider
from components.resources.wire import write
from tests.provider.resources import Resource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.provider.resources import Cluster

pytestmark = pytest.mark.needs("citus")

KEPT = """
    select conrelid::regclass::text, conname, pg_get_constraintdef(k.oid), obj_description(k.oid, 'pg_constraint'),
           obj_description(i.indexrelid, 'pg_class'), x.reloptions, spcname, i.indisclustered, i.indisreplident
    from pg_constraint k
    left join pg_index i on i.indexrelid = k.conindid and k.contype <> 'f'
    left join pg_class x on x.oid = i.indexrelid
    left join pg_tablespace s on s.oid = x.reltablespace
    where connamespace = 'public'::regnamespace and contype in ('p', 'f') order by 1, 2
"""

ON_SHARDS = """
    select distinct reloptions, indisclustered, indisreplident
    from pg_class x join pg_index i on indexrelid = x.oid where relname ~ '^k_[0-9]+$'
"""


@pytest.fixture
def tablespace(cluster: Cluster) -> Iterator[str]:
    """A tablespace on every node."""
    for node in cluster.servers:
        with node.connect() as connection:
            connection.execute("set allow_in_place_tablespaces = on")
            connection.execute("create tablespace elsewhere location ''")
    yield "elsewhere"
    cluster.drop()
    for node in cluster.servers:
        with node.connect() as connection:
            connection.execute("drop tablespace elsewhere")


def local(cluster: Cluster, table: str) -> Resource:
    """Declare a table that is to be local again."""
    inputs = {"table": write(TableName.parse(table)), "pending": []}
    return Resource(LocalTableProvider(), {**write(cluster.access()), **inputs})


def test_a_rewritten_key_keeps_what_it_had(cluster: Cluster, tablespace: str) -> None:
    """Storage parameters, tablespace, CLUSTER ON, replica identity and comments, on the shards and back on the coordinator."""
    cluster.run(
        f"create table p (id int, a int not null, n int, constraint k primary key (id) include (n)"
        f" with (fillfactor = 70, deduplicate_items = off) using index tablespace {tablespace});"
        "alter table p cluster on k; alter table p replica identity using index k;"
        "comment on constraint k on p is 'it''s mine'; comment on index k is 'yours';"
        "create table c (id int primary key, a int, p int);"
        "alter table c add constraint f foreign key (p) references p deferrable initially deferred not valid;"
        "comment on constraint f on c is 'theirs'; insert into p select i, i, i from generate_series(1, 9) i"
    )

    cluster.distributed("p", "a", pending=["c"]).up()
    cluster.distributed("c", "a", colocate_with="p", pending=["p"]).up()

    options = ["fillfactor=70", "deduplicate_items=off"]
    foreign = "FOREIGN KEY (a, p) REFERENCES p(a, id) DEFERRABLE INITIALLY DEFERRED NOT VALID"
    kept: list[tuple[Any, ...]] = [
        ("c", "c_pkey", "PRIMARY KEY (a, id)", None, None, None, None, False, False),
        ("c", "f", foreign, "theirs", None, None, None, None, None),
        ("p", "k", "PRIMARY KEY (a, id) INCLUDE (n)", "it's mine", "yours", options, tablespace, True, True),
    ]
    assert cluster.rows(KEPT) == kept
    for worker in cluster.workers:
        with cluster.connected(worker) as connection:
            connection.execute("set citus.override_table_visibility to off")
            assert connection.execute(ON_SHARDS).fetchall() == [(options, True, True)]

    local(cluster, "c").up()
    local(cluster, "p").up()

    assert cluster.rows(KEPT) == kept
    assert cluster.value("select count(*) from p") == 9


def test_each_partition_keeps_its_index_as_it_was(cluster: Cluster) -> None:
    """A partition is CLUSTERed ON its own index of the key, and has that as its replica identity."""
    cluster.run(
        "create table p (d int, a int not null, id int, primary key (id, d)) partition by range (d);"
        "create table p_1 partition of p for values from (0) to (9); create table p_2 partition of p default;"
        "alter table p_1 cluster on p_1_pkey; alter table p_1 replica identity using index p_1_pkey"
    )

    cluster.distributed("p", "a").up()

    marked = (
        "select indrelid::regclass::text from pg_index where indisclustered and indisreplident and"
        " indrelid in ('p'::regclass, 'p_1'::regclass, 'p_2'::regclass)"
    )
    assert cluster.rows(marked) == [("p_1",)]
    assert cluster.value("select relreplident from pg_class where oid = 'p_1'::regclass") == "i"


def test_another_distribution_column_keeps_what_the_key_had(cluster: Cluster) -> None:
    """A table that Citus writes again by another column has its key as it was, with that column in front."""
    cluster.run(
        "create table t (id int primary key with (fillfactor = 70), a int, b int); alter table t cluster on t_pkey;"
        "alter table t replica identity using index t_pkey; comment on index t_pkey is 'yours'"
    )
    table = cluster.distributed("t", "a")
    table.up()

    assert table.up(distribution_column="b", rewrite=True) == "update"

    kept = ("t", "t_pkey", "PRIMARY KEY (b, a, id)", None, "yours", ["fillfactor=70"], None, True, True)
    assert cluster.rows(KEPT) == [kept]
