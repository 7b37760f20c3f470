"""Questions in two files that share no database."""

import pytest

from scripts.split_questions import main
from slmsql.cli import config as cli
from slmsql.errors import InputError
from slmsql.files import write_jsonl
from slmsql.questions.question import Question
from slmsql.questions.reading import read_questions


@pytest.fixture
def split(singers, tmp_path, monkeypatch):
    """Split twenty questions about five databases, and one whose database is missing."""
    questions = [Question(f"q{n}", f"How many? {n}", f"db{n % 5}", singers) for n in range(20)]
    questions.append(Question("q20", "Where?", "gone", tmp_path / "gone.sqlite"))
    write_jsonl(tmp_path / "all.jsonl", (question.as_record() for question in questions))

    def run(*words):
        files = tmp_path / "most.jsonl", tmp_path / "rest.jsonl"
        arguments = ["--questions", tmp_path / "all.jsonl", "--output", files[0]]
        arguments += ["--held_out_output", files[1], *words]
        monkeypatch.setattr(cli.sys, "argv", ["split", *map(str, arguments)])
        main()
        return [read_questions(file) for file in files]

    return run


def test_the_files_share_no_database_and_lose_no_question(split):
    most, rest = split("--held_out", "0.4")
    assert {question.db_id for question in most}.isdisjoint(question.db_id for question in rest)
    assert sorted(question.id for question in most + rest) == sorted(f"q{n}" for n in range(20))
    assert len(rest) == 8


def test_a_seed_gives_the_same_split_and_another_seed_another(split):
    def held_out(seed):
        return {question.db_id for question in split("--seed", seed)[1]}

    assert held_out("1") == held_out("1")
    assert len({frozenset(held_out(str(seed))) for seed in range(6)}) > 1


def test_a_share_that_no_database_fits_is_refused(split):
    with pytest.raises(InputError, match="5 databases cannot be split so that about 1%"):
        split("--held_out", "0.01")


@pytest.mark.parametrize("share", ["0", "1", "-0.5"])
def test_a_share_outside_of_0_to_1_is_refused(split, share):
    with pytest.raises(SystemExit):
        split("--held_out", share)
