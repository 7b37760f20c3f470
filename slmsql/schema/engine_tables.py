"""Reads the tables of databases that are not SQLite, from the engines' catalogs."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from slmsql.execution.engines.address import dialect_of
from slmsql.execution.engines.catalogs import CATALOGS
from slmsql.execution.locating import reading_engine
from slmsql.execution.types import Query
from slmsql.schema.model import Column, ForeignKey, Table, Value
from slmsql.sql.dialect import Dialect
from slmsql.sql.quoting import quote_identifier

FIRST_ROWS = 100  # of a table, where sample values come from
SEARCHED_ROWS = 200_000  # of a table, where the texts of the value search come from
MORE_ROWS = 1000  # rows with a value, where a column's come from if its first rows have too few


TEXT_TYPE = re.compile("char|text|enum|string", re.IGNORECASE)  # in the name of a column's type


def read_tables(database: Path, sample_values: int) -> list[Table]:
    """The tables of a database that is not SQLite, with `sample_values` values of each column.

    Raises:
        FileNotFoundError, InputError: the database cannot be read.
    """
    dialect = dialect_of(database)
    catalog = CATALOGS[dialect]
    with reading_engine(database) as query:
        primary_keys = _grouped(query(catalog.primary_keys))
        foreign_keys = _grouped(query(catalog.foreign_keys))
        return [
            Table(
                name,
                tuple(_columns(query, dialect, name, rows, sample_values)),
                tuple(column for (column,) in primary_keys.get(name, [])),
                tuple(_foreign_keys(foreign_keys.get(name, []))),
            )
            for name, rows in _grouped(query(catalog.columns)).items()
        ]


def text_columns(database: Path, *, longest: int) -> Iterator[tuple[str, str, list[str]]]:
    """Yield table, column and distinct texts of each text column, from its first rows.

    Args:
        longest: characters of a text; longer ones are left out.

    Raises:
        FileNotFoundError, InputError: the database cannot be read.
    """
    dialect = dialect_of(database)
    with reading_engine(database) as query:
        for table, column, kind, _ in query(CATALOGS[dialect].columns):
            if TEXT_TYPE.search(str(kind)):
                source, field = (quote_identifier(str(n), dialect) for n in (table, column))
                rows = query(
                    f"SELECT DISTINCT {field} FROM (SELECT {field} FROM {source}"
                    f" LIMIT {SEARCHED_ROWS}) AS first_rows WHERE {field} IS NOT NULL"
                )
                texts = [value for (value,) in rows if isinstance(value, str)]
                yield str(table), str(column), [t for t in texts if 0 < len(t) <= longest]


def _grouped(rows: Sequence[Any]) -> dict[Any, list[Any]]:
    """The rest of each row by its first value."""
    groups: defaultdict[Any, list[Any]] = defaultdict(list)
    for first, *rest in rows:
        groups[first].append(tuple(rest))
    return dict(groups)


def _columns(
    query: Query, dialect: Dialect, table: str, rows: Sequence[Any], count: int
) -> list[Column]:
    samples = _sample_values(query, dialect, table, [name for name, *_ in rows], count)
    return [
        Column(name, kind, " ".join((comment or "").split()), samples.get(name, ()))
        for name, kind, comment in rows
    ]


def _foreign_keys(rows: Sequence[Any]) -> list[ForeignKey]:
    keys = _grouped(rows).values()
    return [
        ForeignKey(
            tuple(column for column, _, _ in parts),
            parts[0][1],
            tuple(reference for _, _, reference in parts),
        )
        for parts in keys
    ]


def _sample_values(
    query: Query, dialect: Dialect, table: str, columns: Sequence[str], count: int
) -> dict[str, tuple[Value, ...]]:
    """The first distinct values of each column; more rows are read if the first have too few."""
    if not count:
        return {}
    source = quote_identifier(table, dialect)
    rows = query(f"SELECT * FROM {source} LIMIT {FIRST_ROWS}")
    samples: dict[str, tuple[Value, ...]] = {}
    for column, values in zip(columns, zip(*rows, strict=True), strict=bool(rows)):
        samples[column] = _distinct(values, count)
        if len(samples[column]) < count and len(rows) == FIRST_ROWS:
            field = quote_identifier(column, dialect)
            more = query(
                f"SELECT {field} FROM {source} WHERE {field} IS NOT NULL LIMIT {MORE_ROWS}"
            )
            samples[column] = _distinct([value for (value,) in more], count)
    return samples


def _distinct(values: Sequence[Any], count: int) -> tuple[Value, ...]:
    shown = dict.fromkeys(v for v in values if v not in (None, "") and type(v) is not bytes)
    return tuple(shown)[:count]
