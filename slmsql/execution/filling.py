"""Writes a small database from CREATE statements and rows. Triggers do not fire."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from slmsql.errors import InputError
from slmsql.sql.quoting import quote_identifier

PAGE = 1024  # bytes: a database of many short tables stays small
STEPS = 20_000_000  # instructions of one statement; a CHECK or an index may be made to run long
CELL = 2 * 2**20  # bytes of one value

Values = Sequence[object]


@dataclass(frozen=True, slots=True)
class Filling:
    """The rows of a table, and the columns that they give values to."""

    columns: tuple[str, ...]
    rows: Sequence[Values]


def create_filled(
    path: Path, before: Sequence[str], fillings: Mapping[str, Filling], after: Sequence[str] = ()
) -> None:
    """Write a database. A row that breaks a constraint (UNIQUE, CHECK, NOT NULL) is left out.

    Args:
        path: a file that does not exist yet.
        before: statements that create tables and unique indexes.
        fillings: rows by table.
        after: statements to run once the rows are there: other indexes, views, triggers.

    Raises:
        InputError: a statement fails, for instance because it uses a function that SQLite lacks.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, CELL)
        connection.set_progress_handler(lambda: 1, STEPS)
        try:
            connection.execute(f"PRAGMA page_size = {PAGE}")
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
            for statement in before:
                connection.execute(statement)
            for table, filling in fillings.items():
                _insert(connection, table, filling)
            for statement in after:
                connection.execute(statement)
            connection.execute("COMMIT")
        except (sqlite3.Error, OverflowError) as error:
            raise InputError(f"cannot create {path.name}: {error}") from error


def _insert(connection: sqlite3.Connection, table: str, filling: Filling) -> None:
    names = ", ".join(map(quote_identifier, filling.columns))
    places = ", ".join("?" * len(filling.columns))
    connection.executemany(
        f"INSERT OR IGNORE INTO {quote_identifier(table)} ({names}) VALUES ({places})",
        filling.rows,
    )
