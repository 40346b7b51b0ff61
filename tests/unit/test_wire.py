"""Inputs of resources as properties of Pulumi, and back."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components.access import Access, Server
from components.keys import DeclaredKeys, PlannedForeignKey, PrimaryKey
from components.logs import Log
from components.names import TableName
from components.resources.membership import WorkerNodeInputs
from components.resources.placement import ShardPlacementInputs, TenantsInputs
from components.resources.tables import DistributedTableInputs
from components.resources.wire import read, write
from components.tables import Distributed, DistributedDeclaration, Local, Pending, Reference, ReferenceDeclaration
from tests.provider.resources import as_on_the_wire

T, U = TableName("public", "t"), TableName("other", 'U "x"')
ACCESS = Access(server=Server("c", "::1", 5437, "d", "u", Log("file", "/a:b")), ready_timeout=60)
TABLE = DistributedDeclaration(
    table=T,
    distribution_column="k",
    colocate_with=U,
    shard_count=8,
    primary_key=("k", "id"),
    rewrite=True,
    followers=(U,),
    pending=(Pending(U, Distributed("k")), Pending(T, Reference()), Pending(U, Local()), Pending(T)),
    declared_keys=DeclaredKeys(("k", "id"), (PlannedForeignKey(T, "t_fk", U, ("a", "c", "s")),)),
    former_columns=("j",),
)
VALUES = [
    TABLE,
    ReferenceDeclaration(table=U),
    ACCESS,
    Access(server=Server("c", "h", 1, "d", "u"), ready_timeout=1),
    WorkerNodeInputs(**vars(ACCESS), node_name="w", node_port=5432, generation="1", log=Log("docker", "w")),
    ShardPlacementInputs(
        **vars(ACCESS),
        workers=("w:1",),
        worker_groups=(1,),
        tenants=(TenantsInputs(table=T, pin={"1": "w:1"}, spread=("2",)),),
    ),
    PrimaryKey("t_pkey", ("a",), deferrable=True),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_what_is_written_is_read_back(value: Any) -> None:
    """Though numbers come back as floats, and what is None does not come back at all."""
    assert read(type(value), as_on_the_wire(write(value))) == value


def test_inputs_are_read_from_the_properties_of_several_dataclasses() -> None:
    """A resource's properties are its declaration's, those of the access and its own, side by side."""
    props = as_on_the_wire({**write(TABLE), **write(ACCESS), "target_group": 3, "__provider": "…", "lost_keys": []})
    inputs = read(DistributedTableInputs, props)
    assert inputs == DistributedTableInputs(**vars(TABLE), **vars(ACCESS), target_group=3)


def test_what_is_not_known_yet_is_none() -> None:
    """As a preview has it: what depends on a resource that is still to be made."""
    unknown: Any = pulumi.output.Unknown
    inputs: Any = read(WorkerNodeInputs, {**write(VALUES[4]), "generation": unknown(), "server": unknown()})
    assert (inputs.generation, inputs.server, inputs.node_name) == (None, None, "w")


def test_an_output_stays_one() -> None:
    """What is no value of ours, as an Output of another resource, is Pulumi's to resolve."""
    generation: Any = object()
    inputs = WorkerNodeInputs(**vars(ACCESS), node_name="w", node_port=1, generation=generation, log=Log("file", "x"))
    assert write(inputs)["generation"] is generation
