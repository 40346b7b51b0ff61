"""The judge's verdicts against Citus: every query of the corpus is explained, with repartition joins off and on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from cli.queries import QueriesError, judge_queries
from components.plan.queries import Outcome
from tests.corpus.explained import call, explain, families, make, same
from tests.provider.conftest import _copy as copied
from tests.servers import HOST, PASSWORD, USER, find_installation, running_servers

if TYPE_CHECKING:
    from tests.provider.resources import Cluster


@pytest.mark.needs("citus")
def test_the_judge_says_of_every_query_what_citus_makes_of_it(
    formed: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """One shard, all shards, moved rows or refused, and whether parts run first; fewer than 3 in 100 are not judged.

    Bodies of functions in SQL are called: what they may have depends on their parameters.
    """
    wrong: list[str] = []
    seen: Counter[Outcome] = Counter()
    for family in families():
        layout = family.layout
        with copied(formed) as cluster, cluster.connected() as connection:
            shards = make(connection, family)
            for query in family.queries:
                verdict, real = family.verdict(query, layout), explain(connection, query, shards)
                seen[verdict.outcome] += 1
                if verdict.outcome != Outcome.NOT_JUDGED and not same(verdict, real):
                    said = f"{verdict.outcome}, {verdict.steps} steps: {verdict.why}"
                    wrong.append(f"{family.name}: {query}\n  judge: {said}\n  citus: {real.outcome}: {real.text}")
            for body in family.functions:
                verdict, refused = family.verdict(body, layout, in_function=True), call(connection, body)
                seen[verdict.outcome] += 1
                if verdict.works == bool(refused):
                    wrong.append(
                        f"{family.name}: function: {body}\n  judge: {verdict}\n  citus: {refused or 'takes it'}"
                    )
    with capsys.disabled():
        shown = ", ".join(f"{count} {outcome}" for outcome, count in seen.items())
        print(f"\nqueries: {seen.total() - len(wrong)} of {seen.total()} verdicts agree ({shown})")  # noqa: T201 - the figures of the run
    assert not wrong, f"{len(wrong)} disagree:\n\n" + "\n\n".join(wrong)
    assert seen[Outcome.NOT_JUDGED] < 0.03 * seen.total()
    assert seen.total() >= 300
    assert all(seen[outcome] >= 20 for outcome in Outcome if outcome != Outcome.NOT_JUDGED)


@pytest.mark.needs("citus")
def test_statements_of_a_live_database_are_read_with_their_calls_and_times() -> None:
    """From pg_stat_statements, in whatever schema it is; of this database alone, and without writing to it."""
    installation = find_installation(citus=True)  # a distribution's PostgreSQL, which has the extension
    assert installation
    with running_servers(replace(installation, citus=None), "live") as (server,):
        with server.connect() as connection:
            connection.execute("alter system set shared_preload_libraries = pg_stat_statements")
        server.stop()
        server.start()
        uri = f"postgresql://{USER}:{quote(PASSWORD, safe='')}@{HOST}:{server.port}/postgres"
        layout = next(it for it in families() if it.name == "retail").layout
        with pytest.raises(QueriesError, match="has no pg_stat_statements"):
            judge_queries(uri, layout)
        with server.connect() as connection:
            connection.execute("create schema stats; create extension pg_stat_statements schema stats")
            connection.execute("create table venta (id_pais int, id_venta int)")
            for number in range(3):
                connection.execute(f"select * from venta where id_pais = 1 and id_venta = {number}".encode())
            connection.execute("select count(*) from venta")
        judged = {it.statement.text: it for it in judge_queries(uri, layout).queries}
    one = judged["select * from venta where id_pais = $1 and id_venta = $2"]
    assert (one.verdict.outcome, one.statement.calls) == (Outcome.SINGLE_SHARD, 3)
    assert one.statement.milliseconds > 0
    assert judged["select count(*) from venta"].verdict.outcome == Outcome.ALL_SHARDS
