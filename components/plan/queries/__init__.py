"""How Citus runs a query once the tables are sharded: on one shard, on all, by moving rows, or not at all. Pure.

It follows Citus 12.1's planner over PostgreSQL's parse tree. tests/provider/test_queries.py holds it against genuine Citus.
"""

from components.plan.queries.judge import judge
from components.plan.queries.verdict import Outcome, Verdict

__all__ = ["Outcome", "Verdict", "judge"]
