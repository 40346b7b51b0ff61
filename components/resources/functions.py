"""DistributedFunction: a function whose calls run on the worker of a tenant, as a dynamic resource. Lifecycle only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

from components.access import Access
from components.database import functions
from components.resources.sql import SqlProvider, SqlResource
from components.resources.wire import Given, write
from components.tables import FunctionDeclaration

if TYPE_CHECKING:
    from components.database.connections import Connection
    from components.resources.wire import Props

__all__ = ["DistributedFunction", "FunctionInputs"]


@dataclass(frozen=True, kw_only=True)
class FunctionInputs(FunctionDeclaration, Access):
    """Inputs of DistributedFunction."""

    signature: str
    """The function's signature, spelled in one way."""
    target_group: Given[int] | None = None
    """Colocation group of its table: where that changes, the function follows."""


class DistributedFunctionProvider(SqlProvider[FunctionInputs]):
    """A function whose calls run on the worker of the tenant; once it is deleted, they run where they are made."""

    inputs = FunctionInputs
    compared = (
        "server",
        "signature",
        "argument",
        "colocate_with",
        "force_delegation",
        "definition",
        "target_group",
        "released",
    )
    replacing = ("signature",)

    def identify(self, inputs: FunctionInputs, outputs: Props) -> str:
        """Return the function's signature."""
        return inputs.signature

    def ensure(self, inputs: FunctionInputs, before: Props) -> Props:
        """Distribute the function, or bring it to what is declared where it is distributed already."""
        with self.session(inputs, f"distributing function {inputs.signature}", on_all_nodes=True) as connection:
            functions.ensure_distributed(connection, inputs)
        return {}

    def find(self, connection: Connection, inputs: FunctionInputs, state: Props) -> Props | None:
        """Return how it is distributed, or None where it is gone."""
        live = functions.get_function(connection, inputs.function, inputs.argument)
        if live is None:
            return None
        is_as_declared = live.argument_index == live.declared_index and live.force_delegation == inputs.force_delegation
        return {"released": not is_as_declared, "target_group": live.colocation_group}

    def delete(self, _id: str, _props: Props) -> None:
        """Let its calls run where they are made."""
        inputs = self.read_inputs(_props)
        with self.session(
            self.as_set(_props), f"releasing function {inputs.signature}", on_all_nodes=True
        ) as connection:
            functions.ensure_released(connection, inputs.function)


class DistributedFunction(SqlResource, module="citus", name="DistributedFunction"):
    """A function whose calls run on the worker of the tenant that they name. Its id is its signature."""

    def __init__(self, name: str, inputs: FunctionInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(DistributedFunctionProvider(), name, {**write(inputs), "released": False}, opts)
