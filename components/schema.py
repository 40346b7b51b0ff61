"""What the schema's SQL files say: parsed by PostgreSQL's own grammar into tables, columns, keys and foreign keys.

Reads files; runs no SQL and knows nothing of sharding.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import postgast
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from components.errors import PlanError
from components.names import TableName

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Column", "ForeignKey", "Key", "Position", "Schema", "SqlFile", "Table"]

_NOT_IN_TRANSACTION: Final = {
    "transaction_stmt": "begins or ends a transaction",
    "vacuum_stmt": "VACUUM cannot run in a transaction",
    "createdb_stmt": "cannot run in a transaction",
    "dropdb_stmt": "cannot run in a transaction",
    "create_table_space_stmt": "cannot run in a transaction",
    "alter_system_stmt": "cannot run in a transaction",
}


_LIKE_GENERATED: Final = 1 << 4
"""CREATE_TABLE_LIKE_GENERATED, an option of LIKE in PostgreSQL's parsenodes.h, as is the next."""
_LIKE_INDEXES: Final = 1 << 6


@dataclass(frozen=True)
class Position:
    """A place in a SQL file, lines and columns counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class SqlFile:
    """One file of the schema folder, whole."""

    name: str
    text: str

    def position(self, offset: int) -> Position:
        """Turn an offset in bytes of the text's UTF-8 into a line and a column."""
        before = self.text.encode()[: max(offset, 0)].decode(errors="ignore")
        return Position(self.name, before.count("\n") + 1, len(before) - before.rfind("\n"))


@dataclass(frozen=True)
class Column:
    """A column as declared; `type` is PostgreSQL's own name of it, such as `int4`."""

    name: str
    type: str
    identity: bool
    generated: bool


@dataclass(frozen=True)
class Key:
    """A PRIMARY KEY, a UNIQUE constraint, a unique index or an EXCLUDE constraint."""

    kind: str
    columns: tuple[str, ...]
    at: Position
    name: str


@dataclass(frozen=True)
class ForeignKey:
    """A reference to another table; `referenced` is empty where the other's primary key is meant.

    Actions are one letter as in pg_constraint: a none, r restrict, c cascade, n set null, d set default.
    """

    columns: tuple[str, ...]
    table: TableName
    referenced: tuple[str, ...]
    on_update: str
    on_delete: str
    at: Position
    name: str


