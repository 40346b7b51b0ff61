"""Keys and foreign keys as SQL: as the files declare them, with a column in front where that is wanted. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import postgast

from components.names import ColumnName, TableName, listed
from components.schema.parse_tree import set_strings
from components.schema.relations import EXPRESSION
from components.schema.rewriting.text import deparsed, expression, quote_literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.schema.relations import ForeignKey, Key, Table
    from components.schema.source import Source

__all__ = [
    "ONE_COLUMN",
    "add_foreign_key",
    "drop_foreign_key",
    "drop_key",
    "listed_key",
    "lowered",
    "recreate_key",
]

ONE_COLUMN: Final = frozenset({"spgist"})
"""Access methods of EXCLUDE that take no further column, and stand for no other method."""

_ACTIONS: Final = {"r": "restrict", "c": "cascade", "n": "set null", "d": "set default"}
_QUOTED: Final = re.compile(
    r"""(?<!\w)[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\w*)\$.*?\$\1\$""", re.DOTALL
)


def lowered(sql: str) -> str:
    """Return SQL with its keywords in lower case, and with all that is quoted as it is."""
    parts, end = [], 0
    for quoted in _QUOTED.finditer(sql):
        parts += [sql[end : quoted.start()].lower(), quoted.group()]
        end = quoted.end()
    return "".join([*parts, sql[end:].lower()])


# --- keys --------------------------------------------------------------------------------------------------------------


def listed_key(key: Key) -> str:
    """Return the columns of a key as SQL lists them, and its expressions."""
    if EXPRESSION not in key.columns or key.source is None:
        return listed(key.columns)
    node = key.source.read()
    elements = (
        [it.index_elem for it in node.index_params]
        if key.source.kind == "IndexStmt"
        else [it.list.items[0].index_elem for it in node.exclusions]
    )
    return ", ".join(str(ColumnName(it.name)) if it.name else lowered(expression(it.expr)) for it in elements)


def drop_key(table: Table, key: Key) -> str:
    """Return the statement that drops a key."""
    if key.kind == "unique index":
        return f"drop index {TableName(table.name.schema, key.name)}"
    return f"alter table {table.name} drop constraint {ColumnName(key.name)}"


def recreate_key(table: Table, key: Key, leading: str) -> list[str]:
    """Return the statements that drop a key and make it with a column in front, with all else as it was."""
    if key.kind == "unique index":
        statements = [drop_key(table, key), *_in_its_schema(_index(table, key, leading), key.source)]
    else:
        whole = f"{drop_key(table, key)}, add {_constraint(key, leading)}"
        statements = _in_its_schema((whole, _names_things(key)), key.source)
    return [*statements, *_said_of_the_index(table, key)]


def _said_of_the_index(table: Table, key: Key) -> Iterator[str]:
    name = ColumnName(key.name)
    if key.clustered:
        yield f"alter table {table.name} cluster on {name}"
    if key.replica_identity:
        yield f"alter table {table.name} replica identity using index {name}"
    if key.comment is not None:
        index = f"index {TableName(table.name.schema, key.name)}"
        what = index if key.kind == "unique index" else f"constraint {name} on {table.name}"
        yield f"comment on {what} is {quote_literal(key.comment)}"


def _names_things(key: Key) -> bool:
    """Tell whether a key's text may name functions, types, operators or collations."""
    return key.kind in ("exclude", "unique index")


def _in_its_schema(made: tuple[str, bool], source: Source | None) -> list[str]:
    """Return a statement within the search_path of its file, where it names more than columns."""
    text, names_things = made
    return source.within_path(text) if source is not None and names_things else [text]


def _index(table: Table, key: Key, leading: str) -> tuple[str, bool]:
    if key.source is None:  # of a plain key, as a test makes one
        return f"create unique index {ColumnName(key.name)} on {table.name} ({listed((leading, *key.columns))})", False
    node = key.source.read()
    node.idxname, node.if_not_exists, node.concurrent = key.name, False, False
    node.relation.schemaname, node.relation.relname, node.relation.inh = _schema(table, key), table.name.name, True
    node.access_method = "" if node.access_method == "btree" else node.access_method
    params = [*node.index_params]
    del node.index_params[:]
    node.index_params.add().index_elem.CopyFrom(_element(leading))
    node.index_params.extend(params)
    included = [it for it in node.index_including_params if it.index_elem.name != leading]
    del node.index_including_params[:]
    node.index_including_params.extend(included)
    simple = not node.HasField("where_clause") and all(
        it.index_elem.name and not it.index_elem.opclass and not it.index_elem.collation for it in params
    )
    return lowered(deparsed("index_stmt", node)), not simple


