"""Queries over the corpus's schemas (queries/*.yaml, and generated ones), each with what Citus says of it by EXPLAIN."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import postgast
import psycopg
import yaml

from components.plan.plan import ShardingPlan
from components.plan.queries import Outcome, judge
from components.schema.files import Schema
from components.schema.needs import KnownServer
from components.schema.statements import SqlFile
from components.settings import Settings
from tests.corpus.generated_queries import generate_queries
from tests.corpus.runner import carry_out
from tests.servers import find_release

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.database.connections import Connection
    from components.plan.layout import Layout
    from components.plan.queries import Verdict

__all__ = ["Family", "Seen", "call", "explain", "families", "make", "same"]

_FOLDER: Final = Path(__file__).parent
_SHARDS: Final = 8
"""Of each colocation group: enough that the values of a query are on several."""
_MISTAKE: Final = "42"
"""Class of the errors that PostgreSQL's own analysis of a query gives: a mistake of the corpus."""
_SHARD_IDS: Final = """
with sharded as (select * from pg_dist_partition where repmodel <> 't' and colocationid <> 0)
select shardid::text from pg_dist_shard where logicalrelid in (select logicalrelid from sharded)
union all
select case partmethod when 'h' then '' else 'one shard: ' end || logicalrelid from sharded
"""


@dataclass(frozen=True)
class Family:
    """A schema, its settings, and queries over it."""

    name: str
    sql: str
    tables: dict[str, Any]
    queries: tuple[str, ...]
    functions: tuple[str, ...] = ()
    """Bodies of functions in SQL, with the argument i."""
    schemas: dict[str, Any] = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        """Return what the judge knows of it."""
        layout = self.plan.layout
        assert layout is not None
        return layout

    @property
    def plan(self) -> ShardingPlan:
        """Return its plan."""
        server = KnownServer(citus=find_release())
        return ShardingPlan.draft(Schema([SqlFile("1.sql", self.sql)]), self._settings, server=server)

    @property
    def _settings(self) -> Settings:
        given = {"tables": json.dumps(self.tables), "schemas": json.dumps(self.schemas), "shardCount": str(_SHARDS)}
        return Settings.parse({"password": "x", **given}, stack="test")

    def verdict(self, query: str, layout: Layout, *, in_function: bool = False) -> Verdict:
        """Return what the judge says of a query."""
        tree = postgast.parse(query).stmts[0].stmt
        return judge(tree, layout, parameters=["i"] if in_function else (), in_sql_function=in_function)


@dataclass(frozen=True)
class Seen:
    """What Citus makes of a query."""

    outcome: Outcome
    has_steps: bool
    text: str
    """The plan, or the error."""


def families() -> Iterator[Family]:
    """Yield the families of the corpus, the same in every run."""
    for path in sorted((_FOLDER / "queries").glob("*.yaml")):
        read = yaml.safe_load(path.read_text("utf-8"))
        sql, tables = read.get("sql", ""), read.get("tables", {})
        if "plans" in read:
            plans = yaml.safe_load((_FOLDER / read["plans"]).read_text("utf-8"))
            schema = (_FOLDER / read["plans"]).parent / plans["schema"]
            files = sorted(schema.resolve().glob("*.sql")) if schema.is_dir() else [schema]
            sql = "\n".join([*(file.read_text("utf-8") for file in files), sql])
            seed = yaml.safe_load((_FOLDER.parents[1] / "Pulumi.dev.yaml").read_text("utf-8"))
            tables = {**plans.get("tables", seed["config"]["citus:tables"]), **tables}
        queries = [*read["queries"], *(generate_queries(read.get("generated", 0)))]
        yield Family(path.stem, sql, tables, tuple(queries), tuple(read.get("functions", ())), read.get("schemas", {}))


def make(connection: Connection, family: Family) -> set[str]:
    """Carry out the family's plan; return the names of distributed tables and the ids of their shards."""
    refused = carry_out(connection, family.plan)
    assert not refused, refused
    return {shard for (shard,) in connection.execute(_SHARD_IDS).fetchall()}


def explain(connection: Connection, query: str, shards: set[str]) -> Seen:
    """Return what Citus makes of a query, with citus.enable_repartition_joins off, and on where it is refused then.

    Raises:
        ValueError: the query is wrong by itself.
    """
    try:
        return _seen(query, _explained(connection, query, repartition=False), shards)
    except psycopg.Error as error:
        if (error.sqlstate or "").startswith(_MISTAKE):
            raise ValueError(f"{query}: {error}") from error
        refused = " ".join(str(error).split())
    try:
        _explained(connection, query, repartition=True)
    except psycopg.Error:
        return Seen(Outcome.REFUSED, has_steps=False, text=refused)
    return Seen(Outcome.REPARTITION, has_steps=False, text=refused)


def call(connection: Connection, body: str) -> str:
    """Run a query as the body of a function in SQL; return what Citus refuses, empty where it runs."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("set local citus.enable_ddl_propagation = off")
            connection.execute(f"create function f(i int) returns bigint language sql as $$ {body} $$".encode())
            connection.execute("select f(1)")
    except psycopg.Error as error:
        if (error.sqlstate or "").startswith(_MISTAKE):
            raise ValueError(f"{body}: {error}") from error
        return " ".join(str(error).split())
    return ""


def _explained(connection: Connection, query: str, *, repartition: bool) -> str:
    text = re.sub(r"\$(\d)", r"\1", query)
    with connection.transaction(force_rollback=True):
        connection.execute("set local citus.enable_repartition_joins = on" if repartition else "select")
        plan = "\n".join(line for (line,) in connection.execute(f"explain (costs off) {text}".encode()).fetchall())
        if "INSERT/SELECT method" in plan:  # some are refused only when they run
            connection.execute(text.encode())
        return plan


def _seen(query: str, plan: str, shards: set[str]) -> Seen:
    tasks = [int(count) for count in re.findall(r"Task Count: (\d+)", plan)]
    on_shard = not shards.isdisjoint(re.findall(r"_(\d{6,})", plan))
    target = re.search(r"\b(?:insert|merge) into ([\w.]+)", query)
    moves = target is not None and target[1] in shards and " method: " in plan
    if max(tasks, default=0) > 1:
        outcome = Outcome.ALL_SHARDS
    elif tasks and on_shard:
        outcome = Outcome.SINGLE_SHARD
    else:
        outcome = Outcome.LOCAL
    if moves and outcome != Outcome.ALL_SHARDS:
        outcome = Outcome.ALL_SHARDS
    if target is not None and f"one shard: {target[1]}" in shards and outcome == Outcome.LOCAL:
        outcome = Outcome.SINGLE_SHARD
    return Seen(outcome, "Distributed Subplan" in plan, plan)


def same(verdict: Verdict, seen: Seen) -> bool:
    """Tell whether the judge says what Citus does."""
    if verdict.outcome != seen.outcome:
        return False
    return not verdict.works or bool(verdict.steps) == seen.has_steps
