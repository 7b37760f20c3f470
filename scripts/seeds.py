"""Mean and spread of the figures of runs that differ only in their seed.

    python scripts/seeds.py --runs runs/seed0 runs/seed1 runs/seed2 --json FILE

A run is a folder written by evaluate.py. For each metric the program prints the mean over the runs,
the standard deviation between them, the least and the largest value. The interval of a single run
says what other questions would give; the spread says what another seed would give.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.errors import run_program
from slmsql.files import Record, write_json
from slmsql.page.reading import EvaluationRun, check_same_data, one_match_mode, read_run


@dataclass
class Options:
    runs: list[str] = field(metadata={"help": "two or more folders, each FOLDER or NAME=FOLDER"})
    match: str = field(default="", metadata={"help": "match mode; by default that of the runs"})
    json: str = field(default="", metadata={"help": "file for the figures"})

    def __post_init__(self) -> None:
        if len(self.runs) < 2:
            raise ValueError("give two or more runs, one for each seed")


def main() -> None:
    options = parse(Options, about=__doc__)
    runs = one_match_mode([read_run(word) for word in options.runs], options.match)
    check_same_data(runs)
    spreads = {
        f"EX ({runs[0].report['match']})": _spread(
            [float(run.report["execution_accuracy"]) for run in runs]
        ),
        **_metrics(runs),
    }
    print(f"{'':<22}{'mean':>7}{'sd':>7}{'least':>7}{'most':>7}   {len(runs)} runs")
    for name, spread in spreads.items():
        row = "".join(f"{spread[key]:>7.1f}" for key in ("mean", "sd", "least", "most"))
        print(f"{name:<22}{row}")
    if options.json:
        write_json(Path(options.json), {"runs": [run.name for run in runs], "spreads": spreads})


def _metrics(runs: Sequence[EvaluationRun]) -> dict[str, Record]:
    """The spread of each metric that all runs have."""
    metrics = [run.report["metrics"] for run in runs]
    shared = [name for name in metrics[0] if all(name in record for record in metrics)]
    return {name: _spread([float(record[name]["value"]) for record in metrics]) for name in shared}


def _spread(values: Sequence[float]) -> Record:
    return {
        "mean": round(statistics.fmean(values), 2),
        "sd": round(statistics.stdev(values), 2),
        "least": min(values),
        "most": max(values),
        "values": list(values),
    }


if __name__ == "__main__":
    run_program(main)
