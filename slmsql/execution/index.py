"""Index files: databases that we write once, replace as a whole and read with `connect`."""

import os
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path


def create_index(path: Path, fill: Callable[[sqlite3.Connection], None]) -> None:
    """Write a database by calling `fill` with an empty one; no reader ever sees half of it.

    Two processes may write the same index at once: the last one to finish wins.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        with closing(sqlite3.connect(temporary, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
            fill(connection)
            connection.execute("COMMIT")
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
