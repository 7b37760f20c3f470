"""Rules between rows that no schema declares, checked on all rows of the original.

A state that borders Texas has Texas among its neighbours; each professor is another employee; a
song and its file name the same artist. A neighbour that breaks such a rule could not occur.
"""

import sqlite3
from collections.abc import Sequence

from slmsql.sql.quoting import quote_identifier
from slmsql.suites.neighbours.habits import CHANCE, FEWEST, LIKELY, Value, would_agree

Values = Sequence[Value]
Column = tuple[str, str]  # names of the table and of the column


def count(connection: sqlite3.Connection, table: str, column: str | None = None) -> int:
    """How many rows a table has; with a column, how many of its values are not NULL."""
    counted = "*" if column is None else quote_identifier(column)
    query = f"SELECT count({counted}) FROM {quote_identifier(table)}"
    number: int = connection.execute(query).fetchone()[0]
    return number


def repeats(connection: sqlite3.Connection, table: str, columns: Sequence[str]) -> bool:
    """Whether two rows have the same values in these columns."""
    names = ", ".join(map(quote_identifier, columns))
    found = connection.execute(
        f"SELECT 1 FROM {quote_identifier(table)} GROUP BY {names} HAVING count(*) > 1 LIMIT 1"
    )
    return found.fetchone() is not None


def referred(
    connection: sqlite3.Connection, child: Column, parent: Column, column: str
) -> tuple[int, set[Value]]:
    """How many parents have children, and which values of a column they have."""
    table, here = map(quote_identifier, child)
    other, there, name = (quote_identifier(text) for text in (*parent, column))
    values = connection.execute(
        f"SELECT {name} FROM {other} WHERE {there} IN (SELECT {here} FROM {table})"
    ).fetchall()
    return len(values), {value for (value,) in values}


def first_line(connection: sqlite3.Connection, table: str, column: str, number: str) -> int | None:
    """The number at which the lines of each group start, if all are without gaps; else None.

    Args:
        table: such as the items of orders.
        column: whose equal values make a group, such as the order.
        number: of the line within it.
    """
    group, line = quote_identifier(column), quote_identifier(number)
    groups, lowest, highest, gaps, lines = connection.execute(
        f"SELECT count(*), min(low), max(low), total(high - low + 1 != lines), max(lines) FROM ("
        f"SELECT min({line}) AS low, max({line}) AS high, count(*) AS lines"
        f" FROM {quote_identifier(table)} GROUP BY {group})"
    ).fetchone()
    is_rule = groups >= FEWEST and lines > 1 and lowest == highest and not gaps
    return lowest if is_rule and isinstance(lowest, int) else None


def numbers_rows(connection: sqlite3.Connection, table: str, column: str) -> bool:
    """Whether the column tells the rows apart: there are two or more, all different, none NULL."""
    name, source = quote_identifier(column), quote_identifier(table)
    rows, values = connection.execute(
        f"SELECT count(*), count(DISTINCT {name}) FROM {source}"
    ).fetchone()
    return bool(rows == values > 1)


def all_occur(connection: sqlite3.Connection, column: Column, other: Column) -> bool:
    """Whether all values of a column occur in another; False if all of them are NULL."""
    source, here = map(quote_identifier, column)
    target, there = map(quote_identifier, other)
    some, missing = connection.execute(
        f"SELECT EXISTS (SELECT 1 FROM {source} WHERE {here} IS NOT NULL), EXISTS ("
        f"SELECT 1 FROM {source} WHERE {here} NOT IN"
        f" (SELECT {there} FROM {target} WHERE {there} IS NOT NULL))"
    ).fetchone()
    return bool(some) and not missing


def is_mirrored(
    connection: sqlite3.Connection, table: str, columns: tuple[str, str], rows: Sequence[Values]
) -> bool:
    """Whether each row (a, b) of two columns has a row (b, a), as states that border each other.

    Args:
        connection: to the original.
        table: its name.
        columns: the two columns.
        rows: some rows, with the values of these columns alone.
    """
    first, second = ({row[index] for row in rows} for index in range(2))
    if len(first & second) < FEWEST or all(here == there for here, there in rows):
        return False
    here, there = map(quote_identifier, columns)
    source = quote_identifier(table)
    alone = connection.execute(
        f"SELECT {here}, {there} FROM {source} EXCEPT SELECT {there}, {here} FROM {source}"
    )
    return alone.fetchone() is None


def never_before(
    connection: sqlite3.Connection,
    child: str,
    parent: str,
    key: tuple[str, str],
    columns: tuple[str, str],
) -> bool:
    """Whether a date is never before one of the row referred to, as a loan and the joining.

    It counts only if the two ranges overlap, and if there are a few such pairs.

    Args:
        child: the table that refers to the other.
        parent: the table that is referred to.
        key: the column of the child that refers, and the column of the parent that it refers to.
        columns: the dates of the child, and those of the parent.
    """
    first, second = map(quote_identifier, columns)
    pairs, before, lowest, highest = connection.execute(
        f"SELECT count(*), total(c.{first} < p.{second}), min(c.{first}), max(p.{second})"
        f"{_linked(child, parent, key)} WHERE c.{first} IS NOT NULL AND p.{second} IS NOT NULL"
    ).fetchone()
    return pairs >= FEWEST and not before and lowest < highest


def _linked(child: str, parent: str, key: tuple[str, str]) -> str:
    """A FROM clause: each row of the child as `c`, with the row `p` that it refers to."""
    first, second, here, there = map(quote_identifier, (child, parent, *key))
    return f" FROM {first} c JOIN {second} p ON c.{here} = p.{there}"


def refers_to_itself(connection: sqlite3.Connection, table: str, column: str, key: str) -> bool:
    """Whether a row refers to itself, as an employee who is his own manager."""
    here, there = quote_identifier(column), quote_identifier(key)
    query = f"SELECT 1 FROM {quote_identifier(table)} WHERE {here} = {there} LIMIT 1"
    return connection.execute(query).fetchone() is not None


def copied(
    connection: sqlite3.Connection,
    child: str,
    parent: str,
    key: tuple[str, str],
    columns: tuple[str, str],
    values: Values,
) -> bool:
    """Whether a column always has the value of a column in the row referred to.

    If their names differ, it must be hardly chance.

    Args:
        child: the table that refers to the other.
        parent: the table that is referred to.
        key: the column of the child that refers, and the column of the parent that it refers to.
        columns: of the child and of the parent.
        values: of the parent's column.
    """
    first, second = map(quote_identifier, columns)
    pairs, differing = connection.execute(
        f"SELECT count(*), total(c.{first} IS NOT p.{second}){_linked(child, parent, key)}"
    ).fetchone()
    chance = LIKELY if columns[0].lower() == columns[1].lower() else CHANCE
    return not differing and pairs >= FEWEST and not would_agree(values, pairs, chance)
