"""The folder of suites: which neighbours judge a gold query.

    FOLDER/card.json                    how they were made, and how many near misses they tell apart
    FOLDER/<database>/<key>/suite.json  the gold query, and what its suite does not tell apart
    FOLDER/<database>/<key>/*.sqlite    the neighbours

The key is a hash of the database's content and the gold query: a suite that was made for another
version of either is never used.
"""

import hashlib
from functools import cache
from pathlib import Path

from slmsql.errors import InputError
from slmsql.execution import fingerprint

CARD = "card.json"
SUITE = "suite.json"


class Suites:
    """The suites in a folder.

    Raises:
        InputError: the folder has none.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / CARD).is_file():
            raise InputError(
                f"{folder} has no {CARD}; make suites with scripts/make_neighbours.py --output DIR"
            )
        self.folder = folder
        self.neighbours = cache(self._neighbours)

    def __reduce__(self) -> tuple[type["Suites"], tuple[Path]]:
        return Suites, (self.folder,)

    def _neighbours(self, database: Path, gold: str) -> tuple[Path, ...]:
        """The neighbours that judge this gold query; none if it has no suite."""
        return tuple(sorted(suite_folder(self.folder, database, gold).glob("*.sqlite")))


def read_suites(folder: Path | None) -> Suites | None:
    """The suites in a folder; None if `scripts/make_neighbours.py` did not make it."""
    return Suites(folder) if folder is not None and (folder / CARD).is_file() else None


def suite_folder(folder: Path, database: Path, gold: str) -> Path:
    """Where the suite of a gold query lies."""
    text = f"{fingerprint(database)} {gold.strip()}"
    key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return folder / database.stem / key
