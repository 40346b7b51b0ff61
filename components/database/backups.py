"""The cluster's own part in its backups: what each node is asked for, and whether its write-ahead log is archived."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, LiteralString

from components.database.nodes import ask_node
from components.database.statements import get_value, statement
from components.errors import BackupError, StackError
from components.sizes import span_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from psycopg.errors import Diagnostic

    from components.database.connections import Connection

__all__ = [
    "BackupRuns",
    "back_up",
    "ensure_functions",
    "ensure_stanza",
    "explain",
    "find_archiving_problems",
    "find_missing_stanzas",
    "find_runs",
    "make_restore_point",
    "prove_restored",
    "read_info",
]

_REMEDIES: Final = {
    "do not match the database": (
        "it holds backups of another cluster under this node's name: choose another citus:backup.repository, or take that "
        "cluster back by citus:restoreFrom"
    ),
    "CryptoError|FormatError|cipher|is encrypted": "citus:backup.key is another than it was encrypted with: set that back",
    "No space left|disk full": "make room there",
    "unable to acquire lock": "a backup of this node is under way: wait for its end",
    "failed with 403|AccessDenied|InvalidAccessKeyId|SignatureDoes": "the store refuses citus:backup.keyId with its secretKey",
    "NoSuchBucket|failed with 404": "the bucket does not exist: make it, or correct citus:backup.repository",
    "HostConnectError|unable to connect|unable to get address": "the store does not answer: correct citus:backup.endpoint",
    "ServiceError|certificate": "the store's certificate is not trusted: name its authority as citus:backup.caFile",
    "was not archived before": "the log of the node's server has what pgBackRest said of it",
    "Permission denied|unable to create path": "let the server's user write there",
}
"""What pgBackRest says, and what to do."""


def ensure_functions(connection: Connection, nodes: Mapping[int, tuple[str, int]]) -> None:
    """Let each node run its pgBackRest when the coordinator asks for it, and the coordinator back up all of them.

    Args:
        connection: to the coordinator.
        nodes: name and port of each node, by its group.
    """
    for address in nodes.values():
        ask_node(connection, *address, statement("create_backup_functions"))
    connection.execute(statement("create_backup_procedures"))


def ensure_stanza(connection: Connection, name: str, port: int) -> None:
    """Let the repository know a node, and prove that its write-ahead log gets there.

    Raises:
        BackupError: it does not; with what pgBackRest said, and what to do.
    """
    for command in ("stanza-create", "check"):
        try:
            ask_node(connection, name, port, f"select citus_pulumi.pgbackrest('{command}')")
        except StackError as error:
            raise BackupError(explain(str(error))) from error


def explain(said: str, setting: str = "backup") -> str:
    """Return what pgBackRest said on one line, with what to do where that is known.

    Args:
        said: by pgBackRest.
        setting: that names the repository.
    """
    line = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ P\d\d +", "", " ".join(said.split()))
    for pattern, remedy in _REMEDIES.items():
        if re.search(pattern, line, re.IGNORECASE):
            return f"{line}: {remedy.replace('citus:backup', f'citus:{setting}')}"
    return line


def find_archiving_problems(connection: Connection) -> Iterator[str]:
    """Yield a line for each node whose write-ahead log does not get into the repository now, and what waits there."""
    rows = connection.execute(statement("find_archiving_problems")).fetchall()
    for node, problem in rows:
        yield f"{node}: {problem}"


@dataclass(frozen=True)
class BackupRuns:
    """What the cluster itself notes of its backups."""

    newest: str = ""
    """Name of the newest that is complete; empty where there is none."""
    ended: datetime | None = None
    failed: str = ""
    """Name of the newest that failed, where none was complete since; else empty."""
    error: str = ""

    def describe(self, now: datetime | None = None) -> str:
        """Return how old the newest complete backup is, in words."""
        if self.ended is None:
            return "there is no complete backup"
        age = (now or datetime.now(UTC)) - self.ended
        return f"the newest complete backup is {self.newest}, {span_in_words(age)} old"


def find_runs(connection: Connection) -> BackupRuns | None:
    """Return what the cluster notes of its backups; None where it makes none."""
    row = connection.execute("select pg_catalog.to_regclass('citus_pulumi.backup_run') is not null").fetchone()
    if not row or not row[0]:
        return None
    runs = connection.execute(statement("get_backup_runs")).fetchall()
    complete = next(((name, ended) for name, ended, error in runs if error is None), ("", None))
    failed = next(((name, str(error)) for name, _, error in runs[:1] if error is not None), ("", ""))
    return BackupRuns(*complete, *failed)


def read_info(connection: Connection) -> str:
    """Return what `pgbackrest info` tells of the repository, as JSON.

    Raises:
        StackError: it cannot be read; with what pgBackRest said.
    """
    row = connection.execute("select citus_pulumi.get_info()").fetchone()
    return str(row[0]) if row else "[]"


def find_missing_stanzas(connection: Connection, names: Iterable[str]) -> list[str]:
    """Return the nodes that are not in the repository as the coordinator sees it."""
    there = {str(stanza["name"]) for stanza in json.loads(read_info(connection), strict=False)}
    return [name for name in names if name not in there]


def back_up(connection: Connection, kind: str) -> None:
    """Back the cluster up, and print what happens.

    Args:
        connection: to the coordinator.
        kind: full, diff or incr.

    Raises:
        BackupError: it is not complete; names the node, and what pgBackRest said.
    """
    _call(connection, "call citus_pulumi.backup(%s)", kind)


def make_restore_point(connection: Connection) -> None:
    """Make a further point that the cluster can be restored to.

    Raises:
        BackupError: it cannot be used.
    """
    _call(connection, "call citus_pulumi.make_restore_point()")


def prove_restored(connection: Connection) -> Iterator[str]:
    """End transactions that were between the two phases of their commit, look for every shard, and note that all is there.

    Yields:
        How many transactions were ended.

    Raises:
        BackupError: a shard is not where the metadata has it.
    """
    ended = get_value(connection, "recover_prepared_transactions")
    if ended:
        yield f"{ended} transactions that were being committed on several nodes at that moment were ended on all of them"
    missing = connection.execute(statement("find_missing_shards")).fetchall()
    if missing:
        msg = f"shards are not where the metadata has them: {'; '.join(str(row[0]) for row in missing[:5])}"
        raise BackupError(msg)
    connection.execute(statement("note_restored"))


def _call(connection: Connection, command: LiteralString, *arguments: str) -> None:
    import psycopg  # noqa: PLC0415

    def show(diagnostic: Diagnostic) -> None:
        print(diagnostic.message_primary)  # noqa: T201

    connection.add_notice_handler(show)
    try:
        connection.execute(command, arguments)
    except psycopg.errors.RaiseException as error:
        raise BackupError(explain(error.diag.message_primary or str(error))) from error
    finally:
        connection.remove_notice_handler(show)
