"""How certain is a figure? Intervals for one run, and tests between two runs on the same questions.

    share_interval(743, 972)  # the 95 % interval of 76.4 %

Everything is deterministic: the same outcomes give the same figures on every machine.
"""

import math
import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

LEVEL = 0.95
RESAMPLES = 1000
PERCENT = (0.0, 100.0)
POINTS = (-100.0, 100.0)
SEED = 20251121
Z = 1.959963984540054  # the normal quantile of LEVEL


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % confidence interval, in the unit of the value."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def rounded(self, digits: int = 2) -> list[float]:
        return [round(self.low, digits), round(self.high, digits)]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs on the same questions: the second compared with the first."""

    n: int
    gained: int
    """Number of questions that only the second run has right."""
    lost: int
    """Number of questions that only the first run has right."""
    difference: float
    """Second minus first, in percentage points."""
    interval: Interval
    """95 % interval of the difference, by paired bootstrap, in percentage points."""
    p_value: float
    """Two-sided p-value of McNemar's exact test: how often chance gives so uneven a split."""
    over_databases: Interval | None = None
    """95 % interval of the difference when databases are resampled; None with one database."""

    @property
    def is_significant(self) -> bool:
        """Whether the p-value is below 5 %, if this is the only comparison; see `holm`."""
        return self.p_value < 1 - LEVEL


def share_interval(count: int, n: int) -> Interval:
    """The bootstrap interval of a share, in percent.

    Resampling n outcomes of 0 and 1 means drawing from a binomial distribution, so the percentiles
    are computed from that distribution, not sampled. If none or all are right, resampling has no
    spread and would claim certainty; then this is Wilson's interval.

    Raises:
        ValueError: n is 0, or count is not between 0 and n.
    """
    if n < 1 or not 0 <= count <= n:
        raise ValueError(f"{count} of {n} is not a share")
    if count in (0, n):
        return _wilson(count, n)
    low, high = _binomial_quantiles(n, count / n, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Interval(100 * low / n, 100 * high / n)


def mean_interval(
    values: Sequence[float],
    resamples: int = RESAMPLES,
    *,
    bounds: tuple[float, float] = PERCENT,
) -> Interval:
    """The percentile bootstrap interval of a mean, in the unit of the values.

    Equal values have no spread to resample; then this is `_around_constant`.

    Args:
        values: one for each question.
        resamples: number of bootstrap samples.
        bounds: the least and the largest value that is possible.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values")
    if min(values) == max(values):
        return _around_constant(values[0], len(values), bounds)
    n = len(values)
    means = (sum(map(values.__getitem__, sample)) / n for sample in _resampled(n, resamples))
    return _percentiles(sorted(means))


def interval_over_groups(
    values: Sequence[float],
    groups: Sequence[str],
    resamples: int = 2 * RESAMPLES,
    *,
    bounds: tuple[float, float] = PERCENT,
) -> Interval | None:
    """The percentile bootstrap interval of a mean when whole groups of values are resampled.

    Questions on one database are right or wrong together, so resampling questions makes an
    interval too narrow for what other databases would give. This one resamples the databases.
    With fewer than about 20 of them it is still rather too narrow.

    Args:
        values: one for each question.
        groups: the database of each question.
        resamples: number of bootstrap samples.
        bounds: the least and the largest value that is possible.

    Returns:
        The interval, or None if there are fewer than two groups.
    """
    members: dict[str, list[float]] = {}
    for value, group in zip(values, groups, strict=True):
        members.setdefault(group, []).append(value)
    if len(members) < 2:
        return None
    sums, sizes = [sum(m) for m in members.values()], [len(m) for m in members.values()]
    means = {total / size for total, size in zip(sums, sizes, strict=True)}
    if len(means) == 1:
        return _around_constant(means.pop(), len(members), bounds)
    resampled = (
        sum(map(sums.__getitem__, sample)) / sum(map(sizes.__getitem__, sample))
        for sample in _resampled(len(members), resamples)
    )
    return _percentiles(sorted(resampled))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of several comparisons, corrected by Holm's method, in the same order.

    If a comparison is called significant when its corrected p-value is below 5 %, the chance of
    any false verdict among all comparisons is below 5 %.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


@lru_cache(maxsize=16)
def _resampled(n: int, resamples: int) -> list[Sequence[int]]:
    """Samples of n positions, with replacement; the same for all metrics over n values."""
    generator = random.Random(SEED)
    return [array("i", generator.choices(range(n), k=n)) for _ in range(resamples)]


def compare(
    first: Sequence[bool], second: Sequence[bool], databases: Sequence[str] = ()
) -> Comparison:
    """Compare two runs, given the outcomes of the same questions in the same order.

    Args:
        first: whether the first run has each question right.
        second: the same of the second run.
        databases: the database of each question, for the interval over databases.

    Raises:
        ValueError: the runs have different numbers of outcomes, or none.
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"{len(first)} and {len(second)} outcomes cannot be paired")
    n = len(first)
    gained = sum(b and not a for a, b in zip(first, second, strict=True))
    lost = sum(a and not b for a, b in zip(first, second, strict=True))
    gains = [100.0 * (b - a) for a, b in zip(first, second, strict=True)]
    return Comparison(
        n=n,
        gained=gained,
        lost=lost,
        difference=100 * (gained - lost) / n,
        interval=paired_interval(gained, lost, n),
        p_value=mcnemar(gained, lost),
        over_databases=interval_over_groups(gains, databases, bounds=POINTS) if databases else None,
    )


