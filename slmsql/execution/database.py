"""Database files: opening them for reading, creating them, and hashing their content."""

import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from slmsql.errors import InputError

Identity = tuple[int, int, int, int]  # size, mtime and ctime in ns, inode

HEADER = b"SQLite format 3\0"
HOT_JOURNAL = bytes.fromhex("d9d505f920a163d7")

NO_DATABASE = "no database"
DAMAGED_DATABASE = "damaged database"

_hashes: dict[tuple[str, Identity], str] = {}


class UnusableDatabase(InputError):
    """A file that cannot serve as a database; `reason` says why in a few words."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def connect(path: Path) -> sqlite3.Connection:
    """Open a database for our own queries, immutable; bytes that are not UTF-8 are replaced.

    Never run SQL from others on it: that is what `Executor` is for.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: the file is not a database, or has unfinished changes.
    """
    check_database(path)
    connection = open_immutable(path)
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return connection


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """`connect` for the time of a `with` block.

    Raises:
        FileNotFoundError, InputError: see `connect`; or a statement came upon a damaged page.
    """
    with closing(connect(path)) as connection:
        try:
            yield connection
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:  # its subclasses are errors of ours
                raise
            raise UnusableDatabase(DAMAGED_DATABASE, f"{path} is damaged: {error}") from error


def open_immutable(path: Path) -> sqlite3.Connection:
    """A connection that cannot write and takes no locks."""
    return sqlite3.connect(
        f"file:{quote(os.fspath(path.absolute()))}?mode=ro&immutable=1",
        uri=True,
        isolation_level=None,  # otherwise Python begins transactions itself
        check_same_thread=False,
        cached_statements=0,
    )


def check_database(path: Path) -> Identity:
    """Check that a file is a database without unfinished changes; returns its identity.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: the file is not a database, or has unfinished changes.
    """
    try:
        stat = os.stat(path)
        with open(path, "rb") as file:
            header = file.read(len(HEADER))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"database {path} is missing; expected an SQLite file there"
        ) from None
    except IsADirectoryError:
        raise UnusableDatabase(
            "a folder, not a database", f"database {path} is a folder; expected an SQLite file"
        ) from None
    if header != HEADER:
        raise UnusableDatabase(
            "not an SQLite database",
            f"{path} is no SQLite database ({stat.st_size} bytes, beginning with {header!r}); "
            "is the download complete?",
        )
    _refuse_unfinished(path)
    return (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


def _refuse_unfinished(path: Path) -> None:
    """Refuse a database with a log: an immutable connection would read an old or broken state."""
    log, journal = Path(f"{path}-wal"), Path(f"{path}-journal")
    hot = log.exists() and log.stat().st_size > 0
    if not hot and journal.exists():
        hot = journal.read_bytes()[: len(HOT_JOURNAL)] == HOT_JOURNAL
    if hot:
        raise UnusableDatabase(
            "a database with unfinished changes",
            f"{path} has changes that are not in it yet ({log.name} or {journal.name}); close the "
            f"program that writes to it, or run: sqlite3 {path} 'PRAGMA wal_checkpoint(TRUNCATE)'",
        )


def check_schema(path: Path) -> None:
    """Check that a database's schema can be read.

    A database that is damaged elsewhere shows that only when statements run: their executions have
    the kind "database".

    Raises:
        FileNotFoundError, InputError: see `check_database`; or the schema is damaged.
    """
    check_database(path)
    with closing(open_immutable(path)) as connection:
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").close()
        except sqlite3.DatabaseError as error:
            raise UnusableDatabase(DAMAGED_DATABASE, f"{path} is damaged: {error}") from error


def content_hash(path: str, identity: Identity) -> str:
    """SHA-256 of a database file; computed once for each state of the file."""
    if (path, identity) not in _hashes:
        with open(path, "rb") as file:
            _hashes[path, identity] = hashlib.file_digest(file, "sha256").hexdigest()
    return _hashes[path, identity]


def create_database(path: Path, script: str) -> None:
    """Write a database from trusted SQL. If the script fails, nothing is written.

    Raises:
        InputError: the script is not valid; an existing file stays as it was.
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
        connection.executescript(f"{script}\n;VACUUM;")  # VACUUM: an empty database gets a page too
    finally:
        connection.close()
