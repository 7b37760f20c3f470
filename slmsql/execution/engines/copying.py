"""Copies SQLite databases into DuckDB files and onto servers: types, keys, comments and rows.

SQLite's columns hold any value, whatever type they declare. A column's type in the copy therefore
follows its values: whole numbers, numbers, dates if it declares them, bytes, else text. Keys that
the rows break are left out. Comments in a CREATE TABLE statement become the columns' comments.
Texts compare byte by byte in the copy, as they do in SQLite. On servers all names are in lower
case, so that no query needs to quote them.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Protocol

from slmsql.errors import InputError
from slmsql.execution.database import reading
from slmsql.execution.engines import duckdb_file, servers
from slmsql.execution.engines.address import dialect_of, is_url
from slmsql.sql.comments import column_comments
from slmsql.sql.dialect import Dialect
from slmsql.sql.quoting import quote_identifier, quote_text
from slmsql.sql.transpiling import TextColumns

BATCH = 500  # rows sent at once
# The type in the copy, by the kind of the column's values.
TYPES = {
    "integer": dict.fromkeys(Dialect, "BIGINT"),
    "real": dict.fromkeys(Dialect, "DOUBLE PRECISION"),
    "text": {Dialect.DUCKDB: "VARCHAR", Dialect.POSTGRES: "TEXT", Dialect.MYSQL: "LONGTEXT"},
    "date": dict.fromkeys(Dialect, "DATE"),
    "timestamp": {
        Dialect.DUCKDB: "TIMESTAMP",
        Dialect.POSTGRES: "TIMESTAMP",
        Dialect.MYSQL: "DATETIME",
    },
    "blob": {Dialect.DUCKDB: "BLOB", Dialect.POSTGRES: "BYTEA", Dialect.MYSQL: "LONGBLOB"},
}
MOST_INDEXED = 180  # characters of a text that MySQL can index with others
LONGEST_COMMENT = 1024  # characters, MySQL's limit


@dataclass(frozen=True, slots=True)
class CopiedColumn:
    """A column of the copy; `kind` is a key of `TYPES`, `longest` its longest text."""

    name: str
    kind: str
    required: bool
    longest: int = 0
    comment: str = ""


@dataclass(frozen=True, slots=True)
class CopiedTable:
    """A table of the copy. Keys and indexes are lists of columns."""

    name: str
    columns: tuple[CopiedColumn, ...]
    primary_key: tuple[str, ...]
    foreign_keys: tuple[tuple[tuple[str, ...], str, tuple[str, ...]], ...] = ()
    indexes: tuple[tuple[bool, tuple[str, ...]], ...] = ()
    """Whether the values are unique, and the columns."""


@dataclass(slots=True)
class CopyReport:
    """What was copied, and what the copy could not keep."""

    tables: list[CopiedTable]
    rows: int = 0
    left_out: list[str] = field(default_factory=list)


class Target(Protocol):
    """A new database that a copy is written to."""

    def execute(self, statement: str) -> None: ...

    def insert(self, statement: str, rows: Sequence[Sequence[Any]]) -> None: ...


def copy_database(source: Path, target: Path) -> CopyReport:
    """Copy an SQLite database into a new DuckDB file or a new database of a server.

    Raises:
        FileNotFoundError, InputError: the source cannot be read, the target exists, or the server
            cannot be reached. Nothing is left behind then.
    """
    with reading(source) as connection:
        if is_url(target):
            with servers.creating(target) as created:
                return _copy(connection, created, dialect_of(target))
        return _copy_to_duckdb(connection, target)


def column_kinds(source: Path) -> dict[str, dict[str, str]]:
    """The kind of each column that a copy would have, by table and column in lower case."""
    with reading(source) as connection:
        return {
            table.name.lower(): {column.name.lower(): column.kind for column in table.columns}
            for table in _tables(connection, [])
        }


def text_columns(source: Path) -> TextColumns:
    """Which columns of an SQLite database hold texts, dates included, as a copy has them."""
    return {
        table: {column: kind in ("text", "date", "timestamp") for column, kind in columns.items()}
        for table, columns in column_kinds(source).items()
    }


def _copy_to_duckdb(connection: Connection, target: Path) -> CopyReport:
    if target.exists():
        raise InputError(f"{target} exists; remove it first, or name another file")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(f".{os.getpid()}.part")
    try:
        with closing(duckdb_file.NewDuckDB(temporary)) as created:
            report = _copy(connection, created, Dialect.DUCKDB)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return report


def _copy(connection: Connection, target: Target, dialect: Dialect) -> CopyReport:
    report = CopyReport([])
    report.tables = _tables(connection, report.left_out)
    if dialect is not Dialect.DUCKDB:
        report.tables = [_lowered(table) for table in report.tables]
    else:  # it takes foreign keys only when it creates a table
        report.tables = _parents_first(report.tables, report.left_out)
    if dialect is Dialect.MYSQL:
        report.tables = _without_long_keys(report.tables, report.left_out)
    for table in report.tables:
        target.execute(_create_table(table, dialect))
        for statement in _comments(table, dialect):
            target.execute(statement)
        report.rows += _copy_rows(connection, target, table, dialect)
    for table in report.tables:
        _add_indexes(target, table, dialect)
    if dialect is not Dialect.DUCKDB:
        for table in report.tables:
            for key in table.foreign_keys:
                clause = _foreign_key(key, dialect)
                target.execute(f"ALTER TABLE {_quoted([table.name], dialect)} ADD {clause}")
    return report


def _copy_rows(connection: Connection, target: Target, table: CopiedTable, dialect: Dialect) -> int:
    mark = "?" if dialect is Dialect.DUCKDB else "%s"
    marks = ", ".join([mark] * len(table.columns))
    insert = f"INSERT INTO {_quoted([table.name], dialect)} VALUES ({marks})"
    names = [quote_identifier(column.name) for column in table.columns]
    rows = connection.execute(f"SELECT {', '.join(names)} FROM {quote_identifier(table.name)}")
    converters = [CONVERTERS.get(column.kind) for column in table.columns]
    count = 0
    while batch := rows.fetchmany(BATCH):
        target.insert(insert, [_converted(row, converters) for row in batch])
        count += len(batch)
    return count


def _converted(row: Sequence[Any], converters: Sequence[Callable[[Any], Any] | None]) -> list[Any]:
    return [
        value if value is None or convert is None else convert(value)
        for value, convert in zip(row, converters, strict=True)
    ]


def _text(value: Any) -> str:
    """A value as text; PostgreSQL cannot hold NUL characters."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return str(value).replace("\0", "")


