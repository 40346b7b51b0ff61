"""Helpers over the parse trees of PostgreSQL's own grammar."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import postgast

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

__all__ = [
    "BUILT_IN_OPERATORS",
    "SERIALS",
    "action_of",
    "bounds_of",
    "collation_of",
    "constraint_kind",
    "constraints_of",
    "has_subquery",
    "is_cascade",
    "is_dummy_view",
    "label_of",
    "messages",
    "messages_by_type",
    "modifiers_of",
    "nodes",
    "object_type",
    "parameter_mode",
    "ranges_of",
    "referenced",
    "scale_of",
    "set_strings",
    "shown_columns",
    "strings",
    "tables_named",
    "timing_of",
    "types_named",
]


BUILT_IN_OPERATORS: Final = frozenset(
    {"!~", "!~*", "!~~", "!~~*", "#", "#>", "#>>", "%", "&", "&&", "&<", "&>", "*", "+", "-", "->", "->>", "-|-"}
    | {"/", "<", "<->", "<<", "<=", "<>", "<@", "=", ">", ">=", ">>", "?", "?&", "?|", "@", "@>", "@@", "^", "|"}
    | {"||", "~", "~*", "~=", "~~", "~~*"}
)
"""Names of operators that PostgreSQL has itself, for some types: which of them is meant, a name alone does not tell."""


_BUILT_IN_TYPES: Final = frozenset(
    {"aclitem", "bigserial", "bit", "bool", "box", "bpchar", "bytea", "char", "cid", "cidr", "circle", "date"}
    | {"datemultirange", "daterange", "float4", "float8", "gtsvector", "inet", "int2", "int2vector", "int4"}
    | {"int4multirange", "int4range", "int8", "int8multirange", "int8range", "interval", "json", "jsonb"}
    | {"jsonpath", "line", "lseg", "macaddr", "macaddr8", "money", "name", "numeric", "nummultirange", "numrange"}
    | {"oid", "oidvector", "path", "pg_lsn", "pg_snapshot", "point", "polygon", "record", "refcursor", "regclass"}
    | {"regcollation", "regconfig", "regdictionary", "regnamespace", "regoper", "regoperator", "regproc"}
    | {"regprocedure", "regrole", "regtype", "serial", "serial2", "serial4", "serial8", "smallserial", "text"}
    | {"tid", "time", "timestamp", "timestamptz", "timetz", "tsmultirange", "tsquery", "tsrange", "tstzmultirange"}
    | {"tstzrange", "tsvector", "txid_snapshot", "uuid", "varbit", "varchar", "xid", "xid8", "xml"}
)


SERIALS: Final = {
    "serial": "int4",
    "serial4": "int4",
    "bigserial": "int8",
    "serial8": "int8",
    "smallserial": "int2",
    "serial2": "int2",
}


def object_type(value: int) -> str:
    """Return the name of an ObjectType, such as OBJECT_TABLE."""
    return str(postgast.pg_query_pb2.ObjectType.Name(value))


def constraint_kind(constraint: Any) -> str:
    """Return a constraint's kind, such as CONSTR_CHECK."""
    return str(postgast.pg_query_pb2.ConstrType.Name(constraint.contype))


def parameter_mode(parameter: Any) -> str:
    """Return how a function takes a parameter: DEFAULT, IN, OUT, INOUT, VARIADIC or TABLE."""
    return str(postgast.pg_query_pb2.FunctionParameterMode.Name(parameter.mode)).removeprefix("FUNC_PARAM_")


def action_of(command: Any) -> str:
    """Return what an AlterTableCmd does, such as AddColumn."""
    return str(postgast.pg_query_pb2.AlterTableType.Name(command.subtype)).removeprefix("AT_")


def is_cascade(statement: Any) -> bool:
    """Tell whether a DROP, or a subcommand that drops, is said with CASCADE."""
    return str(postgast.pg_query_pb2.DropBehavior.Name(statement.behavior)) == "DROP_CASCADE"


def strings(listed: Iterable[Any]) -> tuple[str, ...]:
    """Return the texts of a list of String nodes, such as the columns of a key."""
    return tuple(node.string.sval for node in listed)


def set_strings(listed: Any, texts: Iterable[str]) -> None:
    """Give a list of String nodes these texts, and no others."""
    del listed[:]
    for text in texts:
        listed.add().string.sval = text


def constraints_of(nodes: Iterable[Any]) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """Yield each constraint of a column with the attributes that follow it, such as DEFERRABLE."""
    held: list[tuple[Any, list[str]]] = []
    for node in nodes:
        kind = constraint_kind(node.constraint)
        if kind.startswith("CONSTR_ATTR") and held:
            held[-1][1].append(kind)
        else:
            held.append((node.constraint, []))
    return ((constraint, tuple(attributes)) for constraint, attributes in held)


