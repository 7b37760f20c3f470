"""Soft-F1: how many cells a prediction's result shares with the gold result.

    soft_f1([("a", 1)], [("a", 2)])  # 0.5

`soft_f1` pairs each row with the most similar one and counts each value once. `official` is BIRD's
definition. It pairs rows by position, so `[(1,), (2,)]` against `[(2,), (1,)]` scores 0, and it
counts every repetition of a value that the gold row has once.
"""

from collections import Counter
from collections.abc import Hashable, Sequence

Row = tuple[Hashable, ...]
Rows = Sequence[Row]

MOST_PAIRS = 40_000  # with more pairs of unequal rows, these are paired in sorted order instead


def soft_f1(predicted: Rows, gold: Rows) -> float:
    """The F1 of cells: 2 * shared cells / (predicted cells + gold cells), between 0 and 1."""
    if not predicted and not gold:
        return 1.0
    predicted_rows, gold_rows = Counter(predicted), Counter(gold)
    equal = predicted_rows & gold_rows
    shared = sum(len(row) * count for row, count in equal.items())
    shared += _shared_by_unequal_rows(
        list((predicted_rows - equal).elements()), list((gold_rows - equal).elements())
    )
    cells = sum(map(len, predicted)) + sum(map(len, gold))
    return 2 * shared / cells


def official(predicted: Rows, gold: Rows) -> float:
    """BIRD's definition (mini-dev), to compare with published figures."""
    if not predicted and not gold:
        return 1.0
    predicted_rows, gold_rows = list(dict.fromkeys(predicted)), list(dict.fromkeys(gold))
    shared = missing = extra = 0.0
    for row, gold_row in zip(predicted_rows, gold_rows, strict=False):
        shared += sum(value in gold_row for value in row) / len(gold_row)
        extra += sum(value not in gold_row for value in row) / len(gold_row)
        missing += sum(value not in row for value in gold_row) / len(gold_row)
    missing += max(0, len(gold_rows) - len(predicted_rows))
    extra += max(0, len(predicted_rows) - len(gold_rows))
    precision = shared / (shared + extra) if shared + extra else 0.0
    recall = shared / (shared + missing) if shared + missing else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _shared_by_unequal_rows(predicted: list[Row], gold: list[Row]) -> int:
    """Cells shared by rows without an equal one, when the most similar rows are paired first."""
    if not predicted or not gold:
        return 0
    if len(predicted) * len(gold) > MOST_PAIRS:
        pairs = zip(sorted(predicted, key=repr), sorted(gold, key=repr), strict=False)
        return sum(_overlap(Counter(a), Counter(b)) for a, b in pairs)
    predicted_bags, gold_bags = list(map(Counter, predicted)), list(map(Counter, gold))
    candidates = sorted(
        (-_overlap(a, b), i, j)
        for i, a in enumerate(predicted_bags)
        for j, b in enumerate(gold_bags)
    )
    total, used_predicted, used_gold = 0, set[int](), set[int]()
    for negative_overlap, i, j in candidates:
        if i not in used_predicted and j not in used_gold:
            used_predicted.add(i)
            used_gold.add(j)
            total -= negative_overlap
    return total


def _overlap(predicted: Counter[Hashable], gold: Counter[Hashable]) -> int:
    """Number of cells that two rows share, in any position."""
    return sum(min(count, gold[value]) for value, count in predicted.items() if value in gold)
