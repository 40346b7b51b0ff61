"""pg_hba.conf of the nodes: who may log in, from where and how. Written through the server itself, whatever runs it.

The first line that fits a connection decides. Whoever fits none is refused, so there is no line that refuses.
"""

from __future__ import annotations

import base64
import json
import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, Literal, get_args

from psycopg import sql

from components.database.nodes import ask_node
from components.database.statements import statement
from components.errors import NotReadyError, StackError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from components.database.connections import Connection

__all__ = ["Kind", "Peers", "ensure_rules", "is_drifted", "let_in", "remove_rules", "render", "renew_rules"]

Kind = Literal["coordinator", "worker", "process"]
"""A container's coordinator, to which clients come from anywhere; a container's worker, to which only the other nodes of its
networks come; or a process of this host, which listens on 127.0.0.1 alone."""
_HEADER: Final = "# Written by citus-pulumi for a {kind}. The next update replaces what is changed here."
_PEERS: Final = "# Nodes come from: "
_BEFORE: Final = "pg_hba.conf.before"
"""Beside pg_hba.conf: what stood there before."""
_LOOPBACK: Final = ("127.0.0.1/32", "::1/128")
"""A server's own machine, which needs no TLS. Citus's jobs log in to their own node from here."""


@dataclass(frozen=True)
class _Found:
    path: str
    text: str
    wrong: str | None
    has_own: bool

    @property
    def kind(self) -> Kind | None:
        """The kind that the text was written for; None where it is not this program's."""
        first = self.text.partition("\n")[0]
        return next((kind for kind in get_args(Kind) if first == _HEADER.format(kind=kind)), None)

    @property
    def is_somebodys(self) -> bool:
        """Whether a person wrote lines into it, which stay."""
        return self.has_own and self.kind is None


@dataclass(frozen=True)
class Peers:
    """Who the other nodes are, for a worker in a container."""

    addresses: tuple[str, ...] = ("samenet",)
    """Where they come from, as pg_hba.conf takes it."""
    verified: bool = False
    """Whether they show a certificate of the stack's authority."""

    def __str__(self) -> str:
        return f"{_PEERS}{' '.join(self.addresses)}{', with certificates' if self.verified else ''}"

    @classmethod
    def parse(cls, text: str) -> Peers:
        """Read them out of a file that `render` made."""
        line = next((line for line in text.splitlines() if line.startswith(_PEERS)), "")
        addresses, _, certificates = line.removeprefix(_PEERS).partition(",")
        return cls(tuple(addresses.split()), bool(certificates)) if line else cls()


def render(kind: Kind, *, database: str, user: str, roles: Iterable[str], peers: Peers | None = None) -> str:
    """Return the file's text.

    Args:
        kind: of the node.
        database: the only one that anybody but the superuser may use.
        user: the superuser. It logs in from other nodes, for a query of its own and for copies of shards (logical replication
            is a login to the database, not to `replication`); to the coordinator, also from where this program runs.
        roles: all others that log in, by their names in the catalogue. PostgreSQL 16 takes one that begins with `/` for a
            regular expression, quoted or not: such a name is left out.
        peers: of a worker; None for nodes of the same network, which show no certificates.
    """
    peers = peers or Peers()
    told = [str(peers)] if kind == "worker" and peers != Peers() else []
    return "\n".join([_HEADER.format(kind=kind), *told, *_lines(kind, database, user, roles, peers), ""])


def _lines(kind: Kind, database: str, user: str, roles: Iterable[str], peers: Peers) -> Iterator[str]:
    superuser, own = _quoted(user), _quoted(database)
    others = sorted({_quoted(role) for role in roles if not role.startswith("/")} - {superuser})
    if kind != "process":
        yield f"local all {superuser} trust"  # whoever gets to the socket is in the container, as its root or postgres
        yield f"local {own} all scram-sha-256"
    for address in _LOOPBACK:
        yield f"host all {superuser} {address} scram-sha-256"
        yield from (f"host {own} {role} {address} scram-sha-256" for role in others)
    if kind != "process":
        of_worker = kind == "worker"
        certificate = " clientcert=verify-ca" if of_worker and peers.verified else ""
        if not of_worker:  # its other databases, such as those that a person makes beside the stack's
            yield f"hostssl all {superuser} all scram-sha-256"
        for address in peers.addresses if of_worker else ("all",):
            yield from (f"hostssl {own} {role} {address} scram-sha-256{certificate}" for role in (superuser, *others))


def _quoted(name: str) -> str:
    """Return a name as pg_hba.conf takes it: in quotes, `all`, `replication`, `+x` and `@x` are names like others."""
    return '"' + name.replace('"', '""') + '"'


