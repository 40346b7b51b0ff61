"""Roles that query from every node: the passwords that the nodes show each other for them, in Citus's pg_dist_authinfo.

A node logs in to another one as the role that runs the query. Citus passes a role on to the workers, but only with what
PostgreSQL keeps of its password, by which nobody can log in. So the password is kept once more, in a table of every node
that only superusers read. The coordinator's is the first; the others ask it, so that no password is part of a statement.

Takes a connection; knows nothing of Pulumi. Rows of pg_dist_authinfo that are for roles or nodes other than noted in the
ledger stay as they are.
"""

from __future__ import annotations

import json
import shlex
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from components.database.connections import is_lost, lets_in
from components.database.statements import PROBE_SECONDS, get_value, statement, time_limited
from components.errors import AccessError, NotReadyError, StackError
from components.schema import passwords
from components.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from components.access import Server
    from components.database.connections import Connection
    from components.schema.passwords import PasswordChange

__all__ = [
    "Learned",
    "ask_workers",
    "change_password",
    "describe_unknown",
    "ensure_access",
    "find_drift",
    "find_learnable",
    "get_oid",
    "get_refused",
    "get_unknown",
    "has_ledger",
    "is_changed",
    "keep_out_of_log",
    "keeps_passwords",
    "learn",
    "make_ledger",
    "make_verifier",
    "record",
    "run_on",
    "spread",
    "switch",
]


_STAGED: Final = -2
"""What stands for a node in rows of pg_dist_authinfo that Citus does not use yet."""


_REFUSED: Final = "password authentication failed"


class Learned(NamedTuple):
    """A password that a role was given, and the role's name then."""

    name: str
    password: str | None
    """None where it was taken away."""


def _knows(connection: Connection) -> tuple[bool, bool]:
    """Tell whether Citus keeps passwords in this database, and whether a role is noted (or was)."""
    row = connection.execute(statement("knows_roles")).fetchone()
    return (row[0], row[0] and row[1]) if row else (False, False)


def make_ledger(connection: Connection) -> None:
    """Make the ledger of roles where an older version of this project has made none."""
    with connection.transaction():
        connection.execute(statement("create_ledger"))


def keep_out_of_log(connection: Connection) -> None:
    """Let the server write nothing into its log until the end of the transaction; what fails is told to the client."""
    connection.execute(statement("log_no_statements"))


def keeps_passwords(connection: Connection) -> bool:
    """Tell whether Citus keeps passwords in this database: a stand-in does not."""
    return _knows(connection)[0]


def has_ledger(connection: Connection) -> bool:
    """Tell whether the ledger of roles is there, on a stand-in too."""
    row = connection.execute(statement("knows_roles")).fetchone()
    return bool(row and row[1])


def make_verifier(connection: Connection, role: str, password: str) -> str:
    """Return what PostgreSQL keeps of a password, computed here as psql does it."""
    encoding = connection.info.encoding
    return connection.pgconn.encrypt_password(password.encode(encoding), role.encode(encoding)).decode("ascii")


def change_password(connection: Connection, change: PasswordChange) -> dict[int, Learned]:
    """Run a statement that changes a role's password, with what PostgreSQL keeps of it in the password's place.

    Returns:
        What was learned, by the role's oid; nothing where the statement has only what PostgreSQL keeps.
    """
    name = change.role
    if not change.is_name:
        row = connection.execute("select current_user, session_user").fetchone()
        name = (row or ("", ""))[name == "session_user"]
    text = change.text
    if change.password is not None and not change.is_hashed:
        text = change.written_with(make_verifier(connection, name, change.password))
    connection.execute(text.encode())
    if change.is_hashed:
        return {}
    row = connection.execute(statement("get_role"), {"name": name}).fetchone()
    return {row[0]: Learned(name, change.password)} if row and not row[1] else {}


