"""Databases of any engine as the parent process sees them: where they are and whether they work."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slmsql.errors import InputError
from slmsql.execution.database import (
    NO_DATABASE,
    Identity,
    UnusableDatabase,
    check_database,
    check_schema,
    content_hash,
)
from slmsql.execution.engines import duckdb_file, servers
from slmsql.execution.engines.address import dialect_of, is_duckdb, is_url
from slmsql.execution.types import Query
from slmsql.sql.dialect import Dialect

LASTING_SECONDS = 10  # a server's rows may change at any time: its answers are kept no longer


def locate(database: Path) -> tuple[str, Identity]:
    """What a worker opens for a database, and its state: if that changes, answers are out of date.

    A folder of tables is imported into a DuckDB file first.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it cannot serve as a database, or its driver is not installed.
    """
    if is_url(database):
        servers.check(database)
        return str(database), (0, 0, 0, int(time.time() / LASTING_SECONDS))
    try:
        return os.path.abspath(database), check_database(database)
    except UnusableDatabase:
        if dialect_of(database) is Dialect.SQLITE:
            raise
    file = database if is_duckdb(database) else duckdb_file.import_folder(database)
    return os.path.abspath(file), duckdb_file.check(file)


def check_usable(database: Path) -> None:
    """Check that a database's schema can be read.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it cannot serve as a database, or its driver is not installed.
    """
    if dialect_of(database) is Dialect.SQLITE:
        return check_schema(database)
    with reading_engine(database) as query:
        query("SELECT 1")


def database_fault(database: Path) -> str | None:
    """Why a database cannot be used, in a few words; None if its schema can be read.

    Raises:
        InputError: its name is a wrong URL, or its driver is not installed.
    """
    try:
        check_usable(database)
    except UnusableDatabase as error:
        return error.reason
    except InputError:
        raise
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: not a possible path
        return NO_DATABASE
    except OSError:
        return "unreadable database"
    return None


@contextmanager
def reading_engine(database: Path) -> Iterator[Query]:
    """A function that runs our own queries on a database that is not SQLite.

    Raises:
        FileNotFoundError, InputError: see `locate`; or the database cannot be read.
    """
    path, _ = locate(database)
    opened = servers.reading(database) if is_url(database) else duckdb_file.reading(path)
    with opened as query:
        yield query


def fingerprint(database: Path) -> str:
    """A hash of a database's content; cached until the file changes.

    Of a server's database, only the names and types of the columns count: reading all rows could
    take hours. Changed rows are not noticed.
    """
    path, identity = locate(database)
    return servers.fingerprint(database) if is_url(database) else content_hash(path, identity)
