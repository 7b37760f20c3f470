"""Soft-F1: how much of the gold result a prediction has, cell by cell.

`official` is BIRD's, which pairs the n-th row of one result with the n-th of the other, so that
another order of rows scores 0, and counts a value as found however often it is repeated. `soft_f1`
pairs each row with the most similar one and counts each value once.
"""

from collections import Counter
from collections.abc import Hashable, Sequence

Row = tuple[Hashable, ...]
Rows = Sequence[Row]

MOST_PAIRS = 40_000  # beyond, rows that are not equal are paired in sorted order


def soft_f1(predicted: Rows, gold: Rows) -> float:
    """The F1 of cells: those that a row shares with its partner, of all that both results have."""
    if not predicted and not gold:
        return 1.0
    left, right = Counter(predicted), Counter(gold)
    equal = left & right
    shared = sum(len(row) * count for row, count in equal.items())
    shared += _shared_by_others(list((left - equal).elements()), list((right - equal).elements()))
    cells = sum(map(len, predicted)) + sum(map(len, gold))
    return 2 * shared / cells


def official(predicted: Rows, gold: Rows) -> float:
    """BIRD's mini-dev definition, to compare with published numbers."""
    if not predicted and not gold:
        return 1.0
    mine, theirs = list(dict.fromkeys(predicted)), list(dict.fromkeys(gold))
    found = missing = extra = 0.0
    for row, wanted in zip(mine, theirs, strict=False):
        found += sum(value in wanted for value in row) / len(wanted)
        extra += sum(value not in wanted for value in row) / len(wanted)
        missing += sum(value not in row for value in wanted) / len(wanted)
    missing += max(0, len(theirs) - len(mine))
    extra += max(0, len(mine) - len(theirs))
    precision = found / (found + extra) if found + extra else 0.0
    recall = found / (found + missing) if found + missing else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _shared_by_others(left: list[Row], right: list[Row]) -> int:
    """Cells shared by rows that have no equal one: the most similar pairs first."""
    if not left or not right:
        return 0
    if len(left) * len(right) > MOST_PAIRS:
        pairs = zip(sorted(left, key=repr), sorted(right, key=repr), strict=False)
        return sum(_common(Counter(a), Counter(b)) for a, b in pairs)
    mine, theirs = list(map(Counter, left)), list(map(Counter, right))
    candidates = sorted(
        ((_common(a, b), i, j) for i, a in enumerate(mine) for j, b in enumerate(theirs)),
        key=lambda found: (-found[0], found[1], found[2]),
    )
    total, used_left, used_right = 0, set[int](), set[int]()
    for overlap, i, j in candidates:
        if i not in used_left and j not in used_right:
            used_left.add(i)
            used_right.add(j)
            total += overlap
    return total


def _common(left: Counter[Hashable], right: Counter[Hashable]) -> int:
    """Cells that two rows share, wherever they stand."""
    return sum(min(count, right[value]) for value, count in left.items() if value in right)
