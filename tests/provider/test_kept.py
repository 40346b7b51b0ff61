"""Keys that were dropped or changed by hand, on genuine Citus: a refresh sees it, and an update mends or refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from components.errors import DriftError
from tests.provider.seen import keys, set_aside

if TYPE_CHECKING:
    from pathlib import Path

    from tests.provider.resources import Cluster, Resource

pytestmark = pytest.mark.needs("citus")

SHOP = """
    create table coupon (id int primary key);
    create table sale (id int, country int not null, coupon int references coupon on delete restrict, constraint sale_key
                       primary key (id) include (coupon));
    create table line (id int primary key, country int not null, sale int references sale on delete cascade deferrable);
    create table click (id int, country int not null, at date not null, coupon int references coupon, primary key (id, at))
        partition by range (at);
    create table click_1 partition of click for values from ('2026-01-01') to ('2027-01-01');
    insert into coupon select generate_series(1, 9);
    insert into sale select i, i % 5, 1 + i % 9 from generate_series(1, 50) i;
    insert into line select i, i % 5, i from generate_series(1, 50) i;
    insert into click select i, i % 5, '2026-02-03', 1 + i % 9 from generate_series(1, 50) i;
"""
TABLES = {
    "coupon": {"reference": True},
    "sale": {"distributeBy": "country"},
    "line": {"distributeBy": "country", "colocateWith": "sale"},
    "click": {"distributeBy": "country", "colocateWith": "sale"},
}
KEYS = {
    "sale": {
        "sale_key": "PRIMARY KEY (country, id) INCLUDE (coupon)",
        "sale_coupon_fkey": "FOREIGN KEY (coupon) REFERENCES coupon(id) ON DELETE RESTRICT",
    },
    "line": {
        "line_pkey": "PRIMARY KEY (country, id)",
        "line_sale_fkey": "FOREIGN KEY (country, sale) REFERENCES sale(country, id) ON DELETE CASCADE DEFERRABLE",
    },
    "click": {
        "click_pkey": "PRIMARY KEY (country, id, at)",
        "click_coupon_fkey": "FOREIGN KEY (coupon) REFERENCES coupon(id)",
    },
}


@pytest.fixture
def shop(cluster: Cluster, tmp_path: Path) -> dict[str, Resource]:
    """The tables of SHOP, sharded by the program, by their names."""
    (tmp_path / "010.sql").write_text(SHOP)
    return up(cluster, tmp_path)


def up(cluster: Cluster, folder: Path) -> dict[str, Resource]:
    """Bring up what the folder declares, and return the resources of the tables by their names."""
    declared = cluster.program(folder, TABLES)
    for resource in declared:
        resource.up()
    return {resource.id: resource for resource in declared if resource.id in TABLES}


def assert_as_declared(cluster: Cluster, shop: dict[str, Resource]) -> None:
    """Assert that every key is as declared, and that nothing is left to do."""
    for table, expected in KEYS.items():
        assert keys(cluster, table) == expected
        assert shop[table].refresh()
        assert shop[table].state["lost_keys"] == []
        assert shop[table].preview() == "same"
    assert set_aside(cluster) == []


def test_keys_that_nobody_touched_are_no_drift(cluster: Cluster, shop: dict[str, Resource]) -> None:
    """Nor are those that a person added, or gave another name."""
    assert_as_declared(cluster, shop)
    cluster.run("alter table line drop constraint line_sale_fkey")
    cluster.run(f"alter table line add constraint another {KEYS['line']['line_sale_fkey']}")
    cluster.run("alter table line add foreign key (country, id) references line (country, id)")
    cluster.run("alter table line add unique (country, sale)")

    assert shop["line"].refresh()
    assert shop["line"].preview() == "same"


@pytest.mark.parametrize(
    ("table", "drop", "lost"),
    [
        ("sale", "sale_coupon_fkey", ["foreign key sale_coupon_fkey of sale"]),
        ("line", "line_pkey", ["primary key line_pkey of line (country, id)"]),
        ("line", "line_sale_fkey", ["foreign key line_sale_fkey of line"]),
        ("click", "click_coupon_fkey", ["foreign key click_coupon_fkey of click"]),
    ],
)
def test_a_key_dropped_by_hand_is_put_back(
    cluster: Cluster, shop: dict[str, Resource], table: str, drop: str, lost: list[str]
) -> None:
    """With its name, its actions, its INCLUDE, and all."""
    cluster.run(f"alter table {table} drop constraint {drop}")

    assert shop[table].refresh()
    assert shop[table].state["lost_keys"] == lost
    assert shop[table].up() == "update"

    assert_as_declared(cluster, shop)


def test_a_primary_key_dropped_with_what_references_it_comes_back(cluster: Cluster, shop: dict[str, Resource]) -> None:
    """The key first, then those that point to it, in the turns of their own tables."""
    cluster.run("alter table sale drop constraint sale_key cascade")
    for table in ("sale", "line"):
        assert shop[table].refresh()
        assert shop[table].up() == "update"
    assert_as_declared(cluster, shop)


def test_a_key_that_waits_in_the_ledger_is_drift(cluster: Cluster, shop: dict[str, Resource]) -> None:
    """Whatever left it there: the next update puts it back."""
    line = shop["line"]
    (definition,) = (key for key in line.state["keys"]["foreign"] if key["name"] == "line_sale_fkey")
    with cluster.connected() as connection:
        connection.execute("alter table line drop constraint line_sale_fkey")
        connection.execute(
            "insert into citus_pulumi.foreign_key values"
            " ('public', 'line', 'line_sale_fkey', 'public', 'sale', %s::jsonb)",
            [json.dumps(definition)],
        )
    line.refresh()
    assert "foreign key line_sale_fkey of line, set aside" in line.state["lost_keys"]
    assert line.up() == "update"
    assert_as_declared(cluster, shop)


def test_rows_that_came_meanwhile_stand_in_the_way(cluster: Cluster, shop: dict[str, Resource]) -> None:
    """A key that the rows do not hold any more is named with the first of them, and nothing is changed."""
    cluster.run("alter table line drop constraint line_sale_fkey, drop constraint line_pkey")
    cluster.run("insert into line values (1, 1, 99), (1, 1, 99)")
    line = shop["line"]
    line.refresh()

    with pytest.raises(DriftError, match=r"primary key line_pkey of line \(country, id\) was dropped .*\(1, 1\)"):
        line.up()
    cluster.run("delete from line where id = 1 and sale = 99")
    cluster.run("insert into line values (99, 1, 99)")
    with pytest.raises(DriftError, match=r"foreign key line_sale_fkey of line was dropped .*\(1, 99\) is not present"):
        line.up()
    assert keys(cluster, "line") == {}
    cluster.run("delete from line where id = 99")
    line.up()
    assert_as_declared(cluster, shop)


@pytest.mark.parametrize(
    ("table", "change", "told"),
    [
        (
            "line",
            "drop constraint line_pkey, add primary key (country, sale, id)",
            "primary key line_pkey of line is (country, sale, id), was (country, id)",
        ),
        (
            "sale",
            "drop constraint sale_coupon_fkey, add constraint sale_coupon_fkey foreign key (coupon) references coupon",
            "foreign key sale_coupon_fkey of sale is .*on delete no action.* was .*on delete restrict",
        ),
    ],
)
def test_a_key_changed_by_hand_is_refused_with_both_forms(
    cluster: Cluster, shop: dict[str, Resource], table: str, change: str, told: str
) -> None:
    """A refresh sees it, and the update tells what it was and what it is; put back, all is well."""
    resource = shop[table]
    before = keys(cluster, table)
    alter(cluster, table, change)
    resource.refresh()
    assert resource.preview() == "update"
    with pytest.raises(DriftError, match=f"{told if '.*' in told else told.replace('(', '[(]').replace(')', '[)]')}"):
        resource.up()

    for name, definition in before.items():
        if keys(cluster, table)[name] != definition:
            alter(cluster, table, f"drop constraint {name}, add constraint {name} {definition}")
    resource.refresh()
    assert_as_declared(cluster, shop)


def alter(cluster: Cluster, table: str, changes: str) -> None:
    """Change a table, in one statement each, as Citus has it."""
    for change in changes.split(", ", 1) if changes.startswith("drop") else [changes]:
        cluster.run(f"alter table {table} {change}")


def test_a_new_file_may_change_the_keys(cluster: Cluster, shop: dict[str, Resource], tmp_path: Path) -> None:
    """What the files declare now counts, not what they declared when the table was sharded."""
    (tmp_path / "020.sql").write_text("""
        alter table line drop constraint line_sale_fkey;
        alter table line drop constraint line_pkey;
        alter table line add primary key (country, sale, id);
        alter table click drop constraint click_coupon_fkey;
        alter table click add constraint click_coupon_fkey foreign key (coupon) references coupon on delete cascade;
    """)
    declared = cluster.program(tmp_path, TABLES)
    declared[1].up()
    declared_keys = {
        it.id or it.provider.identify(it.provider.read_inputs(it.inputs), {}): it.inputs.get("declared_keys")
        for it in declared
    }
    for table in ("line", "click"):
        shop[table].refresh()

        assert shop[table].up(declared_keys=declared_keys[table]) == "update"

        assert shop[table].refresh()
        assert shop[table].up() == "same"
    assert keys(cluster, "line") == {"line_pkey": "PRIMARY KEY (country, sale, id)"}
    assert keys(cluster, "click")["click_coupon_fkey"].endswith("ON DELETE CASCADE")
