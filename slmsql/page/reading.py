"""Runs as evaluate.py has left them."""

from dataclasses import dataclass
from pathlib import Path

from slmsql.errors import InputError
from slmsql.files import Record, read_json, read_jsonl


@dataclass(frozen=True, slots=True)
class Run:
    """A folder that evaluate.py has written."""

    name: str
    report: Record
    outcomes: tuple[Record, ...]


def read_run(word: str) -> Run:
    """Read a run, given as FOLDER or NAME=FOLDER.

    Raises:
        FileNotFoundError: there is no report in the folder.
        InputError: the report is not one of evaluate.py.
    """
    name, separator, folder = word.rpartition("=")
    path = Path(folder)
    if not (path / "report.json").is_file():
        raise FileNotFoundError(
            f"{path / 'report.json'} is missing; is {path} a run of evaluate.py?"
        )
    report = read_json(path / "report.json")
    if not isinstance(report, dict) or "match" not in report or "metrics" not in report:
        raise InputError(f"{path / 'report.json'}: not a report of evaluate.py")
    outcomes = tuple(read_jsonl(path / "outcomes.jsonl"))
    return Run(name if separator else path.resolve().name, report, outcomes)


def verdicts(run: Run, mode: str = "") -> dict[str, bool]:
    """Right or wrong by question id, where it was judged; by default in the mode of the run."""
    mode = mode or str(run.report["match"])
    return {o["id"]: o["correct"][mode] for o in run.outcomes if mode in o["correct"]}