def _parts(message: Any, but: frozenset[str] = frozenset()) -> Iterator[tuple[Any, list[Any]]]:
    """Yield each field of a tree that holds messages, with these, however deep; nothing within fields of the names `but`."""
    waiting = [message]
    while waiting:
        for field, value in waiting.pop().ListFields():
            if field.message_type is not None and field.name not in but:
                parts = [value] if hasattr(value, "ListFields") else list(value)
                yield field, parts
                waiting.extend(parts)


def nodes(message: Any, kind: str, *, but: frozenset[str] = frozenset()) -> Iterator[Any]:
    """Yield every node of a kind within a tree, however deep, except within nodes of the kinds `but`."""
    return (part for field, parts in _parts(message, but) if field.name == kind for part in parts)


def messages(message: Any, kind: str) -> Iterator[Any]:
    """Yield every message of a type within a tree, such as RoleSpec, whatever field holds it."""
    return (part for field, parts in _parts(message) if field.message_type.name == kind for part in parts)


def messages_by_type(message: Any) -> dict[str, list[Any]]:
    """Return every message within a tree, by its type."""
    found: dict[str, list[Any]] = {}
    for field, parts in _parts(message):
        found.setdefault(field.message_type.name, []).extend(parts)
    return found


def ranges_of(clause: Iterable[Any]) -> Iterator[Any]:
    """Yield the tables of a FROM clause, those within joins too."""
    for node in clause:
        if node.HasField("range_var"):
            yield node.range_var
        elif node.HasField("join_expr"):
            yield from ranges_of([node.join_expr.larg, node.join_expr.rarg])


def referenced(column: Any) -> tuple[str, str]:
    """Return the table's name or alias, empty where there is none, and the column, `*` for all."""
    *of, name = ("*" if node.HasField("a_star") else node.string.sval for node in column.fields)
    return (of[-1] if of else "", name)


def label_of(expression: Any) -> str:
    """Return the word for an expression in an index's name (FigureIndexColname of PostgreSQL)."""
    if expression.HasField("func_call"):
        return str(expression.func_call.funcname[-1].string.sval)
    if expression.HasField("column_ref"):
        return str(expression.column_ref.fields[-1].string.sval)
    if expression.HasField("type_cast"):
        label = label_of(expression.type_cast.arg)
        return label if label != "expr" else str(expression.type_cast.type_name.names[-1].string.sval)
    return "coalesce" if expression.HasField("coalesce_expr") else "expr"


_AGGREGATES: Final = re.compile(
    r"count|sum|avg|min|max|every|(bool|bit)_(and|or|xor)|stddev(_pop|_samp)?|variance|var_(pop|samp)|corr|covar_.*|regr_.*"
    r"|percentile_(cont|disc)|mode|any_value|xmlagg|.*_agg|st_(union|memunion|collect|extent|3dextent|makeline|polygonize)"
)
"""Those of PostgreSQL and PostGIS, and what is named as one."""


def shown_columns(clause: Any, aggregates: Container[str] = ()) -> Iterator[Any]:
    """Yield the columns of an expression that GROUP BY has to have: not those within aggregates and subqueries.

    `aggregates` are the names of further ones.
    """
    waiting = [clause]
    while waiting:
        for field, value in waiting.pop().ListFields():
            if field.message_type is None or field.name == "sub_link":
                continue
            parts = [value] if hasattr(value, "ListFields") else list(value)
            if field.name == "column_ref":
                yield from parts
            elif field.name == "func_call":
                parts = [call for call in parts if not _is_aggregate(call, aggregates)]
            waiting.extend(parts)


def _is_aggregate(call: Any, aggregates: Container[str]) -> bool:
    name = call.funcname[-1].string.sval
    marked = (
        call.agg_star or call.agg_distinct or call.agg_within_group or call.agg_order or call.HasField("agg_filter")
    )
    return not call.HasField("over") and bool(marked or name in aggregates or _AGGREGATES.fullmatch(name))


def has_subquery(statement: Any) -> bool:
    """Tell whether a statement has a subquery."""
    return any(True for _ in nodes(statement, "sub_link"))


def is_dummy_view(statement: Any) -> bool:
    """Tell whether a ViewStmt holds a place for the view that comes later: it shows NULLs alone, as pg_dump writes it."""
    select = statement.query.select_stmt
    values = [node.res_target.val for node in select.target_list]
    return not select.from_clause and bool(values) and all(value.type_cast.arg.a_const.isnull for value in values)


def bounds_of(options: Iterable[Any]) -> Iterator[int]:
    """Yield START, MINVALUE and MAXVALUE of a sequence, as far as they are given."""
    for node in options:
        option = node.def_elem
        if option.defname in ("start", "minvalue", "maxvalue"):
            text = option.arg.float.fval or str(option.arg.integer.ival)
            if option.HasField("arg") and text.lstrip("-").isdecimal():
                yield int(text)


def collation_of(clause: Any) -> str:
    """Return the collation that a clause names."""
    names = [node.string.sval for node in clause.collname]
    return ".".join(names[1:] if names[:1] == ["pg_catalog"] else names)


