"""The statements that mend findings: keys, columns and views as they have to be, with what depends on them. Pure.

Whatever two findings have in common gets one form here: a foreign key that is dropped for a key comes back with all that other
findings want of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from components.names import ColumnName, TableName
from components.plan.findings import Mend, Stage, Step
from components.schema.key_text import ONE_COLUMN, add_foreign_key, drop_foreign_key, listed_key, recreate_key
from components.schema.view_text import create_view, dependent_views, drop_view
from components.tables import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.plan.layout import Layout
    from components.schema.relations import Column, ForeignKey, Key, OtherRelation, Relations, Table

__all__ = [
    "INTEGERS",
    "collation_of",
    "drop_for_good",
    "group_collation",
    "group_type",
    "is_deterministic",
    "mend_distribution_column",
    "mend_foreign_key",
    "mend_key",
    "mend_not_null",
    "mend_view",
    "mended_key",
    "mended_type",
    "move_to_tables",
]

INTEGERS: Final = ("int2", "int4", "int8")
_SPELLED: Final = {"int2": "smallint", "int4": "integer", "int8": "bigint", "bool": "boolean", "char": '"char"'}
TEXTS: Final = frozenset({"text", "varchar"})


# --- keys and foreign keys ---------------------------------------------------------------------------------------------


def mended_key(layout: Layout, fk: ForeignKey) -> tuple[Table, Key] | None:
    """Return the key that a foreign key references, with its table, where it has to get the distribution column."""
    by, columns = layout.distribution_column_name(fk.parent), frozenset(layout.referenced_columns(fk))
    if not by or by in columns:
        return None
    for name in dict.fromkeys((fk.parent, layout.root(fk.parent))):
        table = layout.schema.tables[name]
        for key in table.keys:
            if key.kind != "primary key" and key.referable and frozenset(key.columns) == columns:
                return table, key
    return None


def mend_key(layout: Layout, table: Table, key: Key) -> Mend:
    """Return the key with the distribution column in front, and the foreign keys that need it set aside meanwhile."""
    by = layout.distribution_column_name(table.name)
    columns = frozenset(key.columns)
    members = [table, *layout.partitions(table.name)]
    needing = [
        (child, fk)
        for member in members
        for child, fk in layout.referencing.get(member.name, ())
        if key.referable and frozenset(layout.referenced_columns(fk)) == columns
    ]
    steps = [Step(Stage.KEYS, tuple(recreate_key(table, key, by)))]
    for child, fk in needing:
        steps += _replaced(layout, child, fk)
    method = key.source.read().access_method if key.kind == "exclude" and key.source else ""
    if method == "gist":
        steps.append(Step(Stage.PREPARE, ("create extension if not exists btree_gist",)))
    column = (layout.schema.tables[layout.root(table.name)].columns or {}).get(by)
    if key.replica_identity and column is not None and not column.not_null:
        steps.append(_not_null(layout.root(table.name), by))
    columns_text = listed_key(key)
    effect = f"({columns_text}) is checked within one {ColumnName(by)} only"
    if key.kind != "exclude":
        effect += (
            f"; ON CONFLICT ({columns_text}) in the application becomes ON CONFLICT ({ColumnName(by)}, {columns_text})"
        )
    reasons = [_why_not_paired(layout, child, fk) for child, fk in needing]
    if method in ONE_COLUMN:
        reasons.append("its access method takes no further column")
    return Mend(tuple(steps), effect, next(filter(None, reasons), ""))


def _why_not_paired(layout: Layout, child: Table, fk: ForeignKey) -> str:
    """Return why a foreign key cannot reference a key with the distribution column in it; empty where it can."""
    named = f"the foreign key {ColumnName(fk.name)} of {child.name} needs it"
    decide = "decide about that foreign key first"
    if layout.kind(child.name) != Kind.DISTRIBUTED:
        return f"{named}, and {child.name} is not distributed: {decide}"
    if layout.colocation_root(child.name) != layout.colocation_root(fk.parent):
        return f"{named}, and the two tables are not colocated: {decide}"
    if _is_mispaired(layout, child, fk):
        return f"{named}, and pairs a distribution column with another column: {decide}"
    if child.partition or layout.schema.tables[fk.parent].partition:
        return f"{named}, and it is that of a single partition: {decide}"
    return ""


def _pairs(layout: Layout, child: Table, fk: ForeignKey) -> tuple[tuple[str, str], list[tuple[str, str]]]:
    """Return the pair of the distribution columns, and the pairs that a foreign key has."""
    ends = layout.distribution_column_name(child.name), layout.distribution_column_name(fk.parent)
    return ends, list(zip(fk.columns, layout.referenced_columns(fk), strict=False))


def _is_mispaired(layout: Layout, child: Table, fk: ForeignKey) -> bool:
    (by, parent_by), pairs = _pairs(layout, child, fk)
    return (by, parent_by) not in pairs and any(by == one or parent_by == other for one, other in pairs)


def _replaced(layout: Layout, child: Table, fk: ForeignKey) -> list[Step]:
    """Return the steps that drop a foreign key and add it as it has to be."""
    return [
        Step(Stage.DROP_FOREIGN_KEYS, (drop_foreign_key(child.name, fk),)),
        Step(Stage.FOREIGN_KEYS, tuple(add_foreign_key(child.name, _final(layout, child, fk)))),
    ]


def _final(layout: Layout, child: Table, fk: ForeignKey) -> ForeignKey:
    """Return a foreign key as all findings about it want it."""
    (by, parent_by), pairs = _pairs(layout, child, fk)
    kinds = layout.kind(child.name), layout.kind(fk.parent)
    together = kinds == (Kind.DISTRIBUTED, Kind.DISTRIBUTED) and layout.colocation_root(
        child.name
    ) == layout.colocation_root(fk.parent)
    is_paired = (by, parent_by) in pairs
    new = fk
    if together and not is_paired and fk.match == "f" and len(fk.columns) == 1:
        new = replace(new, match="s")  # means the same of one column
    if together and mended_key(layout, fk) and not _why_not_paired(layout, child, fk):
        columns, referenced = (by, *fk.columns), (parent_by, *layout.referenced_columns(fk))
        new = replace(new, columns=columns, referenced=referenced)
    set_columns = fk.set_columns or fk.columns
    fills = any(
        (column := (child.columns or {}).get(name)) is not None and (column.identity or column.sequence)
        for name in (set_columns if fk.on_update != "d" else fk.columns)
    )
    moves = together or (kinds[0] == Kind.DISTRIBUTED and by in fk.columns)
    to_local = kinds == (Kind.REFERENCE, Kind.LOCAL)
    if to_local or (moves and fk.on_delete in ("n", "d")) or (fk.on_delete == "d" and fills):
        new = replace(new, on_delete="a", set_columns=())
    if to_local or (moves and fk.on_update in ("n", "d", "c")) or (fk.on_update == "d" and fills):
        new = replace(new, on_update="a")
    return new


def mend_foreign_key(layout: Layout, child: Table, fk: ForeignKey, *, decision: str = "") -> Mend:
    """Return the foreign key with the actions and the match that it may have.

    Where it has to reference a key that gets the distribution column, that key comes with it.
    """
    of = mended_key(layout, fk) if layout.kind(child.name) == layout.kind(fk.parent) == Kind.DISTRIBUTED else None
    if of is not None:
        mend = mend_key(layout, *of)
        return replace(mend, decision=decision or mend.decision)
    new = _final(layout, child, fk)
    effects = []
    if new.on_delete != fk.on_delete:
        effects.append(
            f"deleting a row of {fk.parent} that {child.name} still references is refused, where it was followed"
        )
    if new.on_update != fk.on_update:
        effects.append(f"so is changing what is referenced of {fk.parent}")
    return Mend(tuple(_replaced(layout, child, fk)), "; ".join(effects), decision)


def drop_for_good(what: str, *statements: str) -> Mend:
    """Return statements after which something is no longer done or checked, which a person has to want."""
    return Mend((Step(Stage.KEYS, statements),), decision=what)


def move_to_tables(layout: Layout, child: Table, fk: ForeignKey) -> Mend:
    """Return the foreign key of a partition, or to one, between the partitioned tables."""
    root, parent = layout.root(child.name), layout.root(fk.parent)
    new = replace(_final(layout, child, fk), parent=parent)
    steps = (
        Step(Stage.DROP_FOREIGN_KEYS, (drop_foreign_key(child.name, fk),)),
        Step(Stage.FOREIGN_KEYS, tuple(add_foreign_key(root, new, named=False))),
    )
    meaning = replace(fk, name="", at=child.at, comment=None)
    alike = [
        any(replace(other, name="", at=child.at, comment=None) == meaning for other in partition.foreign_keys)
        for partition in layout.partitions(root)
    ]
    decision = "" if all(alike) else f"it is then checked for the rows of all partitions of {root}"
    if parent != fk.parent:
        decision = f"it then lets rows of all partitions of {parent} be referenced, and needs a key there"
    return Mend(steps, decision=decision)


# --- columns -----------------------------------------------------------------------------------------------------------


def spelled(layout: Layout, type_: str) -> str:
    """Return a type as SQL spells it."""
    brackets = "[]" * type_.endswith("[]")
    plain = type_.removesuffix("[]")
    return str(layout.schema.find_type(plain) or _SPELLED.get(plain, plain)) + brackets


def group_type(layout: Layout, name: TableName) -> tuple[str, str, bool]:
    """Return the type that the distribution columns of a colocation group should have, its modifiers, and whether all fit.

    The widest where they are all integers, so that no value is lost; else that of the table that starts the group.
    """
    root = layout.colocation_root(name)
    types = layout.group_types.get(root, set())
    first = layout.distribution_column(root)
    if len(types) == 1 and first is not None and first.type in types:
        return first.type, first.modifiers, True
    if types <= set(INTEGERS):
        return max(types, key=INTEGERS.index), "", True
    if types <= {*INTEGERS, "numeric"}:
        return "numeric", "", True
    if types <= TEXTS:
        return "text", "", True
    own, modifiers = (first.type, first.modifiers) if first else ("", "")
    own = "jsonb" if own == "json" else own
    return own, modifiers, types <= {*TEXTS, "uuid"} and own == "uuid"


def group_collation(layout: Layout, name: TableName) -> str:
    """Return the collation that the distribution columns of a colocation group should have, empty for the database's."""
    first = layout.distribution_column(layout.colocation_root(name))
    collation = collation_of(layout.schema, first) if first else ""
    return collation if is_deterministic(layout.schema, collation) else "C"


