"""Files of the schema: each runs once, in one transaction, and is written down in a ledger with the hash of its text.

Takes a connection; knows nothing of Pulumi.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import psycopg

from components import passwords, roles
from components.catalog import sequentially, statement
from components.errors import DriftError, StackError
from components.postgres import is_lost

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.postgres import Connection

__all__ = ["ensure_script", "get_script", "sha256"]


def sha256(text: str) -> str:
    """Return the hash by which the ledger knows a schema file, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def get_script(connection: Connection, file_name: str) -> str | None:
    """Return the hash of the file as it was applied; None where it was not."""
    row = connection.execute(statement("get_script"), {"file_name": file_name}).fetchone()
    return row[0] if row else None


def _refuse_edited(file_name: str, applied: str, text: str) -> None:
    """Raise DriftError where a file is not, to the letter, what was applied under its name."""
    if applied != sha256(text):
        msg = (
            f"{file_name} was applied to this cluster and has been edited since (sha256 {sha256(text)[:12]}…, applied "
            f"{applied[:12]}…): put it back as it was, and write the change as a new file that sorts behind it"
        )
        raise DriftError(msg)


def ensure_script(connection: Connection, file_name: str, text: str) -> None:
    """Run a schema file in one transaction and write it into the ledger; nothing happens where it stands there.

    Statement by statement, and one shard after the other: of a sharded table, Citus sends some changes to the workers with all
    the text that they came with, and where foreign keys tie tables to reference tables, it takes nothing else.

    A password that it gives a role is not sent, but what PostgreSQL keeps of it; the nodes come to know it (roles.py). While a
    file that holds a password runs, the server writes no statement into its log.

    Raises:
        DriftError: the file was applied with another text.
        StackError: the database refuses a statement; names file, line and column. Nothing of the file remains.
    """
    applied = get_script(connection, file_name)
    if applied is not None:
        _refuse_edited(file_name, applied, text)
        return
    learned: dict[int, roles.Learned] = {}
    is_secret = passwords.hold(text)
    if passwords.mention(text):
        roles.make_ledger(connection)
    with sequentially(connection):
        if is_secret:
            roles.keep_out_of_log(connection)
        for offset, part in _statements(text):
            change = passwords.find_change(part)
            try:
                if change is None:
                    connection.execute(part.encode())
                else:
                    for oid, role in roles.change_password(connection, change).items():
                        learned[oid] = role._replace(name=learned.get(oid, role).name)
            except psycopg.Error as error:
                if is_lost(error):
                    raise
                raise StackError(_located(file_name, text, offset, error, is_whole=change is None)) from (
                    None if is_secret else error
                )
        connection.execute("reset all; reset session authorization; reset role")
        roles.record(connection, learned)
        connection.execute(statement("record_script"), {"file_name": file_name, "sha256": sha256(text)})


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield each statement with where it begins; a text that does not parse is one, for the server to say why."""
    import postgast  # noqa: PLC0415 - takes a while, and an update seldom has files to run

    try:
        parts = postgast.split(text)
    except postgast.PgQueryError:
        parts = [text]
    offset = 0
    for part in parts:
        offset = text.index(part, offset)
        yield offset, part
        offset += len(part)


def _located(file_name: str, text: str, offset: int, error: psycopg.Error, *, is_whole: bool) -> str:
    """Say where and why a statement failed; `is_whole` tells whether the server got it as the file has it."""
    diagnosis = error.diag
    before = text[: offset + (int(diagnosis.statement_position or 1) if is_whole else 1) - 1]
    where = f"{file_name}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    detail = f"; {diagnosis.message_detail}" if diagnosis.message_detail else ""
    hint = f"; {diagnosis.message_hint}" if diagnosis.message_hint else ""
    message = passwords.without_constants(diagnosis.message_primary or " ".join(str(error).split()))
    code = f" [SQLSTATE {error.sqlstate}]" if error.sqlstate else ""
    return f"{where}: {message}{detail}{hint}{code}; nothing of this file was applied"
