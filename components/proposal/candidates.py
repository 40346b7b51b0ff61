"""Candidates for the column by which a schema is sharded, the best first. Foreign keys count more than names. Pure."""

from __future__ import annotations

import heapq
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from components.names import ColumnName, TableName
from components.plan.rules.distribution_column import UNHASHABLE_TYPES
from components.proposal.ties import Tie, Ties, is_bookkeeping, normalized, stem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from components.proposal.statements import UsedColumns
    from components.schema.relations import Table
    from components.schema.statistics import ColumnStatistics, Statistics

__all__ = ["Candidate", "Carrier", "interesting_columns", "rank"]


KEPT: Final = 8
"""How many candidates are weighed in full."""
_TELLING: Final = 1000
"""Rows that some table must have for the numbers of values to say something."""
_OPTIONAL: Final = 10
"""What a foreign key that may be NULL costs on the way to a tenant, in keys that may not."""
_OWNERS: Final = re.compile(
    r"tenant|organi[sz]ation|compan|account|customer|client|workspace|team|site|shop|store|merchant|brand|instance|warehouse"
    r"|country|pais|namespace|domain|school|hospital|property|club|firm"
)
_AUTHORS: Final = re.compile(r"user|author|creat|updat|delet|writ|modif|approv|owner|uploader|editor|by$")
_LOOKUPS: Final = re.compile(
    r"type|kind|status|state|term|curr|lang|locale|unit|role|categor|media|image|avatar|oauth|file"
)
_IDENTIFIERS: Final = frozenset({"int2", "int4", "int8", "uuid", "text", "varchar", "bpchar", "numeric"})


@dataclass(frozen=True)
class Carrier:
    """A table that has the tenant's value in a column of its own."""

    column: str
    how: str
    """key, foreign key or name."""
    steps: int
    """Foreign keys to the tenant's own table."""
    nullable: bool
    nulls: float | None = None
    """Fraction of the rows without a value, as the statistics have it."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A column that could be the tenant's, and what it serves."""

    root: TableName
    """The table that starts the colocation group: the tenant's own where there is one."""
    has_root: bool
    """Whether that is a table of the tenants themselves, with a row for each."""
    column: str
    """The name that most of its tables call it by."""
    type: str
    carriers: dict[TableName, Carrier]
    followers: dict[TableName, Tie] = field(default_factory=dict)
    """Tables without the column, each with the foreign key by which it finds its tenant."""
    tables: int = 0
    """Of the schema, but for those of tools."""
    served_keys: int = 0
    """Foreign keys between its tables."""
    keys: int = 0
    """Foreign keys of the schema."""
    calls: float | None = None
    """Fraction of the calls of statements that name the column; None where no statements are known."""
    values: float | None = None
    """How many tenants there are; None where nothing tells."""
    common: tuple[tuple[str, float], ...] = ()
    """The tenants with most rows of the biggest table, each with its fraction of them."""
    score: float = 0

    def is_called(self, name: str) -> bool:
        """Tell whether a person may mean it by this name: with its table, or as one of the others calls it."""
        return name == self.name or any(it.column == name for it in self.carriers.values() if it.how != "key")

    @property
    def is_author(self) -> bool:
        """Tell whether its name says who wrote a row rather than whose it is."""
        name = f"{self.column} {self.root.name if self.has_root else ''}".lower()
        return _AUTHORS.search(name) is not None and _OWNERS.search(name) is None

    @cached_property
    def name(self) -> str:
        """Return it as table and column."""
        return f"{self.root}.{ColumnName(self.carriers[self.root].column)}"


def interesting_columns(ties: Ties) -> set[str]:
    """Return names of columns whose statistics a proposal may ask for: in keys and foreign keys, or in several tables."""
    named = Counter(column for table in ties.tables.values() for column in table.columns or {})
    keys = {column for table in ties.tables.values() for key in table.keys for column in key.columns}
    foreign = {column for found in ties.outward.values() for tie in found for column in tie.foreign_key.columns}
    return {name for name, count in named.items() if count > 1 and stem(name)} | keys | foreign


