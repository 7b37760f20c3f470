"""How fast does the judge judge? Pairs per second of ours, of the official evaluators, of SQLite.

    python scripts/bench/judge.py --questions dev.json --databases database \
        --predictions predictions/*.jsonl --bird ~/mini_dev --test-suite ~/test-suite-sql-eval

measures on the same pairs, in one run and with as many processes each:
- ours in every mode, cold (nothing known) and again (everything known);
- the bare loop: processes that only execute both queries on open connections, with no limits and
  no sandbox, and compare two sets, as the limit of what SQLite can do;
- the official evaluators, where a checkout is given (see `scripts/bench/conformance.py`);
- one reward call: 64 questions with 16 completions each;
- how long a runaway statement holds its worker, and the memory of a worker.

Machines change their pace from minute to minute, so the contenders take turns in `--rounds` rounds;
figures are medians, and a ratio is the median of the rounds' ratios.
"""

import multiprocessing
import resource
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program
from slmsql.execution import Executor, Limits, Pair, Statement, connect
from slmsql.files import write_json
from slmsql.match import Match
from slmsql.official import Evaluator, judge_officially
from slmsql.official.options import OfficialOptions, pairs_of

PROMPTS, COMPLETIONS = 64, 16
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
SINGLE_INSTRUCTION = (
    "SELECT instr(hex(zeroblob(990000)), substr(hex(zeroblob(990000)), 1, 990000) || '1')"
)
Figures = dict[str, float]


@dataclass(kw_only=True)
class Options(OfficialOptions):
    rounds: int = field(default=3, metadata={"help": "turns of each contender"})


def main() -> None:
    options = parse(Options, about=__doc__)
    sets = _prediction_sets(options)
    pairs = [pair for one in sets for pair in one]
    figures: Figures = {
        "pairs": len(pairs),
        "distinct_pairs": len(set(pairs)),
        "prediction_sets": len(sets),
        "processes": options.processes,
    }
    print(f"{len(pairs)} pairs, {len(set(pairs))} of them distinct", file=sys.stderr)
    rounds = [_round(pairs, options, number) for number in range(options.rounds)]
    figures |= {name: median(one[name] for one in rounds) for name in rounds[0]}
    _measure_reward_call(sets, options, figures)
    _measure_runaways(pairs[0].database, figures)
    figures |= _ratios(rounds)
    for name, value in figures.items():
        print(f"{name:32} {value:12,.3f}" if value < 100 else f"{name:32} {value:12,.0f}")
    if options.json:
        write_json(options.json, figures)


def _round(pairs: list[Pair], options: Options, number: int) -> Figures:
    """Each contender once, on all pairs."""
    figures: Figures = {}
    for name, measure in (
        ("ours", _measure_ours),
        ("bare loop", _measure_bare_loop),
        ("official evaluators", _measure_officials),
    ):
        seconds = _seconds(lambda m=measure: m(pairs, options, figures))
        print(f"round {number + 1} of {options.rounds}, {name}: {seconds:.1f} s", file=sys.stderr)
    return figures


def _ratios(rounds: Sequence[Figures]) -> Figures:
    """How much faster ours is, each beside the contender of its own round."""
    contenders = {
        "bird / BIRD's evaluator": ("ours_bird_per_s", "bird_evaluator_per_s"),
        "spider / test-suite evaluator": ("ours_spider_per_s", "test_suite_evaluator_per_s"),
        "bird / bare loop": ("ours_bird_per_s", "bare_loop_per_s"),
    }
    return {
        name: median(one[ours] / one[theirs] for one in rounds)
        for name, (ours, theirs) in contenders.items()
        if theirs in rounds[0]
    }


def _prediction_sets(options: Options) -> list[list[Pair]]:
    """The pairs of each file, of the questions that all files answer."""
    questions, sets = options.read()
    asked = [question for question in questions if all(question.id in one for one in sets)]
    if not asked:
        raise InputError("no question with gold SQL and a database is answered in every file")
    return [list(pairs_of(asked, one)) for one in sets]


