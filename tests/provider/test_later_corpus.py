"""Files that come to a sharded cluster: the plan's verdict against that of Citus, and what they leave against PostgreSQL's."""

from __future__ import annotations

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.corpus.later import LaterCase, draft_later, later_cases, make_base, try_out
from tests.provider.conftest import _copy as copied

if TYPE_CHECKING:
    from tests.provider.resources import Cluster

pytestmark = pytest.mark.timeout(900)
WORKERS = 3
"""Databases side by side."""
STRIDE = int(os.environ.get("CITUS_PULUMI_STRIDE", "4"))
"""Of the statements, every so many-th is tried, on each kind of table; `make corpus` tries all."""
Verdict = tuple[LaterCase, str, str, str | None]
"""A case with what the plan finds, what the cluster refuses, and what its table looks like afterwards."""
UNLIKE = {"delete from {t} where random() < 0.5"}
"""Statements whose result differs by their nature."""


def judge(cluster: Cluster, batch: list[LaterCase]) -> list[Verdict]:
    """Run each case on the same tables, and undo it."""
    judged = []
    with cluster.connected() as connection:
        standing = make_base(connection)
        for case in batch:
            plan, found = draft_later(case, standing)
            judged.append((case, "\n".join(found), *try_out(connection, case, plan)))
    return judged


@pytest.fixture(scope="module")
def verdicts(formed: Cluster) -> list[Verdict]:
    """The cases of the corpus, judged both ways."""
    tried = set(list(dict.fromkeys(case.template for case in later_cases()))[::STRIDE])
    corpus = [case for case in later_cases() if case.template in tried]
    with ExitStack() as stack, ThreadPoolExecutor(WORKERS) as pool:
        clusters = [stack.enter_context(copied(formed)) for _ in range(WORKERS)]
        batches = [corpus[number::WORKERS] for number in range(WORKERS)]
        return list(itertools.chain.from_iterable(pool.map(judge, clusters, batches)))


@pytest.mark.needs("citus")
def test_a_later_file_has_an_error_where_citus_refuses_it_and_nowhere_else(
    verdicts: list[Verdict], capsys: pytest.CaptureFixture[str]
) -> None:
    """Over all statements and kinds of tables, the plan has errors if, and only if, applying the file fails."""
    refusals = sum(bool(refused) for _, _, refused, _ in verdicts)
    with capsys.disabled():
        print(f"\nlater files: {len(verdicts)} verdicts, {refusals} refused")  # noqa: T201 - the figures of the run
    wrong = [
        f"{case}\n  plan: {found or 'nothing'}\n  citus: {refused or 'takes it'}"
        for case, found, refused, _ in verdicts
        if bool(found) != bool(refused)
    ]
    assert not wrong, f"{len(wrong)} disagree:\n\n" + "\n\n".join(wrong)
    assert len(verdicts) >= 1000 // STRIDE


@pytest.mark.needs("citus")
def test_a_later_file_leaves_a_sharded_table_as_it_leaves_a_local_one(verdicts: list[Verdict]) -> None:
    """Columns, defaults, names of constraints, indexes and rows are those that PostgreSQL alone makes of the statement."""
    local = {case.template: seen for case, _, _, seen in verdicts if case.table == "l"}
    unlike = [
        f"{case}\n  {seen}\n  l: {local[case.template]}"
        for case, _, _, seen in verdicts
        if seen and local.get(case.template) and case.template not in UNLIKE and seen != local[case.template]
    ]
    assert not unlike, f"{len(unlike)} differ:\n\n" + "\n\n".join(unlike)
