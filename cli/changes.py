"""What the steps of a preview do to the data: created, moved, rewritten, removed. Pure.

Pulumi shows that a dynamic resource is updated. This describes the effect on the rows, from the resource's inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from components.database.rebalance import Forecast
from components.names import TableName
from components.nodes.node import is_pooler, is_schedule
from components.resources.tables import KINDS, get_kind, is_created_again
from components.resources.wire import read
from components.schema.statements import SqlFile
from components.schema.transactions import read_mark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["SECTIONS", "Ask", "Change", "Step", "describe"]

SECTIONS: Final = {
    "removed": "Removed, with its data",
    "rewritten": "Rewritten, row by row",
    "moved": "Moved or copied",
    "restarted": "Stopped and started",
    "set": "Set, without a restart",
    "created": "Created",
    "left": "Left unchanged",
    "proved": "Verified again, nothing changed",
}
"""The kinds of change, the most serious first."""
Section = Literal["removed", "rewritten", "moved", "restarted", "set", "created", "left", "proved"]

Ask = tuple[Literal["table", "node"], str]
"""A table, spelled as in SQL, or a node (`name:port`), whose size tells what a change costs."""
UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""By which the engine's events stand in for a value that is not known before the update."""
_OPERATIONS: Final = ("create", "update", "delete", "replace")


@dataclass(frozen=True)
class Step:
    """One resource that an update would touch."""

    op: str
    kind: str
    name: str
    old: Mapping[str, Any] = field(default_factory=dict)
    """Its inputs as they are in the state."""
    new: Mapping[str, Any] = field(default_factory=dict)
    """Its inputs as the program declares them."""

    @classmethod
    def of(cls, metadata: Any) -> Step | None:
        """Read a step of Pulumi's Automation API; None for one that touches nothing of ours."""
        op = str(getattr(metadata.op, "value", metadata.op))
        kind = metadata.type.rpartition(":")[2]
        if op not in _OPERATIONS or metadata.type.startswith("pulumi:") or kind not in _DESCRIBED:
            return None
        name = metadata.urn.rpartition("::")[2]
        old, new = ((getattr(state, "inputs", None) or {}) for state in (metadata.old, metadata.new))
        return cls(op, kind, name, old, new)

    @property
    def rank(self) -> tuple[int, str]:
        """Return by what steps are put in an order that is the same in every run: servers first, then what needs them."""
        return list(_DESCRIBED).index(self.kind), self.name

    def changed(self, *names: str) -> list[str]:
        """Return which of these inputs differ."""
        return [name for name in names if self.old.get(name) != self.new.get(name)]


@dataclass(frozen=True)
class Change:
    """One thing that an update would do; its text is Markdown."""

    section: Section
    text: str
    asks: tuple[Ask, ...] = ()
    note: str = ""
    """What applies to all changes of this kind, shown once."""


_JOINS: Final = "Shards move to workers that join where `citus:rebalance` or `citus:tenants` say so."
_ONLINE: Final = "Citus moves shards in the background, and reads and writes go on."
_ONE_BY_ONE: Final = "Where all are up: workers one after the other, then the coordinator."
_DISTRIBUTES: Final = "Existing rows of a table move to its shards; writes to it wait until that is done."
_REWRITES: Final = (
    "Every row is rewritten, in one transaction per table. Reads and writes wait until it is done, and the old rows take disk "
    "space until then."
)


def describe(steps: Sequence[Step], planned: Iterable[Mapping[str, Any]]) -> list[Change]:
    """Return what the steps do, the most serious first. `planned` are the steps of the plan, which have the keys."""
    tables = {step["table"]: step for step in planned if step["kind"] == "table"}
    changes: list[Change] = []
    for step in sorted(steps, key=lambda step: step.rank):
        if step.op == "update" and step.kind in KINDS and get_kind(step.old) != step.kind:
            changes.append(_another_kind(step))
        elif step.op == "update" and step.kind in KINDS and is_created_again(step.old, step.new):
            text = f"table `{_name(step.new['table'])}`: `{step.new['created_by']}` creates it again, and the new one is sharded"
            changes.append(Change("created", text, note=_DISTRIBUTES))
        else:
            changes += _DESCRIBED[step.kind](step, tables.get(step.name, {}))
    order = list(SECTIONS)
    return sorted(changes, key=lambda change: order.index(change.section))


