"""Make an evaluation suite, or check the questions of one.

    python scripts/make_suite.py --suite shop --output suites/shop
    python scripts/make_suite.py --suite laboratory --output suites/laboratory
    python scripts/make_suite.py --suite laboratory --output suites/laboratory \\
        --engine postgres --server postgresql://owner@localhost
    python scripts/make_suite.py --check suites/laboratory/evaluation.jsonl \\
        --databases suites/laboratory/databases --training suites/laboratory/train.jsonl

The same seed gives the same questions, byte for byte. With --engine postgres, the suite's database
is also copied onto a server, where each gold query for PostgreSQL must have the result that the one
for SQLite has; queries that have not are listed by reason, and end the program with exit code 1.
The files are the same with and without a server. A check prints each fault with the ids of
some questions that have it, and ends with exit code 1 if there is any.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from slmsql.cli.config import parse
from slmsql.errors import run_program
from slmsql.evaluation.agreement import disagreements
from slmsql.evaluation.constructs import constructs
from slmsql.execution import Executor, database_fault
from slmsql.execution.engines.address import dialect_of, with_name
from slmsql.execution.engines.copying import copy_database
from slmsql.files import write_json
from slmsql.questions.question import Question
from slmsql.questions.reading import read_questions
from slmsql.suites import LABORATORY, SHOP, Suite, check, make

SUITES = {suite.name: suite for suite in (SHOP, LABORATORY)}


@dataclass
class Options:
    suite: Literal["", "shop", "laboratory"] = field(default="", metadata={"help": "suite to make"})
    output: str = field(default="", metadata={"help": "folder for the suite"})
    engine: Literal["sqlite", "postgres"] = field(
        default="sqlite", metadata={"help": "postgres: load the suite onto a server, too"}
    )
    server: str = field(
        default="postgresql://localhost",
        metadata={
            "help": "server of --engine postgres, with a user who may create databases, as in "
            "postgresql://owner@localhost"
        },
    )
    seed: int = field(
        default=42, metadata={"help": "of the rows of the database and of the choice of questions"}
    )
    check: str = field(default="", metadata={"help": "question file to check"})
    databases: str = field(default="", metadata={"help": "folder of the databases of --check"})
    training: str = field(
        default="",
        metadata={"help": "question file that must share no text and no SQL with --check"},
    )
    json: str = field(default="", metadata={"help": "file for the result of the check"})

    def __post_init__(self) -> None:
        if bool(self.suite and self.output) == bool(self.check):
            raise ValueError("give either --suite NAME --output DIR or --check FILE")
        if self.engine == "postgres" and self.suite not in ("", "laboratory"):
            raise ValueError(f"--suite {self.suite} has no queries for PostgreSQL; laboratory has")


def main() -> None:
    options = parse(Options, about=__doc__)
    with Executor() as executor:
        if options.check:
            _check(options, executor)
            return
        suite, folder = SUITES[options.suite], Path(options.output)
        copy = with_name(Path(options.server), suite.name)
        if options.engine == "postgres":
            is_there = database_fault(copy) is None  # a wrong URL fails now, not later
        for file, count in make(suite, folder, options.seed, executor).items():
            questions = read_questions(folder / f"{file}.jsonl", folder / "databases")
            print(f"{folder / file}.jsonl: {count} questions; {_tiers(questions)}")
        if options.engine == "postgres":
            print(f"{copy}: exists already" if is_there else _load(suite, folder, copy))
            _compare(suite, folder, copy, executor)


def _load(suite: Suite, folder: Path, copy: Path) -> str:
    """Copy the suite's database onto a server; returns what was copied."""
    report = copy_database(folder / "databases" / suite.name / f"{suite.name}.sqlite", copy)
    return f"{copy}: {len(report.tables)} tables, {report.rows} rows"


def _compare(suite: Suite, folder: Path, copy: Path, executor: Executor) -> None:
    """Print which gold queries have another result on the copy than on SQLite."""
    files = [folder / f"{file}.jsonl" for file in suite.sizes]
    questions = [q for file in files for q in read_questions(file, folder / "databases")]
    copies = [q for file in files for q in read_questions(file, copy)]
    differing = dict[str, list[str]]()
    for question, execution in disagreements(questions, copies, executor):
        reason = (execution.error or "other rows").partition("\n")[0]
        differing.setdefault(reason, []).append(question.id)
    count = sum(map(len, differing.values()))
    agreeing = f"{len(questions) - count} of {len(questions)}"
    print(f"{agreeing} gold queries have SQLite's result on {dialect_of(copy).label}")
    for reason, ids in differing.items():
        print(f"{len(ids)} differ: {reason}: {', '.join(ids[:5])}")
    if differing:
        sys.exit(1)


def _check(options: Options, executor: Executor) -> None:
    databases = Path(options.databases) if options.databases else None
    questions = read_questions(Path(options.check), databases)
    training = read_questions(Path(options.training), databases) if options.training else []
    faults = check(questions, executor, training)
    counts = Counter(name for q in questions for name in constructs(q.gold_sql or ""))
    print(f"{options.check}: {len(questions)} questions; {_tiers(questions)}")
    print("constructs: " + ", ".join(f"{count} {name}" for name, count in counts.most_common()))
    for fault, ids in faults.items():
        print(f"{fault}: {len(ids)}, for example {', '.join(ids[:3])}")
    print(f"{sum(map(len, faults.values()))} faults" if faults else "no faults")
    if options.json:
        figures = {"n": len(questions), "constructs": dict(counts), "faults": faults}
        write_json(Path(options.json), figures)
    if faults:
        sys.exit(1)


def _tiers(questions: Sequence[Question]) -> str:
    tiers = Counter(question.difficulty for question in questions)
    return ", ".join(f"{count} {tier}" for tier, count in tiers.items() if tier)


if __name__ == "__main__":
    run_program(main)
