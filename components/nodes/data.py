"""NodeData: the data of one node as a dynamic resource. What removes a volume or a data folder, and refuses to.

Docker's volumes are never deleted by their own resources. So no replacement, rename or targeted run can lose one: a node's
data goes with its NodeData alone, in a destroy of the whole cluster, or after its worker was drained and unregistered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, Self

import pulumi

from components import registry
from components.access import Access
from components.database import drain, nodes
from components.errors import IdentityError, NotReadyError
from components.resources.sql import READ_TIMEOUT, SqlProvider, SqlResource
from components.resources.wire import Given, known, write

if TYPE_CHECKING:
    from pulumi.dynamic import ReadResult

    from components.resources.wire import Props


__all__ = ["NodeData", "NodeDataInputs", "Place"]


class Place(Protocol):
    """Where a node's data is: a volume, or a folder."""

    @classmethod
    def at(cls, where: str, owners: frozenset[str], coordinator: str, elsewhere: tuple[str, ...]) -> Self:
        """Return the place of that name.

        Args:
            where: volume or folder.
            owners: those that the things of its cluster name.
            coordinator: the coordinator's container, where that is on another engine than the volume; else empty.
            elsewhere: networks of the cluster on other engines than the volume's.
        """

    def exists(self) -> bool:
        """Tell whether it is there, as part of the cluster."""

    def cluster_lives(self) -> bool:
        """Tell whether any node of the cluster has not been removed or stopped for good."""

    def remove(self) -> None:
        """Remove it with all data."""


@dataclass(frozen=True, kw_only=True)
class NodeDataInputs(Access):
    """Inputs of NodeData."""

    node_name: str
    node_port: int
    is_coordinator: bool
    place: Given[str]
    """Where the data is: `volume:<name>` or `folder:<path>`."""
    owner: Given[str]
    """The owner that the place itself names: the cluster's id, or a stack's name where it was made before there were ids."""
    cluster_id: Given[str]
    coordinator: str | None = None
    """The coordinator's container, as Located reads it, where that is on another engine: it shows whether the cluster lives."""
    elsewhere: tuple[str, ...] | None = None
    """The cluster's networks on other engines, as Located reads them: so do they. One that does not answer shows nothing."""


class NodeDataProvider(SqlProvider[NodeDataInputs]):
    """Stands for a node's data. Only its deletion does something."""

    inputs = NodeDataInputs
    compared = ("server", "node_port", "place", "owner", "cluster_id", "coordinator", "elsewhere")

    def identify(self, inputs: NodeDataInputs, outputs: Props) -> str:
        """Return the place."""
        return known(inputs.place)

    def ensure(self, inputs: NodeDataInputs, before: Props) -> Props:
        """Do nothing: a node's own resources make its data."""
        return {}

    def read(self, id_: str, props: Props) -> ReadResult:
        """Return it as it is."""
        return self.read_result(id_, props)

    def delete(self, _id: str, _props: Props) -> None:
        """Remove the data, where the whole cluster goes, or where the worker was drained and unregistered.

        Raises:
            IdentityError: the node is still part of the cluster; nothing was removed.
        """
        inputs = self.read_inputs(_props)
        place = _open_place(inputs)
        if not place.exists():
            return
        if place.cluster_lives():
            access = replace(self.as_set(_props), ready_timeout=READ_TIMEOUT)
            self._refuse_while_needed(inputs, access, place)
        place.remove()

    def _refuse_while_needed(self, inputs: NodeDataInputs, access: Access, place: Place) -> None:
        name, port = inputs.node_name, inputs.node_port
        kept = f"{place} is kept, with its data"
        if inputs.is_coordinator:
            msg = f"{kept}: it is the coordinator's, and other parts of its cluster are still there. `pulumi destroy` removes all"
            raise IdentityError(msg)
        try:
            with self.connection(access, f"removing {place}") as connection:
                node = nodes.get_node(connection, name, port)
                held = nodes.count_shards(connection, name, port)
                staying = drain.get_workers(connection)
        except NotReadyError as error:
            msg = f"{kept}: the coordinator cannot be asked whether worker {name}:{port} still holds shards ({error})"
            raise IdentityError(msg) from error
        if node is not None:
            msg = (
                f"{kept}: worker {name}:{port} is registered and holds {held} shards of distributed tables. Lower "
                "citus:workers and run up, which drains it first; or remove the whole cluster with `pulumi destroy`"
            )
            raise IdentityError(msg)
        if not staying:  # a worker that was drained has left its shards to others
            msg = (
                f"{kept}: the coordinator knows no worker at all, so it is not the one that drained worker {name}:{port}. Put "
                "its old volume back; or remove the whole cluster with `pulumi destroy`"
            )
            raise IdentityError(msg)


def _open_place(inputs: NodeDataInputs) -> Place:
    kind, _, where = known(inputs.place).partition(":")
    owners = frozenset({known(inputs.owner), known(inputs.cluster_id)})
    place: Place = registry.load(registry.PLACES, kind).at(
        where, owners, inputs.coordinator or "", tuple(inputs.elsewhere or ())
    )
    return place


class NodeData(SqlResource, module="citus", name="NodeData"):
    """A node's volume or data folder. Its id is the place."""

    def __init__(self, name: str, inputs: NodeDataInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        once = pulumi.ResourceOptions(delete_before_replace=True)  # what must not go is refused before anything is made
        super().__init__(NodeDataProvider(), name, write(inputs), pulumi.ResourceOptions.merge(opts, once))