# --- servers ---------------------------------------------------------------------------------------------------------


def _container(step: Step, _planned: Mapping[str, Any]) -> Iterator[Change]:
    of = str(step.new.get("name") or step.old.get("name") or step.name)
    if is_pooler(of):
        yield _of_pooler(step, f"pooler `{of}`{_on_host(step, of)}")
        return
    if is_schedule(of):
        section: Section = "created" if step.op == "create" else "set"
        yield Change(section, f"container `{of}`, which makes backups at their times, is {step.op}d")
        return
    name = f"container `{of}`{_on_host(step, of)}"
    if step.op == "create":
        yield Change("created", f"{name}, on a volume of its own")
    elif step.op == "delete":
        yield Change("left", f"{name} is removed; for its data see its volume")
    else:
        why = ", ".join(sorted(step.changed(*{*step.old, *step.new} - {"__defaults"}))) or "its description"
        yield Change(
            "restarted",
            f"{name} is replaced ({why} differs): the node is down meanwhile, its data stays on its volume",
            note=_ONE_BY_ONE,
        )


def _on_host(step: Step, node: str) -> str:
    """Return ` on <host>`, which the names of a node's resources end with; nothing on the coordinator's host."""
    suffix = step.name.removeprefix(node).removesuffix("-data").removesuffix("-certificate")
    return f" on `{suffix.removeprefix('-')}`" if suffix else ""


def _authority(step: Step, _planned: Mapping[str, Any]) -> Iterator[Change]:
    if step.op == "create":
        text = "a certificate authority of this stack: nodes and clients verify each other"
        yield Change("created", f"{text}; clients are to be given the output `caCertificate`")
    elif step.op != "delete":
        yield Change(
            "set", "the authority's certificate is renewed, with the same key: give clients the new `caCertificate`"
        )


def _certificate(step: Step, _planned: Mapping[str, Any]) -> Iterator[Change]:
    if step.op not in ("create", "delete"):
        server = str(step.new["server"])
        restarts = "its clients connect again" if is_pooler(server) else "nothing is restarted"
        yield Change("set", f"`{server}`{_on_host(step, server)} gets another certificate: {restarts}")


def _of_pooler(step: Step, name: str) -> Change:
    if step.op == "create":
        return Change("created", f"{name}, by which clients share sessions on its node")
    if step.op == "delete":
        return Change("removed", f"{name}: its clients are cut off")
    return Change("restarted", f"{name} is replaced: its clients are cut off and connect again")


def _pooler_login(step: Step, _planned: Mapping[str, Any]) -> Iterator[Change]:
    if step.op == "create":
        yield Change(
            "created", "a role by which poolers find what a node keeps of a client's password, and nothing else"
        )
    elif step.op == "delete":
        yield Change("removed", "the role of the poolers")
    else:
        yield Change("proved", "poolers can log in to their nodes")


def _backups(step: Step, _planned: Mapping[str, Any]) -> Iterator[Change]:
    if step.op == "create":
        yield Change("set", f"every node archives its write-ahead log into `{step.new.get('repository')}`")
    elif step.op == "delete":
        yield Change("set", "nothing is archived and backed up any more; the repository stays")
    else:
        yield Change("proved", "the write-ahead log of every node gets into the repository")


def _restore_plan(step: Step, _planned: Mapping[str, Any]) -> Iterator[Change]:
    if step.op == "create":
        source = f"{_shown(step.new.get('at'))} in `{step.new.get('repository')}`"
        yield Change("created", f"the nodes are made of the backup {source}, and come to its point")


