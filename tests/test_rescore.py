"""Rescoring the rollouts of a run with other rewards."""

import json
from pathlib import Path

import pytest

from slmsql.files import read_jsonl, write_jsonl
from tests.in_process import run_here

ROOT = Path(__file__).parent.parent
GOLD = "SELECT name, age FROM singer"


def run(*words):
    return run_here("scripts/rescore.py", *words)


@pytest.fixture
def rollouts(tmp_path, singers):
    sql = [GOLD, "SELECT name, age FROM singer UNION ALL SELECT name, age FROM singer", "SELECT"]
    records = [
        {
            "step": 1 + number // 2,
            "id": f"q{number}",
            "completion": f"<think>a</think><answer>{text}</answer>",
            "rewards": {"execution": float(number < 2)},
            "gold_sql": GOLD,
            "database": str(singers),
        }
        for number, text in enumerate(sql)
    ]
    folder = tmp_path / "rollouts"
    write_jsonl(folder / "rank-00000.jsonl", records[:2])
    write_jsonl(folder / "rank-00001.jsonl", records[2:])
    return folder


def test_rollouts_of_all_processes_are_rescored(rollouts, tmp_path):
    output, figures = tmp_path / "new.jsonl", tmp_path / "figures.json"
    names = ["--rewards", "execution", "format", "components"]
    ended = run(
        "--rollouts", rollouts, "--output", output, *names, "--match", "strict", "--json", figures
    )
    assert ended.returncode == 0, ended.stderr
    records = list(read_jsonl(output))
    assert [record["rewards"]["execution"] for record in records] == [1, 0, 0]
    assert [record["rewards_before"]["execution"] for record in records] == [1, 1, 0]
    assert [record["rewards"]["format"] for record in records] == [1, 1, 1]
    assert json.loads(figures.read_text())["steps"]["1"]["execution"] == 0.5
    assert "3 completions, rescored (strict): execution 0.3333" in ended.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rewards", "luck"], "unknown rewards ['luck']"),
        (["--rewards", "length"], "counts tokens"),
        (["--rollouts", "configs"], "no rank-*.jsonl"),
    ],
)
def test_wrong_input_is_a_one_line_error(rollouts, tmp_path, words, message):
    output = tmp_path / "new.jsonl"
    ended = run("--rollouts", rollouts, "--output", output, *words)
    assert ended.returncode
    assert message in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert not output.exists()