def _schema(table: Table, key: Key) -> str:
    """Return the schema to write in front of a table's name; of one in public none, unless the search_path is another."""
    elsewhere = key.source is not None and key.source.path is not None
    return "" if table.name.schema == "public" and not elsewhere else table.name.schema


def _element(column: str) -> Any:
    element = postgast.pg_query_pb2.IndexElem(name=column)
    element.ordering = postgast.pg_query_pb2.SORTBY_DEFAULT
    element.nulls_ordering = postgast.pg_query_pb2.SORTBY_NULLS_DEFAULT
    return element


def _constraint(key: Key, leading: str) -> str:
    """Return `constraint … unique (…)`, or that of a primary key or of EXCLUDE."""
    proto = postgast.pg_query_pb2
    node = proto.Constraint()
    if key.source is not None and key.source.kind == "Constraint":
        node.CopyFrom(key.source.read())
    elif key.source is not None:  # an index that became a constraint
        index = key.source.read()
        node.nulls_not_distinct, node.indexspace = index.nulls_not_distinct, index.table_space
        node.options.extend(index.options)
    node.conname, node.indexname, node.location = key.name, "", 0
    node.deferrable = node.initdeferred = False
    predicate = ""
    if key.kind == "exclude":
        node.contype = proto.CONSTR_EXCLUSION
        if node.access_method == "hash":  # which takes one column, and compares by = alone
            node.access_method = "btree"
        if node.HasField("where_clause"):
            predicate = f" where ({expression(node.where_clause)})"
            node.ClearField("where_clause")
        parts = [*node.exclusions]
        del node.exclusions[:]
        pair = node.exclusions.add().list
        pair.items.add().index_elem.CopyFrom(_element(leading))
        pair.items.add().list.items.add().string.sval = "="
        node.exclusions.extend(parts)
        for part in node.exclusions:
            _qualify_operator(part.list.items[1].list)
    else:
        node.contype = proto.CONSTR_PRIMARY if key.kind == "primary key" else proto.CONSTR_UNIQUE
        set_strings(node.keys, (leading, *key.columns))
        set_strings(node.including, (column for column in key.included if column != leading))
    alter = postgast.parse("alter table t add constraint c unique (a)").stmts[0].stmt.alter_table_stmt
    getattr(alter.cmds[0].alter_table_cmd, "def").constraint.CopyFrom(node)
    text = deparsed("alter_table_stmt", alter).removeprefix("ALTER TABLE t ADD ")
    return lowered(f"{text}{predicate}") + (f" {key.timing}" if key.timing else "")


def _qualify_operator(operator: Any) -> None:
    """Give an operator with a schema the form OPERATOR(schema.=), which is the only one that the grammar takes."""
    if len(operator.items) > 1:
        *schema, name = (node.string.sval for node in operator.items)
        set_strings(operator.items, [f"operator({'.'.join(str(ColumnName(it)) for it in schema)}.{name})"])


# --- foreign keys ------------------------------------------------------------------------------------------------------


def drop_foreign_key(table: TableName, fk: ForeignKey) -> str:
    """Return the statement that drops a foreign key."""
    return f"alter table {table} drop constraint {ColumnName(fk.name)}"


def add_foreign_key(table: TableName, fk: ForeignKey, *, named: bool = True) -> list[str]:
    """Return the statements that add a foreign key, with all that it has; under its own name, or without one."""
    referenced = f" ({listed(fk.referenced)})" if fk.referenced else ""
    constraint = f"constraint {ColumnName(fk.name)} " * named
    text = f"alter table {table} add {constraint}foreign key ({listed(fk.columns)}) "
    text += f"references {fk.parent}{referenced}"
    text += " match full" if fk.match == "f" else ""
    if fk.on_delete in _ACTIONS:
        text += f" on delete {_ACTIONS[fk.on_delete]}" + (f" ({listed(fk.set_columns)})" if fk.set_columns else "")
    text += f" on update {_ACTIONS[fk.on_update]}" if fk.on_update in _ACTIONS else ""
    text += f" {fk.timing}" if fk.timing else ""
    text += "" if fk.validated else " not valid"
    if fk.comment is None or not named:
        return [text]
    return [text, f"comment on constraint {ColumnName(fk.name)} on {table} is {quote_literal(fk.comment)}"]
