"""Compares runs: is one better than another, or is the difference chance?

    python scripts/compare.py --runs before=runs/a after=runs/b --output compare.html --json FILE

A run is a folder written by evaluate.py; NAME=FOLDER gives it a name. Each run is compared with the
first one, question by question, by McNemar's exact test and a paired bootstrap interval of the
difference. The page lists the questions gained and lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program
from slmsql.evaluation.statistics import Comparison, compare, mean_interval
from slmsql.files import Record, write_json, write_text
from slmsql.page import page
from slmsql.page.reading import EvaluationRun, read_run, verdicts
from slmsql.page.runs import run_sections


@dataclass
class Options:
    runs: list[str] = field(metadata={"help": "two or more folders, each FOLDER or NAME=FOLDER"})
    match: str = field(default="", metadata={"help": "match mode; by default that of the runs"})
    output: str = field(default="", metadata={"help": "HTML page to write"})
    json: str = field(default="", metadata={"help": "file for the figures"})

    def __post_init__(self) -> None:
        if len(self.runs) < 2:
            raise ValueError("give two or more runs to compare")


def main() -> None:
    options = parse(Options, about=__doc__)
    runs = [read_run(word) for word in options.runs]
    mode = options.match or _mode(runs)
    figures = [against(runs[0], run, mode) for run in runs[1:]]
    for figure in figures:
        print(_lines(runs[0].name, figure, mode))
    if options.json:
        write_json(Path(options.json), {"match": mode, "first": runs[0].name, "runs": figures})
    if options.output:
        names = " and ".join(run.name for run in runs)
        write_text(Path(options.output), page(f"Comparison of {names}", run_sections(runs)))
        print(f"{options.output}: written")


def against(first: EvaluationRun, second: EvaluationRun, mode: str) -> Record:
    """Compare the second run with the first: in total, by difficulty, and by each other metric."""
    before, after = verdicts(first, mode), verdicts(second, mode)
    if before.keys() != after.keys():
        raise InputError(
            f"{first.name} and {second.name} judge different questions ({len(before)} and "
            f"{len(after)}, {len(before.keys() & after.keys())} of them shared); compare runs on "
            "the same questions"
        )
    if not before:
        raise InputError(f"{first.name}: no question was judged in mode {mode!r}")
    levels = {o["id"]: o["difficulty"] for o in first.outcomes if o["difficulty"]}
    return {
        "name": second.name,
        "total": _record(compare(list(before.values()), [after[i] for i in before])),
        "by_difficulty": {
            level: _record(_subset(before, after, [i for i in before if levels.get(i) == level]))
            for level in dict.fromkeys(levels.get(i, "") for i in before)
            if level
        },
        "scores": _scores(first, second),
    }


def _mode(runs: Sequence[EvaluationRun]) -> str:
    modes = sorted({str(run.report["match"]) for run in runs})
    if len(modes) > 1:
        raise InputError(f"the runs have different modes {modes}; choose one with --match")
    return modes[0]


def _subset(before: dict[str, bool], after: dict[str, bool], ids: Sequence[str]) -> Comparison:
    return compare([before[i] for i in ids], [after[i] for i in ids])


def _record(comparison: Comparison) -> Record:
    return {
        "n": comparison.n,
        "gained": comparison.gained,
        "lost": comparison.lost,
        "difference": round(comparison.difference, 2),
        "interval": comparison.interval.rounded(),
        "p_value": comparison.p_value,
        "significant": comparison.is_significant,
    }


def _scores(first: EvaluationRun, second: EvaluationRun) -> Record:
    """Differences of the other metrics in percentage points, with paired bootstrap intervals."""
    earlier = {o["id"]: o.get("scores", {}) for o in first.outcomes}
    later = {o["id"]: o.get("scores", {}) for o in second.outcomes}
    differences: Record = {}
    for name in dict.fromkeys(name for scores in earlier.values() for name in scores):
        gains = [
            100.0 * (later[question_id][name] - scores[name])
            for question_id, scores in earlier.items()
            if name in scores and name in later.get(question_id, {})
        ]
        if gains:
            interval = mean_interval(gains).rounded()
            mean = round(sum(gains) / len(gains), 2)
            differences[name] = {"n": len(gains), "difference": mean, "interval": interval}
    return differences


def _lines(first: str, figure: Record, mode: str) -> str:
    lines = [f"{figure['name']} against {first}, EX ({mode})"]
    for level, change in [("all", figure["total"]), *figure["by_difficulty"].items()]:
        low, high = change["interval"]
        verdict = "significant" if change["significant"] else "chance alone can do that"
        lines.append(
            f"  {level:<12} {change['difference']:+6.1f}  [{low:+.1f}, {high:+.1f}]  "
            f"gained {change['gained']}, lost {change['lost']} of {change['n']}, "
            f"p = {change['p_value']:.2g}: {verdict}"
        )
    for name, change in figure["scores"].items():
        low, high = change["interval"]
        lines.append(f"  {name:<17} {change['difference']:+6.1f}  [{low:+.1f}, {high:+.1f}]")
    return "\n".join(lines)


if __name__ == "__main__":
    run_program(main)