def _volume(step: Step, _planned: Mapping[str, Any]) -> Iterator[Change]:
    if step.op in ("delete", "replace"):
        name = str(step.old.get("name") or step.name)
        on = _on_host(step, name.removesuffix("_data"))
        yield Change("removed", f"volume `{name}`{on}, **with all data in it**")


def _network(step: Step, _planned: Mapping[str, Any]) -> Iterator[Change]:
    if step.op in ("create", "replace"):
        yield Change("created", f"network `{step.new.get('name') or step.name}`")


def _local_node(step: Step, _planned: Mapping[str, Any]) -> Iterator[Change]:
    if step.op == "create":
        yield Change("created", f"server `{step.new['node']}` on port {step.new['port']:g}")
    elif step.op == "delete":
        yield Change("removed", f"server `{step.old['node']}`, **with all data in its folder**")
    else:
        why = ", ".join(step.changed("port", "database", "bindir", "citus", "settings", "running"))
        yield Change(
            "restarted", f"server `{step.new['node']}` is restarted with its data ({why} differs)", note=_ONE_BY_ONE
        )


def _password(step: Step, _planned: Mapping[str, Any]) -> Iterator[Change]:
    if step.op == "update" and step.changed("mark"):
        user = step.new["server"]["user"]
        yield Change("set", f"the password of `{user}` becomes that of the settings, on every node at one moment")


def _parameters(step: Step, _planned: Mapping[str, Any]) -> Iterator[Change]:
    was, now = (
        {(of["node"], name): value for of in props.get("nodes", ()) for name, value in of["parameters"].items()}
        for props in (step.old, {} if step.op == "delete" else step.new)
    )
    for node, name in sorted(key for key in {*was, *now} if was.get(key) != now.get(key)):
        value = now.get((node, name))
        yield Change("set", f"`{name}` of `{node}` is {f'`{value}`' if value is not None else 'as it was before'}")


# --- membership ------------------------------------------------------------------------------------------------------


def _worker(step: Step, _planned: Mapping[str, Any]) -> Iterator[Change]:
    if step.op == "create":
        yield Change("created", f"worker {_address(step.new)} joins", note=_JOINS)
    elif step.op == "delete":
        yield Change("removed", f"worker {_address(step.old)} leaves, once no shard is left on it")
    elif step.op == "replace":
        yield Change("moved", f"worker {_address(step.old)} leaves and {_address(step.new)} joins in its place")
    else:
        yield Change("proved", f"worker {_address(step.new)} is checked to be the registered one")


def _coordinator(step: Step, _planned: Mapping[str, Any]) -> Iterator[Change]:
    if step.op == "create":
        yield Change("created", f"coordinator {_address(step.new)}")
    elif step.op != "delete":
        yield Change("proved", f"coordinator {_address(step.new)} is checked to be the registered one")


def _health(step: Step, _planned: Mapping[str, Any]) -> Iterator[Change]:
    if step.op != "delete":
        yield Change("proved", "every node can connect to every other")


def _address(props: Mapping[str, Any]) -> str:
    port = props.get("node_port")
    return f"`{props.get('node_name')}:{port:g}`" if isinstance(port, int | float) else f"`{props.get('node_name')}`"


# --- roles ------------------------------------------------------------------------------------------------------------


def _role(step: Step, _planned: Mapping[str, Any]) -> Iterator[Change]:
    name = f"role `{step.name}`"
    if step.op == "create":
        yield Change("created", f"{name} can log in, and every node knows its password")
    elif step.op == "delete":
        yield Change(
            "removed", f"{name}, with all its privileges, on every node; where it owns something, it is refused"
        )
    elif not step.changed("connections", "generations", "server", "drift", "__provider"):  # events do not show a secret
        yield Change("created", f"{name} gets another password on every node; the old one is refused from then on")
    else:
        yield Change("proved", f"{name} is as declared on every node")


