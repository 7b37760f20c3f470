"""Finds the values that a question mentions, with the columns that hold them.

A value is found in one of these ways; the first is the surest:

1. The question contains it, whatever the case, accents, punctuation, spaces and plurals.
2. The question contains it with one word misspelt, inflected or shortened, or contains only its
   beginning ("Russia" finds 'Russian Federation').
3. It shares rare words with the question (BM25), and the question contains most of its letters in
   one run.
4. Its column has so few values that all of them are shown, so that the model can pick the code for
   what the question paraphrases ("female" is 'F').
"""

from collections.abc import Sequence
from pathlib import Path
from sqlite3 import Connection

from slmsql.questions.words import words
from slmsql.values.index import LONGEST_VALUE, cache_folder, open_index
from slmsql.values.search import Hit, bm25_hits, exact_hits, misspelt_hits, prefix_hits

MOST_PER_COLUMN = 3  # values found by search
MOST_IN_ALL = 30
SMALL_COLUMN = 6  # a column with at most this many values is shown with all of them,
SHORT_VALUE = 25  # if none of them has more characters than this
MOST_WORDS = 400  # of a question that are searched for
SEARCHES = (exact_hits, misspelt_hits, prefix_hits, bm25_hits)

Place = tuple[str, str]  # table and column in lower case


def find_values(
    text: str, database: Path, *, small_columns: bool = True, folder: Path | None = None
) -> dict[Place, tuple[str, ...]]:
    """Values that a question mentions, by (table, column) in lower case.

    Args:
        text: the question with its evidence.
        database: the database to search.
        small_columns: also return all values of each column that has few, as in 4 above.
        folder: folder of the indexes, by default `cache_folder()`. The first call for a database
            builds its index, which takes seconds for 100,000 values.
    """
    index = open_index(database, folder or cache_folder())
    # No value has a longer word. One cut to a letter more than a value has still matches nothing.
    question_words = [word[: LONGEST_VALUE + 1] for word in words(text)[:MOST_WORDS]]
    values = _best([hit for search in SEARCHES for hit in search(index, question_words)])
    for place, column_values in _small_columns(index).items() if small_columns else ():
        values[place] = tuple(dict.fromkeys((*values.get(place, ()), *column_values)))
    return values


def _best(hits: Sequence[Hit]) -> dict[Place, tuple[str, ...]]:
    """The best hits of each column and in all."""
    values: dict[Place, tuple[str, ...]] = {}
    count = 0
    for hit in sorted(hits, key=lambda hit: -hit.score):
        place = (hit.table, hit.column)
        better = values.get(place, ())
        if len(better) < MOST_PER_COLUMN and count < MOST_IN_ALL and hit.value not in better:
            values[place] = (*better, hit.value)
            count += 1
    return values


def _small_columns(index: Connection) -> dict[Place, list[str]]:
    """All values of each column that has few and short ones."""
    rows = index.execute(
        'SELECT p."table", p."column", v.value FROM place p CROSS JOIN value v'
        " WHERE p.count <= ? AND v.place = p.id ORDER BY p.id, v.id",
        (SMALL_COLUMN,),
    )
    columns: dict[Place, list[str]] = {}
    for table, column, value in rows:
        columns.setdefault((table, column), []).append(value)
    return {
        place: values for place, values in columns.items() if max(map(len, values)) <= SHORT_VALUE
    }
