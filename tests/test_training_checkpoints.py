"""A run resumes from its newest complete checkpoint, and never from an incomplete one."""

import pytest
import torch
from transformers import TrainingArguments

from slmsql.errors import InputError
from slmsql.training.checkpoints import (
    MARKER,
    check_can_resume,
    checkpoints_by_step,
    fault_of,
    is_full_disk,
    latest_complete,
    load_on_any_cpu,
    mark_complete,
    remove_old,
)


def checkpoint(output, step, complete=True):
    folder = output / f"checkpoint-{step}"
    folder.mkdir()
    torch.save({"step": torch.tensor(step)}, folder / "optimizer.pt")
    (folder / "model.safetensors").write_bytes(b"weights")
    if complete:
        mark_complete(folder)
    return folder


def steps(output):
    return [folder.name for folder in checkpoints_by_step(output)]


def test_the_newest_complete_one_is_taken_in_order_of_steps(tmp_path):
    checkpoint(tmp_path, 90)
    newest = checkpoint(tmp_path, 100)
    checkpoint(tmp_path, 110, complete=False)
    assert latest_complete(tmp_path) == newest


def test_a_checkpoint_is_loaded_by_each_of_several_processes_on_cpus(tmp_path):
    training = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none")
    training._setup_devices = torch.device("cpu", 0)  # as accelerate sets it with several
    file = checkpoint(tmp_path, 90) / "optimizer.pt"
    with pytest.raises(RuntimeError, match="tagged with cpu:0"):
        torch.load(file, map_location=training.device)  # once this works, the mend can go
    load_on_any_cpu(training)
    assert torch.load(file, map_location=training.device) == {"step": 90}


def test_without_checkpoints_a_run_starts_anew(tmp_path):
    assert latest_complete(tmp_path) is None
    assert latest_complete(tmp_path / "not there yet") is None


def cut(file):
    file.write_bytes(file.read_bytes()[:-1])


def overwrite(file):
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle - 40 : middle + 40] = bytes(80)
    file.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: cut(folder / "model.safetensors"), "has 6 bytes, 7 were written"),
        (lambda folder: (folder / "optimizer.pt").unlink(), "optimizer.pt is missing"),
        (lambda folder: overwrite(folder / "optimizer.pt"), "optimizer.pt"),
        (lambda folder: (folder / MARKER).write_text("{"), "not JSON"),
        (lambda folder: (folder / MARKER).unlink(), "the run ended while it was written"),
    ],
)
def test_a_damaged_one_is_passed_over_for_the_one_before(tmp_path, damage, message):
    good = checkpoint(tmp_path, 10)
    bad = checkpoint(tmp_path, 20)
    damage(bad)
    assert message in fault_of(bad)
    assert latest_complete(tmp_path) == good
    with pytest.raises(InputError, match="name an earlier checkpoint"):
        check_can_resume(bad)


def test_old_ones_go_and_the_best_and_unfinished_ones_stay(tmp_path):
    for step in (10, 20, 30, 40):
        checkpoint(tmp_path, step)
    checkpoint(tmp_path, 50, complete=False)
    remove_old(tmp_path, keep=2, best=str(tmp_path / "checkpoint-10"))
    assert steps(tmp_path) == ["checkpoint-10", "checkpoint-40", "checkpoint-50"]


def test_one_kept_is_the_newest_and_the_best_beside_it(tmp_path):
    for step in (10, 20, 30):
        checkpoint(tmp_path, step)
    remove_old(tmp_path, keep=1, best=str(tmp_path / "checkpoint-10"))
    assert steps(tmp_path) == ["checkpoint-10", "checkpoint-30"]


def test_all_stay_without_a_limit(tmp_path):
    for step in (10, 20, 30):
        checkpoint(tmp_path, step)
    remove_old(tmp_path, keep=None, best=None)
    assert len(steps(tmp_path)) == 3


def test_a_full_disk_is_known_in_torchs_words_too():
    with pytest.raises((OSError, RuntimeError)) as failure, open("/dev/full", "wb") as file:
        torch.save({"x": torch.zeros(100_000)}, file)
    assert is_full_disk(failure.value)
    assert not is_full_disk(RuntimeError("shapes differ"))
