"""CREATE TABLE, RENAME CONSTRAINT and DROP INDEX in a form that Citus takes."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import postgast

from components.names import TableName
from components.schema.parse_tree import constraints_of, object_type
from components.schema.rewriting.alter_table import as_table_constraint
from components.schema.rewriting.constraints import ConstraintNames, foreign_key, waits
from components.schema.rewriting.text import Sql, compose, deparsed, quote_literal
from components.tables import Kind

if TYPE_CHECKING:
    from components.schema.rewriting import Known, Step

__all__ = ["create_table", "drop_indexes", "rename_constraint"]


def create_table(statement: Any, known: Known) -> list[Step] | None:
    """Return the table, and those of its foreign keys that are added once both ends are sharded."""
    table = known.name(statement.relation)
    if statement.if_not_exists and known.columns(table) is not None:
        return None
    names = ConstraintNames(table, known)
    changed = deepcopy(statement)
    del changed.table_elts[:]
    waiting: list[Step] = []
    for element in statement.table_elts:
        if element.HasField("constraint") and waits(element.constraint, table, known):
            waiting.append(foreign_key(names.named(element.constraint), table, known))
            continue
        kept = changed.table_elts.add()
        kept.CopyFrom(element)
        if element.HasField("column_def"):
            del kept.column_def.constraints[:]
            for constraint, attributes in constraints_of(element.column_def.constraints):
                as_of_table = as_table_constraint(constraint, attributes, element.column_def)
                if waits(as_of_table, table, known):
                    waiting.append(foreign_key(names.named(as_of_table), table, known))
                    continue
                kept.column_def.constraints.add().constraint.CopyFrom(constraint)
                for attribute in attributes:
                    value = postgast.pg_query_pb2.ConstrType.Value(attribute)
                    kept.column_def.constraints.add().constraint.contype = value
    return [deparsed("create_stmt", changed), *waiting] if waiting else None


def rename_constraint(statement: Any, known: Known) -> list[Step] | None:
    """Return ALTER INDEX … RENAME for a key; a CHECK or a foreign key is dropped and added under its new name."""
    if object_type(statement.rename_type) != "OBJECT_TABCONSTRAINT":
        return None
    table = known.name(statement.relation)
    if known.kind(table) == Kind.LOCAL:
        return None
    old, new = statement.subname, statement.newname
    kind, definition, comment = known.constraint(table, old)
    where: dict[str, TableName | str] = {"table": table, "old": old, "new": new}
    if kind in ("p", "u", "x"):  # the index and the constraint have one name
        return [compose("alter index {index} rename to {new}", index=TableName(table.schema, old), new=new)]
    if kind not in ("c", "f"):
        return None
    steps: list[Step] = [
        compose("alter table {table} drop constraint {old}", **where),
        compose("alter table {table} add constraint {new} {definition}", definition=Sql(definition), **where),
    ]
    if comment is not None:
        steps.append(
            compose("comment on constraint {new} on {table} is {comment}", comment=quote_literal(comment), **where)
        )
    return steps


def drop_indexes(statement: Any) -> list[Step] | None:
    """Return one DROP INDEX for each index, since Citus takes no more at once."""
    kind = object_type(statement.remove_type)
    if kind != "OBJECT_INDEX" or len(statement.objects) == 1:
        return None
    steps: list[Step] = []
    for node in statement.objects:
        single = deepcopy(statement)
        del single.objects[:]
        single.objects.add().CopyFrom(node)
        steps.append(deparsed("drop_stmt", single))
    return steps
