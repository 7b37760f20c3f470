"""Values that a question mentions, found in its database."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmsql.execution import create_database
from slmsql.prompt.build import PromptSettings, build_prompt
from slmsql.questions.question import Question
from slmsql.questions.words import WORD, words
from slmsql.schema.literals import TextLiteral, text_literals
from slmsql.schema.reading import read_schema
from slmsql.values.finding import find_values

CITIES = (
    "NorthCarolina",
    "Tokyo , Japan",
    "São Paulo",
    "Russian Federation",
    "Comp. Sci.",
    "Poindexter",
    "Europe",
    "The Rise of the Blue Beetle!",
    "O'Hara",
    "Eggs",
)


@pytest.fixture
def places(tmp_path):
    path = tmp_path / "places" / "places.sqlite"
    rows = ", ".join("('" + city.replace("'", "''") + "', 'F')" for city in CITIES)
    create_database(
        path,
        "CREATE TABLE place (name TEXT, sex TEXT, size INTEGER);"
        f"INSERT INTO place (name, sex) VALUES {rows}; INSERT INTO place VALUES ('!!!', 'M', 3);",
    )
    return path


def found(text, database, tmp_path):
    return find_values(text, database, folder=tmp_path / "cache")


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("students in north carolina", "NorthCarolina"),
        ("wrestlers in Tokyo, Japan", "Tokyo , Japan"),
        ("people of sao paulo", "São Paulo"),
        ("cities in Russia", "Russian Federation"),
        ("the computer science department", "Comp. Sci."),
        ("rented by Hector Poinexter", "Poindexter"),
        ("European countries", "Europe"),
        ('who made "The Rise of the Blue Beetle"?', "The Rise of the Blue Beetle!"),
        ("songs by o’hara", "O'Hara"),
        ("allergic to egg", "Eggs"),
    ],
)
def test_a_value_is_found_however_it_is_spelt(places, tmp_path, question, value):
    assert value in found(question, places, tmp_path)["place", "name"]


def test_columns_with_few_values_are_shown_whole(places, tmp_path):
    assert found("how many?", places, tmp_path) == {("place", "sex"): ("F", "M")}


@pytest.mark.parametrize("question", ["", "???", "the of and", "x" * 5000, 'a" OR "b* NEAR(', "\0"])
def test_no_question_is_too_odd_to_search_for(places, tmp_path, question):
    found(question, places, tmp_path)


def test_a_question_of_a_million_characters_is_searched_in_time(places, tmp_path):
    """A single word of 40,000 letters once took 6 s and 1.5 GB."""
    found("", places, tmp_path)
    for piece in ("x", "xy ", "\u0315\u0300", "Russia ", "é"):
        start = time.perf_counter()
        found(piece * (1_000_000 // len(piece)), places, tmp_path)
        assert time.perf_counter() - start < 5.0  # 0.5 s on an idle machine


def test_an_index_is_built_once_and_anew_when_the_database_changes(places, tmp_path):
    found("x", places, tmp_path)
    [first] = (tmp_path / "cache").iterdir()
    written = first.stat().st_mtime_ns
    found("y", places, tmp_path)
    assert first.stat().st_mtime_ns == written
    create_database(places, "CREATE TABLE place (name TEXT); INSERT INTO place VALUES ('Atlantis')")
    assert found("go to atlantis", places, tmp_path) == {("place", "name"): ("Atlantis",)}
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_database_without_text_has_no_values(tmp_path):
    path = tmp_path / "n.sqlite"
    create_database(path, "CREATE TABLE t (n INTEGER); CREATE TABLE empty (a TEXT)")
    assert found("anything", path, tmp_path) == {}


def test_odd_names_and_texts_that_are_not_utf8_are_indexed(tmp_path):
    path = tmp_path / "odd.sqlite"
    create_database(
        path,
        'CREATE TABLE "a ""b"" 😀" ("select" TEXT);'
        """INSERT INTO "a ""b"" 😀" VALUES ('Paris'), (CAST(x'ff414243' AS TEXT))""",
    )
    assert "Paris" in found("in paris", path, tmp_path)['a "b" 😀', "select"]


def test_prompts_show_the_values_only_when_asked(places, tmp_path, monkeypatch):
    monkeypatch.setenv("SLMSQL_CACHE", str(tmp_path / "cache"))
    question = Question("q", "cities in Russia", "places", places)
    plain, searched = (
        build_prompt(question, PromptSettings(retrieve_values=on)).messages[1]["content"]
        for on in (0, 1)
    )
    assert "Russian Federation" not in plain
    assert "example: 'Russian Federation'" in searched


def test_words_are_compared_without_accents_plurals_and_possessives():
    assert words("The Singers' Cafés of Ann’s cities") == [
        "the", "singer", "cafe", "of", "ann", "city",
    ]  # fmt: skip
    assert words("ⅅ") == ["d"]  # a capital only after its decomposition


@given(st.text())
def test_accents_go_as_in_the_compatibility_decomposition(text):
    letters = unicodedata.normalize("NFKD", text.lower())
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    assert "".join(words(text)) == "".join(words(" ".join(WORD.findall(plain))))


@pytest.mark.parametrize("piece", ["\u0315\u0300", "\u0f73", "é", "x", "a ", "'s", "cities "])
def test_the_words_of_a_million_characters_are_found_in_linear_time(piece):
    """Accents in a row once took 5 s for 80,000 characters."""
    start = time.perf_counter()
    words(piece * (1_000_000 // len(piece)))
    assert time.perf_counter() - start < 2.0  # 0.15 s on an idle machine


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM singer WHERE name = 'Ann'", [("singer", "name", "Ann")]),
        ('SELECT * FROM singer WHERE name = "Ann"', [("singer", "name", "Ann")]),
        ("SELECT 1 FROM song s JOIN singer AS t ON 1 WHERE 'Ann' = t.name",
         [("singer", "name", "Ann")]),
        ("SELECT 1 FROM singer WHERE lower(name) IN ('a', 'b')",
         [("singer", "name", "a"), ("singer", "name", "b")]),
        ("SELECT 1 FROM (SELECT name AS n FROM singer) x WHERE x.n = 'Ann'",
         [("singer", "name", "Ann")]),
        ("WITH c AS (SELECT name FROM singer) SELECT 1 FROM c WHERE name LIKE 'A%'",
         [("singer", "name", "A%")]),
        ("SELECT 1 FROM singer WHERE id IN (SELECT singer_id FROM song WHERE title = 'Bye')",
         [("song", "title", "Bye")]),
        ("not SQL at all (", []),
    ],
)  # fmt: skip
def test_literals_are_told_their_columns(singers, sql, expected):
    assert text_literals(sql, read_schema(singers)) == [
        TextLiteral(*literal) for literal in expected
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "WITH RECURSIVE c AS (SELECT name FROM c) SELECT 1 FROM c WHERE name = 'x'",
        "SELECT " + "'a' = " * 5_000 + "name FROM singer",
    ],
)
def test_hostile_queries_have_no_literals_and_end_in_time(singers, sql):
    start = time.perf_counter()
    assert text_literals(sql, read_schema(singers)) == []
    assert time.perf_counter() - start < 10.0  # twice the limit of 2 s at most
