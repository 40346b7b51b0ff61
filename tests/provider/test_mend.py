"""The file that mends a plan, on genuine servers: it runs behind every schema, and what it makes can be sharded."""

from __future__ import annotations

import itertools
import os
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import psycopg
import pytest

from components.errors import StackError
from components.names import ColumnName
from components.plan.mend import MendFile
from tests.corpus import Case, Mend, cases, mends
from tests.corpus.runner import available, carry_out, clean, draft
from tests.provider.conftest import _copy as copied

if TYPE_CHECKING:
    from components.database.connections import Connection
    from tests.provider.resources import Cluster

pytestmark = pytest.mark.needs("citus")

STRIDE = int(os.environ.get("CITUS_PULUMI_STRIDE", "4"))
"""Every how manieth case of the corpus is tried; 1 for all of them, as `make corpus` does."""
WORKERS = 3
"""Databases side by side."""
KEYS = """
    select i.indrelid::regclass || ' ' || i.indexrelid::regclass,
           coalesce(pg_get_constraintdef(k.oid), pg_get_indexdef(i.indexrelid))
    from pg_index i left join pg_constraint k on k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x')
    join pg_class x on x.oid = i.indexrelid and not x.relispartition
    where (i.indisunique or i.indisexclusion) and x.relnamespace <> 'pg_toast'::regnamespace and i.indexrelid >= 16384
"""


def mend(connection: Connection, case: Case) -> str:
    """Carry out the case's plan with the file that mends it; return what went wrong, empty where nothing did."""
    plan = draft(case)
    file = MendFile.of(plan.findings)
    text = file.text("test")
    mended = draft(case, text)
    again = {(it.rule, it.table) for it in file.mended} & {(it.rule, it.table) for it in mended.errors}
    if again or MendFile.of(mended.findings).steps:
        return f"found again: {again}"
    try:
        connection.execute(case.sql.encode())
    except psycopg.Error as error:
        return f"the schema is wrong by itself: {error}" if isinstance(case, Mend) else ""
    try:
        with connection.transaction():
            connection.execute(text.encode())
    except psycopg.Error as error:
        return f"refused: {error}"
    clean(connection)
    return "" if mended.errors else carry_out(connection, mended)


def judge(cluster: Cluster, batch: list[Case]) -> list[tuple[Case, str]]:
    """Return what went wrong with each case that SQL mends; none where an extension is missing."""
    judged = []
    with cluster.connected() as connection:
        extensions = available(connection)
        for case in batch:
            if (
                set(re.findall(r"create extension (\w+)", case.sql)) <= extensions
                and MendFile.of(draft(case).findings).steps
            ):
                judged.append((case, mend(connection, case)))
                clean(connection)
    return judged


def test_every_schema_of_the_corpus_can_be_mended(formed: Cluster) -> None:
    """PostgreSQL runs the file, the plan finds nothing of it again, and where no error is left, Citus shards the tables."""
    corpus = [*mends(), *list(cases())[::STRIDE]]
    with ExitStack() as stack, ThreadPoolExecutor(WORKERS) as pool:
        clusters = [stack.enter_context(copied(formed)) for _ in range(WORKERS)]
        batches = [corpus[number::WORKERS] for number in range(WORKERS)]
        judged = list(itertools.chain.from_iterable(pool.map(judge, clusters, batches)))
    wrong = [f"{case}: {problem}\n{case.tables}\n{case.sql}" for case, problem in judged if problem]

    assert not wrong, f"{len(wrong)} of {len(judged)}:\n\n" + "\n\n".join(wrong)
    assert len(judged) > 300 // STRIDE


def test_a_mended_key_is_what_it_was_with_the_distribution_column_in_front(cluster: Cluster) -> None:
    """PostgreSQL's own words for each key and index are the same before and after, but for that column."""
    compared = 0
    for case in mends():
        columns = {
            str(ColumnName(settings["distributeBy"])) for settings in case.tables.values() if "distributeBy" in settings
        }
        with cluster.connected() as connection:
            connection.execute(case.sql.encode())
            connection.execute("set search_path = public")
            before = dict(connection.execute(KEYS).fetchall())
            connection.execute(MendFile.of(draft(case).findings).text("test").encode())
            after = dict(connection.execute(KEYS).fetchall())
            clean(connection)
        assert before.keys() == after.keys()
        for name, definition in after.items():
            if definition != before[name]:
                compared += 1
                assert _without(definition, columns) == _without(before[name], columns), case
    assert compared >= 12


def _without(definition: str, columns: set[str]) -> str:
    """Return a key's definition without the distribution column in front, or in INCLUDE; hash takes no second column."""
    for column in columns:
        definition = definition.replace(f"({column}, ", "(", 1).replace(f"({column} WITH =, ", "(", 1)
        definition = definition.replace(f" INCLUDE ({column})", "")
    return definition.replace("USING hash", "USING btree")


def test_rows_that_a_mend_does_not_allow_leave_everything_as_it_was(cluster: Cluster) -> None:
    """A file that meets NULL where it wants none changes nothing."""
    case = Case(
        "", "", "create table t (x int, a int unique); insert into t values (null, 1)", {"t": {"distributeBy": "x"}}
    )
    text = MendFile.of(draft(case).findings).text("test")
    cluster.script("1.sql", case.sql).up()

    with pytest.raises(StackError, match='column "x" of relation "t" contains null values'):
        cluster.script("9.sql", text).up()

    assert (
        cluster.value("select pg_get_constraintdef(oid) from pg_constraint where conname = 't_a_key'") == "UNIQUE (a)"
    )
