"""Generated cases: tables over kinds, types, keys, foreign keys, actions, partitions and colocation. Same seed, same cases."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["generate"]

SEED: Final = 12_1


@dataclass
class Made:
    """A table in the making."""

    name: str
    columns: dict[str, str] = field(default_factory=dict)
    """Types by the columns' names."""
    declared: list[str] = field(default_factory=list)
    key: tuple[str, ...] = ()
    constraints: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    partitioned: bool = False

    def add(self, name: str, type_: str, declared: str = "") -> str:
        """Add a column; return its name."""
        if name not in self.columns:
            self.columns[name] = type_
            self.declared.append(f"{name} {declared or type_}")
        return name

    def sql(self) -> str:
        """Return the statement that creates the table."""
        key = [f"primary key ({', '.join(self.key)})"] if self.key else []
        parts = ", ".join([*self.declared, *key, *self.constraints])
        return f"create table {self.name} ({parts}){' partition by range (d)' * self.partitioned}"


def generate(count: int, seed: int = SEED) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield schemas with settings."""
    chance = random.Random(seed)
    for _ in range(count):
        yield _case(chance)


def _case(chance: random.Random) -> tuple[str, dict[str, Any]]:
    common = chance.choice(["int", "int", "bigint", "text", "uuid"])
    tables = [_table(chance, f"t{number}", common) for number in range(chance.choice([1, 2, 2, 3, 3, 4]))]
    statements = []
    for _ in range(chance.choice([0, 1, 1, 2, 2, 3])):
        foreign_key = _foreign_key(chance, chance.choice(tables), chance.choice(tables))
        statements += [foreign_key] if foreign_key else []
    statements += _oddities(chance, tables)
    sql = [table.sql() for table in tables] + [line for table in tables for line in table.after] + statements
    types = "create domain whole as int;\ncreate type letters as enum ('a', 'b');\n"
    needed = any(table.columns["k"] in ("whole", "letters") for table in tables)
    return types * needed + ";\n".join(sql), _settings(chance, tables)


def _table(chance: random.Random, name: str, common: str) -> Made:
    table = Made(name, partitioned=chance.random() < 0.15)
    odd = chance.random() < 0.04
    type_ = chance.choice(["smallint", "json", "bool", "numeric(4,-1)", "date", "whole", "letters"]) if odd else common
    collation = ' collate "C"' if type_ == "text" and chance.random() < 0.06 else ""
    table.add("k", type_, f"{type_}{collation}{' not null' * (chance.random() < 0.7)}")
    table.add("id", *chance.choice([("int", ""), ("int", "serial"), ("int", "int generated always as identity")]))
    table.add("u", "int")
    keyless = type_ == "json"
    keys: list[tuple[str, ...]] = [("id",), ("id",), ()] + [("k", "id"), ("k", "id"), ("id", "k"), ("k",)] * (
        not keyless
    )
    table.key = chance.choice(keys)
    if table.partitioned:
        table.add("d", "date")
        table.key = (*table.key, "d") if table.key else ()
    if chance.random() < 0.12 and not keyless and not table.partitioned:
        unique = ["unique (u)", "unique (k, u)", "unique (u, k)", "unique (k, u) deferrable", "unique (u) include (k)"]
        table.constraints.append(chance.choice([*unique, "exclude using btree (u with =)"]))
    if table.partitioned:
        table.after += _partitions(chance, table)
    elif chance.random() < 0.02:
        table.after.append(f"create table {name}_heir () inherits ({name})")
    return table


def _partitions(chance: random.Random, table: Made) -> list[str]:
    name = f"{table.name}_p"
    made = [f"create table {name} partition of {table.name} for values from ('2024-01-01') to ('2025-01-01')"]
    if chance.random() < 0.2:
        made.append(chance.choice([f"create unique index on {name} (u)", f"create index on {name} (u)"]))
    if chance.random() < 0.5:
        made += [
            f"create table {name}_more (like {table.name})",
            f"alter table {table.name} attach partition {name}_more default",
        ]
    return made


def _oddities(chance: random.Random, tables: list[Made]) -> list[str]:
    """Return, now and then, a statement of which Citus may think otherwise than PostgreSQL."""
    table = chance.choice(tables)
    name = chance.choice([table.name, f"{table.name}_p"]) if table.partitioned else table.name
    function = "create function f() returns trigger language plpgsql as 'begin return new; end'"
    odd = [
        f"{function};\ncreate trigger t before insert on {name} for each row execute function f()",
        f"{function};\ncreate trigger t after insert on {name} for each row execute function f();\ndrop trigger t on {name}",
        f"create policy p on {name} using (u > 0)",
        f"create policy p on {name} using (u in (select 1))",
        f"create sequence s;\nalter table {table.name} alter column u set default nextval('s')",
        f"create sequence s;\nalter table {table.name} alter u set default nextval('s'), add v bigint default nextval('s')",
        f"create type span as range (subtype = float8);\nalter table {table.name} add s span",
        f"alter table {table.name} rename column k to kk;\nalter table {table.name} rename column kk to k",
        f"alter table {table.name} add constraint named unique (u, id{', d' * table.partitioned})",
        f"alter table {table.name} drop column u",
    ]
    return [chance.choice(odd)] if chance.random() < 0.15 else []


def _foreign_key(chance: random.Random, child: Made, parent: Made) -> str:
    unique = next((it for it in parent.constraints if it in ("unique (k, u)", "unique (u, k)")), "")
    key = ("k", "u") if unique and chance.random() < 0.6 else parent.key
    if not key:
        return ""
    columns: list[str] = []
    for column in key:
        type_ = parent.columns[column]
        if (
            column in ("k", "id")
            and child.columns["k"] == type_
            and chance.random() < (0.85 if column == "k" else 0.08)
        ):
            columns.append("k")
        else:
            columns.append(f"{parent.name}_{column}")
    if len(set(columns)) < len(columns):
        return ""
    added = [
        f"alter table {child.name} add column if not exists {mine} {parent.columns[theirs]}"
        for mine, theirs in zip(columns, key, strict=True)
        if mine != "k"
    ]
    for mine, theirs in zip(columns, key, strict=True):
        child.columns[mine] = parent.columns[theirs]
    actions = [
        " on delete cascade",
        " on delete set null",
        " on update cascade",
        " on delete set default",
        " match full",
    ]
    action = chance.choice(actions) if chance.random() < 0.25 else ""
    source = f"{child.name}_p" if child.partitioned and child is not parent and chance.random() < 0.3 else child.name
    target = f"{parent.name}_p" if parent.partitioned and child is not parent and chance.random() < 0.3 else parent.name
    named = f" ({', '.join(key)})" if key != parent.key or chance.random() < 0.5 else ""
    foreign_key = f"alter table {source} add foreign key ({', '.join(columns)}) references {target}{named}{action}"
    return ";\n".join([*added, foreign_key])


def _settings(chance: random.Random, tables: list[Made]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    sane = chance.random() < 0.75
    first = ""
    for table in tables:
        kind = chance.choices(["distributed", "reference", "local"], [8, 0.3 if table.partitioned else 2, 1])[0]
        if kind == "reference":
            settings[table.name] = {"reference": True}
        elif kind == "distributed":
            by = "k" if sane or chance.random() < 0.85 else chance.choice([*table.columns])
            how: dict[str, Any] = {"distributeBy": by}
            if first and (sane or chance.random() < 0.7):
                how["colocateWith"] = first if sane else chance.choice(list(settings))
            if table.key and chance.random() < 0.08:
                others = chance.sample([*table.columns], chance.choice([1, 2]))
                how["primaryKey"] = [by, *(column for column in others if column != by)]
            settings[table.name] = how
            first = first or table.name
    return settings
