"""Queries on a copy of their database: translated, and which have another result there."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from slmsql.execution import Execution, Executor, Statement
from slmsql.execution.engines.address import dialect_of
from slmsql.execution.engines.copying import text_columns
from slmsql.match import Match, same_result
from slmsql.questions.question import Question
from slmsql.sql.dialect import Dialect
from slmsql.sql.transpiling import TextColumns, translated

ALL_ROWS = 1_000_000  # more than the limits of an execution allow


def disagreements(
    questions: Sequence[Question], copies: Sequence[Question], executor: Executor
) -> Iterator[tuple[Question, Execution]]:
    """Yield the questions whose gold results differ, with what their query does on the copy.

    The rows may come in any order; numbers may differ by 1e-9, relatively.

    Args:
        questions: with gold queries that run.
        copies: the same questions, in the same order, with the databases and queries of another
            engine.
        executor: runs the queries.
    """
    golds = executor.run([Statement(q.database, q.gold_sql) for q in questions], preview=ALL_ROWS)
    others = executor.run([Statement(q.database, q.gold_sql) for q in copies], preview=ALL_ROWS)
    for question, gold, other in zip(copies, golds, others, strict=True):
        if not (other.ok and _same(other, gold)):
            yield question, other


def _same(other: Execution, gold: Execution) -> bool:
    widths = (len(other.columns), len(gold.columns))
    return same_result(other.rows, gold.rows, Match.STRICT, widths=widths)


def query_on_copy(sql: str, database: Path, copy: Path) -> str | None:
    """A query in the dialect of a copy; None if sqlglot cannot translate it.

    Args:
        sql: perhaps from a model.
        database: that it was written for.
        copy: of that database, perhaps on another engine.
    """
    source, target = dialect_of(database), dialect_of(copy)
    columns = _text_columns(database) if source is Dialect.SQLITE is not target else {}
    return translated(sql, source, target, columns)


@lru_cache(maxsize=200)  # as many databases as a benchmark has
def _text_columns(database: Path) -> TextColumns:
    return text_columns(database)
