"""Finds the most similar of many questions without comparing with each of them."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from slmsql.questions.words import STOP_WORDS, words

# A word is frequent if it occurs in more than this share of the questions and in more than
# FREQUENT_COUNT of them. Frequent words count towards similarity, but no question is looked up by
# them alone.
FREQUENT_SHARE = 0.2
FREQUENT_COUNT = 50
STOP_WORD_WEIGHT = 0.2  # a stop word's weight relative to another word that occurs as often


@dataclass(frozen=True, slots=True)
class NearestQuestion:
    """The most similar question: its position in the index, and the similarity from 0 to 1."""

    position: int
    similarity: float


class QuestionIndex:
    """An index of questions that finds the one most similar to a given question.

    Similarity is the Dice coefficient of the two sets of words, weighted so that rare words count
    more. A question with one synonym in it stays similar to the original; another question of the
    same form does not become similar.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        word_sets = [frozenset(words(text)) for text in texts]
        counts = Counter(word for word_set in word_sets for word in word_set)
        self._weights = {
            word: math.log(1 + len(texts) / count) * (STOP_WORD_WEIGHT if word in STOP_WORDS else 1)
            for word, count in counts.items()
        }
        self._weight_of_new_words = math.log(1 + len(texts))
        self._sizes = [self._size(word_set) for word_set in word_sets]
        self._positions: dict[str, list[int]] = defaultdict(list)
        for position, word_set in enumerate(word_sets):
            for word in word_set:
                self._positions[word].append(position)
        most = max(FREQUENT_SHARE * len(texts), FREQUENT_COUNT)
        self._frequent = {
            word: frozenset(self._positions[word]) for word, count in counts.items() if count > most
        }

    def nearest(self, text: str) -> NearestQuestion | None:
        """The most similar question; None if no question shares a word that is not frequent."""
        word_set = frozenset(words(text))
        shared: dict[int, float] = defaultdict(float)  # weight of shared words, by position
        for word in word_set - self._frequent.keys():
            for position in self._positions.get(word, ()):
                shared[position] += self._weights[word]
        if not shared:
            return None
        frequent = word_set & self._frequent.keys()
        size = self._size(word_set)
        similarity, negative_position = max(
            (self._similarity(position, weight, frequent, size), -position)
            for position, weight in shared.items()
        )
        return NearestQuestion(-negative_position, similarity)

    def _similarity(
        self, position: int, shared: float, frequent: Iterable[str], size: float
    ) -> float:
        shared += sum(self._weights[word] for word in frequent if position in self._frequent[word])
        return 2 * shared / (size + self._sizes[position])

    def _size(self, word_set: Iterable[str]) -> float:
        return sum(self._weights.get(word, self._weight_of_new_words) for word in word_set)
