"""Scores of predictions: which are right, how certain the figures are, and why the rest is wrong.

    evaluation = evaluate(questions, predictions, match=Match.BIRD, executor=executor)
    evaluation.accuracy.value, evaluation.accuracy.n, evaluation.accuracy.interval

In: questions with gold queries, and SQL by question id. Out: an `Evaluation`, and from it the
records of report.json and outcomes.jsonl. Imports `slmsql.execution`, `match`, `sql`, `questions`,
`spider` and `consistency`.
"""

from slmsql.evaluation.diagnosis import ErrorClass
from slmsql.evaluation.judging import Extras, evaluate
from slmsql.evaluation.metric import Metric, mean, share
from slmsql.evaluation.outcome import Evaluation, Outcome, VoteGroup
from slmsql.evaluation.report import as_record, as_table

__all__ = [
    "ErrorClass",
    "Evaluation",
    "Extras",
    "Metric",
    "Outcome",
    "VoteGroup",
    "as_record",
    "as_table",
    "evaluate",
    "mean",
    "share",
]
