import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def program(name, *words):
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / name, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )


def write_run(folder, right, match="bird"):
    folder.mkdir()
    report = {"match": match, "metrics": {}, "by": {}, "left_out_because": {}}
    report |= {"execution_accuracy": 100 * sum(right) / len(right), "n": len(right)}
    (folder / "report.json").write_text(json.dumps(report))
    blank = {"db_id": "d", "difficulty": "easy", "question": "?", "evidence": "", "sql": "s"}
    blank |= {"gold_sql": "g", "predicted": None, "gold": None}
    outcomes = [
        {"id": str(i), "correct": {match: one}, "scores": {"soft_f1": float(one)}, **blank}
        for i, one in enumerate(right)
    ]
    (folder / "outcomes.jsonl").write_text("".join(json.dumps(o) + "\n" for o in outcomes))
    return folder


def test_a_clear_gain_is_called_significant(tmp_path):
    before = write_run(tmp_path / "before", [True] * 50 + [False] * 50)
    after = write_run(tmp_path / "after", [True] * 80 + [False] * 20)
    page, figures = tmp_path / "page.html", tmp_path / "figures.json"
    result = program("compare.py", "--runs", before, after, "--output", page, "--json", figures)
    assert result.returncode == 0, result.stderr
    total = json.loads(figures.read_text())["runs"][0]["total"]
    assert (total["gained"], total["lost"], total["significant"]) == (30, 0, True)
    assert "Against before" in page.read_text()


def test_a_few_changes_are_called_chance(tmp_path):
    before = write_run(tmp_path / "before", [True, False] * 50)
    after = write_run(tmp_path / "after", [False, True] + [True, False] * 49)
    result = program("compare.py", "--runs", before, after)
    assert "chance alone can do that" in result.stdout


@pytest.mark.parametrize(
    ("right", "match", "message"),
    [
        ([True] * 3, "bird", "judge different questions (2 and 3, 2 of them shared)"),
        ([True] * 2, "strict", "different modes ['bird', 'strict']"),
    ],
)
def test_runs_that_cannot_be_paired_are_refused(tmp_path, right, match, message):
    before = write_run(tmp_path / "before", [True] * 2)
    after = write_run(tmp_path / "after", right, match)
    result = program("compare.py", "--runs", before, after)
    assert (result.returncode, message in result.stderr) == (2, True)


def test_a_folder_without_a_run_is_named(tmp_path):
    result = program("compare.py", "--runs", tmp_path, tmp_path)
    assert "is missing" in result.stderr
    assert result.returncode == 2


def test_one_run_alone_is_refused(tmp_path):
    assert "two or more runs" in program("compare.py", "--runs", tmp_path).stderr


@pytest.mark.slow
def test_codes_1b_and_15b_differ_and_a_run_does_not_differ_from_itself(benchmarks, tmp_path):
    for model in ("1b", "15b"):
        result = program(
            "evaluate.py",
            *("--benchmark", "spider", "--root", benchmarks / "spider", "--split", "dev"),
            *("--predictions", benchmarks / "predictions" / f"spider_dev__codes-{model}.jsonl"),
            *("--output", tmp_path / model),
        )
        assert result.returncode == 0, result.stderr
    result = program("compare.py", "--runs", *(tmp_path / m for m in ("1b", "15b", "1b")))
    big, same = result.stdout.split("1b against 1b")
    assert "significant" in big.splitlines()[1]
    assert "gained 0, lost 0" in same
    assert "chance alone" in same
