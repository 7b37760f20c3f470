"""Compare GRPO runs by the rollouts they needed for an execution accuracy.

    python scripts/bench/groups.py --runs runs/plain-1 runs/plain-2 \\
        --against runs/resting-1 runs/resting-2 --level 0.9 --json groups.json

Each run needs a validation file (`eval_strategy: steps`). The level is the accuracy that the first
run ends with, unless one is given. `wasted` is the share of rollouts in groups whose rewards did
not differ: nothing was learnt from them. A run that never reaches the level counts with all its
rollouts, and shows as `never`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean

from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program
from slmsql.evaluation.statistics import mean_interval
from slmsql.files import read_json, read_jsonl, write_json


@dataclass
class Options:
    runs: list[Path] = field(metadata={"help": "output folders of rl/grpo.py"})
    against: list[Path] = field(
        default_factory=list, metadata={"help": "runs with another setting, in the same order"}
    )
    metric: str = field(default="eval_ex_greedy", metadata={"help": "logged by validation"})
    level: float = field(default=0.0, metadata={"help": "accuracy to reach, 0 to 1"})
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})

    def __post_init__(self) -> None:
        if self.against and len(self.against) != len(self.runs):
            raise InputError(f"{len(self.runs)} runs against {len(self.against)}; give pairs")


@dataclass(frozen=True, slots=True)
class Curve:
    """What a run had spent and reached at each validation."""

    run: str
    rollouts: tuple[int, ...]
    values: tuple[float, ...]
    wasted: float

    def spent_until(self, level: float) -> int | None:
        """Rollouts made when the level was first reached; None if it never was."""
        reached = (
            spent for spent, value in zip(self.rollouts, self.values, strict=True) if value >= level
        )
        return next(reached, None)


def main() -> None:
    options = parse(Options, about=__doc__)
    curves, others = (
        [read_curve(run, options.metric) for run in runs]
        for runs in (options.runs, options.against)
    )
    level = options.level or curves[0].values[-1]
    print(table([*curves, *others], level))
    if others:
        print(comparison(curves, others, level))
    if options.json:
        record = [{**asdict(one), "spent": one.spent_until(level)} for one in [*curves, *others]]
        write_json(options.json, {"metric": options.metric, "level": level, "runs": record})


def table(curves: Sequence[Curve], level: float) -> str:
    width = max(len(curve.run) for curve in curves)
    lines = [
        f"{'run':<{width}}{'rollouts':>10}{'wasted':>8}{'last':>7}{'best':>7}"
        f"{f'until {level:.1%}':>14}"
    ]
    for one in curves:
        lines.append(
            f"{one.run:<{width}}{one.rollouts[-1]:>10}{one.wasted:>8.1%}{one.values[-1]:>7.1%}"
            f"{max(one.values):>7.1%}{one.spent_until(level) or 'never':>14}"
        )
    return "\n".join(lines)


def comparison(curves: Sequence[Curve], others: Sequence[Curve], level: float) -> str:
    """The mean rollouts until the level, of both settings and pair by pair.

    From five pairs on with an interval of the mean ratio; a bootstrap of fewer is too narrow.
    """
    first, second = (
        [one.spent_until(level) or one.rollouts[-1] for one in side] for side in (curves, others)
    )
    ratios = [b / a for a, b in zip(first, second, strict=True)]
    whole = mean_interval(ratios)
    interval = f" [{whole.low:.2f}, {whole.high:.2f}]" if len(ratios) >= 5 else ""
    return (
        f"until {level:.1%}: {mean(first):.0f} rollouts against {mean(second):.0f}, "
        f"ratio {mean(ratios):.2f}{interval} ({', '.join(f'{ratio:.2f}' for ratio in ratios)})"
    )


def read_curve(run: Path, metric: str) -> Curve:
    """Validations and rollouts of a run.

    Raises:
        FileNotFoundError: the run has not ended.
        InputError: it has no such metric or no rollouts.
    """
    history = read_json(run / "trainer_state.json")["log_history"]
    values = {log["step"]: log[metric] for log in history if metric in log}
    if not values:
        raise InputError(f"{run}: no {metric!r} in its log; was there a validation_file?")
    files = sorted((run / "rollouts").glob("rank-*.jsonl"))
    made = [(record["step"], record["taught"]) for file in files for record in read_jsonl(file)]
    if not made:
        raise InputError(f"{run}: no rollouts")
    spent = tuple(sum(step <= at for step, _ in made) for at in values)
    wasted = sum(not taught for _, taught in made) / len(made)
    return Curve(run.name, spent, tuple(values.values()), wasted)


if __name__ == "__main__":
    run_program(main)
