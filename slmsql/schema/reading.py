"""What a database looks like: tables, columns, keys, descriptions, a few values; read from it."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from sqlite3 import Connection

from slmsql.execution import connect
from slmsql.execution.database import Identity, check
from slmsql.schema.comments import column_comments
from slmsql.schema.model import (
    Column,
    ForeignKey,
    Schema,
    Table,
    Value,
)
from slmsql.sql.quoting import quote_identifier

FIRST_ROWS = 100  # of a table, in which sample_values are looked for


def read_schema(database: Path, *, sample_values: int = 2, brief: bool = False) -> Schema:
    """Read a database's schema with `sample_values` values of each column.

    Descriptions come from `database_description/<table>.csv` beside the file, as BIRD ships them,
    else from comments in the CREATE TABLE statements.

    Args:
        brief: numbers have one example at most, and none in keys, where they say nothing; what
            that saves is worth more as values found for the question.

    Raises:
        FileNotFoundError, InputError: there is no database, or it is none.
    """
    return _read(database, check(database), sample_values, brief)


def plain_text(database: Path, *, sample_values: int = 2) -> str:
    """`read_schema(database).text()`, remembered for as many databases as SynSQL has."""
    return _plain_text(database, check(database), sample_values)


@lru_cache(maxsize=20_000)  # about 5 KB each
def _plain_text(database: Path, identity: Identity, sample_values: int) -> str:
    return _read(database, identity, sample_values, False).text()


@lru_cache(maxsize=512)
def _read(database: Path, _identity: Identity, sample_values: int, brief: bool) -> Schema:
    with closing(connect(database)) as connection:
        statements = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE"
            " 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid"
        ).fetchall()
        folder = database.parent / "database_description"
        tables = [
            _table(
                connection, name, column_comments(sql) | _descriptions(folder, name), sample_values
            )
            for name, sql in statements
        ]
        return Schema(tuple(map(_brief, tables) if brief else tables))


def _table(
    connection: Connection, name: str, descriptions: Mapping[str, str], sample_values: int
) -> Table:
    info = connection.execute("SELECT name, type, pk FROM pragma_table_info(?)", (name,)).fetchall()
    names = [column for column, _, _ in info]
    values = _sample_values(connection, name, names, sample_values) if sample_values else {}
    columns = tuple(
        Column(column, kind, descriptions.get(column.lower(), ""), values.get(column, ()))
        for column, kind, _ in info
    )
    keyed = sorted((rank, column) for column, _, rank in info if rank)
    return Table(
        name, columns, tuple(column for _, column in keyed), tuple(_foreign_keys(connection, name))
    )


def _sample_values(
    connection: Connection, table: str, columns: Sequence[str], count: int
) -> dict[str, tuple[Value, ...]]:
    """The first distinct values in storage order: cheap on any size and the same on each call.

    A column that has too few in the table's first rows is looked through on its own.
    """
    fields = ", ".join(map(quote_identifier, columns))
    source = quote_identifier(table)
    rows = connection.execute(f"SELECT {fields} FROM {source} LIMIT {FIRST_ROWS}").fetchall()
    found: dict[str, tuple[Value, ...]] = {}
    for column, values in zip(columns, zip(*rows, strict=True), strict=bool(rows)):
        distinct = dict.fromkeys(v for v in values if v not in (None, "") and type(v) is not bytes)
        found[column] = tuple(distinct)[:count]
        if len(distinct) < count and len(rows) == FIRST_ROWS:
            found[column] = _more_examples(connection, table, column, count)
    return found


def _more_examples(
    connection: Connection, table: str, column: str, count: int
) -> tuple[Value, ...]:
    source, field = quote_identifier(table), quote_identifier(column)
    rows = connection.execute(
        f"SELECT DISTINCT {field} FROM (SELECT {field} FROM {source} WHERE {field} IS NOT NULL"
        f" AND {field} <> '' AND typeof({field}) <> 'blob' LIMIT 1000) LIMIT ?",
        (count,),
    )
    return tuple(value for (value,) in rows)


def _foreign_keys(connection: Connection, table: str) -> Iterator[ForeignKey]:
    rows = connection.execute(
        'SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(?) ORDER BY id DESC, seq',
        (table,),
    ).fetchall()
    for identity in dict.fromkeys(row[0] for row in rows):
        parts = [row for row in rows if row[0] == identity]
        references = tuple(part[3] for part in parts)
        if None in references:  # `REFERENCES parent` alone means the parent's primary key
            references = _primary_key(connection, parts[0][1])
        yield ForeignKey(tuple(part[2] for part in parts), parts[0][1], references)


def _primary_key(connection: Connection, table: str) -> tuple[str, ...]:
    rows = connection.execute(
        "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", (table,)
    )
    return tuple(name for (name,) in rows)


def _descriptions(folder: Path, table: str) -> dict[str, str]:
    file = next((f for f in sorted(folder.glob("*.csv")) if f.stem.lower() == table.lower()), None)
    if file is None:
        return {}
    rows = csv.DictReader(io.StringIO(_decoded(file.read_bytes())))
    return {
        (row.get("original_column_name") or "").strip().lower(): _description(row) for row in rows
    }


def _decoded(content: bytes) -> str:
    """BIRD's description files are partly UTF-8, partly Windows-1252."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _description(row: Mapping[str, str | None]) -> str:
    text = row.get("column_description") or row.get("column_name") or ""
    return " ".join(text.split())


def _brief(table: Table) -> Table:
    keys = {*table.primary_key, *(name for key in table.foreign_keys for name in key.columns)}
    return replace(
        table,
        columns=tuple(
            replace(column, sample_values=_few(column.sample_values, is_key=column.name in keys))
            for column in table.columns
        ),
    )


def _few(sample_values: Sequence[Value], *, is_key: bool) -> tuple[Value, ...]:
    if all(isinstance(value, str) for value in sample_values):
        return tuple(sample_values)
    return () if is_key else tuple(sample_values[:1])
