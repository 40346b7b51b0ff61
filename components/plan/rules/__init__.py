"""The rules of a sharding plan: what Citus, or this project, would refuse, and what works but hurts. Pure.

Each module has the rules of one subject: their texts, and below them the checks that find them. docs/plan.md is made from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.plan.findings import Rule
from components.plan.rules import (
    advice,
    distribution_column,
    files,
    foreign_keys,
    functions,
    keys,
    later_definitions,
    later_rows,
    names,
    queries,
    roles,
    schemas,
    tables,
)
from components.plan.rules.files import check_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from components.names import TableName
    from components.plan.findings import Finding
    from components.plan.layout import Layout

__all__ = ["RULES", "SUBJECTS", "check_files", "check_plan", "check_settings"]


SUBJECTS: Final = {
    title: tuple(dict.fromkeys(it for module in modules for it in vars(module).values() if isinstance(it, Rule)))
    for title, modules in {
        "Files and servers": (files,),
        "Names in the settings": (names, roles),
        "Kinds of table": (tables,),
        "Distributed schemas": (schemas,),
        "The distribution column": (distribution_column,),
        "Primary and unique keys, sequences": (keys,),
        "Foreign keys": (foreign_keys,),
        "Joins": (advice,),
        "Views, functions and policies": (queries,),
        "Functions that run on workers": (functions,),
        "Later files": (later_definitions, later_rows),
    }.items()
}
"""The rules of each subject, in the order of docs/plan.md."""


RULES: Final = {rule.slug: rule for rules in SUBJECTS.values() for rule in rules}


def check_settings(layout: Layout) -> Iterator[Finding]:
    """Check names and colocation. Where any of it is wrong, there is no layout to judge."""
    for name, settings in layout.settings.items():
        yield from names.check_names(layout, name, settings)
        yield from names.check_colocation(layout, name, settings.colocate_with)


def check_plan(layout: Layout, order: Mapping[TableName, int]) -> Iterator[Finding]:
    """Check the tables, the keys and the foreign keys of a layout whose names are right, errors before warnings."""
    findings = [
        *(finding for name in layout.settings for finding in _check_table(layout, name, order)),
        *(finding for name in sorted(layout.managed) for finding in tables.check_managed(layout, name, order)),
        *schemas.check_schemas(layout, order),
        *keys.check_sequences(layout, order),
        *(it for table, fk in layout.foreign_keys for it in foreign_keys.check_foreign_key(layout, table, fk, order)),
        *advice.check_left_local(layout),
        *advice.check_separate_groups(layout),
        *queries.check_queries(layout),
    ]
    yield from sorted(findings, key=lambda it: (it.severity, it.file, it.line or 0, it.column or 0, it.setting))


def _check_table(layout: Layout, name: TableName, order: Mapping[TableName, int]) -> Iterator[Finding]:
    yield from tables.check_table(layout, name, order)
    table, by = layout.schema.tables[name], layout.settings[name].distribute_by
    is_partition = table.partition and table.parent in layout.schema.tables
    if by is not None and table.columns is not None and not is_partition:
        yield from distribution_column.check_distribution_column(layout, table, by)
        yield from keys.check_primary_key(layout, table, by)
        yield from keys.check_unique_keys(layout, table, by)
