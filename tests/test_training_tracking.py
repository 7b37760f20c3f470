"""A training that resumes stays one run of Weights & Biases; offline, without an account."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import wandb

from slmsql.training.run_record import write_record
from slmsql.training.tracking import start_wandb

ROOT = Path(__file__).parent.parent


@pytest.fixture
def training(tmp_path, monkeypatch):
    for name, value in (("MODE", "offline"), ("DIR", tmp_path), ("DATA_DIR", tmp_path / "data")):
        monkeypatch.setenv(f"WANDB_{name}", str(value))
    monkeypatch.delenv("WANDB_RUN_ID", raising=False)
    # A training in another test may have begun a run; wandb keeps its folder until the teardown.
    wandb.finish()
    wandb.teardown()
    return options(tmp_path)


def options(folder):
    output = str(folder / "out")
    return SimpleNamespace(report_to=["wandb"], output_dir=output, run_name="a training")


def start(training, *, resumes):
    """What the programs do at their start; returns the run's id and name."""
    record = {"arguments": {}}
    start_wandb(record, training, resumes=resumes)
    write_record(record, Path(training.output_dir))
    run = wandb.run.id, wandb.run.name
    assert record["wandb_run_id"] == run[0]
    return run


@pytest.mark.slow
def test_a_training_that_resumes_keeps_its_run(tmp_path):
    """In a process of its own: wandb keeps the folder of the first run of a process."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("WANDB_")},
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(tmp_path),
        "WANDB_DATA_DIR": str(tmp_path / "data"),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "tests.test_training_tracking", str(tmp_path)]
    subprocess.run(command, check=True, cwd=ROOT, env=environment)


def check_resumed_run(training, tmp_path):
    first = start(training, resumes=False)
    wandb.finish()
    assert start(training, resumes=True) == first == (first[0], "a training")
    wandb.finish()
    assert start(training, resumes=False)[0] != first[0]
    wandb.finish()
    # offline-run-DATE-ID, and offline-run-DATE-ID-1 for a run that resumes within a second.
    runs = {path.name.split("-")[3] for path in tmp_path.glob("wandb/offline-run-*")}
    assert first[0] in runs
    assert len(runs) == 2


def test_other_trackers_need_no_run_of_wandb(training):
    record = {}
    start_wandb(record, SimpleNamespace(**{**vars(training), "report_to": []}), resumes=False)
    assert record == {}
    assert wandb.run is None


if __name__ == "__main__":
    check_resumed_run(options(Path(sys.argv[1])), Path(sys.argv[1]))
