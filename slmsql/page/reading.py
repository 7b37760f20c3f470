"""Reads the folders that `slmsql evaluate` writes, and checks that they can be compared."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from slmsql.errors import InputError
from slmsql.evaluation.metric import Metric, share
from slmsql.files import Record, read_json, read_jsonl


@dataclass(frozen=True, slots=True)
class EvaluationRun:
    """A folder of `slmsql evaluate`."""

    name: str
    report: Record
    """The content of report.json: metrics, breakdowns, sampling, usage."""
    outcomes: tuple[Record, ...]
    """The lines of outcomes.jsonl, one for each question."""


def read_run(argument: str) -> EvaluationRun:
    """Read a run, given as FOLDER or NAME=FOLDER; the folder's name is the run's by default.

    Raises:
        FileNotFoundError: there is no report.json in the folder.
        InputError: `slmsql evaluate` did not write this report.json.
    """
    name, separator, folder = argument.rpartition("=")
    path = Path(folder)
    file = path / "report.json"
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; did `slmsql evaluate` write {path}?")
    report = read_json(file)
    if not isinstance(report, dict) or "match" not in report or "metrics" not in report:
        raise InputError(f"{file}: not a report of `slmsql evaluate`")
    outcomes = tuple(read_jsonl(path / "outcomes.jsonl"))
    return EvaluationRun(name if separator else path.resolve().name, report, outcomes)


def one_match_mode(runs: Sequence[EvaluationRun], mode: str = "") -> list[EvaluationRun]:
    """The runs, with all their figures in one match mode.

    Args:
        runs: at least one.
        mode: the match mode; by default the one that all runs were scored in.

    Raises:
        InputError: the runs were scored in different modes and none is given, or a run has no
            verdicts in this mode.
    """
    modes = sorted({str(run.report["match"]) for run in runs})
    if not mode and len(modes) > 1:
        raise InputError(f"the runs have different modes {modes}; choose one with --match")
    return [_in_mode(run, mode or modes[0]) for run in runs]


def check_same_data(runs: Sequence[EvaluationRun]) -> None:
    """Raise if the runs were scored on different questions or databases.

    Raises:
        InputError: a hash of the first run differs from that of another one.
    """
    for run in runs[1:]:
        for name, key in (("questions", "data"), ("databases", "databases")):
            first, other = runs[0].report.get(key), run.report.get(key)
            if first != other:
                raise InputError(
                    f"{runs[0].name} and {run.name} were scored on different {name} (hashes "
                    f"{first} and {other}); give --different_data true to compare them anyway"
                )


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


def _in_mode(run: EvaluationRun, mode: str) -> EvaluationRun:
    """The run with its headline and breakdowns in this mode.

    Error classes, groups of candidates and figures of sampling exist only in the mode that the run
    was scored in, so they are left out in another one.
    """
    if mode == run.report["match"]:
        return run
    judged = [outcome for outcome in run.outcomes if mode in outcome["correct"]]
    accuracy = _accuracy(judged, mode)
    if accuracy is None:
        raise InputError(f"{run.name}: no question was judged in mode {mode!r}")
    report = {
        **run.report,
        "match": mode,
        "execution_accuracy": round(accuracy.value, 2),
        **{key: value for key, value in accuracy.as_record().items() if key != "value"},
        "by": {
            "difficulty": _breakdown(judged, mode, "difficulty"),
            "database": _breakdown(judged, mode, "db_id"),
            "construct": _breakdown(judged, mode, "constructs"),
        },
        "errors": {},
    }
    report.pop("sampling", None)
    blank: Record = {"error_class": None, "differences": [], "groups": []}
    return replace(run, report=report, outcomes=tuple({**o, **blank} for o in run.outcomes))


def _breakdown(outcomes: Sequence[Record], mode: str, field: str) -> Record:
    names = dict.fromkeys(name for outcome in outcomes for name in _names(outcome, field))
    metrics = {
        name: _accuracy([o for o in outcomes if name in _names(o, field)], mode) for name in names
    }
    return {name: metric.as_record() for name, metric in metrics.items() if metric is not None}


def _names(outcome: Record, field: str) -> Iterable[str]:
    value = outcome.get(field) or ()
    return (value,) if isinstance(value, str) else value


def _accuracy(outcomes: Sequence[Record], mode: str) -> Metric | None:
    flags = [bool(outcome["correct"][mode]) for outcome in outcomes]
    return share(flags, [str(outcome["db_id"]) for outcome in outcomes])
