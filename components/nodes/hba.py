"""pg_hba.conf of a node: who may log in, from where and how. Pure.

The first line that fits a connection decides. Whoever fits none is refused, so there is no line that refuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["render_hba"]

_LOOPBACK: Final = ("127.0.0.1/32", "::1/128")
"""A server's own machine, which needs no TLS. Citus's jobs log in to their own node from here."""


def render_hba(
    kind: Literal["coordinator", "worker", "local"], *, database: str, user: str, roles: Iterable[str]
) -> str:
    """Return the file's text.

    Args:
        kind: a container's coordinator, to which clients come from anywhere; a container's worker, to which only the other
            nodes of its networks come; or a process of this host, which listens on 127.0.0.1 alone.
        database: the only one that anybody but the superuser may use.
        user: the superuser. It logs in from other nodes, for a query of its own and for copies of shards (logical replication
            is a login to the database, not to `replication`); to the coordinator, also from where this program runs.
        roles: all others that log in, by their names in the catalogue.

    Raises:
        ValueError: a role's name begins with `/`, which PostgreSQL 16 takes for a regular expression, quoted or not.
    """
    lines = [
        "# Written by this program at every change; the first line that fits decides.",
        *_lines(kind, database, user, roles),
    ]
    return "\n".join([*lines, ""])


def _lines(kind: str, database: str, user: str, roles: Iterable[str]) -> Iterator[str]:
    superuser, own = _quoted(user), _quoted(database)
    others = sorted({_quoted(role) for role in roles} - {superuser})
    if kind != "local":
        yield f"local all {superuser} trust"  # whoever gets to the socket is in the container, as its root or postgres
        yield f"local {own} all scram-sha-256"
    for address in _LOOPBACK:
        yield f"host all {superuser} {address} scram-sha-256"
        yield from (f"host {own} {role} {address} scram-sha-256" for role in others)
    if kind != "local":
        address = "all" if kind == "coordinator" else "samenet"
        yield from (f"hostssl {own} {role} {address} scram-sha-256" for role in (superuser, *others))


def _quoted(name: str) -> str:
    """Return a name as pg_hba.conf takes it: in quotes, `all`, `replication`, `+x` and `@x` are names like others."""
    if name.startswith("/"):
        msg = f"{name!r} cannot stand in pg_hba.conf: a name that begins with / is taken for a regular expression"
        raise ValueError(msg)
    return '"' + name.replace('"', '""') + '"'
