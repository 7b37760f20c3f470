"""Schemas that are too long for a prompt: the least relevant columns go first, keys never."""

from collections.abc import Iterator, Set
from dataclasses import dataclass, replace

from slmsql.schema.model import Column, FoundValues, Schema, Table
from slmsql.words import STOP_WORDS, estimate_tokens, words


@dataclass(frozen=True, slots=True)
class BudgetedSchema:
    """A schema and how many columns it lost."""

    schema: Schema
    left_out: int


@dataclass(frozen=True, slots=True)
class _Droppable:
    relevance: int
    place: int
    table: str
    column: str
    tokens: int


def fit(schema: Schema, found: FoundValues, question: str, tokens: int) -> BudgetedSchema:
    """Leave out columns until the text has `tokens` tokens at most, by an estimate.

    Relevant is what the question names, by name, description or a value found for it. Of equally
    relevant columns the last goes first. Keys stay even where the text is too long without the
    rest, since nothing can be joined without them.
    """
    excess = estimate_tokens(schema.text(found)) - tokens
    dropped: set[tuple[str, str]] = set()
    if excess > 0:
        asked = set(words(question)) - STOP_WORDS
        columns = list(_droppable(schema, found, asked))
        for column in sorted(columns, key=lambda column: (column.relevance, -column.place)):
            if excess <= 0:
                break
            dropped.add((column.table, column.column))
            excess -= column.tokens
    return BudgetedSchema(without(schema, dropped), len(dropped))


def without(schema: Schema, dropped: Set[tuple[str, str]]) -> Schema:
    """The schema without some columns, given by the names of table and column.

    A table that has no column left goes too: it has no keys, so nothing refers to it.
    """
    if not dropped:
        return schema
    tables = [
        replace(
            table, columns=tuple(c for c in table.columns if (table.name, c.name) not in dropped)
        )
        for table in schema.tables
    ]
    return Schema(tuple(table for table in tables if table.columns))


def key_columns(schema: Schema) -> set[tuple[str, str]]:
    """Table and column, in lower case, of all that keys name on either side."""
    keys: set[tuple[str, str]] = set()
    for table in schema.tables:
        keys |= {(table.name.lower(), column.lower()) for column in table.primary_key}
        for key in table.foreign_keys:
            keys |= {(table.name.lower(), column.lower()) for column in key.columns}
            keys |= {(key.parent.lower(), column.lower()) for column in key.references}
    return keys


def _droppable(schema: Schema, found: FoundValues, asked: Set[str]) -> Iterator[_Droppable]:
    keys = key_columns(schema)
    number = 0
    for table in schema.tables:
        empty = estimate_tokens(Schema((Table(table.name, ()),)).text(found)) - 1  # a comma
        for column in table.columns:
            place = (table.name.lower(), column.name.lower())
            if place not in keys:
                relevance = _relevance(table, column, asked) + 4 * bool(found.get(place))
                size = estimate_tokens(Schema((Table(table.name, (column,)),)).text(found))
                number += 1
                yield _Droppable(relevance, number, table.name, column.name, size - empty)


def _relevance(table: Table, column: Column, asked: Set[str]) -> int:
    """How much of the question a column speaks of: its name counts more than its table's."""
    named = 3 * len(asked & _parts(column.name))
    described = len(asked & set(words(column.description)))
    return named + min(described, 2) + len(asked & _parts(table.name))


def _parts(name: str) -> set[str]:
    """Words of a name, also of one in camel case."""
    return {*words("".join(f" {c}" if c.isupper() else c for c in name)), *words(name)}
