"""Which gold queries can be trusted? Audits the questions of a benchmark before training on them.

    python scripts/audit_gold.py --benchmark bird --root BIRD --split train --output audit.jsonl
    python scripts/audit_gold.py --questions train.json --databases train_databases \
        --output runs/audit/train.jsonl --write_clean runs/audit/clean.jsonl

For each question it says whether the gold query fails, times out, is refused, gives nothing or too
much, asks for random numbers or the date, gives something else when rows are stored in another
order (ties), or stands beside the same question a second time. Ties are found by running the
query on copies of the databases with all rows reversed.

`--output` has one line per question with its findings; `--write_clean` the questions without any,
fit for RL. On those the gold query must be correct by itself in every mode: if one is not, the
program says which and ends with exit code 1.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.cli.options import SourceOptions
from slmsql.errors import run_program
from slmsql.execution import Executor, Limits
from slmsql.files import write_json, write_jsonl
from slmsql.match import Match
from slmsql.questions.gold_audit import (
    Audited,
    Finding,
    audit,
    clean_questions,
    not_correct_by_themselves,
)
from slmsql.questions.question import Question


@dataclass(kw_only=True)
class Options(SourceOptions):
    output: Path | None = field(default=None, metadata={"help": "JSON Lines, one per question"})
    write_clean: Path | None = field(default=None, metadata={"help": "JSON Lines for RL"})
    json: Path | None = field(default=None, metadata={"help": "the summary"})
    match: Match = field(
        default=Match.BIRD,
        metadata={"help": "how results will be compared; bird does not mind the order of ties"},
    )
    largest_copy: int = field(
        default=500, metadata={"help": "MB; larger databases are not searched for ties"}
    )
    steps: int = field(
        default=Limits().steps, metadata={"help": "instructions of SQLite a query may take"}
    )
    workers: int = field(default=0, metadata={"help": "processes; 0: one for each processor"})
    cache: Path | None = field(default=None, metadata={"help": "folder that keeps gold results"})


def main() -> None:
    options = parse(Options, about=__doc__)
    limits = Limits(steps=options.steps)
    with Executor(workers=options.workers or None, limits=limits, cache=options.cache) as executor:
        audited = audit(options.read_all(), executor, largest_copy=options.largest_copy)
        clean = clean_questions(audited, options.match)
        wrong = not_correct_by_themselves(executor, clean)
    show(audited, clean, wrong)
    write(options, audited, clean, wrong)
    if wrong:
        sys.exit(1)


def show(audited: Sequence[Audited], clean: Sequence[Question], wrong: Sequence[str]) -> None:
    counts = Counter(finding for one in audited for finding in one.findings)
    print(f"{len(audited):7}  questions")
    for finding in Finding:
        if counts[finding]:
            print(f"{counts[finding]:7}  {finding}")
    verdicts = len(clean) * len(Match)
    print(
        f"{len(clean):7}  clean, of which {verdicts - len(wrong)} of {verdicts} verdicts of gold "
        "against gold are right"
    )
    for line in wrong:
        print(f"gold is not correct by itself: {line}", file=sys.stderr)


def write(
    options: Options, audited: Sequence[Audited], clean: Sequence[Question], wrong: Sequence[str]
) -> None:
    if options.output:
        write_jsonl(options.output, (one.as_record() for one in audited))
    if options.write_clean:
        write_jsonl(options.write_clean, (question.as_record() for question in clean))
    if options.json:
        counts = Counter(finding for one in audited for finding in one.findings)
        findings = {finding.value: counts[finding] for finding in Finding}
        summary = {"questions": len(audited), "clean": len(clean), "findings": findings}
        write_json(options.json, {**summary, "not_correct_by_itself": list(wrong)})


if __name__ == "__main__":
    run_program(main)
