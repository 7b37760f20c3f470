"""What can be wrong with the questions of a suite."""

from collections import Counter
from collections.abc import Sequence

from slmsql.execution import Execution, Executor, Statement
from slmsql.questions.question import Question
from slmsql.sql.parsing import normalised
from slmsql.sql.ties import tie_query


def check(
    questions: Sequence[Question], executor: Executor, training: Sequence[Question] = ()
) -> dict[str, list[str]]:
    """Find the faults of a suite; returns the ids of the questions by fault.

    Args:
        questions: those to check.
        executor: where their gold queries run.
        training: questions of which no text and no SQL may occur in `questions`.
    """
    statements = [Statement(question.database, question.gold_sql) for question in questions]
    executions = executor.run(statements, preview=1)
    tied = cut_ties(questions, executor)
    texts = Counter(spelling(question.text) for question in questions)
    golds = Counter(spelling_of_gold(question) for question in questions)
    training_texts = {spelling(question.text) for question in training}
    training_golds = {spelling_of_gold(question) for question in training}
    faults: dict[str, list[str]] = {}
    for question, execution in zip(questions, executions, strict=True):
        text, gold = spelling(question.text), spelling_of_gold(question)
        for fault, present in {
            "fails": not execution.ok,
            "empty": execution.ok and is_trivial(execution),
            "not deterministic": execution.volatile,
            "depends on ties": question.id in tied,
            "asked twice": texts[text] > 1,
            "answered twice": golds[gold] > 1,
            "text is in training": text in training_texts,
            "SQL is in training": gold in training_golds,
        }.items():
            if present:
                faults.setdefault(fault, []).append(question.id)
    return faults


def is_trivial(execution: Execution) -> bool:
    """No row, or one row of nothing but NULL and 0: many wrong queries give that answer too."""
    return execution.row_count == 0 or (
        execution.row_count == 1 and all(value in (None, 0) for value in execution.rows[0])
    )


def cut_ties(questions: Sequence[Question], executor: Executor) -> set[str]:
    """Ids of the questions whose LIMIT cuts between rows that sort equal."""
    limited = [
        (question, *query)
        for question in questions
        if (query := tie_query(question.gold_sql or "")) is not None
    ]
    longest = max((limit for _, _, limit in limited), default=0)
    statements = [Statement(question.database, sql) for question, sql, _ in limited]
    executions = executor.run(statements, preview=longest + 1)
    return {
        question.id
        for (question, _, limit), execution in zip(limited, executions, strict=True)
        if len(execution.rows) > limit and execution.rows[limit - 1] == execution.rows[limit]
    }


def spelling(text: str) -> str:
    """A text in one spelling: case and white space do not matter."""
    return " ".join(text.lower().split())


def spelling_of_gold(question: Question) -> str:
    """The gold query in one spelling, or as it is if it cannot be parsed."""
    sql = question.gold_sql or ""
    return normalised(sql) or sql
