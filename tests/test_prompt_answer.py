"""A completion is read as it was written; the format is one rule."""

import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmsql.prompt.answer import CLOSING, parse

PIECES = (
    *("<think>", "</think>", "<answer>", "</answer>", "```", "```sql", "``` ", "`", "<", "</"),
    *(";", ";\n", " ;", "--", "--;", "-- ;\n", "; --\n", "\n", "\t", "\r\n", "\u2028", "\u3000"),
    *("'", '"', "/*", "*/", "(", "[", "a", "SELECT 1;", "é", "\0", "\ud800"),
)
AROUND = (
    ("", ""),
    ("SELECT 1", ""),
    ("-- ", ""),
    ("```", ""),
    ("<think>a</think><answer>", "</answer>"),
)


def think(answer: str, thought: str = "join both") -> str:
    return f"<think>\n{thought}\n</think>\n<answer>\n{answer}\n</answer>"


def test_a_well_formed_completion_gives_thought_and_sql():
    answer = parse(think("SELECT 1"))
    assert (answer.thought, answer.sql, answer.well_formed) == ("join both", "SELECT 1", True)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT name -- the singer\nFROM singer",
        "-- names\nSELECT name FROM singer",
        "SELECT ';' || name FROM singer",
        "SELECT 'two\nlines'",
        "SELECT /* ; */ 1",
        "SELECT '--not a comment;'",
        "WITH t AS (SELECT 1)\nSELECT * FROM t",
    ],
)
def test_newlines_comments_literals_and_inner_semicolons_survive(sql):
    assert parse(think(sql)).sql == sql
    assert parse(sql).sql == sql


@pytest.mark.parametrize("tail", [";", " ;\n", ";;", "\n;\n"])
def test_semicolons_at_the_end_are_dropped(tail):
    assert parse(think("SELECT 1" + tail)).sql == "SELECT 1"


def test_a_semicolon_in_a_closing_comment_stays():
    assert parse(think("SELECT 1 -- done;")).sql == "SELECT 1 -- done;"


@pytest.mark.parametrize(
    "completion",
    [
        think("SELECT 1") + "\n",
        "<think>a</think><answer>SELECT 1</answer>",
        "<think>\na\n</think> \n\n<answer>SELECT 1</answer>",
        think("```sql\nSELECT 1\n```"),
    ],
)
def test_blank_space_and_a_fence_do_not_break_the_format(completion):
    assert parse(completion).well_formed
    assert parse(completion).sql == "SELECT 1"


@pytest.mark.parametrize(
    "completion",
    [
        "SELECT 1",
        "```sql\nSELECT 1\n```",
        "<answer>SELECT 1</answer>",
        "<think></think><answer>SELECT 1</answer>",
        "<think> \n </think><answer>SELECT 1</answer>",
        "<think>a</think><answer> </answer>",
        "<think>a</think>",
        think("SELECT 1") + "\nAs asked.",
        "Sure. " + think("SELECT 1"),
        think("SELECT 1") + think("SELECT 2"),
        "<think>a</think><answer>SELECT <answer>1</answer></answer>",
        "<think>a <think>b</think></think><answer>SELECT 1</answer>",
        "<think>a</think><answer>SELECT 1",
        "",
    ],
)
def test_everything_else_is_not_well_formed(completion):
    assert not parse(completion).well_formed


@pytest.mark.parametrize(
    ("completion", "sql"),
    [
        ("Here it is:\n```sql\nSELECT 1;\n```\nDone.", "SELECT 1"),
        ("```sql\nSELECT 1\n```\nor better\n```sql\nSELECT 2\n```", "SELECT 2"),
        ("<think>a</think>SELECT 1", "SELECT 1"),
        ("<think>a</think>\n<answer>SELECT 1", "SELECT 1"),
        ("<think>SELECT 9</think><answer>SELECT 1</answer> trailing", "SELECT 1"),
        ("<answer>SELECT 1</answer> no, <answer>SELECT 2</answer>", "SELECT 1"),
        ("<think>SELECT 9 and then", None),
        ("<think>a</think><answer></answer>", None),
        (" \n ", None),
    ],
)
def test_a_badly_formed_completion_still_gives_its_sql(completion, sql):
    assert parse(completion).sql == sql


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_of_several_answers_a_reward_reads_the_one_at_which_sampling_stops(completion):
    """Inference ends a completion at the first `</answer>`; a rollout may go on."""
    stopped, end, _ = completion.partition("</answer>")
    assert parse(completion).sql == parse(stopped + end).sql


def without_final_semicolons(sql):
    """The rule in its simplest form: semicolons go one by one, but not out of a comment."""
    sql = sql.strip()
    while sql.endswith(";") and "--" not in sql.rpartition("\n")[2]:
        sql = sql[:-1].rstrip()
    return sql or None


@given(st.lists(st.sampled_from([p for p in PIECES if "`" not in p and "<" not in p])).map("".join))
def test_final_semicolons_are_removed_by_the_rule(sql):
    assert parse(sql).sql == without_final_semicolons(sql)
    assert parse(f"<answer>{sql}</answer>").sql == without_final_semicolons(sql)


def test_all_white_space_counts_as_such():
    spaces = {chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()}
    assert set(CLOSING) == spaces | {";"}


def seconds(completion):
    """Processor time of this thread."""
    start = time.thread_time()
    parse(completion)
    return time.thread_time() - start


@pytest.mark.parametrize("piece", PIECES, ids=repr)
def test_a_million_characters_of_any_shape_are_read_in_linear_time(piece):
    """Twenty times the length takes about twenty times as long; squared, it would be 400 times.

    100,000 semicolons alone once took 4 s.
    """
    for before, after in AROUND:
        short, long = (
            before + piece * (chars // len(piece)) + after for chars in (50_000, 1_000_000)
        )
        # Both times are taken side by side, because a busy machine slows both.
        assert any(seconds(long) < min(0.5, 100 * seconds(short) + 0.001) for _ in range(5)), before
