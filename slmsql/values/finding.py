"""Values of a database that a question speaks of, beside the columns that hold them.

A value is found where, best first,
1. it stands in the question, spelling aside (case, accents, punctuation, blanks, plural);
2. it does so with one word mistyped, inflected or cut, or the question gives its beginning;
3. it shares rare words with the question (BM25), and most of its letters stand there as one run;
4. its column has so few values that all of them are shown, so that a model can choose the code
   that a question paraphrases ("female" is 'F').
"""

from collections.abc import Sequence
from pathlib import Path
from sqlite3 import Connection

from slmsql.values.index import cache_folder, open_index
from slmsql.values.search import Hit, alike, begun, misspelt, standing
from slmsql.words import words

PER_COLUMN = 3
TOTAL = 30
LISTED = 6  # a column with at most so many values is shown with all of them,
LISTED_LENGTH = 25  # if none is longer than so many characters
WAYS = (standing, misspelt, begun, alike)
LONGEST_QUESTION = 400  # words that are looked at; more would be no question

Place = tuple[str, str]


def find_values(
    text: str, database: Path, *, folder: Path | None = None
) -> dict[Place, tuple[str, ...]]:
    """Values for a question (with its evidence), by table and column in lower case.

    Args:
        folder: where indexes are kept; `cache_folder()` unless given. The first call for a
            database builds its index, which takes seconds for 100,000 values.
    """
    index = open_index(database, folder or cache_folder())
    asked = words(text)[:LONGEST_QUESTION]
    found = _chosen([hit for way in WAYS for hit in way(index, asked)])
    for place, listed in _listed(index).items():
        found[place] = tuple(dict.fromkeys((*found.get(place, ()), *listed)))
    return found


def _chosen(hits: Sequence[Hit]) -> dict[Place, tuple[str, ...]]:
    """The best hits of each column, and the best of all."""
    found: dict[Place, tuple[str, ...]] = {}
    count = 0
    for hit in sorted(hits, key=lambda hit: -hit.score):
        place = (hit.table, hit.column)
        before = found.get(place, ())
        if len(before) < PER_COLUMN and count < TOTAL and hit.value not in before:
            found[place] = (*before, hit.value)
            count += 1
    return found


def _listed(index: Connection) -> dict[Place, list[str]]:
    """All values of the columns that have few and short ones."""
    rows = index.execute(
        'SELECT p."table", p."column", v.value FROM place p CROSS JOIN value v'
        " WHERE p.count <= ? AND v.place = p.id ORDER BY p.id, v.id",
        (LISTED,),
    )
    listed: dict[Place, list[str]] = {}
    for table, column, value in rows:
        listed.setdefault((table, column), []).append(value)
    return {
        place: values for place, values in listed.items() if max(map(len, values)) <= LISTED_LENGTH
    }
