"""An index of a database's text values, built once and used until the database changes.

The index is a SQLite file in the cache folder. Its name is a hash of the database's content, so a
changed database gets a new index and a stale one is never read. A server's database gets a new
index each day, from the first rows of its tables. Values of more than `LONGEST_VALUE`
characters are prose, not names or codes, and are left out.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import date
from functools import lru_cache
from pathlib import Path
from sqlite3 import Connection

from slmsql import files
from slmsql.execution import connect, fingerprint, reading
from slmsql.execution.engines.address import dialect_of, is_url
from slmsql.execution.index import create_index
from slmsql.questions.words import words
from slmsql.schema.engine_tables import text_columns
from slmsql.sql.dialect import Dialect
from slmsql.sql.quoting import quote_identifier

VERSION = 1  # of the tables below and of `words`; part of the file's name
LONGEST_VALUE = 128
# A value's `key` is its words joined without spaces; `search` has its words for BM25.
TABLES = (
    'CREATE TABLE place (id INTEGER PRIMARY KEY, "table" TEXT, "column" TEXT, count INTEGER)',
    "CREATE TABLE value (id INTEGER PRIMARY KEY, place INTEGER, key TEXT, value TEXT)",
    "CREATE VIRTUAL TABLE search USING fts5 (words, content = '', columnsize = 1, detail = none)",
)
INDEXES = (  # created after the values are in, which is faster
    "CREATE INDEX by_key ON value (key)",
    "CREATE INDEX by_place ON value (place)",
    "CREATE VIRTUAL TABLE vocabulary USING fts5vocab (search, row)",
)


def open_index(database: Path, folder: Path) -> Connection:
    """Open the index of a database; build it first if the cache folder `folder` has none."""
    today = f"-{date.today()}" if is_url(database) else ""  # its rows may change at any time
    path = folder / f"{fingerprint(database)[:32]}{today}-{VERSION}.sqlite"
    if not path.is_file():
        create_index(path, lambda connection: _fill(connection, database))
    return _connect(path)


@lru_cache(maxsize=64)
def _connect(path: Path) -> Connection:
    connection = connect(path)
    connection.text_factory = str  # three times as fast; all text in an index is UTF-8
    return connection


def value_counts(index: Connection, terms: Iterable[str]) -> dict[str, int]:
    """The terms that occur in the database, each with the number of values it occurs in."""
    query = "SELECT term, doc FROM vocabulary WHERE term IN (SELECT value FROM json_each(?))"
    return dict(index.execute(query, (as_json(terms),)).fetchall())


def as_json(texts: Iterable[str]) -> str:
    """Distinct texts as a parameter of `json_each`; the number of parameters is limited."""
    return json.dumps(list(dict.fromkeys(texts)), ensure_ascii=False)


def cache_folder() -> Path:
    """The default folder of indexes."""
    return files.cache_folder("values")


def _fill(index: Connection, database: Path) -> None:
    for statement in TABLES:
        index.execute(statement)
    for table, column, values in _text_columns(database):
        _add(index, table, column, values)
    for statement in INDEXES:
        index.execute(statement)


def _text_columns(database: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Each column that may hold texts, with its distinct values."""
    if dialect_of(database) is not Dialect.SQLITE:
        yield from text_columns(database, longest=LONGEST_VALUE)
        return
    with reading(database) as connection:
        for table, column in _columns(connection):
            yield table, column, _text_values(connection, table, column)


def _add(index: Connection, table: str, column: str, values: list[str]) -> None:
    if not values:
        return
    place = index.execute(
        "INSERT INTO place VALUES (NULL, ?, ?, ?)", (table.lower(), column.lower(), len(values))
    ).lastrowid
    first_id = index.execute("SELECT coalesce(max(id), 0) + 1 FROM value").fetchone()[0]
    rows = [(first_id + at, words(value), value) for at, value in enumerate(values)]
    index.executemany(
        "INSERT INTO value VALUES (?, ?, ?, ?)",
        ((value_id, place, "".join(parts), value) for value_id, parts, value in rows),
    )
    index.executemany(
        "INSERT INTO search (rowid, words) VALUES (?, ?)",
        ((value_id, " ".join(parts)) for value_id, parts, _ in rows),
    )


def _columns(connection: Connection) -> Iterator[tuple[str, str]]:
    yield from connection.execute(
        "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c"
        " WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        " ORDER BY t.rowid, c.cid"
    ).fetchall()


def _text_values(connection: Connection, table: str, column: str) -> list[str]:
    source, field = quote_identifier(table), quote_identifier(column)
    rows = connection.execute(
        f"SELECT DISTINCT {field} FROM {source}"
        f" WHERE typeof({field}) = 'text' AND length({field}) BETWEEN 1 AND ?",
        (LONGEST_VALUE,),
    )
    return [value for (value,) in rows]
