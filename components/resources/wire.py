"""Tables and keys as properties of resources, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from components.names import TableName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.keys import DeclaredKeys
    from components.kinds import Sharding

__all__ = [
    "describe",
    "read_keys",
    "read_pending",
    "read_table",
    "read_to_shard",
    "wire_keys",
    "wire_name",
    "wire_shardings",
]


def read_table(props: dict[str, Any], key: str = "table") -> TableName:
    """Return the table that a property names."""
    return TableName(**props[key])


def describe(value: Any) -> str:
    """Return a property as a person reads it."""
    if isinstance(value, dict):
        return str(TableName(**value))
    return "nothing" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def wire_name(table: TableName) -> dict[str, str]:
    """Return a table as a property."""
    return {"schema": table.schema, "name": table.name}


def wire_shardings(tables: Mapping[TableName, Sharding]) -> list[dict[str, str | None]]:
    """Return how tables are declared as a property."""
    return [{**wire_name(table), "kind": kind, "distribution_column": by} for table, (kind, by) in tables.items()]


def read_to_shard(props: dict[str, Any]) -> list[TableName]:
    """Return the tables that later steps of the same update shard."""
    return [TableName(**table) for table in props.get("to_shard") or ()]


def read_pending(props: dict[str, Any]) -> dict[TableName, Sharding | None]:
    """Read what `wire_shardings` wrote; None for a table of which nothing more than the name is known."""
    return {
        TableName(table["schema"], table["name"]): (
            (table["kind"], table.get("distribution_column")) if "kind" in table else None
        )
        for table in props["still_to_come"]
    }


def wire_keys(keys: DeclaredKeys) -> dict[str, Any]:
    """Return the declared keys of a table as a property."""
    foreign = [
        {
            "table": wire_name(key.table),
            "name": key.name,
            "references": wire_name(key.references),
            "form": list(key.form),
        }
        for key in keys.foreign
    ]
    return {"primary": list(keys.primary) if keys.primary else None, "foreign": foreign}


def read_keys(props: dict[str, Any]) -> DeclaredKeys:
    """Read what `wire_keys` wrote."""
    from components.keys import DeclaredKeys, PlannedForeignKey  # noqa: PLC0415

    keys = props["declared_keys"]
    foreign = tuple(
        PlannedForeignKey(read_table(key), key["name"], read_table(key, "references"), tuple(key["form"]))
        for key in keys["foreign"]
    )
    return DeclaredKeys(tuple(keys["primary"]) if keys.get("primary") else None, foreign)
