"""Four searches of a database's index for the values that a question mentions."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from sqlite3 import Connection

from slmsql.questions.words import STOP_WORDS
from slmsql.values.fuzzy_spelling import shortened_keys, similar_terms
from slmsql.values.index import as_json, value_counts

LONGEST_RUN = 24  # words in a row that may be one value
INEXACT_RUN = 5  # the same for values that are spelt differently in the question
MOST_INEXACT = 6  # hits of such a search
PREFIX_LETTERS = 6  # of a value's beginning that the question must contain
SAME_PREFIX = 2  # values that may begin with it; if more do, the question means none of them
RARE = 300  # a word in at most this many values is searched with BM25
BM25_HITS = 40
ALIKE_SHARE = 0.7  # of a value's letters that the question contains in one run
LAST_CHARACTER = chr(0x10FFFF)
SELECT = 'SELECT p."table", p."column", v.value, v.key FROM value v JOIN place p ON p.id = v.place'
SELECT_BM25 = SELECT.replace("FROM value v", "FROM search s JOIN value v ON v.id = s.rowid")

Row = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Hit:
    """A value found. A higher `score` is surer; from 2 on, the question contains the value."""

    table: str
    column: str
    value: str
    score: float


def exact_hits(index: Connection, question_words: Sequence[str]) -> list[Hit]:
    """Values that are words in a row in the question; more letters score higher."""
    letters: dict[str, int] = {}
    for run in _runs(question_words, LONGEST_RUN):
        if not STOP_WORDS.issuperset(run):
            letters["".join(run)] = sum(map(len, run))
    return [Hit(*row[:3], 2 + letters[row[3]]) for row in _rows_with_keys(index, letters)]


def misspelt_hits(index: Connection, question_words: Sequence[str]) -> list[Hit]:
    """Values that the question contains with one word spelt differently, or with words cut."""
    lengths: dict[str, int] = {}  # words in a row, by key
    for position, term in similar_terms(index, question_words):
        for start in range(max(0, position - INEXACT_RUN + 1), position + 1):
            for end in range(position + 1, min(start + INEXACT_RUN, len(question_words)) + 1):
                before = question_words[start:position]
                after = question_words[position + 1 : end]
                lengths["".join([*before, term, *after])] = end - start
    lengths.update(dict.fromkeys(shortened_keys(index, question_words), 2))
    rows = _rows_with_keys(index, lengths)
    return _best(Hit(*row[:3], 1 + lengths[row[3]] / 100) for row in rows)


def prefix_hits(index: Connection, question_words: Sequence[str]) -> list[Hit]:
    """Values whose beginning the question contains ("Russia", 'Russian Federation')."""
    prefixes = {
        prefix
        for run in _runs(question_words, INEXACT_RUN)
        if run[0] not in STOP_WORDS and len(prefix := "".join(run)) >= PREFIX_LETTERS
    }
    query = f"{SELECT} WHERE v.key > ? AND v.key < ? LIMIT ?"
    hits: list[Hit] = []
    for prefix in _prefixes_of_values(index, prefixes):
        bounds = (prefix, prefix + LAST_CHARACTER)
        rows: list[Row] = index.execute(query, (*bounds, SAME_PREFIX + 1)).fetchall()
        if len(rows) <= SAME_PREFIX:
            hits += [Hit(*row[:3], 1 + len(prefix) / 1000) for row in rows]
    return _best(hits)


def bm25_hits(index: Connection, question_words: Sequence[str]) -> list[Hit]:
    """Values that share rare words with the question, and most of their letters in one run."""
    candidates = [word for word in question_words if word not in STOP_WORDS and len(word) > 2]
    counts = value_counts(index, candidates)
    rare = [word for word in dict.fromkeys(candidates) if 0 < counts.get(word, 0) <= RARE]
    if not rare:
        return []
    match = " OR ".join(f'"{word}"' for word in rare)
    query = f"{SELECT_BM25} WHERE search MATCH ? ORDER BY bm25(search), v.id LIMIT ?"
    rows: list[Row] = index.execute(query, (match, BM25_HITS)).fetchall()
    question = "".join(question_words)
    shares = [(row, common_substring_length(row[3], question) / len(row[3])) for row in rows]
    return [Hit(*row[:3], share) for row, share in shares if ALIKE_SHARE <= share < 1]


def common_substring_length(first: str, second: str) -> int:
    """The length of the longest text that occurs in both."""
    length = 0
    for start in range(len(first)):
        while start + length < len(first) and first[start : start + length + 1] in second:
            length += 1
    return length


def _runs(question_words: Sequence[str], longest: int) -> Iterator[Sequence[str]]:
    """All sequences of words in a row."""
    for start in range(len(question_words)):
        for end in range(start + 1, min(start + longest, len(question_words)) + 1):
            yield question_words[start:end]


def _rows_with_keys(index: Connection, keys: Iterable[str]) -> list[Row]:
    query = f"{SELECT} WHERE v.key IN (SELECT value FROM json_each(?)) ORDER BY v.id"
    return index.execute(query, (as_json(keys),)).fetchall()


def _best(hits: Iterable[Hit]) -> list[Hit]:
    return sorted(hits, key=lambda hit: -hit.score)[:MOST_INEXACT]


def _prefixes_of_values(index: Connection, prefixes: Iterable[str]) -> list[str]:
    """Those that the key of some value begins with, in one statement."""
    rows = index.execute(
        "SELECT k.value FROM json_each(?) k WHERE EXISTS"
        " (SELECT 1 FROM value v WHERE v.key > k.value AND v.key < k.value || ?)",
        (as_json(sorted(prefixes)), LAST_CHARACTER),
    )
    return [prefix for (prefix,) in rows]
