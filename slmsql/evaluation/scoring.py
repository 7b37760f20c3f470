"""Scoring predictions in a single call, and the check of their ids."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from slmsql.consistency.prediction import match_ids
from slmsql.errors import InputError
from slmsql.evaluation.judging import evaluate
from slmsql.evaluation.outcome import Evaluation
from slmsql.execution import Executor
from slmsql.match import Match
from slmsql.questions.question import Question, count_reasons, database_faults


def score(
    questions: Sequence[Question],
    predictions: Mapping[str, str],
    *,
    match: Match | str = Match.BIRD,
) -> Evaluation:
    """Judge one prediction for each question, by all metrics that need nothing else.

    >>> from pathlib import Path
    >>> from slmsql.questions.question import Question
    >>> gold = "SELECT Name FROM Artist WHERE ArtistId = 3"
    >>> question = Question("q1", "Who is artist 3?", "chinook", Path("chinook.sqlite"),
    ...                     gold_sql=gold)
    >>> evaluation = score([question], {"q1": "SELECT Name FROM Artist LIMIT 1"})
    >>> evaluation.accuracy.value, evaluation.accuracy.n
    (0.0, 1)
    >>> evaluation.outcomes[0].error_class
    <ErrorClass.FILTER: 'wrong filter or value'>

    Args:
        questions: with their gold queries, as `read_questions` and `read_benchmark` return them.
        predictions: SQL by question id, as `read_predictions` returns it.
        match: the mode of the headline figure: "bird", "spider" or "strict".

    Raises:
        InputError: the ids of questions and predictions differ, or no database can be used.
        ValueError: there is no such match mode.
    """
    check_ids(predictions, questions, "predictions")
    with Executor() as executor:
        return evaluate(questions, predictions, match=Match(match), executor=executor)


def check_ids(
    predictions: Mapping[str, str], questions: Sequence[Question], where: Path | str
) -> None:
    """Raise if ids do not match; a question without a usable database needs no prediction.

    Args:
        predictions: SQL by question id.
        questions: those that are scored.
        where: the file of the predictions, for the message.

    Raises:
        InputError: an id is missing or unknown, or no database can be used.
    """
    faults = database_faults(questions)
    if len(faults) == len(questions):
        raise InputError(
            f"none of the {len(questions)} questions has a database that can be used "
            f"({count_reasons(faults)}); expected for instance {questions[0].database}"
        )
    match_ids(predictions, [q for q in questions if q not in faults or q.id in predictions], where)
