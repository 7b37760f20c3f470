"""Ways from a question to the values that it speaks of, on the index of a database."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from sqlite3 import Connection

from slmsql.values.fuzzy_spelling import respelled, shortened
from slmsql.values.index import documents
from slmsql.words import STOP_WORDS

LONGEST_RUN = 24  # words of a question that may make one value
INEXACT_RUN = 5  # the same for values that are not spelt as in the question
INEXACT = 6  # such values of one kind at most
BEGINNING = 6  # letters of a value's beginning that stand in the question
SAME_BEGINNING = 2  # values that may have it; with more, none is meant
RARE = 300  # values that a word may occur in to be worth a BM25 search
HITS = 40  # of BM25
ALIKE = 0.7  # share of a value's letters that stand in the question as one run
LAST = chr(0x10FFFF)
HIT = 'SELECT p."table", p."column", v.value, v.key FROM value v JOIN place p ON p.id = v.place'
ALIKE_HIT = HIT.replace("FROM value v", "FROM search s JOIN value v ON v.id = s.rowid")

Row = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Hit:
    """A value found; the larger `score`, the surer: 2 or more stands in the question as it is."""

    table: str
    column: str
    value: str
    score: float


def standing(index: Connection, asked: Sequence[str]) -> list[Hit]:
    """Values that are a run of the question's words; longer ones before shorter ones."""
    keys: dict[str, int] = {}
    for run in _runs(asked, LONGEST_RUN):
        if not STOP_WORDS.issuperset(run):
            keys["".join(run)] = sum(map(len, run))
    return [Hit(*row[:3], 2 + keys[row[3]]) for row in _with_keys(index, keys)]


def misspelt(index: Connection, asked: Sequence[str]) -> list[Hit]:
    """Values that stand in the question with one word spelt differently, or cut."""
    keys: dict[str, int] = {}
    for position, term in respelled(index, asked):
        for start in range(max(0, position - INEXACT_RUN + 1), position + 1):
            for end in range(position + 1, min(start + INEXACT_RUN, len(asked)) + 1):
                run = [*asked[start:position], term, *asked[position + 1 : end]]
                keys["".join(run)] = end - start
    keys.update(dict.fromkeys(shortened(index, asked), 2))
    return _best(Hit(*row[:3], 1 + keys[row[3]] / 100) for row in _with_keys(index, keys))


def begun(index: Connection, asked: Sequence[str]) -> list[Hit]:
    """Values that the question gives the beginning of ("Russia", 'Russian Federation')."""
    keys = {
        key
        for run in _runs(asked, INEXACT_RUN)
        if run[0] not in STOP_WORDS and len(key := "".join(run)) >= BEGINNING
    }
    hits: list[Hit] = []
    for key in _beginning_some(index, keys):
        query = f"{HIT} WHERE v.key > ? AND v.key < ? LIMIT ?"
        rows: list[Row] = index.execute(query, (key, key + LAST, SAME_BEGINNING + 1)).fetchall()
        if len(rows) <= SAME_BEGINNING:
            hits += [Hit(*row[:3], 1 + len(key) / 1000) for row in rows]
    return _best(hits)


def alike(index: Connection, asked: Sequence[str]) -> list[Hit]:
    """Values that share rare words with the question (BM25) and most letters in one run."""
    rare = _rare(index, asked)
    if not rare:
        return []
    query = f"{ALIKE_HIT} WHERE search MATCH ? ORDER BY bm25(search), v.id LIMIT ?"
    rows: list[Row] = index.execute(
        query, (" OR ".join(f'"{word}"' for word in rare), HITS)
    ).fetchall()
    whole = "".join(asked)
    shares = [(row, common_run(row[3], whole) / len(row[3])) for row in rows]
    return [Hit(*row[:3], share) for row, share in shares if ALIKE <= share < 1]


def common_run(first: str, second: str) -> int:
    """Length of the longest text that stands in both."""
    best = 0
    for start in range(len(first)):
        while start + best < len(first) and first[start : start + best + 1] in second:
            best += 1
    return best


def _runs(asked: Sequence[str], longest: int) -> Iterator[Sequence[str]]:
    for start in range(len(asked)):
        for end in range(start + 1, min(start + longest, len(asked)) + 1):
            yield asked[start:end]


def _with_keys(index: Connection, keys: Iterable[str]) -> list[Row]:
    distinct = list(keys)
    marks = ", ".join("?" * len(distinct))
    query = f"{HIT} WHERE v.key IN ({marks}) ORDER BY v.id"
    return index.execute(query, distinct).fetchall()


def _best(hits: Iterable[Hit]) -> list[Hit]:
    return sorted(hits, key=lambda hit: -hit.score)[:INEXACT]


def _beginning_some(index: Connection, keys: Iterable[str]) -> list[str]:
    """Those of the keys with which the key of some value begins, in one statement."""
    rows = index.execute(
        "SELECT k.value FROM json_each(?) k WHERE EXISTS"
        " (SELECT 1 FROM value v WHERE v.key > k.value AND v.key < k.value || ?)",
        (json.dumps(sorted(keys), ensure_ascii=False), LAST),
    )
    return [key for (key,) in rows]


def _rare(index: Connection, asked: Sequence[str]) -> list[str]:
    words = [word for word in asked if word not in STOP_WORDS and len(word) > 2]
    counts = documents(index, words)
    return [word for word in dict.fromkeys(words) if 0 < counts.get(word, 0) <= RARE]
