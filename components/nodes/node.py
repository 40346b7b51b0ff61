"""What a node is to the rest of the program, whatever runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pulumi

from components.logs import Log

if TYPE_CHECKING:
    from components.settings import Settings

__all__ = ["Node", "is_pooler", "is_schedule", "node_names", "pooler_name", "schedule_name"]

_POOLER: Final = "_pooler"
_SCHEDULE: Final = "_backups"


def node_names(settings: Settings) -> list[str]:
    """Return what the nodes are called, the coordinator first: the names of their containers or folders."""
    workers = [f"{settings.name_prefix}_worker_{number}" for number in range(1, settings.workers + 1)]
    return [f"{settings.name_prefix}_coordinator", *workers]


def pooler_name(node: str) -> str:
    """Return what the pooler of a node is called."""
    return f"{node}{_POOLER}"


def schedule_name(prefix: str) -> str:
    """Return what the container is called that makes backups at their times."""
    return f"{prefix}{_SCHEDULE}"


def is_schedule(name: str) -> bool:
    """Tell whether that is the name of a schedule of backups."""
    return name.endswith(_SCHEDULE)


def is_pooler(name: str) -> bool:
    """Tell whether that is the name of a pooler."""
    return name.endswith(_POOLER)


@dataclass(frozen=True)
class Node:
    """One node: the resource that runs it, and how the other nodes reach it."""

    name: str
    key: str
    """Name of the resources that stand for it: another one where it is made anew on another host."""
    resource: pulumi.Resource
    generation: pulumi.Output[str]
    """Changes when the node's server is another one."""
    node_name: str
    node_port: int
    log: Log
    passfile: str
    """As components.nodes.passfile.open_passfile takes it."""
    keypair: pulumi.Output[str] | None = None
    """Its certificate with the private key; None where nodes do not verify each other."""
    repository_files: Mapping[str, pulumi.Output[str]] = field(default_factory=dict)
    """What its pgBackRest reads, by the names of the files; empty where nothing is backed up."""

    @property
    def address(self) -> str:
        """Return `name:port`, as the placement of shards names it."""
        return f"{self.node_name}:{self.node_port}"
