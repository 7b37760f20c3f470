"""Questions drawn by chance for a shorter evaluation."""

import pytest

from scripts.draw_questions import main
from slmsql.cli import config as cli
from slmsql.errors import InputError
from slmsql.files import write_jsonl
from slmsql.questions.question import Question
from slmsql.questions.reading import read_questions


@pytest.fixture
def draw(singers, tmp_path, monkeypatch):
    """Draw from twenty questions, of which the last has no database; returns the ids."""
    questions = [Question(f"q{n}", f"How many? {n}", "singers", singers) for n in range(19)]
    questions.append(Question("q19", "Where?", "gone", tmp_path / "gone.sqlite"))
    write_jsonl(tmp_path / "all.jsonl", (question.as_record() for question in questions))

    def run(*words):
        arguments = ["--questions", tmp_path / "all.jsonl", "--output", tmp_path / "some.jsonl"]
        monkeypatch.setattr(cli.sys, "argv", ["draw", *map(str, arguments), *words])
        main()
        return [question.id for question in read_questions(tmp_path / "some.jsonl")]

    return run


def test_a_seed_draws_the_same_questions_and_another_seed_others(draw):
    assert draw("--n", "5", "--seed", "7") == draw("--n", "5", "--seed", "7")
    assert draw("--n", "5", "--seed", "7") != draw("--n", "5", "--seed", "8")


def test_questions_keep_their_order_and_none_lacks_its_database(draw):
    assert draw("--n", "19") == [f"q{n}" for n in range(19)]


@pytest.mark.parametrize("n", ["0", "-1", "20"])
def test_more_questions_than_there_are_cannot_be_drawn(draw, n):
    with pytest.raises(InputError, match=f"--n {n}: 19 questions have a usable database"):
        draw("--n", n)
