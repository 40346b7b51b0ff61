"""`python -m cli propose`: settings for a schema that is not sharded yet, from a live database or from SQL files.

Reads, and changes nothing: the database in one transaction that cannot write. What is written is for a person to edit.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import SourceError
from components.proposal.backfill import backfill
from components.proposal.candidates import interesting_columns
from components.proposal.page import settings_page
from components.proposal.proposal import propose
from components.proposal.ties import Ties
from components.schema.files import Schema

if TYPE_CHECKING:
    from psycopg import Connection

    from components.schema.statistics import Statistics

__all__ = ["propose_command"]


def propose_command(source: str, output: Path | None, by: str) -> None:
    """Print the settings that are proposed, or write them to a file, and the SQL that they need to another beside it.

    Raises:
        SourceError: there is nothing to read, or a file is in the way.
        PlanError: a SQL file cannot be read.
    """
    if not source:
        msg = (
            "FROM= is missing: name a folder of SQL files, or a database: postgresql://<user>@<host>:<port>/<database>"
        )
        raise SourceError(msg)
    beside = output.with_suffix(".sql") if output else None
    for file in filter(None, (output, beside)):
        if file.exists():
            msg = f"{file} is there already: remove it, or name another file"
            raise SourceError(msg)
    schema, statistics, said = _read(source)
    proposal = propose(schema, statistics, by)
    statements = backfill(proposal)
    folder = source if statistics is None else ""
    page = settings_page(proposal, said, sql=str(beside) if beside and statements else "", schema_dir=folder)
    if output is None:
        print(page, end="")
        return
    output.write_text(page, "utf-8")
    print(f"{output}: settings for Pulumi.<stack>.yaml, with the reasons", file=sys.stderr)
    if beside and statements:
        beside.write_text(statements, "utf-8")
        print(f"{beside}: adds the column to {len(proposal.lacking)} tables of the central database", file=sys.stderr)


def _read(source: str) -> tuple[Schema, Statistics | None, str]:
    """Return the schema, what is known of its rows, and what was read, in words that hold no password."""
    if Path(source).is_dir():
        return Schema.read(Path(source)), None, f"the files of {source}"
    if "://" not in source and "=" not in source:
        msg = f"FROM={source}: there is no such folder, and it is no address of a database (postgresql://…)"
        raise SourceError(msg)
    # Imported here: files alone need no driver.
    from components.database.catalogue import get_relations, get_statistics, reading  # noqa: PLC0415

    with reading(source, "FROM") as connection:
        schema = Schema()
        get_relations(connection, schema)
        statistics = get_statistics(connection, interesting_columns(Ties(schema)))
        return schema, statistics, _described(connection)


def _described(connection: Connection) -> str:
    info = connection.info
    version = info.parameter_status("server_version") or ""
    return f"{info.host}:{info.port}/{info.dbname} (PostgreSQL {version.split()[0]})"
