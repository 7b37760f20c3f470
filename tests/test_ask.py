"""The terminal program, and answers as text and JSON."""

import pytest

from slmsql.execution import Executor, Statement
from slmsql.server.reply import cell, table_text
from tests.in_process import run_here
from tests.running_server import ANSWERS, ROOT, answer
from tests.stand_in import Server


@pytest.fixture(scope="module")
def model():
    server = Server(always=answer)
    yield server
    server.shutdown()
    server.server_close()


def ask(model, database, *words, typed=""):
    model_words = ("--model", "m", "--endpoints", model.url)
    return run_here("inference/ask.py", *model_words, "--database", database, *words, typed=typed)


def test_one_question_is_answered_with_its_rows(model, singers):
    done = ask(model, singers, "--question", "an odd one", "--show_candidates", "true")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(ANSWERS["odd"][0])
    assert "blob of 2 bytes" in done.stdout
    assert "1 row\n" in done.stdout
    assert "every candidate that ran has this result (4 of 4 agree" in done.stdout
    assert "  4 votes, 1 rows:" in done.stdout


def test_questions_are_answered_one_after_another(model, singers):
    done = ask(model, singers, typed="an odd one\n\na broken one\n")
    assert done.stdout.count("agree,") == 2
    assert "error: no such table: artist" in done.stdout


@pytest.mark.parametrize("name", ["nowhere.sqlite", "README.md"])
def test_a_wrong_file_is_one_line_before_any_model_is_loaded(model, name):
    done = ask(model, ROOT / name, "--question", "x")
    assert done.returncode == 2
    assert name in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_unreachable_model_is_one_line(singers):
    away = Server(always="broken")
    done = ask(away, singers, "--question", "x", "--retries", "0")
    assert done.returncode == 2
    assert "status 500" in done.stderr
    away.shutdown()


def test_a_table_fits_the_terminal_and_has_no_control_characters(singers):
    sql = "SELECT id, char(27) || '[31m' || name AS name, NULL AS n FROM singer ORDER BY id"
    with Executor(workers=1) as executor:
        (execution,) = executor.run([Statement(singers, sql)], preview=10)
    lines = table_text(execution, rows=2).splitlines()
    assert lines[0].split() == ["id", "name", "n"]
    assert lines[2].split()[:2] == ["1", "[31mAnn"]
    assert "\x1b" not in "".join(lines)
    assert lines[-1] == "3 rows, the first 2 shown"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (3, 3),
        (1.5, 1.5),
        (2**53 + 1, str(2**53 + 1)),
        (float("inf"), "inf"),
        (b"\0\1", "blob of 2 bytes"),
        ("\ud800", "?"),
    ],
)
def test_values_become_json(value, shown):
    assert cell(value) == shown


def test_a_long_text_is_cut():
    assert len(cell("x" * 10_000)) == 1001
