"""The quickstart's data and model: deterministic, really held out, wrong as often as stated."""

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from scripts.demo.domains import DOMAINS, create_domain
from scripts.demo.forms import FORMS, fill
from slmsql.execution import Executor, Pair, Statement
from slmsql.files import read_json, read_jsonl
from slmsql.match import Match
from slmsql.prompt.answer import parse
from slmsql.questions.reading import read_questions
from tests.in_process import run_here

ROOT = Path(__file__).parent.parent
TEMPLATES = ROOT / "configs" / "quickstart"


def make_demo(output: Path, *words: str) -> subprocess.CompletedProcess[str]:
    templates = ("--template", TEMPLATES / "think.txt", "--merge_template", TEMPLATES / "merge.txt")
    return run_here("scripts/demo/make_data.py", "--output", output, *templates, *words)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "demo"
    assert make_demo(folder, "--demonstrations", "600").returncode == 0
    return folder


def rows(folder: Path, name: str) -> list[dict]:
    return list(read_jsonl(folder / f"{name}.jsonl"))


def text_of(row: dict) -> str:
    return row["prompt"][-1]["content"].rpartition("\n\n")[2]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(demo):
    before = {name: (demo / f"{name}.jsonl").read_bytes() for name in ("sft", "rl", "test")}
    assert make_demo(demo, "--demonstrations", "600").returncode == 0
    assert all((demo / f"{name}.jsonl").read_bytes() == old for name, old in before.items())


@pytest.mark.slow
def test_another_seed_gives_other_questions(demo, tmp_path):
    make_demo(tmp_path, "--demonstrations", "600", "--seed", "2")
    ours = {row["text"] for row in rows(demo, "test")}
    assert ours != {row["text"] for row in rows(tmp_path, "test")}


def test_no_held_out_question_is_in_any_training(demo):
    trained = {text_of(row) for row in rows(demo, "sft")}
    trained |= {row["text"] for row in rows(demo, "rl")}
    assert not trained & {row["text"] for row in rows(demo, "test")}


def test_demonstrations_and_audited_questions_are_different_ones(demo):
    asked = {row["text"] for row in rows(demo, "rl")}
    assert not asked & {text_of(row) for row in rows(demo, "sft")}


def test_half_of_the_held_out_questions_are_new_combinations_over_both_domains(demo):
    questions = read_questions(demo / "test.jsonl")
    new = [question for question in questions if question.difficulty == "new combination"]
    assert len(questions) >= 300
    assert 0.4 < len(new) / len(questions) < 0.6
    assert {question.db_id for question in new} == {domain.name for domain in DOMAINS}


def test_every_form_is_asked_and_scored(demo):
    for name in ("rl", "test"):
        assert {row["source"] for row in rows(demo, name)} == set(FORMS)


def test_every_gold_query_runs_and_finds_something(demo):
    questions = read_questions(demo / "test.jsonl") + read_questions(demo / "rl.jsonl")
    with Executor() as executor:
        ran = executor.run([Statement(q.database, q.gold_sql) for q in questions])
    assert all(execution.ok and execution.row_count for execution in ran)


def test_the_stated_number_of_wrong_demonstrations_is_the_measured_one(demo):
    counts = read_json(demo / "demo.json")
    assert counts["demonstrations"] == len(rows(demo, "sft"))
    assert 0.1 < counts["wrong_demonstrations"] / counts["demonstrations"] < 0.35


@pytest.mark.slow
def test_without_habits_no_demonstration_is_wrong(tmp_path):
    make_demo(tmp_path, "--demonstrations", "100", "--habit", "0")
    assert read_json(tmp_path / "demo.json")["wrong_demonstrations"] == 0


def test_demonstrations_are_in_the_think_layout(demo):
    answers = [parse(row["completion"][0]["content"]) for row in rows(demo, "sft")]
    assert all(answer.well_formed for answer in answers)
    assert [answer.sql for answer in answers] == [row["gold_sql"] for row in rows(demo, "sft")]


@pytest.mark.parametrize("form", FORMS)
def test_a_habit_never_gives_the_right_result(form, tmp_path):
    random = Random(1)
    domain, path = DOMAINS[0], tmp_path / "library.sqlite"
    create_domain(domain, path, random)
    exercises = [fill(form, domain, random) for _ in range(50)]
    pairs = [Pair(path, e.habit.sql, e.solution.sql) for e in exercises if e.habit]
    with Executor(workers=1) as executor:
        verdicts = executor.judge(pairs, match=Match.BIRD)
    wrong = [v for v in verdicts if v.gold.row_count]
    assert not any(verdict.correct for verdict in wrong)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--habit", "1.5"), "habit must be between 0 and 1, got 1.5"),
        (("--held_out", "3"), "held_out must be at least 20, got 3"),
        (("--template", "nowhere.txt"), "no template 'nowhere.txt'"),
    ],
)
def test_a_wrong_option_is_one_line(words, message, tmp_path):
    ended = make_demo(tmp_path / "demo", *words)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.slow
def test_the_tiny_model_is_loaded_with_the_tokenizer_it_was_made_with(demo, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    subprocess.run(
        [
            *(
                sys.executable,
                "scripts/demo/make_tiny_model.py",
                "--corpus",
                str(demo / "sft.jsonl"),
            ),
            *("--output", str(tmp_path), "--width", "32", "--heads", "2", "--layers", "1"),
            *("--key_value_heads", "1"),
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    row = rows(demo, "sft")[0]
    completion = row["completion"][0]["content"]
    ids = tokenizer(completion)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == completion
    assert len(ids) < 60  # whole words, not bytes
    prompt = tokenizer.apply_chat_template(row["prompt"], tokenize=False)
    assert tokenizer.decode(tokenizer(prompt)["input_ids"]) == prompt
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert model.config.vocab_size == len(tokenizer)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "qwen2"
