"""Every rollout of a run, in files that `datasets` and `scripts/rescore.py` read.

One file for each process, one line for each completion. A killed run resumes from its last
checkpoint and repeats the steps after it. The rollouts that the killed run made at these steps move
to `abandoned/`: none is lost, and none is counted twice.
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
        """Write a step's lines at once, so that a killed process leaves whole steps."""
        text = "".join(json_line(record) for record in records)
        with open(self.path, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)


def rewind(folder: Path, step: int) -> int:
    """Move the rollouts of steps after `step` to `abandoned/`; returns how many were moved."""
    moved = 0
    for path in sorted(folder.glob("rank-*.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        later = [line for line in lines if _step(line) > step]
        if later:
            _append_lines(folder / "abandoned" / path.name, later)
            with replacing(path) as file:
                file.writelines(line for line in lines if _step(line) <= step)
        moved += len(later)
    return moved


def groups_by_step(folder: Path) -> list[tuple[int, dict[str, bool]]]:
    """Which rows' groups had variance at each recorded step, in the order of the steps."""
    steps: dict[int, dict[str, bool]] = {}
    for path in sorted(folder.glob("rank-*.jsonl")):
        for record in read_jsonl(path):
            steps.setdefault(record["step"], {})[record["id"]] = record["has_variance"]
    return sorted(steps.items())


def _append_lines(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.writelines(line if line.endswith("\n") else line + "\n" for line in lines)


def _step(line: str) -> float:
    """The step of a line; infinity for a line that was cut off when its process was killed."""
    try:
        return int(json.loads(line)["step"])
    except json.JSONDecodeError:
        return float("inf")