def record(connection: Connection, learned: Mapping[int, Learned]) -> None:
    """Let the coordinator know passwords, by the roles' oids, in the transaction that is under way.

    Raises:
        StackError: Citus refuses one.
    """
    keeps, _ = _knows(connection)
    if not keeps or not learned:
        return
    keep_out_of_log(connection)
    for oid, role in learned.items():
        if role.password is None:
            connection.execute(statement("unwant_role"), {"oid": oid})
        else:
            row = {"oid": oid, "name": role.name, "authinfo": make_conninfo("", password=role.password)}
            try:
                connection.execute(statement("record_role"), row)
            except psycopg.Error as error:
                if is_lost(error):
                    raise
                msg = f"role {role.name}: its password cannot be kept for the nodes: {error.diag.message_primary}"
                raise StackError(msg) from None  # the detail quotes the row


def switch(connection: Connection, role: str, password: str, timeout: float) -> str:
    """Give a role another password, on all nodes at nearly the same moment; return what PostgreSQL keeps of it.

    The nodes get to know it first, where Citus does not look yet. Then each node switches in a transaction of its own, the
    coordinator last: until then, whoever is about to log in from it to another node waits. In between, a node that is logging
    in may be refused for milliseconds; sessions that are open go on.

    Raises:
        StackError: a node refuses it. The others have the new password then; another run ends it.
    """
    verifier, name = make_verifier(connection, role, password), sql.Identifier(role)
    alter = sql.SQL("alter role {} password {}").format(name, sql.Literal(verifier))
    if not keeps_passwords(connection):
        connection.execute(alter)
        return verifier
    with connection.transaction():
        keep_out_of_log(connection)
        staged = {"role": role, "authinfo": make_conninfo("", password=password)}
        connection.execute(statement("stage_password"), staged)
    for coordinator, host, port in connection.execute(statement("get_nodes")).fetchall():
        if f"{host}:{port}" != coordinator:
            _pull(connection, coordinator, (host, port), [], timeout, staged=True)
    words = {"role": sql.Literal(role), "verifier": sql.Literal(verifier)}
    command = sql.SQL(statement("switch_password")).format(**words).as_string(connection)
    with connection.transaction():
        keep_out_of_log(connection)
        connection.execute("set local citus.enable_ddl_propagation = off; set local lock_timeout = '5s'")
        connection.execute("lock table pg_catalog.pg_dist_authinfo in access exclusive mode")
        answers = connection.execute(statement("ask_workers"), {"question": command}).fetchall()
        connection.execute(alter)
        oid = get_value(connection, "get_role", name=role)
        record(connection, {oid: Learned(role, password)})
        connection.execute(statement("unstage_password"), {"role": role})
        connection.execute(statement("declare_role"), {"role": role})
    refused = [
        f"worker {node} does not take the password of role {role}: {said}"
        for node, success, said in answers
        if not success
    ]
    if refused:
        raise StackError("; ".join(refused))
    return verifier


def is_changed(connection: Connection) -> bool:
    """Tell whether a role that the nodes know was dropped, renamed, or lost its password."""
    _, noted = _knows(connection)
    return noted and any(
        now != name or not wanted for name, now, wanted, _ in connection.execute(statement("get_roles")).fetchall()
    )


def spread(connection: Connection, timeout: float, *, only: tuple[str, int] | None = None) -> list[str]:
    """Let every active node know what the coordinator knows, or `only` one of them; rows of roles that are gone go too.

    A role that was renamed is renamed on the workers too, which Citus leaves undone.

    Returns:
        A line for each worker that does not have a role.

    Raises:
        NotReadyError: a node cannot ask the coordinator within `timeout` seconds.
    """
    _, noted = _knows(connection)
    roles = connection.execute(statement("get_roles")).fetchall() if noted else []
    if not roles:
        return []
    connection.execute(statement("rename_authinfo"))
    current = {now for _, now, wanted, _ in roles if now is not None and wanted}
    gone = sorted({name for role in roles for name in role[:2] if name is not None} - current)
    nodes = connection.execute(statement("get_nodes")).fetchall()
    lacking: list[str] = []
    for coordinator, name, port in nodes:
        if f"{name}:{port}" != coordinator and only in (None, (name, port)):
            for old, new, wanted, verifier in roles:
                if new not in (old, None) and wanted:
                    words = {"old": sql.Literal(old), "new": sql.Literal(new), "verifier": sql.Literal(verifier)}
                    run_on(connection, (name, port), sql.SQL(statement("rename_role")).format(**words))
            missing = _pull(connection, coordinator, (name, port), gone, timeout)
            lacking += [
                f"worker {name}:{port} has no role {role}, so its queries fail: create it there, with "
                "citus.enable_ddl_propagation off, then run up again"
                for role in missing
            ]
    if only is None:
        connection.execute(statement("forget_roles"), {"gone": gone})
    return lacking