CONVERTERS: dict[str, Callable[[Any], Any]] = {"text": _text, "real": float}


def _tables(connection: Connection, left_out: list[str]) -> list[CopiedTable]:
    names = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%'"
        " ESCAPE '\\' ORDER BY rowid"
    ).fetchall()
    tables = [_table(connection, name, column_comments(sql), left_out) for name, sql in names]
    by_name = {table.name.lower(): table for table in tables}
    return [_with_foreign_keys(connection, table, by_name, left_out) for table in tables]


def _table(
    connection: Connection, name: str, comments: Mapping[str, str], left_out: list[str]
) -> CopiedTable:
    rows = connection.execute(
        'SELECT name, type, "notnull", pk FROM pragma_table_info(?)', (name,)
    ).fetchall()
    columns = tuple(
        replace(
            _column(connection, name, column, kind, bool(required or key)),
            comment=comments.get(column.lower(), "")[:LONGEST_COMMENT],
        )
        for column, kind, required, key in rows
    )
    key = tuple(column for _, column in sorted((pk, column) for column, _, _, pk in rows if pk))
    if key and not _is_unique(connection, name, key):
        left_out.append(f"primary key of {name}: NULL or repeated")
        key = ()
    return CopiedTable(name, columns, key, (), tuple(_indexes(connection, name)))


def _column(
    connection: Connection, table: str, name: str, declared: str, required: bool
) -> CopiedColumn:
    field_, source = quote_identifier(name), quote_identifier(table)
    has_year = f"substr({field_}, 1, 4) <> '0000'"  # no other engine has a year 0
    is_day = f"date({field_}, '+0 days') = {field_} AND {has_year}"
    is_moment = f"datetime({field_}, '+0 days') = {field_} AND {has_year}"
    found = connection.execute(
        f"SELECT typeof({field_}), count(*), max(length({field_})), sum({is_day}),"
        f" sum({is_moment}) FROM {source} GROUP BY 1"
    ).fetchall()
    counts = {kind: row for kind, *row in found}
    nulls = counts.pop("null", None)
    longest = max((row[1] or 0 for row in counts.values()), default=0)
    return CopiedColumn(name, _kind(declared, counts), required and not nulls, longest)


