"""ClusterIdentity: the cluster's own id, and what is fixed for its life, as a dynamic resource.

The id is made at random, once. It is in the state, on the labels of everything that Docker has of the cluster, in the
folders of local nodes, and in the database's ledger. So a cluster stays itself when its stack, project or organization is
renamed, and another state with the same names does not take it over.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pulumi
from pulumi.dynamic import CheckResult, DiffResult, Resource

from components.errors import IdentityError
from components.resources.provider import DeclarativeProvider
from components.resources.remains import Remnant, Remnants
from components.resources.wire import write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.resources.wire import Props

__all__ = ["ClusterIdentity", "ClusterIdentityInputs"]


FIXED: Final = {"runtime": "runtime", "name_prefix": "namePrefix", "user": "user", "database": "database"}
"""Inputs that no update may change, with their settings: the data was made with them."""


@dataclass(frozen=True, kw_only=True)
class ClusterIdentityInputs:
    """Inputs of ClusterIdentity."""

    runtime: str
    name_prefix: str
    user: str
    database: str
    adopt: str
    """Id of a cluster that this stack is to take over; empty for none."""
    stack: str
    """Full name of the stack."""
    engine: str
    """Id of the Docker Engine that the nodes are on; empty where they are processes of this host."""
    verifies: bool | None = None
    """True where nodes verify each other. It is checked, and never reaches the state; likewise what follows."""
    found: tuple[Remnant, ...] = ()
    """What is there already."""
    obstacles: tuple[str, ...] = ()
    """What else is in the way."""


class ClusterIdentityProvider(DeclarativeProvider[ClusterIdentityInputs]):
    """Makes the id, or takes over the one that a person names. Deleting it does nothing."""

    inputs = ClusterIdentityInputs
    outputs = ("cluster_id",)

    def refuse(self, before: Props, inputs: ClusterIdentityInputs) -> Sequence[str]:
        """Refuse what would leave the data behind, or take over a cluster that the state does not know."""
        found = Remnants(inputs.found)
        # In this order: who follows the advice to choose another port must not leave the data behind.
        return (_changed(before, inputs, found) if before else _in_the_way(inputs, found)) or inputs.obstacles

    def check(self, _olds: Props, news: Props) -> CheckResult:
        """Refuse what cannot be, and keep what was found out of the state."""
        checked = super().check(_olds, news)
        return CheckResult(
            {name: it for name, it in news.items() if name not in ("found", "obstacles", "verifies")}, checked.failures
        )

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """Return that nothing changes but, where it was, the name of the provider.

        Raises:
            IdentityError: the settings ask to adopt another cluster than the stack's own.
        """
        if _news["adopt"] not in ("", _id):
            msg = (
                f"citus:adopt = {_news['adopt']!r}: this stack already has a cluster, {_id}. Remove the setting with "
                "`pulumi config rm adopt`; to take that cluster over, use another stack"
            )
            raise IdentityError(msg)
        return DiffResult(changes=self.is_renamed(_olds, _news))

    def identify(self, inputs: ClusterIdentityInputs, outputs: Props) -> str:
        """Return the cluster's id."""
        return str(outputs["cluster_id"])

    def ensure(self, inputs: ClusterIdentityInputs, before: Props) -> Props:
        """Keep the id; make one where there is none, or take over the one that is adopted."""
        return {"cluster_id": before.get("cluster_id") or inputs.adopt or str(uuid.uuid4())}


def _changed(before: Props, inputs: ClusterIdentityInputs, found: Remnants) -> list[str]:
    lines = [
        f"citus:{setting} = {getattr(inputs, name)!r}: this cluster was made with {before[name]!r}, and its data stays there. "
        f"Set {before[name]!r} back, or start another stack"
        for name, setting in FIXED.items()
        if before.get(name) not in (None, getattr(inputs, name))
    ]
    # Told by its id, for an engine has many addresses. One that has nodes of these names may be the same under a new id.
    is_elsewhere = before.get("engine") not in (None, inputs.engine)
    if not lines and is_elsewhere and not any(remnant.declared and remnant.owner for remnant in found.found):
        lines.append(
            "`docker` talks to another engine than the one that this cluster's nodes are on: let DOCKER_HOST, DOCKER_CONTEXT or "
            "`docker context use` name that one, or start another stack"
        )
    return lines


def _in_the_way(inputs: ClusterIdentityInputs, found: Remnants) -> list[str]:
    """Return a line for each obstacle to a cluster that the state does not know; say what is adopted."""
    apart = "citus:dataDir" if inputs.runtime == "local" else "citus:namePrefix, citus:network and citus:port"
    adopt = inputs.adopt
    lines = [
        f"{what} exists and is not this stack's ({inputs.stack}): it is left alone. Choose another "
        f"{'citus:network' if what.startswith('network') else apart.partition(',')[0]}, or remove it yourself"
        for what in found.foreign()
    ]
    for cluster_id, things in found.of_others(inputs.stack, adopt).items():
        lines.append(
            f"{', '.join(things)}: part of the cluster {cluster_id}, which the state of this stack ({inputs.stack}) does not "
            f"know. If another stack or another clone manages it, choose another {apart}. If this stack's state was lost, "
            f"let it take over that cluster with all its data: pulumi config set adopt {cluster_id}"
        )
    if adopt and inputs.verifies:
        lines += [
            f"citus:adopt = {adopt!r}: {what} is part of that cluster, and no setting declares it. The nodes get certificates of "
            "another authority, for the key of the one before went with the state: declare all of them, and take it out in "
            "the update after"
            for what in found.undeclared(adopt)
            if what.startswith("container")
        ]
    if adopt and not lines:
        things = found.of_cluster(adopt)
        if things:
            print(f"adopts the cluster {adopt} with all its data: {', '.join(things)}")  # noqa: T201 - Pulumi shows it
        else:
            lines.append(
                f"citus:adopt = {adopt!r}: nothing of a cluster with this id is here. Correct the id or citus:namePrefix; or "
                "start a new cluster: pulumi config rm adopt"
            )
    return lines


class ClusterIdentity(Resource, module="citus", name="ClusterIdentity"):
    """The cluster's id; the resource has it as its own id, too."""

    cluster_id: pulumi.Output[str]

    def __init__(self, name: str, inputs: ClusterIdentityInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(ClusterIdentityProvider(), name, {**write(inputs), "cluster_id": None}, opts)
