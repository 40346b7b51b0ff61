"""PoolerLogin: how poolers log in to the nodes, and prove to clients who they are, as a dynamic resource."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

from components.access import Access
from components.certificates import make_certificate
from components.database import nodes, pooling
from components.resources.provider import tell
from components.resources.sql import SqlProvider, SqlResource
from components.resources.wire import Given, known, write

if TYPE_CHECKING:
    from components.database.connections import Connection
    from components.resources.wire import Props

__all__ = ["PoolerLogin", "PoolerLoginInputs"]


@dataclass(frozen=True, kw_only=True)
class PoolerLoginInputs(Access):
    """Inputs of PoolerLogin."""

    groups: tuple[Given[int], ...]
    """Of the nodes that have a pooler; the coordinator's is 0."""
    generations: tuple[Given[str], ...]
    """Of these nodes: a new one is looked after, too."""


class PoolerLoginProvider(SqlProvider[PoolerLoginInputs]):
    """A role with a password that is made once, and a certificate. Deleting it takes the role away."""

    inputs = PoolerLoginInputs
    asks_nodes = True
    compared = ("server", "groups", "generations", "unready")
    outputs = ("password", "verifier", "certificate", "key")

    def identify(self, inputs: PoolerLoginInputs, outputs: Props) -> str:
        """Return the role."""
        return pooling.POOLER

    def ensure(self, inputs: PoolerLoginInputs, before: Props) -> Props:
        """Let poolers log in to each of the nodes."""
        with self.session(inputs, "letting poolers log in", on_all_nodes=True) as connection:
            made = {name: before[name] for name in self.outputs} if before else self._make(connection)
            pooling.ensure_login(connection, _nodes(connection, inputs), made["verifier"])
        return made

    def delete(self, _id: str, _props: Props) -> None:
        """Take the role away, with what it used."""
        with self.session(self.as_set(_props), "taking the poolers' role away", on_all_nodes=True) as connection:
            pooling.remove_login(connection, nodes.get_addresses(connection).values())

    def find(self, connection: Connection, inputs: PoolerLoginInputs, state: Props) -> Props:
        """Return the nodes to which a pooler could not log in."""
        unready = pooling.find_unready(connection, _nodes(connection, inputs), state["verifier"])
        tell(f"{node}: a pooler cannot log in, or not find the logins of clients" for node in unready)
        return {"unready": unready}

    def _make(self, connection: Connection) -> Props:
        password = secrets.token_urlsafe(24)
        certificate, key = make_certificate("citus-pulumi pooler")
        verifier = pooling.make_verifier(connection, password)
        return {"password": password, "verifier": verifier, "certificate": certificate, "key": key}


def _nodes(connection: Connection, inputs: PoolerLoginInputs) -> list[tuple[str, int]]:
    addresses = nodes.get_addresses(connection)
    return [addresses[group] for group in (int(known(it)) for it in inputs.groups) if group in addresses]


class PoolerLogin(SqlResource, module="citus", name="PoolerLogin"):
    """The poolers' role and certificate. Declared where the settings have a pooler."""

    password: pulumi.Output[str]
    certificate: pulumi.Output[str]
    key: pulumi.Output[str]

    def __init__(self, name: str, inputs: PoolerLoginInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        made = dict.fromkeys(PoolerLoginProvider.outputs)
        secret = pulumi.ResourceOptions(additional_secret_outputs=list(made))
        super().__init__(
            PoolerLoginProvider(),
            name,
            {**write(inputs), **made, "unready": []},
            pulumi.ResourceOptions.merge(opts, secret),
        )
