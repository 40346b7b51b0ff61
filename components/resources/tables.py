"""DistributedTable, ReferenceTable, LocalTable: tables as dynamic resources. Lifecycle only.

What each step does to the database is in components/database/. Deleting any of them leaves the data where it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, TypedDict

import pulumi
from pulumi.dynamic import CheckFailure, CheckResult, DiffResult

from components.errors import ReshardingError
from components.names import TableName
from components.resources.sql import ServerArgs, SqlProvider, SqlResource
from components.resources.wire import (
    describe,
    read_keys,
    read_pending,
    read_table,
    wire_keys,
    wire_name,
    wire_shardings,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.database.connections import Connection
    from components.keys import DeclaredKeys
    from components.kinds import Sharding

__all__ = [
    "KINDS",
    "DistributedTable",
    "DistributedTableArgs",
    "LocalTable",
    "LocalTableArgs",
    "ReferenceTable",
    "ReferenceTableArgs",
    "get_kind",
]


KINDS: Final = {"DistributedTable": "distributed", "ReferenceTable": "a reference table", "LocalTable": "local"}
"""Resources that a table can be, and how a person calls each."""


def get_kind(props: Mapping[str, Any]) -> str:
    """Return the resource whose inputs these are: a table that is declared as of another kind is still the same table."""
    if "distribution_column" in props:
        return "DistributedTable"
    return "ReferenceTable" if "nodes" in props else "LocalTable"


class TableProvider(SqlProvider):
    """Base of the providers of one table, which may have been a resource of another kind before."""

    kind: ClassVar[str]

    def identify(self, props: dict[str, Any]) -> str:
        """Return `schema.table`."""
        return str(read_table(props))

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse, at preview, to rewrite a table without being asked."""
        was = get_kind(_olds) if _olds else self.kind
        failures = []
        if "LocalTable" not in (was, self.kind) and was != self.kind and not news.get("rewrite"):
            error = ReshardingError(read_table(news), f"is {KINDS[was]}, but is declared as {KINDS[self.kind]}")
            failures.append(CheckFailure("", str(error)))
        return CheckResult(news, failures)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Compare, and say what another kind means for the rows."""
        was = get_kind(_olds)
        if was == self.kind:
            return super().diff(_id, _olds, _news)
        rewritten = "" if was == "LocalTable" else ": its rows are rewritten, and it is locked meanwhile"
        print(f"{read_table(_news)}: was {KINDS[was]}, becomes {KINDS[self.kind]}{rewritten}")  # noqa: T201 - Pulumi shows it
        return DiffResult(changes=True, replaces=[])


def _of_any_kind(opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions:
    """Let a resource take over the state of the same table of another kind: it is updated then, not deleted and made."""
    aliases = [pulumi.Alias(type_=f"pulumi-python:dynamic/citus:{kind}") for kind in KINDS]
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(aliases=aliases))


class KeyedTableProvider(TableProvider):
    """Base of the providers of a sharded table, whose keys are kept as the plan has them."""

    def ensure_keys(self, connection: Connection, props: dict[str, Any], olds: dict[str, Any]) -> dict[str, Any]:
        """Put back keys that were dropped by hand since the last update, and return those that there are."""
        from components.database import recorded_keys  # noqa: PLC0415

        found = recorded_keys.restore_recorded_keys(
            connection, read_table(props), read_keys(props), recorded_keys.RecordedKeys.of(olds.get("keys"))
        )
        return {"keys": found.as_props()}

    def find_keys(self, connection: Connection, props: dict[str, Any]) -> dict[str, Any]:
        """Return which of the keys that the last update left are not there as they were."""
        from components.database import recorded_keys  # noqa: PLC0415

        if props.get("keys") is None:  # of an update that knew nothing of keys
            return {}
        return {
            "lost_keys": recorded_keys.find_key_drift(
                connection, read_table(props), read_keys(props), recorded_keys.RecordedKeys.of(props["keys"])
            )
        }


class DistributedTableArgs(TypedDict):
    """Inputs of DistributedTable."""

    server: ServerArgs
    table: TableName
    distribution_column: str
    colocate_with: TableName | None
    """Distributed table whose colocation group to join; without it the table starts a group of its own."""
    shard_count: int
    """Of a group of its own."""
    primary_key: Sequence[str] | None
    """Columns of the key once distributed; by default the distribution column, then the old key's."""
    rewrite: bool
    """Whether it may be rewritten where it is sharded in another way than declared."""
    followers: Sequence[TableName]
    """Tables that are colocated with it, directly or by others: they move along."""
    target_group: pulumi.Input[int] | None
    """Colocation group of the table that it is colocated with, for a change of it to show."""
    still_to_come: Mapping[TableName, Sharding]
    """Tables of the plan that a foreign key ties to this one or its followers, as they are declared."""
    declared_keys: DeclaredKeys
    """Keys that its turn leaves behind."""
    former_columns: Sequence[str]
    """Names that files have given the distribution column before: it is the same column, and no row moves."""
    ready_timeout: int


