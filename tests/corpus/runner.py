"""Carries plans out on a cluster, as the program does, and tells what was refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import psycopg

from components.database import functions, schemas
from components.database.distribute import ensure_distributed, ensure_reference
from components.database.scripts import ensure_script
from components.errors import StackError
from components.plan.plan import ShardingPlan
from components.schema.files import Schema
from components.schema.statements import SqlFile
from components.settings import Settings
from components.tables import DistributedDeclaration

if TYPE_CHECKING:
    from components.database.connections import Connection
    from tests.corpus import Case

__all__ = ["available", "carry_out", "clean", "draft"]

_SHARDS: Final = "2"

_CREATED: Final = """
with owned as (select objid from pg_depend where deptype = 'e'),
relation as (
    select oid, relkind, reltype from pg_class
    where relnamespace = 'public'::regnamespace and not relispartition and oid not in (select objid from owned)
)
select format('drop %s if exists %s cascade', kind, string_agg(oid::regclass::text, ', '))
from relation join (values ('v', 'view'), ('m', 'materialized view'), ('f', 'foreign table'), ('r', 'table'), ('p', 'table'))
    as kinds (letter, kind) on relkind = letter::"char"
group by kind
union all
select format('drop schema %I cascade', nspname) from pg_namespace
where nspname !~ '^(pg_|information_schema|citus|columnar|public)'
union all
select format('drop extension if exists %I cascade', extname) from pg_extension
where extname not in ('citus', 'citus_columnar', 'plpgsql')
union all
select format('drop type if exists %s cascade', reltype::regtype) from relation where relkind = 'c'
union all
select format('drop sequence if exists %s cascade', oid::regclass) from relation where relkind = 'S'
    and not exists (select from pg_depend where objid = relation.oid and deptype in ('a', 'i'))
union all
select format('drop type if exists %s cascade', oid::regtype) from pg_type
where typnamespace = 'public'::regnamespace and typtype in ('e', 'd', 'r') and oid not in (select objid from owned)
union all
select format('drop routine if exists %s cascade', p.oid::regprocedure) from pg_proc p join pg_language l on l.oid = prolang
where pronamespace = 'public'::regnamespace and (lanname in ('sql', 'plpgsql') or prokind = 'a')
    and p.oid not in (select objid from owned)
union all
select format('drop collation if exists %s cascade', oid::regcollation) from pg_collation
where collnamespace = 'public'::regnamespace and oid not in (select objid from owned)
"""


def draft(case: Case, *more: str) -> ShardingPlan:
    """Return the case's plan with what speaks against it; more files come behind its own."""
    schema = Schema([SqlFile(f"{number}.sql", text) for number, text in enumerate((case.sql, *more), 1)])
    assert schema.problems == [], case
    given = {"password": "x", "tables": json.dumps(case.tables), "shardCount": _SHARDS}
    given |= {"schemas": json.dumps(case.schemas), "functions": json.dumps(case.functions)}
    return ShardingPlan.draft(schema, Settings.parse(given, stack="test"))


def carry_out(connection: Connection, plan: ShardingPlan) -> str:
    """Carry a plan out, whatever was found; return what was refused, empty where nothing was.

    Raises:
        StackError: a file of the schema is wrong by itself, which no case should be.
    """
    for file in plan.files:
        ensure_script(connection, file)
    try:
        for schema in plan.schemas:
            if schema.declaration.undistribute:
                schemas.ensure_local(connection, schema.declaration.schema)
        for table in plan.tables:
            if isinstance(table.declaration, DistributedDeclaration):
                ensure_distributed(connection, table.declaration)
            else:
                ensure_reference(connection, table.declaration)
        for schema in plan.schemas:
            if not schema.declaration.undistribute:
                schemas.ensure_distributed(connection, schema.declaration.schema)
        for function in plan.functions:
            functions.ensure_distributed(connection, function.declaration)
    except (StackError, psycopg.Error) as error:
        return " ".join(str(error).split())
    left = connection.execute("select name from citus_pulumi.foreign_key").fetchall()
    return f"foreign keys {left} were never restored" if left else ""


def clean(connection: Connection) -> None:
    """Drop what a case has created."""
    connection.execute("discard temp")
    connection.execute("set client_min_messages = error")
    for (statement,) in connection.execute(_CREATED).fetchall():
        connection.execute(statement)
    connection.execute("truncate citus_pulumi.script, citus_pulumi.foreign_key")


def available(connection: Connection) -> set[str]:
    """Return the extensions that the server can create."""
    return {name for (name,) in connection.execute("select name from pg_available_extensions").fetchall()}
