"""Tables, columns and keys of a database, and the text that a prompt shows of them.

CREATE TABLE singer (
    id INTEGER, -- example: 1, 2
    name TEXT, -- the name on stage; example: 'Ann', 'Bob'
    PRIMARY KEY (id)
);
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from slmsql.errors import InputError
from slmsql.sql.dialect import Dialect
from slmsql.sql.quoting import quote_if_needed

Value = str | int | float
# Values to show by (table, column), both in lower case. They come before the sample values.
RetrievedValues = Mapping[tuple[str, str], Sequence[Value]]

MOST_CHARS = 40  # of a sampled text value; retrieved values are shown whole
MOST_VALUES = 6  # of a column


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `sample_values` are some of the values stored in it."""

    name: str
    type: str
    description: str = ""
    sample_values: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """The table's `columns` refer to the columns `references` of the table `parent`."""

    columns: tuple[str, ...]
    parent: str
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its keys; `primary_key` holds names of columns in the order of the key."""

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of a database."""

    tables: tuple[Table, ...]
    dialect: Dialect = Dialect.SQLITE

    def text(self, values: RetrievedValues | None = None) -> str:
        """The schema as CREATE TABLE statements with comments, as a prompt shows it.

        Args:
            values: values retrieved for the question.
        """
        return "\n\n".join(_table_text(table, values or {}, self.dialect) for table in self.tables)

    def one_table(self, name: str) -> "Schema":
        """This schema with a single table.

        Raises:
            InputError: there is no such table; the message names those that there are.
        """
        matching = tuple(table for table in self.tables if table.name.lower() == name.lower())
        if not matching:
            names = ", ".join(table.name for table in self.tables)
            raise InputError(f"no table {name!r}; there are {names}")
        return replace(self, tables=matching)


def shown_values(schema: Schema, values: RetrievedValues) -> dict[tuple[str, str], tuple[str, ...]]:
    """The values that `schema.text(values)` shows of each column, all in lower case."""
    return {
        (table.name.lower(), column.name.lower()): tuple(
            text.lower() for text in _value_texts(table, column, values)
        )
        for table in schema.tables
        for column in table.columns
    }


def _table_text(table: Table, values: RetrievedValues, dialect: Dialect) -> str:
    lines = [_column_line(table, column, values, dialect) for column in table.columns]
    lines += [(key, "") for key in _key_definitions(table, dialect)]
    body = []
    for number, (definition, comment) in enumerate(lines, start=1):
        # The comma stands before the comment, which runs to the end of the line.
        comma = "," if number < len(lines) else ""
        body.append(f"    {definition}{comma}" + (f" -- {comment}" if comment else ""))
    return f"CREATE TABLE {quote_if_needed(table.name, dialect)} (\n" + "\n".join(body) + "\n);"


def _column_line(
    table: Table, column: Column, values: RetrievedValues, dialect: Dialect
) -> tuple[str, str]:
    """A column's definition and its comment."""
    examples = ", ".join(
        text if is_number else "'" + text.replace("'", "''") + "'"
        for text, is_number in _value_texts(table, column, values).items()
    )
    comments = [
        "" if _repeats_name(column) else column.description,
        f"example: {examples}" if examples else "",
    ]
    definition = " ".join(filter(None, (quote_if_needed(column.name, dialect), column.type)))
    return definition, "; ".join(filter(None, comments))


def _repeats_name(column: Column) -> bool:
    """Whether the description says no more than the name, as in `song_name` and "Song name"."""
    name, description = (
        re.sub(r"[\W_]+", "", text).lower() for text in (column.name, column.description)
    )
    return name == description


def _key_definitions(table: Table, dialect: Dialect) -> list[str]:
    definitions = []
    if table.primary_key:
        definitions.append(f"PRIMARY KEY ({_names(table.primary_key, dialect)})")
    for key in table.foreign_keys:
        target = f"{quote_if_needed(key.parent, dialect)} ({_names(key.references, dialect)})"
        columns = _names(key.columns, dialect)
        definitions.append(f"FOREIGN KEY ({columns}) REFERENCES {target}")
    return definitions


def _names(columns: Sequence[str], dialect: Dialect) -> str:
    return ", ".join(quote_if_needed(column, dialect) for column in columns)


def _value_texts(table: Table, column: Column, values: RetrievedValues) -> dict[str, bool]:
    """The values to show of a column as texts, and whether each is a number.

    Retrieved values come first and whole, because a query must repeat them exactly.
    """
    retrieved = values.get((table.name.lower(), column.name.lower()), ())
    distinct = list(dict.fromkeys((*retrieved, *column.sample_values)))[:MOST_VALUES]
    return {
        _value_text(value, whole=value in retrieved): not isinstance(value, str)
        for value in distinct
    }


def _value_text(value: Value, *, whole: bool) -> str:
    text = " ".join(value.split()) if isinstance(value, str) else str(value)
    return text if whole or len(text) <= MOST_CHARS else text[:MOST_CHARS] + "..."
