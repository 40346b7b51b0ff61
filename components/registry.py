"""Where things are that a state or a setting names: providers, runtimes, logs and places of data. Each is imported when needed.

A state names this module and the class of a provider, nothing else, so that a class may move: its line here changes, and no
stack does. Renaming this module or `load_provider`, or taking a name away, breaks the stacks that are up.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from threading import RLock, Thread
from types import ModuleType
from typing import Any, Final

__all__ = [
    "CONFIGURATIONS",
    "KEYPAIRS",
    "LOGS",
    "PASSFILES",
    "PLACES",
    "PROVIDERS",
    "RUNTIMES",
    "TOOLBOXES",
    "load",
    "load_provider",
    "open_at",
]

PROVIDERS: Final = {
    "BackupGuardProvider": "components.nodes.backups",
    "CertificateAuthorityProvider": "components.resources.certificates",
    "ClusterBackupsProvider": "components.nodes.backups",
    "ClusterHealthProvider": "components.resources.membership",
    "ClusterIdentityProvider": "components.resources.identity",
    "CoordinatorNodeProvider": "components.resources.membership",
    "DestroyGuardProvider": "components.nodes.docker.destroy_guard",
    "DistributedFunctionProvider": "components.resources.functions",
    "DistributedSchemaProvider": "components.resources.schemas",
    "DistributedTableProvider": "components.resources.tables",
    "HostEngineProvider": "components.nodes.docker.host_engine",
    "LocalNodeProvider": "components.nodes.local.resources",
    "LocalTableProvider": "components.resources.tables",
    "LoginRulesProvider": "components.resources.login_rules",
    "NodeDataProvider": "components.nodes.data",
    "PoolerLoginProvider": "components.resources.pooling",
    "RebalanceProvider": "components.resources.rebalance",
    "ReferenceTableProvider": "components.resources.tables",
    "RestorePlanProvider": "components.nodes.restore",
    "RestoredClusterProvider": "components.nodes.restore",
    "RolePrivilegesProvider": "components.resources.roles",
    "RoleProvider": "components.resources.roles",
    "SchemaScriptProvider": "components.resources.scripts",
    "ServerCertificateProvider": "components.resources.certificates",
    "ServerKeypairsProvider": "components.nodes.keypairs",
    "ServerParametersProvider": "components.resources.parameters",
    "ShardPlacementProvider": "components.resources.placement",
    "UserPasswordProvider": "components.nodes.password",
    "WorkerNodeProvider": "components.resources.membership",
}
"""The module of each provider."""
RUNTIMES: Final = {"docker": "components.nodes.docker.engine:Engine", "local": "components.nodes.local.host:LocalHost"}
"""What runs the nodes, by the setting `runtime`: a Runtime of components/nodes/runtime.py."""
LOGS: Final = {"docker": "components.nodes.docker.logs:read", "file": "components.nodes.local.logs:read"}
"""What reads a node's log, by the kind of log: see components/logs.py."""
PASSFILES: Final = {
    "docker": "components.nodes.docker.passfile:ContainerPassfile",
    "folder": "components.nodes.local.passfile:FolderPassfile",
}
"""Where a node has its password, by the kind of place: a Passfile of components/nodes/passfile.py."""
KEYPAIRS: Final = {"docker": "components.nodes.docker.keypair:ContainerKeypair"}
"""Where a node has its certificate, by the kind of place: a Keypair of components/nodes/keypairs.py."""
CONFIGURATIONS: Final = {
    "docker": "components.nodes.docker.configuration:ContainerConfiguration",
    "folder": "components.nodes.local.configuration:FolderConfiguration",
}
"""Where a node has what its pgBackRest reads, by the kind of place: a Configuration of components/nodes/backups.py."""
TOOLBOXES: Final = {
    "docker": "components.nodes.docker.toolbox:ImageToolbox",
    "local": "components.nodes.local.toolbox:HostToolbox",
}
"""Where pgBackRest is run before there are nodes: a Toolbox of components/nodes/restore.py."""
PLACES: Final = {
    "volume": "components.nodes.docker.volumes:DataVolume",
    "folder": "components.nodes.local.folders:DataFolder",
}
"""Where a node's data is, by the kind of place: a Place of components/nodes/data.py."""

_COMMON: Final = (
    "UserPasswordProvider",
    "WorkerNodeProvider",
    "SchemaScriptProvider",
    "DistributedTableProvider",
    "RebalanceProvider",
)
"""Of those that most stacks have, in the order in which they are called; between them they import nearly everything."""
_IMPORTING: Final = RLock()
_FORMER: Final = ("data", "destroy_guard", "identity", "local", "membership", "sharding")
"""Modules of components/ that states of version 0.1 name. An update writes the new name into a state."""


def load(names: dict[str, str], name: str) -> Any:
    """Import what one of the tables above has under a name."""
    module, _, attribute = names[name].partition(":")
    return getattr(import_module(module), attribute)


def open_at(names: dict[str, str], place: str) -> Any:
    """Open what is at `<kind>:<where>`, as the class that one of the tables above has for the kind does."""
    kind, _, where = place.partition(":")
    return load(names, kind).at(where)


def find_provider(name: str) -> Any:
    """Return the class of a provider."""
    with _IMPORTING:
        return getattr(import_module(PROVIDERS[name]), name)


@cache
def import_ahead() -> None:
    """Begin to import what the providers of every stack need: each one's first call would wait for its own.

    One thread imports at a time: two could meet in packages whose modules import each other.
    """

    def import_all() -> None:
        with _IMPORTING:
            for name in _COMMON:
                import_module(PROVIDERS[name])

    Thread(target=import_all, daemon=True).start()


def load_provider(name: str) -> Any:
    """Return a provider: what the pickle of one calls."""
    return find_provider(name)()


class _Former(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name not in PROVIDERS:
            raise AttributeError(name)
        return find_provider(name)


for _name in _FORMER:
    sys.modules.setdefault(f"components.{_name}", _Former(f"components.{_name}"))
