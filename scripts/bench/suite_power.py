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
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.cli.options import SourceOptions
from slmsql.consistency.prediction import read_predictions
from slmsql.errors import InputError, run_program
from slmsql.evaluation.metric import share
from slmsql.execution import Executor, Limits, Pair
from slmsql.files import Record, write_json
from slmsql.match import Match
from slmsql.questions.question import Question, with_databases
from slmsql.suites.neighbours.building import MODES, ROUND, killed_on, try_neighbours
from slmsql.suites.neighbours.folder import Suites
from slmsql.suites.neighbours.judging import suite_verdicts
from slmsql.suites.neighbours.making import STEPS
from slmsql.suites.neighbours.profile import read_profile

RANDOM = 200  # neighbours that decide whether a near miss means the same as the gold query
OTHER_SEED = 20_101_994


@dataclass(kw_only=True)
class Options(SourceOptions):
    suites: Path = field(metadata={"help": "folder of make_neighbours.py"})
    predictions: list[Path] = field(
        default_factory=list, metadata={"help": "prediction files to time"}
    )
    sample: int = field(default=100, metadata={"help": "gold queries whose near misses are tried"})
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
    figures["near_misses"] = _power(golds, suites, options.sample)
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


def _power(golds: Sequence[Question], suites: Suites, sample: int) -> Record:
    """Of the near misses that any random neighbour tells apart, how many the suite tells apart."""
    chosen = random.Random(0).sample(list(golds), min(sample, len(golds)))
    found: Counter[Match] = Counter()
    killed: Counter[Match] = Counter()
    tried = 0
    with Executor(limits=Limits(steps=STEPS, rows=20_000)) as executor:
        for number, question in enumerate(chosen, start=1):
            told, by_suite, count = _told_apart(question, suites, executor)
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


def _told_apart(
    question: Question, suites: Suites, executor: Executor
) -> tuple[frozenset[tuple[int, Match]], frozenset[tuple[int, Match]], int]:
    """Near misses told apart by random neighbours, and by the suite; and how many there are."""
    gold, rounds = question.gold_sql or "", RANDOM // ROUND + 1
    with tempfile.TemporaryDirectory() as folder:
        trial = try_neighbours(
            gold,
            read_profile(question.database),
            executor,
            Path(folder),
            evidence=question.evidence,
            seed=OTHER_SEED,
            rounds=rounds,
            patience=rounds,
        )
    paths = suites.neighbours(question.database, gold)
    by_suite = killed_on(gold, trial.mutants, paths, executor)
    return (
        frozenset().union(*trial.killed.values()),
        frozenset().union(*by_suite.values()),
        len(trial.mutants),
    )


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
