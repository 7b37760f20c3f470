"""Schemas: reading them, also from hostile databases, and their text."""

import pytest

from slmsql.errors import InputError
from slmsql.execution import connect, create_database
from slmsql.prompt.build import PromptSettings, build_prompt
from slmsql.questions.question import Question
from slmsql.schema.budget import cut_to_budget, key_columns
from slmsql.schema.model import shown_values
from slmsql.schema.random_subset import MOST_COLUMNS, random_subset
from slmsql.schema.reading import read_schema, schema_text
from slmsql.sql.quoting import quote_if_needed

ODD = ["select", 'with "quotes"', "with space", "emoji 😀", "1st", "back`tick", "[bracket]", "ünï"]


def database(tmp_path, script, name="d"):
    path = tmp_path / name / f"{name}.sqlite"
    create_database(path, script)
    return path


def always_quoted(name):
    return '"' + name.replace('"', '""') + '"'


@pytest.mark.parametrize("name", ODD)
def test_odd_names_of_tables_and_columns_come_out_as_sql_that_runs(tmp_path, name):
    path = database(
        tmp_path, f"CREATE TABLE {always_quoted(name)} ({always_quoted(name)} TEXT PRIMARY KEY)"
    )
    text = read_schema(path).text()
    again = database(tmp_path, text, "again")
    assert read_schema(again) == read_schema(path)


def test_the_text_is_a_script_that_makes_the_same_schema(singers, tmp_path):
    text = read_schema(singers, sample_values=0).text()
    assert read_schema(database(tmp_path, text, "again")).text() == text


def test_the_text_shows_keys_types_and_examples(singers):
    text = read_schema(singers).text()
    assert "    name TEXT, -- example: 'Ann', 'Bob'\n" in text
    assert "    FOREIGN KEY (singer_id) REFERENCES singer (id)\n);" in text


def test_the_remembered_text_is_the_same_and_follows_changes(singers):
    assert schema_text(singers) == read_schema(singers).text()
    create_database(singers, "CREATE TABLE other (id INTEGER)")
    assert "other" in schema_text(singers)
    assert "other" in read_schema(singers).text()


def test_brief_schemas_show_no_numbers_in_keys(singers):
    text = read_schema(singers, brief=True).text()
    assert "    id INTEGER,\n" in text
    assert "    age INTEGER, -- example: 30\n" in text


def test_values_found_stand_first_and_whole(singers):
    long = "x" * 60
    schema = read_schema(singers)
    found = {("singer", "name"): (long,)}
    assert f"example: '{long}', 'Ann', 'Bob'" in schema.text(found)
    assert shown_values(schema, found)["singer", "name"] == (long, "ann", "bob")


def test_sampled_values_are_cut_and_kept_on_one_line(tmp_path):
    path = database(
        tmp_path, f"CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('{'y' * 50}'), ('l1\nl2''s')"
    )
    assert f"example: '{'y' * 40}...', 'l1 l2''s'" in read_schema(path).text()


def test_blobs_nulls_and_empty_texts_are_no_examples(tmp_path):
    path = database(
        tmp_path, "CREATE TABLE t (a); INSERT INTO t VALUES (NULL), (''), (x'00ff'), (7), (7.0)"
    )
    assert read_schema(path).tables[0].columns[0].sample_values == (7,)


def test_a_column_empty_in_the_first_rows_still_has_examples(tmp_path):
    script = "CREATE TABLE t (id INTEGER PRIMARY KEY, late TEXT);"
    rows = ", ".join(f"({n}, {'NULL' if n < 300 else repr(f'v{n}')})" for n in range(302))
    path = database(tmp_path, f"{script} INSERT INTO t VALUES {rows}")
    assert read_schema(path).tables[0].columns[1].sample_values == ("v300", "v301")


def test_text_that_is_not_utf8_is_shown_all_the_same(tmp_path):
    path = database(
        tmp_path, "CREATE TABLE t (a TEXT); INSERT INTO t VALUES (CAST(x'ff41' AS TEXT))"
    )
    assert "\ufffdA" in read_schema(path).text()


