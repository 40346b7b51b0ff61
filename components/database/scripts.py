"""Files of the schema: each runs once, in one transaction, and is written down in a ledger with the hash of its text.

A file that says that it runs outside a transaction runs statement by statement, each of which is written down.

Takes a connection; knows nothing of Pulumi.
"""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, LiteralString

import psycopg
from psycopg import sql

from components.database import constraints, roles
from components.database.connections import is_lost
from components.database.metadata import get_table
from components.database.schemas import get_schema
from components.database.statements import get_value, regclass, sequentially, statement
from components.database.without_transaction import Progress, Remnant, find_index, find_invalid
from components.errors import DriftError, StackError
from components.names import TableName
from components.schema import passwords
from components.schema.rewriting import Kind
from components.schema.rewriting.text import deparsed
from components.schema.transactions import MARK, is_alone, is_of_session, read_mark
from components.tables import Distributed, Reference

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from components.database.connections import Connection
    from components.keys import ForeignKey
    from components.schema.dumps import Dump
    from components.schema.relations import Position
    from components.schema.statements import SqlFile, Statement

__all__ = ["ensure_script", "get_script"]


def get_script(connection: Connection, file_name: str) -> str | None:
    """Return the hash of the file as it was applied; None where it was not."""
    row = connection.execute(statement("get_script"), {"file_name": file_name}).fetchone()
    return row[0] if row else None


def _refuse_edited(file_name: str, applied: str, digest: str) -> None:
    """Raise DriftError where a file is not, to the letter, what was applied under its name."""
    if applied != digest:
        msg = (
            f"{file_name} was applied to this cluster and has been edited since (sha256 {digest[:12]}…, applied "
            f"{applied[:12]}…): put it back as it was, and write the change as a new file that sorts behind it"
        )
        raise DriftError(msg)


def ensure_script(connection: Connection, file: SqlFile, *, to_shard: Collection[TableName] = ()) -> list[str]:
    """Run a schema file in one transaction and write it into the ledger; nothing happens where it stands there.

    One that says that it runs outside a transaction (schema/transactions.py) runs each statement for itself; where a run before
    was interrupted, it goes on with the first that has not run, and an INVALID index that this one left is made again.

    Statement by statement, and one shard after the other: of a sharded table, Citus sends some changes to the workers with all
    the text that they came with, and where foreign keys tie tables to reference tables, it takes nothing else. A statement
    that Citus takes in another form alone runs in that form (rewriting.py). Rows of COPY are sent on as they are read.

    `to_shard` are tables that this update shards. Until then they stay out of Citus's metadata, which nothing with an identity
    column would leave again: their foreign keys to reference tables are set aside in the ledger, for their turn to restore.

    A password that it gives a role is not sent, but what PostgreSQL keeps of it; the nodes come to know it (roles.py). While a
    file that holds a password runs, the server writes no statement into its log.

    Returns:
        a line for each kind of what was passed over: owners and grants of roles that are not there; and what became of an
        interrupted run.

    Raises:
        DriftError: the file, or a statement of it that has run, was applied with another text.
        StackError: the database refuses a statement, with file, line and column; or the file was edited while it ran. Nothing of
            it remains; of a file outside a transaction, what ran before.
    """
    applied = get_script(connection, file.name)
    if applied is not None:
        _refuse_edited(file.name, applied, file.digest)
        return []
    is_alone = read_mark(file.comments)
    if is_alone or file.text is None or passwords.mention(file.text):
        roles.make_ledger(connection)
    run = _FileRun(connection, file, to_shard)
    if is_alone:
        told = run.run_each()
    else:
        told = []
        with sequentially(connection):
            run.run()
            run.record()
    return [*told, *run.passed_over()]


