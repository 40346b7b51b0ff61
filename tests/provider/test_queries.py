"""The judge's verdicts against Citus: every query of the corpus is explained, with repartition joins off and on."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from components.plan.queries import Outcome
from tests.corpus.explained import call, explain, families, make, same
from tests.provider.conftest import _copy as copied

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
