"""Reads the folders that evaluate.py writes."""

from dataclasses import dataclass
from pathlib import Path

from slmsql.errors import InputError
from slmsql.files import Record, read_json, read_jsonl


@dataclass(frozen=True, slots=True)
class EvaluationRun:
    """A folder of evaluate.py."""

    name: str
    report: Record
    """The content of report.json: metrics, breakdowns, sampling, usage."""
    outcomes: tuple[Record, ...]
    """The lines of outcomes.jsonl, one for each question."""


def read_run(argument: str) -> EvaluationRun:
    """Read a run, given as FOLDER or NAME=FOLDER; the folder's name is the run's by default.

    Raises:
        FileNotFoundError: there is no report.json in the folder.
        InputError: evaluate.py did not write this report.json.
    """
    name, separator, folder = argument.rpartition("=")
    path = Path(folder)
    file = path / "report.json"
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; did evaluate.py write {path}?")
    report = read_json(file)
    if not isinstance(report, dict) or "match" not in report or "metrics" not in report:
        raise InputError(f"{file}: not a report of evaluate.py")
    outcomes = tuple(read_jsonl(path / "outcomes.jsonl"))
    return EvaluationRun(name if separator else path.resolve().name, report, outcomes)


def verdicts(run: EvaluationRun, mode: str = "") -> dict[str, bool]:
    """Whether each judged question was answered correctly, by question id.

    Args:
        run: what was judged.
        mode: the match mode to read; by default the one the run was evaluated with.
    """
    mode = mode or str(run.report["match"])
    return {
        outcome["id"]: outcome["correct"][mode]
        for outcome in run.outcomes
        if mode in outcome["correct"]
    }
