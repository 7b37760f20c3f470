"""The comparison of a model with its GGUF files: what it counts, and the whole program."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import export_gguf
from scripts.compare_export import first_difference, is_bare_sql
from slmsql.files import write_jsonl
from slmsql.prompt.build import read_template
from tests.talking_model import talking_model

ROOT = Path(__file__).parent.parent


def run(*words):
    """In a process of its own: the comparison measures the memory of the processes it starts."""
    command = [sys.executable, "scripts/compare_export.py", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_answers_part_at_the_first_token_that_differs():
    assert first_difference([1, 2, 3], [1, 5, 3]) == 1
    assert first_difference([1, 2], [1, 2, 3]) == 2
    assert first_difference([], [1]) == 0


@pytest.mark.parametrize(
    ("completion", "bare"),
    [
        ("SELECT 1", True),
        (" SELECT 1;\n", True),
        ("WITH a AS (SELECT 1) SELECT * FROM a", True),
        ("```sql\nSELECT 1\n```", False),
        ("The query is: SELECT 1", False),
        ("<think>x</think><answer>SELECT 1</answer>", False),
        ("", False),
    ],
)
def test_an_answer_is_bare_sql_if_nothing_stands_around_the_query(completion, bare):
    assert is_bare_sql(completion) is bare


@pytest.mark.slow
def test_a_model_is_compared_with_its_file_in_a_table_and_on_a_page(singers, tmp_path):
    sql = "SELECT count(*) FROM singer"
    model = talking_model(tmp_path / "model", {sql: 1.0}, length=3)
    options = export_gguf.Options(model, tmp_path, ["q8_0"])
    export_gguf.export(model, options, read_template("think"))
    write_jsonl(
        tmp_path / "questions.jsonl",
        (
            {"id": f"q{i}", "question": "How many?", "db_id": "singers", "sql": sql}
            for i in range(3)
        ),
    )
    done = run(
        *("--model", model, "--files", tmp_path / "model-q8_0.gguf", "--output", tmp_path / "out"),
        *("--questions", tmp_path / "questions.jsonl", "--databases", singers.parent.parent),
        *("--max_tokens", "40"),
    )
    assert done.returncode == 0, done.stderr
    original, file = json.loads((tmp_path / "out" / "comparison.json").read_text())["models"]
    assert (file["name"], file["same_sql"]["count"], file["same_sql"]["n"]) == ("model-q8_0", 3, 3)
    assert (file["gained"], file["lost"], file["difference"]) == (0, 0, 0.0)
    assert file["file_size"] < original["file_size"]
    assert file["peak_memory"] < original["peak_memory"]  # it needs no torch
    assert file["tokens_per_second"] > 0
    table = (tmp_path / "out" / "table.md").read_text()
    assert "| model-q8_0 | 100.0 [" in table
    assert "What the export costs" in (tmp_path / "out" / "report.html").read_text()


def test_a_missing_file_is_one_line(tmp_path):
    done = run(
        *("--model", "m", "--files", tmp_path / "none.gguf", "--questions", "q.jsonl"),
        *("--output", tmp_path / "out"),
    )
    assert done.returncode == 2
    assert done.stderr == f"error: there is no file {tmp_path / 'none.gguf'}\n"
