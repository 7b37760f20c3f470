"""A syntax tree of any text: hostile SQL neither raises nor hangs."""

import time

import pytest

from slmsql.sql import parsing
from slmsql.sql.parsing import GUARDED_CHARS, normalised, parse_query, parse_statements, parsed

SHAPES = {
    "open brackets": "(",
    "brackets around a value": "(1)",
    "NOT": "NOT ",
    "minus": "-",
    "CASE": "CASE WHEN 1 THEN ",
    "calls": "f(",
    "unions": "SELECT 1 UNION ",
    "joins": "a JOIN b ON ",
    "semicolons": ";",
    "quotes": "'",
    "double quotes": '"',
    "comments": "/*",
    "sub-queries": "(SELECT * FROM ",
    "IN": "a IN (",
    "casts": "CAST(",
    "WITH": "WITH a AS (",
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_short_text_of_any_shape_is_read_or_refused_at_once(shape):
    text = f"SELECT {shape * GUARDED_CHARS}"[:GUARDED_CHARS]
    start = time.perf_counter()
    parse_query(text)
    assert time.perf_counter() - start < 1.0  # 0.05 s on an idle machine


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_long_text_of_any_shape_ends_in_time(shape, monkeypatch):
    monkeypatch.setattr(parsing, "PARSE_SECONDS", 0.5)
    start = time.perf_counter()
    parse_query(f"SELECT {shape * 100_000}")
    assert time.perf_counter() - start < 5.0


def test_a_parse_that_takes_too_long_is_ended(monkeypatch):
    monkeypatch.setattr(parsing, "PARSE_SECONDS", 0.1)
    assert parse_query("SELECT " + ", ".join(["a + b"] * 200_000)) is None


@pytest.mark.parametrize("text", ["", "SELEC", "SELECT FROM WHERE", "\0", "SELECT 'open", "\ud800"])
def test_what_is_no_sql_has_no_tree(text):
    assert parse_query(text) is None or parse_query(text).sql()


def test_statements_come_one_by_one():
    assert [type(tree).__name__ for tree in parse_statements("SELECT 1; ; SELECT 2;")] == [
        "Select",
        "Select",
    ]


def test_a_text_in_double_quotes_is_a_literal():
    assert parsed('SELECT a FROM t WHERE b = "x"').sql() == "SELECT a FROM t WHERE b = 'x'"


def test_aliases_case_and_quotes_do_not_matter():
    assert normalised("select T1.a from T as T1") == normalised('SELECT "t".A FROM t')
