"""The short form of a schema, and prompts that use it."""

import pytest

from slmsql.errors import InputError
from slmsql.execution import create_database
from slmsql.prompt.build import PromptSettings, build_prompt
from slmsql.questions.question import Question
from slmsql.questions.words import estimate_tokens
from slmsql.schema.budget import cut_to_budget, key_columns
from slmsql.schema.model import Schema
from slmsql.schema.reading import read_schema
from slmsql.schema.short import short_text


def read(tmp_path, script):
    path = tmp_path / "d.sqlite"
    create_database(path, script)
    return read_schema(path)


def prompt(question, **settings):
    built = build_prompt(question, PromptSettings("short", **settings))
    return built.messages[1]["content"], built.columns_left_out


def test_tables_stand_in_one_line_and_foreign_keys_in_the_next(singers):
    assert short_text(read_schema(singers), {}) == (
        "singer : id , name , age | song : id , title , singer_id\nsong.singer_id = singer.id"
    )


def test_without_foreign_keys_there_is_no_second_line(tmp_path):
    assert short_text(read(tmp_path, "CREATE TABLE t (a, b)"), {}) == "t : a , b"


def test_an_empty_database_is_an_empty_text():
    assert short_text(Schema(()), {}) == ""


def test_names_and_values_stand_as_a_query_must_write_them(tmp_path):
    schema = read(tmp_path, 'CREATE TABLE "a | b" ("select", "x : y" TEXT, "q""q")')
    values = {("a | b", "x : y"): ("Ann's\nhat", 3)}
    text = '"a | b" : "select" , "x : y" ( \'Ann\'\'s hat\' , 3 ) , "q""q"'
    assert short_text(schema, values) == text


def test_a_key_of_several_columns_is_an_equation_for_each(tmp_path):
    schema = read(
        tmp_path,
        "CREATE TABLE p (a, b, PRIMARY KEY (a, b));"
        "CREATE TABLE c (x, y, FOREIGN KEY (x, y) REFERENCES p (a, b))",
    )
    assert short_text(schema, {}).endswith("\nc.x = p.a , c.y = p.b")


def test_a_key_to_a_table_without_primary_key_is_left_out(tmp_path):
    schema = read(tmp_path, "CREATE TABLE p (a); CREATE TABLE c (x REFERENCES p)")
    assert short_text(schema, {}) == "p : a | c : x"


def test_the_prompt_shows_only_values_that_the_question_mentions(singers):
    question = Question("q", "How old is bob?", "singers", singers, evidence="by name")
    found = "singer : id , name ( 'Bob' ) , age | song : id , title , singer_id\n"
    rest = "song.singer_id = singer.id\nHint: by name\nQuestion: How old is bob?"
    assert prompt(question, retrieve_values=True) == (found + rest, 0)
    assert prompt(question, sample_values=5) == (found.replace(" ( 'Bob' )", "") + rest, 0)


def test_the_budget_counts_the_short_text_and_keeps_keys(singers):
    schema = read_schema(singers)
    text = short_text(schema, {})
    assert cut_to_budget(schema, {}, "", estimate_tokens(text), short_text).columns_left_out == 0
    cut = cut_to_budget(schema, {}, "titles", estimate_tokens(text) - 1, short_text)
    assert cut.columns_left_out == 1
    assert short_text(cut.schema, {}) == text.replace(" , age", "")
    least = cut_to_budget(schema, {}, "", 1, short_text)
    assert key_columns(least.schema) == key_columns(schema)
    question = Question("q", "all titles", "singers", singers)
    assert prompt(question, schema_tokens=estimate_tokens(text) - 1)[1] == 1


@pytest.mark.parametrize("budget", range(20, 60, 4))
def test_the_estimate_of_what_a_cut_saves_is_exact(budget, tmp_path):
    columns = ", ".join(f"column_{n} TEXT" for n in range(12))
    schema = read(tmp_path, f"CREATE TABLE t ({columns}); CREATE TABLE u (a, b)")
    values = {("t", "column_3"): ("a value",)}
    cut = cut_to_budget(schema, values, "", budget, short_text)
    assert estimate_tokens(short_text(cut.schema, values)) <= budget


def test_a_template_cannot_show_both_forms(singers, tmp_path):
    own = tmp_path / "own.txt"
    own.write_text("layout: sql\n## user\n$schema $short_schema $question")
    with pytest.raises(InputError, match=r"it may use \$question, \$evidence, \$short_schema"):
        build_prompt(Question("q", "?", "singers", singers), PromptSettings(str(own)))
