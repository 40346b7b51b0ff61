"""The errors that a person sees. Holds no logic; a message says what, where, why and what to do."""


class StackError(Exception):
    """Anything this project refuses to do. Its text is the whole message: never a password, never a DSN with one."""


class SettingsError(StackError):
    """A setting that is missing, unknown or wrong; names the setting, its value and the remedy."""


class PlanError(StackError):
    """A sharding plan that the schema does not allow, or that Citus would refuse."""


class DockerError(StackError):
    """A Docker Engine that cannot be reached, or on which something stands in the way."""


class HostError(StackError):
    """This host lacks what local nodes need, or something on it stands in the way."""


class NotReadyError(StackError):
    """A node did not answer within the deadline; names the node, the time waited and the last cause."""


class AccessError(StackError):
    """A node answers, but will never let us in: wrong password, no such database, no such host."""


class IdentityError(StackError):
    """A node or a cluster is not the one that was registered: recreated, or owned by another."""


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
