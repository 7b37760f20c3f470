"""Questions that are near-duplicates of each other, found without comparing all with all."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from slmsql.words import STOP_WORDS, words

COMMON = 0.2  # a word in more than this share of the questions does not bring two together
ALIKE = 0.55  # weighted share of common words from which two questions are near-duplicates


@dataclass(frozen=True, slots=True)
class Near:
    """The nearest of the known questions, by its position, and how near it is (0 to 1)."""

    position: int
    similarity: float


class Neighbours:
    """Known questions, ready to be asked which of them is nearest to another.

    Similarity is the weighted Dice measure of the words, where rare words weigh more: a question
    with a synonym in it stays near, another question of the same form does not get near.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._cached: dict[str, frozenset[int]] = {}
        bags = [frozenset(words(text)) for text in texts]
        counts = Counter(word for bag in bags for word in bag)
        self.weights = {
            word: math.log(1 + len(bags) / count) * (0.2 if word in STOP_WORDS else 1.0)
            for word, count in counts.items()
        }
        self.unknown = math.log(1 + len(bags))
        self.sizes = [self._size(bag) for bag in bags]
        self.holders: dict[str, list[int]] = defaultdict(list)
        for position, bag in enumerate(bags):
            for word in bag:
                self.holders[word].append(position)
        self.common = {
            word for word, count in counts.items() if count > max(COMMON * len(bags), 50)
        }

    def nearest(self, text: str) -> Near | None:
        """The known question most like this one; None where they have no word in common."""
        bag = frozenset(words(text))
        shared: dict[int, float] = defaultdict(float)
        for word in bag - self.common:
            for position in self.holders.get(word, ()):
                shared[position] += self.weights[word]
        if not shared:
            return None
        frequent = bag & self.common
        size = self._size(bag)
        best = max(
            (self._similarity(position, weight, frequent, size), -position)
            for position, weight in shared.items()
        )
        return Near(-best[1], best[0])

    def _similarity(
        self, position: int, weight: float, frequent: Iterable[str], size: float
    ) -> float:
        both = weight + sum(
            self.weights[word] for word in frequent if position in self._members(word)
        )
        return 2 * both / (size + self.sizes[position])

    def _members(self, word: str) -> frozenset[int]:
        if word not in self._cached:
            self._cached[word] = frozenset(self.holders[word])
        return self._cached[word]

    def _size(self, bag: Iterable[str]) -> float:
        return sum(self.weights.get(word, self.unknown) for word in bag)
