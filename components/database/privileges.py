"""What a role that the settings declare may do: privileges by schema, on what is there and on what comes later; nothing else.

What is declared and what the catalogue has are compared, and only what differs is granted or revoked. Citus passes on what
concerns its tables, to their shards too. Takes a connection; knows nothing of Pulumi.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, LiteralString, NamedTuple

from psycopg import sql

from components.database import roles
from components.database.statements import get_value, sequentially, statement
from components.errors import DriftError
from components.names import RoleName, SchemaName

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from components.database.connections import Connection

__all__ = ["Area", "ensure_privileges", "find_drift", "revoke_all"]


@dataclass(frozen=True)
class Area:
    """The schemas in which a role reads, and those in which it writes as well."""

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()


class _Difference(NamedTuple):
    kind: str
    object: str
    """As GRANT and REVOKE take it."""
    privilege: str
    is_wanted: bool
    is_held: bool
    is_grantable: bool
    grantor: str | None

    def __str__(self) -> str:
        privilege, _, later = self.privilege.partition(" ON ")
        what = f"later {later.lower()} ({self.object})" if later else f"{self.kind} {self.object}"
        return f"{privilege} on {what.replace('column', 'columns of')}"


def _compare(connection: Connection, role: str, area: Area, *, connects: bool) -> list[_Difference]:
    arguments = {"role": role, "read": list(area.read), "write": list(area.write), "connects": connects}
    with connection.transaction():
        connection.execute("set local search_path = pg_catalog")  # for types to be named with their schemas
        return [_Difference(*row) for row in connection.execute(statement("compare_privileges"), arguments).fetchall()]


def ensure_privileges(connection: Connection, role: str, area: Area) -> list[str]:
    """Grant a role what is declared and revoke all else.

    Returns:
        A line for each privilege that could not be revoked, and one for what everybody has.

    Raises:
        DriftError: a schema is not there.
    """
    present = {name for (name,) in connection.execute("select nspname from pg_catalog.pg_namespace").fetchall()}
    missing = [str(SchemaName(it)) for it in (*area.read, *area.write) if it not in present]
    if missing:
        msg = (
            f"citus:roles.{RoleName(role)}: there is no schema {', '.join(missing)}: create it in a file, or remove it"
        )
        raise DriftError(msg)
    with sequentially(connection):
        left = _apply(connection, role, area, connects=True)
    name = sql.Identifier(role)
    for table, privileges in sorted({it for tables in _unlike(connection, role).values() for it in tables}):
        with sequentially(connection):  # Citus passes it on to every node and shard, whatever they have
            _execute(connection, "revoke {what} on {objects} from {role}", "table", "all", [table], name)
            if privileges:
                _execute(connection, "grant {what} on {objects} to {role}", "table", privileges, [table], name)
    still = [f"role {RoleName(role)} still has {it}: {it.grantor} granted it, and must revoke it" for it in left]
    return [*still, *_get_public(connection, role, area)]


def _get_public(connection: Connection, role: str, area: Area) -> list[str]:
    """Return a line about what a role may do because everybody may; that is not this project's to revoke."""
    arguments = {"read": list(area.read), "write": list(area.write)}
    found = [
        f"{what} on {on}" for what, on in connection.execute(statement("get_public_privileges"), arguments).fetchall()
    ]
    if not found:
        return []
    more = f" and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
    listed = ", ".join(found[:_TOLD])
    line = f"role {RoleName(role)} also has what everybody has: {listed}{more}. Where nobody else needs it, revoke it from public"
    return [line]


_TOLD: Final = 5


def revoke_all(connection: Connection, role: str) -> None:
    """Take all privileges from a role, within a transaction."""
    _apply(connection, role, Area(), connects=False)


def _unlike(connection: Connection, role: str) -> dict[str, list[tuple[str, str]]]:
    """Return, by worker, the tables on which a role holds something else than on the coordinator, with what it holds there."""
    if not roles.keeps_passwords(connection):
        return {}
    own: dict[str, str] = get_value(connection, "get_table_privileges", role=role)
    words = {"role": sql.Literal(role), "expected": sql.Literal(json.dumps(own))}
    answers = roles.ask_workers(connection, sql.SQL(statement("find_unlike_tables")).format(**words))
    return {node: [(table, own[table]) for table in json.loads(said)] for node, said in answers}


def find_drift(connection: Connection, role: str, area: Area) -> list[str]:
    """Return a line for each privilege that a role lacks, and for each that it has beyond those declared."""
    differences = _compare(connection, role, area, connects=True)
    name = RoleName(role)
    return [
        *(f"role {name} lacks {it}" for it in differences if not it.is_held),
        *(f"role {name} has {it}, which is not declared" for it in differences if it.is_held and not it.is_wanted),
        *(f"role {name} has {it}, and may grant it to others" for it in differences if it.is_wanted and it.is_held),
        *(
            f"role {name} has other privileges on table {table} on worker {node} than on the coordinator"
            for node, tables in _unlike(connection, role).items()
            for table, _ in tables
        ),
    ]


def _apply(connection: Connection, role: str, area: Area, *, connects: bool) -> list[_Difference]:
    """Bring a role's privileges to what is declared, and return those that others granted and that are left."""
    name = sql.Identifier(role)
    held = [it for it in _compare(connection, role, area, connects=connects) if it.is_held]
    for kind, what, objects in _grouped(it for it in held if it.is_wanted):
        _execute(connection, "revoke grant option for {what} on {objects} from {role}", kind, what, objects, name)
    for kind, what, objects in _grouped(it for it in held if not it.is_wanted):
        _execute(connection, "revoke {what} on {objects} from {role}", kind, what, objects, name)
    # Once more, for a privilege on columns goes only together with that on their table.
    lacking = [it for it in _compare(connection, role, area, connects=connects) if not it.is_held]
    for kind, what, objects in _grouped(lacking):
        _execute(connection, "grant {what} on {objects} to {role}", kind, what, objects, name)
    return [it for it in _compare(connection, role, area, connects=connects) if it.is_held] if held else []


_AT_A_TIME: Final = 50
"""Objects of one statement."""


def _grouped(differences: Iterable[_Difference]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield kinds of objects, privileges, and the objects that are concerned, a few at a time."""
    by_object: dict[tuple[str, str], list[str]] = defaultdict(list)
    for it in differences:
        privilege, _, later = it.privilege.partition(" ON ")
        kind = f"default {later}" if later else "table" if it.kind == "column" else it.kind
        if privilege not in by_object[kind, it.object]:
            by_object[kind, it.object].append(privilege)
    alike: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (kind, name), privileges in by_object.items():
        alike[kind, ", ".join(sorted(privileges))].append(name)
    for (kind, what), objects in alike.items():
        size = 1 if kind.startswith("default ") else _AT_A_TIME
        for start in range(0, len(objects), size):
            yield kind, what, objects[start : start + size]


def _execute(
    connection: Connection, template: LiteralString, kind: str, what: str, objects: list[str], role: sql.Identifier
) -> None:
    """Run a GRANT or a REVOKE; kinds, privileges and objects are as the catalogue spells and quotes them."""
    _, _, later = kind.partition("default ")
    on = later or f"{kind} {', '.join(objects)}"
    command = sql.SQL(template).format(what=_spelled(what), objects=_spelled(on), role=role)
    if later:
        command = sql.SQL("alter default privileges {} ").format(_spelled(objects[0])) + command
    connection.execute(command)


def _spelled(text: str) -> sql.SQL:
    return sql.SQL(text)