class _FileRun:
    """One run of a file, within a transaction."""

    def __init__(self, connection: Connection, file: SqlFile, to_shard: Collection[TableName]) -> None:
        self._connection = connection
        self._file = file
        self._is_secret = file.text is None or passwords.hold(file.text)
        """Whether it can hold a password: a file that is not here is not searched for one."""
        self._later = _Later(connection, to_shard) if _has_sharded_tables(connection) else None
        self._learned: dict[int, roles.Learned] = {}
        self._dummies: set[str] = set()
        """Views that hold a place, and views that show those."""
        self._as_written = True
        """Whether the current statement runs as it is written."""
        self._ending = "; nothing of this file was applied"
        """What became of what ran before a failure."""
        self._left_out: dict[str, int] = {}
        """How many statements named a role that is not there."""

    def passed_over(self) -> list[str]:
        """Return a line about the statements that were left out, if there were any."""
        if not self._left_out:
            return []
        named = ", ".join(f"{role} ({count})" for role, count in sorted(self._left_out.items()))
        return [f"{self._file.name}: owners and grants of roles that this cluster does not have were left out: {named}"]

    def run(self) -> None:
        """Run all statements, and write down what is to be known of them later."""
        self._begin()
        dump = self._dump()
        for part in self._parts(dump):
            self._run_part(part, dump)
        self._connection.execute(_RESET)
        self._end()

    def run_each(self) -> list[str]:
        """Run each statement for itself, but those that a run before has done; return a line for what that run left.

        Session settings are set again. What fails leaves what ran before it.
        """
        progress = Progress(self._connection, self._file.name)
        told = [f"{self._file.name}: goes on after {progress.done} statements"] if progress.done else []
        dump = self._dump()
        for number, part in enumerate(self._parts(dump), 1):
            kind, tree = _parse(part.text) or ("", None)
            if progress.is_done(number, part) and not is_of_session(kind, tree):
                continue
            if number > 1:
                self._ending = f"; the {number - 1} statements before it stay applied"
            if is_alone(kind, tree):
                told += self._run_alone(number, part, dump, progress, kind, tree)
                continue
            with sequentially(self._connection):
                self._begin()
                self._run_part(part, dump)
                self._end()
                progress.finish(number, part)
        self._connection.execute(_RESET)
        with self._connection.transaction():
            self.record()
            progress.forget()
        return told

    def record(self) -> None:
        """Write the file into the ledger.

        Raises:
            StackError: it was edited while it ran.
        """
        if self._file.text is None and replace(self._file).digest != self._file.digest:
            msg = f"{self._file.name} was edited while it ran{self._ending}; run the update again"
            raise StackError(msg)
        row = {"file_name": self._file.name, "sha256": self._file.digest}
        self._connection.execute(statement("record_script"), row)

    def _dump(self) -> Dump:
        from components.schema.dumps import Dump  # noqa: PLC0415 - takes a while, and an update seldom has files to run

        return Dump(_refuse, self._knows_parameter)

    def _parts(self, dump: Dump) -> Iterator[Statement]:
        """Yield what is not a command of psql."""
        for part in self._file.read():
            if part.is_command:
                dump.command(part)
            else:
                yield part

    def _begin(self) -> None:
        """Begin a transaction's work."""
        if self._is_secret:
            roles.keep_out_of_log(self._connection)
        if self._later:
            self._connection.execute("set local citus.enable_repartition_joins = on")

    def _end(self) -> None:
        """Write down what is to be known later of what has run."""
        if self._later:
            self._later.set_aside()
        roles.record(self._connection, self._learned)

    def _run_alone(
        self, number: int, part: Statement, dump: Dump, progress: Progress, kind: str, tree: Any
    ) -> Iterator[str]:
        """Run a statement that PostgreSQL runs outside a transaction alone; yield what an interrupted run left of it.

        Raises:
            StackError: it is refused. What it left INVALID is dropped.
        """
        connection, left, is_begun = self._connection, progress.remnant(number), progress.is_begun(number, part)
        if dropped := left and left.drop(connection, is_wanted=is_begun):
            yield f"{part.at}: dropped what an interrupted run left: {dropped}"
        remnant = _remnant(kind, tree, _Live(connection, ()))
        if remnant and remnant.kind == "index" and find_index(connection, remnant.name):
            if left == remnant:
                progress.finish(number, part)
                return
            where = find_invalid(connection, remnant.name) if tree.if_not_exists else ""
            if where:
                msg = (
                    f"{part.at}: the index {remnant.name} is there, but {where}, and IF NOT EXISTS would leave it so. Drop it "
                    f"(drop index concurrently {remnant.name}), then run the update again"
                )
                raise StackError(msg)
            remnant = None  # one that was there before
        if kind == "drop_stmt" and is_begun and not tree.missing_ok:
            tree.missing_ok = True
            part = replace(part, raw=deparsed(kind, tree).encode())
        progress.begin(number, part, remnant)
        try:
            self._run_part(part, dump)
        except StackError:
            if remnant:
                with suppress(psycopg.Error):  # the next run tries again
                    remnant.drop(connection)
            raise
        progress.finish(number, part)

    def _run_part(self, part: Statement, dump: Dump) -> None:
        self._as_written = True
        change = passwords.find_change(part.text)
        try:
            if part.rows is not None:
                with self._connection.cursor().copy(part.raw) as copy:
                    for rows in part.rows:
                        copy.write(rows)
            elif change is not None:
                self._as_written = False
                for oid, role in roles.change_password(self._connection, change).items():
                    self._learned[oid] = role._replace(name=self._learned.get(oid, role).name)
            else:
                self._run_statement(part, dump)
        except psycopg.Error as error:
            if is_lost(error):
                raise
            located = f"{_located(part, error, as_written=self._as_written)}{self._ending}"
            raise StackError(located) from (None if self._is_secret else error)

    def _run_statement(self, part: Statement, dump: Dump) -> None:
        """Run a statement as this cluster can run it, unless it is passed over."""
        is_plain = self._later is None and _ROWS.match(part.text)  # large, and nothing is to be left out of it
        parsed = None if is_plain else _parse(part.text)
        if parsed is None:
            self._connection.execute(part.raw)
            return
        kind, tree = parsed
        if not dump.is_for_server(kind, tree, part.at):
            return
        if "columnar" in part.text.lower() and kind != "create_extension_stmt":
            self._make_columnar()
        with _off(self._connection, "citus.enable_ddl_propagation", when=self._is_for_coordinator(kind, tree)):
            raw = self._without_missing_roles(part.raw, kind, tree)
            self._as_written = raw is part.raw
            if raw is None:
                return
            if self._later is None:
                self._connection.execute(raw)
            elif not self._later.run(raw, kind, tree):
                self._as_written = False

    def _make_columnar(self) -> None:
        """Create the extension of columnar tables where Citus has not: from 13.2 on it does so no more."""
        if get_value(self._connection, "lacks_columnar"):
            self._connection.execute("create extension citus_columnar")

    def _without_missing_roles(self, raw: bytes, kind: str, tree: Any) -> bytes | None:
        """Return the statement without roles that are not there, which its tree loses too; None where nothing is left of it."""
        from components.schema.dumps import roles_of, without_roles  # noqa: PLC0415

        missing = [role for role in dict.fromkeys(roles_of(kind, tree)) if not self._has_role(role)]
        if not missing:
            return raw
        for role in missing:
            self._left_out[role] = self._left_out.get(role, 0) + 1
        kept = without_roles(kind, tree, missing)
        return None if kept is None else deparsed(kind, kept).encode()

    def _is_for_coordinator(self, kind: str, tree: Any) -> bool:
        """Tell whether Citus must not know what a statement makes: a dummy of a view, or what is made of one.

        It refuses to put a view that depends on a key in the place of one that it has passed on to the workers.
        """
        from components.schema.parse_tree import is_dummy_view, messages  # noqa: PLC0415

        if kind not in ("view_stmt", "create_function_stmt", "create_table_as_stmt"):
            return False
        is_dummy = kind == "view_stmt" and is_dummy_view(tree)
        if not is_dummy and self._dummies:
            own = tree.view.relname if kind == "view_stmt" else ""
            ranges = {it.relname for it in messages(tree, "RangeVar")} - {own}
            types = {it.names[-1].string.sval for it in messages(tree, "TypeName") if it.names}
            is_dummy = not self._dummies.isdisjoint(ranges | types)
        if is_dummy and kind == "view_stmt":
            self._dummies.add(tree.view.relname)
        return is_dummy

    def _has_role(self, name: str) -> bool:
        return self._connection.execute(statement("has_role"), {"name": name}).fetchone() == (True,)

    def _knows_parameter(self, name: str) -> bool:
        return self._connection.execute(statement("has_parameter"), {"name": name}).fetchone() == (True,)


