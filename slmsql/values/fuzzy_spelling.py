"""Matches words that a question and a database spell differently: typos, endings, short forms."""

import math
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import islice, product
from sqlite3 import Connection

from slmsql.questions.words import STOP_WORDS
from slmsql.values.index import value_counts

SHORTEST = 4  # letters of a word; shorter words resemble too many others
HEAD = 3  # letters that must be equal; terms of the database are looked up by them
MOST_LONGER = 3  # letters by which word and term may differ in length
STEM_SHARE = 0.6  # of the longer word that both begin with ("European", "Europe")
TYPO_RATIO = 0.84  # least ratio of difflib ("Poinexter", "Poindexter")
SHORTENED_WORDS = (2, 3)  # words in a row of which some are shortened
MOST_KEYS = 30  # keys tried for such a row


def similar_terms(index: Connection, question_words: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield the position of a word in the question and a term of the database that resembles it.

    A word that the database has itself is not a typo, so only its stem is compared.
    """
    counts = value_counts(index, question_words)
    for position, word in enumerate(question_words):
        if len(word) < SHORTEST or word.isdigit() or word in STOP_WORDS:
            continue
        is_known = word in counts
        head = max(SHORTEST, math.ceil(STEM_SHARE * len(word))) if is_known else HEAD
        for term in _terms_with_head(index, word, head):
            is_similar = has_same_stem(word, term) or (not is_known and is_typo(word, term))
            if term != word and is_similar:
                yield position, term


def has_same_stem(word: str, term: str) -> bool:
    """Whether both begin with the same letters, and these are most of the longer one."""
    stem = 0
    while stem < min(len(word), len(term)) and word[stem] == term[stem]:
        stem += 1
    return stem >= SHORTEST and stem >= STEM_SHARE * max(len(word), len(term))


def is_typo(word: str, term: str) -> bool:
    """Whether they differ by a letter or two."""
    if min(len(word), len(term)) <= SHORTEST or 2 * len(set(word) & set(term)) < len(set(word)):
        return False
    matcher = SequenceMatcher(None, word, term, autojunk=False)
    return matcher.quick_ratio() >= TYPO_RATIO and matcher.ratio() >= TYPO_RATIO


def shortened_keys(index: Connection, question_words: Sequence[str]) -> Iterator[str]:
    """Keys of two or three words in a row, some of them cut ("science fiction" gives "scifi")."""
    beginnings = {word: _beginnings(word) for word in question_words}
    counts = value_counts(index, [start for starts in beginnings.values() for start in starts])
    spellings = [
        [word, *(start for start in beginnings[word] if start in counts)] for word in question_words
    ]
    for first in range(len(spellings)):
        for size in SHORTENED_WORDS:
            row = spellings[first : first + size]
            if len(row) == size and any(len(choices) > 1 for choices in row):
                # The first product leaves every word whole.
                yield from islice(map("".join, product(*row)), 1, MOST_KEYS)


def _beginnings(word: str) -> list[str]:
    if len(word) < SHORTEST or word in STOP_WORDS or word.isdigit():
        return []
    beginnings = [word[:length] for length in range(2, len(word))]
    return [beginning for beginning in beginnings if beginning not in STOP_WORDS]


def _terms_with_head(index: Connection, word: str, letters: int) -> list[str]:
    """Terms of the database that begin with the same letters and are about as long."""
    head = word[:letters]
    rows = index.execute(
        "SELECT term FROM vocabulary WHERE term >= ? AND term < ? AND length(term) BETWEEN ? AND ?",
        (
            head,
            head[:-1] + chr(ord(head[-1]) + 1),
            len(word) - MOST_LONGER,
            len(word) + MOST_LONGER,
        ),
    )
    return [term for (term,) in rows]
