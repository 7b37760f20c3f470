"""What a database declares: the columns, keys and foreign keys of its tables.

read_declaration(connection, "singer", sql).keys     # [(0,)]: the first column is a key
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

Info = Sequence[tuple[str, str, int]]  # of each column: name, type, place in the primary key


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """Columns of a table, by position, that refer to columns of another, by name."""

    columns: tuple[int, ...]
    parent: str
    references: tuple[str | None, ...]
    """None stands for the primary key of the parent."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """A table with its keys and foreign keys."""

    table: str
    statement: str
    """Its CREATE statement."""
    columns: tuple[str, ...]
    """Those that can be written: generated columns are not among them."""
    types: tuple[str, ...]
    keys: tuple[tuple[int, ...], ...]
    """Positions of columns that together never repeat; the primary key comes first."""
    foreign_keys: tuple[ForeignKey, ...]

    @property
    def referring(self) -> set[int]:
        """The columns that refer to others."""
        return {index for key in self.foreign_keys for index in key.columns}


def read_declaration(connection: sqlite3.Connection, table: str, statement: str) -> Declaration:
    """Read what the CREATE statement of a table and its unique indexes declare."""
    info = connection.execute(
        "SELECT name, type, pk FROM pragma_table_xinfo(?) WHERE hidden = 0", (table,)
    ).fetchall()
    columns = tuple(name for name, _, _ in info)
    types = tuple(kind for _, kind, _ in info)
    keys = (*_primary_key(info), *_unique_keys(connection, table, columns))
    return Declaration(
        table, statement, columns, types, keys, _foreign_keys(connection, table, columns)
    )


def _primary_key(info: Info) -> list[tuple[int, ...]]:
    """A list with the primary key; empty if there is none."""
    parts = sorted((place, index) for index, (_, _, place) in enumerate(info) if place)
    return [tuple(index for _, index in parts)] if parts else []


def _unique_keys(
    connection: sqlite3.Connection, table: str, columns: Sequence[str]
) -> list[tuple[int, ...]]:
    keys = []
    indexes = connection.execute(
        'SELECT name FROM pragma_index_list(?) WHERE "unique" AND NOT partial', (table,)
    ).fetchall()
    for index in indexes:
        parts = connection.execute("SELECT name FROM pragma_index_info(?)", index).fetchall()
        if all(part in columns for (part,) in parts):  # not an expression
            keys.append(tuple(columns.index(part) for (part,) in parts))
    return keys


def _foreign_keys(
    connection: sqlite3.Connection, table: str, columns: Sequence[str]
) -> tuple[ForeignKey, ...]:
    rows = connection.execute(
        'SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(?) ORDER BY id DESC, seq',
        (table,),
    ).fetchall()
    positions = {name.lower(): index for index, name in enumerate(columns)}
    keys = []
    for number in dict.fromkeys(row[0] for row in rows):
        parents, here, there = zip(*(row[1:] for row in rows if row[0] == number), strict=True)
        if all(name.lower() in positions for name in here):
            places = tuple(positions[name.lower()] for name in here)
            keys.append(ForeignKey(places, parents[0], there))
    return tuple(keys)
