"""Values that follow from others: sums, dates in order, lines without gaps, counts of rows.

put_in_order(row, 1, 2)         # no stay ends before it starts
with_lines(table, rows)         # the items of each order are numbered 1, 2, 3
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import cast

from slmsql.suites.neighbours.habits import Value
from slmsql.suites.neighbours.profile import Link, Row, Table


def with_values_of(
    other: Sequence[Value], row: Sequence[Value], columns: Sequence[int]
) -> list[Value]:
    """The row with the values of another one in some columns."""
    return [other[index] if index in columns else value for index, value in enumerate(row)]


def latest(date: Value, other: Value) -> Value:
    """The later of two dates; the first, if one is no date."""
    is_before = isinstance(date, str) and isinstance(other, str) and date < other
    return other if is_before else date


def put_in_order(row: list[Value], low: int, high: int) -> None:
    """Exchange two numbers or dates if the first is above the second."""
    here, there = row[low], row[high]
    is_comparable = isinstance(here, str) == isinstance(there, str) and None not in (here, there)
    if is_comparable and cast(float, here) > cast(float, there):
        row[low], row[high] = there, here


def in_order(table: Table, rows: list[Row]) -> list[Row]:
    """The rows with dates that rise with their numbers, where they do so in the original."""
    changed = [list(row) for row in rows]
    for key, column in table.rising:
        changed.sort(key=lambda row: cast(int, row[key]))
        dates = sorted(cast(str, row[column]) for row in changed)
        for row, date in zip(changed, dates, strict=True):
            row[column] = date
    return [tuple(row) for row in changed]


def with_lines(table: Table, rows: list[Row]) -> list[Row]:
    """The rows with numbers of lines that have no gaps, where the original has none."""
    changed = [list(row) for row in rows]
    for column, line, first in table.lines:
        changed.sort(key=lambda row: cast(int, row[line]))
        following: Counter[Value] = Counter()
        for row in changed:
            row[line] = first + following[row[column]]
            following[row[column]] += 1
    return [tuple(row) for row in changed]


def with_counts(table: Table, rows: Mapping[str, list[Row]]) -> list[Row]:
    """The rows of a table with numbers that count rows elsewhere, where they do so."""
    changed = [list(row) for row in rows[table.name]]
    for column, key, (child, place) in table.counters:
        counts = Counter(row[place] for row in rows[child])
        for row in changed:
            row[column] = counts[row[key]]
    return [tuple(row) for row in changed]


def refer(row: list[Value], link: Link, parent: Row) -> None:
    """Let a row refer to a parent."""
    for index, reference in zip(link.columns, link.references, strict=True):
        row[index] = parent[reference]


def add_up(row: list[Value], total: int, parts: range) -> None:
    """Change the first part so that the total, which may be at a constant, stays."""
    first, *others = parts
    numbers = [row[index] for index in (total, *others)]
    if all(isinstance(number, int | float) for number in numbers):
        whole, *rest = (cast(float, number) for number in numbers)
        row[first] = whole - sum(rest)


def swapped(row: Sequence[Value], here: int, there: int) -> list[Value]:
    """The row with the values of two columns exchanged."""
    changed = list(row)
    changed[here], changed[there] = row[there], row[here]
    return changed
