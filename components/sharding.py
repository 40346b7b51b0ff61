"""SchemaScript, DistributedTable, ReferenceTable, LocalTable, ShardPlacement: what the schema becomes, as resources.

Lifecycle only: what each step does to the database is in scripts.py, tables.py, kept.py and placement.py. Deleting any of
them leaves the data where it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, TypedDict

import pulumi
from pulumi.dynamic import CheckFailure, CheckResult, DiffResult

from components.errors import ReshardingError
from components.lifecycle import ServerArgs, SqlProvider, SqlResource
from components.names import TableName

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.plan import DeclaredKeys, Sharding
    from components.postgres import Connection

__all__ = [
    "KINDS",
    "DistributedTable",
    "DistributedTableArgs",
    "LocalTable",
    "LocalTableArgs",
    "ReferenceTable",
    "ReferenceTableArgs",
    "SchemaScript",
    "ShardPlacement",
    "ShardPlacementArgs",
    "TenantsArgs",
    "get_kind",
]


def _table(props: dict[str, Any], key: str = "table") -> TableName:
    return TableName(**props[key])


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return str(TableName(**value))
    return "nothing" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _wire(table: TableName) -> dict[str, str]:
    return {"schema": table.schema, "name": table.name}


def _wire_all(tables: Mapping[TableName, Sharding]) -> list[dict[str, str | None]]:
    return [{**_wire(table), "kind": kind, "distribution_column": by} for table, (kind, by) in tables.items()]


def _to_shard(props: dict[str, Any]) -> list[TableName]:
    return [TableName(**table) for table in props.get("to_shard") or ()]


def _still_to_come(props: dict[str, Any]) -> dict[TableName, Sharding | None]:
    """Read what `_wire_all` wrote; None for a table of which nothing more than the name is known."""
    return {
        TableName(table["schema"], table["name"]): (
            (table["kind"], table.get("distribution_column")) if "kind" in table else None
        )
        for table in props["still_to_come"]
    }


def _wire_keys(keys: DeclaredKeys) -> dict[str, Any]:
    foreign = [
        {"table": _wire(key.table), "name": key.name, "references": _wire(key.references), "form": list(key.form)}
        for key in keys.foreign
    ]
    return {"primary": list(keys.primary) if keys.primary else None, "foreign": foreign}


def _declared_keys(props: dict[str, Any]) -> DeclaredKeys:
    """Read what `_wire_keys` wrote."""
    from components.plan import DeclaredKeys, PlannedForeignKey  # noqa: PLC0415

    keys = props["declared_keys"]
    foreign = tuple(
        PlannedForeignKey(_table(key), key["name"], _table(key, "references"), tuple(key["form"]))
        for key in keys["foreign"]
    )
    return DeclaredKeys(tuple(keys["primary"]) if keys.get("primary") else None, foreign)


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
        from components import passwords, roles, scripts  # noqa: PLC0415
        from components.postgres import Server  # noqa: PLC0415

        with self.session(props, f"applying {props['file_name']}", on_all_nodes=True) as connection:
            scripts.ensure_script(connection, props["file_name"], props["text"], to_shard=_to_shard(props))
            if props.get("roles_known"):
                roles.learn(connection, roles.find_learnable(connection, Server.of(props["server"]), props["text"]))
            if passwords.hold(props["text"]) or roles.is_changed(connection):
                lines = [*roles.spread(connection, int(props["ready_timeout"])), *roles.get_refused(connection)]
                for line in lines:
                    print(line)  # noqa: T201 - Pulumi shows it
        return {"sha256": scripts.sha256(props["text"])}

    def find(self, connection: Connection, id_: str, props: dict[str, Any]) -> dict[str, Any] | None:
        """Return the hash in the ledger, or None where the file is not in it; and whether the nodes know its roles."""
        from components import roles, scripts  # noqa: PLC0415
        from components.postgres import Server  # noqa: PLC0415

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
            "to_shard": [_wire(table) for table in to_shard] or None,
            "roles_known": True if gives_passwords else None,
            "ready_timeout": ready_timeout,
            "sha256": None,
        }
        super().__init__(SchemaScriptProvider(), name, props, opts)


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
        return str(_table(props))

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse, at preview, to rewrite a table without being asked."""
        was = get_kind(_olds) if _olds else self.kind
        failures = []
        if "LocalTable" not in (was, self.kind) and was != self.kind and not news.get("rewrite"):
            error = ReshardingError(_table(news), f"is {KINDS[was]}, but is declared as {KINDS[self.kind]}")
            failures.append(CheckFailure("", str(error)))
        return CheckResult(news, failures)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Compare, and say what another kind means for the rows."""
        was = get_kind(_olds)
        if was == self.kind:
            return super().diff(_id, _olds, _news)
        rewritten = "" if was == "LocalTable" else ": its rows are rewritten, and it is locked meanwhile"
        print(f"{_table(_news)}: was {KINDS[was]}, becomes {KINDS[self.kind]}{rewritten}")  # noqa: T201 - Pulumi shows it
        return DiffResult(changes=True, replaces=[])


def _of_any_kind(opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions:
    """Let a resource take over the state of the same table of another kind: it is updated then, not deleted and made."""
    aliases = [pulumi.Alias(type_=f"pulumi-python:dynamic/citus:{kind}") for kind in KINDS]
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(aliases=aliases))


class KeyedTableProvider(TableProvider):
    """Base of the providers of a sharded table, whose keys are kept as the plan has them."""

    def ensure_keys(self, connection: Connection, props: dict[str, Any], olds: dict[str, Any]) -> dict[str, Any]:
        """Put back keys that were dropped by hand since the last update, and return those that there are."""
        from components import kept  # noqa: PLC0415

        found = kept.ensure_kept(connection, _table(props), _declared_keys(props), kept.KeptKeys.of(olds.get("keys")))
        return {"keys": found.as_props()}

    def find_keys(self, connection: Connection, props: dict[str, Any]) -> dict[str, Any]:
        """Return which of the keys that the last update left are not there as they were."""
        from components import kept  # noqa: PLC0415

        if props.get("keys") is None:  # of an update that knew nothing of keys
            return {}
        return {
            "lost_keys": kept.get_lost(
                connection, _table(props), _declared_keys(props), kept.KeptKeys.of(props["keys"])
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
        table = _table(news)
        _olds = self._renamed(_olds, news)
        failures = []
        for name, what in (
            ("distribution_column", "distributed by"),
            ("shard_count", "split into shards to the number of"),
        ):
            if name in self._resharded(_olds, news) and not news.get("rewrite"):
                is_now, declared = (_shown(props.get(name)) for props in (_olds, news))
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
            print(f"{_table(_news)}: its distribution column is called {name} now; no row moves")  # noqa: T201
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
        from components import tables  # noqa: PLC0415

        left = None if props.get("colocate_with") else olds.get("colocate_with")
        table = _table(props)
        followers = [TableName(**follower) for follower in props.get("followers") or ()]
        with self.session(props, f"distributing table {table}", on_all_nodes=True) as connection:
            state = tables.ensure_distributed(
                connection,
                table,
                column=props["distribution_column"],
                colocate_with=_table(props, "colocate_with") if props.get("colocate_with") else None,
                shard_count=int(props["shard_count"]),
                primary_key=tuple(props["primary_key"]) if props.get("primary_key") else None,
                still_to_come=_still_to_come(props),
                change=tables.Change(bool(props.get("rewrite")), followers, TableName(**left) if left else None),
            )
            keys = self.ensure_keys(connection, props, olds)
        return {"colocation_group": state.colocation_group, "shards": state.shards, **keys}

    def find(self, connection: Connection, id_: str, props: dict[str, Any]) -> dict[str, Any] | None:
        """Return how it is distributed, or None where it is not (any more)."""
        from components import catalog  # noqa: PLC0415

        state = catalog.get_table(connection, _table(props))
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
        target = catalog.get_table(connection, _table(props, "colocate_with"))
        if target is None or target.colocation_group != state.colocation_group:
            found["colocate_with"] = None
        return found


def _announced(changed: list[str], olds: dict[str, Any], news: dict[str, Any]) -> str:
    """Return the line by which a preview tells what becomes of a table's rows."""
    table, target = _table(news), news.get("colocate_with")
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
        f"joins the colocation group of {_shown(target)}" if target else f"leaves that of {_shown(olds[changed[0]])}"
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
            "table": _wire(args["table"]),
            "colocate_with": _wire(args["colocate_with"]) if args["colocate_with"] else None,
            "primary_key": list(args["primary_key"]) if args["primary_key"] else None,
            "followers": [_wire(table) for table in args["followers"]],
            "still_to_come": _wire_all(args["still_to_come"]),
            "declared_keys": _wire_keys(args["declared_keys"]),
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
        from components import tables  # noqa: PLC0415

        table = _table(props)
        with self.session(props, f"replicating table {table}", on_all_nodes=True) as connection:
            state = tables.ensure_reference(
                connection, table, still_to_come=_still_to_come(props), rewrite=bool(props.get("rewrite"))
            )
            keys = self.ensure_keys(connection, props, olds)
        return {"colocation_group": state.colocation_group, "placements": state.placements, **keys}

    def find(self, connection: Connection, id_: str, props: dict[str, Any]) -> dict[str, Any] | None:
        """Return its placements, or None where it is no reference table (any more)."""
        from components import catalog  # noqa: PLC0415

        state = catalog.get_table(connection, _table(props))
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
            "table": _wire(args["table"]),
            "nodes": list(args["nodes"]),
            "still_to_come": _wire_all(args["still_to_come"]),
            "missing": 0,
            "declared_keys": _wire_keys(args["declared_keys"]),
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
            table = _table(news)
            print(f"{table}: becomes local; where it is sharded, its rows are rewritten, and it is locked meanwhile")  # noqa: T201
        return CheckResult(news, [])

    def ensure(self, props: dict[str, Any], olds: dict[str, Any]) -> dict[str, Any]:
        """Bring the rows back; nothing happens where the table is local."""
        from components import tables  # noqa: PLC0415

        table = _table(props)
        with self.session(props, f"undistributing table {table}", on_all_nodes=True) as connection:
            tables.ensure_local(connection, table, still_to_come=_still_to_come(props))
        return {}

    def find(self, connection: Connection, id_: str, props: dict[str, Any]) -> dict[str, Any] | None:
        """Return nothing new, or None where the table is sharded, or gone."""
        from components import catalog  # noqa: PLC0415

        state = catalog.get_table(connection, _table(props))
        return {} if state is not None and state.kind == "local" else None


