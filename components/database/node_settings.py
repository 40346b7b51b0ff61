"""Settings of a role or a database that Citus's own sessions on the nodes would use, and must not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from components.database.statements import statement
from components.errors import StackError

if TYPE_CHECKING:
    from components.database.connections import Connection

__all__ = ["refuse_settings"]


def refuse_settings(connection: Connection) -> None:
    """Refuse settings that Citus's own sessions on the nodes take from the role or its database; ours cannot set them there.

    A timeout would abort a long step. Nodes exchange values as text: with other settings they are read as another day
    (DateStyle), with another sign (IntervalStyle), without a backslash (standard_conforming_strings), or with fewer digits.
    """
    found = connection.execute(statement("get_refused_settings")).fetchall()
    if not found:
        return
    user, database = connection.info.user, connection.info.dbname
    setters = {
        "user": "role {user}",
        "database": "database {database}",
        "database user": "role {user} in database {database}",
    }
    lines = []
    for node, name, value, source in found:
        names = {"user": sql.Identifier(user), "database": sql.Identifier(database), "name": sql.Identifier(name)}
        reset = sql.SQL(f"alter {setters.get(source, 'system')} reset {{name}}")
        lines.append(f"{node}: {name} = {value} ({reset.format(**names).as_string(None)})")
    msg = (
        f"Citus's own sessions on the nodes take these settings from {user}, {database} or the server, which would abort "
        f"this step or corrupt its data: {'; '.join(lines)}. Reset each one on that node (a role's on the coordinator, which "
        "propagates it), then run the command again. Give an application that needs such a setting its own role"
    )
    raise StackError(msg)
