"""What a resumed run must have in common with its beginning, and what it need not."""

import pytest

from inference import csc, generate, revise
from slmsql.cli.config import parse
from slmsql.consistency.voting import VoteWeight
from slmsql.execution import create_database
from slmsql.files import write_jsonl
from slmsql.match import Match

TEMPLATE = """layout: sql
## system
Write SQL.
## user
$schema
$question
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("one", "two"):
        create_database(tmp_path / name / "d" / "d.sqlite", f"CREATE TABLE {name} (a)")
    write_jsonl(tmp_path / "q.jsonl", [{"id": "q", "question": "?", "db_id": "d"}])
    write_jsonl(tmp_path / "c.jsonl", [{"id": "q", "candidates": [{"sql": "SELECT 1"}]}])
    (tmp_path / "mine.txt").write_text(TEMPLATE)
    return tmp_path


def settings(program, folder, *words):
    common = ["--model", "m", "--endpoints", "http://a", "--databases", folder / "one"]
    common += ["--questions", folder / "q.jsonl", "--output", folder / "out.jsonl"]
    template = "--template"
    if program is revise:
        common += ["--candidates", folder / "c.jsonl"]
        template = "--merge_template"
    argv = map(str, [*common, template, folder / "mine.txt", *words])
    return parse(program.Options, about=None, argv=list(argv)).settings()


@pytest.mark.parametrize("program", [generate, revise])
@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["--databases", "two"], "databases"),
        (["--sampler", "transformers"], "sampler"),
        (["--dtype", "float32"], "dtype"),
        (["--quantization", "fp8"], "quantization"),
        (["--max_model_len", "100"], "max_model_len"),
        (["--endpoints", "http://b"], "endpoints"),
        (["--limit", "1"], "limit"),
        (["--seed", "1"], "seed"),
        (["--logprobs", "true"], "sampling"),
    ],
)
def test_each_option_that_determines_the_answers_is_compared(program, folder, words, name):
    words = [str(folder / word) if word == "two" else word for word in words]
    before, after = settings(program, folder), settings(program, folder, *words)
    assert [key for key in before if before[key] != after[key]] == [name]


@pytest.mark.parametrize("program", [generate, revise])
def test_an_edited_template_is_noticed(program, folder):
    before = settings(program, folder)
    (folder / "mine.txt").write_text(TEMPLATE + "Think first.")
    after = settings(program, folder)
    assert [key for key in before if before[key] != after[key]] == ["template_text"]


@pytest.mark.parametrize("program", [generate, revise])
def test_speed_is_not_compared(program, folder):
    words = ["--concurrency", "3", "--timeout", "9", "--retries", "1", "--workers", "2"]
    assert settings(program, folder) == settings(program, folder, *words)


@pytest.mark.parametrize("other", [("--empty_votes", "false"), ("--match", "strict")])
def test_the_rules_of_the_vote_are_compared_only_if_sampling_stops_by_them(folder, other):
    assert settings(generate, folder) == settings(generate, folder, *other)
    rounds = ("--round_size", "2")
    assert settings(generate, folder, *rounds) != settings(generate, folder, *rounds, *other)


def test_the_rules_of_the_vote_reach_sampling_and_revision(folder):
    words = ["--model", "m", "--questions", "q.jsonl", "--output", "out"]
    words += ["--round_size", "2", "--empty_votes", "false", "--weight", "logprob"]
    words += ["--match", "spider"]
    chain = parse(csc.Options, about=None, argv=words)
    plan = chain.generation().sampling_plan
    assert (plan.rules.empty_votes, plan.rules.weight) == (False, VoteWeight.LOGPROB)
    assert plan.match is chain.second_stage().voting.match is Match.SPIDER
    assert plan.sampling.logprobs
    assert chain.second_stage().plan.sampling.logprobs
    assert chain.second_stage().voting.rules_for_samples == plan.rules
