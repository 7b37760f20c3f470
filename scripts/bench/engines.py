"""Do other engines give SQLite's answers, and how fast is the judge on them?

    python scripts/copy_database.py --source spider/database --target copies
    python scripts/bench/engines.py --questions spider/dev.json --databases spider/database \\
        --copies copies --predictions predictions/*.jsonl

`--copies` is a folder of DuckDB files or the URL of a server. Every gold query is translated with
`slmsql.sql.transpiling` and run on the copy. A result agrees if it has the same rows, in any order,
with numbers equal within 1e-9. Every difference is listed with its reason; rows whose order is left
open, or that a LIMIT cuts among equals, are differences, too.

BIRD's mini-dev has its gold queries in three dialects, so nothing is translated:

    python scripts/bench/engines.py --questions mini_dev_sqlite.json --databases dev_databases \\
        --copies postgresql://owner@localhost --copied_questions mini_dev_postgresql.json

The predictions of all files, translated, then give the pairs per second, with nothing cached.

A good result: 97 % agree, and 2,000 pairs per second with two workers.
"""

import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.consistency.prediction import read_predictions
from slmsql.errors import run_program
from slmsql.evaluation.agreement import disagreements, query_on_copy
from slmsql.evaluation.provenance import questions_hash
from slmsql.execution import Execution, Executor, Pair, Statement
from slmsql.execution.engines.address import dialect_of, with_name
from slmsql.files import Record, write_json
from slmsql.match import Match
from slmsql.questions.question import Question, with_databases
from slmsql.questions.reading import read_questions


@dataclass(kw_only=True)
class Options:
    questions: Path = field(metadata={"help": "question file with gold SQL for SQLite"})
    databases: Path = field(metadata={"help": "folder of the SQLite databases"})
    copies: Path = field(metadata={"help": "folder or URL of their copies"})
    copied_questions: Path | None = field(
        default=None, metadata={"help": "the same questions with gold SQL for the copies"}
    )
    predictions: list[Path] = field(
        default_factory=list, metadata={"help": "prediction files, for the speed"}
    )
    workers: int = field(default=2, metadata={"help": "processes that run SQL"})
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})


def main() -> None:
    options = parse(Options, about=__doc__)
    questions, _ = with_databases(read_questions(options.questions, options.databases))
    if options.copied_questions:
        by_id = {q.id: q for q in read_questions(options.copied_questions, options.copies)}
        copies = [by_id[question.id] for question in questions]
    else:
        copies = [_translated(q, options.copies) for q in questions]
    figures = _agreement(questions, copies, options)
    for reason, ids in figures["differences"].items():
        print(f"{len(ids):4} {reason}: {', '.join(ids[:5])}")
    print(
        f"{figures['agree']} of {figures['n']} agree with SQLite in {figures['engine']}"
        f" ({figures['share']:.1%}; data {figures['data']})"
    )
    if options.predictions:
        figures |= _speed(questions, copies, options)
        print(
            f"{figures['pairs']} pairs: {figures['pairs_per_s']:,.0f} per second;"
            f" {figures['workers_processor_s']:.1f} s of processor time in all workers"
        )
    if options.json:
        write_json(options.json, figures)


def _translated(question: Question, copies: Path) -> Question:
    """The question on a copy of its database, with its query translated, or none."""
    copy = with_name(copies, question.db_id)
    sql = query_on_copy(question.gold_sql or "", question.database, copy)
    return replace(question, database=copy, gold_sql=sql)


def _agreement(
    questions: Sequence[Question], copies: Sequence[Question], options: Options
) -> Record:
    golds = {question.id: (question.gold_sql or "").lower() for question in questions}
    differences: dict[str, list[str]] = {}
    with Executor(workers=options.workers) as executor:
        for copy, execution in disagreements(questions, copies, executor):
            gold = None if options.copied_questions else golds[copy.id]
            reason = _reason(gold, copy.gold_sql, execution)
            differences.setdefault(reason, []).append(copy.id)
    agree = len(questions) - sum(map(len, differences.values()))
    return {
        "data": questions_hash(questions),
        "engine": dialect_of(copies[0].database).label,
        "n": len(questions),
        "agree": agree,
        "share": agree / len(questions),
        "differences": dict(sorted(differences.items(), key=lambda item: -len(item[1]))),
    }


def _reason(gold: str | None, sql: str | None, execution: Execution) -> str:
    """Why a query has another result, by its error or by what it contains.

    Args:
        gold: the query that it was translated from; None if it was not translated.
        sql: the query; None if it could not be translated.
        execution: what it does.
    """
    if sql is None:
        return "sqlglot cannot translate it"
    if not execution.ok:
        message = (execution.error or "").partition("\n")[0]
        return f"{execution.kind}: {message[:70]}"
    if gold is None:
        return "other rows"
    if " limit " in gold:
        return "LIMIT cuts among rows that sort equal"
    if "min(" in sql.lower() and "min(" not in gold:
        return "a column beside an aggregate differs within the group"
    if "/" in gold:
        return "division"
    return "other"


def _speed(questions: Sequence[Question], copies: Sequence[Question], options: Options) -> Record:
    every = read_questions(options.questions, options.databases)
    pairs: list[Pair] = []
    known: dict[tuple[Path, str], str] = {}
    for file in options.predictions:
        predictions = read_predictions(file, every)
        for question, copy in zip(questions, copies, strict=True):
            sql = predictions[question.id]
            key = (copy.database, sql)
            if key not in known:
                known[key] = query_on_copy(sql, question.database, copy.database) or sql
            pairs.append(Pair(copy.database, known[key], copy.gold_sql))
    used = _processor_seconds()
    with Executor(workers=options.workers) as executor:
        executor.run([Statement(pairs[0].database, "SELECT 1")])
        start = time.perf_counter()
        verdicts = executor.judge(pairs, match=Match.BIRD)
        seconds = time.perf_counter() - start
    faults = sum(verdict.machine_failed for verdict in verdicts)
    return {
        "pairs": len(pairs),
        "distinct_pairs": len(set(pairs)),
        "pairs_per_s": len(pairs) / seconds,
        "workers_processor_s": _processor_seconds() - used,
        "faults": faults,
    }


def _processor_seconds() -> float:
    """Processor time of all workers that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    run_program(main)
