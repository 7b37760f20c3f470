"""Words of a database that a question spells differently: typing errors and other endings."""

import math
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import islice, product
from sqlite3 import Connection

from slmsql.values.index import documents
from slmsql.words import STOP_WORDS

SHORTEST = 4  # letters; below that nearly everything is alike
HEAD = 3  # letters that must be equal: the part of the vocabulary that is looked at
LONGER = 3  # letters by which the two may differ in length
STEM = 0.6  # share of the longer word that is a common beginning ("European", "Europe")
SHORTENED_RUN = (2, 3)  # words
MOST_KEYS = 30  # of one run
ALIKE = 0.84  # difflib's ratio ("Poinexter", "Poindexter")


def respelled(index: Connection, asked: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Position in the question and the word of the database, for words not spelt as there."""
    known = documents(index, asked)  # what the database spells so is no typing error
    for position, word in enumerate(asked):
        if len(word) >= SHORTEST and not word.isdigit() and word not in STOP_WORDS:
            is_known = word in known
            head = max(SHORTEST, math.ceil(STEM * len(word))) if is_known else HEAD
            for term in _near(index, word, head):
                if term != word and (
                    has_stem(word, term) or (not is_known and is_typo(word, term))
                ):
                    yield position, term


def has_stem(word: str, term: str) -> bool:
    """Whether most of the longer one is their common beginning."""
    stem = 0
    while stem < min(len(word), len(term)) and word[stem] == term[stem]:
        stem += 1
    return stem >= SHORTEST and stem >= STEM * max(len(word), len(term))


def is_typo(word: str, term: str) -> bool:
    """Whether they differ by a letter or two."""
    if min(len(word), len(term)) <= SHORTEST or 2 * len(set(word) & set(term)) < len(set(word)):
        return False
    matcher = SequenceMatcher(None, word, term, autojunk=False)
    return matcher.quick_ratio() >= ALIKE and matcher.ratio() >= ALIKE


def shortened(index: Connection, asked: Sequence[str]) -> Iterator[str]:
    """Keys of runs of two or three words of which some are cut ("science fiction", "Sci-Fi")."""
    cut = {word: _cut(word) for word in asked}
    known = documents(index, (start for starts in cut.values() for start in starts))
    options = [[word, *(start for start in cut[word] if start in known)] for word in asked]
    for start in range(len(options)):
        for size in SHORTENED_RUN:
            chosen = options[start : start + size]
            if len(chosen) == size and any(len(words) > 1 for words in chosen):
                yield from islice(map("".join, product(*chosen)), 1, MOST_KEYS)


def _cut(word: str) -> list[str]:
    """What is left of a word when its end is cut."""
    if len(word) < SHORTEST or word in STOP_WORDS or word.isdigit():
        return []
    starts = [word[:length] for length in range(2, len(word))]
    return [start for start in starts if start not in STOP_WORDS]


def _near(index: Connection, word: str, letters: int) -> list[str]:
    """Words of the database with the same first letters and about as long."""
    head = word[:letters]
    rows = index.execute(
        "SELECT term FROM vocabulary WHERE term >= ? AND term < ? AND length(term) BETWEEN ? AND ?",
        (head, head[:-1] + chr(ord(head[-1]) + 1), len(word) - LONGER, len(word) + LONGER),
    )
    return [term for (term,) in rows]