def _login_rules(step: Step, _planned: Mapping[str, Any]) -> Iterator[Change]:
    if step.op == "delete":
        yield Change("set", "who may log in to the nodes (pg_hba.conf) is as it was before")
    elif step.op == "create" or step.old.get("roles") != step.new.get("roles"):
        yield Change("set", "only roles that there are at an update log in to the nodes (pg_hba.conf)")
    else:
        yield Change("proved", "only roles that there are log in to the nodes")


def _privileges(step: Step, _planned: Mapping[str, Any]) -> Iterator[Change]:
    if step.op == "delete":
        return
    words = {"read": "reads", "write": "reads and writes"}
    for key, what in words.items():
        old, new = step.old.get(key) or [], step.new.get(key) or []
        if added := [schema for schema in new if schema not in old]:
            yield Change("created", f"role `{step.name}` {what} in {_listed(added)}")
        if taken := [schema for schema in old if schema not in new]:
            yield Change("removed", f"role `{step.name}`: what it may do as one that {what} in {_listed(taken)}")
    if not step.changed("read", "write"):
        yield Change("proved", f"role `{step.name}` may do what is declared, and nothing else")


# --- tables ----------------------------------------------------------------------------------------------------------


def _script(step: Step, _planned: Mapping[str, Any]) -> Iterator[Change]:
    if step.op == "create":
        is_alone = read_mark(SqlFile(step.name, str(step.new.get("text") or "")).comments)
        how = "statement by statement, outside a transaction" if is_alone else "in one transaction"
        yield Change("created", f"`{step.name}` runs, once, {how}")
    elif step.op == "delete":
        yield Change("left", f"`{step.name}` was removed from the folder: what it created stays")
    else:
        yield Change("proved", f"`{step.name}` has run")


def _put_back(step: Step) -> Iterator[Change]:
    for key in step.old.get("lost_keys", ()):
        yield Change("created", f"{key}: restored, or refused where it was changed")


def _distributed(step: Step, planned: Mapping[str, Any]) -> Iterator[Change]:
    if step.op == "delete":
        yield _forgotten(step)
        return
    yield from _put_back(step)
    table, group = _name(step.new["table"]), step.new.get("colocate_with")
    if step.op == "create":
        where = (
            f"colocated with `{_name(group)}`"
            if group
            else f"in a group of its own, {step.new['shard_count']:g} shards"
        )
        text = f"table `{table}` is distributed by `{step.new['distribution_column']}`, {where}{_key(planned)}"
        yield Change("created", text, (("table", table),), _DISTRIBUTES)
        return
    changed = step.changed("distribution_column", "colocate_with", *([] if group else ["shard_count"]))
    followers = [_name(follower) for follower in step.new.get("followers") or ()]
    moving = [table] if changed == ["distribution_column"] else [table, *followers]
    if changed == ["colocate_with"]:
        how = f"joins the colocation group of `{_name(group)}`" if group else "starts a colocation group of its own"
        rest = "it is rewritten" if step.new.get("rewrite") else "it is refused because `rewrite` is not set"
        asks: tuple[Ask, ...] = tuple(("table", name) for name in moving)
        yield Change(
            "moved",
            f"table `{table}` {how}: in place if its shards are already placed alike, otherwise {rest}",
            asks,
        )
    elif changed:
        yield Change(
            "rewritten",
            _rewritten(step, table, changed, moving, planned),
            tuple(("table", it) for it in moving),
            _REWRITES,
        )
    elif step.changed("target_group"):
        yield Change("proved", f"table `{table}` is in the group of {_shown(group)}")
    else:
        yield Change("proved", f"table `{table}` is distributed as declared")


def _rewritten(step: Step, table: str, changed: list[str], moving: list[str], planned: Mapping[str, Any]) -> str:
    words = {"distribution_column": "distributed by", "colocate_with": "colocated with", "shard_count": "shards:"}
    what = "; ".join(f"{words[name]} {_shown(step.old.get(name))} → {_shown(step.new.get(name))}" for name in changed)
    with_it = f", and with it {_listed(moving[1:])}" if moving[1:] else ""
    return f"table `{table}`{with_it}: {what}{_key(planned)}"


