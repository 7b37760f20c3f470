"""Other harnesses ask our questions and give our verdicts: verifiers and lm-evaluation-harness."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYTHON = ROOT / ".venv" / "harness" / "bin" / "python"


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.is_file(), reason="needs `make .venv/harness/ready`")
def test_the_harnesses_agree_with_evaluate_on_fifty_questions(benchmarks):
    predictions = benchmarks / "predictions" / "spider_dev__codes-7b.jsonl"
    source = ("--root", benchmarks / "spider", "--predictions", predictions, "--limit", "50")
    checked = subprocess.run(
        [PYTHON, ROOT / "scripts" / "harness" / "check.py", *source],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
    )
    assert checked.returncode == 0, checked.stderr
    *table, last = checked.stdout.splitlines()
    right = [line.split()[-4] for line in table]
    assert right == ["43"] * 3
    assert last == "equal verdicts on each question"
