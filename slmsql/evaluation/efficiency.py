"""R-VES and VES: how fast a right answer is compared with the gold query.

BIRD pays 1 for a right answer that takes as long as the gold query and 1.25 for one that takes half
as long; R-VES is the mean of the square roots. Both statements are timed in this process,
alternately, several times, without opening the database. A statement is timed only after the
executor has judged it right, so we know that it only reads.

Times depend on the machine. `steps_ratio` compares steps of SQLite's virtual machine, which do not.
"""

import math
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection

from slmsql.execution import connect

# The least ratio of gold time to predicted time, and BIRD's reward for it.
REWARDS = ((2.0, 1.25), (1.0, 1.0), (0.5, 0.75), (0.25, 0.5), (0.0, 0.25))
STRIDE = 1000  # steps are counted in thousands


def reward(ratio: float) -> float:
    """BIRD's reward for a right answer that takes 1 / ratio of the gold query's time."""
    return next(paid for least_ratio, paid in REWARDS if ratio >= least_ratio)


def official_reward(ratios: Sequence[float]) -> float:
    """The reward as BIRD's script computes it from repeated measurements.

    The script drops ratios that are three standard deviations or more from the mean. If all ratios
    are equal, it drops all of them, divides by zero and pays nothing. That is a fault, so we count
    them.
    """
    mean, deviation = statistics.fmean(ratios), statistics.pstdev(ratios)
    near = [ratio for ratio in ratios if abs(ratio - mean) < 3 * deviation]
    return reward(statistics.fmean(near or ratios))


def r_ves(reward_of_answer: float) -> float:
    """The R-VES of one answer: between 0 and the square root of 1.25."""
    return math.sqrt(reward_of_answer)


def ves(ratio: float) -> float:
    """The older VES of one answer; it has no upper bound."""
    return math.sqrt(ratio)


def steps_ratio(predicted: int, gold: int) -> float:
    """Gold steps divided by predicted steps; fewer steps than one stride count as one stride."""
    return max(gold, STRIDE) / max(predicted, STRIDE)


def time_ratios(database: Path, predicted: str, gold: str, repeats: int) -> list[float]:
    """Gold time divided by predicted time, `repeats` times, after one run that does not count."""
    with closing(connect(database)) as connection:
        _seconds(connection, gold)
        _seconds(connection, predicted)
        return [
            _seconds(connection, gold) / _seconds(connection, predicted) for _ in range(repeats)
        ]


def _seconds(connection: Connection, sql: str) -> float:
    start = time.perf_counter()
    connection.execute(sql).fetchall()
    return max(time.perf_counter() - start, 1e-9)
