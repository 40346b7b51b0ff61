"""Where the coordinator is reached from the machine that runs the program, and how long to wait for it."""

from __future__ import annotations

from dataclasses import dataclass

from components.logs import Log

__all__ = ["Access", "Server"]


@dataclass(frozen=True)
class Server:
    """Where a PostgreSQL server is reached; `name` is what a person calls it."""

    name: str
    host: str
    port: int
    database: str
    user: str
    log: Log | None = None
    """None where nobody looks into it."""
    authority: str | None = None
    """Certificate, as PEM, of the authority that vouches for it; None, or nothing, where it proves nothing."""

    def __str__(self) -> str:
        return f"{self.name} ({self.host}:{self.port})"

    def hint(self) -> str:
        """Return where its log is seen, and how it ends."""
        return self.log.hint() if self.log else ""


@dataclass(frozen=True, kw_only=True)
class Access:
    """What every resource in the cluster's database needs."""

    server: Server
    """The coordinator."""
    ready_timeout: int
    """Seconds that each wait may take."""
    unsafe_triggers: bool | None = None
    """True where Citus is to let sharded tables have triggers."""
