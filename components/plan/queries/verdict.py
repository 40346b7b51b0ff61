"""What the judge says of a statement, as data. Pure; knows no parse tree."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from components.names import TableName

__all__ = ["Outcome", "Refusal", "Undecided", "Verdict"]


class Outcome(Enum):
    """How Citus runs a statement, the cheapest first."""

    LOCAL = "local"
    """It touches no distributed table: local tables on the coordinator, reference tables on any node."""
    SINGLE_SHARD = "single shard"
    ALL_SHARDS = "all shards"
    """On several shards at once, with what remains to be done on the coordinator."""
    REPARTITION = "repartition"
    """Refused unless citus.enable_repartition_joins is on: then rows of the joined tables move between the workers."""
    REFUSED = "refused"
    NOT_JUDGED = "not judged"

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class Verdict:
    """How Citus runs one statement, why, and what would make it cheaper or possible."""

    outcome: Outcome
    why: str
    remedy: str = ""
    steps: int = 0
    """Parts of it that run first; their rows go to the coordinator and from there to every node."""
    tables: frozenset[TableName] = frozenset()
    """Tables of the files that it touches, through views too."""

    @property
    def works(self) -> bool:
        """Tell whether the statement runs with Citus's own settings."""
        return self.outcome not in (Outcome.REPARTITION, Outcome.REFUSED)


class Refusal(Exception):  # noqa: N818 - it is what Citus answers, not a fault of this program
    """Citus refuses the statement; the text is its reason."""

    def __init__(self, why: str, remedy: str = "", *, is_final: bool = False) -> None:
        """Take the reason and the remedy; a final one keeps Citus from trying other ways."""
        super().__init__(why)
        self.why = why
        self.remedy = remedy
        self.is_final = is_final


class Undecided(Exception):  # noqa: N818 - the same
    """The statement has something that the files do not tell, or that the judge does not read."""
