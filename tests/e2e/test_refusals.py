"""Bad input: one clear error at preview, nothing touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.nodes import DOCKER, LOCAL, STAND_IN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.stack import Stack


RUNTIMES = [LOCAL, DOCKER, STAND_IN]


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack]) -> Stack:
    """A stack that is never brought up."""
    return new_stack("refused")


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"wrokers": 3}, "citus:wrokers: unknown setting, remove it"),
        ({"workers": 0}, "citus:workers = '0': Input should be greater than or equal to 1"),
        ({"workers": "four"}, "'workers' must be of type 'integer'"),
        ({"password": None}, "password"),
        ({"password": "in the open"}, "password"),
        (
            {"tables": {"vent": {"reference": True}}},
            "citus:tables.vent: no SQL file of citus:schemaDir creates this table",
        ),
        ({"tables": {"venta": {"distributeBy": "pais"}}}, "citus:tables.venta.distributeBy = pais: 040_venta.sql:3:1"),
        (
            {"tables": {"cupon": {"reference": True}, "venta": {"distributeBy": "id_pais", "colocateWith": "cupon"}}},
            "citus:tables.venta.colocateWith = cupon: that is a reference table",
        ),
        (
            {
                "tables": {
                    "venta": {"distributeBy": "id_pais", "colocateWith": "sucursal"},
                    "sucursal": {"distributeBy": "id_pais", "colocateWith": "venta"},
                }
            },
            "a cycle (venta → sucursal → venta)",
        ),
        ({"schemaDir": "no/such"}, "citus:schemaDir = 'no/such': there is no such folder"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_bad_setting_is_refused_at_preview(stack: Stack, settings: None, changed: dict[str, Any], error: str) -> None:
    """The error names the setting and its value; no traceback, nothing made."""
    stack.set(**changed)
    preview = stack.preview()
    assert preview.code != 0
    assert error in preview.errors
    assert "Traceback" not in preview.output
    assert stack.leftovers() == []


def test_a_file_that_does_not_parse_is_named_to_the_column(stack: Stack, settings: None, tmp_path: Path) -> None:
    """File, line and column of the first thing that PostgreSQL's grammar does not take."""
    (tmp_path / "010_a.sql").write_text("create table a (\n    ñ integer,\n    b integer nto null\n);\n")
    stack.set(schemaDir=str(tmp_path), tables={})
    preview = stack.preview()
    assert preview.code != 0
    assert "010_a.sql:3:15: syntax error" in preview.errors


def test_what_the_servers_lack_is_said_at_preview(stack: Stack, settings: None, tmp_path: Path) -> None:
    """An extension that the image, or this host, does not have, with those that it has taken; nothing is made for it."""
    (tmp_path / "010_a.sql").write_text("create extension if not exists plpgsql;\ncreate extension no_such_thing;\n")
    stack.set(schemaDir=str(tmp_path), tables={})
    preview = stack.preview()
    assert preview.code != 0
    assert "010_a.sql:2:1: the extension no_such_thing is not among those that" in preview.errors
    assert "plpgsql" not in preview.errors
    assert stack.leftovers() == []
