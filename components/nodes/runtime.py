"""What a runtime offers: the protocol that each package of components/nodes/ fulfils, so that a further one is a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

from components import registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pulumi

    from components.access import Access
    from components.backups.settings import ScheduleSettings
    from components.logs import Log
    from components.nodes.look import Look
    from components.nodes.node import Node
    from components.nodes.restore import RestorePlan
    from components.resources.certificates import CertificateAuthority
    from components.resources.pooling import PoolerLogin
    from components.schema.needs import KnownServer
    from components.settings import PoolerSettings, Settings

__all__ = ["Nodes", "Runtime", "open_runtime"]


class Nodes(Protocol):
    """The nodes of a cluster, declared."""

    @property
    def coordinator(self) -> Node:
        """The coordinator."""

    @property
    def workers(self) -> Sequence[Node]:
        """The workers, in their order."""

    @property
    def plan(self) -> RestorePlan | None:
        """What the cluster is made of; None where it is made empty."""

    def pool(
        self, pooler: PoolerSettings, login: PoolerLogin, after: Sequence[pulumi.Resource]
    ) -> list[pulumi.Resource]:
        """Declare the poolers; `after` is what lets clients in."""

    def schedule(self, schedule: ScheduleSettings, after: Sequence[pulumi.Resource]) -> list[pulumi.Resource]:
        """Declare what makes backups at their times; `after` is what makes them possible."""

    def guard(self, after: Sequence[pulumi.Resource]) -> None:
        """Declare what a destroy does first; `after` is everything else of the cluster."""


class Runtime(Protocol):
    """What runs the nodes of a stack, as it is before the update."""

    stack: str
    """Full name of the stack."""

    @classmethod
    def open(cls, stack: str, settings: Settings) -> Self:
        """Return the runtime of a stack."""

    def look(self, settings: Settings) -> Look:
        """Return what is there already."""

    def check(self, settings: Settings) -> None:
        """Look for what makes any update fail, whatever the state says.

        Raises:
            StackError: with one line for each obstacle: what it is, and what removes it.
        """

    def expect(self, settings: Settings) -> KnownServer:
        """Return what the settings, and this machine's files, tell of the servers; asks neither an engine nor a server."""

    def log(self, settings: Settings, node: str) -> Log:
        """Return where a node's log is."""

    def declare(
        self,
        name: str,
        settings: Settings,
        cluster_id: pulumi.Output[str],
        access: Access,
        authority: CertificateAuthority | None,
        opts: pulumi.ResourceOptions,
    ) -> Nodes:
        """Declare the nodes; `access` is to the coordinator, `authority` vouches for them where they verify each other."""


def open_runtime(stack: str, settings: Settings) -> Runtime:
    """Return the runtime that the settings name, for a stack with that full name."""
    runtime: type[Runtime] = registry.load(registry.RUNTIMES, settings.runtime)
    return runtime.open(stack, settings)
