"""R-VES and VES: what a right answer costs beside the gold query.

Time is measured here and alone: one process, one statement at a time, both in turn, several times,
without the opening of the database. A statement is timed only after the executor has judged it
right, and so has seen that it only reads.

The cost in steps of SQLite's virtual machine is the same on every machine; `steps_ratio` gives it.
"""

import math
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection

from slmsql.execution import connect

# Gold time by predicted time, and what BIRD pays for it.
REWARDS = ((2.0, 1.25), (1.0, 1.0), (0.5, 0.75), (0.25, 0.5), (0.0, 0.25))
STRIDE = 1000  # steps are counted in thousands


def reward(ratio: float) -> float:
    """BIRD's reward for a right answer that takes 1 / ratio of the gold query's time."""
    return next(paid for least, paid in REWARDS if ratio >= least)


def official_reward(ratios: Sequence[float]) -> float:
    """The reward as BIRD's script computes it of repeated measurements.

    It drops those three standard deviations off. Where all are equal it drops all of them, divides
    by zero and pays nothing, which is a fault; so here they count.
    """
    mean, deviation = statistics.fmean(ratios), statistics.pstdev(ratios)
    kept = [ratio for ratio in ratios if abs(ratio - mean) < 3 * deviation] or list(ratios)
    return reward(statistics.fmean(kept))


def r_ves(reward_of_answer: float) -> float:
    """What an answer adds to R-VES, between 0 and the root of 1.25."""
    return math.sqrt(reward_of_answer)


def ves(ratio: float) -> float:
    """What an answer adds to the older VES; it has no upper bound."""
    return math.sqrt(ratio)


def steps_ratio(predicted: int, gold: int) -> float:
    """Gold steps by predicted steps; what is below one stride counts as one."""
    return max(gold, STRIDE) / max(predicted, STRIDE)


def time_ratios(database: Path, predicted: str, gold: str, repeats: int) -> list[float]:
    """Gold time by predicted time, measured in turn `repeats` times after one unmeasured run."""
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