def _reference(step: Step, _planned: Mapping[str, Any]) -> Iterator[Change]:
    if step.op == "delete":
        yield _forgotten(step)
        return
    yield from _put_back(step)
    table = _name(step.new["table"])
    added = [node for node in step.new["nodes"] if node not in step.old.get("nodes", ())]
    if step.op == "create":
        yield Change("created", f"table `{table}`: a copy on each of {len(added)} nodes", (("table", table),))
    elif added:
        yield Change("moved", f"table `{table}` is copied to {_listed(added)}", (("table", table),))
    else:
        yield Change("proved", f"table `{table}` has a copy on every node")


def _local_table(step: Step, _planned: Mapping[str, Any]) -> Iterator[Change]:
    if step.op == "create":
        table = _name(step.new["table"])
        text = f"table `{table}` becomes local: its rows move back to the coordinator"
        yield Change("rewritten", text, (("table", table),), _REWRITES)
    elif step.op == "delete":
        yield _forgotten(step)
    else:
        yield Change("proved", f"table `{_name(step.new['table'])}` is local")


def _another_kind(step: Step) -> Change:
    """Describe a table that becomes another kind: distributed, reference or local."""
    table, was = _name(step.new["table"]), get_kind(step.old)
    ask: Ask = ("table", table)
    if was == "LocalTable":
        return Change("created", f"table `{table}`: {KINDS[was]} → {KINDS[step.kind]}", (ask,), _DISTRIBUTES)
    return Change("rewritten", f"table `{table}`: {KINDS[was]} → {KINDS[step.kind]}", (ask,), _REWRITES)


def _forgotten(step: Step) -> Change:
    return Change("left", f"table `{step.name}` was removed from the settings: it stays as it is, with its rows")


# --- schemas ---------------------------------------------------------------------------------------------------------


def _schema(step: Step, _planned: Mapping[str, Any]) -> Iterator[Change]:
    if step.op == "delete":
        yield Change("left", f"schema `{step.name}` was removed from the settings: it stays as it is, with its rows")
        return
    tables = [_name(table) for table in step.new["tables"] or ()]
    old = [_name(table) for table in step.old.get("tables") or ()]
    asks: tuple[Ask, ...] = tuple(("table", name) for name in (tables or old))
    worker = step.new.get("worker")
    where = f"on `{worker}`" if worker else "on a worker that Citus chooses"
    if step.new.get("undistribute"):
        if step.op == "create" or not step.old.get("undistribute"):
            text = f"schema `{step.name}` becomes local: its rows move back to the coordinator"
            yield Change("rewritten", text, asks, _REWRITES)
        else:
            yield Change("proved", f"schema `{step.name}` is local")
    elif step.op == "create" or step.old.get("undistribute"):
        text = f"schema `{step.name}` is distributed as a whole, {where}: {_listed(tables) or 'no table yet'}"
        yield Change("created", text, asks, _DISTRIBUTES)
    elif worker and (step.changed("worker") or step.old.get("misplaced")):
        yield Change(
            "moved", f"schema `{step.name}` moves to `{worker}`, with {_listed(tables) or 'no table yet'}", asks
        )
    elif added := [table for table in tables if table not in old]:
        yield Change("proved", f"schema `{step.name}` has {_listed(added)}, {where}")
    else:
        yield Change("proved", f"schema `{step.name}` is distributed as declared")


# --- functions -------------------------------------------------------------------------------------------------------


def _function(step: Step, _planned: Mapping[str, Any]) -> Iterator[Change]:
    if step.op == "delete":
        yield Change("left", f"function `{step.name}` was removed from the settings: its calls run where they are made")
        return
    argument = step.new.get("argument")
    of = f"the worker of its `{argument}`" if argument else "the worker"
    text = f"calls of the function `{step.name}` run on {of}, with `{_name(step.new['colocate_with'])}`"
    is_new = step.op == "create" or step.changed("argument", "colocate_with", "force_delegation")
    yield Change("created" if is_new else "proved", text)


