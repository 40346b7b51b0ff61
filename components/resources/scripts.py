"""SchemaScript: a file of the schema that runs once, as a dynamic resource. Lifecycle only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.dynamic import CheckFailure, CheckResult

from components.resources.sql import ServerArgs, SqlProvider, SqlResource
from components.resources.wire import read_to_shard, wire_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.database.connections import Connection
    from components.names import TableName

__all__ = ["SchemaScript"]


class SchemaScriptProvider(SqlProvider):
    """A SQL file that runs once. Its text is an input, so that a preview shows it."""

    compared = ("server", "text", "roles_known")
    outputs = ("sha256",)

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse, at preview, a file that was applied and has been edited since."""
        failures = []
        if _olds.get("text") not in (None, news.get("text")):
            reason = (
                f"{news['file_name']} was applied to this cluster and has been edited since: put it back as it was, and "
                "write the change as a new file that sorts behind it"
            )
            failures.append(CheckFailure("", reason))  # with its name, the whole text would be shown
        return CheckResult(news, failures)

    def identify(self, props: dict[str, Any]) -> str:
        """Return the file's name."""
        return str(props["file_name"])

    def ensure(self, props: dict[str, Any], olds: dict[str, Any]) -> dict[str, Any]:
        """Run the file, unless the ledger has it, and let every node know the passwords that it gives roles."""
        from components.database import roles, scripts  # noqa: PLC0415
        from components.database.connections import Server  # noqa: PLC0415
        from components.schema import passwords  # noqa: PLC0415

        with self.session(props, f"applying {props['file_name']}", on_all_nodes=True) as connection:
            scripts.ensure_script(connection, props["file_name"], props["text"], to_shard=read_to_shard(props))
            if props.get("roles_known"):
                roles.learn(connection, roles.find_learnable(connection, Server.of(props["server"]), props["text"]))
            if passwords.hold(props["text"]) or roles.is_changed(connection):
                lines = [*roles.spread(connection, int(props["ready_timeout"])), *roles.get_refused(connection)]
                for line in lines:
                    print(line)  # noqa: T201 - Pulumi shows it
        return {"sha256": scripts.sha256(props["text"])}

    def find(self, connection: Connection, id_: str, props: dict[str, Any]) -> dict[str, Any] | None:
        """Return the hash in the ledger, or None where the file is not in it; and whether the nodes know its roles."""
        from components.database import roles, scripts  # noqa: PLC0415
        from components.database.connections import Server  # noqa: PLC0415

        applied = scripts.get_script(connection, id_)
        if applied is None:
            return None
        if not props.get("roles_known"):
            return {"sha256": applied}
        unknown = roles.find_learnable(connection, Server.of(props["server"]), props["text"])
        return {"sha256": applied, "roles_known": not unknown}


class SchemaScript(SqlResource, module="citus", name="SchemaScript"):
    """A file of the schema folder, applied once and recorded. Its id is the file's name."""

    sha256: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        server: ServerArgs,
        file_name: str,
        text: pulumi.Input[str],
        gives_passwords: bool = False,
        to_shard: Sequence[TableName] = (),
        ready_timeout: int,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Apply the text once, under the file's name.

        Where it `gives_passwords` to roles, all nodes are to know them; `to_shard` are tables that later steps of the same
        update shard.
        """
        props = {
            "server": server,
            "file_name": file_name,
            "text": text,
            "to_shard": [wire_name(table) for table in to_shard] or None,
            "roles_known": True if gives_passwords else None,
            "ready_timeout": ready_timeout,
            "sha256": None,
        }
        super().__init__(SchemaScriptProvider(), name, props, opts)
