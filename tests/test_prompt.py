"""Prompts: their templates, and the same text for training and inference."""

import pytest

from slmsql.errors import InputError
from slmsql.prompt.build import (
    FOLDER,
    Draft,
    Layout,
    PromptSettings,
    build_prompt,
    read_template,
    revision_prompt,
    target,
)
from slmsql.questions.question import Question

SHIPPED = sorted(file.stem for file in FOLDER.glob("*.txt"))


@pytest.fixture
def question(singers):
    return Question("q", "  Who costs $5 or ${x}? ", "singers", singers, evidence="$hint")


@pytest.mark.parametrize("name", SHIPPED)
def test_each_shipped_template_makes_a_prompt(question, name):
    template = read_template(name)
    if name.startswith("merge"):
        messages = revision_prompt(question, "SCHEMA", [Draft("SELECT 1", "1 row")], template)
        assert "Draft 1:\nSELECT 1\n" in messages[1]["content"]
    else:
        messages = build_prompt(question, PromptSettings(name)).messages
        shown = "singer : id" if name == "short" else "CREATE TABLE singer"
        has_schema = any(shown in message["content"] for message in messages)
        assert has_schema == (name != "no_schema")
    assert [message["role"] for message in messages] == ["system", "user"]
    assert "Hint: $hint\n" in messages[1]["content"]
    assert "Who costs $5 or ${x}?" in messages[1]["content"]


def test_a_budget_that_is_large_enough_changes_nothing(question):
    prompt_settings = PromptSettings(schema_tokens=100_000)
    assert build_prompt(question, prompt_settings) == build_prompt(question, PromptSettings())


def test_a_template_of_ones_own_is_read_from_a_path(question, tmp_path):
    own = tmp_path / "own.txt"
    own.write_text("layout: sql\n## user\n$question over $schema")
    [message] = build_prompt(question, PromptSettings(str(own))).messages
    assert message["role"] == "user"
    assert message["content"].startswith("Who costs $5 or ${x}? over CREATE TABLE")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected 'layout"),
        ("layout: poem\n## user\nx", "expected 'layout"),
        ("layout: sql\nno user", "expected 'layout"),
        ("layout: sql\n## user\n$nothing", "it may use"),
        ("layout: sql\n## user\n$ question", "it may use"),
    ],
)
def test_a_template_that_cannot_be_used_says_why(question, tmp_path, content, message):
    own = tmp_path / "own.txt"
    own.write_text(content)
    with pytest.raises(InputError, match=message):
        build_prompt(question, PromptSettings(str(own)))


def test_an_unknown_template_is_named_with_those_there_are():
    with pytest.raises(InputError, match=r"no template 'thimk'.*'think'"):
        read_template("thimk")


def test_the_target_is_in_the_layout_that_the_prompt_asks_for():
    assert target("why", " SELECT 1\n", Layout.THINK) == (
        "<think>\nwhy\n</think>\n<answer>\nSELECT 1\n</answer>"
    )
    assert target("why", "SELECT 1", Layout.SQL) == "SELECT 1"
