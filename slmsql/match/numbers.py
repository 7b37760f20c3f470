"""Numbers that differ only by rounding: `0.1 + 0.2` and `0.3` count as equal in mode `strict`."""

import math
from collections.abc import Hashable, Sequence

TOLERANCE = 1e-9  # relative

Row = tuple[Hashable, ...]
Rows = Sequence[Row]


def with_near_numbers_merged(predicted: Rows, gold: Rows) -> tuple[Rows, Rows]:
    """Both results, with numbers within `TOLERANCE` of each other replaced by one of them.

    In each column, the numbers of both results are sorted, and a number takes the value of its
    predecessor if the two are near. So equality stays transitive, and the results can be compared
    exactly afterwards. Two integers are never near: 1000000000001 and 1000000000002 may be ids.
    """
    columns = list(zip(*predicted, *gold, strict=True))
    if not any(type(value) is float for column in columns for value in column):
        return predicted, gold
    merged = list(zip(*(_merged(column) for column in columns), strict=True))
    return merged[: len(predicted)], merged[len(predicted) :]


def _merged(column: Row) -> Row:
    numbers = sorted({v for v in column if isinstance(v, int | float)})
    if not any(type(value) is float for value in column):
        return column
    representative: dict[Hashable, Hashable] = {}
    previous: float | None = None
    for number in numbers:
        is_near = previous is not None and _near(previous, number)
        representative[number] = representative[previous] if is_near else number
        previous = number
    return tuple(
        representative[value] if isinstance(value, int | float) else value for value in column
    )


def _near(low: float, high: float) -> bool:
    if type(low) is int and type(high) is int:
        return False
    if math.isinf(low) or math.isinf(high):
        return low == high
    return high - low <= TOLERANCE * max(abs(low), abs(high))