def test_comments_in_the_ddl_are_descriptions(tmp_path):
    path = database(
        tmp_path,
        """CREATE TABLE t (
            a INTEGER /* the first, (really) */,
            "b c" TEXT DEFAULT ',' , -- the second
            d TEXT CHECK (d IN ('(', '--x')), -- the 'third'
            PRIMARY KEY (a) -- no column's
        )""",
    )
    described = {c.name: c.description for c in read_schema(path).tables[0].columns}
    assert described == {"a": "the first, (really)", "b c": "the second", "d": "the 'third'"}


def test_descriptions_in_windows_encoding_are_read(singers):
    folder = singers.parent / "database_description"
    folder.mkdir()
    head = b"original_column_name,column_name,column_description\r\n"
    (folder / "Singer.csv").write_bytes(head + "name,name,the singer’s näme\r\n".encode("cp1252"))
    assert "-- the singer’s näme; example: 'Ann'" in read_schema(singers).text()


def test_five_hundred_tables_are_read_and_cut_to_the_budget(tmp_path):
    tables = ";".join(
        f"CREATE TABLE t{n} (id INTEGER PRIMARY KEY, t{n}_name TEXT, note TEXT)" for n in range(500)
    )
    schema = read_schema(database(tmp_path, tables))
    assert len(schema.tables) == 500
    fitted = cut_to_budget(schema, {}, "names of t7", 12_000)
    assert fitted.columns_left_out > 0
    assert key_columns(fitted.schema) == key_columns(schema)
    kept = {column.name for table in fitted.schema.tables for column in table.columns}
    assert "t7_name" in kept


def test_the_budget_holds_where_keys_leave_room(singers):
    schema = read_schema(singers)
    whole = cut_to_budget(schema, {}, "", 10_000)
    assert (whole.schema, whole.columns_left_out) == (schema, 0)
    cut = cut_to_budget(schema, {}, "titles", 105)
    names = [column.name for table in cut.schema.tables for column in table.columns]
    assert names == ["id", "id", "title", "singer_id"]


def test_a_prompt_says_how_many_columns_it_left_out(singers):
    question = Question("q", "all titles", "singers", singers)
    assert build_prompt(question, PromptSettings()).columns_left_out == 0
    assert build_prompt(question, PromptSettings(schema_tokens=105)).columns_left_out == 2


def test_thinning_keeps_keys_and_what_the_query_uses(tmp_path):
    columns = ", ".join(f"c{n} TEXT" for n in range(300))
    path = database(
        tmp_path, f"CREATE TABLE t (id INTEGER PRIMARY KEY, {columns}); CREATE TABLE u (x TEXT)"
    )
    schema = read_schema(path)
    thinner = random_subset(schema, "SELECT c299 FROM t", "seed")
    kept = {c.name for t in thinner.tables for c in t.columns}
    assert {"id", "c299"} <= kept
    assert len(kept) <= MOST_COLUMNS
    assert random_subset(schema, "SELECT c299 FROM t", "seed") == thinner
    assert any(random_subset(schema, "SELECT c299 FROM t", str(n)) != thinner for n in range(5))


@pytest.mark.parametrize(("content", "message"), [(b"", "no SQLite"), (b"text", "no SQLite")])
def test_a_file_that_is_no_database_is_named(tmp_path, content, message):
    path = tmp_path / "x.sqlite"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_schema(path)


def test_a_missing_database_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"x\.sqlite"):
        read_schema(tmp_path / "x.sqlite")


def test_names_are_quoted_only_where_they_must_be():
    assert [quote_if_needed(name) for name in ("name", "order", "a b", 'x"y')] == [
        "name",
        '"order"',
        '"a b"',
        '"x""y"',
    ]


def test_reading_takes_no_lock_and_leaves_no_file(singers):
    read_schema(singers)
    connect(singers).close()
    assert [file.name for file in singers.parent.iterdir()] == ["singers.sqlite"]
