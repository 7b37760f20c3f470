"""Measure the execution reward against the published implementation.

    python scripts/bench/reward.py --benchmark bird --root BIRD --split dev \\
        --predictions predictions/bird_dev__*.jsonl --json reward.json

The predictions of several models for a question stand for a group of completions. The published
implementation (CSC-SQL) starts a pool of 64 processes in every step, sends it completions in chunks
of ten, and runs prediction and gold query for each completion, within 30 seconds for both together.
Ours also starts from nothing: its time includes starting and stopping the workers.

Both run in a process that has loaded torch and TRL, as a trainer has. That matters: a pool of 64
copies the memory map of this process 64 times a call, while our workers come from a process without
torch. Wall-clock time and processor time are printed; the latter does not depend on what else the
machine does.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from sqlite3 import DatabaseError

from func_timeout import FunctionTimedOut, func_timeout

from rewards import ExecutionReward, Judge
from slmsql.cli.config import parse
from slmsql.cli.options import SourceOptions
from slmsql.consistency.prediction import read_predictions
from slmsql.errors import InputError, run_program
from slmsql.execution import Pair, connect
from slmsql.files import Record, write_json
from slmsql.questions.question import Question, with_databases

RewardFunction = Callable[[Sequence[Pair]], list[float | None]]
PUBLISHED_WORKERS, PUBLISHED_CHUNK, PUBLISHED_SECONDS = 64, 10, 30


@dataclass(kw_only=True)
class Options(SourceOptions):
    predictions: list[Path] = field(metadata={"help": "prediction files, one for each model"})
    completions: int = field(default=1024, metadata={"help": "number of completions in all"})
    group: int = field(default=8, metadata={"help": "completions for each question"})
    per_step: list[int] = field(
        default_factory=lambda: [8, 128], metadata={"help": "completions in a step, on one rank"}
    )
    workers: int = field(default=0, metadata={"help": "our worker processes; 0: one for each core"})
    weights: float = field(
        default=0.0,
        metadata={"help": "GiB of memory to fill, as a model in training without a GPU does"},
    )
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})


@dataclass(frozen=True, slots=True)
class Measurement:
    """Time and rewards of all steps."""

    seconds: float
    processor_seconds: float
    rewards: list[float | None]


def main() -> None:
    options = parse(Options, about=__doc__)
    pairs = _pairs(options)
    weights = _load_like_a_trainer(options.weights)
    lines = [_compare(pairs, per_step, options) for per_step in options.per_step]
    print(f"{'per step':>9}{'':>12}{'published':>12}{'ours':>9}{'ratio':>8}{'differ':>8}")
    for line in lines:
        for name in ("clock", "processor"):
            published, ours = line["published"][name], line["ours"][name]
            print(
                f"{line['per_step']:>9}{name:>12}{published:>10.1f} s{ours:>7.2f} s"
                f"{published / ours:>8.1f}{line['differ']:>8}"
            )
    if options.json:
        setting = {"completions": len(pairs), "group": options.group, "weights": len(weights)}
        write_json(options.json, {**setting, "runs": lines})


def _load_like_a_trainer(gib: float) -> bytearray:
    """Load the modules of a trainer, and fill memory as its model does."""
    import_module("trl.trainer.grpo_trainer")
    return bytearray(b"w") * int(gib * 2**30)


def _compare(pairs: Sequence[Pair], per_step: int, options: Options) -> Record:
    ours = _measure(pairs, per_step, _ours(options.workers or None))
    published = _measure(pairs, per_step, nullcontext(_published))
    return {
        "per_step": per_step,
        "published": {"clock": published.seconds, "processor": published.processor_seconds},
        "ours": {"clock": ours.seconds, "processor": ours.processor_seconds},
        "differ": sum(a != b for a, b in zip(ours.rewards, published.rewards, strict=True)),
        "mean_reward": sum(filter(None, ours.rewards)) / len(ours.rewards),
    }


def _measure(
    pairs: Sequence[Pair], per_step: int, implementation: AbstractContextManager[RewardFunction]
) -> Measurement:
    started, used = time.perf_counter(), _processor_seconds()
    with implementation as reward_function:
        rewards = [
            reward
            for start in range(0, len(pairs), per_step)
            for reward in reward_function(pairs[start : start + per_step])
        ]
    return Measurement(time.perf_counter() - started, _processor_seconds() - used, rewards)


def _processor_seconds() -> float:
    """Processor time of this process and of its ended children."""
    return sum(os.times()[:4])


@contextmanager
def _ours(workers: int | None) -> Iterator[RewardFunction]:
    judge = Judge(workers=workers)
    reward = ExecutionReward(judge=judge)
    yield lambda pairs: reward(
        completions=[f"<answer>{pair.predicted}</answer>" for pair in pairs],
        gold_sql=[pair.gold or "" for pair in pairs],
        database=[str(pair.database) for pair in pairs],
    )
    judge.close()


def _published(pairs: Sequence[Pair]) -> list[float | None]:
    with ProcessPoolExecutor(max_workers=PUBLISHED_WORKERS) as pool:
        return list(pool.map(_published_reward, pairs, chunksize=PUBLISHED_CHUNK))


def _published_reward(pair: Pair) -> float:
    try:
        return float(func_timeout(PUBLISHED_SECONDS, _has_gold_result, (pair,)))
    except (FunctionTimedOut, DatabaseError):
        return 0.0


def _has_gold_result(pair: Pair) -> bool:
    with closing(connect(pair.database)) as connection:
        predicted = connection.execute(pair.predicted or "").fetchall()
        return set(predicted) == set(connection.execute(pair.gold or "").fetchall())


def _pairs(options: Options) -> list[Pair]:
    """Predictions and gold queries, group by group."""
    questions = options.read_all()
    usable, _ = with_databases(questions)
    by_model = [read_predictions(file, questions) for file in options.predictions]
    pairs = list(pairs_by_group([q for q in usable if q.gold_sql], by_model, options.group))
    if len(pairs) < options.completions:
        raise InputError(
            f"{len(pairs)} predictions for {options.completions} completions; give more files "
            f"or fewer --completions"
        )
    return pairs[: options.completions]


def pairs_by_group(
    questions: Sequence[Question], by_model: Sequence[dict[str, str]], size: int
) -> Iterator[Pair]:
    """The predictions of `size` models for a question, and then for the next one."""
    for first in range(0, len(by_model) - size + 1, size):
        for question in questions:
            for predictions in by_model[first : first + size]:
                yield Pair(question.database, predictions[question.id], question.gold_sql)


if __name__ == "__main__":
    run_program(main)
