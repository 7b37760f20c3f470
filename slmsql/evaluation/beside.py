"""The same questions and predictions on another engine: does the score depend on the engine?

    beside = evaluate_beside(evaluation, questions_on_postgres, executor)
    print(as_lines(beside))

Queries are translated from the dialect of the first databases to that of the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from slmsql.evaluation.agreement import query_on_copy
from slmsql.evaluation.judging import Extras, evaluate
from slmsql.evaluation.outcome import Evaluation
from slmsql.evaluation.report import as_record, metric_line
from slmsql.execution import Executor
from slmsql.execution.engines.address import dialect_of
from slmsql.files import Record
from slmsql.questions.question import Question
from slmsql.sql.dialect import Dialect

SHOWN = 5  # ids of questions in a line


@dataclass(frozen=True, slots=True)
class Beside:
    """An evaluation on other databases, beside the first one. Questions are named by their ids."""

    first: Dialect
    other: Dialect
    evaluation: Evaluation
    first_alone: tuple[str, ...]
    """Right on the first databases, wrong on the others."""
    other_alone: tuple[str, ...]
    not_translated: tuple[str, ...]
    """Their predictions ran as they were written."""

    def as_record(self) -> Record:
        """The figures, as they stand under `beside` in report.json."""
        record = as_record(self.evaluation)
        shares = ("execution_accuracy", "n", "correct", "interval", "left_out", "left_out_because")
        return {
            "engine": self.other.label,
            **{name: record[name] for name in shares},
            "right_here_alone": list(self.other_alone),
            "wrong_here_alone": list(self.first_alone),
            "not_translated": list(self.not_translated),
        }


def evaluate_beside(first: Evaluation, others: Sequence[Question], executor: Executor) -> Beside:
    """Judge the predictions of an evaluation on other databases.

    Args:
        first: an evaluation of the same questions.
        others: the questions with the other databases. A gold query of their own (`postgres_sql`)
            is used as it is; one that they share with the first databases is translated.
        executor: runs the SQL.
    """
    by_id = {question.id: question for question in others}
    questions, predictions, not_translated = list[Question](), dict[str, str](), list[str]()
    for outcome in first.outcomes:
        question, other = outcome.question, by_id[outcome.question.id]
        if other.gold_sql == question.gold_sql and question.gold_sql is not None:
            gold = query_on_copy(question.gold_sql, question.database, other.database)
            other = replace(other, gold_sql=gold or question.gold_sql)
        sql = query_on_copy(outcome.sql, question.database, other.database)
        if sql is None:
            not_translated.append(question.id)
        questions.append(other)
        predictions[question.id] = outcome.sql if sql is None else sql
    extras = Extras(queries=False, results=False)
    second = evaluate(questions, predictions, match=first.match, executor=executor, extras=extras)
    here, there = _verdicts(first), _verdicts(second)
    return Beside(
        dialect_of(first.outcomes[0].question.database),
        dialect_of(questions[0].database),
        second,
        tuple(id_ for id_ in there if here.get(id_) and not there[id_]),
        tuple(id_ for id_ in there if here.get(id_) is False and there[id_]),
        tuple(not_translated),
    )


def as_lines(beside: Beside) -> str:
    """The figures as text for a terminal."""
    accuracy = beside.evaluation.accuracy
    name = beside.other.label
    if accuracy is None:
        lines = [f"on {name}: no question could be judged"]
    else:
        lines = [metric_line(f"EX on {name}", accuracy)]
    for reason, ids in {
        f"right on {beside.first.label} alone": beside.first_alone,
        f"right on {name} alone": beside.other_alone,
        "not translated": beside.not_translated,
    }.items():
        if ids:
            more = ", ..." if len(ids) > SHOWN else ""
            lines.append(f"  {reason}: {len(ids)} ({', '.join(ids[:SHOWN])}{more})")
    lines += [f"  left out: {n} ({why})" for why, n in beside.evaluation.left_out.items()]
    return "\n".join(lines)


def _verdicts(evaluation: Evaluation) -> Mapping[str, bool]:
    return {o.question.id: o.correct[evaluation.match] for o in evaluation.judged}
