"""The smallest quickstart: real vLLM, real TRL, GRPO under DeepSpeed on two processes."""

import subprocess
import sys
from pathlib import Path

import pytest

from slmsql.files import read_json, read_jsonl

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run, and its output."""
    folder = tmp_path_factory.mktemp("chain") / "quickstart"
    return folder, quickstart(folder)


def quickstart(folder: Path) -> str:
    ended = subprocess.run(
        [sys.executable, "scripts/quickstart.py", "--output", str(folder), "--size", "smallest"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout[-5000:]
    return ended.stdout


@pytest.mark.slow
def test_the_chain_runs_from_data_to_the_page(finished):
    folder, shown = finished
    report = read_json(folder / "report.json")
    assert report["n"] == 20
    assert all(0 <= figure["value"] <= 100 for figure in report["figures"].values())
    assert "corrective self-consistency" in shown
    page = (folder / "report.html").read_text()
    assert "are wrong in a systematic way" in page
    assert "<svg" in page


@pytest.mark.slow
def test_grpo_ran_under_deepspeed_on_two_processes(finished):
    folder, shown = finished
    assert "accelerate launch --config_file configs/accelerate/cpu_zero2.yaml" in shown
    for stage in ("grpo", "merge_grpo"):
        log = (folder / "logs" / f"{stage}.log").read_text()
        assert "eepSpeed" in log


@pytest.mark.slow
def test_each_question_has_a_prediction_and_all_its_candidates(finished):
    folder, _ = finished
    asked = [record["id"] for record in read_jsonl(folder / "demo" / "test.jsonl")]
    answered = list(read_jsonl(folder / "corrective.jsonl"))
    assert [record["id"] for record in answered] == asked
    sampled = list(read_jsonl(folder / "grpo_test_sampled.jsonl"))
    assert all(len(record["candidates"]) == 8 for record in sampled)


@pytest.mark.slow
def test_a_second_call_reuses_everything_and_shows_the_same_table(finished):
    folder, first = finished
    again = quickstart(folder)
    assert "done in" not in again
    table = first.index("95 % interval")
    assert first[table:].splitlines()[:8] == again[again.index("95 % interval") :].splitlines()[:8]


@pytest.mark.slow
def test_runs_with_and_without_skipped_rows_are_compared_on_its_samples(finished, tmp_path):
    folder, _ = finished
    words = ["--quickstart", folder, "--output", tmp_path / "compared", "--max_steps", 2]
    words += ["--seeds", 3, "--groups", 2, "--levels", 0]
    ended = subprocess.run(
        [sys.executable, "scripts/bench/zero_variance.py", *map(str, words)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout[-5000:]
    rates = {record["pass_rate"] for record in read_jsonl(tmp_path / "compared" / "rl.jsonl")}
    assert {0, 1} & rates
    assert rates - {0, 1}
    assert ended.stdout.splitlines()[-2] == (
        "until 0.0%: 32 rollouts against 32, ratio 1.00 (1.00)"
    )
    record = read_json(tmp_path / "compared" / "skip-3" / "run.json")
    assert record["arguments"]["skip_zero_variance"]
