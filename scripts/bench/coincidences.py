"""Which published predictions are right by coincidence?

    python scripts/bench/coincidences.py --benchmark spider --root SPIDER --split dev \\
        --suites SUITES --predictions predictions/spider_dev__*.jsonl \\
        --sample 60 --output coincidences.jsonl --json coincidences.json

PREDICTIONS may also be candidates.jsonl of inference/generate.py. Prints for each file, and for
each part in which a prediction differs from the gold query, how many predictions are right on the
benchmark's database, and how many of these a suite refuses (match mode `bird` unless --match says
otherwise). --output gets a random sample of the distinct refused predictions, each with a witness,
to be judged by a person.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.cli.options import SourceOptions
from slmsql.consistency.candidates import read_candidates
from slmsql.errors import run_program
from slmsql.evaluation.diagnosis import ErrorClass, differences
from slmsql.evaluation.metric import share
from slmsql.execution import Executor, Pair
from slmsql.files import Record, write_json, write_jsonl
from slmsql.match import Match
from slmsql.questions.question import Question, with_databases
from slmsql.suites.neighbours.folder import Suites
from slmsql.suites.neighbours.judging import suite_verdicts
from slmsql.suites.neighbours.witness import find_witness


@dataclass(kw_only=True)
class Options(SourceOptions):
    suites: Path = field(metadata={"help": "folder of make_neighbours.py"})
    predictions: list[Path] = field(metadata={"help": "prediction files, or candidates.jsonl"})
    match: Match = field(default=Match.BIRD, metadata={"help": "when two results agree"})
    sample: int = field(default=60, metadata={"help": "refused predictions to write, at most"})
    seed: int = field(default=0, metadata={"help": "of the sample"})
    output: Path | None = field(default=None, metadata={"help": "file for the sample"})
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})


@dataclass(frozen=True, slots=True)
class Right:
    """A prediction that is right on the benchmark's database and whose gold query has a suite."""

    model: str
    question: Question
    sql: str
    parted: Path | None
    """The neighbour that refuses it."""

    @property
    def kind(self) -> str:
        parts = differences(self.sql, self.question.gold_sql or "")
        return (parts[0] if parts else ErrorClass.OTHER).value


def main() -> None:
    options = parse(Options, about=__doc__)
    every = options.read_all()
    questions, _ = with_databases(every)
    suites = Suites(options.suites)
    with Executor() as executor:
        right = [
            answer
            for file in options.predictions
            for answer in _right(file, every, questions, suites, options.match, executor)
        ]
        _print(right)
        if options.output:
            write_jsonl(options.output, _sample(right, options, executor))
    if options.json:
        write_json(options.json, _figures(right))


def _right(
    file: Path,
    every: Sequence[Question],
    questions: Sequence[Question],
    suites: Suites,
    match: Match,
    executor: Executor,
) -> Iterator[Right]:
    """The right answers of a file; of several samples for a question, each distinct one."""
    sets = read_candidates([file], every, wanted=questions)
    answers = [
        (question, sql)
        for question, answered in zip(questions, sets, strict=True)
        for sql in dict.fromkeys(c.sql for c in answered.candidates if c.sql)
    ]
    pairs = [Pair(question.database, sql, question.gold_sql) for question, sql in answers]
    verdicts = executor.judge(pairs, match=match)
    found = suite_verdicts(
        pairs, verdicts, suites, match, lambda more, mode: executor.judge(more, match=mode)
    )
    model = file.stem.partition("__")[2] or file.stem
    for (question, sql), verdict in zip(answers, found, strict=True):
        if verdict is not None and verdict.agreed:
            yield Right(model, question, sql, verdict.parted)


def _figures(right: Sequence[Right]) -> Record:
    groups: dict[str, dict[str, list[bool]]] = {
        "model": defaultdict(list), "difference": defaultdict(list), "all": defaultdict(list),
    }  # fmt: skip
    for answer in right:
        refused = answer.parted is not None
        groups["model"][answer.model].append(refused)
        groups["difference"][answer.kind].append(refused)
        groups["all"]["all"].append(refused)
    return {
        by: {
            name: metric.as_record()
            for name, flags in sorted(group.items())
            if (metric := share(flags)) is not None
        }
        for by, group in groups.items()
    }


def _print(right: Sequence[Right]) -> None:
    for by, group in _figures(right).items():
        print(f"{by:<72}refused  of right")
        for name, metric in group.items():
            low_high = metric["interval"]
            print(f"  {name:<66}{metric['value']:>6.1f} %  {metric['n']:>6}  {low_high}")


def _sample(right: Sequence[Right], options: Options, executor: Executor) -> Iterator[Record]:
    """Distinct refused predictions; a gold query occurs once, so that none counts for many."""
    refused = [answer for answer in right if answer.parted is not None]
    models = Counter((a.question.gold_sql, a.sql) for a in refused)
    random.Random(options.seed).shuffle(refused)
    distinct = {(a.question.database, a.question.gold_sql): a for a in reversed(refused)}
    for answer in list(distinct.values())[: options.sample]:
        gold = answer.question.gold_sql or ""
        assert answer.parted is not None
        pair = Pair(answer.question.database, answer.sql, gold)
        witness = find_witness(answer.parted, pair, options.match, executor)
        yield {
            "id": answer.question.id,
            "model": answer.model,
            "models": models[answer.question.gold_sql, answer.sql],
            "difference": answer.kind,
            "question": answer.question.text,
            "evidence": answer.question.evidence,
            "gold_sql": gold,
            "sql": answer.sql,
            "witness": witness.script,
            "gold": [list(map(str, row)) for row in witness.gold.rows],
            "predicted": [list(map(str, row)) for row in witness.predicted.rows],
        }


if __name__ == "__main__":
    run_program(main)
