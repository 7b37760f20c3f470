"""Which gold queries have another result on a copy of their database?"""

from collections.abc import Iterator, Sequence

from slmsql.execution import Execution, Executor, Statement
from slmsql.match import Match, same_result
from slmsql.questions.question import Question

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