def _pull(
    connection: Connection,
    coordinator: str,
    node: tuple[str, int],
    gone: list[str],
    timeout: float,
    *,
    staged: bool = False,
) -> list[str]:
    """Let a node ask the coordinator, and return the roles that it does not have."""
    host, _, port = coordinator.rpartition(":")
    command = sql.SQL(statement("pull_authinfo")).format(
        coordinator=sql.Literal(host),
        port=sql.Literal(int(port)),
        question=sql.Literal(statement("read_staged_authinfo" if staged else "read_authinfo")),
        gone=sql.Literal(gone),
        nodeid=sql.Literal(_STAGED if staged else 0),
    )

    def attempt() -> list[str]:
        answer = json.loads(run_on(connection, node, command))
        if answer["failure"]:
            raise NotReadyError(answer["failure"])
        return list(answer["missing"])

    return wait_until(attempt, what=f"worker {node[0]}:{node[1]} learns the roles' passwords", timeout=timeout)


def ask_workers(connection: Connection, question: sql.Composed) -> list[tuple[str, str]]:
    """Ask every active worker one question about roles at the same time; return what each that can be reached says.

    Raises:
        NotReadyError: one says nothing for some seconds.
    """
    asked = {"question": question.as_string(connection)}
    with time_limited(connection, PROBE_SECONDS):
        answers = connection.execute(statement("ask_workers"), asked).fetchall()
    return [(node, said) for node, success, said in answers if success]


def run_on(connection: Connection, node: tuple[str, int], command: sql.Composed) -> str:
    """Run a statement about roles on a worker, and return what it answers.

    Raises:
        StackError: the worker refuses it; NotReadyError where it cannot be reached.
    """
    where = {"name": node[0], "port": node[1], "command": command.as_string(connection)}
    success, said = connection.execute(statement("run_on_node"), where).fetchone() or (False, "no answer")
    if success:
        return str(said)
    msg = f"worker {node[0]}:{node[1]} does not learn the roles' passwords: {said}"
    raise (NotReadyError if str(said).startswith("failed to connect") else StackError)(msg)


def find_drift(connection: Connection) -> list[str]:
    """Return a line for each node that does not know what the coordinator knows of a role, and for each role that is gone."""
    _, noted = _knows(connection)
    if not noted:
        return []
    lines = [
        f"role {name}: {'its password was taken away' if now == name else f'is now {now}' if now else 'was dropped'}, "
        "and nodes still keep a password for it"
        for name, now, wanted, _ in connection.execute(statement("get_roles")).fetchall()
        if now != name or not wanted
    ]
    stale = connection.execute(statement("get_stale_authinfo")).fetchall()
    return [*lines, *(f"worker {node} does not know the password of role {role}" for node, role in stale)]


def get_refused(connection: Connection, *, only: str | None = None) -> list[str]:
    """Log in to every active node as each role that the nodes know, or one of them; return a line for each that is refused."""
    _, noted = _knows(connection)
    if not noted:
        return []
    nodes = connection.execute(statement("get_nodes")).fetchall()
    lines = []
    known = [role for (role,) in connection.execute(statement("get_known_roles"))]
    for role in known if only is None else [only]:
        with connection.transaction(), _warnings_of(connection) as said:
            # Else it would use, and keep, a connection that was made with the password before.
            connection.execute(
                "set local citus.max_cached_conns_per_worker = 0; set local client_min_messages = warning"
            )
            connection.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
            for coordinator, name, port in sorted(nodes, key=lambda node: f"{node[1]}:{node[2]}" != node[0]):
                said.clear()
                reached = connection.execute("select citus_check_connection_to_node(%s, %s)", [name, port]).fetchone()
                if not (reached and reached[0]):
                    node = f"{name}:{port}"
                    lines.append(_refused(role, node, "; ".join(said), is_worker=node != coordinator))
                    break  # the others say the same
    return lines


