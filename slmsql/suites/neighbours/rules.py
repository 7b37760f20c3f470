"""Rules between rows that no schema declares, checked on all rows of the original.

A state that borders Texas has Texas among its neighbours; each professor is another employee; a
song and its file name the same artist. A neighbour that breaks such a rule could not occur.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import combinations

from slmsql.sql.quoting import quote_identifier
from slmsql.suites.neighbours.habits import FEWEST, Value, would_agree

Values = Sequence[Value]


def repeats(connection: sqlite3.Connection, table: str, columns: Sequence[str]) -> bool:
    """Whether two rows have the same values in these columns."""
    names = ", ".join(map(quote_identifier, columns))
    found = connection.execute(
        f"SELECT 1 FROM {quote_identifier(table)} GROUP BY {names} HAVING count(*) > 1 LIMIT 1"
    )
    return found.fetchone() is not None


def mirrored(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], rows: Sequence[Values]
) -> Iterator[tuple[int, int]]:
    """The pairs of columns in which each row (a, b) has a row (b, a), as states that border."""
    held = [{row[index] for row in rows} - {None} for index in range(len(columns))]
    for first, second in combinations(range(len(columns)), 2):
        if len(held[first] & held[second]) < FEWEST:
            continue
        here, there = quote_identifier(columns[first]), quote_identifier(columns[second])
        source = quote_identifier(table)
        alone = connection.execute(
            f"SELECT {here}, {there} FROM {source} EXCEPT SELECT {there}, {here} FROM {source}"
        ).fetchone()
        if alone is None and any(row[first] != row[second] for row in rows):
            yield first, second


def copied(
    connection: sqlite3.Connection,
    child: str,
    parent: str,
    key: tuple[str, str],
    column: str,
    values: Values,
) -> bool:
    """Whether a column always has the value of the column of this name in the row referred to.

    Args:
        child: the table that refers to the other.
        parent: the table that is referred to.
        key: the column of the child that refers, and the column of the parent that it refers to.
        column: of this name in both tables.
        values: of this column in the parent.
    """
    here, there, name = (quote_identifier(text) for text in (*key, column))
    count, differing = connection.execute(
        f"SELECT count(*), total(c.{name} IS NOT p.{name}) FROM {quote_identifier(child)} c"
        f" JOIN {quote_identifier(parent)} p ON c.{here} = p.{there}"
    ).fetchone()
    return not differing and count >= FEWEST and not would_agree(values, count)
