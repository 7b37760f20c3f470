"""How much do suites tell apart, and how fast do they judge?

    python scripts/make_neighbours.py --benchmark spider --root SPIDER --split dev --output SUITES
    python scripts/bench/suite_power.py --benchmark spider --root SPIDER --split dev \\
        --suites SUITES --predictions predictions/spider_dev__*.jsonl --json power.json

Prints
- of the near misses that differ from the gold query on any of 200 random neighbours (made from
  another seed), the share that the suite tells apart, on `--sample` gold queries;
- how often the gold query compared with itself is right on all neighbours, in each match mode;
- predictions judged per second, by the clock and by processor time, with all their neighbours.

A good result: at least 95 % told apart, at most 10 neighbours for each gold query, all gold
verdicts right, 3,000 predictions per second on two cores (docs/evaluation.md has the figures).
"""

import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.cli.options import SourceOptions
from slmsql.consistency.prediction import read_predictions
from slmsql.errors import InputError, run_program
from slmsql.evaluation.metric import share
from slmsql.execution import Executor, Pair
from slmsql.files import Record, write_json
from slmsql.match import Match
from slmsql.questions.question import Question, with_databases
from slmsql.suites.neighbours.building import (
    MODES,
    ROUND,
    killed_on,
    neighbour_rounds,
    running,
    usable,
)
from slmsql.suites.neighbours.folder import Suites
from slmsql.suites.neighbours.judging import suite_verdicts
from slmsql.suites.neighbours.making import process_executor, profile_of
from slmsql.suites.neighbours.mutants import Mutant, mutants

RANDOM = 200  # neighbours that decide whether a near miss means the same as the gold query
OTHER_SEED = 20_101_994

Told = set[tuple[Mutant, Match]]  # near misses told from the gold query, and in which mode


@dataclass(kw_only=True)
class Options(SourceOptions):
    suites: Path = field(metadata={"help": "folder of make_neighbours.py"})
    predictions: list[Path] = field(
        default_factory=list, metadata={"help": "prediction files to time"}
    )
    sample: int = field(default=100, metadata={"help": "gold queries whose near misses are tried"})
    workers: int = field(default=0, metadata={"help": "processes that try them; 0: all processors"})
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})


def main() -> None:
    options = parse(Options, about=__doc__)
    suites = Suites(options.suites)
    questions, _ = with_databases(options.read_all())
    distinct = {(q.database, q.gold_sql): q for q in questions if q.gold_sql}
    golds = [q for key, q in distinct.items() if suites.neighbours(key[0], key[1] or "")]
    if not golds:
        raise InputError(f"{options.suites} has no suite for any of the {len(distinct)} queries")
    figures: Record = {"gold_queries": len(distinct), "suites": len(golds), **_sizes(golds, suites)}
    figures["gold_against_gold"] = _gold_against_gold(golds, suites)
    figures["near_misses"] = _power(golds, suites, options)
    if options.predictions:
        figures["speed"] = _speed(questions, suites, options.predictions)
    for name, value in figures.items():
        print(f"{name}: {value}")
    if options.json:
        write_json(options.json, figures)


