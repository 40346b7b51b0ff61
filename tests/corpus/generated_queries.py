"""Generated queries over the tables of queries/edges.yaml. Same seed, same queries."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["generate_queries"]

SEED: Final = 12_1
_TABLES: Final = ["a", "a", "b", "b", "u", "c", "r", "l", "va", "vg"]


def generate_queries(count: int, seed: int = SEED) -> Iterator[str]:
    """Yield queries: joins of all kinds, with subqueries, aggregates and conditions."""
    chance = random.Random(seed)
    for _ in range(count):
        yield _query(chance)


def _columns(table: str) -> list[str]:
    return {"u": ["k", "x"], "r": ["id", "x"], "l": ["id", "x"], "va": ["k", "id", "x"], "vg": ["k"]}.get(
        table, ["k", "id", "x"]
    )


def _item(chance: random.Random, alias: str) -> tuple[str, list[str]]:
    """Return an entry of FROM and its columns."""
    table = chance.choice(_TABLES)
    columns = _columns(table)
    form = chance.random()
    if form < 0.7:
        return f"{table} {alias}", columns
    shown = ", ".join(columns)
    if form < 0.8:
        return f"(select {shown} from {table}{_where(chance, table, columns)}) {alias}", columns
    if form < 0.88:
        return f"(select {shown}, count(*) as n from {table} group by {shown}) {alias}", columns
    if form < 0.94:
        return f"(select {columns[0]}, max({columns[-1]}) as m from {table} group by {columns[0]}) {alias}", columns[:1]
    return f"(select {shown} from {table} limit 5) {alias}", columns


def _where(chance: random.Random, alias: str, columns: list[str]) -> str:
    column = chance.choice(columns)
    return f" where {alias}.{column} = {chance.choice([1, 1, 2])}" if chance.random() < 0.25 else ""


def _query(chance: random.Random) -> str:
    known: list[tuple[str, list[str]]] = []
    text = ""
    for number in range(chance.choice([1, 2, 2, 2, 3, 3, 4])):
        alias = f"t{number}"
        item, columns = _item(chance, alias)
        if not known:
            text = item
        else:
            other, others = chance.choice(known)
            by_key = "k" in columns and "k" in others and chance.random() < 0.7
            mine, theirs = ("k", "k") if by_key else (chance.choice(columns), chance.choice(others))
            join = chance.choice(["join", "join", "join", "left join", "left join", "full join"])
            text += f" {join} {item} on {alias}.{mine} = {other}.{theirs}"
        known.append((alias, columns))
    alias, columns = chance.choice(known)
    conditions = [it for it in (_condition(chance, alias, columns) for _ in range(chance.choice([0, 1, 1]))) if it]
    where = f" where {' and '.join(conditions)}" if conditions else ""
    shown, after = _shown(chance, *chance.choice(known))
    return f"select {shown} from {text}{where}{after}"


def _condition(chance: random.Random, alias: str, columns: list[str]) -> str:
    column = chance.choice(columns)
    table = chance.choice(["a", "b", "u", "c", "r", "l"])
    inner = chance.choice(_columns(table))
    same = "k" if "k" in columns and "k" in _columns(table) and chance.random() < 0.6 else ""
    forms = [
        f"{alias}.{column} = 1",
        f"{alias}.{column} = 1",
        f"{alias}.{column} > 1",
        f"{alias}.{column} is null",
        f"{alias}.{same or column} in (select {same or inner} from {table})",
        f"exists (select 1 from {table} s where s.{same or inner} = {alias}.{same or column})",
        f"not exists (select 1 from {table} s where s.{same or inner} = {alias}.{same or column})",
        f"{alias}.{column} = (select max({inner}) from {table})",
        f"{alias}.{column} > (select max({inner}) from {table} s where s.{same or inner} = {alias}.{same or column})",
    ]
    return chance.choice(forms)


def _shown(chance: random.Random, alias: str, columns: list[str]) -> tuple[str, str]:
    column = chance.choice(columns)
    forms = [
        ("count(*)", ""),
        (f"{alias}.{column}", ""),
        (f"{alias}.{column}", " limit 3"),
        (f"{alias}.{column}, count(*)", f" group by {alias}.{column}"),
        (f"distinct {alias}.{column}", ""),
        (f"{alias}.{column}, row_number() over (partition by {alias}.{column})", ""),
    ]
    return chance.choice(forms)