def collation_of(schema: Relations, column: Column) -> str:
    """Return the collation of a column, empty for the database's."""
    user_type = schema.user_type(column.type)
    collation = column.collation or (user_type.collation if user_type else "")
    return "" if collation == ("C" if column.type == "name" else "default") else collation


def is_deterministic(schema: Relations, collation: str) -> bool:
    """Tell whether two texts are equal in a collation only if their bytes are."""
    return schema.collations.get(_collation_name(collation), True)


def _collation_name(collation: str) -> TableName:
    schema, dot, name = collation.partition(".")
    return TableName(schema, name) if dot else TableName("public", collation)


def collate(layout: Layout, collation: str) -> str:
    """Return the COLLATE clause; a name with a dot in it, as en_US.utf8, is no name with a schema."""
    name = _collation_name(collation)
    if name in layout.schema.collations:
        return f"collate {name}"
    return f'collate "{collation or "default"}"'


def mend_distribution_column(layout: Layout, name: TableName, column: Column) -> Mend:
    """Return the distribution column with the type and the collation of its colocation group."""
    to, modifiers, fits = group_type(layout, name)
    is_same = to == column.type
    collation = group_collation(layout, name)
    type_ = f"{spelled(layout, to)}{column.modifiers if is_same else modifiers}"
    collated = type_ + f" {collate(layout, collation)}" * bool(collation or collation_of(layout.schema, column))
    decision = "" if fits else "values of one type need not have a form in the other"
    mend = _retyped(layout, name, column, to, collated if is_same or to in TEXTS else type_)
    return replace(mend, decision=mend.decision or decision)


