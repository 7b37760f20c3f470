"""Which checkpoint a run goes on from, and which are kept.

The trainer writes a checkpoint file by file, so that a run killed meanwhile leaves a part of one. A
checkpoint counts as complete when `complete.json`, written after all of it, lists files that are
there in full. Older ones are removed only after that.
"""

import logging
import zipfile
from collections.abc import Sequence
from pathlib import Path

from slmsql.errors import InputError
from slmsql.files import read_json, write_json

log = logging.getLogger(__name__)

MARKER = "complete.json"
ARCHIVES = (".pt", ".pth", ".bin")  # torch writes zip files
FULL = (
    "No space left",
    "Disk quota exceeded",
    "File too large",
    "PytorchStreamWriter failed",  # these three are torch's
    "iostream error",
    "inline_container.cc",
)


def mark_complete(folder: Path) -> None:
    """Write down which files make up a checkpoint, with their sizes in bytes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MARKER)
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in files}
    write_json(folder / MARKER, sizes)


def latest_complete(output: Path) -> Path | None:
    """The newest checkpoint that can be gone on from; None where there is none.

    One that is not complete is passed over with a warning, and stays for its owner to look at.
    """
    for folder in reversed(in_order(output)):
        fault = fault_of(folder)
        if fault is None:
            return folder
        log.warning("%s is passed over: %s", folder, fault)
    return None


def in_order(output: Path) -> list[Path]:
    """The checkpoints of a run, complete or not, oldest first."""
    folders = [path for path in output.glob("checkpoint-*") if path.name[11:].isdigit()]
    return sorted(folders, key=step_of)


def step_of(folder: Path) -> int:
    return int(folder.name.removeprefix("checkpoint-"))


def fault_of(folder: Path) -> str | None:
    """What is wrong with a checkpoint, or None."""
    if not (folder / MARKER).is_file():
        return f"it has no {MARKER}: the run ended while it was written"
    try:
        sizes = read_json(folder / MARKER)
    except InputError as error:
        return str(error)
    faults = (_fault_of_file(folder / name, size) for name, size in sizes.items())
    return next(filter(None, faults), None)


def check_can_resume(folder: Path) -> None:
    """Refuse a checkpoint named by the user that is not complete or lacks the optimiser's state."""
    if not folder.is_dir():
        raise InputError(f"--resume_from_checkpoint: no folder {folder}")
    if fault := fault_of(folder):
        raise InputError(f"{folder}: {fault}; name an earlier checkpoint")


def remove_old(output: Path, keep: int | None, best: str | None) -> None:
    """Remove all but the newest `keep` complete checkpoints and the best one."""
    import shutil

    if keep is None:
        return
    complete = [folder for folder in in_order(output) if (folder / MARKER).is_file()]
    spared = {Path(best).name} if best else set()
    for folder in _surplus(complete, keep, spared):
        (folder / MARKER).unlink()  # first, so that a half removed one does not count
        shutil.rmtree(folder)


def is_full_disk(error: Exception) -> bool:
    """Whether writing failed for want of space; torch and safetensors have errors of their own."""
    return any(words in str(error) for words in FULL)


def _surplus(complete: Sequence[Path], keep: int, spared: set[str]) -> list[Path]:
    others = [folder for folder in complete[:-1] if folder.name not in spared]
    room = max(keep - 1 - sum(folder.name in spared for folder in complete[:-1]), 0)
    return others[: len(others) - room]


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
    return broken and f"{path.name} is damaged at {broken}"
