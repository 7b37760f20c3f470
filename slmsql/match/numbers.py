"""Numbers that differ only by the order in which they were added up."""

import math
from collections.abc import Hashable, Sequence

TOLERANCE = 1e-9  # relative

Row = tuple[Hashable, ...]
Rows = Sequence[Row]


def with_near_numbers_merged(predicted: Rows, gold: Rows) -> tuple[Rows, Rows]:
    """Both results, numbers within `TOLERANCE` of each other replaced by one of them.

    Per column, values of both results are sorted and neighbours linked, so that equality stays
    transitive and bags can be compared exactly afterwards. Two whole numbers are never linked:
    neighbouring ids above a thousand million are different ids.
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
        linked = previous is not None and _near(previous, number)
        representative[number] = representative[previous] if linked else number
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
