"""Where the provider of each dynamic resource is.

A state names this module and a class, nothing else, so that a class may move: its line here changes, and no stack does.
Renaming this module or `load`, or taking a class away, breaks the stacks that are up.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pulumi.dynamic import ResourceProvider

__all__ = ["WHERE", "load"]

WHERE: Final = {
    "ClusterHealthProvider": "components.resources.membership",
    "ClusterIdentityProvider": "components.resources.identity",
    "CoordinatorNodeProvider": "components.resources.membership",
    "DestroyGuardProvider": "components.nodes.docker.destroy_guard",
    "DistributedTableProvider": "components.resources.tables",
    "LocalNodeProvider": "components.nodes.local.resources",
    "LocalTableProvider": "components.resources.tables",
    "NodeDataProvider": "components.nodes.data",
    "ReferenceTableProvider": "components.resources.tables",
    "SchemaScriptProvider": "components.resources.scripts",
    "ShardPlacementProvider": "components.resources.placement",
    "WorkerNodeProvider": "components.resources.membership",
}
_FORMER: Final = ("data", "destroy_guard", "identity", "local", "membership", "sharding")
"""Modules of components/ that states from before version 0.2 name. An update writes the new name into a state."""


def find(name: str) -> type[ResourceProvider]:
    """Return the class of a provider; raises AttributeError where there is none of that name."""
    if name not in WHERE:
        raise AttributeError(name)
    found: type[ResourceProvider] = getattr(import_module(WHERE[name]), name)
    return found


def load(name: str) -> ResourceProvider:
    """Return a provider, as what a state has of it is read."""
    return find(name)()


class _Former(ModuleType):
    def __getattr__(self, name: str) -> Any:
        return find(name)


for _name in _FORMER:
    sys.modules.setdefault(f"components.{_name}", _Former(f"components.{_name}"))
