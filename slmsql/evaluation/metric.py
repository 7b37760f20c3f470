"""A metric: a value, the number of questions behind it, and its confidence interval."""

from collections.abc import Sequence
from dataclasses import dataclass

from slmsql.evaluation.statistics import Interval, mean_interval, share_interval
from slmsql.files import Record


@dataclass(frozen=True, slots=True)
class Metric:
    """A value in percent, the number of questions behind it, and its 95 % interval."""

    value: float
    n: int
    interval: Interval
    count: int | None = None
    """Number of questions that are right; None if the metric is not a share of questions."""

    def as_record(self) -> Record:
        record: Record = {"value": round(self.value, 2), "n": self.n}
        if self.count is not None:
            record["count"] = self.count
        return {**record, "interval": self.interval.rounded()}


def share(outcomes: Sequence[bool]) -> Metric | None:
    """The share of true outcomes in percent; None if there are no outcomes."""
    if not outcomes:
        return None
    count, n = sum(outcomes), len(outcomes)
    return Metric(100 * count / n, n, share_interval(count, n), count)


def mean(values: Sequence[float]) -> Metric | None:
    """The mean of scores between 0 and 1, in percent; None if there are no scores."""
    if not values:
        return None
    percent = [100 * value for value in values]
    return Metric(sum(percent) / len(percent), len(percent), mean_interval(percent))
