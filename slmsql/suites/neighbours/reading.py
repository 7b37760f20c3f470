"""Reads a database as its neighbours see it: schema, some rows, and the rules that they follow.

read_profile(Path("world.sqlite")).tables        # parents stand before their children

Rules count only if the original would hardly show them by chance: names never repeat and belong to
the same thing (Aruba and ABW), columns determine each other (country and continent), add up (a
total) or follow each other (start and end). links.py and keys.py find the rules between tables.
"""

import random
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path

from slmsql.errors import InputError
from slmsql.execution import reading
from slmsql.suites.neighbours.combinations import read_rules, shared_rules
from slmsql.suites.neighbours.declared import Declaration, read_declaration
from slmsql.suites.neighbours.habits import (
    Value,
    are_counts,
    are_row_numbers,
    determines,
    is_cased,
    is_closed,
    is_nested,
    is_rising,
    never_exceeds,
    never_repeats,
    totals,
)
from slmsql.suites.neighbours.keys import with_keys
from slmsql.suites.neighbours.links import with_inclusions, with_links
from slmsql.suites.neighbours.naming import numbers_things, with_named_keys
from slmsql.suites.neighbours.profile import Place, Profile, Table, parents_first
from slmsql.suites.neighbours.sampling import sample_rows

Columns = Sequence[Sequence[Value]]
Created = tuple[str, str, str]  # type, name and statement

POOL = 300  # rows of a table that neighbours draw from


def read_profile(database: Path, seed: int = 0) -> Profile:
    """Read schema, sample rows and rules of a database. It is opened immutable.

    Raises:
        FileNotFoundError, InputError: the file cannot be used, or has virtual tables or no table.
    """
    with reading(database) as connection:
        statements = _statements(connection, database)
        declared = [
            read_declaration(connection, name, sql)
            for kind, name, sql in statements
            if kind == "table"
        ]
        tables = _tables(connection, declared, seed)
    return Profile(
        database,
        tuple(parents_first(tables)),
        tuple(created[2] for created in statements if _is_needed_by_rows(created)),
        tuple(created[2] for created in statements if not _is_needed_by_rows(created)),
        declares_key=any(table.keys for table in declared),
    )


def _statements(connection: sqlite3.Connection, database: Path) -> list[Created]:
    """What creates tables, indexes, views and triggers, oldest first."""
    statements: list[Created] = connection.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"
        " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid"
    ).fetchall()
    tables = [(name, sql) for kind, name, sql in statements if kind == "table"]
    if not tables:
        raise InputError(f"{database} has no table")
    for name, sql in tables:
        if sql.upper().startswith("CREATE VIRTUAL"):
            raise InputError(f"{database} has a virtual table ({name})")
    return statements


def _is_needed_by_rows(created: Created) -> bool:
    """Whether it creates a table or a unique index, which must be there before the rows."""
    kind, _, sql = created
    return kind == "table" or (kind == "index" and sql.upper().split()[1] == "UNIQUE")


def _tables(
    connection: sqlite3.Connection, declared: Sequence[Declaration], seed: int
) -> list[Table]:
    named = with_named_keys(connection, declared)
    alone = [_table(connection, each, random.Random(f"{seed} {each.table}")) for each in named]
    tables = [
        with_links(connection, table, each.foreign_keys, alone)
        for table, each in zip(alone, named, strict=True)
    ]
    for index, table in enumerate(tables):
        tables[index] = with_keys(connection, with_inclusions(connection, table, tables))
    shared = shared_rules([(table.columns, table.rows, table.combinations) for table in tables])
    return [
        replace(
            table,
            counters=tuple(_counters(table, tables)),
            combinations=rules.without_targets(table.linked),
        )
        for table, rules in zip(tables, shared, strict=True)
    ]


def _table(connection: sqlite3.Connection, declared: Declaration, rng: random.Random) -> Table:
    """A table with the rules that its rows show by themselves; it has no links yet."""
    rows = tuple(sample_rows(connection, declared.table, declared.columns, rng))
    columns = [[row[index] for row in rows] for index in range(len(declared.columns))]
    unlinked = [index for index in range(len(columns)) if index not in declared.referring]
    names = [index for index in unlinked if never_repeats(columns[index])]
    keys = _keys(declared, columns, names)
    free = [index for index in unlinked if index not in names and (index,) not in keys]
    return Table(
        name=declared.table,
        statement=declared.statement,
        columns=declared.columns,
        types=declared.types,
        keys=keys,
        links=(),
        nullable=frozenset(index for index, values in enumerate(columns) if None in values),
        names=frozenset(names),
        groups=_groups(columns, free, names),
        determined=(),
        nested=frozenset(index for index, values in enumerate(columns) if is_nested(values)),
        cased=frozenset(index for index, values in enumerate(columns) if is_cased(values)),
        closed=frozenset(index for index, values in enumerate(columns) if is_closed(values)),
        rows=rows if len(rows) <= POOL else tuple(rng.sample(rows, POOL)),
        combinations=read_rules(rows),
        totals=tuple(totals(rows, free)),
        ordered=tuple(_ordered(columns, free)),
        rising=tuple(_rising(columns, keys)),
    )


def _keys(
    declared: Declaration, columns: Columns, names: Sequence[int]
) -> tuple[tuple[int, ...], ...]:
    """Declared keys, names and ranks; the first row numbers, if no column alone is declared."""
    numbered = [
        index
        for index, values in enumerate(columns)
        if index not in declared.referring and are_row_numbers(values)
    ]
    ranks = [index for index in numbered if not numbers_things(declared.columns[index])]
    if not any(len(key) == 1 for key in declared.keys):
        ranks = list(dict.fromkeys([*numbered[:1], *ranks]))
    return tuple(dict.fromkeys([*declared.keys, *((index,) for index in [*names, *ranks])]))


def _groups(
    columns: Columns, free: Sequence[int], names: Sequence[int]
) -> tuple[tuple[int, ...], ...]:
    """All columns: names together, and those of the free ones of which one determines another."""
    groups = {index: {index} for index in range(len(columns))}
    groups |= {index: set(names) for index in names}
    for first, second in permutations(free, 2):
        if second not in groups[first] and determines(columns[first], columns[second]):
            merged = groups[first] | groups[second]
            groups |= dict.fromkeys(merged, merged)
    return tuple(sorted({tuple(sorted(group)) for group in groups.values()}))


def _ordered(columns: Columns, free: Sequence[int]) -> Iterator[tuple[int, int]]:
    for low, high in permutations(free, 2):
        if never_exceeds(columns[low], columns[high]):
            yield low, high


def _rising(columns: Columns, keys: Sequence[tuple[int, ...]]) -> Iterator[tuple[int, int]]:
    for (key,) in (key for key in keys if len(key) == 1):
        for index, values in enumerate(columns):
            if index != key and is_rising(columns[key], values):
                yield key, index


def _counters(table: Table, tables: Sequence[Table]) -> Iterator[tuple[int, int, Place]]:
    """Columns that count the rows of another table which name the row by its key.

    Tables of which only a sample is known show nothing.
    """
    if len(table.rows) >= POOL:
        return
    others = [other for other in tables if other.name != table.name and len(other.rows) < POOL]
    columns = {
        (other.name, place): other.column(place)
        for other in others
        for place in range(len(other.columns))
    }
    for (key,) in (key for key in table.keys if len(key) == 1):
        for index in (index for index in range(len(table.columns)) if index != key):
            numbers = [(row[key], row[index]) for row in table.rows]
            counted = (place for place, values in columns.items() if are_counts(numbers, values))
            if place := next(counted, None):
                yield index, key, place
