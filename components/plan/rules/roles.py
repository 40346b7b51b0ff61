"""Rules about the roles that the settings declare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.names import SchemaName
from components.plan.findings import Rule
from components.plan.rules.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.plan.findings import Finding
    from components.schema.relations import Relations
    from components.settings import Settings

__all__ = ["check_roles"]


UNKNOWN_SCHEMA: Final = Rule(
    "role-schema",
    "error",
    what="A role of `citus:roles` reads or writes in a schema that no SQL file creates.",
    why="There is nothing to grant. Most often the name is misspelled.",
    remedy="Correct it, add the file that creates the schema, or remove it from the role.",
    source="privileges.ensure_privileges",
)


def check_roles(schema: Relations, settings: Settings) -> Iterator[Finding]:
    """Check that the schemas exist in which roles may do something."""
    known = {*schema.schemas, "public"}
    for role, declared in settings.roles.items():
        for key, names in (("read", declared.read), ("write", declared.write)):
            for name in names:
                if name.name not in known:
                    meant = did_you_mean(name, map(SchemaName, known))
                    message = f"no SQL file of citus:schemaDir creates this schema{meant}"
                    remedy = "correct it, add the file, or remove it"
                    yield UNKNOWN_SCHEMA.finding(None, message, remedy, setting=f"citus:roles.{role}.{key} = {name}")
