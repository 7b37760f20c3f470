"""Keys and references that no schema declares, where names and values agree on them.

`author(aid, name)` and `writes(aid, pid)` declare nothing, but `aid` never repeats in `author`, and
each `aid` of `writes` occurs there. Columns with other names may do so by chance; these hardly do.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace

from slmsql.suites.neighbours.declared import Declaration, ForeignKey
from slmsql.suites.neighbours.rules import Column, all_occur, numbers_rows

ENDINGS = ("id", "code", "number", "key")
SHORTEST = 3  # letters of a stem that may stand anywhere in the name of a table
SHORTEST_KEY = 5  # letters of a key that other columns end with, as `citingpaperid` with `paperid`


def with_named_keys(
    connection: sqlite3.Connection, tables: Sequence[Declaration]
) -> list[Declaration]:
    """The tables with keys and references that are not declared.

    A table gets a key only if it declares none, and a column a reference only if it declares none.
    """
    keyed = [replace(table, keys=_keys(connection, table, tables)) for table in tables]
    homes = {
        (table.table, table.columns[key[0]])
        for table in keyed
        for key in table.keys
        if len(key) == 1
    }
    ordered = sorted(homes, key=lambda home: (len(home[0]), home))
    return [
        replace(table, foreign_keys=(*table.foreign_keys, *_references(connection, table, ordered)))
        for table in keyed
    ]


def _keys(
    connection: sqlite3.Connection, table: Declaration, tables: Sequence[Declaration]
) -> tuple[tuple[int, ...], ...]:
    """The declared keys; if there are none, the column that its name and values show to be one."""
    if table.keys:
        return table.keys
    free = (name for index, name in enumerate(table.columns) if index not in table.referring)
    for name in sorted(free, key=_rank):
        is_named = _fits(name, table.table) and _is_home(name, table.table, tables)
        if is_named and numbers_rows(connection, table.table, name):
            return ((table.columns.index(name),),)
    return ()


def numbers_things(name: str) -> bool:
    """Whether a column is called like a key or a reference: `id`, `author_id`, `country_code`."""
    return _stem(name) is not None


def _stem(name: str) -> str | None:
    """What a column numbers: `author` of `author_id`, nothing of `id`; None of other columns."""
    ending = next((ending for ending in ENDINGS if name.lower().endswith(ending)), None)
    return None if ending is None else name.lower().removesuffix(ending).rstrip("_ ")


def _rank(name: str) -> int:
    """`course_id` goes before `id`, and that before a `number` or `code`."""
    return 0 if _stem(name) else 1 if name.lower() == "id" else 2


def _fits(name: str, table: str) -> bool:
    """Whether a column numbers the rows of a table, as `id`, `author_id` or `aid` of `author`."""
    stem, table = _stem(name), table.lower()
    if stem is None:
        return False
    return table.startswith(stem) or (len(stem) >= SHORTEST and stem in table)


def _is_home(name: str, table: str, tables: Sequence[Declaration]) -> bool:
    """Whether no table with a shorter name has the column, as `author` beside `author_paper`."""
    others = [
        other.table
        for other in tables
        if name.lower() in map(str.lower, other.columns) and _fits(name, other.table)
    ]
    return not _stem(name) or table == min(others, key=lambda other: (len(other), other))


def _references(
    connection: sqlite3.Connection, table: Declaration, homes: Sequence[Column]
) -> Iterator[ForeignKey]:
    for index, name in enumerate(table.columns):
        if index in table.referring or (table.table, name) in homes:
            continue
        for parent, key in homes:
            is_named = parent != table.table and _names(name, parent, key)
            if is_named and all_occur(connection, (table.table, name), (parent, key)):
                yield ForeignKey((index,), parent, (key,))
                break


def _names(name: str, parent: str, key: str) -> bool:
    """Whether a column is called after another table, or after its key."""
    name, parent, key = name.lower(), parent.lower(), key.lower()
    if _stem(name) in (parent, parent.rstrip("s")):
        return True
    if not _stem(key):
        owners = parent, parent.rstrip("s")
        return name in {f"{owner}{joint}{key}" for owner in owners for joint in "_ "}
    return name == key or (len(key) >= SHORTEST_KEY and name.endswith(key))
