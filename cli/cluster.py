"""The running cluster of a stack, reached by the stack's outputs: with the connections and errors of components/database."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from psycopg.conninfo import conninfo_to_dict

from components.access import Server
from components.database.client import connected
from components.logs import Log
from components.nodes.local.server import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from components.database.connections import Connection

__all__ = ["connected_to", "coordinator_of", "is_stand_in", "keep_authority"]

SECONDS: Final = 5.0
"""How long a command waits for a coordinator that was up a moment ago."""


def is_stand_in(outputs: Mapping[str, Any]) -> bool:
    """Tell from a stack's outputs whether its cluster is a stand-in for Citus, which moves no rows."""
    return "standin" in outputs["versions"]["citus"]


def coordinator_of(outputs: Mapping[str, Any]) -> tuple[Server, str]:
    """Return the coordinator of a stack that is up, and its password."""
    target = {name: str(value) for name, value in conninfo_to_dict(outputs["dsn"]).items()}
    address = str(outputs["coordinator"])
    name = address.rpartition(":")[0]
    log = Log("file", "the log in the stack's dataDir") if name == HOST else Log("docker", name)
    server = Server(
        "the coordinator",
        target["host"],
        int(target["port"]),
        target["dbname"],
        target["user"],
        Log.parse(outputs["logs"][address]) if "logs" in outputs else log,
        outputs.get("caCertificate"),
    )
    return server, target["password"]


def keep_authority(outputs: Mapping[str, Any]) -> None:
    """Write the certificate of the stack's authority into the file that its addresses name, in the current folder."""
    file = conninfo_to_dict(outputs["dsn"]).get("sslrootcert")
    if file and "caCertificate" in outputs:
        Path(str(file)).write_text(outputs["caCertificate"], "utf-8")


@contextmanager
def connected_to(outputs: Mapping[str, Any], doing: str) -> Iterator[Connection]:
    """Yield a connection to the coordinator of a stack that is up.

    Raises:
        StackError: it does not answer, or refuses something; `doing` completes the message.
    """
    server, password = coordinator_of(outputs)
    with connected(server, password, doing=doing, timeout=SECONDS) as connection:
        yield connection