def mended_type(layout: Layout, name: TableName, column: Column, to: str) -> Mend:
    """Return the column with another type."""
    return _retyped(layout, name, column, to, spelled(layout, to))


def _retyped(layout: Layout, name: TableName, column: Column, to: str, type_: str) -> Mend:
    own, target = ColumnName(column.name), spelled(layout, to)
    is_comparable = {column.type, to} <= {*INTEGERS, "numeric"} or {column.type, to} <= TEXTS or column.type == to
    cast = "" if is_comparable else f" using {own}::{target}"
    if cast and layout.schema.type_kind(to) == "enum":
        cast = f" using {own}::text::{target}"
    return mend_column(layout, name, column, f"type {type_}{cast}", is_comparable=is_comparable)


def mend_column(layout: Layout, name: TableName, column: Column, change: str, *, is_comparable: bool) -> Mend:
    """Return `alter column …`, and the views that show the column dropped before and made again behind it."""
    table = layout.schema.tables[name]
    views = dependent_views(layout.schema, name, column.name)
    made = {view: _text(layout, view, other) for view, other in views.items()}
    steps = [Step(Stage.COLUMNS, (f"alter table {name} alter column {ColumnName(column.name)} {change}",))]
    steps += _made_again(layout, views, made)
    reasons = []
    if table.partition or table.parents:
        reasons.append(f"the column comes from {table.parent}: change it there")
    if column.name in table.partition_columns:
        reasons.append("PostgreSQL changes no column by which a table is partitioned")
    if any(it.generated for it in (table.columns or {}).values()):
        reasons.append("a generated column may depend on it")
    if table.triggers:
        reasons.append(f"the trigger {ColumnName(table.triggers[0].name)} may depend on it")
    if table.policies:
        reasons.append("a policy may depend on it")
    reasons += [f"the view {view} has to be written again by hand" for view, texts in made.items() if not texts]
    if not is_comparable:
        ends = [*layout.referencing.get(name, ()), *((table, fk) for fk in table.foreign_keys)]
        reasons += [
            f"the foreign key {ColumnName(fk.name)} of {child.name} compares it"
            for child, fk in ends
            if column.name in fk.columns or column.name in layout.referenced_columns(fk)
        ]
    effect = "the table may be written again, and is locked meanwhile"
    effect += "; its views are made again: give them their owners and grants" if views else ""
    return Mend(tuple(steps), effect, next(iter(reasons), ""))


