"""Recompute the rewards of a GRPO run's rollouts, with other rewards or in another match mode.

    python scripts/rescore.py --rollouts runs/NAME/rollouts --rewards execution components \\
        --match strict --output rescored.jsonl

Prints the mean rewards before and after. Needs neither a GPU nor the model. Each line of the
output is a rollout with its new `rewards`; `rewards_before` are those it was trained with.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from rewards import REWARDS, Judge, Reward, make_rewards
from rewards.select import check_reward_names
from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program
from slmsql.files import Record, read_jsonl, write_json, write_jsonl
from slmsql.match import Match
from slmsql.suites.neighbours.folder import Suites

FIELDS = ("step", "id", "completion", "gold_sql", "database", "rewards")
BATCH_SIZE = 2048  # completions in one call: any number of rollouts fits into memory


@dataclass
class Options:
    rollouts: str = field(metadata={"help": "folder `rollouts` of a run, or one of its files"})
    output: str = field(metadata={"help": "JSON Lines file to write"})
    rewards: list[str] = field(
        default_factory=lambda: ["execution", "format"],
        metadata={"help": f"one or more of {', '.join(sorted(set(REWARDS) - {'length'}))}"},
    )
    match: Match = field(
        default=Match.BIRD, metadata={"help": "how results are compared with the gold result"}
    )
    suites: Path | None = field(
        default=None,
        metadata={"help": "folder of make_neighbours.py, for execution_suite(_share)"},
    )
    workers: int = field(
        default=0, metadata={"help": "number of processes that run SQL; 0: one for each core"}
    )
    json: str = field(default="", metadata={"help": "file for the mean rewards of each step"})

    def __post_init__(self) -> None:
        check_reward_names(self.rewards)
        if "length" in self.rewards:
            raise ValueError("`length` counts tokens, and rollouts do not record tokens")


@dataclass
class MeanRewards:
    """Mean rewards of completions. A reward of None does not count."""

    completions: int = 0
    sums: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, rewards: dict[str, float | None]) -> None:
        self.completions += 1
        for name, value in rewards.items():
            if value is not None:
                self.sums[name] += value
                self.counts[name] += 1

    def means(self) -> dict[str, float]:
        return {name: self.sums[name] / self.counts[name] for name in self.sums}

    def __str__(self) -> str:
        return "  ".join(f"{name} {mean:.4f}" for name, mean in self.means().items())


def main() -> None:
    options = parse(Options, about=__doc__)
    suites = Suites(options.suites) if options.suites else None
    judge = Judge(workers=options.workers or None, suites=suites)
    functions = make_rewards(options.rewards, match=options.match, judge=judge)
    rollouts = read_rollouts(Path(options.rollouts))
    before, after = MeanRewards(), MeanRewards()
    by_step: dict[int, MeanRewards] = defaultdict(MeanRewards)

    def rescored_and_counted() -> Iterator[Record]:
        for record in rescore(rollouts, options.rewards, functions):
            before.add(record["rewards_before"])
            after.add(record["rewards"])
            by_step[record["step"]].add(record["rewards"])
            yield record

    write_jsonl(Path(options.output), rescored_and_counted())
    judge.close()
    if after.completions == 0:
        raise InputError(f"{options.rollouts}: contains no rollouts")
    print(f"{before.completions} completions, as trained: {before}")
    print(f"{after.completions} completions, rescored ({options.match}): {after}")
    if options.json:
        steps = {str(step): rewards.means() for step, rewards in sorted(by_step.items())}
        figures = {"match": options.match, "n": after.completions, "steps": steps}
        write_json(Path(options.json), figures)


def read_rollouts(path: Path) -> Iterator[Record]:
    """Yield the rollouts in a run's folder `rollouts`, or in one of its files.

    Raises:
        InputError: there is no such file, or a line lacks a field of a rollout.
    """
    files = sorted(path.glob("rank-*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: contains no rank-*.jsonl; is it the folder `rollouts` of a run?")
    for file in files:
        for number, record in enumerate(read_jsonl(file), start=1):
            if missing := [name for name in FIELDS if name not in record]:
                raise InputError(f"{file}:{number}: no {missing[0]!r}; is it a rollout?")
            yield record


def rescore(
    rollouts: Iterator[Record], names: Sequence[str], functions: Sequence[Reward]
) -> Iterator[Record]:
    """Yield the rollouts with new rewards, computed for `BATCH_SIZE` completions at a time."""
    while batch := list(islice(rollouts, BATCH_SIZE)):
        columns = [
            function(
                completions=[record["completion"] for record in batch],
                gold_sql=[record["gold_sql"] for record in batch],
                database=[record["database"] for record in batch],
            )
            for function in functions
        ]
        for record, values in zip(batch, zip(*columns, strict=True), strict=True):
            rewards = dict(zip(names, values, strict=True))
            yield {**record, "rewards_before": record["rewards"], "rewards": rewards}


if __name__ == "__main__":
    run_program(main)
