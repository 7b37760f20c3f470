"""Where a run goes on: its last complete checkpoint."""

import json
from pathlib import Path


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; None where there is none.

    The trainer writes `trainer_state.json` last, so a checkpoint without a whole one belongs to a
    process that was killed while saving.
    """
    found = {
        int(path.name.rpartition("-")[2]): path
        for path in folder.glob("checkpoint-*")
        if path.name.rpartition("-")[2].isdigit() and _is_complete(path)
    }
    return found[max(found)] if found else None


def step_of(checkpoint: Path) -> int:
    """The number of updates that a checkpoint has behind it."""
    return int(json.loads((checkpoint / "trainer_state.json").read_text())["global_step"])


def _is_complete(checkpoint: Path) -> bool:
    state = checkpoint / "trainer_state.json"
    if not state.is_file():
        return False
    try:
        json.loads(state.read_text(encoding="utf-8"))
    except json.JSONDecodeError:
        return False
    return True
