"""Every rollout of a run, kept in files that `datasets` and `scripts/rescore.py` read.

One file for each process, one line for each completion. A run that was killed goes on from its last
checkpoint and makes the steps after it again: their first rollouts move to `abandoned/`, so that
none is lost and none stands twice.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from slmsql.files import Record, json_line, read_jsonl, replacing


class RolloutLog:
    """Appends the rollouts of one process."""

    def __init__(self, folder: Path, rank: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"rank-{rank:05d}.jsonl"

    def append(self, records: Iterable[Record]) -> None:
        """Write lines at once, so that a killed process leaves whole steps."""
        text = "".join(json_line(record) for record in records)
        with open(self.path, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)


def rewind(folder: Path, step: int) -> int:
    """Move rollouts of the steps after `step` to `abandoned/`; returns how many."""
    moved = 0
    for path in sorted(folder.glob("rank-*.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        later = [line for line in lines if _step(line) > step]
        if later:
            _keep(folder / "abandoned" / path.name, later)
            with replacing(path) as file:
                file.writelines(line for line in lines if _step(line) <= step)
        moved += len(later)
    return moved


def groups_of(folder: Path) -> list[tuple[int, dict[str, bool]]]:
    """Which rows taught something at each step on record, in the order of the steps."""
    steps: dict[int, dict[str, bool]] = {}
    for path in sorted(folder.glob("rank-*.jsonl")):
        for record in read_jsonl(path):
            steps.setdefault(record["step"], {})[record["id"]] = record["taught"]
    return sorted(steps.items())


def _keep(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.writelines(line if line.endswith("\n") else line + "\n" for line in lines)


def _step(line: str) -> float:
    """The step of a line; one that was cut off by the end of its process belongs to no step."""
    try:
        return int(json.loads(line)["step"])
    except json.JSONDecodeError:
        return float("inf")
