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
    """Yield queries: joins of all kinds with subqueries, aggregates and conditions; UNION, WITH, and statements that write."""
    chance = random.Random(seed)
    for number in range(count):
        yield [_query, _query, _union, _write, _with][number % 5](chance)


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
    return f" where {alias}.{column} = 1" if chance.random() < 0.25 else ""


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


def _leaf(chance: random.Random, columns: list[str]) -> str:
    table = chance.choice(["a", "a", "b", "b", "c", "va", "r"])
    shown = ["id", "x"] if table == "r" else list(columns)
    if chance.random() < 0.15:
        shown.reverse()
    forms = [
        f"select {', '.join(shown)} from {table}",
        f"select {', '.join(shown)} from {table}",
        f"select {', '.join(shown)} from {table} where {shown[0]} = 1",
        f"select {', '.join(shown)} from {table} group by {', '.join(shown)}",
        f"select distinct {', '.join(shown)} from {table}",
        f"(select {', '.join(shown)} from {table} limit 2)",
        f"select {', '.join(f's.{it}' for it in shown)} from {table} s join u on u.k = s.{shown[0]}",
        f"select {', '.join(f's.{it}' for it in shown)} from {table} s join u on u.k = s.{shown[-1]}",
    ]
    return chance.choice(forms)


def _union(chance: random.Random) -> str:
    columns = ["k", "x"]
    sides = [_leaf(chance, columns) for _ in range(chance.choice([2, 2, 3]))]
    word = chance.choice(["union", "union", "union all", "union all", "intersect", "except"])
    union = f" {word} ".join(sides)
    named = f"({union}) q (k, x)"
    forms = [
        union,
        f"select * from {named}",
        f"select * from {named} where k = 1",
        f"select k, count(*) from {named} group by k",
        f"select x, count(*) from {named} group by x",
        f"select * from {named} join u on u.k = q.k",
        f"select * from a where k in (select k from {named})",
        f"select * from {named} left join b on b.k = q.k",
    ]
    return chance.choice(forms)


def _write(chance: random.Random) -> str:
    target = chance.choice(["a", "a", "a", "b", "r", "l"])
    columns = _columns(target)
    other = chance.choice(["a", "b", "u", "c", "r", "l", "va", "vg"])
    others = _columns(other)
    same = "k" if "k" in columns and "k" in others and chance.random() < 0.7 else ""
    mine, theirs = same or chance.choice(columns), same or chance.choice(others)
    where = f" and {target}.{columns[0]} = 1" if chance.random() < 0.35 else ""
    item = f"{other} s"
    if chance.random() < 0.3:
        inner = f"select {', '.join(others)} from {other}"
        more = ["limit 3", f"group by {', '.join(others)}", "where x > 1" if "x" in others else ""]
        item = f"({inner} {chance.choice(more)}) s"
    value = chance.choice(
        ["1", "s.k" if "k" in others else "s.id", f"{target}.x + 1", f"(select max({theirs}) from {other})"]
    )
    plain = chance.choice(["1", "x + 1", f"(select max({theirs}) from {other})"])
    listed = ", ".join(f"s.{it}" for it in others[:2]) if len(others) > 1 else f"s.{others[0]}, 1"
    into = f"insert into {'l' if target == 'r' else target} ({', '.join(columns[:2])})"
    forms = [
        f"update {target} set x = {value} from {item} where s.{theirs} = {target}.{mine}{where}",
        f"update {target} set x = {plain} where {mine} in (select s.{theirs} from {item}){where}",
        f"update {target} set x = 2 where exists (select 1 from {item} where s.{theirs} = {target}.{mine}){where}",
        f"delete from {target} using {item} where s.{theirs} = {target}.{mine}{where}",
        f"delete from {target} where {mine} in (select s.{theirs} from {item}){where}",
        f"delete from {target} where {mine} not in (select s.{theirs} from {item}){where}",
        f"{into} select {listed} from {item}",
        f"{into} select {listed} from {item} join b t on t.{same or 'x'} = s.{others[0]}",
        f"with q as (select s.{theirs} as z from {item}) delete from {target} using q where q.z = {target}.{mine}{where}",
        f"with q as (select s.{theirs} as z from {item}) update {target} set x = q.z from q where q.z = {target}.{mine}{where}",
    ]
    return chance.choice(forms)


def _with(chance: random.Random) -> str:
    ctes, known = [], []
    for number in range(chance.choice([1, 1, 2])):
        item, columns = _item(chance, "s")
        kind = chance.choice(["", "", "", " materialized"])
        shown = ", ".join(f"s.{it}" for it in columns)
        ctes.append(f"q{number} as{kind} (select {shown} from {item}{_where(chance, 's', columns)})")
        known.append((f"q{number}", columns))
    text, (name, columns) = known[0][0], known[0]
    for other, others in known[1:] + ([known[0]] if chance.random() < 0.2 else []):
        alias = f"{other}_2"
        same = "k" if "k" in columns and "k" in others else ""
        text += f" join {other} {alias} on {alias}.{same or others[0]} = {name}.{same or columns[0]}"
    if chance.random() < 0.6:
        table = chance.choice(["a", "b", "u", "r"])
        same = "k" if "k" in columns and "k" in _columns(table) else ""
        join = chance.choice(["join", "left join"])
        text += f" {join} {table} t on t.{same or chance.choice(_columns(table))} = {name}.{same or columns[0]}"
    where = f" where {name}.{columns[0]} = 1" if chance.random() < 0.3 else ""
    return f"with {', '.join(ctes)} select count(*) from {text}{where}"
