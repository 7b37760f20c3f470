"""Database files: opened for reading, created, and named by their content."""

import hashlib
import os
import sqlite3
import tempfile
from pathlib import Path
from urllib.parse import quote

from slmsql.errors import InputError

Identity = tuple[int, int, int, int]  # size, mtime, ctime in ns, inode: a change shows in one

HEADER = b"SQLite format 3\0"
HOT_JOURNAL = bytes.fromhex("d9d505f920a163d7")

_fingerprints: dict[tuple[str, Identity], str] = {}


def connect(path: Path) -> sqlite3.Connection:
    """Open a database for our own reading: immutable, text that is not UTF-8 made readable.

    It is not for SQL that somebody else wrote: that goes through `Executor`.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is no database, or a writer left it unfinished.
    """
    check(path)
    connection = open_immutable(path)
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return connection


def open_immutable(path: Path) -> sqlite3.Connection:
    """A connection on which nothing can be written, and which takes no locks."""
    return sqlite3.connect(
        f"file:{quote(os.fspath(path.absolute()))}?mode=ro&immutable=1",
        uri=True,
        isolation_level=None,  # else Python begins transactions of its own
        check_same_thread=False,
        cached_statements=0,
    )


def check(path: Path) -> Identity:
    """Make sure that a file is a database at rest; returns what it is recognised by."""
    try:
        stat = os.stat(path)
        with open(path, "rb") as file:
            header = file.read(len(HEADER))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"database {path} is missing; expected an SQLite file there"
        ) from None
    except IsADirectoryError:
        raise InputError(f"database {path} is a folder; expected an SQLite file") from None
    if header != HEADER:
        raise InputError(
            f"{path} is no SQLite database ({stat.st_size} bytes, beginning with {header!r}); "
            "was it downloaded whole?"
        )
    _refuse_unfinished(path)
    return (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


def _refuse_unfinished(path: Path) -> None:
    """An immutable connection ignores these files and would read an old or torn state."""
    log, journal = Path(f"{path}-wal"), Path(f"{path}-journal")
    hot = log.exists() and log.stat().st_size > 0
    if not hot and journal.exists():
        hot = journal.read_bytes()[: len(HOT_JOURNAL)] == HOT_JOURNAL
    if hot:
        raise InputError(
            f"{path} has changes that are not in it yet ({log.name} or {journal.name}); close the "
            f"program that writes it, or run: sqlite3 {path} 'PRAGMA wal_checkpoint(TRUNCATE)'"
        )


def fingerprint(path: Path) -> str:
    """SHA-256 of a database file, remembered until the file changes."""
    key = (os.fspath(path), check(path))
    if key not in _fingerprints:
        with open(path, "rb") as file:
            _fingerprints[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _fingerprints[key]


def create_database(path: Path, script: str) -> None:
    """Write a database from trusted SQL: all of it or, if the script fails, nothing.

    Raises:
        InputError: the script is not valid; a file that was there stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        _run_script(temporary, script)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except sqlite3.Error as error:
        raise InputError(f"cannot create {path}: {error}") from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def _run_script(path: str, script: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(f"{script}\n;VACUUM;")  # VACUUM: even an empty one has a page
    finally:
        connection.close()
