"""LoginRules: who may log in to the nodes, as a dynamic resource."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pulumi

from components.access import Access
from components.database import login_rules, nodes
from components.resources.provider import tell
from components.resources.sql import SqlProvider, SqlResource
from components.resources.wire import Given, known, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.database.connections import Connection
    from components.resources.wire import Props

__all__ = ["LoginRules", "LoginRulesInputs"]

_COORDINATOR: Final = 0
"""Its group."""


@dataclass(frozen=True, kw_only=True)
class LoginRulesInputs(Access):
    """Inputs of LoginRules."""

    runtime: str
    roles: tuple[str, ...]
    """The declared ones, as the catalogue has them; those that files or people made are found there."""
    files: tuple[str, ...]
    """The files of the schema: one more may make a role."""
    groups: tuple[Given[int], ...]
    """Of the nodes."""
    generations: tuple[Given[str], ...]
    """Of the nodes: a new one has rules of its own."""
    peers: tuple[str, ...] | None = None
    """Where nodes come from, as pg_hba.conf takes it; None where they are on one network and show no certificates."""


class LoginRulesProvider(SqlProvider[LoginRulesInputs]):
    """The rules of every node. Deleting it puts back those from before."""

    inputs = LoginRulesInputs
    asks_nodes = True
    compared = ("server", "roles", "files", "groups", "generations", "peers", "drifted")

    def announce(self, before: Props, inputs: LoginRulesInputs) -> Iterator[str]:
        """Say who will be let in, where nobody was kept out until now."""
        if not before:
            yield (
                f"pg_hba.conf of every node: only roles that there are at an update log in, to {inputs.server.database}"
                f"{'' if inputs.runtime == 'local' else ', from other machines over TLS'}; nothing is restarted"
            )

    def identify(self, inputs: LoginRulesInputs, outputs: Props) -> str:
        """Return the only id there is."""
        return "login-rules"

    def ensure(self, inputs: LoginRulesInputs, before: Props) -> Props:
        """Write what differs, one node after the other."""
        with self.session(inputs, "writing who may log in", on_all_nodes=True) as connection:
            for node, kind in _nodes(connection, inputs):
                tell(login_rules.ensure_rules(connection, node, kind, _peers(inputs)))
        return {}

    def delete(self, _id: str, _props: Props) -> None:
        """Put back what was there before."""
        inputs = self.read_inputs(_props)
        with self.session(self.as_set(_props), "putting back who may log in", on_all_nodes=True) as connection:
            for node, _ in _nodes(connection, inputs):
                login_rules.remove_rules(connection, node)

    def find(self, connection: Connection, inputs: LoginRulesInputs, state: Props) -> Props:
        """Return which nodes let others in than they should."""
        drifted = [
            f"{name}:{port}"
            for (name, port), kind in _nodes(connection, inputs)
            if login_rules.is_drifted(connection, (name, port), kind, _peers(inputs))
        ]
        tell(f"{node}: pg_hba.conf is not as the last update would write it now" for node in drifted)
        return {"drifted": drifted}


def _peers(inputs: LoginRulesInputs) -> login_rules.Peers | None:
    return login_rules.Peers(inputs.peers, verified=True) if inputs.peers else None


def _nodes(connection: Connection, inputs: LoginRulesInputs) -> Iterator[tuple[tuple[str, int], login_rules.Kind]]:
    """Yield the address and kind of each node that is registered."""
    addresses = nodes.get_addresses(connection)
    for given in inputs.groups:
        group = int(known(given))
        if address := addresses.get(group):
            of_container: login_rules.Kind = "coordinator" if group == _COORDINATOR else "worker"
            yield address, "process" if inputs.runtime == "local" else of_container


class LoginRules(SqlResource, module="citus", name="LoginRules"):
    """Who may log in to the nodes. Declared where the settings have roles, or nodes verify each other."""

    def __init__(self, name: str, inputs: LoginRulesInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(LoginRulesProvider(), name, {**write(inputs), "drifted": []}, opts)
