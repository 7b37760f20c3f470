"""Measure the execution reward against the published way of computing it.

    python scripts/bench/reward.py --benchmark bird --root BIRD --split dev \\
        --predictions predictions/bird_dev__*.jsonl --json reward.json

Groups of predictions of several models for a question stand for the completions of a step. The
published way (CSC-SQL): every step starts a pool of 64 processes, hands them completions in chunks
of ten, and runs prediction and gold query for each completion, within 30 seconds for both together.
Ours counts from nothing too: starting and ending the workers is in its time. Both are called in a
process that has loaded torch and TRL, as a trainer has: a pool of 64 copies its memory map 64 times
a call, ours comes from a process without them. Beside the seconds by the clock stand those of the
processors, which do not depend on what else the machine does.
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

Pay = Callable[[Sequence[Pair]], list[float | None]]
PUBLISHED_WORKERS, PUBLISHED_CHUNK, PUBLISHED_SECONDS = 64, 10, 30


@dataclass(kw_only=True)
class Options(SourceOptions):
    predictions: list[Path] = field(metadata={"help": "prediction files; one is one model"})
    completions: int = field(default=1024, metadata={"help": "how many in all"})
    group: int = field(default=8, metadata={"help": "completions of a question"})
    per_step: list[int] = field(
        default_factory=lambda: [8, 128], metadata={"help": "completions of a step, on one rank"}
    )
    workers: int = field(default=0, metadata={"help": "of our way; 0: one for each core"})
    weights: float = field(
        default=0.0,
        metadata={"help": "GiB of a model in this process, as in a training without a GPU"},
    )
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})


@dataclass(frozen=True, slots=True)
class Measured:
    """What a way took for all steps."""

    seconds: float
    processor_seconds: float
    rewards: list[float | None]


def main() -> None:
    options = parse(Options, about=__doc__)
    pairs = _pairs(options)
    held = _as_a_trainer(options.weights)
    lines = [_compare(pairs, per_step, options) for per_step in options.per_step]
    print(f"{'per step':>9}{'':>12}{'published':>12}{'ours':>9}{'ratio':>8}{'differ':>8}")
    for line in lines:
        for name in ("clock", "processor"):
            theirs, ours = line["published"][name], line["ours"][name]
            print(
                f"{line['per_step']:>9}{name:>12}{theirs:>10.1f} s{ours:>7.2f} s"
                f"{theirs / ours:>8.1f}{line['differ']:>8}"
            )
    if options.json:
        measured = {"completions": len(pairs), "group": options.group, "weights": len(held)}
        write_json(options.json, {**measured, "runs": lines})


def _as_a_trainer(gib: float) -> bytearray:
    """Load what a trainer has loaded where it calls a reward, and fill memory as its model does."""
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
        "paid": sum(filter(None, ours.rewards)) / len(ours.rewards),
    }


def _measure(pairs: Sequence[Pair], per_step: int, way: AbstractContextManager[Pay]) -> Measured:
    started, used = time.perf_counter(), _processor_seconds()
    with way as pay:
        rewards = [
            reward
            for start in range(0, len(pairs), per_step)
            for reward in pay(pairs[start : start + per_step])
        ]
    return Measured(time.perf_counter() - started, _processor_seconds() - used, rewards)


def _processor_seconds() -> float:
    """Of this process and of those that it started and that have ended."""
    return sum(os.times()[:4])


@contextmanager
def _ours(workers: int | None) -> Iterator[Pay]:
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
        return list(pool.map(_pay_one, pairs, chunksize=PUBLISHED_CHUNK))


def _pay_one(pair: Pair) -> float:
    try:
        return float(func_timeout(PUBLISHED_SECONDS, _same, (pair,)))
    except (FunctionTimedOut, DatabaseError):
        return 0.0


def _same(pair: Pair) -> bool:
    with closing(connect(pair.database)) as connection:
        predicted = connection.execute(pair.predicted or "").fetchall()
        return set(predicted) == set(connection.execute(pair.gold or "").fetchall())


def _pairs(options: Options) -> list[Pair]:
    """Groups of predictions, one question after the other, the models taking turns."""
    questions = options.read_all()
    found, _ = with_databases(questions)
    by_model = [read_predictions(file, questions) for file in options.predictions]
    pairs = list(_groups([q for q in found if q.gold_sql], by_model, options.group))
    if len(pairs) < options.completions:
        raise InputError(
            f"{len(pairs)} predictions for {options.completions} completions; give more files "
            f"or a smaller --completions"
        )
    return pairs[: options.completions]


def _groups(
    questions: Sequence[Question], by_model: Sequence[dict[str, str]], size: int
) -> Iterator[Pair]:
    for first in range(0, len(by_model) - size + 1, size):
        for question in questions:
            for predictions in by_model[first : first + size]:
                yield Pair(question.database, predictions[question.id], question.gold_sql)


if __name__ == "__main__":
    run_program(main)
