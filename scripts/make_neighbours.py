"""Make neighbour databases: small variants of a database that show which answers were only lucky.

    python scripts/make_neighbours.py --benchmark spider --root data/spider --split dev \\
        --output suites/spider_dev
    python scripts/evaluate.py --benchmark spider --root data/spider --split dev \\
        --predictions FILE --suites suites/spider_dev

`WHERE age > 30` and `WHERE age >= 30` agree on a database in which nobody is 30. The neighbours of
that database have people who are 29, 30 and 31. Each gold query gets the few neighbours that tell
it from near misses of itself; all of them keep the keys and rules of the original. The original is
only read.

The same command again goes on where it was stopped. The same seed gives the same neighbours.
OUTPUT/card.json says how many near misses the suites tell apart. This program is not
make_suite.py, which makes questions.
"""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.cli.options import SourceOptions
from slmsql.errors import InputError, run_program
from slmsql.files import Record, write_json
from slmsql.questions.question import count_reasons, database_faults
from slmsql.suites.neighbours.folder import CARD
from slmsql.suites.neighbours.making import card, make_suites

EVERY = 20  # suites between two lines of progress


@dataclass(kw_only=True)
class Options(SourceOptions):
    output: Path = field(metadata={"help": "folder for the suites"})
    seed: int = field(default=0, metadata={"help": "of the neighbours' rows"})
    limit: int = field(default=0, metadata={"help": "only the first N questions; 0: all"})
    without_keys: bool = field(
        default=False,
        metadata={"help": "also databases that declare no key; their refusals are often unjust"},
    )
    workers: int = field(default=0, metadata={"help": "number of processes; 0: one per processor"})


def main() -> None:
    options = parse(Options, about=__doc__)
    questions = options.read_all()[: options.limit or None]
    faults = database_faults(questions)
    usable = [question for question in questions if question not in faults]
    if not usable:
        raise InputError(f"no question has a usable database ({count_reasons(faults)})")
    workers = options.workers or len(os.sched_getaffinity(0))
    start = time.monotonic()
    made = make_suites(
        usable,
        options.output,
        seed=options.seed,
        workers=workers,
        without_keys=options.without_keys,
    )
    total = len({(each.database, each.gold_sql) for each in usable if each.gold_sql})
    settings = {"seed": options.seed, "questions": [str(file) for file in options.files()]}
    summary = card(_with_progress(made, total), settings)
    write_json(options.output / CARD, summary)
    print(_lines(summary, time.monotonic() - start))


def _with_progress(records: Iterator[Record], total: int) -> Iterator[Record]:
    for number, record in enumerate(records, start=1):
        if number % EVERY == 0 or number == total:
            print(f"{number} of {total} gold queries", file=sys.stderr, flush=True)
        yield record


def _lines(summary: Record, seconds: float) -> str:
    mutants = max(1, summary["mutants"])
    killed = {mode: f"{count} ({count / mutants:.1%})" for mode, count in summary["killed"].items()}
    lines = [
        f"{summary['suites']} suites for {summary['gold_queries']} gold queries, "
        f"{summary['neighbours_per_suite']} neighbours each, in {seconds:.0f} s",
        f"{summary['mutants']} near misses; told apart in mode bird {killed['bird']}, in mode "
        f"strict {killed['strict']}; many of the others mean the same as the gold query",
        f"{summary['gold_always_empty']} gold queries are empty on all their neighbours",
    ]
    lines += [f"left out: {count} ({why})" for why, count in summary["left_out"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    run_program(main)