def scale_of(type_name: Any) -> int:
    """Return the scale of numeric (precision, scale)."""
    if type_name.names and type_name.names[-1].string.sval == "numeric" and len(type_name.typmods) > 1:
        return int(type_name.typmods[1].a_const.ival.ival) * (1 if type_name.typmods[1].HasField("a_const") else 0)
    return 0


def modifiers_of(type_name: Any) -> str:
    """Return the modifiers of a type as they are written, such as (20) of varchar(20); empty for those that are no numbers."""
    numbers = [node.a_const for node in type_name.typmods]
    if (
        not numbers
        or type_name.names[-1].string.sval == "interval"
        or any(it.WhichOneof("val") != "ival" for it in numbers)
    ):
        return ""
    return f"({', '.join(str(it.ival.ival) for it in numbers)})"


def timing_of(constraint: Any, attributes: Iterable[str] = ()) -> str:
    """Return when a constraint is checked, as it is written behind it; empty for one that is not deferrable."""
    deferred = constraint.initdeferred or "CONSTR_ATTR_DEFERRED" in attributes
    if not (deferred or constraint.deferrable or "CONSTR_ATTR_DEFERRABLE" in attributes):
        return ""
    return "deferrable initially deferred" if deferred else "deferrable"


def tables_named(kind: str, statement: Any) -> Iterable[Any]:
    """Return the tables and views, as RangeVars, that have to be there for a statement to run; not the one that it makes."""
    return _TABLES[kind](statement) if kind in _TABLES else ()


def _of_create(statement: Any) -> Iterator[Any]:
    yield from (node.range_var for node in statement.inh_relations)
    for element in statement.table_elts:
        if element.HasField("table_like_clause"):
            yield element.table_like_clause.relation
        yield from _other_targets(element, statement.relation)


def _of_alter(statement: Any) -> Iterator[Any]:
    if not statement.missing_ok:
        yield statement.relation
        for node in statement.cmds:
            yield from _other_targets(getattr(node.alter_table_cmd, "def"), statement.relation)


def _of_query(statement: Any) -> Iterator[Any]:
    ctes = {it.ctename for it in messages(statement.query, "CommonTableExpr")}
    yield from (it for it in messages(statement.query, "RangeVar") if it.schemaname or it.relname not in ctes)


def _of_grant(statement: Any) -> Iterator[Any]:
    if object_type(statement.objtype) in ("OBJECT_TABLE", "OBJECT_SEQUENCE"):
        yield from (node.range_var for node in statement.objects if node.HasField("range_var"))


def _owners(options: Iterable[Any]) -> Iterator[Any]:
    """Yield the table that OWNED BY names, as a RangeVar."""
    for option in options:
        *table, _ = strings(option.def_elem.arg.list.items) or ("",)
        if option.def_elem.defname == "owned_by" and table:
            yield postgast.pg_query_pb2.RangeVar(schemaname="".join(table[-2:-1]), relname=table[-1])


_TABLES: Final[dict[str, Callable[[Any], Iterable[Any]]]] = {
    "create_stmt": _of_create,
    "alter_table_stmt": _of_alter,
    "view_stmt": _of_query,
    "create_table_as_stmt": _of_query,
    "grant_stmt": _of_grant,
    "create_policy_stmt": lambda it: (it.table,),
    **dict.fromkeys(
        ("insert_stmt", "update_stmt", "delete_stmt", "copy_stmt", "index_stmt", "create_trig_stmt"),
        lambda it: (it.relation,),
    ),
    **dict.fromkeys(("truncate_stmt", "lock_stmt"), lambda it: [node.range_var for node in it.relations]),
    **dict.fromkeys(("create_seq_stmt", "alter_seq_stmt"), lambda it: _owners(it.options)),
}


def types_named(kind: str, statement: Any) -> Iterator[Any]:
    """Yield the types, as TypeNames, that have to be there for a statement to run, but those of PostgreSQL itself."""
    if kind == "create_stmt":
        found = [element.column_def.type_name for element in statement.table_elts]
    elif kind == "alter_table_stmt":
        found = [getattr(node.alter_table_cmd, "def").column_def.type_name for node in statement.cmds]
    elif kind == "composite_type_stmt":
        found = [node.column_def.type_name for node in statement.coldeflist]
    elif kind == "create_domain_stmt":
        found = [statement.type_name]
    else:
        return
    for name in found:
        parts = strings(name.names)
        if parts and (len(parts) > 1 or parts[0] not in _BUILT_IN_TYPES) and parts[0] != "pg_catalog":
            yield name


def _other_targets(node: Any, own: Any) -> Iterator[Any]:
    """Yield the tables that foreign keys reference, other than the table that has them."""
    for constraint in (node.constraint, *(it.constraint for it in node.column_def.constraints)):
        target = constraint.pktable
        if constraint.HasField("pktable") and (target.schemaname, target.relname) != (own.schemaname, own.relname):
            yield target