def paired_interval(gained: int, lost: int, n: int, resamples: int = 20 * RESAMPLES) -> Interval:
    """The bootstrap interval of a paired difference, in percentage points.

    Each resampled question is gained, lost or unchanged, so the counts follow a multinomial
    distribution. Drawing the counts is the same as drawing the questions, but takes no longer for
    more questions.
    """
    if n in (gained, lost) or not (gained or lost):
        return _around_constant(100 * (gained - lost) / n, n, POINTS)
    generator = random.Random(SEED)
    changed_share = (gained + lost) / n
    gained_share = gained / (gained + lost)
    differences: list[float] = []
    for _ in range(resamples):
        changed = _binomial(generator, n, changed_share)
        differences.append(100 * (2 * _binomial(generator, changed, gained_share) - changed) / n)
    return _percentiles(sorted(differences))


def mcnemar(gained: int, lost: int) -> float:
    """The p-value of McNemar's exact test: a two-sided binomial test over the changed questions."""
    changed = gained + lost
    if not changed:
        return 1.0
    tail = sum(math.comb(changed, k) for k in range(min(gained, lost) + 1))
    return float(min(1.0, 2 * tail / 2**changed))


def pass_at_k(right: int, samples: int, k: int) -> float:
    """The chance that at least one of k samples, drawn without replacement, is right.

    The unbiased estimator of arXiv 2107.03374.

    Args:
        right: number of samples that are right.
        samples: number of samples.
        k: number of samples to draw.

    Raises:
        ValueError: k is not between 1 and the number of samples.
    """
    if not 0 < k <= samples:
        raise ValueError(f"pass@{k} of {samples} samples is not defined")
    return 1.0 - math.comb(samples - right, k) / math.comb(samples, k)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share (0 to 1) of the values lies, by linear interpolation."""
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    low = math.floor(position)
    high = math.ceil(position)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def _around_constant(value: float, n: int, bounds: tuple[float, float]) -> Interval:
    """The interval of a mean of n equal values, which have no spread to resample.

    None of n values differs from this one, so by Wilson's interval a share of up to `unseen` of all
    values may. The ends are the means if all of these were as small, or as large, as possible.
    """
    unseen = _wilson(0, n).high / 100
    low, high = min(bounds[0], value), max(bounds[1], value)
    return Interval(value - unseen * (value - low), value + unseen * (high - value))


def _wilson(count: int, n: int) -> Interval:
    share = count / n
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    return Interval(100 * max(0.0, centre - half), 100 * min(1.0, centre + half))


def _binomial_quantiles(n: int, share: float, levels: Sequence[float]) -> list[int]:
    quantiles: list[int] = []
    total = 0.0
    for k in range(n + 1):
        total += math.exp(
            math.lgamma(n + 1)
            - math.lgamma(k + 1)
            - math.lgamma(n - k + 1)
            + k * math.log(share)
            + (n - k) * math.log1p(-share)
        )
        while len(quantiles) < len(levels) and total >= levels[len(quantiles)]:
            quantiles.append(k)
    return quantiles + [n] * (len(levels) - len(quantiles))


def _binomial(generator: random.Random, n: int, share: float) -> int:
    """One draw from a binomial distribution, by drawing the gaps between successes."""
    if share >= 1 or n == 0:
        return n if share >= 1 else 0
    if share <= 0:
        return 0
    if share > 0.5:
        return n - _binomial(generator, n, 1 - share)
    log = math.log1p(-share)
    count, position = 0, 0
    while True:
        position += 1 + int(math.log(1.0 - generator.random()) / log)
        if position > n:
            return count
        count += 1


def _percentiles(ordered: Sequence[float]) -> Interval:
    last = len(ordered) - 1
    return Interval(ordered[round(last * (1 - LEVEL) / 2)], ordered[round(last * (1 + LEVEL) / 2)])