def rank(ties: Ties, statistics: Statistics, used: Sequence[UsedColumns], wanted: str = "") -> list[Candidate]:
    """Return the candidates, the best first; none where no table has a column that another one has too.

    `wanted` is the name of a column, alone or with its table, that comes first whatever its score.
    """
    found = sorted((*_by_key(ties), *_by_name(ties)), key=lambda it: (-len(it.carriers), it.name))
    distinct: dict[str, Candidate] = {}
    for candidate in found:
        distinct.setdefault(candidate.name, candidate)
    chosen = [it for it in distinct.values() if it.is_called(wanted)]
    weighed = [_weighed(it, ties, statistics, used) for it in dict.fromkeys([*chosen, *list(distinct.values())[:KEPT]])]
    return sorted(weighed, key=lambda it: (not it.is_called(wanted), -it.score, it.name))


def _by_key(ties: Ties) -> Iterator[Candidate]:
    """Yield tables whose key others reference: an organization, whose id is in the tables of its members."""
    for name, table in ties.tables.items():
        referenced = {theirs for tie in ties.inward[name] if tie.child != name for _, theirs in tie.pairs}
        for key in dict.fromkeys(ties.single_keys(name)):
            column = (table.columns or {}).get(key)
            if key not in referenced or column is None or ties.relations.base_type(column.type) in UNHASHABLE_TYPES:
                continue
            yield _candidate(ties, name, key, column.type, ties.columns_with([(name, key)]), has_root=True)


def _by_name(ties: Ties) -> Iterator[Candidate]:
    """Yield columns of one name and type that are in several tables, and reference none."""
    groups: dict[tuple[str, str], dict[TableName, str]] = defaultdict(dict)
    for name, table in ties.tables.items():
        referencing = {mine for tie in ties.outward[name] if len(tie.pairs) == 1 for mine, _ in tie.pairs}
        own = set(ties.single_keys(name))
        for column in (table.columns or {}).values():
            if (
                stem(column.name)
                and column.name not in own | referencing
                and ties.relations.base_type(column.type) in _IDENTIFIERS
                and not column.generated
                and not is_bookkeeping(name)
                and not _is_polymorphic(table, column.name)
            ):
                groups[normalized(column.name), column.type].setdefault(name, column.name)
    for (_, kind), columns in groups.items():
        if len(columns) < 2:  # noqa: PLR2004
            continue
        spelled = Counter(columns.values()).most_common(1)[0][0]
        owner = _owner(ties, spelled, kind)
        seeds = [*columns.items(), *([owner] if owner else [])]
        root = owner[0] if owner else _first(ties, columns)
        yield _candidate(
            ties, root, owner[1] if owner else columns[root], kind, ties.columns_with(seeds), has_root=owner is not None
        )


def _is_polymorphic(table: Table, column: str) -> bool:
    """Tell whether another column says to which table this one belongs: context_type beside context_id."""
    return any(
        normalized(other) in {f"{stem(column)}type", f"{stem(column)}class", f"{stem(column)}kind"}
        for other in table.columns or {}
    )


def _owner(ties: Ties, column: str, kind: str) -> tuple[TableName, str] | None:
    """Return the table that a column is named after, with its key: tenant or tenants for tenant_id."""
    wanted = stem(column)
    for name, table in ties.tables.items():
        plain = normalized(name.name)
        if plain in {wanted, f"{wanted}s", f"{wanted}es", f"{wanted.removesuffix('y')}ies"}:
            for key in ties.single_keys(name):
                if (table.columns or {})[key].type == kind:
                    return name, key
    return None


