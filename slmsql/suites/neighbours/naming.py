"""Keys and references that no schema declares, where names and values agree on them.

`author(aid, name)` and `writes(aid, pid)` declare nothing, but `aid` never repeats in `author`, and
each `aid` of `writes` occurs there. Few rows could do so by chance; columns of that name do not.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from slmsql.sql.quoting import quote_identifier

ENDINGS = ("id", "code", "number", "key")
SHORTEST = 3  # letters of a stem that may stand anywhere in the name of a table
SHORTEST_KEY = 5  # letters of a key that other columns end with, as `citingpaperid` with `paperid`

Columns = Mapping[str, Sequence[str]]  # by table


@dataclass(frozen=True, slots=True)
class Naming:
    """What the names of a database's columns say."""

    keys: Mapping[str, str] = field(default_factory=dict)
    """The column that is the key, of tables that declare none."""
    references: Mapping[str, Sequence[tuple[str, str, str]]] = field(default_factory=dict)
    """By table: a column, and the table and column in which all its values occur."""


def read_naming(
    connection: sqlite3.Connection,
    columns: Columns,
    declared: Mapping[str, Sequence[str]],
    referring: Columns,
) -> Naming:
    """Find undeclared keys and references.

    Args:
        connection: to the original.
        columns: of each table.
        declared: the columns that are keys by themselves, of the tables that declare a key.
        referring: the columns of each table that refer to others by declaration.
    """
    keys = {}
    for table, names in columns.items():
        fitting = [
            name
            for name in sorted(names, key=_rank)
            if table not in declared and name not in referring[table]
            if _fits(name, table) and _is_home(name, table, columns)
            if _is_unique(connection, table, name)
        ]
        if fitting:
            keys[table] = fitting[0]
    single = {(table, name) for table, names in declared.items() for name in names}
    homes = sorted({*single, *keys.items()}, key=lambda home: (len(home[0]), home))
    references = {
        table: tuple(_references(connection, table, names, homes, referring[table]))
        for table, names in columns.items()
    }
    return Naming(keys, references)


def _stem(name: str) -> str | None:
    """What a column numbers: `author` of `author_id`, nothing of `id`; None of other columns."""
    ending = next((e for e in ENDINGS if name.lower().endswith(e)), None)
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


def _is_home(name: str, table: str, columns: Columns) -> bool:
    """Whether no table with a shorter name has the column, as `author` beside `author_paper`."""
    others = [
        other
        for other, names in columns.items()
        if name.lower() in map(str.lower, names) and _fits(name, other)
    ]
    return not _stem(name) or table == min(others, key=lambda other: (len(other), other))


def _is_unique(connection: sqlite3.Connection, table: str, name: str) -> bool:
    column, source = quote_identifier(name), quote_identifier(table)
    rows, values = connection.execute(
        f"SELECT count(*), count(DISTINCT {column}) FROM {source}"
    ).fetchone()
    return bool(rows == values > 1)


def _references(
    connection: sqlite3.Connection,
    table: str,
    names: Sequence[str],
    homes: Sequence[tuple[str, str]],
    referring: Sequence[str],
) -> Iterator[tuple[str, str, str]]:
    for name in names:
        if name in referring or (table, name) in homes:
            continue
        named = [(p, key) for p, key in homes if p != table and _names(name, p, key)]
        for parent, key in named:
            if _all_occur(connection, table, name, parent, key):
                yield name, parent, key
                break


def _names(name: str, parent: str, key: str) -> bool:
    """Whether a column is called after the key of another table."""
    name, parent, key = name.lower(), parent.lower(), key.lower()
    if not _stem(key):
        return name in {f"{p}{joint}{key}" for p in (parent, parent.rstrip("s")) for joint in "_ "}
    return name == key or (len(key) >= SHORTEST_KEY and name.endswith(key))


def _all_occur(
    connection: sqlite3.Connection, table: str, name: str, parent: str, key: str
) -> bool:
    here, there = quote_identifier(name), quote_identifier(key)
    source, target = quote_identifier(table), quote_identifier(parent)
    some, missing = connection.execute(
        f"SELECT EXISTS (SELECT 1 FROM {source} WHERE {here} IS NOT NULL), EXISTS (SELECT 1"
        f" FROM {source} WHERE {here} NOT IN (SELECT {there} FROM {target}"
        f" WHERE {there} IS NOT NULL))"
    ).fetchone()
    return bool(some) and not missing
