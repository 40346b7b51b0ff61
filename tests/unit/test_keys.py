"""Primary and foreign keys: how they read once the distribution column is in them, and as SQL."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import postgast
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.database.constraints import define
from components.errors import DriftError
from components.keys import ForeignKey, PrimaryKey, rewritten_foreign_key, rewritten_primary_key
from components.names import TableName

C, P = TableName("public", "c"), TableName("public", "p")
FK = ForeignKey("c_p_fk", C, ("id",), P, ("id",))


def sql_of(key: PrimaryKey | ForeignKey) -> str:
    """Render the key as `add constraint …` takes it."""
    return define(key).as_string(None)


def parsed(key: PrimaryKey | ForeignKey) -> Any:
    """Return what PostgreSQL's grammar makes of the key's SQL."""
    (statement,) = postgast.parse(f"alter table t add {sql_of(key)}").stmts
    (command,) = statement.stmt.alter_table_stmt.cmds
    return getattr(command.alter_table_cmd, "def").constraint


def strings(nodes: Any) -> tuple[str, ...]:
    """Return the names in a list of the parse tree."""
    return tuple(node.string.sval for node in nodes)


# --- primary keys ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "included", "wanted", "new_columns", "new_included"),
    [
        (("id",), (), None, ("k", "id"), ()),
        (("k",), (), None, ("k",), ()),
        (("id", "k"), (), None, ("id", "k"), ()),
        (("k", "id"), (), None, ("k", "id"), ()),
        (("a", "b"), (), None, ("k", "a", "b"), ()),
        (("id",), ("k",), None, ("k", "id"), ()),
        (("id",), ("k", "n"), None, ("k", "id"), ("n",)),
        (("k",), ("n",), None, ("k",), ("n",)),
        (("id",), (), ("id", "k"), ("id", "k"), ()),
        (("id",), (), ("k", "n"), ("k", "n"), ()),
        (("k", "id"), (), ("k",), ("k",), ()),
        (("id",), ("n", "m"), ("k", "n"), ("k", "n"), ("m",)),
    ],
)
def test_the_distribution_column_leads_the_primary_key_unless_told_otherwise(
    columns: tuple[str, ...],
    included: tuple[str, ...],
    wanted: tuple[str, ...] | None,
    new_columns: tuple[str, ...],
    new_included: tuple[str, ...],
) -> None:
    """The column k goes in front unless the key has it, or is as wanted; a column is never both key and included."""
    key = PrimaryKey("pk", columns, included, deferrable=True, deferred=True)
    assert rewritten_primary_key(key, "k", wanted) == replace(key, columns=new_columns, included=new_included)


COLUMN = st.sampled_from(["a", "b", "c", "k", "ñ", 'x"y', "Dos palabras"])
COLUMNS = st.lists(COLUMN, min_size=1, unique=True).map(tuple)


@st.composite
def primary_keys(draw: st.DrawFn) -> PrimaryKey:
    """Draw a primary key whose included columns are none of its own."""
    columns = draw(COLUMNS)
    included = tuple(column for column in draw(COLUMNS) if column not in columns)
    deferrable = draw(st.booleans())
    return PrimaryKey(draw(COLUMN), columns, included, deferrable, deferrable and draw(st.booleans()))


@given(key=primary_keys(), column=COLUMN, wanted=st.none() | COLUMNS)
def test_a_rewritten_primary_key_is_unique_on_the_shards_and_stays_so(
    key: PrimaryKey, column: str, wanted: tuple[str, ...] | None
) -> None:
    """Rewriting puts the column in, repeats nothing, loses no column of the old key by itself, and is idempotent."""
    wanted = wanted and tuple(dict.fromkeys((*wanted, column)))
    new = rewritten_primary_key(key, column, wanted)
    assert column in new.columns
    assert len(set(new.columns + new.included)) == len(new.columns + new.included)
    assert wanted or set(new.columns) == {*key.columns, column}
    assert rewritten_primary_key(new, column, wanted) == new
    assert (new.name, new.deferrable, new.deferred) == (key.name, key.deferrable, key.deferred)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (PrimaryKey("pk", ("a",)), 'constraint "pk" primary key ("a")'),
        (PrimaryKey('P"k', ("a", "Dos")), 'constraint "P""k" primary key ("a", "Dos")'),
        (PrimaryKey("pk", ("a",), ("b", "c")), 'constraint "pk" primary key ("a") include ("b", "c")'),
        (
            PrimaryKey("pk", ("a",), deferrable=True),
            'constraint "pk" primary key ("a") deferrable initially immediate',
        ),
        (
            PrimaryKey("pk", ("a",), ("b",), deferrable=True, deferred=True),
            'constraint "pk" primary key ("a") include ("b") deferrable initially deferred',
        ),
    ],
)
def test_a_primary_key_reads_as_sql(key: PrimaryKey, text: str) -> None:
    """Every name is quoted, and nothing is said that is the default."""
    assert sql_of(key) == text


@given(key=primary_keys())
def test_a_primary_keys_sql_means_the_same_key(key: PrimaryKey) -> None:
    """PostgreSQL's grammar reads the SQL of any primary key back as that key."""
    constraint = parsed(key)
    assert postgast.pg_query_pb2.ConstrType.Name(constraint.contype) == "CONSTR_PRIMARY"
    read = PrimaryKey(
        constraint.conname,
        strings(constraint.keys),
        strings(constraint.including),
        constraint.deferrable,
        constraint.initdeferred,
    )
    assert read == key


