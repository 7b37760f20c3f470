"""When a checkpoint is complete, from which one a run resumes, and which ones are kept.

The trainer writes a checkpoint file by file, so a run killed meanwhile leaves an incomplete one. A
checkpoint counts as complete when `complete.json`, written after everything else, lists its files
and all of them exist in full size. Older checkpoints are removed only after that.
"""

import logging
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slmsql.errors import InputError
from slmsql.files import read_json_object, write_json

if TYPE_CHECKING:
    from transformers import Trainer, TrainerControl, TrainerState, TrainingArguments

log = logging.getLogger(__name__)

MARKER = "complete.json"
ARCHIVES = (".pt", ".pth", ".bin")  # torch writes zip files
DISK_IS_FULL = (
    "No space left",
    "Disk quota exceeded",
    "File too large",
    "PytorchStreamWriter failed",  # these three are torch's
    "iostream error",
    "inline_container.cc",
)


def output_folder(training: "TrainingArguments") -> Path:
    """Where a run writes; the trainer's arguments always have it after their initialisation."""
    return Path(str(training.output_dir))


def resume_from(training: "TrainingArguments") -> Path | None:
    """The checkpoint named by the user, else the last complete one of the output folder.

    Raises:
        InputError: the named checkpoint is incomplete, or the one found cannot be resumed because
            `--save_only_model` left out the optimizer's state.
    """
    if training.resume_from_checkpoint:
        named = Path(training.resume_from_checkpoint)
        check_can_resume(named)
        return named
    checkpoint = latest_complete(output_folder(training))
    if checkpoint and training.save_only_model:
        raise InputError(
            f"{checkpoint} has weights only, so the run cannot resume from it; remove it, or take "
            "another --output_dir"
        )
    return checkpoint


def train_from(checkpoint: Path | None, trainer: "Trainer") -> None:
    """Train to the end, resuming from a checkpoint where there is one.

    Marks each new checkpoint complete and removes older ones by `save_total_limit` only then.

    Raises:
        InputError: the disk is full. The last complete checkpoint is still there.
    """
    _complete_checkpoints(trainer)
    load_on_any_cpu(trainer.args)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except Exception as error:  # torch, safetensors and the system name a full disk differently
        if not is_full_disk(error):
            raise
        output = output_folder(trainer.args)
        raise InputError(
            f"the disk of {output} is full; the last complete checkpoint is "
            f"{latest_complete(output)}: make room and give the same command again"
        ) from error


def load_on_any_cpu(training: "TrainingArguments") -> None:
    """Let several processes on CPUs load a checkpoint.

    Accelerate gives them the device `cpu:0`, with which the trainer calls `torch.load`, which knows
    only `cpu`.
    """
    import torch

    if training.device.type == "cpu":
        training._setup_devices = torch.device("cpu")  # what `training.device` returns


def mark_complete(folder: Path) -> None:
    """List the files of a checkpoint, with their sizes in bytes, in its `complete.json`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MARKER)
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in files}
    write_json(folder / MARKER, sizes)


def latest_complete(output: Path) -> Path | None:
    """The newest complete checkpoint, or None.

    An incomplete one is passed over with a warning, and stays for its owner to look at.
    """
    for folder in reversed(checkpoints_by_step(output)):
        fault = fault_of(folder)
        if fault is None:
            return folder
        log.warning("%s is passed over: %s", folder, fault)
    return None


def checkpoints_by_step(output: Path) -> list[Path]:
    """The checkpoints of a run, complete or not, oldest first."""
    folders = [path for path in output.glob("checkpoint-*") if path.name[11:].isdigit()]
    return sorted(folders, key=step_of)


def step_of(checkpoint: Path) -> int:
    """After how many updates a checkpoint was written."""
    return int(checkpoint.name.removeprefix("checkpoint-"))


def fault_of(checkpoint: Path) -> str | None:
    """Why a checkpoint is not complete, or None if it is."""
    if not (checkpoint / MARKER).is_file():
        return f"it has no {MARKER}: the run ended while it was written"
    try:
        sizes = read_json_object(checkpoint / MARKER)
    except InputError as error:
        return str(error)
    faults = (_fault_of_file(checkpoint / name, size) for name, size in sizes.items())
    return next(filter(None, faults), None)


def check_can_resume(checkpoint: Path) -> None:
    """Check a checkpoint named by the user.

    Raises:
        InputError: there is no such folder, or the checkpoint is not complete.
    """
    if not checkpoint.is_dir():
        raise InputError(f"--resume_from_checkpoint: no folder {checkpoint}")
    if fault := fault_of(checkpoint):
        raise InputError(f"{checkpoint}: {fault}; name an earlier checkpoint")


def remove_old(output: Path, keep: int | None, best: str | None) -> None:
    """Remove complete checkpoints except the newest `keep` and the best one; None keeps all."""
    import shutil

    if keep is None:
        return
    complete = [folder for folder in checkpoints_by_step(output) if (folder / MARKER).is_file()]
    for folder in _surplus(complete, keep, Path(best).name if best else None):
        (folder / MARKER).unlink()  # first, so that a half removed checkpoint is not complete
        shutil.rmtree(folder)


def is_full_disk(error: Exception) -> bool:
    """Whether writing failed for lack of space; torch and safetensors raise their own errors."""
    return any(words in str(error) for words in DISK_IS_FULL)


def _complete_checkpoints(trainer: "Trainer") -> None:
    from transformers import TrainerCallback

    keep = trainer.args.save_total_limit
    trainer.args.save_total_limit = None  # the trainer would remove old ones too early

    class Completion(TrainerCallback):
        def on_save(
            self,
            args: "TrainingArguments",
            state: "TrainerState",
            control: "TrainerControl",
            **kwargs: Any,
        ) -> None:
            output = output_folder(args)
            trainer.accelerator.wait_for_everyone()  # each process has written its part
            if state.is_world_process_zero:
                mark_complete(output / f"checkpoint-{state.global_step}")
                remove_old(output, keep, state.best_model_checkpoint)

    trainer.add_callback(Completion())


def _surplus(complete: Sequence[Path], keep: int, best: str | None) -> list[Path]:
    older = complete[:-1]
    removable = [folder for folder in older if folder.name != best]
    stay = max(keep - 1 - (len(older) - len(removable)), 0)
    return removable[: len(removable) - stay]


def _fault_of_file(path: Path, size: int) -> str | None:
    if not path.is_file():
        return f"{path.name} is missing"
    if path.stat().st_size != size:
        return f"{path.name} has {path.stat().st_size} bytes, {size} were written"
    if path.suffix in ARCHIVES:
        return _fault_of_archive(path)
    return None


def _fault_of_archive(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except zipfile.BadZipFile as error:
        return f"{path.name} cannot be read: {error}"
    return f"{path.name} is damaged at {broken}" if broken else None
