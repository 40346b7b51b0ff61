"""What a pooler needs in the database: a role of its own, which finds what PostgreSQL keeps of a client's password.

A client logs in to the pooler with its own password, and the pooler to the server as that client, by what the exchange with the
client has told it (SCRAM). So the pooler keeps no password but its own, and follows each change of another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from psycopg import sql

from components.database import roles
from components.database.nodes import ask_node
from components.database.statements import get_value, sequentially, statement

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.database.connections import Connection

__all__ = ["POOLER", "ensure_login", "find_unready", "make_verifier", "remove_login"]

POOLER: Final = "citus_pulumi_pooler"
"""The role. It may read nothing else."""


def make_verifier(connection: Connection, password: str) -> str:
    """Return what PostgreSQL keeps of the role's password."""
    return roles.make_verifier(connection, POOLER, password)


def ensure_login(connection: Connection, nodes: Iterable[tuple[str, int]], verifier: str) -> None:
    """Let a pooler log in to these nodes with the password of a verifier, and find the logins of others there."""
    name = sql.Identifier(POOLER)
    with sequentially(connection):
        if not get_value(connection, "has_role", name=POOLER):
            connection.execute(sql.SQL("create role {}").format(name))
        if get_value(connection, "get_verifier", role=POOLER) != verifier:
            connection.execute(sql.SQL("alter role {} login password {}").format(name, sql.Literal(verifier)))
    for node in nodes:
        ask_node(connection, *node, statement("create_login_lookup"))


def find_unready(connection: Connection, nodes: Iterable[tuple[str, int]], verifier: str) -> list[str]:
    """Return the nodes (`name:port`) where a pooler cannot log in, or not find the logins of others."""
    question = sql.SQL(statement("has_login_lookup")).format(verifier=sql.Literal(verifier)).as_string(connection)
    return [f"{name}:{port}" for name, port in nodes if ask_node(connection, name, port, question) != "t"]


def remove_login(connection: Connection, nodes: Iterable[tuple[str, int]]) -> None:
    """Take the role away on every node, with what it used."""
    for node in nodes:
        ask_node(connection, *node, statement("drop_login_lookup"))
    connection.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(POOLER)))