# --- foreign keys ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "referenced", "new_columns", "new_referenced"),
    [
        (("id",), ("id",), ("k", "id"), ("q", "id")),
        (("k",), ("q",), ("k",), ("q",)),
        (("k", "id"), ("q", "id"), ("k", "id"), ("q", "id")),
        (("id", "k"), ("id", "q"), ("id", "k"), ("id", "q")),
        (("a", "b"), ("x", "y"), ("k", "a", "b"), ("q", "x", "y")),
        (("q",), ("k",), ("k", "q"), ("q", "k")),
    ],
)
def test_the_pair_of_distribution_columns_leads_the_foreign_key(
    columns: tuple[str, ...], referenced: tuple[str, ...], new_columns: tuple[str, ...], new_referenced: tuple[str, ...]
) -> None:
    """The child's column k and the parent's q go in front as a pair, unless they are one already, in any place."""
    key = replace(FK, columns=columns, referenced=referenced, on_delete="c", deferrable=True)
    new = rewritten_foreign_key(key, "k", "q")
    assert new == replace(key, columns=new_columns, referenced=new_referenced)


@pytest.mark.parametrize(
    ("columns", "referenced"),
    [(("k",), ("id",)), (("id",), ("q",)), (("k", "id"), ("id", "q")), (("a", "k"), ("q", "x"))],
)
def test_a_foreign_key_that_pairs_a_distribution_column_with_another_is_refused(
    columns: tuple[str, ...], referenced: tuple[str, ...]
) -> None:
    """A key that no rewriting can save is refused by table and name, with what it must pair."""
    with pytest.raises(DriftError, match=r"^c: foreign key c_p_fk to p pairs .* but must pair k with q: correct"):
        rewritten_foreign_key(replace(FK, columns=columns, referenced=referenced), "k", "q")


@st.composite
def foreign_keys(draw: st.DrawFn) -> ForeignKey:
    """Draw a foreign key as PostgreSQL would keep it."""
    columns = draw(COLUMNS)
    referenced = tuple(draw(st.permutations(["a", "b", "c", "k", "x", "y", "z"]))[: len(columns)])
    on_delete = draw(st.sampled_from("arcnd"))
    deferrable = draw(st.booleans())
    return ForeignKey(
        name=draw(COLUMN),
        child=TableName(draw(COLUMN), draw(COLUMN)),
        columns=columns,
        parent=TableName(draw(COLUMN), draw(COLUMN)),
        referenced=referenced,
        on_update=draw(st.sampled_from("arcnd")),
        on_delete=on_delete,
        set_columns=draw(st.sampled_from([(), columns[:1], columns])) if on_delete in "nd" else (),
        match=draw(st.sampled_from("sf")),
        deferrable=deferrable,
        deferred=deferrable and draw(st.booleans()),
        validated=draw(st.booleans()),
    )


