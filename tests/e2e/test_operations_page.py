"""docs/operations.md, carried out: every command in its order, on the stack that comes with the project, with rows in it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

import pytest
import yaml

from tests.e2e.conftest import free_port
from tests.e2e.nodes import DOCKER, LOCAL, DockerNodes, LocalNodes
from tests.e2e.page import IF_EVERYTHING, Clone, read_blocks
from tests.e2e.stack import ROOT
from tests.genuine import NEWER_IMAGE
from tests.servers import find_installation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = IF_EVERYTHING
RUNTIMES = [LOCAL, pytest.param(*DOCKER.values, marks=[*DOCKER.marks, pytest.mark.needs("newer")])]
ONE_ENGINE = "the page is about it"
PAGE = ROOT / "docs" / "operations.md"
STACK = "dev"
PREFIX: Final = "test-operations"
ROWS = """
insert into metodo_pago (id_metodo_pago, nombre) values (1, 'efectivo'), (2, 'tarjeta');
insert into sucursal (id_sucursal, id_pais, pais, nombre, ciudad)
    select 100 + i, i, 'pais ' || i, 's', 'c' from generate_series(1, 20) i;
insert into producto (id_producto, id_pais, nombre, categoria, precio_lista, costo)
    select 1000 + i, i, 'p', 'c', 9, 5 from generate_series(1, 20) i;
insert into venta (id_venta, id_pais, id_sucursal, id_metodo_pago, canal_venta)
    select i, i % 20 + 1, i % 20 + 101, i % 2 + 1, 'web' from generate_series(1, 4000) i;
insert into detalle_venta (id_pais, id_venta, id_producto, cantidad, precio_unitario, costo_unitario)
    select i % 20 + 1, i, i % 20 + 1001, 1, 9, 5 from generate_series(1, 4000) i;
"""
SUMS = """
select 'venta', count(*), sum(id_venta * id_pais) from venta
union all select 'detalle_venta', count(*), sum(id_venta * id_producto) from detalle_venta
union all select 'sucursal', count(*), sum(id_sucursal * id_pais) from sucursal
union all select 'metodo_pago', count(*), sum(id_metodo_pago) from metodo_pago order by 1;
"""
TEMPLATE = """\
create schema TENANT;
create table TENANT.pedido (id bigint primary key, total numeric not null);
insert into TENANT.pedido select i, i from generate_series(1, 50) i;
"""
TYPED: Final = {
    "Another password": "una nueva: 'ñ' $x %",
    "An application gets a role": "de la tienda",
    "Another password of a role": "otra de la tienda",
}
"""What the commands of a section ask for."""


@pytest.fixture
def clone(runtime: str, tmp_path: Path) -> Iterator[Clone]:
    """A clone in which the stack dev is up, with two workers, few shards and some rows."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI", "MAKE"))}
    clone = Clone(tmp_path / "clone", STACK, environment)
    (clone.folder / "tenants").mkdir()
    (clone.folder / "tenants" / "template.sql").write_text(TEMPLATE)
    port = free_port()
    nodes: LocalNodes | DockerNodes = DockerNodes(PREFIX)
    if runtime == "local":
        installation = find_installation(citus=True)
        assert installation
        nodes = LocalNodes(STACK, port, installation.bindir, stand_in=False)
    tenants = {"sucursal": {"spread": [1, 2]}}
    settings = {"port": port, "namePrefix": PREFIX, "workers": 2, "shardCount": 4, "tenants": tenants, **nodes.settings}
    clone.set(**{f"citus:{name}": value for name, value in settings.items()})
    assert clone.run("make up STACK=dev") == 0
    yield clone
    clone.run("make recover STACK=dev; make down STACK=dev")
    if isinstance(nodes, LocalNodes):
        nodes.clear()
    nodes.close()


def query(clone: Clone, sql: str) -> str:
    """Run statements as a person does; return what is printed."""
    assert clone.run("make --silent psql STACK=dev", typed=sql) == 0
    return clone.printed


def happen(clone: Clone, section: str) -> None:
    """Do what a section of the page is about and nobody does by a command of it."""
    if section == "An update that was interrupted":
        clone.kill("make up STACK=dev", "Updating")
    elif section == "What somebody granted by hand":
        query(clone, "grant truncate on venta to shop_app")


@pytest.mark.timeout(1800)
def test_every_command_of_the_page_works(clone: Clone, runtime: str) -> None:
    """What it shows is what is printed; in the end every row is there, and nothing is left to do."""
    before = query(clone, ROWS + SUMS)
    section = ""
    for block in read_blocks(PAGE):
        if block.mark == "containers" and runtime == "local":
            continue
        if block.section != section:
            section = block.section
            happen(clone, section)
        if block.kind == "yaml":
            clone.set(**yaml.safe_load(block.text))
        elif block.kind == "text":
            clone.assert_printed(block.text)
        elif block.kind == "sql":
            query(clone, block.text)
        elif block.kind == "sh":
            commands = re.sub(r"citusdata/citus:[\d.]+", NEWER_IMAGE, block.text)
            assert clone.run(commands, typed=TYPED.get(section, "")) == 0, clone.printed
    assert before.endswith(query(clone, SUMS))
    assert clone.run(".venv/bin/python -m cli preview --stack dev --expect-no-changes") == 0