def ensure_rules(connection: Connection, node: tuple[str, int], kind: Kind, peers: Peers | None = None) -> list[str]:
    """Let those log in to a node who may log in to the coordinator, and nobody else; sessions that are open go on.

    Returns:
        What was done, or why not; nothing where the node has these rules.

    Raises:
        StackError: the server does not understand them; it has those from before.
    """
    found = _ask(connection, node)
    where = f"{node[0]}:{node[1]}"
    if found.is_somebodys:
        return [f"{where}: its pg_hba.conf has lines of somebody's own, and stays as it is"]
    text = _render_known(connection, kind, peers)
    if found.text == text:
        _reload(connection, node)  # a run that was killed may have written them and no more
        return []
    keep = "" if found.kind else f"cp -p {shlex.quote(found.path)} {shlex.quote(_before(found))} && "
    _write(connection, node, found, text, keep)
    if wrong := _ask(connection, node).wrong:
        _write(connection, node, found, found.text)
        msg = f"{where} does not understand the rules of who may log in ({wrong}): those from before are back"
        raise StackError(msg)
    _reload(connection, node)
    return [f"{where}: pg_hba.conf was written and read again"]


def remove_rules(connection: Connection, node: tuple[str, int]) -> None:
    """Put back what stood there before; a file that is not this program's stays."""
    found = _ask(connection, node)
    if found.kind:
        # Input that is not read would be an error where the command ends before the server has written it.
        _run(connection, node, f"cat > /dev/null && mv {shlex.quote(_before(found))} {shlex.quote(found.path)}", "")
    _reload(connection, node)


def is_drifted(connection: Connection, node: tuple[str, int], kind: Kind, peers: Peers | None = None) -> bool:
    """Tell whether a node lets others in than the next update would."""
    found = _ask(connection, node)
    return not found.is_somebodys and found.text != _render_known(connection, kind, peers)


def renew_rules(connection: Connection, nodes: Collection[tuple[str, int]]) -> None:
    """Let in whoever may log in now, on those of the nodes that have this program's rules."""
    for node in nodes:
        found = _ask(connection, node)
        if found.kind:
            ensure_rules(connection, node, found.kind, Peers.parse(found.text))


def let_in(connection: Connection, nodes: Collection[tuple[str, int]], peers: Peers) -> list[str]:
    """Let nodes of further machines in to the workers that have this program's rules, before all rules are written anew.

    Returns:
        What was done.
    """
    done = []
    for node in nodes:
        found = _ask(connection, node)
        if found.kind == "worker" and not set(peers.addresses) <= set(Peers.parse(found.text).addresses):
            both = dict.fromkeys([*Peers.parse(found.text).addresses, *peers.addresses])
            done += ensure_rules(connection, node, "worker", Peers(tuple(both), peers.verified))
    return done


def _render_known(connection: Connection, kind: Kind, peers: Peers | None) -> str:
    """Return the text that lets in whoever may log in to the coordinator now."""
    roles = [role for (role,) in connection.execute(statement("get_login_roles"))]
    return render(kind, database=connection.info.dbname, user=connection.info.user, roles=roles, peers=peers)


def _ask(connection: Connection, node: tuple[str, int]) -> _Found:
    try:
        return _Found(**json.loads(ask_node(connection, *node, statement("get_login_rules"))))
    except NotReadyError as error:
        where = f"{node[0]}:{node[1]}"
        msg = f"{where} cannot be asked for its pg_hba.conf: {error}"
        raise NotReadyError(msg, nodes=(where,)) from error


def _before(found: _Found) -> str:
    return str(PurePosixPath(found.path).with_name(_BEFORE))


def _write(connection: Connection, node: tuple[str, int], found: _Found, text: str, keep: str = "") -> None:
    """Replace the file in one step: a server that is killed meanwhile starts with a whole one."""
    path = shlex.quote(found.path)
    new = shlex.quote(f"{found.path}.new")
    _run(connection, node, f"{keep}umask 077 && base64 -d > {new} && mv {new} {path}", text)


def _run(connection: Connection, node: tuple[str, int], command: str, text: str) -> None:
    """Run a command on the node's machine as its server does, with a text as the input."""
    encoded = base64.b64encode(text.encode()).decode()  # COPY would escape some characters
    copy = sql.SQL("copy (select {}) to program {}").format(encoded, command)
    ask_node(connection, *node, copy.as_string(connection))


def _reload(connection: Connection, node: tuple[str, int]) -> None:
    ask_node(connection, *node, "select pg_catalog.pg_reload_conf()")
