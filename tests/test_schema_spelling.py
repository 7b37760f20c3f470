"""Names in a query, spelled as the schema spells them."""

import sqlite3

import pytest

from slmsql.schema.reading import read_schema
from slmsql.schema.spelling import spelled_as_in


@pytest.fixture
def schema(tmp_path):
    path = tmp_path / "songs.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript("""
            CREATE TABLE Singer (Singer_ID int, Name text, "Birth Year" int, Count int);
            CREATE TABLE song (singer_id int, Title text, name text);
            CREATE TABLE OTHER (TITLE text);
        """)
    return read_schema(path)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select NAME from singer", "select Name from Singer"),
        ("SELECT t1.title FROM SONG AS t1", "SELECT t1.Title FROM song AS t1"),
        # A text, a quoted name and a comment keep their spelling.
        ("SELECT 1 FROM singer WHERE name = 'NAME'", "SELECT 1 FROM Singer WHERE Name = 'NAME'"),
        ('SELECT "NAME", [NAME], `NAME` FROM Singer', 'SELECT "NAME", [NAME], `NAME` FROM Singer'),
        ("SELECT Name FROM Singer -- NAME", "SELECT Name FROM Singer -- NAME"),
        ("SELECT 'it''s NAME' || name FROM singer", "SELECT 'it''s NAME' || Name FROM Singer"),
        # A function is not the column of the same name.
        ("SELECT COUNT(*), count FROM singer", "SELECT COUNT(*), Count FROM Singer"),
        ("SELECT COUNT (*) FROM singer", "SELECT COUNT (*) FROM Singer"),
        # Tables spell the column in two ways: both stay; a third becomes one of them.
        (
            "SELECT Singer.Name, song.name FROM Singer, song",
            "SELECT Singer.Name, song.name FROM Singer, song",
        ),
        ("SELECT NAME FROM singer, song", "SELECT Name FROM Singer, song"),
        # OTHER is not in the query.
        ("SELECT title FROM song", "SELECT Title FROM song"),
        ("", ""),
        ("not 'SQL at all", "not 'SQL at all"),
    ],
)  # fmt: skip
def test_names_are_spelled_as_the_schema_spells_them(schema, sql, expected):
    assert spelled_as_in(schema, sql) == expected


def test_gold_queries_of_spider_keep_their_results(benchmarks):
    """Every gold query of dev, run before and after."""
    from slmsql.questions.question import with_databases
    from slmsql.questions.reading import read_benchmark

    questions = with_databases(read_benchmark("spider", benchmarks / "spider", "dev"))[0]
    schemas, changed = {}, 0
    for question in questions[::10]:
        schema = schemas.setdefault(question.database, read_schema(question.database))
        sql = spelled_as_in(schema, question.gold_sql)
        changed += sql != question.gold_sql
        with sqlite3.connect(question.database) as connection:
            connection.text_factory = bytes
            rows = [connection.execute(query).fetchall() for query in (question.gold_sql, sql)]
        assert rows[0] == rows[1], question.id
    assert changed > 10
