"""ClusterIdentity: the cluster's own id, and what is fixed for its life, as a dynamic resource.

The id is made at random, once. It is in the state, on the labels of everything that Docker has of the cluster, in the
folders of local nodes, and in the database's ledger. So a cluster stays itself when its stack, project or organization is
renamed, and another state with the same names does not take it over.
"""

from __future__ import annotations

import uuid
from typing import Any, Final, TypedDict

import pulumi
from pulumi.dynamic import CheckFailure, CheckResult, CreateResult, DiffResult, Resource

from components.errors import IdentityError
from components.resources.provider import DeclarativeProvider
from components.resources.remains import Remnants

__all__ = ["ClusterIdentity", "ClusterIdentityArgs"]


FIXED: Final = {"runtime": "runtime", "name_prefix": "namePrefix", "user": "user", "database": "database"}
"""Inputs that no update may change, with their settings: the data was made with them."""


class ClusterIdentityArgs(TypedDict):
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
    found: list[dict[str, Any]]
    """What is there already, as `Remnants.as_props` writes it. It is checked, and never reaches the state."""
    obstacles: list[str]
    """What else is in the way; likewise."""


class ClusterIdentityProvider(DeclarativeProvider):
    """Makes the id, or takes over the one that a person names. Deleting it does nothing."""

    outputs = ("cluster_id",)

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse, at preview, what would leave the data behind, or take over a cluster that the state does not know."""
        found = Remnants.of(news.pop("found", []))
        obstacles = news.pop("obstacles", [])
        # In this order: who follows the advice to choose another port must not leave the data behind.
        problems = (_changed(_olds, news, found) if _olds else _in_the_way(news, found)) or obstacles
        return CheckResult(news, [CheckFailure("", problem) for problem in problems])

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
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

    def ensure(self, props: dict[str, Any], olds: dict[str, Any]) -> dict[str, Any]:
        """Keep the id."""
        return {"cluster_id": olds["cluster_id"]}

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Return the id that is taken over, or a new one."""
        cluster_id = props["adopt"] or str(uuid.uuid4())
        return CreateResult(cluster_id, {**props, "cluster_id": cluster_id})


def _changed(olds: dict[str, Any], news: dict[str, Any], found: Remnants) -> list[str]:
    lines = [
        f"citus:{setting} = {news[name]!r}: this cluster was made with {olds[name]!r}, and its data stays there. Set "
        f"{olds[name]!r} back, or start another stack"
        for name, setting in FIXED.items()
        if olds.get(name) not in (None, news[name])
    ]
    # Told by its id, for an engine has many addresses. One that has nodes of these names may be the same under a new id.
    is_elsewhere = olds.get("engine") not in (None, news["engine"])
    if not lines and is_elsewhere and not any(remnant.declared and remnant.owner for remnant in found.found):
        lines.append(
            "`docker` talks to another engine than the one that this cluster's nodes are on: let DOCKER_HOST, DOCKER_CONTEXT or "
            "`docker context use` name that one, or start another stack"
        )
    return lines


def _in_the_way(news: dict[str, Any], found: Remnants) -> list[str]:
    """Return a line for each obstacle to a cluster that the state does not know; say what is adopted."""
    apart = "citus:dataDir" if news["runtime"] == "local" else "citus:namePrefix, citus:network and citus:port"
    adopt = news["adopt"]
    lines = [
        f"{what} exists and is not this stack's ({news['stack']}): it is left alone. Choose another "
        f"{'citus:network' if what.startswith('network') else apart.partition(',')[0]}, or remove it yourself"
        for what in found.foreign()
    ]
    for cluster_id, things in found.of_others(news["stack"], adopt).items():
        lines.append(
            f"{', '.join(things)}: part of the cluster {cluster_id}, which the state of this stack ({news['stack']}) does not "
            f"know. If another stack or another clone manages it, choose another {apart}. If this stack's state was lost, "
            f"let it take over that cluster with all its data: pulumi config set adopt {cluster_id}"
        )
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

    def __init__(self, name: str, args: ClusterIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(ClusterIdentityProvider(), name, {**args, "cluster_id": None}, opts)
