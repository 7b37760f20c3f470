"""How fast is the judge, beside the official evaluators and plain SQLite?

    python scripts/bench/judge.py --questions dev.json --databases database \\
        --predictions predictions/*.jsonl --bird ~/mini_dev --test-suite ~/test-suite-sql-eval

Measures on the same pairs, in one run and with the same number of processes:
- ours in every match mode, cold (nothing cached) and again (everything cached);
- the bare loop: processes that only execute both queries on open connections and compare the sets
  of rows, without limits or sandbox: what SQLite itself can do;
- the official evaluators, if you give their checkouts;
- one reward call: 64 questions with 16 completions each;
- how long a runaway statement occupies its worker, and the memory of a worker.

The speed of a machine changes from minute to minute. The contenders therefore take turns in
`--rounds` rounds; a figure is the median of the rounds, a ratio the median of the rounds' ratios.

A good result: faster than the bare loop, and about ten times as fast as BIRD's evaluator.
docs/judge.md has the figures on Spider dev.
"""

import multiprocessing
import resource
import sqlite3
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from scripts.bench.official import Evaluator, judge_officially
from scripts.bench.official.options import OfficialOptions, pairs_of
from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program
from slmsql.execution import Executor, Limits, Pair, Statement, connect
from slmsql.files import write_json
from slmsql.match import Match

PROMPTS, COMPLETIONS = 64, 16
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
SINGLE_INSTRUCTION = (
    "SELECT instr(hex(zeroblob(990000)), substr(hex(zeroblob(990000)), 1, 990000) || '1')"
)
Figures = dict[str, float]


@dataclass(kw_only=True)
class Options(OfficialOptions):
    rounds: int = field(default=3, metadata={"help": "turns that each contender takes"})


def main() -> None:
    options = parse(Options, about=__doc__)
    prediction_sets = _prediction_sets(options)
    pairs = [pair for prediction_set in prediction_sets for pair in prediction_set]
    figures: Figures = {
        "pairs": len(pairs),
        "distinct_pairs": len(set(pairs)),
        "prediction_sets": len(prediction_sets),
        "processes": options.processes,
    }
    print(f"{len(pairs)} pairs, {len(set(pairs))} of them distinct", file=sys.stderr)
    rounds = [_round(pairs, options, number) for number in range(options.rounds)]
    figures |= {name: median(turn[name] for turn in rounds) for name in rounds[0]}
    figures |= _reward_call(prediction_sets, options)
    figures |= _runaways(pairs[0].database)
    figures |= _ratios(rounds)
    for name, value in figures.items():
        print(f"{name:32} {value:12,.3f}" if value < 100 else f"{name:32} {value:12,.0f}")
    if options.json:
        write_json(options.json, figures)


def _prediction_sets(options: Options) -> list[list[Pair]]:
    """The pairs of each file, of the questions that all files answer."""
    questions, prediction_sets = options.read()
    answered = [q for q in questions if all(q.id in predictions for predictions in prediction_sets)]
    if not answered:
        raise InputError("no question with gold SQL and a database is answered in every file")
    return [list(pairs_of(answered, predictions)) for predictions in prediction_sets]


def _round(pairs: list[Pair], options: Options, number: int) -> Figures:
    """Each contender once, on all pairs."""
    figures: Figures = {}
    for name, measure in (
        ("ours", _ours),
        ("bare loop", _bare_loops),
        ("official evaluators", _officials),
    ):
        start = time.perf_counter()
        figures |= measure(pairs, options)
        seconds = time.perf_counter() - start
        print(f"round {number + 1} of {options.rounds}, {name}: {seconds:.1f} s", file=sys.stderr)
    return figures


