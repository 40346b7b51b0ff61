"""A worker that was made of its own backup, and joins a cluster that has gone on without it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from psycopg import sql

from components.database.nodes import ask_node, get_addresses, wait_until_told
from components.database.statements import get_value, statement
from components.errors import IdentityError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.database.connections import Connection

__all__ = ["take_back"]

_MOMENT: Final = "select coalesce(pg_catalog.current_setting('citus_pulumi.restored', true), '')"
"""Until when a worker has what was committed on it; empty where it is none that came back."""
_SHOWN: Final = 5


def take_back(connection: Connection, timeout: float) -> Iterator[str]:
    """Let each worker that was made of its own backup know what the cluster knows now, once it proved to have its shards.

    Its reference tables are those of the coordinator already, see restore_node.sh. A second call does the same.

    Args:
        connection: to the coordinator; all nodes answer.
        timeout: seconds that Citus may take to tell all nodes the addresses of all.

    Yields:
        Lines for the person who wanted it back.

    Raises:
        IdentityError: what was sharded has changed since that moment; nothing is changed.
    """
    workers = {group: address for group, address in get_addresses(connection).items() if group}
    moments = {group: ask_node(connection, *address, _MOMENT) for group, address in workers.items()}
    for group, moment in moments.items():
        if moment:
            wait_until_told(connection, timeout)
            yield from _take_back(connection, *workers[group], group, moment)


def _take_back(connection: Connection, name: str, port: int, group: int, moment: str) -> Iterator[str]:
    expected = json.dumps(get_value(connection, "get_expected_shards", group=group))
    question = sql.SQL(statement("compare_shards")).format(expected=sql.Literal(expected))
    compared = json.loads(ask_node(connection, name, port, question.as_string(connection)))
    if unlike := compared["unlike"]:
        msg = (
            f"worker {name}:{port} was made of its backup, up to {moment}, and {len(unlike)} of the shards that the cluster "
            f"expects there are not there as they are to be: {_shorten(unlike)}. They came to it, or were altered, after that "
            "moment, so it cannot come back alone: restore the whole cluster into a new stack (make restore, docs/backups.md)"
        )
        raise IdentityError(msg)
    connection.execute("select start_metadata_sync_to_node(%s, %s)", [name, port])
    ended = get_value(connection, "recover_prepared_transactions")
    forget = sql.SQL("alter database {} reset citus_pulumi.restored").format(sql.Identifier(connection.info.dbname))
    ask_node(connection, name, port, forget.as_string(connection))
    yield f"worker {name}:{port} is back, with what was committed on it until {moment}; what came after that is lost"
    if ended:
        yield f"{ended} transactions that it had prepared, and not ended, were ended as the coordinator knows of them"
    if left := compared["left"]:
        yield (
            f"it has {len(left)} shards that were moved away or dropped after that moment ({_shorten(left)}): nothing reads "
            "them; drop them there once you have looked at them"
        )


def _shorten(names: list[str]) -> str:
    more = [f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return ", ".join([*names[:_SHOWN], *more])
