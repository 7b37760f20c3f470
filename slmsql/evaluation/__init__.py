"""Scores of predictions: what is right, with which certainty, and why the rest is wrong.

evaluation = evaluate(questions, predictions, match=Match.BIRD, executor=executor)
evaluation.accuracy.value, evaluation.accuracy.n, evaluation.accuracy.interval
"""

from slmsql.evaluation.diagnosis import ErrorClass
from slmsql.evaluation.judging import Extras, evaluate
from slmsql.evaluation.metric import Metric, mean, share
from slmsql.evaluation.outcome import Evaluation, Group, Outcome
from slmsql.evaluation.report import as_record, as_table

__all__ = [
    "ErrorClass",
    "Evaluation",
    "Extras",
    "Group",
    "Metric",
    "Outcome",
    "as_record",
    "as_table",
    "evaluate",
    "mean",
    "share",
]
