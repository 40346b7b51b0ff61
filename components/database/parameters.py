"""Parameters that a server takes while it runs: written on each node by `alter system`, and read again by it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from psycopg import sql

from components.database.nodes import ask_node
from components.database.statements import statement
from components.errors import NotReadyError, StackError
from components.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.database.connections import Connection

__all__ = ["ensure_parameters", "get_drift"]

_LISTS: Final = ("local_preload_libraries", "session_preload_libraries", "temp_tablespaces")
"""Those that `alter system` takes as several values; as one, it would quote the commas."""


@dataclass(frozen=True)
class _Own:
    """What stands in a node's own file."""

    read_at: str
    """When the server last read its files."""
    values: Mapping[str, str]
    refused: Mapping[str, str]
    """Why the server does not take what stands there."""


def ensure_parameters(
    connection: Connection, node: tuple[str, int], wanted: Mapping[str, str], former: Iterable[str], timeout: float
) -> list[str]:
    """Let a node have these parameters, and none of the `former` ones else; what a person set beside them stays.

    Returns:
        The statements that were run; none where it has them already.

    Raises:
        StackError: the server refuses one; those before it are set.
        NotReadyError: it has not read its files within `timeout` seconds.
    """
    own = _ask(connection, node)
    gone = [name for name in sorted(former) if name in own.values and name not in wanted]
    commands = [
        *(sql.SQL("alter system reset {}").format(_name(name)) for name in gone),
        *(
            sql.SQL("alter system set {} = {}").format(_name(name), _value(name, value))
            for name, value in sorted(wanted.items())
            if own.values.get(name) != _as_stored(name, value)
        ),
    ]
    if not commands:
        return []
    texts = [command.as_string(connection) for command in commands]
    for text in texts:
        ask_node(connection, *node, text)
    ask_node(connection, *node, "select pg_catalog.pg_reload_conf()")

    def attempt() -> _Own:
        now = _ask(connection, node)
        if now.read_at == own.read_at:
            msg = "it has not read them yet"
            raise NotReadyError(msg)
        return now

    where = f"{node[0]}:{node[1]}"
    now = wait_until(attempt, what=f"{where} has read its parameters", timeout=timeout)
    refused = [f"{name} = {now.values[name]!r} ({why})" for name, why in now.refused.items() if name in wanted]
    if refused:
        msg = f"{where} does not take {', '.join(refused)}: correct citus:parameters"
        raise StackError(msg)
    return texts


def get_drift(connection: Connection, node: tuple[str, int], wanted: Mapping[str, str]) -> list[str]:
    """Return the names of the parameters that the node does not have as they are wanted."""
    own = _ask(connection, node)
    return [name for name, value in sorted(wanted.items()) if own.values.get(name) != _as_stored(name, value)]


def _ask(connection: Connection, node: tuple[str, int]) -> _Own:
    try:
        said = json.loads(ask_node(connection, *node, statement("get_own_parameters")))
    except NotReadyError as error:
        where = f"{node[0]}:{node[1]}"
        msg = f"{where} cannot be asked for its parameters: {error}"
        raise NotReadyError(msg, nodes=(where,)) from error
    found = said["parameters"]
    return _Own(
        said["read_at"],
        {name: value for name, (value, _, _) in found.items()},
        {name: error for name, (_, error, applied) in found.items() if error and not applied},
    )


def _name(name: str) -> sql.Identifier:
    return sql.Identifier(*name.split("."))


def _parts(name: str, value: str) -> list[str]:
    return [part.strip() for part in value.split(",")] if name in _LISTS else [value]


def _value(name: str, value: str) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Literal, _parts(name, value)))


def _as_stored(name: str, value: str) -> str:
    """Return a value as `alter system` writes it: a list's parts in quotes where SQL needs them."""
    return (
        ", ".join(part if part.isidentifier() and part.islower() else f'"{part}"' for part in _parts(name, value))
        if name in _LISTS
        else value
    )