@given(key=foreign_keys(), child_column=COLUMN, parent_column=COLUMN)
def test_a_rewritten_foreign_key_can_be_checked_on_one_node_and_stays_so(
    key: ForeignKey, child_column: str, parent_column: str
) -> None:
    """Rewriting puts the pair in, keeps the old pairs in their order, changes nothing else, and is idempotent."""
    try:
        new = rewritten_foreign_key(key, child_column, parent_column)
    except DriftError:
        pairs = zip(key.columns, key.referenced, strict=True)
        assert any((child_column == a) != (parent_column == b) for a, b in pairs)
        return
    old_pairs, new_pairs = (list(zip(k.columns, k.referenced, strict=True)) for k in (key, new))
    assert (child_column, parent_column) in new_pairs
    assert [pair for pair in new_pairs if pair in old_pairs] == old_pairs
    assert replace(new, columns=key.columns, referenced=key.referenced) == key
    assert rewritten_foreign_key(new, child_column, parent_column) == new


@pytest.mark.parametrize(
    ("key", "tail"),
    [
        (FK, "match simple on update no action on delete no action"),
        (replace(FK, on_update="c", on_delete="r"), "match simple on update cascade on delete restrict"),
        (
            replace(FK, on_update="d", on_delete="n", set_columns=("id",)),
            'match simple on update set default on delete set null ("id")',
        ),
        (replace(FK, match="f"), "match full on update no action on delete no action"),
        (
            replace(FK, deferrable=True, deferred=True, validated=False),
            "match simple on update no action on delete no action deferrable initially deferred not valid",
        ),
        (
            replace(FK, deferrable=True),
            "match simple on update no action on delete no action deferrable initially immediate",
        ),
    ],
)
def test_a_foreign_key_reads_as_sql(key: ForeignKey, tail: str) -> None:
    """Every name is quoted and every table has its schema, so that no search_path matters."""
    assert sql_of(key) == f'constraint "c_p_fk" foreign key ("id") references "public"."p" ("id") {tail}'


@given(key=foreign_keys())
def test_a_foreign_keys_sql_means_the_same_key(key: ForeignKey) -> None:
    """PostgreSQL's grammar reads the SQL of any foreign key back as that key."""
    constraint = parsed(key)
    assert postgast.pg_query_pb2.ConstrType.Name(constraint.contype) == "CONSTR_FOREIGN"
    read = ForeignKey(
        name=constraint.conname,
        child=key.child,
        columns=strings(constraint.fk_attrs),
        parent=TableName(constraint.pktable.schemaname, constraint.pktable.relname),
        referenced=strings(constraint.pk_attrs),
        on_update=constraint.fk_upd_action,
        on_delete=constraint.fk_del_action,
        set_columns=strings(constraint.fk_del_set_cols),
        match=constraint.fk_matchtype,
        deferrable=constraint.deferrable,
        deferred=constraint.initdeferred,
        validated=not constraint.skip_validation,
    )
    assert read == key


@given(key=foreign_keys())
def test_a_foreign_key_comes_back_whole_from_the_ledger(key: ForeignKey) -> None:
    """A key that is set aside as JSON is the same key when it is put back."""
    assert ForeignKey.of(json.loads(json.dumps(asdict(key)))) == key


def test_a_foreign_key_is_read_from_a_row_of_the_catalogue() -> None:
    """The catalogue's arrays become tuples and its pairs of names tables; a missing list is empty."""
    row = asdict(FK) | {"child": ["public", "c"], "parent": ["public", "p"], "columns": ["id"], "set_columns": None}
    assert ForeignKey.of(row) == FK
