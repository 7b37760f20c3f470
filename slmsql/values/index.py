"""An index of the text values of a database, built once and kept until the database changes.

It is a file in the cache folder, named by the content of the database: another content has another
name, so a stale index is never read. Values longer than `LONGEST` characters are texts to read, not
to compare with, and are left out.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from sqlite3 import Connection

from slmsql.execution import connect, fingerprint
from slmsql.execution.index import create_index
from slmsql.sql.quoting import quote_identifier
from slmsql.words import words

VERSION = 1  # of the layout below and of `words`; part of the file's name
LONGEST = 128
SCRIPT = (
    'CREATE TABLE place (id INTEGER PRIMARY KEY, "table" TEXT, "column" TEXT, count INTEGER)',
    "CREATE TABLE value (id INTEGER PRIMARY KEY, place INTEGER, key TEXT, value TEXT)",
    "CREATE VIRTUAL TABLE search USING fts5 (words, content = '', columnsize = 1, detail = none)",
)
AFTER = (
    "CREATE INDEX by_key ON value (key)",
    "CREATE INDEX by_place ON value (place)",
    "CREATE VIRTUAL TABLE vocabulary USING fts5vocab (search, row)",
)


def open_index(database: Path, folder: Path) -> Connection:
    """The index of a database, built if it is not there. `folder` is the cache folder."""
    path = folder / f"{fingerprint(database)[:32]}-{VERSION}.sqlite"
    if not path.is_file():
        create_index(path, lambda connection: _fill(connection, database))
    return _opened(path)


@lru_cache(maxsize=64)
def _opened(path: Path) -> Connection:
    connection = connect(path)
    connection.text_factory = str  # our own text is UTF-8, and this is three times as fast
    return connection


def documents(index: Connection, terms: Iterable[str]) -> dict[str, int]:
    """Those of the words that the database has, each with the number of values it occurs in."""
    distinct = list(dict.fromkeys(terms))
    marks = ", ".join("?" * len(distinct))
    query = f"SELECT term, doc FROM vocabulary WHERE term IN ({marks})"
    return dict(index.execute(query, distinct).fetchall())


def cache_folder() -> Path:
    """Where indexes are kept unless told otherwise: $SLMSQL_CACHE, else the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("SLMSQL_CACHE") or f"{home}/slmsql") / "values"


def _fill(index: Connection, database: Path) -> None:
    for statement in SCRIPT:
        index.execute(statement)
    with closing(connect(database)) as connection:
        for table, column in _columns(connection):
            _add(index, table, column, _values(connection, table, column))
    for statement in AFTER:
        index.execute(statement)


def _add(index: Connection, table: str, column: str, values: list[str]) -> None:
    if not values:
        return
    place = index.execute(
        "INSERT INTO place VALUES (NULL, ?, ?, ?)", (table.lower(), column.lower(), len(values))
    ).lastrowid
    first = index.execute("SELECT coalesce(max(id), 0) + 1 FROM value").fetchone()[0]
    parts = [words(value) for value in values]
    index.executemany(
        "INSERT INTO value VALUES (?, ?, ?, ?)",
        (
            (first + at, place, "".join(part), value)
            for at, (part, value) in enumerate(zip(parts, values, strict=True))
        ),
    )
    index.executemany(
        "INSERT INTO search (rowid, words) VALUES (?, ?)",
        ((first + at, " ".join(part)) for at, part in enumerate(parts)),
    )


def _columns(connection: Connection) -> Iterator[tuple[str, str]]:
    yield from connection.execute(
        "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c"
        " WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        " ORDER BY t.rowid, c.cid"
    ).fetchall()


def _values(connection: Connection, table: str, column: str) -> list[str]:
    source, field = quote_identifier(table), quote_identifier(column)
    rows = connection.execute(
        f"SELECT DISTINCT {field} FROM {source}"
        f" WHERE typeof({field}) = 'text' AND length({field}) BETWEEN 1 AND ?",
        (LONGEST,),
    )
    return [value for (value,) in rows]
