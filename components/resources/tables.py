"""DistributedTable, ReferenceTable, LocalTable: tables as dynamic resources. Lifecycle only.

What each step does to the database is in components/database/. Deleting any of them leaves the data where it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

import pulumi
from pulumi.dynamic import DiffResult

from components.access import Access
from components.database import distribute, metadata, recorded_keys
from components.errors import ReshardingError
from components.names import TableName
from components.resources.sql import SqlProvider, SqlResource
from components.resources.wire import Given, read, write
from components.tables import (
    Declaration,
    Distributed,
    DistributedDeclaration,
    Local,
    LocalDeclaration,
    Reference,
    ReferenceDeclaration,
    ShardedDeclaration,
    get_compared,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from components.database.connections import Connection
    from components.resources.wire import Props

__all__ = ["KINDS", "DistributedTable", "LocalTable", "ReferenceTable", "get_kind"]

KINDS: Final = {"DistributedTable": "distributed", "ReferenceTable": str(Reference()), "LocalTable": str(Local())}
"""Resources that a table can be, and how a person calls each."""


def get_kind(props: Mapping[str, object]) -> str:
    """Return the resource whose inputs these are: a table that is declared as of another kind is still the same table."""
    if "distribution_column" in props:
        return "DistributedTable"
    return "ReferenceTable" if "nodes" in props else "LocalTable"


@dataclass(frozen=True, kw_only=True)
class TableInputs(Declaration, Access):
    """Inputs that every table has."""


I = TypeVar("I", bound=TableInputs)  # noqa: E741 - the inputs


class TableProvider(SqlProvider[I]):
    """Base of the providers of one table, which may have been a resource of another kind before."""

    kind: ClassVar[str]

    def identify(self, inputs: I, outputs: Props) -> str:
        """Return `schema.table`."""
        return str(inputs.table)

    def refuse(self, before: Props, inputs: I) -> Iterable[str]:
        """Refuse to rewrite a table without being asked."""
        was = get_kind(before) if before else self.kind
        may = isinstance(inputs, ShardedDeclaration) and inputs.rewrite
        if "LocalTable" not in (was, self.kind) and was != self.kind and not may:
            yield str(ReshardingError(inputs.table, f"is {KINDS[was]}, but is declared as {KINDS[self.kind]}"))

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """Compare, and say what another kind means for the rows."""
        was = get_kind(_olds)
        if was == self.kind and is_created_again(_olds, _news):
            print(f"{self.read_inputs(_news).table}: {_news['created_by']} creates it again, and it is sharded again")  # noqa: T201
            return DiffResult(changes=True, replaces=[])
        if was == self.kind:
            return super().diff(_id, _olds, _news)
        rewritten = "" if was == "LocalTable" else ": its rows are rewritten, and it is locked meanwhile"
        print(f"{self.read_inputs(_news).table}: was {KINDS[was]}, becomes {KINDS[self.kind]}{rewritten}")  # noqa: T201
        return DiffResult(changes=True, replaces=[])


def is_created_again(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Tell whether another file creates the table than the state says; a state of an older version says nothing."""
    files = (olds.get("created_by"), news.get("created_by"))
    return None not in files and files[0] != files[1]


def _of_any_kind(table: TableName, opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions:
    """Let a resource take over the state of the same table of another kind: it is updated then, not deleted and made.

    So is that of a table whose name is a keyword, and was spelled without quotes.
    """
    types = [f"pulumi-python:dynamic/citus:{kind}" for kind in KINDS]
    aliases = [pulumi.Alias(type_=type_) for type_ in types]
    if table.former_spelling != str(table):
        aliases += [pulumi.Alias(name=table.former_spelling, type_=type_) for type_ in types]
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(aliases=aliases))


def _restore_keys(connection: Connection, declared: ShardedDeclaration, before: Props) -> Props:
    """Restore keys that were dropped by hand since the last update, and return those that there are."""
    recorded = read(recorded_keys.RecordedKeys, before.get("keys") or {})
    return {"keys": write(recorded_keys.restore_recorded_keys(connection, declared, recorded))}


def _find_key_drift(connection: Connection, declared: ShardedDeclaration, state: Props) -> Props:
    """Return which of the keys that the last update left are not there as they were."""
    if state.get("keys") is None:  # of an update that knew nothing of keys
        return {}
    recorded = read(recorded_keys.RecordedKeys, state["keys"])
    return {"lost_keys": recorded_keys.find_key_drift(connection, declared, recorded)}


# --- distributed tables ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class DistributedTableInputs(DistributedDeclaration, TableInputs):
    """Inputs of DistributedTable."""

    target_group: Given[int] | None = None
    """Colocation group of the table that it is colocated with, for a change of it to show."""


