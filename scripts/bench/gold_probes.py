"""Do the signs of wrong gold queries find those that BIRD rewrote between two releases?

    python scripts/bench/gold_probes.py --benchmark bird --root BIRD --split dev \\
        --old BIRD/dev/dev_gold_old_release.sql --json gold_probes.json

The older release has one line for each question, in the same order: the gold query, a tab and the
database. A query counts as rewritten if it differs after normalisation. Signs in the text of a
query are looked for in all questions; those that need the database only where it is there.

Prints for each sign the share of rewritten queries that have it (found), and the share of unchanged
ones (flagged).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.cli.options import SourceOptions
from slmsql.errors import InputError, run_program
from slmsql.evaluation.metric import share
from slmsql.execution import Executor
from slmsql.files import Record, write_json
from slmsql.questions.gold_probes import Sign, find_signs, signs_of_text
from slmsql.questions.question import Question, database_faults
from slmsql.sql.parsing import normalised

Signs = Mapping[Question, Sequence[Sign]]


@dataclass(kw_only=True)
class Options(SourceOptions):
    old: Path = field(metadata={"help": "gold queries of the older release, in the same order"})
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})


def main() -> None:
    options = parse(Options, about=__doc__)
    new = options.read_all()
    lines = options.old.read_text(encoding="utf-8").splitlines()
    if len(lines) != len(new):
        raise InputError(f"{options.old} has {len(lines)} lines for {len(new)} questions")
    old = [
        replace(question, gold_sql=line.split("\t")[0])
        for question, line in zip(new, lines, strict=True)
    ]
    rewritten = {
        before
        for before, after in zip(old, new, strict=True)
        if _spelling(before) != _spelling(after)
    }
    faults = database_faults(old)
    with_data = [question for question in old if question not in faults]
    with Executor() as executor:
        found = dict(zip(with_data, find_signs(with_data, executor), strict=True))
    figures = {
        "by their text, all questions": _figures(
            {q: signs_of_text(q.gold_sql or "") for q in old}, rewritten
        ),
        "with their database": _figures(found, rewritten),
    }
    _print(figures)
    if options.json:
        write_json(options.json, figures)


def _spelling(question: Question) -> str:
    gold = question.gold_sql or ""
    return normalised(gold) or " ".join(gold.split())


def _figures(found: Signs, rewritten: set[Question]) -> Record:
    figures: Record = {"any": _shares({q: bool(signs) for q, signs in found.items()}, rewritten)}
    for sign in Sign:
        flags = {question: sign in signs for question, signs in found.items()}
        if any(flags.values()):
            figures[sign.value] = _shares(flags, rewritten)
    return figures


def _shares(flags: Mapping[Question, bool], rewritten: set[Question]) -> Record:
    groups = {
        "found": [flag for question, flag in flags.items() if question in rewritten],
        "flagged": [flag for question, flag in flags.items() if question not in rewritten],
    }
    return {name: m.as_record() if (m := share(group)) else None for name, group in groups.items()}


def _print(figures: Mapping[str, Record]) -> None:
    for part, signs in figures.items():
        print(part)
        for sign, groups in signs.items():
            shares = [
                f"{name} {metric['count']} of {metric['n']} {metric['interval']}"
                for name, metric in groups.items()
                if metric is not None
            ]
            print(f"  {sign:<34}{'   '.join(shares)}")


if __name__ == "__main__":
    run_program(main)
