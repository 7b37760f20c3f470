"""What does the suite reward cost beside the plain execution reward?

    python scripts/make_neighbours.py --benchmark spider --root SPIDER --split dev --output SUITES
    python scripts/bench/suite_reward.py --benchmark spider --root SPIDER --split dev \\
        --suites SUITES --predictions predictions/spider_dev__*.jsonl --json suite_reward.json

The predictions of several models for a question stand for a group of completions. Each step's
completions are paid by both rewards in turn, so that other work on the machine slows down both. The
first step starts the workers; the clock does not count it. Neither reward has a gold cache on disk:
every step runs its gold queries, as in the first epoch.

Prints completions per second by the clock and by processor time, the workers' included.
"""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rewards import ExecutionReward, Judge, SuiteReward
from scripts.bench.reward import pairs_by_group
from slmsql.cli.config import parse
from slmsql.cli.options import SourceOptions
from slmsql.cli.programs import children_cpu_seconds
from slmsql.consistency.prediction import read_predictions
from slmsql.errors import InputError, run_program
from slmsql.execution import Pair
from slmsql.files import Record, write_json
from slmsql.match import Match
from slmsql.questions.question import with_databases
from slmsql.suites.neighbours.folder import Suites


@dataclass(kw_only=True)
class Options(SourceOptions):
    suites: Path = field(metadata={"help": "folder of make_neighbours.py"})
    predictions: list[Path] = field(metadata={"help": "prediction files, one for each model"})
    per_step: int = field(default=128, metadata={"help": "completions in a step"})
    group: int = field(default=8, metadata={"help": "completions for each question"})
    steps: int = field(default=40, metadata={"help": "steps to pay, at most"})
    workers: int = field(default=0, metadata={"help": "worker processes; 0: one for each core"})
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})


@dataclass
class Payer:
    """A reward with a judge of its own, and the time that it took."""

    reward: ExecutionReward | SuiteReward
    clock: float = 0.0
    processor: float = 0.0

    def pay(self, pairs: Sequence[Pair]) -> list[float | None]:
        return self.reward(
            completions=[f"<answer>{pair.predicted}</answer>" for pair in pairs],
            gold_sql=[pair.gold or "" for pair in pairs],
            database=[str(pair.database) for pair in pairs],
        )

    def pay_timed(self, pairs: Sequence[Pair]) -> list[float | None]:
        clock, processor = time.perf_counter(), time.process_time()
        rewards = self.pay(pairs)
        self.clock += time.perf_counter() - clock
        self.processor += time.process_time() - processor
        return rewards

    def close(self) -> None:
        """Stop the workers, and add their processor time: it is known only now."""
        before = children_cpu_seconds()
        self.reward.judge.close()
        self.processor += children_cpu_seconds() - before


def main() -> None:
    options = parse(Options, about=__doc__)
    steps = list(_steps(options))[: options.steps + 1]
    if len(steps) < 2:
        raise InputError(f"{len(steps)} step of {options.per_step} completions; give more files")
    suites, workers = Suites(options.suites), options.workers or None
    plain = Payer(ExecutionReward(judge=Judge(workers=workers)))
    suite = Payer(SuiteReward(Match.BIRD, Judge(workers=workers, suites=suites)))
    plain.pay(steps[0])
    suite.pay(steps[0])
    paid = [(plain.pay_timed(step), suite.pay_timed(step)) for step in steps[1:]]
    plain.close()
    suite.close()
    figures = _figures(plain, suite, len(steps) - 1, options)
    figures["refused"] = sum(
        bool(one) and not other for step in paid for one, other in zip(*step, strict=True)
    )
    for name, value in figures.items():
        print(f"{name}: {value}")
    if options.json:
        write_json(options.json, figures)


def _figures(plain: Payer, suite: Payer, steps: int, options: Options) -> Record:
    count = steps * options.per_step
    return {
        "completions": count,
        "cores": len(os.sched_getaffinity(0)),
        "completions_per_second": {
            "execution": round(count / plain.clock), "execution_suite": round(count / suite.clock),
        },
        "completions_per_processor_second": {
            "execution": round(count / plain.processor),
            "execution_suite": round(count / suite.processor),
        },
        "seconds_of_a_step": {
            "execution": round(plain.clock / steps, 4),
            "execution_suite": round(suite.clock / steps, 4),
        },
        "ratio": {
            "clock": round(suite.clock / plain.clock, 2),
            "processor": round(suite.processor / plain.processor, 2),
        },
    }  # fmt: skip


def _steps(options: Options) -> Iterator[list[Pair]]:
    """Whole steps: the predictions of `group` models for each of some questions."""
    questions = options.read_all()
    usable, _ = with_databases(questions)
    by_model = [read_predictions(file, questions) for file in options.predictions]
    pairs = list(pairs_by_group([q for q in usable if q.gold_sql], by_model, options.group))
    for start in range(0, len(pairs) - options.per_step + 1, options.per_step):
        yield pairs[start : start + options.per_step]


if __name__ == "__main__":
    run_program(main)