_RESET: Final = "reset all; reset session authorization; reset role"

_ROWS: Final = re.compile(r"insert\s", re.IGNORECASE)


def _parse(text: str) -> tuple[str, Any] | None:
    """Return a statement's kind and its tree; None of what only the server can judge, and of comments alone."""
    import postgast  # noqa: PLC0415 - takes a while, and an update seldom has files to run
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # noqa: PLC0415

    try:
        raw = postgast.parse(text).stmts[0].stmt
    except (postgast.PgQueryError, DecodeError, IndexError):
        return None
    kind = raw.WhichOneof("node") or ""
    return kind, getattr(raw, kind)


def _remnant(kind: str, tree: Any, known: _Live) -> Remnant | None:
    """Return what a statement outside a transaction leaves if it is interrupted."""
    if kind == "index_stmt":
        return Remnant("index", TableName(known.name(tree.relation).schema, tree.idxname))
    if kind != "reindex_stmt":
        return None
    name = known.name(tree.relation)
    index = find_index(known.connection, name)
    return Remnant("reindex", index.table if index else name)


def _refuse(at: Position, message: str) -> None:
    raise StackError(str(at.problem(message)))


def _has_sharded_tables(connection: Connection) -> bool:
    row = connection.execute(statement("has_sharded_tables")).fetchone()
    return bool(row and row[0])