class DistributedTableProvider(TableProvider[DistributedTableInputs]):
    """A table distributed by a column. Where it is to be rewritten, it is refused unless the settings ask for that."""

    kind = "DistributedTable"
    inputs = DistributedTableInputs
    compared = ("server", *get_compared(DistributedDeclaration), "target_group", "lost_keys")
    outputs = ("colocation_group", "shards", "keys")

    def refuse(self, before: Props, inputs: DistributedTableInputs) -> Iterable[str]:
        """Refuse to rewrite a table without being asked."""
        if not before or get_kind(before) != self.kind:
            yield from super().refuse(before, inputs)
            return
        if is_created_again(before, {"created_by": inputs.created_by}):
            return
        was = self.read_inputs(before)
        if inputs.rewrite:
            return
        for changed in _resharded(was, inputs):
            if changed == "distribution_column":
                how = f"is {was.sharding}, but is declared as {inputs.sharding}"
                yield str(ReshardingError(inputs.table, how))
            elif changed == "shard_count":
                how = f"has {was.shard_count} shards, but {inputs.shard_count} are declared"
                yield str(ReshardingError(inputs.table, how))

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """Compare, and say what a change of the sharding means."""
        if get_kind(_olds) != self.kind or is_created_again(_olds, _news):
            return super().diff(_id, _olds, _news)
        was, declared = self.read_inputs(_olds), self.read_inputs(_news)
        if was.distribution_column in declared.former_columns:
            told = f"its distribution column is called {declared.distribution_column} now; no row moves"
            print(f"{declared.table}: {told}")  # noqa: T201 - Pulumi shows it
        changed = _resharded(was, declared)
        if changed:
            print(_announced(changed, was, declared))  # noqa: T201 - Pulumi shows it
        followed = {"shard_count": _olds.get("shard_count")} if declared.colocate_with else {}
        return super().diff(_id, _olds, {**_news, **followed})

    def ensure(self, inputs: DistributedTableInputs, before: Props) -> Props:
        """Distribute the table, or bring it to what is declared where it is distributed already."""
        if is_created_again(before, {"created_by": inputs.created_by}):
            before = {}
        left = None if inputs.colocate_with else before.get("colocate_with")
        with self.session(inputs, f"distributing table {inputs.table}", on_all_nodes=True) as connection:
            state = distribute.ensure_distributed(connection, inputs, leaves=TableName(**left) if left else None)
            keys = _restore_keys(connection, inputs, before)
        return {"colocation_group": state.colocation_group, "shards": state.shards, **keys}

    def find(self, connection: Connection, inputs: DistributedTableInputs, state: Props) -> Props | None:
        """Return how it is distributed, or None where it is not (any more)."""
        live = metadata.get_table(connection, inputs.table)
        if live is None or not isinstance(live.sharding, Distributed):
            return None
        found: Props = {
            "distribution_column": live.sharding.column,
            "colocation_group": live.colocation_group,
            "shards": live.shards,
            **_find_key_drift(connection, inputs, state),
        }
        if inputs.colocate_with is None:
            return {**found, "shard_count": live.shard_count}
        target = metadata.get_table(connection, inputs.colocate_with)
        if target is None or target.colocation_group != live.colocation_group:
            found["colocate_with"] = None
        return found


def _resharded(was: DistributedTableInputs, declared: DistributedTableInputs) -> list[str]:
    """Return the properties by which the table is declared as sharded in another way; a group has its first's shards."""
    renamed = was.distribution_column in declared.former_columns
    differs = {
        "distribution_column": was.distribution_column != declared.distribution_column and not renamed,
        "colocate_with": was.colocate_with != declared.colocate_with,
        "shard_count": was.shard_count != declared.shard_count and declared.colocate_with is None,
    }
    return [name for name, is_other in differs.items() if is_other]


def _announced(changed: Sequence[str], was: DistributedTableInputs, declared: DistributedTableInputs) -> str:
    """Return the line by which a preview tells what becomes of a table's rows."""
    table, target = declared.table, declared.colocate_with
    moving = [table] if changed == ["distribution_column"] else [table, *declared.followers]
    names = ", ".join(map(str, moving))
    rewritten = (
        f"{len(moving)} {'table is' if len(moving) == 1 else 'tables are'} rewritten, and locked meanwhile: {names}"
    )
    if changed != ["colocate_with"]:
        return f"warning: {table}: {rewritten}"
    group = f"joins the colocation group of {target}" if target else f"leaves that of {was.colocate_with}"
    if declared.rewrite:
        return f"{table}: {group} in place; where its shards are not placed as needed, {rewritten}"
    return f"{table}: {group} in place, or is refused where its shards are not placed as needed"