# --- placement -------------------------------------------------------------------------------------------------------


def _placement(step: Step, _planned: Mapping[str, Any]) -> Iterator[Change]:
    if step.op == "delete":
        return
    leaving = [worker for worker in step.old.get("workers", ()) if worker not in step.new["workers"]]
    for worker in leaving:
        yield Change("moved", f"every shard on `{worker}` moves to the workers that stay", (("node", worker),))
    before = {_name(tenants["table"]): tenants for tenants in step.old.get("tenants", ())}
    for tenants in step.new["tenants"]:
        yield from _tenants(_name(tenants["table"]), before.pop(_name(tenants["table"]), {}), tenants)
    for table in before:
        yield Change("left", f"tenants of `{table}` are no longer in the settings: they stay where they are")
    if not leaving and step.op == "update":
        yield Change("proved", "tenants are on their workers")


def _tenants(table: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    alike = old.get("spread", [])
    for value, node in new["pin"].items():
        was = old.get("pin", {}).get(value)
        if was is None:
            how = "is placed" if value in alike else "gets a shard of its own,"
            yield Change("moved", f"tenant `{value}` of `{table}` {how} on `{node}`")
        elif was != node:
            yield Change("moved", f"tenant `{value}` of `{table}` moves from `{was}` to `{node}`")
    if new["spread"] and new["spread"] != alike:
        yield Change("moved", f"tenants {_listed(new['spread'])} of `{table}` are spread over the workers by size")


def _rebalance(step: Step, _planned: Mapping[str, Any]) -> Iterator[Change]:
    if step.op == "delete":
        yield Change("left", "shards are no longer evened out: they stay where they are")
        return
    seen = step.new.get("forecast")
    forecast = read(Forecast, dict(seen)) if isinstance(seen, Mapping) else Forecast()
    if forecast.moves:
        waits = "".join(f"; writes to a shard wait while it is copied, for {reason}" for reason in forecast.waits)
        yield Change("moved", f"rebalance: {forecast}{waits}", note="" if waits else _ONLINE)
    elif step.old.get("unbalanced"):
        yield Change("moved", f"rebalance: {', '.join(step.old['unbalanced'])}")
    else:
        yield Change("proved", "shards are evened out over the workers")


def _name(table: Mapping[str, str]) -> str:
    return str(TableName(table["schema"], table["name"]))


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if value == UNKNOWN:
        return "a value that is known only after the update"
    return f"`{_name(value) if isinstance(value, dict) else f'{value:g}' if isinstance(value, float) else value}`"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _key(planned: Mapping[str, Any]) -> str:
    key = planned.get("primaryKey")
    return f"; its primary key ({', '.join(key['from'])}) becomes ({', '.join(key['to'])})" if key else ""


_DESCRIBED: Final[dict[str, Callable[[Step, Mapping[str, Any]], Iterator[Change]]]] = {
    "Container": _container,
    "Volume": _volume,
    "Network": _network,
    "CertificateAuthority": _authority,
    "ServerCertificate": _certificate,
    "LocalNode": _local_node,
    "UserPassword": _password,
    "WorkerNode": _worker,
    "CoordinatorNode": _coordinator,
    "ClusterHealth": _health,
    "ServerParameters": _parameters,
    "ClusterBackups": _backups,
    "RestorePlan": _restore_plan,
    "Role": _role,
    "PoolerLogin": _pooler_login,
    "LoginRules": _login_rules,
    "SchemaScript": _script,
    "DistributedTable": _distributed,
    "ReferenceTable": _reference,
    "LocalTable": _local_table,
    "DistributedSchema": _schema,
    "DistributedFunction": _function,
    "ShardPlacement": _placement,
    "Rebalance": _rebalance,
    "RolePrivileges": _privileges,
}
