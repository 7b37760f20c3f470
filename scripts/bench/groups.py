"""Compare GRPO runs by the rollouts they need to reach an execution accuracy.

    python scripts/bench/groups.py --runs runs/all-1 runs/all-2 \\
        --against runs/skip-1 runs/skip-2 --level 0.9 --json groups.json

Each run needs a validation file (`eval_strategy: steps`). Without `--level` it is the accuracy at
the end of the first run. `zero-var` is the share of rollouts in zero-variance groups, which teach
nothing. A run that never reaches the level is shown as `never` and counts with all its rollouts.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean

from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program
from slmsql.evaluation.statistics import mean_interval
from slmsql.files import read_json, read_jsonl, write_json

MIN_RATIOS = 5  # a bootstrap interval of fewer ratios is too narrow


@dataclass
class Options:
    runs: list[Path] = field(metadata={"help": "output folders of rl/grpo.py"})
    against: list[Path] = field(
        default_factory=list,
        metadata={"help": "runs with another setting, each paired with the one in `runs`"},
    )
    metric: str = field(default="eval_ex_greedy", metadata={"help": "metric of the validation"})
    level: float = field(
        default=0.0, metadata={"help": "accuracy to reach, 0 to 1; 0: the first run's last one"}
    )
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})

    def __post_init__(self) -> None:
        if self.against and len(self.against) != len(self.runs):
            raise InputError(f"{len(self.runs)} runs against {len(self.against)}; give pairs")


@dataclass(frozen=True, slots=True)
class Curve:
    """The rollouts that a run had made, and the accuracy it had reached, at each validation."""

    run: str
    rollouts: tuple[int, ...]
    accuracies: tuple[float, ...]
    zero_variance: float
    """Share of all rollouts in zero-variance groups."""

    def rollouts_until(self, level: float) -> int | None:
        """Rollouts made when an accuracy was first reached; None if it never was."""
        for rollouts, accuracy in zip(self.rollouts, self.accuracies, strict=True):
            if accuracy >= level:
                return rollouts
        return None


def main() -> None:
    options = parse(Options, about=__doc__)
    curves = [read_curve(run, options.metric) for run in options.runs]
    others = [read_curve(run, options.metric) for run in options.against]
    level = options.level or curves[0].accuracies[-1]
    print(table([*curves, *others], level))
    if others:
        print(comparison(curves, others, level))
    if options.json:
        runs = [
            {**asdict(curve), "rollouts_until_level": curve.rollouts_until(level)}
            for curve in [*curves, *others]
        ]
        write_json(options.json, {"metric": options.metric, "level": level, "runs": runs})


def table(curves: Sequence[Curve], level: float) -> str:
    """One line for each run: its rollouts, and its last and best accuracy."""
    width = max(len(curve.run) for curve in curves)
    lines = [
        f"{'run':<{width}}{'rollouts':>10}{'zero-var':>10}{'last':>7}{'best':>7}"
        f"{f'until {level:.1%}':>14}"
    ]
    for curve in curves:
        lines.append(
            f"{curve.run:<{width}}{curve.rollouts[-1]:>10}{curve.zero_variance:>10.1%}"
            f"{curve.accuracies[-1]:>7.1%}{max(curve.accuracies):>7.1%}"
            f"{curve.rollouts_until(level) or 'never':>14}"
        )
    return "\n".join(lines)


def comparison(curves: Sequence[Curve], others: Sequence[Curve], level: float) -> str:
    """The mean rollouts until the level in both settings, and their ratio for each pair of runs.

    From `MIN_RATIOS` pairs on, the mean ratio has a 95 % interval.
    """
    first = [curve.rollouts_until(level) or curve.rollouts[-1] for curve in curves]
    second = [curve.rollouts_until(level) or curve.rollouts[-1] for curve in others]
    ratios = [b / a for a, b in zip(first, second, strict=True)]
    interval = ""
    if len(ratios) >= MIN_RATIOS:
        bounds = mean_interval(ratios)
        interval = f" [{bounds.low:.2f}, {bounds.high:.2f}]"
    return (
        f"until {level:.1%}: {mean(first):.0f} rollouts against {mean(second):.0f}, "
        f"ratio {mean(ratios):.2f}{interval} ({', '.join(f'{ratio:.2f}' for ratio in ratios)})"
    )


def read_curve(run: Path, metric: str) -> Curve:
    """Read the validations and the rollouts of a run.

    Raises:
        FileNotFoundError: the run has not ended.
        InputError: it has no such metric or no rollouts.
    """
    history = read_json(run / "trainer_state.json")["log_history"]
    accuracies = {log["step"]: log[metric] for log in history if metric in log}
    if not accuracies:
        raise InputError(f"{run}: no {metric!r} in its log; was there a validation_file?")
    files = sorted((run / "rollouts").glob("rank-*.jsonl"))
    rollouts = [
        (record["step"], record["has_variance"]) for file in files for record in read_jsonl(file)
    ]
    if not rollouts:
        raise InputError(f"{run}: no rollouts")
    return Curve(
        run=run.name,
        rollouts=tuple(sum(step <= last for step, _ in rollouts) for last in accuracies),
        accuracies=tuple(accuracies.values()),
        zero_variance=sum(not varies for _, varies in rollouts) / len(rollouts),
    )


if __name__ == "__main__":
    run_program(main)
