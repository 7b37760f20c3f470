"""A syntax tree of any text: hostile SQL neither raises nor hangs."""

import time

import pytest

from slmsql.evaluation.constructs import constructs
from slmsql.evaluation.diagnosis import differences
from slmsql.sql import parsing
from slmsql.sql.parsing import (
    GUARDED_CHARS,
    guarded,
    normalised,
    parse_query,
    parse_statements,
    parsed,
)
from slmsql.sql.ties import tie_query

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


@pytest.mark.slow
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


def test_several_statements_are_another_query_than_the_first_of_them():
    assert parse_query("SELECT 1; SELECT 2") != parse_query("SELECT 1")
    assert normalised("SELECT 1; SELECT 2") != normalised("SELECT 1")
    assert normalised("SELECT 1;") == normalised("SELECT 1")


def test_a_text_in_double_quotes_is_a_literal():
    assert parsed('SELECT a FROM t WHERE b = "x"').sql() == "SELECT a FROM t WHERE b = 'x'"


def test_aliases_case_and_quotes_do_not_matter():
    assert normalised("select T1.a from T as T1") == normalised('SELECT "t".A FROM t')


LONG_QUERIES = {
    "quoted texts": 'SELECT a FROM t WHERE b IN ("x"' + ', "x"' * 20_000 + ")",
    "joins": "SELECT a FROM t" + " JOIN t ON a = b" * 6_000,
    "tables": "SELECT a FROM t" + ", t" * 30_000,
    "dots": "SELECT a" + ".a" * 5_000 + " FROM t",
    "sums": "SELECT a" + "+a" * 50_000 + " FROM t",
}


@pytest.mark.parametrize("sql", LONG_QUERIES.values(), ids=LONG_QUERIES)
def test_all_that_uses_a_tree_ends_in_time(sql, monkeypatch):
    monkeypatch.setattr(parsing, "PARSE_SECONDS", 0.5)
    gold = "SELECT a FROM t ORDER BY a LIMIT 1"
    start = time.perf_counter()
    assert normalised(sql) is None or normalised(sql) != normalised(gold)
    assert isinstance(differences(sql, gold), list)
    assert isinstance(constructs(sql), tuple)
    assert tie_query(sql) is None
    assert time.perf_counter() - start < 15.0  # four pieces of work and a slow machine


def test_work_that_fails_or_takes_too_long_gives_none(monkeypatch):
    def recurse():
        return recurse()

    def count():
        number = 0
        while True:
            number += 1

    monkeypatch.setattr(parsing, "PARSE_SECONDS", 0.05)
    monkeypatch.setattr(parsing, "GUARDED_CHARS", 3)
    assert guarded("a", recurse) is None
    assert guarded("long", recurse) is None
    assert guarded("long", count) is None
    assert guarded("long", max, 1, 2) == 2
