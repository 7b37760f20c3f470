import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.benchmark import Options
from slmsql.cli.config import as_arguments, load_config, parse
from slmsql.evaluation.submission import one_line, write_submission
from slmsql.page.published import read_published
from slmsql.questions.question import Question
from tests.stand_in import Server, choice

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "configs" / "evaluation").glob("*.yaml"))


def answer(body):
    sql = "SELECT name\nFROM singer" if "names" in body["messages"][-1]["content"] else "SELECT 1"
    choices = [choice(f"<think>\nx\n</think>\n<answer>\n{sql}\n</answer>")] * body["n"]
    return {"choices": choices, "usage": {"prompt_tokens": 9, "completion_tokens": 8}}


@pytest.fixture
def server():
    server = Server(always=answer)
    yield server
    server.shutdown()
    server.server_close()


def benchmark(*words):
    """In a process of its own: what its stages print is a part of its output."""
    command = [sys.executable, "scripts/benchmark.py", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture
def arguments(server, singers, tmp_path):
    questions = tmp_path / "questions.jsonl"
    records = [
        {"id": f"q{i}", "question": text, "db_id": "singers", "gold_sql": "SELECT name FROM singer"}
        for i, text in enumerate(["What are the names?", "How old is Ann?"])
    ]
    questions.write_text("".join(json.dumps(record) + "\n" for record in records))
    prices = tmp_path / "prices.yaml"
    prices.write_text("model: {prompt: 1000, completion: 2000}\n")
    return [
        *("--questions", questions, "--databases", tmp_path, "--model", "model"),
        *("--sampler", "endpoint", "--endpoints", f"http://127.0.0.1:{server.server_port}/v1"),
        *("--prices", prices, "--output", tmp_path / "run", "--n", "2", "--workers", "1"),
    ]


@pytest.mark.slow
def test_an_endpoint_runs_through_every_stage_and_the_run_resumes(arguments, tmp_path):
    revision_settings = ["--revise", "true", "--max_rows", "3"]
    first = benchmark(*arguments, *revision_settings)
    assert first.returncode == 0, first.stdout + first.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert {stage: figures["execution_accuracy"] for stage, figures in summary.items()} == {
        "vote": 50.0,
        "revised": 50.0,
    }
    report = json.loads((tmp_path / "run" / "vote" / "report.json").read_text())
    assert report["sampling"]["pass_at_k"]["2"]["value"] == 50.0
    assert report["usage"]["dollars_per_question"] > 0
    assert report["usage"]["finish"] == {"stop": 4}
    assert "0 of 4 completions were cut at the token limit" in first.stdout
    assert "were cut at the token limit" in (tmp_path / "run" / "report.html").read_text()
    revised = json.loads((tmp_path / "run" / "revised" / "report.json").read_text())
    assert revised["usage"] == report["usage"]  # no question was in doubt
    assert revised["options"]["revisions"] == [str(tmp_path / "run" / "revisions.jsonl")]
    assert revised["options"]["merge_price_out"] == 2000
    assert "--max_rows=3" in first.stdout
    assert "unknown release" in first.stdout
    assert (tmp_path / "run" / "report.html").is_file()
    bird = json.loads((tmp_path / "run" / "revised" / "predict_bird.json").read_text())
    assert bird["0"] == "SELECT name FROM singer\t----- bird -----\tsingers"
    assert benchmark(*arguments, *revision_settings).returncode == 0
    changed = benchmark(*arguments, "--limit", "1")
    assert (changed.returncode, "other questions" in changed.stderr) == (2, True)


def test_questions_without_any_database_stop_the_run_before_it_begins(arguments, tmp_path):
    (tmp_path / "empty").mkdir()
    stopped = benchmark(*arguments, "--databases", tmp_path / "empty")
    assert stopped.returncode == 2
    assert "no question has a database" in stopped.stderr


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_a_config_is_complete_and_parsed_by_the_program(file):
    words = as_arguments(load_config(file))
    options = parse(Options, about="", argv=[*words, "--model", "m", "--output", "o"])
    assert options.plan.n >= 1


def test_submissions_hold_one_line_for_each_question(tmp_path):
    questions = [Question(str(i), "?", "db", tmp_path / "db.sqlite") for i in range(2)]
    bird, spider = write_submission(questions, {"0": "SELECT a -- why\nFROM t;"}, tmp_path)
    assert spider.read_text() == "SELECT a FROM t\nSELECT 1\n"
    assert json.loads(bird.read_text())["1"].startswith("SELECT 1\t-----")


@pytest.mark.parametrize(
    ("sql", "line"),
    [
        ("SELECT 'a  -- b'\n\nFROM t /* c */ WHERE x", "SELECT 'a  -- b' FROM t WHERE x"),
        ("SELECT a\tFROM t ;", "SELECT a FROM t"),
        ("", ""),
    ],
)
def test_one_line_keeps_literals_and_drops_comments(sql, line):
    assert one_line(sql) == line


def test_published_numbers_name_their_source():
    figures = [*read_published("bird"), *read_published("spider"), *read_published("laboratory")]
    assert len(figures) > 30
    assert all(figure.published and "scorer" in figure.note for figure in figures)