def _kind(declared: str, counts: dict[str, list[Any]]) -> str:
    """The kind of a column with these values; without any, by its declared type."""
    kinds = set(counts)
    if not kinds:
        if re.search("int", declared, re.IGNORECASE):
            return "integer"
        return "text" if re.search("char|text|^$", declared, re.IGNORECASE) else "real"
    if kinds == {"text"} and re.search("date|time", declared, re.IGNORECASE):
        count, _, days, moments = counts["text"]
        if days == count:
            return "date"
        if moments == count:
            return "timestamp"
    if kinds == {"integer", "real"}:
        return "real"
    return kinds.pop() if len(kinds) == 1 else "text"


def _is_unique(connection: Connection, table: str, key: Sequence[str]) -> bool:
    fields = ", ".join(map(quote_identifier, key))
    missing = " OR ".join(f"{quote_identifier(column)} IS NULL" for column in key)
    source = quote_identifier(table)
    wrong = connection.execute(
        f"SELECT EXISTS (SELECT 1 FROM {source} WHERE {missing}) OR"
        f" EXISTS (SELECT 1 FROM {source} GROUP BY {fields} HAVING count(*) > 1)"
    ).fetchone()
    return not wrong[0]


def _indexes(connection: Connection, table: str) -> Iterator[tuple[bool, tuple[str, ...]]]:
    rows = connection.execute(
        "SELECT name, \"unique\" FROM pragma_index_list(?) WHERE origin <> 'pk' AND NOT partial",
        (table,),
    ).fetchall()
    for name, is_unique in rows:
        columns = connection.execute("SELECT name FROM pragma_index_info(?)", (name,)).fetchall()
        if all(column for (column,) in columns):  # None: an expression
            yield bool(is_unique), tuple(column for (column,) in columns)


def _with_foreign_keys(
    connection: Connection,
    table: CopiedTable,
    tables: dict[str, CopiedTable],
    left_out: list[str],
) -> CopiedTable:
    rows = connection.execute(
        'SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(?) ORDER BY id, seq',
        (table.name,),
    ).fetchall()
    keys = []
    for number in dict.fromkeys(row[0] for row in rows):
        _, parents, columns, references = zip(
            *(row for row in rows if row[0] == number), strict=True
        )
        parent = tables.get(parents[0].lower())
        key = _sound_key(connection, table, columns, parent, references)
        if key is None:
            left_out.append(f"foreign key of {table.name} ({', '.join(columns)}): broken")
        else:
            keys.append(key)
    return replace(table, foreign_keys=tuple(dict.fromkeys(keys)))


def _sound_key(
    connection: Connection,
    table: CopiedTable,
    columns: Sequence[str],
    parent: CopiedTable | None,
    references: Sequence[str | None],
) -> tuple[tuple[str, ...], str, tuple[str, ...]] | None:
    """A foreign key in the names of the tables; None if the rows or the types break it."""
    if parent is None:
        return None
    found = _columns_called(parent, [*references] if references[0] else parent.primary_key)
    own = _columns_called(table, columns)
    if not found or not own or [c.kind for c in found] != [c.kind for c in own]:
        return None
    names = tuple(column.name for column in found)
    if {n.lower() for n in names} != {n.lower() for n in parent.primary_key}:
        return None
    if _has_orphans(connection, table.name, [c.name for c in own], parent.name, names):
        return None
    return tuple(column.name for column in own), parent.name, names


def _has_orphans(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    parent: str,
    references: Sequence[str],
) -> bool:
    """Whether a row refers to a row of the parent that does not exist."""
    fields = [f"own.{quote_identifier(column)}" for column in columns]
    pairs = zip(fields, references, strict=True)
    equal = " AND ".join(f"{own} = parent.{quote_identifier(name)}" for own, name in pairs)
    present = " AND ".join(f"{own} IS NOT NULL" for own in fields)
    found = connection.execute(
        f"SELECT EXISTS (SELECT 1 FROM {quote_identifier(table)} AS own WHERE {present}"
        f" AND NOT EXISTS (SELECT 1 FROM {quote_identifier(parent)} AS parent WHERE {equal}))"
    ).fetchone()
    return bool(found[0])


def _columns_called(table: CopiedTable, names: Sequence[Any]) -> list[CopiedColumn]:
    by_name = {column.name.lower(): column for column in table.columns}
    found = [by_name.get(str(name).lower()) for name in names]
    return [column for column in found if column] if None not in found else []


