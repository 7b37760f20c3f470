"""Keys and mirrored columns that no schema declares: only the rows of the original show them.

No two rows of `hero_power` have the same hero and power; no two professors are one employee.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

from slmsql.suites.neighbours.habits import LIKELY, are_each_chosen_once, would_repeat
from slmsql.suites.neighbours.profile import Table
from slmsql.suites.neighbours.rules import count, first_line, is_mirrored, repeats

FEWEST_ROWS = 3  # of a table, to show that whole rows never repeat, or its links without a key


def with_keys(connection: sqlite3.Connection, table: Table) -> Table:
    """The table with the keys and mirrored columns that only the original shows.

    Its links must be known already.
    """
    shown = [
        key
        for key in dict.fromkeys([*_single_keys(connection, table), *_wide_keys(table)])
        if not any(set(known) <= set(key) for known in table.keys)
        and not repeats(connection, table.name, [table.columns[index] for index in key])
    ]
    keyed = replace(table, keys=(*table.keys, *shown), mirror=_mirror(connection, table))
    return replace(keyed, lines=tuple(_lines(connection, keyed)))


def _lines(connection: sqlite3.Connection, table: Table) -> Iterator[tuple[int, int, int]]:
    """Keys of two columns of which one numbers the rows with a value of the other."""
    for pair in (key for key in table.keys if len(key) == 2):
        for column, number in (pair, pair[::-1]):
            if number not in table.linked and all(isinstance(v, int) for v in table.column(number)):
                names = table.columns[column], table.columns[number]
                first = first_line(connection, table.name, *names)
                if first is not None:
                    yield column, number, first


def _single_keys(connection: sqlite3.Connection, table: Table) -> Iterator[tuple[int, ...]]:
    """Links whose values would not all differ by chance, as from professors to employees."""
    for link in (link for link in table.links if len(link.columns) == 1):
        parents = count(connection, link.parent)
        children = count(connection, table.name, table.columns[link.columns[0]])
        if are_each_chosen_once(parents, children):
            yield link.columns


def _wide_keys(table: Table) -> Iterator[tuple[int, ...]]:
    """All links together, as a hero and a power; in a table without a key, other columns, too.

    The links are a key if the table holds nothing else or has no other key, or if some rows would
    repeat by chance. So are pairs of columns. Whole rows, but for their numbers, always are one.
    """
    linked = tuple(sorted({link.columns[0] for link in table.links if len(link.columns) == 1}))
    numbered = _numbered(table)
    is_all = len({*linked, *numbered}) == len(table.columns)
    if len(linked) > 1 and (is_all or would_repeat(table.rows, linked, LIKELY)):
        yield linked
    others = [index for index in range(len(table.columns)) if index not in numbered]
    if len(table.rows) >= FEWEST_ROWS:
        yield from ((linked,) if linked and not table.keys else ())
        yield from ((tuple(others),) if len(others) > 1 else ())
    for pair in combinations(others, 2):
        if pair != linked and would_repeat(table.rows, pair):
            yield pair


def _numbered(table: Table) -> set[int]:
    """The columns that are keys by themselves."""
    return {key[0] for key in table.keys if len(key) == 1}


def _mirror(connection: sqlite3.Connection, table: Table) -> tuple[int, int] | None:
    """The columns that mirror each other. With more columns it could be a habit, as of flights."""
    pair = [index for index in range(len(table.columns)) if index not in _numbered(table)]
    if len(pair) != 2:
        return None
    first, second = pair
    rows = [(row[first], row[second]) for row in table.rows]
    names = table.columns[first], table.columns[second]
    return (first, second) if is_mirrored(connection, table.name, names, rows) else None
