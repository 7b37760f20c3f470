"""Score the rollouts of a GRPO run again, under other rewards or another matching mode.

    python scripts/rescore.py --rollouts runs/NAME/rollouts --rewards execution components \\
        --match strict --output rescored.jsonl

Needs no GPU and no model. Lines keep what they had; `rewards` are the new ones and
`rewards_before` those that the run was trained on.
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

NEEDED = ("step", "id", "completion", "gold_sql", "database", "rewards")
AT_ONCE = 2048  # completions in one call, so that any number of rollouts fits into memory


@dataclass
class Options:
    rollouts: str = field(metadata={"help": "folder `rollouts` of a run, or one of its files"})
    output: str = field(metadata={"help": "JSON Lines to write"})
    rewards: list[str] = field(
        default_factory=lambda: ["execution", "format"],
        metadata={"help": f"of {', '.join(sorted(set(REWARDS) - {'length'}))}"},
    )
    match: Match = field(default=Match.BIRD, metadata={"help": "when a result is the gold result"})
    workers: int = field(default=0, metadata={"help": "processes for SQL; 0: one for each core"})
    json: str = field(default="", metadata={"help": "file for the means by step"})

    def __post_init__(self) -> None:
        check_reward_names(self.rewards)
        if "length" in self.rewards:
            raise ValueError("`length` counts tokens, which rollouts do not have")


@dataclass
class Totals:
    """Sums over completions; a reward that was left out does not count."""

    count: int = 0
    sums: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    known: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, rewards: dict[str, float | None]) -> None:
        self.count += 1
        for name, value in rewards.items():
            if value is not None:
                self.sums[name] += value
                self.known[name] += 1

    def means(self) -> dict[str, float]:
        return {name: self.sums[name] / self.known[name] for name in self.sums}


def main() -> None:
    options = parse(Options, about=__doc__)
    judge = Judge(workers=options.workers or None)
    functions = make_rewards(options.rewards, match=options.match, judge=judge)
    rollouts = read_rollouts(Path(options.rollouts))
    before, after = Totals(), Totals()
    by_step: dict[int, Totals] = defaultdict(Totals)

    def counted() -> Iterator[Record]:
        for record in rescored(rollouts, options.rewards, functions):
            before.add(record["rewards_before"])
            after.add(record["rewards"])
            by_step[record["step"]].add(record["rewards"])
            yield record

    write_jsonl(Path(options.output), counted())
    judge.close()
    if not after.count:
        raise InputError(f"{options.rollouts}: no rollouts in it")
    for title, totals in (("as trained", before), (f"now, {options.match}", after)):
        means = "  ".join(f"{name} {mean:.4f}" for name, mean in totals.means().items())
        print(f"{totals.count} completions, {title}: {means}")
    if options.json:
        steps = {str(step): totals.means() for step, totals in sorted(by_step.items())}
        write_json(Path(options.json), {"match": options.match, "n": after.count, "steps": steps})


def read_rollouts(path: Path) -> Iterator[Record]:
    """The rollouts of a run, or of one of its files, with their positions checked."""
    files = sorted(path.glob("rank-*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: no rank-*.jsonl in it; is it the folder `rollouts` of a run?")
    for file in files:
        for number, record in enumerate(read_jsonl(file), start=1):
            if missing := [name for name in NEEDED if name not in record]:
                raise InputError(f"{file}:{number}: no {missing[0]!r}; is it a rollout?")
            yield record


def rescored(
    rollouts: Iterator[Record], names: Sequence[str], functions: Sequence[Reward]
) -> Iterator[Record]:
    """The rollouts with new rewards, many at once."""
    while batch := list(islice(rollouts, AT_ONCE)):
        paid = [
            function(
                completions=[record["completion"] for record in batch],
                gold_sql=[record["gold_sql"] for record in batch],
                database=[record["database"] for record in batch],
            )
            for function in functions
        ]
        for record, values in zip(batch, zip(*paid, strict=True), strict=True):
            new = dict(zip(names, values, strict=True))
            yield {**record, "rewards_before": record["rewards"], "rewards": new}


if __name__ == "__main__":
    run_program(main)
