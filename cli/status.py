"""The status of the running cluster, as shown after `up`: nodes, tables, shards by node, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from cli.cluster import connected_to, is_stand_in, keep_authority
from components.database import schemas
from components.database.moves import get_residency
from components.database.statements import statement
from components.errors import StackError
from components.names import SchemaName, TableName

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["make_table", "show_cluster", "show_residency"]

WIDEST = 12
"""Nodes that get a column of their own."""


def show_cluster(stack: str, outputs: Mapping[str, Any]) -> None:
    """Print nodes and tables of a stack's cluster by its outputs, the command that connects, and the next step."""
    console = Console(highlight=False)
    if "dsn" not in outputs:
        console.print("nothing is up: make up")
        return
    keep_authority(outputs)
    try:
        with connected_to(outputs, "showing the cluster") as connection:
            nodes = connection.execute(statement("show_nodes")).fetchall()
            tables = connection.execute(statement("show_tables")).fetchall()
    except StackError as error:
        console.print(f"the cluster cannot be shown: {error}", soft_wrap=True, markup=False)
        return
    versions = outputs["versions"]
    console.print()
    hosts: dict[str, str] = outputs.get("hosts") or {}
    on_hosts = [(*node, hosts.get(node[0], "")) if hosts else node for node in nodes]
    console.print(make_table(["node", "group", "state", "shards", *(["host"] if hosts else [])], on_hosts))
    groups = [str(node[1]) for node in nodes]
    if len(groups) <= WIDEST:
        rows = [(*about, *(placed.get(group, "") for group in groups)) for *about, placed in tables]
    else:
        groups = ["on nodes"]
        rows = [(*about, len(placed)) for *about, placed in tables]
    console.print(make_table(["table", "kind", "by", "colocated", "shards", *groups], rows))
    if roles := outputs.get("roles"):
        told = [(name, ", ".join(may["read"]), ", ".join(may["write"])) for name, may in sorted(roles.items())]
        console.print(make_table(["role", "reads", "reads and writes"], told))
    console.print(f"Citus {versions['citus']} on PostgreSQL {versions['postgres'].split()[0]}")
    if is_stand_in(outputs):
        console.print("[bold red]This is a STAND-IN for Citus: it keeps the catalog and moves no rows.[/]")
    from cli.backups import show_state  # noqa: PLC0415 - which needs this module

    show_state(console, outputs)
    console.print(f"connect:  {outputs['psql']}   (or: make psql STACK={stack})", soft_wrap=True)
    console.print(
        f"next:     change Pulumi.{stack}.yaml or sql/schema, then make preview STACK={stack}", soft_wrap=True
    )


def show_residency(outputs: Mapping[str, Any]) -> bool:
    """Print where the rows of each placed tenant are, counted on the shards; return whether all are where they are declared."""
    console = Console(highlight=False)
    declared: dict[str, dict[str, str]] = outputs.get("residency") or {}
    distributed = {it: how for it, how in (outputs.get("schemas") or {}).items() if how["kind"] == "distributed"}
    if not (declared or distributed):
        console.print("no tenant has a worker of its own: citus:tenants, or citus:schemas, gives it one")
        return True
    if is_stand_in(outputs):
        console.print("this is a stand-in for Citus, which moves no rows: nothing to count")
        return False
    rows, right = [], True
    try:
        with connected_to(outputs, "counting rows") as connection:
            for name, nodes in declared.items():
                for table, value, node, count in get_residency(connection, TableName.parse(name), list(nodes)):
                    right = right and node == nodes[value]
                    rows.append((value, table, count, node, "" if node == nodes[value] else f"not on {nodes[value]}"))
            named = {SchemaName.parse(it).name: how for it, how in distributed.items()}
            for schema, name, node, count in schemas.count_rows(connection, list(named)):
                is_right = node == named[schema].get("node", node)
                right = right and is_right
                wrong = "" if is_right else f"not on {named[schema]['node']}"
                rows.append((str(SchemaName(schema)), str(TableName(schema, name)), count, node, wrong))
    except StackError as error:
        console.print(f"the rows cannot be counted: {error}", soft_wrap=True, markup=False)
        return False
    hosts: dict[str, str] = outputs.get("hosts") or {}
    on_hosts = [(*row[:-1], hosts.get(row[3], ""), row[-1]) if hosts else row for row in sorted(rows)]
    console.print(make_table(["tenant", "table", "rows", "node", *(["host"] if hosts else []), ""], on_hosts))
    console.print(
        "every row is on the worker of its tenant" if right else "[bold red]some rows are on other workers[/]"
    )
    return right


def make_table(columns: list[str], rows: list[tuple[Any, ...]]) -> Table:
    """Return a table for the terminal; columns of numbers stand at the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        numbers = column.isdecimal() or column in ("group", "shards", "rows", "colocated", "on nodes")
        table.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    return table
