"""Tables, columns and keys of a database, and the text in which a prompt shows them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slmsql.sql.quoting import quote_if_needed

Value = str | int | float
# Values to show by (table, column), both in lower case; they stand before the sampled ones.
FoundValues = Mapping[tuple[str, str], Sequence[Value]]

EXAMPLE_LENGTH = 40  # characters of a text value that are shown, unless the question has it
MOST_VALUES = 6  # shown of a column


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `sample_values` are values that occur in it."""

    name: str
    type: str
    description: str = ""
    sample_values: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """`columns` of the table refer to `references` of the table `parent`."""

    columns: tuple[str, ...]
    parent: str
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Schema:
    tables: tuple[Table, ...]

    def text(self, found: FoundValues | None = None) -> str:
        """The schema as CREATE TABLE statements with comments, as the prompt shows it."""
        return "\n\n".join(_table_text(table, found or {}) for table in self.tables)


def shown_values(schema: Schema, found: FoundValues) -> dict[tuple[str, str], tuple[str, ...]]:
    """The values that the schema's text shows of each column, everything in lower case."""
    return {
        (table.name.lower(), column.name.lower()): tuple(
            shown.lower() for shown in _shown(table, column, found)
        )
        for table in schema.tables
        for column in table.columns
    }


def _table_text(table: Table, found: FoundValues) -> str:
    lines = [_column_line(table, column, found) for column in table.columns]
    lines += _key_lines(table)
    # A comment runs to the end of its line, so the comma must stand before it.
    body = "\n".join(_with_comma(line, last=line is lines[-1]) for line in lines)
    return f"CREATE TABLE {quote_if_needed(table.name)} (\n{body}\n);"


def _with_comma(line: tuple[str, str], *, last: bool) -> str:
    code, comment = line
    return f"    {code}{'' if last else ','}{f' -- {comment}' if comment else ''}"


def _column_line(table: Table, column: Column, found: FoundValues) -> tuple[str, str]:
    shown = ", ".join(
        value if is_number else "'" + value.replace("'", "''") + "'"
        for value, is_number in _shown(table, column, found).items()
    )
    parts = [_new_words(column), f"example: {shown}" if shown else ""]
    code = " ".join(part for part in (quote_if_needed(column.name), column.type) if part)
    return code, "; ".join(part for part in parts if part)


def _new_words(column: Column) -> str:
    """The description, unless it only repeats the name."""

    def bare(text: str) -> str:
        return re.sub(r"[\W_]+", "", text).lower()

    return "" if bare(column.description) == bare(column.name) else column.description


def _key_lines(table: Table) -> list[tuple[str, str]]:
    lines = []
    if table.primary_key:
        lines.append((f"PRIMARY KEY ({_names(table.primary_key)})", ""))
    for key in table.foreign_keys:
        target = f"{quote_if_needed(key.parent)} ({_names(key.references)})"
        lines.append((f"FOREIGN KEY ({_names(key.columns)}) REFERENCES {target}", ""))
    return lines


def _names(columns: Sequence[str]) -> str:
    return ", ".join(map(quote_if_needed, columns))


def _shown(table: Table, column: Column, found: FoundValues) -> dict[str, bool]:
    """The values shown of a column, and whether each is a number.

    Those found for the question stand first and whole: a query must repeat them to the letter.
    """
    first = found.get((table.name.lower(), column.name.lower()), ())
    values = list(dict.fromkeys((*first, *column.sample_values)))[:MOST_VALUES]
    return {_plain(value, whole=value in first): not isinstance(value, str) for value in values}


def _plain(value: Value, *, whole: bool) -> str:
    text = " ".join(value.split()) if isinstance(value, str) else str(value)
    return text if whole or len(text) <= EXAMPLE_LENGTH else text[:EXAMPLE_LENGTH] + "..."
