"""Training for a given time."""

import math
import shutil
import sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from sft.train import main
from slmsql.errors import InputError
from slmsql.files import read_json, write_jsonl
from slmsql.training.checkpoints import checkpoints_by_step
from slmsql.training.clock import Clock
from tests.tiny_model import tiny_model


def test_the_rate_warms_up_over_steps_and_falls_with_the_time():
    clock = Clock(100.0, warmup_steps=3)
    assert [clock(step) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    clock.spent = 50.0
    assert clock(10) == pytest.approx(0.5)
    clock.spent = 100.0
    assert clock(10) == pytest.approx(0.0)


def test_after_its_time_the_rate_stays_at_zero():
    clock = Clock(1.0, warmup_steps=0)
    clock.spent = 1.5
    assert clock(0) == pytest.approx(0.0)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Options of a training of ten seconds on a tiny model."""
    folder = tmp_path_factory.mktemp("clock")
    row = {
        "prompt": [{"role": "user", "content": "How many singers are there?"}],
        "completion": [{"role": "assistant", "content": "SELECT count(*) FROM singer"}],
    }
    write_jsonl(folder / "rows.jsonl", ({"id": str(n), **row} for n in range(8)))
    return {
        "model_name_or_path": str(tiny_model(folder / "model")),
        "data": str(folder / "rows.jsonl"),
        "output_dir": str(folder / "out"),
        "seconds": 10.0,
        "num_train_epochs": 100,
        "lr_scheduler_type": "cosine",
        "learning_rate": 1.0,
        "max_grad_norm": 1e-6,
        "warmup_steps": 1,
        "per_device_train_batch_size": 2,
        "save_steps": 4,
        "logging_steps": 1,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": "none",
    }


@pytest.fixture
def train(tmp_path, monkeypatch):
    """The program, with a clock that goes on by a second whenever it is read, once a step."""
    seconds = count()
    monkeypatch.setattr(
        "slmsql.training.clock.time", SimpleNamespace(monotonic=lambda: float(next(seconds)))
    )

    def run(settings):
        config = tmp_path / "config.yaml"
        config.write_text(yaml.safe_dump(settings))
        monkeypatch.setattr(sys, "argv", ["sft/train.py", "--config", str(config)])
        main()
        return Path(settings["output_dir"])

    return run


def rates(output):
    history = read_json(output / "trainer_state.json")["log_history"]
    return [entry["learning_rate"] for entry in history if "learning_rate" in entry]


@pytest.mark.slow
def test_the_clock_ends_a_training_and_goes_on_from_a_checkpoint(settings, train, capsys):
    output = train(settings)
    assert "| 10 of 10 s, step 10" in capsys.readouterr().err
    cosine = [(1 + math.cos(math.pi * second / 10)) / 2 for second in range(10)]
    undisturbed = rates(output)
    assert undisturbed == pytest.approx([0.5, *cosine[1:]], abs=1e-3)  # the first warms up
    for checkpoint in checkpoints_by_step(output)[1:]:
        shutil.rmtree(checkpoint)
    train(settings)  # as if it had been killed after its first checkpoint
    assert "| 4 of 10 s" in capsys.readouterr().err
    assert rates(output) == undisturbed


@pytest.mark.slow
def test_other_seconds_or_another_schedule_are_refused(settings, train):
    with pytest.raises(InputError, match="--lr_scheduler_type cosine"):
        train({**settings, "lr_scheduler_type": "linear"})
    train(settings)
    with pytest.raises(InputError, match=r"seconds was 10\.0, is 4\.0"):
        train({**settings, "seconds": 4.0})
