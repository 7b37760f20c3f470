"""Do other engines give SQLite's answers, and how fast is the judge on them?

    python scripts/copy_database.py --source spider/database --target copies
    python scripts/bench/engines.py --questions spider/dev.json --databases spider/database \\
        --copies copies --predictions predictions/*.jsonl

`--copies` is a folder of DuckDB files or the URL of a server. Every gold query is translated with
`slmsql.sql.transpiling` and run on the copy. A result agrees if it has the same rows, in any order,
with numbers equal within 1e-9. Every difference is listed with its reason; rows whose order is left
open, or that a LIMIT cuts among equals, are differences, too.

The predictions of all files, translated, then give the pairs per second, with nothing cached.

A good result: 97 % agree, and 2,000 pairs per second with two workers.
"""

import resource
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlglot.errors import SqlglotError

from slmsql.cli.config import parse
from slmsql.consistency.prediction import read_predictions
from slmsql.errors import run_program
from slmsql.evaluation.provenance import questions_hash
from slmsql.execution import Execution, Executor, Pair, Statement
from slmsql.execution.engines.address import dialect_of, with_name
from slmsql.execution.engines.copying import column_kinds
from slmsql.files import Record, write_json
from slmsql.match import Match, same_result
from slmsql.questions.question import Question, with_databases
from slmsql.questions.reading import read_questions
from slmsql.sql.transpiling import TextColumns, from_sqlite

ALL_ROWS = 1_000_000


@dataclass(kw_only=True)
class Options:
    questions: Path = field(metadata={"help": "question file with gold SQL for SQLite"})
    databases: Path = field(metadata={"help": "folder of the SQLite databases"})
    copies: Path = field(metadata={"help": "folder or URL of their copies"})
    predictions: list[Path] = field(
        default_factory=list, metadata={"help": "prediction files, for the speed"}
    )
    workers: int = field(default=2, metadata={"help": "processes that run SQL"})
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})


@dataclass(frozen=True, slots=True)
class Translated:
    """A question's gold query and its translation; None if sqlglot cannot parse it."""

    question: Question
    copy: Path
    sql: str | None


def main() -> None:
    options = parse(Options, about=__doc__)
    questions, _ = with_databases(read_questions(options.questions, options.databases))
    kinds = {q.database: text_columns(q.database) for q in questions}
    translated = [
        Translated(
            q,
            with_name(options.copies, q.db_id),
            translate(q.gold_sql or "", with_name(options.copies, q.db_id), kinds[q.database]),
        )
        for q in questions
    ]
    figures = _agreement(translated, options)
    for reason, ids in figures["differences"].items():
        print(f"{len(ids):4} {reason}: {', '.join(ids[:5])}")
    print(
        f"{figures['agree']} of {figures['n']} agree with SQLite in {figures['engine']}"
        f" ({figures['share']:.1%}; data {figures['data']})"
    )
    if options.predictions:
        figures |= _speed(translated, kinds, options)
        print(
            f"{figures['pairs']} pairs: {figures['pairs_per_s']:,.0f} per second;"
            f" {figures['workers_processor_s']:.1f} s of processor time in all workers"
        )
    if options.json:
        write_json(options.json, figures)


def text_columns(database: Path) -> TextColumns:
    """Which columns of a database hold texts, as a copy has them."""
    return {
        table: {column: kind in ("text", "date", "timestamp") for column, kind in columns.items()}
        for table, columns in column_kinds(database).items()
    }


def translate(sql: str, copy: Path, columns: TextColumns) -> str | None:
    """The query for a copy; None if sqlglot cannot parse it."""
    try:
        return from_sqlite(sql, dialect_of(copy), columns)
    except (SqlglotError, RecursionError, ValueError):
        return None


def _agreement(translated: Sequence[Translated], options: Options) -> Record:
    with Executor(workers=options.workers) as executor:
        golds = executor.run(
            [Statement(t.question.database, t.question.gold_sql) for t in translated],
            preview=ALL_ROWS,
        )
        copies = executor.run([Statement(t.copy, t.sql) for t in translated], preview=ALL_ROWS)
    differences: dict[str, list[str]] = {}
    agree = Counter[bool]()
    for item, gold, copy in zip(translated, golds, copies, strict=True):
        is_same = copy.ok and _same(copy, gold)
        agree[is_same] += 1
        if not is_same:
            differences.setdefault(_reason(item, copy), []).append(item.question.id)
    return {
        "data": questions_hash([item.question for item in translated]),
        "engine": dialect_of(translated[0].copy).label,
        "n": len(translated),
        "agree": agree[True],
        "share": agree[True] / len(translated),
        "differences": dict(sorted(differences.items(), key=lambda item: -len(item[1]))),
    }


def _same(copy: Execution, gold: Execution) -> bool:
    widths = (len(copy.columns), len(gold.columns))
    return same_result(copy.rows, gold.rows, Match.STRICT, widths=widths)


def _reason(item: Translated, copy: Execution) -> str:
    """Why a translated query has another result, by its error or by what it contains."""
    gold = (item.question.gold_sql or "").lower()
    if item.sql is None:
        return "sqlglot cannot translate it"
    if not copy.ok:
        message = (copy.error or "").partition("\n")[0]
        return f"{copy.kind}: {message[:70]}"
    if " limit " in gold:
        return "LIMIT cuts among rows that sort equal"
    if "min(" in item.sql.lower() and "min(" not in gold:
        return "a column beside an aggregate differs within the group"
    if "/" in gold:
        return "division"
    return "other"


def _speed(
    translated: Sequence[Translated], kinds: dict[Path, TextColumns], options: Options
) -> Record:
    questions = [item.question for item in translated]
    pairs: list[Pair] = []
    known: dict[tuple[Path, str], str] = {}
    for file in options.predictions:
        predictions = read_predictions(file, read_questions(options.questions, options.databases))
        for item, question in zip(translated, questions, strict=True):
            sql = predictions[question.id]
            key = (item.copy, sql)
            if key not in known:
                known[key] = translate(sql, item.copy, kinds[question.database]) or sql
            pairs.append(Pair(item.copy, known[key], item.sql))
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
