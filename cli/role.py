"""`python -m cli role`: lets the nodes know the password of a role that a person made, so that it can query from all of them."""

from __future__ import annotations

import getpass
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from cli.cluster import coordinator_of
from components.database import login_rules, nodes, roles, session
from components.database.connections import lets_in
from components.errors import AccessError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PASSWORD_VARIABLE", "ensure_role", "read_password"]

PASSWORD_VARIABLE: Final = "ROLE_PASSWORD"  # noqa: S105 - a variable's name
TIMEOUT: Final = 60
"""Seconds that each wait may take."""


def read_password(role: str) -> str:
    """Return the role's password: from ROLE_PASSWORD, else typed without an echo, else the first line of the input.

    Raises:
        AccessError: there is none.
    """
    password = os.environ.get(PASSWORD_VARIABLE)
    if password is None:
        typed = sys.stdin.isatty()
        password = getpass.getpass(f"password of role {role}: ") if typed else sys.stdin.readline().rstrip("\r\n")
    if not password:
        msg = f"role {role}: no password: type it, let {PASSWORD_VARIABLE} hold it, or give it as the first line of the input"
        raise AccessError(msg)
    return password


def ensure_role(outputs: Mapping[str, Any], role: str, password: str) -> None:
    """Let every node of a stack that is up know a role's password, once the coordinator has taken it.

    Raises:
        StackError: there is no such role, it has another password, or a node refuses it.
    """
    server, superuser_password = coordinator_of(outputs)
    doing = f"letting the nodes know role {role}"
    with session.exclusive(server, superuser_password, doing=doing, timeout=TIMEOUT) as (connection, _):
        roles.get_oid(connection, role)
        login_rules.renew_rules(connection, nodes.get_addresses(connection).values())
        if not lets_in(replace(server, user=role), password):
            msg = (
                f"role {role}: the coordinator refuses this password, or does not let the role log in: nothing was changed. To "
                "give it another: alter role … password … on the coordinator, then this again"
            )
            raise AccessError(msg)
        roles.ensure_access(connection, role, password, TIMEOUT)
