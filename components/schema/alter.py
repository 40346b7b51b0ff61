"""ALTER, RENAME and DROP of what earlier statements created."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from components.names import ColumnName, TableName
from components.schema.definitions import (
    column_of,
    default_of,
    sequence_of,
    with_column,
    with_constraint,
    with_expressions,
)
from components.schema.parse_tree import action_of, has_subquery, is_cascade, object_type, timing_of
from components.schema.relations import Policy, RefusedDrop

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.schema.relations import Column, ForeignKey, Key, Table
    from components.schema.scope import Handler, Scope

__all__ = ["HANDLERS"]


_OTHERS: Final = frozenset({"OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE"})


_COLUMN_ACTIONS: Final = frozenset(
    {"AddColumn", "DropColumn", "AlterColumnType", "ColumnDefault", "SetNotNull", "DropNotNull", "DropExpression"}
)
"""What ALTER TABLE does to the partitions and child tables of a table too."""


def _drop_objects(scope: Scope, statement: Any) -> None:
    kind = object_type(statement.remove_type)
    cascade = is_cascade(statement)
    if not cascade:
        _refuse_dropping(scope, kind, statement)
    for node in statement.objects:
        if kind == "OBJECT_SCHEMA":
            for table in list(scope.relations.tables):
                if table.schema == node.string.sval:
                    scope.relations.drop(table, cascade=True)
        elif kind in ("OBJECT_TRIGGER", "OBJECT_POLICY"):
            *of, name = node.list.items
            _drop_of(scope, scope.listed_name(of), name.string.sval)
        elif kind in ("OBJECT_TYPE", "OBJECT_DOMAIN"):
            scope.relations.types.pop(scope.listed_name(node.type_name.names), None)
        elif kind in ("OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_ROUTINE", "OBJECT_AGGREGATE"):
            _drop_routine(scope, node.object_with_args)
        elif node.WhichOneof("node") == "list" and all(item.HasField("string") for item in node.list.items):
            _drop(scope, kind, scope.listed_name(node.list.items), cascade=cascade)


def _drop_routine(scope: Scope, routine: Any) -> None:
    """Remove the function with these types of arguments; where none are given, the one of that name."""
    known = scope.relations.routines.get(scope.listed_name(routine.objname), {})
    if routine.args_unspecified:
        known.clear()
    known.pop(tuple(scope.type_name(node.type_name) for node in routine.objargs), None)


def _refuse_dropping(scope: Scope, kind: str, statement: Any) -> None:
    """Note what DROP TABLE and DROP INDEX would leave a foreign key without, which PostgreSQL refuses."""
    tables = scope.relations.tables
    if kind == "OBJECT_TABLE":
        names = {scope.listed_name(node.list.items) for node in statement.objects}
        gone = {member.name for name in names for member in scope.relations.family(name)}
        needing = [
            (table.name, fk)
            for table in tables.values()
            for fk in table.foreign_keys
            if table.name not in gone and fk.parent in names and fk.parent in tables
        ]
        for child, fk in needing:
            _refuse(scope, f"the table {fk.parent}", [(child, fk)])
    if kind == "OBJECT_INDEX":
        for index in (scope.listed_name(node.list.items) for node in statement.objects):
            for table in tables.values():
                for key in table.keys if table.name.schema == index.schema else ():
                    if key.name == index.name:
                        _refuse(scope, f"the index {index} of {table.name}", scope.relations.needing(table, key))


def _refuse(scope: Scope, what: str, needing: Iterable[tuple[TableName, ForeignKey]]) -> None:
    if not scope.relations.may_lack_drops:
        scope.relations.refused_drops += (RefusedDrop(what, fk, child, scope.at) for child, fk in needing)


def _drop(scope: Scope, kind: str, name: TableName, *, cascade: bool) -> None:
    if kind == "OBJECT_TABLE" and name in scope.relations.tables:
        scope.relations.drop(name, cascade=cascade, at=scope.at)
    elif kind == "OBJECT_INDEX":
        scope.relations.rename_index(name, None)
    elif kind == "OBJECT_SEQUENCE":
        scope.relations.sequences.pop(name, None)
    elif kind in _OTHERS:
        scope.relations.others.pop(name, None)


def _drop_of(scope: Scope, name: TableName, dropped: str) -> None:
    """Remove the triggers and policies of that name: that a trigger and a policy share a name is rare enough."""
    table = scope.relations.tables.get(name)
    if table is not None:
        triggers = tuple(trigger for trigger in table.triggers if trigger.name != dropped)
        policies = tuple(policy for policy in table.policies if policy.name != dropped)
        scope.relations.put(replace(table, triggers=triggers, policies=policies))


def _rename(scope: Scope, statement: Any) -> None:
    kind = object_type(statement.rename_type)
    if kind == "OBJECT_SCHEMA":
        scope.relations.schemas.add(statement.newname)
    name = scope.name(statement.relation)
    if kind == "OBJECT_INDEX":
        scope.relations.rename_index(name, statement.newname)
    if kind in _OTHERS and name in scope.relations.others:
        scope.relations.others[TableName(name.schema, statement.newname)] = scope.relations.others.pop(name)
    table = scope.relations.tables.get(name)
    if table is None:
        return
    new = {statement.subname: statement.newname}
    if kind == "OBJECT_TABLE":
        scope.relations.move(table, TableName(name.schema, statement.newname))
    elif kind == "OBJECT_COLUMN":
        for member in scope.relations.family(name):
            scope.relations.rename_column(scope.relations.tables[member.name], statement.subname, statement.newname)
    elif kind == "OBJECT_TABCONSTRAINT":
        keys = tuple(replace(key, name=new.get(key.name, key.name)) for key in table.keys)
        fks = tuple(replace(fk, name=new.get(fk.name, fk.name)) for fk in table.foreign_keys)
        checks = frozenset(new.get(name, name) for name in table.checks)
        scope.relations.put(replace(table, keys=keys, foreign_keys=fks, checks=checks))


def _set_schema(scope: Scope, statement: Any) -> None:
    table = scope.table(statement.relation)
    if table is not None:
        scope.relations.move(table, TableName(statement.newschema, table.name.name))


def _alter_policy(scope: Scope, statement: Any) -> None:
    table = scope.table(statement.table)
    if table is not None and (statement.HasField("qual") or statement.HasField("with_check")):
        kept = tuple(policy for policy in table.policies if policy.name != statement.policy_name)
        policy = Policy(statement.policy_name, scope.at, has_subquery(statement), statement)
        scope.relations.put(replace(table, policies=(*kept, policy)))


def _alter_table(scope: Scope, statement: Any) -> None:
    name = scope.name(statement.relation)
    for node in statement.cmds:
        if name not in scope.relations.tables:
            return
        command = node.alter_table_cmd
        action = action_of(command)
        reaches_children = action in _COLUMN_ACTIONS
        for member in scope.relations.family(name) if reaches_children else [scope.relations.tables[name]]:
            _alter(scope, scope.relations.tables[member.name], action, command)
            if member.name != name and action == "AddColumn":  # its foreign key is the parent's alone
                scope.relations.put(replace(scope.relations.tables[member.name], foreign_keys=member.foreign_keys))


def _alter(scope: Scope, table: Table, action: str, command: Any) -> None:
    definition = getattr(command, "def")
    cascade = is_cascade(command)
    if action in _CONSTRAINT_ACTIONS:
        _alter_constraint(scope, table, action, command)
    elif action == "AddColumn":
        known = table.columns is not None and definition.column_def.colname in table.columns
        if not (command.missing_ok and known):
            scope.relations.put(with_column(scope, table, definition.column_def))
    elif action == "DropColumn":
        if not cascade:
            _refuse_dropping_column(scope, table, command.name)
        scope.relations.drop_column(table, command.name)
    elif action in ("AttachPartition", "DetachPartition", "AddInherit", "DropInherit"):
        _alter_family(scope, table, action, definition)
    elif table.columns is not None and command.name in table.columns:
        column = _altered(scope, table.columns[command.name], action, definition)
        table = replace(table, columns={**table.columns, column.name: column})
        scope.relations.put(with_expressions(scope, table, definition) if action == "ColumnDefault" else table)


_CONSTRAINT_ACTIONS: Final = frozenset(
    {"AddConstraint", "DropConstraint", "ValidateConstraint", "AlterConstraint"}
    | {"ClusterOn", "DropCluster", "ReplicaIdentity"}
)


def _alter_constraint(scope: Scope, table: Table, action: str, command: Any) -> None:
    definition = getattr(command, "def")
    if action == "AddConstraint":
        scope.relations.put(with_constraint(scope, table, definition.constraint, ()))
    elif action == "DropConstraint":
        _drop_constraint(scope, table, command.name, cascade=is_cascade(command))
    elif action in ("ValidateConstraint", "AlterConstraint"):
        fks = (_altered_foreign_key(fk, action, command) for fk in table.foreign_keys)
        scope.relations.put(replace(table, foreign_keys=tuple(fks)))
    elif action == "ReplicaIdentity":
        name = definition.replica_identity_stmt.name
        keys = (replace(key, replica_identity=key.name == name) for key in table.keys)
        scope.relations.put(replace(table, keys=tuple(keys)))
    else:
        keys = (replace(key, clustered=key.name == command.name) for key in table.keys)
        scope.relations.put(replace(table, keys=tuple(keys)))


def _drop_constraint(scope: Scope, table: Table, name: str, *, cascade: bool) -> None:
    for key in table.keys:
        if key.name == name and not cascade:
            what = f"the {key.kind} {ColumnName(name)} of {table.name}"
            _refuse(scope, what, scope.relations.needing(table, key))
    scope.relations.drop_derived(table, name, cascade=cascade)
    scope.relations.drop_key(table, name, cascade=cascade)


def _refuse_dropping_column(scope: Scope, table: Table, name: str) -> None:
    key = table.primary_key.columns if table.primary_key else ()
    needing = [
        (other.name, fk)
        for other in scope.relations.tables.values()
        for fk in other.foreign_keys
        if fk.parent == table.name
        and name in (fk.referenced or key)
        and not (other.name == table.name and name in fk.columns)
    ]
    _refuse(scope, f"the column {ColumnName(name)} of {table.name}", needing)


def _altered_foreign_key(fk: ForeignKey, action: str, command: Any) -> ForeignKey:
    definition = getattr(command, "def")
    constraint = (
        definition.atalter_constraint
        if definition.WhichOneof("node") == "atalter_constraint"
        else definition.constraint
    )
    if fk.name not in (command.name, constraint.conname):
        return fk
    return replace(fk, validated=True) if action == "ValidateConstraint" else replace(fk, timing=timing_of(constraint))


def _comment(scope: Scope, statement: Any) -> None:
    """Keep the comment of a key, a foreign key, an index or a view, which is lost when it is dropped."""
    kind, text = object_type(statement.objtype), statement.comment or None
    items = statement.object.list.items
    if kind in _OTHERS:
        name = scope.listed_name(items)
        if name in scope.relations.others:
            other = replace(scope.relations.others[name], comment=text)
            scope.relations.others[name] = other
    elif kind == "OBJECT_TABCONSTRAINT":
        *of, last = items
        table = scope.relations.tables.get(scope.listed_name(of))
        if table is not None:
            _comment_of(scope, table, last.string.sval, text)
    elif kind == "OBJECT_INDEX":
        index = scope.listed_name(items)
        for table in list(scope.relations.tables.values()):
            if table.name.schema == index.schema and any(key.name == index.name for key in table.keys):
                _comment_of(scope, table, index.name, text)


def _comment_of(scope: Scope, table: Table, name: str, text: str | None) -> None:
    keys: Iterable[Key] = (replace(key, comment=text) if key.name == name else key for key in table.keys)
    fks = (replace(fk, comment=text) if fk.name == name else fk for fk in table.foreign_keys)
    scope.relations.put(replace(table, keys=tuple(keys), foreign_keys=tuple(fks)))


def _cluster(scope: Scope, statement: Any) -> None:
    table = scope.table(statement.relation)
    if table is not None and statement.indexname:
        keys = (replace(key, clustered=key.name == statement.indexname) for key in table.keys)
        scope.relations.put(replace(table, keys=tuple(keys)))


def _do(scope: Scope, statement: Any) -> None:
    scope.relations.may_lack_drops |= "drop" in str(statement).lower()


def _altered(scope: Scope, column: Column, action: str, definition: Any) -> Column:
    if action == "AlterColumnType":
        new = column_of(scope, definition.column_def)
        return replace(column, type=new.type, collation=new.collation, scale=new.scale, modifiers=new.modifiers)
    if action == "ColumnDefault":
        return replace(column, sequence=sequence_of(scope, definition), default=default_of(definition))
    if action in ("AddIdentity", "DropIdentity"):
        return replace(column, identity=action == "AddIdentity", not_null=column.not_null or action == "AddIdentity")
    if action in ("SetNotNull", "DropNotNull"):
        return replace(column, not_null=action == "SetNotNull")
    if action == "DropExpression":
        return replace(column, generated=False)
    return column


def _alter_family(scope: Scope, table: Table, action: str, definition: Any) -> None:
    if action.endswith("Inherit"):
        other = scope.name(definition.range_var)
        parents = tuple(parent for parent in table.parents if parent != other)
        scope.relations.put(replace(table, parents=(*parents, other) if action == "AddInherit" else parents))
        return
    child = scope.table(definition.partition_cmd.name)
    if child is not None:
        attached = action == "AttachPartition"
        scope.relations.put(replace(child, parents=(table.name,) if attached else (), partition=attached))


HANDLERS: Final[dict[str, Handler]] = {
    "alter_table_stmt": _alter_table,
    "alter_policy_stmt": _alter_policy,
    "alter_object_schema_stmt": _set_schema,
    "rename_stmt": _rename,
    "drop_stmt": _drop_objects,
    "comment_stmt": _comment,
    "cluster_stmt": _cluster,
    "do_stmt": _do,
}