@dataclass(frozen=True)
class Table:
    """A table once every file has run. `columns` is None where the files alone do not tell them."""

    name: TableName
    at: Position
    columns: dict[str, Column] | None = field(default_factory=dict)
    keys: tuple[Key, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    persistence: str = "p"
    parent: TableName | None = None
    """The table that it is a partition of, or inherits from."""
    partitioned: bool = False


class Schema:
    """The tables that the files of a folder create, in the order of the files' names."""

    def __init__(self, files: Iterable[SqlFile] = ()) -> None:
        self.files: list[SqlFile] = []
        self.tables: dict[TableName, Table] = {}
        self.problems: list[str] = []
        for file in files:
            self._apply(file)

    @classmethod
    def read(cls, folder: Path) -> Schema:
        """Read and parse every `*.sql` file of the folder.

        Raises:
            PlanError: the folder or a file cannot be read, or does not parse (file, line, column).
        """
        if not folder.is_dir():
            msg = f"citus:schemaDir = {str(folder)!r}: there is no such folder: create it, or name the one with your SQL files"
            raise PlanError(msg)
        files = []
        for path in sorted(folder.glob("*.sql"), key=lambda path: path.name):
            try:
                files.append(SqlFile(path.name, path.read_text(encoding="utf-8-sig")))
            except (OSError, UnicodeDecodeError) as error:
                msg = f"{path.name}: cannot be read as UTF-8 text ({error}): mend the file"
                raise PlanError(msg) from error
        schema = cls(files)
        if schema.problems:
            raise PlanError("\n".join(schema.problems))
        return schema

    def _apply(self, file: SqlFile) -> None:
        self.files.append(file)
        if "\0" in file.text:
            self.problems.append(
                f"{file.position(file.text.encode().index(0))}: a NUL byte, which SQL cannot hold: remove it"
            )
            return
        try:
            statements = postgast.parse(file.text).stmts
        except postgast.PgQueryError as error:
            offset = len(file.text[: max(error.cursorpos - 1, 0)].encode())
            self.problems.append(f"{file.position(offset)}: {error.message}")
            return
        except DecodeError:
            self.problems.append(
                f"{file.position(_too_deep(file))}: this statement nests too deep to be read, as a sum of fifty terms does: "
                "put brackets around halves of its longest expression, or split the statement"
            )
            return
        reader = _FileReader(self, file)
        for raw in statements:
            kind = raw.stmt.WhichOneof("node")
            if kind is not None:
                reader.read(kind, getattr(raw.stmt, kind), raw.stmt_location)


def _too_deep(file: SqlFile) -> int:
    """Return the offset in bytes of the first statement of which protobuf, which has a limit, cannot read the tree."""
    offset = 0
    for statement in postgast.split(file.text):
        offset = file.text.index(statement, offset)
        try:
            postgast.parse(statement)
        except DecodeError:
            break
    return len(file.text[:offset].encode())


def _is_concurrent(kind: str, statement: Any) -> bool:
    if kind in ("index_stmt", "drop_stmt"):
        return bool(statement.concurrent)
    if kind == "reindex_stmt":
        return any(param.def_elem.defname == "concurrently" for param in statement.params)
    if kind == "alter_table_stmt":
        return any(getattr(node.alter_table_cmd, "def").partition_cmd.concurrent for node in statement.cmds)
    return False


class _FileReader:
    """Applies the statements of one file to the schema; keeps the file's search_path."""

    def __init__(self, schema: Schema, file: SqlFile) -> None:
        self.schema = schema
        self.file = file
        self.search_path = "public"

    def read(self, kind: str, statement: Any, offset: int) -> None:
        is_analyze = kind == "vacuum_stmt" and not statement.is_vacuumcmd
        if _is_concurrent(kind, statement) or (kind in _NOT_IN_TRANSACTION and not is_analyze):
            why = _NOT_IN_TRANSACTION.get(kind, "CONCURRENTLY cannot run in a transaction")
            self.schema.problems.append(
                f"{self.file.position(offset)}: this {why}, but each file runs as one transaction: remove it"
            )
            return
        reader = getattr(self, f"_{kind}", None)
        if reader is not None:
            reader(statement, self.file.position(offset))

    def _name(self, relation: Any) -> TableName:
        return TableName(relation.schemaname or self.search_path, relation.relname)

    def _variable_set_stmt(self, statement: Any, at: Position) -> None:
        if statement.name == "search_path":
            names = [arg.a_const.sval.sval for arg in statement.args]
            self.search_path = next((name for name in names if name != "$user"), "public")

    def _create_stmt(self, statement: Any, at: Position) -> None:
        name = self._name(statement.relation)
        if name in self.schema.tables and statement.if_not_exists:
            return
        parents = [self._name(node.range_var) for node in statement.inh_relations]
        is_partition = statement.HasField("partbound")
        table = Table(
            name,
            at,
            columns=None if statement.HasField("of_typename") else {},
            persistence=statement.relation.relpersistence,
            parent=parents[0] if parents else None,
            partitioned=statement.HasField("partspec"),
        )
        for parent in parents:
            if parent not in self.schema.tables:
                table = replace(table, columns=None)
            else:
                table = _merged(table, self.schema.tables[parent], keys=is_partition)
        for element in statement.table_elts:
            kind = element.WhichOneof("node")
            if kind == "column_def":
                table = self._with_column(table, element.column_def)
            elif kind == "constraint":
                table = self._with_constraint(table, element.constraint, ())
            elif kind == "table_like_clause":
                clause = element.table_like_clause
                source = self.schema.tables.get(self._name(clause.relation))
                if source is None:
                    table = replace(table, columns=None)
                else:
                    source = source if clause.options & _LIKE_GENERATED else _without_generated(source)
                    table = _merged(table, source, keys=bool(clause.options & _LIKE_INDEXES))
        self.schema.tables[name] = table

    def _create_table_as_stmt(self, statement: Any, at: Position) -> None:
        is_table = statement.objtype == postgast.pg_query_pb2.ObjectType.OBJECT_TABLE
        if is_table and not (statement.if_not_exists and self._name(statement.into.rel) in self.schema.tables):
            self._create_from_query(statement.into.rel, at)

    def _select_stmt(self, statement: Any, at: Position) -> None:
        if statement.HasField("into_clause"):
            self._create_from_query(statement.into_clause.rel, at)

    def _create_from_query(self, relation: Any, at: Position) -> None:
        name = self._name(relation)
        self.schema.tables[name] = Table(name, at, columns=None, persistence=relation.relpersistence)

    def _index_stmt(self, statement: Any, at: Position) -> None:
        table = self.schema.tables.get(self._name(statement.relation))
        if table is not None and statement.unique:
            columns = tuple(param.index_elem.name or "<expression>" for param in statement.index_params)
            key = _key(table, "unique index", columns, at, statement.idxname)
            self.schema.tables[table.name] = replace(table, keys=(*table.keys, key))

    def _drop_stmt(self, statement: Any, at: Position) -> None:
        kind = postgast.pg_query_pb2.ObjectType.Name(statement.remove_type)
        if kind not in ("OBJECT_TABLE", "OBJECT_INDEX"):
            return
        for node in statement.objects:
            *schema, name = (item.string.sval for item in node.list.items)
            dropped = TableName(schema[-1] if schema else self.search_path, name)
            if kind == "OBJECT_TABLE":
                self.schema.tables.pop(dropped, None)
            else:
                self._rename_index(dropped, None)

    def _rename_index(self, index: TableName, new: str | None) -> None:
        """Give the index another name, or none: an index is in the schema of its table."""
        for table in list(self.schema.tables.values()):
            if table.name.schema == index.schema:
                named = {key.name: key for key in table.keys}
                if index.name in named:
                    changed = [replace(named[index.name], name=new)] if new else []
                    others = (key for key in table.keys if key.name != index.name)
                    self.schema.tables[table.name] = replace(table, keys=(*others, *changed))

    def _rename_stmt(self, statement: Any, at: Position) -> None:
        kind = postgast.pg_query_pb2.ObjectType.Name(statement.rename_type)
        name = self._name(statement.relation)
        if kind == "OBJECT_INDEX":
            self._rename_index(name, statement.newname)
        table = self.schema.tables.get(name)
        if table is None:
            return
        new = {statement.subname: statement.newname}
        if kind == "OBJECT_TABLE":
            self._move(table, TableName(name.schema, statement.newname))
        elif kind == "OBJECT_COLUMN":
            self._rename_column(table, new)
        elif kind == "OBJECT_TABCONSTRAINT":
            keys = tuple(replace(key, name=new.get(key.name, key.name)) for key in table.keys)
            fks = tuple(replace(fk, name=new.get(fk.name, fk.name)) for fk in table.foreign_keys)
            self.schema.tables[name] = replace(table, keys=keys, foreign_keys=fks)

    def _move(self, table: Table, name: TableName) -> None:
        """Give the table another name; the foreign keys to it follow."""
        del self.schema.tables[table.name]
        self.schema.tables[name] = replace(table, name=name)
        for other in self.schema.tables.values():
            fks = tuple(replace(fk, table=name) if fk.table == table.name else fk for fk in other.foreign_keys)
            parent = name if other.parent == table.name else other.parent
            self.schema.tables[other.name] = replace(other, foreign_keys=fks, parent=parent)

    def _rename_column(self, table: Table, new: dict[str, str]) -> None:
        """Give columns of the table other names; its keys and the foreign keys to it follow."""

        def renamed(columns: Iterable[str]) -> tuple[str, ...]:
            return tuple(new.get(column, column) for column in columns)

        columns = table.columns and {
            new.get(name, name): replace(column, name=new.get(name, name)) for name, column in table.columns.items()
        }
        keys = tuple(replace(key, columns=renamed(key.columns)) for key in table.keys)
        fks = tuple(replace(fk, columns=renamed(fk.columns)) for fk in table.foreign_keys)
        self.schema.tables[table.name] = replace(table, columns=columns, keys=keys, foreign_keys=fks)
        for other in self.schema.tables.values():
            fks = tuple(
                replace(fk, referenced=renamed(fk.referenced)) if fk.table == table.name else fk
                for fk in other.foreign_keys
            )
            self.schema.tables[other.name] = replace(other, foreign_keys=fks)

    def _alter_object_schema_stmt(self, statement: Any, at: Position) -> None:
        table = self.schema.tables.get(self._name(statement.relation))
        if table is not None:
            self._move(table, TableName(statement.newschema, table.name.name))

    def _alter_table_stmt(self, statement: Any, at: Position) -> None:
        table = self.schema.tables.get(self._name(statement.relation))
        if table is None:
            return
        for node in statement.cmds:
            command = node.alter_table_cmd
            action = postgast.pg_query_pb2.AlterTableType.Name(command.subtype)
            if action == "AT_AddColumn":
                definition = getattr(command, "def").column_def
                if not (command.missing_ok and table.columns is not None and definition.colname in table.columns):
                    table = self._with_column(table, definition)
            elif action == "AT_DropColumn" and table.columns is not None:
                gone = command.name
                table = replace(
                    table,
                    columns={name: column for name, column in table.columns.items() if name != gone},
                    keys=tuple(key for key in table.keys if gone not in key.columns),
                    foreign_keys=tuple(fk for fk in table.foreign_keys if gone not in fk.columns),
                )
            elif action == "AT_AddConstraint":
                table = self._with_constraint(table, getattr(command, "def").constraint, ())
            elif action == "AT_DropConstraint":
                table = replace(
                    table,
                    keys=tuple(key for key in table.keys if key.name != command.name),
                    foreign_keys=tuple(fk for fk in table.foreign_keys if fk.name != command.name),
                )
            elif action == "AT_AlterColumnType" and table.columns is not None and command.name in table.columns:
                type_name = _type_name(getattr(command, "def").column_def.type_name)
                column = replace(table.columns[command.name], type=type_name)
                table = replace(table, columns={**table.columns, column.name: column})
        self.schema.tables[table.name] = table

    def _with_column(self, table: Table, definition: Any) -> Table:
        kinds = {postgast.pg_query_pb2.ConstrType.Name(node.constraint.contype) for node in definition.constraints}
        column = Column(
            definition.colname,
            _type_name(definition.type_name),
            identity="CONSTR_IDENTITY" in kinds,
            generated="CONSTR_GENERATED" in kinds,
        )
        if table.columns is not None:
            table = replace(table, columns={**table.columns, column.name: column})
        for node in definition.constraints:
            table = self._with_constraint(table, node.constraint, (column.name,))
        return table

    def _with_constraint(self, table: Table, constraint: Any, own_columns: tuple[str, ...]) -> Table:
        kind = postgast.pg_query_pb2.ConstrType.Name(constraint.contype)
        at = self.file.position(constraint.location)
        named = tuple(key.string.sval for key in constraint.keys) or own_columns
        if kind in ("CONSTR_PRIMARY", "CONSTR_UNIQUE"):
            if constraint.indexname:
                key = next((key for key in table.keys if key.name == constraint.indexname), None)
                named = key.columns if key else named
                table = replace(table, keys=tuple(other for other in table.keys if other is not key))
            name = constraint.conname or constraint.indexname
            key = _key(table, "primary key" if kind == "CONSTR_PRIMARY" else "unique", named, at, name)
            return replace(table, keys=(*table.keys, key))
        if kind == "CONSTR_EXCLUSION":
            columns = tuple(node.list.items[0].index_elem.name or "<expression>" for node in constraint.exclusions)
            return replace(table, keys=(*table.keys, _key(table, "exclude", columns, at, constraint.conname)))
        if kind == "CONSTR_FOREIGN":
            columns = tuple(key.string.sval for key in constraint.fk_attrs) or own_columns
            fk = ForeignKey(
                columns,
                self._name(constraint.pktable),
                tuple(key.string.sval for key in constraint.pk_attrs),
                constraint.fk_upd_action,
                constraint.fk_del_action,
                at,
                constraint.conname or _default_name(table, columns, "fkey"),
            )
            return replace(table, foreign_keys=(*table.foreign_keys, fk))
        return table


def _merged(table: Table, source: Table, *, keys: bool) -> Table:
    if table.columns is None or source.columns is None:
        return replace(table, columns=None)
    table = replace(table, columns={**source.columns, **table.columns})
    copied = tuple(_key(table, key.kind, key.columns, key.at, "") for key in source.keys) if keys else ()
    return replace(table, keys=(*copied, *table.keys))


def _without_generated(table: Table) -> Table:
    columns = table.columns and {name: replace(column, generated=False) for name, column in table.columns.items()}
    return replace(table, columns=columns)


def _key(table: Table, kind: str, columns: tuple[str, ...], at: Position, name: str) -> Key:
    """Return a key with its name, or with the one that PostgreSQL gives it."""
    suffix = {"primary key": "pkey", "unique": "key", "exclude": "excl", "unique index": "idx"}[kind]
    return Key(kind, columns, at, name or _default_name(table, () if kind == "primary key" else columns, suffix))


def _default_name(table: Table, columns: tuple[str, ...], suffix: str) -> str:
    return "_".join((table.name.name, *columns, suffix))


def _type_name(node: Any) -> str:
    """Return the type as PostgreSQL's grammar normalises it, without pg_catalog: `integer` is `int4`, serial too."""
    name: str = node.names[-1].string.sval if node.names else ""
    serials = {
        "serial": "int4",
        "serial4": "int4",
        "bigserial": "int8",
        "serial8": "int8",
        "smallserial": "int2",
        "serial2": "int2",
    }
    return serials.get(name, name) + "[]" * len(node.array_bounds)
