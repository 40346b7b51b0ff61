"""What EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) says of a query on Citus, as typed data. Pure.

Sizes that Citus tells in words are exact below 10 kB, and rounded to whole units above.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from analysis.results import NodeShare, PlanNode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["BLOCK", "Explained", "Task", "parse_size"]

BLOCK: Final = 8192
"""Bytes of a page of PostgreSQL."""
_UNITS: Final = {"bytes": 1, "byte": 1, "kB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
_ADAPTIVE: Final = "Citus Adaptive"
_FACTS: Final = {
    "Join Filter": "joined where",
    "Hash Cond": "joined where",
    "Merge Cond": "joined where",
    "Index Cond": "looked up by",
    "Filter": "only where",
    "Group Key": "grouped by",
    "Sort Key": "sorted by",
}


@dataclass(frozen=True)
class Task:
    """What one worker did for one shard."""

    node: str
    """`name:port`."""
    bytes: int
    rows: int
    time: float
    """Milliseconds."""
    blocks: int
    """Pages that it read, from memory or disk."""
    plan: Mapping[str, Any]


@dataclass(frozen=True)
class Explained:
    """One execution of a query, as EXPLAIN tells it."""

    time: float
    """Milliseconds."""
    bytes: int
    """That the coordinator received from the workers; 0 of a query that needed none."""
    rows: int
    task_count: int
    map_tasks: int
    merge_tasks: int
    tasks: tuple[Task, ...]
    """Empty where Citus shows none, as of a repartition join."""
    blocks: int
    """Pages that were read, on the coordinator and in the tasks that are shown."""
    plan: PlanNode

    @classmethod
    def of(cls, document: Sequence[Mapping[str, Any]]) -> Explained:
        """Read what the server sent: a list with one plan in it."""
        (explained,) = document
        top = explained["Plan"]
        adaptive = next((step for step in _steps(top) if step.get("Custom Plan Provider") == _ADAPTIVE), None)
        job: Mapping[str, Any] = adaptive["Distributed Query"]["Job"] if adaptive else {}
        tasks = tuple(_task(task) for task in job.get("Tasks", ()))
        maps, merges = _dependent(job)
        return cls(
            time=explained["Execution Time"],
            bytes=parse_size(job["Tuple data received from nodes"]) if adaptive else 0,
            rows=adaptive["Actual Rows"] if adaptive else 0,
            task_count=job.get("Task Count", 0),
            map_tasks=maps,
            merge_tasks=merges,
            tasks=tasks,
            blocks=_blocks(top) + sum(task.blocks for task in tasks),
            plan=_tree(top, tasks),
        )

    @property
    def bytes_read(self) -> int:
        """Return the size of the pages that were read."""
        return self.blocks * BLOCK

    def by_node(self) -> list[NodeShare]:
        """Return what each worker did, of those that answered with rows or had a task."""
        nodes = sorted({task.node for task in self.tasks})
        return [
            NodeShare(
                node=node,
                tasks=len(mine := [task for task in self.tasks if task.node == node]),
                bytes=sum(task.bytes for task in mine),
                rows=sum(task.rows for task in mine),
                slowest=max(task.time for task in mine),
            )
            for node in nodes
        ]


def parse_size(text: str) -> int:
    """Return the bytes of a size in PostgreSQL's words, such as `212 bytes` or `12 kB`.

    Raises:
        ValueError: it is none.
    """
    number, _, unit = text.partition(" ")
    if unit not in _UNITS:
        msg = f"{text!r} is no size: expected a number and one of {', '.join(_UNITS)}"
        raise ValueError(msg)
    return int(number) * _UNITS[unit]


def _steps(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _steps(below)


def _task(task: Mapping[str, Any]) -> Task:
    where = dict(re.findall(r"(host|port)=(\S+)", task["Node"]))
    ((remote,),) = task["Remote Plan"]
    plan = remote["Plan"]
    return Task(
        node=f"{where['host']}:{where['port']}",
        bytes=parse_size(task["Tuple data received from node"]),
        rows=plan["Actual Rows"],
        time=remote.get("Execution Time", plan["Actual Total Time"]),
        blocks=_blocks(plan),
        plan=plan,
    )


def _blocks(plan: Mapping[str, Any]) -> int:
    return int(plan.get("Shared Hit Blocks", 0) + plan.get("Shared Read Blocks", 0))


def _dependent(job: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many tasks of both kinds the jobs have that this one waits for, and those that they wait for."""
    maps = merges = 0
    for other in job.get("Dependent Jobs", ()):
        below = _dependent(other)
        maps += other.get("Map Task Count", 0) + below[0]
        merges += other.get("Merge Task Count", 0) + below[1]
    return maps, merges


# --- the plan as a person reads it -----------------------------------------------------------------------------------


def _tree(plan: Mapping[str, Any], tasks: Sequence[Task]) -> PlanNode:
    children = [_tree(below, tasks) for below in plan.get("Plans", ())]
    facts = [f"{plan['Actual Rows']:,} rows, {plan['Actual Total Time']:,.1f} ms"]
    if plan.get("Custom Plan Provider") == _ADAPTIVE:
        job = plan["Distributed Query"]["Job"]
        facts.append(f"{job['Task Count']} tasks; {job['Tuple data received from nodes']} received from the workers")
        children += _jobs(job)
        if tasks:
            slowest = max(tasks, key=lambda task: task.time)
            shown = f"the slowest of {len(tasks)} tasks, on {slowest.node}"
            children.append(
                PlanNode(title=shown, facts=[f"{slowest.bytes} bytes sent"], children=[_tree(slowest.plan, ())])
            )
    for key, words in _FACTS.items():
        if key in plan:
            value = plan[key]
            facts.append(f"{words} {', '.join(value) if isinstance(value, list) else value}")
    return PlanNode(title=_title(plan), facts=facts, children=children)


def _jobs(job: Mapping[str, Any]) -> Iterator[PlanNode]:
    for other in job.get("Dependent Jobs", ()):
        counts = [
            f"{other[key]} {words}"
            for key, words in (
                ("Map Task Count", "map tasks split rows by the join column"),
                ("Merge Task Count", "merge tasks fetch them from other workers"),
            )
            if key in other
        ]
        yield PlanNode(title="Repartition", facts=counts, children=list(_jobs(other)))


def _title(plan: Mapping[str, Any]) -> str:
    kind = plan.get("Custom Plan Provider") or plan["Node Type"]
    partial = plan.get("Partial Mode", "Simple")
    kind = kind if partial == "Simple" else f"{partial} {kind}"
    name = plan.get("Relation Name")
    index = f" by {plan['Index Name']}" if "Index Name" in plan else ""
    return f"{kind}{f' on {name}' if name else ''}{index}"