def _first(ties: Ties, columns: dict[TableName, str]) -> TableName:
    """Return the table that starts the group where there is none of the tenants: the one that most others reference."""
    inward = {name: sum(tie.child in columns for tie in ties.inward[name] if tie.child != name) for name in columns}
    outward = {name: sum(tie.parent in columns for tie in ties.outward[name]) for name in columns}
    return min(columns, key=lambda name: (outward[name] > 0, -inward[name], ties.order[name]))


def _candidate(
    ties: Ties, root: TableName, key: str, kind: str, found: dict[TableName, dict[str, int]], *, has_root: bool
) -> Candidate:
    """Choose the column of each table, the one that is called as in most tables before others."""
    names = Counter(
        normalized(column) for table, columns in found.items() if table != root or not has_root for column in columns
    )
    main, count = names.most_common(1)[0] if names else (normalized(key), 0)
    main = main if count > 1 else normalized(key)
    carriers = {}
    for table, columns in found.items():
        if table == root:
            carriers[table] = Carrier(key, "key" if has_root else "name", 0, ties.is_nullable(table, key))
            continue
        known, places = ties.tables[table].primary_key, list(ties.tables[table].columns or ())
        column = min(
            columns,
            key=lambda it: (
                normalized(it) != main,
                ties.is_nullable(table, it),
                known is None or it not in known.columns,
                columns[it],
                places.index(it) if it in places else 0,
            ),
        )
        how = "foreign key" if columns[column] else "name"
        carriers[table] = Carrier(column, how, columns[column], ties.is_nullable(table, column))
    if has_root:
        carriers |= _by_the_same_name(ties, carriers, main, kind)
    spelled = Counter(it.column for table, it in carriers.items() if table != root and normalized(it.column) == main)
    column = spelled.most_common(1)[0][0] if spelled else key
    return Candidate(root, has_root, column, kind, carriers)


def _by_the_same_name(ties: Ties, carriers: dict[TableName, Carrier], main: str, kind: str) -> dict[TableName, Carrier]:
    """Return further tables that have a column of that name and type, which references nothing else."""
    found = {}
    for name, column in ties.columns[main]:
        if name in carriers or column.type != kind or column.name in ties.single_keys(name):
            continue
        if _is_polymorphic(ties.tables[name], column.name) or not stem(column.name):
            continue
        if not any(mine == column.name for tie in ties.outward[name] for mine, _ in tie.pairs):
            found[name] = Carrier(column.name, "name", 0, ties.is_nullable(name, column.name))
    return found


def _followers(ties: Ties, candidate: Candidate) -> dict[TableName, Tie]:
    """Return the tables that find their tenant by a foreign key, each with the first of the way that needs least."""
    best: dict[TableName, Tie] = {}
    queue = [(0.0, str(name), name) for name in candidate.carriers]
    cost = dict.fromkeys(candidate.carriers, 0.0)
    heapq.heapify(queue)
    while queue:
        spent, _, table = heapq.heappop(queue)
        if spent > cost[table]:
            continue
        for tie in ties.inward[table]:
            price = spent + (_OPTIONAL if tie.optional else 1) + _distance(ties, tie)
            if price < cost.get(tie.child, price + 1) and tie.child not in candidate.carriers:
                cost[tie.child], best[tie.child] = price, tie
                heapq.heappush(queue, (price, str(tie.child), tie.child))
    return dict(sorted(best.items(), key=lambda it: (cost[it[0]], it[0])))


def _distance(ties: Ties, tie: Tie) -> float:
    """Return how far a table is from being a part of the one that it references, a small part of a foreign key's cost."""
    key = ties.tables[tie.child].primary_key
    in_key = key is not None and {mine for mine, _ in tie.pairs}.issubset(key.columns)
    place = ties.outward[tie.child].index(tie)
    return 0.01 * (tie.foreign_key.on_delete != "c") + 0.005 * (not in_key) + 0.0001 * min(place, 9)


