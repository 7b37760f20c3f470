"""Find the gold queries of a benchmark that cannot be trusted, before you train on them.

    slmsql audit --questions train.json --databases train_databases \\
        --output runs/audit/train.jsonl --write_clean runs/audit/clean.jsonl

For a benchmark as published, give --benchmark bird --root data/bird --split train instead.

Each question gets a list of findings. Its gold query may fail, time out, be refused, return nothing
or too many rows, use random numbers or the current date, or depend on ties: on the order in which
rows are stored. To find ties, the program runs the query on a copy of the database with all rows
reversed. The same question may also occur twice.

With --probe true, the program also looks for signs that a gold query is wrong although it runs: it
compares numbers stored as text, sorts NULL first, cuts off ties with LIMIT, sorts a single row,
divides whole numbers, or asks for a value that the column does not have.

--output lists every question with its findings. --write_clean lists the questions without any,
which are fit for RL. The gold query of each of these is then compared with itself in every match
mode. If one comparison fails, the program names it and exits with status 1.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.cli.options import SourceOptions
from slmsql.execution import Executor, Limits
from slmsql.files import write_json, write_jsonl
from slmsql.match import Match
from slmsql.questions.gold_audit import (
    AuditedQuestion,
    Finding,
    audit,
    clean_questions,
    not_correct_by_themselves,
)
from slmsql.questions.question import Question


@dataclass(kw_only=True)
class Options(SourceOptions):
    output: Path | None = field(
        default=None, metadata={"help": "JSON Lines file of questions with findings"}
    )
    write_clean: Path | None = field(
        default=None, metadata={"help": "JSON Lines file of questions without findings"}
    )
    json: Path | None = field(default=None, metadata={"help": "JSON file for the summary"})
    match: Match = field(
        default=Match.BIRD,
        metadata={
            "help": "rule for comparing results; with bird, the order of ties does not matter"
        },
    )
    largest_copy: int = field(
        default=500, metadata={"help": "size in MB above which a database is not searched for ties"}
    )
    probe: bool = field(
        default=False,
        metadata={"help": "look for signs that gold queries are wrong although they run"},
    )
    steps: int = field(
        default=Limits().steps, metadata={"help": "SQLite instructions that a query may take"}
    )
    workers: int = field(default=0, metadata={"help": "number of processes; 0: one per processor"})
    cache: Path | None = field(default=None, metadata={"help": "folder that caches gold results"})


def main(options: Options) -> None:
    limits = Limits(steps=options.steps)
    with Executor(workers=options.workers or None, limits=limits, cache=options.cache) as executor:
        audited = audit(
            options.read_all(),
            executor,
            largest_copy=options.largest_copy,
            probe=options.probe,
        )
        clean = clean_questions(audited, options.match)
        wrong = not_correct_by_themselves(executor, clean)
    show(audited, clean, wrong)
    write(options, audited, clean, wrong)
    if wrong:
        sys.exit(1)


def show(
    audited: Sequence[AuditedQuestion], clean: Sequence[Question], wrong: Sequence[str]
) -> None:
    counts = Counter(finding for entry in audited for finding in entry.findings)
    print(f"{len(audited):7}  questions")
    for finding in Finding:
        if counts[finding]:
            print(f"{counts[finding]:7}  {finding}")
    signs = Counter(sign for entry in audited for sign in entry.signs)
    for sign, count in signs.most_common():
        print(f"{count:7}  suspected: {sign}")
    verdicts = len(clean) * len(Match)
    print(
        f"{len(clean):7}  clean; {verdicts - len(wrong)} of {verdicts} verdicts of gold against "
        "gold are right"
    )
    for line in wrong:
        print(f"gold compared with itself is wrong: {line}", file=sys.stderr)


def write(
    options: Options,
    audited: Sequence[AuditedQuestion],
    clean: Sequence[Question],
    wrong: Sequence[str],
) -> None:
    if options.output:
        write_jsonl(options.output, (entry.as_record() for entry in audited))
    if options.write_clean:
        write_jsonl(options.write_clean, (question.as_record() for question in clean))
    if options.json:
        counts = Counter(finding for entry in audited for finding in entry.findings)
        findings = {finding.value: counts[finding] for finding in Finding}
        signs = Counter(sign.value for entry in audited for sign in entry.signs)
        summary = {"questions": len(audited), "clean": len(clean), "findings": findings}
        summary |= {"signs": dict(signs)} if options.probe else {}
        write_json(options.json, {**summary, "not_correct_by_itself": list(wrong)})
