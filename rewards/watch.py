"""Metrics that show whether a model games its reward, and alarms on them.

Each `watch/` metric is a share of the completions of a step, from 0 to 1; `watch/coincidence` is a
share of the right ones. The thresholds of the alarms are a matter of judgement; each alarm says
what a high value may mean.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from slmsql.errors import InputError
from slmsql.execution import Status, Verdict
from slmsql.prompt.answer import Answer
from slmsql.suites.neighbours.judging import SuiteVerdict

COMMENT_OR_QUOTED = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", re.DOTALL)
FROM = re.compile(r"\bfrom\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class JudgedCompletion:
    """A completion with its parsed answer and the judge's verdicts."""

    text: str
    answer: Answer
    verdict: Verdict
    """In the match mode of the reward."""
    strict_verdict: Verdict
    """In `strict` mode, whatever the match mode of the reward."""
    suite_verdict: SuiteVerdict | None = None
    """In the match mode of the reward; None if the gold query has no suite."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A metric that should stay at or below a threshold."""

    metric: str
    threshold: float
    meaning: str


ALARMS = (
    Alarm("watch/constant", 0.1, "queries without FROM: the model guesses instead of looking up"),
    Alarm("watch/refused", 0.05, "queries that write, attach or read the schema tables"),
    Alarm("watch/timeout", 0.1, "queries that run too long, often a join without a condition"),
    Alarm("watch/too_large", 0.1, "results or values over the limits"),
    Alarm("watch/empty", 0.3, "queries that return no rows although the gold query does"),
    Alarm("watch/lenient", 0.1, "right in the match mode of the reward, wrong in strict mode"),
    Alarm("watch/coincidence", 0.1, "right on the row's database, wrong on a neighbour of it"),
    Alarm("watch/format_only", 0.9, "well-formed completions with a wrong answer"),
    Alarm("watch/no_sql", 0.5, "completions without SQL, often cut off: see max_completion_length"),
    Alarm(
        "groups/zero_variance", 0.9, "groups whose completions all have the same reward: no signal"
    ),
)


def watch_metrics(completions: Sequence[JudgedCompletion]) -> dict[str, float]:
    """The shares of a step, and the mean length of the SQL in characters."""
    if not completions:
        return {}
    signs = [_signs(completion) for completion in completions]
    lengths = [len(completion.answer.sql or "") for completion in completions]
    return {
        **{f"watch/{name}": sum(sign[name] for sign in signs) / len(signs) for name in signs[0]},
        "watch/sql_length": sum(lengths) / len(lengths),
        **_coincidence(completions),
    }


def raised_alarms(metrics: Mapping[str, float], alarms: Sequence[Alarm]) -> list[Alarm]:
    """The alarms whose metric is above its threshold."""
    return [
        alarm
        for alarm in alarms
        if alarm.metric in metrics and metrics[alarm.metric] > alarm.threshold
    ]


def make_alarms(thresholds: Sequence[str]) -> list[Alarm]:
    """All alarms. Thresholds such as `watch/empty=0.5` replace the defaults.

    Raises:
        InputError: no alarm has the name, or the threshold is not a number.
    """
    changes = dict(_threshold(text) for text in thresholds)
    if unknown := sorted(changes.keys() - {alarm.metric for alarm in ALARMS}):
        raise InputError(
            f"unknown alarms {unknown}; expected some of {[alarm.metric for alarm in ALARMS]}"
        )
    return [
        replace(alarm, threshold=changes.get(alarm.metric, alarm.threshold)) for alarm in ALARMS
    ]


def is_constant(sql: str | None) -> bool:
    """Whether a query reads no table, such as `SELECT 42`."""
    return sql is not None and not FROM.search(COMMENT_OR_QUOTED.sub(" ", sql))


def _coincidence(completions: Sequence[JudgedCompletion]) -> dict[str, float]:
    """The share of the right completions that a suite refuses, of those that have a suite."""
    right = [c.suite_verdict for c in completions if c.suite_verdict and c.suite_verdict.agreed]
    if not right:
        return {}
    return {"watch/coincidence": sum(verdict.coincidence for verdict in right) / len(right)}


def _threshold(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        return name, float(number)
    except ValueError as error:
        raise InputError(f"an alarm is given as NAME=NUMBER, got {text!r}") from error


def _signs(completion: JudgedCompletion) -> dict[str, bool]:
    answer, verdict = completion.answer, completion.verdict
    predicted = verdict.predicted
    return {
        "executable": predicted.ok,
        "refused": predicted.status is Status.REFUSED,
        "timeout": predicted.status is Status.TIMEOUT,
        "too_large": predicted.status is Status.TOO_LARGE,
        "no_sql": answer.sql is None,
        "constant": predicted.ok and is_constant(answer.sql),
        "empty": predicted.ok and predicted.row_count == 0 and verdict.gold.row_count > 0,
        "lenient": verdict.correct is True and completion.strict_verdict.correct is False,
        "format_only": verdict.correct is False and answer.well_formed,
    }
