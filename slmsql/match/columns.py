"""Do two tables agree if their columns may be reordered?

`[(1, "a"), (2, "b")]` and `[("a", 1), ("b", 2)]` do. The test-suite evaluator tries all
permutations of the columns, and samples rows at random to try fewer. We first compute a signature
of each column: its values, each with the bag of values in its row. Only columns with equal
signatures can correspond, which nearly always leaves one choice. We search among the remaining
choices and compare the rows after each column.
"""

from collections import Counter
from collections.abc import Hashable, Sequence

Row = tuple[Hashable, ...]
Rows = Sequence[Row]

# After comparing this many cells the search gives up and calls the tables different. Only
# adversarial tables with many columns of equal values come near. A count of cells, unlike a time
# limit, gives the same verdict on every machine.
MAXIMUM_CELLS = 5_000_000


def same_bag_of_columns(predicted: Rows, gold: Rows) -> bool:
    """Whether the tables agree with rows in the same order and columns in any order."""
    return Counter(zip(*predicted, strict=True)) == Counter(zip(*gold, strict=True))


def same_bag_in_some_column_order(predicted: Rows, gold: Rows) -> bool:
    """Whether the tables agree as bags of rows with columns in any order. Neither may be empty."""
    predicted_signatures = _signatures(predicted)
    gold_signatures = _signatures(gold)
    if Counter(predicted_signatures) != Counter(gold_signatures):
        return False
    choices = [
        [index for index, signature in enumerate(predicted_signatures) if signature == wanted]
        for wanted in gold_signatures
    ]
    return _Search(predicted, gold, choices).succeeds()


def _signatures(rows: Rows) -> list[Hashable]:
    """For each column the bag of (value, hash of the bag of values in its row)."""
    row_hashes = [hash(frozenset(Counter(row).items())) for row in rows]
    return [
        frozenset(Counter(zip(column, row_hashes, strict=True)).items())
        for column in zip(*rows, strict=True)
    ]


class _Search:
    """Assigns a predicted column to each gold column, those with the fewest choices first."""

    def __init__(self, predicted: Rows, gold: Rows, choices: list[list[int]]) -> None:
        self.predicted = list(zip(*predicted, strict=True))
        self.gold = list(zip(*gold, strict=True))
        self.choices = choices
        self.order = sorted(range(len(choices)), key=lambda column: len(choices[column]))
        self.cells = 0

    def succeeds(self) -> bool:
        return self._extend([])

    def _extend(self, chosen: list[int]) -> bool:
        if not self._agrees(chosen):
            return False
        if len(chosen) == len(self.order):
            return True
        tried: list[Row] = []
        for candidate in self.choices[self.order[len(chosen)]]:
            column = self.predicted[candidate]
            # Equal columns are interchangeable, so one of them is enough.
            if candidate in chosen or column in tried:
                continue
            tried.append(column)
            if self._extend([*chosen, candidate]):
                return True
        return False

    def _agrees(self, chosen: list[int]) -> bool:
        """Whether the columns chosen so far, taken together, have the same bag of rows."""
        self.cells += 2 * len(chosen) * len(self.gold[0])
        if self.cells > MAXIMUM_CELLS and len(chosen) < len(self.order):
            return False
        predicted = (self.predicted[index] for index in chosen)
        gold = (self.gold[index] for index in self.order[: len(chosen)])
        return Counter(zip(*predicted, strict=True)) == Counter(zip(*gold, strict=True))