def _made_again(
    layout: Layout, views: dict[TableName, OtherRelation], made: dict[TableName, list[str]]
) -> Iterable[Step]:
    """Yield the steps that drop views, the last first, and make them again."""
    places = {view: 2 * number for number, view in enumerate(layout.schema.others)}
    for view, other in views.items():
        yield Step(Stage.DROP_VIEWS, (drop_view(view, other),), -places[view])
        if made[view]:
            yield Step(Stage.VIEWS, tuple(made[view]), places[view])


def _text(layout: Layout, name: TableName, view: OtherRelation) -> list[str]:
    """Return the statements that make a view so that it depends on no primary key."""
    return create_view(name, view, layout.schema if view.keys else None)


def mend_not_null(name: TableName, column: str) -> Mend:
    """Return the column NOT NULL."""
    return Mend((_not_null(name, column),), "fails where rows have NULL: give them a value, or delete them, before")


def _not_null(name: TableName, column: str) -> Step:
    return Step(Stage.COLUMNS, (f"alter table {name} alter column {ColumnName(column)} set not null",))


# --- views -------------------------------------------------------------------------------------------------------------


def mend_view(layout: Layout, name: TableName, view: OtherRelation) -> Mend:
    """Return the view so that it groups by every column that it shows, and no longer depends on a primary key."""
    if view.kind == "view":
        texts = create_view(name, view, layout.schema, replaces=True)
        place = 2 * list(layout.schema.others).index(name) + 1  # behind the step that makes it again, if there is one
        steps = (Step(Stage.VIEWS, tuple(texts), place),) if texts else ()
        return Mend(steps, "", "" if texts else "its text is not known, or it shows a column that cannot be grouped by")
    views = {name: view, **dependent_views(layout.schema, name)}
    made = {it: _text(layout, it, other) for it, other in views.items()}
    reasons = [f"the view {it} has to be written again by hand" for it, texts in made.items() if not texts]
    effect = "the views are made again: give them their owners and grants again"
    return Mend(tuple(_made_again(layout, views, made)), effect, next(iter(reasons), ""))