class DistributedTableProvider(KeyedTableProvider):
    """A table distributed by a column. Where it is to be rewritten, it is refused unless the settings ask for that."""

    kind = "DistributedTable"
    compared = (
        "server",
        "distribution_column",
        "colocate_with",
        "shard_count",
        "target_group",
        "declared_keys",
        "lost_keys",
    )
    outputs = ("colocation_group", "shards", "keys")

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse, at preview, to rewrite a table without being asked."""
        if not _olds or get_kind(_olds) != self.kind:
            return super().check(_olds, news)
        table = read_table(news)
        _olds = self._renamed(_olds, news)
        failures = []
        for name, what in (
            ("distribution_column", "distributed by"),
            ("shard_count", "split into shards to the number of"),
        ):
            if name in self._resharded(_olds, news) and not news.get("rewrite"):
                is_now, declared = (describe(props.get(name)) for props in (_olds, news))
                error = ReshardingError(table, f"is {what} {is_now}, but is declared as {what} {declared}")
                failures.append(CheckFailure("", str(error)))
        return CheckResult(news, failures)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Compare, and say what a change of the sharding means."""
        if get_kind(_olds) != self.kind:
            return super().diff(_id, _olds, _news)
        renamed = self._renamed(_olds, _news)
        if renamed is not _olds:
            name = _news["distribution_column"]
            print(f"{read_table(_news)}: its distribution column is called {name} now; no row moves")  # noqa: T201
        changed = self._resharded(renamed, _news)
        if changed:
            print(_announced(changed, _olds, _news))  # noqa: T201 - Pulumi shows it
        followed = {"shard_count": _olds.get("shard_count")} if _news.get("colocate_with") else {}
        return super().diff(_id, _olds, {**_news, **followed})

    @staticmethod
    def _renamed(olds: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
        """Return the old properties with the distribution column as files call it now."""
        if olds.get("distribution_column") in (news.get("former_columns") or ()):
            return {**olds, "distribution_column": news["distribution_column"]}
        return olds

    @staticmethod
    def _resharded(olds: dict[str, Any], news: dict[str, Any]) -> list[str]:
        """Return the properties by which the table is declared as sharded in another way; a group has its first's shards."""
        names = ["distribution_column", "colocate_with", *([] if news.get("colocate_with") else ["shard_count"])]
        return [name for name in names if olds.get(name) != news.get(name)]

    def ensure(self, props: dict[str, Any], olds: dict[str, Any]) -> dict[str, Any]:
        """Distribute the table, or bring it to what is declared where it is distributed already."""
        from components.database import distribute, reshard  # noqa: PLC0415

        left = None if props.get("colocate_with") else olds.get("colocate_with")
        table = read_table(props)
        followers = [TableName(**follower) for follower in props.get("followers") or ()]
        with self.session(props, f"distributing table {table}", on_all_nodes=True) as connection:
            state = distribute.ensure_distributed(
                connection,
                table,
                column=props["distribution_column"],
                colocate_with=read_table(props, "colocate_with") if props.get("colocate_with") else None,
                shard_count=int(props["shard_count"]),
                primary_key=tuple(props["primary_key"]) if props.get("primary_key") else None,
                still_to_come=read_pending(props),
                change=reshard.ReshardPolicy(
                    bool(props.get("rewrite")), followers, TableName(**left) if left else None
                ),
            )
            keys = self.ensure_keys(connection, props, olds)
        return {"colocation_group": state.colocation_group, "shards": state.shards, **keys}

    def find(self, connection: Connection, id_: str, props: dict[str, Any]) -> dict[str, Any] | None:
        """Return how it is distributed, or None where it is not (any more)."""
        from components.database import metadata  # noqa: PLC0415

        state = metadata.get_table(connection, read_table(props))
        if state is None or state.kind != "distributed":
            return None
        found: dict[str, Any] = {
            "distribution_column": state.distribution_column,
            "colocation_group": state.colocation_group,
            "shards": state.shards,
            **self.find_keys(connection, props),
        }
        if not props.get("colocate_with"):
            return {**found, "shard_count": state.shard_count}
        target = metadata.get_table(connection, read_table(props, "colocate_with"))
        if target is None or target.colocation_group != state.colocation_group:
            found["colocate_with"] = None
        return found


def _announced(changed: list[str], olds: dict[str, Any], news: dict[str, Any]) -> str:
    """Return the line by which a preview tells what becomes of a table's rows."""
    table, target = read_table(news), news.get("colocate_with")
    moving = [table, *(TableName(**follower) for follower in news.get("followers") or ())]
    if changed == ["distribution_column"]:
        moving = [table]
    names = ", ".join(map(str, moving))
    rewritten = (
        f"{len(moving)} {'table is' if len(moving) == 1 else 'tables are'} rewritten, and locked meanwhile: {names}"
    )
    if changed != ["colocate_with"]:
        return f"warning: {table}: {rewritten}"
    group = (
        f"joins the colocation group of {describe(target)}"
        if target
        else f"leaves that of {describe(olds[changed[0]])}"
    )
    if news.get("rewrite"):
        return f"{table}: {group} in place; where the shards do not lie as they must, {rewritten}"
    return f"{table}: {group} in place, or is refused where its shards do not lie as they must"


class DistributedTable(SqlResource, module="citus", name="DistributedTable"):
    """A table whose rows lie on the workers, by the hash of a column. Its id is `schema.table`."""

    colocation_group: pulumi.Output[int]
    shards: pulumi.Output[int]

    def __init__(self, name: str, args: DistributedTableArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        props = {
            **args,
            "table": wire_name(args["table"]),
            "colocate_with": wire_name(args["colocate_with"]) if args["colocate_with"] else None,
            "primary_key": list(args["primary_key"]) if args["primary_key"] else None,
            "followers": [wire_name(table) for table in args["followers"]],
            "still_to_come": wire_shardings(args["still_to_come"]),
            "declared_keys": wire_keys(args["declared_keys"]),
            "former_columns": list(args["former_columns"]) or None,
            "lost_keys": [],
            "colocation_group": None,
            "shards": None,
            "keys": None,
        }
        super().__init__(DistributedTableProvider(), name, props, _of_any_kind(opts))


class ReferenceTableArgs(TypedDict):
    """Inputs of ReferenceTable."""

    server: ServerArgs
    table: TableName
    nodes: Sequence[str]
    """The nodes that must hold it, for a change of them to show."""
    rewrite: bool
    """Whether it may be rewritten where it is distributed."""
    still_to_come: Mapping[TableName, Sharding]
    """Tables of the plan that a foreign key ties to this one, as they are declared."""
    declared_keys: DeclaredKeys
    """Keys that its turn leaves behind."""
    ready_timeout: int


class ReferenceTableProvider(KeyedTableProvider):
    """A table with a copy on every node."""

    kind = "ReferenceTable"
    compared = ("server", "nodes", "missing", "declared_keys", "lost_keys")
    outputs = ("colocation_group", "placements", "keys")

    def ensure(self, props: dict[str, Any], olds: dict[str, Any]) -> dict[str, Any]:
        """Replicate the table, to the nodes that lack it where it is a reference table already."""
        from components.database import distribute  # noqa: PLC0415

        table = read_table(props)
        with self.session(props, f"replicating table {table}", on_all_nodes=True) as connection:
            state = distribute.ensure_reference(
                connection, table, still_to_come=read_pending(props), rewrite=bool(props.get("rewrite"))
            )
            keys = self.ensure_keys(connection, props, olds)
        return {"colocation_group": state.colocation_group, "placements": state.placements, **keys}

    def find(self, connection: Connection, id_: str, props: dict[str, Any]) -> dict[str, Any] | None:
        """Return its placements, or None where it is no reference table (any more)."""
        from components.database import metadata  # noqa: PLC0415

        state = metadata.get_table(connection, read_table(props))
        if state is None or state.kind != "reference":
            return None
        missing = len(props["nodes"]) - state.placements
        return {"placements": state.placements, "missing": missing, **self.find_keys(connection, props)}


class ReferenceTable(SqlResource, module="citus", name="ReferenceTable"):
    """A table with a copy on every node, to join with locally. Its id is `schema.table`."""

    colocation_group: pulumi.Output[int]
    placements: pulumi.Output[int]

    def __init__(self, name: str, args: ReferenceTableArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        props = {
            **args,
            "table": wire_name(args["table"]),
            "nodes": list(args["nodes"]),
            "still_to_come": wire_shardings(args["still_to_come"]),
            "missing": 0,
            "declared_keys": wire_keys(args["declared_keys"]),
            "lost_keys": [],
            "colocation_group": None,
            "placements": None,
            "keys": None,
        }
        super().__init__(ReferenceTableProvider(), name, props, _of_any_kind(opts))


class LocalTableArgs(TypedDict):
    """Inputs of LocalTable."""

    server: ServerArgs
    table: TableName
    still_to_come: Mapping[TableName, Sharding]
    """Tables of the settings that a foreign key may tie to this one, as they are declared."""
    ready_timeout: int


class LocalTableProvider(TableProvider):
    """A table whose rows lie on the coordinator alone, though they were sharded once."""

    kind = "LocalTable"
    compared = ("server",)

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Say, at preview, what becomes of a table that no state knows of."""
        if not _olds:
            table = read_table(news)
            print(f"{table}: becomes local; where it is sharded, its rows are rewritten, and it is locked meanwhile")  # noqa: T201
        return CheckResult(news, [])

    def ensure(self, props: dict[str, Any], olds: dict[str, Any]) -> dict[str, Any]:
        """Bring the rows back; nothing happens where the table is local."""
        from components.database import distribute  # noqa: PLC0415

        table = read_table(props)
        with self.session(props, f"undistributing table {table}", on_all_nodes=True) as connection:
            distribute.ensure_local(connection, table, still_to_come=read_pending(props))
        return {}

    def find(self, connection: Connection, id_: str, props: dict[str, Any]) -> dict[str, Any] | None:
        """Return nothing new, or None where the table is sharded, or gone."""
        from components.database import metadata  # noqa: PLC0415

        state = metadata.get_table(connection, read_table(props))
        return {} if state is not None and state.kind == "local" else None


class LocalTable(SqlResource, module="citus", name="LocalTable"):
    """A table that is to be local again. Its id is `schema.table`."""

    def __init__(self, name: str, args: LocalTableArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        props = {**args, "table": wire_name(args["table"]), "still_to_come": wire_shardings(args["still_to_come"])}
        super().__init__(LocalTableProvider(), name, props, _of_any_kind(opts))