class _Later:
    """Runs statements on a cluster whose tables are sharded, in the form that Citus takes."""

    def __init__(self, connection: Connection, to_shard: Collection[TableName]) -> None:
        self._connection = connection
        self._to_shard = to_shard

    def run(self, raw: bytes, kind: str, tree: Any) -> bool:
        """Run one statement; tell whether it ran as it is."""
        from components.schema.rewriting import rewritten  # noqa: PLC0415

        known = _Live(self._connection, self._to_shard)
        if kind in ("update_stmt", "delete_stmt"):
            self._change_rows(raw, kind, tree, known)
            return True
        steps = rewritten(kind, tree, known)
        of = known.name(tree.relation) if kind in ("create_stmt", "alter_table_stmt") else None
        is_pending = of in self._to_shard and of is not None and known.kind(of) == Kind.LOCAL
        with _off(self._connection, _TAKES_LOCAL_TABLES, when=is_pending):
            if not steps:
                self._connection.execute(raw)
            for step in steps or ():
                if isinstance(step, str):
                    self._connection.execute(step.encode())
                else:
                    constraints.record_foreign_key(self._connection, step)
        return steps is None

    def _change_rows(self, raw: bytes, kind: str, tree: Any, known: _Live) -> None:
        """Run an UPDATE or a DELETE; where Citus refuses it, find the rows and their values first."""
        from components.schema.rewriting import computed_first  # noqa: PLC0415

        try:
            with self._connection.transaction():
                self._connection.execute(raw)
        except (psycopg.errors.FeatureNotSupported, psycopg.errors.InternalError_) as error:
            steps = computed_first(kind, tree, known)
            if steps is None:
                raise
            try:
                with self._connection.transaction():
                    for step in steps:
                        self._connection.execute(step.encode())
            except (psycopg.errors.FeatureNotSupported, psycopg.errors.InternalError_):
                raise error from None

    def set_aside(self) -> None:
        """Set aside the foreign keys to reference tables of tables that are local and come to be sharded."""
        connection = self._connection

        def is_to_reference(key: ForeignKey) -> bool:
            parent = get_table(connection, key.parent)
            return key.child == table and parent is not None and isinstance(parent.sharding, Reference)

        for table in self._to_shard:
            if _Live(connection, self._to_shard).is_pending(table):
                with _off(connection, _TAKES_LOCAL_TABLES, when=True):
                    constraints.set_foreign_keys_aside(connection, table, is_to_reference)


_TAKES_LOCAL_TABLES: Final = "citus.enable_local_reference_table_foreign_keys"
"""Whether Citus takes a local table into its metadata because of a foreign key to a reference table."""


