"""Compares runs: is one better than another, or is the difference chance?

    slmsql compare --runs before=runs/a after=runs/b --output compare.html --json FILE

A run is a folder written by `slmsql evaluate`; NAME=FOLDER gives it a name. Each run is compared
with the first one, question by question, by McNemar's exact test and two bootstrap intervals of the
difference: over questions and over databases. With several runs, the p-values are corrected by
Holm's method. Differences by difficulty have no verdict. The page lists the questions gained and
lost. Runs on different questions or databases are refused; --different_data true allows them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.errors import InputError
from slmsql.evaluation.statistics import (
    LEVEL,
    POINTS,
    Comparison,
    holm,
    interval_over_groups,
    mean_interval,
)
from slmsql.files import Record, write_json, write_text
from slmsql.page import page
from slmsql.page.reading import (
    EvaluationRun,
    check_same_data,
    one_match_mode,
    read_run,
    verdicts,
)
from slmsql.page.runs import compare_runs, run_sections


@dataclass
class Options:
    runs: list[str] = field(metadata={"help": "two or more folders, each FOLDER or NAME=FOLDER"})
    match: str = field(default="", metadata={"help": "match mode; by default that of the runs"})
    different_data: bool = field(
        default=False, metadata={"help": "compare runs on different questions or databases, too"}
    )
    output: str = field(default="", metadata={"help": "HTML page to write"})
    json: str = field(default="", metadata={"help": "file for the figures"})

    def __post_init__(self) -> None:
        if len(self.runs) < 2:
            raise ValueError("give two or more runs to compare")


def main(options: Options) -> None:
    runs = one_match_mode([read_run(word) for word in options.runs], options.match)
    if not options.different_data:
        check_same_data(runs)
    mode = str(runs[0].report["match"])
    figures = [against(runs[0], run) for run in runs[1:]]
    _add_verdicts(figures)
    for figure in figures:
        print(_lines(runs[0].name, figure, mode))
    if options.json:
        write_json(Path(options.json), {"match": mode, "first": runs[0].name, "runs": figures})
    if options.output:
        names = " and ".join(run.name for run in runs)
        write_text(Path(options.output), page(f"Comparison of {names}", run_sections(runs)))
        print(f"{options.output}: written")


def against(first: EvaluationRun, second: EvaluationRun) -> Record:
    """Compare the second run with the first: in total, by difficulty, and by each other metric."""
    before, after = verdicts(first), verdicts(second)
    if before.keys() != after.keys():
        raise InputError(
            f"{first.name} and {second.name} judge different questions ({len(before)} and "
            f"{len(after)}, {len(before.keys() & after.keys())} of them shared); compare runs on "
            "the same questions"
        )
    if not before:
        raise InputError(f"{first.name}: no question was judged")
    levels = dict.fromkeys(o["difficulty"] for o in first.outcomes if o["id"] in before)
    return {
        "name": second.name,
        "total": _record(compare_runs(first, second)),
        "by_difficulty": {
            level: _record(compare_runs(first, second, level)) for level in levels if level
        },
        "scores": _scores(first, second),
    }


def _add_verdicts(figures: Sequence[Record]) -> None:
    """Add to each total its p-value by Holm's method and whether the difference is significant."""
    corrected = holm([figure["total"]["p_value"] for figure in figures])
    for figure, p_value in zip(figures, corrected, strict=True):
        figure["total"] |= {"p_value_holm": p_value, "significant": p_value < 1 - LEVEL}


def _record(comparison: Comparison) -> Record:
    return {
        "n": comparison.n,
        "gained": comparison.gained,
        "lost": comparison.lost,
        "difference": round(comparison.difference, 2),
        "interval": comparison.interval.rounded(),
        "interval_over_databases": comparison.over_databases
        and comparison.over_databases.rounded(),
        "p_value": comparison.p_value,
    }


def _scores(first: EvaluationRun, second: EvaluationRun) -> Record:
    """Differences of the other metrics in percentage points, with both paired intervals."""
    earlier = {o["id"]: o.get("scores", {}) for o in first.outcomes}
    later = {o["id"]: o.get("scores", {}) for o in second.outcomes}
    databases = {o["id"]: str(o["db_id"]) for o in first.outcomes}
    differences: Record = {}
    for name in dict.fromkeys(name for scores in earlier.values() for name in scores):
        ids = [i for i, s in earlier.items() if name in s and name in later.get(i, {})]
        gains = [100.0 * (later[i][name] - earlier[i][name]) for i in ids]
        if gains:
            over_databases = interval_over_groups(gains, [databases[i] for i in ids], bounds=POINTS)
            differences[name] = {
                "n": len(gains),
                "difference": round(sum(gains) / len(gains), 2),
                "interval": mean_interval(gains, bounds=POINTS).rounded(),
                "interval_over_databases": over_databases and over_databases.rounded(),
            }
    return differences


def _lines(first: str, figure: Record, mode: str) -> str:
    lines = [f"{figure['name']} against {first}, EX ({mode})"]
    for level, change in [("all", figure["total"]), *figure["by_difficulty"].items()]:
        lines.append(
            f"  {level:<12} {change['difference']:+6.1f}  {_intervals(change)}  "
            f"gained {change['gained']}, lost {change['lost']} of {change['n']}, "
            f"p = {change['p_value']:.2g}{_verdict(change)}"
        )
    for name, change in figure["scores"].items():
        lines.append(f"  {name:<17} {change['difference']:+6.1f}  {_intervals(change)}")
    return "\n".join(lines)


def _intervals(change: Record) -> str:
    """The interval over questions, then, if there are several, the one over databases."""
    spans = (change["interval"], change["interval_over_databases"])
    texts = [f"[{span[0]:+.1f}, {span[1]:+.1f}]" for span in spans if span]
    return ", over databases ".join(texts)


def _verdict(change: Record) -> str:
    """The verdict on a total; nothing for a level, because many levels would give false ones."""
    if "significant" not in change:
        return ""
    verdict = "significant" if change["significant"] else "chance alone can do that"
    if change["p_value_holm"] == change["p_value"]:
        return f": {verdict}"
    return f", corrected {change['p_value_holm']:.2g}: {verdict}"
