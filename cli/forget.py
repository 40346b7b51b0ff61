"""`python -m cli forget`: takes what was on a host that is gone for good out of a stack's state: nobody can remove it there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pulumi import automation

from cli.stacks import open_stack
from components.errors import DockerError
from components.nodes.docker.endpoint import Endpoint, connect
from components.settings import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["forget_host"]

_PROVIDER: Final = "pulumi:providers:docker"
_CONTAINER: Final = "docker:index/container:Container"


def forget_host(stack: str, host: str) -> list[str]:
    """Take all that was on a host out of the state of a stack. Its data, if it is anywhere, stays there.

    Args:
        stack: that had nodes there.
        host: that no setting names any more.

    Returns:
        The names of the containers that were there.

    Raises:
        DockerError: the settings have the host, or its engine answers, or nothing of the stack was there.
    """
    opened = open_stack(stack)
    declared = opened.get_all_config().get(f"{PROJECT}:hosts")
    if declared and host in json.loads(declared.value):
        msg = (
            f"citus:hosts.{host}: the settings have this host: remove it there, and from hostOf, if it is gone for good"
        )
        raise DockerError(msg)
    exported = opened.export_stack()
    state = dict(exported.deployment or {})
    resources: list[dict[str, Any]] = state.get("resources") or []
    provider = next((it for it in resources if it["type"] == _PROVIDER and _name(it).endswith(f"-engine-{host}")), None)
    if provider is None:
        msg = (
            f"nothing of the stack {stack} was on a host {host}. The coordinator's host cannot be forgotten: without it, restore "
            "the whole cluster into a new stack (make restore)"
        )
        raise DockerError(msg)
    _refuse_one_that_answers(host, provider["inputs"])
    gone = set(_find_gone(resources, provider))
    containers = [_name(it) for it in resources if it["urn"] in gone and it["type"] == _CONTAINER]
    state["resources"] = [_without(it, gone) for it in resources if it["urn"] not in gone]
    pending = state.get("pending_operations") or []
    state["pending_operations"] = [it for it in pending if it["resource"]["urn"] not in gone]
    opened.import_stack(automation.Deployment(exported.version, state))
    return [name.removesuffix(f"-{host}") for name in containers]


def _name(resource: Mapping[str, Any]) -> str:
    return str(resource["urn"]).rpartition("::")[2]


def _refuse_one_that_answers(host: str, inputs: Mapping[str, Any]) -> None:
    options = json.loads(inputs.get("sshOpts") or "[]")
    at = Endpoint(inputs.get("host", ""), "the state", inputs.get("certPath") or "", tuple(options[1::2]))
    try:
        connect(at).close()
    except DockerError:
        return
    msg = f"the engine of host {host} answers at {at.host}: put it back into citus:hosts, and let `make up` remove what is there"
    raise DockerError(msg)


def _find_gone(resources: Sequence[Mapping[str, Any]], provider: Mapping[str, Any]) -> Iterator[str]:
    """Yield the URN of the provider, of all that is its, and of what stands for nodes that were there."""
    urn, ending = str(provider["urn"]), _name(provider).rpartition("-engine-")[2]
    of_engine = [it for it in resources if str(it.get("provider", "")).startswith(f"{urn}::")]
    nodes = {_name(it) for it in of_engine if it["type"] == _CONTAINER}
    yield urn
    for resource in resources:
        name = _name(resource)
        stands_for_a_node = any(name == node or name.startswith(f"{node}-") for node in nodes)
        if resource in of_engine or stands_for_a_node or name.endswith(f"-host-{ending}"):
            yield str(resource["urn"])


def _without(resource: Mapping[str, Any], gone: set[str]) -> dict[str, Any]:
    """Return a resource that depends on nothing that is gone."""
    left = dict(resource)
    if "dependencies" in left:
        left["dependencies"] = [it for it in left["dependencies"] if it not in gone]
    if left.get("propertyDependencies"):
        left["propertyDependencies"] = {
            name: [it for it in urns or () if it not in gone] for name, urns in left["propertyDependencies"].items()
        }
    if left.get("deletedWith") in gone:
        del left["deletedWith"]
    return left
