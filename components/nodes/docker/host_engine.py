"""HostEngine: which engine a host of the settings is, as a dynamic resource: told by its id, whatever its address.

It does nothing. Another engine under a host's name, which has none of the nodes, is refused before anything is touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi.dynamic import CheckResult, Resource

from components.resources.provider import DeclarativeProvider
from components.resources.wire import write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.resources.wire import Props

__all__ = ["HostEngine", "HostEngineInputs"]


@dataclass(frozen=True, kw_only=True)
class HostEngineInputs:
    """Inputs of HostEngine."""

    host: str
    engine: str
    """The engine's id."""
    nodes: tuple[str, ...]
    """Those that are to be on it."""
    found: bool = False
    """Whether any of them is there. It is checked, and never reaches the state."""


class HostEngineProvider(DeclarativeProvider[HostEngineInputs]):
    """Notes the id. Deleting it does nothing."""

    inputs = HostEngineInputs
    compared = ("engine", "nodes")

    def refuse(self, before: Props, inputs: HostEngineInputs) -> Iterator[str]:
        """Refuse another engine while nodes of the cluster are on the one before."""
        was = self.read_inputs(before) if before else inputs
        lost = [node for node in was.nodes if node in inputs.nodes]
        if was.engine != inputs.engine and lost and not inputs.found:
            yield (
                f"citus:hosts.{inputs.host}: this is another engine than the one that has {', '.join(lost)}: its id is "
                f"{inputs.engine}, was {was.engine}. Correct where the engine is reached, or bring the old one back"
            )

    def check(self, _olds: Props, news: Props) -> CheckResult:
        """Refuse what cannot be, and keep what was found out of the state."""
        checked = super().check(_olds, news)
        return CheckResult({name: it for name, it in news.items() if name != "found"}, checked.failures)

    def identify(self, inputs: HostEngineInputs, outputs: Props) -> str:
        """Return the host's name."""
        return inputs.host

    def ensure(self, inputs: HostEngineInputs, before: Props) -> Props:
        """Do nothing."""
        return {}

    def delete(self, _id: str, _props: Props) -> None:
        """Do nothing."""


class HostEngine(Resource, module="citus", name="HostEngine"):
    """A host's engine. Declared where the settings have hosts."""

    def __init__(self, name: str, inputs: HostEngineInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(HostEngineProvider(), name, write(inputs), opts)