def _ours(pairs: list[Pair], options: Options) -> Figures:
    figures: Figures = {}
    for match in Match:
        cpu_before = _cpu_seconds()
        with Executor(workers=options.processes) as executor:
            executor.run([Statement(pairs[0].database, "SELECT 1")])
            cold = _judging_seconds(executor, pairs, match)
            again = _judging_seconds(executor, pairs, match)
        figures[f"ours_{match}_per_s"] = len(pairs) / cold
        figures[f"ours_{match}_again_per_s"] = len(pairs) / again
        figures[f"ours_{match}_processor_s"] = _cpu_seconds() - cpu_before
    figures["worker_memory_mb"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return figures


def _bare_loops(pairs: list[Pair], options: Options) -> Figures:
    shares = [pairs[n :: options.processes] for n in range(options.processes)]
    with multiprocessing.get_context("fork").Pool(options.processes) as pool:
        pool.map(_bare_loop, [pairs[:1]] * options.processes)
        start = time.perf_counter()
        pool.map(_bare_loop, shares, chunksize=1)
        seconds = time.perf_counter() - start
    return {"bare_loop_per_s": len(pairs) / seconds}


def _bare_loop(pairs: list[Pair]) -> int:
    """Judge pairs by `set(predicted) == set(gold)` alone; returns the number of correct ones."""
    connections: dict[Path, sqlite3.Connection] = {}
    correct = 0
    for pair in pairs:
        if pair.database not in connections:
            connections[pair.database] = connect(pair.database)
            connections[pair.database].text_factory = str
            # The only guard: the handler is called, and ends the query, at our own step limit.
            connections[pair.database].set_progress_handler(lambda: True, Limits().steps)
        connection = connections[pair.database]
        try:
            predicted = connection.execute(pair.predicted or "").fetchall()
            gold = connection.execute(pair.gold or "").fetchall()
        except (sqlite3.Error, sqlite3.Warning):
            continue
        correct += set(predicted) == set(gold)
    return correct


def _officials(pairs: list[Pair], options: Options) -> Figures:
    figures: Figures = {}
    for evaluator, checkout in (
        (Evaluator.BIRD, options.bird),
        (Evaluator.TEST_SUITE, options.test_suite),
    ):
        if checkout is not None:
            _, seconds = judge_officially(
                evaluator, checkout, pairs, processes=options.processes, python=options.python
            )
            figures[f"{evaluator.replace('-', '_')}_evaluator_per_s"] = len(pairs) / seconds
    return figures


def _reward_call(prediction_sets: list[list[Pair]], options: Options) -> Figures:
    """Groups as GRPO has them: many completions of a question, many of them wrong or equal."""
    completions = [prediction_sets[n % len(prediction_sets)] for n in range(COMPLETIONS)]
    prompts = range(min(PROMPTS, len(prediction_sets[0])))
    rollouts = [pairs[n] for n in prompts for pairs in completions]
    with Executor(workers=options.processes) as executor:
        executor.run([Statement(rollouts[0].database, "SELECT 1")])
        return {
            "reward_call_pairs": len(rollouts),
            "reward_call_s": _judging_seconds(executor, rollouts, Match.BIRD),
            "second_reward_call_s": _judging_seconds(executor, rollouts, Match.BIRD),
        }


def _runaways(database: Path) -> Figures:
    """Seconds until the limits end a statement that would run for ever."""
    figures: Figures = {}
    for name, sql, limits in (
        ("runaway_20m_steps_s", ENDLESS, Limits(steps=20_000_000)),
        ("runaway_40m_steps_s", ENDLESS, Limits(steps=40_000_000)),
        ("runaway_instruction_1s_s", SINGLE_INSTRUCTION, Limits(seconds=1.0)),
    ):
        with Executor(workers=1, limits=limits) as executor:
            executor.run([Statement(database, "SELECT 1")])
            start = time.perf_counter()
            executor.run([Statement(database, sql)])
            figures[name] = time.perf_counter() - start
    return figures


def _ratios(rounds: Sequence[Figures]) -> Figures:
    """How many times as fast ours is, beside the contender of the same round."""
    contenders = {
        "bird / BIRD's evaluator": ("ours_bird_per_s", "bird_evaluator_per_s"),
        "spider / test-suite evaluator": ("ours_spider_per_s", "test_suite_evaluator_per_s"),
        "bird / bare loop": ("ours_bird_per_s", "bare_loop_per_s"),
    }
    return {
        name: median(figures[ours] / figures[contender] for figures in rounds)
        for name, (ours, contender) in contenders.items()
        if contender in rounds[0]
    }


def _judging_seconds(executor: Executor, pairs: Sequence[Pair], match: Match) -> float:
    start = time.perf_counter()
    executor.judge(pairs, match=match)
    return time.perf_counter() - start


def _cpu_seconds() -> float:
    """Processor time of this process and of its ended children."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    run_program(main)