def _parents_first(tables: Sequence[CopiedTable], left_out: list[str]) -> list[CopiedTable]:
    """The tables so ordered that each comes after those its keys refer to; circles are cut."""
    ordered: list[CopiedTable] = []
    waiting = list(tables)
    while waiting:
        done = {table.name for table in ordered}
        free = [t for t in waiting if all(parent in done for _, parent, _ in t.foreign_keys)]
        if not free:
            first = waiting[0]
            kept = tuple(key for key in first.foreign_keys if key[1] in done)
            left_out.append(f"foreign keys of {first.name} in a circle")
            free = [replace(first, foreign_keys=kept)]
        ordered += free
        waiting = [table for table in waiting if table.name not in {t.name for t in ordered}]
    return ordered


def _lowered(table: CopiedTable) -> CopiedTable:
    def low(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name.lower() for name in names)

    return CopiedTable(
        table.name.lower(),
        tuple(replace(column, name=column.name.lower()) for column in table.columns),
        low(table.primary_key),
        tuple((low(own), parent.lower(), low(refs)) for own, parent, refs in table.foreign_keys),
        tuple((is_unique, low(columns)) for is_unique, columns in table.indexes),
    )


def _without_long_keys(tables: Sequence[CopiedTable], left_out: list[str]) -> list[CopiedTable]:
    """The tables without keys and indexes on texts that are too long for MySQL's."""
    long = {
        (table.name, column.name)
        for table in tables
        for column in table.columns
        if column.kind == "blob" or (column.kind == "text" and column.longest > MOST_INDEXED)
    }
    left_out += [f"keys of {table} with {column}: too long" for table, column in sorted(long)]

    def is_short(table: CopiedTable, columns: Sequence[str]) -> bool:
        return not any((table.name, column) in long for column in columns)

    return [
        replace(
            table,
            primary_key=table.primary_key if is_short(table, table.primary_key) else (),
            foreign_keys=tuple(key for key in table.foreign_keys if is_short(table, key[0])),
            indexes=tuple(index for index in table.indexes if is_short(table, index[1])),
        )
        for table in tables
    ]


def _create_table(table: CopiedTable, dialect: Dialect) -> str:
    lines = [_definition(table, column, dialect) for column in table.columns]
    if table.primary_key:
        lines.append(f"PRIMARY KEY ({_quoted(table.primary_key, dialect)})")
    if dialect is Dialect.DUCKDB:
        lines += [_foreign_key(key, dialect) for key in table.foreign_keys]
    return f"CREATE TABLE {_quoted([table.name], dialect)} ({', '.join(lines)})"


def _definition(table: CopiedTable, column: CopiedColumn, dialect: Dialect) -> str:
    kind = TYPES[column.kind][dialect]
    keys = {*table.primary_key}.union(*(own for own, _, _ in table.foreign_keys))
    keys = keys.union(*(columns for _, columns in table.indexes))
    if dialect is Dialect.MYSQL and column.kind == "text" and column.name in keys:
        kind = f"VARCHAR({MOST_INDEXED})"
    required = " NOT NULL" if column.required else ""
    comment = ""
    if dialect is Dialect.MYSQL and column.comment:
        comment = f" COMMENT {quote_text(column.comment, dialect)}"
    return f"{_quoted([column.name], dialect)} {kind}{required}{comment}"


def _comments(table: CopiedTable, dialect: Dialect) -> Iterator[str]:
    """Statements that add the comments; MySQL takes them when it creates the table."""
    for column in table.columns if dialect is not Dialect.MYSQL else ():
        if column.comment:
            name = f"{_quoted([table.name], dialect)}.{_quoted([column.name], dialect)}"
            yield f"COMMENT ON COLUMN {name} IS {quote_text(column.comment, dialect)}"


def _foreign_key(key: tuple[tuple[str, ...], str, tuple[str, ...]], dialect: Dialect) -> str:
    own, parent, references = key
    target = f"{_quoted([parent], dialect)} ({_quoted(references, dialect)})"
    return f"FOREIGN KEY ({_quoted(own, dialect)}) REFERENCES {target}"


def _add_indexes(target: Target, table: CopiedTable, dialect: Dialect) -> None:
    for number, (is_unique, columns) in enumerate(table.indexes, start=1):
        name = _quoted([f"{table.name}_index_{number}"], dialect)
        kind = "UNIQUE INDEX" if is_unique else "INDEX"
        place = f"{_quoted([table.name], dialect)} ({_quoted(columns, dialect)})"
        target.execute(f"CREATE {kind} {name} ON {place}")


def _quoted(names: Sequence[str], dialect: Dialect) -> str:
    return ", ".join(quote_identifier(name, dialect) for name in names)