@contextmanager
def _warnings_of(connection: Connection) -> Iterator[list[str]]:
    said: list[str] = []

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        said.append(" ".join((diagnostic.message_primary or "").split()))

    connection.add_notice_handler(note)
    try:
        yield said
    finally:
        connection.remove_notice_handler(note)


def _refused(role: str, node: str, said: str, *, is_worker: bool) -> str:
    cause = said.rpartition("following error: ")[2] or "no connection"
    if _REFUSED in cause and is_worker:
        return (
            f"role {role} has another password on worker {node} than on the coordinator, or is not there, so its queries fail: "
            f"give it its password again on the coordinator (alter role … password …), then {_command(role)}"
        )
    if _REFUSED in cause:
        return f"role {role}: the password that the nodes know is not its own any more, so its queries fail: {_command(role)}"
    return f"role {role} cannot log in to {node}, so its queries fail: {cause}"


def _command(role: str) -> str:
    return f"make role ROLE={shlex.quote(role)}"


def get_unknown(connection: Connection) -> list[str]:
    """Return the roles that log in with a password and may use sharded tables, but are unknown to the nodes."""
    keeps, _ = _knows(connection)
    return [name for (name,) in connection.execute(statement("get_unknown_roles"))] if keeps else []


def describe_unknown(role: str) -> str:
    """Return what it means that the nodes do not know a role's password, and what to do."""
    return (
        f"role {role} may use sharded tables, but the nodes do not know its password, so its queries fail: "
        f"{_command(role)}; or up, where a schema file gives the password"
    )


def find_learnable(connection: Connection, server: Server, text: str) -> dict[int, Learned]:
    """Return the passwords that a file gave roles unseen, and that let the roles in: in a `do` block, or before this was minded.

    By the oids of the roles; nothing of roles that are noted.
    """
    keeps, noted = _knows(connection)
    known = {role for (role,) in connection.execute(statement("get_known_roles"))} if noted else set()
    found: dict[int, Learned] = {}
    for change in passwords.find_changes(text) if keeps else ():
        if change.is_name and change.role not in known and change.password and not change.is_hashed:
            row = connection.execute(statement("get_role"), {"name": change.role}).fetchone()
            oid, is_own = row or (None, False)
            if oid and not is_own and oid not in found and lets_in(replace(server, user=change.role), change.password):
                found[oid] = Learned(change.role, change.password)
    return found


def learn(connection: Connection, learned: Mapping[int, Learned]) -> None:
    """Let the coordinator know passwords of roles."""
    if learned:
        make_ledger(connection)
        with connection.transaction():
            record(connection, learned)


def get_oid(connection: Connection, role: str) -> int:
    """Return the oid of a role that the nodes can come to know.

    Raises:
        AccessError: there is no such role, or it needs nothing.
    """
    keeps, _ = _knows(connection)
    if not keeps:
        msg = "this is a stand-in for Citus, whose nodes do not log in to each other: roles need nothing here"
        raise AccessError(msg)
    row = connection.execute(statement("get_role"), {"name": role}).fetchone()
    if row is None:
        msg = f"there is no role {role}: create it on the coordinator first (create role … login password …)"
        raise AccessError(msg)
    oid, is_own = row
    if is_own:
        msg = f"role {role} is this stack's own user, whose password is the setting citus:password: the nodes know it"
        raise AccessError(msg)
    if has_ledger(connection) and get_value(connection, "get_declared_password", role=role):
        msg = f"role {role} is declared in the settings (citus:roles), and its password is there: change it there, then run up"
        raise AccessError(msg)
    return int(oid)


def ensure_access(connection: Connection, role: str, password: str, timeout: float) -> None:
    """Let every node know the password of a role, and prove it by logging in to each.

    Raises:
        AccessError: a node does not have the role, or refuses it.
    """
    learn(connection, {get_oid(connection, role): Learned(role, password)})
    spread(connection, timeout)
    refused = get_refused(connection, only=role)
    if refused:
        raise AccessError("; ".join(refused))
