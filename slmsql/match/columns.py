"""Two tables whose columns may stand in another order: is there a permutation that fits?

The test-suite evaluator tries all permutations (and samples rows at random to try fewer). Here a
column may only take the place of one with the same values beside the same kind of rows, which
leaves one choice nearly always; what is left is searched with a check after each column.
"""

from collections import Counter
from collections.abc import Hashable, Sequence

Row = tuple[Hashable, ...]
Rows = Sequence[Row]

# Cells compared before the search gives up and says "different". Only tables built to resist,
# of many columns with equal values, come near; the bound keeps the verdict the same everywhere.
MAXIMUM_CELLS = 5_000_000


def same_bag_of_columns(predicted: Rows, gold: Rows) -> bool:
    """Rows in the same order, columns in any: then each column is one value, and order is free."""
    return Counter(zip(*predicted, strict=True)) == Counter(zip(*gold, strict=True))


def same_bag_in_some_column_order(predicted: Rows, gold: Rows) -> bool:
    """Rows in any order with their multiplicity, columns in any order. Neither may be empty."""
    mine = _signatures(predicted)
    theirs = _signatures(gold)
    if Counter(mine) != Counter(theirs):
        return False
    choices = [
        [index for index, signature in enumerate(mine) if signature == wanted] for wanted in theirs
    ]
    return _Search(predicted, gold, choices).succeeds()


def _signatures(rows: Rows) -> list[Hashable]:
    """For each column the bag of (value, which values stand in its row); the same for equals."""
    kinds = [hash(frozenset(Counter(row).items())) for row in rows]
    return [
        frozenset(Counter(zip(column, kinds, strict=True)).items())
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
            # Equal columns are interchangeable: trying one of them is enough.
            if candidate in chosen or column in tried:
                continue
            tried.append(column)
            if self._extend([*chosen, candidate]):
                return True
        return False

    def _agrees(self, chosen: list[int]) -> bool:
        """Whether the columns chosen so far, taken together, hold the same bag of rows."""
        self.cells += 2 * len(chosen) * len(self.gold[0])
        if self.cells > MAXIMUM_CELLS and len(chosen) < len(self.order):
            return False
        mine = Counter(zip(*(self.predicted[i] for i in chosen), strict=True))
        return mine == Counter(zip(*(self.gold[i] for i in self.order[: len(chosen)]), strict=True))