@contextmanager
def _off(connection: Connection, parameter: LiteralString, *, when: bool) -> Iterator[None]:
    """Let a parameter be off meanwhile, where that is asked for."""
    if when:
        connection.execute(sql.SQL("set local {} = off").format(sql.SQL(parameter)))
    yield
    if when:
        connection.execute(sql.SQL("reset {}").format(sql.SQL(parameter)))


class _Live:
    """`Known` (rewriting.py) from the catalogue, as it is now."""

    def __init__(self, connection: Connection, to_shard: Collection[TableName]) -> None:
        self.connection = connection
        self._to_shard = to_shard

    def _find(self, name: str) -> tuple[Any, ...] | None:
        return self.connection.execute(statement("get_known_table"), {"name": name}).fetchone()

    def name(self, relation: Any) -> TableName:
        """Return the table that a RangeVar means; one that is not there yet is made in the current schema."""
        parts = [part for part in (relation.schemaname, relation.relname) if part]
        found = self._find(sql.Identifier(*parts).as_string(None))
        if found is not None:
            return TableName(found[0], found[1])
        row = self.connection.execute("select current_schema()").fetchone()
        return TableName(relation.schemaname or (row and row[0]) or "public", relation.relname)

    def kind(self, table: TableName) -> Kind:
        """Return what Citus has made of it, or will make of it once it is created."""
        found = self._find(regclass(table))
        if found is not None:
            return Kind(found[2])
        schema = get_schema(self.connection, table.schema)
        is_distributed = schema is not None and schema.colocation_group is not None
        return Kind.SINGLE_SHARD if is_distributed else Kind.LOCAL

    def columns(self, table: TableName) -> Sequence[str] | None:
        """Return its columns."""
        found = self._find(regclass(table))
        return found[3] if found else None

    def primary_key(self, table: TableName) -> Sequence[str] | None:
        """Return the columns of its primary key."""
        found = self._find(regclass(table))
        return found[4] if found else None

    def distribution_column(self, table: TableName) -> str | None:
        """Return its distribution column."""
        state = get_table(self.connection, table)
        return state.sharding.column if state and isinstance(state.sharding, Distributed) else None

    def is_pending(self, table: TableName) -> bool:
        """Tell whether it is local, and sharded later in the same update."""
        return table in self._to_shard and self.kind(table) == Kind.LOCAL

    def constraint(self, table: TableName, name: str) -> tuple[str, str, str | None]:
        """Return a constraint's kind, definition and comment."""
        named = {"table": regclass(table), "name": name}
        return self.connection.execute(statement("get_constraint"), named).fetchone() or ("", "", None)

    def free_name(self, table: TableName, columns: str, suffix: str) -> str:
        """Return the name that PostgreSQL would give a constraint or a sequence of the table."""
        from components.schema.rewriting import default_name  # noqa: PLC0415

        number = 0
        while True:
            name = default_name(table.name, columns, f"{suffix}{number or ''}")
            taken = {"schema": table.schema, "name": name}
            if self.connection.execute(statement("is_name_taken"), taken).fetchone() == (False,):
                return name
            number += 1


def _located(part: Statement, error: psycopg.Error, *, as_written: bool) -> str:
    """Say where in the file a statement failed; one that ran in another form than it is written, where it begins."""
    diagnosis = error.diag
    before = part.text[: int(diagnosis.statement_position or 1) - 1] if as_written else ""
    where = part.position(len(before.encode()))
    row = re.search(r"^COPY .*, line (\d+)", diagnosis.context or "", re.MULTILINE) if part.rows is not None else None
    if row:
        last = part.position(len(part.text.encode())).line
        where = replace(where, line=last + int(row[1]), column=1)
    detail = f"; {diagnosis.message_detail}" if diagnosis.message_detail else ""
    hint = f"; {diagnosis.message_hint}" if diagnosis.message_hint else ""
    if isinstance(error, psycopg.errors.UnsafeNewEnumValueUsage):
        hint = f"{hint} Put ALTER TYPE … ADD VALUE into a file that sorts before, or let this one begin with {MARK}"
    message = passwords.without_constants(diagnosis.message_primary or " ".join(str(error).split()))
    code = f" [SQLSTATE {error.sqlstate}]" if error.sqlstate else ""
    return f"{where}: {message}{detail}{hint}{code}"
