"""Results as text: bounded, rows called rows."""

import pytest

from slmsql.execution import Executor, Statement
from slmsql.prompt.result_text import result_text
from slmsql.questions.words import estimate_tokens


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as one:
        yield one


@pytest.fixture
def shown(executor, singers):
    def show(sql, *, tokens=300, preview=20):
        (execution,) = executor.run([Statement(singers, sql)], preview=preview)
        return result_text(execution, tokens=tokens)

    return show


def test_rows_are_named_and_counted(shown):
    assert shown("SELECT name, age FROM singer LIMIT 2") == (
        "2 rows of name, age\n('Ann', 30)\n('Bob', 25)"
    )
    assert shown("SELECT 1.5 AS x") == "1 row of x\n(1.5)"


def test_an_empty_result_says_so(shown):
    assert shown("SELECT name FROM singer WHERE 0") == "0 rows of name"


def test_a_part_of_the_rows_is_called_a_part(shown):
    """Upstream calls rows columns and cuts in the middle of a value."""
    assert shown("SELECT id FROM singer", preview=2) == "first 2 of 3 rows of id\n(1)\n(2)"


def test_nulls_quotes_lines_and_blobs_are_readable(shown):
    text = shown("SELECT NULL, 'it''s', 'two' || char(10) || 'lines', x'00ff'")
    assert text.endswith("(NULL, 'it''s', 'two lines', a blob of 2 bytes)")


def test_an_error_is_shown_with_its_message(shown):
    assert shown("SELECT nowhere FROM singer") == "error: no such column: nowhere"


@pytest.mark.parametrize("tokens", [20, 100, 300])
def test_the_text_stays_in_its_bound(shown, tokens):
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) "
    wide = ", ".join(f"'some words in column number {n}' AS column_{n}" for n in range(60))
    for sql in (f"{many} SELECT i, 'word ' || i FROM n", f"SELECT {wide}"):
        # A line for the head and, at the least, the beginning of one row.
        assert estimate_tokens(shown(sql, tokens=tokens)) <= 2 * tokens + 40


def test_one_value_cannot_fill_the_text(shown):
    assert len(shown("SELECT hex(zeroblob(100000))")) < 300