class DistributedTable(SqlResource, module="citus", name="DistributedTable"):
    """A table whose rows are on the workers, by the hash of a column. Its id is `schema.table`."""

    colocation_group: pulumi.Output[int]
    shards: pulumi.Output[int]

    def __init__(
        self,
        name: str,
        declaration: DistributedDeclaration,
        access: Access,
        target_group: pulumi.Input[int] | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props = {
            **write(declaration),
            **write(access),
            "target_group": target_group,
            "lost_keys": [],
            **dict.fromkeys(DistributedTableProvider.outputs),
        }
        super().__init__(DistributedTableProvider(), name, props, _of_any_kind(declaration.table, opts))


# --- reference tables --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ReferenceTableInputs(ReferenceDeclaration, TableInputs):
    """Inputs of ReferenceTable."""

    nodes: tuple[str, ...]
    """The nodes that must hold it, for a change of them to show."""


class ReferenceTableProvider(TableProvider[ReferenceTableInputs]):
    """A table with a copy on every node."""

    kind = "ReferenceTable"
    inputs = ReferenceTableInputs
    compared = ("server", *get_compared(ReferenceDeclaration), "nodes", "missing", "lost_keys")
    outputs = ("colocation_group", "placements", "keys")

    def ensure(self, inputs: ReferenceTableInputs, before: Props) -> Props:
        """Replicate the table, to the nodes that lack it where it is a reference table already."""
        if is_created_again(before, {"created_by": inputs.created_by}):
            before = {}
        with self.session(inputs, f"replicating table {inputs.table}", on_all_nodes=True) as connection:
            state = distribute.ensure_reference(connection, inputs)
            keys = _restore_keys(connection, inputs, before)
        return {"colocation_group": state.colocation_group, "placements": state.placements, **keys}

    def find(self, connection: Connection, inputs: ReferenceTableInputs, state: Props) -> Props | None:
        """Return its placements, or None where it is no reference table (any more)."""
        live = metadata.get_table(connection, inputs.table)
        if live is None or not isinstance(live.sharding, Reference):
            return None
        missing = len(inputs.nodes) - live.placements
        return {"placements": live.placements, "missing": missing, **_find_key_drift(connection, inputs, state)}


class ReferenceTable(SqlResource, module="citus", name="ReferenceTable"):
    """A table with a copy on every node, to join with locally. Its id is `schema.table`."""

    colocation_group: pulumi.Output[int]
    placements: pulumi.Output[int]

    def __init__(
        self,
        name: str,
        declaration: ReferenceDeclaration,
        access: Access,
        nodes: Sequence[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props = {
            **write(declaration),
            **write(access),
            "nodes": list(nodes),
            "missing": 0,
            "lost_keys": [],
            **dict.fromkeys(ReferenceTableProvider.outputs),
        }
        super().__init__(ReferenceTableProvider(), name, props, _of_any_kind(declaration.table, opts))


# --- local tables ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class LocalTableInputs(LocalDeclaration, TableInputs):
    """Inputs of LocalTable."""


class LocalTableProvider(TableProvider[LocalTableInputs]):
    """A table whose rows are on the coordinator alone, and were sharded once."""

    kind = "LocalTable"
    inputs = LocalTableInputs
    compared = ("server", *get_compared(LocalDeclaration))

    def refuse(self, before: Props, inputs: LocalTableInputs) -> Iterable[str]:
        """Refuse nothing: the settings ask for it by name."""
        return ()

    def announce(self, before: Props, inputs: LocalTableInputs) -> Iterator[str]:
        """Say what becomes of a table that no state knows of."""
        if not before:
            yield f"{inputs.table}: becomes local; where it is sharded, its rows are rewritten, and it is locked meanwhile"

    def ensure(self, inputs: LocalTableInputs, before: Props) -> Props:
        """Bring the rows back; nothing happens where the table is local."""
        with self.session(inputs, f"undistributing table {inputs.table}", on_all_nodes=True) as connection:
            distribute.ensure_local(connection, inputs)
        return {}

    def find(self, connection: Connection, inputs: LocalTableInputs, state: Props) -> Props | None:
        """Return nothing new, or None where the table is sharded, or gone."""
        live = metadata.get_table(connection, inputs.table)
        return {} if live is not None and isinstance(live.sharding, Local) else None


class LocalTable(SqlResource, module="citus", name="LocalTable"):
    """A table that is to be local again. Its id is `schema.table`."""

    def __init__(
        self, name: str, declaration: LocalDeclaration, access: Access, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        props = {**write(declaration), **write(access)}
        super().__init__(LocalTableProvider(), name, props, _of_any_kind(declaration.table, opts))
