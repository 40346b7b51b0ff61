"""Whether a cluster's tables are those that the analysis works on: all that differs is named, and nothing is touched."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from analysis.errors import DataError
from analysis.tables import check_tables

if TYPE_CHECKING:
    from tests.provider.resources import Cluster

pytestmark = pytest.mark.needs("citus")


def refusal(cluster: Cluster) -> str:
    """Return what the check says."""
    with cluster.connected() as connection, pytest.raises(DataError) as refused:
        check_tables(connection)
    return str(refused.value)


def test_the_companys_tables_are_known(retail: Cluster) -> None:
    """They pass, and the number of their shards is told."""
    declared = retail.value("select shard_count from citus_tables where table_name = 'venta'::regclass")
    with retail.connected() as connection:
        assert check_tables(connection) == declared


def test_another_schema_is_refused(retail: Cluster) -> None:
    """A table that is missing and a column of another type are named, with what is expected."""
    retail.run("alter table cupon rename to vale")
    retail.run("alter table sucursal alter ciudad type varchar(40)")
    said = refusal(retail)
    assert "there is no table cupon" in said
    assert "sucursal.ciudad is character varying(40), expected text" in said
    assert "the analysis works on the tables of sql/schema, sharded as Pulumi.dev.yaml shards them" in said


def test_tables_that_do_not_lie_together_are_refused(retail: Cluster) -> None:
    """Their join would not be the one that is to be measured."""
    retail.run("alter table detalle_venta drop constraint detalle_venta_id_producto_fkey")
    retail.run("select update_distributed_table_colocation('producto', 'none')")
    assert "are not co-located: they are in 2 colocation groups" in refusal(retail)


def test_tables_of_another_kind_are_refused(retail: Cluster) -> None:
    """What each is, and what it is expected to be."""
    retail.run("select undistribute_table('metodo_pago', cascade_via_foreign_keys => true)")
    said = refusal(retail)
    assert "sucursal is local, expected distributed by id_pais" in said
    assert re.search(r"and \d+ more", said)


def test_an_empty_database_is_refused_in_one_line(cluster: Cluster) -> None:
    """The first tables are named, the others counted."""
    said = refusal(cluster)
    assert "there is no table metodo_pago" in said
    assert re.search(r", and \d+ more: the analysis works", said)
    assert "\n" not in said
