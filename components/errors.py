"""The errors that a person sees. A message says what, where, why and what to do; what programs need of it are fields."""

from __future__ import annotations

from dataclasses import dataclass


class StackError(Exception):
    """Anything this project refuses to do. Its text is the whole message: never a password, never a DSN with one."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in the settings or in a SQL file."""

    message: str
    setting: str = ""
    """The setting, with its value where that is what is wrong."""
    file: str = ""
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        return ": ".join(part for part in (self.setting, place, self.message) if part)


class InputError(StackError):
    """Problems of what a person wrote, each on a line of its own."""

    def __init__(self, *problems: Problem | str) -> None:
        """Take the problems; one that has no place may be a text."""
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(it if isinstance(it, Problem) else Problem(it) for it in problems)


class SettingsError(InputError):
    """A setting that is missing, unknown or wrong; names the setting, its value and the remedy."""


class PlanError(InputError):
    """A sharding plan that the schema does not allow, or that Citus would refuse."""


class DockerError(StackError):
    """A Docker Engine that cannot be reached, or on which something stands in the way."""


class HostError(StackError):
    """This host lacks what local nodes need, or something on it stands in the way."""


class NotReadyError(StackError):
    """A node did not answer within the deadline, or went away meanwhile; names the node, the time waited and the last cause."""

    def __init__(self, message: str, *, nodes: tuple[str, ...] = (), hint: str = "") -> None:
        """Take the message, the nodes that do not answer (`name:port`), and where to look next."""
        super().__init__("; ".join(filter(None, (message, hint))))
        self.message = message
        """The text without the hint, which may quote a server's log: for what others read."""
        self.nodes = nodes


class DiskFullError(StackError):
    """A node has no room left on its disk; the transaction was rolled back."""


class AccessError(StackError):
    """A node refuses the login, however long one waits: wrong password, no such database; or there is no such host."""


class BackupError(StackError):
    """A backup or a restore cannot be; says why, and what to do."""


class IdentityError(StackError):
    """A node or a cluster is not the one that was registered: recreated, or owned by another."""


class SourceError(StackError):
    """A database or a folder that a proposal cannot be read from."""


class DriftError(StackError):
    """What is in the database contradicts what is declared, and changing it could lose data."""


class ReshardingError(DriftError):
    """A table that is sharded in another way than declared, and that the settings do not let be rewritten."""

    def __init__(self, table: object, what: str) -> None:
        """Say how the table is and how it was to be, in `what`, and the ways out."""
        super().__init__(
            f"table {table} {what}. Changing that rewrites every row and locks the table meanwhile, so it is done only where "
            f"the settings ask for it: set citus:tables.{table}.rewrite to true, or declare the table as it is"
        )