def _sizes(golds: Sequence[Question], suites: Suites) -> Record:
    counts = [len(suites.neighbours(q.database, q.gold_sql or "")) for q in golds]
    sizes = [
        path.stat().st_size
        for q in golds
        for path in suites.neighbours(q.database, q.gold_sql or "")
    ]
    return {
        "neighbours": {"mean": round(sum(counts) / len(counts), 2), "largest": max(counts)},
        "bytes": {"mean": sum(sizes) // len(sizes), "largest": max(sizes)},
    }


def _gold_against_gold(golds: Sequence[Question], suites: Suites) -> Record:
    pairs = [
        Pair(path, q.gold_sql, q.gold_sql)
        for q in golds
        for path in suites.neighbours(q.database, q.gold_sql or "")
    ]
    with Executor() as executor:
        right = {
            mode.value: sum(bool(v.correct) for v in executor.judge(pairs, match=mode))
            for mode in Match
        }
    return {"pairs": len(pairs), "right": right}


def _power(golds: Sequence[Question], suites: Suites, options: Options) -> Record:
    """Of the near misses that any random neighbour tells apart, how many the suite tells apart."""
    chosen = random.Random(0).sample(list(golds), min(options.sample, len(golds)))
    workers = options.workers or len(os.sched_getaffinity(0))
    found: Counter[Match] = Counter()
    killed: Counter[Match] = Counter()
    tried = 0
    with ProcessPoolExecutor(max_workers=workers) as pool:
        parts = pool.map(_told_apart, chosen, repeat(suites))
        for number, (told, by_suite, count) in enumerate(parts, start=1):
            tried += count
            found.update(mode for _, mode in told)
            killed.update(mode for _, mode in told & by_suite)
            if number % 10 == 0:
                print(f"{number} of {len(chosen)} gold queries", file=sys.stderr, flush=True)
    result: Record = {"gold_queries": len(chosen), "near_misses": tried}
    for mode in MODES:
        metric = share([True] * killed[mode] + [False] * (found[mode] - killed[mode]))
        result[mode.value] = metric.as_record() if metric else None
    return result


def _told_apart(question: Question, suites: Suites) -> tuple[Told, Told, int]:
    """Near misses told apart by random neighbours, and by the suite; and how many there are."""
    gold, profile, executor = (
        question.gold_sql or "",
        profile_of(question.database),
        process_executor(),
    )
    near_misses: Sequence[Mutant] = mutants(gold, profile)
    told: Told = set()
    with tempfile.TemporaryDirectory() as folder:
        drawn = neighbour_rounds(
            gold, profile, Path(folder), evidence=question.evidence, seed=OTHER_SEED,
            rounds=RANDOM // ROUND + 1,
        )  # fmt: skip
        for number, paths in enumerate(drawn):
            if number == 0 and paths:
                near_misses = running(near_misses, paths[0], executor)
            told |= _told_on(gold, near_misses, list(usable(gold, paths, executor)), told)
            if len(told) == len(MODES) * len(near_misses):
                break
    paths = list(suites.neighbours(question.database, gold))
    return told, _told_on(gold, near_misses, paths, set()), len(near_misses)


def _told_on(gold: str, near_misses: Sequence[Mutant], paths: Sequence[Path], told: Told) -> Told:
    """Near misses that these neighbours tell apart, of those not told apart in all modes yet."""
    left = [m for m in near_misses if not {(m, mode) for mode in MODES} <= told]
    killed = killed_on(gold, left, paths, process_executor()).values()
    return {(left[index], mode) for targets in killed for index, mode in targets}


def _speed(questions: Sequence[Question], suites: Suites, files: Sequence[Path]) -> Record:
    predictions = [read_predictions(file, questions) for file in files]
    pairs = [
        Pair(q.database, sqls[q.id], q.gold_sql)
        for sqls in predictions
        for q in questions
        if q.id in sqls and q.gold_sql
    ]
    start, used = time.perf_counter(), os.times()
    with Executor() as executor:
        verdicts = executor.judge(pairs, match=Match.BIRD)
        found = suite_verdicts(
            pairs, verdicts, suites, Match.BIRD, lambda more, mode: executor.judge(more, match=mode)
        )
    seconds, now = time.perf_counter() - start, os.times()
    processor = sum(now[:4]) - sum(used[:4])  # ours and that of the workers, which have ended
    return {
        "predictions": len(pairs),
        "databases_asked": sum(v.databases if v and v.agreed else 1 for v in found),
        "per_second": round(len(pairs) / seconds),
        "per_processor_second": round(len(pairs) / processor),
        "cores": len(os.sched_getaffinity(0)),
    }


if __name__ == "__main__":
    run_program(main)
