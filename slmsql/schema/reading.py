"""Reads a schema from a database: tables, columns, keys, descriptions and sample values."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from sqlite3 import Connection

from slmsql.execution import reading
from slmsql.execution.database import Identity
from slmsql.execution.engines.address import dialect_of
from slmsql.execution.locating import locate
from slmsql.schema.engine_tables import FIRST_ROWS, MORE_ROWS, read_tables
from slmsql.schema.model import Column, ForeignKey, Schema, Table, Value
from slmsql.sql.comments import column_comments
from slmsql.sql.dialect import Dialect
from slmsql.sql.quoting import quote_identifier


def read_schema(database: Path, *, sample_values: int = 2, brief: bool = False) -> Schema:
    """Read a database's schema.

    Descriptions come from `database_description/<table>.csv` beside the file, as BIRD ships them,
    else from comments in the CREATE TABLE statements or in the engine's catalog.

    Args:
        database: a file, a folder of tables or a URL.
        sample_values: number of values of each column.
        brief: keep at most one sample value of a column of numbers and none of a numeric key,
            where they say little, to leave room for the values retrieved for a question.

    Raises:
        FileNotFoundError: the file is missing.
        InputError: it cannot serve as a database.
    """
    return _read(database, locate(database)[1], sample_values, brief)


def schema_text(database: Path, *, sample_values: int = 2) -> str:
    """`read_schema(database).text()`, cached for as many databases as SynSQL has."""
    return _schema_text(database, locate(database)[1], sample_values)


@lru_cache(maxsize=20_000)  # about 5 KB each
def _schema_text(database: Path, identity: Identity, sample_values: int) -> str:
    return _read(database, identity, sample_values, False).text()


@lru_cache(maxsize=512)
def _read(database: Path, _identity: Identity, sample_values: int, brief: bool) -> Schema:
    """Read a schema; `_identity` makes a changed file miss the cache."""
    dialect = dialect_of(database)
    if dialect is Dialect.SQLITE:
        tables = _sqlite_tables(database, sample_values)
    else:
        tables = read_tables(database, sample_values)
    return Schema(tuple(map(_brief, tables) if brief else tables), dialect)


def _sqlite_tables(database: Path, sample_values: int) -> list[Table]:
    folder = database.parent / "database_description"
    tables = []
    with reading(database) as connection:
        statements = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE"
            " 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid"
        ).fetchall()
        for name, sql in statements:
            descriptions = column_comments(sql) | _descriptions(folder, name)
            tables.append(_table(connection, name, descriptions, sample_values))
    return tables


def _table(
    connection: Connection, name: str, descriptions: Mapping[str, str], sample_values: int
) -> Table:
    rows = connection.execute("SELECT name, type, pk FROM pragma_table_info(?)", (name,)).fetchall()
    names = [column for column, _, _ in rows]
    values = _sample_values(connection, name, names, sample_values) if sample_values else {}
    columns = tuple(
        Column(column, kind, descriptions.get(column.lower(), ""), values.get(column, ()))
        for column, kind, _ in rows
    )
    primary_key = tuple(column for _, column in sorted((pk, name) for name, _, pk in rows if pk))
    return Table(name, columns, primary_key, tuple(_foreign_keys(connection, name)))


def _sample_values(
    connection: Connection, table: str, columns: Sequence[str], count: int
) -> dict[str, tuple[Value, ...]]:
    """The first distinct values in storage order: fast at any size, and the same every time.

    If the table's first rows have too few values of a column, more of its rows are read.
    """
    fields = ", ".join(map(quote_identifier, columns))
    source = quote_identifier(table)
    rows = connection.execute(f"SELECT {fields} FROM {source} LIMIT {FIRST_ROWS}").fetchall()
    samples: dict[str, tuple[Value, ...]] = {}
    for column, values in zip(columns, zip(*rows, strict=True), strict=bool(rows)):
        distinct = dict.fromkeys(v for v in values if v not in (None, "") and type(v) is not bytes)
        samples[column] = tuple(distinct)[:count]
        if len(distinct) < count and len(rows) == FIRST_ROWS:
            samples[column] = _more_values(connection, table, column, count)
    return samples


def _more_values(connection: Connection, table: str, column: str, count: int) -> tuple[Value, ...]:
    source, field = quote_identifier(table), quote_identifier(column)
    rows = connection.execute(
        f"SELECT DISTINCT {field} FROM (SELECT {field} FROM {source} WHERE {field} IS NOT NULL"
        f" AND {field} <> '' AND typeof({field}) <> 'blob' LIMIT {MORE_ROWS}) LIMIT ?",
        (count,),
    )
    return tuple(value for (value,) in rows)


def _foreign_keys(connection: Connection, table: str) -> Iterator[ForeignKey]:
    rows = connection.execute(
        'SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(?) ORDER BY id DESC, seq',
        (table,),
    ).fetchall()
    for key in dict.fromkeys(key for key, *_ in rows):
        parents, columns, references = zip(*(row[1:] for row in rows if row[0] == key), strict=True)
        if None in references:  # `REFERENCES parent` alone refers to the parent's primary key
            references = _primary_key(connection, parents[0])
        yield ForeignKey(columns, parents[0], references)


def _primary_key(connection: Connection, table: str) -> tuple[str, ...]:
    rows = connection.execute(
        "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", (table,)
    )
    return tuple(name for (name,) in rows)


def _descriptions(folder: Path, table: str) -> dict[str, str]:
    """Descriptions by column name in lower case, from BIRD's file for the table if there is one."""
    for file in sorted(folder.glob("*.csv")):
        if file.stem.lower() == table.lower():
            rows = csv.DictReader(io.StringIO(_decoded(file.read_bytes())))
            return {
                (row.get("original_column_name") or "").strip().lower(): _description(row)
                for row in rows
            }
    return {}


def _decoded(content: bytes) -> str:
    """Decode UTF-8, else Windows-1252: BIRD's description files are in either."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _description(row: Mapping[str, str | None]) -> str:
    text = row.get("column_description") or row.get("column_name") or ""
    return " ".join(text.split())


def _brief(table: Table) -> Table:
    """The table with fewer sample values, as `read_schema` says of `brief`."""
    keys = {*table.primary_key, *(name for key in table.foreign_keys for name in key.columns)}
    columns = []
    for column in table.columns:
        values = column.sample_values
        if not all(isinstance(value, str) for value in values):
            values = () if column.name in keys else values[:1]
        columns.append(replace(column, sample_values=values))
    return replace(table, columns=tuple(columns))
