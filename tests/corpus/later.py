"""Statements that come to a cluster whose tables are sharded (later.yaml), each with the settings that it comes with."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
import yaml

from components.database.scripts import ensure_script
from components.errors import StackError
from components.names import TableName
from components.plan.later import Standing
from components.plan.plan import ShardingPlan
from components.schema.files import Schema
from components.schema.needs import KnownServer
from components.schema.statements import SqlFile
from components.settings import Settings
from components.tables import Distributed, Reference, Sharding, SingleShard
from tests.corpus.runner import carry_out
from tests.servers import find_release

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.database.connections import Connection

__all__ = ["LaterCase", "draft_later", "later_cases", "make_base", "try_out"]

_FOLDER: Final = Path(__file__).parent
_CORPUS: Final = yaml.safe_load((_FOLDER / "later.yaml").read_text("utf-8"))
_BASE: Final = SqlFile("010.sql", _CORPUS["base"])
_SNAPSHOT: Final = (_FOLDER / "snapshot.sql").read_bytes()
_CHANGING: Final = re.compile(r"random|clock|uuid|nextval|now|current|serial|limit")
"""In statements after which two tables need not have the same values."""


@dataclass(frozen=True)
class LaterCase:
    """The text of a file, and the settings of all tables."""

    template: str
    """With `{t}` for the table."""
    table: str
    """d, r, m, s or l; empty where the case names its tables itself."""
    tables: dict[str, Any]
    new_tables: bool
    """Whether settings come with it."""

    @property
    def sql(self) -> str:
        """Return the text of the file."""
        path = "set search_path to x, public; " if self.table == "s" else ""
        return path + self.template.replace("{t}", self.table)

    def __str__(self) -> str:
        return self.sql


def later_cases() -> Iterator[LaterCase]:
    """Yield every case, once for each of its tables."""
    for case in _CORPUS["cases"]:
        said: dict[str, Any] = {"sql": case} if isinstance(case, str) else case
        changed = {**_CORPUS["tables"], **said.get("tables", {})}
        tables = {name: how for name, how in changed.items() if how is not None}
        for table in said.get("for") or (["d", "r", "m", "s", "l"] if "{t}" in said["sql"] else [""]):
            yield LaterCase(said["sql"], table, tables, "tables" in said)


def _draft(files: list[SqlFile], tables: dict[str, Any], standing: Standing | None) -> tuple[ShardingPlan, list[str]]:
    schemas = json.dumps(_CORPUS["schemas"])
    given = {"password": "x", "tables": json.dumps(tables), "schemas": schemas, "shardCount": "4"}
    settings = Settings.parse(given, stack="test")
    schema = Schema(files)
    plan = ShardingPlan.draft(schema, settings, standing, KnownServer(citus=find_release()))
    return plan, [*map(str, schema.problems), *map(str, plan.errors)]


def make_base(connection: Connection) -> Standing:
    """Make the tables that stand before any case, and return what a preview sees of them."""
    plan, found = _draft([_BASE], _CORPUS["tables"], None)
    assert not found, found
    refused = carry_out(connection, plan)
    assert not refused, refused
    sharded: dict[TableName, Sharding] = {TableName.parse(name): _kind(how) for name, how in _CORPUS["tables"].items()}
    return Standing({_BASE.name}, {**sharded, TableName("x", "s"): SingleShard()})


def _kind(how: dict[str, Any]) -> Sharding:
    return Reference() if how.get("reference") else Distributed(how["distributeBy"])


def draft_later(case: LaterCase, standing: Standing | None) -> tuple[ShardingPlan, list[str]]:
    """Return the plan of a case, and what is found against it."""
    return _draft([_BASE, SqlFile("020.sql", case.sql)], case.tables, standing)


def try_out(connection: Connection, case: LaterCase, plan: ShardingPlan) -> tuple[str, str | None]:
    """Run a case on the tables of `make_base` and undo it; return what was refused, and what its table looks like then."""
    try:
        with connection.transaction(force_rollback=True):
            to_shard = [
                *(it.name for it in plan.tables),
                *(it for schema in plan.schemas for it in schema.declaration.tables),
            ]
            ensure_script(connection, SqlFile("020.sql", case.sql), to_shard=to_shard)
            seen = _look_at(connection, case) if case.table else None
            refused = carry_out(connection, plan) if case.new_tables else ""
            return refused, seen
    except (StackError, psycopg.Error) as error:
        return " ".join(str(error).split()), None


def _look_at(connection: Connection, case: LaterCase) -> str | None:
    """Return a table's columns, keys, indexes and rows, in which its own name is T."""
    if case.table == "s":
        connection.execute("set local search_path to x, public")
    found = connection.execute(_SNAPSHOT, {"name": case.table}).fetchone()
    if found is None:
        return None
    columns = [f'"{column[0]}"::text' for column in json.loads(found[0])["columns"]]
    shown = "count(*)" if _CHANGING.search(case.sql) else ", ".join(columns)
    rows = sorted(map(str, connection.execute(f"select {shown} from {case.table}".encode()).fetchall()))
    return re.sub(rf"\b(?:public\.|x\.)?{case.table}(_|\b)", r"T\1", f"{found[0]}\n{rows}")
