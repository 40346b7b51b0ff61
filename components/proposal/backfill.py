"""SQL that gives a tenant's column to the tables that lack it: for the central database, before the move. Pure; runs nothing.

A file of it can be run twice, and again after it was interrupted. Rows are filled in batches, each a transaction of its own.
Where a table has no more rows than one batch, nothing is committed in between, so the file is also one of a stack's schema.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.names import ColumnName, default_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.proposal.proposal import Proposal, ProposedTable
    from components.proposal.ties import Tie

__all__ = ["backfill"]


PAGES: Final = 2048
"""Pages of a table that one batch reads, of 8 kB each: 16 MB."""
_NAMES: Final = {"int2": "smallint", "int4": "integer", "int8": "bigint"}

_HEADER: Final = """\
-- Gives {column} to the tables that lack it, and fills it: on the central database, before the rows move.
--
--   psql "$CENTRAL" -v ON_ERROR_STOP=1 -f <this file>
--
-- It can be run again at any time. Batches of {size} MB are committed one by one, so that writers wait for little. Once the last
-- statements of a table have declared the column NOT NULL, the application has to fill it.
"""

_TABLE: Final = """
-- {table}: {column} by {keys} → {parent}{doubt}
alter table {table} add column if not exists {column} {type};
do $fill$
declare
    part regclass;
    pages bigint;
begin
    for part in select relid from pg_partition_tree({literal}::regclass) where isleaf
                union all select {literal}::regclass where not exists (select from pg_partition_tree({literal}::regclass)) loop
        pages := pg_relation_size(part) / current_setting('block_size')::bigint;
        for batch in 0 .. pages / {pages} loop
            execute format(
                'update %s as child set {column_in_text} = parent.{source_in_text} from {parent_in_text} as parent'
                ' where {join_in_text} and child.{column_in_text} is null'
                ' and child.ctid >= %L::tid and child.ctid < %L::tid',
                part, format('(%s,0)', batch * {pages}), format('(%s,0)', (batch + 1) * {pages})
            );
            if batch < pages / {pages} then
                commit;
            end if;
        end loop;
    end loop;
    if exists (select from {table} where {column} is null) then
        raise exception using
            message = {message},
            hint = {hint};
    end if;
end $fill$;
alter table {table} drop constraint if exists {check};
alter table {table} add constraint {check} check ({column} is not null) not valid;
alter table {table} validate constraint {check};
alter table {table} alter column {column} set not null;
alter table {table} drop constraint {check};
"""


def backfill(proposal: Proposal) -> str:
    """Return the file; empty where no table lacks the column."""
    parts = list(_parts(proposal)) if proposal.candidates else []
    if not parts:
        return ""
    column = ColumnName(proposal.candidates[0].column)
    return _HEADER.format(column=column, size=PAGES * 8 // 1024) + "".join(parts)


def _parts(proposal: Proposal) -> Iterator[str]:
    kind = proposal.candidates[0].type
    for it in proposal.lacking:  # each after the table that has its values
        if it.tie:
            yield _part(proposal, it, it.tie, _NAMES.get(kind, kind))


def _part(proposal: Proposal, it: ProposedTable, tie: Tie, kind: str) -> str:
    table, column, source = (
        str(it.name),
        str(ColumnName(it.column)),
        str(ColumnName(proposal.tables[tie.parent].column)),
    )
    join = " and ".join(f"child.{ColumnName(mine)} = parent.{ColumnName(theirs)}" for mine, theirs in tie.pairs)
    parent = str(tie.parent)
    return _TABLE.format(
        table=table,
        column=column,
        type=kind,
        parent=parent,
        keys=", ".join(str(ColumnName(mine)) for mine, _ in tie.pairs),
        doubt=", which may be NULL: rows without it find no value" if tie.optional else "",
        literal=_literal(table),
        pages=PAGES,
        column_in_text=_in_text(column),
        source_in_text=_in_text(source),
        parent_in_text=_in_text(parent),
        join_in_text=_in_text(join),
        message=_literal(f"{table} has rows without {column}"),
        hint=_literal(f"give those where {column} is null one, or delete them, then run this file again"),
        check=ColumnName(default_name(it.name.name, it.column, "given")),
    )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _in_text(name: str) -> str:
    """Return SQL as it stands within a text for format()."""
    return name.replace("'", "''").replace("%", "%%")
