"""Role and RolePrivileges: a role of an application and what it may do, as dynamic resources. Lifecycle only.

They are two, because files of the schema come between them: they may name the role, and the role is to use what they make.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Self

import pulumi

from components.access import Access
from components.database import login_roles, privileges
from components.errors import AccessError, SettingsError
from components.names import RoleName
from components.resources.provider import tell
from components.resources.sql import SqlProvider, SqlResource
from components.resources.wire import Given, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.database.connections import Connection
    from components.resources.wire import Props

__all__ = ["Role", "RoleInputs", "RolePrivileges", "RolePrivilegesInputs"]


@dataclass(frozen=True, kw_only=True)
class RoleInputs(Access):
    """Inputs of Role."""

    role: str
    """As the catalogue has it."""
    connections: int | None = None
    """Sessions on the coordinator that it may have; None for as many as the server takes."""
    password_mark: Given[str]
    """Changes with the password, which is no property of any resource. A secret."""
    generations: tuple[Given[str], ...] = ()
    """One for each node: the role is looked after again whenever one changes."""

    @classmethod
    def of(
        cls, access: Access, role: str, password: str, connections: int | None, generations: Sequence[Given[str]]
    ) -> Self:
        """Return the inputs of a role."""
        mark = sha256(f"{role}\0{password}".encode()).hexdigest()
        return cls(
            **vars(access),
            role=role,
            connections=connections,
            password_mark=pulumi.Output.secret(mark),
            generations=tuple(generations),
        )


class RoleProvider(SqlProvider[RoleInputs]):
    """A role that logs in, on every node. Deleting it drops it, where nothing is its own and nobody is logged in as it."""

    inputs = RoleInputs
    asks_nodes = True
    compared = ("server", "connections", "password_mark", "generations", "drift")
    replacing = ("role",)

    def identify(self, inputs: RoleInputs, outputs: Props) -> str:
        """Return the role's name, spelled as in SQL."""
        return str(RoleName(inputs.role))

    def ensure(self, inputs: RoleInputs, before: Props) -> Props:
        """Make the role or take it over, with the declared password, and prove that every node lets it in."""
        name = RoleName(inputs.role)
        password = self._password(name)
        is_changed = before.get("password_mark") != inputs.password_mark
        with self.session(inputs, f"making the role {name}", on_all_nodes=True) as connection:
            timeout = inputs.ready_timeout
            refused = login_roles.ensure_role(
                connection, inputs.role, password, inputs.connections, timeout, is_changed=is_changed
            )
        if refused:
            raise AccessError("; ".join(refused))
        return {}

    def _password(self, role: RoleName) -> str:
        """Return the declared password, from the stack's settings."""
        declared = self._config.get("citus:roles")
        settings = json.loads(declared) if isinstance(declared, str) else declared or {}
        for name, role_settings in settings.items():
            if RoleName.parse(name) == role:
                return str(role_settings["password"])
        msg = f"citus:roles.{role}.password is not set"
        raise SettingsError(msg)

    def find(self, connection: Connection, inputs: RoleInputs, state: Props) -> Props | None:
        """Return in what ways the role is not as declared, and say it; None where it is not there."""
        drift = login_roles.find_drift(connection, inputs.role, inputs.connections)
        tell(drift or ())
        return None if drift is None else {"drift": drift}

    def delete(self, _id: str, _props: Props) -> None:
        """Revoke all from the role, and drop it on every node."""
        inputs = self.read_inputs(_props)
        with self.session(self.as_set(_props), f"removing the role {_id}", on_all_nodes=True) as connection:
            login_roles.drop_role(connection, inputs.role, inputs.ready_timeout)


class Role(SqlResource, module="citus", name="Role"):
    """A role of an application. Its id is its name, spelled as in SQL."""

    def __init__(self, name: str, inputs: RoleInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(RoleProvider(), name, {**write(inputs), "drift": []}, opts)


@dataclass(frozen=True, kw_only=True)
class RolePrivilegesInputs(Access):
    """Inputs of RolePrivileges."""

    role: str
    read: tuple[str, ...]
    write: tuple[str, ...]
    """Schemas, as the catalogue has them."""
    files: tuple[str, ...] = ()
    """The files of the schema: one more may make what the role is to use."""
    tables: dict[str, Given[int]]
    """The colocation group of each sharded table: one that is written anew is looked at again."""


class RolePrivilegesProvider(SqlProvider[RolePrivilegesInputs]):
    """What a role may do: that, and nothing else. Deleting it does nothing, for the role goes with its privileges."""

    inputs = RolePrivilegesInputs
    asks_nodes = True
    compared = ("server", "role", "read", "write", "files", "tables", "drift")

    def identify(self, inputs: RolePrivilegesInputs, outputs: Props) -> str:
        """Return the role's name, spelled as in SQL."""
        return str(RoleName(inputs.role))

    def ensure(self, inputs: RolePrivilegesInputs, before: Props) -> Props:
        """Grant what is declared, revoke the rest."""
        doing = f"granting the role {RoleName(inputs.role)} what it may do"
        with self.session(inputs, doing, on_all_nodes=True) as connection:
            tell(privileges.ensure_privileges(connection, inputs.role, _area(inputs)))
        return {}

    def find(self, connection: Connection, inputs: RolePrivilegesInputs, state: Props) -> Props:
        """Return what the role may do beyond what is declared, and what it may not; say it."""
        drift = privileges.find_drift(connection, inputs.role, _area(inputs))
        tell(drift)
        return {"drift": drift}


def _area(inputs: RolePrivilegesInputs) -> privileges.Area:
    return privileges.Area(inputs.read, inputs.write)


class RolePrivileges(SqlResource, module="citus", name="RolePrivileges"):
    """What a role may do in the database."""

    def __init__(self, name: str, inputs: RolePrivilegesInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(RolePrivilegesProvider(), name, {**write(inputs), "drift": []}, opts)
