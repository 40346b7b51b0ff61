"""Names of tables and columns: parsed, folded and quoted as PostgreSQL does."""

from __future__ import annotations

import postgast
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.names import ColumnName, TableName

ANY_NAME = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
"""What a quoted identifier can hold, whole: any characters but NUL."""
KEYWORDS = {token.name.removesuffix("_P").lower() for token in postgast.pg_query_pb2.Token.DESCRIPTOR.values}
"""All of the grammar, and names of its other tokens."""
UNQUOTED = st.from_regex(r"[A-Za-z_À-ÖØ-öø-ÿ][A-Za-z0-9_$À-ÖØ-öø-ÿ]{0,15}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "schema", "name"),
    [
        ("venta", "public", "venta"),
        ("Venta", "public", "venta"),
        ('"Venta"', "public", "Venta"),
        ("app.Venta", "app", "venta"),
        ('"App"."Venta de hoy"', "App", "Venta de hoy"),
        ('App."Venta"', "app", "Venta"),
        ('"a.b"', "public", "a.b"),
        ('"a""b"', "public", 'a"b'),
        ('""""', "public", '"'),
        ("_t1$x", "public", "_t1$x"),
        ('"1a"', "public", "1a"),
        ('" "', "public", " "),
        ("año", "public", "año"),
        ("AÑO", "public", "aÑo"),
    ],
)
def test_a_table_is_read_as_postgresql_reads_it(text: str, schema: str, name: str) -> None:
    """An unquoted part is folded, a quoted one is kept, and the schema is public where none is named."""
    assert TableName.parse(text) == TableName(schema, name)


@pytest.mark.parametrize(
    ("text", "name"),
    [("id_pais", "id_pais"), ("ID_PAIS", "id_pais"), ('"ID País"', "ID País"), ('"a.b"', "a.b")],
)
def test_a_column_is_read_as_postgresql_reads_it(text: str, name: str) -> None:
    """A column's name is folded unless it is quoted."""
    assert ColumnName.parse(text) == ColumnName(name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        " a",
        "a ",
        "a b",
        "a\n",
        "a-b",
        "1a",
        "$a",
        '"',
        '""',
        '"a',
        'a"',
        '"a"b"',
        'a"b"',
        ".",
        ".a",
        "a.",
        "a..b",
        "a.b.",
        "a.b.c",
        'a.""',
        '"a\0b"',
        '"a\ud800"',
        "a;drop",
        "a--",
    ],
)
def test_what_is_no_table_name_is_refused_with_the_way_to_write_one(text: str) -> None:
    """A malformed name is refused, shown as it was given, with the two ways to spell one."""
    with pytest.raises(ValueError, match="is not a name: write name or") as caught:
        TableName.parse(text)
    assert str(caught.value).startswith(repr(text))


@pytest.mark.parametrize("text", ["a.b", '"a".b', "a.", "a b", "", '""'])
def test_a_column_takes_no_schema(text: str) -> None:
    """A column's name has one part, and its error speaks of no schema."""
    with pytest.raises(ValueError, match="is not a name") as caught:
        ColumnName.parse(text)
    assert "schema" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (TableName("public", "venta"), "venta"),
        (TableName("app", "venta"), "app.venta"),
        (TableName("public", "Venta"), '"Venta"'),
        (TableName("Mi App", 'a"b'), '"Mi App"."a""b"'),
        (TableName("public", "a.b"), '"a.b"'),
        (TableName("public", "año"), "año"),
        (TableName("public", "aÑo"), "aÑo"),
        (TableName("public", "1a"), '"1a"'),
        (TableName("public", "a$1"), "a$1"),
        (TableName("public", "$1"), '"$1"'),
        (ColumnName("id_pais"), "id_pais"),
        (ColumnName("ID"), '"ID"'),
        (ColumnName("dos palabras"), '"dos palabras"'),
        (TableName("public", "order"), '"order"'),
        (TableName("user", "left"), '"user"."left"'),
        (TableName("public", "name"), "name"),
        (ColumnName("time"), "time"),
        (ColumnName("select"), '"select"'),
    ],
)
def test_a_name_is_shown_with_quotes_only_where_it_needs_them(name: TableName | ColumnName, text: str) -> None:
    """A name reads as a person would write it in SQL, without the schema public."""
    assert str(name) == text


@given(schema=ANY_NAME, name=ANY_NAME)
@example(schema="public", name="public")
@example(schema="A", name='"')
def test_every_table_reads_back_as_it_was_shown(schema: str, name: str) -> None:
    """Showing a table and reading it again gives the same table, whatever its name holds."""
    table = TableName(schema, name)
    assert TableName.parse(str(table)) == table


@given(name=ANY_NAME)
def test_every_column_reads_back_as_it_was_shown(name: str) -> None:
    """Showing a column and reading it again gives the same column, whatever its name holds."""
    assert ColumnName.parse(str(ColumnName(name))) == ColumnName(name)


def test_a_keyword_has_quotes_where_the_grammar_wants_them() -> None:
    """Every keyword reads back in a statement of PostgreSQL's own grammar, as a table's name and as a column's."""
    for keyword in KEYWORDS:
        table, column = TableName("public", keyword), ColumnName(keyword)
        statement = (
            postgast.parse(f"create table {table} ({column} int, primary key ({column}))").stmts[0].stmt.create_stmt
        )
        assert statement.relation.relname == keyword
        assert statement.table_elts[0].column_def.colname == keyword


def test_a_table_knows_how_states_of_the_time_spelled_it() -> None:
    """Keywords stood without quotes; other names were as they are."""
    assert TableName("user", "order").former_spelling == "user.order"
    assert TableName("public", "Order").former_spelling == str(TableName("public", "Order"))


@given(text=UNQUOTED)
@example(text="ÀB")
@example(text="ÉTÉ_Í")
def test_unquoted_names_fold_exactly_as_the_grammar_folds_them(text: str) -> None:
    """PostgreSQL's own grammar and the settings agree on the name that an unquoted word stands for."""
    statement = postgast.parse(f"create table app.t_{text} ()").stmts[0].stmt.create_stmt
    assert TableName.parse(f"t_{text}").name == statement.relation.relname


@pytest.mark.parametrize("kind", [TableName, ColumnName])
@given(text=st.text())
def test_any_text_is_a_name_or_a_value_error(kind: type[TableName | ColumnName], text: str) -> None:
    """Reading arbitrary text gives a name that reads back, or a ValueError, and nothing else."""
    try:
        name = kind.parse(text)
    except ValueError:
        return
    assert kind.parse(str(name)) == name


def test_names_sort_by_schema_and_then_by_name() -> None:
    """The order of tables is steady, whatever order they are given in."""
    names = [TableName("public", "a"), TableName("app", "z"), TableName("app", "b")]
    assert sorted(names) == [TableName("app", "b"), TableName("app", "z"), TableName("public", "a")]
