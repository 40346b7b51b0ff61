"""The plan's verdict against that of Citus: every plan of the corpus is carried out, whatever was found."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.corpus import Case, cases
from tests.corpus.runner import available, carry_out, clean, draft
from tests.provider.conftest import _copy as copied

if TYPE_CHECKING:
    from tests.provider.resources import Cluster

STRICTER = {"foreign-key-from-local"}
"""What Citus takes and the plan refuses all the same, for the foreign key would hold no longer, unnoticed."""
WORKERS = 3
"""Databases side by side."""


def judge(cluster: Cluster, batch: list[Case]) -> list[tuple[Case, str, str]]:
    """Return each case with what the plan finds and what the cluster refuses; none where an extension is missing."""
    judged = []
    with cluster.connected() as connection:
        extensions = available(connection)
        for case in batch:
            if set(re.findall(r"create extension (\w+)", case.sql)) <= extensions:
                plan = draft(case)
                found = "\n".join(str(error) for error in plan.errors if error.rule not in STRICTER)
                judged.append((case, found, carry_out(connection, plan)))
                clean(connection)
    return judged


@pytest.mark.needs("citus")
def test_the_plan_finds_an_error_where_citus_refuses_and_nowhere_else(
    formed: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over the whole corpus, a plan has errors if, and only if, carrying it out fails."""
    corpus = list(cases())
    with ExitStack() as stack, ThreadPoolExecutor(WORKERS) as pool:
        clusters = [stack.enter_context(copied(formed)) for _ in range(WORKERS)]
        batches = [corpus[number::WORKERS] for number in range(WORKERS)]
        judged = list(itertools.chain.from_iterable(pool.map(judge, clusters, batches)))
    agree = Counter(case.family for case, found, refused in judged if bool(found) == bool(refused))
    refusals = Counter(case.family for case, _, refused in judged if refused)
    total = Counter(case.family for case, _, _ in judged)
    shown = ", ".join(f"{name} {agree[name]}/{total[name]} ({refusals[name]} refused)" for name in total)
    with capsys.disabled():
        print(f"\ncorpus: {sum(agree.values())} of {len(judged)} verdicts agree: {shown}")  # noqa: T201 - the figures of the run
    wrong = [
        f"{case}\n  plan: {found or 'nothing'}\n  citus: {refused or 'takes it'}\n  {case.tables}\n{case.sql}"
        for case, found, refused in judged
        if bool(found) != bool(refused)
    ]
    assert not wrong, f"{len(wrong)} disagree:\n\n" + "\n\n".join(wrong)
    assert len(judged) >= 200
