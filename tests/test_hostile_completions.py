"""Completions that attack the parser: right answers are paid, and the format cannot be faked."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.format import format_reward
from slmsql.prompt.answer import parse
from slmsql.sql.tokens import begins_query

PIECES = (
    *("<think>", "</think>", "<answer>", "</answer>", "SELECT 1", "WITH t AS (", "VALUES (1)"),
    *("```", "```sql\n", "\n```", "~~~", "~~~SQLite\n", "'", '"', "'```'", "-- ", "/*", "*/"),
    *(
        ";",
        "\n",
        "\r\n",
        " ",
        "\t",
        "\u200b",
        "\u2028",
        "\0",
        "\ud800",
        "\ufeff",
        "(",
        ")",
        "prose",
    ),
)
completions = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)


def answer(sql):
    return f"<think>join both</think><answer>{sql}</answer>"


@pytest.mark.parametrize(
    ("completion", "sql"),
    [
        (answer("SELECT 1") + "<think>or</think>", "SELECT 1"),
        (answer("SELECT 1") + "<think>or <answer>SELECT 2</answer>", "SELECT 1"),
        (answer("SELECT 1") + "<answer>SELECT 2</answer>", "SELECT 1"),
        ("<think>I answer in <answer>.</think><answer>SELECT 1</answer>", "SELECT 1"),
        ("<think>I answer in <answer>.</think>SELECT 1", "SELECT 1"),
        ("<think>first <answer>SELECT 1</answer>", "SELECT 1"),
        ("<think>a</think><think>b</think>SELECT 1", "SELECT 1"),
        ("<think>a <think>b</think></think>SELECT 1", "SELECT 1"),
        ("SELECT 1</answer>", "SELECT 1"),
        ("<answer></answer><answer>SELECT 1</answer>", None),
    ],
)
def test_the_first_complete_answer_counts(completion, sql):
    assert parse(completion).sql == sql


@pytest.mark.parametrize("around", [answer("{}"), "<answer>{}</answer>", "<think>a</think>{}"])
@pytest.mark.parametrize("comment", ["-- </think>\n", "/* </think> */"])
def test_a_tag_in_a_comment_does_not_cut_the_sql(around, comment):
    sql = f"SELECT 1, {comment} 2"
    assert parse(around.format(sql)).sql == sql


@pytest.mark.parametrize("mark", ["```", "~~~", "````"])
@pytest.mark.parametrize(
    "label", ["", "sql", "SQLite", "Sql", "sqlite3", "mysql", " sql", "{.sql}"]
)
@pytest.mark.parametrize("end", ["\n{}", "{}", "\n{}\n", "\n  {} \n", "\n{}\nDone.", "", "\n"])
def test_a_fence_may_have_any_label_and_no_end(mark, label, end):
    block = f"{mark}{label}\nSELECT 1{end.format(mark)}"
    assert parse(block).sql == "SELECT 1"
    assert parse(f"Here it is:\n{block}").sql == "SELECT 1"
    assert parse(answer(block)).sql == "SELECT 1"
    assert parse(answer(block)).well_formed


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("```sql SELECT 1```", "SELECT 1"),
        ("```SELECT 1```", "SELECT 1"),
        ("```(SELECT 1)```", "(SELECT 1)"),
        ("```-- one\nSELECT 1\n```", "-- one\nSELECT 1"),
        ("```sql\r\nSELECT 1\r\n```\r\n", "SELECT 1"),
        ("```sql\nSELECT 1\n\n```sql\nSELECT 2\n```", "SELECT 2"),
        ("```sql\nSELECT 1\n```\n```\n```", "SELECT 1"),
        ("SELECT 1\n```", "SELECT 1"),
        ("```\n```", None),
    ],
)
def test_fenced_blocks(text, sql):
    assert parse(text).sql == sql


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT '```'",
        "SELECT '```' || name || '```' FROM singer",
        "SELECT '```sql' || name FROM singer",
        "SELECT '~~~x~~~'",
        "SELECT 1 -- ```sql SELECT 2``` or so",
    ],
)
def test_fence_characters_in_the_sql_are_not_a_fence(sql):
    assert parse(sql).sql == sql
    assert parse(answer(sql)).sql == sql
    assert parse(answer(f"```sql\n{sql}\n```")).sql == sql


@pytest.mark.parametrize(
    "text",
    [
        *(";", ";;\n;", "```sql\n```", "```\n\n```", "```sql", "~~~\n~~~", "```sql\n;\n```"),
        *("-- only a comment", "/* SELECT 1 */", "/* SELECT 1", "-- SELECT 1", "(", "(("),
        *("\u200b", "\0", "\0SELECT 1", "\u200bSELECT 1", "\ufeff", "\u3000", "0", "'SELECT 1'"),
        *("I do not know.", "With pleasure: none.", "The answer is SELECT 1"),
        *("SELECTED 1", "WITH", "WITH t", "PRAGMA table_info(t)", "DROP TABLE t", "a"),
    ],
)
def test_the_format_reward_needs_a_query(text):
    assert not parse(answer(text)).well_formed
    assert format_reward([answer(text)]) == [0.0]


@pytest.mark.parametrize(
    "sql",
    [
        *("SELECT 1", "select*from singer", "SELECT'a'", "SELECT(1)", "VALUES (1)", "(SELECT 1)"),
        *("-- a comment\nSELECT 1", "/* a */ /* b */SELECT 1", "SELECT -- a\n1", "SELECT/**/1"),
        *("WITH t AS (SELECT 1) SELECT * FROM t", "WITH t(a) AS (SELECT 1) SELECT a FROM t"),
        *('WITH "a b" AS (SELECT 1) SELECT 1', "with [t] as (select 1) select 1"),
        *("WITH RECURSIVE t(a) AS (SELECT 1) SELECT 1", "WITH -- a\nt AS (SELECT 1) SELECT 1"),
        *(
            "with recursive as (select 1) select 1",
            "WITH `ü` AS (SELECT 1) SELECT 1",
            "( (SELECT 1))",
        ),
    ],
)
def test_every_query_earns_the_format_reward(sql):
    assert parse(answer(sql)).well_formed


@pytest.mark.slow
@settings(max_examples=2500, deadline=None)
@given(completions)
def test_generated_completions_obey_the_rules(completion):
    parsed = parse(completion)
    assert parsed.sql is None or parsed.sql.strip() == parsed.sql != ""
    assert not parsed.well_formed or begins_query(parsed.sql)
    stopped, tag, _ = completion.partition("</answer>")  # where sampling stops
    assert parse(stopped + tag).sql == parsed.sql
    if "<" not in completion:  # the answer is read the same in its tags
        assert parse(answer(completion)).sql == parsed.sql
        assert parse(answer(completion)).well_formed == begins_query(parsed.sql or "")