class LocalTable(SqlResource, module="citus", name="LocalTable"):
    """A table that is to be local again. Its id is `schema.table`."""

    def __init__(self, name: str, args: LocalTableArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        props = {**args, "table": _wire(args["table"]), "still_to_come": _wire_all(args["still_to_come"])}
        super().__init__(LocalTableProvider(), name, props, _of_any_kind(opts))


class TenantsArgs(TypedDict):
    """The tenants of one colocation group."""

    table: TableName
    pin: dict[str, str]
    """The node (`name:port`) of each value of the distribution column."""
    spread: list[str]
    """Values that have a node each, as far as there are enough."""


class ShardPlacementArgs(TypedDict):
    """Inputs of ShardPlacement."""

    server: ServerArgs
    workers: Sequence[str]
    """Workers (`name:port`) that hold shards. Any other that is registered is drained and unregistered."""
    leaving: pulumi.Input[Sequence[str]]
    """Those others, as the program saw them: for a change of them to show at preview."""
    tenants: Sequence[TenantsArgs]
    groups: Sequence[pulumi.Input[int]]
    """Colocation group of each of the tenants' tables: one that is rewritten has its tenants to be placed again."""
    ready_timeout: int


class ShardPlacementProvider(SqlProvider):
    """Which worker holds which shards: tenants on theirs, and none on a worker that leaves. Deleting it moves nothing."""

    compared = ("server", "workers", "tenants", "groups", "misplaced")
    outputs = ("residency",)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Compare; workers that are to leave are work, whatever the state knew of them."""
        compared = super().diff(_id, _olds, _news)
        return DiffResult(changes=bool(compared.changes or _news.get("leaving")), replaces=compared.replaces)

    def identify(self, props: dict[str, Any]) -> str:
        """Return the only id there is."""
        return "placement"

    def ensure(self, props: dict[str, Any], olds: dict[str, Any]) -> dict[str, Any]:
        """Bring the tenants to their workers, and all else away from workers that leave."""
        from components import placement  # noqa: PLC0415
        from components.postgres import Server  # noqa: PLC0415
        from components.stall import ended_when_stalled  # noqa: PLC0415

        residency: dict[str, dict[str, str]] = {}
        doing, server, timeout = "placing shards", Server.of(props["server"]), int(props["ready_timeout"])
        with self.connection(props, "looking for workers that leave") as connection:
            idle = placement.get_idle_workers(connection, props["workers"])
            leaving = placement.get_leaving(connection, props["workers"])
        if not (idle or leaving or props["tenants"]):
            return {"residency": residency}
        with (
            self.session(props, doing, on_all_nodes=True) as connection,
            ended_when_stalled(connection, server, self.password, doing=doing, timeout=timeout),
        ):
            placement.ensure_shards_allowed(connection, props["workers"])
            for tenants in props["tenants"]:
                table = _table(tenants)
                shards = placement.ensure_tenants(
                    connection, table, tenants["pin"], tenants["spread"], props["workers"]
                )
                residency[str(table)] = {value: shard.node for value, shard in shards.items()}
            placement.ensure_left(connection, props["workers"])
        return {"residency": residency}

    def find(self, connection: Connection, id_: str, props: dict[str, Any]) -> dict[str, Any]:
        """Return where the tenants lie, and what is not as the last update left it: tenants, and workers without shards."""
        from components import placement  # noqa: PLC0415

        residency: dict[str, dict[str, str]] = {}
        misplaced = [f"{worker} takes no shards" for worker in placement.get_idle_workers(connection, props["workers"])]
        for tenants in props["tenants"]:
            table = _table(tenants)
            known = props["residency"][str(table)]
            shards = {value: placement.get_tenant_shard(connection, table, value) for value in known}
            residency[str(table)] = {value: shard.node for value, shard in shards.items()}
            misplaced += [
                f"{table} {value}"
                for value, shard in shards.items()
                if shard.node != known[value] or not shard.isolated
            ]
        return {"residency": residency, "misplaced": misplaced}


class ShardPlacement(SqlResource, module="citus", name="ShardPlacement"):
    """Where shards lie: each tenant that the settings name on its worker."""

    residency: pulumi.Output[dict[str, dict[str, str]]]
    """The node of each named value, by table."""

    def __init__(self, name: str, args: ShardPlacementArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        props = {
            **args,
            "workers": list(args["workers"]),
            "tenants": [{**tenants, "table": _wire(tenants["table"])} for tenants in args["tenants"]],
            "misplaced": [],
            "residency": None,
        }
        super().__init__(ShardPlacementProvider(), name, props, opts)
