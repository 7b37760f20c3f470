"""A metric: a value, the number of questions behind it, and its confidence interval."""

from collections.abc import Sequence
from dataclasses import dataclass

from slmsql.evaluation.statistics import (
    Interval,
    interval_over_groups,
    mean_interval,
    share_interval,
)
from slmsql.files import Record


@dataclass(frozen=True, slots=True)
class Metric:
    """A value in percent, the number of questions behind it, and its 95 % interval."""

    value: float
    n: int
    interval: Interval
    count: int | None = None
    """Number of questions that are right; None if the metric is not a share of questions."""
    over_databases: Interval | None = None
    """The 95 % interval when databases are resampled instead of questions; None with one
    database, or if the databases were not given."""

    def as_record(self) -> Record:
        record: Record = {"value": round(self.value, 2), "n": self.n}
        if self.count is not None:
            record["count"] = self.count
        record["interval"] = self.interval.rounded()
        if self.over_databases is not None:
            record["interval_over_databases"] = self.over_databases.rounded()
        return record


def share(outcomes: Sequence[bool], databases: Sequence[str] = ()) -> Metric | None:
    """The share of true outcomes in percent; None if there are no outcomes.

    Args:
        outcomes: one for each question.
        databases: the database of each question, for the interval over databases.
    """
    if not outcomes:
        return None
    count, n = sum(outcomes), len(outcomes)
    percent = [100.0 * outcome for outcome in outcomes]
    over_databases = interval_over_groups(percent, databases) if databases else None
    return Metric(100 * count / n, n, share_interval(count, n), count, over_databases)


def mean(values: Sequence[float], databases: Sequence[str] = ()) -> Metric | None:
    """The mean of scores between 0 and 1, in percent; None if there are no scores.

    Args:
        values: one for each question.
        databases: the database of each question, for the interval over databases.
    """
    if not values:
        return None
    percent = [100 * value for value in values]
    over_databases = interval_over_groups(percent, databases) if databases else None
    interval = mean_interval(percent)
    return Metric(sum(percent) / len(percent), len(percent), interval, None, over_databases)
