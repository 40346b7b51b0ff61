"""A proposal as a file of settings that a person reads and edits: each line with its reason. Pure; writes nothing."""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from components.tables import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from components.plan.findings import Finding
    from components.proposal.candidates import Candidate
    from components.proposal.proposal import Proposal

__all__ = ["settings_page"]


_WIDTH: Final = 118
_PLAIN: Final = re.compile(r"[a-zA-Z_][\w.]*", re.ASCII)
_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""What YAML takes for something else than text."""
_SHOWN: Final = 3
"""Other candidates, and examples of findings, that are told."""


def settings_page(proposal: Proposal, source: str, *, sql: str = "", schema_dir: str = "") -> str:
    """Return the file: comments and the settings of a stack, under `config:` as in Pulumi.<stack>.yaml.

    `source` says what was read, `sql` where the statements are that add missing columns.
    """
    return "\n".join([*_introduction(proposal, source, sql), "config:", *_lines(proposal, schema_dir)]) + "\n"


def _introduction(proposal: Proposal, source: str, sql: str) -> Iterator[str]:
    yield from _comment(
        f"Proposed from {source}: {len(proposal.tables)} tables. Each line says how sure it is: sure, likely, a guess. Edit it, "
        "put it into Pulumi.<stack>.yaml, and ask `make plan`."
    )
    yield "#"
    if not proposal.candidates:
        yield from _comment("No column ties tables together, so nothing is proposed to be distributed.")
        return
    best, *others = proposal.candidates
    yield from _comment(f"Tenant column: {best.name} ({proposal.sure}). {_served(best)}")
    for other in others[:_SHOWN]:
        yield from _comment(f"  or BY={other.name}: {_served(other)}")
    if not proposal.statistics.tables:
        yield from _comment("From files alone: sizes, numbers of values and statements are not known.")
    elif not proposal.statements:
        yield from _comment("pg_stat_statements has nothing here: which statements name the column is not known.")
    if proposal.lacking:
        where = (
            f"{sql} adds and fills it" if sql else "with OUT=<file>, the SQL that adds and fills it is written beside"
        )
        yield from _comment(
            f"Tables that lack the column: {len(proposal.lacking)}; {where}, on the central database first."
        )
    errors = [it for it in proposal.findings if it.severity == "error"]
    if errors:
        yield "#"
        yield from _comment("What is left to do, which `make plan` tells with the remedies:")
        for line in _findings(errors):
            yield from _comment(f"  {line}")


def _served(candidate: Candidate) -> str:
    tables = len(candidate.carriers)
    said = [f"{tables} of {candidate.tables} tables have it"]
    by_name = sum(it.how == "name" for it in candidate.carriers.values())
    if by_name:
        said[0] += f" ({by_name} by the name alone)"
    if candidate.followers:
        said.append(f"{len(candidate.followers)} more find it by foreign keys")
    said.append(f"{candidate.served_keys} of {candidate.keys} foreign keys are between these")
    if candidate.calls is not None:
        said.append(f"{candidate.calls:.0%} of the calls name it")
    if candidate.values is not None:
        said.append(f"about {candidate.values:,.0f} values")
    if candidate.common:
        value, share = candidate.common[0]
        said.append(f"the biggest, {value}, has {share:.0%} of the rows")
    nullable = [it for it in candidate.carriers.values() if it.nullable and it.how != "key"]
    nulls = [it.nulls for it in nullable if it.nulls]
    if nulls:
        said.append(f"{len(nulls)} tables have rows without it, up to {max(nulls):.0%}")
    elif nullable:
        said.append(f"in {len(nullable)} it may be NULL")
    return "; ".join(said) + "."


def _findings(errors: Iterable[Finding]) -> Iterator[str]:
    found = list(errors)
    for rule, count in sorted(Counter(it.rule for it in found).items(), key=lambda it: (-it[1], it[0])):
        tables = list(dict.fromkeys(it.table for it in found if it.rule == rule))
        more = f" and {len(tables) - _SHOWN} more" if len(tables) > _SHOWN else ""
        yield f"{count} {rule}: {', '.join(tables[:_SHOWN])}{more}"


def _lines(proposal: Proposal, schema_dir: str) -> Iterator[str]:
    if schema_dir:
        yield f"  citus:schemaDir: {json.dumps(schema_dir, ensure_ascii=False)}"
    yield f"  citus:shardCount: {proposal.shard_count}"
    yield "  citus:tables:" + ("" if proposal.settings else " {}")
    named = {str(it.name): it for it in proposal.tables.values()}
    root = next(iter(proposal.settings), "")
    for key, value in proposal.settings.items():
        if key in named:
            it = named[key]
            yield f"    {_key(key)}: {_value(value)}  # {it.sure}: {it.why}"
        else:
            yield from _pattern(key, value, proposal, root)
    for it in proposal.of(Kind.LOCAL):
        if str(it.name) not in proposal.settings:
            yield f"    # {it.name} stays local; {it.sure}: {it.why}"
    if proposal.tenants and root:
        yield "  citus:tenants:"
        values = [
            value if re.fullmatch("0|[1-9][0-9]*", value) else json.dumps(value, ensure_ascii=False)
            for value in proposal.tenants
        ]
        yield f"    {_key(root)}: {{spread: [{', '.join(values)}]}}"


def _pattern(key: str, value: dict[str, Any], proposal: Proposal, root: str) -> Iterator[str]:
    yield f"    {_key(key)}: {_value(value)}"
    kind = Kind.REFERENCE if value.get("reference") else Kind.DISTRIBUTED
    for it in proposal.of(kind):
        own = str(it.name) in proposal.settings or str(it.name) == root
        of_schema = key == "*" or key.removesuffix("*") == str(it.name)[: len(key) - 1]
        by = "reference" in value or it.column == proposal.candidates[0].column
        if not own and of_schema and by:
            yield f"    #   {it.name}; {it.sure}: {it.why}"


def _key(name: str) -> str:
    """Return a name or a pattern as a scalar of YAML that is read as text."""
    is_plain = _PLAIN.fullmatch(name) and name.lower() not in _WORDS
    return name if is_plain else json.dumps(name, ensure_ascii=False)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_value(it)}" for key, it in value.items()) + "}"
    return "true" if value is True else "false" if value is False else _key(str(value))


def _comment(text: str) -> list[str]:
    indent = " " * (len(text) - len(text.lstrip()))
    return textwrap.wrap(
        text, _WIDTH, initial_indent="# ", subsequent_indent=f"# {indent}{'  ' * bool(indent)}", break_long_words=False
    )
