"""Roles that the settings declare: made on every node, with the declared password and no attribute beyond logging in.

What a role may do is in privileges.py, how the nodes come to know passwords in roles.py. Takes a connection; knows nothing of
Pulumi. A role's password is no part of any statement: what PostgreSQL keeps of it is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from psycopg import sql

from components.database import privileges, roles
from components.database.statements import get_value, sequentially, statement
from components.errors import DriftError, StackError
from components.names import RoleName

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from components.database.connections import Connection

__all__ = ["LiveRole", "describe_changes", "drop_role", "ensure_role", "find_drift", "get_obstacles", "look_at"]


_ATTRIBUTES: Final = sql.SQL(
    "login inherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls valid until $infinity$infinity$infinity$"
)


_WORDS: Final = {
    "superuser": "is a superuser",
    "createdb": "may create databases",
    "createrole": "may create roles",
    "replication": "may replicate",
    "bypassrls": "is above the policies of tables",
}


def ensure_role(
    connection: Connection, role: str, password: str, connections: int | None, timeout: float, *, is_changed: bool
) -> list[str]:
    """Let a role log in with a password on every node, and let the nodes know the password.

    It may have that many `connections` to the coordinator, None for as many as the server takes. `is_changed` says that the
    password may be another than the one that was declared last. Each wait may take `timeout` seconds.

    Returns:
        A line for each node that still refuses the role.
    """
    name = sql.Identifier(role)
    roles.make_ledger(connection)
    if get_value(connection, "has_role", name=role):
        for node, seen in _ask_workers(connection, role).items():
            if seen is None:
                _mend(connection, node, role, get_value(connection, "get_verifier", role=role))
    with sequentially(connection):
        if not get_value(connection, "has_role", name=role):
            connection.execute(sql.SQL("create role {}").format(name))
        elif roles.keeps_passwords(connection):
            connection.execute(statement("mark_role_distributed"), {"role": role})
        for group in _memberships(connection, role):
            connection.execute(sql.SQL("revoke {} from {}").format(sql.Identifier(group), name))
        connection.execute(sql.SQL("alter role {} {}").format(name, _ATTRIBUTES))
    verifier = get_value(connection, "get_verifier", role=role)
    if is_changed or verifier is None or _is_changed_by_hand(connection, role):
        verifier = roles.switch(connection, role, password, timeout)
    with connection.transaction():
        connection.execute(statement("declare_role"), {"role": role})
        # Sessions on workers are those of other nodes: there the limit would count what it does not mean.
        connection.execute("set local citus.enable_alter_role_propagation = off")
        limit = sql.Literal(-1 if connections is None else connections)
        connection.execute(sql.SQL("alter role {} connection limit {}").format(name, limit))
    for node in _deviating(connection, role):
        _mend(connection, node, role, verifier)
    roles.spread(connection, timeout)
    return roles.get_refused(connection, only=role) if roles.keeps_passwords(connection) else []


def _mend(connection: Connection, node: str, role: str, verifier: str | None) -> None:
    words = {"role": sql.Literal(role), "attributes": _ATTRIBUTES, "verifier": sql.Literal(verifier)}
    host, _, port = node.rpartition(":")
    roles.run_on(connection, (host, int(port)), sql.SQL(statement("mend_role")).format(**words))


def _memberships(connection: Connection, role: str) -> list[str]:
    seen = _describe(connection, role)
    return list(seen["memberships"]) if seen else []


def _describe(connection: Connection, role: str) -> dict[str, Any] | None:
    row = connection.execute(sql.SQL(statement("describe_role")).format(role=sql.Literal(role))).fetchone()
    return row[0] if row else None


def _is_changed_by_hand(connection: Connection, role: str) -> bool:
    seen = _describe(connection, role)
    return seen is None or seen["password"] != get_value(connection, "get_declared_password", role=role)


def _ask_workers(connection: Connection, role: str) -> dict[str, dict[str, Any] | None]:
    """Return what each worker that answers has of the role."""
    if not roles.keeps_passwords(connection):
        return {}
    answers = roles.ask_workers(connection, sql.SQL(statement("describe_role")).format(role=sql.Literal(role)))
    return {node: json.loads(said) if said else None for node, said in answers}


def _deviating(connection: Connection, role: str) -> list[str]:
    """Return the workers that do not have the role as the coordinator has it."""
    own = _describe(connection, role)
    return [node for node, seen in _ask_workers(connection, role).items() if seen != {**(own or {}), "connections": -1}]


def find_drift(connection: Connection, role: str, connections: int | None) -> list[str] | None:
    """Return a line for each way in which a role is not as declared, on any node; None where the coordinator lacks it."""
    own = _describe(connection, role)
    if own is None:
        return None
    lines = list(_differences(own, -1 if connections is None else connections))
    if own["password"] != get_value(connection, "get_declared_password", role=role):
        lines.append("has another password than the declared one")
    for node, seen in _ask_workers(connection, role).items():
        if seen is None:
            lines.append(f"is not there on worker {node}")
            continue
        lines += [f"{line} on worker {node}" for line in _differences(seen, -1)]
        if seen["password"] != own["password"]:
            lines.append(f"has another password on worker {node} than on the coordinator")
    return [f"role {RoleName(role)} {line}" for line in lines]


def _differences(seen: dict[str, Any], connections: int) -> list[str]:
    lines = [words for name, words in _WORDS.items() if seen[name]]
    if not seen["login"]:
        lines.append("may not log in")
    if seen["connections"] != connections:
        lines.append(f"has the connection limit {seen['connections']}")
    return [*lines, *(f"is a member of {RoleName(group)}" for group in seen["memberships"])]


def get_obstacles(connection: Connection, role: str, *, on_workers: bool = True) -> list[str]:
    """Return why a role cannot be dropped: a line for what it owns, for what names it, and for sessions; each with the way."""
    name = RoleName(role)
    found = connection.execute(statement("get_role_obstacles"), {"role": role}).fetchall()
    lines = []
    owned = [what for is_owned, what in found if is_owned]
    if owned:
        lines.append(
            f"it owns {_some(owned)}: give that to another owner, on the coordinator: reassign owned by {name} to "
            f"{RoleName(connection.info.user)}"
        )
    named = [what for is_owned, what in found if not is_owned]
    if named:
        lines.append(f"{_some(named)} names it: drop or alter that in a new file")
    question = sql.SQL(statement("count_role_sessions")).format(role=sql.Literal(role))
    counts = {"the coordinator": (connection.execute(question).fetchone() or (0,))[0]}
    if on_workers and roles.keeps_passwords(connection):
        counts |= {f"worker {node}": int(said) for node, said in roles.ask_workers(connection, question)}
    lines += [
        f"{count} sessions of it are open on {node}: stop the application, and end there those that are left, in "
        "pg_stat_activity, with pg_terminate_backend"
        for node, count in counts.items()
        if count
    ]
    return lines


_LISTED: Final = 3


def _some(what: list[str]) -> str:
    more = f" and {len(what) - _LISTED} more" if len(what) > _LISTED else ""
    return ", ".join(what[:_LISTED]) + more


@dataclass(frozen=True)
class LiveRole:
    """A role of the running cluster, as a preview sees it."""

    name: str
    is_declared: bool
    """Whether it was, when an update ran last."""
    has: tuple[str, ...]
    """What it has beyond logging in."""
    obstacles: tuple[str, ...]
    """Why it cannot be dropped, and the way."""


def look_at(connection: Connection) -> tuple[LiveRole, ...]:
    """Return the roles of the running cluster."""
    declared = []
    if roles.has_ledger(connection):
        declared = [oid for (oid,) in connection.execute(statement("get_declared_roles")).fetchall()]
    found = connection.execute(statement("look_at_roles"), {"declared": declared}).fetchall()
    return tuple(_look_at(connection, *row) for row in found)


def _look_at(connection: Connection, role: str, is_declared: bool, count: int) -> LiveRole:  # noqa: FBT001
    seen = _describe(connection, role)
    has = list(_differences(seen, seen["connections"])) if seen else []
    if count:
        has.append(f"has privileges on {count} objects")
    obstacles = get_obstacles(connection, role, on_workers=False) if is_declared else ()
    return LiveRole(role, is_declared, tuple(has), tuple(obstacles))


def describe_changes(live: Iterable[LiveRole], declared: Collection[str]) -> Iterator[str]:
    """Yield what an update makes of roles that are there: those that it takes over, and those that are declared no more."""
    for role in live:
        name = RoleName(role.name)
        if role.name in declared and not role.is_declared:
            loses = f", and loses what is not declared: it {'; it '.join(role.has)}" if role.has else ""
            yield f"role {name} exists already: it is taken over, gets the declared password{loses}"
        elif role.is_declared and role.name not in declared:
            yield (
                f"role {name} is declared no more, and cannot be removed yet: {'; '.join(role.obstacles)}"
                if role.obstacles
                else f"role {name} is declared no more: it is dropped on every node, with all its privileges"
            )


def drop_role(connection: Connection, role: str, timeout: float) -> None:
    """Take all privileges from a role and drop it on every node; nothing happens where it is not there.

    Raises:
        DriftError: it owns something, something names it, or it is logged in; nothing was changed.
    """
    name = RoleName(role)
    if get_value(connection, "has_role", name=role):
        obstacles = get_obstacles(connection, role)
        if obstacles:
            msg = f"role {name} stays as it is: {'; '.join(obstacles)}; then run up again"
            raise DriftError(msg)
        if roles.keeps_passwords(connection):
            command = sql.SQL(statement("revoke_all")).format(role=sql.Literal(role)).as_string(connection)
            for node, success, said in connection.execute(statement("ask_workers"), {"question": command}).fetchall():
                if not success:
                    msg = f"role {name} cannot be removed from worker {node}: {said}"
                    raise StackError(msg)
        with sequentially(connection):
            privileges.revoke_all(connection, role)
            connection.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))
    roles.spread(connection, timeout)
