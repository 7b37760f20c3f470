"""Some rows of a table, few enough to look for rules in them."""

import random
import sqlite3
from collections.abc import Iterable, Sequence

from slmsql.sql.quoting import quote_identifier
from slmsql.suites.neighbours.habits import Value
from slmsql.suites.neighbours.profile import Row

SAMPLE = 2000  # rows of a table that are looked at
LONGEST = 1000  # characters of a text, bytes of a blob
FRACTION = 64  # reals are rounded to 1/64, so that sums do not depend on the order of rows
LARGEST = 2**40  # reals beyond stay as they are


def sample_rows(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], rng: random.Random
) -> list[Row]:
    """At most `SAMPLE` rows, spread over the table: rows stored together are often alike."""
    fields, source = ", ".join(map(quote_identifier, columns)), quote_identifier(table)
    first = connection.execute(f"SELECT {fields} FROM {source} LIMIT {SAMPLE + 1}").fetchall()
    if len(first) > SAMPLE:
        taken = {column.lower() for column in columns}
        rowid = next((name for name in ("rowid", "_rowid_", "oid") if name not in taken), "")
        first = _spread(connection, fields, source, rowid, rng) or first[:SAMPLE]
    return [_shortened(row) for row in first]


def _spread(
    connection: sqlite3.Connection, fields: str, source: str, rowid: str, rng: random.Random
) -> list[Row]:
    """Rows at random numbers; none if the table has no row numbers."""
    try:
        bounds = f"SELECT min({rowid}), max({rowid}) FROM {source}"
        low, high = connection.execute(bounds).fetchone()
    except sqlite3.OperationalError:
        return []
    numbers = sorted(rng.randint(low, high) for _ in range(SAMPLE))
    query = f"SELECT {fields} FROM {source} WHERE {rowid} >= ? ORDER BY {rowid} LIMIT 1"
    return list(dict.fromkeys(connection.execute(query, (at,)).fetchone() for at in numbers))


def _shortened(row: Iterable[Value]) -> Row:
    """The row with long texts and blobs cut off, so that neighbours stay small; reals rounded."""
    return tuple(map(_short, row))


def _short(value: Value) -> Value:
    if isinstance(value, str | bytes):
        return value[:LONGEST]
    if isinstance(value, float) and abs(value) < LARGEST:
        return round(value * FRACTION) / FRACTION
    return value
