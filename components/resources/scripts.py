"""SchemaScript: a file of the schema that runs once, as a dynamic resource. Lifecycle only."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import pulumi

from components.access import Access
from components.database import roles, scripts
from components.errors import DriftError
from components.names import TableName
from components.paths import PROJECT
from components.resources.provider import tell
from components.resources.sql import SqlProvider, SqlResource
from components.resources.wire import Given, known, read, write
from components.schema.statements import SqlFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.database.connections import Connection
    from components.resources.wire import Props

__all__ = ["SchemaScript", "SchemaScriptInputs"]


@dataclass(frozen=True, kw_only=True)
class SchemaScriptInputs(Access):
    """Inputs of SchemaScript."""

    file_name: str
    text: Given[str] | None = None
    """The file, applied once, under its name. None of one that is large, or has rows: it is read where it is, by `path`."""
    digest: str | None = None
    """Of a file without `text`: its SHA-256, in hexadecimal."""
    path: str | None = None
    """Of a file without `text`, from the project's folder."""
    roles_known: bool | None = None
    """True where the file gives passwords to roles: all nodes are to know them."""
    to_shard: tuple[TableName, ...] = ()
    """Tables that later steps of the same update shard."""

    @classmethod
    def of(cls, access: Access, file: SqlFile, to_shard: Iterable[TableName] = ()) -> Self:
        """Return the inputs of a file; its text is a secret only where it must be one, for a preview to show all others."""
        from components.schema import passwords  # noqa: PLC0415

        text = file.text
        return cls(
            **vars(access),
            file_name=file.name,
            text=text if text is None or not passwords.hold(text) else pulumi.Output.secret(text),
            digest=file.digest if text is None else None,
            path=os.path.relpath(file.path, PROJECT) if text is None and file.path else None,
            roles_known=True if passwords.find_changes(text or "") else None,
            to_shard=tuple(to_shard),
        )


class SchemaScriptProvider(SqlProvider[SchemaScriptInputs]):
    """A SQL file that runs once. Its text is an input, so that a preview shows it."""

    inputs = SchemaScriptInputs
    compared = ("server", "text", "digest", "roles_known")
    outputs = ("sha256",)

    def refuse(self, before: Props, inputs: SchemaScriptInputs) -> Iterable[str]:
        """Refuse a file that was applied and has been edited since."""
        applied = read(SchemaScriptInputs, before) if before else inputs
        if _digest(applied) != _digest(inputs):
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

        file = _file(inputs)
        if inputs.digest not in (None, file.digest):
            msg = f"{inputs.file_name} was edited while this update ran: run it again"
            raise DriftError(msg)
        text = file.text or ""
        with self.session(inputs, f"applying {inputs.file_name}", on_all_nodes=True) as connection:
            tell(scripts.ensure_script(connection, file, to_shard=inputs.to_shard))
            if inputs.roles_known:
                roles.learn(connection, roles.find_learnable(connection, inputs.server, text))
            if passwords.hold(text) or roles.is_changed(connection):
                tell([*roles.spread(connection, inputs.ready_timeout), *roles.get_refused(connection)])
        return {"sha256": file.digest}

    def find(self, connection: Connection, inputs: SchemaScriptInputs, state: Props) -> Props | None:
        """Return the hash in the ledger, or None where the file is not in it; and whether the nodes know its roles."""
        applied = scripts.get_script(connection, inputs.file_name)
        if applied is None:
            return None
        if not inputs.roles_known:
            return {"sha256": applied}
        unknown = roles.find_learnable(connection, inputs.server, known(inputs.text or ""))
        return {"sha256": applied, "roles_known": not unknown}


def _file(inputs: SchemaScriptInputs) -> SqlFile:
    text = None if inputs.text is None else known(inputs.text)
    return SqlFile(inputs.file_name, text, PROJECT / inputs.path if inputs.path else None)


def _digest(inputs: SchemaScriptInputs) -> str:
    """Return the hash of a file as it is declared."""
    return inputs.digest or _file(inputs).digest


class SchemaScript(SqlResource, module="citus", name="SchemaScript"):
    """A file of the schema folder, applied once and recorded. Its id is the file's name."""

    sha256: pulumi.Output[str]

    def __init__(self, name: str, inputs: SchemaScriptInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(SchemaScriptProvider(), name, {**write(inputs), "sha256": None}, opts)