def _measure_ours(pairs: list[Pair], options: Options, figures: Figures) -> None:
    for match in Match:
        before = _processor_time()
        with Executor(workers=options.processes) as executor:
            executor.run([Statement(pairs[0].database, "SELECT 1")])
            cold = _seconds(lambda e=executor, m=match: e.judge(pairs, match=m))
            again = _seconds(lambda e=executor, m=match: e.judge(pairs, match=m))
        figures[f"ours_{match}_per_s"] = len(pairs) / cold
        figures[f"ours_{match}_again_per_s"] = len(pairs) / again
        figures[f"ours_{match}_processor_s"] = _processor_time() - before
    figures["worker_memory_mb"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def _measure_bare_loop(pairs: list[Pair], options: Options, figures: Figures) -> None:
    share = [pairs[n :: options.processes] for n in range(options.processes)]
    with multiprocessing.get_context("fork").Pool(options.processes) as pool:
        pool.map(_bare_loop, [pairs[:1]] * options.processes)
        seconds = _seconds(lambda: pool.map(_bare_loop, share, chunksize=1))
    figures["bare_loop_per_s"] = len(pairs) / seconds


def _bare_loop(pairs: list[Pair]) -> int:
    connections: dict[Path, sqlite3.Connection] = {}
    correct = 0
    for pair in pairs:
        if pair.database not in connections:
            connections[pair.database] = connect(pair.database)
            connections[pair.database].text_factory = str
            # Its only guard: called once, after as many steps as ours may take.
            connections[pair.database].set_progress_handler(lambda: True, Limits().steps)
        connection = connections[pair.database]
        try:
            predicted = connection.execute(pair.predicted or "").fetchall()
            gold = connection.execute(pair.gold or "").fetchall()
        except (sqlite3.Error, sqlite3.Warning):
            continue
        correct += set(predicted) == set(gold)
    return correct


def _measure_officials(pairs: list[Pair], options: Options, figures: Figures) -> None:
    for evaluator, checkout in (
        (Evaluator.BIRD, options.bird),
        (Evaluator.TEST_SUITE, options.test_suite),
    ):
        if checkout is not None:
            _, seconds = judge_officially(
                evaluator, checkout, pairs, processes=options.processes, python=options.python
            )
            figures[f"{evaluator.replace('-', '_')}_evaluator_per_s"] = len(pairs) / seconds


def _measure_reward_call(sets: list[list[Pair]], options: Options, figures: Figures) -> None:
    """Groups as GRPO has them: the same question many times, with many wrong and equal answers."""
    completions = [sets[n % len(sets)] for n in range(COMPLETIONS)]
    rollouts = [one[n] for n in range(min(PROMPTS, len(sets[0]))) for one in completions]
    with Executor(workers=options.processes) as executor:
        executor.run([Statement(rollouts[0].database, "SELECT 1")])
        cold = _seconds(lambda: executor.judge(rollouts, match=Match.BIRD))
        second = _seconds(lambda: executor.judge(rollouts, match=Match.BIRD))
    figures |= {
        "reward_call_pairs": len(rollouts),
        "reward_call_s": cold,
        "second_reward_call_s": second,
    }


def _measure_runaways(database: Path, figures: Figures) -> None:
    for name, sql, limits in (
        ("runaway_20m_steps_s", ENDLESS, Limits(steps=20_000_000)),
        ("runaway_40m_steps_s", ENDLESS, Limits(steps=40_000_000)),
        ("runaway_instruction_1s_s", SINGLE_INSTRUCTION, Limits(seconds=1.0)),
    ):
        with Executor(workers=1, limits=limits) as executor:
            executor.run([Statement(database, "SELECT 1")])
            runaway = Statement(database, sql)
            figures[name] = _seconds(lambda e=executor, r=runaway: e.run([r]))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _processor_time() -> float:
    """Of this process and of its ended children."""
    mine, theirs = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return mine.ru_utime + mine.ru_stime + theirs.ru_utime + theirs.ru_stime


if __name__ == "__main__":
    run_program(main)
