"""Database files of our own making: written once, replaced as a whole, read with `connect`."""

import os
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path


def create_index(path: Path, fill: Callable[[sqlite3.Connection], None]) -> None:
    """Write a database by calling `fill` with an empty one; nobody ever sees half of it.

    Two processes that write the same index at once do no harm: the last one stays.
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
