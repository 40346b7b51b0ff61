"""SchemaScript: a file of the schema that runs once, as a dynamic resource. Lifecycle only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

from components.access import Access
from components.database import roles, scripts
from components.names import TableName
from components.resources.sql import SqlProvider, SqlResource
from components.resources.wire import Given, known, write

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.database.connections import Connection
    from components.resources.wire import Props

__all__ = ["SchemaScript", "SchemaScriptInputs"]


@dataclass(frozen=True, kw_only=True)
class SchemaScriptInputs(Access):
    """Inputs of SchemaScript."""

    file_name: str
    text: Given[str]
    """The file, applied once, under its name."""
    roles_known: bool | None = None
    """True where the file gives passwords to roles: all nodes are to know them."""
    to_shard: tuple[TableName, ...] = ()
    """Tables that later steps of the same update shard."""


class SchemaScriptProvider(SqlProvider[SchemaScriptInputs]):
    """A SQL file that runs once. Its text is an input, so that a preview shows it."""

    inputs = SchemaScriptInputs
    compared = ("server", "text", "roles_known")
    outputs = ("sha256",)

    def refuse(self, before: Props, inputs: SchemaScriptInputs) -> Iterable[str]:
        """Refuse a file that was applied and has been edited since."""
        if before.get("text") not in (None, inputs.text):
            yield (
                f"{inputs.file_name} was applied to this cluster and has been edited since: put it back as it was, and "
                "write the change as a new file that sorts behind it"
            )

    def identify(self, inputs: SchemaScriptInputs, outputs: Props) -> str:
        """Return the file's name."""
        return inputs.file_name

    def ensure(self, inputs: SchemaScriptInputs, before: Props) -> Props:
        """Run the file, unless the ledger has it, and let every node know the passwords that it gives roles."""
        from components.schema import passwords  # noqa: PLC0415

        text = known(inputs.text)
        with self.session(inputs, f"applying {inputs.file_name}", on_all_nodes=True) as connection:
            scripts.ensure_script(connection, inputs.file_name, text, to_shard=inputs.to_shard)
            if inputs.roles_known:
                roles.learn(connection, roles.find_learnable(connection, inputs.server, text))
            if passwords.hold(text) or roles.is_changed(connection):
                lines = [*roles.spread(connection, inputs.ready_timeout), *roles.get_refused(connection)]
                for line in lines:
                    print(line)  # noqa: T201 - Pulumi shows it
        return {"sha256": scripts.sha256(text)}

    def find(self, connection: Connection, inputs: SchemaScriptInputs, state: Props) -> Props | None:
        """Return the hash in the ledger, or None where the file is not in it; and whether the nodes know its roles."""
        applied = scripts.get_script(connection, inputs.file_name)
        if applied is None:
            return None
        if not inputs.roles_known:
            return {"sha256": applied}
        unknown = roles.find_learnable(connection, inputs.server, known(inputs.text))
        return {"sha256": applied, "roles_known": not unknown}


class SchemaScript(SqlResource, module="citus", name="SchemaScript"):
    """A file of the schema folder, applied once and recorded. Its id is the file's name."""

    sha256: pulumi.Output[str]

    def __init__(self, name: str, inputs: SchemaScriptInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(SchemaScriptProvider(), name, {**write(inputs), "sha256": None}, opts)