def _weighed(candidate: Candidate, ties: Ties, statistics: Statistics, used: Sequence[UsedColumns]) -> Candidate:
    """Return the candidate with what it serves, and a score: 1 where it serves all, as it is."""
    carriers = {
        name: Carrier(it.column, it.how, it.steps, it.nullable, known.nulls if known else None)
        for name, it in candidate.carriers.items()
        for known in [_known(statistics, name, it.column)]
    }
    followers = _followers(ties, candidate)
    group = {*carriers, *followers}
    considered = [name for name in ties.tables if not is_bookkeeping(name)]
    keys = [tie for found in ties.outward.values() for tie in found]
    calls = sum(it.calls for it in used)
    served_calls = sum(
        it.calls
        for it in used
        if any(name in it.tables and carrier.column in it.compared for name, carrier in carriers.items())
    )
    values, common = _values(candidate, statistics)
    result = replace(
        candidate,
        carriers=carriers,
        followers=followers,
        tables=len(considered),
        served_keys=sum(tie.child in group and tie.parent in group for tie in keys),
        keys=len(keys),
        calls=served_calls / calls if calls else None,
        values=values,
        common=common,
    )
    return replace(result, score=_score(result, ties, statistics))


def _known(statistics: Statistics, table: TableName, column: str) -> ColumnStatistics | None:
    found = statistics.tables.get(table)
    return found.columns.get(column) if found else None


def _score(candidate: Candidate, ties: Ties, statistics: Statistics) -> float:
    """Return how good a candidate is, 0 to about 1.5."""

    def weight(name: TableName) -> float:
        known = statistics.tables.get(name)
        return 1.0 if known is None or known.rows <= 0 else max(1.0, known.rows**0.25)

    def quality(carrier: Carrier) -> float:
        if carrier.nulls is not None:
            return 1 - min(1.0, 2 * carrier.nulls)
        loose = normalized(carrier.column) != normalized(candidate.column) and carrier.how == "foreign key"
        return (0.6 if carrier.nullable else 1.0) * (0.5 if loose and carrier.steps == 1 and carrier.nullable else 1.0)

    considered = [name for name in ties.tables if not is_bookkeeping(name)]
    total = sum(map(weight, considered)) or 1
    score = sum(weight(name) * quality(it) for name, it in candidate.carriers.items())
    score += sum(weight(name) * (0.2 if tie.optional else 0.6) for name, tie in candidate.followers.items())
    score /= total
    score *= _meaning(candidate)
    if candidate.calls is not None:
        score *= 0.5 + candidate.calls
    if max((it.rows for it in statistics.tables.values()), default=0) < _TELLING:
        return score
    if candidate.values is not None and candidate.values < 2:  # noqa: PLR2004
        score *= 0.1
    if candidate.common and candidate.common[0][1] > 0.5:  # noqa: PLR2004
        score *= 0.7
    return score


def _meaning(candidate: Candidate) -> float:
    """Return what the name says: of an owner more than of an author or of a kind of thing."""
    name = f"{candidate.column} {candidate.root.name if candidate.has_root else ''}".lower()
    if _OWNERS.search(name):
        return 1.3
    factor = 0.6 if candidate.is_author or _LOOKUPS.search(name) else 1
    return factor if candidate.has_root else 0.5 * factor


def _values(candidate: Candidate, statistics: Statistics) -> tuple[float | None, tuple[tuple[str, float], ...]]:
    """Return how many tenants there are, and those with most rows in the biggest table that is not theirs."""
    known = [
        (table.rows, found)
        for name, carrier in candidate.carriers.items()
        if (table := statistics.tables.get(name)) and (found := table.columns.get(carrier.column)) and table.rows > 0
        if name != candidate.root or not candidate.has_root
    ]
    own = statistics.tables.get(candidate.root)
    values = own.rows if candidate.has_root and own and own.rows > 0 else None
    if not known:
        return values, ()
    distinct = max(found.distinct if found.distinct >= 0 else -found.distinct * rows for rows, found in known)
    return values if values is not None else distinct, max(known, key=lambda it: it[0])[1].common
